//! `backup`: everything that is stored, and the log behind it, as frames (`backup/FORMAT.md`).
//!
//! First the log is held, so that nothing behind its end of now is recycled. Then the items of group after group are
//! sent, in the bounded steps of a listing; then the segments of the log from that end on, as far as they are written
//! when the last item has been sent. Nobody waits for any of it: a client that reads slowly is served slowly, and a hold
//! that grows beyond its bound lapses, which ends the backup.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Dispatch;
use super::course::{self, Step};
use super::dump::{Place, say};
use crate::backup::{Begin, End, GREETING, GroupEnd, Header, Kind, body};
use crate::base::fault::{Fault, FaultKind};
use crate::base::item::{Item, Value};
use crate::base::limits::{BACKUP_FRAME_BYTES, SHARED_BYTES_MIN};
use crate::base::lsn::Lsn;
use crate::base::reply::Sink;
use crate::base::time::UnixMs;
use crate::base::version::Version;
use crate::binlog::{DiskFile, Extent, Hold, Log};
use crate::conn::{Ask, Outbox, Verdict};
use crate::group::Listing;
use crate::proto::texts;

/// A backup under way.
struct Course {
    hold: Hold,
    /// What is not in the items is in the log behind this.
    after: Lsn,
    stage: Stage,
    items: u64,
    left_out: u64,
    _place: Place,
}

enum Stage {
    /// The items of this group, and how many of them were sent.
    Items { group: usize, listing: Listing, sent: u64 },
    /// The log up to this must be written.
    Waiting(Lsn),
    /// The segments; the one that is sent, and from where.
    Segments { extents: Vec<Extent>, until: Lsn, index: usize, file: Option<Arc<dyn DiskFile>>, offset: u64 },
}

impl Dispatch {
    /// Sends a backup.
    pub(super) fn back_up(&self, ask: &mut Ask<'_>, out: &mut Outbox) -> Verdict {
        let Some(log) = self.shared.log.get() else { return say(texts::BACKUP_OF_NOTHING, out) };
        if ask.resume == 0 {
            if !out.is_empty() {
                return say(texts::BACKUP_PIPELINED, out);
            }
            let Some(place) = self.crawler.place() else { return say(texts::CRAWLER_BUSY, out) };
            let course = Course::begin(log, place);
            out.put(GREETING);
            put_frame(Kind::Begin, 0, &self.beginning(log, &course, ask.now).encode(), out);
            out.seal(Lsn::ZERO);
            course::begin(course, ask);
        }
        let now = ask.now;
        course::go_on(ask, out, |course, out| {
            self.back_up_step(log, course, now, out).unwrap_or_else(|fault| {
                log::error!("a backup came to nothing: {fault}");
                put_frame(Kind::Failed, 0, fault.to_string().as_bytes(), out);
                out.seal(Lsn::ZERO);
                Step::End
            })
        })
    }

    fn beginning(&self, log: &Log, course: &Course, now: UnixMs) -> Begin {
        Begin {
            group_count: self.placement.group_count.get(),
            hash: self.placement.hash,
            hash_tag: self.placement.hash_tag,
            server: self.shared.server,
            incarnation: log.incarnation(),
            after: course.after,
            now,
        }
    }

    fn back_up_step(
        &self,
        log: &Log,
        course: &mut Course,
        now: UnixMs,
        out: &mut Outbox,
    ) -> Result<Step, Fault> {
        if course.hold.has_lapsed() {
            let message = "the log has grown too much behind this backup, or the disk is full; make room, \
                           or let the backup run faster";
            return Err(Fault::new(FaultKind::DiskFull, message));
        }
        match &mut course.stage {
            Stage::Items { .. } => self.send_items(log, course, now, out).map(|()| Step::More),
            Stage::Waiting(until) => {
                let Some((extents, until)) = log.extents(course.after, *until)? else {
                    return Ok(Step::Wait);
                };
                course.stage = Stage::Segments { extents, until, index: 0, file: None, offset: 0 };
                Ok(Step::More)
            }
            Stage::Segments { .. } => self.send_segments(log, course, now, out),
        }
    }

