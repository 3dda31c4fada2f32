//! From the buffer to the disk: write, sync, go on in the next segment.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use crate::base::fault::{Fault, FaultKind};
use crate::base::lsn::Lsn;

use super::disk::{Disk, DiskFile};
use super::log::{Log, Written};
use super::pool::Spare;
use super::record::{BATCH_BYTES, END_BYTES};
use super::segment::{FileName, HEADER_BYTES, Header, Prior};
use super::tail::{Gate, Span};

/// How often a worker goes on writing what others appended while it wrote, before it leaves the rest to the log
/// thread.
const ROUNDS_MAX: usize = 4;

/// The segment that is written, and the buffer that is being written.
pub(crate) struct Writer {
    file: Arc<dyn DiskFile>,
    header: Header,
    /// The byte behind the last batch.
    end: u64,
    /// The highest LSN written.
    last: Lsn,
    /// Something was written since the last sync began.
    unsynced: bool,
    /// The sync ahead of the segment's end was asked for.
    synced_ahead: bool,
    buffer: Vec<u8>,
    spans: Vec<Span>,
}

impl Writer {
    /// The writer of an empty segment.
    pub(crate) fn behind(header: Header, file: Arc<dyn DiskFile>, last: Lsn) -> Writer {
        Writer {
            file,
            header,
            end: HEADER_BYTES as u64,
            last,
            unsynced: false,
            synced_ahead: false,
            buffer: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// The segment that is written, where its last batch ends, and the last LSN in it.
    pub(crate) fn extent(&self) -> (u64, u64, Lsn) {
        (self.header.sequence, self.end, self.last)
    }

    /// Whether the segment is nearly full and that is news.
    fn nears_end(&mut self) -> bool {
        let near = !self.synced_ahead && self.end > self.header.segment_bytes / 8 * 7;
        self.synced_ahead |= near;
        near
    }
}

impl Log {
    /// Called by a worker at the end of its turn. Writes what was appended, or leaves it to whoever writes just now
    /// or, when that takes a sync, to the log thread. Never waits.
    pub fn write_pending(&self) -> Written {
        // Who only reads takes no lock of the log. What others append is theirs to write.
        if !self.has_unwritten() {
            return Written::Nothing;
        }
        let mut done = Written::Nothing;
        for _ in 0..ROUNDS_MAX {
            if !self.is_pending() {
                return done;
            }
            if self.options.fsync == super::Fsync::Always {
                // A ring that is missed costs no more than the rest of the wait, which is short.
                if self.appended_lsn().0 < self.gathers_to.load(SeqCst) {
                    return Written::Left;
                }
                break;
            }
            // Whoever holds the lock looks again when it has given it back, and finds what is pending here.
            let Some(mut writer) = self.writer.try_lock() else { return Written::Left };
            match self.write_out(&mut writer, false) {
                Ok(Written::Left) | Err(_) => break,
                Ok(_) => done = Written::All,
            }
            if writer.nears_end() {
                self.sync_soon.store(true, SeqCst);
                self.bell.ring();
            }
        }
        self.bell.ring();
        Written::Left
    }

    /// Writes everything that was appended, into the next segment where it must; may wait.
    pub(crate) fn write_round(&self) -> Result<(), Fault> {
        let _alone = self.syncing.lock();
        self.check_running()?;
        self.write_out(&mut self.writer.lock(), true)?;
        self.leave_no_rest();
        Ok(())
    }

    /// Writes and syncs everything that was appended. One sync serves all who wait for it.
    pub(crate) fn sync_round(&self) -> Result<(), Fault> {
        // A failed sync tells only one caller: all syncs are made one by one, and none after a failure.
        let _alone = self.syncing.lock();
        self.check_running()?;
        let (file, name, last, unsynced) = {
            let mut writer = self.writer.lock();
            self.write_out(&mut writer, true)?;
            let unsynced = std::mem::take(&mut writer.unsynced);
            (Arc::clone(&writer.file), writer.header.sequence, writer.last, unsynced)
        };
        self.leave_no_rest();
        if unsynced {
            self.counts.syncs.fetch_add(1, SeqCst);
            file.sync_data().map_err(|error| self.stop(self.io_fault("cannot sync", name, &error)))?;
        }
        self.publish_durable(last);
        Ok(())
    }

    /// Blocks until everything up to `lsn`, which was given, is durable; at every level. For the checkpoint: the
    /// stores never hold what the log could lose.
    pub fn sync_past(&self, lsn: Lsn) -> Result<(), Fault> {
        while self.durable_lsn() < lsn {
            if self.appended_lsn() < lsn {
                return Err(Fault::new(FaultKind::Mismatch, "nothing of this LSN was appended").lsn(lsn));
            }
            self.sync_round()?;
        }
        Ok(())
    }

    /// Makes sure that a batch will be written, be it without records: it carries the trim LSN. False when the
    /// segment has no room for it.
    pub(crate) fn ask_for_batch(&self, closed: bool) -> bool {
        let mut tail = self.tail.lock();
        if tail.spans.is_empty()
            && tail.offset + (BATCH_BYTES + END_BYTES) as u64 > self.options.segment_bytes
        {
            return false;
        }
        tail.open_span();
        if let Some(span) = tail.spans.last_mut() {
            span.closed = closed;
        }
        true
    }

    fn is_pending(&self) -> bool {
        !self.tail.lock().spans.is_empty()
    }

    /// A worker may have found the writer's lock taken and gone: what it appended is not forgotten.
    fn leave_no_rest(&self) {
        if self.is_pending() {
            self.bell.ring();
        }
    }

    fn check_running(&self) -> Result<(), Fault> {
        self.stop_fault().map_or(Ok(()), Err)
    }

    /// Takes the buffer and writes it, batch by batch. Without `may_switch` nothing is taken when it needs another
    /// segment.
    fn write_out(&self, writer: &mut Writer, may_switch: bool) -> Result<Written, Fault> {
        self.check_running()?;
        let refused = {
            let mut tail = self.tail.lock();
            let Some(last) = tail.spans.last() else { return Ok(Written::Nothing) };
            if !may_switch && last.sequence != writer.header.sequence {
                return Ok(Written::Left);
            }
            tail.end_span();
            std::mem::swap(&mut tail.buffer, &mut writer.buffer);
            std::mem::swap(&mut tail.spans, &mut writer.spans);
            std::mem::take(&mut tail.refused)
        };
        for index in 0..writer.spans.len() {
            let Some(span) = writer.spans.get(index).copied() else { break };
            if span.sequence != writer.header.sequence {
                self.switch(writer, &span).map_err(|fault| self.stop(fault))?;
            }
            self.write_span(writer, &span).map_err(|fault| self.stop(fault))?;
        }
        writer.spans.clear();
        writer.buffer.clear();
        writer.buffer.shrink_to(self.options.buffer_bytes_max);
        self.publish_written(writer.last);
        if refused {
            self.wake_all();
        }
        Ok(Written::All)
    }

    fn write_span(&self, writer: &mut Writer, span: &Span) -> Result<(), Fault> {
        let batch = self.batch(span).encode(span.seed);
        let bytes = writer.buffer.get_mut(span.start..span.start + span.len + END_BYTES).unwrap_or_default();
        if let Some(place) = bytes.get_mut(..BATCH_BYTES) {
            place.copy_from_slice(&batch);
        }
        writer.unsynced = true;
        writer
            .file
            .write_all_at(bytes, span.offset)
            .map_err(|error| self.io_fault("cannot write", span.sequence, &error).offset(span.offset))?;
        writer.end = span.offset + span.len as u64;
        writer.last = span.last;
        self.counts.writes.fetch_add(1, SeqCst);
        self.counts.written_bytes.fetch_add(span.len as u64, SeqCst);
        Ok(())
    }

    /// Ends the segment and opens the one of `span`. The old segment is synced before anything of the new one is
    /// written, so that only the last segment of a log can have a torn tail.
    fn switch(&self, writer: &mut Writer, span: &Span) -> Result<(), Fault> {
        let old = writer.header.sequence;
        self.counts.syncs.fetch_add(1, SeqCst);
        writer.file.sync_data().map_err(|error| self.io_fault("cannot sync", old, &error))?;
        // An entry may begin in the old segment and end in the new one: it is not durable yet.
        let durable = Lsn(span.first.0.saturating_sub(1));
        self.publish_durable(durable);
        let spare = self.pool.lock().take_ready();
        let spare = spare.ok_or_else(|| Fault::new(FaultKind::Mismatch, "no segment is ready"))?;
        let header = Header {
            sequence: span.sequence,
            first_lsn: span.first,
            prior: Prior { sequence: old, end: writer.end, lsn: writer.last },
            durable: self.durable_lsn(),
            trim: self.trim_lsn(),
            ..writer.header
        };
        open_segment(&*self.disk, &spare, &header)?;
        *writer = Writer {
            buffer: std::mem::take(&mut writer.buffer),
            spans: std::mem::take(&mut writer.spans),
            ..Writer::behind(header, spare.file, writer.last)
        };
        let mut pool = self.pool.lock();
        let live = pool.began(header.sequence, header.prior.lsn);
        self.counts.used_bytes.store(live as u64 * self.options.segment_bytes, SeqCst);
        drop(pool);
        self.pool_bell.ring();
        Ok(())
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.tail.lock().gate == Gate::Stopped
    }

    fn io_fault(&self, action: &str, sequence: u64, error: &std::io::Error) -> Fault {
        Fault::io(action, &self.segment_path(sequence), error)
    }

    fn segment_path(&self, sequence: u64) -> PathBuf {
        self.disk.path(&FileName::Segment(sequence).text())
    }
}

/// Turns a spare file into the segment of `header`. The header is durable before the file has a segment's name, and
/// the name is durable before anything is written behind the header.
pub(crate) fn open_segment(disk: &dyn Disk, spare: &Spare, header: &Header) -> Result<(), Fault> {
    let name = FileName::Segment(header.sequence).text();
    let fault = |action, error| Fault::io(action, &disk.path(&name), &error);
    spare.file.write_all_at(&header.encode(), 0).map_err(|error| fault("cannot write the header", error))?;
    spare.file.sync_data().map_err(|error| fault("cannot sync the header", error))?;
    disk.rename(&spare.name, &name).map_err(|error| fault("cannot rename to this", error))?;
    disk.sync_directory().map_err(|error| fault("cannot sync its directory", error))
}
