//! `larder watch`: what happens on a server, as it happens.

use clap::Args;
use serde_json::{Map, Value as Json};

use super::asking::{Server, shown};
use super::{Stop, Verdict, console};

/// Print what happens on a server as it happens, until Ctrl-C
///
/// A server under load leaves out events rather than wait for who looks on; it says how many.
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder watch\n",
    "  larder watch --count 100 mutations\n",
    "  larder watch --json fetchers | jq -r .key\n\n",
    "Events: fetchers (reads), mutations (writes), evictions, connevents, deletions.\n",
    "--json: a line for each event, an object of names and texts.\n",
    "Exit codes: 0 done, 2 usage, 3 refused or fault, such as the server's end."
))]
pub(super) struct Options {
    /// Which events
    #[arg(value_name = "EVENTS", default_values = ["fetchers", "mutations"])]
    #[arg(value_parser = ["fetchers", "mutations", "evictions", "connevents", "deletions"])]
    events: Vec<String>,
    /// End after so many events
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
    /// Print JSON, one line for each event
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(options: &Options) -> Result<Verdict, Stop> {
    let mut link = options.server.link()?;
    link.wait_for_ever()?;
    link.send(format!("watch {}\r\n", options.events.join(" ")).as_bytes())?;
    let answer = link.line()?;
    if answer != b"OK" {
        return Err(link.refusal(&answer).into());
    }
    console::note("watching; Ctrl-C ends it");
    let mut told: u64 = 0;
    while console::is_heard() && options.count.is_none_or(|count| told < count) {
        let line = link.line()?;
        told += 1;
        console::say(&if options.json { json(&line) } else { shown(&line) });
    }
    Ok(Verdict::Done)
}

/// The words `name=value` of an event as an object; what is none of them is its `text`.
fn json(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let words: Option<Map<String, Json>> = text
        .split_ascii_whitespace()
        .map(|word| word.split_once('=').map(|(name, value)| (name.to_owned(), value.into())))
        .collect();
    let object = words.unwrap_or_else(|| Map::from_iter([("text".to_owned(), text.into())]));
    Json::Object(object).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_become_objects() {
        for (line, expected) in [
            ("ts=1.5 gid=1 type=item_get key=a=b", r#"{"gid":"1","key":"a=b","ts":"1.5","type":"item_get"}"#),
            ("[overflowed]", r#"{"text":"[overflowed]"}"#),
        ] {
            assert_eq!(json(line.as_bytes()), expected);
        }
    }
}
