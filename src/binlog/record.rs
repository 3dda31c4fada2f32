//! Records as bytes: the layout of `FORMAT.md`, written and read. No I/O.

use crate::base::effect::{Cause, Effect, FlushMark, NewValue, Put, Removal, Touch};
use crate::base::item::Marks;
use crate::base::limits;
use crate::base::lsn::{GroupId, Lsn};
use crate::base::time::{Deadline, UnixMs};
use crate::base::version::{Stamp, Version};

use super::entry::{Body, Entry, Origin};

/// The fixed head of every record but the batch record, bytes.
pub(crate) const HEAD_BYTES: usize = 40;
/// A batch record, bytes.
pub(crate) const BATCH_BYTES: usize = 56;
/// The zero bytes behind every batch, which the next batch overwrites: the log ends here.
pub(crate) const END_BYTES: usize = 8;
/// Records begin at multiples of this, bytes.
pub(crate) const ALIGN: usize = 8;

/// The head with every optional field, bytes.
const HEAD_BYTES_MAX: usize = HEAD_BYTES + 4 + 4 + 8 + 8 + 8 + 4 + 14 + 8;
/// The group number in a batch record, which belongs to none.
const NO_GROUP: u16 = u16::MAX;

/// What a record is: its kind byte.
mod kind {
    pub(super) const BATCH: u8 = 1;
    pub(super) const PUT: u8 = 2;
    pub(super) const TOUCH: u8 = 3;
    pub(super) const REMOVE: u8 = 4;
    pub(super) const FLUSH: u8 = 5;
    pub(super) const PART: u8 = 6;
}

/// Which optional fields follow the head, in the order of their bits.
mod flag {
    pub(super) const CLIENT_FLAGS: u16 = 1;
    pub(super) const DEADLINE: u16 = 1 << 1;
    pub(super) const CAS: u16 = 1 << 2;
    pub(super) const BASE: u16 = 1 << 3;
    pub(super) const DELTA: u16 = 1 << 4;
    pub(super) const GROUP_EPOCH: u16 = 1 << 5;
    pub(super) const ORIGIN: u16 = 1 << 6;
    pub(super) const TOTAL: u16 = 1 << 7;
    pub(super) const ALL: u16 = (1 << 8) - 1;
    /// Of a batch record: the log was closed behind it.
    pub(super) const CLOSED: u16 = 1;
}

const _: () = assert!(limits::KEY_BYTES_MAX <= u8::MAX as usize, "a key's length is one byte");
const _: () = assert!(HEAD_BYTES_MAX + limits::KEY_BYTES_MAX < 1024, "head and key leave room for a piece");

/// The length with its padding.
pub(crate) fn padded(length: usize) -> usize {
    length.next_multiple_of(ALIGN)
}

// ---------------------------------------------------------------------------------------------------- writing

/// An entry on its way into the log: its head is laid out before the log's lock is taken; length, LSN and checksum
/// are filled in under it.
pub(crate) struct Encoder<'e> {
    head: Head,
    key: &'e [u8],
    pieces: [&'e [u8]; 2],
    /// Bytes of the value.
    value_len: usize,
    /// Bytes of the first record's value.
    first_len: usize,
    /// Bytes of a whole record, at most.
    record_max: usize,
}

impl<'e> Encoder<'e> {
    /// Lays out `entry`; `old_value` is what `OldThen` and `ThenOld` speak of. No record will be longer than
    /// `record_max` bytes (1 KiB at least): a longer value is split.
    pub(crate) fn new(entry: &'e Entry<'e>, old_value: &'e [u8], record_max: usize) -> Encoder<'e> {
        let fields = Fields::of(entry, old_value);
        debug_assert!(fields.key.len() <= limits::KEY_BYTES_MAX, "the codec lets no longer key in");
        let value_len: usize = fields.pieces.iter().map(|piece| piece.len()).sum();
        let mut encoder = Encoder {
            head: fields.lay_out(entry, None),
            key: fields.key,
            pieces: fields.pieces,
            value_len,
            first_len: value_len,
            record_max,
        };
        if encoder.head.len + fields.key.len() + value_len > record_max {
            encoder.head = fields.lay_out(entry, Some(value_len as u64));
            encoder.first_len = record_max.saturating_sub(encoder.head.len + fields.key.len());
        }
        encoder
    }

    /// The pieces of the value, one for each record that the entry becomes: offset and length.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (usize, usize)> {
        let parts = Parts { next: self.first_len, end: self.value_len, most: self.part_max() };
        std::iter::once((0, self.first_len)).chain(parts)
    }

