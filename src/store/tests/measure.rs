//! Figures, by hand: `cargo test --release --lib store::tests::measure -- --ignored --nocapture --test-threads 1`.

use std::time::Instant;

use super::*;

const CHUNK_BYTES: usize = 8 * 1024 * 1024;

fn options(cache_bytes: usize) -> StoreOptions {
    StoreOptions { cache_bytes }
}

fn key_of(number: u64) -> Vec<u8> {
    format!("key:{number:012}").into_bytes()
}

/// Puts the numbered keys, sorted, in chunks as a checkpoint would.
fn load(store: &Store, numbers: &mut Vec<u64>, value_bytes: usize, chunk_items: usize, version: u64) {
    numbers.sort_unstable();
    numbers.dedup();
    let kept = Kept::new(vec![version as u8; value_bytes], version);
    let items = chunk_items.min(CHUNK_BYTES / value_bytes.max(1)).max(1);
    for chunk in numbers.chunks(items) {
        let keys: Vec<Vec<u8>> = chunk.iter().map(|number| key_of(*number)).collect();
        let changes: Vec<RowChange<'_>> =
            keys.iter().map(|key| RowChange::Put { key, item: kept.item() }).collect();
        store.commit(&changes, None).unwrap();
    }
}

fn ratio(store: &Store) -> f64 {
    let figures = store.figures().unwrap();
    figures.allocated_bytes as f64 / figures.payload_bytes as f64
}

#[test]
#[ignore = "takes a while; figures for people"]
fn speed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("00003.redb"), IDENTITY, options(8 << 20)).unwrap();
    let mut random = Random(7);
    let timed = |what: &str, mut numbers: Vec<u64>, version: u64| {
        let start = Instant::now();
        load(&store, &mut numbers, 100, 10_000, version);
        let us = start.elapsed().as_secs_f64() * 1e6 / numbers.len() as f64;
        println!("{what}: {us:.2} us an item, {:.2} allocated per payload", ratio(&store));
    };
    timed("200k new, empty file", (0..200_000).map(|n| n * 5).collect(), 1);
    timed("200k overwritten", (0..200_000).map(|n| n * 5).collect(), 2);
    timed("200k new, between", (0..200_000).map(|_| random.below(1_000_000)).collect(), 3);
    timed("200k of 1M, random", (0..200_000).map(|_| random.below(1_000_000)).collect(), 4);
    timed("the rest of 1M", (0..1_000_000).collect(), 5);
    timed("200k of 1M, random", (0..200_000).map(|_| random.below(1_000_000)).collect(), 6);
    timed("20k of 1M, random", (0..20_000).map(|_| random.below(1_000_000)).collect(), 7);

    let mut buffer = RowBuffer::default();
    for (what, shift, among) in
        [("hit, pages cached", 0, 20_000), ("hit, anywhere", 0, 1_000_000), ("miss", 1_000_000, 1_000_000)]
    {
        let start = Instant::now();
        let mut found = 0;
        for _ in 0..300_000 {
            let key = key_of(random.below(among) + shift);
            found += usize::from(store.read(&key, &mut buffer).unwrap().is_some());
        }
        println!("read {what}: {:.2} us ({found} found)", start.elapsed().as_secs_f64() * 1e6 / 300_000.0);
    }
    let start = Instant::now();
    let mut after: Option<Vec<u8>> = None;
    let mut items = 0;
    loop {
        let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let limits = ScanLimits { items: 1000, bytes: 1 << 20 };
        let resume = store.scan(from, limits, &mut buffer, |_, item| item.is_ok()).unwrap();
        items += resume.items;
        after = resume.after;
        if after.is_none() {
            break;
        }
    }
    println!("scan: {:.2} M items a second", items as f64 / start.elapsed().as_secs_f64() / 1e6);
}

/// Allocated blocks per payload: after a sorted load, and after every live key was replaced once by another one at
/// random, a tenth of them in each checkpoint.
#[test]
#[ignore = "takes a while; figures for people"]
fn space() {
    println!("value     sorted load   after churn   churn us an item");
    for value_bytes in [50, 100, 2100, 4100, 33_000, 530_000, 1 << 20] {
        let directory = tempfile::tempdir().unwrap();
        let count = (16 << 20) / (value_bytes as u64 + 16);
        let path = directory.path().join("00003.redb");
        let store = Store::open(&path, IDENTITY, options(4 << 20)).unwrap();
        let mut live: Vec<u64> = (0..count).map(|n| n * 1000).collect();
        load(&store, &mut live.clone(), value_bytes, 10_000, 1);
        let loaded = ratio(&store);
        let mut random = Random(7);
        let start = Instant::now();
        let chunk = (count / 10).max(1);
        for round in 0..10 {
            let mut fresh = Vec::new();
            let mut gone = Vec::new();
            for _ in 0..chunk {
                gone.push(live.swap_remove(random.below(live.len() as u64) as usize));
                fresh.push(random.below(count * 1000) * 10 + 1);
            }
            gone.sort_unstable();
            for gone in gone.chunks(10_000) {
                let keys: Vec<Vec<u8>> = gone.iter().map(|number| key_of(*number)).collect();
                let changes: Vec<RowChange<'_>> = keys.iter().map(|key| RowChange::Remove { key }).collect();
                store.commit(&changes, None).unwrap();
            }
            load(&store, &mut fresh, value_bytes, 10_000, round + 2);
            live.extend(fresh);
        }
        let us = start.elapsed().as_secs_f64() * 1e6 / (chunk * 10) as f64;
        println!("{value_bytes:>8} {loaded:>12.2} {:>13.2} {us:>13.1}", ratio(&store));
    }
}

#[test]
#[ignore = "takes a while; figures for people"]
fn opening_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("00003.redb");
    let store = Store::open(&path, IDENTITY, options(8 << 20)).unwrap();
    for round in 0..5 {
        load(&store, &mut (0..3_000_000 / 5).map(|n| n * 5 + round).collect(), 100, 20_000, 1);
    }
    // What a killed process leaves: the file as it is, never closed.
    let killed = directory.path().join("killed.redb");
    std::fs::copy(&path, &killed).unwrap();
    std::fs::File::open(&killed).unwrap().sync_all().unwrap();
    println!("{} MB", std::fs::metadata(&killed).unwrap().len() >> 20);
    for attempt in 0..3 {
        let start = Instant::now();
        let opened = Store::open(&killed, IDENTITY, options(8 << 20)).unwrap();
        println!(
            "open {attempt}: {:.1} ms, {} rows",
            start.elapsed().as_secs_f64() * 1e3,
            opened.state().rows
        );
        // Leave it unclosed for the next attempt: the lock goes with the copy.
        let copy = directory.path().join(format!("killed-{attempt}.redb"));
        std::fs::copy(&killed, &copy).unwrap();
        std::fs::File::open(&copy).unwrap().sync_all().unwrap();
        drop(opened);
        std::fs::rename(copy, &killed).unwrap();
    }
}
