//! `stats detail`: what is done to the keys of each prefix. Off, it costs commands one relaxed load.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::base::limits::PREFIXES_MAX;
use crate::base::reply::Sink;
use crate::proto::{self, texts};

/// Counts by prefix: the text of a key before its first delimiter. Keys without one are not counted.
#[derive(Debug)]
pub struct Prefixes {
    is_on: AtomicBool,
    delimiter: u8,
    counts: Mutex<HashMap<Box<[u8]>, Counts>>,
}

/// What was done to the keys of one prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    gets: u64,
    hits: u64,
    sets: u64,
    deletes: u64,
}

/// What is done to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Get { is_hit: bool },
    Set,
    Delete,
}

impl Prefixes {
    /// Nothing counted yet.
    pub fn new(delimiter: u8, is_on: bool) -> Prefixes {
        Prefixes { is_on: AtomicBool::new(is_on), delimiter, counts: Mutex::default() }
    }

    /// Whether commands are to be counted.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Begins or ends counting; what was counted stays.
    pub fn turn(&self, is_on: bool) {
        self.is_on.store(is_on, Ordering::Relaxed);
    }

    /// Forgets what was counted.
    pub fn clear(&self) {
        self.counts.lock().clear();
    }

    /// Counts one command, unless it is of a prefix beyond the bound.
    pub(super) fn count(&self, key: &[u8], deed: Deed) {
        let Some(end) = memchr::memchr(self.delimiter, key) else { return };
        let prefix = key.get(..end).unwrap_or_default();
        let mut counts = self.counts.lock();
        if let Some(counts) = counts.get_mut(prefix) {
            return counts.note(deed);
        }
        if counts.len() < PREFIXES_MAX {
            counts.entry(prefix.into()).or_default().note(deed);
        }
    }

    /// Writes what was counted, in the order of the prefixes.
    pub(super) fn write(&self, out: &mut impl Sink) {
        let counts = self.counts.lock();
        let mut rows: Vec<_> = counts.iter().collect();
        rows.sort_unstable_by_key(|row| row.0);
        for (prefix, Counts { gets, hits, sets, deletes }) in rows {
            proto::encode_prefix(prefix, [*gets, *hits, *sets, *deletes], out);
        }
        out.put(texts::END);
    }
}

impl Counts {
    fn note(&mut self, deed: Deed) {
        match deed {
            Deed::Get { is_hit } => {
                self.gets += 1;
                self.hits += u64::from(is_hit);
            }
            Deed::Set => self.sets += 1,
            Deed::Delete => self.deletes += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_count_for_the_text_before_their_first_delimiter() {
        let prefixes = Prefixes::new(b':', true);
        for (key, deed) in [
            ("b:1", Deed::Set),
            ("a:1:2", Deed::Get { is_hit: true }),
            ("a:2", Deed::Get { is_hit: false }),
            ("a:2", Deed::Delete),
            ("plain", Deed::Set),
        ] {
            prefixes.count(key.as_bytes(), deed);
        }
        let mut out = Vec::new();
        prefixes.write(&mut out);
        let expected = "PREFIX a get 2 hit 1 set 0 del 1\r\nPREFIX b get 0 hit 0 set 1 del 0\r\nEND\r\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn prefixes_are_bounded() {
        let prefixes = Prefixes::new(b'/', true);
        for number in 0..PREFIXES_MAX + 7 {
            prefixes.count(format!("{number}/").as_bytes(), Deed::Set);
        }
        assert_eq!(prefixes.counts.lock().len(), PREFIXES_MAX);
    }
}
