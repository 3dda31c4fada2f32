//! `larder cluster`: makes, changes and checks the map of a cluster, a file. No server is asked.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::rule::Rule;
use super::{Stop, Verdict, console};
use crate::base::fault::{Fault, FaultKind};
use crate::base::limits::TOPOLOGY_BYTES_MAX;
use crate::route::topology::tools;
use crate::route::topology::{Refusal, ServerId};

/// Make, change and check the map of a cluster
///
/// The map is a file that names the servers and their groups; docs/placement.md describes it. No server is asked.
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder cluster init --name shop --server id=1,client=10.0.0.1:11211,peer=10.0.0.1:11311 -o cluster.toml\n",
    "  larder cluster plan cluster.toml --add id=2,client=10.0.0.2:11211,peer=10.0.0.2:11311 -o next.toml\n",
    "  larder cluster check next.toml --after cluster.toml\n\n",
    "Exit codes: 0 done, 2 usage, 3 the file is refused, or a fault."
))]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Init(Init),
    Plan(Plan),
    Check(Check),
}

/// Make the first map of a cluster
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder cluster init --name shop --server id=1,client=10.0.0.1:11211,peer=10.0.0.1:11311\n\n",
    "A server is id=NUMBER,client=HOST:PORT,peer=HOST:PORT and perhaps ,zone=NAME ,weight=NUMBER.\n",
    "--groups, --hash and --hash-tag are for good.\n",
    "--json: text (the file), or refusals (line, reason, remedy)."
))]
struct Init {
    /// The cluster's name
    #[arg(long, value_name = "NAME")]
    name: String,
    #[command(flatten)]
    rule: Rule,
    /// A server; once for each
    #[arg(long = "server", value_name = "SERVER", required = true)]
    servers: Vec<String>,
    #[command(flatten)]
    told: Told,
}

/// Make the next version of a map, and tell what it moves
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder cluster plan cluster.toml --add id=3,client=10.0.0.3:11211,peer=10.0.0.3:11311 -o next.toml\n",
    "  larder cluster plan cluster.toml --remove 2\n\n",
    "Without --add and --remove the groups are shared by the weights that are in the file.\n",
    "--json: text (the file), moves (their number), report; or refusals (line, reason, remedy)."
))]
struct Plan {
    /// The present map; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A new server; once for each
    #[arg(long, value_name = "SERVER")]
    add: Vec<String>,
    /// The number of a server that is to go; once for each
    #[arg(long, value_name = "NUMBER")]
    remove: Vec<u64>,
    #[command(flatten)]
    told: Told,
}

/// Check a map, and whether it may follow another
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder cluster check cluster.toml\n",
    "  larder cluster check next.toml --after cluster.toml\n\n",
    "--json: good, report or refusals (line, reason, remedy)."
))]
struct Check {
    /// The map; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The map in force, which it is to follow
    #[arg(long, value_name = "FILE")]
    after: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Where a map goes that was made here.
#[derive(Args, Debug)]
struct Told {
    /// Write the map to this new file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> Result<Verdict, Stop> {
    match &options.action {
        Action::Init(init) => make(init),
        Action::Plan(plan) => change(plan),
        Action::Check(check) => verify(check),
    }
}

fn make(init: &Init) -> Result<Verdict, Stop> {
    let rule = init.rule.placement()?;
    let servers: Vec<&str> = init.servers.iter().map(String::as_str).collect();
    let made = tools::init(&tools::Init {
        cluster: &init.name,
        groups: rule.group_count.get(),
        hash: rule.hash,
        hash_tag: rule.hash_tag,
        servers: &servers,
    });
    match made {
        Ok(text) => init.told.give(&text, json!({})),
        Err(refusals) => Ok(refuse(init.told.json, Path::new("the servers"), &refusals)),
    }
}

fn change(plan: &Plan) -> Result<Verdict, Stop> {
    let text = read_text(&plan.file)?;
    let add: Vec<&str> = plan.add.iter().map(String::as_str).collect();
    let number = |number: &u64| {
        let refusal = || Stop::Usage(format!("--remove {number}: no number of a server"));
        ServerId::new(*number).ok_or_else(refusal)
    };
    let remove = plan.remove.iter().map(number).collect::<Result<Vec<_>, Stop>>()?;
    match tools::plan(&text, &add, &remove) {
        Ok(planned) => {
            if !plan.told.json {
                console::note(planned.report.trim_end());
            }
            plan.told.give(&planned.text, json!({"moves": planned.moves.len(), "report": planned.report}))
        }
        Err(refusals) => Ok(refuse(plan.told.json, &plan.file, &refusals)),
    }
}

fn verify(check: &Check) -> Result<Verdict, Stop> {
    let text = read_text(&check.file)?;
    let checked = match &check.after {
        None => tools::check(&text),
        Some(path) => tools::check_change(&read_text(path)?, &text),
    };
    match checked {
        Ok(report) if check.json => console::say(&json!({"good": true, "report": report}).to_string()),
        Ok(report) => console::say(report.trim_end()),
        Err(refusals) => return Ok(refuse(check.json, &check.file, &refusals)),
    }
    Ok(Verdict::Done)
}

impl Told {
    /// Writes the map, and the other facts if they are wanted.
    fn give(&self, text: &str, mut facts: serde_json::Value) -> Result<Verdict, Stop> {
        if let Some(path) = &self.output {
            write_new(path, text)?;
        }
        if self.json {
            facts["text"] = text.into();
            console::say(&facts.to_string());
        } else if self.output.is_none() {
            console::say(text.trim_end());
        }
        Ok(Verdict::Done)
    }
}

/// Writes a file that everybody may read, never over another.
pub(super) fn write_new(path: &Path, text: &str) -> Result<(), Fault> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = file.map_err(|error| Fault::io("cannot make the file", path, &error))?;
    file.write_all(text.as_bytes()).map_err(|error| Fault::io("cannot write", path, &error))
}

/// A topology file; - for standard input.
pub(super) fn read_text(path: &Path) -> Result<String, Fault> {
    let fault = |error: &std::io::Error| Fault::io("cannot read", path, error);
    let mut text = String::new();
    let limit = TOPOLOGY_BYTES_MAX as u64 + 1;
    let read = if path == Path::new("-") {
        std::io::stdin().take(limit).read_to_string(&mut text)
    } else {
        let file = std::fs::File::open(path).map_err(|error| fault(&error))?;
        file.take(limit).read_to_string(&mut text)
    };
    read.map(|_| text).map_err(|error| fault(&error))
}

/// What is wrong with a file, as one fault.
pub(super) fn refusals_of(path: &Path, refusals: &[Refusal]) -> Fault {
    let all: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
    Fault::new(FaultKind::Unusable, all.join("; ")).at(path)
}

fn refuse(json: bool, path: &Path, refusals: &[Refusal]) -> Verdict {
    if json {
        let one = |it: &Refusal| json!({"line": it.line, "reason": it.reason, "remedy": it.remedy});
        let all: Vec<_> = refusals.iter().map(one).collect();
        console::say(&json!({"good": false, "refusals": all}).to_string());
    } else {
        for refusal in refusals {
            console::note(&format!("larder: {}: {refusal}", path.display()));
        }
    }
    Verdict::Refused
}
