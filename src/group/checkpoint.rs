//! Dirty entries to the store: in chunks sorted by key, the log synced past each first (DESIGN rules 5 and 7).

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;

use super::group::Group;
use super::portion::Portion;
use crate::base::effect::FlushMark;
use crate::base::fault::Fault;
use crate::base::item::{Item, Value};
use crate::base::lsn::Lsn;
use crate::base::version::Version;
use crate::hot::{DirtyList, Entry};
use crate::store::{End, RowChange, Store};

/// Entries copied under the lock at once, so that requests wait for microseconds only.
const SLICE_ITEMS: usize = 256;

/// What a checkpoint did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Rows written or removed.
    pub rows: usize,
    /// Their payload, bytes.
    pub bytes: usize,
    /// Everything of this group up to here is in the store.
    pub applied: Lsn,
    /// The flush mark that the store has.
    pub flush: FlushMark,
}

/// Some dirty entries, copied.
#[derive(Default)]
struct Chunk {
    /// Keys and small values.
    bytes: Vec<u8>,
    entries: Vec<Copied>,
    payload_bytes: usize,
}

struct Copied {
    key: Range<usize>,
    /// `None` for a tombstone. The value in it is empty; the real one is `value`.
    item: Option<Item<'static>>,
    value: Held,
    stamp: Version,
}

enum Held {
    Copied(Range<usize>),
    Shared(Bytes),
}

impl Group {
    /// Writes everything that is dirty now to the store; waits for another checkpoint of this group to end.
    pub fn checkpoint(&self) -> Result<Report, Fault> {
        let Some(store) = &self.store else { return Ok(Report::default()) };
        let _alone = self.checkpointing.lock();
        // What is being written is on no list to look at: who asks meanwhile is told by this.
        self.look_at_newer(store);
        let (dirty, applied) = {
            let mut core = self.core.lock();
            core.dirty_since_s = 0;
            core.wants_room = false;
            (core.hot.take_dirty(), core.trail.last())
        };
        let began = Instant::now();
        let result = self.write_dirty(store, &dirty, applied);
        self.count_checkpoint(began, &result);
        let mut core = self.core.lock();
        match &result {
            Ok(report) => {
                core.applied_lsn = report.applied;
                // Only now: until the store has the mark the log is not trimmed past it, whoever checkpoints.
                core.flush_unsaved = core.flush != report.flush;
            }
            Err(_) => core.hot.untake(dirty),
        }
        drop(core);
        result
    }

    fn count_checkpoint(&self, began: Instant, result: &Result<Report, Fault>) {
        let Ok(report) = result else { return };
        let timings = &self.shared.timings;
        timings.checkpoint.record(began.elapsed());
        timings.checkpoint_rows.fetch_add(report.rows as u64, Ordering::Relaxed);
        timings.checkpoint_bytes.fetch_add(report.bytes as u64, Ordering::Relaxed);
    }

    fn write_dirty(&self, store: &Store, dirty: &DirtyList, applied: Lsn) -> Result<Report, Fault> {
        let keys = self.sorted_keys(dirty);
        let mut report = Report { applied, ..Report::default() };
        let mut next = 0;
        loop {
            let (chunk, taken) = self.copy_chunk(&keys, next, self.portion(store, keys.len()));
            next += taken;
            let is_last = next >= keys.len();
            // Read behind the copy: a flush may have swept dirty entries away before, and then has to come along. And
            // ahead of the sync, which covers what was read.
            let end = is_last.then(|| self.end(applied));
            self.sync_log()?;
            store.commit(&chunk.changes(), end)?;
            self.mark_clean(&chunk);
            report.rows += chunk.entries.len();
            report.bytes += chunk.payload_bytes;
            if let Some(end) = end {
                return Ok(Report { flush: end.flush, ..report });
            }
        }
    }

    fn end(&self, applied: Lsn) -> End {
        let core = self.core.lock();
        End { applied_lsn: applied, flush: core.flush, version_max: core.clock.last() }
    }

