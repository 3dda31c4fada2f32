//! The store: one redb file per logical group, the checkpoint of the binlog; and the data directory they lie in.
//!
//! Owns: the data directory's identity and lock ([`directory`]), what the groups' files must hold (`ledger.rs`), which
//! groups were carried to or from another server (`transfers.rs`), the room kept for a full disk (`reserve.rs`), what all of it takes (`footprint.rs`), the files of the groups and everything in them, and looking at files that no
//! server uses ([`check`]). `FORMAT.md` specifies every row. [`sim`] is a disk for tests.
//!
//! May import: `base`, redb, crc32c, nix for the room on the disk.
//!
//! Invariants:
//! * only `checkpoint.rs` opens write transactions, `compaction.rs` on a file that is not the group's yet; items and `applied_lsn` commit together, quick repair always on;
//! * every call into redb goes through `guard.rs`: a panic or an error in it comes out as a fault with file and keys;
//! * every row carries our own checksum, checked on every read;
//! * a fault while writing stops further writes, except a full disk, which passes;
//! * every stored row with a deadline is listed in the index of deadlines (`deadlines.rs` says where).
//!
//! Start reading at [`Store`], then `checkpoint.rs` for writing, `snapshot.rs` for reading and
//! `compaction.rs` for how space is given back.

pub mod check;
mod checkpoint;
mod compaction;
mod deadlines;
pub mod directory;
mod disk;
mod footprint;
mod guard;
mod ledger;
mod parts;
mod record;
mod reserve;
mod row;
pub mod sim;
mod snapshot;
#[cfg(test)]
mod tests;
mod transfers;

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use redb::{Builder, Database, ReadableDatabase, TableDefinition};

pub use self::checkpoint::{Committed, End, Purged, RowChange, Settled};
use self::compaction::Changed;
pub use self::compaction::{Compaction, Step};
pub use self::deadlines::{Due, ListingId, Soonest};
pub use self::disk::{Disk, FileDisk};
use self::disk::{Watch, Watched};
pub use self::footprint::{Footprint, Seen};
use self::guard::{About, Trouble, guard};
pub use self::ledger::Ledger;
pub use self::record::State;
use self::record::{Record, check_identity};
pub use self::reserve::Reserve;
use self::snapshot::Snapshot;
pub use self::snapshot::{Resume, RowBuffer, ScanLimits};
pub use self::transfers::{Passage, Standing, Transfers};
use crate::base::fault::{Fault, FaultKind};
use crate::base::item::Item;
use crate::base::lsn::{GroupId, Lsn};

/// Key to row.
const ITEMS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("items");
/// Pieces of values too long for their row.
const PARTS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("parts");
/// Bucket and number to the keys listed there.
const DEADLINES: TableDefinition<'static, ListingId, &'static [u8]> = TableDefinition::new("deadlines");
/// Identity and state.
const META: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("meta");

/// Whose file a group's file is; stored in it, and refused when it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupIdentity {
    /// The data directory that made it.
    pub directory_id: u64,
    /// Which group.
    pub group: GroupId,
    /// Of how many.
    pub group_count: u16,
}

/// How a store uses memory.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// redb's page cache for this file, bytes; up to half of it holds pages that are being written.
    pub cache_bytes: usize,
}

/// What a store takes, bytes and counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Length of the file.
    pub file_bytes: u64,
    /// What it takes of the disk.
    pub allocated_bytes: u64,
    /// Keys and values in it.
    pub payload_bytes: u64,
    /// Items in it.
    pub rows: u64,
    /// Keys in the index of deadlines, counted with repeats.
    pub listed: u64,
    /// How often it was compacted since the start.
    pub compactions: u64,
    /// Keys and values that compactions copied.
    pub rewritten_bytes: u64,
    /// What was written to the file and to those that took its place.
    pub written_bytes: u64,
}

/// The file of one group. Any thread reads; one at a time writes.
pub struct Store {
    disk: Box<dyn Disk>,
    identity: GroupIdentity,
    options: StoreOptions,
    watch: Watch,
    /// Taken before `view`.
    writer: Mutex<Writer>,
    view: RwLock<View>,
    /// How many compactions have replaced the file.
    swaps: AtomicU64,
    rewritten_bytes: AtomicU64,
    /// Given to every snapshot of the file as it is now.
    lease: Mutex<Arc<()>>,
}

