//! Looking at a group's file that no server uses, without changing it, and building a new one of what is good in it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageBackend};

use super::disk::{Watch, Watched};
use super::guard::{About, Trouble, guard};
use super::parts::Cut;
use super::record::{State, check_identity, read_identity, read_record};
use super::snapshot::{RowBuffer, ScanLimits, Snapshot};
use super::{End, GroupIdentity, META, RowChange, Store, StoreOptions, deadlines};
use crate::base::fault::{Fault, FaultKind};
use crate::base::item::{Item, Value};
use crate::base::limits::{CHECKPOINT_CHUNK_BYTES, CHECKPOINT_CHUNK_ITEMS, KEY_BYTES_MAX};
use crate::base::version::Version;

/// Rows visited in one go.
const ROWS: ScanLimits = ScanLimits { items: 4096, bytes: 16 << 20 };
/// redb's cache, bytes.
const CACHE_BYTES: usize = 16 << 20;
/// Blocks that are kept instead of being written, bytes.
const BLOCK_BYTES: usize = 4096;
/// Damaged rows that are told of one by one; further ones are counted.
const TOLD_MAX: usize = 20;

/// What was found in a file.
#[derive(Debug, Default)]
pub struct GroupReport {
    /// How far it says that it is, if it can be read.
    pub state: Option<State>,
    /// Good items.
    pub rows: u64,
    /// Their keys and values, bytes.
    pub payload_bytes: u64,
    /// The highest version in it.
    pub version_max: Version,
    /// What is wrong.
    pub problems: Vec<Fault>,
    /// Damaged rows.
    pub damaged_rows: u64,
}

/// A file that is read, whose writes stay in memory: redb may finish what a crash has left, and nothing changes.
#[derive(Debug)]
struct Overlay {
    file: File,
    length: Mutex<u64>,
    blocks: Mutex<HashMap<u64, Box<[u8]>>>,
}

impl Overlay {
    fn open(path: &Path) -> io::Result<Overlay> {
        let file = File::open(path)?;
        let length = Mutex::new(file.metadata()?.len());
        Ok(Overlay { file, length, blocks: Mutex::default() })
    }

