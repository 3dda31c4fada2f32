//! Accepts connections and hands them round robin to the workers.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;
use mio::net::{TcpListener, UnixListener};
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

use super::door::Door;
use super::stream::{Accepted, Stream};
use super::{Wake, poll_and_wake};
use crate::base::fault::{Fault, FaultKind};
use crate::conn::registry::Registry;

/// How long accepting rests when the process has no file descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket that nobody accepts from yet.
#[derive(Debug)]
pub enum Bound {
    /// TCP and its real address; behind TLS, if there is a door.
    Tcp(std::net::TcpListener, SocketAddr, Option<Arc<Door>>),
    /// As TCP, for other servers.
    Peer(std::net::TcpListener, SocketAddr, Option<Arc<Door>>),
    /// A unix socket and its file, which goes with it.
    Unix(std::os::unix::net::UnixListener, SocketFile),
}

/// The file of a unix socket. Removed when dropped, so that a start that is refused leaves none behind.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Bound {
    /// Binds a TCP address; port 0 takes a free one. With a door, who comes in speaks TLS.
    pub fn tcp(address: SocketAddr, backlog: i32, door: Option<&Arc<Door>>) -> Result<Bound, Fault> {
        let bind = || -> io::Result<(std::net::TcpListener, SocketAddr)> {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            if address.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            socket.bind(&address.into())?;
            socket.listen(backlog)?;
            socket.set_nonblocking(true)?;
            let listener: std::net::TcpListener = socket.into();
            let real = listener.local_addr()?;
            Ok((listener, real))
        };
        let (listener, real) = bind().map_err(|error| {
            Fault::new(
                bind_fault_kind(&error),
                format!("cannot listen on {address}: {error}; choose another -l or -p"),
            )
        })?;
        Ok(Bound::Tcp(listener, real, door.cloned()))
    }

    /// Binds a unix socket, replacing a stale one that nobody listens on. `mode` is the access mask (`-a`).
    pub fn unix(path: &Path, mode: u32, backlog: i32) -> Result<Bound, Fault> {
        let bind = || -> io::Result<Bound> {
            let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
            if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
                std::fs::remove_file(path)?;
            }
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.bind(&socket2::SockAddr::unix(path)?)?;
            let file = SocketFile(path.to_path_buf());
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
            socket.listen(backlog)?;
            socket.set_nonblocking(true)?;
            Ok(Bound::Unix(socket.into(), file))
        };
        bind().map_err(|error| {
            Fault::new(
                bind_fault_kind(&error),
                format!("cannot listen on this unix socket: {error}; choose another -s"),
            )
            .at(path)
        })
    }

    /// The address as `stats conns` writes it.
    pub fn address(&self) -> String {
        match self {
            Bound::Tcp(_, address, _) | Bound::Peer(_, address, _) => format!("tcp:{address}"),
            Bound::Unix(_, file) => format!("unix:{}", file.0.display()),
        }
    }
}

/// Whether a socket is for other servers.
type IsPeer = bool;

enum Socketed {
    Tcp(TcpListener, Arc<str>, IsPeer, Option<Arc<Door>>),
    Unix(UnixListener, Arc<str>, #[expect(dead_code, reason = "kept for its drop")] SocketFile),
}

/// Where the listener hands a connection: a worker's channel and what wakes it.
pub type Inlet = (Sender<Accepted>, Wake);

/// The accepting thread.
pub struct Listener {
    poll: Poll,
    sockets: Vec<Socketed>,
    inlets: Vec<Inlet>,
    next_inlet: usize,
    registry: Arc<Registry>,
    open: Arc<AtomicUsize>,
    open_max: usize,
    stop: Arc<AtomicBool>,
}

impl Listener {
    /// Makes the accepting thread's state; `open` counts the connections of all workers, at most `open_max`.
    pub fn new(
        bound: Vec<Bound>,
        inlets: Vec<Inlet>,
        registry: Arc<Registry>,
        open: Arc<AtomicUsize>,
        open_max: usize,
        stop: Arc<AtomicBool>,
    ) -> io::Result<(Listener, Wake)> {
        let (poll, wake) = poll_and_wake()?;
        let mut sockets = Vec::with_capacity(bound.len());
        for (index, one) in bound.into_iter().enumerate() {
            let address: Arc<str> = one.address().into();
            registry.enter(address.to_string(), None, 0);
            let mut socket = match one {
                Bound::Tcp(socket, _, door) => {
                    Socketed::Tcp(TcpListener::from_std(socket), address, false, door)
                }
                Bound::Peer(socket, _, door) => {
                    Socketed::Tcp(TcpListener::from_std(socket), address, true, door)
                }
                Bound::Unix(socket, file) => Socketed::Unix(UnixListener::from_std(socket), address, file),
            };
            match &mut socket {
                Socketed::Tcp(socket, ..) => {
                    poll.registry().register(socket, Token(index), Interest::READABLE)?
                }
                Socketed::Unix(socket, ..) => {
                    poll.registry().register(socket, Token(index), Interest::READABLE)?
                }
            }
            sockets.push(socket);
        }
        Ok((Listener { poll, sockets, inlets, next_inlet: 0, registry, open, open_max, stop }, wake))
    }

