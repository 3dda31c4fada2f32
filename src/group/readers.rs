//! Reads of the stores that would keep a worker waiting for the disk: threads that read ahead of it.
//!
//! A row that is not in memory is read by the worker itself while such reads are quick, as they are for whatever the
//! system has in its own memory. When they take long, the key is handed to these threads and the request is put off;
//! the worker serves others meanwhile. Tried again, the request finds the row in memory, or reads it itself after all,
//! from pages that have just been read.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::group::{Asked, Core, Group};
use crate::base::fault::Fault;
use crate::base::item::Item;
use crate::base::limits::{READS_AHEAD_MAX, READS_AHEAD_OF_GROUP_MAX, SLOW_READ_US};
use crate::base::lsn::GroupId;
use crate::binlog::Waker;
use crate::store::{RowBuffer, Store};

/// The mean of what reads take follows the last so many of them.
const REMEMBERED: u64 = 16;
/// Workers are woken for so many reads at once while more wait: each of them tries all its put off requests again.
const READS_PER_WAKE: usize = 8;

/// A key to read ahead.
struct Wanted {
    group: GroupId,
    key: Box<[u8]>,
}

/// What is to be read ahead, and whether that is worth it.
pub struct Readers {
    queue: Sender<Wanted>,
    wanted: Receiver<Wanted>,
    pace: Pace,
    /// Called when something has been read. Until there is somebody to wake nothing is read ahead.
    wakers: OnceLock<Vec<Waker>>,
}

impl Default for Readers {
    fn default() -> Self {
        let (queue, wanted) = bounded(READS_AHEAD_MAX);
        Readers { queue, wanted, pace: Pace::default(), wakers: OnceLock::new() }
    }
}

/// What reads of the stores take, lately.
#[derive(Debug, Default)]
struct Pace {
    mean_ns: AtomicU64,
}

impl Pace {
    fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let mean = self.mean_ns.load(Ordering::Relaxed);
        // Two that note at once may cost one of the figures: the next ones make up for it.
        self.mean_ns.store(mean - mean / REMEMBERED + took / REMEMBERED, Ordering::Relaxed);
    }

    fn is_slow(&self) -> bool {
        self.mean_ns.load(Ordering::Relaxed) > SLOW_READ_US * 1000
    }
}

impl Readers {
    /// From here on reads go ahead when the disk is slow; who put requests off is woken by these.
    pub fn begin(&self, wakers: Vec<Waker>) {
        let _ = self.wakers.set(wakers);
    }

    /// One thread's work: reads ahead until the server ends.
    pub fn run(&self, groups: &[Group], stop: &AtomicBool) {
        let mut read = 0;
        while let Ok(Wanted { group, key }) = self.wanted.recv() {
            if stop.load(Ordering::Acquire) {
                return;
            }
            if let Some(group) = groups.get(usize::from(group.0)) {
                group.read_ahead(&key);
            }
            read += 1;
            if read >= READS_PER_WAKE || self.wanted.is_empty() {
                read = 0;
                self.wakers.get().into_iter().flatten().for_each(|wake| wake());
            }
        }
    }

    /// Lets so many threads see that the server ends. A full queue wakes them as well.
    pub fn end(&self, threads: usize) {
        for _ in 0..threads {
            let _ = self.queue.try_send(Wanted { group: GroupId(0), key: Box::default() });
        }
    }

    /// Notes what a read took.
    pub(super) fn note(&self, took: Duration) {
        self.pace.note(took);
    }

    /// Whether keys wait to be read.
    pub(super) fn have_work(&self) -> bool {
        !self.wanted.is_empty()
    }

    fn are_wanted(&self) -> bool {
        self.pace.is_slow() && self.wakers.get().is_some()
    }
}

/// The keys of one group that are read ahead.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Whether it has been read.
    keys: HashMap<Box<[u8]>, bool>,
}

