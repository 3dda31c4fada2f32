//! The comparison: every row's entrants in turn, A B C A B C ..., each run with a server started for it alone. What
//! disturbs the machine for a while then falls on all of them, and the median leaves it out.

use crate::load::{Limit, Load, Tally};
use crate::peers::{self, Cores, Programs, Running, Usage};
use crate::rows::{Entrant, Figure, Plan, Row};
use crate::workload::Workload;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// How long a server may still work on what it was given before a steady run and after every run.
const REST_AT_MOST: Duration = Duration::from_secs(5);
/// The same after a fill.
const REST_AFTER_FILL: Duration = Duration::from_secs(30);
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
    connections: usize,
    keys: u64,
    /// At the start of the measured part and after its end.
    before: Usage,
    after: Usage,
    /// Resident bytes of the server as started, with all connections, and with all keys.
    resident: [u64; 3],
}

impl Sample {
    /// A figure of this run.
    pub(crate) fn figure(&self, figure: Figure) -> f64 {
        let seconds = self.tally.elapsed.as_secs_f64();
        let [started, connected, loaded] = self.resident;
        match figure {
            Figure::CpuPerRequest => self.cpu().as_secs_f64() * 1e6 / self.tally.requests as f64,
            Figure::RequestsPerSecond => self.tally.requests as f64 / seconds,
            Figure::KeysPerSecond => self.tally.keys as f64 / seconds,
            Figure::P99 => self.latency_us(0.99),
            Figure::BytesPerItem => loaded.saturating_sub(connected) as f64 / self.keys as f64,
            Figure::BytesPerConnection => connected.saturating_sub(started) as f64 / self.connections as f64,
        }
    }

    /// A quantile of the latency, in microseconds.
    pub(crate) fn latency_us(&self, share: f64) -> f64 {
        self.tally.latency.quantile(share) as f64 / 1e3
    }

    fn cpu(&self) -> Duration {
        self.after.cpu.saturating_sub(self.before.cpu)
    }

    /// The part of the CPU time in user mode, 0 to 1.
    pub(crate) fn user_share(&self) -> f64 {
        let user = self.after.user_ticks.saturating_sub(self.before.user_ticks) as f64;
        let system = self.after.system_ticks.saturating_sub(self.before.system_ticks) as f64;
        user / (user + system).max(1.0)
    }

    /// How often the server went to sleep of its own accord, per request.
    pub(crate) fn sleeps_per_request(&self) -> f64 {
        self.after.sleeps.saturating_sub(self.before.sleeps) as f64 / self.tally.requests as f64
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
    /// Its program is not there.
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
        let enter = |entrant: &'static Entrant| {
            let outcome = self.programs.find(entrant.server).map(|_| Vec::new()).map_err(Absence::Skipped);
            Entry { entrant, outcome }
        };
        let mut entries: Vec<Entry> = row.entrants.iter().map(enter).collect();
        for run in 1..=self.runs {
            for entry in &mut entries {
                let Ok(samples) = &mut entry.outcome else { continue };
                match self.measure(row, entry.entrant) {
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

    fn measure(&self, row: &Row, entrant: &Entrant) -> io::Result<Sample> {
        let workload = entrant.workload.unwrap_or(row.workload);
        let server = entrant.server;
        let program = self.programs.find(server).map_err(io::Error::other)?;
        let running = peers::start(server, &program, entrant.flags, &self.data_root, &self.cores)?;
        let started = running.usage()?.resident_bytes;
        let mut load =
            Load::connect(running.address, workload.connections, server.dialect(), server.check())?;
        // The server may still be accepting.
        running.wait_for_rest(REST_AT_MOST)?;
        let connected = running.usage()?.resident_bytes;
        let (before, tally, after) = match row.plan {
            Plan::Steady => self.steady(&running, &mut load, &workload)?,
            Plan::Fill => fill(&running, &mut load, &workload)?,
        };
        let resident = [started, connected, after.resident_bytes];
        Ok(Sample { tally, connections: workload.connections, keys: workload.keys, before, after, resident })
    }

    fn steady(&self, running: &Running, load: &mut Load, workload: &Workload) -> io::Result<Observed> {
        if load.expects_content() {
            let stored = load.run(&workload.preload(), Limit::Requests(workload.keys), PRELOAD_SEED)?;
            if let Some(error) = stored.first_error {
                return Err(io::Error::other(format!("while the keys were stored: {error}")));
            }
        }
        running.wait_for_rest(REST_AT_MOST)?;
        load.run(workload, self.warm_up, WARM_UP_SEED)?;
        let before = running.usage()?;
        let tally = load.run(workload, self.limit, MEASURED_SEED)?;
        running.wait_for_rest(REST_AT_MOST)?;
        Ok((before, tally, running.usage()?))
    }
}

/// Usage before, what the load saw, usage after.
type Observed = (Usage, Tally, Usage);

fn fill(running: &Running, load: &mut Load, workload: &Workload) -> io::Result<Observed> {
    let before = running.usage()?;
    let tally = load.run(workload, Limit::Requests(workload.keys), MEASURED_SEED)?;
    running.wait_for_rest(REST_AFTER_FILL)?;
    Ok((before, tally, running.usage()?))
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
