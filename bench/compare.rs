//! The comparison: every row's entrants in turn, A B C A B C ..., each run with a server started for it alone. What
//! disturbs the machine for a while then falls on all of them, and the median leaves it out.

use crate::cluster;
use crate::dialect::Check;
use crate::load::{Limit, Load, Part, Tally, Target};
use crate::peers::{self, Cores, Launch, Programs, Running};
use crate::rows::{Entrant, Figure, Plan, Row};
use crate::workload::{Pace, Workload};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// How long a server may still work on what it was given before a measured run and after it.
const REST_AT_MOST: Duration = Duration::from_secs(30);
/// Connections that the keys are stored over.
const PRELOAD_CONNECTIONS: usize = 50;
const PRELOAD_SEED: u64 = 11;
const WARM_UP_SEED: u64 = 12;
/// Another than the warm-up's, so that the measured part asks for other keys.
pub(crate) const MEASURED_SEED: u64 = 13;

/// How the rows are run.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) programs: Programs,
    pub(crate) cores: Cores,
    /// Where the servers' directories are made.
    pub(crate) data_root: PathBuf,
    /// Runs of each entrant.
    pub(crate) runs: usize,
    /// The measured part of a steady run.
    pub(crate) limit: Limit,
    /// The part before it that is not counted.
    pub(crate) warm_up: Limit,
}

/// What one run of one entrant showed.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) tally: Tally,
    /// Of the load beside it, which costs the server its part.
    requests_beside: u64,
    connections: usize,
    keys: u64,
    /// Of the server: with its load, and what it went on doing of its own accord afterwards.
    cpu: Duration,
    /// Of the server: while the load lasted.
    cpu_under_load: Duration,
    user_share: f64,
    /// Growth of resident memory by the connections, and by the keys where storing them is what is measured.
    connections_bytes: u64,
    items_bytes: u64,
}

impl Sample {
    /// A figure of this run.
    pub(crate) fn figure(&self, figure: Figure) -> f64 {
        let seconds = self.tally.elapsed.as_secs_f64();
        match figure {
            Figure::CpuPerRequest => {
                self.cpu.as_secs_f64() * 1e6 / (self.tally.requests + self.requests_beside) as f64
            }
            Figure::RequestsPerSecond => self.tally.requests as f64 / seconds,
            Figure::KeysPerSecond => self.tally.keys as f64 / seconds,
            Figure::P50 => self.latency_us(0.5),
            Figure::P99 => self.latency_us(0.99),
            Figure::P999 => self.latency_us(0.999),
            Figure::BytesPerItem => self.items_bytes as f64 / self.keys as f64,
            Figure::BytesPerConnection => self.connections_bytes as f64 / self.connections as f64,
        }
    }

    /// A quantile of the latency, in microseconds.
    fn latency_us(&self, share: f64) -> f64 {
        self.tally.latency.quantile(share) as f64 / 1e3
    }

    /// How late the generator sent, in microseconds: 99 of 100 requests no later. Nothing in a closed loop.
    pub(crate) fn lateness_us(&self) -> f64 {
        self.tally.lateness.quantile(0.99) as f64 / 1e3
    }

    /// The part of the server's CPU time in user mode, 0 to 1.
    pub(crate) fn user_share(&self) -> f64 {
        self.user_share
    }

    /// Cores that the server kept busy under the load, and the generator.
    pub(crate) fn busy(&self) -> [f64; 2] {
        let seconds = self.tally.elapsed.as_secs_f64();
        [self.cpu_under_load, self.tally.generator_cpu].map(|cpu| cpu.as_secs_f64() / seconds)
    }
}

/// Median, least and greatest of several runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

impl Spread {
    /// Of at least one value; of none it is all zeros.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(least), Some(greatest)) = (sorted.first(), sorted.last()) else {
            return Self { median: 0.0, least: 0.0, greatest: 0.0 };
        };
        let median = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Self { median, least: *least, greatest: *greatest }
    }
}

/// All runs of one entrant, or why there are none.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) entrant: &'static Entrant,
    pub(crate) outcome: Result<Vec<Sample>, Absence>,
}

/// Why an entrant has no figures.
#[derive(Clone, Debug)]
pub(crate) enum Absence {
    /// Its program is not there, or cannot do what the row asks for.
    Skipped(String),
    /// It was started, and failed.
    Failed(String),
}

impl Entry {
    /// The spread of a figure over the runs.
    pub(crate) fn spread(&self, of: impl Fn(&Sample) -> f64) -> Option<Spread> {
        self.outcome.as_ref().ok().map(|samples| Spread::of(samples.iter().map(of)))
    }

