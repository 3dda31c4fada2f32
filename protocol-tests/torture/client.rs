//! One client: it writes until the server is gone, and audits when it is back.
use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Findings;
use super::writes::{Allowed, Deadline, Seen, draw, now_ms};
use crate::random::Random;
use crate::skips::say;

/// Keys of one client; no other client touches them.
const KEYS: usize = 300;
/// Requests that a client sends before it reads the replies.
const PIPELINE: u64 = 16;
/// Keys that an audit asks for at once.
const AUDITED_AT_ONCE: usize = 25;
/// Longest wait for a reply of a server that lives.
pub(super) const REPLY_PATIENCE: Duration = Duration::from_secs(30);

/// One client's keys and what they may hold.
pub(super) struct Client {
    number: usize,
    random: Random,
    written: u64,
    keys: Vec<Allowed>,
}

impl Client {
    pub(super) fn new(number: usize, seed: u64) -> Client {
        let random = Random::new(seed ^ (number as u64 + 1));
        Client { number, random, written: 0, keys: vec![Allowed::default(); KEYS] }
    }

    fn key(&self, index: usize) -> String {
        format!("client{}:key{index}", self.number)
    }

    /// Writes until the server is gone; counts what was acknowledged.
    pub(super) fn load(&mut self, address: SocketAddr, acknowledged: &AtomicU64) {
        let Ok(stream) = connect(address) else { return };
        let mut replies = BufReader::new(&stream);
        loop {
            let drawn_ms = now_ms();
            let mut bytes = Vec::new();
            let expected = self.draw_batch(&mut bytes);
            if (&stream).write_all(&bytes).is_err() {
                return;
            }
            for (index, fitting) in expected {
                let mut line = String::new();
                match replies.read_line(&mut line) {
                    Ok(count) if count > 0 && line.ends_with("\r\n") => {}
                    _ => return,
                }
                self.acknowledge(index, &line, fitting, now_ms() - drawn_ms);
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Some writes to different keys; how the reply to each begins.
    fn draw_batch(&mut self, bytes: &mut Vec<u8>) -> Vec<(usize, &'static [&'static str])> {
        let start = self.random.below(KEYS as u64) as usize;
        let count = 1 + self.random.below(PIPELINE) as usize;
        let mut expected = Vec::new();
        for index in (start..start + count).map(|index| index % KEYS) {
            self.written += 1;
            let key = self.key(index);
            let write = draw(&key, self.keys[index].known.as_ref(), self.written, &mut self.random);
            bytes.extend_from_slice(&write.request);
            self.keys[index].perhaps = Some(write.after);
            expected.push((index, write.replies));
        }
        expected
    }

    /// The write took place, at most `age_ms` after it was drawn.
    fn acknowledge(&mut self, index: usize, line: &str, fitting: &[&str], age_ms: u64) {
        let fits = fitting.iter().any(|start| line.starts_with(start)) && !line.contains("ERROR");
        assert!(fits, "{}: answered {line:?}, expected {fitting:?}", self.key(index));
        let mut after = self.keys[index].perhaps.take().unwrap();
        if let (Some(held), Some(cas)) = (&mut after, line.strip_prefix("HD c")) {
            held.cas = cas.trim_end().parse().ok();
        }
        if let Some(deadline) = after.as_mut().and_then(|held| held.deadline.as_mut()) {
            deadline.to_ms = deadline.from_ms + age_ms;
        }
        self.keys[index].known = after;
    }

    /// After a flush that was acknowledged nothing is held; after one that was not, that is possible too.
    pub(super) fn flushed(&mut self, is_acknowledged: bool) {
        for allowed in &mut self.keys {
            match is_acknowledged {
                true => *allowed = Allowed::default(),
                false => allowed.perhaps = Some(None),
            }
        }
    }

    /// Compares every key with what it may hold, and goes on from what it holds.
    pub(super) fn audit(&mut self, address: SocketAddr, findings: &mut Findings) {
        let stream = connect(address).unwrap();
        let mut replies = BufReader::new(&stream);
        for first in (0..KEYS).step_by(AUDITED_AT_ONCE) {
            let range = first..(first + AUDITED_AT_ONCE).min(KEYS);
            let asked: String =
                range.clone().map(|index| format!("mg {} v c f t\r\n", self.key(index))).collect();
            let asked_ms = now_ms();
            (&stream).write_all(asked.as_bytes()).unwrap();
            for index in range {
                let seen = read_seen(&mut replies, asked_ms);
                self.judge(index, seen, findings);
            }
        }
    }

    fn judge(&mut self, index: usize, seen: Option<Seen>, findings: &mut Findings) {
        let now_ms = now_ms();
        let allowed = std::mem::take(&mut self.keys[index]);
        if !allowed.fits(seen.as_ref(), now_ms) {
            let which = match allowed.known {
                None => &mut findings.resurrected,
                Some(_) => &mut findings.lost,
            };
            *which += 1;
            let key = self.key(index);
            say(&format!("{key} at {now_ms}: found {}", show(&format!("{seen:?}"))));
            say(&format!(
                "  allowed {} or {}",
                show(&format!("{:?}", allowed.known)),
                show(&format!("{:?}", allowed.perhaps))
            ));
        }
        findings.audited += 1;
        self.keys[index] = Allowed::settled(seen);
    }
}

/// As much of a long text as a person reads: its start and its end.
fn show(text: &str) -> String {
    let (start, end) = (text.get(..80), text.get(text.len().saturating_sub(120)..));
    match (start, end) {
        (Some(start), Some(end)) if text.len() > 250 => format!("{start} ... {end}"),
        _ => text.to_owned(),
    }
}

pub(super) fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(REPLY_PATIENCE))?;
    Ok(stream)
}

/// Reads the answer to `mg <key> v c f t`, which was asked at `asked_ms` or later.
fn read_seen(replies: &mut impl BufRead, asked_ms: u64) -> Option<Seen> {
    let mut line = String::new();
    replies.read_line(&mut line).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    if words == ["EN"] {
        return None;
    }
    let of = |name: char| words.iter().skip(2).find_map(|word| word.strip_prefix(name));
    let length: usize = match words.as_slice() {
        ["VA", length, ..] => length.parse().unwrap(),
        _ => panic!("answered {line:?}"),
    };
    let mut value = vec![0; length + 2];
    replies.read_exact(&mut value).unwrap();
    value.truncate(length);
    let ttl_s: i64 = of('t').unwrap().parse().unwrap();
    let told = |ttl_s: u64| Deadline { from_ms: asked_ms + ttl_s * 1000, to_ms: now_ms() + ttl_s * 1000 };
    Some(Seen {
        value,
        flags: of('f').unwrap().parse().unwrap(),
        cas: of('c').unwrap().parse().unwrap(),
        is_stale: of('X').is_some(),
        deadline: u64::try_from(ttl_s).ok().map(told),
    })
}
