//! Larder and a real memcached are sent the same random frames and must answer the same, byte for byte, but for what
//! [`known::KNOWN`] lists. Cas numbers are compared by the order they are first seen in.
//!
//! Units that a listed difference covers are asked alone between two noops, behind the preparation of their pipeline,
//! and must be answered alike or as listed; all others are one pipeline. What is not listed fails, and so does what no run
//! has met. A failing pipeline is made as short as it gets.
//!
//! Not sent: `stat` for figures that tell of the server (transcripts and the suites of clients read those), and lengths
//! that lie (transcripts and the fuzzing of the codec hold those): there memcached closes, and whether it sends what it
//! has answered before depends on how the bytes arrive.
//!
//! `LARDER_LONG=1` sends 100,000 pipelines instead of a thousand; `LARDER_SEED` names another seed.
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

use super::Frame;
use crate::oracle::Oracle;
use crate::process::Larder;
use crate::skips::{self, say};

mod generate;
mod known;
mod pair;

use generate::{Generator, Pipeline, Sent};
use known::KNOWN;

const SEED: u64 = 80;
/// Pipelines of the short and of the long form.
const PIPELINES: u64 = 1_000;
/// See [`PIPELINES`].
const PIPELINES_LONG: u64 = 100_000;
/// Streams of pipelines, each with servers of its own: what one flushes is no other's.
const LANES: u64 = 2;
/// The clocks of the servers tick, and memcached's threads hold items for moments: a difference counts when it is met
/// so many times in a row.
const TRIES: usize = 3;
/// Differences that are shown before the rest is left alone.
const SHOWN: usize = 20;

/// Two servers and what was met.
struct Lane {
    larder: Larder,
    memcached: Oracle,
    _folder: tempfile::TempDir,
    pipelines: u64,
    frames: u64,
    alone: u64,
    /// How often each listed difference was met.
    met: Vec<u64>,
    failures: Vec<String>,
}

impl Lane {
    fn start(memcached: &Path) -> Lane {
        let folder = tempfile::tempdir().unwrap();
        // One group: a cas is unique among the keys of a group, and here it stands for its place in a row.
        let larder = Larder::start(&folder.path().join("data"), &["--groups", "1", "-t", "1"]).unwrap();
        let memcached = Oracle::start(memcached, &["-t".into(), "1".into()]).unwrap();
        let (met, failures) = (vec![0; KNOWN.len()], Vec::new());
        Lane { larder, memcached, _folder: folder, pipelines: 0, frames: 0, alone: 0, met, failures }
    }

