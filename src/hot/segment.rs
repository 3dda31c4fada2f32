//! Where entries lie: segments, which are blocks of bytes that are filled from the front, and their two queues.
//!
//! Each queue has at most one open segment, which takes what is new; once full it is sealed and linked behind the
//! others. Entries only ever move into open segments, so the order of sealing is the order of age, and a scan that
//! follows it meets every entry.

use prefetch_index::prefetch_index;

use super::entry::{self, GRANULE, Record, Word};
use crate::base::time::Deadline;
use crate::base::version::Version;

/// Where an entry lies, until the next change that may move entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u32);

impl Slot {
    /// A slot of nothing.
    pub(super) const NONE: Slot = Slot(u32::MAX);
}

/// The two queues of S3-FIFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// Of what is new.
    Small,
    /// Of what has proved itself.
    Main,
}

/// A line of the processor's cache, bytes.
const LINE_BYTES: usize = 64;
/// Lines of an entry that are fetched ahead of a look.
const FETCHED_LINES: usize = 3;
/// No segment.
const NONE: u32 = u32::MAX;

/// What is known about the content of one segment.
#[derive(Debug)]
pub(super) struct Segment {
    /// Whether the number is in use.
    is_taken: bool,
    /// How much is filled, bytes.
    pub(super) used: u32,
    /// Where eviction goes on: nothing before lives.
    pub(super) cursor: u32,
    /// Bytes of what lives here.
    pub(super) live_bytes: u32,
    /// How many live here.
    pub(super) live: u32,
    /// How many of them are dirty.
    pub(super) dirty: u32,
    /// No deadline in here comes before.
    pub(super) deadline_min_s: u32,
    /// No value in here is older.
    pub(super) version_min: Version,
    /// Which one it was to be sealed, 0 while it is open.
    pub(super) seal: u64,
    pub(super) queue: Queue,
    /// Bytes of the large values that entries here name.
    pub(super) large_bytes: usize,
    /// Its place in the list of sparse ones.
    sparse_at: u32,
    older: u32,
    newer: u32,
}

impl Segment {
    fn new(is_taken: bool, queue: Queue) -> Segment {
        Segment {
            is_taken,
            used: 0,
            cursor: 0,
            live_bytes: 0,
            live: 0,
            dirty: 0,
            deadline_min_s: u32::MAX,
            version_min: Version(u64::MAX),
            seal: 0,
            queue,
            large_bytes: 0,
            sparse_at: NONE,
            older: NONE,
            newer: NONE,
        }
    }

    /// Whether this number is in use.
    pub(super) fn is_taken(&self) -> bool {
        self.is_taken
    }

    /// Whether new entries go here.
    pub(super) fn is_open(&self) -> bool {
        self.seal == 0
    }

    /// Whether so much of it is dead that moving the rest is worth its space.
    pub(super) fn is_half_dead(&self) -> bool {
        self.live_bytes <= self.used / 2
    }

    /// How many of its entries may go: those that are not dirty.
    pub(super) fn clean(&self) -> usize {
        (self.live - self.dirty) as usize
    }

    /// Forgets the bounds: whoever looks at every entry notes them anew.
    pub(super) fn reset_bounds(&mut self) {
        self.deadline_min_s = u32::MAX;
        self.version_min = Version(u64::MAX);
    }

    /// Lowers the bounds by which sweeps pass over whole segments.
    fn note_bounds(&mut self, deadline: Deadline, version: Version) {
        if !deadline.is_never() {
            self.deadline_min_s = self.deadline_min_s.min(deadline.as_seconds());
        }
        self.version_min = self.version_min.min(version);
    }
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    open: u32,
    oldest: u32,
    newest: u32,
}

/// All segments of one group.
#[derive(Debug)]
pub(super) struct Segments {
    table: Vec<Segment>,
    /// The bytes of each, none while its number is not in use: apart, so that the way to an entry stays in the cache.
    blocks: Vec<Box<[u8]>>,
    free: Vec<u32>,
    segment_bytes: usize,
    /// A slot is a segment number shifted by this, and the granule within the segment.
    shift: u32,
    seals: u64,
    ends: [Ends; 2],
    /// Sealed segments of which half is dead.
    sparse: Vec<u32>,
}

