//! What clients write, and what each key may hold afterwards.
use std::time::{SystemTime, UNIX_EPOCH};

use super::client::REPLY_PATIENCE;
use crate::random::Random;

/// The clock of the server and ours, and whole seconds on its side: so far apart may a deadline be seen, ms.
const DEADLINE_SLACK_MS: u64 = 1_500;
/// Values grow no longer than this by appending, bytes.
const APPENDED_BYTES_MAX: usize = 1_000;
/// The long values: they go to the log in several records, and to the store in several rows.
const LONG_BYTES: usize = 300_000;

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) value: Vec<u8>,
    pub(super) flags: u32,
    /// Its cas, when a reply has told it.
    pub(super) cas: Option<u64>,
    pub(super) is_stale: bool,
    pub(super) deadline: Option<Deadline>,
}

/// When a deadline comes by our clock: not before and not after, unix ms. The server took the write, or told the time to
/// live, at a moment between the request and its reply; on a busy machine that is long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deadline {
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
}

/// What a key may hold: one state when its last write was answered, two when it was not.
#[derive(Clone, Default)]
pub(super) struct Allowed {
    pub(super) known: Option<Held>,
    pub(super) perhaps: Option<Option<Held>>,
}

/// What a get showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) value: Vec<u8>,
    pub(super) flags: u32,
    pub(super) cas: u64,
    pub(super) is_stale: bool,
    /// When its deadline comes by the time to live that was told.
    pub(super) deadline: Option<Deadline>,
}

/// One write, and what it leaves behind when it takes place.
pub(super) struct Write {
    pub(super) request: Vec<u8>,
    /// How the reply begins, of several possible ones.
    pub(super) replies: &'static [&'static str],
    pub(super) after: Option<Held>,
}

/// Kinds of writes. Those from `Add` on look at what the key holds, and are drawn only where that is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Set,
    SetWithDeadline,
    MetaSet,
    Delete,
    Add,
    Replace,
    Append,
    Prepend,
    Count,
    Touch,
    Expire,
    Compare,
    Invalidate,
}

const CERTAIN: [Kind; 4] = [Kind::Set, Kind::SetWithDeadline, Kind::MetaSet, Kind::Delete];
const LOOKING: [Kind; 9] = [
    Kind::Add,
    Kind::Replace,
    Kind::Append,
    Kind::Prepend,
    Kind::Count,
    Kind::Touch,
    Kind::Expire,
    Kind::Compare,
    Kind::Invalidate,
];

impl Allowed {
    /// Whether a get at this moment may show this.
    pub(super) fn fits(&self, seen: Option<&Seen>, now_ms: u64) -> bool {
        may_show(self.known.as_ref(), seen, now_ms)
            || self.perhaps.as_ref().is_some_and(|perhaps| may_show(perhaps.as_ref(), seen, now_ms))
    }

    /// What it holds after it was seen so: what was uncertain is settled.
    pub(super) fn settled(seen: Option<Seen>) -> Allowed {
        let held = |seen: Seen| Held {
            value: seen.value,
            flags: seen.flags,
            cas: Some(seen.cas),
            is_stale: seen.is_stale,
            deadline: seen.deadline,
        };
        Allowed { known: seen.map(held), perhaps: None }
    }
}

fn may_show(held: Option<&Held>, seen: Option<&Seen>, now_ms: u64) -> bool {
    match (held, seen) {
        (None, seen) => seen.is_none(),
        (Some(held), None) => {
            held.deadline.is_some_and(|deadline| now_ms + DEADLINE_SLACK_MS >= deadline.from_ms)
        }
        (Some(held), Some(seen)) => {
            held.value == seen.value
                && held.flags == seen.flags
                && held.is_stale == seen.is_stale
                && held.cas.is_none_or(|cas| cas == seen.cas)
                && may_be_due(held.deadline, seen.deadline)
        }
    }
}

/// Whether what was asked for and what was told can be the same deadline.
fn may_be_due(asked: Option<Deadline>, told: Option<Deadline>) -> bool {
    match (asked, told) {
        (Some(asked), Some(told)) => {
            told.to_ms + DEADLINE_SLACK_MS >= asked.from_ms && told.from_ms <= asked.to_ms + DEADLINE_SLACK_MS
        }
        (asked, told) => asked.is_none() && told.is_none(),
    }
}

/// A deadline in `ttl_s`, asked for now and not acknowledged yet.
fn deadline_in(ttl_s: u64) -> Option<Deadline> {
    let from_ms = now_ms() + ttl_s * 1000;
    Some(Deadline { from_ms, to_ms: from_ms + REPLY_PATIENCE.as_millis() as u64 })
}

