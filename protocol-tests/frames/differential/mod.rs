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
use std::path::Path;

use super::Frame;
use crate::beside::{self, Both, LANES};
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
/// The clocks of the servers tick, and memcached's threads hold items for moments: a difference counts when it is met
/// so many times in a row.
const TRIES: usize = 3;
/// Differences that are shown before the rest is left alone.
const SHOWN: usize = 20;

/// Two servers and what was met.
struct Lane {
    servers: Both,
    pipelines: u64,
    frames: u64,
    alone: u64,
    /// How often each listed difference was met.
    met: Vec<u64>,
    failures: Vec<String>,
}

impl Lane {
    fn start(memcached: &Path) -> Lane {
        let (met, failures) = (vec![0; KNOWN.len()], Vec::new());
        Lane { servers: Both::start(memcached), pipelines: 0, frames: 0, alone: 0, met, failures }
    }

    /// What the two say when they differ.
    fn difference(&self, pipeline: &Pipeline) -> Option<(pair::Said, pair::Said)> {
        let (larder, memcached) = self.servers.addresses();
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
    let seed = beside::seed(SEED);
    let lanes: Vec<Lane> = beside::run(|number| {
        let mut lane = Lane::start(&memcached);
        let mut generator = Generator::new(seed + number);
        while lane.pipelines < count / LANES && lane.failures.len() < SHOWN {
            lane.run(&generator.pipeline());
        }
        lane
    });
    let sum = |figure: fn(&Lane) -> u64| lanes.iter().map(figure).sum::<u64>();
    let met = beside::sums(lanes.iter().map(|lane| &lane.met));
    say(&format!(
        "frames beside memcached: seeds {seed}..{}, {} pipelines of {} frames, {} units alone; {}",
        seed + LANES,
        sum(|lane| lane.pipelines),
        sum(|lane| lane.frames),
        sum(|lane| lane.alone),
        beside::counted(&met)
    ));
    let listed = KNOWN.iter().map(|known| (known.pattern, known.reason));
    beside::check(lanes.iter().flat_map(|lane| &lane.failures), listed, &met);
}
