//! What is asked in one datagram, and its reply: a connection that ends with it.
//!
//! Over UDP nobody knows who asks: the address of the sender may be forged, and then whoever has it gets the reply. So
//! a reply is bounded in length, strangers get little more than they sent ([`Allowance`]), and nothing is listed or
//! watched.

use std::net::IpAddr;

use super::{Ask, Backend, Connection, Outbox, Progress, Verdict};
use crate::base::limits::{DATAGRAM_EXCESS_BYTES_PER_S, DATAGRAM_FREE_FACTOR, DATAGRAM_REPLY_BYTES_MAX};
use crate::base::lsn::Lsn;
use crate::base::reply::Sink;
use crate::base::time::UnixMs;
use crate::proto::binary::{self, Status};
use crate::proto::{Limits, Request, Step, datagram, texts};

/// One request datagram under way. What it leaves unfinished is forgotten.
#[derive(Debug)]
pub struct Conversation {
    id: u16,
    progress: Progress,
    /// Its replies, and what they wait for.
    pub connection: Connection,
    pinned_bytes: usize,
}

/// What a conversation needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Another turn: others were to be served meanwhile.
    Turn,
    /// Another turn soon: the server cannot take its request just now.
    Pause,
    /// Its replies wait for the log or for another server.
    Patience,
    /// Nothing: the reply is whole.
    Nothing,
}

impl Conversation {
    /// Begins with a request of this id, in the name of registry entry `session_id`.
    pub fn begin(id: u16, session_id: u64) -> Conversation {
        let mut connection = Connection::default();
        connection.session.id = session_id;
        Conversation { id, progress: Progress::Again, connection, pinned_bytes: 0 }
    }

    /// Takes the request, or goes on with it when `received` is empty: at most `requests_max` of those in it.
    pub fn turn(&mut self, received: &[u8], requests_max: usize, now: UnixMs, backend: &impl Backend) {
        let limits = Limits { dump_enabled: false, watch_enabled: false, ..*backend.limits() };
        let restrained = Restrained { backend, limits };
        self.progress = self.connection.turn(received, requests_max, now, &restrained);
        let outbox = &self.connection.outbox;
        if !outbox.awaits() && outbox.unsent_bytes() > DATAGRAM_REPLY_BYTES_MAX {
            self.refuse();
        }
    }

    /// Says instead of a reply that is too long that it is.
    fn refuse(&mut self) {
        let mut short = Outbox::default();
        if self.connection.is_binary() {
            let (reply, _) = std::mem::take(&mut self.connection.outbox).into_reply();
            binary::encode_instead(&reply, Status::TooLarge, &mut short);
        } else {
            short.put(texts::REPLY_TOO_LONG);
        }
        short.seal(Lsn::ZERO);
        self.connection = Connection::default();
        self.connection.outbox = short;
        self.progress = Progress::Closing;
    }

    /// What it needs next.
    pub fn need(&self) -> Need {
        let outbox = &self.connection.outbox;
        match self.progress {
            Progress::Again => Need::Turn,
            Progress::Parked => Need::Pause,
            Progress::Blocked if !outbox.awaits() => Need::Turn,
            _ if outbox.awaits() || outbox.waits_for().is_some() => Need::Patience,
            _ => Need::Nothing,
        }
    }

    /// The log is safe up to here; `lost` is what the rest becomes when it has failed.
    pub fn release(&mut self, safe: Lsn, lost: Option<&[u8]>) {
        match lost {
            Some(text) => self.connection.fail_waiting(safe, text),
            None => self.connection.outbox.release(safe),
        }
    }

    /// Keeps the count of what is held by reference right.
    pub fn note_pinned(&mut self, backend: &impl Backend) {
        let pinned_bytes = self.connection.outbox.pinned_bytes();
        if pinned_bytes != self.pinned_bytes {
            backend.repin(self.pinned_bytes, pinned_bytes);
            self.pinned_bytes = pinned_bytes;
        }
    }

    /// Ends it: the reply, to be handed to [`Reply::send`].
    pub fn end(mut self, backend: &impl Backend) -> Reply {
        let (bytes, _) = std::mem::take(&mut self.connection.outbox).into_reply();
        self.note_pinned(backend);
        if datagram::length_bytes(bytes.len()) <= datagram::length_bytes(DATAGRAM_REPLY_BYTES_MAX) {
            return Reply { id: self.id, bytes };
        }
        // It has grown while it waited for other servers.
        self.connection.outbox.put(&bytes);
        self.refuse();
        Reply { id: self.id, bytes: self.connection.outbox.into_reply().0 }
    }
}

/// A reply that may leave.
#[derive(Debug)]
pub struct Reply {
    id: u16,
    bytes: Vec<u8>,
}

impl Reply {
    /// The length of its datagrams, bytes; 0 when there are none.
    pub fn length_bytes(&self) -> usize {
        datagram::length_bytes(self.bytes.len())
    }

    /// Hands over datagram after datagram, each written to `room` first.
    pub fn send(&self, room: &mut Vec<u8>, send: impl FnMut(&[u8])) {
        datagram::encode(self.id, &self.bytes, room, send);
    }
}

/// What all strangers together get beyond [`DATAGRAM_FREE_FACTOR`] times what they sent: a forged sender is not worth
/// his trouble.
#[derive(Debug, Default)]
pub struct Allowance {
    second: u32,
    spent_bytes: usize,
}

impl Allowance {
    /// Whether a reply of `reply_bytes` to a datagram of `asked_bytes` may leave in this second. No stranger can claim to
    /// be on this machine: the kernel drops what comes from outside with such an address.
    pub fn grants(&mut self, sender: IpAddr, now_s: u32, asked_bytes: usize, reply_bytes: usize) -> bool {
        if sender.is_loopback() {
            return true;
        }
        if self.second != now_s {
            *self = Allowance { second: now_s, spent_bytes: 0 };
        }
        let excess_bytes = reply_bytes.saturating_sub(DATAGRAM_FREE_FACTOR * asked_bytes);
        let is_granted = self.spent_bytes + excess_bytes <= DATAGRAM_EXCESS_BYTES_PER_S;
        self.spent_bytes += if is_granted { excess_bytes } else { 0 };
        is_granted
    }
}

/// A backend as datagrams may use it.
struct Restrained<'a, B> {
    backend: &'a B,
    limits: Limits,
}

impl<B: Backend> Backend for Restrained<'_, B> {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn foresee<'s>(&self, steps: impl Iterator<Item = &'s Step<'s>>) {
        self.backend.foresee(steps);
    }

    fn execute(&self, request: &Request<'_>, ask: &mut Ask<'_>, out: &mut Outbox) -> Verdict {
        self.backend.execute(request, ask, out)
    }

    fn want_wake(&self, worker: usize) {
        self.backend.want_wake(worker);
    }

    fn repin(&self, before: usize, now: usize) {
        self.backend.repin(before, now);
    }

    fn end_turn(&self) {
        self.backend.end_turn();
    }

    fn safe_lsn(&self) -> Lsn {
        self.backend.safe_lsn()
    }

    fn is_stopped(&self) -> bool {
        self.backend.is_stopped()
    }

    fn note_delay(&self, now: UnixMs, waited_s: u32) {
        self.backend.note_delay(now, waited_s);
    }

    fn wants_authentication(&self) -> bool {
        self.backend.wants_authentication()
    }
}
