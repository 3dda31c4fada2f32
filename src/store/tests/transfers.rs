//! What became of groups that were carried: kept whole, judged, and the golden file that every later version reads.

use std::fs;

use super::super::transfers::*;
use super::*;
use crate::base::time::UnixMs;

const PASSAGE: Passage = Passage {
    standing: Standing::Giving,
    number: 1,
    id: 0x0123_4567_89AB_CDEF,
    other: 2,
    items: 300,
    now: UnixMs(1_700_000_001_000),
};

fn filled(path: &Path) -> Transfers {
    let mut transfers = Transfers::open(path, 0xD1CE).unwrap();
    transfers.put("shop", GroupId(3), PASSAGE).unwrap();
    let taken = Passage { standing: Standing::Taken, number: 9, id: 77, ..PASSAGE };
    transfers.put("shop", GroupId(0), taken).unwrap();
    transfers
}

#[test]
fn what_is_put_comes_back_and_every_flipped_bit_and_cut_is_found() {
    let root = tempfile::tempdir().unwrap();
    let none = Transfers::open(root.path(), 0xD1CE).unwrap();
    assert!((none.cluster(), none.all().count(), none.in_transit()) == ("", 0, None));
    let transfers = filled(root.path());
    assert_eq!(Transfers::open(root.path(), 0xD1CE).unwrap(), transfers);
    let refused = Transfers::open(root.path(), 1).unwrap_err();
    assert_eq!(refused.kind, FaultKind::Mismatch, "{refused}");
    let path = root.path().join("larder.transfers");
    let bytes = fs::read(&path).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, bad).unwrap();
        let refused = Transfers::open(root.path(), 0xD1CE).unwrap_err();
        assert_eq!(refused.kind, FaultKind::Corrupt, "bit {bit}: {refused}");
    }
    for len in 0..bytes.len() {
        fs::write(&path, &bytes[..len]).unwrap();
        assert!(Transfers::open(root.path(), 0xD1CE).is_err(), "cut at {len}");
    }
}

#[test]
fn only_what_came_or_stayed_may_be_served() {
    let root = tempfile::tempdir().unwrap();
    let mut transfers = Transfers::open(root.path(), 1).unwrap();
    assert!(transfers.refusal(GroupId(3)).is_none() && !transfers.holds(GroupId(3)), "never carried");
    for (standing, is_here, says) in [
        (Standing::Giving, false, "larder group cancel"),
        (Standing::Given, false, "larder group export"),
        (Standing::Taking, false, "larder group import"),
        (Standing::Taken, true, ""),
        (Standing::Refused, false, "elsewhere"),
        (Standing::Kept, true, ""),
    ] {
        transfers.put("shop", GroupId(3), Passage { standing, ..PASSAGE }).unwrap();
        let read = Transfers::open(root.path(), 1).unwrap();
        assert_eq!(read.of(GroupId(3)).unwrap().standing, standing);
        assert_eq!(read.holds(GroupId(3)), is_here, "{standing:?}");
        assert_eq!(read.refusal(GroupId(3)).is_none(), is_here, "{standing:?}");
        assert!(read.refusal(GroupId(3)).unwrap_or_default().contains(says), "{standing:?}");
        assert_eq!(read.in_transit().is_some(), standing == Standing::Giving);
    }
}

/// A file of format 1, kept: what is written today is the same to the byte.
#[test]
fn the_golden_transfers_are_what_is_written() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol-tests/golden/transfers-1");
    let root = tempfile::tempdir().unwrap();
    let transfers = filled(root.path());
    let path = root.path().join("larder.transfers");
    assert_eq!(fs::read(&path).unwrap(), fs::read(&golden).unwrap());
    fs::copy(golden, &path).unwrap();
    assert_eq!(Transfers::open(root.path(), 0xD1CE).unwrap(), transfers);
}
