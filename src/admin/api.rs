//! What the page asks for, as JSON. Everything is read-only, and no value of an item is shown.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::figures::View;
use super::http::{Response, Status, parameter, shown};
use super::notes::{Big, Slow};
use super::observed::{SAMPLED_EVERY, SLOW};
use super::top::merged;
use crate::base::item::Marks;
use crate::base::limits::KEY_BYTES_MAX;
use crate::base::lsn::Lsn;
use crate::binlog::State;
use crate::group::peek::{Facts, Sight};

/// Hottest keys and biggest items that are shown.
const SHOWN_MAX: usize = 16;
/// Slow requests that are shown.
const SLOW_SHOWN_MAX: usize = 50;
/// How often a look-up asks again whether what it saw is safe, and how long it waits in between.
const SAFE_TRIES: usize = 20;
/// See [`SAFE_TRIES`].
const SAFE_PAUSE: Duration = Duration::from_millis(5);

/// The server at large. `points` are those of the plots that the page does not know yet.
pub(super) fn overview(view: &View, points: &Value) -> Value {
    let dispatch = &view.dispatch;
    let (settings, budget) = (&dispatch.settings, &dispatch.shared.budget);
    let snapshot = view.snapshot();
    let (total, counters) = (&snapshot.total, &snapshot.total.counters);
    let log = snapshot.log.as_ref().map(|log| {
        let state = match &log.state {
            State::Running => "running",
            State::Full => "disk full",
            State::Stopped(_) => "stopped",
        };
        json!({
            "state": state,
            "used_bytes": log.figures.used_bytes,
            "limit_bytes": log.bytes_max,
            "appended_lsn": log.figures.appended_lsn.0,
            "durable_lsn": log.figures.durable_lsn.0,
            "trim_lsn": log.figures.trim_lsn.0,
        })
    });
    json!({
        "state": if view.trouble().is_some() { "stopped" } else { "ready" },
        "trouble": view.trouble(),
        "now_ms": snapshot.at.0,
        "server": {
            "version": env!("CARGO_PKG_VERSION"),
            "durability": settings.durability,
            "started_ms": settings.started.0,
            "workers": settings.threads,
            "pid": std::process::id(),
            "hash": dispatch.placement.hash.name(),
        },
        "servers": [{
            "name": "this server",
            "address": view.addresses.join(", "),
            "groups": snapshot.groups.len(),
            "items": total.items,
            "state": if view.trouble().is_some() { "stopped" } else { "serving" },
        }],
        "figures": {
            "commands": snapshot.commands(),
            "get_hits": counters.get_hits,
            "get_misses": counters.get_misses,
            "items": total.items,
            "item_bytes": total.item_bytes,
            "items_in_memory": total.hot.live,
            "items_dirty": total.hot.dirty,
            "evictions": total.hot.evictions,
            "memory_used_bytes": budget.used(),
            "memory_limit_bytes": budget.limit(),
            "dirty_bytes": budget.dirty_used(),
            "dirty_limit_bytes": dispatch.shared.dirty_bytes_max.load(Ordering::Relaxed),
            "connections": snapshot.connections,
            "connections_limit": settings.max_connections,
            "groups_complete": total.complete_groups,
            "parked": counters.parked,
            "checkpoints": snapshot.timings.checkpoint.count(),
        },
        "log": log,
        "points": points,
    })
}

/// All groups, a row each.
pub(super) fn groups(view: &View) -> Value {
    let snapshot = view.snapshot();
    let row = |(id, figures): &(crate::base::lsn::GroupId, crate::group::figures::Figures)| {
        let counters = &figures.counters;
        json!([
            id.0,
            0,
            figures.items,
            figures.item_bytes,
            figures.hot.live,
            figures.hot.dirty,
            figures.rows,
            figures.complete_groups,
            counters.get_hits + counters.get_misses,
            counters.get_misses,
            counters.cmd_set,
            counters.cold_reads,
        ])
    };
    let fields = [
        "group",
        "owner",
        "items",
        "bytes",
        "in_memory",
        "dirty",
        "in_store",
        "complete",
        "gets",
        "misses",
        "sets",
        "cold_reads",
    ];
    json!({
        "now_ms": snapshot.at.0,
        "owners": ["this server"],
        "fields": fields,
        "values": snapshot.groups.iter().map(row).collect::<Vec<_>>(),
    })
}

