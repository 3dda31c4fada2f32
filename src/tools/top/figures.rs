//! What `larder top` knows of a server: its figures at one moment, and what they say of the time between two.

use std::collections::HashMap;
use std::time::Duration;

/// Counters that together are the requests.
const REQUESTS: &[&str] = &[
    "cmd_get",
    "cmd_set",
    "cmd_touch",
    "delete_hits",
    "delete_misses",
    "incr_hits",
    "incr_misses",
    "decr_hits",
    "decr_misses",
];

/// The figures of a server at one moment.
#[derive(Debug, Default)]
pub(super) struct Sample(HashMap<String, String>);

impl Sample {
    pub(super) fn new(facts: impl IntoIterator<Item = (String, String)>) -> Sample {
        Sample(facts.into_iter().collect())
    }

    /// A figure as text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A figure as a number, if the server tells it.
    pub(super) fn known(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// A figure as a number; 0 if the server does not tell it.
    pub(super) fn number(&self, name: &str) -> u64 {
        self.known(name).unwrap_or(0)
    }
}

/// What happened in a time, for each second of it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) requests: u64,
    pub(super) gets: u64,
    pub(super) sets: u64,
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
    pub(super) evictions: u64,
    pub(super) cold_reads: u64,
    /// Of the gets; `None` when there were none.
    pub(super) hit_percent: Option<f64>,
}

impl Rates {
    /// Between two samples.
    pub(super) fn between(old: &Sample, new: &Sample, time: Duration) -> Rates {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        // A server that was started anew counts from 0.
        let grown = |name: &str| new.number(name).saturating_sub(old.number(name));
        let rate = |name: &str| grown(name).saturating_mul(1000) / ms;
        let requests: u64 = REQUESTS.iter().map(|name| grown(name)).sum();
        let (hits, gets) = (grown("get_hits"), grown("get_hits") + grown("get_misses"));
        Rates {
            requests: requests.saturating_mul(1000) / ms,
            gets: rate("cmd_get"),
            sets: rate("cmd_set"),
            read_bytes: rate("bytes_read"),
            written_bytes: rate("bytes_written"),
            evictions: rate("evictions"),
            cold_reads: rate("cold_reads"),
            hit_percent: (gets > 0).then(|| 100.0 * hits as f64 / gets as f64),
        }
    }

    /// On average since the server's start.
    pub(super) fn since_start(sample: &Sample) -> Rates {
        let time = Duration::from_secs(sample.number("uptime").max(1));
        Rates::between(&Sample::default(), sample, time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(facts: &[(&str, u64)]) -> Sample {
        Sample::new(facts.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())))
    }

    #[test]
    fn rates_are_what_has_grown_in_each_second() {
        let old = sample(&[("cmd_get", 100), ("get_hits", 90), ("get_misses", 10), ("evictions", 9)]);
        let new = sample(&[
            ("cmd_get", 300),
            ("get_hits", 240),
            ("get_misses", 60),
            ("cmd_set", 50),
            ("evictions", 1),
        ]);
        let rates = Rates::between(&old, &new, Duration::from_millis(500));
        let expected =
            Rates { requests: 500, gets: 400, sets: 100, hit_percent: Some(75.0), ..Rates::default() };
        assert_eq!(rates, expected);
        assert_eq!(Rates::between(&new, &new, Duration::ZERO), Rates::default());
    }
}
