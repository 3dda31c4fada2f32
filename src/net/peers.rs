//! The sockets between servers: those that this worker asks by, and those that it answers on.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use slab::Slab;

use super::door::Dialer;
use super::stream::Stream;
use crate::base::errand::Errand;
use crate::base::limits::{PEER_SESSIONS_MAX, READ_BYTES};
use crate::base::lsn::Lsn;
use crate::base::time::UnixMs;
use crate::conn::Outbox;
use crate::peer::link::SLICES_MAX;
use crate::peer::session::Progress;
use crate::peer::{Answer, Asker, Desk, Owner, Roster, Session};

/// Tokens from here on are sessions; those of clients are below.
const SESSION_TOKENS: usize = 1 << 40;
/// Tokens from here on are links, by the number of the server.
const LINK_TOKENS: usize = 1 << 41;
/// Reads from one server in a turn, so that clients have theirs.
const LINK_READS_MAX: usize = 16;
/// How often somebody who does not greet is looked for.
const OVERDUE_PAUSE: Duration = Duration::from_secs(1);
/// How soon a request that the owner is too busy for is tried again.
const PARKED_PAUSE: Duration = Duration::from_millis(5);

/// A connection to another server.
struct LinkSocket {
    stream: Stream,
    is_connected: bool,
    is_readable: bool,
    /// The other side has sent all it will.
    is_closed: bool,
    /// It took less than was offered: its writable event is awaited.
    is_stuck: bool,
}

/// A connection of another server.
struct SessionSocket {
    stream: Stream,
    session: Session,
    progress: Progress,
    is_readable: bool,
    /// The other side has sent all it will.
    is_closed: bool,
    is_stuck: bool,
    /// It stands in `active` already.
    is_queued: bool,
}

/// What one worker has to do with other servers.
pub(super) struct Peers {
    roster: Arc<Roster>,
    /// How the others are reached by TLS, if they are.
    dialer: Option<Arc<Dialer>>,
    /// What of the roster is known here.
    epoch: u64,
    desk: Desk,
    addresses: BTreeMap<u16, SocketAddr>,
    links: BTreeMap<u16, LinkSocket>,
    sessions: Slab<SessionSocket>,
    /// Sessions to serve in the next turn though no event names them.
    active: Vec<usize>,
    is_parked: bool,
    /// Something was asked behind the last turn.
    is_asked_late: bool,
    scratch: Vec<u8>,
    began: Instant,
}

impl Peers {
    pub(super) fn new(roster: Arc<Roster>, dialer: Option<Arc<Dialer>>) -> Peers {
        Peers {
            roster,
            dialer,
            epoch: 0,
            desk: Desk::default(),
            addresses: BTreeMap::new(),
            links: BTreeMap::new(),
            sessions: Slab::new(),
            active: Vec::new(),
            is_parked: false,
            is_asked_late: false,
            scratch: vec![0; READ_BYTES],
            began: Instant::now(),
        }
    }

    /// Milliseconds of a clock that never goes back.
    fn now_ms(&self) -> u64 {
        self.now_ns() / 1_000_000
    }

    /// The same in nanoseconds.
    fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Whether an event is of a socket of these.
    pub(super) fn owns(token: Token) -> bool {
        token.0 >= SESSION_TOKENS
    }

    /// Takes an errand of a client.
    pub(super) fn take(&mut self, asker: Asker, errand: Errand) {
        self.renew();
        let now_ns = self.now_ns();
        self.desk.take(asker, errand, now_ns);
    }

    /// Whether anything that clients have asked was put off.
    pub(super) fn has_held(&self) -> bool {
        self.desk.has_held()
    }

    /// The clients of whose requests some were put off in this turn.
    pub(super) fn take_stopped(&mut self) -> Vec<Asker> {
        self.desk.take_stopped()
    }

    /// Asks again for what was put off of a client's, if there is room for it among its replies.
    pub(super) fn ask_again(&mut self, asker: Asker, outbox: &Outbox) {
        if let Some(room) = self.desk.next_held(asker).and_then(|slot| outbox.room_at(slot)) {
            let now_ms = self.now_ms();
            self.desk.go_on(asker, room, now_ms);
            self.is_asked_late = true;
        }
    }

