//! `larder backup`: copies what a running server holds, consistent at one LSN, and verifies the copy.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::console::{self, Done, Progress, quoted, size};
use super::place::{self, NewFile};
use super::server_link::{Link, Way};
use super::{Stop, Verdict, verify};
use crate::backup::frame::HEADER_BYTES;
use crate::backup::{self, Begin, End, FileFacts, GREETING, Header, Kind, MANIFEST, Manifest};
use crate::base::fault::{Fault, FaultKind};
use crate::binlog::Extent;

/// What is copied of a frame at once, bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// Copy what a running server holds into a new directory, consistent at one moment
///
/// The server goes on serving. The copy is read again and verified before the command ends.
#[derive(Args, Debug)]
#[command(override_usage = "larder backup [OPTIONS] <HOST:PORT | --socket PATH> <DEST_DIR>")]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder backup 127.0.0.1:11211 /backup/monday\n",
    "  larder backup --socket /run/larder.sock --rate 50 /backup/monday\n\n",
    "Bring it back with `larder restore`, look at it with `larder check`.\n",
    "Exit codes: 0 done, 2 usage, 3 refused or fault."
))]
pub(super) struct Options {
    /// The running server (HOST:PORT, or HOST for port 11211) and the new directory
    #[arg(value_names = ["HOST:PORT", "DEST_DIR"], required = true, num_args = 1..=2)]
    words: Vec<String>,
    #[command(flatten)]
    way: Way,
    /// At most so many megabytes a second
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> Result<Verdict, Stop> {
    let (address, rest) = options.way.address(&options.words)?;
    let [destination] = rest else { return Err(Stop::Usage("where to? name one new directory".into())) };
    let destination = PathBuf::from(destination);
    place::refuse_used(&destination, "name a new directory for the backup")?;
    let mut link = Link::open(&address)?;
    link.send(b"backup\r\n")?;
    let greeting = link.line()?;
    if Some(&greeting[..]) != GREETING.strip_suffix(b"\r\n") {
        return Err(link.refusal(&greeting).into());
    }
    place::make(&destination.join(backup::ITEMS))?;
    place::make(&destination.join(backup::BINLOG))?;
    let mut copy = Copy {
        link,
        destination: destination.clone(),
        begin: None,
        files: Vec::new(),
        open: None,
        progress: Progress::new("backup"),
        done: Done::default(),
        pace: options.rate.map(Pace::new),
    };
    let manifest = copy.receive()?;
    let elapsed = copy.progress.elapsed();
    drop(copy);
    write_manifest(&destination, &manifest)?;
    verify::verify(&destination, &manifest)?;
    report(options.json, &manifest, &destination, elapsed);
    if manifest.end.left_out > 0 {
        let message = format!(
            "the backup is good, but the server could not read {} of its items: its log names them; stop it and use \
             `larder check`",
            manifest.end.left_out
        );
        return Err(Fault::new(FaultKind::Corrupt, message).at(&destination).into());
    }
    Ok(Verdict::Done)
}

/// Keeps a transfer below a rate.
struct Pace {
    began: Instant,
    bytes_per_s: u64,
}

impl Pace {
    fn new(megabytes: u64) -> Pace {
        Pace { began: Instant::now(), bytes_per_s: megabytes.saturating_mul(1 << 20) }
    }

    /// Waits until so many bytes may have been moved. The server is slowed down by its full socket.
    fn keep(&self, bytes: u64) {
        let due_ms = bytes.saturating_mul(1000) / self.bytes_per_s.max(1);
        let early = Duration::from_millis(due_ms).checked_sub(self.began.elapsed());
        if let Some(early) = early {
            thread::sleep(early);
        }
    }
}

/// A backup that is being received.
struct Copy {
    link: Link,
    destination: PathBuf,
    begin: Option<Begin>,
    files: Vec<FileFacts>,
    /// The file that is written, and its name.
    open: Option<(String, NewFile)>,
    progress: Progress,
    done: Done,
    pace: Option<Pace>,
}

impl Copy {
    /// Receives everything up to the end frame.
    fn receive(&mut self) -> Result<Manifest, Fault> {
        loop {
            let mut head = [0; HEADER_BYTES];
            self.link.fill(&mut head)?;
            let header = Header::decode(&head).ok_or_else(garbled)?;
            match header.kind {
                Kind::Begin => {
                    let body = self.body(&header)?;
                    self.begin = Some(Begin::decode(&body).ok_or_else(garbled)?);
                }
                Kind::Items | Kind::GroupEnd => self.items(&header, &head)?,
                Kind::Segment => {
                    let body = self.body(&header)?;
                    let sequence =
                        body.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).ok_or_else(garbled)?;
                    let name = Extent { sequence, bytes: 0 }.file_name();
                    self.create(format!("{}/{name}", backup::BINLOG))?;
                }
                Kind::Bytes => self.stream(&header)?,
                Kind::End => {
                    self.close()?;
                    let body = self.body(&header)?;
                    let end = End::decode(&body).ok_or_else(garbled)?;
                    let begin = self.begin.ok_or_else(garbled)?;
                    return Ok(Manifest { begin, end, files: std::mem::take(&mut self.files) });
                }
                Kind::Failed => {
                    let body = self.body(&header)?;
                    let why = String::from_utf8_lossy(&body).into_owned();
                    return Err(Fault::new(
                        FaultKind::Unusable,
                        format!("the server gave the backup up: {why}"),
                    ));
                }
                Kind::Transfer | Kind::Seal => return Err(garbled()),
            }
        }
    }

