//! Load, kill -9, restart, audit, again: nothing acknowledged may be lost, nothing deleted, flushed or expired may come
//! back, and every item has the value, flags, cas and state that were acknowledged.
//!
//! The long form, over the three levels of `--fsync`:
//! LARDER_LONG=1 LARDER_KILLS=2000 LARDER_BINARY=target/release/larder cargo test --test protocol-tests -- --nocapture torture::long
mod client;
mod writes;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use self::client::{Client, REPLY_PATIENCE, connect};
use crate::process::Larder;
use crate::random::Random;
use crate::skips::{self, say};
use crate::wait;

/// A start is killed within this time, ms: it finds, replays and opens meanwhile.
const START_KILLED_MS: u64 = 150;
/// How often the long form says how far it is.
const SAID_EVERY: Duration = Duration::from_secs(30);

/// What one run is to do.
struct Plan<'a> {
    options: &'a [&'a str],
    /// Ends by signal 9 while it serves; starts that are killed and clean stops come on top.
    kills: u64,
    clients: usize,
    /// At most so many acknowledged writes between two kills.
    writes_per_round: u64,
}

/// What it found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    acknowledged: u64,
    audited: u64,
    lost: u64,
    resurrected: u64,
    flushes: u64,
    /// By signal 9, under load or behind a flush.
    kills: u64,
    starts_killed: u64,
    clean_stops: u64,
}

impl Findings {
    fn is_clean(&self) -> bool {
        self.lost + self.resurrected == 0
    }
}

/// One data directory, its clients, and what was found so far.
struct Torture<'a> {
    data_dir: &'a Path,
    plan: &'a Plan<'a>,
    random: Random,
    clients: Vec<Client>,
    findings: Findings,
}

impl Torture<'_> {
    /// Runs the plan: rounds until there were so many kills, and an audit behind the last.
    fn run(mut self) -> Findings {
        let mut said = Instant::now();
        while self.findings.kills < self.plan.kills {
            self.kill_starts();
            let larder = self.start_and_audit();
            if !self.findings.is_clean() {
                break;
            }
            self.round(larder);
            if said.elapsed() > SAID_EVERY {
                said = Instant::now();
                say(&format!("  {}: {:?}", self.plan.options.join(" "), self.findings));
            }
        }
        self.start_and_audit().kill();
        self.findings
    }

    fn start_and_audit(&mut self) -> Larder {
        let larder = Larder::start(self.data_dir, self.plan.options).unwrap();
        for client in &mut self.clients {
            client.audit(larder.address(), &mut self.findings);
        }
        larder
    }

    /// Now and then a start does not get far, several times in a row.
    fn kill_starts(&mut self) {
        while self.random.below(5) == 0 {
            let data_dir = self.data_dir.to_str().unwrap();
            let words = [&["-p", "-1", "-U", "0", "--data-dir", data_dir], self.plan.options].concat();
            let starting = Larder::spawn(&words).unwrap();
            let moment = Duration::from_millis(self.random.below(START_KILLED_MS));
            wait::until(moment, || None::<()>);
            starting.kill();
            self.findings.starts_killed += 1;
        }
    }

    /// Load until enough was acknowledged, and the end: mostly by signal 9.
    fn round(&mut self, larder: Larder) {
        if self.random.below(8) == 0 {
            let is_acknowledged = flush(&larder);
            self.findings.flushes += 1;
            self.clients.iter_mut().for_each(|client| client.flushed(is_acknowledged));
            if self.random.below(2) == 0 {
                self.findings.kills += 1;
                return larder.kill();
            }
        }
        let address = larder.address();
        let acknowledged = AtomicU64::new(0);
        let enough = self.random.below(self.plan.writes_per_round) + 1;
        let is_clean_stop = self.random.below(10) == 0;
        std::thread::scope(|scope| {
            for client in &mut self.clients {
                scope.spawn(|| client.load(address, &acknowledged));
            }
            let has_answered = reach(&acknowledged, enough);
            match is_clean_stop {
                true => drop(larder.signal(Signal::SIGTERM)),
                false => larder.kill(),
            }
            assert!(has_answered, "the server stopped answering");
        });
        self.findings.clean_stops += u64::from(is_clean_stop);
        self.findings.kills += u64::from(!is_clean_stop);
        self.findings.acknowledged += acknowledged.load(Ordering::Relaxed);
    }
}