/// The writing side.
#[derive(Default)]
struct Writer {
    database: Option<Arc<Database>>,
    /// Why no more is written.
    frozen: Option<(FaultKind, String)>,
    /// While a compaction copies: what changes meanwhile.
    changed: Option<Changed>,
    /// Files that were replaced and may still be read.
    replaced: Vec<Retired>,
}

/// A file that was replaced.
struct Retired {
    database: Option<Arc<Database>>,
    /// The lease of its snapshots.
    lease: Arc<()>,
}

/// What readers see.
enum View {
    /// No file yet: nothing is stored.
    Empty,
    /// The last commit.
    Open(Arc<Snapshot>),
    /// A commit is under way: each read begins its own transaction. Only the writer and this hold the database.
    Passing(Arc<Database>, Record),
    /// The file could not be opened again after a fault.
    Broken(FaultKind, String),
}

impl Store {
    /// Opens the file of a group at `path`; if there is none, the first commit makes it.
    ///
    /// # Errors
    /// `Mismatch` when it is another group's, another directory's, another group count's or a newer format's file;
    /// `Corrupt` or `Io` when it cannot be read.
    pub fn open(path: &Path, identity: GroupIdentity, options: StoreOptions) -> Result<Store, Fault> {
        Store::open_on(Box::new(FileDisk::new(path)), identity, options)
    }

