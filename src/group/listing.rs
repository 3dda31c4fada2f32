//! Everything that is stored in a group, key after key, while it is served.
//!
//! Keys come in order and each once, from memory and from the store together. The store's rows are in order; memory is
//! not, so the keys that memory has newer than the store are collected first, the smallest of them at a time.
//!
//! Nothing is missed: a key that exists throughout was either newer in memory all the while that memory was gone
//! through, and is among the collected, or it had a row at some moment then; and a row goes only when its key does.
//! The rows are read after that.

use std::collections::{BinaryHeap, VecDeque};
use std::ops::Bound;

use super::group::{Core, Group};
use super::rows::Batch;
use crate::base::effect::FlushMark;
use crate::base::fault::Fault;
use crate::base::item::Item;
use crate::base::limits::LISTING_KEYS_MAX;
use crate::base::lsn::Lsn;
use crate::base::time::UnixMs;
use crate::engine;
use crate::hot::{Entry, ScanCursor};
use crate::store::{RowBuffer, ScanLimits};

/// Entries of memory looked at under one lock.
const SLICE_ENTRIES: usize = 2048;
/// Rows read in one go.
const ROWS: ScanLimits = ScanLimits { items: 512, bytes: 256 * 1024 };
/// Keys of one page, shown under one lock.
const PAGE_KEYS: usize = 1024;

/// How far a listing of one group has come. The default is its beginning.
#[derive(Debug)]
pub struct Listing {
    /// All keys up to this one are dealt with.
    after: Option<Box<[u8]>>,
    stage: Stage,
    /// So many keys are collected at once.
    keys_max: usize,
}

impl Default for Listing {
    fn default() -> Listing {
        Listing::of(LISTING_KEYS_MAX)
    }
}

impl Listing {
    /// Only keys behind this one.
    pub fn behind(after: &[u8]) -> Listing {
        Listing { after: Some(after.into()), ..Listing::default() }
    }

    pub(super) fn of(keys_max: usize) -> Listing {
        Listing { after: None, stage: Stage::default(), keys_max }
    }
}

#[derive(Debug)]
enum Stage {
    /// Memory is gone through.
    Collecting(ScanCursor, Smallest),
    /// What was collected is shown together with the rows.
    Showing(Unsaved),
}

impl Default for Stage {
    fn default() -> Stage {
        Stage::Collecting(ScanCursor::default(), Smallest::default())
    }
}

/// The smallest of the keys pushed.
#[derive(Debug, Default)]
struct Smallest {
    keys: BinaryHeap<Box<[u8]>>,
    /// Whether larger ones were left out.
    is_cut: bool,
}

/// Collected keys, in order.
#[derive(Debug, Default)]
struct Unsaved {
    keys: VecDeque<Box<[u8]>>,
    /// There may be more than these.
    is_cut: bool,
}

/// Rows, the key up to which there are no others, the keys of damaged ones.
type Rows = (Batch, Option<Vec<u8>>, Vec<Vec<u8>>);

/// What one step of a listing came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// What was shown may be told when this is safe.
    pub lsn: Lsn,
    /// Whether it was the last one of this group.
    pub is_last: bool,
    /// Rows that were left out because they are damaged.
    pub left_out: usize,
}

