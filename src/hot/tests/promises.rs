//! What eviction, checkpoint and sweep promise, one by one.

use super::*;
use crate::base::effect::FlushMark;

#[test]
fn a_change_after_the_list_was_taken_is_in_the_next() {
    let mut hot = hot(1 << 20, PERSISTENT);
    set(&mut hot, b"a", b"1", 1).unwrap();
    set(&mut hot, b"b", b"1", 2).unwrap();
    let first = hot.take_dirty();
    assert_eq!(first.len(), 2);
    set(&mut hot, b"a", b"2", 3).unwrap();
    assert!(hot.take_dirty().is_empty(), "it is dirty already, and listed");
    assert!(!hot.mark_clean(b"a", Version(1)), "changed since");
    assert!(hot.mark_clean(b"b", Version(2)));
    assert!(!hot.mark_clean(b"b", Version(2)), "clean already");
    assert!(!hot.mark_clean(b"c", Version(2)), "never there");
    let next = hot.take_dirty();
    let mut shown = Vec::new();
    hot.visit_dirty(&next, 0..9, |key, _| shown.push(key.to_vec()));
    assert_eq!(shown, [b"a"]);
    let at = hot.locate(b"a").unwrap();
    hot.touch(at, &touch(3, 9, 3), stamp(4));
    assert!(!hot.mark_clean(b"a", Version(3)), "touched since");
    assert!(hot.mark_clean(b"a", Version(4)));
}

#[test]
fn the_dirty_list_stays_bounded() {
    let mut hot = hot(1 << 20, PERSISTENT);
    for version in 1..50_000 {
        set(&mut hot, b"key", b"value", version).unwrap();
        let flush = FlushMark { below: Version(version + 1), pending_s: 0 };
        while !hot.sweep(UnixMs(1), &flush, 10, &mut |_| {}) {}
    }
    assert!(hot.dirty.len() < 2000, "{}", hot.dirty.len());
}

#[test]
fn dirty_entries_press_and_are_never_dropped() {
    let mut hot = hot(200_000, PERSISTENT);
    let mut version = 0u64;
    let pressure = loop {
        version += 1;
        if let Err(pressure) = set(&mut hot, &version.to_le_bytes(), &[1; 100], version) {
            break pressure;
        }
    };
    assert_eq!(pressure, Pressure::Dirty);
    assert_eq!(hot.figures().live, version - 1);
    assert!(hot.account.taken() <= 200_000, "{}", hot.account.taken());
    for known in 1..version / 2 {
        assert!(hot.mark_clean(&known.to_le_bytes(), Version(known)));
    }
    hot.set_complete(true);
    set(&mut hot, b"next", &[1; 100], version).unwrap();
    assert!(!hot.is_complete() && hot.figures().cooled > 0);
    for dirty in version / 2..version {
        assert!(value_of(&hot, &dirty.to_le_bytes()).is_some(), "{dirty}");
    }
    audit(&hot);
}

/// What can go may lie in a segment that is still being filled, behind segments of which nothing can: whoever looks for it
/// must come to it, or to an end.
#[test]
fn what_is_clean_is_found_behind_what_is_dirty_or_the_search_ends() {
    for wanted in 1..40 {
        let budget = Arc::new(Budget::new(200_000));
        let mut hot = Hot::new(Arc::clone(&budget), PERSISTENT);
        let mut version = 0u64;
        let mut fill = |hot: &mut Hot| loop {
            version += 1;
            if set(hot, &version.to_le_bytes(), &[1; 100], version).is_err() {
                break version;
            }
        };
        let first = fill(&mut hot);
        for number in 1..first {
            assert!(hot.mark_clean(&number.to_le_bytes(), Version(number)));
        }
        // Who was asked for moves over to the main queue when its turn comes.
        for number in 1..=wanted {
            hot.accessed(hot.locate(&u64::to_le_bytes(number)).unwrap(), 1);
        }
        fill(&mut hot);
        budget.set_limit(100_000);
        let trims = (0..1000).take_while(|_| hot.trim()).count();
        let (clean, wanted) = (hot.index.len() - hot.tally.dirty, wanted);
        assert!(trims < 1000, "{wanted} were wanted, {clean} are clean and not found");
        assert_eq!(clean, 0, "{wanted} were wanted, all that is clean has gone");
        audit(&hot);
    }
}

