//! `larder incr`: counts.

use clap::Args;
use serde_json::Value as Json;

use super::asking::{Server, object_of, shown};
use super::{Stop, Verdict, console};
use crate::base::command::Direction;
use crate::base::time::Exptime;
use crate::client::MetaArith;

/// Count up or down, and print the number
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder incr visits\n",
    "  larder incr --by 10 --initial 10 visits\n",
    "  larder incr --decr stock           # not below 0\n\n",
    "--json: key, found, number.\n",
    "Exit codes: 0 done, 1 not found, 2 usage, 3 refused (the value is no number) or fault."
))]
pub(super) struct Options {
    /// The key
    #[arg(value_name = "KEY")]
    key: String,
    /// By how much
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    by: u64,
    /// Count down, not below 0
    #[arg(long)]
    decr: bool,
    /// When there is no such item, store this number
    #[arg(long, value_name = "NUMBER")]
    initial: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(options: &Options) -> Result<Verdict, Stop> {
    let arith = MetaArith {
        direction: if options.decr { Direction::Decr } else { Direction::Incr },
        delta: options.by,
        initial: options.initial.map(|number| (number, Exptime(0))),
        ..MetaArith::default()
    };
    let number = options.server.client()?.meta_arith(&options.key, arith)?.number();
    if options.json {
        let mut object = object_of(options.key.as_bytes());
        object.insert("found".into(), number.is_some().into());
        object.insert("number".into(), number.into());
        console::say(&Json::Object(object).to_string());
    } else {
        match number {
            Some(number) => console::say(&number.to_string()),
            None => console::note(&format!("larder: {}: not found", shown(options.key.as_bytes()))),
        }
    }
    Ok(if number.is_some() { Verdict::Done } else { Verdict::Miss })
}
