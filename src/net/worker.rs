//! One event loop: sockets in, sockets out.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::client::{Peer, Reason};
use super::datagrams::{BoundDatagrams, Datagrams};
use super::door::Dialer;
use super::looks::Looks;
use super::parked;
use super::peers::Peers;
use super::stream::Accepted;
use super::{WAKE, Wake, poll_and_wake};
use crate::base::limits::{READ_BYTES, TLS_HANDSHAKE_S};
use crate::base::lsn::Lsn;
use crate::base::time::{Clock, UnixMs};
use crate::conn::registry::{Registry, Traffic};
use crate::conn::{Backend, Connection, Progress, Spares};
use crate::peer::{Answer, Asker, Owner, Roster};
use crate::proto::{Event, Kinds};

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 1024;
/// How soon a parked request is tried again when nothing else wakes the loop.
const PARKED_PAUSE: Duration = Duration::from_millis(5);
/// How often an otherwise idle loop looks for connections that have idled too long.
const IDLE_PAUSE: Duration = Duration::from_secs(1);
/// What replies become whose change the log can no longer promise.
const LOST_REPLY: &[u8] = b"SERVER_ERROR writes stopped: this change may be lost, see the log\r\n";

/// What all workers are told.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Requests that one connection may make in a turn.
    pub turn_requests: usize,
    /// Seconds after which a silent connection is closed, 0 for never.
    pub idle_timeout_s: u32,
}

/// One event loop and its connections.
pub struct Worker<B> {
    index: usize,
    poll: Poll,
    wake: Wake,
    inlet: Receiver<Accepted>,
    outlet: Sender<Accepted>,
    peers: Slab<Peer>,
    /// Connections to serve in the next turn though no event names them.
    again: Vec<usize>,
    /// Connections whose replies wait for the end of the turn, or for an LSN.
    waiting: Vec<usize>,
    parked: Vec<usize>,
    parked_looks: Looks,
    /// Connections that are told events.
    watching: Vec<usize>,
    scratch: Vec<u8>,
    spares: Spares,
    backend: Arc<B>,
    clock: Arc<dyn Clock>,
    registry: Arc<Registry>,
    open: Arc<AtomicUsize>,
    traffic: Arc<Traffic>,
    stop: Arc<AtomicBool>,
    settings: Settings,
    idle_looks: Looks,
    /// Connections that are agreeing on TLS, or were a moment ago.
    greeting: Vec<usize>,
    greeting_looks: Looks,
    /// What it has to do with other servers, if there are any.
    others: Option<Box<Peers>>,
    /// Its UDP sockets, if it has any.
    datagrams: Option<Box<Datagrams>>,
}

/// What the assembly hands to every worker.
pub struct Surroundings<B> {
    /// Gives requests their meaning.
    pub backend: Arc<B>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The open connections.
    pub registry: Arc<Registry>,
    /// How many there are.
    pub open: Arc<AtomicUsize>,
    /// Set when the server ends.
    pub stop: Arc<AtomicBool>,
    /// Configuration.
    pub settings: Settings,
    /// The other servers, if there are any.
    pub roster: Option<Arc<Roster>>,
    /// How they are reached by TLS, if they are.
    pub dialer: Option<Arc<Dialer>>,
}

impl<B> Surroundings<B> {
    /// The same around another backend: each worker may have its own.
    pub fn with<C>(&self, backend: Arc<C>) -> Surroundings<C> {
        Surroundings {
            backend,
            clock: Arc::clone(&self.clock),
            registry: Arc::clone(&self.registry),
            open: Arc::clone(&self.open),
            stop: Arc::clone(&self.stop),
            settings: self.settings,
            roster: self.roster.clone(),
            dialer: self.dialer.clone(),
        }
    }
}

