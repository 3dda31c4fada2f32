//! Memory against a model of it, and what eviction, checkpoint and sweep promise.

mod model;
mod promises;

use super::*;
use crate::base::chance::Chance;
use crate::base::effect::Cause;
use crate::base::time::{Deadline, UnixMs};

const PERSISTENT: Options = Options { persistent: true, evicts: true, segment_bytes: 8192 };
const MEMORY_ONLY: Options = Options { persistent: false, ..PERSISTENT };

fn hot(limit: usize, options: Options) -> Hot {
    Hot::new(Arc::new(Budget::new(limit)), options)
}

fn stamp(version: u64) -> Stamp {
    Stamp { now: UnixMs(1_000_000), version: Version(version) }
}

fn put<'a>(value: &'a [u8], version: u64) -> Put<'a> {
    Put {
        cause: Cause::Set,
        value: NewValue::Whole(value),
        client_flags: 0,
        deadline: Deadline::NEVER,
        cas: version,
        marks: Marks::default(),
        base: Version::ZERO,
        delta: 0,
    }
}

fn touch(base: u64, deadline_s: u32, cas: u64) -> Touch {
    let deadline = Deadline::from_seconds(deadline_s);
    Touch { cause: Cause::Touch, deadline, cas, marks: Marks::default(), base: Version(base) }
}

/// A plain set, as a group does it.
fn set(hot: &mut Hot, key: &[u8], value: &[u8], version: u64) -> Result<(), Pressure> {
    if !hot.has_room(key.len(), value.len()) {
        hot.make_room(key.len(), value.len())?;
        assert!(hot.has_room(key.len(), value.len()), "make_room keeps its word");
    }
    hot.put(key, None, &put(value, version), stamp(version));
    Ok(())
}

fn value_of(hot: &Hot, key: &[u8]) -> Option<Vec<u8>> {
    match hot.entry(hot.locate(key)?) {
        Entry::Live(item) => Some(item.value.bytes().to_vec()),
        Entry::Tombstone(_) => None,
    }
}

/// Everything that can be told of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    value: Vec<u8>,
    client_flags: u32,
    deadline: Deadline,
    version: Version,
    cas: u64,
    meta_version: Version,
    marks: Marks,
}

fn facts(item: &Item<'_>) -> Facts {
    Facts {
        value: item.value.bytes().to_vec(),
        client_flags: item.client_flags,
        deadline: item.deadline,
        version: item.version,
        cas: item.cas,
        meta_version: item.meta_version,
        marks: item.marks.and(Marks::STORED),
    }
}

fn item_of(facts: &Facts) -> Item<'_> {
    Item {
        value: Value::Plain(&facts.value),
        client_flags: facts.client_flags,
        deadline: facts.deadline,
        version: facts.version,
        cas: facts.cas,
        meta_version: facts.meta_version,
        marks: facts.marks,
        accessed_s: 0,
    }
}

/// Counts everything anew and compares with the sums that are kept.
fn audit(hot: &Hot) {
    let (mut seen, mut large) = (Tally::default(), 0);
    for number in 0..hot.segments.numbers() {
        let (mut offset, mut live, mut live_bytes, mut clean) = (0, 0, 0, 0);
        while let Some((slot, word)) = hot.segments.step(number, offset) {
            offset += word.bytes() as u32;
            let Some(record) = hot.segments.record(slot) else { continue };
            assert_eq!(hot.locate(record.key), Some(slot), "the index knows every entry");
            let large_bytes = record.body.large().map_or(0, |number| hot.large.cost(number));
            let bytes = word.bytes() + large_bytes;
            let is_tombstone = record.body == Body::Tombstone;
            seen.live += usize::from(!is_tombstone);
            seen.tombstones += usize::from(is_tombstone);
            seen.dirty += usize::from(record.is_dirty);
            seen.dirty_bytes += if record.is_dirty { bytes } else { 0 };
            seen.bytes += bytes;
            let segment = hot.segments.get(number).unwrap();
            seen.small_bytes += if segment.queue == Queue::Small { bytes } else { 0 };
            seen.small_clean += usize::from(segment.queue == Queue::Small && !record.is_dirty);
            clean += usize::from(!record.is_dirty);
            (live, live_bytes, large) = (live + 1, live_bytes + word.bytes() as u32, large + large_bytes);
            let deadline_s = record.deadline.as_seconds();
            assert!(deadline_s == 0 || segment.deadline_min_s <= deadline_s);
            assert!(segment.version_min <= record.version);
        }
        let segment = hot.segments.get(number).unwrap();
        assert_eq!(offset, segment.used, "a segment is walked to its end");
        assert_eq!((live, live_bytes, clean), (segment.live, segment.live_bytes, segment.clean()));
    }
    assert_eq!(format!("{seen:?}"), format!("{:?}", hot.tally));
    assert_eq!(hot.index.len(), seen.live + seen.tombstones);
    let segments = hot.segments.count() * hot.segments.segment_bytes();
    assert_eq!(hot.account.taken(), segments + large + hot.table_bytes);
    let (told, step) = hot.account.dirty_told();
    assert!(
        told.abs_diff(seen.dirty_bytes) < step,
        "{told} bytes are told of {} dirty ones",
        seen.dirty_bytes
    );
    assert!(seen.dirty_bytes > 0 || told == 0, "{told} bytes are told of nothing dirty");
}
