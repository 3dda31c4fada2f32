//! Connections that follow events (`watch`). Whatever happens is told to the [`Watchers`]; each watcher's lines wait for
//! it, within a bound, and its own worker sends them. Who is slow misses lines and is told how many.
//!
//! A line says what a client was answered; it does not wait until that is safe.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::Outbox;
use crate::base::limits::{OUTBOX_BYTES_MAX, WATCHER_BYTES_MAX, WATCHERS_MAX};
use crate::base::lsn::Lsn;
use crate::base::reply::Sink;
use crate::base::time::UnixMs;
use crate::proto::{Event, Kinds, encode_event, encode_skipped};

/// What tells a watcher's worker that lines wait.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// All watchers of a server.
#[derive(Debug, Default)]
pub struct Watchers {
    /// What any of them follows; 0 when there is none.
    wanted: AtomicU32,
    circle: Mutex<Circle>,
    /// Lines handed over.
    pub sent: AtomicU64,
    /// Lines that a slow watcher missed.
    pub skipped: AtomicU64,
}

#[derive(Debug, Default)]
struct Circle {
    /// Events told so far.
    events: u64,
    pipes: Vec<Arc<Pipe>>,
    line: Vec<u8>,
}

#[derive(Debug)]
struct Pipe {
    kinds: Kinds,
    flow: Mutex<Flow>,
}

/// What waits for one watcher.
#[derive(Default)]
struct Flow {
    lines: Vec<u8>,
    skipped: u64,
    /// The worker was told and has not come yet.
    is_woken: bool,
    wake: Option<Wake>,
}

/// One watcher, held by its connection: when it goes, nothing is kept for it any more.
#[derive(Debug)]
pub struct Watch {
    watchers: Arc<Watchers>,
    pipe: Arc<Pipe>,
}

impl Watchers {
    /// One more watcher, unless there are too many.
    pub fn enter(self: &Arc<Watchers>, kinds: Kinds) -> Option<Watch> {
        let mut circle = self.circle.lock();
        if circle.pipes.len() >= WATCHERS_MAX {
            return None;
        }
        let pipe = Arc::new(Pipe { kinds, flow: Mutex::default() });
        circle.pipes.push(Arc::clone(&pipe));
        self.note_wanted(&circle);
        Some(Watch { watchers: Arc::clone(self), pipe })
    }

    /// Whether anybody follows events of these kinds.
    pub fn want(&self, kinds: Kinds) -> bool {
        self.wanted.load(Ordering::Relaxed) & kinds.0 != 0
    }

    /// Whether there is anybody.
    pub fn is_empty(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) == 0
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.circle.lock().pipes.len()
    }

    /// Tells those who follow its kind of an event that this connection caused.
    pub fn tell(&self, event: &Event<'_>, now: UnixMs, connection: u64) {
        if !self.want(event.kind()) {
            return;
        }
        let mut circle = self.circle.lock();
        let Circle { events, pipes, line } = &mut *circle;
        *events += 1;
        line.clear();
        encode_event(event, now, *events, connection, line);
        for pipe in pipes.iter().filter(|pipe| pipe.kinds.meets(event.kind())) {
            let counter = if pipe.flow.lock().push(line) { &self.sent } else { &self.skipped };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn leave(&self, pipe: &Arc<Pipe>) {
        let mut circle = self.circle.lock();
        circle.pipes.retain(|other| !Arc::ptr_eq(other, pipe));
        self.note_wanted(&circle);
    }

    fn note_wanted(&self, circle: &Circle) {
        let wanted = circle.pipes.iter().fold(Kinds::default(), |kinds, pipe| kinds.with(pipe.kinds));
        self.wanted.store(wanted.0, Ordering::Relaxed);
    }
}

impl Flow {
    /// Takes a line if there is room; whether it did.
    fn push(&mut self, line: &[u8]) -> bool {
        if self.lines.len() + line.len() > WATCHER_BYTES_MAX {
            self.skipped += 1;
            return false;
        }
        if self.skipped > 0 {
            encode_skipped(std::mem::take(&mut self.skipped), &mut self.lines);
        }
        self.lines.extend_from_slice(line);
        if let (Some(wake), false) = (&self.wake, self.is_woken) {
            wake();
            self.is_woken = true;
        }
        true
    }
}

impl Watch {
    /// Names what is to be called when lines come to wait; those that wait already are for the caller to fetch.
    pub fn set_wake(&self, wake: Wake) {
        self.pipe.flow.lock().wake = Some(wake);
    }

    /// Moves the waiting lines to the outbox, unless that is full.
    pub(super) fn pull(&self, out: &mut Outbox) {
        if out.unsent_bytes() >= OUTBOX_BYTES_MAX {
            return;
        }
        let mut flow = self.pipe.flow.lock();
        flow.is_woken = false;
        out.put(&flow.lines);
        flow.lines = Vec::new();
        drop(flow);
        out.seal(Lsn::ZERO);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watchers.leave(&self.pipe);
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow").field("bytes", &self.lines.len()).field("skipped", &self.skipped).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::*;
    use crate::conn::outbox::SLICES_MAX;
    use crate::proto::Lookup;

    const GET: Event<'static> = Event::Get { key: b"k", lookup: Lookup::NotFound };

    fn sent(watch: &Watch) -> String {
        let mut outbox = Outbox::default();
        watch.pull(&mut outbox);
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = outbox.ready(&mut slices);
        slices[..count].iter().map(|slice| String::from_utf8_lossy(slice).into_owned()).collect()
    }

    #[test]
    fn each_hears_what_it_follows_and_nobody_after_leaving() {
        let watchers = Arc::new(Watchers::default());
        assert!(watchers.is_empty());
        let gets = watchers.enter(Kinds::FETCHERS).unwrap();
        let deletions = watchers.enter(Kinds::DELETIONS).unwrap();
        watchers.tell(&GET, UnixMs(0), 1);
        assert!(sent(&gets).contains("type=item_get") && sent(&deletions).is_empty());
        drop(gets);
        assert!(!watchers.want(Kinds::FETCHERS) && watchers.want(Kinds::DELETIONS));
    }

    #[test]
    fn a_slow_watcher_is_told_what_it_missed() {
        let watchers = Arc::new(Watchers::default());
        let watch = watchers.enter(Kinds::FETCHERS).unwrap();
        while watchers.skipped.load(Ordering::Relaxed) < 3 {
            watchers.tell(&GET, UnixMs(0), 1);
        }
        assert!(sent(&watch).len() <= WATCHER_BYTES_MAX);
        watchers.tell(&GET, UnixMs(0), 1);
        assert!(sent(&watch).starts_with("[skipped=3]\nts="));
    }

    #[test]
    fn the_worker_is_told_once_until_it_comes() {
        let watchers = Arc::new(Watchers::default());
        let watch = watchers.enter(Kinds::FETCHERS).unwrap();
        let told = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&told);
        watch.set_wake(Arc::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        }));
        for (comes, expected) in [(false, 1), (false, 1), (true, 2)] {
            if comes {
                sent(&watch);
            }
            watchers.tell(&GET, UnixMs(0), 1);
            assert_eq!(told.load(Ordering::Relaxed), expected);
        }
    }

    #[test]
    fn there_is_room_for_so_many() {
        let watchers = Arc::new(Watchers::default());
        let all: Vec<_> = (0..WATCHERS_MAX).map_while(|_| watchers.enter(Kinds::FETCHERS)).collect();
        assert!(all.len() == WATCHERS_MAX && watchers.enter(Kinds::FETCHERS).is_none());
    }
}
