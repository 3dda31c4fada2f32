//! The last minutes as points of plots: rates between two looks, and levels at the second.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::class::Class;
use super::figures::{Process, Snapshot};
use crate::base::limits::{ADMIN_POINT_S, ADMIN_POINTS_MAX};
use crate::base::metrics::Distribution;

/// What a point says, in order. Rates are per second, durations seconds, levels bytes or counts; `null` is unknown.
pub(super) const FIELDS: [&str; 22] = [
    "t_ms",
    "gets",
    "sets",
    "others",
    "hits",
    "misses",
    "cold_reads",
    "p50_s",
    "p95_s",
    "p99_s",
    "memory_bytes",
    "dirty_bytes",
    "log_bytes",
    "checkpoint_rows",
    "checkpoint_busy",
    "received_bytes",
    "sent_bytes",
    "connections",
    "items",
    "sync_p99_s",
    "log_written_bytes",
    "cpu_cores",
];

/// The points, and what the next one is measured from.
#[derive(Default)]
pub(super) struct History {
    points: VecDeque<[Option<f64>; FIELDS.len()]>,
    /// The number of the newest point, from 1.
    newest: u64,
    last: Option<(Snapshot, Process)>,
}

impl History {
    /// Adds a point if it is time for one.
    pub(super) fn note(&mut self, now: Snapshot, memory_bytes: u64, dirty_bytes: u64) {
        let process = Process::read();
        if let Some((before, process_before)) = &self.last {
            let cpu_s = process.cpu_s - process_before.cpu_s;
            if self.points.len() >= ADMIN_POINTS_MAX {
                self.points.pop_front();
            }
            self.points.push_back(point(before, &now, memory_bytes, dirty_bytes, cpu_s));
            self.newest += 1;
        }
        self.last = Some((now, process));
    }

    /// The points behind this number, with the number of the newest.
    pub(super) fn after(&self, number: u64) -> Value {
        let oldest = self.newest - self.points.len() as u64;
        let known = usize::try_from(number.saturating_sub(oldest)).unwrap_or(usize::MAX);
        // Somebody who knows more than there is has seen another process.
        let known = if number > self.newest { 0 } else { known };
        let points: Vec<_> = self.points.iter().skip(known).collect();
        json!({ "fields": FIELDS, "every_s": ADMIN_POINT_S, "most": ADMIN_POINTS_MAX, "newest": self.newest, "values": points })
    }
}

fn point(
    before: &Snapshot,
    now: &Snapshot,
    memory_bytes: u64,
    dirty_bytes: u64,
    cpu_s: f64,
) -> [Option<f64>; FIELDS.len()] {
    let seconds = (now.at.0.saturating_sub(before.at.0) as f64 / 1000.0).max(0.001);
    // A counter that has fallen was reset: it has counted from 0 since.
    let rate = |field: fn(&Snapshot) -> u64| {
        let (before, now) = (field(before), field(now));
        Some(if now < before { now } else { now - before } as f64 / seconds)
    };
    let took = |snapshot: &Snapshot| {
        let mut sum = Distribution::default();
        snapshot.by_class().filter(|(class, _)| *class != Class::Other).for_each(|(_, took)| sum += took);
        sum
    };
    let latencies = took(now).since(&took(before));
    let quantile = |took: &Distribution, part| took.quantile_ns(part).map(|ns| ns as f64 / 1e9);
    let syncs = now.timings.log_sync.since(&before.timings.log_sync);
    let checkpoints = now.timings.checkpoint.since(&before.timings.checkpoint);
    [
        Some(now.at.0 as f64),
        rate(|snapshot| snapshot.total.counters.cmd_get),
        rate(|snapshot| snapshot.total.counters.cmd_set),
        rate(|snapshot| {
            let counters = &snapshot.total.counters;
            snapshot.commands() - counters.cmd_get - counters.cmd_set
        }),
        rate(|snapshot| snapshot.total.counters.get_hits),
        rate(|snapshot| snapshot.total.counters.get_misses),
        rate(|snapshot| snapshot.total.counters.cold_reads),
        quantile(&latencies, 0.5),
        quantile(&latencies, 0.95),
        quantile(&latencies, 0.99),
        Some(memory_bytes as f64),
        Some(dirty_bytes as f64),
        now.log.as_ref().map(|log| log.figures.used_bytes as f64),
        rate(|snapshot| snapshot.timings.checkpoint_rows),
        Some(checkpoints.sum_ns as f64 / 1e9 / seconds),
        rate(|snapshot| snapshot.received_bytes),
        rate(|snapshot| snapshot.sent_bytes),
        Some(now.connections as f64),
        Some(now.total.items as f64),
        quantile(&syncs, 0.99),
        rate(|snapshot| snapshot.log.as_ref().map_or(0, |log| log.figures.written_bytes)),
        Some(cpu_s / seconds),
    ]
}
