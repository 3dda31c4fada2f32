//! The records of a log in order: judged, put together, handed out.

use std::path::PathBuf;

use crate::base::effect::{Effect, NewValue};
use crate::base::fault::{Fault, FaultKind};
use crate::base::limits;
use crate::base::lsn::{GroupId, Lsn};

use super::entry::{Body, Entry, Origin};
use super::reader::{Reader, Step, Survey};
use super::record::{Part, Record, decode};
use super::recovery::{Progress, Report, Segment};
use super::segment::HEADER_BYTES;
use super::unproven::make_durable;

/// After how many records progress is told.
const PROGRESS_RECORDS: u64 = 1 << 16;

/// A torn tail that was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub path: PathBuf,
    /// Where the log ends now.
    pub offset: u64,
    /// What is known to have stood behind, bytes; 0 when it is not known.
    pub bytes: u64,
}

/// A replay, from segment to segment.
pub(crate) struct Replay {
    survey: Survey,
    /// The LSN of the next record.
    expected: Lsn,
    epoch: Option<u64>,
    open: Option<Open>,
    report: Report,
    bytes_total: u64,
    /// Records read, whether handed out or not.
    seen: u64,
    /// Of the last segment: where it ends if it has entries.
    end_of_last: Option<u64>,
    /// What no durable LSN covers is still to be made durable.
    writes_back: bool,
}

/// What a log is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To go on from: what is handed out may be stored elsewhere, and is made durable first.
    Start,
    /// To see what is in it; nothing is changed.
    Look,
}

/// A value of which parts are still to come.
struct Open {
    /// Its first record.
    head: Vec<u8>,
    group: GroupId,
    here: Origin,
    value: Vec<u8>,
    total: u64,
}

impl Replay {
    pub(crate) fn new(survey: Survey, bytes_total: u64, purpose: Purpose) -> Replay {
        Replay {
            survey,
            expected: Lsn::ZERO,
            epoch: None,
            open: None,
            report: Report {
                durable_lsn: survey.durable,
                trim_lsn: survey.trim,
                closed: survey.closed,
                ..Report::default()
            },
            bytes_total,
            seen: 0,
            end_of_last: None,
            writes_back: purpose == Purpose::Start,
        }
    }

    /// What was found, after the last segment.
    pub(crate) fn report(&mut self, segments: usize) -> Report {
        self.drop_open();
        Report { segments, end: Lsn(self.expected.0.saturating_sub(1)), ..self.report.clone() }
    }

    /// Where the last segment ends; `None` when it holds no entry.
    pub(crate) fn end_of_last(&self) -> Option<u64> {
        self.end_of_last
    }

