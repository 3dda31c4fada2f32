//! Listings of all keys: `lru_crawler metadump` and `mgdump`, `stats cachedump`. They go group by group in bounded
//! steps, and the connection's other half, the outbox, sets the pace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::Dispatch;
use crate::base::command::DumpForm;
use crate::base::item::Item;
use crate::base::limits::{CACHEDUMP_BYTES_MAX, LISTINGS_MAX, OUTBOX_BYTES_MAX};
use crate::base::lsn::Lsn;
use crate::base::reply::{Denial, Sink};
use crate::base::time::UnixMs;
use crate::conn::{Ask, Outbox, Verdict};
use crate::group::Listing;
use crate::proto::{self, texts};

/// Steps of a listing in one turn of its connection.
const TURN_STEPS: usize = 4;
/// The slab class that everything is shown in.
const CLASS: u32 = 1;
/// How finely `stats sizes` counts: memcached's. Everything beyond so many steps is counted with the last.
const SIZE_STEP_BYTES: usize = 32;
/// See [`SIZE_STEP_BYTES`].
const SIZE_STEPS_MAX: usize = 64 * 1024;

/// Whether keys may be listed just now, and by how many they are.
#[derive(Debug)]
pub struct Crawler {
    /// `lru_crawler enable` and `disable`.
    pub is_enabled: AtomicBool,
    running: Arc<AtomicUsize>,
}

impl Crawler {
    /// One that lists or not until a client says otherwise.
    pub fn new(is_enabled: bool) -> Crawler {
        Crawler { is_enabled: AtomicBool::new(is_enabled), running: Arc::default() }
    }
}

/// What of each item is listed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shown {
    /// A line of a dump.
    Dump(DumpForm),
    /// An `ITEM` line.
    Cached,
    /// Nothing: it is counted by its size.
    Size,
}

/// A listing under way.
#[derive(Debug)]
struct Course {
    shown: Shown,
    /// The group that is listed.
    group: usize,
    listing: Listing,
    items_left: u64,
    bytes_left: usize,
    /// Items by size, in steps of [`SIZE_STEP_BYTES`].
    sizes: BTreeMap<usize, u64>,
    _place: Place,
}

/// One of the places for listings.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Crawler {
    /// A place for one more listing, if there is one.
    pub(super) fn place(&self) -> Option<Place> {
        Place::take(&self.running)
    }
}

