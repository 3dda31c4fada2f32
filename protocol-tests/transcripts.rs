//! Every transcript against the servers that can be reached: a memcached started here, or the one at `TARGET`.
//! The servers under test plug in as further wires; the files and the runner stay as they are.
use std::collections::BTreeSet;
use std::env;
use std::fmt::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::oracle::Oracle;
use crate::skips;
use crate::transcript::tcp::{Clock, TcpWire};
use crate::transcript::{Transcript, Wire, parse, run};

/// Longest that one transcript may really wait for a clock that nobody can move, seconds.
const MAX_WAIT_S: i64 = 3;
/// Transcripts played at the same time; most of their time is waiting.
const PLAYERS: usize = 12;

/// Every transcript of the project, in the order of their paths.
///
/// # Panics
/// When one of them is not of the format.
pub(crate) fn all() -> Vec<Transcript> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("protocol-tests/transcripts"), &mut files);
    files.sort();
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
        let content = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"));
        parse(&name, &content).unwrap_or_else(|what| panic!("{what}"))
    };
    let wanted = env::var("TRANSCRIPT").unwrap_or_default();
    files.iter().map(read).filter(|transcript| transcript.file.contains(&wanted)).collect()
}

#[test]
fn memcached_answers_as_the_transcripts_say() {
    let Some(memcached) = skips::require("memcached") else {
        return;
    };
    let all = all();
    let playable: Vec<&Transcript> = all.iter().filter(|t| refusal(t, false).is_none()).collect();
    report("memcached", &all, playable.len());
    let judge = |transcript: &Transcript, split| {
        let oracle = Oracle::start(&memcached, &transcript.options)?;
        play(transcript, oracle.address(), split)
    };
    let failures = play_all(&playable, |transcript, split| {
        // memcached's own background threads hold items and move its clock for moments: the judge is asked again before
        // it overrules a transcript. Our server never is.
        judge(transcript, split).or_else(|_| judge(transcript, split)).or_else(|_| judge(transcript, split))
    });
    assert!(failures.is_empty(), "{failures}");
}

/// A mark that is no longer true hides a file from its judge.
#[test]
fn what_is_marked_as_different_is_different() {
    let Some(memcached) = skips::require("memcached") else {
        return;
    };
    let all = all();
    let marked: Vec<&Transcript> =
        all.iter().filter(|t| t.clock_seconds() <= MAX_WAIT_S && differs(t)).collect();
    let failures = play_all(&marked, |transcript, split| {
        if split {
            return Ok(());
        }
        let judged = Oracle::start(&memcached, &transcript.options)
            .and_then(|oracle| play(transcript, oracle.address(), false));
        if judged.is_ok() {
            Err(format!("{}: memcached agrees, take the mark off", transcript.file))
        } else {
            Ok(())
        }
    });
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn the_target_answers_as_the_transcripts_say() {
    let Some(address) = target() else {
        return;
    };
    let all = all();
    let playable: Vec<&Transcript> = all.iter().filter(|t| refusal(t, true).is_none()).collect();
    report("the target", &all, playable.len());
    let one_after_another = Mutex::new(());
    let failures = play_all(&playable, |transcript, split| {
        let _turn = one_after_another.lock().unwrap_or_else(PoisonError::into_inner);
        empty(address)?;
        play(transcript, address, split)
    });
    assert!(failures.is_empty(), "{failures}");
}

/// The words in backquotes of the tables of docs/protocol.md.
fn named_in_the_docs() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/protocol.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with('|')).map(|row| row.rsplit('|').nth(1).unwrap());
    rows.flat_map(|proofs| proofs.split('`').skip(1).step_by(2).map(Into::into).collect::<Vec<_>>()).collect()
}

#[test]
fn the_table_in_the_docs_names_all_transcripts_and_no_others() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol-tests/transcripts");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let there: BTreeSet<String> =
        files.iter().map(|file| file.strip_prefix(&root).unwrap().display().to_string()).collect();
    let named: BTreeSet<String> =
        named_in_the_docs().into_iter().filter(|name| name.ends_with(".txt")).collect();
    let missing: Vec<&String> = named.difference(&there).collect();
    assert!(missing.is_empty(), "named, but not there: {missing:?}");
    let unnamed: Vec<&String> = there.difference(&named).collect();
    assert!(unnamed.is_empty(), "in no row: {unnamed:?}");
}

