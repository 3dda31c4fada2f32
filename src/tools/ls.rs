//! `larder ls`: the keys of a server, by its listing of all items.

use clap::Args;
use serde_json::Value as Json;

use super::asking::{Server, object_of, shown};
use super::text::from_uri;
use super::{Stop, Verdict, console};

/// List keys
///
/// The server goes through all its items, those that are on disk too: on a large one this takes a while. The order is
/// the server's.
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder ls\n",
    "  larder ls --long --limit 20 session:\n",
    "  larder ls --json | jq -r 'select(.size > 1000) | .key'\n\n",
    "--long: size in bytes, when it expires (unix seconds, -1 for never), key.\n",
    "--json: a line for each key: key (key_base64 if it is no text), size, expires_unix_s.\n",
    "Exit codes: 0 done, 1 no key begins with PREFIX, 2 usage, 3 refused or fault."
))]
pub(super) struct Options {
    /// Only keys that begin with this
    #[arg(value_name = "PREFIX", default_value = "", hide_default_value = true)]
    prefix: String,
    /// Tell sizes and when items expire
    #[arg(short, long)]
    long: bool,
    /// At most so many keys
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
    /// Print JSON, one line for each key
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// One line of the listing.
#[derive(Debug, PartialEq, Eq)]
struct Listed {
    key: Vec<u8>,
    /// Unix seconds, -1 for never.
    exp: i64,
    /// Bytes, as the server counts an item.
    size: u64,
}

pub(super) fn run(options: &Options) -> Result<Verdict, Stop> {
    let mut link = options.server.link()?;
    link.send(b"lru_crawler metadump all\r\n")?;
    let mut told: u64 = 0;
    while console::is_heard() && options.limit.is_none_or(|limit| told < limit) {
        let line = link.line()?;
        match listed(&line) {
            Some(item) if item.key.starts_with(options.prefix.as_bytes()) => {
                told += 1;
                tell(options, &item);
            }
            Some(_) => {}
            None if line == b"END" => break,
            // Larder says so before the listing; memcached does not.
            None if line == b"OK" => {}
            None => return Err(link.refusal(&line).into()),
        }
    }
    let is_miss = told == 0 && !options.prefix.is_empty();
    Ok(if is_miss { Verdict::Miss } else { Verdict::Done })
}

fn tell(options: &Options, item: &Listed) {
    let key = shown(&item.key);
    console::say(&match (options.json, options.long) {
        (true, _) => {
            let mut object = object_of(&item.key);
            object.insert("size".into(), item.size.into());
            object.insert("expires_unix_s".into(), item.exp.into());
            Json::Object(object).to_string()
        }
        (false, true) => format!("{:>10} {:>10} {}", item.size, item.exp, console::bold(&key)),
        (false, false) => key,
    });
}

fn listed(line: &[u8]) -> Option<Listed> {
    let text = std::str::from_utf8(line).ok()?;
    let word = |name: &str| text.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let size = word("size").and_then(|size| size.parse().ok()).unwrap_or(0);
    Some(Listed { key: from_uri(word("key")?)?, exp: word("exp")?.parse().ok()?, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_listing_are_understood_and_others_are_not() {
        let item = |exp, size| Some(Listed { key: b"a b".to_vec(), exp, size });
        for (line, expected) in [
            ("key=a%20b exp=-1 la=3 cas=7 fetch=no cls=1 size=63", item(-1, 63)),
            ("key=a%20b exp=1700000000 la=3", item(1_700_000_000, 0)),
            ("END", None),
            ("key=a%2", None),
            ("exp=1", None),
        ] {
            assert_eq!(listed(line.as_bytes()), expected, "{line}");
        }
    }
}
