//! Reading a file of frames, one whole frame at a time; nothing in it is trusted.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::backup::frame::HEADER_BYTES;
use crate::backup::{Header, items};
use crate::base::fault::{Fault, FaultKind};
use crate::base::item::Item;

/// What is read of a file at once, bytes.
const PIECE_BYTES: usize = 1 << 20;

/// A file of frames.
pub(super) struct Frames<'p> {
    path: &'p Path,
    file: BufReader<File>,
    length: u64,
    /// Where the frame that was read last begins, and what the CRC-32C of everything before it is.
    at: u64,
    crc_before: u32,
    /// The same of the frame that is next.
    next_at: u64,
    crc: u32,
    /// What to do about damage.
    damaged: &'static str,
}

impl<'p> Frames<'p> {
    /// Opens it; `damaged` is what a fault says about damage.
    pub(super) fn open(path: &'p Path, damaged: &'static str) -> Result<Frames<'p>, Fault> {
        let file = File::open(path).map_err(|error| Fault::io("cannot open", path, &error))?;
        let length = file.metadata().map_or(0, |facts| facts.len());
        let file = BufReader::with_capacity(PIECE_BYTES, file);
        Ok(Frames { path, file, length, at: 0, crc_before: 0, next_at: 0, crc: 0, damaged })
    }

    /// The next frame, whole and good.
    pub(super) fn next(&mut self) -> Result<(Header, Vec<u8>), Fault> {
        (self.at, self.crc_before) = (self.next_at, self.crc);
        let mut head = [0; HEADER_BYTES];
        self.file.read_exact(&mut head).map_err(|_| self.damage())?;
        let header = Header::decode(&head).ok_or_else(|| self.damage())?;
        let whole = (HEADER_BYTES + header.body_bytes) as u64;
        if whole > self.length.saturating_sub(self.at) {
            return Err(self.damage());
        }
        let mut body = vec![0; header.body_bytes];
        self.file.read_exact(&mut body).map_err(|_| self.damage())?;
        if !header.accepts(crc32c::crc32c_append(header.seed(), &body)) {
            return Err(self.damage());
        }
        self.next_at += whole;
        self.crc = crc32c::crc32c_append(crc32c::crc32c_append(self.crc, &head), &body);
        Ok((header, body))
    }

    /// Whether nothing follows the frame that was read last.
    pub(super) fn is_over(&self) -> bool {
        self.next_at == self.length
    }

    /// The length of what is before the frame that was read last, bytes, and its CRC-32C.
    pub(super) fn before(&self) -> (u64, u32) {
        (self.at, self.crc_before)
    }

    /// The length of the file, bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The frame that was read last is not what has to be there.
    pub(super) fn damage(&self) -> Fault {
        Fault::new(FaultKind::Corrupt, self.damaged).at(self.path).offset(self.at)
    }

    /// Visits the items of the frame that was read last; how many there are.
    pub(super) fn items(
        &self,
        header: &Header,
        body: &[u8],
        mut each: impl FnMut(&[u8], &Item<'_>) -> Result<(), Fault>,
    ) -> Result<u64, Fault> {
        let mut count = 0;
        for item in items(body) {
            let (key, item) = item.ok_or_else(|| self.damage())?;
            each(key, &item)?;
            count += 1;
        }
        if count == header.count { Ok(u64::from(count)) } else { Err(self.damage()) }
    }
}
