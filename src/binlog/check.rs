//! Looking at the log of a server that does not run, without changing it, and making a new one of what is good in it.

use std::path::Path;
use std::sync::Arc;

use crate::base::fault::{Fault, FaultKind};
use crate::base::limits;
use crate::base::lsn::Lsn;
use crate::base::version::Version;

use super::ceiling::Starts;
use super::disk::{Disk, RealDisk};
use super::entry::Entry;
use super::history::{Ended, History};
use super::log::{Fsync, Log, Options, Refusal};
use super::reader::{Reader, Step};
use super::recovery::{Files, Recovery, Report, Segment, open_found};
use super::segment::HEADER_BYTES;
use super::still::StillDisk;

/// What was found.
#[derive(Debug, Default)]
pub struct LogReport {
    /// What a start would find, if it would not be refused.
    pub start: Option<Report>,
    /// Segments in the directory.
    pub segments: usize,
    /// The last start that is counted, and the version ceiling.
    pub starts: Option<(u32, Version)>,
    /// Up to here everything is known to be in the stores.
    pub trim: Lsn,
    /// The latest start that wrote a segment.
    pub incarnation: u32,
    /// The server that wrote the newest good segment.
    pub server: Option<u16>,
    /// What is wrong.
    pub problems: Vec<Fault>,
    /// What is damaged and not needed: segments that the stores have all of.
    pub notes: Vec<Fault>,
}

/// Looks at the log in the directory at `path`; `each` is told of every entry that a start would replay.
pub fn look(path: &Path, each: impl FnMut(Lsn, &Entry<'_>) -> Result<(), Fault>) -> LogReport {
    let disk: Arc<dyn Disk> = Arc::new(StillDisk::new(path));
    let mut report = LogReport::default();
    match Starts::look(&*disk) {
        Ok(starts) => report.starts = Some(starts),
        Err(fault) => report.problems.push(fault),
    }
    let counted = report.starts.map_or(u32::MAX - 1, |(incarnation, _)| incarnation);
    let options = Options::new(Fsync::Never, 0, counted.saturating_add(1), 0);
    let start = Recovery::open(Arc::clone(&disk), options).and_then(|recovery| {
        report.trim = recovery.trim_lsn();
        recovery.look(each)
    });
    let verdict = start.map(|found| report.start = Some(found)).err();
    match Files::list(&*disk) {
        Ok(files) => {
            report.segments = files.segments.len();
            look_at_segments(&*disk, &files.segments, &mut report);
        }
        Err(fault) => report.problems.push(fault),
    }
    // The verdict of a start may be about a place that is named already.
    if let Some(fault) = verdict
        && !report.problems.iter().any(|known| known.path == fault.path && known.offset == fault.offset)
    {
        report.problems.push(fault);
    }
    report
}

/// Reads every segment but the last, whose end only a start can judge, up to where the next one says that it ends.
fn look_at_segments(disk: &dyn Disk, sequences: &[u64], report: &mut LogReport) {
    let mut newer: Option<Segment> = None;
    for sequence in sequences.iter().rev() {
        let segment = match open_found(disk, *sequence) {
            Ok(segment) => segment,
            Err(fault) => {
                let is_needed = newer.as_ref().is_none_or(|newer| newer.header.prior.lsn > report.trim);
                if is_needed {
                    report.problems.push(fault)
                } else {
                    report.notes.push(fault)
                }
                continue;
            }
        };
        report.incarnation = report.incarnation.max(segment.header.incarnation);
        report.server = report.server.or(Some(segment.header.server));
        report.trim = report.trim.max(segment.header.trim);
        let sealed = newer.as_ref().map(|newer| newer.header.prior);
        if let Some(prior) = sealed.filter(|prior| prior.sequence == *sequence)
            && let Err(fault) = read_through(&segment, prior.end)
        {
            if prior.lsn > report.trim { report.problems.push(fault) } else { report.notes.push(fault) }
        }
        newer = Some(segment);
    }
}

/// Every record before `end` must be good.
fn read_through(segment: &Segment, end: u64) -> Result<(), Fault> {
    let mut reader = Reader::open(Arc::clone(&segment.file), &segment.header, end);
    while reader.offset() < end {
        let at = reader.offset();
        let step =
            reader.next().map_err(|error| Fault::io("cannot read", &segment.path, &error).offset(at))?;
        if !matches!(step, Step::Record(_)) {
            let message = "a record that was durable is damaged or missing: restore this file from a backup, or cut \
                           the log here with --repair --cut-log and lose what is behind";
            return Err(Fault::new(FaultKind::Corrupt, message)
                .at(&segment.path)
                .offset(at.max(HEADER_BYTES as u64)));
        }
    }
    Ok(())
}

/// What a cut kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Entries in the new log.
    pub records: u64,
    /// The last of them.
    pub end: Lsn,
}

