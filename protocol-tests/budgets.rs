//! Instructions per request, whole server: what a profile of one quiet machine shows, as a bound that holds on every
//! machine. Times do not repeat, instruction counts do.
//!
//! A release build runs under callgrind with one worker, and one connection asks it in lock step, so that every turn of
//! the worker serves the same requests. Only that worker's instructions are counted, and of two runs that differ in
//! nothing but the number of requests the difference: neither a start nor another thread is in it.
use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;

use crate::client::{Client, set};
use crate::process::Larder;
use crate::skips::{require, say, skip};

/// What may be taken, and how it is asked for.
const BUDGETS: &str = include_str!("budgets.txt");
/// More than the budget by this part of it is a failure.
const TOLERANCE: f64 = 0.05;
/// Requests of the kind that is measured.
const REQUESTS: usize = 6_400;
/// Keys, all stored before.
const KEYS: usize = 100;
const VALUE: [u8; 100] = [b'v'; 100];
/// What only a worker calls: so its profile is told from those of the other threads.
const WORKER: &str = "larder::net::worker::Worker<B>::serve";

/// A line of the data.
#[derive(Clone, Copy, Debug)]
struct Budget {
    verb: &'static str,
    depth: usize,
    instructions: f64,
}

fn budgets() -> impl Iterator<Item = Budget> {
    let lines = BUDGETS.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        [verb, depth, instructions] => {
            Budget { verb, depth: depth.parse().unwrap(), instructions: instructions.parse().unwrap() }
        }
        _ => panic!("not a budget: {line:?}"),
    })
}

#[test]
fn requests_keep_to_their_instruction_budgets() {
    let Some(valgrind) = require("valgrind") else { return };
    let Some(release) = env::var_os("LARDER_RELEASE").map(PathBuf::from) else {
        return skip("instructions are counted over a release build, and LARDER_RELEASE names none");
    };
    let base = worker_instructions(&valgrind, &release, None);
    let mut excess = Vec::new();
    for budget in budgets() {
        let whole = worker_instructions(&valgrind, &release, Some(budget));
        let taken = (whole - base) as f64 / REQUESTS as f64;
        let Budget { verb, depth, instructions } = budget;
        let line = format!("{verb} by {depth}: {taken:.0} instructions, budget {instructions}");
        say(&line);
        if taken > instructions * (1.0 + TOLERANCE) {
            excess.push(line);
        }
    }
    assert!(excess.is_empty(), "over budget:\n{}", excess.join("\n"));
}

/// Starts a server, stores every key, asks what is measured, ends it: what its worker has executed.
fn worker_instructions(valgrind: &Path, release: &Path, measured: Option<Budget>) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("profile");
    let mut command = Command::new(valgrind);
    command.args(["--tool=callgrind", "--separate-threads=yes"]);
    command.arg(format!("--callgrind-out-file={}", profile.display()));
    // Little memory in one group: clearing it for the first time is the one thing that does not repeat.
    command.arg(release).args(["-t", "1", "-p", "-1", "--fsync", "never", "--groups", "1", "-m", "8"]);
    command.arg("--data-dir").arg(folder.path().join("data"));
    let larder = Larder::run(command).unwrap().serving().unwrap();
    let mut client = Client::connect(larder.address());
    ask(&mut client, Budget { verb: "set", depth: 1, instructions: 0.0 }, KEYS);
    if let Some(measured) = measured {
        ask(&mut client, measured, REQUESTS);
    }
    drop(client);
    assert!(larder.signal(Signal::SIGTERM).is_some_and(|status| status.success()), "it ends as it should");
    let profiles = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let texts = profiles.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap());
    let workers: Vec<String> = texts.filter(|text| text.contains(WORKER)).collect();
    let [worker] = workers.as_slice() else { panic!("{} threads are workers", workers.len()) };
    worker.lines().find_map(|line| line.strip_prefix("totals: ")?.parse().ok()).unwrap()
}

/// Sends so many requests, `depth` at a time, and takes the replies before the next.
fn ask(client: &mut Client, kind: Budget, requests: usize) {
    let mut batches = BTreeMap::new();
    for first in (0..requests).step_by(kind.depth) {
        let (batch, reply_bytes) = batches.entry(first % KEYS).or_insert_with(|| batch(kind, first));
        client.send(&*batch);
        let mut reply = vec![0; *reply_bytes];
        client.read(&mut reply);
        let start: &[u8] = if kind.verb == "get" { b"VALUE key:" } else { b"STORED\r\n" };
        assert!(reply.starts_with(start), "{}", reply.escape_ascii());
    }
}

/// The requests from this one on, and the bytes of their replies.
fn batch(kind: Budget, first: usize) -> (Vec<u8>, usize) {
    let keys = (first..first + kind.depth).map(|number| format!("key:{:012}", number % KEYS));
    match kind.verb {
        "get" => {
            let reply = format!("VALUE key:{:012} 0 {}\r\n\r\nEND\r\n", 0, VALUE.len()).len() + VALUE.len();
            (keys.flat_map(|key| format!("get {key}\r\n").into_bytes()).collect(), kind.depth * reply)
        }
        "set" => (keys.flat_map(|key| set(&key, 0, &VALUE)).collect(), kind.depth * b"STORED\r\n".len()),
        other => panic!("no such request: {other}"),
    }
}
