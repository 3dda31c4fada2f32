//! The assembly: open, recover, spawn, join, stop, in that order.
//!
//! May import: everything. Nothing imports it but `main.rs` and the tests.

mod banner;
mod certificates;
mod cluster;
pub mod log_limit;
mod looking;
mod open;
mod patience;
mod ports;
pub mod process;
pub mod readiness;
mod shown;
mod threads;
mod timed_disk;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::admin::{Admin, Pulse};
use crate::base::fault::Fault;
use crate::base::time::{Clock, UnixMs};
use crate::binlog::Log;
use crate::config::Config;
use crate::dispatch::{Control, Dispatch};
use crate::group::keeper::Keeper;
use crate::group::sweep::Sweeper;
use crate::store::directory::Directory;
use certificates::Certificates;
pub use open::{Disks, StoreDisks};
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
    datagrams: Vec<SocketAddr>,
    threads: Threads,
    admin: Option<Admin>,
}

impl Server {
    /// Opens, recovers and serves. When this returns, requests are answered.
    ///
    /// # Errors
    /// An address that cannot be bound, a data directory that cannot be used, or a log or store that is damaged: the
    /// fault says what and where, and nothing was overwritten.
    pub fn start(config: &Config, clock: Arc<dyn Clock>, shut_down: ShutDown) -> Result<Server, Fault> {
        Server::start_on(config, clock, shut_down, &Disks::default())
    }

    /// As [`Server::start`], on these disks instead of what lies in the data directory.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_on(
        config: &Config,
        clock: Arc<dyn Clock>,
        shut_down: ShutDown,
        disks: &Disks,
    ) -> Result<Server, Fault> {
        let plan = cluster::Plan::read(config)?;
        let config = &plan.as_ref().map_or_else(|| Ok(config.clone()), |plan| plan.fit(config))?;
        let certificates = Certificates::read(config, &clock)?;
        let mut bound = ports::bind(&config.network, certificates.as_ref())?;
        let addresses = ports::addresses(&bound);
        let bound_datagrams = ports::bind_datagrams(&config.network)?;
        let datagrams: Vec<SocketAddr> = bound_datagrams.iter().map(|bound| bound.address).collect();
        // Before recovery, which may take a while: who asks whether the server is ready is told so.
        let pulse: Arc<Pulse> = Arc::default();
        let admin = looking::open(config, &pulse)?;
        let mut opened = open::open_on(config, &clock, disks)?;
        if let Some(plan) = plan {
            let cluster = plan.decide(&opened.groups, std::mem::take(&mut opened.transfers))?;
            bound.extend(cluster::bind(&cluster, config.network.backlog, certificates.as_ref())?);
            opened.cluster = Some(cluster);
        }
        let placement = opened.placement;
        let threads = Threads::spawn(
            config,
            Arc::clone(&clock),
            (bound, bound_datagrams, certificates),
            opened,
            shut_down,
            pulse,
        )?;
        if let Some(admin) = &admin {
            admin.show(threads.view(clock, ports::listed(&config.network, &addresses)));
        }
        ports::tell(&config.network, &addresses, &datagrams)?;
        for line in banner::lines(config, placement, &ports::named(&config.network, &addresses)) {
            log::info!("{line}");
        }
        Ok(Server { addresses, datagrams, threads, admin })
    }

    /// The TCP addresses that it listens on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The UDP addresses that it takes datagrams at.
    pub fn datagram_addresses(&self) -> &[SocketAddr] {
        &self.datagrams
    }

    /// Where the admin port listens, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// Reads the users' file, the certificates and the map of the cluster again (SIGHUP).
    pub fn reload(&self) {
        self.threads.reload();
    }

    /// Ends it: no more requests, a checkpoint of everything, the log closed.
    pub fn stop(self) -> Result<(), Fault> {
        if let Some(admin) = &self.admin {
            admin.tell_stopping();
        }
        self.threads.stop()
    }
}

/// A server without sockets and threads, for tests and tools: connections are turned by whoever holds it, and so is
/// everything that threads would do. Nothing is synced, checkpointed, swept or warmed of itself.
pub struct Embedded {
    /// Gives requests their meaning.
    pub backend: Dispatch,
    /// Checkpoints: [`Keeper::tend`] is one turn of its thread.
    pub keeper: Keeper,
    /// Expires: [`Sweeper::sweep`] is one pass over one group.
    pub sweeper: Sweeper,
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
        Embedded::over(config, clock, open::open_on(config, clock, &Disks::default())?)
    }

    /// Opens and recovers on these disks instead of what lies in the data directory.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn open_on(config: &Config, clock: &Arc<dyn Clock>, disks: &Disks) -> Result<Embedded, Fault> {
        Embedded::over(config, clock, open::open_on(config, clock, disks)?)
    }

    fn over(config: &Config, clock: &Arc<dyn Clock>, opened: open::Opened) -> Result<Embedded, Fault> {
        let backend = threads::dispatch(config, clock, &opened, &Arc::default(), &[], Arc::new(Alone))?;
        let (groups, shared) = (opened.groups, opened.shared);
        let stop: Arc<AtomicBool> = Arc::default();
        let sweeper = Sweeper {
            groups: Arc::clone(&groups),
            shared: Arc::clone(&shared),
            clock: Arc::clone(clock),
            stop: Arc::clone(&stop),
            bell: Arc::default(),
        };
        let (ceiling, ledger, reserve) = (opened.ceiling, opened.ledger, opened.reserve);
        let keeper = Keeper {
            groups,
            shared,
            clock: Arc::clone(clock),
            ceiling,
            ledger,
            reserve,
            limiter: opened.limiter,
            evictor: Default::default(),
            onlooker: None,
            compactor: Default::default(),
            stop,
        };
        Ok(Embedded { backend, keeper, sweeper, _directory: opened.directory })
    }

    /// The log; none under `--memory-only`.
    pub fn log(&self) -> Option<&Log> {
        self.backend.shared.log.get().map(Arc::as_ref)
    }

    /// One round of the threads of the log, without the syncing that the level asks for: writes what is pending, takes
    /// back what was trimmed, keeps a segment ready.
    pub fn tend_log(&self) {
        if let Some(log) = self.log() {
            log.tend();
        }
    }
}