    fn addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.larder.address(), self.memcached.address())
    }

    /// What the two say when they differ.
    fn difference(&self, pipeline: &Pipeline) -> Option<(pair::Said, pair::Said)> {
        let (larder, memcached) = self.addresses();
        let mut last = None;
        for _ in 0..TRIES {
            let said = (pair::ask(larder, pipeline), pair::ask(memcached, pipeline));
            if said.0 == said.1 {
                return None;
            }
            last = Some(said);
        }
        last
    }

    fn run(&mut self, pipeline: &Pipeline) {
        let is_covered = |unit: &Vec<Sent>| KNOWN.iter().any(|known| known.covers(&unit[0]));
        let (covered, free): (Vec<_>, Vec<_>) = pipeline.units.iter().cloned().partition(is_covered);
        self.pipelines += 1;
        self.frames += pipeline.units.iter().map(|unit| unit.len() as u64).sum::<u64>();
        let free = Pipeline { units: free, ..pipeline.clone() };
        if self.difference(&free).is_some() {
            self.failures.push(self.shown(&self.shortened(free)));
        }
        for unit in covered {
            self.alone += 1;
            self.run_alone(&unit, pipeline);
        }
    }

    /// A unit that a listed difference covers.
    fn run_alone(&mut self, unit: &[Sent], pipeline: &Pipeline) {
        let noop = |opaque| vec![Sent::of(Frame { opcode: 0x0a, opaque, ..Frame::default() })];
        let mut asked = unit.to_vec();
        asked.iter_mut().for_each(|sent| sent.frame.opaque = 2);
        let alone = Pipeline {
            preparation: Vec::new(),
            units: vec![noop(1), asked, noop(3)],
            counted: false,
            ..pipeline.clone()
        };
        let Some((larder, memcached)) = self.difference(&alone) else { return };
        let is_told = |listed: &[&str], said: &pair::Said| {
            let opcode = format!("{:02x}", unit[0].frame.opcode);
            listed.iter().any(|text| text.replace("{op}", &opcode) == said.answers.join("; "))
        };
        let is_listed = |known: &known::Known| {
            known.covers(&unit[0]) && is_told(known.larder, &larder) && is_told(known.memcached, &memcached)
        };
        let listed: Vec<usize> = (0..KNOWN.len()).filter(|at| is_listed(&KNOWN[*at])).collect();
        for at in &listed {
            self.met[*at] += 1;
        }
        if listed.is_empty() {
            self.failures.push(self.shown(&alone));
        }
    }

    /// Leaves out what can be left out while the two still differ.
    fn shortened(&self, mut pipeline: Pipeline) -> Pipeline {
        let plainer = Pipeline { piece: None, counted: false, ..pipeline.clone() };
        if self.difference(&plainer).is_some() {
            pipeline = plainer;
        }
        let mut at = 0;
        while at < pipeline.units.len() {
            let mut next = pipeline.clone();
            next.units.remove(at);
            if self.difference(&next).is_some() {
                pipeline = next;
            } else {
                at += 1;
            }
        }
        pipeline
    }

    fn shown(&self, pipeline: &Pipeline) -> String {
        let Some((larder, memcached)) = self.difference(pipeline) else {
            return "differed, and then no more\n".into();
        };
        format!(
            "prepared: {:?}\nsent: {:?} (pieces of {:?})\nlarder:    {}\nmemcached: {}\n",
            pipeline.preparation,
            pipeline.units,
            pipeline.piece,
            larder.shown(),
            memcached.shown()
        )
    }
}

#[test]
fn random_frames_are_answered_as_memcached_answers_them() {
    let Some(memcached) = skips::require("memcached") else { return };
    let count = if skips::long("100,000 pipelines of frames sent to memcached too") {
        PIPELINES_LONG
    } else {
        PIPELINES
    };
    let seed = std::env::var("LARDER_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(SEED);
    let lanes: Vec<Lane> = thread::scope(|scope| {
        let lane = |number: u64| {
            let mut lane = Lane::start(&memcached);
            let mut generator = Generator::new(seed + number);
            while lane.pipelines < count / LANES && lane.failures.len() < SHOWN {
                lane.run(&generator.pipeline());
            }
            lane
        };
        let lanes: Vec<_> = (0..LANES).map(|number| scope.spawn(move || lane(number))).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).collect()
    });
    let sum = |figure: fn(&Lane) -> u64| lanes.iter().map(figure).sum::<u64>();
    let met: Vec<u64> = (0..KNOWN.len()).map(|at| lanes.iter().map(|lane| lane.met[at]).sum()).collect();
    say(&format!(
        "frames beside memcached: seeds {seed}..{}, {} pipelines of {} frames, {} units alone; {} of {} listed \
         differences met, {} times",
        seed + LANES,
        sum(|lane| lane.pipelines),
        sum(|lane| lane.frames),
        sum(|lane| lane.alone),
        met.iter().filter(|count| **count > 0).count(),
        KNOWN.len(),
        met.iter().sum::<u64>()
    ));
    let failures: Vec<&str> = lanes.iter().flat_map(|lane| &lane.failures).map(String::as_str).collect();
    assert!(failures.is_empty(), "{} differ:\n\n{}", failures.len(), failures.join("\n"));
    let unmet: Vec<_> = KNOWN
        .iter()
        .zip(met)
        .filter(|(_, met)| *met == 0)
        .map(|(known, _)| (known.pattern, known.reason))
        .collect();
    assert!(unmet.is_empty(), "listed, but not met: {unmet:?}");
}
