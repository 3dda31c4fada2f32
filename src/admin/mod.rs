//! HTTP for people and their tools: metrics, health, and a page to look at.
//!
//! Owns: the admin port and its thread (`port`), what is asked and answered there (`http`, `routes`, `api`, `metrics`,
//! `page.html`), who may ask (`access`), and what workers record for it ([`Observed`]: the backend with somebody who
//! looks on).
//!
//! May import: base, proto, route, binlog, group, conn, peer, dispatch.
//!
//! Invariants: it only looks. Group locks are held for a copy of figures, one at a time; a worker never waits for the
//! admin port, nor reads a clock for it more than once in some hundred requests. Requests, headers, connections, times
//! and everything that is remembered are bounded. Whatever is sent to the port harms nobody; nothing that could still
//! be lost is shown; values of items are never shown.
//!
//! Start reading at `routes.rs`, then `observed.rs` for what it costs.

mod access;
mod api;
mod class;
mod figures;
mod history;
mod http;
mod metrics;
mod notes;
mod observed;
mod port;
mod prometheus;
mod routes;
#[cfg(test)]
mod tests;
mod top;

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

pub use figures::View;
pub use observed::{Observed, Pulse, Recorder};

use crate::base::fault::{Fault, FaultKind};
use access::{Access, Token};
use port::{Clients, Port};
use routes::Sources;

/// An open admin port. It closes when this is dropped.
pub struct Admin {
    address: SocketAddr,
    sources: Arc<Sources>,
    /// Dropped first: that ends the thread.
    wake: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Opens the port and answers, with `recovering` until [`Admin::show`]. The pulse beats for as long as it is open.
    ///
    /// # Errors
    /// An address that cannot be bound, or a token that cannot be read.
    pub fn open(address: SocketAddr, token_file: Option<&Path>, pulse: Arc<Pulse>) -> Result<Admin, Fault> {
        let token = token_file.map(Token::read).transpose()?;
        let listener = bind(address)?;
        let io_fault = |error| Fault::new(FaultKind::Io, format!("cannot open the admin port: {error}"));
        let address = listener.local_addr().map_err(io_fault)?;
        let (wake, woken) = UnixStream::pair().map_err(io_fault)?;
        let sources: Arc<Sources> = Arc::default();
        let port = Port {
            listener,
            wake: woken,
            access: Access::new(address, token),
            sources: Arc::clone(&sources),
            pulse,
            history: Default::default(),
            clients: Clients::default(),
        };
        let thread =
            thread::Builder::new().name("admin".into()).spawn(move || port.run()).map_err(io_fault)?;
        Ok(Admin { address, sources, wake: Some(wake), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server is recovered: this is what there is to see. Only the first call counts.
    pub fn show(&self, view: View) {
        let _ = self.sources.view.set(view);
    }

    /// The server is ending: it is no longer ready.
    pub fn tell_stopping(&self) {
        self.sources.stopping.store(true, Ordering::Release);
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.wake.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the admin thread ended by a panic");
        }
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, Fault> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| {
        let in_use = error.kind() == std::io::ErrorKind::AddrInUse;
        let kind = if in_use { FaultKind::Locked } else { FaultKind::Unusable };
        Fault::new(kind, format!("cannot listen on {address}: {error}; choose another --admin-port"))
    })
}
