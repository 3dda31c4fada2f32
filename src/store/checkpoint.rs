//! Writing: the only place that opens write transactions. A checkpoint's chunk, the settling of due deadlines and the
//! purge of flushed rows each are one durable transaction; the read snapshot is renewed behind it. A compaction writes
//! through the same tables into a file of its own.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use redb::{Database, Durability, ReadableDatabase, Table, WriteTransaction};

use super::compaction::Changed;
use super::deadlines::{self, Due, Gathered, ListingId};
use super::guard::{About, Trouble, guard};
use super::parts::Cut;
use super::record::{Record, State, read_record, write_identity, write_record};
use super::row::{self, Facts};
use super::snapshot::{Selected, Snapshot};
use super::{DEADLINES, GroupIdentity, ITEMS, META, PARTS, Store, View, Writer};
use crate::base::effect::FlushMark;
use crate::base::fault::{Fault, FaultKind};
use crate::base::item::Item;
use crate::base::limits::KEY_BYTES_MAX;
use crate::base::lsn::Lsn;
use crate::base::time::Deadline;
use crate::base::version::Version;

/// What becomes of one key in a checkpoint.
#[derive(Clone, Copy, Debug)]
pub enum RowChange<'a> {
    /// It has this item now.
    Put {
        /// 1 to [`KEY_BYTES_MAX`] bytes.
        key: &'a [u8],
        /// What is kept of it: everything but the access time and the `FETCHED` mark.
        item: Item<'a>,
    },
    /// It has none.
    Remove {
        /// The key.
        key: &'a [u8],
    },
}

impl<'a> RowChange<'a> {
    /// The key.
    pub fn key(&self) -> &'a [u8] {
        match self {
            RowChange::Put { key, .. } | RowChange::Remove { key } => key,
        }
    }
}

/// What the last chunk of a checkpoint says about all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Everything up to this position of the log is in the file now.
    pub applied_lsn: Lsn,
    /// The flush mark at that position.
    pub flush: FlushMark,
    /// The highest version issued up to there.
    pub version_max: Version,
}

/// What a chunk left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The state after it.
    pub state: State,
}

/// What a settling found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Keys whose row still has a deadline: listed again.
    pub relisted: usize,
    /// Keys without a row, or without a deadline: listed no more.
    pub gone: usize,
}

/// How far a purge came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Rows removed.
    pub removed: usize,
    /// Go on behind this key; `None` when the end was reached.
    pub after: Option<Vec<u8>>,
}

impl Store {
    /// Commits one chunk of a checkpoint, durably and as a whole; `changes` are sorted by key. The last chunk brings
    /// the checkpoint's `end`.
    ///
    /// # Errors
    /// `DiskFull`: nothing was changed, and the next commit may succeed. Anything else: the store refuses writes from
    /// now on with this fault, and goes on reading where it can; whether the chunk is in the file is not known, and
    /// committing it again after a restart is harmless.
    pub fn commit(&self, changes: &[RowChange<'_>], end: Option<End>) -> Result<Committed, Fault> {
        let about = match (changes.first(), changes.last()) {
            (Some(first), Some(last)) => About::Range(first.key(), last.key()),
            _ => About::Whole,
        };
        self.transact(about, |tables| {
            for change in changes {
                match change {
                    RowChange::Put { key, item } => tables.put(key, item)?,
                    RowChange::Remove { key } => tables.remove(key)?,
                }
            }
            if let Some(end) = end {
                tables.end(end);
            }
            Ok(())
        })?;
        Ok(Committed { state: self.state() })
    }

    /// Takes the listings of `due` out of the index. Keys whose row still has a deadline are listed again: at that
    /// deadline if it is to come, else one bucket after `now_s`, until a checkpoint removes the row. So it costs least
    /// after the checkpoint that brought the removals, and loses nothing before it.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn settle(&self, due: Due, now_s: u32) -> Result<Settled, Fault> {
        if due.is_empty() {
            return Ok(Settled::default());
        }
        let swaps = &self.swaps;
        self.transact(About::Whole, |tables| {
            // Their numbers mean nothing in a file that has taken the place of theirs; it lists the keys itself.
            if due.swaps != swaps.load(Ordering::SeqCst) {
                return Ok(Settled::default());
            }
            tables.settle(&due, now_s)
        })
    }

