//! A client's socket, TCP, behind TLS or unix.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use mio::net::{TcpStream, UnixStream};

use crate::tls::Secured;

/// An accepted socket.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
    /// Over TCP, behind TLS.
    Tls(Box<Secured<TcpStream>>),
}

/// An accepted socket and where it came from.
#[derive(Debug)]
pub struct Accepted {
    /// The socket.
    pub stream: Stream,
    /// The peer, as `stats conns` writes it.
    pub address: String,
    /// The listener, as `stats conns` writes it.
    pub listen_address: Arc<str>,
    /// Whether it came in by the address for other servers.
    pub is_peer: bool,
}

impl Stream {
    /// Reads once.
    #[inline]
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }

    /// Writes once.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    /// Writes several slices at once.
    pub fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write_vectored(slices),
            Stream::Unix(stream) => stream.write_vectored(slices),
            Stream::Tls(stream) => stream.write_vectored(slices),
        }
    }

    /// What a poll registers.
    pub fn source(&mut self) -> &mut dyn mio::event::Source {
        match self {
            Stream::Tcp(stream) => stream,
            Stream::Unix(stream) => stream,
            Stream::Tls(stream) => stream.socket_mut(),
        }
    }

    /// Whether more may be there to read without a new event, after a read of `count` bytes where `asked` were asked
    /// for: a socket that gave less is drained, but TLS may have kept something, or have read no more than its share.
    pub fn has_more(&self, count: usize, asked: usize) -> bool {
        match self {
            Stream::Tls(stream) => stream.has_more(),
            Stream::Tcp(_) | Stream::Unix(_) => count == asked,
        }
    }

    /// The socket takes bytes again: what TLS itself has to say goes first. A failure shows at the next read or write.
    pub fn note_writable(&mut self) {
        if let Stream::Tls(stream) = self {
            let _ = stream.flush_own();
        }
    }

    /// Whether nothing can be asked yet, since TLS is being agreed on.
    pub fn is_handshaking(&self) -> bool {
        matches!(self, Stream::Tls(stream) if stream.is_handshaking())
    }

    /// Whether TLS was agreed on since this was asked last: what had to wait for it can be written.
    pub fn take_opened(&mut self) -> bool {
        match self {
            Stream::Tls(stream) => stream.take_opened(),
            Stream::Tcp(_) | Stream::Unix(_) => false,
        }
    }

    /// The TCP socket, if it is one.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Stream::Tcp(stream) => Some(stream),
            Stream::Tls(stream) => Some(stream.socket()),
            Stream::Unix(_) => None,
        }
    }
}
