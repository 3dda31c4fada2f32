//! Which slot a key lies in: a hash table of slots alone. Keys and hashes are read back from the segments.
//!
//! A bucket is one line of the processor's cache and holds what a look needs: eight bits of the hash of each key, the
//! tags, and the slots. So a look waits for memory twice, for the bucket and for the entry. A key stands in the bucket
//! that its hash names, or, when that was full, in the next one with room; each bucket counts the keys that went past
//! it, so that a look ends at the first bucket that none did, and removing leaves nothing behind.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use prefetch_index::prefetch_index;

use super::segment::{Segments, Slot};
use crate::base::search::places_in_sixteen;

/// Slots in one bucket: with their tags and the count they fill its line.
const BUCKET_SLOTS: usize = 12;
/// Of them so many are in use, on average, when the table is full: more, and too many keys go past their bucket.
const BUCKET_SLOTS_FULL: usize = 10;
/// The tag of a place that is free. No key has it.
const FREE: u8 = 0;

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

    #[inline]
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

/// What stands in one line of the cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket {
    tags: [u8; BUCKET_SLOTS],
    /// Keys that stand in a later bucket because this one was full when they came.
    passed: u32,
    slots: [Slot; BUCKET_SLOTS],
}

const _: () = assert!(size_of::<Bucket>() == 64, "a bucket is one line");

impl Bucket {
    const EMPTY: Bucket = Bucket { tags: [FREE; BUCKET_SLOTS], passed: 0, slots: [Slot::NONE; BUCKET_SLOTS] };

    /// The places whose tag is `tag`, the first ones first.
    #[inline]
    fn places(&self, tag: u8) -> Places {
        let mut tags = [0; 16];
        tags[..BUCKET_SLOTS].copy_from_slice(&self.tags);
        Places(places_in_sixteen(tag, &tags) & ((1 << BUCKET_SLOTS) - 1))
    }

    #[inline]
    fn slot(&self, place: usize) -> Slot {
        self.slots.get(place).copied().unwrap_or(Slot::NONE)
    }

    fn set(&mut self, place: usize, tag: u8, slot: Slot) {
        if let (Some(its_tag), Some(its_slot)) = (self.tags.get_mut(place), self.slots.get_mut(place)) {
            (*its_tag, *its_slot) = (tag, slot);
        }
    }
}

/// Places in a bucket: a bit for each.
struct Places(u32);

impl Iterator for Places {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let place = (self.0 != 0).then(|| self.0.trailing_zeros() as usize)?;
        self.0 &= self.0 - 1;
        Some(place)
    }
}

/// Key to slot.
#[derive(Debug)]
pub(super) struct Index {
    /// None, or a power of two of them.
    buckets: Vec<Bucket>,
    len: usize,
    hasher: KeyHasher,
}

