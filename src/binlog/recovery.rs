//! The start: which segments are the log, what they say, where the log ends, and the new segment behind it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::fault::{Fault, FaultKind};
use crate::base::limits;
use crate::base::lsn::Lsn;

use super::archive::Archive;
use super::disk::{Disk, DiskFile};
use super::entry::Entry;
use super::log::{Log, Options, SEGMENT_BYTES_MIN};
use super::pool::{Pool, Spare, Zeroed, make_spare, retire};
use super::reader::Survey;
use super::replay::{Cut, Purpose, Replay};
use super::segment::{FileName, HEADER_BYTES, Header, HeaderError, Prior};
use super::writer::open_segment;

/// A log that is being opened: its segments are found and in order.
pub struct Recovery {
    disk: Arc<dyn Disk>,
    options: Options,
    files: Files,
    /// The segments that hold something to replay, oldest first; the last segment of the log is always one of them.
    chain: Vec<Segment>,
    survey: Survey,
    archive: Option<Archive>,
}

/// A segment that is read.
pub(crate) struct Segment {
    pub(crate) header: Header,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) path: PathBuf,
    /// Where its records end: known of every segment but the last, whose file's end this is.
    pub(crate) end: u64,
    /// Whether another segment follows: then all of it was synced, and every record must be good.
    pub(crate) sealed: bool,
}

/// The log's files by their kind.
#[derive(Default)]
pub(super) struct Files {
    pub(super) segments: Vec<u64>,
    spares: Vec<u64>,
    unfinished: Vec<u64>,
}

/// How far a replay is, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Read so far.
    pub bytes: u64,
    /// To be read.
    pub bytes_total: u64,
}

/// What a replay found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Segments read.
    pub segments: usize,
    /// Entries handed out.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
    /// The torn tail that was cut off, if there was one.
    pub cut: Option<Cut>,
    /// Large values of which a part was missing at the end of a log.
    pub incomplete: u64,
    /// The highest durable LSN that the log tells of.
    pub durable_lsn: Lsn,
    /// Entries up to here are in the stores and were not handed out.
    pub trim_lsn: Lsn,
    /// The last LSN of the log.
    pub end: Lsn,
    /// Whether the log was closed in order.
    pub closed: bool,
}

/// A log that was replayed and can go on.
pub struct Recovered {
    /// What was found.
    pub report: Report,
    recovery: Recovery,
    /// Where the log ends.
    prior: Prior,
}

