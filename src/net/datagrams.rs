//! UDP: the sockets that this worker reads datagrams from, and the conversations that have not ended.
//!
//! A socket belongs to one worker. What the kernel has no room to send is lost, as datagrams may be.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::net::UdpSocket;
use mio::{Interest, Token};
use slab::Slab;
use socket2::{Domain, Protocol, Socket, Type};

use super::listener::bind_fault_kind;
use crate::base::errand::{Errand, Room};
use crate::base::fault::Fault;
use crate::base::limits::{DATAGRAM_REPLY_BYTES_MAX, DATAGRAMS_HELD_MAX, READ_BYTES, TURN_DATAGRAMS_MAX};
use crate::base::lsn::Lsn;
use crate::base::time::UnixMs;
use crate::conn::Backend;
use crate::conn::datagram::{Allowance, Conversation, Need};
use crate::conn::registry::{Entry, Registry, Traffic};
use crate::peer::{Answer, Asker};
use crate::proto::datagram;

/// Tokens from here on, up to those of other servers, are UDP sockets; those of clients are below. So are the keys of
/// conversations that ask other servers.
const FIRST_TOKEN: usize = 1 << 39;
/// See [`FIRST_TOKEN`].
const LAST_TOKEN: usize = (1 << 40) - 1;
/// The numbers of conversations are from here on; those of connections are below.
const FIRST_ID: u64 = 1 << 63;
/// How soon a parked request is tried again.
const PARKED_PAUSE: Duration = Duration::from_millis(5);
/// How often the log tells that replies to strangers are not sent, seconds.
const TOLD_PAUSE_S: u32 = 60;

/// A bound socket that nobody reads yet.
#[derive(Debug)]
pub struct BoundDatagrams {
    socket: std::net::UdpSocket,
    /// Its real address.
    pub address: SocketAddr,
}

impl BoundDatagrams {
    /// Binds a UDP address; port 0 takes a free one.
    ///
    /// # Errors
    /// An address that cannot be bound.
    pub fn bind(address: SocketAddr) -> Result<BoundDatagrams, Fault> {
        let bind = || -> io::Result<BoundDatagrams> {
            let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
            if address.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            socket.bind(&address.into())?;
            socket.set_nonblocking(true)?;
            let socket: std::net::UdpSocket = socket.into();
            Ok(BoundDatagrams { address: socket.local_addr()?, socket })
        };
        bind().map_err(|error| {
            let message = format!("cannot receive datagrams on {address}: {error}; choose another -l or -U");
            Fault::new(bind_fault_kind(&error), message)
        })
    }
}

/// A socket.
struct Port {
    socket: UdpSocket,
    entry: Arc<Entry>,
    /// Its number in the registry.
    id: u64,
    /// It may have more to read.
    is_readable: bool,
}

/// A conversation that has not ended.
struct Held {
    conversation: Conversation,
    port: usize,
    sender: SocketAddr,
    asked_bytes: usize,
    /// Never given twice, and to no connection.
    id: u64,
}

/// What one worker has to do with datagrams.
pub(super) struct Datagrams {
    ports: Vec<Port>,
    held: Slab<Held>,
    next_id: u64,
    allowance: Allowance,
    told_s: u32,
    traffic: Arc<Traffic>,
    received: Vec<u8>,
    room: Vec<u8>,
}

impl Datagrams {
    /// Begins to poll these sockets, and enters them where `stats conns` shows them.
    pub(super) fn open(
        bound: Vec<BoundDatagrams>,
        poll: &mio::Registry,
        registry: &Registry,
        traffic: Arc<Traffic>,
        now: UnixMs,
    ) -> io::Result<Datagrams> {
        let mut ports = Vec::with_capacity(bound.len());
        for (index, one) in bound.into_iter().enumerate() {
            let mut socket = UdpSocket::from_std(one.socket);
            poll.register(&mut socket, Token(FIRST_TOKEN + index), Interest::READABLE)?;
            let (id, entry) = registry.enter(format!("udp:{}", one.address), None, now.seconds());
            ports.push(Port { socket, entry, id, is_readable: true });
        }
        Ok(Datagrams {
            ports,
            held: Slab::new(),
            next_id: FIRST_ID,
            allowance: Allowance::default(),
            told_s: 0,
            traffic,
            received: vec![0; READ_BYTES],
            room: Vec::new(),
        })
    }

    /// Whether an event, or the asker of an errand, is of these.
    pub(super) fn owns(key: usize) -> bool {
        (FIRST_TOKEN..=LAST_TOKEN).contains(&key)
    }

    /// Notes that a socket has something to read.
    pub(super) fn note(&mut self, token: Token) {
        if let Some(port) = self.ports.get_mut(token.0 - FIRST_TOKEN) {
            port.is_readable = true;
        }
    }

    /// One turn: goes on with what is held, then takes datagrams. What other servers are to be asked for them.
    pub(super) fn turn(&mut self, now: UnixMs, share: usize, backend: &impl Backend) -> Vec<(Asker, Errand)> {
        let mut errands = Vec::new();
        let goes_on = |held: &Held| matches!(held.conversation.need(), Need::Turn | Need::Pause);
        let keys: Vec<usize> =
            self.held.iter().filter(|(_, held)| goes_on(held)).map(|(key, _)| key).collect();
        for key in keys {
            if let Some(held) = self.held.try_remove(key) {
                self.go_on(held, &[], now, share, backend, &mut errands);
            }
        }
        for port in 0..self.ports.len() {
            self.receive(port, now, share, backend, &mut errands);
        }
        errands
    }