    /// A frame of items, into the file of its group as it is.
    fn items(&mut self, header: &Header, head: &[u8; HEADER_BYTES]) -> Result<(), Fault> {
        let name = backup::items_file(header.group);
        if self.open.as_ref().is_none_or(|(open, _)| *open != name) {
            self.create(name)?;
        }
        self.done.items += u64::from(header.count);
        self.append(head)?;
        self.stream(header)
    }

    fn create(&mut self, name: String) -> Result<(), Fault> {
        self.close()?;
        let file = NewFile::create(&self.destination.join(&name))?;
        self.open = Some((name, file));
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        if let Some((name, file)) = self.open.take() {
            let (bytes, crc) = file.finish()?;
            self.files.push(FileFacts { name, bytes, crc });
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.done.bytes += bytes.len() as u64;
        match &mut self.open {
            Some((_, file)) => file.write(bytes),
            None => Err(garbled()),
        }
    }

    /// The body of a frame into the open file, piece by piece.
    fn stream(&mut self, header: &Header) -> Result<(), Fault> {
        let mut left = header.body_bytes;
        let mut crc = header.seed();
        let mut piece = vec![0; PIECE_BYTES.min(left)];
        while left > 0 {
            let bytes = piece.get_mut(..left.min(PIECE_BYTES)).unwrap_or_default();
            self.link.fill(bytes)?;
            left -= bytes.len();
            crc = crc32c::crc32c_append(crc, bytes);
            self.append(bytes)?;
            if let Some(pace) = &self.pace {
                pace.keep(self.done.bytes);
            }
            self.progress.tell(self.done);
        }
        if header.accepts(crc) { Ok(()) } else { Err(garbled()) }
    }

    /// The body of a frame that is not kept.
    fn body(&mut self, header: &Header) -> Result<Vec<u8>, Fault> {
        let mut body = vec![0; header.body_bytes.min(PIECE_BYTES)];
        self.link.fill(&mut body)?;
        let is_good = header.accepts(crc32c::crc32c_append(header.seed(), &body));
        if is_good { Ok(body) } else { Err(garbled()) }
    }
}

fn garbled() -> Fault {
    Fault::new(
        FaultKind::Corrupt,
        "what the server sent is not a backup, or was damaged on the way; try again",
    )
}

/// The manifest comes last: a backup without one was never finished.
fn write_manifest(destination: &Path, manifest: &Manifest) -> Result<(), Fault> {
    place::sync(&destination.join(backup::ITEMS))?;
    place::sync(&destination.join(backup::BINLOG))?;
    let [unfinished, path] = ["manifest.new", MANIFEST].map(|name| destination.join(name));
    let mut file = NewFile::create(&unfinished)?;
    file.write(manifest.encode().as_bytes())?;
    file.finish()?;
    std::fs::rename(&unfinished, &path).map_err(|error| Fault::io("cannot rename to this", &path, &error))?;
    place::sync(destination)
}

fn report(json: bool, manifest: &Manifest, destination: &Path, elapsed: Duration) {
    let (items, bytes, lsn) = (manifest.end.items, manifest.bytes(), manifest.end.until);
    let seconds = elapsed.as_secs_f64();
    if json {
        let path = quoted(&destination.display().to_string());
        return console::say(&format!(
            "{{\"backup\":{path},\"items\":{items},\"bytes\":{bytes},\"lsn\":{lsn},\"seconds\":{seconds:.3},\
             \"left_out\":{},\"verified\":true}}",
            manifest.end.left_out
        ));
    }
    console::say(&format!(
        "{}: {items} items, {}, as of LSN {lsn}, in {seconds:.1} s; verified",
        destination.display(),
        size(bytes)
    ));
}
