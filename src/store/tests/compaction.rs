//! Compaction: what changes meanwhile is in the copy, no reader sees a gap, and no crash leaves less than one whole file.

use std::collections::BTreeMap;

use super::disk::{Plan, Script, SimDisk};
use super::*;
use crate::base::effect::FlushMark;

/// Steps so small that a compaction takes many.
const STEP_BYTES: usize = 8000;

/// Random changes, settlings and purges between all steps of many compactions, against a map.
#[test]
fn what_changes_during_a_compaction_is_in_the_copy() {
    let mut random = Random(seed());
    let disk = SimDisk::new(Plan::Work);
    let mut store = disk.open_store().unwrap();
    let mut model: BTreeMap<Vec<u8>, Kept> = BTreeMap::new();
    let (mut lsn, mut followed) = (0, 0);
    for round in 0..10 {
        change(&store, &mut model, &mut random, &mut lsn, 60);
        let mut compaction = store.begin_compaction().unwrap().unwrap();
        loop {
            change(&store, &mut model, &mut random, &mut lsn, 3);
            if random.below(8) == 0 {
                let now_s = random.below(4000) as u32;
                let due = store.due(now_s, 50).unwrap();
                store.settle(due, now_s).unwrap();
            }
            match store.continue_compaction(&mut compaction, STEP_BYTES).unwrap() {
                Step::Copied(_) => followed += 1,
                Step::Ready => break,
                Step::Outrun => panic!("outrun by a handful of keys"),
            }
        }
        change(&store, &mut model, &mut random, &mut lsn, 3);
        let before = store.state();
        if round % 5 == 4 {
            store.abandon_compaction(compaction);
        } else {
            let due = store.due(10_000, 1000).unwrap();
            assert!(!due.is_empty());
            store.finish_compaction(compaction).unwrap();
            // Read from the file before: its listings are not those of this one.
            assert_eq!(store.settle(due, 10_000).unwrap(), Default::default());
        }
        store.close_replaced();
        assert_eq!(store.state(), before);
        assert_eq!(contents(&store), model, "round {round}");
        if random.below(3) == 0 {
            drop(store);
            store = disk.open_store().unwrap();
            assert_eq!(contents(&store), model, "round {round}, opened again");
        }
    }
    assert!(followed > 100, "{followed} steps");
    everything_comes_up(&store, &model);
    let changes: Vec<RowChange<'_>> = model.keys().map(|key| RowChange::Remove { key }).collect();
    store.commit(&changes, None).unwrap();
    assert_eq!(store.part_rows(), 0, "pieces of nothing are left");
}

/// Some changes in one chunk, like a checkpoint's.
fn change(
    store: &Store,
    model: &mut BTreeMap<Vec<u8>, Kept>,
    random: &mut Random,
    lsn: &mut u64,
    count: usize,
) {
    let sizes = [0, 20, 300, 977, 2100, 3500, 4100, 9000, 20_000];
    let mut chunk: BTreeMap<String, Option<Kept>> = BTreeMap::new();
    *lsn += 1;
    for _ in 0..count {
        let size = sizes[random.below(sizes.len() as u64) as usize];
        let kept = Kept::new(vec![*lsn as u8; size], *lsn).until(random.below(4) as u32 * 1000);
        chunk.insert(format!("k{:03}", random.below(150)), (random.below(4) != 0).then_some(kept));
    }
    let changes: Vec<RowChange<'_>> = chunk
        .iter()
        .map(|(key, kept)| match kept {
            Some(kept) => put(key, kept),
            None => RowChange::Remove { key: key.as_bytes() },
        })
        .collect();
    let flush = FlushMark { below: Version(*lsn / 2), pending_s: 0 };
    let end = End { applied_lsn: Lsn(*lsn), flush, version_max: Version(*lsn) };
    store.commit(&changes, Some(end)).unwrap();
    for (key, kept) in chunk {
        match kept {
            Some(kept) => model.insert(key.into_bytes(), kept),
            None => model.remove(key.as_bytes()),
        };
    }
}

