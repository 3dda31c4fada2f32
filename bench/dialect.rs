//! Requests as bytes, and the check of every reply, in the protocols that the peers speak. Pure: any split of the
//! replies gives the same steps.

use crate::binary;
use crate::workload::{ItemShape, decimal};
use memchr::memchr;
use std::io::Write;

/// The protocol that a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Dialect {
    /// memcached's classic text protocol.
    Memcached,
    /// memcached's binary protocol.
    Binary,
    /// RESP, Redis's protocol.
    Redis,
}

/// How much of a reply is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Keys and values must be those asked for.
    Content,
    /// Only the form and the length: for a server that stores nothing and answers always the same.
    Form,
}

/// What one look at the received bytes shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The reply is not complete.
    More,
    /// The expected reply, so many bytes long, with so many keys found.
    Done { taken: usize, hits: usize },
    /// A complete reply, but not the expected one: an error line, a wrong value.
    Wrong { taken: usize },
    /// No reply can be made out: what follows cannot be told apart either.
    Lost,
}

/// How to read the replies of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    pub(crate) dialect: Dialect,
    pub(crate) check: Check,
    pub(crate) item: ItemShape,
}

/// Lines longer than this are no reply of any peer: keys have at most 250 bytes.
const MAX_LINE_BYTES: usize = 2_048;
/// Beginnings of the lines that report an error or a refusal; all of them end the reply.
const REFUSALS: [&[u8]; 5] = [b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR", b"NOT_STORED", b"-"];

impl Dialect {
    /// Appends the request that stores this key.
    pub(crate) fn put_set(self, item: &ItemShape, key: u64, out: &mut Vec<u8>) {
        match self {
            Self::Memcached => {
                out.extend_from_slice(b"set ");
                item.put_key(key, out);
                let _ = write!(out, " 0 {} {}\r\n", item.exptime_s, item.value_bytes);
            }
            Self::Binary => return binary::put_set(item, key, out),
            Self::Redis => {
                let words = if item.exptime_s > 0 { 5 } else { 3 };
                let _ = write!(out, "*{words}\r\n$3\r\nSET\r\n${}\r\n", item.key_bytes);
                item.put_key(key, out);
                let _ = write!(out, "\r\n${}\r\n", item.value_bytes);
            }
        }
        item.put_value(key, out);
        out.extend_from_slice(b"\r\n");
        if self == Self::Redis && item.exptime_s > 0 {
            let seconds = item.exptime_s.to_string();
            let _ = write!(out, "$2\r\nEX\r\n${}\r\n{seconds}\r\n", seconds.len());
        }
    }

    /// Appends the request that gets these keys.
    pub(crate) fn put_get(
        self,
        item: &ItemShape,
        keys: impl ExactSizeIterator<Item = u64>,
        out: &mut Vec<u8>,
    ) {
        match self {
            Self::Memcached => {
                out.extend_from_slice(b"get");
                for key in keys {
                    out.push(b' ');
                    item.put_key(key, out);
                }
                out.extend_from_slice(b"\r\n");
            }
            Self::Binary => binary::put_get(item, keys, out),
            Self::Redis => {
                let command = if keys.len() == 1 { "GET" } else { "MGET" };
                let _ = write!(out, "*{}\r\n${}\r\n{command}\r\n", keys.len() + 1, command.len());
                for key in keys {
                    let _ = write!(out, "${}\r\n", item.key_bytes);
                    item.put_key(key, out);
                    out.extend_from_slice(b"\r\n");
                }
            }
        }
    }
}

impl Reader {
    /// Looks for the reply to a set at the beginning of `bytes`.
    pub(crate) fn stored(&self, bytes: &[u8]) -> Step {
        let expected: &[u8] = match self.dialect {
            Dialect::Memcached => b"STORED",
            Dialect::Binary => return binary::stored(bytes),
            Dialect::Redis => b"+OK",
        };
        match line(bytes) {
            Line::Whole(text, taken) if text == expected => Step::Done { taken, hits: 0 },
            other => refusal(other, 0),
        }
    }

    /// Looks for the reply to a get of these keys at the beginning of `bytes`.
    pub(crate) fn values(&self, asked: impl ExactSizeIterator<Item = u64>, bytes: &[u8]) -> Step {
        match self.dialect {
            Dialect::Memcached => self.memcached_values(asked, bytes),
            Dialect::Binary => binary::values(&self.item, asked, bytes),
            Dialect::Redis => self.redis_values(asked, bytes),
        }
    }

    fn memcached_values(&self, mut asked: impl Iterator<Item = u64>, bytes: &[u8]) -> Step {
        let (mut at, mut hits, mut right) = (0, 0, true);
        loop {
            let header = line(&bytes[at..]);
            let Line::Whole(text, length) = header else { return refusal(header, at) };
            if text == b"END" {
                return verdict(right, at + length, hits);
            }
            let Some((key, value_bytes)) = value_header(text) else { return refusal(header, at) };
            at += length;
            let Some(value) = block(bytes, at, value_bytes) else { return Step::More };
            right &= match self.check {
                // Keys that were not found are missing from the reply; the others come in the order asked.
                Check::Content => asked
                    .find(|number| self.item.is_key(*number, key))
                    .is_some_and(|number| self.item.is_value(number, value)),
                Check::Form => value.len() == self.item.value_bytes,
            };
            at += value_bytes + 2;
            hits += 1;
        }
    }

    fn redis_values(&self, asked: impl ExactSizeIterator<Item = u64>, bytes: &[u8]) -> Step {
        let (mut at, mut hits, mut right) = (0, 0, true);
        if asked.len() != 1 {
            match line(bytes) {
                Line::Whole(text, taken) if count(text, b'*') == Some(asked.len()) => at = taken,
                other => return refusal(other, 0),
            }
        }
        for number in asked {
            let header = line(&bytes[at..]);
            let Line::Whole(text, length) = header else { return refusal(header, at) };
            at += length;
            if text == b"$-1" {
                continue;
            }
            let Some(value_bytes) = count(text, b'$') else { return refusal(header, at - length) };
            let Some(value) = block(bytes, at, value_bytes) else { return Step::More };
            right &= self.item.is_value(number, value);
            at += value_bytes + 2;
            hits += 1;
        }
        verdict(right, at, hits)
    }
}

enum Line<'a> {
    /// The text without its CR LF, and the length with it.
    Whole(&'a [u8], usize),
    Partial,
    TooLong,
}

fn line(bytes: &[u8]) -> Line<'_> {
    let window = &bytes[..bytes.len().min(MAX_LINE_BYTES)];
    match memchr(b'\n', window) {
        Some(end) => Line::Whole(window[..end].strip_suffix(b"\r").unwrap_or(&window[..end]), end + 1),
        None if window.len() == MAX_LINE_BYTES => Line::TooLong,
        None => Line::Partial,
    }
}

