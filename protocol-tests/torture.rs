//! Load, kill -9, restart, audit, again: nothing acknowledged may be lost, nothing deleted may come back.
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::process::Larder;
use crate::random::Random;
use crate::skips::say;
use crate::wait;

/// Keys of one client; no other client touches them.
const KEYS: usize = 300;
/// Requests that a client sends before it reads the replies.
const PIPELINE: usize = 16;
/// Longest wait for a reply of a server that lives.
const REPLY_PATIENCE: Duration = Duration::from_secs(30);

/// What one run is to do.
pub(crate) struct Plan<'a> {
    pub(crate) options: &'a [&'a str],
    pub(crate) kills: usize,
    pub(crate) clients: usize,
    /// At most so many acknowledged writes between two kills.
    pub(crate) writes_per_round: u64,
    pub(crate) seed: u64,
}

/// What it found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) acknowledged: u64,
    pub(crate) lost: u64,
    pub(crate) resurrected: u64,
}

/// What a key may hold: one state when its last write was answered, two when it was not.
#[derive(Clone, Default)]
struct Allowed {
    known: Option<Vec<u8>>,
    perhaps: Option<Option<Vec<u8>>>,
}

/// One write of a client.
#[derive(Clone, Copy, Debug)]
enum Change {
    Set,
    Append,
    Delete,
    Incr,
    Touch,
}

/// One client's keys and what they may hold.
struct Client {
    number: usize,
    random: Random,
    written: u64,
    keys: Vec<Allowed>,
}

impl Client {
    fn key(&self, index: usize) -> String {
        format!("client{}:key{index}", self.number)
    }