    /// A client is gone.
    pub(super) fn forget(&mut self, asker: Asker) {
        self.desk.forget(asker);
    }

    /// A client will not have more room than it had.
    pub(super) fn give_up(&mut self, asker: Asker) {
        let now_ms = self.now_ms();
        self.desk.give_up(asker, now_ms);
        self.is_asked_late = true;
    }

    /// Takes the servers that a new map names.
    fn renew(&mut self) {
        let epoch = self.roster.epoch();
        if epoch == self.epoch {
            return;
        }
        self.epoch = epoch;
        let addresses: BTreeMap<u16, SocketAddr> = self.roster.addresses().into_iter().collect();
        let moved = |id: &u16| addresses.get(id) != self.addresses.get(id);
        let gone: Vec<u16> = self.links.keys().copied().filter(moved).collect();
        for server in gone {
            self.close_link(server, "the map has changed");
        }
        self.desk.renew(&addresses.keys().copied().collect::<Vec<u16>>());
        self.addresses = addresses;
    }

    /// Notes what an event says of its socket.
    pub(super) fn note(&mut self, event: &Event) {
        let token = event.token().0;
        if let Some(server) = token.checked_sub(LINK_TOKENS) {
            let server = u16::try_from(server).unwrap_or(0);
            let Some(link) = self.links.get_mut(&server) else { return };
            link.is_closed |= event.is_read_closed() || event.is_error();
            link.is_readable |= event.is_readable() || link.is_closed;
            link.is_stuck &= !event.is_writable();
            match link.note_connected() {
                Ok(()) if link.is_connected && event.is_writable() => link.stream.note_writable(),
                Ok(()) => {}
                Err(why) => self.close_link(server, &why),
            }
        } else if let Some(key) = token.checked_sub(SESSION_TOKENS)
            && let Some(socket) = self.sessions.get_mut(key)
        {
            socket.is_closed |= event.is_read_closed() || event.is_error();
            socket.is_readable |= event.is_readable() || socket.is_closed;
            socket.is_stuck &= !event.is_writable();
            if event.is_writable() {
                socket.stream.note_writable();
            }
            self.queue(key);
        }
    }

    fn queue(&mut self, key: usize) {
        if let Some(socket) = self.sessions.get_mut(key)
            && !std::mem::replace(&mut socket.is_queued, true)
        {
            self.active.push(key);
        }
    }

    /// Takes in a connection of another server.
    pub(super) fn welcome(&mut self, mut stream: Stream, registry: &Registry) {
        if self.sessions.len() >= PEER_SESSIONS_MAX {
            return log::warn!("a connection to the peer address is refused: there are too many");
        }
        let slot = self.sessions.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = registry.register(stream.source(), Token(SESSION_TOKENS + slot.key()), interest) {
            return log::warn!("cannot poll a connection of another server: {error}");
        }
        let since_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        slot.insert(SessionSocket {
            stream,
            session: Session::new(since_ms),
            progress: Progress::Idle,
            is_readable: false,
            is_closed: false,
            is_stuck: false,
            is_queued: false,
        });
    }

    /// One turn: answers other servers, reads their answers, sends them what clients have asked meanwhile.
    pub(super) fn turn(
        &mut self,
        registry: &Registry,
        now: UnixMs,
        frames_max: usize,
        owner: &impl Owner,
    ) -> Vec<Answer> {
        self.renew();
        (self.is_parked, self.is_asked_late) = (false, false);
        for key in std::mem::take(&mut self.active) {
            if let Some(socket) = self.sessions.get_mut(key) {
                socket.is_queued = false;
            }
            self.serve(key, now, frames_max, owner);
        }
        self.close_overdue();
        self.read_links();
        let now_ms = self.now_ms();
        for (server, why) in self.desk.tick(&self.roster, now_ms) {
            self.close_link(server, why);
        }
        for server in self.desk.wants_opening(now_ms) {
            self.open_link(server, registry);
        }
        self.write_links();
        let answers = self.desk.take_answers();
        if !answers.is_empty() {
            self.count(&answers);
        }
        answers
    }

