//! The index of deadlines over whole stores: everything is swept, and what slides is not listed again and again.

use std::collections::{BTreeMap, BTreeSet};

use super::disk::{Plan, SimDisk};
use super::*;

fn store() -> Store {
    SimDisk::new(Plan::Work).open_store().unwrap()
}

/// One turn of a sweeper: judges what is due against `memory`, commits the removals, settles.
fn sweep(store: &Store, now_s: u32, memory: &mut BTreeMap<String, Kept>) -> usize {
    let mut removed = 0;
    for _ in 0..1000 {
        let due = store.due(now_s, 50).unwrap();
        if due.is_empty() {
            return removed;
        }
        let keys: BTreeSet<String> = due.keys().map(|key| String::from_utf8(key.to_vec()).unwrap()).collect();
        let expired: Vec<String> = keys
            .into_iter()
            .filter(|key| memory.get(key).is_none_or(|kept| kept.deadline_s != 0 && kept.deadline_s <= now_s))
            .collect();
        expired.iter().for_each(|key| drop(memory.remove(key)));
        let changes: Vec<RowChange<'_>> =
            expired.iter().map(|key| RowChange::Remove { key: key.as_bytes() }).collect();
        store.commit(&changes, None).unwrap();
        store.settle(due, now_s).unwrap();
        removed += expired.len();
    }
    panic!("the sweep of {now_s} does not end");
}

/// A session that is touched every second: one listing, and one relisting a ttl.
#[test]
fn a_sliding_deadline_is_listed_once_a_ttl() {
    let store = store();
    let (ttl_s, mut relisted) = (600, 0);
    for now_s in 10_000..13_000 {
        let kept = Kept::new("session", u64::from(now_s)).until(now_s + ttl_s);
        store.commit(&[put("sliding", &kept)], None).unwrap();
        let due = store.due(now_s, 100).unwrap();
        relisted += store.settle(due, now_s).unwrap().relisted;
        assert!(store.figures().unwrap().listed <= 1, "at {now_s}");
    }
    assert!((4..=6).contains(&relisted), "{relisted}");
}

/// A deadline that jumps back and forth gets more listings, but they meet again.
#[test]
fn a_jumping_deadline_keeps_its_listings_bounded() {
    let store = store();
    let mut most = 0;
    for now_s in 10_000..13_000u32 {
        let ttl_s = if now_s % 2 == 0 { 600 } else { 60 };
        let kept = Kept::new("value", u64::from(now_s)).until(now_s + ttl_s);
        store.commit(&[put("jumping", &kept)], None).unwrap();
        let due = store.due(now_s, 100).unwrap();
        store.settle(due, now_s).unwrap();
        most = most.max(store.figures().unwrap().listed);
    }
    // One for every time it was shortened within the short ttl, one a bucket within the long one: not 1500.
    assert!(most <= 60 / 2 + 600 / 16 + 16, "{most}");
}

/// Expired, settled before the removal was committed, set again before that: it is swept all the same.
#[test]
fn set_again_between_settling_and_checkpoint_is_still_swept() {
    for again_s in [1000, 1001, 1016, 1040, 5000] {
        let store = store();
        store.commit(&[put("key", &Kept::new("old", 1).until(1000))], None).unwrap();
        store.commit(&[put("other", &Kept::new("old", 1).until(1001))], None).unwrap();
        // Only one listing of the bucket is consumed.
        let due = store.due(1030, 1).unwrap();
        assert!(due.has_more());
        assert_eq!(due.keys().collect::<Vec<_>>(), [b"key"]);
        store.settle(due, 1030).unwrap();
        store.commit(&[put("key", &Kept::new("new", 2).until(again_s))], None).unwrap();
        let mut memory = BTreeMap::from([("key".to_owned(), Kept::new("new", 2).until(again_s))]);
        sweep(&store, again_s.max(1030) + 40, &mut memory);
        assert_eq!(store.state().rows, 0, "set again until {again_s}");
        sweep(&store, again_s.max(1030) + 80, &mut memory);
        assert_eq!(store.figures().unwrap().listed, 0, "set again until {again_s}");
    }
}

/// A row that a clock running ahead put off for a day comes up in time when it is set again.
#[test]
fn set_again_after_a_clock_ran_ahead_is_swept_in_time() {
    let store = store();
    store.commit(&[put("key", &Kept::new("old", 1).until(1000))], None).unwrap();
    let due = store.due(1030, 10).unwrap();
    store.settle(due, 1030 + 86_400).unwrap();
    store.commit(&[put("key", &Kept::new("new", 2).until(2000))], None).unwrap();
    assert!(store.due(2000, 10).unwrap().is_empty());
    assert_eq!(store.due(2016, 10).unwrap().keys().collect::<Vec<_>>(), [b"key"]);
}

/// The removal was judged and settled, but lost with the tail of the log: the row comes up again.
#[test]
fn a_lost_removal_comes_up_again() {
    let store = store();
    store.commit(&[put("key", &Kept::new("old", 1).until(1000))], None).unwrap();
    for now_s in [1030, 1062, 1094] {
        let due = store.due(now_s, 10).unwrap();
        assert_eq!(due.keys().collect::<Vec<_>>(), [b"key"], "at {now_s}");
        assert_eq!(store.settle(due, now_s).unwrap(), Settled { relisted: 1, gone: 0 });
        assert!(store.due(now_s, 10).unwrap().is_empty(), "not again at once");
    }
}

/// Random sets, touches and removals: after the last deadline nothing is stored, and nothing that lives was due to go.
#[test]
fn everything_with_a_deadline_is_swept() {
    let mut random = Random(seed());
    let disk = SimDisk::new(Plan::Work);
    let mut store = disk.open_store().unwrap();
    let mut memory: BTreeMap<String, Kept> = BTreeMap::new();
    let mut now_s = 1000u32;
    for round in 0..400u64 {
        now_s += random.below(12) as u32;
        let mut changed = BTreeMap::new();
        for _ in 0..random.below(8) {
            let key = format!("k{}", random.below(50));
            let deadline_s = now_s - 30 + random.below(400) as u32;
            match random.below(5) {
                0 => memory.remove(&key),
                1 => memory.insert(key.clone(), Kept::new("for ever", round)),
                _ => memory.insert(key.clone(), Kept::new("for now", round).until(deadline_s)),
            };
            changed.insert(key.clone(), memory.get(&key).cloned());
        }
        let changes: Vec<RowChange<'_>> = changed
            .iter()
            .map(|(key, kept)| match kept {
                Some(kept) => put(key, kept),
                None => RowChange::Remove { key: key.as_bytes() },
            })
            .collect();
        store.commit(&changes, None).unwrap();
        match random.below(6) {
            0 => drop(sweep(&store, now_s, &mut memory)),
            1 => {
                // Settled too early, before anybody judged.
                let due = store.due(now_s, 5).unwrap();
                store.settle(due, now_s).unwrap();
            }
            2 => {
                drop(store);
                store = disk.open_store().unwrap();
            }
            _ => {}
        }
        let stored: BTreeMap<String, Kept> =
            contents(&store).into_iter().map(|(key, kept)| (String::from_utf8(key).unwrap(), kept)).collect();
        assert_eq!(stored, memory, "round {round}");
    }
    for later_s in [500, 600, 700] {
        sweep(&store, now_s + later_s, &mut memory);
    }
    assert!(memory.values().all(|kept| kept.deadline_s == 0));
    assert_eq!(store.state().rows, memory.len() as u64);
    assert_eq!(store.figures().unwrap().listed, 0);
}
