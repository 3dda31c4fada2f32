//! `larder bench`: a load on a running server, and how long it lets its clients wait.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Map, Value as Json};

use super::asking::Server;
use super::console::{self, Done, Progress};
use super::server_link::Link;
use super::{EXIT_CODES, Stop, Verdict};
use crate::base::chance::Chance;
use crate::base::fault::{Fault, FaultKind};
use crate::base::limits::{ITEM_BYTES_MAX, TOOL_BATCH_BYTES_MAX, TOOL_CONNECTIONS_MAX};
use crate::base::metrics::{Distribution, Histogram};

/// Put a load on a running server and print what it does
///
/// Every key is stored first, under names that begin with `larder-bench:` and with a time to live. Then each connection
/// asks, waits for the answers, and asks again, at random keys. A latency is what a client waits for a whole batch; since
/// everybody waits, a server that stands still is asked less: see how evenly it answers, not only how much.
#[derive(Args, Debug)]
#[command(after_help = format!(
    "Examples:\n  \
     larder bench\n  \
     larder bench -s cache1 --connections 200 --sets 50 --value-bytes 2000\n  \
     larder bench --depth 16 --seconds 30 --json\n\n{EXIT_CODES}"
))]
pub(super) struct Options {
    #[command(flatten)]
    server: Server,
    /// Connections, each a thread of this process
    #[arg(long, value_name = "NUM", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=TOOL_CONNECTIONS_MAX))]
    connections: u16,
    /// Requests that a connection sends at once
    #[arg(long, value_name = "NUM", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    depth: u64,
    /// How long
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    seconds: Duration,
    /// Of a hundred requests so many store, the others read
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=100))]
    sets: u64,
    /// Different keys
    #[arg(long, value_name = "NUM", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    keys: u64,
    /// The length of every value
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=ITEM_BYTES_MAX as u64))]
    value_bytes: u64,
    /// The time to live of what is stored, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..=2_592_000))]
    ttl: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| !seconds.is_zero()).ok_or_else(|| "write seconds, such as 10 or 0.5".to_owned())
}

pub(super) fn run(options: &Options) -> Result<Verdict, Stop> {
    if options.depth > 1 && options.depth * options.value_bytes > TOOL_BATCH_BYTES_MAX {
        let text = format!("--depth times --value-bytes may be {TOOL_BATCH_BYTES_MAX} at most");
        return Err(Stop::Usage(text));
    }
    let load = Arc::new(Load {
        depth: options.depth,
        sets: options.sets,
        keys: options.keys,
        ttl_s: options.ttl,
        value: vec![b'x'; options.value_bytes as usize],
    });
    fill(&mut options.server.link()?, &load)?;
    let links: Result<Vec<Link>, Stop> = (0..options.connections).map(|_| options.server.link()).collect();
    let began = Instant::now();
    let until = began + options.seconds;
    let clients: Vec<_> = (1..)
        .zip(links?)
        .map(|(seed, link)| {
            let load = Arc::clone(&load);
            thread::spawn(move || {
                Client { link, load, chance: Chance(seed), seen: Seen::default() }.run(until)
            })
        })
        .collect();
    let mut seen = Sum::default();
    for client in clients {
        let panicked = |_| Fault::new(FaultKind::Io, "a connection's thread ended by a panic");
        seen.add(&client.join().map_err(panicked)??);
    }
    show(&seen, began.elapsed(), options.json);
    Ok(if seen.errors == 0 { Verdict::Done } else { Verdict::Refused })
}

/// What is asked.
struct Load {
    depth: u64,
    sets: u64,
    keys: u64,
    ttl_s: u32,
    value: Vec<u8>,
}

impl Load {
    fn set(&self, key: u64, request: &mut Vec<u8>) {
        let head = format!("set larder-bench:{key} 0 {} {}\r\n", self.ttl_s, self.value.len());
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(&self.value);
        request.extend_from_slice(b"\r\n");
    }
}

/// Stores every key, many at a time.
fn fill(link: &mut Link, load: &Load) -> Result<(), Fault> {
    let mut progress = Progress::new("storing");
    let at_once = (TOOL_BATCH_BYTES_MAX / 16 / (load.value.len() as u64 + 64)).max(1);
    for first in (0..load.keys).step_by(at_once as usize) {
        let behind = (first + at_once).min(load.keys);
        let mut request = Vec::new();
        (first..behind).for_each(|key| load.set(key, &mut request));
        link.send(&request)?;
        for _ in first..behind {
            let reply = link.line()?;
            if reply != b"STORED" {
                return Err(link.refusal(&reply));
            }
        }
        let bytes = behind * load.value.len() as u64;
        progress.tell(Done { items: behind, bytes, total_bytes: load.keys * load.value.len() as u64 });
    }
    Ok(())
}

