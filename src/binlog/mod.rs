//! The append-only truth of one server: every change of every group, in one log.
//!
//! Owns: the format (`FORMAT.md`; [`entry`], `record`, `segment`), the append side ([`log`], `tail`), who waits
//! (`waiters`), writing and syncing (`writer`, `run`, `gather`), the segments (`pool`), the start ([`recovery`], `replay`,
//! `unproven`, `reader`), the count of starts ([`ceiling`]), copies of segments while it runs ([`copy`]) and reading them
//! ([`history`]), looking for damage ([`check`]), keeping what leaves it (`archive`), and the disk as it sees it
//! ([`disk`]; `still` for what is only read, [`sim`] for tests).
//!
//! May import: `base`.
//!
//! Invariants:
//! * LSNs only rise; records of one group are in the order in which they were appended.
//! * An accepted record has its place on the disk: a full disk refuses what is new, it fails nothing.
//! * Only the last segment can have a torn tail: a segment is synced before the next is written, and the next one's
//!   header says where it ends.
//! * A failed write or sync of a segment is final: the durable LSN stays, nothing more is taken.
//! * What a start hands out is durable before: a store may commit it at once.
//! * The reader trusts nothing: what is bad above the highest durable LSN is cut, below it stops the start.
//! * No clock is read but for waiting.
//!
//! Locks: a group's, then `syncing`, `writer`, `pool`, `tail`; the append takes `tail` alone.
//! Wakers are called under them, and must not call the log.
//!
//! Start reading at `FORMAT.md`, then [`log`].

mod archive;
pub mod ceiling;
pub mod check;
pub mod copy;
pub mod disk;
pub mod entry;
mod gather;
pub mod history;
pub mod log;
mod pool;
mod reader;
mod record;
pub mod recovery;
mod replay;
mod run;
mod segment;
pub mod sim;
mod still;
mod tail;
#[cfg(test)]
mod tests;
mod unproven;
mod waiters;
mod writer;

pub use archive::ArchiveFigures;
pub use ceiling::Starts;
pub use copy::Extent;
pub use disk::{Disk, DiskFile, RealDisk};
pub use entry::{Body, Entry, Origin};
pub use history::{Ended, History};
pub use log::{Figures, Fsync, Log, Options, Refusal, SEGMENT_BYTES_MIN, State, Written};
pub use pool::Hold;
pub use recovery::{Progress, Recovered, Recovery, Report};
pub use replay::Cut;
pub use run::run;
pub use still::StillDisk;
pub use waiters::{Subscription, Waker};
