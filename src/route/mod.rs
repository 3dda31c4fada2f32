//! Placement: key -> hash input -> hash -> logical group, and the server that a client enters a group by.
//!
//! Owns: what of a key is hashed ([`HashTag`]), how ([`Hash`]), what group and server follow ([`Placement`]), and which
//! server of a cluster has which group ([`topology`]). `docs/placement.md` specifies the arithmetic for other
//! languages; `protocol-tests/vectors/placement.txt` proves it.
//!
//! May import: base.
//!
//! Invariants: pure; the same answer in server, client and tools, on every machine and in every release, since data
//! lies where it says. Nothing allocates on the way from a key to its group. No count can be zero.
//!
//! Start reading at [`Placement::group`].

mod hash;
mod placement;
mod tag;
#[cfg(test)]
mod tests;
pub mod topology;

pub use placement::{Explanation, Placement};
pub use tag::Input;

pub use crate::base::placement::{Hash, HashTag};