/// What a line means that is not the expected one and begins at `at`.
fn refusal(line: Line<'_>, at: usize) -> Step {
    match line {
        Line::Partial => Step::More,
        Line::Whole(text, taken) if REFUSALS.iter().any(|start| text.starts_with(start)) => {
            Step::Wrong { taken: at + taken }
        }
        Line::Whole(..) | Line::TooLong => Step::Lost,
    }
}

fn verdict(right: bool, taken: usize, hits: usize) -> Step {
    if right { Step::Done { taken, hits } } else { Step::Wrong { taken } }
}

/// `VALUE key flags bytes`: the key and the bytes.
fn value_header(text: &[u8]) -> Option<(&[u8], usize)> {
    let mut words = text.strip_prefix(b"VALUE ")?.split(|byte| *byte == b' ');
    let (key, _flags, length) = (words.next()?, words.next()?, words.next()?);
    Some((key, usize::try_from(decimal(length)?).ok()?))
}

fn count(text: &[u8], mark: u8) -> Option<usize> {
    usize::try_from(decimal(text.strip_prefix(&[mark])?)?).ok()
}

/// The data block at `at`, when it and its CR LF are there.
fn block(bytes: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    let end = at.checked_add(length)?.checked_add(2)?;
    bytes.get(at..end)?.get(..length)
}