    /// One page of a group's items.
    fn send_items(&self, log: &Log, course: &mut Course, now: UnixMs, out: &mut Outbox) -> Result<(), Fault> {
        let Stage::Items { group: index, listing, sent } = &mut course.stage else { return Ok(()) };
        let Some(group) = self.groups.get(*index) else {
            // Everything that was sent is at or before this.
            course.stage = Stage::Waiting(log.appended_lsn());
            return Ok(());
        };
        let mut page = Page { group: group.id.0, count: 0, body: Vec::new(), bytes: 0 };
        let before = *sent;
        let end = group.list_while(listing, now, |key, item| {
            *sent += 1;
            page.show(key, item, out)
        })?;
        page.close(out);
        course.items += *sent - before;
        course.left_out += end.left_out as u64;
        if end.is_last {
            let facts = GroupEnd { items: *sent, flush: group.flush_mark() };
            put_frame(Kind::GroupEnd, group.id.0, &facts.encode(), out);
            course.stage = Stage::Items { group: *index + 1, listing: Listing::default(), sent: 0 };
        }
        out.seal(end.lsn);
        Ok(())
    }

    /// Some bytes of a segment.
    fn send_segments(
        &self,
        log: &Log,
        course: &mut Course,
        now: UnixMs,
        out: &mut Outbox,
    ) -> Result<Step, Fault> {
        let Stage::Segments { extents, until, index, file, offset } = &mut course.stage else {
            return Ok(Step::More);
        };
        let Some(extent) = extents.get(*index) else {
            let ceiling = Version(self.shared.version_ceiling.load(Ordering::Relaxed).saturating_add(1));
            let end = End { until: *until, now, ceiling, items: course.items, left_out: course.left_out };
            put_frame(Kind::End, 0, &end.encode(), out);
            out.seal(*until);
            return Ok(Step::End);
        };
        let open = match file {
            Some(open) => open,
            None => {
                put_frame(Kind::Segment, 0, &extent.sequence.to_le_bytes(), out);
                file.insert(log.open_extent(extent)?)
            }
        };
        let length = (extent.bytes - *offset).min(BACKUP_FRAME_BYTES as u64);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        let read = open.read_at(&mut bytes, *offset);
        let name = std::path::PathBuf::from(extent.file_name());
        if read.map_err(|error| Fault::io("reading the log", &name, &error))? < bytes.len() {
            return Err(Fault::new(FaultKind::Corrupt, "the segment is too short").at(&name));
        }
        put_frame(Kind::Bytes, 0, &bytes, out);
        out.seal(Lsn::ZERO);
        *offset += length;
        if *offset >= extent.bytes {
            (*index, *file, *offset) = (*index + 1, None, 0);
        }
        Ok(Step::More)
    }
}

impl Course {
    fn begin(log: &Arc<Log>, place: Place) -> Course {
        // What is appended between these two may be trimmed: the backup begins behind it.
        let hold = log.hold(log.appended_lsn().next());
        let after = log.appended_lsn();
        let stage = Stage::Items { group: 0, listing: Listing::default(), sent: 0 };
        Course { hold, after, stage, items: 0, left_out: 0, _place: place }
    }
}

/// The items of one step, on their way into frames.
struct Page {
    group: u16,
    count: u32,
    body: Vec<u8>,
    /// What was sent of this page, bytes.
    bytes: usize,
}

impl Page {
    /// Takes an item; whether there is room for more in this step. A large value goes by reference, in a frame of its
    /// own.
    fn show(&mut self, key: &[u8], item: &Item<'_>, out: &mut Outbox) -> bool {
        let value = item.value.bytes();
        self.bytes += key.len() + value.len();
        if value.len() < SHARED_BYTES_MIN {
            self.count += 1;
            body::put_item(key, item, &mut self.body);
            self.body.extend_from_slice(value);
        } else {
            self.close(out);
            let mut head = Vec::new();
            body::put_item(key, item, &mut head);
            out.put(&Header::of(Kind::Items, self.group, 1, &[&head, value]).encode());
            out.put(&head);
            match item.value {
                Value::Shared(bytes) => out.put_shared(bytes),
                Value::Plain(bytes) => out.put(bytes),
            }
        }
        self.bytes < BACKUP_FRAME_BYTES
    }

    /// Puts the small items into a frame.
    fn close(&mut self, out: &mut Outbox) {
        if self.count > 0 {
            out.put(&Header::of(Kind::Items, self.group, self.count, &[&self.body]).encode());
            out.put(&self.body);
            self.body.clear();
            self.count = 0;
        }
    }
}

fn put_frame(kind: Kind, group: u16, body: &[u8], out: &mut Outbox) {
    out.put(&Header::of(kind, group, 0, &[body]).encode());
    out.put(body);
}
