//! Making room: S3-FIFO on segments.
//!
//! What is new is appended to the small queue. When room is wanted, the oldest entries go: of the small queue while it
//! holds more than a tenth of all bytes, else of the main queue. An entry that was visited since, or is dirty, is
//! appended to the main queue instead of being dropped, with its visits counted down, so that each visit buys one
//! more round. A key that comes back soon after it was dropped starts as visited. Dead space is won back first.

use super::Hot;
use super::entry::{self, Word};
use super::large;
use super::segment::{Queue, Segment, Slot};
use crate::base::item::Marks;
use crate::base::limits::{HOT_EFFORT_ENTRIES, HOT_SEGMENTS_FLOOR, SHARED_BYTES_MIN};
use crate::base::time::{Deadline, UnixMs};

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// Too much is newer than the checkpoint: it passes when a checkpoint has been written.
    Dirty,
    /// Other groups have more than their share: it passes when they have given it back.
    Owed,
    /// Nothing may go: eviction is forbidden (`-M`), or the value is larger than what this group can free.
    Full,
}

/// The small queue keeps to this part of all bytes.
const SMALL_PART: usize = 10;
/// After this much more effort than what ends patience with visited entries, one call gives up.
const EFFORT_MAX: usize = 4 * HOT_EFFORT_ENTRIES;
/// Putting a whole segment behind the others costs as much as looking at so many entries.
const REQUEUE_EFFORT: usize = 32;
/// A segment with less than this part dead is not worth moving, whatever is wanted.
const DEAD_PART_MIN: u32 = 8;

impl Hot {
    /// Whether an entry of this size can be written as things are. Cheap.
    pub fn has_room(&self, key_bytes: usize, value_bytes: usize) -> bool {
        self.segments.open_room(Queue::Small) >= entry::bytes_max(key_bytes, value_bytes)
            && !self.index.is_full()
            && self.may_take_large(value_bytes)
    }

    /// Makes [`Hot::has_room`] true, evicting what it must. Slots are not valid after it.
    ///
    /// The work of one call is bounded; after an error the next call goes on where this one ended.
    pub fn make_room(&mut self, key_bytes: usize, value_bytes: usize) -> Result<(), Pressure> {
        self.settle();
        let mut effort = 0;
        while self.account.owes() && effort < HOT_EFFORT_ENTRIES && self.evict_step(&mut effort) {}
        while !self.provide(key_bytes, value_bytes) {
            if !self.evict_step(&mut effort) {
                return Err(self.pressure());
            }
        }
        Ok(())
    }

    /// Gives back what is above this group's fair share while the budget is exceeded, a bounded part per call. Returns
    /// whether there is more to give. For a lowered limit: groups that nobody writes to would keep what they have.
    pub fn trim(&mut self) -> bool {
        self.settle();
        let mut effort = 0;
        while self.account.owes() {
            if effort >= HOT_EFFORT_ENTRIES {
                return true;
            }
            if !self.evict_step(&mut effort) {
                return false;
            }
        }
        false
    }

    fn pressure(&self) -> Pressure {
        match self.options.evicts {
            true if self.tally.dirty > 0 => Pressure::Dirty,
            true if self.account.is_owed() => Pressure::Owed,
            _ => Pressure::Full,
        }
    }

    fn may_take_large(&self, value_bytes: usize) -> bool {
        value_bytes < SHARED_BYTES_MIN || self.account.may_take(large::cost(value_bytes))
    }

    /// Gets what is missing without evicting; `false` when the budget refuses it.
    pub(super) fn provide(&mut self, key_bytes: usize, value_bytes: usize) -> bool {
        if self.index.is_full() && !self.provide_index() {
            return false;
        }
        if self.segments.open_room(Queue::Small) < entry::bytes_max(key_bytes, value_bytes) {
            if !self.may_open() {
                return false;
            }
            self.open(Queue::Small);
        }
        self.may_take_large(value_bytes)
    }

    fn may_open(&self) -> bool {
        !self.segments.is_nearly_exhausted()
            && (self.segments.count() < HOT_SEGMENTS_FLOOR
                || self.account.may_take(self.segments.segment_bytes()))
    }

    fn provide_index(&mut self) -> bool {
        let may_grow =
            self.segments.count() < HOT_SEGMENTS_FLOOR || self.account.may_take(self.index.bytes());
        if may_grow {
            self.index.grow(&self.segments);
            self.settle();
        }
        may_grow
    }

    /// Opens a new segment, whatever the budget says.
    pub(super) fn open(&mut self, queue: Queue) {
        if let Some(sealed) = self.segments.seal(queue) {
            self.tidy(sealed);
        }
        if self.segments.add(queue) {
            self.account.take(self.segments.segment_bytes());
        }
    }

    /// Frees something, or brings it nearer: one entry, or one sparse segment. `false` when nothing can go, or the
    /// effort is spent.
    fn evict_step(&mut self, effort: &mut usize) -> bool {
        if *effort >= EFFORT_MAX {
            return false;
        }
        if let Some(number) = self.segments.take_sparse() {
            *effort += self.compact(number);
            return true;
        }
        if !self.options.evicts || self.tally.bytes == self.tally.dirty_bytes {
            return self.compact_sparsest(effort);
        }
        match self.victim() {
            Some(number) => self.evict_front(number, effort),
            None => return false,
        }
        true
    }