    /// Opens the file of a group on any disk.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_on(
        disk: Box<dyn Disk>,
        identity: GroupIdentity,
        options: StoreOptions,
    ) -> Result<Store, Fault> {
        let store = Store {
            disk,
            identity,
            options,
            watch: Watch::default(),
            writer: Mutex::new(Writer::default()),
            view: RwLock::new(View::Empty),
            swaps: AtomicU64::new(0),
            rewritten_bytes: AtomicU64::new(0),
            lease: Mutex::default(),
        };
        let path = store.disk.path();
        store.discard();
        let exists = store.disk.exists().map_err(|error| Fault::io("looking for the file", path, &error))?;
        if exists {
            let (database, snapshot) = store.open_published()?;
            store.writer.lock().database = Some(Arc::new(database));
            *store.view.write() = View::Open(Arc::new(snapshot));
        }
        Ok(store)
    }

    /// How far the file is, as of the last commit.
    pub fn state(&self) -> State {
        self.record().state
    }

    /// How far the file is, `None` when there is none.
    pub fn made(&self) -> Option<Lsn> {
        // Two statements: one would hold the lock over its second locking, which a writer in between makes a deadlock.
        let is_made = !matches!(*self.view.read(), View::Empty);
        is_made.then(|| self.state().applied_lsn)
    }

    /// The name of the file.
    pub fn path(&self) -> &Path {
        self.disk.path()
    }

    /// Reads the item of `key`; `buffer` is reused from read to read.
    ///
    /// # Errors
    /// `Corrupt` with file and key when the row is damaged, `Io` when the disk fails.
    pub fn read<'b>(&self, key: &[u8], buffer: &'b mut RowBuffer) -> Result<Option<Item<'b>>, Fault> {
        let Some(snapshot) = self.snapshot()? else { return Ok(None) };
        let attempt = |snapshot: &Snapshot, buffer: &mut RowBuffer| {
            guard(self.disk.path(), &self.watch, About::Key(key), || snapshot.fetch(key, buffer))
        };
        let mut found = attempt(&snapshot, buffer);
        if found.is_err() {
            // The file may have been opened again meanwhile: what was read through is closed, not lost.
            if let Some(renewed) = self.renewed_since(&snapshot)? {
                found = attempt(&renewed, buffer);
            }
        }
        Ok(found?.map(|facts| buffer.item(&facts)))
    }

    /// Visits the items from `from` on in the order of their keys, within limits, through one snapshot; a damaged row
    /// is visited as its fault. `false` from the visitor ends it.
    ///
    /// # Errors
    /// As [`Store::read`], for damage that hides what lies behind it.
    pub fn scan(
        &self,
        from: Bound<&[u8]>,
        limits: ScanLimits,
        buffer: &mut RowBuffer,
        mut visit: impl FnMut(&[u8], Result<Item<'_>, Fault>) -> bool,
    ) -> Result<Resume, Fault> {
        let Some(snapshot) = self.snapshot()? else { return Ok(Resume::default()) };
        let path = self.disk.path();
        guard(path, &self.watch, About::Whole, || {
            snapshot.scan(from, limits, buffer, &mut |key, item| {
                visit(key, item.map_err(|trouble| trouble.into_fault(path, &self.watch, About::Key(key))))
            })
        })
    }

    /// The keys whose deadlines may have passed at `now_s`, oldest first, up to about `limit` of them. Judge each
    /// against what memory says first, then [`Store::settle`].
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn due(&self, now_s: u32, limit: usize) -> Result<Due, Fault> {
        // Ahead of the snapshot: what is read from a newer file is at worst taken for an older one's.
        let swaps = self.swaps.load(Ordering::SeqCst);
        let Some(snapshot) = self.snapshot()? else { return Ok(Due::default()) };
        let due = guard(self.disk.path(), &self.watch, About::Whole, || snapshot.due(now_s, limit))?;
        Ok(Due { swaps, ..due })
    }

    /// Keys in the order in which their deadlines were expected, behind the listing `after`, up to about `limit`. Hints:
    /// a key may be gone, or live longer than its listing says.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn soonest(&self, after: Option<ListingId>, limit: usize) -> Result<Soonest, Fault> {
        let Some(snapshot) = self.snapshot()? else { return Ok(Soonest::default()) };
        guard(self.disk.path(), &self.watch, About::Whole, || snapshot.soonest(after, limit))
    }

    /// What it takes, and what compactions did.
    ///
    /// # Errors
    /// `Io` when the file cannot be asked.
    pub fn figures(&self) -> Result<Figures, Fault> {
        let path = self.disk.path();
        let space = self.disk.space().map_err(|error| Fault::io("asking for the space", path, &error))?;
        let record = self.record();
        Ok(Figures {
            file_bytes: space.0,
            allocated_bytes: space.1,
            payload_bytes: record.state.payload_bytes,
            rows: record.state.rows,
            listed: record.listed,
            compactions: self.swaps.load(Ordering::SeqCst),
            rewritten_bytes: self.rewritten_bytes.load(Ordering::Relaxed),
            written_bytes: self.watch.written_bytes(),
        })
    }

    /// Why writes are refused, if they are: kind and message.
    pub fn frozen(&self) -> Option<(FaultKind, String)> {
        self.writer.lock().frozen.clone()
    }

    fn record(&self) -> Record {
        match &*self.view.read() {
            View::Open(snapshot) => snapshot.record,
            View::Passing(_, record) => *record,
            View::Empty | View::Broken(..) => Record::default(),
        }
    }

    /// What readers see now, `None` when nothing is stored.
    fn snapshot(&self) -> Result<Option<Arc<Snapshot>>, Fault> {
        match &*self.view.read() {
            View::Empty => Ok(None),
            View::Open(snapshot) => Ok(Some(Arc::clone(snapshot))),
            // Under the lock, so that no reader still holds the database when it is to be closed.
            View::Passing(database, _) => self.snapshot_of(database).map(|snapshot| Some(Arc::new(snapshot))),
            View::Broken(kind, message) => Err(Fault::new(*kind, message.clone()).at(self.disk.path())),
        }
    }

    /// The snapshot that took the place of `used`, if one did. A disk that failed a read is opened again first, unless
    /// a writer is at it, who will do so.
    fn renewed_since(&self, used: &Arc<Snapshot>) -> Result<Option<Arc<Snapshot>>, Fault> {
        if self.watch.has_failed()
            && let Some(mut writer) = self.writer.try_lock()
        {
            self.reopen(&mut writer);
        }
        Ok(self.snapshot()?.filter(|renewed| !Arc::ptr_eq(renewed, used)))
    }

    /// Opens or makes the database; `true` when it is new and not published yet.
    fn ensure_open(&self, writer: &mut Writer) -> Result<bool, Fault> {
        let path = self.disk.path();
        if writer.database.is_some() {
            return Ok(false);
        }
        if self.disk.exists().map_err(|error| Fault::io("looking for the file", path, &error))? {
            let (database, snapshot) = self.open_published()?;
            writer.database = Some(Arc::new(database));
            *self.view.write() = View::Open(Arc::new(snapshot));
            return Ok(false);
        }
        self.watch.clear();
        let inner = self.disk.create().map_err(|error| Fault::io("making the file", path, &error))?;
        let database = guard(path, &self.watch, About::Whole, || self.build(inner))?;
        writer.database = Some(Arc::new(database));
        Ok(true)
    }

    /// Opens the published file, checks whose it is and takes a first snapshot.
    fn open_published(&self) -> Result<(Database, Snapshot), Fault> {
        let path = self.disk.path();
        self.watch.clear();
        let inner = self.disk.open().map_err(|error| Fault::io("opening the file", path, &error))?;
        guard(path, &self.watch, About::Whole, || {
            // redb would make a new database of an empty file.
            if inner.len()? == 0 {
                return Err(Trouble::Damaged("the file is empty; restore this group".to_owned()));
            }
            let database = self.build(inner)?;
            let transaction = database.begin_read()?;
            check_identity(&transaction.open_table(META)?, &self.identity)?;
            let snapshot = Snapshot::of(&transaction, self.lease())?;
            if self.watch.has_walked() {
                log::warn!("{}: not closed cleanly; all of it was read to open it", path.display());
            }
            Ok((database, snapshot))
        })
    }

    fn build(&self, inner: Box<dyn redb::StorageBackend>) -> Result<Database, Trouble> {
        build(inner, &self.watch, self.options.cache_bytes)
    }

    fn lease(&self) -> Arc<()> {
        Arc::clone(&self.lease.lock())
    }

    /// Closes the database and opens it again: what redb wants after a failed call.
    fn reopen(&self, writer: &mut Writer) {
        let mut view = self.view.write();
        *view = View::Broken(FaultKind::Io, "the file is being opened again".to_owned());
        self.close(writer.database.take());
        *view = View::from(self.open_published().map(|(database, snapshot)| {
            writer.database = Some(Arc::new(database));
            snapshot
        }));
    }

    /// Takes a new snapshot after a transaction that came to nothing.
    fn renew(&self, writer: &Writer) {
        if let Some(database) = &writer.database {
            let renewed = self.snapshot_of(database);
            *self.view.write() = View::from(renewed);
        }
    }

    fn snapshot_of(&self, database: &Database) -> Result<Snapshot, Fault> {
        guard(self.disk.path(), &self.watch, About::Whole, || {
            Snapshot::of(&database.begin_read()?, self.lease())
        })
    }

    fn close(&self, database: Option<Arc<Database>>) {
        let closed = guard(self.disk.path(), &self.watch, About::Whole, || {
            drop(database);
            Ok(())
        });
        if let Err(fault) = closed {
            log::warn!("closing: {fault}");
        }
    }
}

