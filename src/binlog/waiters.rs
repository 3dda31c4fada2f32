//! Who waits for the log, and how it is woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::base::lsn::Lsn;

use super::log::Log;

/// What is called when there is something new. It is called under locks of the log: it must not call the log, nor wait.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

pub(crate) struct Subscriber {
    waiting: AtomicBool,
    waker: Waker,
}

/// Somebody who is woken by the log, until it is dropped.
pub struct Subscription {
    log: Arc<Log>,
    subscriber: Arc<Subscriber>,
}

impl Subscription {
    /// Asks to be woken once when [`Log::safe_lsn`] rises above what is returned here.
    pub fn ask(&self) -> Lsn {
        // Asked first, read then: a rise between the two wakes once too often, never once too seldom.
        self.subscriber.waiting.store(true, SeqCst);
        self.log.safe_lsn()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.log.subscribers.write().retain(|other| !Arc::ptr_eq(other, &self.subscriber));
    }
}

impl Log {
    /// `waker` is called, by whichever thread, after the safe LSN rose if the subscriber had asked, and whenever
    /// the state changed or there is room again after a refusal.
    pub fn subscribe(self: &Arc<Log>, waker: Waker) -> Subscription {
        let subscriber = Arc::new(Subscriber { waiting: AtomicBool::new(false), waker });
        self.subscribers.write().push(Arc::clone(&subscriber));
        Subscription { log: Arc::clone(self), subscriber }
    }

    pub(crate) fn wake_waiting(&self) {
        for subscriber in self.subscribers.read().iter() {
            if subscriber.waiting.load(SeqCst) && subscriber.waiting.swap(false, SeqCst) {
                (subscriber.waker)();
            }
        }
    }

    pub(crate) fn wake_all(&self) {
        for subscriber in self.subscribers.read().iter() {
            subscriber.waiting.store(false, SeqCst);
            (subscriber.waker)();
        }
    }
}

/// Wakes one thread. Rung while nobody waits, it is heard at the next wait.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    condvar: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        let mut rung = self.rung.lock();
        if !*rung {
            *rung = true;
            self.condvar.notify_one();
        }
    }

    /// Waits until it is rung, or for `timeout`; whether it was.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> bool {
        let mut rung = self.rung.lock();
        if !*rung {
            match timeout {
                Some(timeout) => drop(self.condvar.wait_for(&mut rung, timeout)),
                None => self.condvar.wait(&mut rung),
            }
        }
        std::mem::take(&mut *rung)
    }
}