/// Makes a new log in the directory at `to` of the entries behind `after` in the log at `from`, up to the first place
/// that cannot be read. It goes on behind `floor`, and its starts behind `incarnation`.
///
/// # Errors
/// When the new log cannot be written.
pub fn rewrite(
    from: &Path,
    to: &Path,
    after: Lsn,
    floor: Lsn,
    starts: (u32, Version),
    server: u16,
) -> Result<Kept, Fault> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(to)?);
    Starts::make(Arc::clone(&disk), starts.0, starts.1)?;
    let (_, incarnation, _) = Starts::open(Arc::clone(&disk))?;
    let mut copy = Rewriting { disk, incarnation, server, log: None };
    let mut kept = Kept { records: 0, end: after };
    read_good(from, after, |lsn, entry| {
        copy.append(lsn, entry)?;
        kept.records += 1;
        kept.end = lsn;
        Ok(())
    })?;
    copy.close()?;
    // One more start, so that the log is known to go on behind everything that any store has.
    copy.open(floor.max(kept.end))?;
    copy.close()?;
    Ok(kept)
}

/// The latest part of the log that is whole from `after` on: without the segments from the first bad one's end on.
fn read_good(
    from: &Path,
    after: Lsn,
    mut each: impl FnMut(Lsn, &Entry<'_>) -> Result<(), Fault>,
) -> Result<Ended, Fault> {
    let mut tops = Files::list(&StillDisk::new(from))?.segments;
    while let Some(top) = tops.pop() {
        let disk: Arc<dyn Disk> = Arc::new(StillDisk::up_to(from, top));
        // Once in vain: the entries are only handed out when all of it can be read.
        let whole = History::open(&[disk], after).and_then(|history| {
            history.replay(Lsn::ZERO, |_, _| Ok(()))?;
            Ok(history)
        });
        if let Ok(history) = whole {
            return history.replay(Lsn::ZERO, &mut each);
        }
    }
    Ok(Ended { end: after, ..Ended::default() })
}

/// A log that is written anew: every entry keeps its LSN.
struct Rewriting {
    disk: Arc<dyn Disk>,
    incarnation: u32,
    server: u16,
    log: Option<Arc<Log>>,
}

impl Rewriting {
    fn open(&mut self, end: Lsn) -> Result<Arc<Log>, Fault> {
        let options = Options {
            log_bytes_max: limits::LOG_BYTES_MAX,
            ..Options::new(Fsync::EverySec, self.server, self.incarnation, u64::from(self.incarnation))
        };
        self.incarnation += 1;
        Starts::open(Arc::clone(&self.disk))?;
        let recovered = Recovery::open(Arc::clone(&self.disk), options)?.replay(|_, _| Ok(()), |_| ())?;
        let log = recovered.finish(end)?;
        self.log = Some(Arc::clone(&log));
        Ok(log)
    }

    fn append(&mut self, lsn: Lsn, entry: &Entry<'_>) -> Result<(), Fault> {
        let before = Lsn(lsn.0.saturating_sub(1));
        let log = match self.log.take() {
            Some(log) if log.appended_lsn() == before => log,
            log => {
                self.log = log;
                self.close()?;
                self.open(before)?
            }
        };
        self.log = Some(Arc::clone(&log));
        loop {
            match log.append(entry, &[]) {
                Ok(given) if given == lsn => return Ok(()),
                Ok(_) => return Err(Fault::new(FaultKind::Corrupt, "an entry got another LSN").lsn(lsn)),
                Err(Refusal::Busy) => log.tend(),
                Err(why) => {
                    return Err(
                        Fault::new(FaultKind::Io, format!("cannot rewrite the log: {why:?}")).lsn(lsn)
                    );
                }
            }
        }
    }

    /// Writes and syncs what was appended, and marks the end.
    fn close(&mut self) -> Result<(), Fault> {
        let Some(log) = self.log.take() else { return Ok(()) };
        log.sync_past(log.appended_lsn())?;
        log.close();
        super::run(&log);
        Ok(())
    }
}
