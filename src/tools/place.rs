//! Directories and files that tools make: for their owner alone, never over something that is there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::base::fault::{Fault, FaultKind};

/// Refuses a directory that has something in it; there may be none.
pub(super) fn refuse_used(path: &Path, hint: &str) -> Result<(), Fault> {
    let is_something =
        |entry: io::Result<fs::DirEntry>| !entry.is_ok_and(|it| it.file_name() == "lost+found");
    match fs::read_dir(path).map(|mut entries| entries.any(is_something)) {
        Ok(true) => {
            Err(Fault::new(FaultKind::Unusable, format!("there is something in it; {hint}")).at(path))
        }
        Ok(false) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Fault::io("cannot look at the directory", path, &error)),
    }
}

/// Makes a directory, with those above it.
pub(super) fn make(path: &Path) -> Result<(), Fault> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| Fault::io("cannot make the directory", path, &error))
}

/// Makes what was made, renamed or removed in a directory durable.
pub(super) fn sync(path: &Path) -> Result<(), Fault> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| Fault::io("cannot sync the directory", path, &error))
}

/// A new file that is summed up as it is written.
pub(super) struct NewFile {
    path: PathBuf,
    file: io::BufWriter<File>,
    bytes: u64,
    crc: u32,
}

impl NewFile {
    pub(super) fn create(path: &Path) -> Result<NewFile, Fault> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|error| Fault::io("cannot make the file", path, &error))?;
        Ok(NewFile {
            path: path.to_path_buf(),
            file: io::BufWriter::with_capacity(1 << 20, file),
            bytes: 0,
            crc: 0,
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.bytes += bytes.len() as u64;
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.file.write_all(bytes).map_err(|error| Fault::io("cannot write", &self.path, &error))
    }

    /// The length and the CRC-32C of what was written.
    pub(super) fn so_far(&self) -> (u64, u32) {
        (self.bytes, self.crc)
    }

    /// Syncs it; its length and checksum.
    pub(super) fn finish(self) -> Result<(u64, u32), Fault> {
        let fault = |error: &io::Error| Fault::io("cannot write", &self.path, error);
        let file = self.file.into_inner().map_err(|error| fault(error.error()))?;
        file.sync_all().map_err(|error| fault(&error))?;
        Ok((self.bytes, self.crc))
    }
}
