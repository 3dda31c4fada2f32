//! The threads of a running server: who they are, how they begin and how they end.
//!
//! Workers and the listener serve; the log thread writes and syncs; the keeper checkpoints; the sweeper expires; the
//! warmer reads the store into memory once and ends; the readers read rows that would keep a worker waiting.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use super::ShutDown;
use super::certificates::Certificates;
use super::cluster::name_of;
use super::open::Opened;
use crate::admin::{Observed, Pulse, Recorder, View};
use crate::base::fault::{Fault, FaultKind};
use crate::base::limits::READERS;
use crate::base::time::Clock;
use crate::binlog::Subscription;
use crate::config::Config;
use crate::conn::registry::{Registry, Traffic};
use crate::dispatch::{Control, Dispatch, dump::Crawler, prefixes::Prefixes, users::Users};
use crate::group::keeper::{Bell, Keeper, Onlooker};
use crate::group::sweep::Sweeper;
use crate::group::warmup::{Warmth, warm_up};
use crate::net::worker::{Settings, Surroundings};
use crate::net::{Bound, BoundDatagrams, Listener, Wake, Worker};
use crate::store::directory::Directory;

/// Everything that runs.
pub(super) struct Threads {
    serving: Vec<JoinHandle<()>>,
    keeping: Vec<JoinHandle<()>>,
    log_thread: Option<JoinHandle<()>>,
    wakes: Vec<Wake>,
    stop: Arc<AtomicBool>,
    sweep_bell: Arc<Bell>,
    keeper: Arc<Keeper>,
    dispatch: Arc<Dispatch>,
    /// What each worker records for whoever looks.
    recorders: Vec<Arc<Recorder>>,
    pulse: Arc<Pulse>,
    control: Arc<Wiring>,
    /// Locked until everything has ended.
    _directory: Option<Directory>,
}

/// What the dispatch needs of the threads.
struct Wiring {
    shut_down: ShutDown,
    /// Each worker's place among those whom the log wakes.
    subscriptions: OnceLock<Vec<Subscription>>,
    /// What TLS is made of, if there is TLS.
    certificates: Option<Arc<Certificates>>,
}

impl Control for Wiring {
    fn shut_down(&self) {
        (self.shut_down)();
    }

    fn want_wake(&self, worker: usize) {
        if let Some(subscription) = self.subscriptions.get().and_then(|all| all.get(worker)) {
            subscription.ask();
        }
    }

    fn refresh_certs(&self) -> Option<Result<(), String>> {
        self.certificates.as_ref().map(|certificates| certificates.refresh())
    }
}

/// The backend over what was opened.
pub(super) fn dispatch(
    config: &Config,
    clock: &Arc<dyn Clock>,
    opened: &Opened,
    registry: &Arc<Registry>,
    traffic: &[Arc<Traffic>],
    control: Arc<dyn Control>,
) -> Result<Dispatch, Fault> {
    Ok(Dispatch {
        placement: opened.placement,
        groups: Arc::clone(&opened.groups),
        cluster: opened.cluster.clone(),
        shared: Arc::clone(&opened.shared),
        limits: super::shown::limits(config),
        settings: super::shown::settings(config, clock.now()),
        registry: Arc::clone(registry),
        traffic: traffic.to_vec(),
        users: config.allow.auth_file.clone().map(Users::open).transpose()?,
        control,
        crawler: Crawler::new(config.shown.crawler),
        prefixes: Prefixes::new(config.prefixes.delimiter, config.prefixes.counted),
        flushes: AtomicU64::new(0),
        broken_values: AtomicU64::new(0),
        inspections: AtomicU64::new(0),
        auth_commands: AtomicU64::new(0),
        auth_errors: AtomicU64::new(0),
    })
}

