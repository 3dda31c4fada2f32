//! TLS: the handshake by itself over sockets of memory, and what a server makes of it.
//!
//! Certificates are made for each test by an [`Authority`]. Two programs that are not ours judge too, where they are
//! installed: openssl, and pymemcache (`clients`).
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use larder::client::{OwnCertificate, Tls};
use larder::tls::Secured;

pub(crate) mod authority;
mod certificates;
mod cluster;
mod handshake;
mod hostile;
mod memory;
mod programs;
mod refresh;
mod serving;
mod stalling;

use authority::{Authority, Issued};

/// Longest wait for anything of a server that lives.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection behind TLS. What goes wrong with it fails the test.
struct Session {
    secured: Secured<TcpStream>,
    received: VecDeque<u8>,
}

/// Agrees with the server on TLS as a client that trusts this authority and shows this certificate, if any.
fn connect(address: SocketAddr, trusted: &Authority, own: Option<&Issued>) -> io::Result<Session> {
    let own = own.map(|own| OwnCertificate { chain: own.chain.as_bytes(), key: own.key.as_bytes() });
    let tls = Tls::new(trusted.certificate().as_bytes(), own).unwrap();
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    let secured = tls.over(socket, "localhost", PATIENCE)?;
    secured.socket().set_read_timeout(Some(PATIENCE))?;
    Ok(Session { secured, received: VecDeque::new() })
}

impl Session {
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        assert_eq!(self.secured.write(bytes).unwrap(), bytes.len());
    }

    /// Reads once; false at the end.
    fn receive(&mut self) -> io::Result<bool> {
        let mut buffer = vec![0; 32 << 10];
        loop {
            match self.secured.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    let count = read?;
                    self.received.extend(&buffer[..count]);
                    return Ok(count > 0);
                }
            }
        }
    }

    /// The next so many bytes.
    fn read(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count {
            assert!(self.receive().unwrap(), "the end after {} of {count} bytes", self.received.len());
        }
        self.received.drain(..count).collect()
    }

    /// The next line without its end; an error when the connection ends before.
    fn try_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if !self.receive()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn line(&mut self) -> String {
        self.try_line().unwrap()
    }

    fn ask(&mut self, request: impl AsRef<[u8]>) -> String {
        self.send(request);
        self.line()
    }

    /// Sends, and the lines up to END, without it.
    fn lines(&mut self, request: &str) -> Vec<String> {
        self.send(request);
        std::iter::repeat_with(|| self.line()).take_while(|line| line != "END").collect()
    }

    /// Sends a get of one key: the first line of the answer, the others are read too.
    fn lines_of(&mut self, request: &str) -> String {
        let first = self.ask(request);
        if first.starts_with("VALUE") {
            while self.line() != "END" {}
        }
        first
    }

    /// A figure of `stats` or `stats settings`.
    fn figure(&mut self, request: &str, name: &str) -> Option<String> {
        let start = format!("STAT {name} ");
        self.lines(request).iter().find_map(|line| line.strip_prefix(&start).map(str::to_owned))
    }
}
