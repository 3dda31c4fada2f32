//! Compaction: the live rows copied in key order into a new file, which takes the place of the old one.
//!
//! The copy goes in steps, each through a snapshot of its own, while checkpoints go on. What they change behind the
//! step that copied it is noted by key and copied again. The last of these is done with the writer locked, so that the
//! new file has exactly what the old one has when it is renamed over it. Readers never wait: who reads the old file
//! goes on reading it until done.
//!
//! A crash leaves the old file or the new one, each whole: the new one is synced before it is renamed, and what was not
//! renamed is removed at the next start.
//!
//! redb leaves a leaf full when a row is appended behind everything, and halves it otherwise. So items are appended in
//! the order of their keys; pieces, whose classes lie side by side in one table, go through a cursor a class, which
//! packs leaves too; listings are gathered over the whole copy and appended in their order.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use redb::{Database, Durability};

use super::checkpoint::{Tables, Work, write};
use super::deadlines::{Bucket, Gathered};
use super::disk::Watch;
use super::guard::{About, Trouble, guard};
use super::parts::{Class, Cut};
use super::record::Record;
use super::row;
use super::snapshot::{RowBuffer, ScanLimits};
use super::{Retired, Store, View, Writer};
use crate::base::fault::{Fault, FaultKind};
use crate::base::item::{Item, Value};
use crate::base::limits::{
    COMPACTION_CACHE_BYTES, COMPACTION_CHANGED_BYTES_MAX, COMPACTION_FINISH_KEYS,
    COMPACTION_LISTED_BYTES_MAX, COMPACTION_SYNC_BYTES,
};

/// Keys that changed behind a compaction's back.
#[derive(Debug, Default)]
pub(super) struct Changed {
    keys: BTreeSet<Box<[u8]>>,
    bytes: usize,
    is_too_much: bool,
}

impl Changed {
    /// Remembers that the row of `key` is another one now, or none.
    pub(super) fn note(&mut self, key: &[u8]) {
        if self.is_too_much || !self.keys.insert(key.into()) {
            return;
        }
        self.bytes += key.len();
        if self.bytes > COMPACTION_CHANGED_BYTES_MAX {
            *self = Changed { is_too_much: true, ..Changed::default() };
        }
    }
}

/// A copy under way. It is given back to its store: finished or abandoned.
pub struct Compaction {
    database: Database,
    watch: Watch,
    /// Everything up to this key is copied; all of it when `is_copied`.
    after: Option<Vec<u8>>,
    is_copied: bool,
    /// Copied keys that have changed since.
    pending: BTreeSet<Box<[u8]>>,
    gathered: Gathered,
    /// Written since the last sync, bytes.
    unsynced: usize,
}

/// How far a compaction is after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many bytes were copied; there are more.
    Copied(usize),
    /// Only the end is missing: finish it.
    Ready,
    /// More changes than it can follow: abandon it.
    Outrun,
}

/// A row taken out of the old file.
struct Taken {
    key: Box<[u8]>,
    /// `None` when there is no row of this key any more. The value in it is empty; the real one stands beside it.
    item: Option<(Item<'static>, Bytes)>,
}

impl Taken {
    fn new(key: &[u8], item: Option<Item<'_>>) -> Taken {
        let item = item.map(|item| {
            let value = match item.value {
                Value::Plain(bytes) => Bytes::copy_from_slice(bytes),
                Value::Shared(bytes) => bytes.clone(),
            };
            (Item { value: Value::Plain(&[]), ..item }, value)
        });
        Taken { key: key.into(), item }
    }

    fn item(&self) -> Option<Item<'_>> {
        self.item.as_ref().map(|(item, value)| Item { value: Value::Plain(value), ..*item })
    }

    fn bytes(&self) -> usize {
        self.key.len() + self.item.as_ref().map_or(0, |(_, value)| value.len())
    }
}

impl Store {
    /// Begins a compaction, one at a time for a store; `None` when there is no file.
    ///
    /// # Errors
    /// `DiskFull` or `Io` when the new file cannot be made; the old one is as it was.
    pub fn begin_compaction(&self) -> Result<Option<Compaction>, Fault> {
        let mut writer = self.writer.lock();
        writer.refuse_if_frozen(self.disk.path())?;
        let Some(snapshot) = self.snapshot()? else { return Ok(None) };
        let watch = self.watch.sibling();
        let begun = self.begin_copy(&watch, snapshot.record.swept);
        let database = begun.inspect_err(|_| self.discard())?;
        writer.changed = Some(Changed::default());
        Ok(Some(Compaction {
            database,
            watch,
            after: None,
            is_copied: false,
            pending: BTreeSet::new(),
            gathered: Gathered::default(),
            unsynced: 0,
        }))
    }

