//! The admin port's one thread: few connections, one request each, nothing that can be waited for longer than a bound.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::access::Access;
use super::history::History;
use super::http::{Received, Response, Status, receive};
use super::observed::Pulse;
use super::routes::{Sources, answer};
use crate::base::limits::{
    ADMIN_CONNECTIONS_MAX, ADMIN_PATIENCE_MS, ADMIN_POINT_S, ADMIN_PULSE_MS, ADMIN_REQUEST_BYTES_MAX,
};

const PULSE: Duration = Duration::from_millis(ADMIN_PULSE_MS);
const PATIENCE: Duration = Duration::from_millis(ADMIN_PATIENCE_MS);
/// How long a client that was answered may go on sending, so that the end of the connection does not overtake the
/// answer.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long accepting rests after it has failed.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);
/// What is read and thrown away at once, bytes.
const WASTE_BYTES: usize = 4096;

/// One client.
struct Peer {
    stream: TcpStream,
    stage: Stage,
    /// Whoever is not in the next stage by then is sent away.
    deadline: Instant,
}

/// How far a connection is.
enum Stage {
    Reading(Vec<u8>),
    Writing(Vec<u8>, usize),
    Leaving,
}

/// The thread's state.
pub(super) struct Port {
    pub(super) listener: TcpListener,
    pub(super) wake: UnixStream,
    pub(super) access: Access,
    pub(super) sources: Arc<Sources>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) history: History,
    pub(super) clients: Clients,
}

/// The connections, the oldest first.
pub(super) struct Clients {
    peers: Vec<Peer>,
    accepts_from: Instant,
}

impl Default for Clients {
    fn default() -> Clients {
        Clients { peers: Vec::new(), accepts_from: Instant::now() }
    }
}

impl Port {
    /// Answers until the other end of `wake` is dropped.
    pub(super) fn run(mut self) {
        let mut beat_at = Instant::now() + PULSE;
        let mut point_at = Instant::now();
        while let Ok(ready) = self.wait() {
            let now = Instant::now();
            if ready.ended {
                return;
            }
            if now >= beat_at {
                self.pulse.beat();
                beat_at = now + PULSE;
            }
            if now >= point_at {
                self.note_point();
                point_at = now + Duration::from_secs(ADMIN_POINT_S);
            }
            self.serve(&ready.peers, now);
            if ready.accepts {
                self.clients.accept(&self.listener, now);
            }
        }
        log::error!("the admin port ended: it cannot wait for connections");
    }

    /// Waits for something to do, at most a pulse.
    fn wait(&self) -> io::Result<Ready> {
        let accepts = Instant::now() >= self.clients.accepts_from;
        let mut fds = vec![
            PollFd::new(self.wake.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.listener.as_fd(), if accepts { PollFlags::POLLIN } else { PollFlags::empty() }),
        ];
        fds.extend(self.clients.peers.iter().map(|peer| {
            let wanted =
                if let Stage::Writing(..) = peer.stage { PollFlags::POLLOUT } else { PollFlags::POLLIN };
            PollFd::new(peer.stream.as_fd(), wanted)
        }));
        match poll(&mut fds, PollTimeout::from(ADMIN_PULSE_MS as u8)) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut is_ready = fds.iter().map(|fd| fd.any().unwrap_or(false));
        let (ended, accepts) = (is_ready.next() == Some(true), is_ready.next() == Some(true));
        Ok(Ready { ended, accepts, peers: is_ready.collect() })
    }

    fn note_point(&mut self) {
        if let Some(view) = self.sources.view.get() {
            let budget = &view.dispatch.shared.budget;
            self.history.note(view.snapshot(), budget.used() as u64, budget.dirty_used() as u64);
        }
    }

    /// Goes on with every connection that something has happened to, and sends away who takes too long.
    fn serve(&mut self, ready: &[bool], now: Instant) {
        let mut ready = ready.iter().copied();
        let Port { clients, access, sources, history, .. } = self;
        clients.peers.retain_mut(|peer| {
            let is_ready = ready.next().unwrap_or(false);
            let stays = !is_ready || peer.go_on(now, |bytes| reply(bytes, access, sources, history));
            stays && now < peer.deadline
        });
    }
}

/// What a wait has brought.
struct Ready {
    ended: bool,
    accepts: bool,
    peers: Vec<bool>,
}

impl Clients {
    fn accept(&mut self, listener: &TcpListener, now: Instant) {
        match listener.accept() {
            Ok((stream, _)) => {
                if self.peers.len() >= ADMIN_CONNECTIONS_MAX {
                    self.peers.remove(0);
                }
                if stream.set_nonblocking(true).is_ok() {
                    let stage = Stage::Reading(Vec::new());
                    self.peers.push(Peer { stream, stage, deadline: now + PATIENCE });
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.accepts_from = now + EXHAUSTED_PAUSE,
        }
    }
}

impl Peer {
    /// Reads, writes or reads the rest, once; whether it stays.
    fn go_on(&mut self, now: Instant, reply: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> bool {
        match &mut self.stage {
            Stage::Reading(bytes) => {
                if !read_more(&mut self.stream, bytes) {
                    return false;
                }
                if let Some(answer) = reply(bytes) {
                    self.stage = Stage::Writing(answer, 0);
                    self.deadline = now + PATIENCE;
                }
                true
            }
            Stage::Writing(bytes, sent) => {
                match self.stream.write(bytes.get(*sent..).unwrap_or_default()) {
                    Ok(count) => *sent += count,
                    Err(error) => return is_passing(&error),
                }
                if *sent >= bytes.len() {
                    self.stage = Stage::Leaving;
                    self.deadline = now + FAREWELL;
                    return self.stream.shutdown(Shutdown::Write).is_ok();
                }
                true
            }
            Stage::Leaving => match self.stream.read(&mut [0; WASTE_BYTES]) {
                Ok(count) => count > 0,
                Err(error) => is_passing(&error),
            },
        }
    }
}

/// Reads once; false when there is nothing more to come.
fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> bool {
    let mut buffer = [0; ADMIN_REQUEST_BYTES_MAX];
    let room = ADMIN_REQUEST_BYTES_MAX - bytes.len().min(ADMIN_REQUEST_BYTES_MAX - 1);
    match stream.read(buffer.get_mut(..room).unwrap_or_default()) {
        Ok(0) => false,
        Ok(count) => {
            bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
            true
        }
        Err(error) => is_passing(&error),
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// The answer to what was received, if that is whole. Whatever goes wrong in here stays in here.
fn reply(bytes: &[u8], access: &Access, sources: &Sources, history: &History) -> Option<Vec<u8>> {
    match receive(bytes) {
        Received::Part => None,
        Received::Refused(status) => Some(Response::refusal(status).bytes(false)),
        Received::Whole(request) => {
            let answered = catch_unwind(AssertUnwindSafe(|| answer(&request, access, sources, history)));
            let response = answered.unwrap_or_else(|_| {
                log::error!(
                    "the admin port failed over a request for {}",
                    super::http::shown(request.path.as_bytes())
                );
                Response::refusal(Status::Fault)
            });
            Some(response.bytes(request.is_head))
        }
    }
}