    /// What the file has; zeros behind its end, where only the overlay has grown.
    fn read_below(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + filled as u64) {
                Ok(0) => {
                    rest.fill(0);
                    return Ok(());
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The blocks that `len` bytes from `offset` on touch: block, where in it, where in the bytes, how many.
    fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
        let mut done = 0;
        std::iter::from_fn(move || {
            let at = offset + done as u64;
            let within = (at % BLOCK_BYTES as u64) as usize;
            let count = (BLOCK_BYTES - within).min(len - done);
            let piece = (at / BLOCK_BYTES as u64, within, done, count);
            done += count;
            (count > 0).then_some(piece)
        })
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(*self.length.lock())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset.saturating_add(out.len() as u64) > *self.length.lock() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_below(offset, out)?;
        let blocks = self.blocks.lock();
        if blocks.is_empty() {
            return Ok(());
        }
        for (block, within, done, count) in Overlay::pieces(offset, out.len()) {
            let from = blocks.get(&block).and_then(|block| block.get(within..within + count));
            if let (Some(from), Some(to)) = (from, out.get_mut(done..done + count)) {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        *self.length.lock() = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut blocks = self.blocks.lock();
        for (number, within, done, count) in Overlay::pieces(offset, data.len()) {
            if let std::collections::hash_map::Entry::Vacant(place) = blocks.entry(number) {
                let mut block = vec![0; BLOCK_BYTES].into_boxed_slice();
                self.read_below(number * BLOCK_BYTES as u64, &mut block)?;
                place.insert(block);
            }
            let to = blocks.get_mut(&number).and_then(|block| block.get_mut(within..within + count));
            if let (Some(to), Some(from)) = (to, data.get(done..done + count)) {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }
}

/// A file that is looked at.
struct Look {
    path: PathBuf,
    watch: Watch,
    snapshot: Snapshot,
    report: GroupReport,
    /// Open as long as the snapshot is read.
    _database: Database,
}

impl GroupReport {
    /// Adds a problem, unless it is told already.
    fn add(&mut self, fault: Fault) {
        if !self.problems.iter().any(|known| known.message == fault.message) {
            self.problems.push(fault);
        }
    }
}

/// Opens the database of a file that stays as it is.
fn open_over(path: &Path, watch: &Watch) -> Result<Database, Trouble> {
    let inner: Box<dyn StorageBackend> = Box::new(Overlay::open(path)?);
    if inner.len()? == 0 {
        return Err(Trouble::Damaged("the file is empty".to_owned()));
    }
    let watched = Watched { inner, watch: watch.clone() };
    Ok(Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(watched)?)
}

impl Look {
    /// Opens it; `None` when nothing in it can be read, and the report says why.
    fn open(path: &Path, identity: &GroupIdentity) -> Result<Look, GroupReport> {
        let watch = Watch::default();
        let mut report = GroupReport::default();
        verify_pages(path, &watch, &mut report);
        let database = match guard(path, &watch, About::Whole, || open_over(path, &watch)) {
            Ok(database) => database,
            Err(fault) => {
                report.add(fault);
                return Err(report);
            }
        };
        let looked = guard(path, &watch, About::Whole, || {
            let transaction = database.begin_read()?;
            let meta = transaction.open_table(META)?;
            let whose = check_identity(&meta, identity);
            let record = read_record(&meta);
            let state = record.as_ref().ok().map(|record| record.state);
            let snapshot =
                Snapshot::with(&transaction, record.as_ref().copied().unwrap_or_default(), Arc::default())?;
            Ok((snapshot, state, whose.err(), record.err()))
        });
        match looked {
            Ok((snapshot, state, whose, how_far)) => {
                for trouble in [whose, how_far].into_iter().flatten() {
                    report.problems.push(trouble.into_fault(path, &watch, About::Whole));
                }
                report.state = state;
                Ok(Look { path: path.to_path_buf(), watch, snapshot, report, _database: database })
            }
            Err(fault) => {
                report.problems.push(fault);
                Err(report)
            }
        }
    }

    /// Visits every item that can be read, in order; damage is noted and passed over as narrowly as can be.
    fn walk(&mut self, mut visit: impl FnMut(&[u8], &Item<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut buffer = RowBuffer::default();
        let mut last: Option<Vec<u8>> = None;
        let mut from = Bound::Unbounded;
        loop {
            let (mut stop, mut damaged) = (Ok(()), Vec::new());
            let Look { path, watch, snapshot, .. } = &*self;
            let scanned = guard(path, watch, About::Whole, || {
                snapshot.scan(from.as_ref().map(Vec::as_slice), ROWS, &mut buffer, &mut |key, item| {
                    last = Some(key.to_vec());
                    match item {
                        Ok(item) => stop = visit(key, &item),
                        Err(trouble) => damaged.push(trouble.into_fault(path, watch, About::Key(key))),
                    }
                    stop.is_ok()
                })
            });
            stop?;
            self.note_damaged(damaged);
            from = match scanned {
                Ok(resume) => match resume.after {
                    Some(after) => Bound::Excluded(after),
                    None => return Ok(()),
                },
                Err(fault) => {
                    self.watch.clear();
                    let behind = self.behind_damage(last.as_deref());
                    self.note_hidden(fault, last.as_deref(), behind.as_deref());
                    match behind {
                        Some(behind) => Bound::Included(behind),
                        None => return Ok(()),
                    }
                }
            };
        }
    }

    fn note_damaged(&mut self, faults: Vec<Fault>) {
        for fault in faults {
            self.report.damaged_rows += 1;
            if self.report.damaged_rows <= TOLD_MAX as u64 {
                self.report.problems.push(fault);
            }
        }
    }

    fn note_hidden(&mut self, fault: Fault, after: Option<&[u8]>, behind: Option<&[u8]>) {
        let shown = |key: Option<&[u8]>, none: &str| match key {
            Some(key) => format!("{:?}", String::from_utf8_lossy(key).trim_end_matches('\0')),
            None => none.to_owned(),
        };
        let [after, behind] = [shown(after, "the beginning"), shown(behind, "the end")];
        let message = format!("what lies between {after} and {behind} cannot be read: {}", fault.message);
        self.report.problems.push(Fault::new(FaultKind::Corrupt, message).at(&self.path));
    }

    /// The first place behind `after` from which rows can be read again, by halving what is between.
    fn behind_damage(&self, after: Option<&[u8]>) -> Option<Vec<u8>> {
        let mut low = after.unwrap_or_default().to_vec();
        low.resize(KEY_BYTES_MAX, 0);
        let mut high = vec![u8::MAX; KEY_BYTES_MAX];
        if !self.can_read_from(&high) {
            return None;
        }
        for _ in 0..8 * (after.map_or(0, <[u8]>::len) + 8) {
            let middle = between(&low, &high);
            if middle == low {
                break;
            }
            if self.can_read_from(&middle) { high = middle } else { low = middle }
        }
        Some(high)
    }

    fn can_read_from(&self, key: &[u8]) -> bool {
        let one = ScanLimits { items: 1, bytes: usize::MAX };
        let read = guard(&self.path, &self.watch, About::Whole, || {
            self.snapshot.scan(Bound::Included(key), one, &mut RowBuffer::default(), &mut |_, _| true)
        });
        self.watch.clear();
        read.is_ok()
    }

    fn problem(&mut self, message: String) {
        self.report.problems.push(Fault::new(FaultKind::Corrupt, message).at(&self.path));
    }
}

/// Has redb compare every page with its checksum, in a database of its own: after a fault it takes no more calls.
fn verify_pages(path: &Path, watch: &Watch, report: &mut GroupReport) {
    let verified = guard(path, watch, About::Whole, || Ok(open_over(path, watch)?.check_integrity()?));
    watch.clear();
    match verified {
        Ok(true) => {}
        Ok(false) => report.add(
            Fault::new(FaultKind::Corrupt, "pages of the database are damaged: rows may be missing").at(path),
        ),
        Err(fault) => report.add(fault),
    }
}

/// The middle of two numbers of the same length.
fn between(low: &[u8], high: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let mut sum: Vec<u16> = Vec::with_capacity(low.len());
    for (low, high) in low.iter().zip(high).rev() {
        let digit = u16::from(*low) + u16::from(*high) + carry;
        carry = digit >> 8;
        sum.push(digit & 0xff);
    }
    let mut rest = carry;
    let halved = sum.iter().rev().map(|digit| {
        let value = rest << 8 | digit;
        rest = value & 1;
        (value >> 1) as u8
    });
    halved.collect()
}

/// Whose file this says that it is.
///
/// # Errors
/// `Corrupt` when it cannot be read.
pub fn whose(path: &Path) -> Result<GroupIdentity, Fault> {
    let watch = Watch::default();
    guard(path, &watch, About::Whole, || {
        let transaction = open_over(path, &watch)?.begin_read()?;
        read_identity(&transaction.open_table(META)?)
    })
}

/// Looks at the file of a group. `belongs` says whether a key is this group's; `each` is told of every good item.
pub fn look(
    path: &Path,
    identity: &GroupIdentity,
    belongs: impl Fn(&[u8]) -> bool,
    mut each: impl FnMut(u64),
) -> GroupReport {
    let mut look = match Look::open(path, identity) {
        Ok(look) => look,
        Err(report) => return report,
    };
    let listed = look.listings();
    let (mut rows, mut bytes, mut pieces, mut highest) = (0, 0, 0, Version::ZERO);
    let (mut unlisted, mut strangers) = (Tally::default(), Tally::default());
    let swept = look.snapshot.record.swept;
    let walked = look.walk(|key, item| {
        let value_bytes = item.value.bytes().len();
        rows += 1;
        bytes += (key.len() + value_bytes) as u64;
        pieces += Cut::of(key.len(), value_bytes).pieces() as u64;
        highest = highest.max(item.stamp());
        let target = deadlines::bucket_of(item.deadline);
        let has = listed.get(&xxhash_rust::xxh3::xxh3_64(key));
        if !item.deadline.is_never() && has.is_none_or(|bucket| target > swept && *bucket > target) {
            unlisted.note(key);
        }
        if !belongs(key) {
            strangers.note(key);
        }
        each((key.len() + value_bytes) as u64);
        Ok(())
    });
    look.report.problems.extend(walked.err());
    (look.report.rows, look.report.payload_bytes, look.report.version_max) = (rows, bytes, highest);
    if let Some(what) = unlisted.tell("are not in the index of deadlines") {
        look.problem(what);
    }
    if let Some(what) = strangers.tell("belong to another group") {
        look.problem(what);
    }
    if look.report.problems.is_empty() {
        look.compare(pieces);
    }
    look.report
}

/// Keys of which one is told.
#[derive(Default)]
struct Tally {
    count: u64,
    first: Option<String>,
}

impl Tally {
    fn note(&mut self, key: &[u8]) {
        self.count += 1;
        self.first.get_or_insert_with(|| String::from_utf8_lossy(key).into_owned());
    }

    fn tell(&self, what: &str) -> Option<String> {
        let first = self.first.as_ref()?;
        Some(format!("{} keys {what}, such as {first:?}", self.count))
    }
}

impl Look {
    /// For every listed key (its hash) the first bucket that names it.
    fn listings(&mut self) -> HashMap<u64, u32> {
        let mut listed = HashMap::new();
        let mut damaged = Vec::new();
        let Look { path, watch, snapshot, .. } = &*self;
        let read = guard(path, watch, About::Whole, || {
            for entry in snapshot.deadlines.iter()? {
                let (id, listing) = entry?;
                let id = id.value();
                match deadlines::keys_of(id, listing.value()) {
                    Some(packed) => deadlines::keys_in(packed).for_each(|key| {
                        listed.entry(xxhash_rust::xxh3::xxh3_64(key)).or_insert(id.0);
                    }),
                    None => damaged.push(format!("deadline listing {id:?} is damaged")),
                }
            }
            Ok(())
        });
        self.watch.clear();
        damaged.into_iter().for_each(|what| self.problem(what));
        self.report.problems.extend(read.err());
        listed
    }

    /// Compares what was found with what the file says of itself.
    fn compare(&mut self, pieces: u64) {
        let Some(state) = self.report.state else { return };
        let parts = guard(&self.path, &self.watch, About::Whole, || Ok(self.snapshot.parts.len()?));
        let (rows, bytes, highest) = (self.report.rows, self.report.payload_bytes, self.report.version_max);
        for (what, found, says) in [
            ("items", rows, state.rows),
            ("bytes of keys and values", bytes, state.payload_bytes),
            ("pieces of values", parts.unwrap_or(0), pieces),
        ] {
            if found != says {
                self.problem(format!(
                    "{found} {what} are in it, it should be {says}: some are missing or orphans"
                ));
            }
        }
        if highest > state.version_max {
            self.problem(format!("version {} is above its highest, {}", highest.0, state.version_max.0));
        }
    }
}

/// What a rebuilding kept.
#[derive(Debug)]
pub struct Rebuilt {
    /// Items in the new file.
    pub rows: u64,
    /// What was wrong, and is left out.
    pub problems: Vec<Fault>,
}

/// Builds a new file at `to` of every good row of the one at `from`. Where that one does not say how far it is, the new
/// one says `fallback`.
///
/// # Errors
/// When the new file cannot be written.
pub fn rebuild(
    from: &Path,
    to: &Path,
    identity: GroupIdentity,
    fallback: End,
    belongs: impl Fn(&[u8]) -> bool,
) -> Result<Rebuilt, Fault> {
    let store = Store::open(to, identity, StoreOptions { cache_bytes: CACHE_BYTES })?;
    let mut look = match Look::open(from, &identity) {
        Ok(look) => look,
        Err(report) => {
            store.commit(&[], Some(fallback))?;
            return Ok(Rebuilt { rows: 0, problems: report.problems });
        }
    };
    let mut batch = Chunk::default();
    let mut highest = Version::ZERO;
    look.walk(|key, item| {
        if belongs(key) {
            highest = highest.max(item.stamp());
            batch.push(key, item);
        }
        if batch.is_full() { batch.commit(&store) } else { Ok(()) }
    })?;
    batch.commit(&store)?;
    let end = look.report.state.map_or(fallback, |state| End {
        applied_lsn: state.applied_lsn,
        flush: state.flush,
        version_max: state.version_max,
    });
    store.commit(&[], Some(End { version_max: end.version_max.max(highest), ..end }))?;
    Ok(Rebuilt { rows: store.state().rows, problems: look.report.problems })
}

/// Rows on their way into a new file, in the order of their keys.
#[derive(Debug, Default)]
pub struct Chunk {
    rows: Vec<(Vec<u8>, Vec<u8>, Item<'static>)>,
    bytes: usize,
}

impl Chunk {
    /// Takes a row.
    pub fn push(&mut self, key: &[u8], item: &Item<'_>) {
        let value = item.value.bytes();
        self.bytes += key.len() + value.len();
        self.rows.push((key.to_vec(), value.to_vec(), Item { value: Value::Plain(&[]), ..*item }));
    }

    /// Whether it is time to commit.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= CHECKPOINT_CHUNK_ITEMS || self.bytes >= CHECKPOINT_CHUNK_BYTES
    }

    /// Commits what it has.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn commit(&mut self, store: &Store) -> Result<(), Fault> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let changes: Vec<RowChange<'_>> = rows
            .iter()
            .map(|(key, value, facts)| RowChange::Put {
                key,
                item: Item { value: Value::Plain(value), ..*facts },
            })
            .collect();
        if changes.is_empty() { Ok(()) } else { store.commit(&changes, None).map(|_| ()) }
    }
}