    /// Makes the new file and says in it whose it is.
    fn begin_copy(&self, watch: &Watch, swept: Bucket) -> Result<Database, Fault> {
        let path = self.disk.path();
        let inner = self.disk.create().map_err(|error| Fault::io("making a new file", path, &error))?;
        let cache_bytes = self.options.cache_bytes.max(COMPACTION_CACHE_BYTES);
        guard(path, watch, About::Whole, || {
            let database = super::build(inner, watch, cache_bytes)?;
            let work = Work { identity: Some(&self.identity), ..Work::default() };
            write(&database, work, |tables| {
                tables.record.swept = swept;
                Ok(())
            })?;
            Ok(database)
        })
    }

    /// Copies about `bytes` more.
    ///
    /// # Errors
    /// `Corrupt` when the old file has a damaged row, `DiskFull` or `Io` when the new one cannot be written: abandon it.
    pub fn continue_compaction(&self, compaction: &mut Compaction, bytes: usize) -> Result<Step, Fault> {
        if !self.take_changed(&mut self.writer.lock(), compaction) {
            return Ok(Step::Outrun);
        }
        let is_behind = compaction.pending.len() > COMPACTION_FINISH_KEYS;
        if compaction.is_copied && !is_behind {
            return Ok(Step::Ready);
        }
        let copied = if is_behind { self.follow(compaction, bytes)? } else { self.copy(compaction, bytes)? };
        Ok(Step::Copied(copied))
    }

    /// Brings the copy up to the old file and puts it in its place. The disk has the space of the old one once
    /// [`Store::close_replaced`] has closed it.
    ///
    /// # Errors
    /// As [`Store::continue_compaction`], and the old file stays. A failed renaming stops writes: it is not known which
    /// of the two the disk has.
    pub fn finish_compaction(&self, mut compaction: Compaction) -> Result<(), Fault> {
        // Most of it goes to the disk before anybody has to wait for that.
        let synced = self.write_copy(&mut compaction, COMPACTION_SYNC_BYTES, |_| Ok(()));
        let mut writer = self.writer.lock();
        let ready = synced.and_then(|()| self.complete(&mut writer, &mut compaction));
        writer.changed = None;
        self.close_copy(compaction);
        if let Err(fault) = ready {
            self.discard();
            return Err(fault);
        }
        self.take_over(&mut writer)
    }

    /// Gives a compaction up; the old file is as it was.
    pub fn abandon_compaction(&self, compaction: Compaction) {
        let mut writer = self.writer.lock();
        writer.changed = None;
        self.close_copy(compaction);
        self.discard();
    }

    /// Closes files that compactions have replaced, once nobody reads them any more: only then the disk has their space.
    pub fn close_replaced(&self) {
        let mut writer = self.writer.lock();
        let (read, unread): (Vec<Retired>, Vec<Retired>) = std::mem::take(&mut writer.replaced)
            .into_iter()
            .partition(|replaced| Arc::strong_count(&replaced.lease) > 1);
        writer.replaced = read;
        drop(writer);
        for Retired { database, .. } in unread {
            self.close(database);
        }
    }

    /// Takes over which copied keys have changed; `false` when they are too many. What lies ahead of the copy needs no
    /// second one.
    fn take_changed(&self, writer: &mut Writer, compaction: &mut Compaction) -> bool {
        let Some(changed) = &mut writer.changed else { return false };
        if changed.is_too_much {
            return false;
        }
        let Changed { mut keys, .. } = std::mem::take(changed);
        if !compaction.is_copied {
            keys.retain(|key| compaction.after.as_ref().is_some_and(|after| **key <= **after));
        }
        compaction.pending.append(&mut keys);
        let bytes: usize = compaction.pending.iter().map(|key| key.len()).sum();
        bytes <= COMPACTION_CHANGED_BYTES_MAX
    }

