//! Every transcript against the server under test, through every driver.
use crate::drivers::{InProcess, OverTcp};
use crate::skips;
use crate::transcript::{Transcript, Wire, run};
use crate::transcripts::{all, play_all};

/// What only a listener can do.
const NEEDS_LISTENER: [&str; 4] = [
    "framing/max-connections.txt",
    "framing/idle-timeout.txt",
    "stats/watch-connections.txt",
    "stats/watch-connections-refused.txt",
];

/// Plays every transcript, each over a fresh server; `splits`: at every byte too.
fn play<W: Wire>(
    driver: &str,
    splits: bool,
    has_listener: bool,
    start: impl Fn(&[String]) -> Result<W, String> + Sync,
) {
    let all = all();
    let needs_listener = |t: &Transcript| NEEDS_LISTENER.iter().any(|name| t.file.ends_with(name));
    let playable: Vec<&Transcript> = all.iter().filter(|t| has_listener || !needs_listener(t)).collect();
    skips::say(&format!("transcripts against larder {driver}: {} of {}", playable.len(), all.len()));
    let failures = play_all(&playable, |transcript, split| {
        if split && !splits {
            return Ok(());
        }
        let mut wire = start(&transcript.options).map_err(|what| format!("{}: {what}", transcript.file))?;
        run(transcript, &mut wire, split).map_err(|mismatch| mismatch.to_string())
    });
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn in_process_whole_and_split_at_every_byte() {
    play("in process", true, false, InProcess::start);
}

#[test]
fn over_tcp_with_one_worker() {
    play("over TCP, 1 worker", false, true, |options| OverTcp::start(1, options));
}

#[test]
fn over_tcp_with_four_workers() {
    play("over TCP, 4 workers", false, true, |options| OverTcp::start(4, options));
}