impl Segments {
    /// No segments yet; each will have `segment_bytes`, a power of two.
    pub(super) fn new(segment_bytes: usize) -> Segments {
        let ends = Ends { open: NONE, oldest: NONE, newest: NONE };
        let shift = (segment_bytes / GRANULE).trailing_zeros();
        Segments {
            table: Vec::new(),
            blocks: Vec::new(),
            free: Vec::new(),
            segment_bytes,
            shift,
            seals: 0,
            ends: [ends; 2],
            sparse: Vec::new(),
        }
    }

    /// The size of each, bytes.
    pub(super) fn segment_bytes(&self) -> usize {
        self.segment_bytes
    }

    /// How many are in use.
    pub(super) fn count(&self) -> usize {
        self.table.len() - self.free.len()
    }

    /// How many numbers there are; those not in use are empty.
    pub(super) fn numbers(&self) -> u32 {
        self.table.len() as u32
    }

    /// What the table takes, bytes.
    pub(super) fn table_bytes(&self) -> usize {
        self.table.capacity() * size_of::<Segment>()
            + self.blocks.capacity() * size_of::<Box<[u8]>>()
            + (self.free.capacity() + self.sparse.capacity()) * size_of::<u32>()
    }

    /// Whether slots run out: the last eighth is for what must not fail.
    pub(super) fn is_nearly_exhausted(&self) -> bool {
        let numbers = 1u64 << (32 - self.shift);
        self.count() as u64 >= numbers / 8 * 7
    }

    pub(super) fn get(&self, number: u32) -> Option<&Segment> {
        self.table.get(number as usize)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Segment> {
        self.table.get_mut(number as usize)
    }

    /// The segment that `slot` lies in.
    pub(super) fn number_of(&self, slot: Slot) -> u32 {
        slot.0 >> self.shift
    }

    fn offset_of(&self, slot: Slot) -> usize {
        (slot.0 & ((1 << self.shift) - 1)) as usize * GRANULE
    }

    /// The slot at this byte offset of a segment.
    pub(super) fn slot(&self, number: u32, offset: u32) -> Slot {
        Slot((number << self.shift) | (offset / GRANULE as u32))
    }

    /// The bytes from `slot` to the end of its segment; none for a slot of nothing.
    #[inline]
    pub(super) fn at(&self, slot: Slot) -> &[u8] {
        let block = self.blocks.get(self.number_of(slot) as usize);
        block.and_then(|bytes| bytes.get(self.offset_of(slot)..)).unwrap_or(&[])
    }

    /// Has the processor fetch the first lines from `slot` on: an entry of usual size.
    #[inline]
    pub(super) fn fetch(&self, slot: Slot) {
        let bytes = self.at(slot);
        (0..FETCHED_LINES).for_each(|line| prefetch_index(bytes, line * LINE_BYTES));
    }

    pub(super) fn at_mut(&mut self, slot: Slot) -> &mut [u8] {
        let (number, offset) = (self.number_of(slot), self.offset_of(slot));
        let block = self.blocks.get_mut(number as usize);
        block.and_then(|bytes| bytes.get_mut(offset..)).unwrap_or(&mut [])
    }

    /// The entry at `slot`.
    #[inline]
    pub(super) fn record(&self, slot: Slot) -> Option<Record<'_>> {
        Record::read(self.at(slot))
    }

    /// The key of the entry at `slot`.
    pub(super) fn key(&self, slot: Slot) -> Option<&[u8]> {
        entry::key_of(self.at(slot))
    }

    /// The word at `slot`.
    pub(super) fn word(&self, slot: Slot) -> Option<Word> {
        Word::read(self.at(slot))
    }

    /// What lies in the segment at this offset, and its length; `None` at the end of what is filled.
    pub(super) fn step(&self, number: u32, offset: u32) -> Option<(Slot, Word)> {
        let segment = self.get(number)?;
        if offset >= segment.used {
            return None;
        }
        let slot = self.slot(number, offset);
        let word = self.word(slot)?;
        // A stretch of no length would hold a walk for ever; there is none.
        (word.bytes() > 0).then_some((slot, word))
    }

