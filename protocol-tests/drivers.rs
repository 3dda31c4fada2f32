//! The servers under test as wires: in process, and over TCP with one and four workers. Their clock is the test's.
use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder::base::limits::OUTBOX_BYTES_MAX;
use larder::base::time::{Clock, UnixMs};
use larder::config::{self, Config, Machine};
use larder::conn::outbox::SLICES_MAX;
use larder::conn::{Backend, Connection, Progress};
use larder::server::{Embedded, Server};

use crate::transcript::tcp::{self, TcpWire};
use crate::transcript::{ConnId, Received, Wire};

/// When the test's clock begins: some moment of 2023.
const BEGIN_MS: u64 = 1_700_000_000_000;
/// Requests of one turn.
const TURN_REQUESTS: usize = 20;

/// A clock that stands still until the test moves it.
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn new() -> Arc<TestClock> {
        Arc::new(TestClock(AtomicU64::new(BEGIN_MS)))
    }

    pub(crate) fn advance(&self, seconds: i64) {
        let ms = seconds.unsigned_abs() * 1000;
        if seconds < 0 {
            self.0.fetch_sub(ms, Ordering::SeqCst);
        } else {
            self.0.fetch_add(ms, Ordering::SeqCst);
        }
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixMs {
        UnixMs(self.0.load(Ordering::SeqCst))
    }
}

/// The configuration that these words ask for.
///
/// # Panics
/// When they are refused.
pub(crate) fn configured<'a>(words: impl IntoIterator<Item = &'a str>) -> Config {
    let machine = Machine { cores: 2, working_dir: std::env::temp_dir(), port_file: None, sasl_file: None };
    config::read(words.into_iter().map(Into::into), &machine).unwrap_or_else(|stop| panic!("{stop:?}"))
}

/// So often a parked request is tried again: whatever it waits for, the keeper has done by then.
const PARKED_TRIES_MAX: usize = 100;

/// A server in this process, without sockets.
pub(crate) struct InProcess {
    pub(crate) server: Embedded,
    pub(crate) clock: Arc<TestClock>,
    /// Whether the threads of the log are played after each request.
    tends_log: bool,
    connections: BTreeMap<usize, Connection>,
    opened: usize,
}

impl InProcess {
    pub(crate) fn start(options: &[String]) -> Result<InProcess, String> {
        let clock = TestClock::new();
        let words = ["--memory-only"].into_iter().chain(options.iter().map(String::as_str));
        let shared = Arc::clone(&clock) as Arc<dyn Clock>;
        let server = Embedded::open(&configured(words), &shared).map_err(|fault| fault.to_string())?;
        server.backend.registry.enter("tcp:127.0.0.1:1".into(), None, 0);
        Ok(InProcess { server, clock, tends_log: false, connections: BTreeMap::new(), opened: 0 })
    }

    /// A server that keeps its data, over what is there. All that its threads would do is done between requests.
    pub(crate) fn keeping(config: &Config, clock: &Arc<TestClock>) -> InProcess {
        let shared = Arc::clone(clock) as Arc<dyn Clock>;
        let server = Embedded::open(config, &shared).unwrap_or_else(|fault| panic!("{fault}"));
        InProcess {
            server,
            clock: Arc::clone(clock),
            tends_log: true,
            connections: BTreeMap::new(),
            opened: 0,
        }
    }
}

impl Wire for InProcess {
    fn connect(&mut self) -> ConnId {
        self.opened += 1;
        let now_s = self.clock.now().seconds();
        let registry = &self.server.backend.registry;
        registry.enter("tcp:127.0.0.1:2".into(), Some("tcp:127.0.0.1:1".into()), now_s);
        self.connections.insert(self.opened, Connection::default());
        ConnId(self.opened)
    }