    /// Takes what has come to one socket, within bounds.
    fn receive(
        &mut self,
        port: usize,
        now: UnixMs,
        share: usize,
        backend: &impl Backend,
        errands: &mut Vec<(Asker, Errand)>,
    ) {
        let mut received = std::mem::take(&mut self.received);
        for _ in 0..TURN_DATAGRAMS_MAX {
            let Some(socket) = self.ports.get_mut(port).filter(|port| port.is_readable) else { break };
            if self.held.len() >= DATAGRAMS_HELD_MAX {
                break;
            }
            let (length, sender) = match socket.socket.recv_from(&mut received) {
                Ok(taken) => taken,
                // What a sender's machine says of an earlier reply is no reason to stop.
                Err(error) => {
                    socket.is_readable = error.kind() != io::ErrorKind::WouldBlock;
                    continue;
                }
            };
            self.traffic.bytes_read.add(length as u64);
            let datagram = received.get(..length).unwrap_or_default();
            let Some((id, request)) = datagram::decode(datagram) else { continue };
            socket.entry.last_request_s.store(now.seconds(), Ordering::Relaxed);
            let conversation = Conversation::begin(id, socket.id);
            self.next_id += 1;
            let held = Held { conversation, port, sender, asked_bytes: length, id: self.next_id };
            self.go_on(held, request, now, share, backend, errands);
        }
        self.received = received;
    }

    /// Gives a conversation a turn, and keeps it unless it has ended.
    fn go_on(
        &mut self,
        mut held: Held,
        received: &[u8],
        now: UnixMs,
        share: usize,
        backend: &impl Backend,
        errands: &mut Vec<(Asker, Errand)>,
    ) {
        held.conversation.turn(received, share, now, backend);
        let asked = std::mem::take(&mut held.conversation.connection.session.errands);
        if held.conversation.need() == Need::Nothing {
            return self.send(held, now, backend);
        }
        held.conversation.note_pinned(backend);
        let id = held.id;
        let asker = Asker { key: FIRST_TOKEN + self.held.insert(held), id };
        errands.extend(asked.into_iter().map(|errand| (asker, without_waiting(errand))));
    }

    /// Fills the place of another server's answer, if anybody still waits for it.
    pub(super) fn fill(&mut self, answer: Answer) {
        let Answer { asker, slot, outcome, .. } = answer;
        if let Some(held) = self.held.get_mut(asker.key - FIRST_TOKEN).filter(|held| held.id == asker.id) {
            held.conversation.connection.outbox.fill(slot, outcome);
        }
    }

    /// Whether replies wait: for the log, or to be sent.
    pub(super) fn waits(&self) -> bool {
        let waits = |held: &Held| matches!(held.conversation.need(), Need::Patience | Need::Nothing);
        self.held.iter().any(|(_, held)| waits(held))
    }

    /// Lets go of the replies that have become safe; `lost` is what the others become after the log has failed.
    pub(super) fn release(&mut self, safe: Lsn, lost: Option<&[u8]>, now: UnixMs, backend: &impl Backend) {
        let keys: Vec<usize> = self.held.iter().map(|(key, _)| key).collect();
        for key in keys {
            let Some(held) = self.held.get_mut(key) else { continue };
            held.conversation.release(safe, lost);
            if held.conversation.need() == Need::Nothing {
                let held = self.held.remove(key);
                self.send(held, now, backend);
            }
        }
    }

    /// How long the loop may sleep; `None` for as long as it likes.
    pub(super) fn pause(&self) -> Option<Duration> {
        let needs = |need: Need| self.held.iter().any(|(_, held)| held.conversation.need() == need);
        let has_room = self.held.len() < DATAGRAMS_HELD_MAX;
        if needs(Need::Turn) || has_room && self.ports.iter().any(|port| port.is_readable) {
            return Some(Duration::ZERO);
        }
        needs(Need::Pause).then_some(PARKED_PAUSE)
    }

    /// Sends a reply to whoever asked.
    fn send(&mut self, held: Held, now: UnixMs, backend: &impl Backend) {
        let Held { conversation, port, sender, asked_bytes, .. } = held;
        let reply = conversation.end(backend);
        let Some(port) = self.ports.get(port) else { return };
        if !self.allowance.grants(sender.ip(), now.seconds(), asked_bytes, reply.length_bytes()) {
            if now.seconds().saturating_sub(self.told_s) >= TOLD_PAUSE_S {
                self.told_s = now.seconds();
                log::warn!("UDP: a reply to {sender} is not sent, others have taken what this second allows");
            }
            return;
        }
        let traffic = &self.traffic;
        reply.send(&mut self.room, |datagram| {
            if port.socket.send_to(datagram, sender).is_ok() {
                traffic.bytes_written.add(datagram.len() as u64);
            }
        });
    }
}

/// A reply to a datagram leaves whole or not at all, so that it never has more room later than it has now.
fn without_waiting(mut errand: Errand) -> Errand {
    errand.room = Room { bytes: errand.room.bytes.max(DATAGRAM_REPLY_BYTES_MAX), is_sure: true };
    errand
}
