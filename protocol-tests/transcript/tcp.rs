//! The wire to a server that listens on an address. It blocks; the patience is a safety net, never part of a test.
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use larder::client::Tls;
use larder::tls::Secured;

use super::{ConnId, Received, Wire};
use crate::wait;

/// How long an answer may take before the test says that none came.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the clock of the server at the other end moves.
pub(crate) enum Clock {
    /// By itself: waiting is the only way, and at most so many seconds at once.
    Waits { max_s: i64 },
    /// By this lever, which says whether it moved.
    #[allow(dead_code, reason = "the lever of a server under test plugs in here")]
    Lever(Box<dyn FnMut(i64) -> bool>),
}

/// Connections to one address.
pub(crate) struct TcpWire {
    address: SocketAddr,
    clock: Clock,
    /// What is agreed on first, if anything.
    tls: Option<Tls>,
    streams: Vec<Option<Stream>>,
}

/// With or without TLS.
enum Stream {
    Plain(TcpStream),
    Tls(Box<Secured<TcpStream>>),
}

impl Stream {
    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write(bytes).map(|_| ()),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = match self {
                Stream::Plain(stream) => stream.read(buffer),
                Stream::Tls(stream) => stream.read(buffer),
            };
            match read {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl TcpWire {
    /// Nothing is connected before the first `connect`.
    pub(crate) fn new(address: SocketAddr, clock: Clock) -> Self {
        Self { address, clock, tls: None, streams: Vec::new() }
    }

    /// Connects behind TLS from now on.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "there is no TLS"))]
    pub(crate) fn get_behind(&mut self, tls: Tls) {
        self.tls = Some(tls);
    }

    fn open(&self) -> std::io::Result<Stream> {
        let stream = open(self.address)?;
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(stream)) };
        let secured = tls.over(stream, "localhost", PATIENCE)?;
        secured.socket().set_read_timeout(Some(PATIENCE))?;
        Ok(Stream::Tls(Box::new(secured)))
    }

    /// The stream is dropped once either side has closed.
    fn forget(&mut self, conn: ConnId) {
        if let Some(stream) = self.streams.get_mut(conn.0) {
            *stream = None;
        }
    }

    fn stream(&mut self, conn: ConnId) -> Option<&mut Stream> {
        self.streams.get_mut(conn.0)?.as_mut()
    }
}

impl Wire for TcpWire {
    fn connect(&mut self) -> ConnId {
        let stream = self.open().unwrap_or_else(|error| panic!("connecting to {}: {error}", self.address));
        self.streams.push(Some(stream));
        ConnId(self.streams.len() - 1)
    }

    /// A failed write is not yet the end: what the server said before it closed may still be there to read.
    fn send(&mut self, conn: ConnId, bytes: &[u8]) {
        if let Some(stream) = self.stream(conn) {
            let _ = stream.write_all(bytes);
        }
    }

    fn receive(&mut self, conn: ConnId) -> Received {
        let Some(stream) = self.stream(conn) else {
            return Received::Closed;
        };
        let mut buffer = vec![0; 64 << 10];
        match stream.read(&mut buffer) {
            Ok(0) => {}
            Ok(count) => {
                buffer.truncate(count);
                return Received::Bytes(buffer);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Received::Nothing;
            }
            Err(_) => {}
        }
        self.forget(conn);
        Received::Closed
    }

    fn hang_up(&mut self, conn: ConnId) {
        self.forget(conn);
    }

    fn advance_clock(&mut self, seconds: i64) -> bool {
        match &mut self.clock {
            Clock::Lever(lever) => lever(seconds),
            Clock::Waits { max_s } if seconds > *max_s => false,
            Clock::Waits { .. } => wait_for_server_clock(self.address, seconds),
        }
    }

    fn exact_clock(&self) -> bool {
        matches!(self.clock, Clock::Lever(_))
    }
}

fn open(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Waits until the server itself says that so many seconds have passed: what counts is its clock, not ours.
fn wait_for_server_clock(address: SocketAddr, seconds: i64) -> bool {
    let Ok(mut stream) = open(address) else {
        return false;
    };
    let Some(start) = server_time(&mut stream) else {
        return false;
    };
    let patience = PATIENCE + Duration::from_secs(seconds.unsigned_abs());
    wait::until(patience, || server_time(&mut stream).filter(|now| *now >= start + seconds)).is_some()
}

fn server_time(stream: &mut TcpStream) -> Option<i64> {
    stream.write_all(b"stats\r\n").ok()?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !answer.ends_with(b"END\r\n") {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        answer.extend_from_slice(buffer.get(..count)?);
    }
    let text = String::from_utf8(answer).ok()?;
    text.lines().find_map(|line| line.strip_prefix("STAT time "))?.parse().ok()
}
