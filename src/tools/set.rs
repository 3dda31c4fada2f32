//! `larder set`: stores a value.

use std::io::Read;

use clap::Args;
use serde_json::Value as Json;

use super::asking::{Server, object_of, shown};
use super::{Stop, Verdict, console};
use crate::base::command::StoreMode;
use crate::base::fault::{Fault, FaultKind};
use crate::base::limits::ITEM_BYTES_MAX;
use crate::base::time::Exptime;
use crate::client::{MetaOutcome, MetaStore};

/// Longer times to live have to be written as a moment, seconds: the protocol's rule.
const RELATIVE_S_MAX: u32 = 30 * 24 * 3600;

/// Store a value
///
/// Without VALUE, or with -, it is read from standard input, all of it as it is.
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder set greeting hello\n",
    "  larder set --ttl 3600 picture - < picture.png\n",
    "  larder set --add lock \"$HOSTNAME\" || echo taken\n\n",
    "--json: key, stored, cas.\n",
    "Exit codes: 0 stored, 1 the condition of --add or --replace did not hold, 2 usage, 3 refused or fault."
))]
pub(super) struct Options {
    /// The key
    #[arg(value_name = "KEY")]
    key: String,
    /// The value; - or none for standard input
    #[arg(value_name = "VALUE", allow_negative_numbers = true)]
    value: Option<String>,
    /// Seconds to live; 0 for ever
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    ttl: u32,
    /// The client's own bits
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    flags: u32,
    /// Only if there is no such item
    #[arg(long, conflicts_with = "replace")]
    add: bool,
    /// Only if there is such an item
    #[arg(long)]
    replace: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(options: &Options) -> Result<Verdict, Stop> {
    let value = match options.value.as_deref() {
        None | Some("-") => from_stdin()?,
        Some(value) => value.as_bytes().to_vec(),
    };
    let store = MetaStore {
        flags: options.flags,
        exptime: exptime(options.ttl)?,
        mode: match (options.add, options.replace) {
            (true, _) => StoreMode::Add,
            (_, true) => StoreMode::Replace,
            _ => StoreMode::Set,
        },
        cas: true,
        ..MetaStore::new(&value)
    };
    let answer = options.server.client()?.meta_store(&options.key, store)?;
    let is_stored = answer.outcome == MetaOutcome::Done;
    if options.json {
        let mut object = object_of(options.key.as_bytes());
        object.insert("stored".into(), is_stored.into());
        object.insert("cas".into(), answer.cas.filter(|_| is_stored).into());
        console::say(&Json::Object(object).to_string());
    } else {
        let what = if is_stored { "stored" } else { "not stored" };
        console::say(&format!("{}: {what}", shown(options.key.as_bytes())));
    }
    Ok(if is_stored { Verdict::Done } else { Verdict::Miss })
}

/// Seconds to live as the protocol writes them: long ones as the moment they end.
pub(super) fn exptime(ttl_s: u32) -> Result<Exptime, Stop> {
    if ttl_s <= RELATIVE_S_MAX {
        return Ok(Exptime(ttl_s as i32));
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let moment = now.as_secs().saturating_add(u64::from(ttl_s));
    let moment = i32::try_from(moment);
    moment.map(Exptime).map_err(|_| {
        Stop::Usage(format!("--ttl {ttl_s}: beyond the year 2038, which the protocol cannot write"))
    })
}

fn from_stdin() -> Result<Vec<u8>, Fault> {
    let mut value = Vec::new();
    let limit = ITEM_BYTES_MAX as u64;
    let read = std::io::stdin().take(limit + 1).read_to_end(&mut value);
    read.map_err(|error| Fault::new(FaultKind::Io, format!("cannot read standard input: {error}")))?;
    if value.len() as u64 > limit {
        return Err(Fault::new(FaultKind::Unusable, "the value on standard input is larger than any item"));
    }
    Ok(value)
}
