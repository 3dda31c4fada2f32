//! A disk for tests that forgets, tears and fails as real ones may. Nothing of a server uses it.
//!
//! It keeps two images of everything: what running programs see, and what a power cut would leave. What was not
//! synced is left, torn or lost sector by sector, each for itself; creations, renamings and removals likewise.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::base::chance::Chance;

use super::disk::{Disk, DiskFile};

/// What the disk writes at once, bytes: a power cut may leave the old or the new bytes of each, or tear it.
const SECTOR_BYTES: usize = 512;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The change fails, and so does everything after it: the power is going. A write is done in part.
    PowerCut,
    /// The change fails once. After a failed sync the disk does not have what it was to make durable, although
    /// reads still show it and the next sync succeeds.
    Fails,
}

/// A change that a log makes to its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A write to a file.
    Write,
    /// A sync of a file.
    Sync,
    /// More space for a file.
    Allocate,
    /// A file made, renamed or removed, or the sync of the directory.
    Name,
}

/// Asked before every change, under none of the disk's locks: it may wait, do something else meanwhile, or name the
/// trouble that the change meets.
pub type Gate = Arc<dyn Fn(Call) -> Option<Trouble> + Send + Sync>;

/// A simulated directory. Clones are the same directory.
#[derive(Clone, Default)]
pub struct SimDisk(Arc<Mutex<Image>>);

#[derive(Default)]
struct Image {
    files: Vec<SimFile>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names that no directory sync has covered.
    renames: Vec<NameChange>,
    /// Changes made so far.
    changes: u64,
    trouble: Option<(u64, Trouble)>,
    dead: bool,
    gate: Option<Gate>,
    /// Bytes that files may take; `None` for no bound.
    room: Option<u64>,
}

#[derive(Clone, Default)]
struct SimFile {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync: offset and bytes.
    unsynced: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone)]
enum NameChange {
    Created(String, usize),
    Renamed(String, String),
    Removed(String),
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Created(name, file) => {
                names.insert(name.clone(), *file);
            }
            NameChange::Renamed(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            NameChange::Removed(name) => {
                names.remove(name);
            }
        }
    }
}

impl SimDisk {
    /// An empty directory.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// How many changes (writes, syncs, creations, renamings, removals, allocations) were made.
    pub fn changes(&self) -> u64 {
        self.0.lock().changes
    }

    /// Lets the change with this number (counted as [`SimDisk::changes`] does, from 0) fail.
    pub fn fail_at(&self, change: u64, trouble: Trouble) {
        self.0.lock().trouble = Some((change, trouble));
    }

    /// Asks `gate` before every change from now on; the directories that crashes leave are asked nothing.
    pub fn set_gate(&self, gate: Gate) {
        self.0.lock().gate = Some(gate);
    }

    /// The image for a change, after the gate was asked.
    fn begin(&self, call: Call) -> MutexGuard<'_, Image> {
        let gate = self.0.lock().gate.clone();
        let trouble = gate.and_then(|gate| gate(call));
        let mut image = self.0.lock();
        if let Some(trouble) = trouble {
            image.trouble = Some((image.changes, trouble));
        }
        image
    }

    /// Lets files take so many bytes; `None` for no bound.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.0.lock().room = bytes;
    }

    /// What a power cut at this moment could leave, one of many ways: `seed` chooses.
    pub fn after_power_cut(&self, seed: u64) -> SimDisk {
        let image = self.0.lock();
        let mut chance = Chance(seed);
        let mut names = image.durable_names.clone();
        for change in image.renames.iter().filter(|_| chance.below(2) == 0) {
            change.apply(&mut names);
        }
        let files = image.files.iter().map(|file| file.after_power_cut(&mut chance)).collect();
        let room = image.room;
        let (durable_names, renames) = (names.clone(), Vec::new());
        SimDisk(Arc::new(Mutex::new(Image {
            files,
            names,
            durable_names,
            renames,
            room,
            ..Image::default()
        })))
    }

    /// The same directory for the next process after this one was killed: everything is seen, the trouble is over,
    /// and what was not durable is still not.
    pub fn after_kill(&self) -> SimDisk {
        let image = self.0.lock();
        SimDisk(Arc::new(Mutex::new(Image {
            files: image.files.clone(),
            names: image.names.clone(),
            durable_names: image.durable_names.clone(),
            renames: image.renames.clone(),
            room: image.room,
            ..Image::default()
        })))
    }

    /// The bytes of a file, as programs see them.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let image = self.0.lock();
        let file = image.names.get(name)?;
        image.files.get(*file).map(|file| file.seen.clone())
    }

    /// Puts a file there, durably: to damage one, or to bring one.
    pub fn set_bytes(&self, name: &str, bytes: Vec<u8>) {
        let mut image = self.0.lock();
        let index = image.files.len();
        image.files.push(SimFile { durable: bytes.clone(), seen: bytes, unsynced: Vec::new() });
        image.names.insert(name.to_owned(), index);
        image.durable_names.insert(name.to_owned(), index);
    }
}