    /// Copies the next rows.
    fn copy(&self, compaction: &mut Compaction, bytes: usize) -> Result<usize, Fault> {
        let from = compaction.after.clone();
        let from = from.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let limits = ScanLimits { items: usize::MAX, bytes };
        let (mut rows, mut damage) = (Vec::new(), None);
        let resume = self.scan(from, limits, &mut RowBuffer::default(), |key, item| {
            match item {
                Ok(item) => rows.push(Taken::new(key, Some(item))),
                Err(fault) => damage = Some(fault),
            }
            damage.is_none()
        })?;
        if let Some(fault) = damage {
            return Err(fault);
        }
        self.rewritten_bytes.fetch_add(resume.bytes as u64, Ordering::Relaxed);
        self.write_copy(compaction, resume.bytes, |tables| tables.append(&rows))?;
        compaction.is_copied = resume.after.is_none();
        compaction.after = resume.after;
        Ok(resume.bytes)
    }

    /// Copies again what has changed since it was copied.
    fn follow(&self, compaction: &mut Compaction, bytes: usize) -> Result<usize, Fault> {
        let Some(snapshot) = self.snapshot()? else { return Ok(0) };
        let (mut rows, mut taken, mut buffer) = (Vec::new(), 0, RowBuffer::default());
        while taken < bytes
            && let Some(key) = compaction.pending.pop_first()
        {
            let row = guard(self.disk.path(), &self.watch, About::Key(&key), || {
                let found = snapshot.fetch(&key, &mut buffer)?;
                Ok(Taken::new(&key, found.map(|facts| buffer.item(&facts))))
            })?;
            taken += row.bytes();
            rows.push(row);
        }
        self.write_copy(compaction, taken, |tables| tables.replace(&rows))?;
        Ok(taken)
    }

    /// One transaction on the copy: durable only now and then, since a crash throws the copy away.
    fn write_copy(
        &self,
        compaction: &mut Compaction,
        bytes: usize,
        work: impl FnOnce(&mut Tables<'_>) -> Result<(), Trouble>,
    ) -> Result<(), Fault> {
        let is_due = compaction.unsynced + bytes >= COMPACTION_SYNC_BYTES;
        let durability = if is_due { Durability::Immediate } else { Durability::None };
        compaction.unsynced = if is_due { 0 } else { compaction.unsynced + bytes };
        let Compaction { database, watch, gathered, .. } = compaction;
        guard(self.disk.path(), watch, About::Whole, || {
            write(database, Work { durability, ..Work::default() }, |tables| {
                tables.gathered = std::mem::take(gathered);
                work(tables)?;
                if tables.gathered.bytes() < COMPACTION_LISTED_BYTES_MAX {
                    *gathered = std::mem::take(&mut tables.gathered);
                }
                Ok(())
            })
        })
    }

    /// Makes the copy equal to the old file, which nobody changes meanwhile, and syncs it.
    fn complete(&self, writer: &mut Writer, compaction: &mut Compaction) -> Result<(), Fault> {
        let path = self.disk.path();
        writer.refuse_if_frozen(path)?;
        if !compaction.is_copied || !self.take_changed(writer, compaction) {
            return Err(Fault::new(FaultKind::Io, "a compaction that is not ready").at(path));
        }
        while !compaction.pending.is_empty() {
            self.follow(compaction, usize::MAX)?;
        }
        let Some(snapshot) = self.snapshot()? else {
            return Err(Fault::new(FaultKind::Io, "nothing to compact").at(path));
        };
        let Compaction { database, watch, gathered, .. } = compaction;
        guard(path, watch, About::Whole, || {
            write(database, Work::default(), |tables| {
                tables.gathered = std::mem::take(gathered);
                tables.adopt(&snapshot.record)
            })
        })
    }

    /// Puts the finished copy in the place of the old file and reads from it.
    fn take_over(&self, writer: &mut Writer) -> Result<(), Fault> {
        let path = self.disk.path();
        if let Err(error) = self.disk.publish() {
            let fault = Fault::io("putting the compacted file in its place", path, &error);
            log::error!("writes to this group stop: {fault}");
            writer.frozen = Some((FaultKind::Io, fault.message.clone()));
            self.discard();
            self.reopen(writer);
            return Err(fault);
        }
        self.swaps.fetch_add(1, Ordering::SeqCst);
        let lease = std::mem::take(&mut *self.lease.lock());
        match self.open_published() {
            Ok((database, snapshot)) => {
                let replaced = writer.database.replace(Arc::new(database));
                *self.view.write() = View::Open(Arc::new(snapshot));
                writer.replaced.extend(replaced.map(|database| Retired { database: Some(database), lease }));
                Ok(())
            }
            Err(fault) => {
                self.reopen(writer);
                Err(fault)
            }
        }
    }

    fn close_copy(&self, compaction: Compaction) {
        let Compaction { database, watch, .. } = compaction;
        let closed = guard(self.disk.path(), &watch, About::Whole, || {
            drop(database);
            Ok(())
        });
        if let Err(fault) = closed {
            log::warn!("closing a new file: {fault}");
        }
    }

    /// Removes a file that has not become the group's.
    pub(super) fn discard(&self) {
        if let Err(error) = self.disk.discard() {
            log::warn!("{}: removing an unfinished file: {error}", self.disk.path().display());
        }
    }
}

impl Tables<'_> {
    /// Adds rows that lie behind all others, sorted by key.
    fn append(&mut self, rows: &[Taken]) -> Result<(), Trouble> {
        for taken in rows {
            let Some(item) = taken.item() else { continue };
            let cut = Cut::of(taken.key.len(), item.value.bytes().len());
            row::encode(&mut self.row, &taken.key, &item, cut.head_bytes);
            self.items.insert(&*taken.key, self.row.as_slice())?;
            self.count_in(&taken.key, &item, None);
        }
        for class in [Class::Small, Class::Page, Class::Large] {
            self.append_pieces(class, rows)?;
        }
        Ok(())
    }

