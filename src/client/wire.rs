//! The socket of a connection, with or without TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::options::Options;
use crate::tls::Secured;

/// A socket that blocks.
#[derive(Debug)]
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<Secured<TcpStream>>),
}

impl Wire {
    /// Over a socket that is connected, to `host`.
    pub(super) fn over(socket: TcpStream, host: &str, options: &Options) -> io::Result<Wire> {
        match &options.tls {
            None => Ok(Wire::Plain(socket)),
            Some(tls) => tls.over(socket, host, options.connect_timeout).map(|tls| Wire::Tls(Box::new(tls))),
        }
    }

    /// Reads once; `Interrupted` when nothing came of it, and more may be waited for.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(socket) => socket.read(buffer),
            Wire::Tls(secured) => secured.read(buffer),
        }
    }

    /// Writes once.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(socket) => socket.write(bytes),
            Wire::Tls(secured) => secured.write(bytes),
        }
    }

    /// The longest wait of a read from now on.
    pub(super) fn set_read_timeout(&self, wait: Duration) -> io::Result<()> {
        self.socket().set_read_timeout(Some(wait))
    }

    /// Whether neither the end nor any byte that somebody could take for an answer has come in.
    pub(super) fn is_quiet(&mut self) -> bool {
        if self.socket().set_nonblocking(true).is_err() {
            return false;
        }
        let looked = match self {
            Wire::Plain(socket) => socket.peek(&mut [0]),
            Wire::Tls(secured) => look(secured),
        };
        let blocks = self.socket().set_nonblocking(false).is_ok();
        blocks && matches!(looked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Wire::Plain(socket) => socket,
            Wire::Tls(secured) => secured.socket(),
        }
    }
}

/// Reads what there is: behind TLS a server may have said something that is for TLS alone.
fn look(secured: &mut Secured<TcpStream>) -> io::Result<usize> {
    let mut buffer = [0; 4096];
    loop {
        match secured.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
