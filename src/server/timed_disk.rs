//! The log's disk with a watch beside it: how long writes and syncs take.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::base::metrics::Timings;
use crate::binlog::{Disk, DiskFile};

/// A disk whose files are timed.
pub(super) struct TimedDisk {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) timings: Arc<Timings>,
}

struct TimedFile {
    file: Arc<dyn DiskFile>,
    timings: Arc<Timings>,
    /// Only whoever holds the log's writer writes, so that nobody else wants this cache line.
    writes: AtomicU64,
}

impl TimedDisk {
    fn timed(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(TimedFile { file, timings: Arc::clone(&self.timings), writes: AtomicU64::new(0) })
    }
}

impl Disk for TimedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(name).map(|file| self.timed(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(name).map(|file| self.timed(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }
}

impl DiskFile for TimedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        if !number.is_multiple_of(Timings::LOG_WRITES_PER_TIMED) {
            return self.file.write_all_at(bytes, offset);
        }
        let began = Instant::now();
        let result = self.file.write_all_at(bytes, offset);
        self.timings.log_write.record(began.elapsed());
        result
    }

    fn sync_data(&self) -> io::Result<()> {
        let began = Instant::now();
        let result = self.file.sync_data();
        self.timings.log_sync.record(began.elapsed());
        result
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.file.allocate(bytes)
    }
}