impl Threads {
    /// Starts everything over what was opened.
    pub(super) fn spawn(
        config: &Config,
        clock: Arc<dyn Clock>,
        (bound, datagrams, certificates): (Vec<Bound>, Vec<BoundDatagrams>, Option<Arc<Certificates>>),
        opened: Opened,
        shut_down: ShutDown,
        pulse: Arc<Pulse>,
    ) -> Result<Threads, Fault> {
        let stop = Arc::new(AtomicBool::new(false));
        let tls = certificates.as_ref().map(|certificates| Arc::clone(&certificates.counts));
        let registry = Arc::new(Registry::counting(tls.unwrap_or_default()));
        let dialer = match (&certificates, &opened.cluster) {
            (Some(certificates), Some(cluster)) => certificates.dialer(name_of(cluster))?,
            _ => None,
        };
        let traffic: Vec<Arc<Traffic>> = (0..config.network.threads).map(|_| Arc::default()).collect();
        let control = Arc::new(Wiring { shut_down, subscriptions: OnceLock::new(), certificates });
        let dispatch =
            dispatch(config, &clock, &opened, &registry, &traffic, Arc::clone(&control) as Arc<dyn Control>)?;
        let dispatch = Arc::new(dispatch);
        let keeper = Arc::new(Keeper {
            groups: Arc::clone(&opened.groups),
            shared: Arc::clone(&opened.shared),
            clock: Arc::clone(&clock),
            ceiling: opened.ceiling,
            ledger: opened.ledger,
            reserve: opened.reserve,
            limiter: opened.limiter,
            evictor: Default::default(),
            onlooker: Some(Arc::clone(&dispatch) as Arc<dyn Onlooker>),
            compactor: Default::default(),
            stop: Arc::clone(&stop),
        });
        let mut threads = Threads {
            serving: Vec::new(),
            keeping: Vec::new(),
            log_thread: None,
            wakes: Vec::new(),
            stop: Arc::clone(&stop),
            sweep_bell: Arc::default(),
            keeper,
            dispatch: Arc::clone(&dispatch),
            recorders: traffic.iter().map(|_| Arc::default()).collect(),
            pulse,
            control,
            _directory: opened.directory,
        };
        threads.keep(&clock)?;
        let around = Surroundings {
            backend: dispatch,
            clock,
            registry: Arc::clone(&registry),
            open: Arc::new(AtomicUsize::new(0)),
            stop,
            settings: Settings {
                turn_requests: config.network.turn_requests,
                idle_timeout_s: config.network.idle_timeout_s.unwrap_or(0),
            },
            roster: opened.cluster.as_ref().map(|cluster| Arc::clone(&cluster.roster)),
            dialer,
        };
        threads
            .serve(config, &around, traffic, (bound, datagrams))
            .map_err(|error| Fault::new(FaultKind::Io, format!("cannot start serving: {error}")))?;
        Ok(threads)
    }

    /// Starts the log thread, the keeper, the sweeper and the warmer.
    fn keep(&mut self, clock: &Arc<dyn Clock>) -> Result<(), Fault> {
        let shared = Arc::clone(&self.keeper.shared);
        if let Some(log) = shared.log.get().cloned() {
            self.log_thread = Some(spawn("log", move || crate::binlog::run(&log))?);
        }
        let keeper = Arc::clone(&self.keeper);
        self.keeping.push(spawn("keeper", move || keeper.run())?);
        let sweeper = Sweeper {
            groups: Arc::clone(&self.keeper.groups),
            shared,
            clock: Arc::clone(clock),
            stop: Arc::clone(&self.stop),
            bell: Arc::clone(&self.sweep_bell),
        };
        self.keeping.push(spawn("sweeper", move || sweeper.run())?);
        let (groups, stop) = (Arc::clone(&self.keeper.groups), Arc::clone(&self.stop));
        self.keeping.push(spawn("warmer", move || {
            let began = std::time::Instant::now();
            match warm_up(&groups, || !stop.load(Ordering::Acquire)) {
                Ok(Warmth::Complete) => {
                    log::info!("warm: everything is in memory after {:?}", began.elapsed())
                }
                Ok(Warmth::Full) => log::info!("warm: memory is full after {:?}", began.elapsed()),
                Ok(Warmth::Stopped) => {}
                Err(fault) => log::error!("warming up ended early: {fault}"),
            }
        })?);
        Ok(())
    }

    /// Starts the workers, and the listener last: whoever connects is served.
    fn serve(
        &mut self,
        config: &Config,
        around: &Surroundings<Dispatch>,
        traffic: Vec<Arc<Traffic>>,
        (bound, datagrams): (Vec<Bound>, Vec<BoundDatagrams>),
    ) -> io::Result<()> {
        let mut shares = dealt(datagrams, traffic.len()).into_iter();
        let mut inlets = Vec::new();
        let mut workers = Vec::new();
        for (index, traffic) in traffic.into_iter().enumerate() {
            let mut worker = Worker::new(index, traffic, around.with(self.backend(index, &around.clock)))?;
            worker.take_datagrams(shares.next().unwrap_or_default())?;
            let (inlet, wake) = worker.inlet();
            self.wakes.push(Arc::clone(&wake));
            inlets.push((inlet, wake));
            workers.push(worker);
        }
        self.subscribe();
        self.read_ahead().map_err(io::Error::other)?;
        for worker in workers {
            self.serving
                .push(spawn("worker", move || ended("worker", worker.run())).map_err(io::Error::other)?);
        }
        let (listener, wake) = Listener::new(
            bound,
            inlets,
            Arc::clone(&around.registry),
            Arc::clone(&around.open),
            config.network.connections_max,
            Arc::clone(&self.stop),
        )?;
        self.wakes.push(wake);
        self.serving
            .push(spawn("listener", move || ended("listener", listener.run())).map_err(io::Error::other)?);
        Ok(())
    }