impl Ahead {
    /// Whether this key is still to be read; one that has been is forgotten: it is its asker's turn.
    fn is_awaited(&mut self, key: &[u8]) -> Option<bool> {
        let is_read = *self.keys.get(key)?;
        if is_read {
            self.keys.remove(key);
        }
        Some(!is_read)
    }

    /// Whether there is room for another key. What was read for somebody who has gone makes way first.
    fn has_room(&mut self) -> bool {
        if self.keys.len() >= READS_AHEAD_OF_GROUP_MAX {
            self.keys.retain(|_, is_read| !*is_read);
        }
        self.keys.len() < READS_AHEAD_OF_GROUP_MAX
    }

    fn have_read(&mut self, key: &[u8]) {
        if let Some(is_read) = self.keys.get_mut(key) {
            *is_read = true;
        }
    }
}

impl Group {
    /// Whether this request, whose key memory does not have, is to wait until it has been read ahead.
    pub(super) fn waits_for_reader(&self, core: &mut Core, asked: &Asked<'_>) -> bool {
        let key: &[u8] = &asked.key.bytes;
        if !asked.may_wait {
            return false;
        }
        if let Some(is_awaited) = core.ahead.is_awaited(key) {
            return is_awaited;
        }
        let readers = &self.shared.readers;
        if !readers.are_wanted() || !core.ahead.has_room() {
            return false;
        }
        match readers.queue.try_send(Wanted { group: self.id, key: key.into() }) {
            Ok(()) => {
                core.ahead.keys.insert(key.into(), false);
                true
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    /// Reads a row and takes it into memory, if nothing has changed meanwhile. A read that fails is done again by who
    /// asked, and told to him.
    fn read_ahead(&self, key: &[u8]) {
        let Some(store) = &self.store else { return };
        let generation = self.core.lock().generation;
        let mut row = RowBuffer::default();
        let found = self.timed_read(store, key, &mut row);
        let mut core = self.core.lock();
        if let (Ok(Some(item)), true) = (&found, core.generation == generation) {
            core.warm(key, item);
        }
        core.counters.cold_reads += 1;
        core.ahead.have_read(key);
    }

    /// Reads a row of the store; what that takes decides who does it next.
    pub(super) fn timed_read<'b>(
        &self,
        store: &Store,
        key: &[u8],
        row: &'b mut RowBuffer,
    ) -> Result<Option<Item<'b>>, Fault> {
        let began = Instant::now();
        let found = store.read(key, row);
        self.shared.readers.note(began.elapsed());
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_slow_when_they_are_lately() {
        let pace = Pace::default();
        assert!(!pace.is_slow());
        pace.note(Duration::from_micros(SLOW_READ_US * 10));
        assert!(!pace.is_slow(), "one says nothing");
        (0..REMEMBERED).for_each(|_| pace.note(Duration::from_micros(SLOW_READ_US * 2)));
        assert!(pace.is_slow());
        (0..2 * REMEMBERED).for_each(|_| pace.note(Duration::from_micros(SLOW_READ_US / 20)));
        assert!(!pace.is_slow(), "it passes");
    }

    #[test]
    fn a_key_is_awaited_until_it_was_read_and_then_its_askers() {
        let mut ahead = Ahead::default();
        assert_eq!(ahead.is_awaited(b"a"), None);
        ahead.keys.insert((*b"a").into(), false);
        assert_eq!(ahead.is_awaited(b"a"), Some(true));
        ahead.have_read(b"a");
        assert_eq!(ahead.is_awaited(b"a"), Some(false));
        assert_eq!(ahead.is_awaited(b"a"), None);
    }

    #[test]
    fn what_nobody_asks_for_again_makes_way() {
        let mut ahead = Ahead::default();
        for number in 0..READS_AHEAD_OF_GROUP_MAX {
            assert!(ahead.has_room());
            ahead.keys.insert(number.to_le_bytes().into(), false);
        }
        assert!(!ahead.has_room(), "all of them are awaited");
        ahead.have_read(&0usize.to_le_bytes());
        assert!(ahead.has_room());
    }
}
