//! `larder load`: reads what `dump` wrote, or another tool, into a running server, with nothing but the memcached
//! protocol.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::console::{self, Done, Progress, size};
use super::server_link::{Link, Way};
use super::text::{Line, named};
use super::{Stop, Verdict};
use crate::base::fault::{Fault, FaultKind};
use crate::base::limits::LINE_BYTES_MAX;

/// What is sent before the answers are waited for, bytes.
const BATCH_BYTES: usize = 256 * 1024;
/// And items.
const BATCH_ITEMS: usize = 256;
/// Refused items that are told one by one.
const TOLD_MAX: u64 = 20;

/// Read the text of `larder dump` into a running server
///
/// Items that have expired are left out. The server gives new cas numbers. It may be a memcached.
#[derive(Args, Debug)]
#[command(override_usage = "larder load [OPTIONS] <HOST:PORT | --socket PATH> [FILE]")]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder load 127.0.0.1:11211 items.txt\n",
    "  larder dump old:11211 - | larder load new:11211 -\n",
    "  printf 'key=k exp=-1 flags=0 size=2\\r\\nhi\\r\\n' | larder load 127.0.0.1:11211 -\n\n",
    "Exit codes: 0 done, 2 usage, 3 refused or fault, or some items were refused."
))]
pub(super) struct Options {
    /// The running server (HOST:PORT, or HOST for port 11211) and the file; - for standard input
    #[arg(value_names = ["HOST:PORT", "FILE"], required = true, num_args = 1..=2)]
    words: Vec<String>,
    #[command(flatten)]
    way: Way,
    /// Leave alone what the server has already
    #[arg(long)]
    add: bool,
}

pub(super) fn run(options: &Options) -> Result<Verdict, Stop> {
    let (address, name) = options.way.address_and_file(&options.words)?;
    let input: Box<dyn Read> = if name == "-" { Box::new(io::stdin()) } else { open(Path::new(name))? };
    let mut load = Load {
        link: Link::open(&address)?,
        input: BufReader::with_capacity(1 << 18, input),
        name: name.to_owned(),
        at: 0,
        add: options.add,
        request: Vec::new(),
        waiting: Vec::new(),
        counts: Counts::default(),
    };
    let mut progress = Progress::new("load");
    while load.item()? {
        progress.tell(Done { items: load.counts.loaded, bytes: load.at, total_bytes: 0 });
    }
    load.flush()?;
    drop(progress);
    let counts = load.counts;
    console::note(&format!(
        "{} items loaded, {} expired, {} there already, {} refused; {} read",
        counts.loaded,
        counts.expired,
        counts.present,
        counts.refused,
        size(load.at)
    ));
    Ok(if counts.refused == 0 { Verdict::Done } else { Verdict::Refused })
}

fn open(path: &Path) -> Result<Box<dyn Read>, Fault> {
    Ok(Box::new(File::open(path).map_err(|error| Fault::io("cannot open", path, &error))?))
}

/// What became of the items.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    loaded: u64,
    expired: u64,
    present: u64,
    refused: u64,
}

struct Load {
    link: Link,
    input: BufReader<Box<dyn Read>>,
    name: String,
    /// Where in the input, bytes.
    at: u64,
    add: bool,
    request: Vec<u8>,
    /// The keys whose answers are to come.
    waiting: Vec<Vec<u8>>,
    counts: Counts,
}

impl Load {
    /// Takes one item of the input; false at its end.
    fn item(&mut self) -> Result<bool, Fault> {
        let begin = self.at;
        let mut text = Vec::new();
        let limit = LINE_BYTES_MAX as u64;
        let read = (&mut self.input).take(limit).read_until(b'\n', &mut text);
        self.at += read.map_err(|error| self.fault(begin, &error.to_string()))? as u64;
        if text.is_empty() {
            return Ok(false);
        }
        let text = text.strip_suffix(b"\n").ok_or_else(|| self.fault(begin, "a line is cut off"))?;
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let line = Line::decode(text).ok_or_else(|| {
            self.fault(begin, "a line key=NAME size=BYTES ... is due; nothing behind it is read")
        })?;
        let mut value = vec![0; line.size];
        let read = self.input.read_exact(&mut value);
        read.map_err(|_| self.fault(begin, "the value is cut off"))?;
        self.at += line.size as u64;
        self.line_end(begin)?;
        if line.exp >= 0 && is_past(line.exp) {
            self.counts.expired += 1;
            return Ok(true);
        }
        self.put(&line, &value);
        if self.request.len() >= BATCH_BYTES || self.waiting.len() >= BATCH_ITEMS {
            self.flush()?;
        }
        Ok(true)
    }

    /// A value ends with a line end, with or without a carriage return.
    fn line_end(&mut self, begin: u64) -> Result<(), Fault> {
        let mut end = Vec::new();
        let read = (&mut self.input).take(2).read_until(b'\n', &mut end);
        self.at += read.map_err(|error| self.fault(begin, &error.to_string()))? as u64;
        if end == b"\r\n" || end == b"\n" {
            return Ok(());
        }
        Err(self.fault(begin, "the value is not as long as its size= says"))
    }

    fn put(&mut self, line: &Line, value: &[u8]) {
        let mode = if self.add { " ME" } else { "" };
        // A time to live of 0 is never; a deadline is a unix time, which servers tell from a time by its size.
        let ttl = line.exp.max(0);
        let (key, base64) = named(&line.key);
        let facts = format!(" {}{base64} F{} T{ttl}{mode}\r\n", value.len(), line.flags);
        for part in [b"ms ", key.as_slice(), facts.as_bytes()] {
            self.request.extend_from_slice(part);
        }
        self.request.extend_from_slice(value);
        self.request.extend_from_slice(b"\r\n");
        self.waiting.push(line.key.clone());
    }

    /// Sends what was gathered and reads the answers.
    fn flush(&mut self) -> Result<(), Fault> {
        self.link.send(&self.request)?;
        self.request.clear();
        for key in std::mem::take(&mut self.waiting) {
            let reply = self.link.line()?;
            match reply.as_slice() {
                b"HD" => self.counts.loaded += 1,
                b"NS" => self.counts.present += 1,
                _ => self.refused(&key, &reply),
            }
        }
        Ok(())
    }

    fn refused(&mut self, key: &[u8], reply: &[u8]) {
        self.counts.refused += 1;
        if self.counts.refused <= TOLD_MAX {
            let [key, reply] = [key, reply].map(String::from_utf8_lossy);
            console::note(&format!("refused: {key:?}: {reply}"));
        }
    }

    fn fault(&self, offset: u64, what: &str) -> Fault {
        Fault::new(FaultKind::Unusable, what).at(Path::new(&self.name)).offset(offset)
    }
}

fn is_past(unix_s: i64) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    u64::try_from(unix_s).is_ok_and(|deadline| deadline <= now)
}
