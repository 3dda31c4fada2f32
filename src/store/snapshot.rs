//! Reading: a snapshot of the tables, kept open between commits, single reads and scans through it.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use redb::{ReadOnlyTable, ReadTransaction};

use super::deadlines::{self, Due, ListingId, Soonest};
use super::guard::{About, Trouble};
use super::parts::Cut;
use super::record::{Record, read_record};
use super::row::{self, Facts};
use super::{DEADLINES, ITEMS, META, PARTS};
use crate::base::item::{Item, Value};
use crate::base::limits::SHARED_BYTES_MIN;

/// A value is read into memory that grows by at most this much before its next piece is known to be there, bytes: a
/// damaged length must not ask for a gigabyte.
const GROW_BYTES: usize = 1024 * 1024;

/// Where an item is read to; reused from read to read.
#[derive(Debug, Default)]
pub struct RowBuffer {
    row: Vec<u8>,
    value: Bytes,
    piece_key: Vec<u8>,
}

impl RowBuffer {
    /// The item that was read last; `facts` are its.
    pub(super) fn item(&self, facts: &Facts) -> Item<'_> {
        let value = if !facts.has_pieces {
            Value::Plain(self.row.get(facts.head_at..).unwrap_or(&[]))
        } else if self.value.len() >= SHARED_BYTES_MIN {
            Value::Shared(&self.value)
        } else {
            Value::Plain(&self.value)
        };
        facts.item(value)
    }
}

/// How far a scan came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// Go on behind this key; `None` when the end was reached or the visitor had enough.
    pub after: Option<Vec<u8>>,
    /// Items visited.
    pub items: usize,
    /// Bytes of their keys and values.
    pub bytes: usize,
}

/// Keys picked from a stretch of rows.
#[derive(Debug, Default)]
pub(super) struct Selected {
    pub(super) keys: Vec<Vec<u8>>,
    /// Go on behind this key; `None` when the end was reached.
    pub(super) after: Option<Vec<u8>>,
}

/// The tables as one commit left them.
pub(super) struct Snapshot {
    items: ReadOnlyTable<&'static [u8], &'static [u8]>,
    pub(super) parts: ReadOnlyTable<&'static [u8], &'static [u8]>,
    pub(super) deadlines: ReadOnlyTable<ListingId, &'static [u8]>,
    pub(super) record: Record,
    /// Shared by all snapshots of one file: it is closed when only its owner has the lease.
    _lease: Arc<()>,
}

impl Snapshot {
    /// Opens the tables in `transaction`; the handles keep it alive.
    pub(super) fn of(transaction: &ReadTransaction, lease: Arc<()>) -> Result<Snapshot, Trouble> {
        let record = read_record(&transaction.open_table(META)?)?;
        Snapshot::with(transaction, record, lease)
    }

    /// As [`Snapshot::of`], with another record than the file's.
    pub(super) fn with(
        transaction: &ReadTransaction,
        record: Record,
        lease: Arc<()>,
    ) -> Result<Snapshot, Trouble> {
        Ok(Snapshot {
            items: transaction.open_table(ITEMS)?,
            parts: transaction.open_table(PARTS)?,
            deadlines: transaction.open_table(DEADLINES)?,
            record,
            _lease: lease,
        })
    }

    /// Reads the item of `key` into `buffer`.
    pub(super) fn fetch(&self, key: &[u8], buffer: &mut RowBuffer) -> Result<Option<Facts>, Trouble> {
        let Some(row) = self.items.get(key)? else { return Ok(None) };
        self.load(key, row.value(), buffer).map(Some)
    }

    /// Brings row and pieces of `key` together in `buffer` and checks them.
    fn load(&self, key: &[u8], row: &[u8], buffer: &mut RowBuffer) -> Result<Facts, Trouble> {
        let damaged = || Trouble::Damaged(format!("the row of {} is damaged", About::Key(key)));
        let facts = row::decode(row).ok_or_else(damaged)?;
        let mut value = Vec::new();
        if facts.has_pieces {
            self.join(key, &facts, row, buffer, &mut value)?;
        }
        let head_bytes = row.len().saturating_sub(facts.head_at);
        let tail = value.get(head_bytes..).unwrap_or(&[]);
        if !row::is_intact(&facts, key, row, tail) {
            return Err(damaged());
        }
        buffer.row.clear();
        buffer.row.extend_from_slice(row);
        buffer.value = Bytes::from(value);
        Ok(facts)
    }

