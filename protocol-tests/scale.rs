//! How large and how fast: figures of a real server with millions of items, and the bounds that they must keep.
//!
//! ```text
//! LARDER_LONG=1 LARDER_BINARY=target/release/larder cargo test --test protocol-tests -- --test-threads 1 --nocapture scale::
//! ```
use std::path::Path;
use std::time::{Duration, Instant};

use crate::client::{self, Client};
use crate::process::Larder;
use crate::random::Random;
use crate::skips::{long, say};
use crate::wait;

/// Requests that are sent before their replies are read.
const BATCH: u64 = 1000;
/// Keys of one read.
const READ_KEYS: u64 = 100;
const WARM_PATIENCE: Duration = Duration::from_secs(120);
const MB: u64 = 1 << 20;

/// What is stored: `count` items whose values are known from their number.
struct Load {
    count: u64,
    value_bytes: usize,
    exptime_s: u32,
}

impl Load {
    fn key(number: u64) -> String {
        format!("scale:{number:010}")
    }

    fn value(&self, number: u64) -> Vec<u8> {
        let mut random = Random::new(number);
        let mut value = Vec::with_capacity(self.value_bytes + 8);
        while value.len() < self.value_bytes {
            value.extend_from_slice(&random.next().to_le_bytes());
        }
        value.truncate(self.value_bytes);
        value
    }

    fn store(&self, larder: &Larder) {
        let began = Instant::now();
        let mut client = Client::connect(larder.address());
        for start in (0..self.count).step_by(BATCH as usize) {
            let numbers = start..(start + BATCH).min(self.count);
            let mut requests = Vec::new();
            for number in numbers.clone() {
                requests.extend(client::set(&Load::key(number), self.exptime_s, &self.value(number)));
            }
            client.send(&requests);
            for number in numbers {
                assert_eq!(client.line(), "STORED\r\n", "item {number}");
            }
        }
        say(&format!(
            "  {} items of {} bytes stored in {:.1?}",
            self.count,
            self.value_bytes,
            began.elapsed()
        ));
    }

    /// Reads every `step`-th run of keys back and compares it.
    fn read_back(&self, larder: &Larder, step: u64) {
        let began = Instant::now();
        let mut client = Client::connect(larder.address());
        let mut read = 0;
        for start in (0..self.count).step_by((READ_KEYS * step) as usize) {
            let numbers = start..(start + READ_KEYS).min(self.count);
            let keys: Vec<String> = numbers.clone().map(Load::key).collect();
            let found = client.get(&keys);
            let expected: Vec<_> = numbers.map(|number| (Load::key(number), self.value(number))).collect();
            assert!(found == expected, "{} of {} from {start} on", found.len(), expected.len());
            read += found.len();
        }
        say(&format!("  {read} items read back right in {:.1?}", began.elapsed()));
    }
}

fn say_memory(larder: &Larder, when: &str) -> u64 {
    let [now, peak] = ["VmRSS", "VmHWM"].map(|field| larder.memory_bytes(field));
    say(&format!("  memory {when}: RSS {} MB, at most {} MB", now / MB, peak / MB));
    peak
}

fn say_log(larder: &Larder) {
    larder.said().lines().for_each(|line| say(&format!("  | {line}")));
}

fn disk_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(path).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.metadata() {
            Ok(facts) if facts.is_dir() => disk_bytes(&entry.path()),
            Ok(facts) => facts.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

/// From the start of the process to its first right answer, and to a warm memory.
fn restart(data_dir: &Path, options: &[&str], load: &Load) -> Larder {
    let began = Instant::now();
    let larder = Larder::start(data_dir, options).unwrap();
    let open = began.elapsed();
    let last = load.count - 1;
    assert_eq!(Client::connect(larder.address()).value(&Load::key(last)), Some(load.value(last)));
    let answered = began.elapsed();
    let warm = wait::until(WARM_PATIENCE, || larder.said().contains("warm: ").then(|| began.elapsed()));
    say(&format!(
        "  start: port told after {open:.1?}, first right answer after {answered:.1?}, warm after {warm:.1?}"
    ));
    say_log(&larder);
    larder
}

#[test]
fn a_million_keys_after_a_kill() {
    if !long("a million keys") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let load = Load { count: 1_000_000, value_bytes: 100, exptime_s: 0 };
    let options = ["-m", "1024"];
    let larder = Larder::start(&data_dir, &options).unwrap();
    load.store(&larder);
    larder.kill();
    let larder = restart(&data_dir, &options, &load);
    load.read_back(&larder, 1);
    say_memory(&larder, "at the end");
}

#[test]
fn a_gigabyte_in_64_megabytes() {
    if !long("1 GB in -m 64") {
        return;
    }
    let load = Load { count: 1 << 20, value_bytes: 1024, exptime_s: 0 };
    keeps_to_its_memory(&load, 1);
}

#[test]
fn ten_million_small_items_with_a_deadline_in_64_megabytes() {
    if !long("10 million items in -m 64") {
        return;
    }
    let load = Load { count: 10_000_000, value_bytes: 10, exptime_s: 7200 };
    keeps_to_its_memory(&load, 10);
}

/// `-m 64` may take 1.5 times that and 128 MB, whatever it holds.
fn keeps_to_its_memory(load: &Load, step: u64) {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let larder = Larder::start(&data_dir, &["-m", "64"]).unwrap();
    load.store(&larder);
    say_memory(&larder, "after the load");
    load.read_back(&larder, step);
    let served = say_memory(&larder, "after reading");
    say(&format!("  on disk: {} MB", disk_bytes(&data_dir) / MB));
    larder.kill();
    let larder = restart(&data_dir, &["-m", "64"], load);
    load.read_back(&larder, step * 7);
    let restarted = say_memory(&larder, "after kill -9, start and reading");
    let bound = 64 * MB * 3 / 2 + 128 * MB;
    assert!(served.max(restarted) <= bound, "more than {} MB", bound / MB);
}
