//! `--disk-limit`: whether the data directory takes more than it may, and what follows for writes.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::compaction::Weight;
use crate::base::fault::Fault;
use crate::base::limits::RESERVE_ROOM_BYTES;
use crate::base::space::{DiskLimit, OnFull};
use crate::base::time::UnixMs;
use crate::store::{Footprint, Seen};

/// How often the disk is looked at.
const LOOK_MS: u64 = 200;
/// Of the limit, sixteenths: from here on files are compacted under pressure, and items are given up.
const PRESSURE_BEGINS: u64 = 15;
/// Items are given up until the files are filled to this part, sixteenths.
const EVICTION_ENDS: u64 = 14;
/// What a commit takes of the disk for each byte that was dirty, before it gives back what it replaces.
const COMMIT_COSTS: u64 = 2;

/// What `stats larder` says of the disk, bytes.
#[derive(Debug, Default)]
pub struct DiskUse {
    /// What the data directory takes.
    pub taken: AtomicU64,
    /// What it may take; 0 before the first look.
    pub limit: AtomicU64,
}

/// How much room there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// Enough.
    #[default]
    Within,
    /// Enough still, and files are compacted under pressure.
    Near,
    /// The limit is passed.
    Over,
}

/// What one look says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) standing: Standing,
    /// What removals have to give back, bytes; 0 under [`OnFull::Refuse`].
    pub(super) surplus: u64,
}

/// The limit of a data directory.
pub struct Limiter {
    footprint: Footprint,
    limit: DiskLimit,
    /// What happens at the limit.
    pub(super) on_full: OnFull,
    last: Mutex<(UnixMs, Judgement)>,
}

/// Judges what was seen; `dirty` bytes of memory are to be written yet. Pure, so that it can be tested.
fn judge(seen: &Seen, weight: Weight, dirty: u64, limit: u64, on_full: OnFull) -> Judgement {
    let taken = seen.beside_groups + weight.allocated;
    // Who gives items up for room does so also when it is others that fill the disk, and before what is dirty fills it.
    let (bound, coming) = match on_full {
        OnFull::Refuse => (limit, 0),
        OnFull::Evict => {
            (limit.min((taken + seen.available).saturating_sub(RESERVE_ROOM_BYTES)), dirty * COMMIT_COSTS)
        }
    };
    let (taken, filled) = (taken + coming, seen.beside_groups + weight.filled + coming);
    let near = bound / 16 * PRESSURE_BEGINS;
    let standing = match taken {
        _ if taken > bound => Standing::Over,
        _ if taken > near => Standing::Near,
        _ => Standing::Within,
    };
    let is_too_full = on_full == OnFull::Evict && filled > near;
    let surplus = if is_too_full { filled - bound / 16 * EVICTION_ENDS } else { 0 };
    Judgement { standing, surplus }
}

impl Limiter {
    /// The limit of the directory that `footprint` looks at.
    pub fn new(footprint: Footprint, limit: DiskLimit, on_full: OnFull) -> Limiter {
        Limiter { footprint, limit, on_full, last: Mutex::default() }
    }

    /// Looks at the disk, unless that was done just now; `dirty` bytes of memory are to be written yet.
    ///
    /// # Errors
    /// `Io` when the disk cannot be asked.
    pub(super) fn look(
        &self,
        now: UnixMs,
        dirty: u64,
        disk_use: &DiskUse,
        weigh: impl FnOnce() -> Weight,
    ) -> Result<Judgement, Fault> {
        let mut last = self.last.lock();
        // Also when the clock was set back.
        if disk_use.limit.load(Ordering::Relaxed) != 0 && now.0.abs_diff(last.0.0) < LOOK_MS {
            return Ok(last.1);
        }
        let (seen, weight) = (self.footprint.look()?, weigh());
        let limit = self.limit.bytes(seen.total).max(1);
        *last = (now, judge(&seen, weight, dirty, limit, self.on_full));
        disk_use.taken.store(seen.beside_groups + weight.allocated, Ordering::Relaxed);
        disk_use.limit.store(limit, Ordering::Relaxed);
        Ok(last.1)
    }

    /// Much has changed: the next look is a new one.
    pub(super) fn look_again(&self) {
        self.last.lock().0 = UnixMs::default();
    }

    /// What the last look said.
    pub(super) fn is_pressed(&self) -> bool {
        self.last.lock().1.standing != Standing::Within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_judged_by_limit_and_room() {
        const MB: u64 = 1 << 20;
        let (refuse, evict) = (OnFull::Refuse, OnFull::Evict);
        for (what, [beside, allocated, filled, available, dirty], on_full, standing, surplus) in [
            ("little", [20, 10, 10, 500, 0], refuse, Standing::Within, 0),
            ("near", [20, 131, 131, 500, 0], refuse, Standing::Near, 0),
            ("over", [20, 141, 141, 500, 0], refuse, Standing::Over, 0),
            ("over with a full disk", [20, 141, 141, 0, 0], refuse, Standing::Over, 0),
            ("others fill the disk", [20, 10, 10, 0, 0], refuse, Standing::Within, 0),
            ("little", [20, 10, 10, 500, 0], evict, Standing::Within, 0),
            ("to be compacted first", [20, 141, 100, 500, 0], evict, Standing::Over, 0),
            ("too full", [20, 141, 135, 500, 0], evict, Standing::Over, 15),
            ("others fill the disk", [20, 100, 100, 0, 0], evict, Standing::Over, 36),
            ("much is to be written", [20, 100, 100, 500, 39], refuse, Standing::Within, 0),
            ("much is to be written", [20, 100, 100, 500, 19], evict, Standing::Near, 18),
            ("more is to be written", [20, 100, 100, 500, 21], evict, Standing::Over, 22),
        ] {
            let seen = Seen { beside_groups: beside * MB, available: available * MB, total: 0 };
            let weight = Weight { allocated: allocated * MB, filled: filled * MB };
            let judgement = judge(&seen, weight, dirty * MB, 160 * MB, on_full);
            let found = (judgement.standing, judgement.surplus / MB);
            assert_eq!(found, (standing, surplus), "{what}, {on_full:?}");
        }
    }
}
