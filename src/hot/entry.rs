//! How one entry lies in a segment.
//!
//! ```text
//!  0  word        u32  see below
//!  4  accessed_s  u32
//!  8  deadline    u32
//! 12  version     u64
//! 20  client_flags u32 | cas u64 | meta_version u64   each only if it differs from its usual value
//!     key, then the value, or the number of a large value (u32), or nothing (tombstone)
//! ```
//!
//! Little-endian, padded to [`GRANULE`]. The word holds, from the low bits: key length (8), value length (12), marks
//! (4), one bit for each of [`Word::DIRTY`] and its siblings (6), and how often it was visited (2). A key length of 0
//! says that nothing lives here: the other 24 bits are then the length of the dead stretch in granules.

use crate::base::effect::FlushMark;
use crate::base::item::Marks;
use crate::base::limits::{KEY_BYTES_MAX, SHARED_BYTES_MIN};
use crate::base::time::Deadline;
use crate::base::version::Version;

/// Entries begin and end at multiples of this, bytes.
pub(super) const GRANULE: usize = 4;
/// What precedes the optional fields, bytes.
const HEADER_BYTES: usize = 20;
/// All optional fields together, bytes.
const OPTIONAL_BYTES: usize = 20;
/// The number of a large value, bytes.
const LARGE_BYTES: usize = 4;

const _: () = assert!(KEY_BYTES_MAX < 1 << 8 && SHARED_BYTES_MIN <= 1 << 12, "the word has room");

/// Bytes that an entry takes at most in its segment.
pub(super) fn bytes_max(key_bytes: usize, value_bytes: usize) -> usize {
    let body = if value_bytes < SHARED_BYTES_MIN { value_bytes } else { LARGE_BYTES };
    (HEADER_BYTES + OPTIONAL_BYTES + key_bytes + body).next_multiple_of(GRANULE)
}

/// The first four bytes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(u32);

impl Word {
    /// Changed since the last checkpoint.
    pub(super) const DIRTY: Word = Word(1 << 24);
    /// The key is known to be gone.
    pub(super) const TOMBSTONE: Word = Word(1 << 25);
    /// The value lies beside the segments.
    pub(super) const LARGE: Word = Word(1 << 26);
    const CLIENT_FLAGS: Word = Word(1 << 27);
    const CAS: Word = Word(1 << 28);
    const META_VERSION: Word = Word(1 << 29);
    /// All optional fields.
    const OPTIONAL: Word = Word(Word::CLIENT_FLAGS.0 | Word::CAS.0 | Word::META_VERSION.0);
    const VISITS_SHIFT: u32 = 30;
    /// What says how long an entry is: all but the marks and the visits.
    const SHAPE: u32 = !(0xF << 20 | 3 << Word::VISITS_SHIFT);
    /// Where counting visits stops.
    pub(super) const VISITS_MAX: u8 = 3;

    /// The word at the start of `bytes`; `None` when they are too short.
    pub(super) fn read(bytes: &[u8]) -> Option<Word> {
        Some(Word(u32::from_le_bytes(*bytes.first_chunk()?)))
    }

    /// Writes it at the start of `bytes`.
    pub(super) fn write(self, bytes: &mut [u8]) {
        write_at(bytes, 0, self.0.to_le_bytes());
    }

    /// A stretch of `bytes` in which nothing lives.
    pub(super) fn dead(bytes: usize) -> Word {
        Word(((bytes / GRANULE) as u32) << 8)
    }

    pub(super) fn is_dead(self) -> bool {
        self.0 & 0xFF == 0
    }

    /// Whether any of these bits is set.
    pub(super) fn has(self, bit: Word) -> bool {
        self.0 & bit.0 != 0
    }

    pub(super) fn with(self, bit: Word, set: bool) -> Word {
        Word(if set { self.0 | bit.0 } else { self.0 & !bit.0 })
    }