    /// Reads one segment. For a start, before the first record is handed out that no durable LSN covers, all of them are
    /// made durable: whoever is handed one may commit it to a store, which must never hold what the log could lose.
    pub(crate) fn segment(
        &mut self,
        segment: &Segment,
        each: &mut impl FnMut(Lsn, &Entry<'_>) -> Result<(), Fault>,
        progress: &mut impl FnMut(Progress),
    ) -> Result<(), Fault> {
        self.begin(segment)?;
        let mut reader = Reader::open(segment.file.clone(), &segment.header, segment.end);
        let here = segment.header.here();
        let before = self.report.bytes;
        let mut entries = false;
        while reader.offset() < segment.end {
            let at = reader.offset();
            let step =
                reader.next().map_err(|error| Fault::io("cannot read", &segment.path, &error).offset(at))?;
            let Step::Record(bytes) = step else {
                self.judge_end(segment, at, matches!(step, Step::End))?;
                break;
            };
            let place = |fault: Fault| match fault.path {
                None => fault.at(&segment.path).offset(at),
                // Not ours, but of whoever was handed the entry.
                Some(_) => fault,
            };
            let record = decode(bytes, here).map_err(|what| place(strange(what)))?;
            let is_batch = matches!(record, Record::Batch(_));
            let is_unproven = !segment.sealed && self.expected > self.survey.durable;
            if is_unproven && std::mem::take(&mut self.writes_back) {
                make_durable(segment, at).map_err(|error| {
                    Fault::io("cannot write back and sync the log's end", &segment.path, &error).offset(at)
                })?;
            }
            entries |= !is_batch;
            self.record(record, bytes, here, each).map_err(place)?;
            self.seen += 1;
            self.report.bytes = before + (reader.offset() - HEADER_BYTES as u64);
            if self.seen.is_multiple_of(PROGRESS_RECORDS) {
                progress(self.progress());
            }
        }
        if !segment.sealed {
            self.end_of_last = entries.then_some(reader.offset());
            self.judge_file_end(segment, reader.offset())?;
        }
        progress(self.progress());
        Ok(())
    }

    fn progress(&self) -> Progress {
        Progress { bytes: self.report.bytes, bytes_total: self.bytes_total.max(self.report.bytes) }
    }

    /// Checks how a segment follows the one before.
    fn begin(&mut self, segment: &Segment) -> Result<(), Fault> {
        let first = segment.header.first_lsn;
        match self.epoch {
            // The same start went on: nothing is between.
            Some(epoch) if epoch == segment.header.epoch => {
                if first != self.expected {
                    return Err(self.gap(segment, first));
                }
            }
            // A later start: a value that was not finished never will be, and LSNs may leap.
            _ => {
                self.drop_open();
                if first < self.expected {
                    return Err(self.gap(segment, first));
                }
                self.expected = first;
            }
        }
        self.epoch = Some(segment.header.epoch);
        Ok(())
    }

    fn gap(&self, segment: &Segment, first: Lsn) -> Fault {
        let message = format!("the segment begins with LSN {first}, but LSN {} is due", self.expected);
        Fault::new(FaultKind::Corrupt, message).at(&segment.path).offset(0).lsn(first)
    }

    /// A value that was not finished is dropped; its LSN is not given again.
    fn drop_open(&mut self) {
        if self.open.take().is_some() {
            self.report.incomplete += 1;
            self.expected = self.expected.next();
        }
    }

    /// No good record stands at `at`: is this the end of the log, or damage?
    fn judge_end(&mut self, segment: &Segment, at: u64, marked: bool) -> Result<(), Fault> {
        if segment.sealed || self.expected <= self.survey.durable {
            let message = "a record that was durable is damaged or missing: going on would lose it; restore this \
                           file from a backup, or use `larder check --repair` and accept the loss";
            let fault = Fault::new(FaultKind::Corrupt, message);
            return Err(fault.at(&segment.path).offset(at).lsn(self.expected));
        }
        let behind = self.survey.end.saturating_sub(at);
        if !marked || behind > 0 {
            self.report.cut = Some(Cut { path: segment.path.clone(), offset: at, bytes: behind });
        }
        Ok(())
    }

    /// The file may end before what was durable does.
    fn judge_file_end(&mut self, segment: &Segment, at: u64) -> Result<(), Fault> {
        if at >= segment.end { self.judge_end(segment, at, true) } else { Ok(()) }
    }

    fn record(
        &mut self,
        record: Record<'_>,
        bytes: &[u8],
        here: Origin,
        each: &mut impl FnMut(Lsn, &Entry<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        match record {
            Record::Batch(batch) => self.check_order(batch.first, true),
            Record::Entry(lsn, entry, None) => {
                self.check_order(lsn, self.open.is_none())?;
                self.hand_out(lsn, &entry, each)
            }
            Record::Entry(lsn, entry, Some(total)) => {
                self.check_order(lsn, self.open.is_none())?;
                self.open = Some(Open::begin(&entry, total, bytes, here)?);
                Ok(())
            }
            Record::Part(part) => self.part(&part, each),
        }
    }

    /// A record with the right checksum in the wrong place is no torn tail.
    fn check_order(&self, lsn: Lsn, fits: bool) -> Result<(), Fault> {
        if lsn == self.expected && fits {
            return Ok(());
        }
        let message = format!("this record is out of order: LSN {} is due", self.expected);
        Err(Fault::new(FaultKind::Corrupt, message).lsn(lsn))
    }

    fn part(
        &mut self,
        part: &Part<'_>,
        each: &mut impl FnMut(Lsn, &Entry<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let complete = part.offset.saturating_add(part.bytes.len() as u64) == part.total;
        let Some(mut open) = self.open.take() else {
            // Its beginning may be in a segment that was given up already.
            self.check_order(part.lsn, part.lsn <= self.survey.trim)?;
            self.expected = if complete { part.lsn.next() } else { part.lsn };
            return Ok(());
        };
        self.check_order(part.lsn, open.takes(part))?;
        open.value.extend_from_slice(part.bytes);
        if !complete {
            self.open = Some(open);
            return Ok(());
        }
        let entry = open.entry()?;
        self.hand_out(part.lsn, &entry, each)
    }

    fn hand_out(
        &mut self,
        lsn: Lsn,
        entry: &Entry<'_>,
        each: &mut impl FnMut(Lsn, &Entry<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.expected = lsn.next();
        if lsn <= self.survey.trim {
            return Ok(());
        }
        self.report.records += 1;
        each(lsn, entry)
    }
}

impl Open {
    fn begin(entry: &Entry<'_>, total: u64, record: &[u8], here: Origin) -> Result<Open, Fault> {
        if total > limits::ITEM_BYTES_MAX as u64 {
            return Err(strange("its value is larger than any may be"));
        }
        let first = match entry.body {
            Body::Item { effect: Effect::Put(put), .. } => match put.value {
                NewValue::Whole(bytes) => bytes,
                _ => &[],
            },
            _ => return Err(strange("it has no value to be split")),
        };
        Ok(Open { head: record.to_vec(), group: entry.group, here, value: first.to_vec(), total })
    }

    /// Whether `part` is the next of this value.
    fn takes(&self, part: &Part<'_>) -> bool {
        let len = self.value.len() as u64;
        let follows = part.group == self.group && part.offset == len && part.total == self.total;
        follows && part.bytes.len() as u64 <= self.total - len
    }

    /// The whole entry.
    fn entry(&self) -> Result<Entry<'_>, Fault> {
        match decode(&self.head, self.here) {
            Ok(Record::Entry(_, mut entry, _)) => {
                if let Body::Item { effect: Effect::Put(put), .. } = &mut entry.body {
                    put.value = NewValue::Whole(&self.value);
                }
                Ok(entry)
            }
            _ => Err(strange("its first part is no entry")),
        }
    }
}

/// A record with the right checksum that is not understood: nothing is cut for that.
fn strange(what: &str) -> Fault {
    let message =
        format!("this record is not understood: {what}; it was written by a later version, use that one");
    Fault::new(FaultKind::Mismatch, message)
}
