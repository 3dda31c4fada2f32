//! The words of the house, which every room may use.
//!
//! Owns: what a request asks ([`command`]), what it is answered ([`reply`]), what it changes ([`effect`]), what is
//! stored ([`item`]), what one server asks another ([`errand`]), how changes are ordered ([`version`], [`lsn`]), time
//! as a value ([`time`]), the names of what decides where a key lives ([`placement`]), every limit ([`limits`]), what is
//! counted ([`counters`], [`metrics`]), how things fail ([`fault`]), what may be taken of the disk ([`space`]), the
//! search for a byte ([`search`]), the reading of fields ([`rest`]), what is received ([`inbox`]), chance that can be had again ([`chance`]), and whose
//! certificates are asked for ([`tls`]).
//!
//! May import: nothing of the house.
//!
//! Invariants: no I/O, no clock reads, no locks; all types are plain values, but for the
//! counters of `metrics` and `tls`, which are atomic. `limits` asserts at compile time how the
//! limits relate to each other.
//!
//! Start reading at [`command`], then [`effect`].

pub mod chance;
pub mod command;
pub mod counters;
pub mod effect;
pub mod errand;
pub mod fault;
pub mod inbox;
pub mod item;
pub mod limits;
pub mod lsn;
pub mod metrics;
pub mod placement;
pub mod reply;
pub mod rest;
pub mod search;
pub mod space;
pub mod time;
pub mod tls;
pub mod version;