    /// The padded length of the record of a piece.
    pub(crate) fn record_len(&self, piece: (usize, usize)) -> usize {
        padded(piece.1 + if piece.0 == 0 { self.head.len + self.key.len() } else { HEAD_BYTES })
    }

    /// Whether the entry is one record, and its padded length.
    pub(crate) fn single(&self) -> Option<usize> {
        (self.first_len == self.value_len).then(|| self.record_len((0, self.first_len)))
    }

    /// Writes the first record.
    pub(crate) fn put_first(&self, lsn: Lsn, seed: u32, out: &mut Vec<u8>) {
        let start = out.len();
        // Copies of a length that the compiler knows are quick; what was too much goes again.
        out.extend_from_slice(&self.head.bytes);
        out.truncate(start + self.head.len);
        out.extend_from_slice(self.key);
        self.copy_value(0, self.first_len, out);
        seal(out, start, lsn, seed);
    }

    /// Writes the record of a piece.
    pub(crate) fn put(&self, piece: (usize, usize), lsn: Lsn, seed: u32, out: &mut Vec<u8>) {
        match piece.0 {
            0 => self.put_first(lsn, seed, out),
            _ => self.put_part(piece, lsn, seed, out),
        }
    }

    fn put_part(&self, piece: (usize, usize), lsn: Lsn, seed: u32, out: &mut Vec<u8>) {
        let start = out.len();
        let mut head = [0; HEAD_BYTES];
        set::<2>(&mut head, 16, get(&self.head.bytes, 16));
        set(&mut head, 18, [kind::PART]);
        set(&mut head, 24, (piece.0 as u64).to_le_bytes());
        set(&mut head, 32, (self.value_len as u64).to_le_bytes());
        out.extend_from_slice(&head);
        self.copy_value(piece.0, piece.1, out);
        seal(out, start, lsn, seed);
    }

    fn part_max(&self) -> usize {
        (self.record_max - HEAD_BYTES) / ALIGN * ALIGN
    }

    /// Copies `len` bytes of the value from `from` on.
    fn copy_value(&self, from: usize, len: usize, out: &mut Vec<u8>) {
        let [first, second] = self.pieces;
        if len == first.len() && second.is_empty() {
            return out.extend_from_slice(first);
        }
        let to = from + len;
        let middle = first.len();
        out.extend_from_slice(first.get(from.min(middle)..to.min(middle)).unwrap_or(&[]));
        out.extend_from_slice(second.get(from.max(middle) - middle..to.max(middle) - middle).unwrap_or(&[]));
    }
}

/// The pieces of a value behind the first record's.
struct Parts {
    next: usize,
    end: usize,
    most: usize,
}

impl Iterator for Parts {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let from = self.next;
        let len = (self.end - from).min(self.most);
        self.next += len;
        (len > 0).then_some((from, len))
    }
}

/// Gives the record that starts at `start` of `out` its padding, length, LSN and checksum.
fn seal(out: &mut Vec<u8>, start: usize, lsn: Lsn, seed: u32) {
    let length = out.len() - start;
    out.extend_from_slice(&[0; ALIGN]);
    out.truncate(start + padded(length));
    let Some(record) = out.get_mut(start..) else { return };
    set(record, 4, (length as u32).to_le_bytes());
    set(record, 8, lsn.0.to_le_bytes());
    let crc = crc32c::crc32c_append(seed, record.get(4..).unwrap_or(&[]));
    set(record, 0, crc.to_le_bytes());
}

/// The fields of a record, whichever its kind.
struct Fields<'e> {
    kind: u8,
    cause: u8,
    marks: Marks,
    key: &'e [u8],
    pieces: [&'e [u8]; 2],
    client_flags: u32,
    deadline_s: u32,
    cas: u64,
    base: Version,
    delta: u64,
}