/// Unix time, ms.
pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Draws a write to `key`, which holds `before`. `count` makes its value unlike any other.
pub(super) fn draw(key: &str, before: Option<&Held>, count: u64, random: &mut Random) -> Write {
    let is_certain = before.is_none_or(|held| held.deadline.is_none() && !held.is_stale);
    let kind = match random.below(10) {
        5.. if is_certain => LOOKING[random.below(LOOKING.len() as u64) as usize],
        _ => CERTAIN[random.below(CERTAIN.len() as u64) as usize],
    };
    let flags = (count % 1000) as u32;
    match (kind, before) {
        (Kind::SetWithDeadline, _) => {
            let ttl_s = 1 + random.below(4);
            let held = Held { deadline: deadline_in(ttl_s), ..fresh(value(count, random), flags) };
            storage("set", key, ttl_s, held)
        }
        (Kind::MetaSet, _) => meta_set(key, "", fresh(value(count, random), flags)),
        (Kind::Delete, _) => Write {
            request: format!("delete {key}\r\n").into_bytes(),
            replies: match before {
                None => &["NOT_FOUND"],
                Some(held) if held.deadline.is_some() => &["DELETED", "NOT_FOUND"],
                Some(_) => &["DELETED"],
            },
            after: None,
        },
        (Kind::Add, None) => storage("add", key, 0, fresh(value(count, random), flags)),
        (Kind::Add, Some(held)) => refused("add", key, Some(held)),
        (Kind::Replace | Kind::Append | Kind::Prepend, None) => refused("replace", key, None),
        (Kind::Replace, Some(_)) => storage("replace", key, 0, fresh(value(count, random), flags)),
        (Kind::Append, Some(held)) if held.value.len() < APPENDED_BYTES_MAX => {
            grown("append", key, held, &[held.value.as_slice(), b"+tail"].concat())
        }
        (Kind::Prepend, Some(held)) if held.value.len() < APPENDED_BYTES_MAX => {
            grown("prepend", key, held, &[b"+tail", held.value.as_slice()].concat())
        }
        (Kind::Count, Some(held)) if number_of(&held.value).is_some() => counted(key, held, random),
        (Kind::Touch, None) => Write { request: touch(key, 0), replies: &["NOT_FOUND"], after: None },
        (Kind::Touch, Some(held)) => {
            Write { request: touch(key, 0), replies: &["TOUCHED"], after: Some(held.clone()) }
        }
        (Kind::Expire, Some(held)) => {
            let ttl_s = 1 + random.below(4);
            let after = Held { deadline: deadline_in(ttl_s), ..held.clone() };
            Write { request: touch(key, ttl_s), replies: &["TOUCHED"], after: Some(after) }
        }
        (Kind::Compare, Some(Held { cas: Some(cas), .. })) => {
            meta_set(key, &format!(" C{cas}"), fresh(value(count, random), flags))
        }
        (Kind::Invalidate, Some(held)) => Write {
            request: format!("md {key} I\r\n").into_bytes(),
            replies: &["HD"],
            after: Some(Held { is_stale: true, cas: None, ..held.clone() }),
        },
        _ => storage("set", key, 0, fresh(value(count, random), flags)),
    }
}

fn fresh(value: Vec<u8>, flags: u32) -> Held {
    Held { value, flags, cas: None, is_stale: false, deadline: None }
}

/// A value unlike all others: a number, text, or long text.
fn value(count: u64, random: &mut Random) -> Vec<u8> {
    match random.below(200) {
        0 => format!("{count}:{}", "x".repeat(LONG_BYTES)).into_bytes(),
        1..=50 => count.to_string().into_bytes(),
        51..=60 => format!("{count}:{}", "y".repeat(random.below(20_000) as usize)).into_bytes(),
        _ => format!("{count}:{}", "z".repeat(random.below(400) as usize)).into_bytes(),
    }
}

fn storage(command: &str, key: &str, ttl_s: u64, held: Held) -> Write {
    let line = format!("{command} {key} {} {ttl_s} {}\r\n", held.flags, held.value.len());
    Write { request: with_value(line, &held.value), replies: &["STORED"], after: Some(held) }
}

fn meta_set(key: &str, more: &str, held: Held) -> Write {
    let line = format!("ms {key} {} c F{}{more}\r\n", held.value.len(), held.flags);
    Write { request: with_value(line, &held.value), replies: &["HD"], after: Some(held) }
}

/// A storage command that does not take place.
fn refused(command: &str, key: &str, before: Option<&Held>) -> Write {
    let request = format!("{command} {key} 0 0 1\r\n!\r\n").into_bytes();
    Write { request, replies: &["NOT_STORED"], after: before.cloned() }
}

fn grown(command: &str, key: &str, held: &Held, value: &[u8]) -> Write {
    let request = format!("{command} {key} 0 0 5\r\n+tail\r\n").into_bytes();
    let after = Held { value: value.to_vec(), cas: None, ..held.clone() };
    Write { request, replies: &["STORED"], after: Some(after) }
}

/// Counts up by one, in one protocol or the other. A number that has become shorter keeps its length, and is longer
/// than before only when it must be.
fn counted(key: &str, held: &Held, random: &mut Random) -> Write {
    let next = number_of(&held.value).unwrap_or(0) + 1;
    let value = format!("{next:<width$}", width = held.value.len()).into_bytes();
    let after = Some(Held { value, cas: None, ..held.clone() });
    match random.below(2) {
        0 => Write { request: format!("incr {key} 1\r\n").into_bytes(), replies: &[""], after },
        _ => Write { request: format!("ma {key}\r\n").into_bytes(), replies: &["HD"], after },
    }
}

fn touch(key: &str, ttl_s: u64) -> Vec<u8> {
    format!("touch {key} {ttl_s}\r\n").into_bytes()
}

fn with_value(line: String, value: &[u8]) -> Vec<u8> {
    [line.as_bytes(), value, b"\r\n"].concat()
}

fn number_of(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.trim_end().parse().ok()
}