/// Waits until so much is acknowledged; `false` when nothing more is, for as long as patience lasts.
fn reach(acknowledged: &AtomicU64, enough: u64) -> bool {
    loop {
        let before = acknowledged.load(Ordering::Relaxed);
        if before >= enough {
            return true;
        }
        let goes_on = || (acknowledged.load(Ordering::Relaxed) > before).then_some(());
        if wait::until(REPLY_PATIENCE, goes_on).is_none() {
            return false;
        }
    }
}

/// flush_all while nobody else writes; whether it was acknowledged.
fn flush(larder: &Larder) -> bool {
    let Ok(stream) = connect(larder.address()) else { return false };
    let mut line = String::new();
    (&stream).write_all(b"flush_all\r\n").is_ok()
        && BufReader::new(&stream).read_line(&mut line).is_ok()
        && line == "OK\r\n"
}

fn check(options: &[&str], kills: u64, seed: u64) -> Findings {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { options, kills, clients: 4, writes_per_round: 6000 };
    let torture = Torture {
        data_dir: &folder.path().join("data"),
        plan: &plan,
        random: Random::new(seed),
        clients: (0..plan.clients).map(|number| Client::new(number, seed)).collect(),
        findings: Findings::default(),
    };
    let began = Instant::now();
    let findings = torture.run();
    let took_s = began.elapsed().as_secs();
    say(&format!("torture {options:?}, seed {seed}, {took_s} s: {findings:?}"));
    assert!(findings.is_clean(), "seed {seed}");
    assert!(findings.acknowledged > 0);
    findings
}

const EVERYSEC: &[&str] = &["-t", "2", "-I", "512k", "--log-size", "16m"];
const ALWAYS: &[&str] = &["-t", "2", "--fsync", "always", "-I", "512k", "--log-size", "16m"];
const NEVER: &[&str] = &["-t", "1", "--fsync", "never", "--log-size", "64m"];
const LITTLE_MEMORY: &[&str] = &["-t", "2", "-m", "8", "-I", "512k", "--groups", "4", "--log-size", "16m"];

#[test]
fn kills_lose_nothing_everysec() {
    check(EVERYSEC, 60, 11);
}

#[test]
fn kills_lose_nothing_always() {
    check(ALWAYS, 50, 12);
}

#[test]
fn kills_lose_nothing_never() {
    check(NEVER, 40, 13);
}

#[test]
fn kills_lose_nothing_with_little_memory_and_few_groups() {
    check(LITTLE_MEMORY, 50, 14);
}

#[test]
fn long() {
    if !skips::long("thousands of kills over the three levels of --fsync") {
        return;
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let kills = number("LARDER_KILLS").unwrap_or(2_000);
    let seed = number("LARDER_SEED").unwrap_or(1);
    let plans = [EVERYSEC, ALWAYS, NEVER, LITTLE_MEMORY];
    let began = Instant::now();
    // At the same time: each of them mostly waits for the disk, or for its turn at the processor.
    let found: Vec<Findings> = std::thread::scope(|scope| {
        let torture =
            |(options, seed)| scope.spawn(move || check(options, kills.div_ceil(plans.len() as u64), seed));
        let tortures: Vec<_> = plans.into_iter().zip(seed..).map(torture).collect();
        tortures.into_iter().map(|torture| torture.join().unwrap()).collect()
    });
    let sum = |figure: fn(&Findings) -> u64| found.iter().map(figure).sum::<u64>();
    say(&format!(
        "{} kills under load and {} of starts, {} s: {} writes acknowledged, {} reads audited, {} lost, {} resurrected",
        sum(|findings| findings.kills),
        sum(|findings| findings.starts_killed),
        began.elapsed().as_secs(),
        sum(|findings| findings.acknowledged),
        sum(|findings| findings.audited),
        sum(|findings| findings.lost),
        sum(|findings| findings.resurrected)
    ));
}
