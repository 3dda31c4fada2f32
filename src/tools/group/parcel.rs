//! The file that carries a group: written frame by frame and sealed at last, read with everything in it verified.
//! `backup/FORMAT.md` draws it.

use std::path::Path;

use crate::backup::frame::{HEADER_BYTES, Header, Kind};
use crate::backup::{GroupEnd, Seal, Transfer, body};
use crate::base::effect::FlushMark;
use crate::base::fault::{Fault, FaultKind};
use crate::base::item::Item;
use crate::base::limits::BACKUP_FRAME_BYTES;
use crate::tools::console::{Done, Progress};
use crate::tools::frames::Frames;
use crate::tools::place::NewFile;

/// What to do about a damaged file.
const DAMAGED: &str =
    "the file is damaged here: copy it once more, or run larder group export again, which makes it anew";
/// What to do about one without a seal.
const UNFINISHED: &str = "the export of this file was not finished, and its server may still have the group: run larder \
                          group export again";

/// A file that is written.
pub(super) struct Writer {
    file: NewFile,
    group: u16,
    items: u64,
    /// Items gathered for the next frame, and how many they are.
    body: Vec<u8>,
    count: u32,
}

impl Writer {
    pub(super) fn begin(path: &Path, transfer: &Transfer) -> Result<Writer, Fault> {
        let file = NewFile::create(path)?;
        let mut writer = Writer { file, group: transfer.group.0, items: 0, body: Vec::new(), count: 0 };
        writer.frame(Kind::Transfer, 0, &transfer.encode())?;
        Ok(writer)
    }

    /// Writes an item; they come in the order of their keys.
    pub(super) fn put(&mut self, key: &[u8], item: &Item<'_>) -> Result<(), Fault> {
        let value = item.value.bytes();
        if self.count > 0 && self.body.len() + value.len() > BACKUP_FRAME_BYTES {
            self.close()?;
        }
        body::put_item(key, item, &mut self.body);
        self.body.extend_from_slice(value);
        self.count += 1;
        self.items += 1;
        Ok(())
    }

    /// Writes what stands behind the items; how many they are.
    pub(super) fn end(&mut self, flush: FlushMark) -> Result<u64, Fault> {
        self.close()?;
        self.frame(Kind::GroupEnd, 0, &GroupEnd { items: self.items, flush }.encode())?;
        Ok(self.items)
    }

    /// Seals the file and syncs it; its length, bytes.
    pub(super) fn seal(mut self) -> Result<u64, Fault> {
        let (bytes, crc) = self.file.so_far();
        self.frame(Kind::Seal, 0, &Seal { items: self.items, bytes, crc }.encode())?;
        self.file.finish().map(|(bytes, _)| bytes)
    }

    fn close(&mut self) -> Result<(), Fault> {
        let (body, count) = (std::mem::take(&mut self.body), std::mem::take(&mut self.count));
        if count > 0 { self.frame(Kind::Items, count, &body) } else { Ok(()) }
    }

    fn frame(&mut self, kind: Kind, count: u32, body: &[u8]) -> Result<(), Fault> {
        self.file.write(&Header::of(kind, self.group, count, &[body]).encode())?;
        self.file.write(body)
    }
}

/// What a file says of the group in it.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) transfer: Transfer,
    pub(super) flush: FlushMark,
    pub(super) items: u64,
    /// The length of the file.
    pub(super) bytes: u64,
}

/// Verifies all of a file.
///
/// # Errors
/// The first thing that is wrong, with its offset.
pub(super) fn look(path: &Path) -> Result<Parcel, Fault> {
    read(path, "verify", |_, _| Ok(()))
}

