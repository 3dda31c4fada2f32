//! Segments: their header and their names. No I/O.

use crate::base::lsn::Lsn;

use super::entry::Origin;
use super::record::{END_BYTES, get};

/// The header's place at the start of a segment, bytes. Records begin behind it.
pub(crate) const HEADER_BYTES: usize = 4096;

const MAGIC: [u8; 8] = *b"LARDRLOG";
const FORMAT: u32 = 1;

/// What a segment says of itself and of the log before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The segment's number: rises by one with every segment.
    pub(crate) sequence: u64,
    /// Which start of the server opened it.
    pub(crate) epoch: u64,
    /// A number that nobody outside can guess, part of every checksum.
    pub(crate) salt: u64,
    /// No record in it has a lower LSN.
    pub(crate) first_lsn: Lsn,
    /// The log before this segment: it ends in this segment, at this byte, with this LSN. All of it was synced before
    /// this header was written; what stands behind that byte is no part of the log.
    pub(crate) prior: Prior,
    /// What was durable when the segment was opened.
    pub(crate) durable: Lsn,
    /// What was in the stores when the segment was opened.
    pub(crate) trim: Lsn,
    /// The server that wrote it.
    pub(crate) server: u16,
    /// The start that wrote it: names the origin of records that name none.
    pub(crate) incarnation: u32,
    /// The length of the file.
    pub(crate) segment_bytes: u64,
}

/// Where the log before a segment ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prior {
    /// The segment before; 0 for none.
    pub(crate) sequence: u64,
    /// The byte behind its last record.
    pub(crate) end: u64,
    /// Its last LSN.
    pub(crate) lsn: Lsn,
}

/// Why some bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Bytes are wrong or missing.
    Damaged,
    /// A format that this version does not know.
    Format(u32),
}

impl Header {
    /// Its bytes, with the mark behind it that no record follows yet.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + END_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        for number in [
            self.sequence,
            self.epoch,
            self.salt,
            self.first_lsn.0,
            self.prior.sequence,
            self.prior.end,
            self.prior.lsn.0,
            self.durable.0,
            self.trim.0,
            self.segment_bytes,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.incarnation.to_le_bytes());
        bytes.extend_from_slice(&self.server.to_le_bytes());
        bytes.resize(HEADER_BYTES, 0);
        let crc = checksum(&bytes).to_le_bytes();
        if let Some(place) = bytes.get_mut(8..12) {
            place.copy_from_slice(&crc);
        }
        bytes.resize(HEADER_BYTES + END_BYTES, 0);
        bytes
    }

    /// Reads the first [`HEADER_BYTES`] of a segment.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Header, HeaderError> {
        let header = bytes.get(..HEADER_BYTES).ok_or(HeaderError::Damaged)?;
        if !header.starts_with(&MAGIC) || header.get(8..12) != Some(&checksum(header).to_le_bytes()) {
            return Err(HeaderError::Damaged);
        }
        let format = u32::from_le_bytes(get(header, 12));
        if format != FORMAT {
            return Err(HeaderError::Format(format));
        }
        let number = |index: usize| u64::from_le_bytes(get(header, 16 + index * 8));
        Ok(Header {
            sequence: number(0),
            epoch: number(1),
            salt: number(2),
            first_lsn: Lsn(number(3)),
            prior: Prior { sequence: number(4), end: number(5), lsn: Lsn(number(6)) },
            durable: Lsn(number(7)),
            trim: Lsn(number(8)),
            segment_bytes: number(9),
            incarnation: u32::from_le_bytes(get(header, 96)),
            server: u16::from_le_bytes(get(header, 100)),
        })
    }

    /// What the checksum of every record of this segment starts from.
    pub(crate) fn seed(&self) -> u32 {
        seed(self.sequence, self.epoch, self.salt)
    }

    /// The origin of records that name none.
    pub(crate) fn here(&self) -> Origin {
        Origin { server: self.server, incarnation: self.incarnation, sequence: 0 }
    }
}

/// What the checksum of every record of a segment starts from.
pub(crate) fn seed(sequence: u64, epoch: u64, salt: u64) -> u32 {
    [sequence, epoch, salt].iter().fold(0, |crc, number| crc32c::crc32c_append(crc, &number.to_le_bytes()))
}

/// The header's checksum: of everything but its own four bytes.
fn checksum(header: &[u8]) -> u32 {
    let before = header.get(..8).unwrap_or(&[]);
    let behind = header.get(12..HEADER_BYTES).unwrap_or(&[]);
    crc32c::crc32c_append(crc32c::crc32c(before), behind)
}

/// What a file of the log's directory is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileName {
    /// A segment of the log: its sequence.
    Segment(u64),
    /// A segment that waits to be used: a number that only tells it from others.
    Spare(u64),
    /// A segment whose making was interrupted.
    Unfinished(u64),
}

impl FileName {
    /// The name as a file has it.
    pub(crate) fn text(self) -> String {
        match self {
            FileName::Segment(sequence) => format!("log-{sequence:016x}"),
            FileName::Spare(number) => format!("spare-{number:016x}"),
            FileName::Unfinished(number) => format!("unfinished-{number:016x}"),
        }
    }

    /// What the file of this name is; `None` when it is not the log's.
    pub(crate) fn parse(text: &str) -> Option<FileName> {
        let (word, number) = text.split_once('-')?;
        let number = u64::from_str_radix(number, 16).ok()?;
        let name = match word {
            "log" => FileName::Segment(number),
            "spare" => FileName::Spare(number),
            "unfinished" => FileName::Unfinished(number),
            _ => return None,
        };
        (name.text() == text).then_some(name)
    }
}