impl Recovery {
    /// Finds the segments of the log in `disk` and checks that none is missing. Changes nothing but that it removes
    /// what an interrupted start left behind. A directory without a log is an empty log.
    ///
    /// Fails when the directory cannot be read, or when the log is damaged or newer than this version.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<Recovery, Fault> {
        if options.segment_bytes < SEGMENT_BYTES_MIN || !options.segment_bytes.is_multiple_of(4096) {
            let message = format!("a log segment is a multiple of 4096 bytes, at least {SEGMENT_BYTES_MIN}");
            return Err(Fault::new(FaultKind::Unusable, message));
        }
        let files = Files::list(&*disk)?;
        for number in &files.unfinished {
            let name = FileName::Unfinished(*number).text();
            disk.remove(&name).map_err(|error| Fault::io("cannot remove", &disk.path(&name), &error))?;
        }
        let (chain, survey) = find_chain(&*disk, &files)?;
        if let Some(last) = chain.last().filter(|last| last.header.incarnation >= options.incarnation) {
            let message = format!(
                "the log knows start {} of this server, this is start {}: the file that counts the starts is \
                 missing or older than the log; restore it",
                last.header.incarnation, options.incarnation
            );
            return Err(Fault::new(FaultKind::Mismatch, message).at(&last.path));
        }
        Ok(Recovery { disk, options, files, chain, survey, archive: None })
    }

    /// Copies segments to this directory before their files are used again.
    #[must_use]
    pub fn archived_to(mut self, disk: Option<Arc<dyn Disk>>) -> Recovery {
        self.archive = disk.map(Archive::new);
        self
    }

    /// The trim LSN that is known: entries up to here are not handed out.
    pub fn trim_lsn(&self) -> Lsn {
        self.survey.trim
    }

    /// Hands out every entry above the trim LSN in order, and finds the end of the log. A fault of `each` ends it. What is
    /// handed out is durable: the end of the log, of which that is not known, is written again and synced first.
    ///
    /// Fails with file and offset when a record that was durable is not good: cutting there would lose what was
    /// promised.
    pub fn replay(
        self,
        mut each: impl FnMut(Lsn, &Entry<'_>) -> Result<(), Fault>,
        mut progress: impl FnMut(Progress),
    ) -> Result<Recovered, Fault> {
        let mut replay = self.read(Purpose::Start, &mut each, &mut progress)?;
        let report = replay.report(self.chain.len());
        let prior = match (self.chain.last(), replay.end_of_last()) {
            // A last segment without entries is left out of the log: its file can be used again.
            (Some(last), None) => last.header.prior,
            (Some(last), Some(end)) => Prior { sequence: last.header.sequence, end, lsn: report.end },
            (None, _) => Prior::default(),
        };
        Ok(Recovered { report, prior, recovery: self })
    }

    /// Hands out what [`Recovery::replay`] would, and says what it would find, but changes nothing.
    ///
    /// Fails as that does.
    pub fn look(&self, mut each: impl FnMut(Lsn, &Entry<'_>) -> Result<(), Fault>) -> Result<Report, Fault> {
        let mut replay = self.read(Purpose::Look, &mut each, &mut |_| ())?;
        Ok(replay.report(self.chain.len()))
    }

    fn read(
        &self,
        purpose: Purpose,
        each: &mut impl FnMut(Lsn, &Entry<'_>) -> Result<(), Fault>,
        progress: &mut impl FnMut(Progress),
    ) -> Result<Replay, Fault> {
        let records_end = |segment: &Segment| if segment.sealed { segment.end } else { self.survey.end };
        let bytes_total = self.chain.iter().map(|found| records_end(found) - HEADER_BYTES as u64).sum();
        let mut replay = Replay::new(self.survey, bytes_total, purpose);
        for segment in &self.chain {
            replay.segment(segment, each, progress)?;
        }
        Ok(replay)
    }
}

impl Recovered {
    /// Opens a new segment behind what was read. `floor` is the highest LSN that any store
    /// knows: the next LSN is above it and above all of the log.
    pub fn finish(mut self, floor: Lsn) -> Result<Arc<Log>, Fault> {
        let archive = self.recovery.archive.take();
        let Recovery { disk, options, files, chain, survey, .. } = &self.recovery;
        disk.sync_directory()
            .map_err(|error| Fault::io("cannot sync the directory", &disk.path(""), &error))?;
        let done = self.report.end.max(survey.last).max(survey.durable).max(floor);
        let header = Header {
            sequence: files.segments.iter().max().map_or(1, |top| top + 1),
            epoch: chain.last().map_or(1, |last| last.header.epoch + 1).max(u64::from(options.incarnation)),
            salt: options.salt,
            first_lsn: done.next(),
            prior: self.prior,
            durable: done,
            trim: survey.trim,
            server: options.server,
            incarnation: options.incarnation,
            segment_bytes: options.segment_bytes,
        };
        let (mut pool, mut spares) = self.open_spares()?;
        let first = match spares.pop() {
            Some(spare) => spare,
            None => make_spare(&**disk, options, pool.take_number(), Zeroed::No, &|| false)?
                .ok_or_else(|| Fault::new(FaultKind::Io, "no segment was made"))?,
        };
        open_segment(&**disk, &first, &header)?;
        spares.extend(self.retire_unneeded(&mut pool, archive.as_ref())?);
        self.fill_pool(&mut pool, spares, &header)?;
        let held_bytes = limits::LOG_HELD_BYTES_MAX / options.segment_bytes;
        pool.bound_holds(usize::try_from(held_bytes).unwrap_or(usize::MAX));
        Ok(Arc::new(Log::new(Arc::clone(disk), *options, archive, header, first.file, pool, done.next())))
    }

    /// The spare files that are as long as a segment; others are removed.
    fn open_spares(&self) -> Result<(Pool, Vec<Spare>), Fault> {
        let Recovery { disk, options, files, .. } = &self.recovery;
        let top = files.spares.iter().chain(&files.unfinished).max();
        let mut spares = Vec::new();
        for number in &files.spares {
            let name = FileName::Spare(*number).text();
            let fault = |error| Fault::io("cannot take the spare segment in", &disk.path(&name), &error);
            let file = disk.open(&name).map_err(fault)?;
            if file.len().map_err(fault)? == options.segment_bytes {
                spares.push(Spare { name, file });
            } else {
                disk.remove(&name).map_err(fault)?;
            }
        }
        Ok((Pool::new(top.map_or(0, |top| top + 1)), spares))
    }

    /// Takes the segments out of the log that nothing speaks of any more: trimmed ones, and those without entries.
    /// One that cannot be archived stays under its name until the next start.
    fn retire_unneeded(&self, pool: &mut Pool, archive: Option<&Archive>) -> Result<Vec<Spare>, Fault> {
        let Recovery { disk, files, .. } = &self.recovery;
        let mut retired = Vec::new();
        for sequence in &files.segments {
            let is_needed = self.kept().any(|segment| segment.header.sequence == *sequence);
            if !is_needed && archive.is_none_or(|archive| archive.keep(&**disk, *sequence)) {
                retired.push(retire(&**disk, *sequence, pool.take_number())?);
            }
        }
        if !retired.is_empty() {
            disk.sync_directory()
                .map_err(|error| Fault::io("cannot sync the directory", &disk.path(""), &error))?;
        }
        Ok(retired)
    }

    /// The segments that stay part of the log.
    fn kept(&self) -> impl Iterator<Item = &Segment> {
        self.recovery.chain.iter().filter(|segment| segment.header.sequence <= self.prior.sequence)
    }

    /// Tells the pool which segments there are; more spares than the log may have are removed.
    fn fill_pool(&self, pool: &mut Pool, spares: Vec<Spare>, new: &Header) -> Result<(), Fault> {
        let Recovery { disk, options, .. } = &self.recovery;
        let mut live = 0;
        for segment in self.kept() {
            live = pool.began(segment.header.sequence, segment.header.prior.lsn);
        }
        live = live.max(pool.began(new.sequence, new.prior.lsn));
        for spare in spares {
            let fits = spare.file.len().ok() == Some(options.segment_bytes);
            if fits && live + pool.figures().1 < options.segments_max() {
                pool.add_ready(spare);
            } else {
                let fault = |error| Fault::io("cannot remove", &disk.path(&spare.name), &error);
                disk.remove(&spare.name).map_err(fault)?;
            }
        }
        Ok(())
    }
}

impl Files {
    pub(super) fn list(disk: &dyn Disk) -> Result<Files, Fault> {
        let names =
            disk.list().map_err(|error| Fault::io("cannot list the directory", &disk.path(""), &error))?;
        let mut files = Files::default();
        for name in names {
            match FileName::parse(&name) {
                Some(FileName::Segment(sequence)) => files.segments.push(sequence),
                Some(FileName::Spare(number)) => files.spares.push(number),
                Some(FileName::Unfinished(number)) => files.unfinished.push(number),
                None => {}
            }
        }
        files.segments.sort_unstable();
        files.spares.sort_unstable();
        Ok(files)
    }
}

/// Goes from the last segment back to the oldest that holds something above the trim LSN.
fn find_chain(disk: &dyn Disk, files: &Files) -> Result<(Vec<Segment>, Survey), Fault> {
    let Some(top) = files.segments.last() else { return Ok((Vec::new(), Survey::default())) };
    let last = open_found(disk, *top)?;
    let survey = Survey::take(&last.file, &last.header)
        .map_err(|error| Fault::io("cannot read the segment", &last.path, &error))?;
    let mut chain = BTreeMap::new();
    let mut prior = last.header.prior;
    let mut above = *top;
    chain.insert(*top, last);
    while prior.sequence != 0 && prior.lsn > survey.trim {
        let path = disk.path(&FileName::Segment(prior.sequence).text());
        // Every step goes down, or a damaged header could send us in circles.
        if prior.sequence >= above || !files.segments.contains(&prior.sequence) {
            let message = format!(
                "this segment of the log is missing: it holds entries up to LSN {}, and only those up to {} are \
                 known to be in the stores; restore it",
                prior.lsn, survey.trim
            );
            return Err(Fault::new(FaultKind::Corrupt, message).at(&path).lsn(prior.lsn));
        }
        let mut found = open_found(disk, prior.sequence)?;
        found.end = prior.end.max(HEADER_BYTES as u64);
        found.sealed = true;
        above = prior.sequence;
        prior = found.header.prior;
        chain.insert(above, found);
    }
    Ok((chain.into_values().collect(), survey))
}

pub(super) fn open_found(disk: &dyn Disk, sequence: u64) -> Result<Segment, Fault> {
    let name = FileName::Segment(sequence).text();
    let path = disk.path(&name);
    let fault = |error| Fault::io("cannot read the segment", &path, &error);
    let file = disk.open(&name).map_err(fault)?;
    let mut bytes = vec![0; HEADER_BYTES];
    let len = file.read_at(&mut bytes, 0).map_err(fault)?;
    let header = match Header::decode(bytes.get(..len).unwrap_or(&[])) {
        Ok(header) if header.sequence == sequence => header,
        Ok(header) => {
            let message =
                format!("the file calls itself segment {}: it is not what its name says", header.sequence);
            return Err(Fault::new(FaultKind::Corrupt, message).at(&path).offset(0));
        }
        Err(HeaderError::Damaged) => {
            let message =
                "the segment's header is damaged; restore the file, or remove the log and accept the loss";
            return Err(Fault::new(FaultKind::Corrupt, message).at(&path).offset(0));
        }
        Err(HeaderError::Format(format)) => {
            let message = format!("the log has format {format}: written by a later version, use that one");
            return Err(Fault::new(FaultKind::Mismatch, message).at(&path).offset(0));
        }
    };
    let end = file.len().map_err(fault)?;
    Ok(Segment { header, file, path, end, sealed: false })
}
