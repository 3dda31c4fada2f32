//! Reads a segment record by record, through a window, and looks for batch records where the order is lost.

use std::io;
use std::sync::Arc;

use crate::base::limits;
use crate::base::lsn::Lsn;

use super::disk::DiskFile;
use super::record::{ALIGN, BATCH_BYTES, Batch, Frame, Record, decode, frame};
use super::segment::{HEADER_BYTES, Header};

/// What is read at once, bytes.
const WINDOW_BYTES: usize = 4 * limits::RECORD_BYTES_MAX;

/// What stands at a reader's place.
#[derive(Debug)]
pub(crate) enum Step<'w> {
    /// A record of this segment.
    Record(&'w [u8]),
    /// The mark that nothing follows.
    End,
    /// No record of this segment.
    Bad,
}

/// A place in a segment that moves from record to record.
pub(crate) struct Reader {
    file: Arc<dyn DiskFile>,
    seed: u32,
    window: Vec<u8>,
    /// The next record is here in the window ...
    from: usize,
    /// ... which holds this many bytes of the file ...
    filled: usize,
    /// ... from this offset on.
    base: u64,
    /// Nothing is read from here on.
    end: u64,
}

impl Reader {
    /// At the first record of a segment, whose records end before `end`.
    pub(crate) fn open(file: Arc<dyn DiskFile>, header: &Header, end: u64) -> Reader {
        let window = vec![0; WINDOW_BYTES];
        Reader { file, seed: header.seed(), window, from: 0, filled: 0, base: HEADER_BYTES as u64, end }
    }

    /// Where the next record begins.
    pub(crate) fn offset(&self) -> u64 {
        self.base + self.from as u64
    }

    /// The next record. The place moves behind it; it stays at anything else.
    pub(crate) fn next(&mut self) -> io::Result<Step<'_>> {
        let (len, whole) = loop {
            let needed = match frame(self.window.get(self.from..self.filled).unwrap_or(&[]), self.seed) {
                Frame::Good(record, whole) => break (record.len(), whole),
                Frame::End => return Ok(Step::End),
                Frame::Bad => return Ok(Step::Bad),
                Frame::Short(needed) => needed,
            };
            if !self.fill(needed)? {
                return Ok(Step::Bad);
            }
        };
        let start = self.from;
        self.from += whole;
        Ok(self.window.get(start..start + len).map_or(Step::Bad, Step::Record))
    }

    /// Goes to `offset`.
    pub(crate) fn seek(&mut self, offset: u64) {
        match offset.checked_sub(self.base) {
            Some(from) if from <= self.filled as u64 => self.from = from as usize,
            _ => {
                self.base = offset;
                self.from = 0;
                self.filled = 0;
            }
        }
    }

    /// Reads on. Whether `needed` bytes are at hand now.
    fn fill(&mut self, needed: usize) -> io::Result<bool> {
        self.window.copy_within(self.from..self.filled, 0);
        self.base += self.from as u64;
        self.filled -= self.from;
        self.from = 0;
        let left = self.end.saturating_sub(self.base + self.filled as u64);
        let room = (self.window.len() - self.filled).min(usize::try_from(left).unwrap_or(usize::MAX));
        if let Some(free) = self.window.get_mut(self.filled..self.filled + room) {
            self.filled += self.file.read_at(free, self.base + self.filled as u64)?;
        }
        Ok(self.filled >= needed)
    }
}

/// What the batch records of a segment say, wherever they stand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Survey {
    /// The highest durable LSN.
    pub(crate) durable: Lsn,
    /// The highest trim LSN.
    pub(crate) trim: Lsn,
    /// The highest LSN given.
    pub(crate) last: Lsn,
    /// Where the furthest batch would end.
    pub(crate) end: u64,
    /// The log was closed: nothing is behind.
    pub(crate) closed: bool,
}

impl Survey {
    /// Surveys the last segment of a log: first from batch to batch, then, where a batch is missing, by looking at
    /// every place where one could begin. A write that was lost may have good ones behind it.
    pub(crate) fn take(file: &Arc<dyn DiskFile>, header: &Header) -> io::Result<Survey> {
        let mut survey = Survey {
            durable: header.durable,
            trim: header.trim,
            last: Lsn(header.first_lsn.0.saturating_sub(1)),
            end: HEADER_BYTES as u64,
            closed: false,
        };
        let mut reader = Reader::open(Arc::clone(file), header, file.len()?);
        loop {
            let at = reader.offset();
            let Step::Record(record) = reader.next()? else { break };
            let Ok(Record::Batch(batch)) = decode(record, header.here()) else { break };
            survey.note(&batch, at);
            if batch.closed || batch.bytes < BATCH_BYTES as u64 || batch.bytes % ALIGN as u64 != 0 {
                break;
            }
            reader.seek(at.saturating_add(batch.bytes));
        }
        if !survey.closed {
            survey.search(&mut reader, header)?;
        }
        Ok(survey)
    }

    fn note(&mut self, batch: &Batch, at: u64) {
        self.durable = self.durable.max(batch.durable);
        self.trim = self.trim.max(batch.trim);
        self.last = self.last.max(batch.last);
        self.end = self.end.max(at.saturating_add(batch.bytes));
        self.closed |= batch.closed;
    }

    /// Looks for batch records from the reader's place on.
    fn search(&mut self, reader: &mut Reader, header: &Header) -> io::Result<()> {
        while reader.fill(BATCH_BYTES)? {
            let bytes = reader.window.get(..reader.filled).unwrap_or(&[]);
            for (index, word) in bytes.as_chunks::<ALIGN>().0.iter().enumerate() {
                if Batch::may_begin(*word)
                    && let Some(here) = bytes.get(index * ALIGN..)
                    && let Frame::Good(record, _) = frame(here, reader.seed)
                    && let Ok(Record::Batch(batch)) = decode(record, header.here())
                {
                    self.note(&batch, reader.base + (index * ALIGN) as u64);
                }
            }
            reader.from = (bytes.len() - BATCH_BYTES) / ALIGN * ALIGN + ALIGN;
        }
        Ok(())
    }
}
