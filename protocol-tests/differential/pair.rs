//! Two servers that are asked the same, and their answers made comparable: cas numbers by the order they are first seen.
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::generate::{Pipeline, Request};

/// How long an answer may take before the test says that none came.
const PATIENCE: Duration = Duration::from_secs(20);
/// The counters that are compared. Not among them: get_expired and get_flushed, which memcached counts also for items
/// that a plain set replaces; here a plain set does not look at what was there.
const COUNTERS: [&str; 24] = [
    "cmd_get",
    "cmd_set",
    "cmd_flush",
    "cmd_touch",
    "cmd_meta",
    "get_hits",
    "get_misses",
    "delete_hits",
    "delete_misses",
    "incr_hits",
    "incr_misses",
    "decr_hits",
    "decr_misses",
    "cas_hits",
    "cas_misses",
    "cas_badval",
    "touch_hits",
    "touch_misses",
    "store_too_large",
    "store_no_memory",
    "auth_cmds",
    "auth_errors",
    "total_items",
    "evictions",
];

/// The version that a server says it is.
pub(crate) fn version(address: SocketAddr) -> String {
    let mut stream = connect(address);
    send(&mut stream, b"version\r\n", None);
    let answer = String::from_utf8_lossy(&read_until(&mut stream, b"\r\n")).into_owned();
    answer.trim_start_matches("VERSION ").trim_end().to_owned()
}

/// What one server has said to a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Its replies, comparable.
    pub(crate) replies: String,
    /// The counters behind it, where they are wanted.
    counters: String,
}

/// Sends a pipeline over a connection of its own and takes what comes until the server closes.
pub(crate) fn ask(address: SocketAddr, pipeline: &Pipeline) -> Answer {
    let mut stream = connect(address);
    let mut seen = Seen::default();
    let mut preparation = pipeline.preparation.concat();
    preparation.extend_from_slice(b"mn\r\n");
    send(&mut stream, &preparation, None);
    let prepared = read_until(&mut stream, b"MN\r\n");
    let mut replies = seen.comparable(&prepared);
    let bytes: Vec<u8> = pipeline.requests.iter().flat_map(|request| seen.filled(request)).collect();
    send(&mut stream, &bytes, pipeline.piece);
    let _ = stream.shutdown(Shutdown::Write);
    replies += "-- prepared\r\n";
    replies += &seen.comparable(&read_until(&mut stream, b""));
    let counters = if pipeline.counted { counters(address) } else { String::new() };
    Answer { replies, counters }
}

impl Answer {
    /// What is said behind the preparation.
    pub(crate) fn of_requests(&self) -> &str {
        self.replies.split_once("-- prepared\r\n").map_or("", |(_, replies)| replies)
    }

    /// Replies and counters, to be shown.
    pub(crate) fn shown(&self) -> String {
        format!("{}{}", self.of_requests(), self.counters)
    }
}

/// A connection that waits long.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A server that has closed may refuse the rest: what it said counts.
pub(crate) fn send(stream: &mut TcpStream, bytes: &[u8], piece: Option<usize>) {
    for piece in bytes.chunks(piece.unwrap_or(bytes.len()).max(1)) {
        let _ = stream.write_all(piece);
    }
}

/// Everything up to `end`, or, when that is empty, until the server closes.
pub(crate) fn read_until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 16 << 10];
    while end.is_empty() || !all.ends_with(end) {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => {
                all.extend_from_slice(format!("-- {error}\r\n").as_bytes());
                break;
            }
        }
    }
    all
}

/// The counters of a server.
pub(crate) fn counters(address: SocketAddr) -> String {
    let mut stream = connect(address);
    send(&mut stream, b"stats\r\n", None);
    let text = String::from_utf8_lossy(&read_until(&mut stream, b"END\r\n")).into_owned();
    let figure = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix("STAT ")?.strip_prefix(name)?.strip_prefix(' '))
    };
    COUNTERS.iter().map(|name| format!("{name}={} ", figure(name).unwrap_or("missing"))).collect()
}

/// The cas numbers of one server in the order they were seen.
#[derive(Default)]
struct Seen {
    numbers: Vec<u64>,
    places: HashMap<u64, usize>,
}

impl Seen {
    /// `request` with the cas numbers that its line speaks of.
    fn filled(&self, request: &Request) -> Vec<u8> {
        let end = request.iter().position(|byte| *byte == b'\n').unwrap_or(request.len());
        let (line, rest) = request.split_at(end);
        let Ok(mut line) = String::from_utf8(line.to_vec()) else { return request.clone() };
        for place in 0..3 {
            let number = self.numbers.get(place).copied().unwrap_or(u64::MAX);
            line = line.replace(&format!("{{c{place}}}"), &number.to_string());
            line = line.replace(&format!("{{c{place}-}}"), &number.wrapping_sub(1).to_string());
        }
        [line.as_bytes(), rest].concat()
    }

    /// Replies with places instead of cas numbers, and without what says how memory is laid out.
    fn comparable(&mut self, replies: &[u8]) -> String {
        let mut shown = String::new();
        let mut rest = replies;
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
            let (line, behind) = rest.split_at(end);
            let line = String::from_utf8_lossy(line);
            let words: Vec<&str> = line.split(' ').collect();
            let value_bytes = match words[..] {
                ["VALUE", _, _, length, ..] | ["VA", length, ..] => length.trim_end().parse().unwrap_or(0),
                _ => 0,
            };
            let has_value = matches!(words[0], "VALUE" | "VA");
            let (value, behind) =
                behind.split_at(if has_value { behind.len().min(value_bytes + 2) } else { 0 });
            shown += &self.line(&line, &words);
            shown += &String::from_utf8_lossy(value);
            rest = behind;
        }
        shown
    }

    fn line(&mut self, line: &str, words: &[&str]) -> String {
        let bare = line.trim_end();
        match words[0] {
            "VALUE" if words.len() == 5 => {
                let (before, cas) = bare.rsplit_once(' ').unwrap_or((bare, ""));
                format!("{before} {}\r\n", self.place(cas))
            }
            "VA" | "HD" | "EX" | "NF" | "NS" => {
                let word = |word: &str| match word.strip_prefix('c') {
                    Some(cas) if !cas.is_empty() => format!("c{}", self.place(cas)),
                    // memcached counts below zero from a deadline that has passed: less its uptime.
                    None if word.len() == 11 && word.starts_with("t42949") => "t0".to_owned(),
                    _ => word.to_owned(),
                };
                bare.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\r\n"
            }
            "ME" => {
                // memcached 1.6.18 counts the remaining seconds below zero.
                let word = |word: &str| match word.split_once('=') {
                    Some(("exp", left)) if left != "-1" => format!("exp={}", left.trim_start_matches('-')),
                    Some(("cas", cas)) => format!("cas={}", self.place(cas)),
                    Some((name @ ("cls" | "size"), _)) => format!("{name}=?"),
                    _ => word.to_owned(),
                };
                bare.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\r\n"
            }
            _ => line.to_owned(),
        }
    }

    /// The place of a number among those seen; 0 is itself.
    fn place(&mut self, cas: &str) -> String {
        match cas.parse() {
            Ok(0) => "0".into(),
            Ok(number) => {
                let next = self.numbers.len();
                let place = *self.places.entry(number).or_insert(next);
                if place == next {
                    self.numbers.push(number);
                }
                format!("#{place}")
            }
            Err(_) => cas.to_owned(),
        }
    }
}
