//! The file under a redb database, as something that tests can replace; and a watch on what fails in it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use crate::base::fault::{Fault, FaultKind};

/// Where one group's database lies.
///
/// A database is made under another name and published by a rename when it is whole, in the place of an older one if
/// there is one: a crash while it is made leaves nothing that looks like a database.
pub trait Disk: fmt::Debug + Send + Sync {
    /// The name of the published file, for messages.
    fn path(&self) -> &Path;
    /// Whether a published file is there.
    fn exists(&self) -> io::Result<bool>;
    /// Opens the published file.
    fn open(&self) -> io::Result<Box<dyn StorageBackend>>;
    /// Makes a new, empty, unpublished file; what an earlier attempt left is dropped.
    fn create(&self) -> io::Result<Box<dyn StorageBackend>>;
    /// Publishes the file made last, durably.
    fn publish(&self) -> io::Result<()>;
    /// Drops what was made and not published.
    fn discard(&self) -> io::Result<()>;
    /// Length and allocated space of the published file, bytes; zeros when there is none.
    fn space(&self) -> io::Result<(u64, u64)>;
}

/// A file of the file system.
#[derive(Debug)]
pub struct FileDisk {
    path: PathBuf,
    unpublished: PathBuf,
}

impl FileDisk {
    /// The file at `path`; its directory exists.
    pub fn new(path: &Path) -> FileDisk {
        let mut unpublished = path.as_os_str().to_owned();
        unpublished.push(".new");
        FileDisk { path: path.to_path_buf(), unpublished: PathBuf::from(unpublished) }
    }
}

impl Disk for FileDisk {
    fn path(&self) -> &Path {
        &self.path
    }

    fn exists(&self) -> io::Result<bool> {
        self.path.try_exists()
    }

    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        backend(OpenOptions::new().read(true).write(true).open(&self.path)?)
    }

    fn create(&self) -> io::Result<Box<dyn StorageBackend>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        backend(options.open(&self.unpublished)?)
    }

    fn publish(&self) -> io::Result<()> {
        fs::rename(&self.unpublished, &self.path)?;
        sync_directory_of(&self.path)
    }

    fn discard(&self) -> io::Result<()> {
        match fs::remove_file(&self.unpublished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn space(&self) -> io::Result<(u64, u64)> {
        match fs::metadata(&self.path) {
            Ok(facts) => Ok((facts.len(), facts.blocks() * 512)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((0, 0)),
            Err(error) => Err(error),
        }
    }
}

fn backend(file: File) -> io::Result<Box<dyn StorageBackend>> {
    FileBackend::new(file)
        .map(|backend| Box::new(backend) as Box<dyn StorageBackend>)
        .map_err(io::Error::other)
}

/// Makes a rename or a new file in the directory of `path` durable.
pub(super) fn sync_directory_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// What failed first in a backend since the last [`Watch::clear`]. redb answers only "a previous error" later on.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    first: Arc<Mutex<Option<(&'static str, io::Error)>>>,
    walked: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
}

impl Watch {
    pub(super) fn clear(&self) {
        *self.first.lock() = None;
    }

    /// A watch on another file of the same group.
    pub(super) fn sibling(&self) -> Watch {
        Watch { written: Arc::clone(&self.written), ..Watch::default() }
    }

    /// What was written since the start, bytes.
    pub(super) fn written_bytes(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Whether redb refuses this backend until it is opened again.
    pub(super) fn has_failed(&self) -> bool {
        self.first.lock().is_some()
    }

    /// The failure, as a fault of the file at `path`.
    pub(super) fn fault(&self, path: &Path) -> Option<Fault> {
        self.first.lock().as_ref().map(|(action, error)| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                let message = "the file is shorter than its content says; restore this group";
                Fault::new(FaultKind::Corrupt, message).at(path)
            }
            _ => Fault::io(action, path, error),
        })
    }

    /// Notes that redb walks through the whole file as it opens it: never needed while every commit has quick repair.
    pub(super) fn note_walk(&self) {
        self.walked.store(true, Ordering::Relaxed);
    }

    /// Whether opening walked through the whole file.
    pub(super) fn has_walked(&self) -> bool {
        self.walked.load(Ordering::Relaxed)
    }

    fn note<T>(&self, action: &'static str, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            let mut first = self.first.lock();
            if first.is_none() {
                let kept = error.raw_os_error().map_or_else(
                    || io::Error::new(error.kind(), error.to_string()),
                    io::Error::from_raw_os_error,
                );
                *first = Some((action, kept));
            }
        })
    }
}

/// A backend whose failures are noted.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) inner: Box<dyn StorageBackend>,
    pub(super) watch: Watch,
}

impl StorageBackend for Watched {
    fn len(&self) -> io::Result<u64> {
        self.watch.note("asking for the length", self.inner.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.watch.note("reading", self.inner.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.watch.note("growing", self.inner.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.watch.note("syncing", self.inner.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.watch.written.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.watch.note("writing", self.inner.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
