//! Frames: a head of 16 bytes, and a body. `FORMAT.md` draws them.

use bytes::Bytes;

use crate::base::errand::Room;
use crate::base::lsn::GroupId;
use crate::base::rest::Rest;

/// The head of every frame, bytes.
pub const HEAD_BYTES: usize = 16;
const MAGIC: [u8; 2] = *b"LP";
/// The version of the format, and the only one that is understood.
const VERSION: u8 = 3;
/// What stands for the whole store instead of a group.
const NO_GROUP: u16 = u16::MAX;
/// A question before its text, bytes.
const QUESTION_BYTES: usize = 39;
/// An answer before its text, bytes.
const ANSWER_BYTES: usize = 19;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who asks, and its challenge.
    Hello,
    /// Who answers, its challenge and its proof.
    Welcome,
    /// The proof of who asks.
    Proof,
    /// A request.
    Question,
    /// Its answer.
    Answer,
    /// Why there will be none on this connection, in words.
    Refusal,
}

const KINDS: [Kind; 6] =
    [Kind::Hello, Kind::Welcome, Kind::Proof, Kind::Question, Kind::Answer, Kind::Refusal];

/// What received bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// Not a whole frame: so many bytes are needed.
    NeedMore(usize),
    /// A frame and its length.
    Whole(Kind, &'a [u8], usize),
    /// No frame: nothing behind it can be understood.
    Bad(&'static str),
}

/// A request in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// Its number, which rises; answers come in the same order.
    pub sequence: u64,
    /// The client that asks: what one has asked is answered in order, also when some of it is put off.
    pub client: u64,
    /// The questions before this number are known to be answered.
    pub heard: u64,
    /// How long its answer may be.
    pub room: Room,
    /// The map of who asks.
    pub map_version: u64,
    /// The group by that map; `None` for the whole store.
    pub group: Option<GroupId>,
    /// The request.
    pub text: &'a [u8],
}

/// How an answer is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its text is the reply.
    Said,
    /// Its text is the answers to some of many keys, in their order.
    Parts {
        /// No key is left to be answered.
        is_last: bool,
    },
    /// Its text is the answers to the first of many keys, if any. For the rest there was no room, or for what the same
    /// client had asked before: nothing more was executed, nor will be until the client's questions are asked again.
    PutOff,
    /// The group is another server's: nothing was executed.
    NotMine {
        /// Whose it is, by number.
        owner: u16,
        /// The map that says so.
        map_version: u64,
    },
}

/// An answer in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The number of its question.
    pub sequence: u64,
    /// How it is meant.
    pub status: Status,
    /// The reply, whole.
    pub text: &'a [u8],
}

/// Writes a frame whose body is these pieces.
pub fn put(kind: Kind, body: &[&[u8]], out: &mut Vec<u8>) {
    let length: usize = body.iter().map(|piece| piece.len()).sum();
    let mut start = [0; 8];
    let number = KINDS.iter().position(|known| *known == kind).unwrap_or(0) as u8 + 1;
    let fields = MAGIC.into_iter().chain([VERSION, number]).chain((length as u32).to_le_bytes());
    start.iter_mut().zip(fields).for_each(|(to, byte)| *to = byte);
    let begin = out.len();
    out.reserve(HEAD_BYTES + length);
    out.extend_from_slice(&start);
    out.extend_from_slice(&[0; HEAD_BYTES - 8]);
    body.iter().for_each(|piece| out.extend_from_slice(piece));
    // Over the body in one piece: most of its own pieces are shorter than a checksum is quick for.
    let body = out.get(begin + HEAD_BYTES..).unwrap_or_default();
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&start), body).to_le_bytes();
    if let Some(field) = out.get_mut(begin + 8..begin + 12) {
        field.copy_from_slice(&checksum);
    }
}

