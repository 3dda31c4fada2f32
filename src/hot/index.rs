//! Which slot a key lies in: a hash table of slots alone. Keys and hashes are read back from the segments.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::segment::{Segments, Slot};

/// The hash of a key, seeded afresh for every group, so that nobody can choose keys that collide.
#[derive(Clone, Debug)]
pub(super) struct KeyHasher {
    state: RandomState,
    /// The bits in use: all, but in tests of collisions.
    mask: u64,
}

impl KeyHasher {
    /// A hash of which only the bits of `mask` are used.
    pub(super) fn masked(mask: u64) -> KeyHasher {
        KeyHasher { state: RandomState::default(), mask }
    }

    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = self.state.build_hasher();
        hasher.write(key);
        hasher.finish() & self.mask
    }

    /// The hash of the key at `slot`.
    fn hash_at(&self, slot: Slot, segments: &Segments) -> u64 {
        segments.key(slot).map_or(0, |key| self.hash(key))
    }
}

/// Key to slot.
#[derive(Debug)]
pub(super) struct Index {
    table: HashTable<Slot>,
    hasher: KeyHasher,
}

impl Index {
    pub(super) fn new(hasher: KeyHasher) -> Index {
        Index { table: HashTable::new(), hasher }
    }

    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// What the table takes, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.table.allocation_size()
    }

    /// Whether one more entry makes the table grow.
    pub(super) fn is_full(&self) -> bool {
        self.table.len() == self.table.capacity()
    }

    /// Entries that the table holds when none of its places is spoilt by removals.
    fn capacity_clean(&self) -> usize {
        self.table.num_buckets() / 8 * 7
    }

    /// Whether the table, being full, ought to double: otherwise putting it in order is enough.
    pub(super) fn wants_growth(&self) -> bool {
        self.table.len() >= self.capacity_clean() / 4 * 3
    }

    /// Whether putting it in order wins enough places to be worth it.
    pub(super) fn is_worth_tidying(&self) -> bool {
        self.table.len() + self.table.len() / 32 < self.capacity_clean()
    }

    /// Doubles the table.
    pub(super) fn grow(&mut self, segments: &Segments) {
        self.table.reserve(1, |slot| self.hasher.hash_at(*slot, segments));
    }

    /// Wins back the places that removals have spoilt. Reads every key: some milliseconds for 100,000 entries.
    pub(super) fn tidy(&mut self, segments: &Segments) {
        let hash_at = |slot: &Slot| self.hasher.hash_at(*slot, segments);
        let mut table = HashTable::with_capacity(self.capacity_clean());
        for slot in &self.table {
            table.insert_unique(hash_at(slot), *slot, hash_at);
        }
        self.table = table;
    }

    /// Gives back what a table much too large takes.
    pub(super) fn shrink(&mut self, segments: &Segments) {
        if self.table.len() * 8 < self.table.capacity() {
            let capacity = self.table.len() * 2;
            self.table.shrink_to(capacity, |slot| self.hasher.hash_at(*slot, segments));
        }
    }

    /// The slot of `key`.
    pub(super) fn find(&self, hash: u64, key: &[u8], segments: &Segments) -> Option<Slot> {
        self.table.find(hash, |slot| segments.key(*slot) == Some(key)).copied()
    }

    /// All slots whose keys have this hash.
    pub(super) fn find_hash(&self, hash: u64, segments: &Segments) -> impl Iterator<Item = Slot> {
        self.table.iter_hash(hash).copied().filter(move |slot| self.hasher.hash_at(*slot, segments) == hash)
    }

    /// Adds a key that is not there.
    pub(super) fn insert(&mut self, hash: u64, slot: Slot, segments: &Segments) {
        self.table.insert_unique(hash, slot, |slot| self.hasher.hash_at(*slot, segments));
    }

    /// Says that an entry has moved.
    pub(super) fn relocate(&mut self, hash: u64, from: Slot, to: Slot) {
        if let Some(slot) = self.table.find_mut(hash, |slot| *slot == from) {
            *slot = to;
        }
    }

    /// Forgets an entry.
    pub(super) fn remove(&mut self, hash: u64, slot: Slot) {
        if let Ok(entry) = self.table.find_entry(hash, |found| *found == slot) {
            entry.remove();
        }
    }
}
