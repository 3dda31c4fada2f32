//! The memory tier of one logical group: its items, tombstones and what is newer than the checkpoint.
//!
//! Owns: where entries lie, what is evicted, what is dirty, and the bytes that all this takes of the shared
//! [`Budget`]. It gives values no meaning: whether an item is expired, flushed or the one that a command wants is
//! judged by whoever reads it.
//!
//! May import: `base`.
//!
//! Invariants:
//! * A dirty entry is never dropped for room; only [`Hot::mark_clean`] lets it go (or a sweep that a flush covers).
//! * What is taken stays within the budget, but for what writers that must not fail take: at most an eighth of the
//!   limit, one value of the largest size, and [`HOT_SEGMENTS_FLOOR`] segments a group.
//! * "Absent here" is not "absent" unless [`Hot::is_complete`].
//! * A hit writes at most eight bytes in place. No list, no move, no lock: the caller holds the group's.
//! * After [`Hot::has_room`] or [`Hot::make_room`] the change that it was asked for cannot fail.
//!
//! An entry costs 20 bytes beside key and value (4 to 20 more for client flags, a cas of its own and a changed
//! deadline) and 6.4 to 12.8 in the index. Entries lie packed in segments (`segment`, `entry`); the index (`index`)
//! holds their places alone. `eviction` makes room, `checkpoint` and `sweep` are for those who come by apart from
//! requests. Start reading at [`Hot::put`], then `eviction`.
//!
//! [`HOT_SEGMENTS_FLOOR`]: crate::base::limits::HOT_SEGMENTS_FLOOR

mod budget;
mod checkpoint;
mod dirty;
mod entry;
mod eviction;
mod figures;
mod ghost;
mod index;
mod large;
mod lost;
mod segment;
mod sweep;
mod tally;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

use crate::base::effect::{NewValue, Put, Touch};
use crate::base::item::{Item, Marks, Value};
use crate::base::limits::{HOT_SEGMENT_BYTES_MAX, HOT_SEGMENT_BYTES_MIN, KEY_BYTES_MAX, SHARED_BYTES_MIN};
use crate::base::version::{Stamp, Version};
use budget::Account;
use entry::{Body, Record, Word};
use ghost::Ghosts;
use index::{Index, KeyHasher};
use large::LargeValues;
use segment::{Queue, Segments};
use tally::Tally;

pub use budget::Budget;
pub use dirty::DirtyList;
pub use eviction::Pressure;
pub use figures::Figures;
pub use lost::Lost;
pub use segment::Slot;
pub use sweep::ScanCursor;

/// A segment is at most this part of a group's share, so that two half-filled ones do not eat it.
const SEGMENT_PART: usize = 64;

/// How a group keeps its memory.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether there is a store behind: changes are dirty until a checkpoint has them, and removals leave tombstones.
    pub persistent: bool,
    /// Whether entries may be dropped for room; not with `-M`.
    pub evicts: bool,
    /// The size of a segment, bytes: see [`Options::segment_bytes_for`].
    pub segment_bytes: usize,
}

impl Options {
    /// The segment size that suits `groups` groups in `limit_bytes` of memory.
    pub fn segment_bytes_for(limit_bytes: usize, groups: usize) -> usize {
        let wanted = limit_bytes / groups.max(1) / SEGMENT_PART;
        wanted.clamp(HOT_SEGMENT_BYTES_MIN, HOT_SEGMENT_BYTES_MAX).next_power_of_two()
    }
}

/// What is known here about a key.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// It has this item, which may have expired or been flushed.
    Live(Item<'a>),
    /// It was removed with this version, and the store may not know.
    Tombstone(Version),
}

/// The memory of one group.
#[derive(Debug)]
pub struct Hot {
    options: Options,
    account: Account,
    segments: Segments,
    index: Index,
    large: LargeValues,
    ghosts: Ghosts,
    dirty: DirtyList,
    tally: Tally,
    events: figures::Events,
    /// What was evicted, for watchers; `None` when nobody wants to know.
    lost: Option<Vec<Lost>>,
    is_complete: bool,
    /// What the account was charged for the tables beside the segments, bytes.
    table_bytes: usize,
    /// The last second heard of: what eviction judges deadlines by.
    heard_s: u32,
    /// The segment that the sweep looks at next.
    sweep_at: u32,
    /// Where a value is put together from the one before it.
    scratch: Vec<u8>,
}

impl Hot {
    /// An empty memory. It is not complete: the store may have what is absent here.
    pub fn new(budget: Arc<Budget>, options: Options) -> Hot {
        Hot::with_hasher(budget, options, KeyHasher::masked(u64::MAX))
    }

