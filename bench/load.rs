//! The load generator: one thread, one epoll loop, N connections. It sends what a [`Workload`] says, checks every
//! reply and notes how long each took. The same connections serve several runs, one after the other; between runs
//! nothing is in flight. Two loads may run at once, each over connections of its own.

use crate::dialect::{Check, Dialect, Reader, Step};
use crate::histogram::Histogram;
use crate::wire::Wire;
use crate::workload::{Ask, Pace, Sequence, Workload};
use mio::{Events, Poll, Token};
use nix::time::{ClockId, clock_gettime};
use rustls::ClientConfig;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A server that says nothing for so long has failed the run.
const PATIENCE: Duration = Duration::from_secs(20);
/// Open-loop requests that may wait for their replies; more means that the rate is beyond the server.
const MAX_IN_FLIGHT: usize = 1_000_000;
/// Bytes taken by one read.
const READ_BYTES: usize = 256 * 1024;
/// A reply of which so much is there is read where it is to lie, without a copy in between: the generator must not be
/// slower than a server that only sends.
const LARGE_REPLY_BYTES: usize = 64 * 1024;
const EVENTS: usize = 1_024;

/// When a run ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// After so many requests.
    Requests(u64),
    /// After so many seconds; what is in flight then is still waited for and counted.
    Seconds(f64),
}

/// What a run showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Requests answered, whether rightly or not.
    pub(crate) requests: u64,
    /// Keys stored or asked for.
    pub(crate) keys: u64,
    /// Keys asked for and not found.
    pub(crate) misses: u64,
    /// Replies that were not the expected ones.
    pub(crate) errors: u64,
    /// The first of them.
    pub(crate) first_error: Option<String>,
    /// From the first request to the last reply.
    pub(crate) elapsed: Duration,
    /// Nanoseconds from a request (open loop: from when it was due) to its reply.
    pub(crate) latency: Histogram,
    /// Open loop: nanoseconds from when a request was due until it was sent. The latency has them too.
    pub(crate) lateness: Histogram,
    /// CPU time of the generator meanwhile. An open loop spins, and uses all there is.
    pub(crate) generator_cpu: Duration,
}

/// How to reach a server.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) dialect: Dialect,
    pub(crate) check: Check,
    /// Whom to trust when there is to be TLS.
    pub(crate) trust: Option<Arc<ClientConfig>>,
}

/// A load and the first of the connections that it goes over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) workload: Workload,
    pub(crate) first_connection: usize,
    pub(crate) limit: Limit,
    pub(crate) seed: u64,
}

/// Open connections to one server.
pub(crate) struct Load {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
    dialect: Dialect,
    check: Check,
}

impl Load {
    /// Opens this many connections.
    pub(crate) fn connect(target: &Target, connections: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let connections = (0..connections)
            .map(|index| Connection::open(target, Token(index), &poll))
            .collect::<io::Result<Vec<_>>>()?;
        let (events, scratch) = (Events::with_capacity(EVENTS), vec![0; READ_BYTES]);
        let (dialect, check) = (target.dialect, target.check);
        Ok(Self { poll, events, connections, scratch, dialect, check })
    }

    /// Runs a load to its end, over the first connections.
    pub(crate) fn run(&mut self, workload: &Workload, limit: Limit, seed: u64) -> io::Result<Tally> {
        let part = Part { workload: *workload, first_connection: 0, limit, seed };
        Ok(self.run_parts(&[part])?.pop().unwrap_or_default())
    }

