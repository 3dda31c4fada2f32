//! One connection without a socket: bytes in, requests out to a [`Backend`], replies back in order.
//!
//! Owns: the inbox (bytes that do not make a whole request yet), the ordered [`outbox`], what a connection remembers
//! between requests, the connection of one [`datagram`], the [`registry`] of open connections that `stats conns` shows, and those that [`watch`] events.
//!
//! May import: base, proto.
//!
//! Invariants: replies leave in request order; a reply may have to wait for its LSN or for another server, and those behind
//! it wait with it;
//! both sides are bounded: a full outbox stops reading. No socket, no store, no clock. Any split of the input gives the
//! same replies.
//!
//! Start reading at [`Connection::turn`].

pub mod connection;
pub mod datagram;
pub mod outbox;
pub mod registry;
pub mod spares;
pub mod watch;

use std::any::Any;

use crate::base::errand::Errand;
use crate::base::lsn::Lsn;
use crate::base::time::UnixMs;
use crate::proto::{Request, Step};

pub use connection::{Connection, Progress};
pub use outbox::Outbox;
pub use spares::Spares;
pub use watch::Watch;

/// Who gives requests their meaning. The server implements it over the groups; tests may implement it over a map.
pub trait Backend: Send + Sync {
    /// What the codec must know.
    fn limits(&self) -> &crate::proto::Limits;

    /// These are executed soon, in this order: what they will look at may be fetched. Nothing follows from it.
    fn foresee<'s>(&self, steps: impl Iterator<Item = &'s Step<'s>>);

    /// Executes one request and writes its reply to `out`, sealing each part with the LSN that it observed. `resume`
    /// is 0, or what the last [`Verdict`] of this same request said.
    fn execute(&self, request: &Request<'_>, ask: &mut Ask<'_>, out: &mut Outbox) -> Verdict;

    /// Asks for this worker to be woken when [`Backend::safe_lsn`] rises or the log fails. Read it again afterwards: it
    /// may have risen just before.
    fn want_wake(&self, worker: usize);

    /// A connection's outbox held so many bytes by reference before, and holds so many now.
    fn repin(&self, before: usize, now: usize);

    /// Ends a worker's turn: what it appended to the log is written now, if nobody else is writing.
    fn end_turn(&self);

    /// Up to here the log is as safe as the durability level promises: replies that observed no more may leave.
    fn safe_lsn(&self) -> Lsn;

    /// Whether the log has failed: nothing above [`Backend::safe_lsn`] will ever be safe.
    fn is_stopped(&self) -> bool;

    /// A parked request has waited long, seconds: whoever runs the server may be told why.
    fn note_delay(&self, now: UnixMs, waited_s: u32);

    /// Whether a client must authenticate before anything else (`-Y`).
    fn wants_authentication(&self) -> bool;
}

/// The circumstances of one request.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The moment.
    pub now: UnixMs,
    /// Where in a long request to go on.
    pub resume: usize,
    /// What the connection remembers.
    pub session: &'a mut Session,
}

/// What a connection remembers between requests.
#[derive(Debug, Default)]
pub struct Session {
    /// Whether it may ask for anything.
    pub authenticated: bool,
    /// Whether it has begun to authenticate by SASL.
    pub sasl_begun: bool,
    /// Its number in the registry.
    pub id: u64,
    /// What a long request that was paused goes on with: the backend's own. It goes with the connection.
    pub course: Option<Box<dyn Any + Send>>,
    /// What it watches: then it asks for nothing more.
    pub watch: Option<Watch>,
    /// Whether another server asks: then nobody else is asked in its name.
    pub is_peer: bool,
    /// What other servers are to be asked, in order. Whoever turns the connection takes it and fills the slots.
    pub errands: Vec<Errand>,
    /// The map that it goes by.
    pub map_version: u64,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its reply is in the outbox, whole.
    Done,
    /// Too much is dirty, or the log has no room just now: the same request is to be tried again from `resume`, and
    /// this connection is not read further until then.
    Parked {
        /// Where to go on.
        resume: usize,
    },
    /// In the middle of a long reply the outbox is full, or others are to be served: go on from `resume` when it has
    /// room.
    Paused {
        /// Where to go on.
        resume: usize,
    },
    /// From now on the connection is told events; what it sends is thrown away.
    Watching,
    /// Another server has the group, and nobody was asked: said only to other servers.
    Elsewhere {
        /// Which one, by number.
        server: u16,
        /// The map that says so.
        map_version: u64,
    },
    /// Close after what is in the outbox.
    Close,
}