    /// Writes until the server is gone; counts what was acknowledged.
    fn load(&mut self, address: SocketAddr, acknowledged: &AtomicU64) {
        let Ok(stream) = connect(address) else { return };
        let mut replies = BufReader::new(&stream);
        loop {
            let batch = self.batch();
            let mut bytes = Vec::new();
            for (index, write) in &batch {
                let after = self.after(*index, *write);
                bytes.extend_from_slice(&self.request(*index, *write, &after));
                self.keys[*index].perhaps = Some(after);
            }
            if (&stream).write_all(&bytes).is_err() {
                return;
            }
            for (index, _) in &batch {
                let mut line = String::new();
                match replies.read_line(&mut line) {
                    Ok(count) if count > 0 && line.ends_with("\r\n") => {}
                    _ => return,
                }
                let after = self.keys[*index].perhaps.take().unwrap();
                assert!(!line.contains("ERROR"), "the server refused a write: {line}");
                self.keys[*index].known = after;
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Some writes to different keys.
    fn batch(&mut self) -> Vec<(usize, Change)> {
        let start = self.random.below(KEYS as u64) as usize;
        let count = 1 + self.random.below(PIPELINE as u64) as usize;
        let kind = |random: &mut Random| match random.below(10) {
            0..=4 => Change::Set,
            5 => Change::Append,
            6 => Change::Incr,
            7 => Change::Touch,
            _ => Change::Delete,
        };
        (0..count).map(|step| ((start + step) % KEYS, kind(&mut self.random))).collect()
    }

    /// What the key holds after this write.
    fn after(&mut self, index: usize, write: Change) -> Option<Vec<u8>> {
        self.written += 1;
        let before = self.keys[index].known.clone();
        match (write, before) {
            (Change::Set, _) if self.random.below(4) == 0 => Some(self.written.to_string().into_bytes()),
            (Change::Set, _) => {
                let length =
                    if self.random.below(200) == 0 { 300_000 } else { self.random.below(400) as usize };
                Some(format!("{}:{}", self.written, "x".repeat(length)).into_bytes())
            }
            (Change::Append, Some(mut value)) if value.len() < 1000 => {
                value.extend_from_slice(b"+tail");
                Some(value)
            }
            (Change::Incr, Some(value)) => Some(match number_of(&value) {
                Some(number) => {
                    let text = (number + 1).to_string();
                    format!("{text:<width$}", width = value.len()).into_bytes()
                }
                None => value,
            }),
            (Change::Delete, _) => None,
            (_, before) => before,
        }
    }

    fn request(&self, index: usize, write: Change, after: &Option<Vec<u8>>) -> Vec<u8> {
        let key = self.key(index);
        let before = &self.keys[index].known;
        match (write, after) {
            (Change::Set, Some(value)) => {
                let mut bytes = format!("set {key} 7 0 {}\r\n", value.len()).into_bytes();
                bytes.extend_from_slice(value);
                bytes.extend_from_slice(b"\r\n");
                bytes
            }
            (Change::Append, _) if before.as_ref().is_some_and(|value| value.len() < 1000) => {
                format!("append {key} 0 0 5\r\n+tail\r\n").into_bytes()
            }
            (Change::Incr, _) if before.as_ref().is_some_and(|value| number_of(value).is_some()) => {
                format!("incr {key} 1\r\n").into_bytes()
            }
            (Change::Delete, _) => format!("delete {key}\r\n").into_bytes(),
            _ => format!("touch {key} 100000\r\n").into_bytes(),
        }
    }

    /// Compares every key with what it may hold, and goes on from what it holds.
    fn audit(&mut self, address: SocketAddr, findings: &mut Findings) {
        let stream = connect(address).unwrap();
        let mut replies = BufReader::new(&stream);
        for index in 0..KEYS {
            (&stream).write_all(format!("get {}\r\n", self.key(index)).as_bytes()).unwrap();
            let found = read_value(&mut replies);
            let allowed = &self.keys[index];
            let fits =
                found == allowed.known || allowed.perhaps.as_ref().is_some_and(|perhaps| *perhaps == found);
            if !fits {
                let which =
                    if allowed.known.is_none() { &mut findings.resurrected } else { &mut findings.lost };
                *which += 1;
                say(&format!(
                    "{}: found {:?}, allowed {:?} or {:?}",
                    self.key(index),
                    found.as_deref().map(show),
                    allowed.known.as_deref().map(show),
                    allowed.perhaps.as_ref().map(|value| value.as_deref().map(show)),
                ));
            }
            self.keys[index] = Allowed { known: found, perhaps: None };
        }
    }
}

fn number_of(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.trim_end().parse().ok()
}

fn show(value: &[u8]) -> String {
    String::from_utf8_lossy(value.get(..30).unwrap_or(value)).into_owned()
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(REPLY_PATIENCE))?;
    Ok(stream)
}

/// Reads the answer to a get of one key.
fn read_value(replies: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut line = String::new();
    replies.read_line(&mut line).unwrap();
    if line == "END\r\n" {
        return None;
    }
    let length: usize = line.split_whitespace().nth(3).unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
    let mut value = vec![0; length + 2 + 5];
    replies.read_exact(&mut value).unwrap();
    value.truncate(length);
    Some(value)
}

/// Runs the plan over a data directory.
pub(crate) fn torture(data_dir: &Path, plan: &Plan<'_>) -> Findings {
    let mut random = Random::new(plan.seed);
    let mut findings = Findings::default();
    let new_client = |number| Client {
        number,
        random: Random::new(plan.seed ^ (number as u64 + 1)),
        written: 0,
        keys: vec![Allowed::default(); KEYS],
    };
    let mut clients: Vec<Client> = (0..plan.clients).map(new_client).collect();
    for round in 0..=plan.kills {
        let larder = Larder::start(data_dir, plan.options).unwrap();
        let address = larder.address();
        for client in &mut clients {
            client.audit(address, &mut findings);
        }
        if round == plan.kills || findings.lost + findings.resurrected > 0 {
            break;
        }
        let acknowledged = AtomicU64::new(0);
        let enough = random.below(plan.writes_per_round) + 1;
        std::thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(|| client.load(address, &acknowledged));
            }
            let reached = wait::until(REPLY_PATIENCE, || {
                (acknowledged.load(Ordering::Relaxed) >= enough).then_some(())
            });
            larder.kill();
            assert!(reached.is_some(), "the server stopped answering");
        });
        findings.acknowledged += acknowledged.load(Ordering::Relaxed);
    }
    say(&format!("torture {:?}, seed {}, {} kills: {findings:?}", plan.options, plan.seed, plan.kills));
    findings
}

fn check(options: &[&str], kills: usize, seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { options, kills, clients: 4, writes_per_round: 6000, seed };
    let findings = torture(&folder.path().join("data"), &plan);
    assert_eq!((findings.lost, findings.resurrected), (0, 0), "seed {seed}");
    assert!(findings.acknowledged > 0);
}

#[test]
fn kills_lose_nothing_everysec() {
    check(&["-t", "2", "--log-size", "64m"], 8, 11);
}

#[test]
fn kills_lose_nothing_always() {
    check(&["-t", "2", "--fsync", "always", "--log-size", "64m"], 6, 12);
}

#[test]
fn kills_lose_nothing_never() {
    check(&["-t", "1", "--fsync", "never", "--log-size", "64m"], 6, 13);
}

#[test]
fn kills_lose_nothing_with_little_memory_and_few_groups() {
    check(&["-t", "2", "-m", "8", "-I", "512k", "--groups", "4", "--log-size", "64m"], 8, 14);
}
