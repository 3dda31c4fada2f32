//! One server as a client sees it: the connections to it that nobody uses, and whether it is up.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::connection::{Connection, Patience};
use super::error::Why;
use super::operation::{Action, Operation};
use super::options::Options;
use super::reply::{Progress, Reader};
use super::request::Chunk;
use super::schedule::Schedule;
use crate::route::topology::Address;

/// A server, shared by all threads of a client and by the thread that probes it while it is down.
pub(super) struct Endpoint {
    pub(super) address: Address,
    pub(super) options: Options,
    idle: Mutex<Vec<Connection>>,
    down: AtomicBool,
    /// Requests in a row that ended badly.
    failures: AtomicU32,
    /// Whether the client has no more use for this server.
    retired: Mutex<bool>,
    retirement: Condvar,
    /// Told when it goes down or comes back: others may have its groups then.
    schedule: Arc<Schedule>,
}

/// A connection that is somebody's.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) connection: Connection,
    /// It has served before, so that the server may have closed it meanwhile.
    pub(super) reused: bool,
}

impl Endpoint {
    pub(super) fn new(address: Address, options: Options, schedule: Arc<Schedule>) -> Arc<Endpoint> {
        Arc::new(Endpoint {
            address,
            options,
            idle: Mutex::default(),
            down: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            retired: Mutex::default(),
            retirement: Condvar::new(),
            schedule,
        })
    }

    pub(super) fn is_up(&self) -> bool {
        !self.down.load(Ordering::Relaxed)
    }

    /// A connection that looks alive: a kept one or a new one.
    pub(super) fn take(self: &Arc<Endpoint>) -> Result<Taken, Why> {
        if !self.is_up() {
            return Err(Why::Down);
        }
        while let Some(mut connection) = self.pop_idle() {
            if connection.is_quiet() {
                return Ok(Taken { connection, reused: true });
            }
        }
        self.connect()
    }

    /// A new connection. One that cannot be had marks the server down.
    pub(super) fn connect(self: &Arc<Endpoint>) -> Result<Taken, Why> {
        match self.open() {
            Ok(connection) => Ok(Taken { connection, reused: false }),
            Err(why) => {
                self.mark_down();
                Err(why)
            }
        }
    }

    /// Keeps a connection on which every answer has come.
    pub(super) fn give_back(&self, mut connection: Connection) {
        self.failures.store(0, Ordering::Relaxed);
        if !connection.is_clean() || *lock(&self.retired) {
            return;
        }
        connection.shrink();
        let mut idle = lock(&self.idle);
        if idle.len() < self.options.idle_connections_max {
            idle.push(connection);
        }
    }

    /// A connection broke or an answer did not come.
    pub(super) fn failed(self: &Arc<Endpoint>) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures >= self.options.failures_max {
            self.mark_down();
        }
    }

    /// Ends the probing and closes what is idle: the client is gone, or the map no longer names this server.
    pub(super) fn retire(&self) {
        *lock(&self.retired) = true;
        self.retirement.notify_all();
        lock(&self.idle).clear();
    }

    fn pop_idle(&self) -> Option<Connection> {
        lock(&self.idle).pop()
    }

    /// Requests fail at once from now on, until a probe is answered.
    fn mark_down(self: &Arc<Endpoint>) {
        if self.down.swap(true, Ordering::Relaxed) {
            return;
        }
        lock(&self.idle).clear();
        self.schedule.hint();
        log::warn!("{} is down: probing it", self.address);
        let endpoint = Arc::clone(self);
        let spawned = thread::Builder::new().name("larder-probe".into()).spawn(move || endpoint.probe());
        if spawned.is_err() {
            // Nobody would ever find it up again.
            self.down.store(false, Ordering::Relaxed);
        }
    }

    /// Asks for the version, ever more rarely, until the server answers.
    fn probe(&self) {
        let mut wait = self.options.probe_first;
        while !self.retired_within(wait) {
            if let Some(connection) = self.answers() {
                log::info!("{} is up again", self.address);
                self.give_back(connection);
                self.down.store(false, Ordering::Relaxed);
                self.schedule.hint();
                return;
            }
            wait = wait.saturating_mul(2).min(self.options.probe_max);
        }
    }

    /// Whether the server was retired before so long had passed.
    fn retired_within(&self, wait: Duration) -> bool {
        let retired = lock(&self.retired);
        let waited = self.retirement.wait_timeout_while(retired, wait, |retired| !*retired);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// A connection on which the server has answered.
    fn answers(&self) -> Option<Connection> {
        let mut connection = self.open().ok()?;
        self.ask(&mut connection, Action::Version).ok()?;
        Some(connection)
    }

    /// A new connection that may be asked everything.
    fn open(&self) -> Result<Connection, Why> {
        let mut connection = Connection::open(&self.address, &self.options)?;
        if let Some(login) = &self.options.login {
            let token = format!("{} {}", login.name, login.password);
            self.ask(&mut connection, Action::Login(token.as_bytes()))?;
        }
        Ok(connection)
    }

    /// Asks something whose answer is one line, before anything else is asked on this connection.
    fn ask(&self, connection: &mut Connection, action: Action<'_>) -> Result<(), Why> {
        let operations = [Operation { key: b"", action }];
        let mut chunk = Chunk::default();
        chunk.fill(&operations, &[0], &mut 0);
        connection.send(&chunk.bytes).map_err(|unsent| unsent.why)?;
        let mut reader = Reader::new(operations.iter().collect());
        let mut patience = Patience::from(Instant::now(), &self.options);
        match connection.receive(&mut patience, |frame| reader.take(frame))? {
            Progress::Refused(_, text) => Err(Why::Login(text)),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("address", &self.address).field("up", &self.is_up()).finish()
    }
}

/// What a panicking thread leaves in these locks is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
