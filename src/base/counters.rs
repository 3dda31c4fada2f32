//! What is counted. Each group counts under its own lock, and each worker for itself, so that counting shares nothing;
//! `stats` adds them up.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count that one thread moves, and all may read and begin anew. That thread need not keep others from coming between
/// its read and its write: an addition is two plain instructions, and not one that locks a line of the cache.
#[derive(Debug, Default)]
pub struct Count {
    total: AtomicU64,
    /// What `total` was when the count began anew: `total` is written by its own thread alone.
    before: AtomicU64,
}

impl Count {
    /// More of it. For one thread, always the same.
    #[inline]
    pub fn add(&self, more: u64) {
        self.total.store(self.total.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    /// How much there was since the count began.
    pub fn read(&self) -> u64 {
        let before = self.before.load(Ordering::Relaxed);
        self.total.load(Ordering::Relaxed).saturating_sub(before)
    }

    /// Begins anew.
    pub fn reset(&self) {
        self.before.store(self.total.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Makes a struct of counters that can be added up.
macro_rules! counters {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name { $($(#[$field_meta])* pub $field: u64,)* }

        impl std::ops::AddAssign<&$name> for $name {
            fn add_assign(&mut self, other: &$name) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

counters! {
    /// What one group has done since the start or the last `stats reset`; names as in `stats` (PROTOCOL.md section 4).
    #[allow(missing_docs)]
    GroupCounters {
        cmd_get, cmd_set, cmd_flush, cmd_touch,
        get_hits, get_misses, get_expired, get_flushed,
        delete_hits, delete_misses, incr_hits, incr_misses, decr_hits, decr_misses,
        cas_hits, cas_misses, cas_badval, touch_hits, touch_misses,
        store_too_large, store_no_memory,
        total_items,
        /// Items given up for room on the disk.
        evicted,
        /// Items read back from the store.
        cold_reads,
        /// Commands put off because too much was dirty.
        parked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_began_anew_has_what_came_since() {
        let count = Count::default();
        for (more, sum) in [(3, 3), (4, 7)] {
            count.add(more);
            assert_eq!(count.read(), sum);
        }
        count.reset();
        assert_eq!(count.read(), 0);
        count.add(5);
        assert_eq!(count.read(), 5);
    }
}