    /// Whether an entry with this word adds the same to all sums as one with that word.
    pub(super) fn weighs_like(self, other: Word) -> bool {
        let counted = Word::DIRTY.0 | Word::TOMBSTONE.0;
        let large = (self.0 | other.0) & Word::LARGE.0 != 0;
        let difference = self.0 ^ other.0;
        let same_bytes = difference & Word::SHAPE == 0 || self.bytes() == other.bytes();
        !large && difference & counted == 0 && same_bytes
    }

    pub(super) fn visits(self) -> u8 {
        (self.0 >> Word::VISITS_SHIFT) as u8
    }

    pub(super) fn with_visits(self, visits: u8) -> Word {
        let visits = u32::from(visits.min(Word::VISITS_MAX));
        Word(self.0 & !(3 << Word::VISITS_SHIFT) | visits << Word::VISITS_SHIFT)
    }

    pub(super) fn marks(self) -> Marks {
        Marks((self.0 >> 20) as u8 & 0xF)
    }

    pub(super) fn with_marks(self, marks: Marks) -> Word {
        Word(self.0 & !(0xF << 20) | (u32::from(marks.0) & 0xF) << 20)
    }

    fn key_bytes(self) -> usize {
        (self.0 & 0xFF) as usize
    }

    fn body_bytes(self) -> usize {
        if self.has(Word::LARGE) { LARGE_BYTES } else { (self.0 >> 8 & 0xFFF) as usize }
    }

    fn optional_bytes(self) -> usize {
        4 * usize::from(self.has(Word::CLIENT_FLAGS))
            + 8 * usize::from(self.has(Word::CAS))
            + 8 * usize::from(self.has(Word::META_VERSION))
    }

    /// The length of the entry or of the dead stretch that begins with this word, bytes.
    pub(super) fn bytes(self) -> usize {
        if self.is_dead() {
            return (self.0 >> 8) as usize * GRANULE;
        }
        (HEADER_BYTES + self.optional_bytes() + self.key_bytes() + self.body_bytes())
            .next_multiple_of(GRANULE)
    }

    /// The same with one more visit, read, at `now_s`: the first eight bytes as they become.
    fn after_access(self, now_s: u32) -> u64 {
        let word = self.with_visits(self.visits() + 1).with_marks(self.marks().with(Marks::FETCHED));
        u64::from(word.0) | u64::from(now_s) << 32
    }
}

/// Notes an access in the entry at the start of `bytes`. An entry that says so already is not written: popular ones
/// stay clean in every core's cache.
pub(super) fn note_access(bytes: &mut [u8], now_s: u32) {
    let Some(first) = bytes.first_chunk_mut::<8>() else { return };
    let before = u64::from_le_bytes(*first);
    let word = Word(before as u32);
    if word.is_dead() {
        return;
    }
    let after = word.after_access(now_s);
    if after != before {
        *first = after.to_le_bytes();
    }
}

/// Notes that the entry at the start of `bytes` was wanted, but not read.
pub(super) fn note_use(bytes: &mut [u8]) {
    let Some(first) = bytes.first_chunk_mut::<4>() else { return };
    let word = Word(u32::from_le_bytes(*first));
    if !word.is_dead() {
        *first = word.with_visits(word.visits() + 1).0.to_le_bytes();
    }
}

/// The key of the entry at the start of `bytes`; `None` when nothing lives there.
pub(super) fn key_of(bytes: &[u8]) -> Option<&[u8]> {
    let word = Word::read(bytes)?;
    let start = HEADER_BYTES + word.optional_bytes();
    bytes.get(start..start + word.key_bytes()).filter(|key| !key.is_empty())
}

/// An entry: as it is read from a segment, or as it is to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) key: &'a [u8],
    pub(super) body: Body<'a>,
    pub(super) is_dirty: bool,
    pub(super) visits: u8,
    pub(super) marks: Marks,
    pub(super) accessed_s: u32,
    pub(super) deadline: Deadline,
    pub(super) version: Version,
    pub(super) client_flags: u32,
    pub(super) cas: u64,
    pub(super) meta_version: Version,
}

/// What follows the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    /// A value shorter than [`SHARED_BYTES_MIN`].
    Plain(&'a [u8]),
    /// The number of a large value.
    Large(u32),
    /// Nothing: the key is gone.
    Tombstone,
}