impl Group {
    /// Takes one bounded step, which may show nothing yet. `show` is called under the group's lock.
    ///
    /// # Errors
    /// What hides the rows behind it. A single damaged row is left out, and the log says so.
    pub fn list(
        &self,
        listing: &mut Listing,
        now: UnixMs,
        mut show: impl FnMut(&[u8], &Item<'_>),
    ) -> Result<Page, Fault> {
        self.list_while(listing, now, |key, item| {
            show(key, item);
            true
        })
    }

    /// As [`Group::list`]; `false` from `show` ends the step behind the item it was shown.
    ///
    /// # Errors
    /// As [`Group::list`].
    pub fn list_while(
        &self,
        listing: &mut Listing,
        now: UnixMs,
        show: impl FnMut(&[u8], &Item<'_>) -> bool,
    ) -> Result<Page, Fault> {
        let after = listing.after.as_deref();
        match &mut listing.stage {
            Stage::Collecting(cursor, smallest) => {
                match self.collect(*cursor, |key| {
                    if after.is_none_or(|after| key > after) {
                        smallest.push(key, listing.keys_max);
                    }
                }) {
                    Some(next) => *cursor = next,
                    None => listing.stage = Stage::Showing(std::mem::take(smallest).sorted()),
                }
                Ok(Page::default())
            }
            Stage::Showing(_) => self.show(listing, now, show),
        }
    }

    /// Collects from one slice of memory; where to go on.
    fn collect(&self, cursor: ScanCursor, mut push: impl FnMut(&[u8])) -> Option<ScanCursor> {
        self.core.lock().hot.scan(cursor, SLICE_ENTRIES, |key, _, is_unsaved| {
            if is_unsaved {
                push(key);
            }
        })
    }

    /// Shows a page of collected keys and rows. Memory has the say over both.
    fn show(
        &self,
        listing: &mut Listing,
        now: UnixMs,
        mut show: impl FnMut(&[u8], &Item<'_>) -> bool,
    ) -> Result<Page, Fault> {
        let Stage::Showing(unsaved) = &mut listing.stage else { return Ok(Page::default()) };
        let generation = self.core.lock().generation;
        let (batch, rows_end, damaged) = self.rows_behind(listing.after.as_deref())?;
        let core = self.core.lock();
        // Rows of before a commit may be outdated, and memory may have let go of what is newer: they are read again.
        if core.generation != generation {
            return Ok(Page::default());
        }
        let flush = core.flush_at(now);
        let mut rows = batch.rows.iter().map(|row| batch.row(row)).peekable();
        for _ in 0..PAGE_KEYS {
            let row_key = rows.peek().map(|row| row.0);
            let Some(key) = unsaved.next_before(row_key, rows_end.as_deref()) else { break };
            let row = rows.next_if(|row| *row.0 == *key);
            let item = core.known(&key, row.map(|row| row.1));
            let wants_more = item
                .filter(|item| !engine::is_doomed(item, &flush, now))
                .is_none_or(|item| show(&key, &item));
            listing.after = Some(key);
            if !wants_more {
                break;
            }
        }
        let is_empty = unsaved.keys.is_empty();
        if let (None, Some(end), false) = (rows.peek(), &rows_end, is_empty && unsaved.is_cut)
            && unsaved.keys.front().is_none_or(|key| **key > **end)
        {
            // Damaged rows at the end of the page are passed over with it.
            listing.after = Some(end.as_slice().into());
        }
        let is_last = is_empty && !unsaved.is_cut && rows.peek().is_none() && rows_end.is_none();
        if is_empty && unsaved.is_cut {
            listing.stage = Stage::default();
        }
        // Counted once: when the listing is behind them.
        let is_behind = |key: &[u8]| listing.after.as_deref().is_some_and(|after| key <= after);
        let left_out = damaged.iter().filter(|key| is_behind(key) && core.hot.locate(key).is_none()).count();
        Ok(Page { lsn: core.trail.last(), is_last, left_out })
    }

    /// What flush_all has done to this group.
    pub fn flush_mark(&self) -> FlushMark {
        self.core.lock().flush
    }

    /// Some rows behind `after`, the key up to which there are no others (`None` when there are none at all), and the
    /// keys of damaged rows among them.
    fn rows_behind(&self, after: Option<&[u8]>) -> Result<Rows, Fault> {
        let (mut batch, mut damaged) = (Batch::default(), Vec::new());
        let Some(store) = &self.store else { return Ok((batch, None, damaged)) };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let resume = store.scan(from, ROWS, &mut RowBuffer::default(), |key, item| {
            match item {
                Ok(item) => batch.push(key, &item),
                Err(fault) => {
                    log::error!("group {}: a listing leaves out a key: {fault}", self.id);
                    damaged.push(key.to_vec());
                }
            }
            true
        })?;
        Ok((batch, resume.after, damaged))
    }
}

impl Core {
    /// The item of a key as memory has it, else as the store has it.
    fn known<'a>(&'a self, key: &[u8], row: Option<Item<'a>>) -> Option<Item<'a>> {
        match self.hot.locate(key).map(|at| self.hot.entry(at)) {
            Some(Entry::Live(item)) => Some(item),
            Some(Entry::Tombstone(_)) => None,
            None => row,
        }
    }

    /// What is flushed at `now`: a pending flush whose moment has come counts, though no command has met it yet.
    pub(super) fn flush_at(&self, now: UnixMs) -> FlushMark {
        if self.flush.is_due(now) {
            FlushMark { below: self.clock.next(now), pending_s: 0 }
        } else {
            self.flush
        }
    }
}

impl Smallest {
    fn push(&mut self, key: &[u8], keys_max: usize) {
        if self.keys.len() < keys_max {
            return self.keys.push(key.into());
        }
        self.is_cut = true;
        if let Some(mut largest) = self.keys.peek_mut()
            && *key < **largest
        {
            *largest = key.into();
        }
    }

    fn sorted(self) -> Unsaved {
        let mut keys = self.keys.into_sorted_vec();
        keys.dedup();
        Unsaved { keys: keys.into(), is_cut: self.is_cut }
    }
}

impl Unsaved {
    /// The next key of these and the rows, `None` when one of the two is to be asked anew first.
    fn next_before(&mut self, row_key: Option<&[u8]>, rows_end: Option<&[u8]>) -> Option<Box<[u8]>> {
        let next = match (self.keys.front(), row_key) {
            (None, _) if self.is_cut => return None,
            (None, None) => return None,
            (Some(key), None) if rows_end.is_some_and(|end| **key > *end) => return None,
            (Some(key), None) => &**key,
            (None, Some(row)) => row,
            (Some(key), Some(row)) => row.min(key),
        };
        if self.keys.front().is_some_and(|key| **key == *next) {
            return self.keys.pop_front();
        }
        Some(next.into())
    }
}
