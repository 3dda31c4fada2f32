//! What the groups' files must hold: the log lets go of nothing before this file says, durably, how far each group's
//! file was by then. A file that is gone, or is an older copy of itself, is found out at the start.
//!
//! Two slots, written in turn and in place: one is always whole, and a full disk stops neither. FORMAT.md draws them.
//!
//! Why no crash refuses a healthy directory: a mark is raised only to what a commit has made durable in the file. Why
//! none accepts a lossy one: the log is trimmed only behind a raised mark. Whatever stands between the two steps is in
//! the file and in the log both.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::disk::sync_directory_of;
use crate::base::fault::{Fault, FaultKind};
use crate::base::lsn::{GroupId, Lsn};
use crate::base::rest::Rest;

/// The file in the data directory, and what it is called while it is made.
pub(super) const LEDGER_FILE: &str = "larder.ledger";
/// See [`LEDGER_FILE`].
pub(super) const LEDGER_UNPUBLISHED: &str = "larder.ledger.new";

/// What leads a slot.
const MAGIC: [u8; 8] = *b"larderlg";
/// The format that this version writes, and the newest that it reads.
const FORMAT: u32 = 1;
/// Slots begin at multiples of this, bytes: no sector has part of both.
const SLOT_ALIGNMENT: usize = 4096;

/// How far each group's file must be.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    path: PathBuf,
    directory_id: u64,
    /// The number of the last writing; even ones lie in the first slot.
    sequence: u64,
    marks: Vec<Lsn>,
    /// Whether `marks` is on the disk: after a failed writing it is not.
    is_saved: bool,
}

impl Ledger {
    /// Makes the ledger of a new data directory, complete before it has its name; what was there is replaced.
    pub(super) fn make(directory: &Path, directory_id: u64, group_count: u16) -> io::Result<()> {
        let [unpublished, published] = [LEDGER_UNPUBLISHED, LEDGER_FILE].map(|name| directory.join(name));
        let marks = vec![Lsn::ZERO; usize::from(group_count)];
        let mut options = OpenOptions::new();
        let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&unpublished)?;
        for sequence in 0..2 {
            file.write_all(&encode(directory_id, sequence, &marks))?;
        }
        file.sync_all()?;
        fs::rename(&unpublished, &published)?;
        sync_directory_of(&published)
    }

    /// Opens the ledger of the data directory at `directory`.
    ///
    /// # Errors
    /// `Corrupt` when it is missing or neither slot is whole, `Mismatch` when it is another directory's or a newer
    /// version's.
    pub(super) fn open(directory: &Path, directory_id: u64, group_count: u16) -> Result<Ledger, Fault> {
        let path = directory.join(LEDGER_FILE);
        let opened = OpenOptions::new().read(true).write(true).open(&path);
        let file = opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                let message = "missing: it says how far each group's file must be; restore it from a backup";
                Fault::new(FaultKind::Corrupt, message).at(&path)
            }
            _ => Fault::io("opening the ledger", &path, &error),
        })?;
        let bytes = fs::read(&path).map_err(|error| Fault::io("reading the ledger", &path, &error))?;
        let slot_bytes = slot_bytes(usize::from(group_count));
        let slots = bytes.chunks(slot_bytes).take(2).map(decode);
        let mut newest: Option<Slot> = None;
        for slot in slots.flatten() {
            if slot.format > FORMAT {
                let message = format!(
                    "format {}, this version reads up to {FORMAT}: start the newer larder that wrote it",
                    slot.format
                );
                return Err(Fault::new(FaultKind::Mismatch, message).at(&path));
            }
            if newest.as_ref().is_none_or(|newest| newest.sequence < slot.sequence) {
                newest = Some(slot);
            }
        }
        let Some(slot) = newest.filter(|slot| slot.marks.len() == usize::from(group_count)) else {
            let message = "damaged: it says how far each group's file must be; restore it from a backup";
            return Err(Fault::new(FaultKind::Corrupt, message).at(&path));
        };
        if slot.directory_id != directory_id {
            let message = "another data directory's: put back the one that belongs here";
            return Err(Fault::new(FaultKind::Mismatch, message).at(&path));
        }
        Ok(Ledger { file, path, directory_id, sequence: slot.sequence, marks: slot.marks, is_saved: true })
    }

    /// Refuses the file of `group`, which lies at `path` and has everything up to `applied` (`None`: there is none),
    /// when the log has let go of more. An operator who accepts that makes an empty file beside it, named by
    /// [`acceptance`]: it holds for one start.
    ///
    /// # Errors
    /// `Corrupt` with file and positions; `Io` when an acceptance cannot be written down.
    pub fn admit(&mut self, group: GroupId, path: &Path, applied: Option<Lsn>) -> Result<(), Fault> {
        let accepted = acceptance(path);
        let is_accepted = accepted.exists();
        if let Some(refusal) = self.shortfall(group, path, applied) {
            if !is_accepted {
                return Err(refusal);
            }
            log::error!("as asked, the loss is accepted: {refusal}");
            self.accept(group, applied)?;
        }
        if is_accepted {
            // Behind the mark: a crash in between finds nothing to accept, and takes the file away.
            let removed = fs::remove_file(&accepted).and_then(|()| sync_directory_of(&accepted));
            removed.map_err(|error| Fault::io("removing what accepted a loss", &accepted, &error))?;
        }
        Ok(())
    }

    /// What the file of `group` at `path` lacks, if it has everything up to `applied` (`None`: there is no file) and
    /// the log has let go of more.
    pub fn shortfall(&self, group: GroupId, path: &Path, applied: Option<Lsn>) -> Option<Fault> {
        let mark = self.marks.get(usize::from(group.0)).copied().unwrap_or_default();
        (applied.unwrap_or_default() < mark).then(|| refusal(path, &acceptance(path), mark, applied))
    }

    /// Says durably that no more is expected of the file of `group` than it has.
    ///
    /// # Errors
    /// `Io` or `DiskFull`.
    pub fn accept(&mut self, group: GroupId, applied: Option<Lsn>) -> Result<(), Fault> {
        if let Some(mark) = self.marks.get_mut(usize::from(group.0)) {
            *mark = applied.unwrap_or_default();
        }
        self.is_saved = false;
        self.write()
    }

    /// Says durably that every group's file has at least this much; `applied` is in the order of the groups. The log
    /// may let go of it then.
    ///
    /// # Errors
    /// `Io` or `DiskFull`: the log must not be trimmed.
    pub fn raise(&mut self, applied: impl Iterator<Item = Lsn>) -> Result<(), Fault> {
        for (mark, applied) in self.marks.iter_mut().zip(applied) {
            self.is_saved &= applied <= *mark;
            *mark = applied.max(*mark);
        }
        if self.is_saved { Ok(()) } else { self.write() }
    }

    /// Writes the slot that is not the newest, and syncs. A failed writing is written again by the next call, into the
    /// same slot.
    fn write(&mut self) -> Result<(), Fault> {
        let sequence = self.sequence + 1;
        let slot = encode(self.directory_id, sequence, &self.marks);
        let offset = (sequence % 2) * slot.len() as u64;
        let written = self.file.write_all_at(&slot, offset).and_then(|()| self.file.sync_data());
        written.map_err(|error| Fault::io("writing the ledger", &self.path, &error))?;
        self.sequence = sequence;
        self.is_saved = true;
        Ok(())
    }
}

