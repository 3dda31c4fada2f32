//! The append side: the buffer, and where in which segment its records will stand. No I/O.

use crate::base::lsn::Lsn;

use super::record::{BATCH_BYTES, END_BYTES};
use super::segment::{HEADER_BYTES, Header, seed};

/// Whether the append side takes entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    Full,
    Stopped,
}

/// The append side: where the next record goes. Its lock is the one that every write of every group takes.
pub(crate) struct Tail {
    pub(crate) gate: Gate,
    /// The LSN that the next entry gets.
    pub(crate) next: Lsn,
    /// What waits to be written: batches, each a place for its batch record and then records.
    pub(crate) buffer: Vec<u8>,
    /// The batches in `buffer`.
    pub(crate) spans: Vec<Span>,
    /// The segment that the next record goes to; records know their segment when they are made, their checksum
    /// depends on it.
    pub(crate) sequence: u64,
    pub(crate) seed: u32,
    /// The offset of the next record in it.
    pub(crate) offset: u64,
    /// Segments behind it that are allocated and not promised to any record yet.
    pub(crate) ready: usize,
    /// How many ready segments an entry that was refused needs: whoever makes one wakes everyone. 0 for none.
    pub(crate) wanted: usize,
    /// Somebody was refused for the buffer and is to be woken when it is written.
    pub(crate) refused: bool,
}

/// One batch in the buffer: one `write(2)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// Its segment.
    pub(crate) sequence: u64,
    /// What the checksums in that segment begin with.
    pub(crate) seed: u32,
    /// Its place in the segment.
    pub(crate) offset: u64,
    /// Its place in the buffer.
    pub(crate) start: usize,
    /// Its length without the mark behind it.
    pub(crate) len: usize,
    /// The LSN of its first record, or the next to be given.
    pub(crate) first: Lsn,
    /// The highest LSN in it.
    pub(crate) last: Lsn,
    /// The log is closed behind it.
    pub(crate) closed: bool,
}

impl Tail {
    /// The append side behind an empty segment.
    pub(crate) fn behind(header: &Header, next: Lsn, ready: usize) -> Tail {
        Tail {
            gate: Gate::Open,
            next,
            buffer: Vec::with_capacity(64 * 1024),
            spans: Vec::with_capacity(8),
            sequence: header.sequence,
            seed: header.seed(),
            offset: HEADER_BYTES as u64,
            ready,
            wanted: 0,
            refused: false,
        }
    }

    /// Whether a record of `len` bytes fits this segment below `limit`, the batch record included if one is due.
    pub(crate) fn fits(&self, len: usize, limit: u64) -> bool {
        let batch = if self.spans.is_empty() { BATCH_BYTES } else { 0 };
        self.offset + (batch + len) as u64 <= limit
    }

    /// How many further segments records of these lengths need.
    pub(crate) fn segments_needed(&self, lengths: impl Iterator<Item = usize>, limit: u64) -> usize {
        let batch = if self.spans.is_empty() { BATCH_BYTES as u64 } else { 0 };
        let mut offset = self.offset + batch;
        let mut needed = 0;
        for len in lengths {
            if offset + len as u64 > limit {
                needed += 1;
                offset = (HEADER_BYTES + BATCH_BYTES) as u64;
            }
            offset += len as u64;
        }
        needed
    }

    /// Begins a batch if none is open.
    pub(crate) fn open_span(&mut self) {
        if self.spans.is_empty() {
            self.begin_span();
        }
    }

    fn begin_span(&mut self) {
        let start = self.buffer.len();
        let last = Lsn(self.next.0.saturating_sub(1));
        self.spans.push(Span {
            sequence: self.sequence,
            seed: self.seed,
            offset: self.offset,
            start,
            len: BATCH_BYTES,
            first: self.next,
            last,
            closed: false,
        });
        self.buffer.resize(start + BATCH_BYTES, 0);
        self.offset += BATCH_BYTES as u64;
    }

    /// Ends the batch in this segment and goes on in the next, which must be ready.
    pub(crate) fn next_segment(&mut self, epoch: u64, salt: u64) {
        self.end_span();
        self.ready -= 1;
        self.sequence += 1;
        self.seed = seed(self.sequence, epoch, salt);
        self.offset = HEADER_BYTES as u64;
        self.begin_span();
    }

    /// Puts the end mark behind the last batch.
    pub(crate) fn end_span(&mut self) {
        let end = self.buffer.len();
        if let Some(span) = self.spans.last_mut() {
            span.len = end - span.start;
            self.buffer.resize(end + END_BYTES, 0);
        }
    }

    /// Notes the LSN of what was just put into the last batch.
    pub(crate) fn note(&mut self, lsn: Lsn) {
        if let Some(span) = self.spans.last_mut() {
            span.last = lsn;
        }
    }
}
