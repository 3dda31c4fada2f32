//! `larder group`: carries a group from one stopped server to another, in a file, so that never two of them have it.
//!
//! The giver lets go of the group before its file is whole, and keeps the data until it has the taker's receipt.

mod export;
mod import;
mod parcel;
mod settle;
mod steps;
mod stopped;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

pub(super) use self::steps::Steps;
use self::stopped::Stopped;
use super::{Stop, Verdict, console, moment};
use crate::backup::Receipt;
use crate::base::lsn::GroupId;
use crate::base::time::UnixMs;
use crate::store::{Passage, Standing};

/// Move a group of a cluster from one stopped server to another, by file
///
/// docs/cluster.md, "Moving a group by file", has the steps in their order. Every command that was cut short is run again.
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder group export 7 group7.larder --to 2 --data-dir /srv/larder1\n",
    "  larder group import group7.larder --data-dir /srv/larder2\n",
    "  larder group confirm 7 taken-41b0e6a2c8d97f35 --data-dir /srv/larder1\n",
    "  larder group list --data-dir /srv/larder1\n\n",
    "Exit codes: 0 done, 2 usage, 3 refused or fault."
))]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Export(export::Export),
    Import(import::Import),
    Confirm(settle::Confirm),
    Refuse(settle::Refuse),
    Cancel(settle::Cancel),
    List(List),
}

/// List the groups that came or went by file
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder group list --data-dir /srv/larder1\n\n",
    "--json: a line for each: group, standing, other, number, items, time, receipt.\n",
    "Exit codes: 0 done, 2 usage, 3 refused or fault."
))]
struct List {
    #[command(flatten)]
    at: At,
}

/// The server that is asked, and how it is told.
#[derive(Args, Debug)]
struct At {
    /// The data directory of the stopped server
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options, steps: Steps) -> Result<Verdict, Stop> {
    match &options.action {
        Action::Export(options) => export::run(options, steps),
        Action::Import(options) => import::run(options, steps),
        Action::Confirm(options) => settle::confirm(options, steps),
        Action::Refuse(options) => settle::refuse(options, steps),
        Action::Cancel(options) => settle::cancel(options, steps),
        Action::List(options) => list(options),
    }
}

fn list(options: &List) -> Result<Verdict, Stop> {
    let stopped = Stopped::open(&options.at.data_dir)?;
    for (group, passage) in stopped.transfers.all() {
        let Passage { standing, number, other, items, .. } = passage;
        let (receipt, time, word) = (receipt(group, passage), moment::show(passage.now), word(*standing));
        if options.at.json {
            let facts = json!({"group": group.0, "standing": word, "other": other, "number": number,
                "items": items, "time": time, "receipt": receipt});
            console::say(&facts.to_string());
            continue;
        }
        let receipt = receipt.map_or_else(String::new, |receipt| format!(", receipt {receipt}"));
        console::say(&format!(
            "group {group}: {word}, server {other}, transfer {number} of {time}, {items} items{receipt}"
        ));
    }
    Ok(Verdict::Done)
}

/// What the other server's operator is to be told.
fn receipt(group: GroupId, passage: &Passage) -> Option<String> {
    let receipt = match passage.standing {
        Standing::Taken => Receipt::Taken,
        Standing::Refused => Receipt::Refused,
        _ => return None,
    };
    Some(receipt.text(group, passage.number, passage.id))
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Giving => "giving",
        Standing::Given => "given",
        Standing::Taking => "taking",
        Standing::Taken => "taken",
        Standing::Refused => "refused",
        Standing::Kept => "kept",
    }
}

fn now() -> UnixMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