    /// The segment whose entries are to go next: the oldest of the queue whose turn it is, but only where something is
    /// clean. What is dirty throughout would go round for ever while the last clean entries lie in the other queue, or in
    /// a segment that is still being filled.
    fn victim(&mut self) -> Option<u32> {
        let is_small = self.tally.small_bytes * SMALL_PART > self.tally.bytes;
        let order = if is_small { [Queue::Small, Queue::Main] } else { [Queue::Main, Queue::Small] };
        let sealed = order.into_iter().find(|queue| self.clean(*queue) > self.clean_in_open(*queue));
        if let Some(queue) = sealed {
            return self.segments.oldest(queue);
        }
        let queue = order.into_iter().find(|queue| self.clean_in_open(*queue) > 0)?;
        self.segments.seal(queue)
    }

    /// How many entries of a queue may go.
    fn clean(&self, queue: Queue) -> usize {
        let clean = self.tally.live + self.tally.tombstones - self.tally.dirty;
        match queue {
            Queue::Small => self.tally.small_clean,
            Queue::Main => clean - self.tally.small_clean,
        }
    }

    /// How many of them lie in the segment that is being filled.
    fn clean_in_open(&self, queue: Queue) -> usize {
        self.segments.get(self.segments.open(queue)).map_or(0, Segment::clean)
    }

    /// Judges the next entry of a segment, or passes over the segment when nothing in it can go.
    fn evict_front(&mut self, number: u32, effort: &mut usize) {
        *effort += 1;
        let Some(segment) = self.segments.get_mut(number) else { return };
        let (queue, cursor) = (segment.queue, segment.cursor);
        if cursor == 0 && segment.dirty == segment.live && !segment.is_half_dead() {
            *effort += REQUEUE_EFFORT;
            return self.requeue(number);
        }
        let Some((slot, word)) = self.segments.step(number, cursor) else { return self.requeue(number) };
        if let Some(segment) = self.segments.get_mut(number) {
            segment.cursor += word.bytes() as u32;
        }
        if !word.is_dead() {
            self.judge(slot, word, queue, *effort < HOT_EFFORT_ENTRIES);
        }
    }

    /// Puts a segment as it is behind the others of the main queue.
    fn requeue(&mut self, number: u32) {
        let Some(segment) = self.segments.get_mut(number) else { return };
        segment.cursor = 0;
        if segment.queue == Queue::Small {
            self.tally.small_bytes -= segment.live_bytes as usize + segment.large_bytes;
            self.tally.small_clean -= segment.clean();
        }
        self.segments.requeue(number, Queue::Main);
    }

    /// Keeps or drops one of the oldest entries. Without patience only what is dirty is kept.
    fn judge(&mut self, slot: Slot, word: Word, queue: Queue, is_patient: bool) {
        let is_wanted = is_patient && word.visits() > 0 && !self.is_past(slot);
        if !word.has(Word::DIRTY) && !is_wanted {
            return self.drop_for_room(slot, queue);
        }
        let visits = if queue == Queue::Main { word.visits().saturating_sub(1) } else { 0 };
        if let Some(moved) = self.relocate(slot, Queue::Main) {
            word.with_visits(visits).write(self.segments.at_mut(moved));
        }
    }

    /// Whether the deadline of an entry had come at the last moment heard of.
    fn is_past(&self, slot: Slot) -> bool {
        let deadline = self.segments.record(slot).map_or(Deadline::NEVER, |record| record.deadline);
        deadline.has_passed(UnixMs(u64::from(self.heard_s) * 1000))
    }

    fn drop_for_room(&mut self, slot: Slot, queue: Queue) {
        let Some(record) = self.segments.record(slot) else { return };
        let (hash, visits) = (self.index.hash(record.key), record.visits);
        let is_unfetched = !record.marks.has(Marks::FETCHED);
        if self.options.persistent {
            self.events.cooled += 1;
        } else if self.is_past(slot) {
            self.events.reclaimed += 1;
            self.events.expired_unfetched += u64::from(is_unfetched);
        } else {
            self.events.evictions += 1;
            self.events.evicted_unfetched += u64::from(is_unfetched);
            self.events.evicted_active += u64::from(visits > 0);
            self.note_lost(slot);
        }
        self.is_complete = false;
        if queue == Queue::Small {
            self.ghosts.add(hash, self.index.len());
        }
        self.erase(hash, slot);
    }

    /// Moves an entry to the open segment of `queue`. Returns where it is now.
    fn relocate(&mut self, from: Slot, queue: Queue) -> Option<Slot> {
        let hash = self.index.hash(self.segments.key(from)?);
        let record = self.segments.record(from)?;
        let (bytes, deadline, version) = (record.word().bytes(), record.deadline, record.version);
        if self.segments.open_room(queue) < bytes {
            self.open(queue);
        }
        let to = self.segments.copy(from, queue)?;
        self.discount(from);
        self.segments.bury(from);
        self.index.relocate(hash, from, to);
        self.count(to);
        self.segments.note_bounds(to, deadline, version);
        self.tidy(self.segments.number_of(from));
        Some(to)
    }

    /// Moves what lives in a sealed segment together, and frees it. Returns the effort.
    fn compact(&mut self, number: u32) -> usize {
        let Some(segment) = self.segments.get(number) else { return 1 };
        let (queue, mut offset, mut effort) = (segment.queue, segment.cursor, 1);
        while let Some((slot, word)) = self.segments.step(number, offset) {
            offset += word.bytes() as u32;
            if !word.is_dead() {
                effort += 1;
                self.relocate(slot, queue);
            }
        }
        effort
    }

    /// When nothing can be dropped: compacts the segment with the most dead space.
    fn compact_sparsest(&mut self, effort: &mut usize) -> bool {
        *effort += self.segments.count() / 8;
        match self.segments.sparsest() {
            Some((number, dead)) if dead >= self.segments.segment_bytes() as u32 / DEAD_PART_MIN => {
                *effort += self.compact(number);
                true
            }
            _ => false,
        }
    }
}
