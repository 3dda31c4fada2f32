//! A worker beside a clock that the test moves: who is told of, and who is closed.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mio::Events;
use parking_lot::Mutex;

use super::stream::{Accepted, Stream};
use super::worker::Surroundings;
use super::{Settings, Wake, Worker};
use crate::base::command::{Command, Keys};
use crate::base::limits::{OUTBOX_BYTES_MAX, PARKED_LONG_S};
use crate::base::lsn::Lsn;
use crate::base::reply::Sink;
use crate::base::time::{Clock, UnixMs};
use crate::conn::registry::{Registry, Traffic};
use crate::conn::{Ask, Backend, Outbox, Verdict};
use crate::peer::{Answered, NotNow, Owner, Question};
use crate::proto::{Limits, Request, Step};

const BEGIN_S: u64 = 1_700_000_000;
const LONG_S: u64 = PARKED_LONG_S as u64;
const IDLE_TIMEOUT_S: u32 = 1;

#[derive(Default)]
struct Standing(AtomicU64);

impl Clock for Standing {
    fn now(&self) -> UnixMs {
        UnixMs(self.0.load(Ordering::SeqCst))
    }
}

/// Answers by the key that is asked for.
#[derive(Default)]
struct Scripted {
    limits: Limits,
    asked: AtomicU64,
    told_s: Mutex<Vec<u32>>,
    safe: AtomicU64,
}

impl Backend for Scripted {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn foresee<'s>(&self, _: impl Iterator<Item = &'s Step<'s>>) {}

    fn execute(&self, request: &Request<'_>, _: &mut Ask<'_>, out: &mut Outbox) -> Verdict {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let Command::Read(Keys(key), _) = request.command else { return Verdict::Close };
        let mut lsn = Lsn::ZERO;
        match key.trim_ascii() {
            b"busy" => return Verdict::Parked { resume: 0 },
            b"unsafe" => lsn = Lsn(1),
            b"elsewhere" => _ = out.reserve(1),
            b"large" => out.put(&vec![b'v'; OUTBOX_BYTES_MAX]),
            _ => {}
        }
        out.put(b"END\r\n");
        out.seal(lsn);
        Verdict::Done
    }

    fn note_delay(&self, _: UnixMs, waited_s: u32) {
        self.told_s.lock().push(waited_s);
    }

    fn want_wake(&self, _: usize) {}

    fn repin(&self, _: usize, _: usize) {}

    fn end_turn(&self) {}

    fn safe_lsn(&self) -> Lsn {
        Lsn(self.safe.load(Ordering::SeqCst))
    }

    fn is_stopped(&self) -> bool {
        false
    }

    fn wants_authentication(&self) -> bool {
        false
    }
}

impl Owner for Scripted {
    fn answer(&self, _: &Question<'_>, _: UnixMs) -> Answered {
        Answered::NotNow(NotNow::Busy)
    }

    fn answer_part(
        &self,
        _: (&Question<'_>, &[u8]),
        _: bool,
        _: UnixMs,
        _: &mut Vec<u8>,
    ) -> Result<Lsn, NotNow> {
        Err(NotNow::Busy)
    }

    fn peer_limits(&self) -> &Limits {
        &self.limits
    }
}

/// A worker, and what it knows of the world.
struct Fixture {
    backend: Arc<Scripted>,
    clock: Arc<Standing>,
    registry: Arc<Registry>,
    traffic: Arc<Traffic>,
    worker: Worker<Scripted>,
    wake: Wake,
    events: Events,
}

impl Fixture {
    fn new() -> Fixture {
        let (backend, clock) = (Arc::new(Scripted::default()), Arc::new(Standing::default()));
        clock.0.store(BEGIN_S * 1000, Ordering::SeqCst);
        let (registry, traffic) = (Arc::new(Registry::default()), Arc::new(Traffic::default()));
        let around = Surroundings {
            backend: Arc::clone(&backend),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            registry: Arc::clone(&registry),
            open: Arc::default(),
            stop: Arc::default(),
            settings: Settings { turn_requests: 20, idle_timeout_s: IDLE_TIMEOUT_S },
            roster: None,
            dialer: None,
        };
        let worker = Worker::new(0, Arc::clone(&traffic), around).unwrap();
        let wake = worker.inlet().1;
        Fixture { backend, clock, registry, traffic, worker, wake, events: Events::with_capacity(8) }
    }

    /// A client whose read of this key has been looked at.
    fn ask(&mut self, key: &str) -> UnixStream {
        let (mut client, ours) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let stream = Stream::Unix(mio::net::UnixStream::from_std(ours));
        let accepted = Accepted { stream, address: "a".into(), listen_address: "l".into(), is_peer: false };
        self.worker.inlet().0.send(accepted).unwrap();
        let asked = self.backend.asked.load(Ordering::SeqCst);
        client.write_all(format!("get {key}\r\n").as_bytes()).unwrap();
        while self.backend.asked.load(Ordering::SeqCst) == asked {
            self.turn();
        }
        client
    }

    fn turn(&mut self) {
        (self.wake)();
        self.worker.wait_and_turn(&mut self.events).unwrap();
    }

    /// A turn so long after the beginning.
    fn turn_at(&mut self, after_s: u64) {
        self.clock.0.store((BEGIN_S + after_s) * 1000 + 999, Ordering::SeqCst);
        self.turn();
    }
}

#[test]
fn who_waits_long_is_told_of_once_a_second() {
    let mut fixture = Fixture::new();
    let _client = fixture.ask("busy");
    for waited_s in [0, 1, LONG_S - 1, LONG_S, LONG_S, LONG_S + 1, LONG_S + 1] {
        fixture.turn_at(waited_s);
    }
    assert_eq!(*fixture.backend.told_s.lock(), [PARKED_LONG_S, PARKED_LONG_S + 1]);
}

#[test]
fn who_is_owed_a_reply_is_not_idle() {
    for (key, closed) in [("k", 1), ("busy", 0), ("unsafe", 0), ("elsewhere", 0), ("large", 0)] {
        let mut fixture = Fixture::new();
        let _client = fixture.ask(key);
        fixture.turn_at(60);
        let kicks = fixture.traffic.idle_kicks.read();
        assert_eq!((kicks, fixture.registry.clients()), (closed, 1 - closed as usize), "{key}");
    }
}

#[test]
fn who_has_been_answered_is_idle_again() {
    let mut fixture = Fixture::new();
    let mut client = fixture.ask("unsafe");
    fixture.turn_at(60);
    fixture.backend.safe.store(1, Ordering::SeqCst);
    fixture.turn_at(61);
    let mut said = [0; 5];
    client.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"END\r\n");
    fixture.turn_at(62);
    assert_eq!(fixture.traffic.idle_kicks.read(), 1);
}
