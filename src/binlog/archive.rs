//! Keeping what leaves the log: a segment that is not needed any more is copied to another directory before its file is
//! used again.
//!
//! The copy is made on the thread that keeps segments ready, so that no writer waits for it. While it fails the segments
//! stay where they are, beyond the log's own bound, and it is tried again about every second; when they have come to
//! `limits::LOG_HELD_BYTES_MAX`, or the disk is full, they are given up: the archive has a gap then, and says so.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::base::fault::{Fault, FaultKind};

use super::disk::Disk;
use super::reader::{Reader, Step};
use super::recovery::{Segment, open_found};
use super::segment::{FileName, HEADER_BYTES};

/// What is copied at once, bytes.
const COPY_BYTES: usize = 1 << 20;

/// Where segments are kept, and how that goes.
pub(crate) struct Archive {
    disk: Arc<dyn Disk>,
    kept: AtomicU64,
    lost: AtomicU64,
    is_failing: AtomicBool,
}

/// How an archive is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArchiveFigures {
    /// Segments that were copied since the start.
    pub kept: u64,
    /// Segments that were given up since the start: gaps.
    pub lost: u64,
    /// Whether the last copy failed.
    pub is_failing: bool,
}

impl Archive {
    /// An archive in this directory.
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Archive {
        Archive { disk, kept: AtomicU64::new(0), lost: AtomicU64::new(0), is_failing: AtomicBool::new(false) }
    }

    /// Copies a segment of `log`, durably; whether that worked. The log tells of the first failure and of the recovery.
    pub(crate) fn keep(&self, log: &dyn Disk, sequence: u64) -> bool {
        match self.copy(log, sequence) {
            Ok(()) => {
                self.kept.fetch_add(1, Relaxed);
                if self.is_failing.swap(false, Relaxed) {
                    log::info!("the archive takes segments of the log again");
                }
                true
            }
            Err(fault) => {
                if !self.is_failing.swap(true, Relaxed) {
                    log::error!("the archive fails, it is tried again; the log grows meanwhile: {fault}");
                }
                false
            }
        }
    }

    /// A segment is used again without a copy.
    pub(crate) fn give_up(&self, sequence: u64) {
        self.lost.fetch_add(1, Relaxed);
        log::error!(
            "the archive has a gap: {} was given up; a restore can only go up to there: make a new backup",
            FileName::Segment(sequence).text()
        );
    }

    pub(crate) fn figures(&self) -> ArchiveFigures {
        ArchiveFigures {
            kept: self.kept.load(Relaxed),
            lost: self.lost.load(Relaxed),
            is_failing: self.is_failing.load(Relaxed),
        }
    }

    fn copy(&self, log: &dyn Disk, sequence: u64) -> Result<(), Fault> {
        let segment = open_found(log, sequence)?;
        let fault = |error| Fault::io("reading a segment for the archive", &segment.path, &error);
        let end = end_of(&segment).map_err(fault)?;
        // One without records is no part of the log.
        if end <= HEADER_BYTES as u64 || self.has(&segment, end) {
            return Ok(());
        }
        let name = FileName::Segment(sequence).text();
        let unfinished = format!("{name}.new");
        let fault = |error| Fault::io("cannot write", &self.disk.path(&name), &error);
        match self.disk.remove(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
        let copy = self.disk.create(&unfinished).map_err(fault)?;
        copy.allocate(end).map_err(fault)?;
        let mut piece = vec![0; COPY_BYTES];
        let mut at = 0;
        while at < end {
            let length = COPY_BYTES.min(usize::try_from(end - at).unwrap_or(COPY_BYTES));
            let bytes = piece.get_mut(..length).unwrap_or_default();
            let read = segment.file.read_at(bytes, at);
            if read.map_err(|error| Fault::io("reading", &segment.path, &error))? < length {
                return Err(Fault::new(FaultKind::Corrupt, "the segment is too short").at(&segment.path));
            }
            copy.write_all_at(bytes, at).map_err(fault)?;
            at += length as u64;
        }
        copy.sync_data().map_err(fault)?;
        self.disk.rename(&unfinished, &name).map_err(fault)?;
        self.disk.sync_directory().map_err(fault)
    }

    /// Whether it is there already, as after a crash before its file was used again.
    fn has(&self, segment: &Segment, end: u64) -> bool {
        let kept = open_found(&*self.disk, segment.header.sequence);
        kept.is_ok_and(|kept| kept.header == segment.header && kept.end >= end)
    }
}

/// Where the records of a segment end.
fn end_of(segment: &Segment) -> io::Result<u64> {
    let mut reader = Reader::open(Arc::clone(&segment.file), &segment.header, segment.end);
    while let Step::Record(_) = reader.next()? {}
    Ok(reader.offset())
}
