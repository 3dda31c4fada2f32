//! Figures as Prometheus reads them: the text format, version 0.0.4.

use std::fmt::{Display, Write as _};

use crate::base::metrics::{BOUNDS_NS, Distribution};

/// The media type of the text.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// Labels of one sample.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// All of it.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    /// Begins a family: all its samples follow.
    pub(super) fn family(&mut self, kind: Kind, name: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {}\n", kind.name());
    }

    /// One sample of the family.
    pub(super) fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.0.push_str(name);
        self.labels(labels, None);
        let _ = writeln!(self.0, " {value}");
    }

    /// A family of one sample.
    pub(super) fn single(&mut self, kind: Kind, name: &str, help: &str, value: impl Display) {
        self.family(kind, name, help);
        self.sample(name, &[], value);
    }

    /// One histogram of the family.
    pub(super) fn histogram(&mut self, name: &str, labels: Labels<'_>, distribution: &Distribution) {
        let mut below = 0;
        for (count, bound_ns) in distribution.counts.iter().zip(BOUNDS_NS) {
            below += count;
            if is_shown(bound_ns) {
                self.bucket(name, labels, &seconds(bound_ns).to_string(), below);
            }
        }
        let count = distribution.count();
        self.bucket(name, labels, "+Inf", count);
        for (suffix, value) in [("_sum", seconds(distribution.sum_ns)), ("_count", count as f64)] {
            self.0.push_str(name);
            self.0.push_str(suffix);
            self.labels(labels, None);
            let _ = writeln!(self.0, " {value}");
        }
    }

    fn bucket(&mut self, name: &str, labels: Labels<'_>, bound: &str, below: u64) {
        let _ = write!(self.0, "{name}_bucket");
        self.labels(labels, Some(("le", bound)));
        let _ = writeln!(self.0, " {below}");
    }

    fn labels(&mut self, labels: Labels<'_>, last: Option<(&str, &str)>) {
        let mut before = '{';
        for (name, value) in labels.iter().copied().chain(last) {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{before}{name}=\"{value}\"");
            before = ',';
        }
        if before == ',' {
            self.0.push('}');
        }
    }
}

/// Half of the bounds go out: 1, 2 and 5 of each decade.
fn is_shown(bound_ns: u64) -> bool {
    let mut leading = bound_ns;
    while leading.is_multiple_of(10) && leading > 0 {
        leading /= 10;
    }
    matches!(leading, 1 | 2 | 5)
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::metrics::Histogram;

    #[test]
    fn families_are_written_as_the_format_has_them() {
        let mut text = Text::default();
        text.single(Kind::Gauge, "a_bytes", "What a is.", 7);
        text.family(Kind::Counter, "b_total", "What b is.");
        text.sample("b_total", &[("c", "x\"y\\z\n"), ("d", "e")], 9);
        let expected = "# HELP a_bytes What a is.\n# TYPE a_bytes gauge\na_bytes 7\n\
                        # HELP b_total What b is.\n# TYPE b_total counter\n\
                        b_total{c=\"x\\\"y\\\\z\\n\",d=\"e\"} 9\n";
        assert_eq!(String::from_utf8(text.into_bytes()).unwrap(), expected);
    }

    #[test]
    fn buckets_add_up_and_end_with_all() {
        let histogram = Histogram::default();
        for ns in [900, 1400, 1900, 20_000_000_000] {
            histogram.record(Duration::from_nanos(ns));
        }
        let mut text = Text::default();
        text.histogram("h_seconds", &[("class", "get")], &histogram.read());
        let text = String::from_utf8(text.into_bytes()).unwrap();
        for line in [
            "h_seconds_bucket{class=\"get\",le=\"0.000001\"} 1",
            "h_seconds_bucket{class=\"get\",le=\"0.000002\"} 3",
            "h_seconds_bucket{class=\"get\",le=\"10\"} 3",
            "h_seconds_bucket{class=\"get\",le=\"+Inf\"} 4",
            "h_seconds_count{class=\"get\"} 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert_eq!(text.matches("_bucket").count(), 3 * 7 + 2, "{text}");
    }
}
