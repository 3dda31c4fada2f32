//! Copying the log while it is written: which bytes of which segments hold the records from an LSN on.
//!
//! What is read through this is held ([`Log::hold`]), and every byte of an extent was written before it was told: nobody
//! changes it any more.

use std::sync::Arc;

use crate::base::fault::{Fault, FaultKind};
use crate::base::lsn::Lsn;

use super::disk::DiskFile;
use super::log::Log;
use super::recovery::open_found;
use super::segment::FileName;

/// A segment of the log as far as it is written: a file of these bytes, under the segment's name, is read by
/// [`super::History`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The segment's number.
    pub sequence: u64,
    /// Its length from the header on, bytes.
    pub bytes: u64,
}

impl Extent {
    /// The file's name in a directory of the log.
    pub fn file_name(&self) -> String {
        FileName::Segment(self.sequence).text()
    }
}

impl Log {
    /// The extents that hold everything behind `after` that is written now, and the last LSN in them. `None` when that
    /// is not `until` yet, or cannot be told just now: ask again soon. Never waits.
    ///
    /// # Errors
    /// A segment's header that cannot be read.
    pub fn extents(&self, after: Lsn, until: Lsn) -> Result<Option<(Vec<Extent>, Lsn)>, Fault> {
        let Some(writer) = self.writer.try_lock() else { return Ok(None) };
        let (current, end, last) = writer.extent();
        let sequences = self.pool.lock().behind(after);
        drop(writer);
        if last < until {
            return Ok(None);
        }
        let mut extents = vec![Extent { sequence: current, bytes: end }];
        let mut newer = current;
        for sequence in sequences.into_iter().rev().skip_while(|sequence| *sequence != current).skip(1) {
            let prior = open_found(&*self.disk, newer)?.header.prior;
            if prior.sequence != sequence {
                let path = self.disk.path(&FileName::Segment(newer).text());
                let message = format!("it follows segment {}, not {sequence}", prior.sequence);
                return Err(Fault::new(FaultKind::Corrupt, message).at(&path));
            }
            extents.push(Extent { sequence, bytes: prior.end });
            newer = sequence;
        }
        extents.reverse();
        Ok(Some((extents, last)))
    }

    /// Opens the file of an extent.
    ///
    /// # Errors
    /// When it cannot be opened, as after a hold has lapsed.
    pub fn open_extent(&self, extent: &Extent) -> Result<Arc<dyn DiskFile>, Fault> {
        let name = extent.file_name();
        self.disk.open(&name).map_err(|error| Fault::io("cannot open", &self.disk.path(&name), &error))
    }
}