    fn append_pieces(&mut self, class: Class, rows: &[Taken]) -> Result<(), Trouble> {
        let mut pieces = rows.iter().flat_map(|taken| {
            let value = taken.item.as_ref().map_or(&[][..], |(_, value)| value);
            let cut = Cut::of(taken.key.len(), value.len());
            let pieces = (0..cut.pieces()).map(move |index| cut.piece(index));
            let pieces = pieces.filter(move |piece| piece.class == class);
            pieces.map(move |piece| (taken, value.get(piece.range.clone()).unwrap_or(&[]), piece))
        });
        let Some((taken, value, piece)) = pieces.next() else { return Ok(()) };
        piece.write_key(&taken.key, &mut self.piece_key);
        let mut cursor = self.parts.upper_bound_mut(Bound::Included(self.piece_key.as_slice()))?;
        cursor.insert_before(self.piece_key.as_slice(), value)?;
        for (taken, value, piece) in pieces {
            piece.write_key(&taken.key, &mut self.piece_key);
            cursor.insert_before(self.piece_key.as_slice(), value)?;
        }
        cursor.close()?;
        Ok(())
    }

    /// Brings rows up to what they are now.
    fn replace(&mut self, rows: &[Taken]) -> Result<(), Trouble> {
        for taken in rows {
            match taken.item() {
                Some(item) => self.put(&taken.key, &item)?,
                None => self.remove(&taken.key)?,
            }
        }
        Ok(())
    }

    /// Says what the old file says about itself; refused when the copy has not come to the same sums.
    fn adopt(&mut self, old: &Record) -> Result<(), Trouble> {
        let state = self.record.state;
        if (state.rows, state.payload_bytes) != (old.state.rows, old.state.payload_bytes) {
            let message = format!(
                "{} items of {} bytes were found where {} of {} were stored: rows cannot be reached",
                state.rows, state.payload_bytes, old.state.rows, old.state.payload_bytes
            );
            return Err(Trouble::Damaged(message));
        }
        self.record.state = old.state;
        self.record.swept = old.swept;
        Ok(())
    }
}

#[cfg(test)]
impl Store {
    /// A whole compaction.
    pub(super) fn compact(&self, bytes: usize) -> Result<(), Fault> {
        let Some(mut compaction) = self.begin_compaction()? else { return Ok(()) };
        loop {
            match self.continue_compaction(&mut compaction, bytes) {
                Ok(Step::Copied(_)) => {}
                Ok(Step::Ready) => return self.finish_compaction(compaction),
                Ok(Step::Outrun) => panic!("outrun"),
                Err(fault) => {
                    self.abandon_compaction(compaction);
                    return Err(fault);
                }
            }
        }
    }
}