impl<'e> Fields<'e> {
    fn of(entry: &'e Entry<'e>, old_value: &'e [u8]) -> Fields<'e> {
        let none = Fields {
            kind: 0,
            cause: 0,
            marks: Marks::default(),
            key: &[],
            pieces: [&[], &[]],
            client_flags: 0,
            deadline_s: 0,
            cas: entry.stamp.version.0,
            base: Version::ZERO,
            delta: 0,
        };
        match &entry.body {
            Body::Flush(mark) => {
                Fields { kind: kind::FLUSH, deadline_s: mark.pending_s, base: mark.below, ..none }
            }
            Body::Item { key, effect } => {
                let fields = Fields { key, cause: effect.cause() as u8, ..none };
                match effect {
                    Effect::Put(put) => Fields {
                        kind: kind::PUT,
                        marks: put.marks.and(Marks::STORED),
                        pieces: put.value.pieces(old_value),
                        client_flags: put.client_flags,
                        deadline_s: put.deadline.as_seconds(),
                        cas: put.cas,
                        base: put.base,
                        delta: put.delta,
                        ..fields
                    },
                    Effect::Touch(touch) => Fields {
                        kind: kind::TOUCH,
                        marks: touch.marks.and(Marks::STORED),
                        deadline_s: touch.deadline.as_seconds(),
                        cas: touch.cas,
                        base: touch.base,
                        ..fields
                    },
                    Effect::Remove(removal) => Fields { kind: kind::REMOVE, base: removal.base, ..fields },
                }
            }
        }
    }

    /// The head with the optional fields that differ from their defaults. `total` is the length of a value that is split.
    fn lay_out(&self, entry: &Entry<'_>, total: Option<u64>) -> Head {
        let mut head = Head { bytes: [0; HEAD_BYTES_MAX], flags: 0, len: HEAD_BYTES };
        set(&mut head.bytes, 16, entry.group.0.to_le_bytes());
        set(&mut head.bytes, 18, [self.kind, self.key.len() as u8]);
        set(&mut head.bytes, 22, [self.cause, self.marks.0]);
        set(&mut head.bytes, 24, entry.stamp.now.0.to_le_bytes());
        set(&mut head.bytes, 32, entry.stamp.version.0.to_le_bytes());
        let origin = entry.origin;
        head.put(self.client_flags != 0, flag::CLIENT_FLAGS, self.client_flags.to_le_bytes());
        head.put(self.deadline_s != 0, flag::DEADLINE, self.deadline_s.to_le_bytes());
        head.put(self.cas != entry.stamp.version.0, flag::CAS, self.cas.to_le_bytes());
        head.put(self.base != Version::ZERO, flag::BASE, self.base.0.to_le_bytes());
        head.put(self.delta != 0, flag::DELTA, self.delta.to_le_bytes());
        head.put(entry.group_epoch != 0, flag::GROUP_EPOCH, entry.group_epoch.to_le_bytes());
        head.put(!origin.is_here(), flag::ORIGIN, origin_bytes(origin));
        head.put(total.is_some(), flag::TOTAL, total.unwrap_or(0).to_le_bytes());
        set(&mut head.bytes, 20, head.flags.to_le_bytes());
        head
    }
}

/// A head with those of its optional fields that were put.
struct Head {
    bytes: [u8; HEAD_BYTES_MAX],
    flags: u16,
    len: usize,
}

impl Head {
    fn put<const N: usize>(&mut self, present: bool, flag: u16, bytes: [u8; N]) {
        if present {
            set(&mut self.bytes, self.len, bytes);
            self.flags |= flag;
            self.len += N;
        }
    }
}

fn origin_bytes(origin: Origin) -> [u8; 14] {
    let mut bytes = [0; 14];
    set(&mut bytes, 0, origin.server.to_le_bytes());
    set(&mut bytes, 2, origin.incarnation.to_le_bytes());
    set(&mut bytes, 6, origin.sequence.to_le_bytes());
    bytes
}

/// The record at the head of every write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// The LSN of the record behind it, or the next to be given.
    pub(crate) first: Lsn,
    /// The highest LSN in it; `first` less one when it is empty.
    pub(crate) last: Lsn,
    /// What was durable when it was written.
    pub(crate) durable: Lsn,
    /// Up to here everything is in the stores.
    pub(crate) trim: Lsn,
    /// The whole batch, this record included.
    pub(crate) bytes: u64,
    /// The log was closed behind it: nothing follows.
    pub(crate) closed: bool,
}