    /// Joins head and pieces of a value. A piece that is missing or has another length ends it: the checksum tells.
    fn join(
        &self,
        key: &[u8],
        facts: &Facts,
        row: &[u8],
        buffer: &mut RowBuffer,
        value: &mut Vec<u8>,
    ) -> Result<(), Trouble> {
        let cut = Cut::of(key.len(), facts.value_bytes);
        value.reserve_exact(facts.value_bytes.min(GROW_BYTES));
        value.extend_from_slice(row.get(facts.head_at..).unwrap_or(&[]));
        for index in 0..cut.pieces() {
            let piece = cut.piece(index);
            piece.write_key(key, &mut buffer.piece_key);
            match self.parts.get(buffer.piece_key.as_slice())? {
                Some(found) if found.value().len() == piece.range.len() => {
                    value.extend_from_slice(found.value())
                }
                _ => break,
            }
        }
        Ok(())
    }

    /// Visits the items behind `from` in the order of their keys, within limits.
    pub(super) fn scan(
        &self,
        from: Bound<&[u8]>,
        limits: ScanLimits,
        buffer: &mut RowBuffer,
        visit: &mut Visitor<'_>,
    ) -> Result<Resume, Trouble> {
        let mut resume = Resume::default();
        for entry in self.items.range::<&[u8]>((from, Bound::Unbounded))? {
            let (key, row) = entry?;
            let key = key.value();
            let loaded = self.load(key, row.value(), buffer);
            let item = loaded.map(|facts| buffer.item(&facts));
            resume.items += 1;
            resume.bytes += key.len() + item.as_ref().map_or(0, |item| item.value.bytes().len());
            if !visit(key, item) {
                return Ok(resume);
            }
            if resume.items >= limits.items || resume.bytes >= limits.bytes {
                resume.after = Some(key.to_vec());
                return Ok(resume);
            }
        }
        Ok(resume)
    }

    /// The keys of up to `limit` rows behind `from` whose item `wanted` accepts, and where to go on.
    pub(super) fn select(
        &self,
        from: Bound<&[u8]>,
        limit: usize,
        wanted: impl Fn(&Facts) -> bool,
    ) -> Result<Selected, Trouble> {
        let mut selected = Selected::default();
        for (seen, entry) in self.items.range::<&[u8]>((from, Bound::Unbounded))?.enumerate() {
            let (key, row) = entry?;
            if row::decode(row.value()).is_some_and(|facts| wanted(&facts)) {
                selected.keys.push(key.value().to_vec());
            }
            if seen + 1 >= limit {
                selected.after = Some(key.value().to_vec());
                return Ok(selected);
            }
        }
        Ok(selected)
    }

    /// The keys listed in buckets that have passed at `now_s`, oldest first, up to about `limit` of them.
    pub(super) fn due(&self, now_s: u32, limit: usize) -> Result<Due, Trouble> {
        let mut due = Due::default();
        let Some(last) = deadlines::last_passed(now_s) else { return Ok(due) };
        let mut count = 0;
        for entry in self.deadlines.range::<ListingId>(..=(last, u64::MAX))? {
            let (id, listing) = entry?;
            if count >= limit {
                due.more = true;
                break;
            }
            let keys = deadlines::keys_of(id.value(), listing.value())
                .ok_or_else(|| Trouble::Damaged(format!("deadline listing {:?} is damaged", id.value())))?;
            count += due.add(id.value(), keys);
        }
        Ok(due)
    }

    /// The keys of the listings behind `after`, in the order of their buckets, up to about `limit` of them.
    pub(super) fn soonest(&self, after: Option<ListingId>, limit: usize) -> Result<Soonest, Trouble> {
        let mut soonest = Soonest::default();
        let mut count = 0;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        for entry in self.deadlines.range::<ListingId>((from, Bound::Unbounded))? {
            let (id, listing) = entry?;
            let keys = deadlines::keys_of(id.value(), listing.value())
                .ok_or_else(|| Trouble::Damaged(format!("deadline listing {:?} is damaged", id.value())))?;
            count += deadlines::keys_in(keys).count();
            soonest.listings.push((id.value(), keys.to_vec()));
            if count >= limit {
                break;
            }
        }
        Ok(soonest)
    }
}

/// What a scan shows items to, damaged ones as their trouble; `false` ends the scan.
type Visitor<'v> = dyn FnMut(&[u8], Result<Item<'_>, Trouble>) -> bool + 'v;

/// What one scan may take.
#[derive(Clone, Copy, Debug)]
pub struct ScanLimits {
    /// Items.
    pub items: usize,
    /// Bytes of keys and values; the item that crosses it is still visited.
    pub bytes: usize,
}

#[cfg(test)]
impl Snapshot {
    pub(super) fn part_rows(&self) -> u64 {
        use redb::ReadableTableMetadata;
        self.parts.len().unwrap_or(u64::MAX)
    }
}