/// The first frame of `bytes`, whose body may have `body_bytes_max`.
pub fn find(bytes: &[u8], body_bytes_max: usize) -> Found<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
        let is_one = MAGIC.iter().zip(bytes).all(|(expected, byte)| expected == byte);
        return if is_one { Found::NeedMore(HEAD_BYTES) } else { Found::Bad("no frame") };
    };
    let [m0, m1, version, number, l0, l1, l2, l3, c0, c1, c2, c3, z0, z1, z2, z3] = *head;
    if [m0, m1] != MAGIC || [z0, z1, z2, z3] != [0; 4] {
        return Found::Bad("no frame");
    }
    if version != VERSION {
        return Found::Bad("a frame of another version");
    }
    let Some(kind) = usize::from(number).checked_sub(1).and_then(|at| KINDS.get(at)) else {
        return Found::Bad("a frame of an unknown kind");
    };
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if length > body_bytes_max {
        return Found::Bad("a frame that is too long");
    }
    let Some(body) = rest.get(..length) else { return Found::NeedMore(HEAD_BYTES + length) };
    let start = [m0, m1, version, number, l0, l1, l2, l3];
    if crc32c::crc32c_append(crc32c::crc32c(&start), body) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Found::Bad("a damaged frame");
    }
    Found::Whole(*kind, body, HEAD_BYTES + length)
}

impl<'a> Question<'a> {
    /// Writes it as a frame.
    pub fn put(&self, out: &mut Vec<u8>) {
        let group = self.group.map_or(NO_GROUP, |group| group.0).to_le_bytes();
        let [sequence, version, client, heard] =
            [self.sequence, self.map_version, self.client, self.heard].map(u64::to_le_bytes);
        let room_bytes = u32::try_from(self.room.bytes).unwrap_or(u32::MAX).to_le_bytes();
        let is_sure = [u8::from(self.room.is_sure)];
        let body: [&[u8]; 8] =
            [&sequence, &version, &group, &client, &heard, &room_bytes, &is_sure, self.text];
        put(Kind::Question, &body, out);
    }

    /// Reads it from a frame's body.
    pub fn read(body: &'a [u8]) -> Option<Question<'a>> {
        let (fixed, text) = body.split_first_chunk::<QUESTION_BYTES>()?;
        let mut fields = Rest(fixed);
        let (sequence, map_version) = (fields.u64()?, fields.u64()?);
        let group = Some(fields.u16()?).filter(|group| *group != NO_GROUP).map(GroupId);
        let (client, heard) = (fields.u64()?, fields.u64()?);
        let bytes = usize::try_from(fields.u32()?).ok()?;
        let is_sure = match fields.u8()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let room = Room { bytes, is_sure };
        Some(Question { sequence, client, heard, room, map_version, group, text })
    }
}

impl<'a> Reply<'a> {
    /// Writes it as a frame.
    pub fn put(&self, out: &mut Vec<u8>) {
        let (status, owner, version) = match self.status {
            Status::Said => (0_u8, 0_u16, 0_u64),
            Status::NotMine { owner, map_version } => (1, owner, map_version),
            Status::Parts { is_last } => (if is_last { 3 } else { 2 }, 0, 0),
            Status::PutOff => (4, 0, 0),
        };
        let (sequence, owner, version) =
            (self.sequence.to_le_bytes(), owner.to_le_bytes(), version.to_le_bytes());
        put(Kind::Answer, &[&sequence, &[status], &owner, &version, self.text], out);
    }

    /// Reads it from a frame's body.
    pub fn read(body: &'a [u8]) -> Option<Reply<'a>> {
        let (fixed, text) = body.split_first_chunk::<ANSWER_BYTES>()?;
        let mut fields = Rest(fixed);
        let sequence = fields.u64()?;
        let (status, owner, map_version) = (fields.u8()?, fields.u16()?, fields.u64()?);
        let status = match status {
            0 => Status::Said,
            1 => Status::NotMine { owner, map_version },
            2 => Status::Parts { is_last: false },
            3 => Status::Parts { is_last: true },
            4 => Status::PutOff,
            _ => return None,
        };
        Some(Reply { sequence, status, text })
    }

    /// Its text, owned.
    pub fn bytes(&self) -> Bytes {
        Bytes::copy_from_slice(self.text)
    }
}