impl Batch {
    /// Its bytes.
    pub(crate) fn encode(&self, seed: u32) -> [u8; BATCH_BYTES] {
        let mut bytes = [0; BATCH_BYTES];
        set(&mut bytes, 4, (BATCH_BYTES as u32).to_le_bytes());
        set(&mut bytes, 8, self.first.0.to_le_bytes());
        set(&mut bytes, 16, NO_GROUP.to_le_bytes());
        set(&mut bytes, 18, [kind::BATCH]);
        set(&mut bytes, 20, (if self.closed { flag::CLOSED } else { 0 }).to_le_bytes());
        set(&mut bytes, 24, self.durable.0.to_le_bytes());
        set(&mut bytes, 32, self.trim.0.to_le_bytes());
        set(&mut bytes, 40, self.last.0.to_le_bytes());
        set(&mut bytes, 48, self.bytes.to_le_bytes());
        let crc = crc32c::crc32c_append(seed, bytes.get(4..).unwrap_or(&[]));
        set(&mut bytes, 0, crc.to_le_bytes());
        bytes
    }

    /// Whether a batch record may begin with these bytes: a cheap look at its length before [`frame`] is asked.
    pub(crate) fn may_begin(bytes: [u8; ALIGN]) -> bool {
        u64::from_le_bytes(bytes) >> 32 == BATCH_BYTES as u64
    }
}

/// Writes `N` bytes at `at`, which the layouts above keep inside `bytes`.
fn set<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(place) = bytes.get_mut(at..at + N) {
        place.copy_from_slice(&value);
    }
}

/// The `N` bytes at `at`, zeros outside `bytes`.
pub(crate) fn get<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

// ---------------------------------------------------------------------------------------------------- reading

/// What stands at the head of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A record of this segment, without its padding, and its padded length.
    Good(&'a [u8], usize),
    /// The mark that nothing follows.
    End,
    /// It would be this long, padded; more bytes are needed.
    Short(usize),
    /// No record of this segment.
    Bad,
}

/// Judges what stands at the head of `bytes` by length and checksum.
pub(crate) fn frame(bytes: &[u8], seed: u32) -> Frame<'_> {
    let Some((crc, rest)) = bytes.split_first_chunk::<4>() else { return Frame::Short(ALIGN) };
    let Some(length) = rest.first_chunk::<4>() else { return Frame::Short(ALIGN) };
    let length = u32::from_le_bytes(*length) as usize;
    if length == 0 && *crc == [0; 4] {
        return Frame::End;
    }
    if !(HEAD_BYTES..=limits::RECORD_BYTES_MAX).contains(&length) {
        return Frame::Bad;
    }
    let whole = padded(length);
    let Some(checked) = rest.get(..whole - 4) else { return Frame::Short(whole) };
    if crc32c::crc32c_append(seed, checked).to_le_bytes() != *crc {
        return Frame::Bad;
    }
    bytes.get(..length).map_or(Frame::Bad, |record| Frame::Good(record, whole))
}

/// A record, read.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    /// The head of a batch.
    Batch(Batch),
    /// An entry; of a split value only the first piece, with the length of the whole.
    Entry(Lsn, Entry<'a>, Option<u64>),
    /// A further piece of the value before it.
    Part(Part<'a>),
}

/// A further piece of a split value.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    /// The LSN of the entry.
    pub(crate) lsn: Lsn,
    /// The group of the entry.
    pub(crate) group: GroupId,
    /// Where in the value the piece begins.
    pub(crate) offset: u64,
    /// The length of the whole value.
    pub(crate) total: u64,
    /// The piece.
    pub(crate) bytes: &'a [u8],
}

