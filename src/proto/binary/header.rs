//! The 24 bytes before every request and every answer, all numbers big-endian.

/// A header, bytes.
pub(super) const HEADER_BYTES: usize = 24;
/// The first byte of every answer.
const RESPONSE_MAGIC: u8 = 0x81;

/// What became of a request, as answers say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The texts say what each means.
#[repr(u16)]
pub enum Status {
    Done = 0x00,
    NotFound = 0x01,
    Exists = 0x02,
    TooLarge = 0x03,
    Invalid = 0x04,
    NotStored = 0x05,
    NonNumeric = 0x06,
    AuthFailure = 0x20,
    AuthContinue = 0x21,
    UnknownCommand = 0x81,
    OutOfMemory = 0x82,
    Internal = 0x84,
    Temporary = 0x86,
}

impl Status {
    /// The text that goes with it.
    pub(super) fn text(self) -> &'static [u8] {
        match self {
            Status::Done | Status::AuthContinue => b"",
            Status::NotFound => b"Not found",
            Status::Exists => b"Data exists for key.",
            Status::TooLarge => b"Too large.",
            Status::Invalid => b"Invalid arguments",
            Status::NotStored => b"Not stored.",
            Status::NonNumeric => b"Non-numeric server-side value for incr or decr",
            Status::AuthFailure => b"Auth failure.",
            Status::UnknownCommand => b"Unknown command",
            Status::OutOfMemory => b"Out of memory",
            Status::Internal => b"Internal error, see the server's log",
            Status::Temporary => b"Disk full",
        }
    }
}

/// The header of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) opcode: u8,
    pub(super) key_bytes: usize,
    pub(super) extras_bytes: usize,
    /// Extras, key and value together, bytes.
    pub(super) body_bytes: usize,
    pub(super) opaque: u32,
    pub(super) cas: u64,
}

impl Header {
    /// The header that `bytes` begin with, and what follows it; `None` while it is not all here. Data type and virtual
    /// bucket are not looked at.
    pub(super) fn first(bytes: &[u8]) -> Option<(Header, &[u8])> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let [_, opcode, k0, k1, extras, _, _, _, b0, b1, b2, b3, o0, o1, o2, o3, cas @ ..] = *header;
        let header = Header {
            opcode,
            key_bytes: usize::from(u16::from_be_bytes([k0, k1])),
            extras_bytes: usize::from(extras),
            body_bytes: u32::from_be_bytes([b0, b1, b2, b3]) as usize,
            opaque: u32::from_be_bytes([o0, o1, o2, o3]),
            cas: u64::from_be_bytes(cas),
        };
        Some((header, rest))
    }

    /// The length of the value, unless extras and key alone exceed the body.
    pub(super) fn value_bytes(&self) -> Option<usize> {
        self.body_bytes.checked_sub(self.extras_bytes + self.key_bytes)
    }
}

/// What the header of an answer says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) opcode: u8,
    pub(super) opaque: u32,
    pub(super) status: Status,
    pub(super) cas: u64,
    /// Lengths of extras, key and value, bytes.
    pub(super) lengths: [usize; 3],
}

impl Answer {
    pub(super) fn bytes(&self) -> [u8; HEADER_BYTES] {
        let [extras, key, value] = self.lengths;
        let (k, s) = ((key as u16).to_be_bytes(), (self.status as u16).to_be_bytes());
        let b = ((extras + key + value) as u32).to_be_bytes();
        let (o, c) = (self.opaque.to_be_bytes(), self.cas.to_be_bytes());
        [
            RESPONSE_MAGIC,
            self.opcode,
            k[0],
            k[1],
            extras as u8,
            0,
            s[0],
            s[1],
            b[0],
            b[1],
            b[2],
            b[3],
            o[0],
            o[1],
            o[2],
            o[3],
            c[0],
            c[1],
            c[2],
            c[3],
            c[4],
            c[5],
            c[6],
            c[7],
        ]
    }
}
