//! What a worker notes of the requests that were sampled: hottest keys, biggest items, slow requests. All bounded.

use std::collections::VecDeque;
use std::time::Duration;

use super::class::Class;
use super::top::TopKeys;
use crate::base::command::{Command, Keys, Op};
use crate::base::limits::KEY_BYTES_MAX;
use crate::base::time::UnixMs;

/// Big items that are remembered.
const BIG_MAX: usize = 32;
/// Items below this are nothing to remark on, bytes.
pub(super) const BIG_BYTES_MIN: usize = 4 * 1024;
/// Slow requests that are remembered, the last ones.
const SLOW_MAX: usize = 64;
/// Keys of one request that are counted.
const KEYS_MAX: usize = 16;

/// A key, and the size of its value when it was last met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Big {
    pub(super) key: Box<[u8]>,
    pub(super) bytes: usize,
}

/// A request that took long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slow {
    pub(super) at: UnixMs,
    pub(super) class: Class,
    /// The first key; empty for a command without one.
    pub(super) key: Box<[u8]>,
    pub(super) took: Duration,
    /// It was timed; else the time is what is certain.
    pub(super) is_exact: bool,
}

/// What one worker has noted.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) top: TopKeys,
    big: Vec<Big>,
    slow: VecDeque<Slow>,
}

impl Notes {
    /// Counts the keys of a request.
    pub(super) fn count(&mut self, command: &Command<'_>, now: UnixMs) {
        match command {
            Command::Keyed(key, _) => self.top.note(&key.bytes, now),
            Command::Read(keys, _) => {
                let mut rest = *keys;
                for _ in 0..KEYS_MAX {
                    let Some((key, next)) = rest.split_first() else { break };
                    self.top.note(key, now);
                    rest = next;
                }
            }
            _ => {}
        }
    }

    /// Remembers a big item. From how many bytes on the next one is remarkable.
    pub(super) fn note_big(&mut self, key: &[u8], bytes: usize) -> usize {
        if let Some(known) = self.big.iter_mut().find(|known| *known.key == *key) {
            known.bytes = bytes;
        } else if self.big.len() < BIG_MAX {
            self.big.push(Big { key: key.into(), bytes });
        } else if let Some(least) = self.big.iter_mut().min_by_key(|known| known.bytes)
            && least.bytes < bytes
        {
            *least = Big { key: key.into(), bytes };
        }
        self.big_floor()
    }

    fn big_floor(&self) -> usize {
        let least = self.big.iter().map(|known| known.bytes).min().filter(|_| self.big.len() >= BIG_MAX);
        least.map_or(BIG_BYTES_MIN, |least| BIG_BYTES_MIN.max(least + 1))
    }

    /// Forgets big items that are gone, and the floor that follows.
    pub(super) fn retain_big(&mut self, stays: impl FnMut(&Big) -> bool) -> usize {
        self.big.retain(stays);
        self.big_floor()
    }

    /// The big items, in no order.
    pub(super) fn big(&self) -> &[Big] {
        &self.big
    }

    /// Remembers a slow request.
    pub(super) fn note_slow(&mut self, slow: Slow) {
        if self.slow.len() >= SLOW_MAX {
            self.slow.pop_front();
        }
        self.slow.push_back(slow);
    }

    /// The slow requests, the oldest first.
    pub(super) fn slow(&self) -> impl Iterator<Item = &Slow> {
        self.slow.iter()
    }
}

/// The first key of a request.
pub(super) fn first_key<'a>(command: &'a Command<'a>) -> &'a [u8] {
    let key = match command {
        Command::Keyed(key, _) => &key.bytes,
        Command::Read(keys, _) => keys.split_first().map_or(&[][..], |(key, _)| key),
        _ => &[],
    };
    key.get(..KEY_BYTES_MAX.min(key.len())).unwrap_or_default()
}

/// The value that a request stores, or, of a read of one key, how much was answered: its key and length.
pub(super) fn item_of<'a>(command: &'a Command<'a>, answered_bytes: usize) -> Option<(&'a [u8], usize)> {
    match command {
        Command::Keyed(key, Op::Store(store)) => Some((&key.bytes, store.value.len())),
        Command::Keyed(key, Op::Get(_)) => Some((&key.bytes, answered_bytes)),
        Command::Read(keys, _) => {
            let (key, rest) = keys.split_first()?;
            let is_only = Keys::split_first(rest).is_none();
            is_only.then_some((key, answered_bytes))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_biggest_stay() {
        let mut notes = Notes::default();
        let mut floor = BIG_BYTES_MIN;
        for number in 0..1000_usize {
            let bytes = BIG_BYTES_MIN + number.wrapping_mul(7919) % 1000;
            if bytes >= floor {
                floor = notes.note_big(format!("k{number}").as_bytes(), bytes);
            }
        }
        let mut sizes: Vec<usize> = notes.big().iter().map(|big| big.bytes).collect();
        sizes.sort_unstable();
        let expected: Vec<usize> = (1000 - BIG_MAX..1000).map(|size| BIG_BYTES_MIN + size).collect();
        assert_eq!((sizes, floor), (expected, BIG_BYTES_MIN + 1000 - BIG_MAX + 1));
        assert_eq!(notes.retain_big(|big| big.bytes > BIG_BYTES_MIN + 990), BIG_BYTES_MIN);
        assert_eq!(notes.note_big(b"k1", 9), BIG_BYTES_MIN);
    }

    #[test]
    fn the_last_slow_requests_stay() {
        let mut notes = Notes::default();
        for ms in 0..200 {
            let key = Box::default();
            let took = Duration::from_millis(20);
            notes.note_slow(Slow { at: UnixMs(ms), class: Class::Get, key, took, is_exact: false });
        }
        let at: Vec<u64> = notes.slow().map(|slow| slow.at.0).collect();
        assert_eq!(at, (200 - SLOW_MAX as u64..200).collect::<Vec<_>>());
    }
}
