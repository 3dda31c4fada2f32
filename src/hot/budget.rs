//! How much memory all groups may use together, and what one group has taken of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Debt is bearable up to this part of the limit.
const DEBT_PART: usize = 8;

/// The memory of all groups (`-m`), bytes. Groups take whole segments, large values and tables from it, so that this
/// shared line is touched once in some hundred writes.
///
/// The figures steer and are not exact at every instant: threads may run past each other by one taking each.
#[derive(Debug)]
pub struct Budget {
    limit: AtomicUsize,
    used: AtomicUsize,
    pinned: AtomicUsize,
    dirty: AtomicUsize,
    groups: AtomicUsize,
}

impl Budget {
    /// A budget of `limit` bytes of which nothing is used.
    pub fn new(limit: usize) -> Budget {
        let zero = AtomicUsize::default;
        Budget { limit: AtomicUsize::new(limit), used: zero(), pinned: zero(), dirty: zero(), groups: zero() }
    }

    /// What may be used, bytes.
    pub fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Sets what may be used (`cache_memlimit`), bytes. Who lowers it has every group trim itself.
    pub fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Relaxed);
    }

    /// What groups have taken, bytes, without what is pinned.
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// What outboxes hold, bytes.
    pub fn pinned(&self) -> usize {
        self.pinned.load(Relaxed)
    }

    /// What is newer than the checkpoint, bytes; groups report it in steps of a segment.
    pub fn dirty_used(&self) -> usize {
        self.dirty.load(Relaxed)
    }

    /// An outbox holds so many bytes more.
    pub fn pin(&self, bytes: usize) {
        add(&self.pinned, bytes);
    }

    /// An outbox holds so many bytes less.
    pub fn unpin(&self, bytes: usize) {
        subtract(&self.pinned, bytes);
    }

    /// What each group may hold if all want the same, bytes.
    pub fn fair_share(&self) -> usize {
        self.limit() / self.groups.load(Relaxed).max(1)
    }

    /// Whether more is used and pinned than may be.
    pub fn is_over(&self) -> bool {
        !self.fits(0)
    }

    /// Whether so many bytes more are within the limit.
    pub fn fits(&self, bytes: usize) -> bool {
        self.used().saturating_add(self.pinned()).saturating_add(bytes) <= self.limit()
    }

    /// Whether what is used beyond the limit is little enough that a poor group may add to it.
    fn is_debt_bearable(&self) -> bool {
        let limit = self.limit();
        self.used().saturating_add(self.pinned()) <= limit.saturating_add(limit / DEBT_PART)
    }

    /// Takes so many bytes, whatever the limit.
    pub fn take(&self, bytes: usize) {
        add(&self.used, bytes);
    }

    /// Gives so many bytes back.
    pub fn give(&self, bytes: usize) {
        subtract(&self.used, bytes);
    }
}

fn add(figure: &AtomicUsize, bytes: usize) {
    figure.fetch_add(bytes, Relaxed);
}

/// Stops at 0: a figure that would wrap would stop every writer.
fn subtract(figure: &AtomicUsize, bytes: usize) {
    let result = figure.fetch_update(Relaxed, Relaxed, |now| Some(now.saturating_sub(bytes)));
    debug_assert!(result.is_ok_and(|before| before >= bytes), "more was given back than taken");
}

/// What one group has taken of the budget. Gives it back when it is dropped.
#[derive(Debug)]
pub(super) struct Account {
    budget: Arc<Budget>,
    taken: usize,
    dirty_told: usize,
    dirty_step: usize,
}

impl Account {
    /// The account of one more group, which tells changes of its dirty bytes in steps of `dirty_step`.
    pub(super) fn open(budget: Arc<Budget>, dirty_step: usize) -> Account {
        add(&budget.groups, 1);
        Account { budget, taken: 0, dirty_told: 0, dirty_step }
    }

    /// What this group has taken, bytes.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Whether this group may take so many bytes: within the limit, or, holding less than three quarters of its fair share, as
    /// a debt that the richer groups pay back when they next make room. So nobody is starved by who came first.
    pub(super) fn may_take(&self, bytes: usize) -> bool {
        self.budget.fits(bytes) || self.is_poor() && self.budget.is_debt_bearable()
    }

    fn is_poor(&self) -> bool {
        self.taken < self.budget.fair_share() / 4 * 3
    }

    /// Whether this group has less than its part because others have more than theirs, and will give it back. What outboxes
    /// hold is not theirs to give.
    pub(super) fn is_owed(&self) -> bool {
        self.is_poor() && self.budget.used() > self.budget.limit()
    }

    /// Whether this group is to give something back.
    pub(super) fn owes(&self) -> bool {
        self.taken > self.budget.fair_share() && self.budget.is_over()
    }

    /// Takes so many bytes.
    pub(super) fn take(&mut self, bytes: usize) {
        self.budget.take(bytes);
        self.taken += bytes;
    }

    /// Gives so many bytes back.
    pub(super) fn give(&mut self, bytes: usize) {
        self.budget.give(bytes);
        self.taken = self.taken.saturating_sub(bytes);
    }

    /// Tells how many bytes are dirty, when that has changed enough to be worth a shared write.
    pub(super) fn tell_dirty(&mut self, dirty: usize) {
        if dirty.abs_diff(self.dirty_told) >= self.dirty_step || (dirty == 0 && self.dirty_told != 0) {
            add(&self.budget.dirty, dirty.saturating_sub(self.dirty_told));
            subtract(&self.budget.dirty, self.dirty_told.saturating_sub(dirty));
            self.dirty_told = dirty;
        }
    }
}

#[cfg(test)]
impl Account {
    /// What the budget was told to be dirty, bytes, and how far that may be off.
    pub(super) fn dirty_told(&self) -> (usize, usize) {
        (self.dirty_told, self.dirty_step)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.budget.give(self.taken);
        subtract(&self.budget.dirty, self.dirty_told);
        subtract(&self.budget.groups, 1);
    }
}