/// Every row with a deadline is found by its listing.
fn everything_comes_up(store: &Store, model: &BTreeMap<Vec<u8>, Kept>) {
    let due = store.due(1_000_000, usize::MAX).unwrap();
    let found: std::collections::BTreeSet<&[u8]> = due.keys().collect();
    for (key, kept) in model {
        assert!(kept.deadline_s == 0 || found.contains(key.as_slice()), "{key:?} is not listed");
    }
}

/// A listing in a compacted file names only what is there, once.
#[test]
fn listings_are_compacted() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("00003.redb"), IDENTITY, OPTIONS).unwrap();
    // Deadlines that come nearer are listed each time; removed keys stay listed until they come up.
    for round in 0..20u64 {
        let kept = Kept::new("v", round + 1).until(100_000 - round as u32 * 100);
        store.commit(&[put("a", &kept), put("b", &kept)], end(round + 1)).unwrap();
    }
    store.commit(&[RowChange::Remove { key: b"b" }], end(21)).unwrap();
    assert_eq!(store.figures().unwrap().listed, 40);
    store.compact(1000).unwrap();
    assert_eq!(store.figures().unwrap().listed, 1);
    let due = store.due(200_000, 100).unwrap();
    assert_eq!(due.keys().collect::<Vec<_>>(), [b"a"]);
}

/// Readers and a writer on other threads while the file is replaced again and again.
#[test]
fn readers_see_no_gap_when_the_file_is_replaced() {
    let store = SimDisk::new(Plan::Work).open_store().unwrap();
    let keys: Vec<String> = (0..200).map(|n| format!("k{n:03}")).collect();
    let commit = |version: u64| {
        let kept = Kept::new(vec![version as u8; 300], version);
        let changes: Vec<RowChange<'_>> = keys.iter().map(|key| put(key, &kept)).collect();
        store.commit(&changes, end(version)).unwrap();
    };
    commit(1);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut last = 0;
            while !done.load(Ordering::SeqCst) {
                let found = contents_of_one_scan(&store);
                assert_eq!(found, vec![found[0]; 200], "half a chunk");
                assert!(found[0] >= last, "back in time");
                last = found[0];
            }
        });
        scope.spawn(|| {
            let (mut buffer, mut last) = (RowBuffer::default(), 0);
            while !done.load(Ordering::SeqCst) {
                let version = store.read(b"k077", &mut buffer).unwrap().unwrap().version.0;
                assert!(version >= last, "back in time");
                last = version;
            }
        });
        scope.spawn(|| {
            for version in 2.. {
                if done.load(Ordering::SeqCst) {
                    break;
                }
                commit(version);
            }
        });
        for _ in 0..20 {
            store.compact(STEP_BYTES).unwrap();
            store.close_replaced();
        }
        done.store(true, Ordering::SeqCst);
    });
    store.close_replaced();
    assert!(store.writer.lock().replaced.is_empty(), "nobody reads the old files any more");
}

fn contents_of_one_scan(store: &Store) -> Vec<u64> {
    let (mut versions, mut buffer) = (Vec::new(), RowBuffer::default());
    let limits = ScanLimits { items: 1000, bytes: usize::MAX };
    store
        .scan(Bound::Unbounded, limits, &mut buffer, |_, item| {
            versions.push(item.unwrap().version.0);
            true
        })
        .unwrap();
    versions
}

const CHUNKS: usize = 4;

/// Two chunks, a compaction with a third in the middle of it, a fourth behind it; how many chunks were acknowledged.
fn run(script: &Script, disk: &SimDisk) -> (usize, bool) {
    let mut done = 0;
    let mut work = || -> Result<(), Fault> {
        let store = disk.open_store()?;
        let mut next = |store: &Store| -> Result<(), Fault> {
            script.commit(store, done + 1)?;
            done += 1;
            Ok(())
        };
        next(&store)?;
        next(&store)?;
        let mut compaction = store.begin_compaction()?.expect("a file");
        for step in 0.. {
            let went = store.continue_compaction(&mut compaction, 4000);
            let went = if step == 0 { went.and_then(|went| next(&store).map(|()| went)) } else { went };
            match went {
                Ok(Step::Copied(_)) => {}
                Ok(_) => break,
                Err(fault) => {
                    store.abandon_compaction(compaction);
                    return Err(fault);
                }
            }
        }
        store.finish_compaction(compaction)?;
        store.close_replaced();
        next(&store)
    };
    let is_whole = work().is_ok();
    (done, is_whole)
}