    /// The keys of the dirty entries, sorted: redb writes sorted keys several times faster than random ones.
    fn sorted_keys(&self, dirty: &DirtyList) -> SortedKeys {
        let mut keys = SortedKeys::default();
        let mut from = 0;
        while from < dirty.len() {
            let to = (from + SLICE_ITEMS).min(dirty.len());
            self.core.lock().hot.visit_dirty(dirty, from..to, |key, _| keys.push(key));
            from = to;
        }
        keys.sort();
        keys
    }

    /// What the next commit takes. Who waits for memory or log is served by large commits; else, and where room on the disk
    /// is what everybody waits for, the disk is spared.
    fn portion(&self, store: &Store, dirty: usize) -> Portion {
        if self.shared.trouble.spares_room() {
            Portion::SHORT
        } else if self.shared.hurries() && !self.shared.trouble.delays_values() {
            Portion::LARGE
        } else {
            Portion::of(&store.state(), dirty)
        }
    }

    /// Copies dirty entries from key number `from` on; how many keys were dealt with.
    fn copy_chunk(&self, keys: &SortedKeys, from: usize, max: Portion) -> (Chunk, usize) {
        let mut chunk = Chunk::default();
        let mut at = from;
        while at < keys.len() && chunk.has_room(max) {
            let core = self.core.lock();
            for _ in 0..SLICE_ITEMS {
                let Some(key) = keys.get(at) else { break };
                if !chunk.has_room(max) {
                    break;
                }
                if let Some(slot) = core.hot.locate(key).filter(|slot| core.hot.is_dirty(*slot)) {
                    chunk.copy(key, core.hot.entry(slot));
                }
                at += 1;
            }
        }
        (chunk, at - from)
    }

    /// The store never holds what the log could lose: the log is synced past everything copied and read.
    pub(super) fn sync_log(&self) -> Result<(), Fault> {
        let Some(log) = self.shared.log.get() else { return Ok(()) };
        log.sync_past(log.appended_lsn())
    }

    fn mark_clean(&self, chunk: &Chunk) {
        let mut core = self.core.lock();
        core.generation += 1;
        drop(core);
        for entries in chunk.entries.chunks(SLICE_ITEMS) {
            let mut core = self.core.lock();
            for entry in entries {
                core.hot.mark_clean(chunk.slice(&entry.key), entry.stamp);
            }
        }
    }
}

/// Keys in one buffer, so that a million of them cost no million allocations.
#[derive(Default)]
struct SortedKeys {
    bytes: Vec<u8>,
    keys: Vec<Range<usize>>,
}

impl SortedKeys {
    fn push(&mut self, key: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.keys.push(start..self.bytes.len());
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.keys.sort_unstable_by(|a, b| bytes.get(a.clone()).cmp(&bytes.get(b.clone())));
        self.keys.dedup_by(|a, b| bytes.get(a.clone()) == bytes.get(b.clone()));
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    fn get(&self, at: usize) -> Option<&[u8]> {
        self.bytes.get(self.keys.get(at)?.clone())
    }
}

impl Chunk {
    fn has_room(&self, max: Portion) -> bool {
        self.entries.len() < max.items && self.payload_bytes < max.bytes
    }

    fn copy(&mut self, key: &[u8], entry: Entry<'_>) {
        let key = self.keep(key);
        let (item, value, stamp) = match entry {
            Entry::Tombstone(version) => (None, Held::Copied(0..0), version),
            Entry::Live(item) => {
                self.payload_bytes += item.value.bytes().len();
                let value = match item.value {
                    Value::Plain(bytes) => Held::Copied(self.keep(bytes)),
                    Value::Shared(bytes) => Held::Shared(bytes.clone()),
                };
                (Some(Item { value: Value::Plain(&[]), ..item }), value, item.stamp())
            }
        };
        self.payload_bytes += key.len();
        self.entries.push(Copied { key, item, value, stamp });
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    fn changes(&self) -> Vec<RowChange<'_>> {
        self.entries.iter().map(|copied| self.change(copied)).collect()
    }

    fn change<'a>(&'a self, copied: &'a Copied) -> RowChange<'a> {
        let key = self.slice(&copied.key);
        let Some(item) = copied.item else { return RowChange::Remove { key } };
        let value = match &copied.value {
            Held::Copied(range) => self.slice(range),
            Held::Shared(bytes) => bytes,
        };
        RowChange::Put { key, item: Item { value: Value::Plain(value), ..item } }
    }
}