impl<'a> Record<'a> {
    /// A tombstone.
    pub(super) fn tombstone(key: &'a [u8], version: Version) -> Record<'a> {
        Record {
            key,
            body: Body::Tombstone,
            is_dirty: true,
            visits: 0,
            marks: Marks::default(),
            accessed_s: 0,
            deadline: Deadline::NEVER,
            version,
            client_flags: 0,
            cas: version.0,
            meta_version: version,
        }
    }

    /// The entry at the start of `bytes`; `None` when nothing lives there.
    #[inline]
    pub(super) fn read(bytes: &'a [u8]) -> Option<Record<'a>> {
        let (head, mut rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let word = Word(u32::from_le_bytes(field(head, 0)));
        if word.is_dead() {
            return None;
        }
        let accessed_s = u32::from_le_bytes(field(head, 4));
        let deadline = Deadline::from_seconds(u32::from_le_bytes(field(head, 8)));
        let version = Version(u64::from_le_bytes(field(head, 12)));
        let (mut client_flags, mut cas, mut meta_version) = (0, version.0, version);
        if word.has(Word::OPTIONAL) {
            if word.has(Word::CLIENT_FLAGS) {
                client_flags = u32::from_le_bytes(take(&mut rest)?);
            }
            if word.has(Word::CAS) {
                cas = u64::from_le_bytes(take(&mut rest)?);
            }
            if word.has(Word::META_VERSION) {
                meta_version = Version(u64::from_le_bytes(take(&mut rest)?));
            }
        }
        let (key, rest) = rest.split_at_checked(word.key_bytes())?;
        let body = Body::read(word, rest)?;
        let (is_dirty, visits, marks) = (word.has(Word::DIRTY), word.visits(), word.marks());
        Some(Record {
            key,
            body,
            is_dirty,
            visits,
            marks,
            accessed_s,
            deadline,
            version,
            client_flags,
            cas,
            meta_version,
        })
    }

    /// The same with key and value copied to `scratch`, so that where it lies can be written.
    pub(super) fn copied_to<'b>(&self, scratch: &'b mut Vec<u8>) -> Record<'b> {
        scratch.clear();
        scratch.extend_from_slice(self.key);
        if let Body::Plain(value) = self.body {
            scratch.extend_from_slice(value);
        }
        let (key, value) = scratch.split_at_checked(self.key.len()).unwrap_or_default();
        let body = match self.body {
            Body::Plain(_) => Body::Plain(value),
            Body::Large(number) => Body::Large(number),
            Body::Tombstone => Body::Tombstone,
        };
        Record { key, body, ..*self }
    }

    /// Its last change of any kind.
    pub(super) fn stamp(&self) -> Version {
        self.version.max(self.meta_version)
    }

    /// Whether a flush has taken it.
    pub(super) fn is_flushed(&self, flush: &FlushMark) -> bool {
        flush.covers(self.version)
    }

    /// The word that it is written with.
    pub(super) fn word(&self) -> Word {
        let (plain_bytes, kind) = match self.body {
            Body::Plain(value) => (value.len(), Word(0)),
            Body::Large(_) => (0, Word::LARGE),
            Body::Tombstone => (0, Word::TOMBSTONE),
        };
        Word(self.key.len() as u32 & 0xFF | (plain_bytes as u32 & 0xFFF) << 8 | kind.0)
            .with_marks(self.marks)
            .with_visits(self.visits)
            .with(Word::DIRTY, self.is_dirty)
            .with(Word::CLIENT_FLAGS, self.client_flags != 0)
            .with(Word::CAS, self.cas != self.version.0)
            .with(Word::META_VERSION, self.meta_version != self.version)
    }

    /// Writes it at the start of `bytes`, which must hold as many as `word`, its own, says; fewer and nothing is written
    /// beyond them.
    pub(super) fn write(&self, word: Word, bytes: &mut [u8]) {
        let Some((head, mut rest)) = bytes.split_first_chunk_mut::<HEADER_BYTES>() else { return };
        write_at(head, 0, word.0.to_le_bytes());
        write_at(head, 4, self.accessed_s.to_le_bytes());
        write_at(head, 8, self.deadline.as_seconds().to_le_bytes());
        write_at(head, 12, self.version.0.to_le_bytes());
        if word.has(Word::OPTIONAL) {
            if word.has(Word::CLIENT_FLAGS) {
                put(&mut rest, &self.client_flags.to_le_bytes());
            }
            if word.has(Word::CAS) {
                put(&mut rest, &self.cas.to_le_bytes());
            }
            if word.has(Word::META_VERSION) {
                put(&mut rest, &self.meta_version.0.to_le_bytes());
            }
        }
        put(&mut rest, self.key);
        match self.body {
            Body::Plain(value) => put(&mut rest, value),
            Body::Large(number) => put(&mut rest, &number.to_le_bytes()),
            Body::Tombstone => {}
        }
    }
}

impl<'a> Body<'a> {
    /// The number of its large value.
    pub(super) fn large(&self) -> Option<u32> {
        match self {
            Body::Large(number) => Some(*number),
            _ => None,
        }
    }

