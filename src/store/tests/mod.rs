//! Tests of the store as a whole, by subject.

mod compaction;
mod crash;
mod damage;
mod deadlines;
mod directory;
mod disk;
mod model;
mod space;
mod transfers;

use super::*;
use crate::base::item::{Marks, Value};
use crate::base::lsn::Lsn;
use crate::base::time::Deadline;
use crate::base::version::Version;

pub(super) const IDENTITY: GroupIdentity =
    GroupIdentity { directory_id: 0xD1CE, group: GroupId(3), group_count: 64 };
pub(super) const OPTIONS: StoreOptions = StoreOptions { cache_bytes: 256 * 1024 };

/// Pseudo-random numbers from a seed (xorshift64*).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 16) % bound
    }
}

/// The seed of this run: `LARDER_SEED` or a fixed one; printed, so that a failure can be run again.
pub(super) fn seed() -> u64 {
    let seed = std::env::var("LARDER_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0x5EED);
    println!("LARDER_SEED={seed}");
    seed
}

/// An item as a model keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) value: Vec<u8>,
    pub(super) deadline_s: u32,
    pub(super) version: u64,
    pub(super) cas: u64,
    pub(super) flags: u32,
    pub(super) marks: u8,
}

impl Kept {
    pub(super) fn new(value: impl Into<Vec<u8>>, version: u64) -> Kept {
        Kept { value: value.into(), deadline_s: 0, version, cas: version, flags: 0, marks: 0 }
    }

    pub(super) fn until(mut self, deadline_s: u32) -> Kept {
        self.deadline_s = deadline_s;
        self
    }

    pub(super) fn item(&self) -> Item<'_> {
        Item {
            value: Value::Plain(&self.value),
            client_flags: self.flags,
            deadline: Deadline::from_seconds(self.deadline_s),
            version: Version(self.version),
            cas: self.cas,
            meta_version: Version(self.version + u64::from(self.marks)),
            marks: Marks(self.marks),
            accessed_s: 0,
        }
    }

    pub(super) fn of(item: &Item<'_>) -> Kept {
        assert_eq!(item.meta_version.0, item.version.0 + u64::from(item.marks.0));
        Kept {
            value: item.value.bytes().to_vec(),
            deadline_s: item.deadline.as_seconds(),
            version: item.version.0,
            cas: item.cas,
            flags: item.client_flags,
            marks: item.marks.0,
        }
    }
}

/// Everything stored, by a scan in small steps.
pub(super) fn contents(store: &Store) -> std::collections::BTreeMap<Vec<u8>, Kept> {
    let mut found = std::collections::BTreeMap::new();
    let mut buffer = RowBuffer::default();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let limits = ScanLimits { items: 7, bytes: 100_000 };
        let resume = store.scan(from, limits, &mut buffer, |key, item| {
            assert!(found.insert(key.to_vec(), Kept::of(&item.unwrap())).is_none());
            true
        });
        after = resume.unwrap().after;
        if after.is_none() {
            return found;
        }
    }
}

pub(super) fn put<'a>(key: &'a str, kept: &'a Kept) -> RowChange<'a> {
    RowChange::Put { key: key.as_bytes(), item: kept.item() }
}

pub(super) fn end(lsn: u64) -> Option<End> {
    Some(End { applied_lsn: Lsn(lsn), flush: Default::default(), version_max: Version(lsn) })
}