    fn count(&self, answers: &[Answer]) {
        let now_ns = self.now_ns();
        for answer in answers {
            let took = Duration::from_nanos(now_ns.saturating_sub(answer.began_ns));
            self.roster.figures.count(answer.end, took);
        }
    }

    /// Lets go of the answers that have become safe.
    pub(super) fn release(&mut self, safe: Lsn, lost: Option<&[u8]>) {
        let waiting: Vec<usize> =
            self.sessions.iter().filter(|(_, socket)| socket.session.waits()).map(|(key, _)| key).collect();
        for key in waiting {
            if let Some(socket) = self.sessions.get_mut(key) {
                socket.session.release(safe, lost);
            }
            self.send(key);
        }
    }

    /// Whether answers wait for their LSN.
    pub(super) fn waits(&self) -> bool {
        self.sessions.iter().any(|(_, socket)| socket.session.waits())
    }

    /// How long the loop may sleep; `None` for as long as it likes.
    pub(super) fn pause(&self) -> Option<Duration> {
        if !self.active.is_empty() {
            return Some(if self.is_parked { PARKED_PAUSE } else { Duration::ZERO });
        }
        if self.is_asked_late || self.links.values().any(|link| link.is_readable && link.is_connected) {
            return Some(Duration::ZERO);
        }
        let now_ms = self.now_ms();
        let deadline = self.desk.deadline_ms(now_ms).map(|at| Duration::from_millis(at - now_ms + 1));
        let strangers = self.sessions.iter().any(|(_, socket)| !socket.session.is_known());
        [deadline, strangers.then_some(OVERDUE_PAUSE)].into_iter().flatten().min()
    }

