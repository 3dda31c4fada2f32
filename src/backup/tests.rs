//! The form of a backup, written and read, and the golden manifest and frames that every later version reads.

use super::*;
use crate::base::effect::FlushMark;
use crate::base::item::{Item, Marks, Value};
use crate::base::lsn::{GroupId, Lsn};
use crate::base::time::{Deadline, UnixMs};
use crate::base::version::Version;
use crate::route::{Hash, HashTag};

fn item(value: &[u8]) -> Item<'_> {
    Item {
        value: Value::Plain(value),
        client_flags: 7,
        deadline: Deadline::from_seconds(1_800_000_000),
        version: Version(11),
        cas: 12,
        meta_version: Version(13),
        marks: Marks::WON.with(Marks::BINARY_KEY).with(Marks::FETCHED),
        accessed_s: 0,
    }
}

fn begin() -> Begin {
    Begin {
        group_count: 4,
        hash: Hash::Fastdht,
        hash_tag: HashTag::None,
        server: 5,
        incarnation: 6,
        after: Lsn(100),
        now: UnixMs(1_700_000_000_000),
    }
}

fn end() -> End {
    End { until: Lsn(200), now: UnixMs(1_700_000_001_000), ceiling: Version(1 << 60), items: 2, left_out: 1 }
}

/// One frame of each kind that a file has.
fn frames() -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in [(&b"key"[..], &b"value"[..]), (b"empty", b"")] {
        body::put_item(key, &item(value), &mut body);
        body.extend_from_slice(value);
    }
    let mark = FlushMark { below: Version(10), pending_s: 9 };
    let group_end = GroupEnd { items: 2, flush: mark }.encode();
    let mut bytes = Vec::new();
    for (kind, count, body) in [(Kind::Items, 2, &body), (Kind::GroupEnd, 0, &group_end)] {
        bytes.extend_from_slice(&Header::of(kind, 3, count, &[body]).encode());
        bytes.extend_from_slice(body);
    }
    bytes
}

/// The frames of `bytes`, `None` when one is not good.
fn read(bytes: &[u8]) -> Option<Vec<(Header, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (head, behind) = rest.split_first_chunk()?;
        let header = Header::decode(head)?;
        let (body, behind) = behind.split_at_checked(header.body_bytes)?;
        if !header.accepts(crc32c::crc32c_append(header.seed(), body)) {
            return None;
        }
        found.push((header, body.to_vec()));
        rest = behind;
    }
    Some(found)
}

#[test]
fn frames_come_back_and_every_flipped_bit_and_cut_is_found() {
    let bytes = frames();
    let found = read(&bytes).expect("good frames");
    let first = &found[0];
    assert_eq!((first.0.kind, first.0.group, first.0.count), (Kind::Items, 3, 2));
    let read_items: Vec<_> = items(&first.1).map(Option::unwrap).collect();
    assert_eq!(read_items.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [&b"key"[..], b"empty"]);
    let kept = Item { marks: item(b"").marks.without(Marks::FETCHED), ..item(b"value") };
    assert_eq!(format!("{:?}", read_items[0].1), format!("{kept:?}"));
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&bad).is_none(), "bit {bit}");
    }
    let boundary = frame::HEADER_BYTES + first.1.len();
    for len in (0..bytes.len()).filter(|len| *len != 0 && *len != boundary) {
        assert!(read(&bytes[..len]).is_none(), "cut at {len}");
    }
    for len in 1..first.1.len() {
        let whole: Option<Vec<_>> = items(&first.1[..len]).collect();
        assert!(whole.is_none_or(|items| items.len() < 2), "items cut at {len}");
    }
}

#[test]
fn facts_come_back() {
    assert_eq!(Begin::decode(&begin().encode()), Some(begin()));
    assert_eq!(End::decode(&end().encode()), Some(end()));
    for len in 0..40 {
        assert_eq!(Begin::decode(&begin().encode()[..len.min(31)]), None);
        assert_eq!(End::decode(&end().encode()[..len.min(39)]), None);
    }
}

fn manifest() -> Manifest {
    let file = |name: &str, bytes, crc| FileFacts { name: name.to_owned(), bytes, crc };
    let files = vec![file("items/00000", 77, 0xAB), file("binlog/log-0000000000000001", 4096, u32::MAX)];
    Manifest { begin: begin(), end: end(), files }
}