/// The hottest keys, the biggest items, the slow requests.
pub(super) fn keys(view: &View) -> Value {
    let now = view.clock.now();
    let mut tops = Vec::new();
    let mut noted = 0.0;
    let mut slow: Vec<Slow> = Vec::new();
    for recorder in &view.recorders {
        recorder.with_notes(|notes| {
            let (counted, all) = notes.top.read(now);
            tops.push(counted);
            noted += all;
            slow.extend(notes.slow().cloned());
        });
    }
    slow.sort_by_key(|slow| std::cmp::Reverse(slow.at));
    slow.truncate(SLOW_SHOWN_MAX);
    let hottest = merged(tops, SHOWN_MAX).into_iter().map(
        |top| json!({ "key": shown(&top.key), "id": encoded(&top.key), "part": top.sure() / noted.max(1.0) }),
    );
    json!({
        "hottest": hottest.collect::<Vec<_>>(),
        "biggest": biggest(view).iter().map(|big| {
            json!({ "key": shown(&big.key), "id": encoded(&big.key), "bytes": big.bytes })
        }).collect::<Vec<_>>(),
        "slow": slow.iter().map(|slow| json!({
            "at_ms": slow.at.0,
            "class": slow.class.name(),
            "key": shown(&slow.key),
            "id": encoded(&slow.key),
            "took_s": slow.took.as_secs_f64(),
            "is_exact": slow.is_exact,
        })).collect::<Vec<_>>(),
        "slow_from_s": SLOW.as_secs_f64(),
        "sampled_every": SAMPLED_EVERY,
        "sampled": noted,
    })
}

/// The big items that are still there, as large as memory knows them now.
fn biggest(view: &View) -> Vec<Big> {
    let now = view.clock.now();
    let mut all: Vec<Big> = Vec::new();
    for recorder in &view.recorders {
        let known: Vec<Big> = recorder.with_notes(|notes| notes.big().to_vec());
        let gone = |big: &Big| match view
            .dispatch
            .group_of(&big.key)
            .map(|group| group.peek_memory(&big.key, now).sight)
        {
            Some(Sight::Item(facts)) => Some(facts.value_bytes),
            Some(Sight::Unknown) => Some(big.bytes),
            Some(Sight::Nothing | Sight::Expired | Sight::Flushed) | None => None,
        };
        let found: Vec<Big> = known
            .iter()
            .filter_map(|big| gone(big).map(|bytes| Big { key: big.key.clone(), bytes }))
            .collect();
        let is_gone = |big: &Big| known.contains(big) && !found.iter().any(|found| found.key == big.key);
        recorder.set_big_floor(recorder.with_notes(|notes| notes.retain_big(|big| !is_gone(big))));
        all.extend(found);
    }
    all.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.key.cmp(&b.key)));
    all.dedup_by(|a, b| a.key == b.key);
    all.truncate(SHOWN_MAX);
    all
}

/// What is known of one key. It is no access: nothing is counted, and nothing moves in memory.
pub(super) fn key(view: &View, query: &str) -> Response {
    let Some(key) = parameter(query, "key").filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len())) else {
        return Response::text(Status::BadRequest, "write /api/key?key=KEY, a key of 1 to 250 bytes");
    };
    let now = view.clock.now();
    let id = view.dispatch.placement.group(&key);
    let Some(group) = view.dispatch.group_of(&key) else { return Response::refusal(Status::NotFound) };
    let peek = match group.peek(&key, now) {
        Ok(peek) => peek,
        Err(fault) => return Response::text(Status::Fault, &fault.to_string()),
    };
    if !becomes_safe(view, peek.lsn) {
        return Response::text(Status::Unavailable, "the log is not safe up to this item yet: try again");
    }
    let item = match peek.sight {
        Sight::Item(facts) => Some(item(&facts, now)),
        Sight::Nothing | Sight::Expired | Sight::Flushed | Sight::Unknown => None,
    };
    Response::json(&json!({
        "key": shown(&key),
        "group": id.0,
        "servers": ["this server"],
        "found": item.is_some(),
        "item": item,
        "now_ms": now.0,
    }))
}

fn item(facts: &Facts, now: crate::base::time::UnixMs) -> Value {
    json!({
        "value_bytes": facts.value_bytes,
        "flags": facts.client_flags,
        "ttl_s": facts.deadline.remaining_s(now),
        // Numbers above 2^53 are not exact in JavaScript.
        "version": facts.version.0.to_string(),
        "stored_ms": facts.version.ms(),
        "cas": facts.cas.to_string(),
        "is_stale": facts.marks.has(Marks::STALE),
        "is_won": facts.marks.has(Marks::WON),
        "accessed_ms": Some(facts.accessed_s).filter(|at_s| *at_s != 0).map(|at_s| u64::from(at_s) * 1000),
        "in_memory": facts.in_memory,
        "is_dirty": facts.is_dirty,
    })
}

/// Nothing is shown that could still be lost: waits a moment for the log.
fn becomes_safe(view: &View, lsn: Lsn) -> bool {
    for _ in 0..SAFE_TRIES {
        if lsn <= view.dispatch.shared.safe_lsn() {
            return true;
        }
        thread::park_timeout(SAFE_PAUSE);
    }
    false
}

/// A key as a query has it.
fn encoded(key: &[u8]) -> String {
    let mut text = String::with_capacity(key.len());
    for byte in key {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_a_query_as_it_was() {
        let all: Vec<u8> = (0..=255).collect();
        for key in [&b"plain"[..], b"a b+c%41&key=x", &all] {
            let query = format!("x=1&key={}", encoded(key));
            assert_eq!(parameter(&query, "key").as_deref(), Some(key), "{query}");
        }
    }
}