/// Visits every item of a file.
///
/// # Errors
/// As [`look`]; a fault of `each`.
pub(super) fn read(
    path: &Path,
    what: &'static str,
    mut each: impl FnMut(&[u8], &Item<'_>) -> Result<(), Fault>,
) -> Result<Parcel, Fault> {
    let mut frames = Frames::open(path, DAMAGED)?;
    let transfer = first(path, &mut frames)?;
    let mut progress = Progress::new(what);
    let mut done = Done { total_bytes: frames.length(), ..Done::default() };
    let mut last: Vec<u8> = Vec::new();
    let mut end: Option<GroupEnd> = None;
    loop {
        if frames.is_over() {
            return Err(Fault::new(FaultKind::Unusable, UNFINISHED).at(path));
        }
        let (header, body) = frames.next()?;
        if header.group != transfer.group.0 {
            return Err(frames.damage());
        }
        match (header.kind, end) {
            (Kind::Items, None) => {
                done.items += frames.items(&header, &body, |key, item| {
                    let belongs = key > last.as_slice() && item.stamp() < transfer.ceiling;
                    last.clear();
                    last.extend_from_slice(key);
                    if belongs { each(key, item) } else { Err(frames.damage()) }
                })?;
                done.bytes += (HEADER_BYTES + body.len()) as u64;
                progress.tell(done);
            }
            (Kind::GroupEnd, None) => {
                let found = GroupEnd::decode(&body).filter(|end| end.items == done.items);
                end = Some(found.ok_or_else(|| frames.damage())?);
            }
            (Kind::Seal, Some(end)) => {
                let seal = Seal::decode(&body).filter(|seal| {
                    (seal.items, (seal.bytes, seal.crc)) == (end.items, frames.before()) && frames.is_over()
                });
                seal.ok_or_else(|| frames.damage())?;
                return Ok(Parcel { transfer, flush: end.flush, items: end.items, bytes: frames.length() });
            }
            _ => return Err(frames.damage()),
        }
    }
}

/// The frame that leads the file.
fn first(path: &Path, frames: &mut Frames<'_>) -> Result<Transfer, Fault> {
    let (header, body) = frames.next().map_err(|fault| match fault.kind {
        FaultKind::Corrupt if fault.offset == Some(0) => {
            let message = format!("not a group's file, or damaged: {DAMAGED}");
            Fault::new(FaultKind::Corrupt, message).at(path).offset(0)
        }
        _ => fault,
    })?;
    if header.kind != Kind::Transfer {
        let message = "not a group's file: larder group export makes one";
        return Err(Fault::new(FaultKind::Unusable, message).at(path));
    }
    let transfer = Transfer::decode(&body).filter(|transfer| transfer.group.0 == header.group);
    transfer.ok_or_else(|| {
        let message = "this file has another format: use the larder that made it";
        Fault::new(FaultKind::Mismatch, message).at(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::version::Version;

    const GOLDEN: &[u8] = include_bytes!("../../../protocol-tests/golden/transfer-1.group");

    /// Looks at a file with these bytes.
    fn look_at(folder: &Path, bytes: &[u8]) -> Result<Parcel, Fault> {
        let path = folder.join("group");
        std::fs::write(&path, bytes).unwrap();
        look(&path)
    }

    /// The golden file's frames: kind, count and body.
    fn frames() -> Vec<(Kind, u32, Vec<u8>)> {
        let mut found = Vec::new();
        let mut rest = GOLDEN;
        while let Some((head, behind)) = rest.split_first_chunk() {
            let header = Header::decode(head).unwrap();
            let (body, behind) = behind.split_at(header.body_bytes);
            found.push((header.kind, header.count, body.to_vec()));
            rest = behind;
        }
        found
    }

    /// A file of these frames, its seal as it has to be.
    fn sealed(frames: &[(Kind, u32, Vec<u8>)]) -> Vec<u8> {
        let mut bytes: Vec<u8> = Vec::new();
        for (kind, count, body) in frames {
            let seal = Seal { items: 2, bytes: bytes.len() as u64, crc: crc32c::crc32c(&bytes) }.encode();
            let body = if *kind == Kind::Seal { &seal } else { body };
            bytes.extend_from_slice(&Header::of(*kind, 3, *count, &[body]).encode());
            bytes.extend_from_slice(body);
        }
        bytes
    }

    #[test]
    fn a_whole_file_is_read_and_written_again_to_the_byte() {
        let folder = tempfile::tempdir().unwrap();
        let parcel = look_at(folder.path(), GOLDEN).unwrap();
        assert_eq!((parcel.items, parcel.bytes), (2, GOLDEN.len() as u64));
        assert_eq!(parcel.flush, FlushMark { below: Version(10), pending_s: 9 });
        assert_eq!((parcel.transfer.cluster.as_str(), parcel.transfer.to), ("shop", 1023));
        let again = folder.path().join("again");
        let mut writer = Writer::begin(&again, &parcel.transfer).unwrap();
        read(&folder.path().join("group"), "test", |key, item| writer.put(key, item)).unwrap();
        assert_eq!(writer.end(parcel.flush).unwrap(), 2);
        writer.seal().unwrap();
        assert_eq!(std::fs::read(again).unwrap(), GOLDEN);
        assert_eq!(sealed(&frames()), GOLDEN);
    }

    #[test]
    fn every_flipped_bit_cut_and_longer_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        for bit in 0..GOLDEN.len() * 8 {
            let mut bad = GOLDEN.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(look_at(folder.path(), &bad).is_err(), "bit {bit}");
        }
        for len in 0..GOLDEN.len() {
            assert!(look_at(folder.path(), &GOLDEN[..len]).is_err(), "cut at {len}");
        }
        let longer = [GOLDEN, b"x"].concat();
        assert!(look_at(folder.path(), &longer).is_err());
        let twice = [GOLDEN, GOLDEN].concat();
        assert!(look_at(folder.path(), &twice).is_err());
    }

    /// Frames that are each whole, in a file that is not: left out, twice, in another order, without a seal.
    #[test]
    fn whole_frames_in_a_wrong_file_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let good = frames();
        let seal = good.last().unwrap().clone();
        for pick in
            [&[1, 2, 3][..], &[0, 2, 3], &[0, 1, 3], &[0, 1, 1, 2, 3], &[0, 2, 1, 3], &[0, 0, 1, 2, 3]]
        {
            let picked: Vec<_> = pick.iter().map(|at| good[*at].clone()).collect();
            assert!(look_at(folder.path(), &sealed(&picked)).is_err(), "{pick:?}");
        }
        let unsealed = look_at(folder.path(), &sealed(&good[..3])).unwrap_err();
        assert!(unsealed.to_string().contains("may still have the group"), "{unsealed}");
        let other = [sealed(&good[..3]), sealed(&[seal])].concat();
        assert!(look_at(folder.path(), &other).is_err(), "the seal of another file");
        let ceiling = Transfer { ceiling: Version(13), ..Transfer::decode(&good[0].2).unwrap() }.encode();
        let low = [&[(Kind::Transfer, 0, ceiling)], &good[1..]].concat();
        assert!(look_at(folder.path(), &sealed(&low)).is_err(), "a version above the ceiling");
        let mut later = good.clone();
        later[0].2[0] = 2;
        let refused = look_at(folder.path(), &sealed(&later)).unwrap_err();
        assert!(refused.to_string().contains("another format"), "{refused}");
    }
}