impl<B: Backend + Owner> Worker<B> {
    /// Worker number `index`; its waker exists from here on, so that others can be told of it before it runs.
    ///
    /// # Errors
    /// When the system gives no poll.
    pub fn new(index: usize, traffic: Arc<Traffic>, around: Surroundings<B>) -> io::Result<Worker<B>> {
        let (poll, wake) = poll_and_wake()?;
        let (outlet, inlet) = crossbeam_channel::unbounded();
        Ok(Worker {
            index,
            poll,
            wake,
            inlet,
            outlet,
            peers: Slab::new(),
            again: Vec::new(),
            waiting: Vec::new(),
            parked: Vec::new(),
            parked_looks: Looks::default(),
            watching: Vec::new(),
            scratch: vec![0; READ_BYTES],
            spares: Spares::default(),
            backend: around.backend,
            clock: around.clock,
            registry: around.registry,
            open: around.open,
            traffic,
            stop: around.stop,
            settings: around.settings,
            idle_looks: Looks::default(),
            greeting: Vec::new(),
            greeting_looks: Looks::default(),
            others: around.roster.map(|roster| Box::new(Peers::new(roster, around.dialer))),
            datagrams: None,
        })
    }

    /// Where the listener hands connections to this worker.
    pub fn inlet(&self) -> (Sender<Accepted>, Wake) {
        (self.outlet.clone(), Arc::clone(&self.wake))
    }

    /// Takes UDP sockets, before it runs.
    ///
    /// # Errors
    /// When they cannot be polled.
    pub fn take_datagrams(&mut self, bound: Vec<BoundDatagrams>) -> io::Result<()> {
        if !bound.is_empty() {
            let traffic = Arc::clone(&self.traffic);
            let datagrams =
                Datagrams::open(bound, self.poll.registry(), &self.registry, traffic, self.clock.now())?;
            self.datagrams = Some(Box::new(datagrams));
        }
        Ok(())
    }

