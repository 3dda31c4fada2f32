//! memcached's extended options: `-o word,word=value`.

use super::tls::Words;
use super::workings::Workings;
use super::{Shown, number};

/// What `-o` says.
#[derive(Debug, Default)]
pub(super) struct Extended {
    /// Close connections that are silent for so long.
    pub(super) idle_timeout_s: Option<u32>,
    /// What of memcached's workings shows in answers.
    pub(super) shown: Shown,
    /// What it says of TLS.
    pub(super) tls: Words,
    /// What it says of workings that there are none of.
    pub(super) workings: Workings,
    /// For the log.
    pub(super) notes: Vec<String>,
}

/// Reads all lists of `-o`, in order.
pub(super) fn read(lists: &[String]) -> Result<Extended, String> {
    let mut found = Extended::default();
    for word in lists.iter().flat_map(|list| list.split_terminator(',')) {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        match name {
            "no_lru_crawler" => found.shown.crawler = false,
            "lru_crawler" => found.shown.crawler = true,
            "no_lru_maintainer" => found.shown.maintainer = false,
            "lru_maintainer" => found.shown.maintainer = true,
            "track_sizes" => found.shown.sizes = true,
            "no_modern" => (found.shown.crawler, found.shown.maintainer) = (false, false),
            "modern" => (found.shown.crawler, found.shown.maintainer) = (true, true),
            "idle_timeout" => found.idle_timeout_s = idle_timeout_s(value)?,
            _ if name.starts_with("ssl_") => found.tls.take(name, value)?,
            _ if found.workings.take(name, value)? => found.notes.push(without_effect(word)),
            _ => {
                return Err(format!(
                    "-o {word}: no such option; leave it out, or write idle_timeout=SECONDS"
                ));
            }
        }
    }
    Ok(found)
}

fn without_effect(word: &str) -> String {
    if word.starts_with("ext_") {
        return format!(
            "-o {word} has no effect: what does not fit into memory is kept in the data directory"
        );
    }
    format!("-o {word} has no effect here")
}

/// 0 is never.
fn idle_timeout_s(value: Option<&str>) -> Result<Option<u32>, String> {
    let text = value.ok_or("-o idle_timeout: the seconds are missing; write -o idle_timeout=SECONDS")?;
    let seconds = number::within("-o idle_timeout", text, 0..=u64::from(u32::MAX))?;
    Ok(u32::try_from(seconds).ok().filter(|seconds| *seconds != 0))
}