/// Who has nothing is not told that memory is full while others have more than their part of it.
#[test]
fn who_is_owed_memory_waits_for_it() {
    let budget = Arc::new(Budget::new(400_000));
    let [mut rich, mut poor] = [PERSISTENT; 2].map(|options| Hot::new(Arc::clone(&budget), options));
    let mut version = 0u64;
    while budget.used() < 380_000 {
        version += 1;
        set(&mut rich, &version.to_le_bytes(), &[1; 100], version).unwrap();
    }
    budget.set_limit(200_000);
    assert_eq!(poor.make_room(8, 50_000), Err(Pressure::Owed));
    for number in 1..=version {
        assert!(rich.mark_clean(&number.to_le_bytes(), Version(number)));
    }
    while rich.trim() {}
    assert_eq!(poor.make_room(8, 50_000), Ok(()));
    budget.pin(300_000);
    assert_eq!(poor.make_room(8, 50_000), Err(Pressure::Full), "outboxes owe nobody");
    budget.unpin(300_000);
}

#[test]
fn without_eviction_full_is_full_and_dead_space_is_won_back() {
    let mut hot = hot(100_000, Options { evicts: false, ..MEMORY_ONLY });
    let mut count = 0u64;
    while set(&mut hot, &count.to_le_bytes(), &[1; 90], count + 1).is_ok() {
        count += 1;
    }
    assert_eq!(hot.make_room(8, 90), Err(Pressure::Full));
    assert!(count > 500, "{count}");
    // Every fifth goes: no segment is half dead, but together they are room.
    for gone in (0..count).step_by(5) {
        hot.remove(&gone.to_le_bytes(), None, Version(count));
    }
    for back in (0..count / 5 - 70).map(|number| number + count) {
        set(&mut hot, &back.to_le_bytes(), &[2; 90], back + 1).unwrap();
    }
    assert_eq!(hot.figures().evictions, 0);
    assert!(
        (0..count).filter(|number| number % 5 != 0).all(|number| hot.locate(&number.to_le_bytes()).is_some())
    );
    audit(&hot);
}

#[test]
fn bytes_stay_within_the_budget() {
    for (limit, groups) in [(6 << 20, 32), (1 << 20, 16), (4 << 20, 1)] {
        let budget = Arc::new(Budget::new(limit));
        let segment_bytes = Options::segment_bytes_for(limit, groups);
        let options = Options { segment_bytes, ..MEMORY_ONLY };
        let mut hots: Vec<_> = (0..groups).map(|_| Hot::new(budget.clone(), options)).collect();
        let mut random = Chance(limit as u64);
        let debt = limit / 8 + limit / groups + groups * 2 * segment_bytes;
        for number in 0..limit as u64 / 40 {
            // The first group comes first and takes everything; the others must get their part.
            let group = if number < limit as u64 / 100 { 0 } else { random.below(groups as u64) as usize };
            let len = if random.below(500) == 0 { limit / groups / 8 } else { random.below(200) as usize };
            let value = vec![0; len];
            set(&mut hots[group], &number.to_le_bytes(), &value, number + 1).unwrap();
            assert!(budget.used() <= limit + debt, "{} of {limit}", budget.used());
        }
        let shares: Vec<_> = hots.iter().map(|hot| hot.account.taken()).collect();
        println!("limit {limit}: used {}, shares {shares:?}", budget.used());
        assert!(budget.used() <= limit + limit / 100, "debts are paid");
        assert!(shares.iter().all(|share| *share >= limit / groups / 2), "nobody is starved");
        budget.set_limit(limit / 2);
        hots.iter_mut().for_each(|hot| while hot.trim() {});
        assert!(budget.used() <= limit / 2 + groups * 2 * segment_bytes, "a lowered limit is kept");
        hots.iter().for_each(audit);
        drop(hots);
        assert_eq!((budget.used(), budget.dirty_used()), (0, 0));
    }
}

