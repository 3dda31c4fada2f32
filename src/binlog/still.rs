//! A directory of the log that nobody writes to: a stopped server's, a backup's, an archive. It is only read.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFile, fill_from};
use super::segment::FileName;

/// Segments at `path`, to be read. Files that only a running log has use of (spare ones, unfinished ones) are not seen,
/// and everything that would change something fails.
#[derive(Debug)]
pub struct StillDisk {
    path: PathBuf,
    /// Later segments are not seen.
    sequence_max: u64,
}

impl StillDisk {
    /// The directory at `path`.
    pub fn new(path: &Path) -> StillDisk {
        StillDisk::up_to(path, u64::MAX)
    }

    /// As [`StillDisk::new`], without the segments behind this one.
    pub(super) fn up_to(path: &Path, sequence_max: u64) -> StillDisk {
        StillDisk { path: path.to_path_buf(), sequence_max }
    }

    fn sees(&self, name: &str) -> bool {
        matches!(FileName::parse(name), Some(FileName::Segment(sequence)) if sequence <= self.sequence_max)
    }
}

fn refuse<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for StillDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name().into_string();
            names.extend(name.ok().filter(|name| self.sees(name)));
        }
        Ok(names)
    }

    fn create(&self, _: &str) -> io::Result<Arc<dyn DiskFile>> {
        refuse()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(StillFile(File::open(self.path.join(name))?)))
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        refuse()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        refuse()
    }

    fn sync_directory(&self) -> io::Result<()> {
        refuse()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

struct StillFile(File);

impl DiskFile for StillFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        fill_from(&self.0, buffer, offset)
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        refuse()
    }

    fn sync_data(&self) -> io::Result<()> {
        refuse()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        refuse()
    }
}
