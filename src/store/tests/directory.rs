//! The data directory: made once, refused when it is not what was asked for, and never overwritten.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::super::directory::*;
use super::*;
use crate::base::limits::GROUPS_DEFAULT;
use crate::base::placement::{Hash, HashTag};

const ANY: Wanted = Wanted { group_count: None, hash: None, hash_tag: None, server: None };

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_directory_is_made_private_and_keeps_what_was_decided() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("deep").join("data");
    let wanted = Wanted { group_count: Some(8), hash: Some(Hash::Fastdht), server: Some(5), ..ANY };
    let (directory, made) = Directory::open(&path, wanted).unwrap();
    assert_eq!((made.group_count, made.hash, made.server), (8, Hash::Fastdht, 5));
    assert_eq!(mode_of(&path), 0o700);
    assert_eq!(mode_of(&path.join("larder.id")), 0o600);
    assert_eq!(directory.group(GroupId(7)), path.join("groups").join("00007.redb"));
    assert!(directory.binlog().is_dir());
    drop(directory);
    let (_directory, found) = Directory::open(&path, ANY).unwrap();
    assert_eq!(found, made);
    let other = root.path().join("other");
    let (_other, identity) = Directory::open(&other, ANY).unwrap();
    assert_ne!(identity.directory_id, made.directory_id);
    assert_eq!(identity.group_count, GROUPS_DEFAULT);
}

#[test]
fn one_process_at_a_time() {
    let root = tempfile::tempdir().unwrap();
    let held = Directory::open(root.path(), ANY).unwrap();
    let refused = Directory::open(root.path(), ANY).unwrap_err();
    assert_eq!(refused.kind, FaultKind::Locked, "{refused}");
    drop(held);
    Directory::open(root.path(), ANY).unwrap();
}

/// What is done to a good directory, what is asked for then, and what the refusal is and says.
#[test]
fn refusals() {
    type Damage = fn(&Path);
    let table: [(&str, Damage, Wanted, FaultKind, &str); 11] = [
        ("groups", |_| (), Wanted { group_count: Some(32), ..ANY }, FaultKind::Mismatch, "--groups 64"),
        ("hash", |_| (), Wanted { hash: Some(Hash::Fastdht), ..ANY }, FaultKind::Mismatch, "--hash larder"),
        (
            "tag",
            |_| (),
            Wanted { hash_tag: Some(HashTag::None), ..ANY },
            FaultKind::Mismatch,
            "--hash-tag braces",
        ),
        ("server", |_| (), Wanted { server: Some(3), ..ANY }, FaultKind::Mismatch, "--server-id 0"),
        ("zero groups", |_| (), Wanted { group_count: Some(0), ..ANY }, FaultKind::Unusable, "1 to 4096"),
        ("too many", |_| (), Wanted { group_count: Some(5000), ..ANY }, FaultKind::Unusable, "1 to 4096"),
        ("newer", make_newer, ANY, FaultKind::Mismatch, "newer larder"),
        ("flipped", |path| flip(&path.join("larder.id")), ANY, FaultKind::Corrupt, "damaged"),
        ("empty", |path| fs::write(path.join("larder.id"), "").unwrap(), ANY, FaultKind::Corrupt, "damaged"),
        ("stranger", make_stranger, ANY, FaultKind::Unusable, "photos"),
        ("a file", make_file, ANY, FaultKind::Unusable, "not a directory"),
    ];
    for (name, damage, wanted, kind, words) in table {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("data");
        Directory::open(&path, ANY).unwrap();
        damage(&path);
        let before = tree(root.path());
        let refused = Directory::open(&path, wanted).unwrap_err();
        assert_eq!(refused.kind, kind, "{name}: {refused}");
        assert!(refused.to_string().contains(words), "{name}: {refused}");
        assert!(!refused.to_string().contains('\n'), "{name}: one line");
        assert_eq!(tree(root.path()), before, "{name}: something was written");
    }
    let nowhere = Directory::open(Path::new("/proc/larder-data"), ANY).unwrap_err();
    assert_eq!(nowhere.kind, FaultKind::Unusable, "{nowhere}");
}

/// A first start that was cut short is taken up again.
#[test]
fn leftovers_of_a_first_start_are_ours() {
    let root = tempfile::tempdir().unwrap();
    for name in ["larder.lock", "larder.id.new"] {
        fs::write(root.path().join(name), "half").unwrap();
    }
    Directory::open(root.path(), ANY).unwrap();
}