impl Index {
    pub(super) fn new(hasher: KeyHasher) -> Index {
        Index { buckets: Vec::new(), len: 0, hasher }
    }

    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// What the table takes, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
    }

    /// Whether one more entry makes the table grow.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.len >= self.buckets.len() * BUCKET_SLOTS_FULL
    }

    /// Doubles the table. Reads every key: some milliseconds for 100,000 entries.
    pub(super) fn grow(&mut self, segments: &Segments) {
        self.rebuild((self.buckets.len() * 2).max(1), segments);
    }

    /// Gives back what a table much too large takes.
    pub(super) fn shrink(&mut self, segments: &Segments) {
        let wanted = (self.len * 2).div_ceil(BUCKET_SLOTS_FULL).next_power_of_two();
        if wanted * 4 <= self.buckets.len() {
            self.rebuild(wanted, segments);
        }
    }

    fn rebuild(&mut self, buckets: usize, segments: &Segments) {
        let old = std::mem::replace(&mut self.buckets, vec![Bucket::EMPTY; buckets]);
        for bucket in &old {
            for (tag, slot) in bucket.tags.iter().zip(bucket.slots) {
                if *tag != FREE {
                    self.add(self.hasher.hash_at(slot, segments), slot);
                }
            }
        }
    }

    /// The slot of `key`.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8], segments: &Segments) -> Option<Slot> {
        let (bucket, place) = self.walk(hash, |slot| segments.key(slot) == Some(key))?;
        Some(self.buckets.get(bucket)?.slot(place))
    }

    /// Has the processor fetch the bucket that a look for a key of this hash begins with, and does not wait for it.
    #[inline]
    pub(super) fn fetch_bucket(&self, hash: u64) {
        if let Some(bucket) = self.way(hash).next() {
            prefetch_index(&self.buckets, bucket);
        }
    }

    /// Has it fetch the entry that the bucket names: best when [`Index::fetch_bucket`] was called a while ago.
    #[inline]
    pub(super) fn fetch_entry(&self, hash: u64, segments: &Segments) {
        let bucket = self.way(hash).next().and_then(|at| self.buckets.get(at));
        let slot = bucket.and_then(|bucket| Some(bucket.slot(bucket.places(tag_of(hash)).next()?)));
        segments.fetch(slot.unwrap_or(Slot::NONE));
    }

    /// Shows all slots whose keys have this hash.
    pub(super) fn visit_hash(&self, hash: u64, segments: &Segments, mut visit: impl FnMut(Slot)) {
        self.walk(hash, |slot| {
            if self.hasher.hash_at(slot, segments) == hash {
                visit(slot);
            }
            false
        });
    }

    /// Adds a key that is not there.
    pub(super) fn insert(&mut self, hash: u64, slot: Slot, segments: &Segments) {
        if self.is_full() {
            self.grow(segments);
        }
        self.len += 1;
        self.add(hash, slot);
    }

    /// Says that an entry has moved.
    pub(super) fn relocate(&mut self, hash: u64, from: Slot, to: Slot) {
        if let Some((at, place)) = self.walk(hash, |slot| slot == from)
            && let Some(bucket) = self.buckets.get_mut(at)
        {
            bucket.set(place, tag_of(hash), to);
        }
    }

    /// Forgets an entry.
    pub(super) fn remove(&mut self, hash: u64, slot: Slot) {
        let Some((end, place)) = self.walk(hash, |found| found == slot) else { return };
        self.len -= 1;
        for at in self.way(hash) {
            let Some(bucket) = self.buckets.get_mut(at) else { return };
            if at == end {
                return bucket.set(place, FREE, Slot::NONE);
            }
            bucket.passed -= 1;
        }
    }

    /// Puts a slot into the first bucket of its way that has room, of which there is one.
    fn add(&mut self, hash: u64, slot: Slot) {
        for at in self.way(hash) {
            let Some(bucket) = self.buckets.get_mut(at) else { return };
            if let Some(place) = bucket.places(FREE).next() {
                return bucket.set(place, tag_of(hash), slot);
            }
            bucket.passed += 1;
        }
    }

    /// Goes through what a key of this hash may be, until `is_it` says so: the number of the bucket and the place in it.
    #[inline]
    fn walk(&self, hash: u64, mut is_it: impl FnMut(Slot) -> bool) -> Option<(usize, usize)> {
        for at in self.way(hash) {
            let bucket = self.buckets.get(at)?;
            if let Some(place) = bucket.places(tag_of(hash)).find(|place| is_it(bucket.slot(*place))) {
                return Some((at, place));
            }
            if bucket.passed == 0 {
                break;
            }
        }
        None
    }

    /// The numbers of all buckets in the order in which a key of this hash tries them.
    #[inline]
    fn way(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let buckets = self.buckets.len();
        (0..buckets).map(move |step| (hash as usize).wrapping_add(step) & (buckets - 1))
    }
}

/// Bits of the hash that do not name the bucket, and never [`FREE`].
#[inline]
fn tag_of(hash: u64) -> u8 {
    ((hash >> 56) as u8).max(FREE + 1)
}

#[cfg(test)]
mod tests {
    use super::super::segment::Queue;
    use super::*;
    use crate::base::limits::HOT_SEGMENT_BYTES_MIN;

    /// More keys want a bucket than it holds, and the one behind it too.
    #[test]
    fn whoever_went_past_full_buckets_is_found_and_leaves_nothing_behind() {
        let mut segments = Segments::new(HOT_SEGMENT_BYTES_MIN);
        segments.add(Queue::Small);
        let mut index = Index::new(KeyHasher::masked(u64::MAX));
        index.rebuild(8, &segments);
        let keys: Vec<(u64, Slot)> = (0..40)
            .map(|number| ((number % 3) | ((number % 2) << 56), segments.slot(0, number as u32 * 4)))
            .collect();
        let has =
            |index: &Index, (hash, slot): (u64, Slot)| index.walk(hash, |found| found == slot).is_some();
        for (at, (hash, slot)) in keys.iter().enumerate() {
            index.insert(*hash, *slot, &segments);
            assert!(keys.iter().enumerate().all(|(other, key)| has(&index, *key) == (other <= at)));
        }
        let moved = segments.slot(0, 4000);
        index.relocate(keys[39].0, keys[39].1, moved);
        assert!(has(&index, (keys[39].0, moved)) && !has(&index, keys[39]));
        index.relocate(keys[39].0, moved, keys[39].1);
        for (at, (hash, slot)) in keys.iter().enumerate() {
            index.remove(*hash, *slot);
            assert!(keys.iter().enumerate().all(|(other, key)| has(&index, *key) == (other > at)));
        }
        assert_eq!(index.len(), 0);
        assert!(index.buckets.iter().all(|bucket| bucket.passed == 0 && bucket.tags == [FREE; BUCKET_SLOTS]));
    }
}