/// What one connection has seen.
#[derive(Debug, Default)]
struct Seen {
    gets: u64,
    sets: u64,
    misses: u64,
    errors: u64,
    waits: Histogram,
}

/// What all have.
#[derive(Debug, Default)]
struct Sum {
    gets: u64,
    sets: u64,
    misses: u64,
    errors: u64,
    waits: Distribution,
}

impl Sum {
    fn add(&mut self, seen: &Seen) {
        self.gets += seen.gets;
        self.sets += seen.sets;
        self.misses += seen.misses;
        self.errors += seen.errors;
        self.waits += &seen.waits.read();
    }
}

struct Client {
    link: Link,
    load: Arc<Load>,
    chance: Chance,
    seen: Seen,
}

impl Client {
    fn run(mut self, until: Instant) -> Result<Seen, Fault> {
        let (mut request, mut stores) = (Vec::new(), Vec::new());
        loop {
            let began = Instant::now();
            if began >= until {
                return Ok(self.seen);
            }
            self.compose(&mut request, &mut stores);
            self.link.send(&request)?;
            for is_set in &stores {
                if *is_set { self.take_stored()? } else { self.take_value()? }
            }
            self.seen.waits.record(began.elapsed());
        }
    }

    /// A batch of requests, and which of them store.
    fn compose(&mut self, request: &mut Vec<u8>, stores: &mut Vec<bool>) {
        request.clear();
        stores.clear();
        for _ in 0..self.load.depth {
            let key = self.chance.below(self.load.keys);
            let is_set = self.chance.below(100) < self.load.sets;
            stores.push(is_set);
            if is_set {
                self.load.set(key, request);
            } else {
                request.extend_from_slice(format!("get larder-bench:{key}\r\n").as_bytes());
            }
        }
    }

    fn take_stored(&mut self) -> Result<(), Fault> {
        self.seen.sets += 1;
        let reply = self.link.line()?;
        self.seen.errors += u64::from(reply != b"STORED");
        Ok(())
    }

    fn take_value(&mut self) -> Result<(), Fault> {
        self.seen.gets += 1;
        let reply = self.link.line()?;
        if reply == b"END" {
            self.seen.misses += 1;
            return Ok(());
        }
        if !reply.starts_with(b"VALUE ") {
            self.seen.errors += 1;
            return Ok(());
        }
        let mut value = vec![0; self.load.value.len() + 2];
        self.link.fill(&mut value)?;
        let is_right = value.strip_suffix(b"\r\n") == Some(&self.load.value) && self.link.line()? == b"END";
        // Behind a value of another length nothing can be read any more.
        if is_right { Ok(()) } else { Err(self.link.refusal(&reply)) }
    }
}

fn show(seen: &Sum, took: Duration, is_json: bool) {
    let requests = seen.gets + seen.sets;
    let rate = requests as f64 / took.as_secs_f64();
    let wait_ms = |part: f64| seen.waits.quantile_ns(part).unwrap_or(0) as f64 / 1e6;
    if !is_json {
        let Sum { gets, sets, misses, errors, .. } = seen;
        console::say(&format!("requests  {requests} in {:.1} s, {rate:.0}/s", took.as_secs_f64()));
        console::say(&format!("gets      {gets}, {misses} misses"));
        console::say(&format!("sets      {sets}"));
        console::say(&format!("errors    {errors}"));
        console::say(&format!(
            "waits     p50 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms",
            wait_ms(0.5),
            wait_ms(0.99),
            wait_ms(0.999)
        ));
        return;
    }
    let mut object = Map::new();
    for (name, value) in [
        ("requests", requests.into()),
        ("seconds", took.as_secs_f64().into()),
        ("requests_per_second", rate.into()),
        ("gets", seen.gets.into()),
        ("misses", seen.misses.into()),
        ("sets", seen.sets.into()),
        ("errors", seen.errors.into()),
        ("wait_p50_ms", wait_ms(0.5).into()),
        ("wait_p99_ms", wait_ms(0.99).into()),
        ("wait_p999_ms", wait_ms(0.999).into()),
    ] {
        let value: Json = value;
        object.insert(name.to_owned(), value);
    }
    console::say(&Json::Object(object).to_string());
}