    /// Wrong replies and misses of all runs. With every key stored beforehand there should be none of either.
    pub(crate) fn unclean(&self) -> (u64, u64) {
        let samples = self.outcome.as_deref().unwrap_or_default();
        let sum = |of: fn(&Tally) -> u64| samples.iter().map(|sample| of(&sample.tally)).sum();
        (sum(|tally| tally.errors), sum(|tally| tally.misses))
    }
}

/// A row with what its entrants showed.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) row: &'static Row,
    pub(crate) entries: Vec<Entry>,
}

impl Course {
    /// Runs a row. An entrant that cannot start or that fails leaves the row; the others go on.
    pub(crate) fn run(&self, row: &'static Row) -> Finding {
        let cores = if row.shares_cores { self.cores.shared() } else { self.cores.clone() };
        cores.take_place();
        let mut entries: Vec<Entry> = row.entrants.iter().filter_map(|entrant| self.enter(entrant)).collect();
        for run in 1..=self.runs {
            for entry in &mut entries {
                let Ok(samples) = &mut entry.outcome else { continue };
                match self.measure(row, entry.entrant, &cores) {
                    Ok(sample) => {
                        progress(row, entry.entrant, run, self.runs, &sample);
                        samples.push(sample);
                    }
                    Err(error) => entry.outcome = Err(Absence::Failed(error.to_string())),
                }
            }
        }
        entries.iter().for_each(|entry| explain_absence(row, entry));
        Finding { row, entries }
    }

    /// Whether an entrant can take part. One that is optional is not even missed.
    fn enter(&self, entrant: &'static Entrant) -> Option<Entry> {
        let found = match self.programs.find(entrant.server) {
            Err(_) if entrant.server.is_optional() => return None,
            Ok(program) if entrant.is_tls => peers::lacks_tls(&program).map_or(Ok(()), Err),
            other => other.map(|_| ()),
        };
        let outcome = found.map(|()| Vec::new()).map_err(Absence::Skipped);
        Some(Entry { entrant, outcome })
    }

    fn measure(&self, row: &Row, entrant: &Entrant, cores: &Cores) -> io::Result<Sample> {
        let server = entrant.server;
        let program = self.programs.find(server).map_err(io::Error::other)?;
        let (flags, is_tls, data_root) = (entrant.flags, entrant.is_tls, &self.data_root);
        let launch = Launch { server, program: &program, flags, is_tls, data_root, cores };
        let (running, _plan) = match entrant.asked {
            None => (peers::start(&launch)?, None),
            Some(asked) => cluster::start(&launch, asked).map(|(running, plan)| (running, Some(plan)))?,
        };
        let target = running.target(entrant.dialect.unwrap_or(server.dialect()), server.check());
        let workload = entrant.workload.unwrap_or(row.workload);
        match row.plan {
            Plan::Steady { preloads } => {
                self.steady(&running, &target, &Both { workload, beside: entrant.beside, preloads })
            }
            Plan::Fill => fill(running, &target, &workload),
        }
    }

    fn steady(&self, running: &Running, target: &Target, both: &Both) -> io::Result<Sample> {
        let Both { workload, beside, .. } = both;
        both.preload(target)?;
        running.wait_for_rest(REST_AT_MOST)?;
        // Else the kernel would write what was stored while others are read, in nobody's name but on the server's core.
        nix::unistd::sync();
        let unconnected = running.usage()?.resident_bytes;
        let mut load = Load::connect(target, workload.connections + beside.map_or(0, |it| it.connections))?;
        load.run(&workload.greeting(), Limit::Requests(workload.connections as u64), WARM_UP_SEED)?;
        // The server may still be accepting.
        running.wait_for_rest(REST_AT_MOST)?;
        let connected = running.usage()?.resident_bytes;
        let parts = self.warm_up(&mut load, both)?;
        let before = running.usage()?;
        let mut tallies = load.run_parts(&parts)?;
        let tally = tallies.swap_remove(0);
        if let Some(error) = tallies.iter().find_map(|beside| beside.first_error.clone()) {
            return Err(io::Error::other(format!("beside what is measured: {error}")));
        }
        let at_end = running.usage()?;
        running.wait_for_rest(REST_AT_MOST)?;
        let after = running.usage()?;
        Ok(Sample {
            tally,
            requests_beside: tallies.iter().map(|beside| beside.requests).sum(),
            connections: workload.connections,
            keys: workload.keys,
            cpu: after.cpu.saturating_sub(before.cpu),
            cpu_under_load: at_end.cpu.saturating_sub(before.cpu),
            user_share: after.user_share_since(&before),
            connections_bytes: connected.saturating_sub(unconnected),
            items_bytes: 0,
        })
    }

