//! `larder cat`: a value, and nothing but its bytes.

use clap::Args;

use super::asking::{Server, shown};
use super::{Stop, Verdict, console};
use crate::client::MetaGet;

/// Write a value to standard output, nothing but its bytes
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder cat picture > picture.png\n",
    "  larder cat report | gunzip | less\n\n",
    "Exit codes: 0 done, 1 not found, 2 usage, 3 refused or fault."
))]
pub(super) struct Options {
    /// The key
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(options: &Options) -> Result<Verdict, Stop> {
    let asked = MetaGet { value: true, ..MetaGet::default() };
    let Some(value) = options.server.client()?.meta_get(&options.key, asked)?.value else {
        console::note(&format!("larder: {}: not found", shown(options.key.as_bytes())));
        return Ok(Verdict::Miss);
    };
    console::put(&value);
    Ok(Verdict::Done)
}