    /// Removes up to `limit` rows behind `after` that the checkpointed flush mark covers.
    ///
    /// The mark is the file's own, so a flush that the log could still lose removes nothing.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn purge_flushed(&self, after: Option<&[u8]>, limit: usize) -> Result<Purged, Fault> {
        let Some(snapshot) = self.snapshot()? else { return Ok(Purged::default()) };
        let mark = snapshot.record.state.flush;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let Selected { keys, after } = guard(self.disk.path(), &self.watch, About::Whole, || {
            snapshot.select(from, limit, |facts| mark.covers(facts.version))
        })?;
        drop(snapshot);
        if keys.is_empty() {
            return Ok(Purged { removed: 0, after });
        }
        // Nobody else commits between the look and the removal: there is one writer per group, and were there two, a
        // row is looked at again here.
        let removed = self.transact(About::Whole, |tables| {
            let mut removed = 0;
            for key in &keys {
                if tables.facts(key)?.is_some_and(|facts| mark.covers(facts.version)) {
                    tables.remove(key)?;
                    removed += 1;
                }
            }
            Ok(removed)
        })?;
        Ok(Purged { removed, after })
    }

    /// Runs `work` in one durable write transaction and renews the read snapshot.
    fn transact<T>(
        &self,
        about: About<'_>,
        work: impl FnOnce(&mut Tables<'_>) -> Result<T, Trouble>,
    ) -> Result<T, Fault> {
        let mut writer = self.writer.lock();
        writer.refuse_if_frozen(self.disk.path())?;
        let result = self.attempt(&mut writer, about, work);
        if let Err(fault) = &result {
            self.after_failure(&mut writer, fault);
        }
        result
    }

    fn attempt<T>(
        &self,
        writer: &mut Writer,
        about: About<'_>,
        work: impl FnOnce(&mut Tables<'_>) -> Result<T, Trouble>,
    ) -> Result<T, Fault> {
        let path = self.disk.path();
        let is_new = self.ensure_open(writer)?;
        let Writer { database: Some(database), changed, .. } = writer else {
            return Err(Fault::new(FaultKind::Io, "the database is closed").at(path));
        };
        let (value, snapshot) = guard(path, &self.watch, about, || {
            let work_on = Work {
                identity: is_new.then_some(&self.identity),
                changed: changed.as_mut(),
                before_commit: Some(&|| self.let_go(database)),
                ..Work::default()
            };
            let value = write(database, work_on, work)?;
            Ok((value, Snapshot::of(&database.begin_read()?, self.lease())?))
        })?;
        if is_new {
            self.disk.publish().map_err(|error| Fault::io("publishing the new database", path, &error))?;
        }
        *self.view.write() = View::Open(Arc::new(snapshot));
        if self.watch.has_failed() {
            // The commit is durable; what failed came behind it, and redb refuses everything since.
            self.reopen(writer);
        }
        Ok(value)
    }

    /// Gives up the kept snapshot for the time of a commit: pages that nobody reads any more when it ends can be used
    /// by the next one, else only by the one after that, and the file is larger by what a commit touches.
    fn let_go(&self, database: &Arc<Database>) {
        let mut view = self.view.write();
        if let View::Open(snapshot) = &*view {
            *view = View::Passing(Arc::clone(database), snapshot.record);
        }
    }

    /// A full disk passes; whatever else failed a write stops further ones, for the file may not be what it seems.
    fn after_failure(&self, writer: &mut Writer, fault: &Fault) {
        if fault.kind != FaultKind::DiskFull {
            log::error!("writes to this group stop: {fault}");
            writer.frozen = Some((fault.kind, fault.message.clone()));
        }
        // A renaming that was done and could not be synced has published it all the same.
        let is_there = self.disk.exists().unwrap_or(true);
        let unpublished = matches!(*self.view.read(), View::Empty) && !is_there;
        if unpublished {
            self.close(writer.database.take());
        } else if self.watch.has_failed() || matches!(*self.view.read(), View::Empty) {
            // After a failed call redb refuses all others, reads too, until the file is opened again.
            self.reopen(writer);
        } else {
            self.renew(writer);
        }
    }
}

/// What one transaction is besides its changes.
pub(super) struct Work<'a> {
    /// Written into a new file.
    pub(super) identity: Option<&'a GroupIdentity>,
    /// Durable, but for a file that nobody would miss.
    pub(super) durability: Durability,
    /// Where changed keys are noted.
    pub(super) changed: Option<&'a mut Changed>,
    /// Called when all is written.
    pub(super) before_commit: Option<&'a dyn Fn()>,
}

