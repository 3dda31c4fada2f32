//! Random requests against a plain map, while checkpoints, sweeps, evictions, warm-ups and restarts come between.
pub(crate) mod map;
pub(crate) mod request;

use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;

use larder::base::time::Clock;
use larder::config::{Config, Keep};

use crate::drivers::{InProcess, TestClock, configured};
use crate::random::Random;
use crate::skips::say;
use crate::transcript::{ConnId, Received, Wire};
use map::{CAS, Map};
use request::{Maker, Request};

const KEYS: u64 = 160;
/// A third of what the keys come to: most of them are on disk only.
const MEMORY_BYTES: u64 = 128 * 1024;
const LOG_BYTES: u64 = 512 * 1024;
/// Logical groups.
pub(crate) const GROUPS: u16 = 3;
/// Requests of the key at hand that a failure shows.
const SHOWN: usize = 12;

/// Little of everything: each bound is met within some hundred requests.
pub(crate) fn tiny(data_dir: &Path, fsync: &str) -> Config {
    let dir = data_dir.display().to_string();
    let mut config = configured(["--data-dir", &dir, "--fsync", fsync]);
    config.memory.bytes = MEMORY_BYTES;
    config.memory.item_bytes_max = 16 * 1024;
    config.placement.group_count = NonZeroU16::new(GROUPS);
    if let Keep::Data(data) = &mut config.keep {
        data.log_bytes = Some(LOG_BYTES);
    }
    config
}

struct Run {
    seed: u64,
    random: Random,
    config: Config,
    clock: Arc<TestClock>,
    wire: Option<InProcess>,
    conn: ConnId,
    map: Map,
    step: usize,
    history: Vec<(usize, String, String)>,
}

impl Run {
    fn new(seed: u64, data_dir: &Path) -> Run {
        let config = tiny(data_dir, "everysec");
        let clock = TestClock::new();
        let mut wire = InProcess::keeping(&config, &clock);
        let conn = wire.connect();
        Run {
            seed,
            random: Random::new(seed),
            config,
            clock,
            wire: Some(wire),
            conn,
            map: Map::default(),
            step: 0,
            history: Vec::new(),
        }
    }

    fn wire(&mut self) -> &mut InProcess {
        self.wire.as_mut().expect("it runs")
    }

    /// One request, or something beside the requests.
    fn step(&mut self) {
        self.step += 1;
        match self.random.below(400) {
            0 => self.restart(),
            1..40 => self.chore(),
            40..55 => self.move_clock(),
            _ => {
                let map = &self.map;
                let mut maker = Maker { random: &mut self.random, keys: KEYS, now_s: map.now_s };
                let request = maker.request(|key| map.seen_cas(key));
                let noreply = request.takes_noreply() && self.random.below(8) == 0;
                self.ask(&request, noreply);
            }
        }
    }

    fn move_clock(&mut self) {
        let seconds = if self.random.below(10) == 0 { 90 } else { 1 + self.random.below(4) };
        self.clock.advance(seconds as i64);
        self.note("clock", &format!("+{seconds}s"));
    }

    fn chore(&mut self) {
        let which = self.random.below(12);
        let index = self.random.below(u64::from(GROUPS)) as usize;
        let server = &self.wire.as_ref().expect("it runs").server;
        let group = &server.backend.groups[index];
        let done = match which {
            0..4 => group.checkpoint().map(|_| "checkpoint"),
            4..7 => server.sweeper.sweep(group).map(|()| "sweep"),
            7..10 => group.warm_up(|| true).map(|_| "warm up"),
            _ => {
                server.keeper.tend();
                Ok("keeper")
            }
        };
        let what = done.unwrap_or_else(|fault| panic!("seed {}, step {}: {fault}", self.seed, self.step));
        self.note(what, &format!("group {index}"));
    }

    /// Ends the server as a kill would, and begins again with what it has acknowledged.
    fn restart(&mut self) {
        self.note("restart", "");
        self.wire = None;
        let mut wire = InProcess::keeping(&self.config, &self.clock);
        self.conn = wire.connect();
        self.wire = Some(wire);
    }

    fn note(&mut self, key: &str, what: &str) {
        self.history.push((self.step, key.into(), what.into()));
    }

    /// Sends a request and compares the reply.
    fn ask(&mut self, request: &Request, noreply: bool) {
        self.map.now_s = i64::from(self.clock.now().seconds());
        let sent = request.wire(noreply);
        let expected = self.map.execute(request);
        let expected = if noreply { Vec::new() } else { expected };
        let conn = self.conn;
        self.wire().send(conn, &sent);
        let mut reply = Vec::new();
        while let Received::Bytes(bytes) = self.wire().receive(conn) {
            reply.extend_from_slice(&bytes);
        }
        let line = String::from_utf8_lossy(&sent);
        self.note(request.key(), line.lines().next().unwrap_or_default());
        match fit(&expected, &reply) {
            Some(Some(cas)) => self.map.learn_cas(request.key(), cas),
            Some(None) => {}
            None => self.fail(request.key(), &expected, &reply),
        }
    }

    fn fail(&self, key: &str, expected: &[u8], reply: &[u8]) -> ! {
        let concerns = |about: &str| about == key || !about.starts_with("key:") || key.is_empty();
        let mut about: Vec<_> =
            self.history.iter().rev().filter(|entry| concerns(&entry.1)).take(SHOWN).collect();
        about.reverse();
        let lines: Vec<String> =
            about.iter().map(|(step, key, what)| format!("{step}: {key} {what}")).collect();
        panic!(
            "seed {}, step {}\n{}\nexpected {:?}\nfound    {:?}",
            self.seed,
            self.step,
            lines.join("\n"),
            String::from_utf8_lossy(expected),
            String::from_utf8_lossy(reply),
        );
    }

    /// Compares every key.
    fn audit(&mut self) {
        for index in 0..KEYS {
            let keys = vec![format!("key:{index}")];
            self.ask(&Request::Get { keys, cas: true, touch: None }, false);
        }
    }
}

/// Whether a reply is the expected one, and the cas that it shows in place of the mark.
fn fit(expected: &[u8], reply: &[u8]) -> Option<Option<u64>> {
    let Some(at) = expected.windows(CAS.len()).position(|window| window == CAS.as_bytes()) else {
        return (expected == reply).then_some(None);
    };
    let (before, after) = (&expected[..at], &expected[at + CAS.len()..]);
    let rest = reply.strip_prefix(before)?.strip_suffix(after)?;
    std::str::from_utf8(rest).ok()?.parse().ok().map(Some)
}

fn run(seed: u64, steps: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(seed, &folder.path().join("data"));
    say(&format!("model: seed {seed}, {steps} steps"));
    for _ in 0..steps {
        run.step();
    }
    run.audit();
    run.restart();
    run.audit();
    let figures = run.wire().server.backend.groups.iter().map(|group| group.figures());
    let (cold, parked) = figures.fold((0, 0), |(cold, parked), figures| {
        (cold + figures.counters.cold_reads, parked + figures.counters.parked)
    });
    say(&format!("model: seed {seed}: in the last run {cold} cold reads, {parked} times parked"));
}

#[test]
fn random_requests_are_answered_as_by_a_map() {
    for seed in [1, 2, 3, 4] {
        run(seed, 3000);
    }
}
