//! Verifying a backup: every file against the manifest, every frame, every item, every record of the log.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::console::{Done, Progress};
use super::frames::Frames;
use crate::backup::frame::HEADER_BYTES;
use crate::backup::{BINLOG, FileFacts, GroupEnd, Header, Kind, MANIFEST, Manifest, items_file};
use crate::base::fault::{Fault, FaultKind};
use crate::base::item::Item;
use crate::binlog::{Disk, History, StillDisk};

/// What is read of a file at once, bytes.
const PIECE_BYTES: usize = 1 << 20;
/// What to do about a damaged backup.
const DAMAGED: &str = "the backup is damaged here and cannot be trusted; use another one";

/// Reads the manifest of a backup.
///
/// # Errors
/// There is none, or it is damaged.
pub(super) fn manifest(backup: &Path) -> Result<Manifest, Fault> {
    let path = backup.join(MANIFEST);
    let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            let message = "there is no manifest: this is no backup, or one that was never finished";
            Fault::new(FaultKind::Unusable, message).at(backup)
        }
        std::io::ErrorKind::InvalidData => Fault::new(FaultKind::Corrupt, DAMAGED).at(&path),
        _ => Fault::io("cannot read", &path, &error),
    })?;
    Manifest::decode(&text).map_err(|why| Fault::new(FaultKind::Corrupt, why).at(&path))
}

/// Verifies all of a backup.
///
/// # Errors
/// The first thing that is wrong, with file and offset.
pub(super) fn verify(backup: &Path, manifest: &Manifest) -> Result<(), Fault> {
    let findings = findings(backup, manifest);
    findings.into_iter().next().map_or(Ok(()), Err)
}

/// Everything that is wrong with a backup, one fault a file at most, and the log as a whole.
pub(super) fn findings(backup: &Path, manifest: &Manifest) -> Vec<Fault> {
    let mut found = Vec::new();
    let mut count = 0;
    let mut progress = Progress::new("verify");
    let mut done = Done { total_bytes: manifest.bytes(), ..Done::default() };
    for file in &manifest.files {
        if let Err(fault) = sum(backup, file, |bytes| {
            done.bytes += bytes;
            progress.tell(done);
        }) {
            found.push(fault);
        }
    }
    for group in 0..manifest.begin.group_count {
        let name = items_file(group);
        let path = backup.join(&name);
        if !manifest.files.iter().any(|file| file.name == name) {
            found.push(Fault::new(FaultKind::Corrupt, "the manifest does not name this file").at(&path));
            continue;
        }
        let read = read_items(&path, group, |_, _| {
            count += 1;
            done.items = count;
            progress.tell(done);
            Ok(())
        });
        // A file whose sum is wrong is told of once.
        if let Err(fault) = read
            && !found.iter().any(|known| known.path == fault.path && known.offset.is_none())
        {
            found.push(fault);
        }
    }
    if found.is_empty() && count != manifest.end.items {
        let message = format!("{count} items are here, the manifest says {}; {DAMAGED}", manifest.end.items);
        found.push(Fault::new(FaultKind::Corrupt, message).at(&backup.join(MANIFEST)));
    }
    if found.is_empty()
        && let Err(fault) = log(backup, manifest)
    {
        found.push(fault);
    }
    found
}

/// Checks length and checksum of a file.
fn sum(backup: &Path, facts: &FileFacts, mut each: impl FnMut(u64)) -> Result<(), Fault> {
    let path = backup.join(&facts.name);
    let fault = |error: &std::io::Error| Fault::io("cannot read", &path, error);
    let mut file = File::open(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Fault::new(FaultKind::Corrupt, format!("the file is missing; {DAMAGED}")).at(&path)
        }
        _ => fault(&error),
    })?;
    let (mut bytes, mut crc, mut piece) = (0, 0, vec![0; PIECE_BYTES]);
    loop {
        let count = file.read(&mut piece).map_err(|error| fault(&error))?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else { break };
        bytes += count as u64;
        each(count as u64);
        crc = crc32c::crc32c_append(crc, read);
    }
    if bytes != facts.bytes {
        let message = format!("{bytes} bytes long, the manifest says {}; {DAMAGED}", facts.bytes);
        return Err(Fault::new(FaultKind::Corrupt, message).at(&path).offset(bytes.min(facts.bytes)));
    }
    if crc != facts.crc {
        let message = format!("its checksum is not the manifest's; {DAMAGED}");
        // Which frame or record it is, the reading that follows may tell.
        return Err(
            place_of_damage(&path).unwrap_or_else(|| Fault::new(FaultKind::Corrupt, message).at(&path))
        );
    }
    Ok(())
}

/// Where in a file of items the first bad frame is.
fn place_of_damage(path: &Path) -> Option<Fault> {
    let group = path.file_name()?.to_str()?.parse().ok()?;
    read_items(path, group, |_, _| Ok(())).err()
}

/// What the server said at the end of a group whose file is verified.
///
/// # Errors
/// Damage.
pub(super) fn read_end(path: &Path, group: u16) -> Result<GroupEnd, Fault> {
    let damaged = || Fault::new(FaultKind::Corrupt, DAMAGED).at(path);
    let length = HEADER_BYTES + GroupEnd::default().encode().len();
    let mut tail = vec![0; length];
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::End(-i64::try_from(length).unwrap_or(0)))?;
        file.read_exact(&mut tail)
    });
    read.map_err(|error| Fault::io("cannot read", path, &error))?;
    let (head, body) = tail.split_first_chunk().ok_or_else(damaged)?;
    let is_end = |header: &Header| {
        header.kind == Kind::GroupEnd
            && header.group == group
            && header.accepts(crc32c::crc32c_append(header.seed(), body))
    };
    Header::decode(head).filter(is_end).and_then(|_| GroupEnd::decode(body)).ok_or_else(damaged)
}

/// Visits the items of a group's file in order; what the server said at the group's end.
///
/// # Errors
/// Damage, with the offset of the frame; a fault of `each`.
pub(super) fn read_items(
    path: &Path,
    group: u16,
    mut each: impl FnMut(&[u8], &Item<'_>) -> Result<(), Fault>,
) -> Result<GroupEnd, Fault> {
    let mut frames = Frames::open(path, DAMAGED)?;
    let mut seen = 0;
    loop {
        let (header, body) = frames.next()?;
        if header.group != group {
            return Err(frames.damage());
        }
        match header.kind {
            Kind::Items => seen += frames.items(&header, &body, &mut each)?,
            Kind::GroupEnd if frames.is_over() => {
                let end = GroupEnd::decode(&body).filter(|end| end.items == seen);
                return end.ok_or_else(|| frames.damage());
            }
            _ => return Err(frames.damage()),
        }
    }
}

/// Reads every record of the backup's log that counts.
fn log(backup: &Path, manifest: &Manifest) -> Result<(), Fault> {
    let disk: Arc<dyn Disk> = Arc::new(StillDisk::new(&backup.join(BINLOG)));
    let history = History::open(&[disk], manifest.begin.after)?;
    let ended = history.replay(manifest.end.until, |_, _| Ok(()))?;
    if ended.end != manifest.end.until {
        let message =
            format!("the log ends at LSN {}, the manifest says {}; {DAMAGED}", ended.end, manifest.end.until);
        return Err(Fault::new(FaultKind::Corrupt, message).at(&backup.join(BINLOG)));
    }
    Ok(())
}
