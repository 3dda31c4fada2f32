//! Latencies in a log-linear histogram: every power of two is cut into [`STEPS`] equal steps, so a quantile is off
//! by less than one part in [`STEPS`], whatever its size, and recording is an index and an addition.

/// log2 of [`STEPS`].
const STEP_BITS: u32 = 7;
/// Steps per power of two: 128, an error below 0.8 %.
const STEPS: u64 = 1 << STEP_BITS;
/// Enough buckets for every `u64`.
const BUCKETS: usize = ((64 - STEP_BITS as usize) + 1) << STEP_BITS;

/// Counts of values of one unit (the bench records nanoseconds).
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    largest: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, largest: 0 }
    }
}

impl Histogram {
    /// Counts one value.
    pub(crate) fn record(&mut self, value: u64) {
        self.counts[bucket_of(value)] += 1;
        self.total += 1;
        self.largest = self.largest.max(value);
    }

    /// The smallest recorded value that `share` (0 to 1) of all values do not exceed, rounded up to the end of its
    /// step; 0 when nothing was recorded.
    pub(crate) fn quantile(&self, share: f64) -> u64 {
        let rank = ((share * self.total as f64).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return end_of(bucket).min(self.largest);
            }
        }
        0
    }
}

/// Values below [`STEPS`] have a bucket each; above, the leading bits name the bucket.
fn bucket_of(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let shift = value.ilog2() - STEP_BITS;
    ((u64::from(shift) + 1) * STEPS + ((value >> shift) - STEPS)) as usize
}

/// The largest value of a bucket.
fn end_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    let first = (bucket % STEPS + STEPS) << shift;
    first + ((1 << shift) - 1)
}

/// Checks the buckets' edges and the quantiles of a known series; answers what is wrong.
pub(crate) fn check() -> Vec<String> {
    let mut wrong = Vec::new();
    for value in (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]).chain([u64::MAX]) {
        let end = end_of(bucket_of(value));
        if end < value || end - value > value / STEPS {
            wrong.push(format!("histogram: {value} falls into a step that ends at {end}"));
        }
    }
    for bucket in 1..BUCKETS {
        if bucket_of(end_of(bucket)) != bucket || bucket_of(end_of(bucket - 1) + 1) != bucket {
            wrong.push(format!("histogram: bucket {bucket} does not begin where the one before it ends"));
        }
    }
    wrong.extend(check_quantiles());
    wrong
}

fn check_quantiles() -> Vec<String> {
    let mut series = Histogram::default();
    (1..=10_000u64).for_each(|value| series.record(value * 1_000));
    let cases = [(0.0, 1_000), (0.5, 5_000_000), (0.99, 9_900_000), (0.999, 9_990_000), (1.0, 10_000_000)];
    let mut wrong: Vec<String> = cases
        .iter()
        .map(|&(share, exact)| (share, exact, series.quantile(share)))
        .filter(|&(_, exact, found)| found < exact || found - exact > exact / STEPS)
        .map(|(share, exact, found)| {
            format!("histogram: quantile {share} of the series is {exact}, found {found}")
        })
        .collect();
    if Histogram::default().quantile(0.99) != 0 {
        wrong.push("histogram: an empty one must answer 0".to_owned());
    }
    wrong
}