#[test]
fn the_tests_that_the_table_in_the_docs_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names: Vec<String> = named_in_the_docs().into_iter().filter(|name| name.contains("::")).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let (file, test) = name.rsplit_once("::").unwrap();
        let path = root.join("protocol-tests").join(file.replace("::", "/"));
        let text = std::fs::read_to_string(path.with_extension("rs"))
            .or_else(|_| std::fs::read_to_string(path.join("mod.rs")))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(text.contains(&format!("fn {test}(")), "{name} is not there");
    }
}

/// Why a transcript is not played against a memcached; `shared`: one that somebody else started.
fn refusal(transcript: &Transcript, shared: bool) -> Option<&'static str> {
    if transcript.not_for_target.is_some() {
        Some("differ from memcached 1.6.18")
    } else if transcript.clock_seconds() > MAX_WAIT_S {
        Some("move the clock further than one would wait")
    } else if shared && !transcript.options.is_empty() {
        Some("need other options")
    } else if shared && transcript.fresh.is_some() {
        Some("need a server of their own")
    } else {
        None
    }
}

/// Whether memcached 1.6.18 answers otherwise every time.
fn differs(transcript: &Transcript) -> bool {
    transcript.not_for_target.as_ref().is_some_and(|reason| !reason.starts_with("unsteady"))
}

/// Plays whole and split, on as many threads as waiting makes useful; every mismatch, one after another.
pub(crate) fn play_all(
    transcripts: &[&Transcript],
    play: impl Fn(&Transcript, bool) -> Result<(), String> + Sync,
) -> String {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..PLAYERS {
            scope.spawn(|| {
                while let Some(transcript) = transcripts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let whole = play(transcript, false);
                    let split = if transcript.no_split.is_some() { Ok(()) } else { play(transcript, true) };
                    let split = split.map_err(|what| format!("split at every byte, {what}"));
                    let failed = whole.err().into_iter().chain(split.err());
                    failures.lock().unwrap_or_else(PoisonError::into_inner).extend(failed);
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.sort();
    failures.iter().fold(String::new(), |text, failure| text + "\n" + failure)
}

fn play(transcript: &Transcript, address: SocketAddr, split: bool) -> Result<(), String> {
    let mut wire = TcpWire::new(address, Clock::Waits { max_s: MAX_WAIT_S });
    run(transcript, &mut wire, split).map_err(|mismatch| mismatch.to_string())
}

/// Leaves nothing of the transcript before.
fn empty(address: SocketAddr) -> Result<(), String> {
    let flush = parse("flush", "> flush_all\n< OK\n")?;
    let mut wire = TcpWire::new(address, Clock::Waits { max_s: 0 });
    run(&flush, &mut wire as &mut dyn Wire, false).map_err(|mismatch| mismatch.to_string())
}

/// The server named by `TARGET=host:port`.
fn target() -> Option<SocketAddr> {
    let target = env::var("TARGET").ok()?;
    let mut addresses = target.to_socket_addrs().unwrap_or_else(|error| panic!("TARGET={target}: {error}"));
    addresses.next()
}

/// Says how many are played and why the others are not.
fn report(server: &str, all: &[Transcript], playable: usize) {
    let shared = server == "the target";
    let steps: usize = all.iter().map(|t| t.steps.len()).sum();
    let mut line = format!("transcripts against {server}: {playable} of {} ({steps} steps)", all.len());
    let mut reasons: Vec<&str> = all.iter().filter_map(|t| refusal(t, shared)).collect();
    reasons.sort_unstable();
    for reason in reasons.chunk_by(|a, b| a == b) {
        let _ = write!(line, "; {} {}", reason.len(), reason[0]);
    }
    skips::say(&line);
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            files.push(path);
        }
    }
}
