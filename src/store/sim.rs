//! A disk for tests that pauses, fails and forgets as real ones may. Nothing of a server uses it.
//!
//! It keeps two images of a file: what running programs see, and what a power cut would leave. What was not synced is
//! left, torn or lost sector by sector, each for itself.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::StorageBackend;

use crate::base::chance::Chance;

use super::disk::Disk;

/// What a power cut may leave as it was or as it was to be, bytes.
const SECTOR_BYTES: usize = 512;

/// A call that a store makes to its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Reads from the file.
    Read,
    /// Writes to it.
    Write,
    /// Changes its length.
    Resize,
    /// Makes it durable.
    Sync,
    /// Gives a new file its name.
    Publish,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It succeeds.
    Done,
    /// It fails and changes nothing.
    Fails(io::ErrorKind),
    /// It fails; of a write, half is done.
    Torn,
}

/// Asked before every call, under none of the disk's locks: it may wait, or do something else meanwhile.
pub type Gate = Arc<dyn Fn(Call) -> Fate + Send + Sync>;

/// A simulated file under a store. Clones are the same file.
#[derive(Clone)]
pub struct SimDisk(Arc<Shared>);

struct Shared {
    gate: Gate,
    published: Mutex<Option<Arc<Mutex<Image>>>>,
    unpublished: Mutex<Option<Arc<Mutex<Image>>>>,
}

#[derive(Clone, Default)]
struct Image {
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Written(usize, Vec<u8>),
    Resized(usize),
}

impl SimDisk {
    /// No file yet.
    pub fn new(gate: Gate) -> SimDisk {
        SimDisk(Arc::new(Shared { gate, published: Mutex::default(), unpublished: Mutex::default() }))
    }

    /// The file for the next process after this one was killed: what was not durable is still not.
    pub fn after_kill(&self, gate: Gate) -> SimDisk {
        self.left(gate, Image::clone)
    }

    /// What a power cut at this moment could leave, one of many ways: `seed` chooses.
    pub fn after_power_cut(&self, gate: Gate, seed: u64) -> SimDisk {
        self.left(gate, |image| image.after_power_cut(seed))
    }

    fn left(&self, gate: Gate, remains: impl Fn(&Image) -> Image) -> SimDisk {
        let disk = SimDisk::new(gate);
        let image = self.0.published.lock().as_ref().map(|image| remains(&image.lock()));
        *disk.0.published.lock() = image.map(|image| Arc::new(Mutex::new(image)));
        disk
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SimDisk")
    }
}

impl Image {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        lay(&mut self.seen, bytes, offset);
        self.unsynced.push(Change::Written(offset, bytes.to_vec()));
    }

    fn resize(&mut self, len: usize) {
        self.seen.resize(len, 0);
        self.unsynced.push(Change::Resized(len));
    }

    fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Written(offset, bytes) => lay(&mut self.durable, &bytes, offset),
                Change::Resized(len) => self.durable.resize(len, 0),
            }
        }
    }

    /// The length is as it was or as some change since made it; every sector is as it was, or after some of the writes
    /// since, the last of them perhaps torn.
    fn after_power_cut(&self, seed: u64) -> Image {
        let mut chance = Chance(seed);
        let mut left = self.durable.clone();
        let mut sectors: BTreeMap<usize, Vec<(usize, &[u8])>> = BTreeMap::new();
        for change in &self.unsynced {
            match change {
                Change::Resized(len) if chance.below(2) == 0 => left.resize(*len, 0),
                Change::Resized(_) => {}
                Change::Written(offset, bytes) => split(*offset, bytes, &mut sectors),
            }
        }
        for pieces in sectors.values() {
            let kept = chance.below_len(pieces.len() + 1);
            for (at, piece) in pieces.iter().take(kept) {
                lay(&mut left, piece, *at);
            }
            if let (Some((at, piece)), 0) = (pieces.get(kept), chance.below(4)) {
                let torn = chance.below_len(piece.len());
                lay(&mut left, piece.get(..torn).unwrap_or(&[]), *at);
            }
        }
        Image { seen: left.clone(), durable: left, unsynced: Vec::new() }
    }
}

/// Cuts a write at the borders of sectors.
fn split<'a>(mut at: usize, mut rest: &'a [u8], sectors: &mut BTreeMap<usize, Vec<(usize, &'a [u8])>>) {
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((SECTOR_BYTES - at % SECTOR_BYTES).min(rest.len()));
        sectors.entry(at / SECTOR_BYTES).or_default().push((at, piece));
        at += piece.len();
        rest = behind;
    }
}

/// Writes over `image`, which grows when it must.
fn lay(image: &mut Vec<u8>, bytes: &[u8], offset: usize) {
    let end = offset + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    if let Some(place) = image.get_mut(offset..end) {
        place.copy_from_slice(bytes);
    }
}

impl Disk for SimDisk {
    fn path(&self) -> &Path {
        Path::new("/sim/group.redb")
    }

    fn exists(&self) -> io::Result<bool> {
        Ok(self.0.published.lock().is_some())
    }

    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        let image = self.0.published.lock().clone().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(OpenFile { disk: self.clone(), image }))
    }

    fn create(&self) -> io::Result<Box<dyn StorageBackend>> {
        let image = Arc::<Mutex<Image>>::default();
        *self.0.unpublished.lock() = Some(Arc::clone(&image));
        Ok(Box::new(OpenFile { disk: self.clone(), image }))
    }

    fn publish(&self) -> io::Result<()> {
        (self.0.gate)(Call::Publish).done()?;
        *self.0.published.lock() = self.0.unpublished.lock().take();
        Ok(())
    }

    fn discard(&self) -> io::Result<()> {
        *self.0.unpublished.lock() = None;
        Ok(())
    }

    fn space(&self) -> io::Result<(u64, u64)> {
        let bytes = self.0.published.lock().as_ref().map_or(0, |image| image.lock().seen.len() as u64);
        Ok((bytes, bytes))
    }
}

struct OpenFile {
    disk: SimDisk,
    image: Arc<Mutex<Image>>,
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OpenFile")
    }
}

impl OpenFile {
    fn ask(&self, call: Call) -> io::Result<()> {
        (self.disk.0.gate)(call).done()
    }
}

impl Fate {
    fn done(self) -> io::Result<()> {
        match self {
            Fate::Done => Ok(()),
            Fate::Fails(kind) => Err(kind.into()),
            Fate::Torn => Err(io::Error::other("torn")),
        }
    }
}

impl StorageBackend for OpenFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.image.lock().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.ask(Call::Read)?;
        let image = self.image.lock();
        let start = place(offset)?;
        let end = start.checked_add(out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(image.seen.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.ask(Call::Resize)?;
        self.image.lock().resize(place(len)?);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.ask(Call::Sync)?;
        self.image.lock().sync();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let fate = (self.disk.0.gate)(Call::Write);
        let done = match fate {
            Fate::Done => data,
            Fate::Fails(_) => &[],
            Fate::Torn => data.get(..data.len() / 2).unwrap_or(&[]),
        };
        self.image.lock().write(place(offset)?, done);
        fate.done()
    }
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}