    /// Runs several loads at once until the first of them ends. Together they may not ask for more connections than
    /// were opened.
    pub(crate) fn run_parts(&mut self, parts: &[Part]) -> io::Result<Vec<Tally>> {
        let reader =
            |part: &Part| Reader { dialect: self.dialect, check: self.check, item: part.workload.item };
        let mut runs: Vec<Run> = parts.iter().map(|part| Run::new(part, reader(part))).collect();
        for run in runs.iter_mut().filter(|run| !run.is_open()) {
            for index in run.senders.all() {
                run.send_batch(&mut self.connections[index])?;
            }
        }
        while runs.iter().any(|run| run.in_flight > 0 || run.may_send()) {
            let timeout = send_due(&mut runs, &mut self.connections)?;
            self.turn(&mut runs, timeout)?;
            if runs.first().is_some_and(|first| !first.may_send()) {
                runs.iter_mut().for_each(Run::send_no_more);
            }
        }
        Ok(runs.into_iter().map(Run::end).collect())
    }

    /// Waits for replies once, and serves every connection that has some.
    fn turn(&mut self, runs: &mut [Run], timeout: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let has_open_loop = runs.iter().any(Run::is_open);
        runs.iter_mut().try_for_each(Run::look_at_clock)?;
        for event in &self.events {
            let index = event.token().0;
            let Some(connection) = self.connections.get_mut(index) else { continue };
            if event.is_writable() {
                connection.flush()?;
            }
            if event.is_readable() {
                connection.receive(&mut self.scratch)?;
                if let Some(run) = runs.iter_mut().find(|run| run.connections.contains(&index)) {
                    run.take_replies(connection)?;
                }
            }
            if has_open_loop {
                // What is due does not wait until all replies of this turn have been looked at.
                send_due(runs, &mut self.connections)?;
            }
        }
        Ok(())
    }
}

/// Sends what is due of the open loops; how long nothing will be.
fn send_due(runs: &mut [Run], connections: &mut [Connection]) -> io::Result<Duration> {
    let mut least = PATIENCE;
    for run in runs {
        least = least.min(run.send_due(connections)?);
    }
    Ok(least)
}

/// Which connections send: `active` of them, spread evenly over all.
struct Senders {
    first: usize,
    step: usize,
    active: usize,
    next: usize,
}

impl Senders {
    fn new(connections: &Range<usize>, active: usize) -> Self {
        let active = active.clamp(1, connections.len().max(1));
        Self { first: connections.start, step: connections.len() / active, active, next: 0 }
    }

    fn all(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, step) = (self.first, self.step);
        (0..self.active).map(move |index| first + index * step)
    }

    fn round_robin(&mut self) -> usize {
        let index = self.first + self.next * self.step;
        self.next = (self.next + 1) % self.active;
        index
    }
}

/// A request whose reply is awaited.
struct Pending {
    /// When it was sent, or due.
    since: Instant,
    ask: Ask,
}

struct Connection {
    wire: Wire,
    outbox: Vec<u8>,
    inbox: Inbox,
    pending: VecDeque<Pending>,
    /// The keys of all pending gets, in order.
    asked: VecDeque<u64>,
}

impl Connection {
    fn open(target: &Target, token: Token, poll: &Poll) -> io::Result<Self> {
        let wire = Wire::open(target.address, token, poll, target.trust.as_ref())?;
        let (outbox, inbox) = (Vec::new(), Inbox::default());
        Ok(Self { wire, outbox, inbox, pending: VecDeque::new(), asked: VecDeque::new() })
    }

