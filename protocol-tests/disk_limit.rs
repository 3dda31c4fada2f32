//! `--disk-limit`: real servers with little room.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::client::{self, Client};
use crate::process::{Larder, run_to_end};
use crate::skips::say;
use crate::wait;

const MB: u64 = 1 << 20;
const LIMIT: u64 = 64 * MB;
const SMALL: [&str; 10] =
    ["--disk-limit", "64m", "--log-size", "16m", "--groups", "4", "-m", "16", "--fsync", "never"];
const VALUE_BYTES: usize = 2000;
/// Requests that are sent before their replies are read.
const BATCH: usize = 100;
/// Removals are checkpointed after seconds, and files compacted then.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_PAUSE: Duration = Duration::from_millis(10);

fn value(number: usize) -> Vec<u8> {
    format!("{number:08}").repeat(VALUE_BYTES / 8).into_bytes()
}

/// Stores these numbers under `prefix`; the replies.
fn store(client: &mut Client, prefix: &str, exptime: u32, numbers: std::ops::Range<usize>) -> Vec<String> {
    let mut replies = Vec::new();
    for start in numbers.clone().step_by(BATCH) {
        let batch = start..(start + BATCH).min(numbers.end);
        let requests: Vec<u8> = batch
            .clone()
            .flat_map(|number| client::set(&format!("{prefix}{number}"), exptime, &value(number)))
            .collect();
        client.send(&requests);
        replies.extend(batch.map(|_| client.line().trim_end().to_owned()));
    }
    replies
}

/// How many of these there are; each must have its value.
fn present(client: &mut Client, prefix: &str, numbers: std::ops::Range<usize>) -> usize {
    let mut found = 0;
    for start in numbers.clone().step_by(BATCH) {
        let batch = start..(start + BATCH).min(numbers.end);
        let keys: Vec<String> = batch.map(|number| format!("{prefix}{number}")).collect();
        for (key, got) in client.get(&keys) {
            let number = key.strip_prefix(prefix).unwrap().parse().unwrap();
            assert!(got == value(number), "{key}");
            found += 1;
        }
    }
    found
}

/// Blocks of all files below `path`, bytes.
fn taken(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(facts) if facts.is_dir() => taken(&entry.path()),
        Ok(facts) => facts.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}

/// Looks at the disk all the while: writers wait at the limit, so that between their requests it would look better than it
/// is. The most that was taken, bytes, once the sender is dropped.
fn watch(path: &Path) -> (Sender<()>, JoinHandle<u64>) {
    let (done, ended) = mpsc::channel();
    let path = path.to_owned();
    let looks = move || {
        let mut most = 0;
        while ended.recv_timeout(LOOK_PAUSE) == Err(RecvTimeoutError::Timeout) {
            most = most.max(taken(&path));
        }
        most
    };
    (done, std::thread::spawn(looks))
}

/// What the limit may be passed by: what was dirty when it was reached (half of `-m`, twice for the pages that a commit
/// needs), and a copy of one group's file while it is compacted.
const SLACK: u64 = 2 * 8 * MB + LIMIT / 4;

#[test]
fn at_its_limit_a_server_refuses_values_and_takes_them_again_below() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let larder = Larder::start(&data_dir, &SMALL).unwrap();
    let mut client = Client::connect(larder.address());
    let mut stored = 0;
    let refused = (0..60).find_map(|_| {
        let replies = store(&mut client, "k", 0, stored..stored + 1000);
        stored += replies.iter().take_while(|reply| *reply == "STORED").count();
        replies.into_iter().find(|reply| reply != "STORED")
    });
    assert_eq!(refused.as_deref(), Some("SERVER_ERROR disk full"));
    let most = taken(&data_dir);
    say(&format!("  {stored} items of {VALUE_BYTES} bytes, then {} MB are taken", most / MB));
    assert!((LIMIT..LIMIT + SLACK).contains(&most), "{most} bytes");
    // What takes no room goes on.
    assert_eq!(client.ask("touch k0 0\r\n"), "TOUCHED");
    assert_eq!(client.ask("delete k0\r\n"), "DELETED");
    assert_eq!(present(&mut client, "k", 1..1000), 999);
    assert_eq!(client.set("k0", b"v"), "SERVER_ERROR disk full");
    for number in (1..stored).filter(|number| number % 2 == 1) {
        assert_eq!(client.ask(format!("delete k{number}\r\n")), "DELETED");
    }
    let resumed = wait::until(PATIENCE, || (client.set("k0", b"v") == "STORED").then_some(()));
    assert!(resumed.is_some(), "still refused with {} MB taken: {}", taken(&data_dir) / MB, larder.said());
    let left = taken(&data_dir);
    assert!(left <= LIMIT + LIMIT / 4, "{left} bytes");
    assert_eq!(present(&mut client, "k", 1..stored), (stored - 1) / 2);
}

#[test]
fn a_server_that_evicts_goes_on_and_stays_below_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let larder = Larder::start(&data_dir, &[&SMALL[..], &["--on-full", "evict"]].concat()).unwrap();
    let mut client = Client::connect(larder.address());
    let all_stored = |replies: Vec<String>| assert!(replies.iter().all(|reply| reply == "STORED"));
    // Oldest of all, but for ever; then some that expire, the last ones soonest.
    all_stored(store(&mut client, "old", 0, 0..2000));
    all_stored(store(&mut client, "late", 7200, 0..2000));
    all_stored(store(&mut client, "soon", 3600, 0..2000));
    let (watched, most) = watch(&data_dir);
    let mut number = 0;
    let mut is_judged = false;
    while number < 40_000 {
        all_stored(store(&mut client, "k", 0, number..number + 1000));
        number += 1000;
        let evictions = client.figure("evictions");
        if evictions > 0 && !is_judged {
            is_judged = true;
            // What is asked for last may have lost most meanwhile.
            let [old, late, soon] =
                ["old", "late", "soon"].map(|prefix| present(&mut client, prefix, 0..2000));
            say(&format!(
                "  {evictions} evictions: of 2000 each {soon} soon, {late} late, {old} old are left"
            ));
            // Each group keeps to the order, and one gives up more than another.
            assert!(soon < 2000 && soon <= late && late <= old, "{soon} soon, {late} late, {old} old");
        }
    }
    drop(watched);
    let most = most.join().unwrap();
    let evictions = client.figure("evictions");
    let newest = present(&mut client, "k", number - 500..number);
    say(&format!("  {evictions} evictions, at most {} MB taken, {newest} of the newest 500", most / MB));
    assert!(evictions > 10_000, "{evictions}");
    assert!(most <= LIMIT + SLACK, "{most} bytes");
    assert_eq!(newest, 500);
    // Gone is gone: also behind a kill.
    let left = present(&mut client, "k", 0..number);
    larder.kill();
    let larder = Larder::start(&data_dir, &[&SMALL[..], &["--on-full", "evict"]].concat()).unwrap();
    let again = present(&mut Client::connect(larder.address()), "k", 0..number);
    assert!(again <= left, "{again} of {left}");
}

#[test]
fn a_limit_below_what_the_log_takes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let (code, said) =
        run_to_end(&["-p", "-1", "--data-dir", data_dir.to_str().unwrap(), "--disk-limit", "100m"]);
    assert_ne!(code, Some(0));
    assert!(said.contains("--disk-limit of 100 MB") && said.contains("--log-size"), "{said}");
}