/// The file by which an operator accepts that a group goes on without what its file lacks: `00003.lost`.
pub(super) fn acceptance(path: &Path) -> PathBuf {
    path.with_extension("lost")
}

fn refusal(path: &Path, accepted: &Path, mark: Lsn, applied: Option<Lsn>) -> Fault {
    let found = match applied {
        Some(applied) => format!("an older copy: it ends at LSN {applied}, but"),
        None => "missing:".to_owned(),
    };
    let message = format!(
        "{found} what this group had up to LSN {mark} is only in its file; restore it, or make an empty file {} to go \
         on without",
        accepted.display()
    );
    Fault::new(FaultKind::Corrupt, message).at(path)
}

/// One slot as it was read.
struct Slot {
    format: u32,
    directory_id: u64,
    sequence: u64,
    marks: Vec<Lsn>,
}

fn slot_bytes(groups: usize) -> usize {
    (40 + 8 * groups).next_multiple_of(SLOT_ALIGNMENT)
}

fn encode(directory_id: u64, sequence: u64, marks: &[Lsn]) -> Vec<u8> {
    let mut body = Vec::with_capacity(slot_bytes(marks.len()));
    body.extend_from_slice(&FORMAT.to_le_bytes());
    body.extend_from_slice(&directory_id.to_le_bytes());
    body.extend_from_slice(&sequence.to_le_bytes());
    body.extend_from_slice(&(marks.len() as u64).to_le_bytes());
    for mark in marks {
        body.extend_from_slice(&mark.0.to_le_bytes());
    }
    body.resize(slot_bytes(marks.len()) - MAGIC.len() - 4, 0);
    [&MAGIC[..], &crc32c::crc32c(&body).to_le_bytes(), &body].concat()
}

/// What a slot says, `None` when it is not whole. Of a newer format only its number is known.
fn decode(bytes: &[u8]) -> Option<Slot> {
    let mut rest = Rest(bytes);
    let magic = rest.take::<8>()?;
    let crc = rest.u32()?;
    if magic != MAGIC || crc != crc32c::crc32c(rest.0) {
        return None;
    }
    let format = rest.u32()?;
    if format > FORMAT {
        return Some(Slot { format, directory_id: 0, sequence: u64::MAX, marks: Vec::new() });
    }
    let directory_id = rest.u64()?;
    let sequence = rest.u64()?;
    let count = usize::try_from(rest.u64()?).ok()?;
    let marks = (0..count.min(rest.0.len() / 8)).map_while(|_| rest.u64().map(Lsn));
    Some(Slot { format, directory_id, sequence, marks: marks.collect() })
}