    /// Accepts until it is stopped; the files of unix sockets go with it.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(64);
        let mut pause = None;
        while !self.stop.load(Ordering::Acquire) {
            if let Err(error) = self.poll.poll(&mut events, pause)
                && error.kind() != io::ErrorKind::Interrupted
            {
                return Err(error);
            }
            let exhausted = (0..self.sockets.len()).any(|index| !self.accept_all(index));
            pause = exhausted.then_some(EXHAUSTED_PAUSE);
        }
        Ok(())
    }

    /// Accepts whatever waits at one socket; false when the process has no file descriptor for it.
    fn accept_all(&mut self, index: usize) -> bool {
        loop {
            match self.accept(index) {
                Ok(Some(accepted)) => self.hand_over(accepted),
                Ok(None) => return true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if is_passing(&error) => {}
                Err(error) => {
                    log::warn!("cannot accept a connection: {error}; trying again");
                    return false;
                }
            }
        }
    }

    fn accept(&mut self, index: usize) -> io::Result<Option<Accepted>> {
        Ok(match self.sockets.get_mut(index) {
            Some(Socketed::Tcp(socket, listen_address, is_peer, door)) => {
                let (stream, peer) = socket.accept()?;
                stream.set_nodelay(true).unwrap_or_default();
                let listen_address = Arc::clone(listen_address);
                let (address, is_peer) = (format!("tcp:{peer}"), *is_peer);
                let stream = match door {
                    Some(door) => door.accept(stream)?,
                    None => Stream::Tcp(stream),
                };
                Some(Accepted { stream, address, listen_address, is_peer })
            }
            Some(Socketed::Unix(socket, listen_address, _)) => {
                let (stream, _) = socket.accept()?;
                let listen_address = Arc::clone(listen_address);
                Some(Accepted {
                    stream: Stream::Unix(stream),
                    address: listen_address.to_string(),
                    listen_address,
                    is_peer: false,
                })
            }
            None => None,
        })
    }

    fn hand_over(&mut self, mut accepted: Accepted) {
        if accepted.is_peer {
            return self.pass_on(accepted);
        }
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.open_max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.registry.rejected.fetch_add(1, Ordering::Relaxed);
            // Behind TLS nothing leaves before the handshake, and there will be none.
            let _ = accepted.stream.write(crate::proto::texts::TOO_MANY_CONNECTIONS);
            return;
        }
        self.registry.accepted.fetch_add(1, Ordering::Relaxed);
        self.pass_on(accepted);
    }

    fn pass_on(&mut self, accepted: Accepted) {
        self.next_inlet = (self.next_inlet + 1) % self.inlets.len().max(1);
        if let Some((sender, wake)) = self.inlets.get(self.next_inlet)
            && sender.send(accepted).is_ok()
        {
            wake();
        }
    }
}

/// An address that somebody has may be free in a moment; whatever else is wrong stays so.
pub(super) fn bind_fault_kind(error: &io::Error) -> FaultKind {
    if error.kind() == io::ErrorKind::AddrInUse { FaultKind::Locked } else { FaultKind::Unusable }
}

/// Whether this failure concerns one connection only, which is gone already.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