impl Place {
    fn take(running: &Arc<AtomicUsize>) -> Option<Place> {
        let place = Place(Arc::clone(running));
        (running.fetch_add(1, Ordering::Relaxed) < LISTINGS_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Dispatch {
    /// Lists everything that is stored, in memory and on disk.
    pub(super) fn dump(&self, form: DumpForm, ask: &mut Ask<'_>, out: &mut Outbox) -> Verdict {
        if ask.resume > 0 {
            return self.go_on(ask, out);
        }
        let refusal = if !out.is_empty() {
            texts::METADUMP_PIPELINED
        } else if !self.crawler.is_enabled.load(Ordering::Relaxed) {
            texts::CRAWLER_OFF
        } else if let Some(place) = self.crawler.place() {
            out.put(texts::OK);
            return self.begin(Course::new(Shown::Dump(form), u64::MAX, usize::MAX, place), ask, out);
        } else {
            texts::CRAWLER_BUSY
        };
        say(refusal, out)
    }

    /// Lists up to `limit` items of a slab class, 0 for all; the answer is bounded.
    pub(super) fn cachedump(&self, class: u32, limit: u32, ask: &mut Ask<'_>, out: &mut Outbox) -> Verdict {
        if ask.resume > 0 {
            return self.go_on(ask, out);
        }
        if class != CLASS {
            return say(texts::END, out);
        }
        let Some(place) = self.crawler.place() else { return say(texts::CRAWLER_BUSY, out) };
        let items = if limit == 0 { u64::MAX } else { u64::from(limit) };
        self.begin(Course::new(Shown::Cached, items, CACHEDUMP_BYTES_MAX, place), ask, out)
    }

    /// Counts all items by size (`-o track_sizes`), for text clients.
    pub(super) fn sizes(&self, ask: &mut Ask<'_>, out: &mut Outbox) -> Verdict {
        if ask.resume > 0 {
            return self.go_on(ask, out);
        }
        let Some(place) = self.crawler.place() else { return say(texts::CRAWLER_BUSY, out) };
        self.begin(Course::new(Shown::Size, u64::MAX, usize::MAX, place), ask, out)
    }

    fn begin(&self, course: Course, ask: &mut Ask<'_>, out: &mut Outbox) -> Verdict {
        ask.session.course = Some(Box::new(course));
        self.go_on(ask, out)
    }

    /// Takes some steps; at the end the course is given up.
    fn go_on(&self, ask: &mut Ask<'_>, out: &mut Outbox) -> Verdict {
        let mut course = ask.session.course.take();
        let Some(known) = course.as_mut().and_then(|course| course.downcast_mut::<Course>()) else {
            return Verdict::Close;
        };
        for _ in 0..TURN_STEPS {
            if out.unsent_bytes() >= OUTBOX_BYTES_MAX {
                break;
            }
            if let Some(end) = self.step(known, ask.now, out) {
                known.put_sizes(out);
                return say(end, out);
            }
        }
        ask.session.course = course;
        Verdict::Paused { resume: 1 }
    }

    /// One step of a listing; the last line when it is at its end.
    fn step(&self, course: &mut Course, now: UnixMs, out: &mut Outbox) -> Option<&'static [u8]> {
        let Some(group) = self.groups.get(course.group).filter(|_| course.wants_more()) else {
            return Some(course.shown.end());
        };
        let mut listing = std::mem::take(&mut course.listing);
        match group.list(&mut listing, now, |key, item| course.show(key, item, now, out)) {
            Ok(page) => {
                out.seal(page.lsn);
                course.group += usize::from(page.is_last);
                if !page.is_last {
                    course.listing = listing;
                }
                None
            }
            Err(fault) => {
                log::error!("group {}: a listing has ended early: {fault}", group.id);
                Some(texts::denial(Denial::Damaged))
            }
        }
    }
}

impl Shown {
    fn end(self) -> &'static [u8] {
        match self {
            Shown::Dump(DumpForm::Mget) => texts::EN,
            Shown::Dump(DumpForm::Meta) | Shown::Cached | Shown::Size => texts::END,
        }
    }
}

impl Course {
    fn new(shown: Shown, items_left: u64, bytes_left: usize, place: Place) -> Course {
        Course {
            shown,
            group: 0,
            listing: Listing::default(),
            items_left,
            bytes_left,
            sizes: BTreeMap::new(),
            _place: place,
        }
    }

    fn wants_more(&self) -> bool {
        self.items_left > 0 && self.bytes_left > 0
    }

    fn show(&mut self, key: &[u8], item: &Item<'_>, now: UnixMs, out: &mut Outbox) {
        if !self.wants_more() {
            return;
        }
        let before = out.unsent_bytes();
        match self.shown {
            Shown::Dump(form) => proto::encode_dump(form, key, item, now, out),
            Shown::Cached => proto::encode_cached(key, item, out),
            Shown::Size => {
                let step = proto::item_bytes(key.len(), item).div_ceil(SIZE_STEP_BYTES).min(SIZE_STEPS_MAX);
                *self.sizes.entry(step).or_default() += 1;
            }
        }
        self.items_left -= 1;
        self.bytes_left = self.bytes_left.saturating_sub(out.unsent_bytes() - before);
    }
}

impl Course {
    /// The lines of `stats sizes`, when that is what is asked.
    fn put_sizes(&self, out: &mut Outbox) {
        for (step, count) in &self.sizes {
            out.put(format!("STAT {} {count}\r\n", step * SIZE_STEP_BYTES).as_bytes());
        }
    }
}

pub(super) fn say(text: &[u8], out: &mut Outbox) -> Verdict {
    out.put(text);
    out.seal(Lsn::ZERO);
    Verdict::Done
}
