//! Sockets and event loops: the only room that names mio and socket2.
//!
//! Owns: the [`listener`], the [`worker`]s with their sockets, those of UDP ([`datagrams`]), those between servers (`peers`),
//! where TLS begins ([`door`]), and the wakers that reach a worker from other threads.
//!
//! May import: base, proto, tls, conn and peer; the [`crate::conn::Backend`] is handed in.
//!
//! Invariants: no parsing, no semantics. A worker never blocks but in its poll. One read and one write per connection
//! and turn; a turn gives each connection a bounded share. mio is edge triggered: a read that returns less than was
//! asked for has drained the socket, so there is no second read that only says so.
//!
//! Start reading at [`worker::Worker::run`].

mod client;
pub mod datagrams;
pub mod door;
pub mod listener;
mod looks;
mod parked;
mod peers;
pub mod stream;
#[cfg(test)]
mod tests;
pub mod worker;

pub use datagrams::BoundDatagrams;
pub use door::{Dialer, Door};
pub use listener::{Bound, Listener};
pub use worker::{Settings, Worker};

use std::io;
use std::sync::Arc;

use mio::{Poll, Token, Waker};

/// Wakes a loop of this room from another thread.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The token of a loop's waker; everything else has the index of what it is.
const WAKE: Token = Token(usize::MAX);

/// What a loop polls, and what wakes it.
fn poll_and_wake() -> io::Result<(Poll, Wake)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKE)?;
    let wake = move || {
        // It can only fail when the loop is gone, and then there is nobody to wake.
        let _ = waker.wake();
    };
    Ok((poll, Arc::new(wake)))
}
