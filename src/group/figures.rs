//! What `stats` adds up over the groups.

use std::time::Instant;

use super::group::Group;
use crate::base::counters::GroupCounters;
use crate::base::fault::Fault;
use crate::base::item::Item;
use crate::base::metrics::Timings;
use crate::hot;
use crate::store::RowBuffer;

/// The figures of one group, or of several added up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// What it has done.
    pub counters: GroupCounters,
    /// What its memory holds.
    pub hot: hot::Figures,
    /// Items stored, in memory or on disk: exact when the group is complete, else see `stored.rs`.
    pub items: u64,
    /// What they take in memory when the group is complete, else the bytes of their keys and values.
    pub item_bytes: u64,
    /// Rows in the store.
    pub rows: u64,
    /// The bytes of their keys and values.
    pub payload_bytes: u64,
    /// 1 when everything of the group is in memory.
    pub complete_groups: u64,
}

impl std::ops::AddAssign<&Figures> for Figures {
    fn add_assign(&mut self, other: &Figures) {
        self.counters += &other.counters;
        self.hot += &other.hot;
        self.items += other.items;
        self.item_bytes += other.item_bytes;
        self.rows += other.rows;
        self.payload_bytes += other.payload_bytes;
        self.complete_groups += other.complete_groups;
    }
}

impl Group {
    /// Whether anything is stored, also what has expired and not been removed yet.
    pub fn has_items(&self) -> bool {
        let figures = self.figures();
        figures.items > 0 || figures.rows > 0
    }

    /// The figures now.
    pub fn figures(&self) -> Figures {
        let core = self.core.lock();
        let mut hot = since(core.hot.figures(), &core.counted_from);
        hot.evictions += core.counters.evicted;
        let state = self.store.as_ref().map(|store| store.state()).unwrap_or_default();
        let is_complete = core.hot.is_complete();
        let counters = core.counters;
        drop(core);
        let (items, item_bytes) = match &self.store {
            Some(store) if !is_complete => self.stored_now(store),
            _ => (hot.live, hot.item_bytes),
        };
        Figures {
            counters,
            hot,
            items,
            item_bytes,
            rows: state.rows,
            payload_bytes: state.payload_bytes,
            complete_groups: u64::from(is_complete),
        }
    }
}

impl Group {
    /// What the store has of a key, whatever memory says: for tests and tools.
    pub fn read_stored<'b>(&self, key: &[u8], row: &'b mut RowBuffer) -> Result<Option<Item<'b>>, Fault> {
        self.store.as_ref().map_or(Ok(None), |store| store.read(key, row))
    }
}

impl super::group::Core {
    /// When the cold read that was just counted begins, if it is one of those that are timed.
    pub(super) fn cold_read_to_time(&self) -> Option<Instant> {
        self.counters.cold_reads.is_multiple_of(Timings::COLD_READS_PER_TIMED).then(Instant::now)
    }

    /// How many entries have been dropped from memory: as long as it stays the same, nothing that was here is gone.
    pub(super) fn drops(&self) -> u64 {
        let figures = self.hot.figures();
        figures.cooled + figures.evictions
    }
}

/// The figures with the events of before left out.
fn since(now: hot::Figures, from: &hot::Figures) -> hot::Figures {
    hot::Figures {
        evictions: now.evictions - from.evictions,
        evicted_unfetched: now.evicted_unfetched - from.evicted_unfetched,
        evicted_active: now.evicted_active - from.evicted_active,
        cooled: now.cooled - from.cooled,
        reclaimed: now.reclaimed - from.reclaimed,
        expired_unfetched: now.expired_unfetched - from.expired_unfetched,
        ..now
    }
}
