//! Looking at one key without asking for it: nothing is counted, warmed, touched or written.

use super::group::{Core, Group};
use crate::base::fault::Fault;
use crate::base::item::{Item, Marks};
use crate::base::lsn::Lsn;
use crate::base::time::{Deadline, UnixMs};
use crate::base::version::Version;
use crate::hot::Entry;
use crate::store::RowBuffer;

/// So often a key is looked at again because memory or the store has changed meanwhile.
const LOOKS_MAX: usize = 8;

/// What there is to see of an item, but for its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The length of the value, bytes.
    pub value_bytes: usize,
    /// The client's own bits.
    pub client_flags: u32,
    /// When it dies.
    pub deadline: Deadline,
    /// When its value was stored.
    pub version: Version,
    /// What clients compare.
    pub cas: u64,
    /// Its state.
    pub marks: Marks,
    /// Last access, unix seconds; 0 when memory does not know.
    pub accessed_s: u32,
    /// It is in memory, not only in the store.
    pub in_memory: bool,
    /// Newer than the last checkpoint: the log alone keeps it.
    pub is_dirty: bool,
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// An item that a `get` would find now.
    Item(Facts),
    /// None.
    Nothing,
    /// One whose deadline has come.
    Expired,
    /// One that a flush covers.
    Flushed,
    /// Memory does not know; only the store does.
    Unknown,
}

/// A look and what it observed: not to be shown before this LSN is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peek {
    /// What was found.
    pub sight: Sight,
    /// The position that it observed, at most.
    pub lsn: Lsn,
}

impl Group {
    /// Looks at a key in memory, and in the store where memory does not know.
    ///
    /// # Errors
    /// What the store cannot read.
    pub fn peek(&self, key: &[u8], now: UnixMs) -> Result<Peek, Fault> {
        let mut row = RowBuffer::default();
        for _ in 0..LOOKS_MAX {
            let (peek, generation) = self.peek_memory_at(key, now);
            let (Sight::Unknown, Some(store)) = (peek.sight, &self.store) else { return Ok(peek) };
            let found = store.read(key, &mut row)?;
            let core = self.core.lock();
            // The store has changed meanwhile, or somebody has taken the key into memory: look again.
            if core.generation != generation || core.hot.locate(key).is_some() {
                continue;
            }
            let row_facts = |item: &Item<'_>| facts(item, false, false);
            let sight = found.map_or(Sight::Nothing, |item| core.sight_of(&item, now, row_facts));
            return Ok(Peek { sight, lsn: core.trail.last() });
        }
        Ok(self.peek_memory(key, now))
    }

    /// Looks at a key in memory alone.
    pub fn peek_memory(&self, key: &[u8], now: UnixMs) -> Peek {
        self.peek_memory_at(key, now).0
    }

    fn peek_memory_at(&self, key: &[u8], now: UnixMs) -> (Peek, u64) {
        let core = self.core.lock();
        let sight = match core.hot.locate(key) {
            None if self.store.is_some() && !core.hot.is_complete() => Sight::Unknown,
            None => Sight::Nothing,
            Some(at) => match core.hot.entry(at) {
                Entry::Tombstone(_) => Sight::Nothing,
                Entry::Live(item) => {
                    core.sight_of(&item, now, |item| facts(item, true, core.hot.is_dirty(at)))
                }
            },
        };
        (Peek { sight, lsn: core.trail.last() }, core.generation)
    }
}

impl Core {
    fn sight_of(&self, item: &Item<'_>, now: UnixMs, facts: impl Fn(&Item<'_>) -> Facts) -> Sight {
        if self.flush_at(now).covers(item.version) {
            return Sight::Flushed;
        }
        if item.is_expired(now) { Sight::Expired } else { Sight::Item(facts(item)) }
    }
}

fn facts(item: &Item<'_>, in_memory: bool, is_dirty: bool) -> Facts {
    Facts {
        value_bytes: item.value.bytes().len(),
        client_flags: item.client_flags,
        deadline: item.deadline,
        version: item.version,
        cas: item.cas,
        marks: item.marks,
        accessed_s: if in_memory { item.accessed_s } else { 0 },
        in_memory,
        is_dirty,
    }
}