impl std::ops::AddAssign<&Figures> for Figures {
    fn add_assign(&mut self, other: &Figures) {
        self.file_bytes += other.file_bytes;
        self.allocated_bytes += other.allocated_bytes;
        self.payload_bytes += other.payload_bytes;
        self.rows += other.rows;
        self.listed += other.listed;
        self.compactions += other.compactions;
        self.rewritten_bytes += other.rewritten_bytes;
        self.written_bytes += other.written_bytes;
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        *self.view.write() = View::Empty;
        let mut writer = std::mem::take(&mut *self.writer.lock());
        for Retired { database, .. } in writer.replaced.drain(..) {
            self.close(database);
        }
        self.close(writer.database.take());
    }
}

fn build(
    inner: Box<dyn redb::StorageBackend>,
    watch: &Watch,
    cache_bytes: usize,
) -> Result<Database, Trouble> {
    let walked = watch.clone();
    let watched = Watched { inner, watch: watch.clone() };
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes).set_repair_callback(move |_| walked.note_walk());
    Ok(builder.create_with_backend(watched)?)
}

impl From<Result<Snapshot, Fault>> for View {
    fn from(opened: Result<Snapshot, Fault>) -> View {
        match opened {
            Ok(snapshot) => View::Open(Arc::new(snapshot)),
            Err(fault) => {
                log::error!("this group cannot be read: {fault}");
                View::Broken(fault.kind, fault.message)
            }
        }
    }
}

impl Writer {
    fn refuse_if_frozen(&self, path: &Path) -> Result<(), Fault> {
        match &self.frozen {
            Some((kind, message)) => {
                Err(Fault::new(*kind, format!("writes are stopped: {message}")).at(path))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
impl Store {
    /// Rows in the `parts` table.
    fn part_rows(&self) -> u64 {
        self.snapshot().ok().flatten().map_or(0, |snapshot| snapshot.part_rows())
    }
}