    /// Each load by itself, not counted: a share of saturation is a share of the rate that is seen here. What is to
    /// be measured then.
    fn warm_up(&self, load: &mut Load, both: &Both) -> io::Result<Vec<Part>> {
        let mut parts = Vec::new();
        let mut first_connection = 0;
        for workload in [Some(both.workload), both.beside].into_iter().flatten() {
            let is_share = matches!(workload.pace, Pace::Share(_));
            let limit = if is_share { self.limit } else { self.warm_up };
            let part = Part { workload: workload.flat_out(), first_connection, limit, seed: WARM_UP_SEED };
            let seen = load.run_parts(&[part])?.swap_remove(0);
            let pace = match workload.pace {
                Pace::Share(share) => Pace::Rate(share * seen.requests as f64 / seen.elapsed.as_secs_f64()),
                other => other,
            };
            let workload = Workload { pace, ..workload };
            parts.push(Part { workload, first_connection, limit: self.limit, seed: MEASURED_SEED });
            first_connection += workload.connections;
        }
        Ok(parts)
    }
}

/// The load that is measured, and one beside it.
struct Both {
    workload: Workload,
    beside: Option<Workload>,
    /// How often every key is stored before.
    preloads: u64,
}

impl Both {
    /// Stores every key, over connections of their own.
    fn preload(&self, target: &Target) -> io::Result<()> {
        if target.check != Check::Content {
            return Ok(());
        }
        for workload in [Some(self.workload), self.beside].into_iter().flatten() {
            let storing = Workload {
                connections: PRELOAD_CONNECTIONS,
                active: PRELOAD_CONNECTIONS,
                ..workload.preload()
            };
            let limit = Limit::Requests(workload.keys * self.preloads);
            let stored = Load::connect(target, PRELOAD_CONNECTIONS)?.run(&storing, limit, PRELOAD_SEED)?;
            if let Some(error) = stored.first_error {
                return Err(io::Error::other(format!("while the keys were stored: {error}")));
            }
        }
        Ok(())
    }
}

/// Stores every key once; the CPU time is that until the server has ended, with all that it still had to write.
fn fill(running: Running, target: &Target, workload: &Workload) -> io::Result<Sample> {
    let mut load = Load::connect(target, workload.connections)?;
    running.wait_for_rest(REST_AT_MOST)?;
    let before = running.usage()?;
    let tally = load.run(workload, Limit::Requests(workload.keys), MEASURED_SEED)?;
    let at_end = running.usage()?;
    running.wait_for_rest(REST_AT_MOST)?;
    let after = running.usage()?;
    drop(load);
    Ok(Sample {
        tally,
        requests_beside: 0,
        connections: workload.connections,
        keys: workload.keys,
        cpu: running.stop_and_count()?.saturating_sub(before.cpu),
        cpu_under_load: at_end.cpu.saturating_sub(before.cpu),
        user_share: after.user_share_since(&before),
        connections_bytes: 0,
        items_bytes: after.resident_bytes.saturating_sub(before.resident_bytes),
    })
}

fn progress(row: &Row, entrant: &Entrant, run: usize, runs: usize, sample: &Sample) {
    eprintln!(
        "{} {run}/{runs} {}: {:.2} us CPU per request, {:.0} requests/s, p99 {:.0} us",
        row.name,
        entrant.label,
        sample.figure(Figure::CpuPerRequest),
        sample.figure(Figure::RequestsPerSecond),
        sample.figure(Figure::P99),
    );
    if let Some(error) = &sample.tally.first_error {
        eprintln!(
            "{} {run}/{runs} {}: {} wrong replies, the first: {error}",
            row.name, entrant.label, sample.tally.errors
        );
    }
}

fn explain_absence(row: &Row, entry: &Entry) {
    match &entry.outcome {
        Ok(_) => {}
        Err(Absence::Skipped(why)) => eprintln!("{} {}: SKIPPED: {why}", row.name, entry.entrant.label),
        Err(Absence::Failed(why)) => eprintln!("{} {}: FAILED: {why}", row.name, entry.entrant.label),
    }
}

/// Checks the medians; answers what is wrong.
pub(crate) fn check() -> Vec<String> {
    let cases: [(&[f64], [f64; 3]); 4] = [
        (&[], [0.0, 0.0, 0.0]),
        (&[3.0], [3.0, 3.0, 3.0]),
        (&[5.0, 1.0, 3.0], [3.0, 1.0, 5.0]),
        (&[4.0, 1.0, 2.0, 9.0], [3.0, 1.0, 9.0]),
    ];
    let mut wrong = Vec::new();
    for (values, expected) in cases {
        let Spread { median, least, greatest } = Spread::of(values.iter().copied());
        if [median, least, greatest] != expected {
            wrong
                .push(format!("compare: {values:?} spread as {median} {least} {greatest}, not {expected:?}"));
        }
    }
    wrong
}
