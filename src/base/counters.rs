//! What is counted. Each group counts under its own lock, so that counting shares nothing; `stats` adds them up.

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
