//! What a checkpoint needs of memory: what is dirty, and that it is no longer.

use std::ops::Range;

use super::dirty::DirtyList;
use super::entry::Word;
use super::{Entry, Hot};
use crate::base::version::Version;

/// The list may name so many more than are dirty before it is put in order.
const STALE_MAX: usize = 1024;

impl Hot {
    /// Entries that are newer than the checkpoint.
    pub fn dirty_count(&self) -> usize {
        self.tally.dirty
    }

    /// What they take, bytes.
    pub fn dirty_bytes(&self) -> usize {
        self.tally.dirty_bytes
    }

    /// The entries that became dirty since the last list. Constant time.
    pub fn take_dirty(&mut self) -> DirtyList {
        let list = std::mem::take(&mut self.dirty);
        self.settle();
        list
    }

    /// Gives a list back of which not all came to be clean: the next one names its entries again.
    pub fn untake(&mut self, list: DirtyList) {
        self.dirty.hashes.extend(list.hashes);
        self.settle();
    }

    /// Shows those entries of `list` between two positions that are dirty, as they are now. One may be shown twice.
    pub fn visit_dirty(
        &self,
        list: &DirtyList,
        range: Range<usize>,
        mut visit: impl FnMut(&[u8], Entry<'_>),
    ) {
        let end = range.end.min(list.len());
        for hash in list.hashes.get(range.start.min(end)..end).unwrap_or(&[]) {
            self.index.visit_hash(*hash, &self.segments, |slot| {
                if let Some(record) = self.segments.record(slot).filter(|record| record.is_dirty) {
                    visit(record.key, self.view(&record));
                }
            });
        }
    }

    /// Shows some of what is dirty, spread evenly over the next list: about `count` entries, and all of a list that is not
    /// longer. One may be shown twice.
    pub fn sample_dirty(&self, count: usize, mut visit: impl FnMut(&[u8], Entry<'_>)) {
        let step = self.dirty.len().div_ceil(count.max(1)).max(1);
        for at in (0..self.dirty.len()).step_by(step) {
            self.visit_dirty(&self.dirty, at..at + 1, &mut visit);
        }
    }

    /// Says that the store has this entry as it was at `stamp`, the later of its version and meta version. If that is
    /// what it still is, it is clean now, and a tombstone leaves memory. Otherwise it stays dirty, and the next list
    /// names it. Returns whether it became clean.
    pub fn mark_clean(&mut self, key: &[u8], stamp: Version) -> bool {
        let hash = self.index.hash(key);
        let Some(slot) = self.index.find(hash, key, &self.segments) else { return false };
        let Some(record) = self.segments.record(slot).filter(|record| record.is_dirty) else { return false };
        if record.stamp() != stamp {
            self.list_dirty(hash);
            return false;
        }
        let word = record.word();
        if word.has(Word::TOMBSTONE) {
            self.erase(hash, slot);
        } else {
            self.discount(slot);
            word.with(Word::DIRTY, false).write(self.segments.at_mut(slot));
            self.count(slot);
        }
        true
    }

    /// Has the next list name this key.
    pub(super) fn list_dirty(&mut self, hash: u64) {
        if self.dirty.len() > 2 * self.tally.dirty + STALE_MAX {
            self.prune_dirty();
        }
        let is_full = self.dirty.hashes.len() == self.dirty.hashes.capacity();
        self.dirty.hashes.push(hash);
        if is_full {
            self.settle();
        }
    }

    /// Names each dirty entry once, and no other: so the list stays bounded, however often keys come and go.
    fn prune_dirty(&mut self) {
        let mut hashes = std::mem::take(&mut self.dirty.hashes);
        hashes.sort_unstable();
        hashes.dedup();
        hashes.retain(|hash| {
            let mut is_any_dirty = false;
            self.index.visit_hash(*hash, &self.segments, |slot| is_any_dirty |= self.is_dirty(slot));
            is_any_dirty
        });
        self.dirty.hashes = hashes;
    }
}