    fn serve(&mut self, key: usize, now: UnixMs, frames_max: usize, owner: &impl Owner) {
        let Some(socket) = self.sessions.get_mut(key) else { return };
        let roster = &self.roster;
        if socket.progress == Progress::Closing {
            return self.send(key);
        }
        if socket.session.has_backlog() {
            socket.progress = socket.session.turn(&[], frames_max, now, owner, roster);
        } else if socket.is_readable {
            match socket.stream.read(&mut self.scratch) {
                Ok(0) => return self.close_session(key),
                Ok(count) => {
                    socket.is_readable =
                        socket.stream.has_more(count, self.scratch.len()) || socket.is_closed;
                    let received = self.scratch.get(..count).unwrap_or_default();
                    socket.progress = socket.session.turn(received, frames_max, now, owner, roster);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.is_readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.close_session(key),
            }
        }
        self.send(key);
    }

    /// Sends a session what may leave, and decides when it is served next.
    fn send(&mut self, key: usize) {
        let Some(socket) = self.sessions.get_mut(key) else { return };
        if socket.write_ready().is_err() {
            return self.close_session(key);
        }
        let has_left = socket.session.unsent_bytes() == 0;
        let goes_on = match socket.progress {
            Progress::Closing if has_left => return self.close_session(key),
            Progress::Closing => false,
            Progress::Blocked => !socket.is_stuck && !socket.session.waits(),
            Progress::Parked => {
                self.is_parked = true;
                true
            }
            Progress::Again => true,
            Progress::Idle => socket.is_readable,
        };
        if goes_on {
            self.queue(key);
        }
    }

    fn close_session(&mut self, key: usize) {
        self.sessions.try_remove(key);
    }

    fn close_overdue(&mut self) {
        let now_ms = self.now_ms();
        self.sessions.retain(|_, socket| !socket.session.is_overdue(now_ms));
    }

    fn open_link(&mut self, server: u16, registry: &Registry) {
        let now_ms = self.now_ms();
        let Some(link) = self.desk.link(server) else { return };
        link.opening(now_ms, &self.roster);
        let open = || -> io::Result<Stream> {
            let address = self.addresses.get(&server).ok_or(io::ErrorKind::AddrNotAvailable)?;
            let socket = TcpStream::connect(*address)?;
            let mut stream = match &self.dialer {
                Some(dialer) => dialer.connect(socket, server)?,
                None => Stream::Tcp(socket),
            };
            let token = Token(LINK_TOKENS + usize::from(server));
            registry.register(stream.source(), token, Interest::READABLE | Interest::WRITABLE)?;
            Ok(stream)
        };
        match open() {
            Ok(stream) => {
                let socket = LinkSocket {
                    stream,
                    is_connected: false,
                    is_readable: false,
                    is_closed: false,
                    is_stuck: false,
                };
                self.links.insert(server, socket);
            }
            Err(error) => self.close_link(server, &error.to_string()),
        }
    }

    fn read_links(&mut self) {
        let ready = |(_, link): &(&u16, &LinkSocket)| link.is_connected && link.is_readable;
        let servers: Vec<u16> = self.links.iter().filter(ready).map(|(server, _)| *server).collect();
        for server in servers {
            if let Err(why) = self.read_link(server) {
                self.close_link(server, &why);
            }
        }
    }

    fn read_link(&mut self, server: u16) -> Result<(), String> {
        let now_ms = self.now_ms();
        let Some(link) = self.links.get_mut(&server) else { return Ok(()) };
        for _ in 0..LINK_READS_MAX {
            match link.stream.read(&mut self.scratch) {
                Ok(0) => return Err("it has closed the connection".into()),
                Ok(count) => {
                    link.is_readable = link.stream.has_more(count, self.scratch.len()) || link.is_closed;
                    let received = self.scratch.get(..count).unwrap_or_default();
                    self.desk.receive(server, received, &self.roster, now_ms)?;
                    if !link.is_readable {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    link.is_readable = false;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    fn write_links(&mut self) {
        let servers: Vec<u16> = self.links.keys().copied().collect();
        for server in servers {
            if let Err(error) = self.write_link(server) {
                self.close_link(server, &error.to_string());
            }
        }
    }

    fn write_link(&mut self, server: u16) -> io::Result<()> {
        let now_ms = self.now_ms();
        let Some(socket) = self.links.get_mut(&server).filter(|socket| socket.is_connected) else {
            return Ok(());
        };
        let Some(link) = self.desk.link(server) else { return Ok(()) };
        socket.is_stuck &= !socket.stream.take_opened();
        while !socket.is_stuck {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = link.ready(&mut slices);
            let slices = slices.get(..count).unwrap_or_default();
            let offered: usize = slices.iter().map(|slice| slice.len()).sum();
            if offered == 0 {
                return Ok(());
            }
            match socket.stream.write_vectored(slices) {
                Ok(written) => {
                    link.advance(written, now_ms);
                    socket.is_stuck = written < offered;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.is_stuck = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn close_link(&mut self, server: u16, why: &str) {
        self.links.remove(&server);
        let now_ms = self.now_ms();
        self.desk.lost(server, why.to_owned(), &self.roster, now_ms);
    }
}

impl LinkSocket {
    /// Whether the connection has come about by now.
    fn note_connected(&mut self) -> Result<(), String> {
        if self.is_connected {
            return Ok(());
        }
        let Some(socket) = self.stream.tcp() else { return Ok(()) };
        if let Some(error) = socket.take_error().map_err(|error| error.to_string())? {
            return Err(error.to_string());
        }
        self.is_connected = socket.peer_addr().is_ok();
        if self.is_connected {
            socket.set_nodelay(true).unwrap_or_default();
        }
        Ok(())
    }
}

impl SessionSocket {
    fn write_ready(&mut self) -> io::Result<()> {
        self.is_stuck &= !self.stream.take_opened();
        while !self.is_stuck && !self.session.ready().is_empty() {
            let offered = self.session.ready().len();
            match self.stream.write(self.session.ready()) {
                Ok(written) => {
                    self.session.advance(written);
                    self.is_stuck = written < offered;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_stuck = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
