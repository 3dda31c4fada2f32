//! `larder get`: the values of some keys.

use std::io::IsTerminal;

use clap::Args;
use serde_json::Value as Json;

use super::asking::{Server, object_of, put_bytes, shown};
use super::{Stop, Verdict, console};
use crate::client::{Answer, MetaAnswer, MetaGet, MetaOutcome, Operation};

/// Read items
///
/// The value of one key is printed as it is, with a line's end; those of several as KEY, a tab and the value. On a
/// terminal, what would steer it is shown as escapes. `larder cat` prints nothing but the bytes.
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder get greeting\n",
    "  larder get -s 10.0.0.1:11211 --json greeting farewell\n\n",
    "--json: a line for each key, in their order: key, found, value (value_base64 if it is no text), flags, cas, ttl_s\n",
    "(-1 for ever).\n",
    "Exit codes: 0 done, 1 one of the keys was not found, 2 usage, 3 refused or fault."
))]
pub(super) struct Options {
    /// The keys
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
    /// Print JSON, one line for each key
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(options: &Options) -> Result<Verdict, Stop> {
    let asked = MetaGet { value: true, flags: true, cas: true, ttl: true, ..MetaGet::default() };
    let operations: Vec<Operation> =
        options.keys.iter().map(|key| Operation::meta_get(key.as_str(), asked)).collect();
    let answers = options.server.client()?.run(&operations);
    let mut verdict = Verdict::Done;
    for (key, answer) in options.keys.iter().zip(answers) {
        let Answer::Meta(item) = answer? else { continue };
        let is_there = item.outcome == MetaOutcome::Done;
        if !is_there {
            verdict = Verdict::Miss;
        }
        match (options.json, is_there) {
            (true, _) => console::say(&json(key, is_there, &item)),
            (false, true) => print(options, key, &item.value.unwrap_or_default()),
            (false, false) => console::note(&format!("larder: {}: not found", shown(key.as_bytes()))),
        }
    }
    Ok(verdict)
}

fn json(key: &str, is_there: bool, item: &MetaAnswer) -> String {
    let mut object = object_of(key.as_bytes());
    object.insert("found".into(), is_there.into());
    if is_there {
        put_bytes(&mut object, "value", item.value.as_deref().unwrap_or_default());
        object.insert("flags".into(), item.flags.into());
        object.insert("cas".into(), item.cas.into());
        object.insert("ttl_s".into(), item.ttl_s.into());
    }
    Json::Object(object).to_string()
}

fn print(options: &Options, key: &str, value: &[u8]) {
    let mut line = Vec::new();
    if options.keys.len() > 1 {
        line.extend_from_slice(format!("{}\t", console::bold(&shown(key.as_bytes()))).as_bytes());
    }
    if std::io::stdout().is_terminal() {
        line.extend_from_slice(shown(value).as_bytes());
    } else {
        line.extend_from_slice(value);
    }
    line.push(b'\n');
    console::put(&line);
}
