//! Everything that is shown, read once: locks are held one at a time and for a copy only.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::class::{CLASSES, Class};
use super::observed::Recorder;
use crate::base::lsn::GroupId;
use crate::base::metrics::Distribution;
use crate::base::time::{Clock, UnixMs};
use crate::binlog;
use crate::conn::registry::Traffic;
use crate::dispatch::Dispatch;
use crate::group::figures::Figures;

/// What there is to look at once the server is recovered.
pub struct View {
    /// Groups, log, connections, settings.
    pub dispatch: Arc<Dispatch>,
    /// What each worker records.
    pub recorders: Vec<Arc<Recorder>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where clients come in, in words.
    pub addresses: Vec<String>,
}

/// What is known of the server at one moment.
pub(super) struct Snapshot {
    pub(super) at: UnixMs,
    pub(super) groups: Vec<(GroupId, Figures)>,
    pub(super) total: Figures,
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    pub(super) conn_yields: u64,
    pub(super) idle_kicks: u64,
    pub(super) connections: u64,
    /// Requests of each class that were sampled.
    pub(super) latencies: [Distribution; CLASSES],
    pub(super) log: Option<LogFigures>,
    pub(super) timings: TimingFigures,
}

/// The log's figures.
pub(super) struct LogFigures {
    pub(super) state: binlog::State,
    pub(super) safe_lsn: u64,
    pub(super) bytes_max: u64,
    pub(super) figures: binlog::Figures,
}

/// How long the server's own work took.
pub(super) struct TimingFigures {
    pub(super) log_write: Distribution,
    pub(super) log_sync: Distribution,
    pub(super) checkpoint: Distribution,
    pub(super) cold_read: Distribution,
    pub(super) checkpoint_rows: u64,
    pub(super) checkpoint_bytes: u64,
}

impl View {
    /// Reads everything.
    pub(super) fn snapshot(&self) -> Snapshot {
        let dispatch = &self.dispatch;
        let groups: Vec<_> = dispatch.groups.iter().map(|group| (group.id, group.figures())).collect();
        let mut total = Figures::default();
        groups.iter().for_each(|(_, figures)| total += figures);
        let sum = |field: fn(&Traffic) -> u64| dispatch.traffic.iter().map(|traffic| field(traffic)).sum();
        Snapshot {
            at: self.clock.now(),
            groups,
            total,
            received_bytes: sum(|traffic| traffic.bytes_read.read()),
            sent_bytes: sum(|traffic| traffic.bytes_written.read()),
            conn_yields: sum(|traffic| traffic.conn_yields.read()),
            idle_kicks: sum(|traffic| traffic.idle_kicks.read()),
            connections: dispatch.registry.clients() as u64,
            latencies: self.latencies(),
            log: self.log(),
            timings: self.timings(),
        }
    }

    fn latencies(&self) -> [Distribution; CLASSES] {
        let mut sum = [Distribution::default(); CLASSES];
        for recorder in &self.recorders {
            for (sum, (_, histogram)) in sum.iter_mut().zip(recorder.latencies()) {
                *sum += &histogram.read();
            }
        }
        sum
    }

    fn log(&self) -> Option<LogFigures> {
        let log = self.dispatch.shared.log.get()?;
        Some(LogFigures {
            state: log.state(),
            safe_lsn: log.safe_lsn().0,
            bytes_max: log.bytes_max(),
            figures: log.figures(),
        })
    }

    fn timings(&self) -> TimingFigures {
        let timings = &self.dispatch.shared.timings;
        TimingFigures {
            log_write: timings.log_write.read(),
            log_sync: timings.log_sync.read(),
            checkpoint: timings.checkpoint.read(),
            cold_read: timings.cold_read.read(),
            checkpoint_rows: timings.checkpoint_rows.load(Ordering::Relaxed),
            checkpoint_bytes: timings.checkpoint_bytes.load(Ordering::Relaxed),
        }
    }

    /// Why this server cannot do what it is for; `None` when it can.
    pub(super) fn trouble(&self) -> Option<String> {
        match self.dispatch.shared.log.get()?.state() {
            binlog::State::Stopped(reason) => Some(format!("the log has stopped: {reason}")),
            binlog::State::Running | binlog::State::Full => None,
        }
    }
}

impl Snapshot {
    /// The latencies with their classes.
    pub(super) fn by_class(&self) -> impl Iterator<Item = (Class, &Distribution)> {
        Class::ALL.into_iter().zip(&self.latencies)
    }

    /// Commands about keys, those that are counted.
    pub(super) fn commands(&self) -> u64 {
        let counters = &self.total.counters;
        [
            counters.cmd_get,
            counters.cmd_set,
            counters.cmd_touch,
            counters.delete_hits,
            counters.delete_misses,
            counters.incr_hits,
            counters.incr_misses,
            counters.decr_hits,
            counters.decr_misses,
        ]
        .into_iter()
        .sum()
    }
}

/// What the system knows of this process; what it does not tell is left out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_s: f64,
    pub(super) resident_bytes: u64,
    pub(super) open_fds: u64,
}

impl Process {
    /// Asks the system.
    pub(super) fn read() -> Process {
        let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF);
        let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        let cpu_s = usage.map_or(0.0, |usage| seconds(usage.user_time()) + seconds(usage.system_time()));
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = resident.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        let open_fds = std::fs::read_dir("/proc/self/fd").map_or(0, |names| names.count() as u64);
        Process { cpu_s, resident_bytes: kilobytes.unwrap_or(0) * 1024, open_fds }
    }
}
