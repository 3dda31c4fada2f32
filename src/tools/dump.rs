//! `larder dump`: the items of a running server as text, with nothing but the memcached protocol: of a memcached too.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use clap::Args;

use super::console::{self, Done, Progress, size};
use super::server_link::{Link, Way};
use super::text::{Line, from_uri, named};
use super::{Stop, Verdict};
use crate::base::fault::{Fault, FaultKind};
use crate::base::limits::ITEM_BYTES_MAX;

/// Keys that are asked for at once.
const BATCH_KEYS: usize = 64;

/// Write the items of a running server as text
///
/// Two connections are used: one lists the keys, one reads the values. The server may be a memcached. Items that change
/// meanwhile are written as they were at some moment; for a copy of one moment use `larder backup`.
#[derive(Args, Debug)]
#[command(override_usage = "larder dump [OPTIONS] <HOST:PORT | --socket PATH> [FILE]")]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder dump 127.0.0.1:11211 items.txt\n",
    "  larder dump --socket /run/larder.sock - | gzip > items.txt.gz\n\n",
    "Each item is a line and its value: key=NAME exp=SECONDS cas=NUMBER flags=NUMBER size=BYTES\n",
    "Exit codes: 0 done, 2 usage, 3 refused or fault."
))]
pub(super) struct Options {
    /// The running server (HOST:PORT, or HOST for port 11211) and the new file; - for standard output
    #[arg(value_names = ["HOST:PORT", "FILE"], required = true, num_args = 1..=2)]
    words: Vec<String>,
    #[command(flatten)]
    way: Way,
}

pub(super) fn run(options: &Options) -> Result<Verdict, Stop> {
    let (address, name) = options.way.address_and_file(&options.words)?;
    let mut keys = Link::open(&address)?;
    let values = Link::open(&address)?;
    keys.send(b"lru_crawler metadump all\r\n")?;
    let out: Box<dyn Write> = if name == "-" { Box::new(io::stdout()) } else { create(Path::new(name))? };
    let mut dump = Dump {
        values,
        out: BufWriter::with_capacity(1 << 18, out),
        name: name.to_owned(),
        progress: Progress::new("dump"),
        done: Done::default(),
    };
    let mut batch = Vec::new();
    loop {
        let line = keys.line()?;
        match listed(&line) {
            Some(listed) => batch.push(listed),
            None if line == b"END" => break,
            // Larder says so before the listing; memcached does not.
            None if line == b"OK" => continue,
            None => return Err(keys.refusal(&line).into()),
        }
        if batch.len() >= BATCH_KEYS {
            dump.write(&batch)?;
            batch.clear();
        }
    }
    dump.write(&batch)?;
    dump.out.flush().map_err(|error| dump.lost(&error))?;
    let done = dump.done;
    drop(dump);
    console::note(&format!("{} items, {} written", done.items, size(done.bytes)));
    Ok(Verdict::Done)
}

fn create(path: &Path) -> Result<Box<dyn Write>, Fault> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    Ok(Box::new(file.map_err(|error| Fault::io("cannot make the file", path, &error))?))
}

/// A line of the listing: key and deadline.
fn listed(line: &[u8]) -> Option<(Vec<u8>, i64)> {
    let text = std::str::from_utf8(line).ok()?;
    let word = |name: &str| text.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    Some((from_uri(word("key")?)?, word("exp")?.parse().ok()?))
}

struct Dump {
    values: Link,
    out: BufWriter<Box<dyn Write>>,
    name: String,
    progress: Progress,
    done: Done,
}

impl Dump {
    /// Asks for the values of some keys and writes those that are there.
    fn write(&mut self, batch: &[(Vec<u8>, i64)]) -> Result<(), Fault> {
        let mut request = Vec::new();
        for (key, _) in batch {
            let (key, base64) = named(key);
            // u leaves no trace of the reading.
            for part in [b"mg ", key.as_slice(), base64.as_bytes(), b" c f s u v\r\n"] {
                request.extend_from_slice(part);
            }
        }
        self.values.send(&request)?;
        for (key, exp) in batch {
            let line = self.values.line()?;
            if line != b"EN" {
                self.item(key, *exp, &line)?;
            }
        }
        self.progress.tell(self.done);
        Ok(())
    }

    fn item(&mut self, key: &[u8], exp: i64, reply: &[u8]) -> Result<(), Fault> {
        let text = String::from_utf8_lossy(reply);
        let mut words = text.split(' ');
        let length = match (words.next(), words.next().and_then(|length| length.parse::<usize>().ok())) {
            (Some("VA"), Some(length)) if length <= ITEM_BYTES_MAX => length,
            _ => return Err(self.values.refusal(reply)),
        };
        let number =
            |flag: char| text.split(' ').skip(2).find_map(|word| word.strip_prefix(flag)?.parse().ok());
        let cas = number('c').unwrap_or(0);
        let flags = number('f').and_then(|flags| u32::try_from(flags).ok()).unwrap_or(0);
        let mut value = vec![0; length + 2];
        self.values.fill(&mut value)?;
        let line = Line { key: key.to_vec(), exp, flags, cas, size: length }.encode();
        let wrote = self.out.write_all(&line).and_then(|()| self.out.write_all(&value));
        wrote.map_err(|error| self.lost(&error))?;
        self.done.items += 1;
        self.done.bytes += (line.len() + value.len()) as u64;
        Ok(())
    }

    fn lost(&self, error: &io::Error) -> Fault {
        Fault::new(FaultKind::Io, format!("cannot write to {}: {error}", self.name))
    }
}
