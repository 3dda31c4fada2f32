//! Going through everything: for what is due, and for everybody who wants to see all.

use super::entry::{Body, Record};
use super::segment::Slot;
use super::{Entry, Hot};
use crate::base::effect::FlushMark;
use crate::base::item::{Item, Marks};
use crate::base::time::UnixMs;

/// How far a scan has come. The default is its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanCursor(u64);

impl Hot {
    /// Goes on looking for entries that are due, through some `budget_entries` of them. Returns `true` when it has come
    /// round; the next call begins anew.
    ///
    /// What the flush mark covers is dropped, also when it is dirty: the mark outlives it. What has expired is
    /// named to `expired`, again in every round until it is removed; a memory-only group drops it here.
    pub fn sweep(
        &mut self,
        now: UnixMs,
        flush: &FlushMark,
        budget_entries: usize,
        expired: &mut dyn FnMut(&[u8]),
    ) -> bool {
        self.heard_s = self.heard_s.max(now.seconds());
        let mut looked = 0;
        while looked < budget_entries {
            if self.sweep_at >= self.segments.numbers() {
                self.sweep_at = 0;
                self.index.shrink(&self.segments);
                self.settle();
                return true;
            }
            looked += 1 + self.sweep_segment(self.sweep_at, now, flush, expired);
            self.sweep_at += 1;
        }
        false
    }

    /// Sweeps one segment, unless nothing in it can be due. Returns how many entries it looked at.
    fn sweep_segment(
        &mut self,
        number: u32,
        now: UnixMs,
        flush: &FlushMark,
        expired: &mut dyn FnMut(&[u8]),
    ) -> usize {
        let Some(segment) = self.segments.get_mut(number) else { return 0 };
        let is_due = segment.deadline_min_s <= now.seconds() || flush.covers(segment.version_min);
        if segment.live == 0 || !is_due {
            return 0;
        }
        segment.reset_bounds();
        let (mut offset, mut looked) = (0, 0);
        while let Some((slot, word)) = self.segments.step(number, offset) {
            offset += word.bytes() as u32;
            if !word.is_dead() {
                looked += 1;
                self.sweep_entry(slot, now, flush, expired);
            }
        }
        looked
    }

    fn sweep_entry(&mut self, slot: Slot, now: UnixMs, flush: &FlushMark, expired: &mut dyn FnMut(&[u8])) {
        let Some(record) = self.segments.record(slot) else { return };
        let is_expired = record.body != Body::Tombstone && record.deadline.has_passed(now);
        let hash = self.index.hash(record.key);
        if record.is_flushed(flush) {
            return self.erase(hash, slot);
        }
        if is_expired && !self.options.persistent {
            self.events.reclaimed += 1;
            self.events.expired_unfetched += u64::from(!record.marks.has(Marks::FETCHED));
            return self.erase(hash, slot);
        }
        if is_expired {
            expired(record.key);
        }
        let (deadline, version) = (record.deadline, record.version);
        self.segments.note_bounds(slot, deadline, version);
    }

    /// Shows live entries, some `limit` a call, whole segments at a time, each with whether it is newer than what the
    /// store has of it (without a store: all are). Returns where to go on, `None` at the end.
    ///
    /// Whatever changes between the calls, every key that exists throughout is shown at least once; one that moves or
    /// changes may be shown again.
    pub fn scan(
        &self,
        cursor: ScanCursor,
        limit: usize,
        mut visit: impl FnMut(&[u8], Item<'_>, bool),
    ) -> Option<ScanCursor> {
        // Entries only move to open segments, which come last: what was not shown yet stays ahead.
        let mut shown = 0;
        for (seal, number) in self.segments.sealed_after(cursor.0) {
            shown += self.show_segment(number, &mut visit);
            if shown >= limit {
                return Some(ScanCursor(seal));
            }
        }
        for number in self.segments.open_numbers() {
            self.show_segment(number, &mut visit);
        }
        None
    }

    fn show_segment(&self, number: u32, visit: &mut impl FnMut(&[u8], Item<'_>, bool)) -> usize {
        let (mut offset, mut shown) = (0, 0);
        while let Some((slot, word)) = self.segments.step(number, offset) {
            offset += word.bytes() as u32;
            let record: Option<Record<'_>> = self.segments.record(slot);
            if let Some(record) = record
                && let Entry::Live(item) = self.view(&record)
            {
                visit(record.key, item, record.is_dirty || !self.options.persistent);
                shown += 1;
            }
        }
        shown
    }
}
