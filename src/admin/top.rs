//! The keys that are asked for most, by the space-saving method: so many counters, and a key that has none takes over
//! the smallest.

use crate::base::time::UnixMs;

/// Keys that are counted at a time. What has more than one part in so many of all requests is among them.
const KEYS_MAX: usize = 64;
/// A key that was surely met so often stands out.
const SURE_MIN: f64 = 4.0;
/// Counts are halved this often, so that they tell of the last minutes.
const HALVED_MS: u64 = 30_000;

/// The counters.
#[derive(Debug, Default)]
pub(super) struct TopKeys {
    entries: Vec<Counted>,
    /// Requests noted, halved with the counts.
    noted: f64,
    halved: UnixMs,
}

/// A key and how often it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Counted {
    pub(super) key: Box<[u8]>,
    /// At most this often; it had been another key's counter.
    pub(super) count: f64,
    /// So much of the count may be others'.
    pub(super) error: f64,
}

impl TopKeys {
    /// Counts one request for a key.
    pub(super) fn note(&mut self, key: &[u8], now: UnixMs) {
        self.halve(now);
        self.noted += 1.0;
        if let Some(entry) = self.entries.iter_mut().find(|entry| *entry.key == *key) {
            entry.count += 1.0;
            return;
        }
        if self.entries.len() < KEYS_MAX {
            self.entries.push(Counted { key: key.into(), count: 1.0, error: 0.0 });
            return;
        }
        if let Some(least) = self.entries.iter_mut().min_by(|a, b| a.count.total_cmp(&b.count)) {
            *least = Counted { key: key.into(), count: least.count + 1.0, error: least.count };
        }
    }

    fn halve(&mut self, now: UnixMs) {
        let times = now.0.saturating_sub(self.halved.0) / HALVED_MS;
        if times == 0 {
            return;
        }
        let part = 0.5_f64.powi(times.min(64) as i32);
        self.noted *= part;
        for entry in &mut self.entries {
            entry.count *= part;
            entry.error *= part;
        }
        self.entries.retain(|entry| entry.count >= 0.5);
        self.halved = UnixMs(self.halved.0 + times * HALVED_MS);
    }

    /// The counters as of now, and all requests noted.
    pub(super) fn read(&mut self, now: UnixMs) -> (Vec<Counted>, f64) {
        self.halve(now);
        (self.entries.clone(), self.noted)
    }
}

/// Adds up what several have counted: the keys that were surely asked for most, first.
pub(super) fn merged(all: impl IntoIterator<Item = Vec<Counted>>, keys_max: usize) -> Vec<Counted> {
    let mut sum: Vec<Counted> = Vec::new();
    for one in all.into_iter().flatten() {
        match sum.iter_mut().find(|entry| entry.key == one.key) {
            Some(entry) => {
                entry.count += one.count;
                entry.error += one.error;
            }
            None => sum.push(one),
        }
    }
    // What may all be others' says nothing, nor does what chance may have brought.
    sum.retain(|entry| entry.sure() >= SURE_MIN);
    sum.sort_by(|a, b| b.sure().total_cmp(&a.sure()));
    sum.truncate(keys_max);
    sum
}

impl Counted {
    /// At least this often.
    pub(super) fn sure(&self) -> f64 {
        self.count - self.error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_asked_for_often_stays_among_many() {
        let mut top = TopKeys::default();
        for round in 0..20_000_u32 {
            let key = if round.is_multiple_of(10) { "hot".into() } else { format!("k{round}") };
            top.note(key.as_bytes(), UnixMs(1));
        }
        let (counted, noted) = top.read(UnixMs(1));
        assert!(counted.len() <= KEYS_MAX && noted == 20_000.0);
        let hottest = merged([counted], 3);
        assert_eq!(&*hottest[0].key, b"hot");
        assert!((1900.0..=2001.0).contains(&hottest[0].sure()), "{:?}", hottest[0]);
        assert!(hottest.get(1).is_none_or(|next| next.sure() < 20.0), "{hottest:?}");
    }

    #[test]
    fn counts_fade_and_are_forgotten() {
        let mut top = TopKeys::default();
        top.note(b"a", UnixMs(HALVED_MS));
        (0..7).for_each(|_| top.note(b"a", UnixMs(HALVED_MS + 5)));
        for (now, count) in
            [(2 * HALVED_MS - 1, Some(8.0)), (2 * HALVED_MS, Some(4.0)), (900 * HALVED_MS, None)]
        {
            let (counted, _) = top.read(UnixMs(now));
            assert_eq!(counted.first().map(|entry| entry.count), count, "at {now}");
        }
    }

    #[test]
    fn workers_are_added_up() {
        let one = |key: &[u8], count, error| Counted { key: key.into(), count, error };
        let all =
            [vec![one(b"a", 5.0, 0.0), one(b"b", 9.0, 5.5)], vec![one(b"c", 5.0, 1.0), one(b"a", 2.0, 0.0)]];
        let names: Vec<_> = merged(all, 9).into_iter().map(|entry| (entry.key, entry.count)).collect();
        assert_eq!(names, [((*b"a").into(), 7.0), ((*b"c").into(), 5.0)]);
    }
}
