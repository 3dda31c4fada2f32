//! What a data directory takes of its disk beside the groups' files, and what the disk has.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use crate::base::fault::Fault;

/// Where to look.
#[derive(Debug)]
pub struct Footprint {
    directory: PathBuf,
}

/// What was seen, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Blocks of the log's segments, the reserve and the small files; not the groups' files.
    pub beside_groups: u64,
    /// What the file system has for us.
    pub available: u64,
    /// The size of the file system.
    pub total: u64,
}

impl Footprint {
    pub(super) fn of(directory: &Path) -> Footprint {
        Footprint { directory: directory.to_path_buf() }
    }

    /// Looks: one call to the system for each of the files, some ten.
    ///
    /// # Errors
    /// `Io` when the directory or its file system cannot be asked.
    pub fn look(&self) -> Result<Seen, Fault> {
        let own = [self.directory.clone(), self.directory.join("binlog")];
        let beside_groups = own.iter().map(|directory| allocated_in(directory)).sum::<io::Result<u64>>();
        let fault = |error: &io::Error| Fault::io("asking for the room on the disk", &self.directory, error);
        let facts = statvfs(&self.directory).map_err(|error| fault(&error.into()))?;
        let fragment = facts.fragment_size() as u64;
        Ok(Seen {
            beside_groups: beside_groups.map_err(|error| fault(&error))?,
            available: facts.blocks_available() as u64 * fragment,
            total: facts.blocks() as u64 * fragment,
        })
    }
}

/// The blocks of the files in a directory, bytes. A file that goes away meanwhile takes nothing.
fn allocated_in(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        match entry?.metadata() {
            Ok(facts) if facts.is_file() => bytes += facts.blocks() * 512,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}
