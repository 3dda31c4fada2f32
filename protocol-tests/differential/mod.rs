//! Larder and a real memcached are sent the same random pipelines and must answer the same, byte for byte, but for what
//! [`known::KNOWN`] lists. Cas numbers are compared by the order they are first seen in.
//!
//! Requests that a listed difference covers are asked alone behind the preparation of their pipeline, and must be
//! answered alike or as listed; all others are one pipeline. What is not listed fails, and so does what no run has met.
//! A failing pipeline is made as short as it gets.
//!
//! `LARDER_LONG=1` sends 100,000 pipelines instead of some thousands; `LARDER_SEED` names another seed. The memcached is
//! the one on PATH. A 1.6.45 there is sent all that is new in it too, and what is listed for it is short.
use crate::beside::{self, Both, LANES};
use crate::skips::{self, say};

mod generate;
mod known;
mod newest;
pub(crate) mod pair;
mod pattern;

use generate::{Generator, Pipeline, Request};
use known::Known;

const SEED: u64 = 1645;
/// Pipelines of the short and of the long form.
const PIPELINES: u64 = 4_000;
const PIPELINES_LONG: u64 = 100_000;
/// The clocks of the servers tick, and memcached's threads hold items for moments: a difference counts when both servers
/// have said the same so many times in a row.
const STEADY_TRIES: usize = 3;
/// Tries before what never becomes steady counts all the same.
const TRIES_MAX: usize = 40;
/// Differences that are shown before the rest is left alone.
const SHOWN: usize = 30;

/// Two servers and what was met.
struct Lane {
    known: &'static [Known],
    servers: Both,
    pipelines: u64,
    requests: u64,
    alone: u64,
    /// How often each listed difference was met.
    met: Vec<u64>,
    failures: Vec<String>,
}

impl Lane {
    fn start(memcached: &std::path::Path) -> Lane {
        let servers = Both::start(memcached);
        let known = known::of(&pair::version(servers.addresses().1));
        let met = vec![0; known.len()];
        let (pipelines, requests, alone, failures) = (0, 0, 0, Vec::new());
        Lane { known, servers, pipelines, requests, alone, met, failures }
    }

    /// What the two say when they differ.
    fn difference(&self, pipeline: &Pipeline) -> Option<(pair::Answer, pair::Answer)> {
        let (larder, memcached) = self.servers.addresses();
        let mut last = None;
        let mut steady = 0;
        for _ in 0..TRIES_MAX {
            let answers = Some((pair::ask(larder, pipeline), pair::ask(memcached, pipeline)));
            if answers.as_ref().is_some_and(|(larder, memcached)| larder == memcached) {
                return None;
            }
            steady = if answers == last { steady + 1 } else { 1 };
            last = answers;
            if steady == STEADY_TRIES {
                break;
            }
        }
        last
    }

    fn run(&mut self, pipeline: &Pipeline) {
        let is_covered =
            |request: &Request| self.known.iter().any(|known| pattern::matches(known.pattern, request));
        let (covered, free): (Vec<Request>, Vec<Request>) =
            pipeline.requests.iter().cloned().partition(is_covered);
        self.pipelines += 1;
        self.requests += pipeline.requests.len() as u64;
        let free = Pipeline { requests: free, ..pipeline.clone() };
        if self.difference(&free).is_some() {
            self.failures.push(self.shown(self.shortened(free)));
        }
        for request in covered {
            self.alone += 1;
            self.run_alone(request, pipeline);
        }
    }

    /// A request that a listed difference covers.
    fn run_alone(&mut self, request: Request, pipeline: &Pipeline) {
        let requests = vec![b"mg nothing\r\n".to_vec(), request.clone()];
        let alone = Pipeline { requests, counted: false, ..pipeline.clone() };
        let Some((larder, memcached)) = self.difference(&alone) else { return };
        let (larder, memcached) = (behind_miss(&larder), behind_miss(&memcached));
        let is_listed = |known: &Known| {
            pattern::matches(known.pattern, &request)
                && known.larder.contains(&larder.as_str())
                && known.memcached.contains(&memcached.as_str())
        };
        let listed: Vec<usize> = (0..self.known.len()).filter(|at| is_listed(&self.known[*at])).collect();
        for at in &listed {
            self.met[*at] += 1;
        }
        if listed.is_empty() {
            self.failures.push(self.shown(alone));
        }
    }

