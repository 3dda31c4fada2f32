//! Listings of all keys: `lru_crawler metadump` and `mgdump`, `stats cachedump`. They go group by group in bounded
//! steps, and the connection's other half, the outbox, sets the pace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::Dispatch;
use super::course::{self, Step};
use crate::base::command::DumpForm;
use crate::base::item::Item;
use crate::base::limits::{CACHEDUMP_BYTES_MAX, LISTINGS_MAX};
use crate::base::lsn::Lsn;
use crate::base::reply::{Denial, Sink};
use crate::base::time::UnixMs;
use crate::conn::{Ask, Outbox, Verdict};
use crate::group::Listing;
use crate::proto::binary::{BinaryForm, Status};
use crate::proto::{self, Form, texts};

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
    /// What the frames of the answer say, when it is made of frames.
    frame: Option<BinaryForm>,
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
            match form {
                DumpForm::Meta => texts::METADUMP_PIPELINED,
                DumpForm::Mget => texts::MGDUMP_PIPELINED,
            }
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

    /// Counts all items by size (`-o track_sizes`).
    pub(super) fn sizes(&self, form: &Form<'_>, ask: &mut Ask<'_>, out: &mut Outbox) -> Verdict {
        if ask.resume > 0 {
            return self.go_on(ask, out);
        }
        let frame = match form {
            Form::Binary(form) => Some(*form),
            _ => None,
        };
        let Some(place) = self.crawler.place() else { return end_in(frame, Err(texts::CRAWLER_BUSY), out) };
        let course = Course::new(Shown::Size, u64::MAX, usize::MAX, place);
        self.begin(Course { frame, ..course }, ask, out)
    }

    fn begin(&self, course: Course, ask: &mut Ask<'_>, out: &mut Outbox) -> Verdict {
        course::begin(course, ask);
        self.go_on(ask, out)
    }

    fn go_on(&self, ask: &mut Ask<'_>, out: &mut Outbox) -> Verdict {
        let now = ask.now;
        course::go_on(ask, out, |course: &mut Course, out| match self.step(course, now, out) {
            None => Step::More,
            Some(ended) => {
                course.put_sizes(out);
                end_in(course.frame, ended.map(|()| course.shown.end()), out);
                Step::End
            }
        })
    }

    /// One step of a listing; how it ended when it is at its end.
    fn step(&self, course: &mut Course, now: UnixMs, out: &mut Outbox) -> Option<Result<(), &'static [u8]>> {
        let Some(group) = self.groups.get(course.group).filter(|_| course.wants_more()) else {
            return Some(Ok(()));
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
                Some(Err(texts::denial(Denial::Damaged)))
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
            frame: None,
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
            let (size, count) = ((step * SIZE_STEP_BYTES).to_string(), count.to_string());
            match &self.frame {
                Some(form) => proto::binary::encode_stat(form, size.as_bytes(), count.as_bytes(), out),
                None => proto::encode_stat(&size, &count, out),
            }
        }
    }
}

/// The last line of a listing, or what went wrong; in frames that is a status.
fn end_in(
    frame: Option<BinaryForm>,
    ended: Result<&'static [u8], &'static [u8]>,
    out: &mut Outbox,
) -> Verdict {
    match (&frame, ended) {
        (None, Ok(text) | Err(text)) => return say(text, out),
        (Some(form), Ok(_)) => proto::binary::encode_stats_end(form, out),
        (Some(form), Err(_)) => proto::binary::encode_status(form, Status::Temporary, out),
    }
    out.seal(Lsn::ZERO);
    Verdict::Done
}

pub(super) fn say(text: &[u8], out: &mut Outbox) -> Verdict {
    out.put(text);
    out.seal(Lsn::ZERO);
    Verdict::Done
}
