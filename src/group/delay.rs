//! Why requests that were put off go on waiting: for people. Asked when one has waited long, never on its way.

use std::fmt;
use std::sync::atomic::Ordering;

use super::Shared;
use crate::base::limits::DELAY_TOLD_EVERY_S;
use crate::base::time::UnixMs;
use crate::base::version::Version;

/// What most likely stands in the way of a request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// `--disk-limit` is reached, and items are given up for room.
    Room,
    /// The log is full until a checkpoint lets it be trimmed.
    Log,
    /// No higher versions may be issued: the ceiling was not raised.
    Ceiling,
    /// Too much memory is newer than the files.
    Dirty,
    /// Rows are read ahead from a slow disk.
    Reads,
    /// Nothing that all groups share: the memory of its group, or a move of that group.
    Group,
}

impl Shared {
    /// What stands in the way now.
    pub fn delay(&self, now: UnixMs) -> Delay {
        let is_log_full =
            self.log.get().is_some_and(|log| log.used_bytes() > log.bytes_max() - log.bytes_max() / 8);
        let ceiling = self.version_ceiling.load(Ordering::Relaxed);
        if self.trouble.delays_values() {
            Delay::Room
        } else if is_log_full {
            Delay::Log
        } else if Version::at(now).0 > ceiling {
            Delay::Ceiling
        } else if self.is_pressed() {
            Delay::Dirty
        } else if self.readers.have_work() {
            Delay::Reads
        } else {
            Delay::Group
        }
    }

    /// The same, at most once in [`DELAY_TOLD_EVERY_S`] for all who ask.
    pub fn delay_to_tell(&self, now: UnixMs) -> Option<Delay> {
        let told_s = self.delay_told_s.load(Ordering::Relaxed);
        let is_due = told_s == 0 || now.seconds().saturating_sub(told_s) >= DELAY_TOLD_EVERY_S;
        let exchange = |told_s| {
            self.delay_told_s.compare_exchange(told_s, now.seconds(), Ordering::Relaxed, Ordering::Relaxed)
        };
        (is_due && exchange(told_s).is_ok()).then(|| self.delay(now))
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Delay::Room => "--disk-limit is reached and items are given up for room; raise it, or store less",
            Delay::Log => {
                "the log is full until the next checkpoint; see how busy the disk is, or raise --log-size"
            }
            Delay::Ceiling => "the version ceiling cannot be raised; see the disk of the data directory",
            Delay::Dirty => "too much memory waits to be checkpointed; see how busy the disk is, or raise -m",
            Delay::Reads => "rows are read from a slow disk; see how busy it is, or raise -m",
            Delay::Group => "its group has no memory for it before a checkpoint, or is on the move; raise -m",
        })
    }
}