    fn with_hasher(budget: Arc<Budget>, options: Options, hasher: KeyHasher) -> Hot {
        let bounded = options.segment_bytes.clamp(HOT_SEGMENT_BYTES_MIN, HOT_SEGMENT_BYTES_MAX);
        let segment_bytes = bounded.next_power_of_two();
        Hot {
            options,
            account: Account::open(budget, segment_bytes),
            segments: Segments::new(segment_bytes),
            index: Index::new(hasher),
            large: LargeValues::default(),
            ghosts: Ghosts::default(),
            dirty: DirtyList::default(),
            tally: Tally::default(),
            events: figures::Events::default(),
            lost: None,
            is_complete: false,
            table_bytes: 0,
            heard_s: 0,
            sweep_at: 0,
            scratch: Vec::new(),
        }
    }

    /// Where the entry of `key` lies, if it is here.
    #[inline]
    pub fn locate(&self, key: &[u8]) -> Option<Slot> {
        self.index.find(self.index.hash(key), key, &self.segments)
    }

    /// Has the processor fetch where a look for `key` begins, and does not wait for it. What [`Hot::fetch_entry`] takes.
    #[inline]
    pub fn fetch_bucket(&self, key: &[u8]) -> u64 {
        let hash = self.index.hash(key);
        self.index.fetch_bucket(hash);
        hash
    }

    /// Has it fetch the entry too.
    #[inline]
    pub fn fetch_entry(&self, hash: u64) {
        self.index.fetch_entry(hash, &self.segments);
    }