#[test]
fn an_item_is_compact() {
    for items in [14_300u64, 14_400, 15_625, 100_000, 115_000] {
        let mut hot = hot(1 << 30, Options { segment_bytes: HOT_SEGMENT_BYTES_MAX, ..MEMORY_ONLY });
        for number in 0..items {
            let key = format!("key:{number:012}");
            assert!(hot.has_room(16, 32) || hot.make_room(16, 32).is_ok());
            let ttl = Put { deadline: Deadline::from_seconds(5000), ..put(&[b'v'; 32], number + 1) };
            hot.put(key.as_bytes(), None, &ttl, stamp(number + 1));
        }
        let per_item = hot.figures().bytes as f64 / items as f64;
        println!("{items} items: {per_item:.1} B each");
        assert!(per_item <= 84.0, "{items}: {per_item}");
    }
}

#[test]
fn changes_of_the_same_size_stay_in_place() {
    let mut hot = hot(1 << 20, PERSISTENT);
    set(&mut hot, b"a", &[1; 20], 1).unwrap();
    set(&mut hot, b"b", &[1; 20], 2).unwrap();
    let (at, bytes) = (hot.locate(b"a"), hot.segments.open_room(Queue::Small));
    // Same size; smaller; as large as at first again; gone; back.
    for (version, len) in [(3, 20), (4, 3), (5, 19)] {
        set(&mut hot, b"a", &vec![9; len], version).unwrap();
        assert_eq!((hot.locate(b"a"), value_of(&hot, b"a")), (at, Some(vec![9; len])));
        audit(&hot);
    }
    hot.remove(b"a", at, Version(6));
    assert!(hot.locate(b"a") == at && value_of(&hot, b"a").is_none() && hot.is_dirty(at.unwrap()));
    set(&mut hot, b"a", &[7; 20], 7).unwrap();
    assert_eq!((hot.locate(b"a"), hot.segments.open_room(Queue::Small)), (at, bytes));
    audit(&hot);
}

#[test]
fn a_touch_keeps_the_value_and_carries_both_versions() {
    let mut hot = hot(1 << 20, PERSISTENT);
    let large = vec![5; 1 << 20];
    let mut limit = Vec::new();
    for value in [&b""[..], b"value", &large[..SHARED_BYTES_MIN - 1], &large[..SHARED_BYTES_MIN]] {
        let key = vec![b'k'; 1 + limit.len()];
        set(&mut hot, &key, value, 10).unwrap();
        hot.accessed(hot.locate(&key).unwrap(), 55);
        hot.touch(hot.locate(&key).unwrap(), &touch(9, 1, 1), stamp(11));
        assert!(
            matches!(hot.entry(hot.locate(&key).unwrap()), Entry::Live(item) if item.deadline.is_never())
        );
        hot.touch(hot.locate(&key).unwrap(), &touch(10, 99, 77), stamp(12));
        let Entry::Live(item) = hot.entry(hot.locate(&key).unwrap()) else { panic!("gone") };
        assert_eq!((item.version, item.meta_version, item.cas), (Version(10), Version(12), 77));
        assert_eq!((item.deadline.as_seconds(), item.accessed_s, item.stamp()), (99, 55, Version(12)));
        assert!(item.marks.has(Marks::FETCHED) && item.value.bytes() == value);
        audit(&hot);
        limit.push(());
    }
}