    /// Writes what the socket takes; the rest stays until the socket is writable again.
    fn flush(&mut self) -> io::Result<()> {
        self.wire.flush()?;
        let mut sent = 0;
        while sent < self.outbox.len() {
            match self.wire.write(&self.outbox[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.outbox.drain(..sent);
        Ok(())
    }

    /// Reads until the socket is empty; a short read says so without another call.
    fn receive(&mut self, scratch: &mut [u8]) -> io::Result<()> {
        loop {
            let is_large = self.inbox.filled >= LARGE_REPLY_BYTES;
            let buffer = if is_large { self.inbox.room(READ_BYTES) } else { &mut *scratch };
            match self.wire.read(buffer) {
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the server closed a connection",
                    ));
                }
                Ok(count) => {
                    if is_large {
                        self.inbox.filled += count;
                    } else {
                        self.inbox.append(&scratch[..count]);
                    }
                    if count < READ_BYTES && self.wire.is_emptied_by_a_short_read() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// What was received and is not taken yet. Memory once used stays, so that none is cleared again for the next reply.
#[derive(Default)]
struct Inbox {
    bytes: Vec<u8>,
    /// How many of them were received.
    filled: usize,
}

impl Inbox {
    fn received(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    fn append(&mut self, piece: &[u8]) {
        self.room(piece.len()).copy_from_slice(piece);
        self.filled += piece.len();
    }

    /// The next bytes to be received.
    fn room(&mut self, length: usize) -> &mut [u8] {
        let end = self.filled + length;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.filled..end]
    }

    /// Forgets so many from the beginning.
    fn forget(&mut self, count: usize) {
        self.bytes.copy_within(count..self.filled, 0);
        self.filled -= count;
    }
}

/// The state of one run.
struct Run {
    workload: Workload,
    connections: Range<usize>,
    senders: Senders,
    reader: Reader,
    sequence: Sequence,
    tally: Tally,
    /// Requests not yet sent, when the run is limited by their number.
    budget: u64,
    deadline: Option<Instant>,
    in_flight: usize,
    started: Instant,
    /// Read once per turn: reading the clock for each request would cost as much as building it.
    now: Instant,
    last_reply: Instant,
    cpu_before: Duration,
}

impl Run {
    fn new(part: &Part, reader: Reader) -> Self {
        let workload = part.workload;
        let connections = part.first_connection..part.first_connection + workload.connections;
        let senders = Senders::new(&connections, workload.active);
        // Before the clock starts: Zipf sums over all keys.
        let sequence = Sequence::new(&workload, part.seed);
        let now = Instant::now();
        let (budget, deadline) = match part.limit {
            Limit::Requests(count) => (count, None),
            Limit::Seconds(seconds) => (u64::MAX, Some(now + Duration::from_secs_f64(seconds))),
        };
        let (tally, in_flight, cpu_before) = (Tally::default(), 0, cpu_of_this_thread());
        Self {
            workload,
            connections,
            senders,
            reader,
            sequence,
            tally,
            budget,
            deadline,
            in_flight,
            started: now,
            now,
            last_reply: now,
            cpu_before,
        }
    }

    fn look_at_clock(&mut self) -> io::Result<()> {
        self.now = Instant::now();
        if self.in_flight > 0 && self.now - self.last_reply > PATIENCE {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the server stopped answering"));
        }
        Ok(())
    }

    fn is_open(&self) -> bool {
        matches!(self.workload.pace, Pace::Rate(_))
    }

    /// Whether more is to be sent. An open loop sends everything that was due before the deadline, however late.
    fn may_send(&self) -> bool {
        self.budget > 0 && (self.is_open() || self.deadline.is_none_or(|deadline| self.now < deadline))
    }

    fn send_no_more(&mut self) {
        self.budget = 0;
    }

    /// Closed loop: sends one batch.
    fn send_batch(&mut self, connection: &mut Connection) -> io::Result<()> {
        self.now = Instant::now();
        for _ in 0..self.workload.depth {
            if !self.may_send() {
                break;
            }
            self.ask(connection, self.now);
        }
        connection.flush()
    }

    /// Open loop: sends everything that is due, and answers how long nothing will be. Below a millisecond that is
    /// zero, since the poll cannot wait shorter: the generator spins on its own core rather than be late.
    fn send_due(&mut self, connections: &mut [Connection]) -> io::Result<Duration> {
        let Pace::Rate(rate) = self.workload.pace else { return Ok(PATIENCE) };
        self.now = Instant::now();
        loop {
            let sent = self.tally.requests + self.in_flight as u64;
            let due = self.started + Duration::from_secs_f64(sent as f64 / rate);
            let past_end = self.budget == 0 || self.deadline.is_some_and(|deadline| due >= deadline);
            if past_end {
                self.budget = 0;
                return Ok(PATIENCE);
            }
            if due > self.now {
                let wait = due - self.now;
                return Ok(if wait < Duration::from_millis(1) { Duration::ZERO } else { wait });
            }
            if self.in_flight >= MAX_IN_FLIGHT {
                return Err(io::Error::other("the rate is beyond what the server can do"));
            }
            let Some(connection) = connections.get_mut(self.senders.round_robin()) else {
                return Ok(PATIENCE);
            };
            self.tally.lateness.record((self.now - due).as_nanos() as u64);
            self.ask(connection, due);
            connection.flush()?;
        }
    }

    fn ask(&mut self, connection: &mut Connection, since: Instant) {
        let (dialect, item) = (self.reader.dialect, &self.workload.item);
        let ask = self.sequence.next_ask();
        match ask {
            Ask::Set => dialect.put_set(item, self.sequence.next_key(), &mut connection.outbox),
            Ask::Get => {
                let first = connection.asked.len();
                let keys = (0..self.workload.keys_per_get).map(|_| self.sequence.next_key());
                connection.asked.extend(keys);
                dialect.put_get(item, connection.asked.range(first..).copied(), &mut connection.outbox);
            }
        }
        connection.pending.push_back(Pending { since, ask });
        self.in_flight += 1;
        self.budget -= 1;
    }

    /// Takes the replies that have come; in a closed loop an emptied connection sends its next batch.
    fn take_replies(&mut self, connection: &mut Connection) -> io::Result<()> {
        let mut at = 0;
        while let Some(pending) = connection.pending.front() {
            let bytes = &connection.inbox.received()[at..];
            let keys = self.keys_of(pending.ask);
            let step = match pending.ask {
                Ask::Set => self.reader.stored(bytes),
                Ask::Get => self.reader.values(connection.asked.range(..keys).copied(), bytes),
            };
            let Some(taken) = self.judge(step, pending.ask, bytes)? else { break };
            self.tally.latency.record((self.now - pending.since).as_nanos() as u64);
            if pending.ask == Ask::Get {
                connection.asked.drain(..keys);
            }
            connection.pending.pop_front();
            at += taken;
        }
        connection.inbox.forget(at);
        if connection.pending.is_empty() && connection.inbox.filled > 0 {
            return Err(lost("bytes that nobody asked for", connection.inbox.received()));
        }
        if connection.pending.is_empty() && !self.is_open() {
            self.send_batch(connection)?;
        }
        Ok(())
    }

    fn keys_of(&self, ask: Ask) -> usize {
        if ask == Ask::Get { self.workload.keys_per_get } else { 1 }
    }

    /// Counts a reply and answers its length, or that it is not complete.
    fn judge(&mut self, step: Step, ask: Ask, bytes: &[u8]) -> io::Result<Option<usize>> {
        let keys = self.keys_of(ask) as u64;
        let taken = match step {
            Step::More => return Ok(None),
            Step::Lost => return Err(lost("not a reply", bytes)),
            Step::Done { taken, hits } => {
                self.tally.misses += if ask == Ask::Get { keys - hits as u64 } else { 0 };
                taken
            }
            Step::Wrong { taken } => {
                self.tally.errors += 1;
                self.tally.first_error.get_or_insert_with(|| excerpt(&bytes[..taken]));
                taken
            }
        };
        self.tally.keys += keys;
        self.tally.requests += 1;
        self.in_flight -= 1;
        self.last_reply = self.now;
        Ok(Some(taken))
    }

    fn end(mut self) -> Tally {
        self.tally.elapsed = self.last_reply - self.started;
        self.tally.generator_cpu = cpu_of_this_thread().saturating_sub(self.cpu_before);
        self.tally
    }
}

fn cpu_of_this_thread() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

fn lost(what: &str, bytes: &[u8]) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what}: {}", excerpt(bytes)))
}

fn excerpt(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(120)].escape_ascii().to_string()
}
