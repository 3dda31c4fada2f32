//! What a group's memory tells about itself.

use super::Hot;

/// What has happened since the start or the last reset; names as in `stats`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Events {
    pub(super) evictions: u64,
    pub(super) evicted_unfetched: u64,
    pub(super) evicted_active: u64,
    pub(super) cooled: u64,
    pub(super) reclaimed: u64,
    pub(super) expired_unfetched: u64,
}

/// The figures of one group, or, added up, of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Items, also those that have expired and were not found yet.
    pub live: u64,
    /// Tombstones.
    pub tombstones: u64,
    /// Entries newer than the checkpoint.
    pub dirty: u64,
    /// What they take, bytes.
    pub dirty_bytes: u64,
    /// What entries and large values take, bytes.
    pub item_bytes: u64,
    /// What is taken of the budget, bytes: segments, large values, tables.
    pub bytes: u64,
    /// Items lost for room; only without a store behind.
    pub evictions: u64,
    /// Those of them that nobody had read.
    pub evicted_unfetched: u64,
    /// Those of them that had been visited not long before.
    pub evicted_active: u64,
    /// Items dropped from memory that the store still has.
    pub cooled: u64,
    /// Expired items dropped; only without a store behind.
    pub reclaimed: u64,
    /// Those of them that nobody had read.
    pub expired_unfetched: u64,
}

impl std::ops::AddAssign<&Figures> for Figures {
    fn add_assign(&mut self, other: &Figures) {
        self.live += other.live;
        self.tombstones += other.tombstones;
        self.dirty += other.dirty;
        self.dirty_bytes += other.dirty_bytes;
        self.item_bytes += other.item_bytes;
        self.bytes += other.bytes;
        self.evictions += other.evictions;
        self.evicted_unfetched += other.evicted_unfetched;
        self.evicted_active += other.evicted_active;
        self.cooled += other.cooled;
        self.reclaimed += other.reclaimed;
        self.expired_unfetched += other.expired_unfetched;
    }
}

impl Hot {
    /// The figures now.
    pub fn figures(&self) -> Figures {
        let (tally, events) = (&self.tally, &self.events);
        Figures {
            live: tally.live as u64,
            tombstones: tally.tombstones as u64,
            dirty: tally.dirty as u64,
            dirty_bytes: tally.dirty_bytes as u64,
            item_bytes: tally.bytes as u64,
            bytes: self.account.taken() as u64,
            evictions: events.evictions,
            evicted_unfetched: events.evicted_unfetched,
            evicted_active: events.evicted_active,
            cooled: events.cooled,
            reclaimed: events.reclaimed,
            expired_unfetched: events.expired_unfetched,
        }
    }

    /// Counts what happens from now on (`stats reset`).
    pub fn reset_events(&mut self) {
        self.events = Events::default();
    }
}