#[test]
fn large_values_are_handed_out_by_reference() {
    let mut hot = hot(8 << 20, MEMORY_ONLY);
    for len in [SHARED_BYTES_MIN - 1, SHARED_BYTES_MIN, SHARED_BYTES_MIN + 1, 1 << 20] {
        set(&mut hot, b"key", &vec![3; len], 1).unwrap();
        let Entry::Live(item) = hot.entry(hot.locate(b"key").unwrap()) else { panic!("gone") };
        match item.value {
            Value::Plain(bytes) => assert!(bytes.len() < SHARED_BYTES_MIN && bytes.len() == len),
            Value::Shared(bytes) => {
                let (held, address) = (bytes.clone(), bytes.as_ptr());
                hot.remove(b"key", None, Version(2));
                assert!(held.len() == len && held.as_ptr() == address, "a reply outlives the item");
            }
        }
        audit(&hot);
    }
    // 2.1 MB values in a budget of 8 MB: as many as fit, never an error.
    for number in 0..50u8 {
        set(&mut hot, &[number + 1], &vec![number; 2_100_000], u64::from(number)).unwrap();
        assert!(hot.account.taken() <= 8 << 20);
    }
    assert_eq!((hot.figures().live, hot.figures().evictions), (3, 47));
    audit(&hot);
}

#[test]
fn keys_and_values_beyond_the_layout_change_nothing() {
    let mut hot = hot(1 << 20, MEMORY_ONLY);
    for key in [&[][..], &[1; KEY_BYTES_MAX + 1]] {
        hot.put(key, None, &put(b"v", 1), stamp(1));
        hot.remove(key, None, Version(1));
        assert!(hot.locate(key).is_none());
    }
    audit(&hot);
}

#[test]
fn an_admission_drops_nothing_and_a_refused_one_ends_completeness() {
    let mut hot = hot(60_000, PERSISTENT);
    hot.set_complete(true);
    let fact = Facts {
        value: vec![1; 500],
        client_flags: 1,
        deadline: Deadline::NEVER,
        version: Version(3),
        cas: 4,
        meta_version: Version(5),
        marks: Marks::STALE,
    };
    let admitted =
        (0..1000u32).take_while(|number| hot.admit(&number.to_le_bytes(), &item_of(&fact))).count();
    assert!((50..120).contains(&admitted) && !hot.is_complete() && hot.figures().cooled == 0, "{admitted}");
    for number in 0..admitted as u32 {
        let at = hot.locate(&number.to_le_bytes()).unwrap();
        assert!(!hot.is_dirty(at));
        assert!(matches!(hot.entry(at), Entry::Live(item) if facts(&item) == fact));
    }
    hot.make_room(4, 500).unwrap();
    assert!(hot.admit(&5000u32.to_le_bytes(), &item_of(&fact)), "room was made for it");
    audit(&hot);
}

#[test]
fn sweeps_find_what_is_due_and_pass_over_the_rest() {
    for options in [PERSISTENT, MEMORY_ONLY] {
        let mut hot = hot(4 << 20, options);
        for number in 1..=2000u64 {
            let deadline = Deadline::from_seconds(if number % 3 == 0 { 2000 + number as u32 } else { 0 });
            hot.put(&number.to_le_bytes(), None, &Put { deadline, ..put(b"v", number) }, stamp(number));
        }
        let mut named = Vec::new();
        let mut round = |hot: &mut Hot, now_s: u64, below: u64| {
            let flush = FlushMark { below: Version(below), pending_s: 0 };
            named.clear();
            while !hot.sweep(UnixMs(now_s * 1000), &flush, 100, &mut |key| named.push(key.to_vec())) {}
            named.len()
        };
        assert_eq!(round(&mut hot, 2002, 0), 0);
        let due = round(&mut hot, 2300, 0);
        let counted = hot.figures();
        if options.persistent {
            assert_eq!((due, counted.live, counted.reclaimed), (100, 2000, 0));
        } else {
            assert_eq!(
                (due, counted.live, counted.reclaimed, counted.expired_unfetched),
                (0, 1900, 100, 100)
            );
        }
        round(&mut hot, 2300, 1001);
        assert_eq!(hot.figures().live, 1000, "what a flush covers goes, dirty or not");
        audit(&hot);
        round(&mut hot, 2300, u64::MAX);
        assert_eq!((hot.figures().live, hot.figures().dirty), (0, 0));
        audit(&hot);
    }
}