    /// Turns until the server ends.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.stop.load(Ordering::Acquire) {
            self.wait_and_turn(&mut events)?;
        }
        Ok(())
    }

    /// Waits for something to do, and does it.
    pub(super) fn wait_and_turn(&mut self, events: &mut Events) -> io::Result<()> {
        match self.poll.poll(events, self.pause()) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        self.turn(events);
        Ok(())
    }

    /// One turn: serve what is ready, have the log written, let go of what is safe.
    fn turn(&mut self, events: &Events) {
        let now = self.clock.now();
        let put_off = self.again.len();
        for event in events {
            if event.token() == WAKE {
                continue;
            }
            if Datagrams::owns(event.token().0) {
                if let Some(datagrams) = &mut self.datagrams {
                    datagrams.note(event.token());
                }
                continue;
            }
            if Peers::owns(event.token()) {
                if let Some(others) = &mut self.others {
                    others.note(event);
                }
                continue;
            }
            self.note(event);
            self.serve(event.token().0, now);
        }
        if put_off > 0 || !self.parked.is_empty() {
            self.serve_again(put_off, now);
        }
        self.welcome(now);
        self.serve_datagrams(now);
        self.meet_others(now);
        self.backend.end_turn();
        self.let_go(now);
        self.tell_watchers(now);
        self.close_idle(now);
        if !self.greeting.is_empty() {
            self.close_overdue(now);
        }
        if !self.parked.is_empty() {
            self.tell_of_delays(now);
        }
    }

    fn pause(&self) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        if !self.parked.is_empty() {
            return Some(PARKED_PAUSE);
        }
        let idle = (self.settings.idle_timeout_s > 0 || !self.greeting.is_empty()).then_some(IDLE_PAUSE);
        let others = self.others.as_ref().and_then(|others| others.pause());
        let datagrams = self.datagrams.as_ref().and_then(|datagrams| datagrams.pause());
        sooner(idle, sooner(others, datagrams))
    }

    /// Notes what an event says of its connection.
    fn note(&mut self, event: &mio::event::Event) {
        let Some(peer) = self.peers.get_mut(event.token().0) else { return };
        peer.readable |= event.is_readable();
        peer.read_closed |= event.is_read_closed() || event.is_error();
        if event.is_writable() {
            peer.stream.note_writable();
            if std::mem::take(&mut peer.stuck) && !std::mem::replace(&mut peer.waits, true) {
                self.waiting.push(event.token().0);
            }
        }
    }

    /// Goes on with what was parked, and with the first `put_off` of those that were put off: who came behind them was
    /// served in this turn.
    fn serve_again(&mut self, put_off: usize, now: UnixMs) {
        let later = self.again.split_off(put_off);
        let again = std::mem::replace(&mut self.again, later);
        for key in again.into_iter().chain(std::mem::take(&mut self.parked)) {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.queued = false;
            }
            self.serve(key, now);
        }
    }

    /// Gives one connection its share: what it has in hand, or one read.
    fn serve(&mut self, key: usize, now: UnixMs) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let share = self.settings.turn_requests;
        if peer.progress == Progress::Closing {
            return self.send(key);
        }
        peer.connection.outbox.borrow(&mut self.spares);
        if peer.connection.has_backlog() {
            peer.progress = peer.connection.turn(&[], share, now, &*self.backend);
        } else if peer.readable && !peer.stuck {
            match peer.stream.read(&mut self.scratch) {
                Ok(0) => peer.progress = Progress::Closing,
                Ok(count) => {
                    peer.readable = peer.stream.has_more(count, self.scratch.len()) || peer.read_closed;
                    self.traffic.bytes_read.add(count as u64);
                    peer.entry.last_request_s.store(now.seconds(), Ordering::Relaxed);
                    let received = self.scratch.get(..count).unwrap_or_default();
                    peer.progress = peer.connection.turn(received, share, now, &*self.backend);
                    peer.entry.awaits_value.store(peer.connection.awaits_value(), Ordering::Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => peer.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.close(key, Reason::Error),
            }
        }
        if !peer.connection.session.errands.is_empty() {
            return self.send_errands(key);
        }
        if peer.connection.is_watching() && !std::mem::replace(&mut peer.watches, true) {
            self.watching.push(key);
            self.have_woken(key);
        }
        self.send(key);
    }

    /// Hands over what a client asks of other servers.
    fn send_errands(&mut self, key: usize) {
        if let (Some(peer), Some(others)) = (self.peers.get_mut(key), &mut self.others) {
            let asker = Asker { key, id: peer.connection.session.id };
            for errand in std::mem::take(&mut peer.connection.session.errands) {
                others.take(asker, errand);
            }
        }
        self.send(key);
    }

    /// Answers what has come by UDP.
    fn serve_datagrams(&mut self, now: UnixMs) {
        let Some(datagrams) = &mut self.datagrams else { return };
        let errands = datagrams.turn(now, self.settings.turn_requests, &*self.backend);
        if let Some(others) = &mut self.others {
            errands.into_iter().for_each(|(asker, errand)| others.take(asker, errand));
        }
    }

    /// Answers other servers, asks them, and gives clients what they have answered.
    fn meet_others(&mut self, now: UnixMs) {
        let Some(others) = &mut self.others else { return };
        let share = self.settings.turn_requests;
        let answers = others.turn(self.poll.registry(), now, share, &*self.backend);
        let stopped = others.take_stopped();
        let mut filled: Vec<usize> = answers.into_iter().filter_map(|answer| self.fill(answer)).collect();
        filled.extend(stopped.into_iter().filter_map(|asker| self.note_put_off(asker)));
        filled.sort_unstable();
        filled.dedup();
        filled.into_iter().for_each(|key| self.send(key));
    }

    /// Fills a client's slot, if the client is still there: where it is.
    fn fill(&mut self, answer: Answer) -> Option<usize> {
        if Datagrams::owns(answer.asker.key) {
            self.datagrams.as_mut()?.fill(answer);
            return None;
        }
        let Answer { asker, slot, outcome, .. } = answer;
        let peer = self.peers.get_mut(asker.key)?;
        if peer.connection.session.id != asker.id {
            return None;
        }
        peer.connection.outbox.fill(slot, outcome);
        Some(asker.key)
    }

    /// Some of what a client has asked other servers was put off: where the client is, if it is there and can wait.
    fn note_put_off(&mut self, asker: Asker) -> Option<usize> {
        let is_datagram = Datagrams::owns(asker.key);
        let is_there = self.peers.get(asker.key).is_some_and(|peer| peer.connection.session.id == asker.id);
        match &mut self.others {
            Some(others) if is_datagram => others.give_up(asker),
            Some(others) if !is_there => others.forget(asker),
            _ => return Some(asker.key),
        }
        None
    }

    /// Has what was put off asked again when there is room for it.
    fn ask_again(&mut self, key: usize) {
        if let (Some(peer), Some(others)) = (self.peers.get(key), &mut self.others) {
            others.ask_again(Asker { key, id: peer.connection.session.id }, &peer.connection.outbox);
        }
    }

    /// Lets whoever has something to tell this watcher wake this worker.
    fn have_woken(&self, key: usize) {
        if let Some(watch) = self.peers.get(key).and_then(|peer| peer.connection.session.watch.as_ref()) {
            watch.set_wake(Arc::clone(&self.wake));
        }
    }

    /// Sends the watchers of this worker what waits for them.
    fn tell_watchers(&mut self, now: UnixMs) {
        for index in (0..self.watching.len()).rev() {
            let Some(key) = self.watching.get(index).copied() else { continue };
            let Some(peer) = self.peers.get_mut(key) else { continue };
            if peer.progress != Progress::Closing {
                peer.progress = peer.connection.turn(&[], 1, now, &*self.backend);
                self.send(key);
            }
        }
    }

    /// Decides when this connection is served next.
    fn schedule(&mut self, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let queue = match peer.progress {
            Progress::Again => {
                self.traffic.conn_yields.add(1);
                &mut self.again
            }
            Progress::Parked => &mut self.parked,
            Progress::Idle if peer.readable && !peer.stuck => &mut self.again,
            Progress::Blocked if peer.has_room() => &mut self.again,
            Progress::Idle | Progress::Blocked | Progress::Closing => return,
        };
        if !std::mem::replace(&mut peer.queued, true) {
            queue.push(key);
        }
    }

    /// Sends what may leave; what waits for the log is sent after the turn.
    fn send(&mut self, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if peer.connection.outbox.waits_for().is_some() && !std::mem::replace(&mut peer.waits, true) {
            self.waiting.push(key);
        }
        if !peer.stuck && peer.write_ready(&self.traffic).is_err() {
            return self.close(key, Reason::Error);
        }
        peer.connection.outbox.give_back(&mut self.spares);
        peer.note_pinned(&*self.backend);
        if peer.connection.outbox.is_empty() && peer.progress == Progress::Closing {
            let reason = if peer.connection.is_refused() { Reason::Error } else { Reason::Normal };
            return self.close(key, reason);
        }
        if self.others.as_ref().is_some_and(|others| others.has_held()) {
            self.ask_again(key);
        }
        self.schedule(key);
    }

    /// Lets go of replies that have become safe.
    fn let_go(&mut self, now: UnixMs) {
        if !self.has_waiting() {
            return;
        }
        self.release(self.backend.safe_lsn(), now);
        if self.has_waiting() {
            self.backend.want_wake(self.index);
            self.release(self.backend.safe_lsn(), now);
        }
    }

    fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
            || self.others.as_ref().is_some_and(|others| others.waits())
            || self.datagrams.as_ref().is_some_and(|datagrams| datagrams.waits())
    }

    fn release(&mut self, safe: Lsn, now: UnixMs) {
        let stopped = self.backend.is_stopped();
        let lost = stopped.then_some(LOST_REPLY);
        if let Some(others) = &mut self.others {
            others.release(safe, lost);
        }
        if let Some(datagrams) = &mut self.datagrams {
            datagrams.release(safe, lost, now, &*self.backend);
        }
        let mut released = std::mem::take(&mut self.waiting);
        for key in released.drain(..) {
            let Some(peer) = self.peers.get_mut(key) else { continue };
            peer.waits = false;
            if stopped {
                peer.connection.fail_waiting(safe, LOST_REPLY);
            } else {
                peer.connection.outbox.release(safe);
            }
            self.send(key);
        }
        if self.waiting.is_empty() {
            self.waiting = released;
        }
    }

    /// Takes in what the listener has accepted.
    fn welcome(&mut self, now: UnixMs) {
        while let Ok(accepted) = self.inlet.try_recv() {
            if accepted.is_peer {
                if let Some(others) = &mut self.others {
                    others.welcome(accepted.stream, self.poll.registry());
                }
                continue;
            }
            let slot = self.peers.vacant_entry();
            let key = slot.key();
            let (id, entry) =
                self.registry.enter(accepted.address, Some(accepted.listen_address), now.seconds());
            let opened = Event::Opened { address: &entry.address };
            self.registry.watchers.tell(&opened, now, id);
            let mut connection = Connection::default();
            connection.session.id = id;
            let mut stream = accepted.stream;
            let interest = Interest::READABLE | Interest::WRITABLE;
            if let Err(error) = self.poll.registry().register(stream.source(), Token(key), interest) {
                log::warn!("cannot poll a new connection: {error}");
                self.registry.leave(id);
                self.open.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            if stream.is_handshaking() {
                self.greeting.push(key);
            }
            slot.insert(Peer {
                stream,
                connection,
                entry,
                readable: false,
                read_closed: false,
                stuck: false,
                progress: Progress::Idle,
                queued: false,
                waits: false,
                watches: false,
                pinned_bytes: 0,
            });
        }
    }

    fn close(&mut self, key: usize, reason: Reason) {
        let Some(mut peer) = self.peers.try_remove(key) else { return };
        if peer.watches {
            self.watching.retain(|watching| *watching != key);
        }
        if self.registry.watchers.want(Kinds::CONNECTIONS) {
            let closed = Event::Closed { address: &peer.entry.address, reason: reason.name() };
            self.registry.watchers.tell(&closed, self.clock.now(), peer.connection.session.id);
        }
        if let Some(others) = &mut self.others {
            others.forget(Asker { key, id: peer.connection.session.id });
        }
        let _ = self.poll.registry().deregister(peer.stream.source());
        self.registry.leave(peer.connection.session.id);
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.backend.repin(peer.pinned_bytes, 0);
    }

    /// Has it told when parked requests have waited long: looks about once a second.
    #[cold]
    fn tell_of_delays(&mut self, now: UnixMs) {
        if !self.parked_looks.is_due(now) {
            return;
        }
        let parked = self.parked.iter().filter_map(|key| self.peers.get(*key));
        let read_at_s = parked.map(|peer| peer.entry.last_request_s.load(Ordering::Relaxed));
        if let Some(waited_s) = parked::longest_wait_s(now, read_at_s) {
            self.backend.note_delay(now, waited_s);
        }
    }

    /// Closes connections that take too long to agree on TLS, about once a second. Until they have, none has a request.
    #[cold]
    fn close_overdue(&mut self, now: UnixMs) {
        if !self.greeting_looks.is_due(now) {
            return;
        }
        let mut greeting = std::mem::take(&mut self.greeting);
        greeting.sort_unstable();
        greeting.dedup();
        for key in greeting {
            let Some(peer) = self.peers.get(key).filter(|peer| peer.stream.is_handshaking()) else {
                continue;
            };
            let since_s = peer.entry.last_request_s.load(Ordering::Relaxed);
            if now.seconds().saturating_sub(since_s) > TLS_HANDSHAKE_S {
                self.close(key, Reason::Error);
            } else {
                self.greeting.push(key);
            }
        }
    }

    /// Closes connections that have been silent for too long, about once a second.
    fn close_idle(&mut self, now: UnixMs) {
        let limit_s = self.settings.idle_timeout_s;
        if limit_s == 0 || !self.idle_looks.is_due(now) {
            return;
        }
        let is_idle = |peer: &Peer| {
            !peer.is_served()
                && now.seconds().saturating_sub(peer.entry.last_request_s.load(Ordering::Relaxed)) > limit_s
        };
        let idle: Vec<usize> =
            self.peers.iter().filter(|(_, peer)| is_idle(peer)).map(|(key, _)| key).collect();
        for key in idle {
            self.traffic.idle_kicks.add(1);
            self.close(key, Reason::IdleTimeout);
        }
    }
}

/// The shorter of two pauses, of which each may have no end.
fn sooner(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}