impl Default for Work<'_> {
    fn default() -> Self {
        Work { identity: None, durability: Durability::Immediate, changed: None, before_commit: None }
    }
}

/// One transaction.
pub(super) fn write<T>(
    database: &Database,
    about: Work<'_>,
    work: impl FnOnce(&mut Tables<'_>) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let Work { identity, durability, changed, before_commit } = about;
    let mut transaction = database.begin_write()?;
    transaction.set_durability(durability)?;
    // One commit without it costs the next start a walk through the whole file.
    transaction.set_quick_repair(true);
    let value = {
        let mut meta = transaction.open_table(META)?;
        let record = if let Some(identity) = identity {
            write_identity(&mut meta, identity)?;
            Record::default()
        } else {
            read_record(&meta)?
        };
        let mut tables = Tables::open(&transaction, record, changed)?;
        let value = work(&mut tables)?;
        let record = tables.finish()?;
        write_record(&mut meta, &record)?;
        value
    };
    if let Some(before_commit) = before_commit {
        before_commit();
    }
    transaction.commit()?;
    Ok(value)
}

/// The tables of a write transaction and what is gathered on the way.
pub(super) struct Tables<'t> {
    pub(super) items: Table<'t, &'static [u8], &'static [u8]>,
    pub(super) parts: Table<'t, &'static [u8], &'static [u8]>,
    deadlines: Table<'t, ListingId, &'static [u8]>,
    pub(super) record: Record,
    pub(super) gathered: Gathered,
    changed: Option<&'t mut Changed>,
    pub(super) row: Vec<u8>,
    pub(super) piece_key: Vec<u8>,
}

