//! The contract on the wire, asked of a server that has none of the keys, or half of them: every transcript that is not
//! about the server itself must look the same.
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use larder::base::time::Clock;
use larder::server::Server;

use super::{LOOPBACK, SECRET, map_text, ports};
use crate::drivers::{TestClock, configured};
use crate::skips::say;
use crate::transcript::tcp::{self, TcpWire};
use crate::transcript::{Transcript, run};
use crate::transcripts::{all, play_all};

/// What is about the server that is asked, or changes what it alone does, and why.
const OF_ONE_SERVER: &[(&str, &str)] = &[
    ("stats/", "figures, listings and events are those of the server that is asked"),
    ("binary/stat", "figures"),
    ("framing/max-connections.txt", "connections are those of the server that is asked"),
    ("framing/idle-timeout.txt", "as are they"),
    ("framing/out-of-memory.txt", "-M fills one server's memory, and others have some left"),
    ("classic/cache-memlimit", "memory is the server's own"),
    (
        "framing/line-without-newline-get.txt",
        "a read of 65,537 keys, of which another server is asked some hundred at a time, may outlast a wire's patience",
    ),
];

fn is_of_one_server(transcript: &Transcript) -> bool {
    OF_ONE_SERVER.iter().any(|(name, _)| transcript.file.contains(name))
}

/// Two servers in this process, over one clock. The client speaks to the first.
struct Two {
    servers: Vec<Server>,
    wire: TcpWire,
    _folder: tempfile::TempDir,
}

/// A loopback address of its own for each pair: no other takes its ports.
fn host() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let [_, _, second, third] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let first = 1 + (std::process::id() % 254) as u8;
    IpAddr::V4(Ipv4Addr::new(127, first, second, third.saturating_add(1)))
}

impl Two {
    /// Which of four groups is on which server.
    fn start(ranges: &[(&str, u16)], options: &[String]) -> Result<Two, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let host = host();
        let found = ports(host, 2);
        let at = |id: usize| (SocketAddr::new(LOOPBACK, 1 + id as u16), SocketAddr::new(host, found[id]));
        fs::write(path("map"), map_text(4, &[at(0), at(1)], ranges)).map_err(|error| error.to_string())?;
        fs::write(path("secret"), SECRET).map_err(|error| error.to_string())?;
        let clock = TestClock::new();
        let start = |id: &str| {
            let (map, secret) = (path("map"), path("secret"));
            let own = ["-p", "-1", "-t", "1", "--memory-only", "--cluster", &map, "--server-id", id];
            let words = own.into_iter().chain(["--peer-secret-file", &secret]);
            let words = words.chain(options.iter().map(String::as_str));
            let clock = Arc::clone(&clock) as Arc<dyn Clock>;
            Server::start(&configured(words), clock, Arc::new(|| {})).map_err(|fault| fault.to_string())
        };
        let servers = vec![start("1")?, start("2")?];
        let address = *servers[0].addresses().first().ok_or("no address")?;
        let lever = move |seconds| {
            clock.advance(seconds);
            true
        };
        let wire = TcpWire::new(address, tcp::Clock::Lever(Box::new(lever)));
        Ok(Two { servers, wire, _folder: folder })
    }
}

impl Drop for Two {
    fn drop(&mut self) {
        for server in self.servers.drain(..) {
            let _ = server.stop();
        }
    }
}

fn play(what: &str, ranges: &[(&str, u16)]) {
    let all = all();
    let playable: Vec<&Transcript> = all.iter().filter(|transcript| !is_of_one_server(transcript)).collect();
    say(&format!("transcripts through a server that has {what}: {} of {}", playable.len(), all.len()));
    let failures = play_all(&playable, |transcript, split| {
        if split {
            return Ok(());
        }
        let mut two =
            Two::start(ranges, &transcript.options).map_err(|what| format!("{}: {what}", transcript.file))?;
        run(transcript, &mut two.wire, split).map_err(|mismatch| mismatch.to_string())
    });
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn a_server_that_has_no_key_answers_as_one_that_has_all() {
    play("no key", &[("0-3", 2)]);
}

#[test]
fn a_server_that_has_half_the_keys_answers_as_one_that_has_all() {
    play("half the keys", &[("0", 1), ("1", 2), ("2", 1), ("3", 2)]);
}
