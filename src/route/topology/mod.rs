//! The map of a cluster: which servers there are, and which of them has which logical group.
//!
//! Owns: the topology file and what is wrong with one ([`read`]), the map itself ([`Topology`]), whether one map may
//! follow another ([`Proposal::judge`]), the map in force as bytes ([`store`], [`restore`]), the map as a server shows it
//! ([`show`], [`read_shown`]), and the texts of the tools ([`tools`]). `docs/placement.md` specifies the file.
//!
//! May import: base, and the rest of the room.
//!
//! Invariants: pure, no I/O. A [`Topology`] is valid by construction: every group has its servers, every server its own
//! id and addresses. A map alone never grants ownership of data: it may not take a group from a server that still
//! holds its data.
//!
//! Start reading at `map.rs`, then `file.rs`.

mod change;
mod fields;
mod file;
mod map;
mod plan;
mod refusal;
mod shown;
mod stored;
#[cfg(test)]
mod tests;
pub mod tools;

pub use change::{Holdings, Move, Verdict};
pub use file::{Proposal, read};
pub use map::{Address, Server, ServerId, Topology};
pub use refusal::Refusal;
pub use shown::{read_shown, show};
pub use stored::{Damage, restore, store};
