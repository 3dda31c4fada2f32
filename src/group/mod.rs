//! One logical group, whole: its memory, its store, its place in the log, under one lock.
//!
//! Owns: [`group`] (submit and read a command), [`checkpoint`] (dirty entries to the store) and `portion.rs` (how much
//! of them one commit takes), [`compaction`] (which file is written anew), [`disk_limit`] and `eviction.rs` (what the
//! disk has room for), [`readers`] (reads that no worker waits for), [`recovery`] (log records into memory), [`sweep`]
//! (what has expired), [`warmup`] (the store into memory), [`listing`] (everything, key after key), [`peek`] (one key,
//! unnoticed) and [`keeper`] (the thread that decides which group is checkpointed when).
//!
//! May import: base, engine, hot, binlog, store.
//!
//! Invariants: the order under the lock is execute, append to the log, put into memory; the acknowledgement comes later.
//! Lock order: group, then log. Nothing that can fail stands between the append and the change of memory. No disk read,
//! write or sync happens under the lock. After a failed append the group refuses writes.
//!
//! Start reading at [`Group::submit`].

pub mod checkpoint;
pub mod compaction;
mod count;
pub mod delay;
pub mod disk_limit;
pub mod eviction;
pub mod figures;
#[allow(clippy::module_inception)] // The room and its main type are one noun.
pub mod group;
pub mod keeper;
pub mod listing;
pub mod peek;
mod portion;
pub mod readers;
pub mod recovery;
mod rows;
mod stored;
pub mod sweep;
#[cfg(test)]
mod tests;
mod trail;
mod trouble;
pub mod warmup;

pub use group::{Asked, Busy, Group, Shared};
pub use listing::Listing;
