//! The words of the house, which every room may use.
//!
//! Owns: what a request asks ([`command`]), what it is answered ([`reply`]), what it changes ([`effect`]), what is
//! stored ([`item`]), how changes are ordered ([`version`], [`lsn`]), time as a value ([`time`]), every limit
//! ([`limits`]), what is counted ([`counters`]), how things fail ([`fault`]), and the search for a byte ([`search`]).
//!
//! May import: nothing of the house.
//!
//! Invariants: no I/O, no clock reads, no locks; all types are plain values. `limits` asserts at compile time how the
//! limits relate to each other.
//!
//! Start reading at [`command`], then [`effect`].

pub mod command;
pub mod counters;
pub mod effect;
pub mod fault;
pub mod item;
pub mod limits;
pub mod lsn;
pub mod reply;
pub mod search;
pub mod time;
pub mod version;
