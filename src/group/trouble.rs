//! Why writes are put off or refused just now: told by the keeper, asked by every write.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::base::reply::Denial;

/// Everything is as it should be.
const NONE: u8 = 0;
/// No room on the disk for a checkpoint.
const DISK_FULL: u8 = 1;
/// A store or the log is at fault.
const FAULT: u8 = 2;
/// The data directory takes more than it may; checkpoints succeed.
const OVER_LIMIT: u8 = 3;
/// The same, and items are given up for room.
const MAKING_ROOM: u8 = 4;

/// What stands in the way of writes.
#[derive(Debug, Default)]
pub struct Trouble(AtomicU8);

impl Trouble {
    /// Checkpoints succeed.
    pub fn clear(&self) {
        self.set(NONE);
    }

    /// The disk is full.
    pub fn set_disk_full(&self) {
        self.set(DISK_FULL);
    }

    /// A store or the log is at fault.
    pub fn set_fault(&self) {
        self.set(FAULT);
    }

    /// `--disk-limit` is reached: what takes room is refused.
    pub(super) fn set_over_limit(&self) {
        self.set(OVER_LIMIT);
    }

    /// `--disk-limit` is reached: what takes room waits until other items have gone.
    pub(super) fn set_making_room(&self) {
        self.set(MAKING_ROOM);
    }

    /// The same, unless something worse is the matter.
    pub(super) fn begin_making_room(&self) {
        let _ = self.0.compare_exchange(NONE, MAKING_ROOM, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// In one word, for `stats larder`.
    pub fn name(&self) -> &'static str {
        match self.get() {
            NONE => "room",
            DISK_FULL => "full",
            OVER_LIMIT => "over_limit",
            MAKING_ROOM => "making_room",
            _ => "fault",
        }
    }

    /// Whether what takes room is refused; what gives room goes on.
    pub(super) fn refuses_values(&self) -> bool {
        matches!(self.get(), DISK_FULL | OVER_LIMIT)
    }

    /// Whether what takes room waits.
    pub(super) fn delays_values(&self) -> bool {
        self.get() == MAKING_ROOM
    }

    /// Whether commits are to be small, so that the pages that one leaves serve the next.
    pub(super) fn spares_room(&self) -> bool {
        self.refuses_values()
    }

    /// What a writer that would have to wait for a checkpoint is told, when there will be none.
    pub(super) fn denial(&self) -> Option<Denial> {
        match self.get() {
            NONE | OVER_LIMIT | MAKING_ROOM => None,
            DISK_FULL => Some(Denial::DiskFull),
            _ => Some(Denial::Damaged),
        }
    }

    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, state: u8) {
        self.0.store(state, Ordering::Relaxed);
    }
}