#[test]
fn manifests_come_back_and_every_flipped_bit_and_cut_is_found() {
    let text = manifest().encode();
    assert_eq!(Manifest::decode(&text), Ok(manifest()));
    assert_eq!(manifest().bytes(), 4173);
    for len in 0..text.len() {
        assert!(Manifest::decode(&text[..len]).is_err(), "cut at {len}");
    }
    for bit in 0..text.len() * 8 {
        let mut bad = text.clone().into_bytes();
        bad[bit / 8] ^= 1 << (bit % 8);
        let Ok(bad) = String::from_utf8(bad) else { continue };
        // A flip of case in the checksum's digits names the same number.
        assert!(Manifest::decode(&bad).is_err() || bad.eq_ignore_ascii_case(&text), "bit {bit}");
    }
    let later = text.replace("larder backup 1", "larder backup 2");
    assert!(Manifest::decode(&later).is_err_and(|why| why.contains("another format")));
}

/// What this format's first version wrote. Never changed: a later version reads it.
#[test]
fn golden_files_are_read() {
    let text = include_str!("../../protocol-tests/golden/backup-1.manifest");
    let bytes = include_bytes!("../../protocol-tests/golden/backup-1.items");
    assert_eq!(Manifest::decode(text), Ok(manifest()));
    assert_eq!(text, manifest().encode());
    assert_eq!(bytes[..], frames());
}

fn transfer() -> Transfer {
    Transfer {
        cluster: "shop".to_owned(),
        group: GroupId(3),
        group_count: 4,
        hash: Hash::Fastdht,
        hash_tag: HashTag::None,
        from: 5,
        to: 1023,
        number: 7,
        id: 0x0123_4567_89AB_CDEF,
        directory_id: 0xD1CE,
        incarnation: 6,
        lsn: Lsn(200),
        ceiling: Version(1 << 60),
        now: UnixMs(1_700_000_001_000),
    }
}

/// A group's file, whole.
fn carried() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut put = |kind, count, body: &[u8]| {
        bytes.extend_from_slice(&Header::of(kind, 3, count, &[body]).encode());
        bytes.extend_from_slice(body);
        (bytes.len() as u64, crc32c::crc32c(&bytes))
    };
    put(Kind::Transfer, 0, &transfer().encode());
    let mut body = Vec::new();
    for (key, value) in [(&b"empty"[..], &b""[..]), (b"key", b"value")] {
        body::put_item(key, &item(value), &mut body);
        body.extend_from_slice(value);
    }
    put(Kind::Items, 2, &body);
    let flush = FlushMark { below: Version(10), pending_s: 9 };
    let (length, crc) = put(Kind::GroupEnd, 0, &GroupEnd { items: 2, flush }.encode());
    put(Kind::Seal, 0, &Seal { items: 2, bytes: length, crc }.encode());
    bytes
}

#[test]
fn a_carried_groups_facts_come_back() {
    assert_eq!(Transfer::decode(&transfer().encode()), Some(transfer()));
    let seal = Seal { items: 2, bytes: 300, crc: 77 };
    assert_eq!(Seal::decode(&seal.encode()), Some(seal));
    for len in 0..transfer().encode().len() {
        assert_eq!(Transfer::decode(&transfer().encode()[..len]), None, "cut at {len}");
        assert_eq!(Seal::decode(&seal.encode()[..len.min(23)]), None);
    }
    let mut later = transfer().encode();
    later[0] = 2;
    assert_eq!(Transfer::decode(&later), None);
    let outside = Transfer { group: GroupId(4), ..transfer() };
    assert_eq!(Transfer::decode(&outside.encode()), None, "there is no such group");
}

#[test]
fn a_receipt_is_of_one_transfer_alone() {
    let Transfer { group, number, id, .. } = transfer();
    for receipt in [Receipt::Taken, Receipt::Refused] {
        let text = receipt.text(group, number, id);
        assert_eq!(Receipt::read(&text, group, number, id), Some(receipt));
        assert_eq!(Receipt::read(&text, group, number + 1, id), None);
        assert_eq!(Receipt::read(&text, GroupId(2), number, id), None);
        assert_eq!(Receipt::read(&text, group, number, id + 1), None);
        assert_eq!(Receipt::read(&text[1..], group, number, id), None);
    }
}

/// What this format's first version wrote. Never changed: a later version reads it.
#[test]
fn a_golden_group_is_read() {
    let golden = include_bytes!("../../protocol-tests/golden/transfer-1.group");
    assert_eq!(golden[..], carried());
    let kinds: Vec<Kind> = read(golden).expect("good frames").iter().map(|(header, _)| header.kind).collect();
    assert_eq!(kinds, [Kind::Transfer, Kind::Items, Kind::GroupEnd, Kind::Seal]);
    assert_eq!(Receipt::Taken.text(GroupId(3), 7, transfer().id), "taken-6f0d54435e764c03");
}
