//! Space that is kept for a bad day: a file that takes room on the disk and is given up when there is no other left, so
//! that removals can still be checkpointed, the log trimmed and files compacted.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::posix_fallocate;
use nix::sys::statvfs::statvfs;

use crate::base::fault::{Fault, FaultKind};
use crate::base::limits::{RESERVE_BYTES, RESERVE_ROOM_BYTES};

const RESERVE_FILE: &str = "larder.reserve";

/// The reserve of a data directory.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
    file: File,
    is_whole: AtomicBool,
}

impl Reserve {
    /// Opens the reserve of the data directory at `directory`, and fills it. On a full disk it begins given up.
    ///
    /// # Errors
    /// `Io` when the file cannot be made.
    pub(super) fn open(directory: &Path) -> Result<Reserve, Fault> {
        let path = directory.join(RESERVE_FILE);
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(|error| Fault::io("opening the reserve", &path, &error))?;
        let reserve = Reserve { path, file, is_whole: AtomicBool::new(false) };
        match reserve.fill() {
            Ok(()) => reserve.is_whole.store(true, Ordering::Release),
            Err(fault) if fault.kind == FaultKind::DiskFull => log::warn!("no room for the reserve: {fault}"),
            Err(fault) => return Err(fault),
        }
        Ok(reserve)
    }

    /// Whether there is something to give up.
    pub fn is_whole(&self) -> bool {
        self.is_whole.load(Ordering::Acquire)
    }

    /// Gives the room back to the disk; `false` when there was none to give.
    pub fn give_up(&self) -> bool {
        if !self.is_whole.swap(false, Ordering::AcqRel) {
            return false;
        }
        match self.empty() {
            Ok(()) => log::warn!("{}: given up, so that removals go on", self.path.display()),
            Err(error) => log::error!("{}: cannot be given up: {error}", self.path.display()),
        }
        true
    }

    /// Takes the room again if it was given up and the disk has [`RESERVE_ROOM_BYTES`] to spare; whether it is whole.
    ///
    /// # Errors
    /// `Io` when the disk cannot be asked or written.
    pub fn restore(&self) -> Result<bool, Fault> {
        if self.is_whole() {
            return Ok(true);
        }
        if self.room()? < RESERVE_ROOM_BYTES {
            return Ok(false);
        }
        match self.fill() {
            Ok(()) => {
                log::info!("{}: there is room for it again", self.path.display());
                self.is_whole.store(true, Ordering::Release);
                Ok(true)
            }
            Err(fault) if fault.kind == FaultKind::DiskFull => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// What the file system has for us, bytes.
    fn room(&self) -> Result<u64, Fault> {
        let facts = statvfs(&self.path)
            .map_err(|error| Fault::io("asking for the room on the disk", &self.path, &error.into()))?;
        Ok(facts.blocks_available() as u64 * facts.fragment_size() as u64)
    }

    fn fill(&self) -> Result<(), Fault> {
        let filled = self.allocate();
        if filled.is_err() {
            // Part of it may have been taken.
            let _ = self.empty();
        }
        filled.map_err(|error| Fault::io("filling the reserve", &self.path, &error))
    }

    fn allocate(&self) -> io::Result<()> {
        let facts = self.file.metadata()?;
        if facts.blocks() * 512 >= RESERVE_BYTES {
            return Ok(());
        }
        let bytes = i64::try_from(RESERVE_BYTES).map_err(io::Error::other)?;
        posix_fallocate(&self.file, 0, bytes).map_err(io::Error::from)?;
        self.file.sync_all()
    }

    fn empty(&self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.sync_all()
    }
}
