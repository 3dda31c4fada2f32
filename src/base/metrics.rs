//! Durations that are counted: histograms that any thread may add to and any other may read meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, nanoseconds: six a decade from 1 us to 10 s. What is longer falls into one more bucket.
pub const BOUNDS_NS: [u64; 43] = bounds();
/// Buckets of a histogram.
pub const BUCKETS: usize = BOUNDS_NS.len() + 1;

const fn bounds() -> [u64; 43] {
    const TENTHS: [u64; 6] = [10, 15, 20, 30, 50, 70];
    let mut bounds = [0; 43];
    let (mut at, mut unit_ns) = (0, 100);
    while at < bounds.len() {
        bounds[at] = TENTHS[at % TENTHS.len()] * unit_ns;
        at += 1;
        if at.is_multiple_of(TENTHS.len()) {
            unit_ns *= 10;
        }
    }
    bounds
}

/// How often what took how long. Adding is a few instructions and two additions to memory; those who add from several
/// threads share these cache lines, so that a histogram on a hot path has one owner.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum_ns: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Adds one duration.
    pub fn record(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NS.partition_point(|bound| *bound < ns);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// What was added so far.
    pub fn read(&self) -> Distribution {
        let mut counts = [0; BUCKETS];
        for (count, bucket) in counts.iter_mut().zip(&self.buckets) {
            *count = bucket.load(Ordering::Relaxed);
        }
        Distribution { counts, sum_ns: self.sum_ns.load(Ordering::Relaxed) }
    }
}

/// What a histogram has counted, or several added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// How many lie in each bucket, not in those below it.
    pub counts: [u64; BUCKETS],
    /// All of them together, nanoseconds.
    pub sum_ns: u64,
}

impl Default for Distribution {
    fn default() -> Distribution {
        Distribution { counts: [0; BUCKETS], sum_ns: 0 }
    }
}

impl std::ops::AddAssign<&Distribution> for Distribution {
    fn add_assign(&mut self, other: &Distribution) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
    }
}

impl Distribution {
    /// How many.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What has been added since `earlier` was read.
    #[must_use]
    pub fn since(&self, earlier: &Distribution) -> Distribution {
        let mut since = *self;
        for (count, before) in since.counts.iter_mut().zip(&earlier.counts) {
            *count = count.saturating_sub(*before);
        }
        since.sum_ns = since.sum_ns.saturating_sub(earlier.sum_ns);
        since
    }

    /// How long the fastest `part` (0 to 1) of them took at most, nanoseconds; straight lines within a bucket. `None`
    /// when there are none. What is longer than the last bound counts as that.
    pub fn quantile_ns(&self, part: f64) -> Option<u64> {
        let count = self.count();
        let rank = (part * count as f64).ceil().max(1.0);
        let (mut below, mut lower) = (0_u64, 0_u64);
        for (in_bucket, upper) in self.counts.iter().zip(BOUNDS_NS) {
            let reached = below + in_bucket;
            if *in_bucket > 0 && reached as f64 >= rank {
                let inside = (rank - below as f64) / *in_bucket as f64;
                return Some(lower + ((upper - lower) as f64 * inside) as u64);
            }
            (below, lower) = (reached, upper);
        }
        (count > 0).then_some(lower)
    }
}

/// How long the server's own work takes. Who does it records it, none of it once a request.
#[derive(Debug, Default)]
pub struct Timings {
    /// Writes of the log to its file: one of [`Timings::LOG_WRITES_PER_TIMED`].
    pub log_write: Histogram,
    /// Syncs of the log.
    pub log_sync: Histogram,
    /// Checkpoints of a group.
    pub checkpoint: Histogram,
    /// Reads of the store for a request: one of [`Timings::COLD_READS_PER_TIMED`].
    pub cold_read: Histogram,
    /// Rows that checkpoints wrote or removed.
    pub checkpoint_rows: AtomicU64,
    /// Bytes of keys and values that checkpoints wrote.
    pub checkpoint_bytes: AtomicU64,
}

impl Timings {
    /// A worker writes the log once a turn: so many writes for each that is timed.
    pub const LOG_WRITES_PER_TIMED: u64 = 16;
    /// So many cold reads of a group for each that is timed.
    pub const COLD_READS_PER_TIMED: u64 = 8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_rise_from_a_microsecond_to_ten_seconds() {
        assert!(BOUNDS_NS.windows(2).all(|pair| pair[0] < pair[1]), "{BOUNDS_NS:?}");
        assert_eq!((BOUNDS_NS[0], BOUNDS_NS[42]), (1_000, 10_000_000_000));
    }

    #[test]
    fn a_duration_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        for (ns, bucket) in [(0, 0), (1000, 0), (1001, 1), (1500, 1), (10_000_000_000, 42), (u64::MAX, 43)] {
            let histogram = Histogram::default();
            histogram.record(Duration::from_nanos(ns));
            let read = histogram.read();
            assert_eq!(read.counts.iter().position(|count| *count == 1), Some(bucket), "{ns} ns");
            assert_eq!((read.count(), read.sum_ns), (1, ns));
        }
    }

    #[test]
    fn quantiles_lie_within_the_bucket_that_holds_them() {
        assert_eq!(Distribution::default().quantile_ns(0.5), None);
        let histogram = Histogram::default();
        (0..99).for_each(|_| histogram.record(Duration::from_nanos(4000)));
        let earlier = histogram.read();
        histogram.record(Duration::from_millis(60));
        let all = histogram.read();
        for (part, from, to) in
            [(0.0, 3000, 5000), (0.5, 3000, 5000), (0.99, 3000, 5000), (1.0, 50_000_000, 70_000_000)]
        {
            let ns = all.quantile_ns(part).unwrap();
            assert!((from..=to).contains(&ns), "{part}: {ns}");
        }
        assert_eq!(all.since(&earlier).count(), 1);
        let mut twice = all;
        twice += &all;
        assert_eq!(twice.count(), 200);
        let late = Histogram::default();
        late.record(Duration::from_secs(99));
        assert_eq!(late.read().quantile_ns(0.5), Some(10_000_000_000));
    }
}
