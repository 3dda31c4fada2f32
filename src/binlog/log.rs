//! The log as everyone shares it: the append side, what has been promised, and who waits for it.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Release, SeqCst},
};

use parking_lot::{Mutex, RwLock};

use crate::base::fault::{Fault, FaultKind};
use crate::base::limits;
use crate::base::lsn::Lsn;

use super::archive::{Archive, ArchiveFigures};
use super::disk::{Disk, DiskFile};
use super::entry::Entry;
use super::pool::Pool;
use super::record::{BATCH_BYTES, Batch, END_BYTES, Encoder};
use super::segment::Header;
use super::tail::{Gate, Span, Tail};
use super::waiters::{Bell, Subscriber};
use super::writer::Writer;

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Power loss.
    Always,
    /// The end of the process; power loss but for the last second.
    EverySec,
    /// The end of the process; of power loss the kernel decides.
    Never,
}

/// How the log is kept.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What an acknowledged write survives.
    pub fsync: Fsync,
    /// The length of one segment, bytes.
    pub segment_bytes: u64,
    /// The length of all segments, bytes; at least three are kept.
    pub log_bytes_max: u64,
    /// What may wait to be written before appends are put off, bytes.
    pub buffer_bytes_max: usize,
    /// This server.
    pub server: u16,
    /// Which of its starts this is: above every earlier one (see `Starts`).
    pub incarnation: u32,
    /// Any number that clients cannot guess: with it a value can never be made to look like a record.
    pub salt: u64,
}

impl Options {
    /// The defaults of `limits`.
    pub fn new(fsync: Fsync, server: u16, incarnation: u32, salt: u64) -> Options {
        Options {
            fsync,
            segment_bytes: limits::SEGMENT_BYTES_DEFAULT,
            log_bytes_max: limits::LOG_BYTES_DEFAULT,
            buffer_bytes_max: limits::APPEND_BUFFER_BYTES_MAX,
            server,
            incarnation,
            salt,
        }
    }

    /// How many segments there may be.
    pub(crate) fn segments_max(&self) -> usize {
        usize::try_from(self.log_bytes_max / self.segment_bytes.max(1)).unwrap_or(usize::MAX).max(3)
    }

    /// The longest record, bytes: four fit a segment.
    pub(crate) fn record_bytes_max(&self) -> usize {
        let quarter = usize::try_from(self.segment_bytes / 4).unwrap_or(usize::MAX);
        quarter.min(limits::RECORD_BYTES_MAX)
    }

    /// What entries leave free at a segment's end: room for the batches without records that trimming and closing
    /// write, one for each segment that there can be, and never much of the segment.
    pub(crate) fn reserve_bytes(&self) -> u64 {
        let batches = self.segments_max().saturating_add(8).saturating_mul(BATCH_BYTES);
        (batches as u64 + END_BYTES as u64).min(self.segment_bytes / 8)
    }
}

/// The shortest segment, bytes: the header, and four records of the least length.
pub const SEGMENT_BYTES_MIN: u64 = 16 * 1024;

/// Why an entry was not taken. Nothing of it is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The buffer or the log is full: try again when woken (a checkpoint may have to trim the log first).
    Busy,
    /// The log must grow, and the disk is full: passes when there is room.
    DiskFull,
    /// Nothing is taken any more until a restart.
    Stopped,
    /// Larger than the whole log may be: never fits.
    TooLarge,
}

/// How the log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Well.
    Running,
    /// No new segment can be made; tried again about once a second.
    Full,
    /// A write or sync failed, here are its words, or the log was closed: nothing more is taken until a restart.
    Stopped(Arc<str>),
}

/// What [`Log::write_pending`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Nothing was pending.
    Nothing,
    /// All that was pending is written.
    All,
    /// Something is left to the log thread, which was woken.
    Left,
}

/// Figures for `stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // The names say it; counts since the start.
pub struct Figures {
    pub appended_lsn: Lsn,
    pub written_lsn: Lsn,
    pub durable_lsn: Lsn,
    pub trim_lsn: Lsn,
    pub segments: usize,
    pub segments_ready: usize,
    pub buffered_bytes: usize,
    pub used_bytes: u64,
    pub writes: u64,
    pub written_bytes: u64,
    pub syncs: u64,
    pub segments_recycled: u64,
}

/// The log of one server. Shared by everyone as `Arc<Log>`.
///
/// Locks, in the order in which they may be taken: `syncing`, `writer`, `pool`, `tail`. The append takes `tail` alone.
pub struct Log {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) options: Options,
    pub(crate) archive: Option<Archive>,
    pub(crate) epoch: u64,
    pub(crate) tail: Mutex<Tail>,
    pub(crate) writer: Mutex<Writer>,
    /// Held over a sync: one at a time, and whoever waits finds it done.
    pub(crate) syncing: Mutex<()>,
    pub(crate) pool: Mutex<Pool>,
    pub(crate) marks: Marks,
    pub(crate) counts: Counts,
    pub(crate) subscribers: RwLock<Vec<Arc<Subscriber>>>,
    stopped: Mutex<Option<Arc<str>>>,
    /// `stopped` says why.
    has_failed: AtomicBool,
    /// Wakes the log thread.
    pub(crate) bell: Bell,
    /// Wakes the thread that keeps segments ready.
    pub(crate) pool_bell: Bell,
    /// The log thread is to sync soon, whatever the time: a segment nears its end.
    pub(crate) sync_soon: AtomicBool,
    pub(crate) closing: AtomicBool,
    /// The log thread waits for this LSN to be appended, and is not to be woken before; 0 when it does not.
    pub(crate) gathers_to: AtomicU64,
    /// The archive did not take a segment: the pool's thread tries again.
    pub(crate) try_again: AtomicBool,
}

