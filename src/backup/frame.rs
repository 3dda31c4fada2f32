//! Frames: a header with a checksum, and a body. FORMAT.md draws them.

use crate::base::limits::BACKUP_FRAME_BYTES_MAX;

/// The length of a header, bytes.
pub const HEADER_BYTES: usize = 16;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Whose backup it is, and from which LSN on the log will follow.
    Begin = 1,
    /// Items of a group.
    Items = 2,
    /// All items of a group were sent.
    GroupEnd = 3,
    /// A segment of the log follows: its sequence.
    Segment = 4,
    /// Bytes of the segment.
    Bytes = 5,
    /// Everything was sent.
    End = 6,
    /// It came to nothing: why, in words.
    Failed = 7,
    /// Which group the file carries, from where to where.
    Transfer = 8,
    /// Everything of a carried group is before this.
    Seal = 9,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        const ALL: [Kind; 9] = [
            Kind::Begin,
            Kind::Items,
            Kind::GroupEnd,
            Kind::Segment,
            Kind::Bytes,
            Kind::End,
            Kind::Failed,
            Kind::Transfer,
            Kind::Seal,
        ];
        ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// What leads a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame holds.
    pub kind: Kind,
    /// The group, where there is one.
    pub group: u16,
    /// Items in the frame.
    pub count: u32,
    /// The length of the body, bytes.
    pub body_bytes: usize,
    crc: u32,
}

/// A whole frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Its head.
    pub header: Header,
    /// Its body.
    pub body: &'a [u8],
}

impl Header {
    /// Reads a header; `None` when it is none. The body is not judged yet.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Header> {
        let [c0, c1, c2, c3, l0, l1, l2, l3, kind, zero, g0, g1, n0, n1, n2, n3] = *bytes;
        let body_bytes = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok()?;
        (zero == 0 && body_bytes <= BACKUP_FRAME_BYTES_MAX).then_some(Header {
            kind: Kind::from_byte(kind)?,
            group: u16::from_le_bytes([g0, g1]),
            count: u32::from_le_bytes([n0, n1, n2, n3]),
            body_bytes,
            crc: u32::from_le_bytes([c0, c1, c2, c3]),
        })
    }

    /// The header of a frame whose body is these pieces.
    pub fn of(kind: Kind, group: u16, count: u32, body: &[&[u8]]) -> Header {
        let body_bytes = body.iter().map(|piece| piece.len()).sum();
        let mut header = Header { kind, group, count, body_bytes, crc: 0 };
        header.crc = body.iter().fold(header.seed(), |crc, piece| crc32c::crc32c_append(crc, piece));
        header
    }

    /// Its bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let [c0, c1, c2, c3] = self.crc.to_le_bytes();
        let [l0, l1, l2, l3, kind, zero, g0, g1, n0, n1, n2, n3] = self.checked();
        [c0, c1, c2, c3, l0, l1, l2, l3, kind, zero, g0, g1, n0, n1, n2, n3]
    }

    /// Whether `body_crc`, which began with [`Header::seed`], is that of the whole body.
    pub fn accepts(&self, body_crc: u32) -> bool {
        body_crc == self.crc
    }

    /// What the checksum of the body goes on from: that of the header.
    pub fn seed(&self) -> u32 {
        crc32c::crc32c(&self.checked())
    }

    /// What of the header the checksum covers.
    fn checked(&self) -> [u8; HEADER_BYTES - 4] {
        let [l0, l1, l2, l3] = u32::try_from(self.body_bytes).unwrap_or(u32::MAX).to_le_bytes();
        let [g0, g1] = self.group.to_le_bytes();
        let [n0, n1, n2, n3] = self.count.to_le_bytes();
        [l0, l1, l2, l3, self.kind as u8, 0, g0, g1, n0, n1, n2, n3]
    }
}
