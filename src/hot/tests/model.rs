//! Random changes to memory, beside a plain map that says what is true.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::*;
use crate::base::effect::FlushMark;

/// What is true of every key, what the store holds, and the memory between them.
struct World {
    random: Chance,
    hot: Hot,
    options: Options,
    truth: BTreeMap<Vec<u8>, Facts>,
    store: BTreeMap<Vec<u8>, Facts>,
    version: u64,
    refused: usize,
    missing: usize,
}

impl World {
    fn new(seed: u64, options: Options, limit: usize, mask: u64) -> World {
        let hot = Hot::with_hasher(Arc::new(Budget::new(limit)), options, KeyHasher::masked(mask));
        let (truth, store) = (BTreeMap::new(), BTreeMap::new());
        World { random: Chance(seed), hot, options, truth, store, version: 0, refused: 0, missing: 0 }
    }

    fn key(&mut self) -> Vec<u8> {
        let number = self.random.below(300);
        let len = [1, 2, 16, 40, KEY_BYTES_MAX][number as usize % 5];
        let mut key = number.to_le_bytes()[..2.min(len)].to_vec();
        key.resize(len, b'k');
        key
    }

    fn value(&mut self) -> Vec<u8> {
        let edge = SHARED_BYTES_MIN as u64;
        let len = match self.random.below(20) {
            0 => edge - 1 + self.random.below(3),
            1 => self.random.below(3 * edge),
            2..=6 => 32,
            _ => self.random.below(200),
        };
        vec![self.random.number() as u8; len as usize]
    }

    /// Room for whatever is done next with this key, as a group asks for it.
    fn has_room(&mut self, key: &[u8], value_bytes: usize) -> bool {
        let is_ok =
            self.hot.has_room(key.len(), value_bytes) || self.hot.make_room(key.len(), value_bytes).is_ok();
        self.refused += usize::from(!is_ok);
        is_ok
    }

    /// The entry as a group finds it: read back from the store when it is not here.
    fn find(&mut self, key: &[u8]) -> Option<Slot> {
        if self.hot.locate(key).is_none()
            && let Some(facts) = self.store.get(key)
        {
            let _ = self.hot.make_room(key.len(), facts.value.len());
            self.hot.admit(key, &item_of(facts));
        }
        self.hot.locate(key)
    }

    fn put(&mut self) {
        let (key, piece, kind) = (self.key(), self.value(), self.random.below(4));
        let at = if kind == 0 { None } else { self.find(&key) };
        let old = at.and_then(|_| self.truth.get(&key).map(|old| old.value.clone())).unwrap_or_default();
        let value = match kind {
            2 => NewValue::OldThen(&piece),
            3 => NewValue::ThenOld(&piece),
            _ => NewValue::Whole(&piece),
        };
        let whole = value.pieces(&old).concat();
        if whole.len() > 4 * SHARED_BYTES_MIN || !self.has_room(&key, whole.len()) {
            return;
        }
        self.version += 1;
        let at = self.hot.locate(&key);
        if at.is_none() && kind > 1 {
            return; // Evicted for its own successor: a group would read it again.
        }
        let facts = Facts {
            value: whole.clone(),
            client_flags: self.random.below(2) as u32 * 7,
            deadline: Deadline::from_seconds(self.random.below(3) as u32 * 1000),
            version: Version(self.version),
            cas: if self.random.below(8) == 0 { 5 } else { self.version },
            meta_version: Version(self.version),
            marks: Marks(self.random.below(8) as u8),
        };
        let (client_flags, deadline, cas, marks) =
            (facts.client_flags, facts.deadline, facts.cas, facts.marks);
        let change = Put { value, client_flags, deadline, cas, marks, ..put(b"", 0) };
        self.hot.put(
            &key,
            if kind == 1 { at } else { at.filter(|_| kind != 0) },
            &change,
            stamp(self.version),
        );
        self.truth.insert(key, facts);
    }

    fn touch(&mut self) {
        let key = self.key();
        if self.find(&key).is_none() || !self.has_room(&key, 0) {
            return;
        }
        let (Some(at), Some(facts)) = (self.hot.locate(&key), self.truth.get_mut(&key)) else { return };
        self.version += 1;
        let cas = if self.random.below(2) == 0 { facts.cas } else { self.version };
        let base = if self.random.below(9) == 0 { 0 } else { facts.version.0 };
        self.hot.touch(at, &touch(base, 500, cas), stamp(self.version));
        if base != 0 {
            (facts.deadline, facts.cas, facts.marks) = (Deadline::from_seconds(500), cas, Marks::default());
            facts.meta_version = Version(self.version);
        }
    }

    fn remove(&mut self) {
        let key = self.key();
        if self.has_room(&key, 0) {
            self.version += 1;
            let at = self.hot.locate(&key);
            self.hot.remove(&key, at, Version(self.version));
            self.truth.remove(&key);
        }
    }

