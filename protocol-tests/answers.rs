//! Every transcript against the server under test, through every driver.
use crate::drivers::{InProcess, OverTcp};
use crate::skips;
use crate::transcript::{Transcript, Wire, run};
use crate::transcripts::{all, play_all};

/// What only a listener can do.
const NEEDS_LISTENER: [&str; 5] = [
    "framing/max-connections.txt",
    "framing/idle-timeout.txt",
    "stats/watch-connections.txt",
    "stats/watch-connections-refused.txt",
    "stats/watch-idle.txt",
];
/// What is answered otherwise behind TLS; `tls::` has what comes instead.
#[cfg(feature = "tls")]
const WITHOUT_TLS: [&str; 4] = [
    "framing/max-connections.txt",
    "stats/general-84.txt",
    "stats/general-exact.txt",
    "stats/refresh-certs.txt",
];

/// Plays every transcript but these, each over a fresh server; `splits`: at every byte too.
fn play<W: Wire>(
    driver: &str,
    splits: bool,
    without: &[&str],
    start: impl Fn(&[String]) -> Result<W, String> + Sync,
) {
    let all = all();
    let is_left_out = |t: &&Transcript| without.iter().any(|name| t.file.ends_with(name));
    let playable: Vec<&Transcript> = all.iter().filter(|t| !is_left_out(t)).collect();
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
    play("in process", true, &NEEDS_LISTENER, InProcess::start);
}

#[test]
fn over_tcp_with_one_worker() {
    play("over TCP, 1 worker", false, &[], |options| OverTcp::start(1, options));
}

#[test]
fn over_tcp_with_four_workers() {
    play("over TCP, 4 workers", false, &[], |options| OverTcp::start(4, options));
}

#[cfg(feature = "tls")]
#[test]
fn over_tls_with_one_worker() {
    let authority = crate::tls::authority::Authority::serving();
    play("over TLS, 1 worker", false, &WITHOUT_TLS, |options| OverTcp::behind_tls(1, &authority, options));
}
