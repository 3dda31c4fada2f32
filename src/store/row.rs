//! One item as the bytes of its row in the `items` table; FORMAT.md draws it. Nothing here touches a table.

use crate::base::item::{Item, Marks, Value};
use crate::base::rest::Rest;
use crate::base::time::Deadline;
use crate::base::version::Version;

/// The kind of row that this version writes and reads.
const KIND_ITEM: u8 = 1;
/// Bits of the fields byte: which optional fields follow. The three stored marks lie between them.
const HAS_CLIENT_FLAGS: u8 = 1;
const HAS_DEADLINE: u8 = 2;
const HAS_CAS: u8 = 4;
const HAS_META_VERSION: u8 = 8;
const MARKS_SHIFT: u32 = 4;
const HAS_PIECES: u8 = 128;
/// Where the checksum lies: behind kind and fields.
const CRC_AT: usize = 2;

/// What a row says about its item, without the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) client_flags: u32,
    pub(super) deadline: Deadline,
    pub(super) version: Version,
    pub(super) cas: u64,
    pub(super) meta_version: Version,
    pub(super) marks: Marks,
    /// The length of the whole value, bytes.
    pub(super) value_bytes: usize,
    /// Where in the row the value, or the head of it, begins.
    pub(super) head_at: usize,
    /// Whether the value goes on in the `parts` table.
    pub(super) has_pieces: bool,
    /// What key, header and value must sum up to.
    crc: u32,
}

impl Facts {
    /// The item, whose value lies somewhere else.
    pub(super) fn item<'a>(&self, value: Value<'a>) -> Item<'a> {
        Item {
            value,
            client_flags: self.client_flags,
            deadline: self.deadline,
            version: self.version,
            cas: self.cas,
            meta_version: self.meta_version,
            marks: self.marks,
            accessed_s: 0,
        }
    }
}

/// Writes the row of `item` into `row`; the row itself carries the first `head_bytes` of the value.
pub(super) fn encode(row: &mut Vec<u8>, key: &[u8], item: &Item<'_>, head_bytes: usize) {
    let value = item.value.bytes();
    let head = value.get(..head_bytes).unwrap_or(value);
    let mut fields = (item.marks.and(Marks::STORED).0) << MARKS_SHIFT;
    row.clear();
    row.extend_from_slice(&[KIND_ITEM, 0, 0, 0, 0, 0]);
    row.extend_from_slice(&item.version.0.to_le_bytes());
    if item.client_flags != 0 {
        fields |= HAS_CLIENT_FLAGS;
        row.extend_from_slice(&item.client_flags.to_le_bytes());
    }
    if !item.deadline.is_never() {
        fields |= HAS_DEADLINE;
        row.extend_from_slice(&item.deadline.as_seconds().to_le_bytes());
    }
    if item.cas != item.version.0 {
        fields |= HAS_CAS;
        row.extend_from_slice(&item.cas.to_le_bytes());
    }
    if item.meta_version != item.version {
        fields |= HAS_META_VERSION;
        row.extend_from_slice(&item.meta_version.0.to_le_bytes());
    }
    if head.len() < value.len() {
        fields |= HAS_PIECES;
        row.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    }
    if let Some(byte) = row.get_mut(1) {
        *byte = fields;
    }
    let crc = crc32c::crc32c_append(header_crc(key, row), value);
    for (to, from) in row.iter_mut().skip(CRC_AT).zip(crc.to_le_bytes()) {
        *to = from;
    }
    row.extend_from_slice(head);
}

/// Reads the header of a row; `None` when it is none of ours.
pub(super) fn decode(row: &[u8]) -> Option<Facts> {
    let mut rest = Rest(row);
    let [kind, fields] = rest.take::<2>()?;
    if kind != KIND_ITEM {
        return None;
    }
    let crc = rest.u32()?;
    let version = Version(rest.u64()?);
    let has = |bit: u8| fields & bit != 0;
    let client_flags = if has(HAS_CLIENT_FLAGS) { rest.u32()? } else { 0 };
    let deadline = if has(HAS_DEADLINE) { rest.u32()? } else { 0 };
    let cas = if has(HAS_CAS) { rest.u64()? } else { version.0 };
    let meta_version = if has(HAS_META_VERSION) { Version(rest.u64()?) } else { version };
    let whole = if has(HAS_PIECES) { Some(rest.u32()?) } else { None };
    Some(Facts {
        client_flags,
        deadline: Deadline::from_seconds(deadline),
        version,
        cas,
        meta_version,
        marks: Marks(fields >> MARKS_SHIFT).and(Marks::STORED),
        value_bytes: whole.map_or(Some(rest.0.len()), |bytes| usize::try_from(bytes).ok())?,
        head_at: row.len() - rest.0.len(),
        has_pieces: whole.is_some(),
        crc,
    })
}

/// Whether key, header and value (its head in the row and `tail`) are what was written.
pub(super) fn is_intact(facts: &Facts, key: &[u8], row: &[u8], tail: &[u8]) -> bool {
    let Some((header, head)) = row.split_at_checked(facts.head_at) else { return false };
    let crc = crc32c::crc32c_append(header_crc(key, header), head);
    head.len() + tail.len() == facts.value_bytes && crc32c::crc32c_append(crc, tail) == facts.crc
}

/// The checksum of the key and of a header around its checksum field.
fn header_crc(key: &[u8], header: &[u8]) -> u32 {
    let (before, from_crc) = header.split_at_checked(CRC_AT).unwrap_or((header, &[]));
    let after = from_crc.get(4..).unwrap_or(&[]);
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(key), before), after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(value: &[u8]) -> Item<'_> {
        Item {
            value: Value::Plain(value),
            client_flags: 0,
            deadline: Deadline::NEVER,
            version: Version(77),
            cas: 77,
            meta_version: Version(77),
            marks: Marks::default(),
            accessed_s: 0,
        }
    }

    /// Every combination of optional fields comes back, and no single flipped bit goes unnoticed.
    #[test]
    fn rows_come_back_and_every_flipped_bit_is_found() {
        for fields in 0..128u32 {
            let mut item = item(b"value");
            let bit = |n: u32| fields >> n & 1 == 1;
            if bit(0) {
                item.client_flags = u32::MAX;
            }
            if bit(1) {
                item.deadline = Deadline::from_seconds(9);
            }
            if bit(2) {
                item.cas = 3;
            }
            if bit(3) {
                item.meta_version = Version(78);
            }
            item.marks = Marks((fields >> 4) as u8 & 7).with(Marks::FETCHED);
            let mut row = Vec::new();
            encode(&mut row, b"key", &item, 5);
            let facts = decode(&row).expect("a row");
            let kept = facts.item(Value::Plain(b""));
            item.marks = item.marks.without(Marks::FETCHED);
            item.value = Value::Plain(b"");
            assert_eq!(format!("{kept:?}"), format!("{item:?}"));
            assert!(is_intact(&facts, b"key", &row, b""));
            assert!(!is_intact(&facts, b"kez", &row, b""));
            for bit in 0..row.len() * 8 {
                let mut bad = row.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                let found = decode(&bad).is_some_and(|facts| is_intact(&facts, b"key", &bad, b""));
                assert!(!found, "fields {fields} bit {bit}");
            }
            for len in 0..row.len() {
                let cut = &row[..len];
                assert!(!decode(cut).is_some_and(|facts| is_intact(&facts, b"key", cut, b"")), "cut {len}");
            }
        }
    }
}