    /// How much an entry at `slot` may take without moving: its own bytes and the dead stretch behind it.
    pub(super) fn room_at(&self, slot: Slot) -> usize {
        let Some(word) = self.word(slot) else { return 0 };
        let end = self.offset_of(slot) + word.bytes();
        match self.step(self.number_of(slot), end as u32) {
            Some((_, next)) if next.is_dead() => word.bytes() + next.bytes(),
            _ => word.bytes(),
        }
    }

    /// Writes `record`, whose word is `word`, at `slot`, where `room` bytes are free for it; what is left over is dead.
    pub(super) fn write(&mut self, slot: Slot, record: &Record<'_>, word: Word, room: usize) {
        let bytes = word.bytes();
        let to = self.at_mut(slot);
        record.write(word, to);
        if let Some(rest) = to.get_mut(bytes..).filter(|_| bytes < room) {
            Word::dead(room - bytes).write(rest);
        }
    }

    /// Says that nothing lives at `slot` any more.
    pub(super) fn bury(&mut self, slot: Slot) {
        if let Some(word) = self.word(slot) {
            Word::dead(word.bytes()).write(self.at_mut(slot));
        }
    }

    /// How much the open segment of `queue` still takes, bytes.
    pub(super) fn open_room(&self, queue: Queue) -> usize {
        self.get(self.open(queue)).map_or(0, |segment| self.segment_bytes - segment.used as usize)
    }

    /// The number of the open segment of `queue`.
    pub(super) fn open(&self, queue: Queue) -> u32 {
        self.ends[queue as usize].open
    }

    /// Takes `bytes` of the open segment of `queue`; `None` when it has not so many.
    pub(super) fn extend(&mut self, queue: Queue, bytes: usize) -> Option<Slot> {
        if self.open_room(queue) < bytes {
            return None;
        }
        let number = self.open(queue);
        let segment = self.get_mut(number)?;
        let offset = segment.used;
        segment.used += bytes as u32;
        Some(self.slot(number, offset))
    }

    /// Adds an empty open segment to `queue`, whose open one has been sealed; `false` when slots are exhausted.
    pub(super) fn add(&mut self, queue: Queue) -> bool {
        let number = match self.free.pop() {
            Some(number) => number,
            None if (self.table.len() as u64) < (1u64 << (32 - self.shift)) => {
                self.table.push(Segment::new(false, queue));
                self.blocks.push(Box::default());
                self.numbers() - 1
            }
            None => return false,
        };
        self.renew(number, Segment::new(true, queue), vec![0; self.segment_bytes].into_boxed_slice());
        self.ends[queue as usize].open = number;
        true
    }

    /// Links the open segment of `queue` behind the sealed ones. Nothing more is added to it. Returns its number.
    pub(super) fn seal(&mut self, queue: Queue) -> Option<u32> {
        let number = std::mem::replace(&mut self.ends[queue as usize].open, NONE);
        self.seals += 1;
        let seal = self.seals;
        self.get_mut(number)?.seal = seal;
        self.link_newest(number, queue);
        Some(number)
    }

    /// The sealed segment of `queue` that was sealed first.
    pub(super) fn oldest(&self, queue: Queue) -> Option<u32> {
        Some(self.ends[queue as usize].oldest).filter(|number| *number != NONE)
    }

    /// Moves a sealed segment to the new end of `queue` as it is. It keeps its seal: its entries have not moved.
    pub(super) fn requeue(&mut self, number: u32, queue: Queue) {
        self.unlink(number);
        self.link_newest(number, queue);
    }

    /// Gives the memory of a segment back.
    pub(super) fn release(&mut self, number: u32) {
        self.forget_sparse(number);
        let Some(segment) = self.get(number) else { return };
        if segment.is_open() {
            self.ends[segment.queue as usize].open = NONE;
        } else {
            self.unlink(number);
        }
        self.renew(number, Segment::new(false, Queue::Small), Box::default());
        self.free.push(number);
    }

    fn renew(&mut self, number: u32, segment: Segment, bytes: Box<[u8]>) {
        if let (Some(its_segment), Some(its_bytes)) =
            (self.table.get_mut(number as usize), self.blocks.get_mut(number as usize))
        {
            (*its_segment, *its_bytes) = (segment, bytes);
        }
    }