    /// Leaves out what can be left out while the two still differ.
    fn shortened(&self, mut pipeline: Pipeline) -> Pipeline {
        let mut shorter = |change: &dyn Fn(&mut Pipeline) -> bool| {
            let mut next = pipeline.clone();
            let is_shorter = change(&mut next) && self.difference(&next).is_some();
            if is_shorter {
                pipeline = next;
            }
            is_shorter
        };
        shorter(&|next| next.piece.take().is_some());
        shorter(&|next| std::mem::take(&mut next.counted));
        let mut at = 0;
        while let Some(more) = shorter_at(&mut shorter, at, |next| &mut next.requests) {
            at = more;
        }
        // The first three prepare the server itself.
        let mut at = 3;
        while let Some(more) = shorter_at(&mut shorter, at, |next| &mut next.preparation) {
            at = more;
        }
        pipeline
    }

    fn shown(&self, pipeline: Pipeline) -> String {
        let Some((larder, memcached)) = self.difference(&pipeline) else {
            return "differed, and then no more\n".into();
        };
        let escaped = |requests: &[Request]| requests.concat().escape_ascii().to_string();
        format!(
            "prepared: {}\nsent: {} (pieces of {:?})\nlarder:    {:?}\nmemcached: {:?}\n",
            escaped(&pipeline.preparation),
            escaped(&pipeline.requests),
            pipeline.piece,
            larder.shown(),
            memcached.shown()
        )
    }
}

/// The replies behind that to the `mg` before.
fn behind_miss(answer: &pair::Answer) -> String {
    let replies = answer.of_requests();
    replies.strip_prefix("EN\r\n").map_or_else(|| format!("without EN: {replies}"), Into::into)
}

/// One attempt to leave out the request at `at`: where the next is, `None` when there is none.
fn shorter_at(
    shorter: &mut impl FnMut(&dyn Fn(&mut Pipeline) -> bool) -> bool,
    at: usize,
    list: fn(&mut Pipeline) -> &mut Vec<Request>,
) -> Option<usize> {
    let exists = std::cell::Cell::new(false);
    let is_shorter = shorter(&|next| {
        let list = list(next);
        exists.set(at < list.len());
        if exists.get() {
            list.remove(at);
        }
        exists.get()
    });
    exists.get().then_some(if is_shorter { at } else { at + 1 })
}

/// Requests of every kind, at least so many bytes of them, that do not end the connection.
pub(crate) fn well_framed(seed: u64, bytes: usize) -> Vec<u8> {
    let mut generator = Generator::new(seed, known::of("1.6.45"));
    let mut all = Vec::new();
    while all.len() < bytes {
        let requests = generator.pipeline().requests;
        let ends = |request: &Request| request.len() > 2000 || request.starts_with(b"quit");
        all.extend(requests.into_iter().filter(|request| !ends(request)).flatten());
    }
    all
}

#[test]
fn larder_and_memcached_answer_alike() {
    let Some(memcached) = skips::require("memcached") else { return };
    let count =
        if skips::long("100,000 pipelines sent to memcached too") { PIPELINES_LONG } else { PIPELINES };
    let seed = beside::seed(SEED);
    let lanes: Vec<Lane> = beside::run(|number| {
        let mut lane = Lane::start(&memcached);
        let mut generator = Generator::new(seed + number, lane.known);
        while lane.pipelines < count / LANES && lane.failures.len() < SHOWN {
            lane.run(&generator.pipeline());
        }
        lane
    });
    let sum = |figure: fn(&Lane) -> u64| lanes.iter().map(figure).sum::<u64>();
    let met = beside::sums(lanes.iter().map(|lane| &lane.met));
    say(&format!(
        "differential: seeds {seed}..{}, {} pipelines of {} requests, {} of these alone; {}",
        seed + LANES,
        sum(|lane| lane.pipelines),
        sum(|lane| lane.requests),
        sum(|lane| lane.alone),
        beside::counted(&met)
    ));
    let listed = lanes[0].known.iter().map(|known| (known.pattern, known.reason));
    beside::check(lanes.iter().flat_map(|lane| &lane.failures), listed, &met);
}
