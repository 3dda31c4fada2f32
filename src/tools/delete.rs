//! `larder delete`: removes items.

use clap::Args;
use serde_json::Value as Json;

use super::asking::{Server, object_of, shown};
use super::{Stop, Verdict, console};
use crate::client::{Answer, Error, MetaDelete, MetaOutcome, Operation};

/// Remove items
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder delete greeting\n",
    "  larder ls session: | xargs larder delete\n\n",
    "--json: a line for each key: key, deleted.\n",
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
    let remove = |key| Operation::meta_delete(key, MetaDelete::default());
    let operations: Vec<Operation> = options.keys.iter().map(String::as_str).map(remove).collect();
    let answers = options.server.client()?.run(&operations);
    tell("deleted", &options.keys, answers, options.json)
}

/// Tells of each key whether it was done to it.
pub(super) fn tell(
    done: &str,
    keys: &[String],
    answers: Vec<Result<Answer, Error>>,
    json: bool,
) -> Result<Verdict, Stop> {
    let mut verdict = Verdict::Done;
    for (key, answer) in keys.iter().zip(answers) {
        let was_there = matches!(answer?, Answer::Meta(answer) if answer.outcome == MetaOutcome::Done);
        if !was_there {
            verdict = Verdict::Miss;
        }
        if json {
            let mut object = object_of(key.as_bytes());
            object.insert(done.to_owned(), was_there.into());
            console::say(&Json::Object(object).to_string());
        } else {
            let what = if was_there { done } else { "not found" };
            console::say(&format!("{}: {what}", shown(key.as_bytes())));
        }
    }
    Ok(verdict)
}
