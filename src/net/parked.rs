//! Parked requests that wait long: somebody should hear of them.

use crate::base::limits::PARKED_LONG_S;
use crate::base::time::UnixMs;

/// How long the longest has waited, seconds, if that is long. `read_at_s` says of each when its connection was read last:
/// a parked one is not read, and so whatever it has in hand is as old as that.
pub(super) fn longest_wait_s(now: UnixMs, read_at_s: impl Iterator<Item = u32>) -> Option<u32> {
    let oldest_s = read_at_s.min()?;
    Some(now.seconds().saturating_sub(oldest_s)).filter(|waited_s| *waited_s >= PARKED_LONG_S)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use mio::Events;
    use parking_lot::Mutex;

    use super::*;
    use crate::base::lsn::Lsn;
    use crate::base::time::Clock;
    use crate::conn::registry::{Registry, Traffic};
    use crate::conn::{Ask, Backend, Outbox, Verdict};
    use crate::net::stream::{Accepted, Stream};
    use crate::net::worker::Surroundings;
    use crate::net::{Settings, Worker};
    use crate::peer::{Answered, Owner, Question};
    use crate::proto::{Limits, Request, Step};

    const BEGIN_S: u64 = 1_700_000_000;
    const LONG_S: u64 = PARKED_LONG_S as u64;

    #[derive(Default)]
    struct Standing(AtomicU64);

    impl Clock for Standing {
        fn now(&self) -> UnixMs {
            UnixMs(self.0.load(Ordering::SeqCst))
        }
    }

    /// Puts off every request.
    #[derive(Default)]
    struct Busy {
        limits: Limits,
        put_off: AtomicU64,
        told_s: Mutex<Vec<u32>>,
    }

    impl Backend for Busy {
        fn limits(&self) -> &Limits {
            &self.limits
        }

        fn foresee<'s>(&self, _: impl Iterator<Item = &'s Step<'s>>) {}

        fn execute(&self, _: &Request<'_>, _: &mut Ask<'_>, _: &mut Outbox) -> Verdict {
            self.put_off.fetch_add(1, Ordering::SeqCst);
            Verdict::Parked { resume: 0 }
        }

        fn note_delay(&self, _: UnixMs, waited_s: u32) {
            self.told_s.lock().push(waited_s);
        }

        fn want_wake(&self, _: usize) {}

        fn repin(&self, _: usize, _: usize) {}

        fn end_turn(&self) {}

        fn safe_lsn(&self) -> Lsn {
            Lsn::ZERO
        }

        fn is_stopped(&self) -> bool {
            false
        }

        fn wants_authentication(&self) -> bool {
            false
        }
    }

    impl Owner for Busy {
        fn answer(&self, _: &Question<'_>, _: UnixMs) -> Answered {
            Answered::Busy
        }

        fn answer_part(&self, _: (&Question<'_>, &[u8]), _: bool, _: UnixMs, _: &mut Vec<u8>) -> Option<Lsn> {
            None
        }

        fn peer_limits(&self) -> &Limits {
            &self.limits
        }
    }

    #[test]
    fn who_waits_long_is_told_of_once_a_second() {
        let (backend, clock) = (Arc::new(Busy::default()), Arc::new(Standing::default()));
        clock.0.store(BEGIN_S * 1000, Ordering::SeqCst);
        let registry = Arc::new(Registry::default());
        let around = Surroundings {
            backend: Arc::clone(&backend),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            registry: Arc::clone(&registry),
            open: Arc::default(),
            stop: Arc::default(),
            settings: Settings { turn_requests: 20, idle_timeout_s: 1 },
            roster: None,
            dialer: None,
        };
        let mut worker = Worker::new(0, Arc::new(Traffic::default()), around).unwrap();
        let (mut client, ours) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let stream = Stream::Unix(mio::net::UnixStream::from_std(ours));
        let accepted = Accepted { stream, address: "a".into(), listen_address: "l".into(), is_peer: false };
        let (inlet, wake) = worker.inlet();
        inlet.send(accepted).unwrap();
        wake();
        client.write_all(b"get k\r\n").unwrap();
        let mut events = Events::with_capacity(8);
        while backend.put_off.load(Ordering::SeqCst) == 0 {
            worker.wait_and_turn(&mut events).unwrap();
        }
        for waited_s in [0, 1, LONG_S - 1, LONG_S, LONG_S, LONG_S + 1, LONG_S + 1] {
            clock.0.store((BEGIN_S + waited_s) * 1000 + 999, Ordering::SeqCst);
            worker.wait_and_turn(&mut events).unwrap();
        }
        assert_eq!(*backend.told_s.lock(), [PARKED_LONG_S, PARKED_LONG_S + 1]);
        assert_eq!(registry.clients(), 1, "who is made to wait is not idle");
    }
}