/// Reads a record whose checksum was right. `here` names the origin of records that name none (its sequence is not
/// used). Fails with what is not understood: such a record was written by a later version, or by an error of ours.
pub(crate) fn decode(record: &[u8], here: Origin) -> Result<Record<'_>, &'static str> {
    let rest = record.get(HEAD_BYTES..).ok_or("it is shorter than its head")?;
    let lsn = Lsn(u64::from_le_bytes(get(record, 8)));
    let group = GroupId(u16::from_le_bytes(get(record, 16)));
    let [kind, key_len] = get(record, 18);
    let flags = u16::from_le_bytes(get(record, 20));
    let first = u64::from_le_bytes(get(record, 24));
    let second = u64::from_le_bytes(get(record, 32));
    match kind {
        kind::BATCH if record.len() == BATCH_BYTES && flags & !flag::CLOSED == 0 => {
            Ok(Record::Batch(Batch {
                first: lsn,
                last: Lsn(u64::from_le_bytes(get(record, 40))),
                durable: Lsn(first),
                trim: Lsn(second),
                bytes: u64::from_le_bytes(get(record, 48)),
                closed: flags & flag::CLOSED != 0,
            }))
        }
        kind::PART if flags == 0 => {
            Ok(Record::Part(Part { lsn, group, offset: first, total: second, bytes: rest }))
        }
        kind::PUT..=kind::FLUSH if flags & !flag::ALL == 0 => {
            let stamp = Stamp { now: UnixMs(first), version: Version(second) };
            let here = Origin { sequence: lsn.0, ..here };
            let fields = ReadFields::read(rest, flags, stamp, here).ok_or("its fields are cut off")?;
            let [cause, marks] = get(record, 22);
            let body = fields.body(kind, usize::from(key_len), cause, Marks(marks))?;
            let entry = Entry { group, group_epoch: fields.group_epoch, origin: fields.origin, stamp, body };
            Ok(Record::Entry(lsn, entry, fields.total))
        }
        _ => Err("its kind or its flags are unknown"),
    }
}

/// The optional fields, or what stands for them, and the bytes behind.
struct ReadFields<'a> {
    client_flags: u32,
    deadline: Deadline,
    cas: u64,
    base: Version,
    delta: u64,
    group_epoch: u32,
    origin: Origin,
    total: Option<u64>,
    rest: &'a [u8],
}

impl<'a> ReadFields<'a> {
    fn read(rest: &'a [u8], flags: u16, stamp: Stamp, here: Origin) -> Option<ReadFields<'a>> {
        let mut fields = FieldReader { rest, flags };
        Some(ReadFields {
            client_flags: fields.take(flag::CLIENT_FLAGS)?.map_or(0, u32::from_le_bytes),
            deadline: Deadline::from_seconds(fields.take(flag::DEADLINE)?.map_or(0, u32::from_le_bytes)),
            cas: fields.take(flag::CAS)?.map_or(stamp.version.0, u64::from_le_bytes),
            base: Version(fields.take(flag::BASE)?.map_or(0, u64::from_le_bytes)),
            delta: fields.take(flag::DELTA)?.map_or(0, u64::from_le_bytes),
            group_epoch: fields.take(flag::GROUP_EPOCH)?.map_or(0, u32::from_le_bytes),
            origin: fields.take::<14>(flag::ORIGIN)?.map_or(here, |bytes| Origin {
                server: u16::from_le_bytes(get(&bytes, 0)),
                incarnation: u32::from_le_bytes(get(&bytes, 2)),
                sequence: u64::from_le_bytes(get(&bytes, 6)),
            }),
            total: fields.take(flag::TOTAL)?.map(u64::from_le_bytes),
            rest: fields.rest,
        })
    }

    fn body(&self, kind: u8, key_len: usize, cause: u8, marks: Marks) -> Result<Body<'a>, &'static str> {
        if kind == kind::FLUSH {
            let mark = FlushMark { below: self.base, pending_s: self.deadline.as_seconds() };
            return Ok(Body::Flush(mark));
        }
        let (key, value) = self.rest.split_at_checked(key_len).ok_or("its key is cut off")?;
        let cause = Cause::from_byte(cause).ok_or("its cause is unknown")?;
        let effect = match kind {
            kind::PUT => Effect::Put(Put {
                cause,
                value: NewValue::Whole(value),
                client_flags: self.client_flags,
                deadline: self.deadline,
                cas: self.cas,
                marks,
                base: self.base,
                delta: self.delta,
            }),
            kind::TOUCH => {
                Effect::Touch(Touch { cause, deadline: self.deadline, cas: self.cas, marks, base: self.base })
            }
            _ => Effect::Remove(Removal { cause, base: self.base }),
        };
        Ok(Body::Item { key, effect })
    }
}

/// Takes optional fields off the front.
struct FieldReader<'a> {
    rest: &'a [u8],
    flags: u16,
}

impl FieldReader<'_> {
    /// `None` when the bytes end too early, `Some(None)` when the field is not there.
    fn take<const N: usize>(&mut self, flag: u16) -> Option<Option<[u8; N]>> {
        if self.flags & flag == 0 {
            return Some(None);
        }
        let (field, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(Some(*field))
    }
}
