//! What lives in a group, counted where it changes.

use super::Hot;
use super::entry::Word;
use super::segment::{Queue, Slot};

/// Sums over all entries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Entries with a value.
    pub(super) live: usize,
    pub(super) tombstones: usize,
    pub(super) dirty: usize,
    /// Bytes of all entries, large values included.
    pub(super) bytes: usize,
    /// The part of them in the small queue.
    pub(super) small_bytes: usize,
    /// Entries in the small queue that may go: those that are not dirty.
    pub(super) small_clean: usize,
    /// The part of them that is dirty.
    pub(super) dirty_bytes: usize,
}

/// What one entry adds to the sums.
#[derive(Clone, Copy, Debug)]
struct Weight {
    number: u32,
    word: Word,
    large_bytes: usize,
}

impl Weight {
    fn bytes(&self) -> usize {
        self.word.bytes() + self.large_bytes
    }
}

impl Hot {
    fn weigh(&self, slot: Slot) -> Option<Weight> {
        let word = self.segments.word(slot).filter(|word| !word.is_dead())?;
        let large_bytes = match self.large_at(slot, word) {
            Some(number) => self.large.cost(number),
            None => 0,
        };
        Some(Weight { number: self.segments.number_of(slot), word, large_bytes })
    }

    /// The number of the large value of the entry at `slot`, which begins with `word`.
    pub(super) fn large_at(&self, slot: Slot, word: Word) -> Option<u32> {
        word.has(Word::LARGE).then(|| self.segments.record(slot)?.body.large()).flatten()
    }

    /// Adds the entry at `slot` to the sums.
    pub(super) fn count(&mut self, slot: Slot) {
        let Some(weight) = self.weigh(slot) else { return };
        let is_dirty = weight.word.has(Word::DIRTY);
        let is_tombstone = weight.word.has(Word::TOMBSTONE);
        self.tally.live += usize::from(!is_tombstone);
        self.tally.tombstones += usize::from(is_tombstone);
        self.tally.dirty += usize::from(is_dirty);
        self.tally.bytes += weight.bytes();
        self.tally.dirty_bytes += if is_dirty { weight.bytes() } else { 0 };
        let Some(segment) = self.segments.get_mut(weight.number) else { return };
        segment.live += 1;
        segment.live_bytes += weight.word.bytes() as u32;
        segment.large_bytes += weight.large_bytes;
        segment.dirty += u32::from(is_dirty);
        if segment.queue == Queue::Small {
            self.tally.small_bytes += weight.bytes();
            self.tally.small_clean += usize::from(!is_dirty);
        }
        self.account.tell_dirty(self.tally.dirty_bytes);
    }

    /// Takes the entry at `slot` out of the sums; it is about to change or to go.
    pub(super) fn discount(&mut self, slot: Slot) {
        let Some(weight) = self.weigh(slot) else { return };
        let is_dirty = weight.word.has(Word::DIRTY);
        let is_tombstone = weight.word.has(Word::TOMBSTONE);
        self.tally.live -= usize::from(!is_tombstone);
        self.tally.tombstones -= usize::from(is_tombstone);
        self.tally.dirty -= usize::from(is_dirty);
        self.tally.bytes -= weight.bytes();
        self.tally.dirty_bytes -= if is_dirty { weight.bytes() } else { 0 };
        let Some(segment) = self.segments.get_mut(weight.number) else { return };
        segment.live -= 1;
        segment.live_bytes -= weight.word.bytes() as u32;
        segment.large_bytes -= weight.large_bytes;
        segment.dirty -= u32::from(is_dirty);
        if segment.queue == Queue::Small {
            self.tally.small_bytes -= weight.bytes();
            self.tally.small_clean -= usize::from(!is_dirty);
        }
    }

    /// Charges the budget with what the tables beside the segments take now.
    pub(super) fn settle(&mut self) {
        let tables = self.index.bytes()
            + self.segments.table_bytes()
            + self.large.table_bytes()
            + self.ghosts.bytes()
            + self.dirty.bytes()
            + self.scratch.capacity();
        match tables.checked_sub(self.table_bytes) {
            Some(more) => self.account.take(more),
            None => self.account.give(self.table_bytes - tables),
        }
        self.table_bytes = tables;
    }
}