/// Runs a table of replies through the reader, whole and cut at every byte; answers what is wrong.
pub(crate) fn check() -> Vec<String> {
    let item = ItemShape { key_bytes: 12, value_bytes: 2, exptime_s: 0 };
    let hit = "VALUE k-0000000007 0 2\r\nvv\r\nEND\r\n";
    let both = "VALUE k-0000000007 0 2\r\nvv\r\nVALUE k-0000000009 0 2\r\nvv\r\nEND\r\n";
    let (text, resp) = (Dialect::Memcached, Dialect::Redis);
    let done = |taken, hits| Step::Done { taken, hits };
    let table: &[(Dialect, &[u64], &str, Step)] = &[
        (text, &[], "STORED\r\n", done(8, 0)),
        (text, &[], "NOT_STORED\r\n", Step::Wrong { taken: 12 }),
        (text, &[], "SERVER_ERROR out of memory\r\n", Step::Wrong { taken: 28 }),
        (text, &[], "END\r\n", Step::Lost),
        (text, &[7], "END\r\n", done(5, 0)),
        (text, &[7], hit, done(hit.len(), 1)),
        (text, &[8], hit, Step::Wrong { taken: hit.len() }),
        (text, &[7], "VALUE k-0000000007 0 3\r\nvvv\r\nEND\r\n", Step::Wrong { taken: 34 }),
        (text, &[7], "VALUE k-0000000007 0 x\r\nvvv\r\nEND\r\n", Step::Lost),
        (text, &[7], "ERROR\r\n", Step::Wrong { taken: 7 }),
        (text, &[7, 8, 9], both, done(both.len(), 2)),
        (text, &[9, 7], both, Step::Wrong { taken: both.len() }),
        (text, &[7], "STORED\r\n", Step::Lost),
        (resp, &[], "+OK\r\n", done(5, 0)),
        (resp, &[], "-ERR no\r\n", Step::Wrong { taken: 9 }),
        (resp, &[7], "$-1\r\n", done(5, 0)),
        (resp, &[7], "$2\r\nvv\r\n", done(8, 1)),
        (resp, &[7], "$3\r\nvvv\r\n", Step::Wrong { taken: 9 }),
        (resp, &[7, 8], "*2\r\n$2\r\nvv\r\n$-1\r\n", done(17, 1)),
        (resp, &[7, 8], "*3\r\n", Step::Lost),
    ];
    let texts = table.iter().map(|(dialect, asked, reply, step)| (*dialect, *asked, reply.as_bytes(), *step));
    let packets = binary::samples();
    let packets =
        packets.iter().map(|(asked, reply, step)| (Dialect::Binary, *asked, reply.as_slice(), *step));
    texts
        .chain(packets)
        .flat_map(|(dialect, asked, reply, expected)| {
            let reader = Reader { dialect, check: Check::Content, item };
            check_one(&reader, asked, reply, expected)
        })
        .collect()
}

fn check_one(reader: &Reader, asked: &[u64], reply: &[u8], expected: Step) -> Vec<String> {
    let look = |bytes: &[u8]| match asked {
        [] => reader.stored(bytes),
        keys => reader.values(keys.iter().copied(), bytes),
    };
    let mut wrong = Vec::new();
    let shown = reply.escape_ascii();
    let found = look(reply);
    if found != expected {
        wrong.push(format!("dialect: {shown} for {asked:?} is {found:?}, not {expected:?}"));
    }
    let early = (0..reply.len()).find(|cut| look(&reply[..*cut]) != Step::More);
    if let (Some(cut), false) = (early, expected == Step::Lost) {
        wrong.push(format!("dialect: the first {cut} bytes of {shown} are taken for a reply"));
    }
    let tail = [reply, b"STORED\r\n"].concat();
    if look(&tail) != expected {
        wrong.push(format!("dialect: {shown} reads differently with a reply behind it"));
    }
    wrong
}
