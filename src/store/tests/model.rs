//! Random checkpoints against a map, the file opened again in between; and the file made once that must always open.

use std::collections::BTreeMap;

use super::*;
use crate::base::effect::FlushMark;

fn random_value(random: &mut Random, version: u64) -> Kept {
    let sizes = [0, 1, 50, 100, 900, 977, 2100, 3500, 4030, 4100, 8200, 33_000, 66_000, 140_000];
    let size = sizes[random.below(sizes.len() as u64) as usize] + random.below(40) as usize;
    let byte = random.next() as u8;
    let mut kept =
        Kept::new((0..size).map(|at| byte.wrapping_add((at / 7) as u8)).collect::<Vec<_>>(), version);
    if random.below(2) == 0 {
        kept.deadline_s = 1 + random.below(5000) as u32;
    }
    if random.below(4) == 0 {
        kept.cas = random.next();
        kept.flags = random.next() as u32;
        kept.marks = random.below(8) as u8;
    }
    kept
}

#[test]
fn random_checkpoints_are_what_a_map_would_be() {
    let mut random = Random(seed());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("00003.redb");
    let mut model: BTreeMap<Vec<u8>, Kept> = BTreeMap::new();
    let mut store = Store::open(&path, IDENTITY, OPTIONS).unwrap();
    let mut buffer = RowBuffer::default();
    for round in 1..=60u64 {
        let mut chunk: BTreeMap<Vec<u8>, Option<Kept>> = BTreeMap::new();
        for _ in 0..random.below(40) {
            // Keys that are prefixes of each other, and pieces' numbers as key bytes.
            let mut key = format!("k{}", random.below(60)).into_bytes();
            key.resize(key.len() + random.below(3) as usize * 4, 0);
            let kept = (random.below(4) != 0).then(|| random_value(&mut random, round));
            chunk.insert(key, kept);
        }
        let changes: Vec<RowChange<'_>> = chunk
            .iter()
            .map(|(key, kept)| match kept {
                Some(kept) => RowChange::Put { key, item: kept.item() },
                None => RowChange::Remove { key },
            })
            .collect();
        let end = (round % 3 == 0).then(|| End {
            applied_lsn: Lsn(round),
            flush: FlushMark { below: Version(1), pending_s: round as u32 },
            version_max: Version(round + 5),
        });
        let committed = store.commit(&changes, end).unwrap();
        for (key, kept) in chunk {
            match kept {
                Some(kept) => model.insert(key, kept),
                None => model.remove(&key),
            };
        }
        if random.below(3) == 0 {
            drop(store);
            store = Store::open(&path, IDENTITY, OPTIONS).unwrap();
        }
        assert_eq!(store.state(), committed.state);
        assert_eq!(store.state().applied_lsn, Lsn(round / 3 * 3));
        assert_eq!(store.state().rows, model.len() as u64);
        let payload: usize = model.iter().map(|(key, kept)| key.len() + kept.value.len()).sum();
        assert_eq!(store.state().payload_bytes, payload as u64);
        assert_eq!(contents(&store), model, "round {round}");
        for key in model.keys() {
            let found = store.read(key, &mut buffer).unwrap().map(|item| Kept::of(&item));
            assert_eq!(found.as_ref(), model.get(key));
        }
        assert!(store.read(b"absent", &mut buffer).unwrap().is_none());
    }
    // Nothing of the removed values is left behind.
    let changes: Vec<RowChange<'_>> = model.keys().map(|key| RowChange::Remove { key }).collect();
    store.commit(&changes, None).unwrap();
    assert_eq!(store.part_rows(), 0);
    assert_eq!((store.state().rows, store.state().payload_bytes), (0, 0));
}

#[test]
fn a_store_without_a_commit_leaves_no_file_and_answers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("00003.redb");
    let store = Store::open(&path, IDENTITY, OPTIONS).unwrap();
    assert!(store.read(b"key", &mut RowBuffer::default()).unwrap().is_none());
    assert_eq!(store.state(), State::default());
    assert!(store.due(1000, 10).unwrap().is_empty());
    assert_eq!(contents(&store).len(), 0);
    assert!(!path.exists());
}

#[test]
fn a_purge_removes_what_the_checkpointed_mark_covers() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("00003.redb"), IDENTITY, OPTIONS).unwrap();
    let keys: Vec<String> = (0..100).map(|n| format!("k{n:03}")).collect();
    let kept: Vec<Kept> = (0..100).map(|n| Kept::new(vec![b'v'; 3000], 10 + n)).collect();
    let changes: Vec<RowChange<'_>> = keys.iter().zip(&kept).map(|(key, kept)| put(key, kept)).collect();
    store.commit(&changes, None).unwrap();
    assert_eq!(store.purge_flushed(None, 1000).unwrap().removed, 0);
    let flush = FlushMark { below: Version(60), pending_s: 0 };
    store.commit(&[], Some(End { applied_lsn: Lsn(1), flush, version_max: Version(0) })).unwrap();
    let (mut after, mut removed, mut calls) = (None, 0, 0);
    loop {
        let purged = store.purge_flushed(after.as_deref(), 30).unwrap();
        removed += purged.removed;
        calls += 1;
        after = purged.after;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((removed, calls), (50, 4));
    assert!(contents(&store).values().all(|kept| kept.version >= 60));
    assert_eq!(store.state().rows, 50);
}

/// A file of format 1, made once by `write_golden` and kept: it must open for as long as format 1 is read.
#[test]
fn the_golden_file_still_opens() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol-tests/golden/store-format-1.redb");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("00003.redb");
    std::fs::copy(golden, &path).unwrap();
    let store = Store::open(&path, IDENTITY, OPTIONS).unwrap();
    let found: Vec<(Vec<u8>, Kept)> = contents(&store).into_iter().collect();
    let wanted: Vec<(Vec<u8>, Kept)> =
        golden_items().into_iter().map(|(key, kept)| (key.into_bytes(), kept)).collect();
    assert_eq!(found, wanted);
    assert_eq!(store.state().applied_lsn, Lsn(42));
    assert_eq!(store.due(2_000_000_000, 100).unwrap().keys().count(), 2);
}

fn golden_items() -> Vec<(String, Kept)> {
    let mut marked = Kept::new("stale", 5).until(1_700_000_000);
    (marked.cas, marked.flags, marked.marks) = (9, 7, 5);
    vec![
        ("a".to_owned(), Kept::new("", 1)),
        ("b".to_owned(), Kept::new("value", 2).until(1_600_000_000)),
        ("c".to_owned(), marked),
        ("d".to_owned(), Kept::new((0..2100u32).map(|n| n as u8).collect::<Vec<_>>(), 6)),
        ("e".to_owned(), Kept::new((0..150_000u32).map(|n| (n / 3) as u8).collect::<Vec<_>>(), 7)),
    ]
}