    #[inline]
    fn read(word: Word, rest: &'a [u8]) -> Option<Body<'a>> {
        if word.has(Word::TOMBSTONE) {
            return Some(Body::Tombstone);
        }
        if word.has(Word::LARGE) {
            return Some(Body::Large(u32::from_le_bytes(*rest.first_chunk()?)));
        }
        rest.get(..word.body_bytes()).map(Body::Plain)
    }
}

/// The field at `at` of what precedes the optional ones.
#[inline]
fn field<const N: usize>(head: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    head.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (chunk, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*chunk)
}

fn put(rest: &mut &mut [u8], bytes: &[u8]) {
    if let Some(to) = rest.split_off_mut(..bytes.len()) {
        to.copy_from_slice(bytes);
    }
}

fn write_at<const N: usize>(bytes: &mut [u8], at: usize, field: [u8; N]) {
    if let Some(to) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *to = field;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let plain = vec![7u8; SHARED_BYTES_MIN - 1];
        let long_key = [b'k'; KEY_BYTES_MAX];
        for key in [&b"k"[..], &long_key] {
            for body in
                [Body::Plain(b""), Body::Plain(b"v"), Body::Plain(&plain), Body::Large(9), Body::Tombstone]
            {
                for optional in 0..8u64 {
                    let record = Record {
                        body,
                        is_dirty: optional % 2 == 0,
                        visits: optional as u8 % 4,
                        marks: Marks(optional as u8 * 2),
                        accessed_s: 11,
                        deadline: Deadline::from_seconds(12),
                        client_flags: if optional & 1 != 0 { 13 } else { 0 },
                        cas: if optional & 2 != 0 { 14 } else { 99 },
                        meta_version: Version(if optional & 4 != 0 { 100 } else { 99 }),
                        ..Record::tombstone(key, Version(99))
                    };
                    let mut bytes = vec![0; record.word().bytes()];
                    record.write(record.word(), &mut bytes);
                    assert_eq!(format!("{:?}", Record::read(&bytes).unwrap()), format!("{record:?}"));
                    assert_eq!(key_of(&bytes), Some(key));
                    assert_eq!(bytes.len() % GRANULE, 0);
                    for short in 0..bytes.len() - GRANULE {
                        assert!(Record::read(&bytes[..short]).is_none());
                    }
                }
            }
        }
    }

    #[test]
    fn a_dead_stretch_knows_its_length() {
        for bytes in [GRANULE, 4096, 32 * 1024] {
            let word = Word::dead(bytes);
            assert!(word.is_dead());
            assert_eq!(word.bytes(), bytes);
        }
    }

    #[test]
    fn the_common_entry_is_compact() {
        let record = Record {
            body: Body::Plain(&[0; 32]),
            deadline: Deadline::from_seconds(5),
            ..Record::tombstone(&[1; 16], Version(3))
        };
        assert_eq!(record.word().bytes(), 68);
    }
}
