//! `larder stats`: a server's figures.

use clap::Args;
use serde_json::{Map, Value as Json};

use super::asking::{Server, shown};
use super::{Stop, Verdict, console};
use crate::client::{Facts, StatsTopic};

/// Print a server's figures
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder stats\n",
    "  larder stats larder\n",
    "  larder stats --json | jq -r .curr_items\n\n",
    "Topics: settings, items, slabs, sizes, conns, larder, groups; what else the server knows.\n",
    "--json: one object of names and texts.\n",
    "Exit codes: 0 done, 2 usage, 3 refused or fault."
))]
pub(super) struct Options {
    /// What to tell of; general figures without it
    #[arg(value_name = "TOPIC")]
    topic: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(options: &Options) -> Result<Verdict, Stop> {
    let client = options.server.client()?;
    let topic = match options.topic.as_deref() {
        None => StatsTopic::General,
        Some(topic) if topic.is_empty() || topic.bytes().any(|byte| byte <= b' ' || byte == 0x7f) => {
            return Err(Stop::Usage(format!("{topic:?} is no topic")));
        }
        Some(topic) => StatsTopic::Unknown(topic.as_bytes()),
    };
    for (_, answer) in client.stats(topic) {
        let facts = answer?;
        if options.json { console::say(&json(facts)) } else { table(&facts) }
    }
    Ok(Verdict::Done)
}

fn json(facts: Facts) -> String {
    let object: Map<String, Json> = facts.into_iter().map(|(name, value)| (name, value.into())).collect();
    Json::Object(object).to_string()
}

fn table(facts: &Facts) {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in facts {
        let gap = " ".repeat(width.saturating_sub(name.len()));
        console::say(&format!(
            "{}{gap}  {}",
            console::bold(&shown(name.as_bytes())),
            shown(value.as_bytes())
        ));
    }
}
