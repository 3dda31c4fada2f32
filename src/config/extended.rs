//! memcached's extended options: `-o word,word=value`.

use super::tls::Words;
use super::{Shown, number};

/// Words that steer workings of memcached which Larder has not.
const WITHOUT_EFFECT: &[&str] = &[
    "expirezero_does_not_evict",
    "hash_algorithm",
    "hashpower",
    "hot_lru_pct",
    "hot_max_factor",
    "inline_ascii_resp",
    "inline_ascii_response",
    "maxconns_fast",
    "no_drop_privileges",
    "drop_privileges",
    "no_hashexpand",
    "no_inline_ascii_resp",
    "no_maxconns_fast",
    "num_napi_ids",
    "read_buf_mem_limit",
    "relaxed_privileges",
    "resp_obj_mem_limit",
    "sock_cookie_id",
    "tail_repair_time",
    "temporary_ttl",
    "warm_lru_pct",
    "warm_max_factor",
    "watcher_logbuf_size",
    "worker_logbuf_size",
];
/// How families of such words begin.
const FAMILIES_WITHOUT_EFFECT: &[&str] = &["slab_", "no_slab_", "lru_", "no_lru_"];

/// What `-o` says.
#[derive(Debug, Default)]
pub(super) struct Extended {
    /// Close connections that are silent for so long.
    pub(super) idle_timeout_s: Option<u32>,
    /// What of memcached's workings shows in answers.
    pub(super) shown: Shown,
    /// What it says of TLS.
    pub(super) tls: Words,
    /// For the log.
    pub(super) notes: Vec<String>,
}

/// Reads all lists of `-o`, in order.
pub(super) fn read(lists: &[String]) -> Result<Extended, String> {
    let mut found = Extended::default();
    for word in lists.iter().flat_map(|list| list.split(',')).filter(|word| !word.is_empty()) {
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
            _ if name.starts_with("ext_") => found.notes.push(format!(
                "-o {word} has no effect: what does not fit into memory is kept in the data directory"
            )),
            _ if name.starts_with("ssl_") => found.tls.take(name, value)?,
            _ if is_without_effect(name) => found.notes.push(format!("-o {word} has no effect here")),
            _ => {
                return Err(format!(
                    "-o {word}: no such option; leave it out, or write idle_timeout=SECONDS"
                ));
            }
        }
    }
    Ok(found)
}

fn is_without_effect(name: &str) -> bool {
    WITHOUT_EFFECT.contains(&name) || FAMILIES_WITHOUT_EFFECT.iter().any(|family| name.starts_with(family))
}

/// 0 is never.
fn idle_timeout_s(value: Option<&str>) -> Result<Option<u32>, String> {
    let text = value.ok_or("-o idle_timeout: the seconds are missing; write -o idle_timeout=SECONDS")?;
    let seconds = number::within("-o idle_timeout", text, 0..=u64::from(u32::MAX))?;
    Ok(u32::try_from(seconds).ok().filter(|seconds| *seconds != 0))
}
