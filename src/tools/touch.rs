//! `larder touch`: gives items new times to live.

use clap::Args;

use super::asking::Server;
use super::set::exptime;
use super::{Stop, Verdict, delete};
use crate::client::{MetaGet, Operation};

/// Give items a new time to live
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder touch --ttl 3600 session:17 session:18\n",
    "  larder touch --ttl 0 settings      # for ever\n\n",
    "--json: a line for each key: key, touched.\n",
    "Exit codes: 0 done, 1 one of the keys was not found, 2 usage, 3 refused or fault."
))]
pub(super) struct Options {
    /// The keys
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
    /// Seconds to live from now; 0 for ever
    #[arg(long, value_name = "SECONDS")]
    ttl: u32,
    /// Print JSON, one line for each key
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(options: &Options) -> Result<Verdict, Stop> {
    let touch = Some(exptime(options.ttl)?);
    let asked = MetaGet { touch, ..MetaGet::default() };
    let operations: Vec<Operation> =
        options.keys.iter().map(|key| Operation::meta_get(key.as_str(), asked)).collect();
    let answers = options.server.client()?.run(&operations);
    delete::tell("touched", &options.keys, answers, options.json)
}