    fn send(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(&conn.0) else { return };
        let backend = &self.server.backend;
        let mut progress = connection.turn(bytes, TURN_REQUESTS, self.clock.now(), backend);
        let mut parked = 0;
        while matches!(progress, Progress::Again | Progress::Parked)
            || progress == Progress::Blocked && connection.outbox.unsent_bytes() < OUTBOX_BYTES_MAX
        {
            if progress == Progress::Parked {
                parked += 1;
                assert!(parked < PARKED_TRIES_MAX, "parked for ever: {}", String::from_utf8_lossy(bytes));
                self.server.tend_log();
                self.server.keeper.tend();
            }
            progress = connection.turn(&[], TURN_REQUESTS, self.clock.now(), backend);
        }
        backend.end_turn();
        if self.tends_log {
            self.server.tend_log();
        }
        connection.outbox.release(backend.safe_lsn());
    }

    fn receive(&mut self, conn: ConnId) -> Received {
        if self.connections.get(&conn.0).is_some_and(Connection::is_watching) {
            self.send(conn, &[]);
        }
        let Some(connection) = self.connections.get_mut(&conn.0) else { return Received::Closed };
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = connection.outbox.ready(&mut slices);
        let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        connection.outbox.advance(bytes.len());
        match (bytes.is_empty(), connection.is_closing()) {
            (false, _) => {
                // What a full outbox held up goes on now.
                self.send(conn, &[]);
                Received::Bytes(bytes)
            }
            (true, true) => Received::Closed,
            (true, false) => Received::Nothing,
        }
    }

    fn hang_up(&mut self, conn: ConnId) {
        self.connections.remove(&conn.0);
    }

    fn advance_clock(&mut self, seconds: i64) -> bool {
        self.clock.advance(seconds);
        true
    }

    fn exact_clock(&self) -> bool {
        true
    }
}

/// A server in this process, over TCP, keeping its data in a folder of its own.
pub(crate) struct OverTcp {
    server: Option<Server>,
    wire: TcpWire,
    _folder: tempfile::TempDir,
}

impl OverTcp {
    pub(crate) fn start(threads: usize, options: &[String]) -> Result<OverTcp, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let data_dir = folder.path().join("data").display().to_string();
        let threads = threads.to_string();
        let own = ["-p", "-1", "-t", &threads, "--groups", "4"];
        // Who keeps everything does not refuse for want of memory.
        let refuses = options.iter().any(|option| option == "-M");
        let kept = ["--data-dir", &data_dir, "--log-size", "16m"];
        let kept = if refuses { &["--memory-only"][..] } else { &kept[..] };
        let words = own.into_iter().chain(kept.iter().copied()).chain(options.iter().map(String::as_str));
        let clock = TestClock::new();
        let shared = Arc::clone(&clock) as Arc<dyn Clock>;
        let server =
            Server::start(&configured(words), shared, Arc::new(|| {})).map_err(|fault| fault.to_string())?;
        let address = *server.addresses().first().ok_or("no address")?;
        let lever = move |seconds| {
            clock.advance(seconds);
            true
        };
        let wire = TcpWire::new(address, tcp::Clock::Lever(Box::new(lever)));
        Ok(OverTcp { server: Some(server), wire, _folder: folder })
    }
}

#[cfg(feature = "tls")]
impl OverTcp {
    /// The same behind TLS, as a client that trusts this authority.
    pub(crate) fn behind_tls(
        threads: usize,
        authority: &crate::tls::authority::Authority,
        options: &[String],
    ) -> Result<OverTcp, String> {
        let words = ["-Z".to_owned(), "-o".to_owned(), authority.words()];
        let mut server = OverTcp::start(threads, &[&words, options].concat())?;
        let tls = larder::client::Tls::new(authority.certificate().as_bytes(), None)?;
        server.wire.get_behind(tls);
        Ok(server)
    }
}

impl Drop for OverTcp {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            let _ = server.stop();
        }
    }
}

impl Wire for OverTcp {
    fn connect(&mut self) -> ConnId {
        self.wire.connect()
    }

    fn send(&mut self, conn: ConnId, bytes: &[u8]) {
        self.wire.send(conn, bytes);
    }

    fn receive(&mut self, conn: ConnId) -> Received {
        self.wire.receive(conn)
    }

    fn hang_up(&mut self, conn: ConnId) {
        self.wire.hang_up(conn);
    }

    fn advance_clock(&mut self, seconds: i64) -> bool {
        self.wire.advance_clock(seconds)
    }

    fn exact_clock(&self) -> bool {
        true
    }
}
