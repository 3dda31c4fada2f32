//! Reading what was kept of a log: the segments of a backup, of an archive, of a stopped server, together, from an LSN
//! on. A start reads with [`super::Recovery`]; this reads more than a start needs, and changes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::fault::{Fault, FaultKind};
use crate::base::lsn::Lsn;

use super::disk::Disk;
use super::entry::Entry;
use super::reader::Survey;
use super::recovery::{Files, Segment, open_found};
use super::replay::{Cut, Purpose, Replay};
use super::segment::{FileName, HEADER_BYTES};

/// Segments that follow each other, oldest first.
pub struct History {
    chain: Vec<Segment>,
    after: Lsn,
}

/// How a reading ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// Entries handed out.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
    /// The last LSN.
    pub end: Lsn,
    /// A torn tail that was left out, if there is one.
    pub cut: Option<Cut>,
    /// The latest start of the server that wrote some of it.
    pub incarnation: u32,
}

impl History {
    /// Finds the segments with everything behind `after` in `disks`; the same segment may be in several of them.
    ///
    /// # Errors
    /// A segment that is missing on the way back to `after`, one whose header is damaged, and two that have the same
    /// number and are not the same.
    pub fn open(disks: &[Arc<dyn Disk>], after: Lsn) -> Result<History, Fault> {
        let found = find(disks)?;
        let mut chain = Vec::new();
        let Some((mut sequence, mut from)) = found.last_key_value().map(|(top, path)| (*top, path)) else {
            return Ok(History { chain, after });
        };
        let mut sealed_end: Option<u64> = None;
        loop {
            let mut segment = open_found(&***from, sequence)?;
            if let Some(end) = sealed_end {
                segment.end = end.max(HEADER_BYTES as u64);
                segment.sealed = true;
            }
            let (header, path) = (segment.header, segment.path.clone());
            chain.push(segment);
            if header.prior.lsn <= after {
                refuse_gap(header.prior.sequence, header.first_lsn, after, path)?;
                break;
            }
            let prior = header.prior.sequence;
            from = found.get(&prior).filter(|_| prior < sequence).ok_or_else(|| {
                let message = format!(
                    "the segment before this one is missing: {}, with LSN {}",
                    FileName::Segment(prior).text(),
                    header.prior.lsn
                );
                Fault::new(FaultKind::Corrupt, message).at(&path).lsn(header.prior.lsn)
            })?;
            sealed_end = Some(header.prior.end);
            sequence = prior;
        }
        chain.reverse();
        Ok(History { chain, after })
    }

    /// Hands out every entry behind the LSN that was asked for, in order. What is at or below `durable` must be there
    /// and good; a torn tail above it is left out and told of.
    ///
    /// # Errors
    /// Damage, with file and offset; a fault of `each`.
    pub fn replay(
        &self,
        durable: Lsn,
        mut each: impl FnMut(Lsn, &Entry<'_>) -> Result<(), Fault>,
    ) -> Result<Ended, Fault> {
        let survey = Survey { durable, trim: self.after, end: 0, ..Survey::default() };
        let mut replay = Replay::new(survey, 0, Purpose::Look);
        let mut incarnation = 0;
        for segment in &self.chain {
            incarnation = incarnation.max(segment.header.incarnation);
            replay.segment(segment, &mut each, &mut |_| ())?;
        }
        let report = replay.report(self.chain.len());
        let (records, bytes) = (report.records, report.bytes);
        let end = report.end.max(if self.chain.is_empty() { self.after } else { Lsn::ZERO });
        if end < durable {
            let message = format!("the log ends here, LSN {durable} is due");
            let fault = Fault::new(FaultKind::Corrupt, message).lsn(end);
            return Err(match self.chain.last() {
                Some(last) => fault.at(&last.path),
                None => fault,
            });
        }
        Ok(Ended { records, bytes, end, cut: report.cut, incarnation })
    }
}

/// Every segment in `disks` by its number; of equal ones the longest.
fn find<'d>(disks: &'d [Arc<dyn Disk>]) -> Result<BTreeMap<u64, &'d Arc<dyn Disk>>, Fault> {
    let mut found: BTreeMap<u64, &'d Arc<dyn Disk>> = BTreeMap::new();
    for disk in disks {
        for sequence in Files::list(&**disk)?.segments {
            let Some(known) = found.get(&sequence) else {
                found.insert(sequence, disk);
                continue;
            };
            let (one, other) = (open_found(&***known, sequence)?, open_found(&**disk, sequence)?);
            if one.header != other.header {
                let message = format!("not the same segment as {}: of another server", one.path.display());
                return Err(Fault::new(FaultKind::Mismatch, message).at(&other.path));
            }
            if other.end > one.end {
                found.insert(sequence, disk);
            }
        }
    }
    Ok(found)
}

/// A log that begins anew behind `after` has lost what is between.
fn refuse_gap(prior: u64, first: Lsn, after: Lsn, path: PathBuf) -> Result<(), Fault> {
    if prior == 0 && first > after.next() {
        let message = format!("the log begins with LSN {first}, but LSN {} is due", after.next());
        return Err(Fault::new(FaultKind::Corrupt, message).at(&path).lsn(first));
    }
    Ok(())
}