#[test]
fn a_scan_meets_every_key_that_stays() {
    for seed in 0..30 {
        println!("seed {seed}");
        let mut random = Chance(seed);
        let mut hot = hot(300_000, MEMORY_ONLY);
        for number in 0..1000u64 {
            set(&mut hot, &number.to_le_bytes(), &[1; 20], number + 1).unwrap();
        }
        let mut always: std::collections::BTreeSet<u64> = (0..1000).collect();
        let (mut seen, mut cursor) = (std::collections::BTreeSet::new(), Some(ScanCursor::default()));
        while let Some(from) = cursor {
            cursor = hot.scan(from, 100, |key, _, _| {
                seen.insert(u64::from_le_bytes(key.try_into().unwrap()));
            });
            for _ in 0..80 {
                let number = random.below(3000);
                let value = vec![2; random.below(150) as usize];
                match random.below(4) {
                    0 => {
                        hot.remove(&number.to_le_bytes(), None, Version(9));
                        always.remove(&number);
                    }
                    1 => hot.locate(&number.to_le_bytes()).into_iter().for_each(|at| hot.accessed(at, 1)),
                    _ => set(&mut hot, &number.to_le_bytes(), &value, 9).unwrap(),
                }
            }
            always.retain(|number| hot.locate(&number.to_le_bytes()).is_some());
        }
        assert!(always.len() > 100, "{}", always.len());
        assert!(always.is_subset(&seen), "{:?}", always.difference(&seen));
    }
}

/// Reads through `trace` with a memory of `limit` bytes that is filled on a miss. Returns the share of hits, and what a
/// plain queue of as many items would have had.
fn hit_ratios(limit: usize, trace: &[u64]) -> (f64, f64) {
    let mut hot = hot(limit, MEMORY_ONLY);
    let (mut hits, mut fifo_hits, mut most) = (0, 0, 0);
    for (turn, number) in trace.iter().enumerate() {
        match hot.locate(&number.to_le_bytes()) {
            Some(at) => {
                hot.accessed(at, 1);
                hits += 1;
            }
            None => set(&mut hot, &number.to_le_bytes(), &[0; 100], turn as u64 + 1).unwrap(),
        }
        most = most.max(hot.figures().live as usize);
    }
    let (mut queue, mut held) = (std::collections::VecDeque::new(), std::collections::HashSet::new());
    for number in trace {
        if !held.insert(*number) {
            fifo_hits += 1;
            continue;
        }
        queue.push_back(*number);
        if queue.len() > most {
            queue.pop_front().map(|oldest| held.remove(&oldest));
        }
    }
    (hits as f64 / trace.len() as f64, fifo_hits as f64 / trace.len() as f64)
}

#[test]
fn what_is_popular_survives_long_scans() {
    let mut random = Chance(7);
    // Zipf over 20,000 keys, by inversion of its sums; every second request belongs to a scan that never returns.
    let weights = (1..=20_000u32).scan(0.0, |sum, rank| {
        *sum += 1.0 / f64::from(rank);
        Some(*sum)
    });
    let sums: Vec<f64> = weights.collect();
    let mut zipf = || {
        let point = random.below(1 << 53) as f64 / (1u64 << 53) as f64 * sums[sums.len() - 1];
        sums.partition_point(|sum| *sum < point) as u64
    };
    let plain: Vec<u64> = (0..200_000).map(|_| zipf()).collect();
    let scanned: Vec<u64> =
        (0..200_000u64).map(|turn| if turn / 5000 % 2 == 0 { zipf() } else { 1 << 32 | turn }).collect();
    for (name, trace, gain) in [("zipf", plain, 1.05), ("zipf and scans", scanned, 1.15)] {
        let (ours, fifo) = hit_ratios(300_000, &trace);
        println!("{name}: {ours:.3} of requests hit, {fifo:.3} with a plain queue");
        assert!(ours > fifo * gain, "{name}");
    }
}