/// How far things are. Each only rises.
#[derive(Default)]
pub(crate) struct Marks {
    pub(crate) appended: AtomicU64,
    pub(crate) written: AtomicU64,
    pub(crate) durable: AtomicU64,
    pub(crate) trim: AtomicU64,
}

/// What is counted.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) used_bytes: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) segments_recycled: AtomicU64,
}

impl Log {
    /// The log behind a new, empty segment, whose records begin with the LSN `next`.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        options: Options,
        archive: Option<Archive>,
        header: Header,
        file: Arc<dyn DiskFile>,
        pool: Pool,
        next: Lsn,
    ) -> Log {
        let done = next.0.saturating_sub(1);
        let (live, ready) = pool.figures();
        Log {
            disk,
            options,
            archive,
            epoch: header.epoch,
            tail: Mutex::new(Tail::behind(&header, next, ready)),
            writer: Mutex::new(Writer::behind(header, file, Lsn(done))),
            syncing: Mutex::new(()),
            pool: Mutex::new(pool),
            marks: Marks {
                appended: AtomicU64::new(done),
                written: AtomicU64::new(done),
                durable: AtomicU64::new(done),
                trim: AtomicU64::new(header.trim.0),
            },
            counts: Counts {
                used_bytes: AtomicU64::new(live as u64 * options.segment_bytes),
                ..Counts::default()
            },
            subscribers: RwLock::default(),
            stopped: Mutex::default(),
            has_failed: AtomicBool::new(false),
            bell: Bell::default(),
            pool_bell: Bell::default(),
            sync_soon: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            gathers_to: AtomicU64::new(0),
            try_again: AtomicBool::new(false),
        }
    }

    /// Takes an entry and gives its LSN. `old_value` is the value before, which `OldThen` and `ThenOld` speak of.
    ///
    /// An entry that is taken has its place on the disk: only a failing disk can lose it. It is safe when
    /// [`Log::safe_lsn`] reaches the LSN.
    pub fn append(&self, entry: &Entry<'_>, old_value: &[u8]) -> Result<Lsn, Refusal> {
        let encoder = Encoder::new(entry, old_value, self.options.record_bytes_max());
        let mut tail = self.tail.lock();
        if tail.gate == Gate::Stopped {
            return Err(Refusal::Stopped);
        }
        let limit = self.options.segment_bytes - self.options.reserve_bytes();
        let lsn = tail.next;
        match encoder.single() {
            Some(len)
                if tail.fits(len, limit) && tail.buffer.len() + len <= self.options.buffer_bytes_max =>
            {
                tail.open_span();
                let seed = tail.seed;
                encoder.put_first(lsn, seed, &mut tail.buffer);
                tail.offset += len as u64;
            }
            _ => self.append_over_segments(&encoder, &mut tail, limit)?,
        }
        tail.note(lsn);
        tail.next = lsn.next();
        // Who decides by it has appended itself, or has seen what was appended under a lock.
        self.marks.appended.store(lsn.0, Release);
        Ok(lsn)
    }

    /// The rare append: of a value in parts, into the next segment, or refused.
    #[cold]
    fn append_over_segments(
        &self,
        encoder: &Encoder<'_>,
        tail: &mut Tail,
        limit: u64,
    ) -> Result<(), Refusal> {
        let lengths = || encoder.pieces().map(|piece| encoder.record_len(piece));
        let needed = tail.segments_needed(lengths(), limit);
        if needed > tail.ready {
            return Err(self.refuse_for_space(tail, needed));
        }
        let bytes: usize = lengths().sum();
        if !tail.buffer.is_empty() && tail.buffer.len() + bytes > self.options.buffer_bytes_max {
            tail.refused = true;
            return Err(Refusal::Busy);
        }
        let lsn = tail.next;
        for piece in encoder.pieces() {
            let len = encoder.record_len(piece);
            if tail.fits(len, limit) {
                tail.open_span();
            } else {
                tail.next_segment(self.epoch, self.options.salt);
            }
            let seed = tail.seed;
            encoder.put(piece, lsn, seed, &mut tail.buffer);
            tail.offset += len as u64;
            tail.note(lsn);
        }
        Ok(())
    }

    fn refuse_for_space(&self, tail: &mut Tail, needed: usize) -> Refusal {
        if needed >= self.options.segments_max() {
            return Refusal::TooLarge;
        }
        tail.wanted = tail.wanted.max(needed);
        tail.refused = true;
        self.pool_bell.ring();
        if tail.gate == Gate::Full { Refusal::DiskFull } else { Refusal::Busy }
    }

    /// The position up to which everything is as safe as the level promises: durable for `Always`, else written.
    pub fn safe_lsn(&self) -> Lsn {
        match self.options.fsync {
            Fsync::Always => self.durable_lsn(),
            Fsync::EverySec | Fsync::Never => Lsn(self.marks.written.load(SeqCst)),
        }
    }

    /// The position up to which everything survives power loss.
    pub fn durable_lsn(&self) -> Lsn {
        Lsn(self.marks.durable.load(SeqCst))
    }

    /// The last LSN given.
    pub fn appended_lsn(&self) -> Lsn {
        Lsn(self.marks.appended.load(SeqCst))
    }

    /// The position up to which everything is known to be in the stores.
    pub fn trim_lsn(&self) -> Lsn {
        Lsn(self.marks.trim.load(SeqCst))
    }

    /// How the archive is, if there is one.
    pub fn archive_figures(&self) -> Option<ArchiveFigures> {
        self.archive.as_ref().map(Archive::figures)
    }

    /// Which start of the server this is.
    pub fn incarnation(&self) -> u32 {
        self.options.incarnation
    }

    /// How the log is.
    pub fn state(&self) -> State {
        if let Some(reason) = &*self.stopped.lock() {
            return State::Stopped(Arc::clone(reason));
        }
        if self.closing.load(SeqCst) {
            return State::Stopped("closed".into());
        }
        if self.tail.lock().gate == Gate::Full { State::Full } else { State::Running }
    }

    /// Whether the log has stopped: a look at [`Log::state`] that every turn of every worker can afford.
    pub fn has_stopped(&self) -> bool {
        self.has_failed.load(SeqCst) || self.closing.load(SeqCst)
    }

    /// Whether anything was appended that is not written.
    pub(crate) fn has_unwritten(&self) -> bool {
        self.marks.written.load(SeqCst) < self.marks.appended.load(SeqCst)
    }

    /// What the log holds and could not give back yet, bytes: at [`Log::bytes_max`] appends are refused until a
    /// checkpoint lets it be trimmed.
    pub fn used_bytes(&self) -> u64 {
        self.counts.used_bytes.load(SeqCst)
    }

    /// The bound of [`Log::used_bytes`].
    pub fn bytes_max(&self) -> u64 {
        self.options.segments_max() as u64 * self.options.segment_bytes
    }

    /// Figures for people.
    pub fn figures(&self) -> Figures {
        let (segments, segments_ready) = self.pool.lock().figures();
        Figures {
            appended_lsn: self.appended_lsn(),
            written_lsn: Lsn(self.marks.written.load(SeqCst)),
            durable_lsn: self.durable_lsn(),
            trim_lsn: self.trim_lsn(),
            segments,
            segments_ready,
            buffered_bytes: self.tail.lock().buffer.len(),
            used_bytes: self.used_bytes(),
            writes: self.counts.writes.load(SeqCst),
            written_bytes: self.counts.written_bytes.load(SeqCst),
            syncs: self.counts.syncs.load(SeqCst),
            segments_recycled: self.counts.segments_recycled.load(SeqCst),
        }
    }

    /// Ends the log: nothing more is taken, and [`super::run`] returns after it has written, synced and marked the
    /// end of what was.
    pub fn close(&self) {
        self.tail.lock().gate = Gate::Stopped;
        self.closing.store(true, SeqCst);
        self.bell.ring();
        self.pool_bell.ring();
    }

    /// After a failed write or sync: what is durable stays as it is, nothing more is taken, everyone is told.
    pub(crate) fn stop(&self, fault: Fault) -> Fault {
        log::error!("the log takes no more writes until a restart: {fault}");
        self.stopped.lock().get_or_insert_with(|| fault.to_string().into());
        self.has_failed.store(true, SeqCst);
        self.tail.lock().gate = Gate::Stopped;
        self.wake_all();
        fault
    }

    /// The fault that ended the log, if one did.
    pub(crate) fn stop_fault(&self) -> Option<Fault> {
        let reason = self.stopped.lock().clone()?;
        Some(Fault::new(FaultKind::Io, format!("the log takes no more writes: {reason}")))
    }

    /// Everything up to `lsn` is written.
    pub(crate) fn publish_written(&self, lsn: Lsn) {
        self.marks.written.fetch_max(lsn.0, SeqCst);
        if self.options.fsync != Fsync::Always {
            self.wake_waiting();
        }
    }

    /// Everything up to `lsn` is durable.
    pub(crate) fn publish_durable(&self, lsn: Lsn) {
        self.marks.durable.fetch_max(lsn.0, SeqCst);
        if self.options.fsync == Fsync::Always {
            self.wake_waiting();
        }
    }

    /// The batch record for a span, as things are now.
    pub(crate) fn batch(&self, span: &Span) -> Batch {
        Batch {
            first: span.first,
            last: span.last,
            durable: self.durable_lsn(),
            trim: self.trim_lsn(),
            bytes: span.len as u64,
            closed: span.closed,
        }
    }
}
