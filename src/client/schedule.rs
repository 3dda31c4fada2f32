//! When the map of a cluster is to be fetched again. There is no thread that waits for it: a call that finds it due has
//! a thread fetch it, and the schedule sees to it that there is one at a time.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::base::limits::{CLIENT_MAP_INTERVAL_MS_MIN, CLIENT_MAP_PAUSE_MS};

/// Stands for a moment that never comes.
const NEVER: u64 = u64::MAX;

/// Shared by a client, its servers, which hint at changes, and whoever fetches. Times are milliseconds since it began.
#[derive(Debug)]
pub(super) struct Schedule {
    began: Instant,
    /// Milliseconds between two fetches, about; `None` when there is nothing to follow.
    interval_ms: Option<u64>,
    due_ms: AtomicU64,
    is_fetching: AtomicBool,
}

impl Schedule {
    /// With this interval between two fetches, the first of which comes one interval from now.
    pub(super) fn every(interval: Option<Duration>) -> Schedule {
        let ms = |interval: Duration| u64::try_from(interval.as_millis()).unwrap_or(NEVER);
        let interval_ms = interval.map(|interval| ms(interval).max(CLIENT_MAP_INTERVAL_MS_MIN));
        let due_ms = AtomicU64::new(interval_ms.map_or(NEVER, |interval| spread(interval, random())));
        Schedule { began: Instant::now(), interval_ms, due_ms, is_fetching: AtomicBool::new(false) }
    }

    /// Whether the map is to be fetched now: whoever is told so does it, and ends with [`Schedule::end`].
    pub(super) fn begin(&self) -> bool {
        self.due_ms.load(Ordering::Relaxed) != NEVER && self.begin_at(self.now_ms())
    }

    /// The map was fetched, or could not be.
    pub(super) fn end(&self) {
        self.end_at(self.now_ms(), random());
    }

    /// Something suggests that the map has changed: it is fetched soon.
    pub(super) fn hint(&self) {
        if self.interval_ms.is_some() {
            self.hint_at(self.now_ms(), random());
        }
    }

    /// Any number below `count`.
    pub(super) fn any_of(count: usize) -> usize {
        usize::try_from(random() % count.max(1) as u64).unwrap_or(0)
    }

    fn begin_at(&self, now_ms: u64) -> bool {
        if now_ms < self.due_ms.load(Ordering::Relaxed) || self.is_fetching.swap(true, Ordering::Acquire) {
            return false;
        }
        self.due_ms.store(NEVER, Ordering::Relaxed);
        true
    }

    fn end_at(&self, now_ms: u64, random: u64) {
        if let Some(interval_ms) = self.interval_ms {
            self.bring_forward(now_ms, spread(interval_ms, random));
        }
        self.is_fetching.store(false, Ordering::Release);
    }

    /// What hints come after it began count: a hint during a fetch makes one more.
    fn hint_at(&self, now_ms: u64, random: u64) {
        self.bring_forward(now_ms, spread(CLIENT_MAP_PAUSE_MS, random));
    }

    fn bring_forward(&self, now_ms: u64, wait_ms: u64) {
        self.due_ms.fetch_min(now_ms.saturating_add(wait_ms), Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(NEVER)
    }
}

/// From half of a time to one and a half of it, so that clients which began together do not ask together.
fn spread(time_ms: u64, random: u64) -> u64 {
    (time_ms / 2).saturating_add(random % time_ms.max(1))
}

/// A number that nobody has to guess right: the standard library seeds its hash tables with such.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_is_fetched_by_one_at_a_time_after_each_interval_and_soon_after_a_hint() {
        let schedule = Schedule::every(Some(Duration::from_secs(30)));
        let due = || schedule.due_ms.load(Ordering::Relaxed);
        assert!((15_000..45_000).contains(&due()), "{}", due());
        assert!(!schedule.begin_at(14_999));
        schedule.hint_at(1_000, 7);
        assert_eq!(due(), 1_000 + CLIENT_MAP_PAUSE_MS / 2 + 7);
        schedule.hint_at(2_000, 0);
        assert_eq!(due(), 1_000 + CLIENT_MAP_PAUSE_MS / 2 + 7, "a later hint puts nothing off");
        assert!(!schedule.begin_at(due() - 1) && schedule.begin_at(due()));
        assert!(!schedule.begin_at(60_000), "somebody is at it");
        schedule.hint_at(60_000, 0);
        assert!(!schedule.begin_at(70_000), "somebody still is");
        schedule.end_at(70_000, 0);
        assert!(schedule.begin_at(70_000), "the hint has come meanwhile");
        schedule.end_at(71_000, 14_999);
        assert!(!schedule.begin_at(71_000 + 29_998) && schedule.begin_at(71_000 + 29_999));
    }

    #[test]
    fn a_client_that_follows_nothing_never_fetches() {
        let schedule = Schedule::every(None);
        schedule.hint();
        assert!(!schedule.begin());
        schedule.end();
        assert!(!schedule.begin());
    }

    #[test]
    fn waits_are_spread_around_their_time() {
        for (time, random, expected) in [(1000, 0, 500), (1000, 999, 1499), (1000, 1000, 500), (0, 9, 0)] {
            assert_eq!(spread(time, random), expected);
        }
        assert!(spread(NEVER, NEVER - 1) > NEVER / 2, "nothing overflows");
    }
}