    /// Starts an open segment anew in which nothing lives.
    pub(super) fn restart(&mut self, number: u32) {
        if let Some(segment) = self.get_mut(number) {
            *segment = Segment::new(true, segment.queue);
        }
    }

    fn link_newest(&mut self, number: u32, queue: Queue) {
        let newest = std::mem::replace(&mut self.ends[queue as usize].newest, number);
        match self.get_mut(newest) {
            Some(before) => before.newer = number,
            None => self.ends[queue as usize].oldest = number,
        }
        if let Some(segment) = self.get_mut(number) {
            (segment.older, segment.newer, segment.queue) = (newest, NONE, queue);
        }
    }

    fn unlink(&mut self, number: u32) {
        let Some(segment) = self.get(number) else { return };
        let (older, newer, queue) = (segment.older, segment.newer, segment.queue);
        match self.get_mut(older) {
            Some(before) => before.newer = newer,
            None => self.ends[queue as usize].oldest = newer,
        }
        match self.get_mut(newer) {
            Some(behind) => behind.older = older,
            None => self.ends[queue as usize].newest = older,
        }
    }

    /// Lowers the bounds of the segment of `slot` for an entry there.
    pub(super) fn note_bounds(&mut self, slot: Slot, deadline: Deadline, version: Version) {
        let number = self.number_of(slot);
        if let Some(segment) = self.get_mut(number) {
            segment.note_bounds(deadline, version);
        }
    }

    /// The sealed segments behind this seal, in the order of sealing: seal and number.
    pub(super) fn sealed_after(&self, seal: u64) -> Vec<(u64, u32)> {
        let sealed = |(number, segment): (usize, &Segment)| {
            (segment.is_taken() && segment.seal > seal).then_some((segment.seal, number as u32))
        };
        let mut found: Vec<_> = self.table.iter().enumerate().filter_map(sealed).collect();
        found.sort_unstable();
        found
    }

    /// The open segments.
    pub(super) fn open_numbers(&self) -> [u32; 2] {
        self.ends.map(|ends| ends.open)
    }

    /// The sealed segment with the most dead bytes, and how many.
    pub(super) fn sparsest(&self) -> Option<(u32, u32)> {
        let dead = |(number, segment): (usize, &Segment)| {
            let is_sealed = segment.is_taken() && !segment.is_open();
            is_sealed.then_some((segment.used - segment.live_bytes, number as u32))
        };
        let (dead, number) = self.table.iter().enumerate().filter_map(dead).max()?;
        Some((number, dead))
    }

    /// Notes that half of a sealed segment is dead.
    pub(super) fn note_sparse(&mut self, number: u32) {
        let at = self.sparse.len() as u32;
        if let Some(segment) = self.get_mut(number)
            && segment.sparse_at == NONE
        {
            segment.sparse_at = at;
            self.sparse.push(number);
        }
    }

    /// One segment of which half is dead; it is not named again.
    pub(super) fn take_sparse(&mut self) -> Option<u32> {
        let number = self.sparse.last().copied()?;
        self.forget_sparse(number);
        Some(number)
    }

    fn forget_sparse(&mut self, number: u32) {
        let Some(segment) = self.get_mut(number) else { return };
        let at = std::mem::replace(&mut segment.sparse_at, NONE) as usize;
        if at < self.sparse.len() {
            self.sparse.swap_remove(at);
            let moved = self.sparse.get(at).copied().unwrap_or(NONE);
            if let Some(segment) = self.get_mut(moved) {
                segment.sparse_at = at as u32;
            }
        }
    }

    /// Copies the entry at `from` to the end of the open segment of `queue`; `None` when it does not fit.
    pub(super) fn copy(&mut self, from: Slot, queue: Queue) -> Option<Slot> {
        let bytes = self.word(from)?.bytes();
        let to = self.extend(queue, bytes)?;
        let (source, target) = (self.number_of(from) as usize, self.number_of(to) as usize);
        let (start, end) = (self.offset_of(from), self.offset_of(to));
        let [source, target] = self.blocks.get_disjoint_mut([source, target]).ok()?;
        target.get_mut(end..end + bytes)?.copy_from_slice(source.get(start..start + bytes)?);
        Some(to)
    }
}
