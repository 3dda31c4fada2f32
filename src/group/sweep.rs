//! What has expired or was flushed gives its space back, in memory and on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::group::{Asked, Group, Shared};
use crate::base::command::{Key, Op};
use crate::base::fault::Fault;
use crate::base::time::{Clock, UnixMs};

/// How often all groups are swept.
const TICK: Duration = Duration::from_secs(2);
/// Entries of memory looked at under one lock.
const SLICE_ENTRIES: usize = 2048;
/// Keys taken from the store's deadlines at once.
const DUE_KEYS: usize = 32 * 1024;
/// Rows looked at in one purge of flushed ones.
const PURGE_ROWS: usize = 4096;

/// The sweeper's thread.
pub struct Sweeper {
    /// All groups of this server.
    pub groups: Arc<[Group]>,
    /// What they share.
    pub shared: Arc<Shared>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Set when the server ends.
    pub stop: Arc<AtomicBool>,
    /// Rung when the server ends.
    pub bell: Arc<super::keeper::Bell>,
}

impl Sweeper {
    /// Sweeps until the server ends.
    pub fn run(&self) {
        while !self.stopped() {
            self.bell.wait(TICK);
            for group in self.groups.iter() {
                if let Err(fault) = self.sweep(group) {
                    log::warn!("group {}: sweeping stopped for now: {fault}", group.id);
                }
            }
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// One pass over one group: memory, then what the store says is due, then flushed rows.
    pub fn sweep(&self, group: &Group) -> Result<(), Fault> {
        let mut keys = Keys::default();
        while !self.stopped() {
            let came_round = group.sweep_memory(self.clock.now(), &mut keys);
            if !self.expire(group, &mut keys)? {
                return Ok(());
            }
            if came_round {
                break;
            }
        }
        let Some(store) = &group.store else { return Ok(()) };
        while !self.stopped() {
            let now_s = self.clock.now().seconds();
            let due = store.due(now_s, DUE_KEYS)?;
            if due.is_empty() {
                break;
            }
            due.keys().for_each(|key| keys.push(key));
            if !self.expire(group, &mut keys)? {
                return Ok(());
            }
            // With the removals in the store the listings go for good; before, they would only be put off.
            group.checkpoint()?;
            store.settle(due, now_s)?;
        }
        self.purge(group)
    }

    /// Removes what has expired of these keys. Each is judged again: it may have been given a new life. `false` when the
    /// group takes no removal just now, and its own checkpoint does not help: the next pass finds the rest again.
    fn expire(&self, group: &Group, keys: &mut Keys) -> Result<bool, Fault> {
        for key in keys.drain() {
            let key = Key::plain(&key);
            let remove = || {
                group.submit(
                    &Asked { key: &key, op: &Op::Expire, now: self.clock.now(), may_wait: false },
                    |_| {},
                )
            };
            if self.stopped() {
                return Ok(false);
            }
            if remove().is_err() {
                group.checkpoint()?;
                if remove().is_err() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Removes rows that a flush covers, once after each flush has reached the store.
    fn purge(&self, group: &Group) -> Result<(), Fault> {
        let Some(store) = &group.store else { return Ok(()) };
        let mark = store.state().flush.below;
        if mark <= group.core.lock().purged_below {
            return Ok(());
        }
        let mut after = None;
        while !self.stopped() {
            after = store.purge_flushed(after.as_deref(), PURGE_ROWS)?.after;
            if after.is_none() {
                group.core.lock().purged_below = mark;
                break;
            }
        }
        Ok(())
    }
}

/// Keys to judge.
#[derive(Default)]
pub struct Keys(Vec<Box<[u8]>>);

impl Keys {
    fn push(&mut self, key: &[u8]) {
        self.0.push(key.into());
    }

    fn drain(&mut self) -> Vec<Box<[u8]>> {
        std::mem::take(&mut self.0)
    }
}

impl Group {
    /// Looks at a slice of memory and collects the expired keys; whether the pass has come round.
    fn sweep_memory(&self, now: UnixMs, keys: &mut Keys) -> bool {
        let mut core = self.core.lock();
        self.fire_due_flush(&mut core, now);
        let flush = core.flush;
        core.hot.sweep(now, &flush, SLICE_ENTRIES, &mut |key| keys.push(key))
    }
}
