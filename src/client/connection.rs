//! One blocking connection: whole requests out, pieces of answers in, each with a bounded wait.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::error::Why;
use super::options::Options;
use super::reply::{self, Frame, Step};
use super::wire::Wire;
use crate::base::limits::{CLIENT_KEPT_BUFFER_BYTES, CLIENT_READ_BYTES, CLIENT_READ_BYTES_MAX};
use crate::route::topology::Address;

/// The shortest wait that a socket can be given.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// A connection to one server.
#[derive(Debug)]
pub(super) struct Connection {
    wire: Wire,
    /// What was received; before `used` it has been taken.
    inbox: Vec<u8>,
    used: usize,
    value_bytes_max: usize,
}

/// Writing ended early.
#[derive(Debug)]
pub(super) struct Unsent {
    /// Bytes that went out all the same.
    pub(super) sent_bytes: usize,
    /// Why no more.
    pub(super) why: Why,
}

/// How long answers are waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// The longest silence.
    pub(super) silence: Duration,
    /// When the present silence has lasted too long.
    pub(super) until: Instant,
    /// When all of it has.
    pub(super) end: Instant,
}

impl Connection {
    /// Connects: to the first of the server's addresses that takes it.
    pub(super) fn open(address: &Address, options: &Options) -> Result<Connection, Why> {
        let host = address.host().trim_matches(['[', ']']);
        let found =
            (host, address.port()).to_socket_addrs().map_err(|error| Why::Unresolved(error.to_string()))?;
        let deadline = Instant::now() + options.connect_timeout;
        let mut why = Why::Unresolved("no address".into());
        for address in found {
            let left = deadline.saturating_duration_since(Instant::now()).max(WAIT_MIN);
            match connect(&address, left, host, options) {
                Ok(wire) => {
                    let value_bytes_max = options.value_bytes_max;
                    return Ok(Connection { wire, inbox: Vec::new(), used: 0, value_bytes_max });
                }
                Err(error) => why = Why::of(&error),
            }
        }
        Err(why)
    }

    /// Whether nothing has come in since the last answer, neither the end of the connection nor bytes that nobody
    /// asked for. A server that has died without a word is not seen here.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.wire.is_quiet()
    }

    /// Whether every byte that came in was part of an answer.
    pub(super) fn is_clean(&self) -> bool {
        self.used == self.inbox.len()
    }

    /// Gives memory back that a large answer needed.
    pub(super) fn shrink(&mut self) {
        if self.is_clean() && self.inbox.capacity() > CLIENT_KEPT_BUFFER_BYTES {
            (self.inbox, self.used) = (Vec::new(), 0);
        }
    }

    /// Sends all of these bytes.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Unsent> {
        let mut sent_bytes = 0;
        while let Some(rest) = bytes.get(sent_bytes..).filter(|rest| !rest.is_empty()) {
            match self.wire.write(rest) {
                Ok(0) => return Err(Unsent { sent_bytes, why: Why::Closed }),
                Ok(count) => sent_bytes += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Unsent { sent_bytes, why: Why::of(&error) }),
            }
        }
        Ok(())
    }

    /// Waits for the next piece of an answer and hands it to `take`.
    pub(super) fn receive<T>(
        &mut self,
        patience: &mut Patience,
        take: impl FnOnce(Frame<'_>) -> Result<T, String>,
    ) -> Result<T, Why> {
        loop {
            let received = self.inbox.get(self.used..).unwrap_or_default();
            match reply::step(received, self.value_bytes_max).map_err(Why::BadReply)? {
                Step::Frame(frame, length) => {
                    let taken = take(frame).map_err(Why::BadReply)?;
                    self.used += length;
                    return Ok(taken);
                }
                Step::NeedMore(total) => {
                    let missing = total.saturating_sub(received.len());
                    self.read(missing, patience)?;
                }
            }
        }
    }

    /// Reads once. Never more memory is taken than twice what has come in, and a little.
    fn read(&mut self, missing: usize, patience: &mut Patience) -> Result<(), Why> {
        self.inbox.drain(..self.used);
        self.used = 0;
        let have = self.inbox.len();
        let room = missing.clamp(CLIENT_READ_BYTES, CLIENT_READ_BYTES_MAX.max(have));
        self.inbox.resize(have + room, 0);
        let read = self.wait_and_read(have, patience);
        self.inbox.truncate(have + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(Why::Closed),
            Ok(_) => {
                patience.until = Instant::now() + patience.silence;
                Ok(())
            }
            Err(error) => Err(Why::of(&error)),
        }
    }

    fn wait_and_read(&mut self, have: usize, patience: &Patience) -> io::Result<usize> {
        loop {
            let now = Instant::now();
            if now >= patience.end {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let wait = patience.until.min(patience.end).saturating_duration_since(now);
            self.wire.set_read_timeout(wait.max(WAIT_MIN))?;
            match self.wire.read(self.inbox.get_mut(have..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl Patience {
    /// For answers that are waited for from `start` on; what others have made us wait meanwhile counts, but what is
    /// here already is read.
    pub(super) fn from(start: Instant, options: &Options) -> Patience {
        let silence = options.read_timeout;
        Patience { silence, until: start + silence, end: Instant::now() + options.answer_timeout }
    }
}

fn connect(address: &SocketAddr, wait: Duration, host: &str, options: &Options) -> io::Result<Wire> {
    let stream = TcpStream::connect_timeout(address, wait)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(options.write_timeout.max(WAIT_MIN)))?;
    Wire::over(stream, host, options)
}