impl SimFile {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        lay(&mut self.seen, bytes, offset);
        self.unsynced.push((offset, bytes.to_vec()));
    }

    fn sync(&mut self) {
        for (offset, bytes) in self.unsynced.drain(..) {
            lay(&mut self.durable, &bytes, offset);
        }
    }

    /// Every sector is as it was durable, or after some of the writes since, the last of them perhaps torn.
    fn after_power_cut(&self, chance: &mut Chance) -> SimFile {
        let mut left = self.durable.clone();
        let mut writes: BTreeMap<usize, Vec<(usize, &[u8])>> = BTreeMap::new();
        for (offset, bytes) in &self.unsynced {
            let mut at = *offset;
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at((SECTOR_BYTES - at % SECTOR_BYTES).min(rest.len()));
                writes.entry(at / SECTOR_BYTES).or_default().push((at, piece));
                at += piece.len();
                rest = behind;
            }
        }
        for pieces in writes.values() {
            let kept = chance.below_len(pieces.len() + 1);
            for (at, piece) in pieces.iter().take(kept) {
                lay(&mut left, piece, *at);
            }
            if let (Some((at, piece)), 0) = (pieces.get(kept), chance.below(4)) {
                let torn = chance.below_len(piece.len());
                lay(&mut left, piece.get(..torn).unwrap_or(&[]), *at);
            }
        }
        SimFile { seen: left.clone(), durable: left, unsynced: Vec::new() }
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

impl Image {
    /// Counts a change; fails if it is to.
    fn change(&mut self) -> io::Result<()> {
        let number = self.changes;
        self.changes += 1;
        if self.dead {
            return Err(io::Error::other("the power is off"));
        }
        match self.trouble {
            Some((at, trouble)) if at == number => {
                self.dead = trouble == Trouble::PowerCut;
                Err(io::Error::other("simulated trouble"))
            }
            _ => Ok(()),
        }
    }

    fn rename(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.renames.push(change);
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&mut self, index: usize) -> io::Result<&mut SimFile> {
        self.files.get_mut(index).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn taken(&self) -> u64 {
        self.names.values().filter_map(|file| self.files.get(*file)).map(|file| file.seen.len() as u64).sum()
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut image = self.begin(Call::Name);
        image.change()?;
        if image.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let index = image.files.len();
        image.files.push(SimFile::default());
        image.rename(NameChange::Created(name.to_owned(), index));
        Ok(Arc::new(OpenFile { disk: self.clone(), index }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let index = self.0.lock().find(name)?;
        Ok(Arc::new(OpenFile { disk: self.clone(), index }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut image = self.begin(Call::Name);
        image.change()?;
        image.find(from)?;
        image.rename(NameChange::Renamed(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut image = self.begin(Call::Name);
        image.find(name)?;
        image.change()?;
        image.rename(NameChange::Removed(name.to_owned()));
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut image = self.begin(Call::Name);
        image.change()?;
        let changes = std::mem::take(&mut image.renames);
        for change in changes {
            change.apply(&mut image.durable_names);
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let image = self.0.lock();
        Ok(image.room.map_or(u64::MAX, |room| room.saturating_sub(image.taken())))
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/sim").join(name)
    }
}

struct OpenFile {
    disk: SimDisk,
    index: usize,
}

impl DiskFile for OpenFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut image = self.disk.0.lock();
        let seen = &image.file(self.index)?.seen;
        let rest = usize::try_from(offset).ok().and_then(|offset| seen.get(offset..)).unwrap_or(&[]);
        let count = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(count)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut image = self.disk.begin(Call::Write);
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let was_off = image.dead;
        let done = image.change();
        if was_off {
            return done;
        }
        let kept = if done.is_ok() { bytes } else { bytes.get(..bytes.len() / 2).unwrap_or(&[]) };
        image.file(self.index)?.write(kept, offset);
        done
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut image = self.disk.begin(Call::Sync);
        let done = image.change();
        match (&done, image.dead) {
            (Ok(()), _) => image.file(self.index)?.sync(),
            (Err(_), true) => {}
            // What could not be written is thrown away, and nothing remembers that it is missing.
            (Err(_), false) => image.file(self.index)?.unsynced.clear(),
        }
        done
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().file(self.index)?.seen.len() as u64)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut image = self.disk.begin(Call::Allocate);
        image.change()?;
        let len = image.file(self.index)?.seen.len() as u64;
        let more = bytes.saturating_sub(len);
        if image.room.is_some_and(|room| image.taken() + more > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let zeros = vec![0; usize::try_from(more).map_err(|_| io::ErrorKind::FileTooLarge)?];
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        image.file(self.index)?.write(&zeros, len);
        Ok(())
    }
}