    /// The backend as this worker uses it.
    fn backend(&self, worker: usize, clock: &Arc<dyn Clock>) -> Arc<Observed> {
        let recorder = self.recorders.get(worker).cloned().unwrap_or_default();
        let (dispatch, pulse) = (Arc::clone(&self.dispatch), Arc::clone(&self.pulse));
        Arc::new(Observed::new(dispatch, recorder, pulse, Arc::clone(clock)))
    }

    /// What there is to look at.
    pub(super) fn view(&self, clock: Arc<dyn Clock>, addresses: Vec<String>) -> View {
        View { dispatch: Arc::clone(&self.dispatch), recorders: self.recorders.clone(), clock, addresses }
    }

    /// Starts the readers. Without files there is nothing to read.
    fn read_ahead(&mut self) -> Result<(), Fault> {
        if self.keeper.ledger.is_none() {
            return Ok(());
        }
        self.keeper.shared.readers.begin(self.wakes.clone());
        for _ in 0..READERS {
            let (keeper, stop) = (Arc::clone(&self.keeper), Arc::clone(&self.stop));
            self.keeping.push(spawn("reader", move || keeper.shared.readers.run(&keeper.groups, &stop))?);
        }
        Ok(())
    }

    /// Lets the log wake the workers.
    fn subscribe(&self) {
        let Some(log) = self.keeper.shared.log.get() else { return };
        let subscriptions = self.wakes.iter().map(|wake| log.subscribe(Arc::clone(wake))).collect();
        let _ = self.control.subscriptions.set(subscriptions);
    }

    pub(super) fn reload(&self) {
        if let Some(users) = &self.dispatch.users {
            match users.reload() {
                Ok(()) => log::info!("the users were read again"),
                Err(fault) => log::error!("the users stay as they were: {fault}"),
            }
        }
        // What comes of these is in the log.
        let _ = self.control.refresh_certs();
        let _ = self.dispatch.renew_map();
    }

    /// Ends all threads in the order that loses nothing: first who takes requests, then who works on them, then a
    /// checkpoint, and the log last.
    pub(super) fn stop(mut self) -> Result<(), Fault> {
        self.stop.store(true, Ordering::Release);
        for wake in &self.wakes {
            wake();
        }
        self.keeper.shared.bell.ring();
        self.keeper.shared.readers.end(READERS);
        self.sweep_bell.ring();
        join(&mut self.serving);
        join(&mut self.keeping);
        let result = self.keeper.checkpoint_all();
        if let Some(log) = self.keeper.shared.log.get() {
            log.close();
        }
        join(&mut self.log_thread.take().into_iter().collect());
        result
    }
}

/// Deals out sockets, one after the other, to so many workers.
fn dealt(sockets: Vec<BoundDatagrams>, workers: usize) -> Vec<Vec<BoundDatagrams>> {
    let mut shares: Vec<Vec<BoundDatagrams>> = (0..workers).map(|_| Vec::new()).collect();
    for (index, socket) in sockets.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(index % workers.max(1)) {
            share.push(socket);
        }
    }
    shares
}

/// A thread that panics ends the process: what it left half done must not go on, and the log makes the end safe.
fn spawn(name: &'static str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Fault> {
    let guarded = move || {
        if catch_unwind(AssertUnwindSafe(body)).is_err() {
            log::error!(
                "the {name} thread panicked: ending the process; what was acknowledged is in the log"
            );
            std::process::abort();
        }
    };
    thread::Builder::new()
        .name(name.into())
        .spawn(guarded)
        .map_err(|error| Fault::new(FaultKind::Io, format!("cannot start the {name} thread: {error}")))
}

fn ended(name: &str, result: io::Result<()>) {
    if let Err(error) = result {
        log::error!("the {name} ended: {error}");
    }
}

fn join(threads: &mut Vec<JoinHandle<()>>) {
    for handle in threads.drain(..) {
        if handle.join().is_err() {
            log::error!("a thread ended by a panic");
        }
    }
}