    fn read(&mut self) {
        let key = self.key();
        if let Some(at) = self.find(&key) {
            self.hot.accessed(at, 77);
        }
    }

    fn sweep(&mut self) {
        let below = Version(if self.random.below(4) == 0 { self.version / 2 } else { 0 });
        let flush = FlushMark { below, pending_s: 0 };
        while !self.hot.sweep(UnixMs(1), &flush, 50, &mut |_| {}) {}
        self.truth.retain(|_, facts| !flush.covers(facts.version));
        self.store.retain(|_, facts| !flush.covers(facts.version));
    }

    /// A checkpoint with changes in its midst; now and then it fails half way.
    fn checkpoint(&mut self) {
        let list = self.hot.take_dirty();
        let mut chunk = BTreeMap::new();
        self.hot.visit_dirty(&list, 0..list.len(), |key, entry| {
            let (stamp, facts) = match entry {
                Entry::Live(item) => (item.stamp(), Some(facts(&item))),
                Entry::Tombstone(version) => (version, None),
            };
            chunk.insert(key.to_vec(), (stamp, facts));
        });
        assert_eq!(chunk.len(), self.hot.dirty_count(), "every dirty entry is in the list");
        for (key, (_, facts)) in &chunk {
            match facts {
                Some(facts) => drop(self.store.insert(key.clone(), facts.clone())),
                None => drop(self.store.remove(key)),
            }
        }
        for _ in 0..self.random.below(4) {
            self.change();
        }
        let fails = self.random.below(5) == 0;
        for (key, (stamp, _)) in chunk.iter().take(if fails { chunk.len() / 2 } else { chunk.len() }) {
            self.hot.mark_clean(key, *stamp);
        }
        if fails {
            self.hot.untake(list);
        }
    }

    fn change(&mut self) {
        match self.random.below(6) {
            0..=2 => self.put(),
            3 => self.touch(),
            4 => self.remove(),
            _ => self.read(),
        }
    }

    /// Memory says what is true, or nothing where the store does.
    fn check(&mut self) {
        audit(&self.hot);
        let keys: HashSet<_> = self.truth.keys().chain(self.store.keys()).cloned().collect();
        for key in keys {
            let truth = self.truth.get(&key);
            match self.hot.locate(&key).map(|at| self.hot.entry(at)) {
                Some(Entry::Live(item)) => assert_eq!(Some(&facts(&item)), truth, "{key:?}"),
                Some(Entry::Tombstone(_)) => assert_eq!(None, truth, "{key:?}"),
                None if self.options.persistent => assert_eq!(self.store.get(&key), truth, "{key:?}"),
                None => self.missing += usize::from(truth.is_some()),
            }
        }
    }
}

#[test]
fn memory_is_never_wrong() {
    for seed in 0..8 {
        for (options, mask) in
            [(PERSISTENT, u64::MAX), (MEMORY_ONLY, u64::MAX), (PERSISTENT, 7), (MEMORY_ONLY, 3 << 57)]
        {
            for limit in [40_000, 100_000, 10_000_000] {
                println!("seed {seed}, {options:?}, mask {mask:x}, limit {limit}");
                let mut world = World::new(seed, options, limit, mask);
                for round in 0..600 {
                    match world.random.below(40) {
                        0 if options.persistent => world.checkpoint(),
                        1 => world.sweep(),
                        _ => world.change(),
                    }
                    if round % 24 == 0 {
                        world.check();
                    }
                }
                world.check();
                assert!(
                    options.persistent || limit < 1_000_000 || world.missing == 0,
                    "nothing goes without need"
                );
            }
        }
    }
}

#[test]
fn every_dirty_entry_reaches_the_store() {
    for seed in 0..20 {
        let mut world = World::new(seed, PERSISTENT, 200_000, u64::MAX);
        for _ in 0..500 {
            match world.random.below(20) {
                0 => world.checkpoint(),
                _ => world.change(),
            }
        }
        for _ in 0..20 {
            world.checkpoint();
        }
        // Changes in the midst of the last one may remain; one quiet one takes them.
        let list = world.hot.take_dirty();
        let mut rest = HashMap::new();
        world.hot.visit_dirty(&list, 0..usize::MAX, |key, entry| {
            let stamp = match entry {
                Entry::Live(item) => item.stamp(),
                Entry::Tombstone(version) => version,
            };
            rest.insert(key.to_vec(), stamp);
        });
        assert!(rest.iter().all(|(key, stamp)| world.hot.mark_clean(key, *stamp)));
        assert_eq!((world.hot.dirty_count(), world.hot.dirty_bytes()), (0, 0), "seed {seed}");
        assert_eq!(world.hot.figures().tombstones, 0);
    }
}
