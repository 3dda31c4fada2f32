//! Where TLS begins: sockets that came in or go out get their side of it. Certificates change while it is used.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::net::TcpStream;

use super::stream::Stream;
use crate::tls::{Acceptor, Connector};

/// For those who come in by one kind of address.
#[derive(Debug)]
pub struct Door(Mutex<Acceptor>);

impl Door {
    /// Opens it.
    pub fn new(acceptor: Acceptor) -> Arc<Door> {
        Arc::new(Door(Mutex::new(acceptor)))
    }

    /// Who comes in from now on meets these certificates; who is in already goes on.
    pub fn renew(&self, acceptor: Acceptor) {
        *lock(&self.0) = acceptor;
    }

    pub(super) fn accept(&self, socket: TcpStream) -> io::Result<Stream> {
        let acceptor = lock(&self.0).clone();
        acceptor.accept(socket).map(|secured| Stream::Tls(Box::new(secured))).map_err(io::Error::other)
    }
}

/// What another server's certificate must name, by its number: where the map says that it is.
pub type NameOf = Box<dyn Fn(u16) -> Option<String> + Send + Sync>;

/// For links to other servers.
pub struct Dialer {
    connector: Mutex<Connector>,
    name_of: NameOf,
}

impl Dialer {
    /// Makes it.
    pub fn new(connector: Connector, name_of: NameOf) -> Arc<Dialer> {
        Arc::new(Dialer { connector: Mutex::new(connector), name_of })
    }

    /// Links that are opened from now on show and trust these certificates.
    pub fn renew(&self, connector: Connector) {
        *lock(&self.connector) = connector;
    }

    pub(super) fn connect(&self, socket: TcpStream, server: u16) -> io::Result<Stream> {
        let name = (self.name_of)(server).ok_or_else(|| io::Error::other("the map does not name it"))?;
        let connector = lock(&self.connector).clone();
        connector
            .connect(socket, &name)
            .map(|secured| Stream::Tls(Box::new(secured)))
            .map_err(io::Error::other)
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}

/// What a panicking thread leaves in these locks is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
