//! The assembly: open, recover, spawn, join, stop, in that order.
//!
//! May import: everything. Nothing imports it but `main.rs` and the tests.

mod open;
mod patience;
mod ports;
pub mod process;
mod shown;
mod threads;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::base::fault::Fault;
use crate::base::time::{Clock, UnixMs};
use crate::config::Config;
use crate::dispatch::{Control, Dispatch};
use crate::store::directory::Directory;
use threads::Threads;

/// The machine's clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixMs {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// What the `shutdown` command calls: it only asks for the end, [`Server::stop`] brings it.
pub type ShutDown = Arc<dyn Fn() + Send + Sync>;

/// A running server.
pub struct Server {
    addresses: Vec<SocketAddr>,
    threads: Threads,
}

impl Server {
    /// Opens, recovers and serves. When this returns, requests are answered.
    ///
    /// # Errors
    /// An address that cannot be bound, a data directory that cannot be used, or a log or store that is damaged: the
    /// fault says what and where, and nothing was overwritten.
    pub fn start(config: &Config, clock: Arc<dyn Clock>, shut_down: ShutDown) -> Result<Server, Fault> {
        let bound = ports::bind(&config.network)?;
        let addresses = ports::addresses(&bound);
        let opened = open::open(config, &clock)?;
        let threads = Threads::spawn(config, clock, bound, opened, shut_down)?;
        ports::tell(&config.network, &addresses)?;
        Ok(Server { addresses, threads })
    }

    /// The TCP addresses that it listens on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Reads the users' file again (SIGHUP).
    pub fn reload(&self) {
        self.threads.reload();
    }

    /// Ends it: no more requests, a checkpoint of everything, the log closed.
    pub fn stop(self) -> Result<(), Fault> {
        self.threads.stop()
    }
}

/// A server without sockets and threads, for tests and tools: connections are turned by whoever holds it. Nothing is
/// synced, checkpointed, swept or warmed.
pub struct Embedded {
    /// Gives requests their meaning.
    pub backend: Dispatch,
    _directory: Option<Directory>,
}

/// What an embedded server cannot do.
struct Alone;

impl Control for Alone {
    fn shut_down(&self) {}

    fn want_wake(&self, _: usize) {}
}

impl Embedded {
    /// Opens and recovers.
    ///
    /// # Errors
    /// As [`Server::start`], but for addresses.
    pub fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Embedded, Fault> {
        let opened = open::open(config, clock)?;
        let backend = threads::dispatch(config, clock, &opened, &Arc::default(), &[], Arc::new(Alone))?;
        Ok(Embedded { backend, _directory: opened.directory })
    }
}