    /// The entry at a slot that [`Hot::locate`] gave and no change has made invalid.
    #[inline]
    pub fn entry(&self, at: Slot) -> Entry<'_> {
        let record = self.segments.record(at);
        debug_assert!(record.is_some(), "a slot of nothing");
        record.map_or(Entry::Tombstone(Version::ZERO), |record| self.view(&record))
    }

    /// Whether the entry is newer than the checkpoint.
    pub fn is_dirty(&self, at: Slot) -> bool {
        self.segments.word(at).is_some_and(|word| word.has(Word::DIRTY))
    }

    /// Notes that an item was read at `now_s`. The slot stays valid.
    pub fn accessed(&mut self, at: Slot, now_s: u32) {
        entry::note_access(self.segments.at_mut(at), now_s);
    }

    /// Notes that an item was wanted and not read: an `add` that met it. The slot stays valid.
    pub fn used(&mut self, at: Slot) {
        entry::note_use(self.segments.at_mut(at));
    }

    /// Gives `key` a value. `at` is where its entry lies, `None` when that is not known or there is none.
    ///
    /// Cannot fail; who did not ask for room before may take more than the budget has.
    pub fn put(&mut self, key: &[u8], at: Option<Slot>, put: &Put<'_>, stamp: Stamp) {
        if !is_key(key) {
            return;
        }
        self.heard_s = self.heard_s.max(stamp.now.seconds());
        let at = at.or_else(|| self.locate(key));
        let old = self.with_word(at);
        let mut scratch = Vec::new();
        let record = Record {
            key,
            body: self.new_body(at, &put.value, &mut scratch),
            is_dirty: self.options.persistent,
            visits: self.visits_of_new(key, old),
            marks: put.marks,
            accessed_s: stamp.now.seconds(),
            deadline: put.deadline,
            version: stamp.version,
            client_flags: put.client_flags,
            cas: put.cas,
            meta_version: stamp.version,
        };
        self.place(old, &record);
        if scratch.capacity() > 0 {
            self.scratch = scratch;
        }
    }

    /// Changes deadline, cas and marks of the item at `at`, when it still has the version that the touch was based on.
    ///
    /// The entry may grow by what [`Hot::has_room`] asks for: with an item's own sizes asked before, it keeps to the
    /// budget. Cannot fail. The slot is not valid after it.
    pub fn touch(&mut self, at: Slot, touch: &Touch, stamp: Stamp) {
        self.heard_s = self.heard_s.max(stamp.now.seconds());
        let mut scratch = std::mem::take(&mut self.scratch);
        if let Some(old) = self.segments.record(at)
            && old.body != Body::Tombstone
            && old.version == touch.base
        {
            let record = Record {
                is_dirty: self.options.persistent,
                marks: touch.marks.without(Marks::FETCHED).with(old.marks.and(Marks::FETCHED)),
                deadline: touch.deadline,
                cas: touch.cas,
                meta_version: stamp.version,
                ..old.copied_to(&mut scratch)
            };
            self.place(self.with_word(Some(at)), &record);
        }
        self.scratch = scratch;
    }

    /// Says that `key` has no value since `version`. With a store behind, a dirty tombstone says so here until the store
    /// knows. `at` as in [`Hot::put`]. Cannot fail; needs no room when the key has an entry.
    pub fn remove(&mut self, key: &[u8], at: Option<Slot>, version: Version) {
        if !is_key(key) {
            return;
        }
        match at.or_else(|| self.locate(key)) {
            at if self.options.persistent => {
                self.place(self.with_word(at), &Record::tombstone(key, version));
            }
            Some(at) => self.erase(self.index.hash(key), at),
            None => {}
        }
    }

    /// Takes an item that the store has, as it has it, unless there is an entry already. Drops nothing for it: who wants
    /// it here at the cost of others makes room first. Returns whether the key has an entry now; when not, this group
    /// is not complete.
    pub fn admit(&mut self, key: &[u8], item: &Item<'_>) -> bool {
        if self.locate(key).is_some() {
            return true;
        }
        if !is_key(key) || !self.provide(key.len(), item.value.bytes().len()) {
            self.is_complete = false;
            return false;
        }
        let body = match item.value {
            Value::Shared(value) if value.len() >= SHARED_BYTES_MIN => self.keep_large(value.clone()),
            value if value.bytes().len() >= SHARED_BYTES_MIN => {
                self.keep_large(Bytes::copy_from_slice(value.bytes()))
            }
            value => Body::Plain(value.bytes()),
        };
        let record = Record {
            key,
            body,
            is_dirty: false,
            visits: self.visits_of_new(key, None),
            marks: item.marks,
            accessed_s: item.accessed_s,
            deadline: item.deadline,
            version: item.version,
            client_flags: item.client_flags,
            cas: item.cas,
            meta_version: item.meta_version,
        };
        self.place(None, &record);
        true
    }

    /// Whether what is absent here is absent: nothing was dropped and no admission refused since it was set. Always so
    /// without a store behind.
    pub fn is_complete(&self) -> bool {
        self.is_complete || !self.options.persistent
    }

    /// Sets it, after everything in the store was admitted, or clears it.
    pub fn set_complete(&mut self, is_complete: bool) {
        self.is_complete = is_complete;
    }

    #[inline]
    fn view<'a>(&'a self, record: &Record<'a>) -> Entry<'a> {
        let value = match record.body {
            Body::Plain(value) => Value::Plain(value),
            Body::Large(number) => self.large.get(number).map_or(Value::Plain(&[]), Value::Shared),
            Body::Tombstone => return Entry::Tombstone(record.version),
        };
        Entry::Live(Item {
            value,
            client_flags: record.client_flags,
            deadline: record.deadline,
            version: record.version,
            cas: record.cas,
            meta_version: record.meta_version,
            marks: record.marks,
            accessed_s: record.accessed_s,
        })
    }

    /// The value to be written: the bytes where they are, or put together in `scratch`, which is this memory's own for as
    /// long, or kept as a large value.
    fn new_body<'a>(
        &mut self,
        at: Option<Slot>,
        value: &'a NewValue<'_>,
        scratch: &'a mut Vec<u8>,
    ) -> Body<'a> {
        if !matches!(value, NewValue::Whole(_)) {
            *scratch = std::mem::take(&mut self.scratch);
        }
        let needs_old = matches!(value, NewValue::OldThen(_) | NewValue::ThenOld(_));
        let old = match at.filter(|_| needs_old).map(|at| self.entry(at)) {
            Some(Entry::Live(item)) => item.value.bytes(),
            _ => &[],
        };
        let bytes = value.len(old.len());
        if bytes >= SHARED_BYTES_MIN {
            let mut whole = Vec::with_capacity(bytes);
            value.pieces(old).iter().for_each(|piece| whole.extend_from_slice(piece));
            return self.keep_large(Bytes::from(whole));
        }
        match value {
            NewValue::Whole(bytes) => Body::Plain(bytes),
            NewValue::Digits(digits) if digits.more_spaces().is_empty() => Body::Plain(digits.bytes()),
            NewValue::Digits(_) | NewValue::OldThen(_) | NewValue::ThenOld(_) => {
                scratch.clear();
                value.pieces(old).iter().for_each(|piece| scratch.extend_from_slice(piece));
                Body::Plain(scratch)
            }
        }
    }

    /// Whether a key is in memory, or was dropped from it lately (of keys dropped long ago a few are taken for such).
    pub fn knows(&self, key: &[u8]) -> bool {
        self.locate(key).is_some() || self.ghosts.has(self.index.hash(key))
    }

    fn keep_large(&mut self, value: Bytes) -> Body<'static> {
        self.account.take(large::cost(value.len()));
        Body::Large(self.large.add(value))
    }

    /// What a written entry starts with: a write is a visit to what is there, and who was dropped lately is wanted.
    fn visits_of_new(&self, key: &[u8], old: Option<(Slot, Word)>) -> u8 {
        match old {
            Some((_, word)) => (word.visits() + 1).min(Word::VISITS_MAX),
            None => u8::from(self.ghosts.has(self.index.hash(key))),
        }
    }

    /// An entry that is to be written anew, and its word.
    #[inline]
    fn with_word(&self, at: Option<Slot>) -> Option<(Slot, Word)> {
        at.and_then(|at| Some((at, self.segments.word(at)?)))
    }

    /// Writes the entry of a key: in its place when it fits there, else at the end of the small queue.
    fn place(&mut self, old: Option<(Slot, Word)>, record: &Record<'_>) {
        let new = record.word();
        match old {
            Some((at, word)) if word.weighs_like(new) => {
                // What is written again and again keeps its length and is dirty already: no sum changes.
                self.segments.write(at, record, new, new.bytes());
                self.segments.note_bounds(at, record.deadline, record.version);
            }
            _ => self.place_anew(old, record, new),
        }
    }

    /// Writes the entry of a key that has none, or another by weight.
    fn place_anew(&mut self, old: Option<(Slot, Word)>, record: &Record<'_>, new: Word) {
        let hash = self.index.hash(record.key);
        let (was_dirty, slot) = match old {
            None => (false, self.append(hash, record)),
            Some((at, word)) => {
                let room = self.segments.room_at(at);
                self.retire(at, word, record);
                let slot = if new.bytes() <= room {
                    self.segments.write(at, record, new, room);
                    Some(at)
                } else {
                    self.segments.bury(at);
                    self.index.remove(hash, at);
                    self.append(hash, record)
                };
                (word.has(Word::DIRTY), slot)
            }
        };
        let Some(slot) = slot else { return };
        self.count(slot);
        self.segments.note_bounds(slot, record.deadline, record.version);
        if let Some((at, _)) = old {
            self.tidy(self.segments.number_of(at));
        }
        if record.is_dirty && !was_dirty {
            self.list_dirty(hash);
        }
    }

    /// Writes the entry of a key that has none at the end of the small queue.
    fn append(&mut self, hash: u64, record: &Record<'_>) -> Option<Slot> {
        let word = record.word();
        let bytes = word.bytes();
        if self.segments.open_room(Queue::Small) < bytes {
            self.open(Queue::Small);
        }
        let slot = self.segments.extend(Queue::Small, bytes)?;
        self.segments.write(slot, record, word, bytes);
        self.index.insert(hash, slot, &self.segments);
        Some(slot)
    }

    /// Takes an entry out of the sums before `new` is written for its key, and lets its large value go.
    fn retire(&mut self, at: Slot, word: Word, new: &Record<'_>) {
        let old = self.large_at(at, word);
        self.discount(at);
        if let Some(number) = old.filter(|number| new.body.large() != Some(*number)) {
            self.account.give(self.large.remove(number));
        }
    }

    /// Takes an entry out of memory.
    fn erase(&mut self, hash: u64, at: Slot) {
        self.discount(at);
        // Writers wait for what is told: a checkpoint of nothing but tombstones has to be heard of too.
        self.account.tell_dirty(self.tally.dirty_bytes);
        if let Some(number) = self.segments.record(at).and_then(|record| record.body.large()) {
            self.account.give(self.large.remove(number));
        }
        self.segments.bury(at);
        self.index.remove(hash, at);
        self.tidy(self.segments.number_of(at));
    }

    /// After something in a segment has died: frees it when nothing lives there, or notes that it has become sparse.
    fn tidy(&mut self, number: u32) {
        let Some(segment) = self.segments.get(number) else { return };
        match (segment.live, segment.is_open()) {
            (0, true) if segment.used > 0 => self.segments.restart(number),
            (0, false) => {
                self.segments.release(number);
                self.account.give(self.segments.segment_bytes());
            }
            // Where eviction is at work it comes to the rest: to move that elsewhere unjudged would spare the same clean
            // entries in every round.
            (_, false) if segment.is_half_dead() && segment.cursor == 0 => self.segments.note_sparse(number),
            _ => {}
        }
    }
}

/// The codecs and the log's reader let no other keys through; one that came in spite of that would break the layout.
fn is_key(key: &[u8]) -> bool {
    (1..=KEY_BYTES_MAX).contains(&key.len())
}