fn make_newer(path: &Path) {
    let file = path.join("larder.id");
    let mut bytes = fs::read(&file).unwrap();
    bytes[12] = 3;
    let crc = crc32c::crc32c(&bytes[12..]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    fs::write(file, bytes).unwrap();
}

fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    bytes[20] ^= 1;
    fs::write(file, bytes).unwrap();
}

fn make_stranger(path: &Path) {
    fs::remove_file(path.join("larder.id")).unwrap();
    fs::write(path.join("photos"), "mine").unwrap();
    fs::remove_dir(path.join("binlog")).unwrap();
    fs::remove_dir(path.join("groups")).unwrap();
}

fn make_file(path: &Path) {
    fs::remove_dir_all(path).unwrap();
    fs::write(path, "mine").unwrap();
}

fn tree(path: &Path) -> Vec<(std::path::PathBuf, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
        }
        found.push((path.clone(), fs::read(&path).ok()));
    }
    found.sort();
    found
}

/// Whose file a group's file is: what differs, and what the refusal says.
#[test]
fn a_group_file_of_somebody_else_is_refused() {
    let table = [
        (GroupIdentity { group_count: 32, ..IDENTITY }, "--groups 64"),
        (GroupIdentity { group: GroupId(4), ..IDENTITY }, "group 3"),
        (GroupIdentity { directory_id: 1, ..IDENTITY }, "another data directory"),
    ];
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("00003.redb");
    Store::open(&path, IDENTITY, OPTIONS).unwrap().commit(&[], end(1)).unwrap();
    assert_eq!(mode_of(&path), 0o600);
    for (identity, words) in table {
        let refused = Store::open(&path, identity, OPTIONS).err().unwrap();
        assert_eq!(refused.kind, FaultKind::Mismatch, "{refused}");
        assert!(refused.to_string().contains(words), "{refused}");
        assert!(refused.to_string().contains("00003.redb"), "{refused}");
    }
    let held = Store::open(&path, IDENTITY, OPTIONS).unwrap();
    let refused = Store::open(&path, IDENTITY, OPTIONS).err().unwrap();
    assert_eq!(refused.kind, FaultKind::Locked, "{refused}");
    drop(held);
    for content in [&b""[..], b"not a database", &[0; 100_000]] {
        fs::write(&path, content).unwrap();
        let refused = Store::open(&path, IDENTITY, OPTIONS).err().unwrap();
        assert_eq!(refused.kind, FaultKind::Corrupt, "{refused}");
        assert_eq!(fs::read(&path).unwrap(), content, "something was written");
    }
}

/// A ledger of format 1, kept: what is written today is the same to the byte.
#[test]
fn the_golden_ledger_is_what_is_written() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol-tests/golden/ledger-1");
    let root = tempfile::tempdir().unwrap();
    Ledger::make(root.path(), 0xD1CE, 3).unwrap();
    let mut ledger = Ledger::open(root.path(), 0xD1CE, 3).unwrap();
    ledger.raise([5, 0, 9].into_iter().map(Lsn)).unwrap();
    let written = fs::read(root.path().join("larder.ledger")).unwrap();
    assert_eq!(written, fs::read(&golden).unwrap());
    drop(ledger);
    let mut ledger = Ledger::open(root.path(), 0xD1CE, 3).unwrap();
    for (group, has, is_admitted) in [(0, 5, true), (0, 4, false), (1, 0, true), (2, 9, true), (2, 8, false)]
    {
        let path = root.path().join("00000.redb");
        let admitted = ledger.admit(GroupId(group), &path, Some(Lsn(has)));
        assert_eq!(admitted.is_ok(), is_admitted, "{group} {has}");
    }
    assert!(ledger.admit(GroupId(1), &root.path().join("00001.redb"), None).is_ok());
    assert!(ledger.admit(GroupId(0), &root.path().join("00000.redb"), None).is_err());
    for (id, groups, kind) in [(1, 3, FaultKind::Mismatch), (0xD1CE, 700, FaultKind::Corrupt)] {
        assert_eq!(Ledger::open(root.path(), id, groups).unwrap_err().kind, kind);
    }
    let mut newer = written;
    newer.truncate(4096);
    newer[12] = 2;
    let crc = crc32c::crc32c(&newer[12..]);
    newer[8..12].copy_from_slice(&crc.to_le_bytes());
    fs::write(root.path().join("larder.ledger"), newer).unwrap();
    let refused = Ledger::open(root.path(), 0xD1CE, 3).unwrap_err();
    assert!(refused.kind == FaultKind::Mismatch && refused.to_string().contains("newer larder"), "{refused}");
}
