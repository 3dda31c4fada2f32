//! Sockets and event loops: the only room that names mio and socket2.
//!
//! Owns: the [`listener`], the [`worker`]s with their sockets, and the wakers that reach a worker from other threads.
//!
//! May import: base, proto and conn; the [`crate::conn::Backend`] is handed in.
//!
//! Invariants: no parsing, no semantics. A worker never blocks but in its poll. One read and one write per connection
//! and turn; a turn gives each connection a bounded share. mio is edge triggered: a read that returns less than was
//! asked for has drained the socket, so there is no second read that only says so.
//!
//! Start reading at [`worker::Worker::run`].

pub mod listener;
pub mod stream;
pub mod worker;

pub use listener::{Bound, Listener};
pub use worker::{Settings, Worker};