impl<'t> Tables<'t> {
    fn open(
        transaction: &'t WriteTransaction,
        record: Record,
        changed: Option<&'t mut Changed>,
    ) -> Result<Tables<'t>, Trouble> {
        Ok(Tables {
            items: transaction.open_table(ITEMS)?,
            parts: transaction.open_table(PARTS)?,
            deadlines: transaction.open_table(DEADLINES)?,
            record,
            gathered: Gathered::default(),
            changed,
            row: Vec::new(),
            piece_key: Vec::new(),
        })
    }

    /// Writes row and pieces of an item, and lists its deadline if need be.
    pub(super) fn put(&mut self, key: &[u8], item: &Item<'_>) -> Result<(), Trouble> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            let message = format!("a key of {} bytes cannot be stored", key.len());
            return Err(Trouble::Fault(Fault::new(FaultKind::Unusable, message)));
        }
        self.note(key);
        let value = item.value.bytes();
        let cut = Cut::of(key.len(), value.len());
        row::encode(&mut self.row, key, item, cut.head_bytes);
        let old = facts_of(key, self.items.insert(key, self.row.as_slice())?)?;
        for index in 0..cut.pieces() {
            let piece = cut.piece(index);
            piece.write_key(key, &mut self.piece_key);
            let bytes = value.get(piece.range).unwrap_or(&[]);
            self.parts.insert(self.piece_key.as_slice(), bytes)?;
        }
        if let Some(old) = &old {
            self.drop_pieces(key, old, &cut)?;
            self.forget(key, old);
        }
        self.count_in(key, item, old.map(|old| old.deadline));
        Ok(())
    }

    /// A row is there now, in the place of one with this deadline if there was one.
    pub(super) fn count_in(&mut self, key: &[u8], item: &Item<'_>, old: Option<Deadline>) {
        let state = &mut self.record.state;
        state.rows += 1;
        state.payload_bytes += payload_bytes(key, item.value.bytes().len());
        state.version_max = state.version_max.max(item.stamp());
        if let Some(bucket) = deadlines::relisting(old, item.deadline, self.record.swept) {
            self.gathered.list(bucket, key);
        }
    }

    fn note(&mut self, key: &[u8]) {
        if let Some(changed) = &mut self.changed {
            changed.note(key);
        }
    }

    /// Removes row and pieces of a key. Its listings vanish when they come up.
    pub(super) fn remove(&mut self, key: &[u8]) -> Result<(), Trouble> {
        self.note(key);
        let Some(old) = facts_of(key, self.items.remove(key)?)? else { return Ok(()) };
        self.drop_pieces(key, &old, &Cut::default())?;
        self.forget(key, &old);
        Ok(())
    }

    /// Removes the pieces of the old value that the new one has not written over.
    fn drop_pieces(&mut self, key: &[u8], old: &Facts, new: &Cut) -> Result<(), Trouble> {
        if !old.has_pieces {
            return Ok(());
        }
        let cut = Cut::of(key.len(), old.value_bytes);
        for index in 0..cut.pieces() {
            let piece = cut.piece(index);
            if new.has(&piece) {
                continue;
            }
            piece.write_key(key, &mut self.piece_key);
            if self.parts.remove(self.piece_key.as_slice())?.is_none() {
                return Err(Trouble::Damaged(format!("a piece of {} is missing", About::Key(key))));
            }
        }
        Ok(())
    }

    fn forget(&mut self, key: &[u8], old: &Facts) {
        let state = &mut self.record.state;
        state.rows = state.rows.saturating_sub(1);
        state.payload_bytes = state.payload_bytes.saturating_sub(payload_bytes(key, old.value_bytes));
    }

    fn facts(&self, key: &[u8]) -> Result<Option<Facts>, Trouble> {
        use redb::ReadableTable;
        facts_of(key, self.items.get(key)?)
    }

    fn end(&mut self, end: End) {
        let state = &mut self.record.state;
        state.applied_lsn = state.applied_lsn.max(end.applied_lsn);
        state.flush = end.flush;
        state.version_max = state.version_max.max(end.version_max);
    }

    fn settle(&mut self, due: &Due, now_s: u32) -> Result<Settled, Trouble> {
        for id in &due.listings {
            self.record.swept = self.record.swept.max(id.0);
            let listing = self.deadlines.remove(id)?;
            let keys = listing.map_or(0, |row| deadlines::count_in_listing(row.value()));
            self.record.listed = self.record.listed.saturating_sub(keys as u64);
        }
        let mut keys: Vec<&[u8]> = due.keys().collect();
        keys.sort_unstable();
        keys.dedup();
        let mut settled = Settled::default();
        for key in keys {
            match self.facts(key)?.map(|facts| facts.deadline).filter(|deadline| !deadline.is_never()) {
                Some(deadline) => {
                    let bucket = deadlines::after_settling(deadline, self.record.swept, now_s);
                    self.gathered.list(bucket, key);
                    settled.relisted += 1;
                }
                None => settled.gone += 1,
            }
        }
        Ok(settled)
    }

    /// Writes the listings and gives back what the state row is to say.
    fn finish(mut self) -> Result<Record, Trouble> {
        self.record.listed += self.gathered.len() as u64;
        let table = &mut self.deadlines;
        self.gathered.write(&mut self.record.next_listing, |id, listing| {
            table.insert(id, listing)?;
            Ok::<(), Trouble>(())
        })?;
        Ok(self.record)
    }
}

/// What the row of `key` says about its item.
fn facts_of(key: &[u8], row: Option<redb::AccessGuard<'_, &'static [u8]>>) -> Result<Option<Facts>, Trouble> {
    let Some(row) = row else { return Ok(None) };
    let facts = row::decode(row.value());
    facts.map(Some).ok_or_else(|| Trouble::Damaged(format!("the row of {} is damaged", About::Key(key))))
}

/// What an item counts as, bytes.
fn payload_bytes(key: &[u8], value_bytes: usize) -> u64 {
    (key.len() + value_bytes) as u64
}