/// The process dies at every call to the disk, with and without a power cut: one of the two files is there, whole, and
/// has everything that was acknowledged.
#[test]
fn a_crash_during_a_compaction_leaves_one_whole_file() {
    let mut random = Random(seed());
    let script = Script::brief(CHUNKS);
    let mut points = 0;
    for at in 0.. {
        let disk = SimDisk::new(Plan::Die(at));
        let (acknowledged, is_whole) = run(&script, &disk);
        for round in 0..3 {
            let survivor = disk.after_death((round > 0).then_some(&mut random));
            let store =
                survivor.open_store().unwrap_or_else(|fault| panic!("call {at} round {round}: {fault}"));
            assert!(!store.watch.has_walked(), "call {at}: opening walked through the whole file");
            let lsn = store.state().applied_lsn.0 as usize;
            assert!(lsn == acknowledged || lsn == acknowledged + 1, "call {at}: {lsn}, not {acknowledged}");
            assert_eq!(contents(&store), script.contents[lsn], "call {at} round {round}");
            if lsn < CHUNKS {
                script.commit(&store, lsn + 1).unwrap();
                assert_eq!(contents(&store), script.contents[lsn + 1]);
            }
            points += 1;
        }
        if is_whole {
            break;
        }
    }
    println!("{points} crash points");
    assert!(points > 600);
}

/// A call that fails during a compaction, or a disk that is full: what was acknowledged is read on, nothing of the
/// unfinished file is left, and unless a write or the renaming failed the group goes on taking writes.
#[test]
fn a_failure_during_a_compaction_leaves_the_old_file() {
    let script = Script::brief(CHUNKS);
    let calls = {
        let disk = SimDisk::new(Plan::Work);
        assert_eq!(run(&script, &disk), (CHUNKS, true));
        disk.calls()
    };
    for at in 0..calls {
        for plan in [Plan::FailOnce(at), Plan::Full(at)] {
            let disk = SimDisk::new(plan);
            let (acknowledged, _) = run(&script, &disk);
            disk.set_plan(Plan::Work);
            assert!(!disk.has_unpublished() || acknowledged == 0, "{plan:?}");
            let store = disk.open_store().unwrap();
            let lsn = store.state().applied_lsn.0 as usize;
            assert!(lsn == acknowledged || lsn == acknowledged + 1, "{plan:?}: {lsn}, not {acknowledged}");
            assert_eq!(contents(&store), script.contents[lsn], "{plan:?}");
            store.compact(STEP_BYTES).unwrap();
            assert_eq!(contents(&store), script.contents[lsn], "{plan:?}");
        }
    }
}

/// What a crash leaves of an unfinished file goes at the next start.
#[test]
fn unfinished_files_are_removed_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("00003.redb");
    let left = directory.path().join("00003.redb.new");
    drop(Store::open(&path, IDENTITY, OPTIONS).unwrap());
    std::fs::write(&left, "half").unwrap();
    drop(Store::open(&path, IDENTITY, OPTIONS).unwrap());
    assert!(!left.exists());
}

/// A damaged row is not copied away: the compaction ends with its fault, and the old file stays.
#[test]
fn damage_ends_a_compaction() {
    let disk = SimDisk::new(Plan::Work);
    let store = disk.open_store().unwrap();
    let kept = Kept::new("a value that is easy to find", 1);
    store.commit(&[put("a", &kept), put("b", &kept)], end(1)).unwrap();
    drop(store);
    let mut bytes = disk.bytes();
    let at = bytes.windows(kept.value.len()).rposition(|window| window == kept.value).unwrap();
    bytes[at] ^= 1;
    let store = SimDisk::with_bytes(bytes).open_store().unwrap();
    let fault = store.compact(1000).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Corrupt, "{fault}");
    assert!(store.frozen().is_none());
}
