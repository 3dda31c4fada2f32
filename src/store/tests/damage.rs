//! Flipped bits in the file: right answers or faults, never a wrong value, never a panic that escapes.

use super::disk::{Plan, Script, SimDisk};
use super::*;

const CHUNKS: usize = 4;

#[derive(Debug, Default)]
struct Tally {
    flips: usize,
    refused_at_open: usize,
    right: usize,
    faults: usize,
    panics: usize,
    missed: usize,
}

#[test]
fn a_flipped_bit_is_never_a_wrong_value() {
    let mut random = Random(seed());
    let tallies = [Script::new(CHUNKS), Script::small(CHUNKS)].map(|script| flip_bits(&script, &mut random));
    for tally in tallies {
        println!("{tally:?}");
        assert!(tally.faults > 0 && tally.right > 0, "{tally:?}");
    }
}

fn flip_bits(script: &Script, random: &mut Random) -> Tally {
    let disk = SimDisk::new(Plan::Work);
    let store = disk.open_store().unwrap();
    for number in 1..=CHUNKS {
        script.commit(&store, number).unwrap();
    }
    drop(store);
    let good = disk.bytes();
    let used: Vec<usize> =
        (0..good.len() / 512).filter(|at| good[at * 512..][..512].iter().any(|byte| *byte != 0)).collect();
    let mut tally = Tally::default();
    for _ in 0..600 {
        let mut bytes = good.clone();
        let sector = used[random.below(used.len() as u64) as usize];
        bytes[sector * 512 + random.below(512) as usize] ^= 1 << random.below(8);
        tally.flips += 1;
        match SimDisk::with_bytes(bytes).open_store() {
            Ok(store) => look(&store, script, random, &mut tally),
            Err(fault) => count(&fault, &mut tally.refused_at_open, &mut tally.panics),
        }
    }
    tally
}

/// Reads every key, scans, writes and sweeps.
fn look(store: &Store, script: &Script, random: &mut Random, tally: &mut Tally) {
    let wanted = &script.contents[CHUNKS];
    let mut buffer = RowBuffer::default();
    for number in 0..800 {
        let key = format!("k{number}").into_bytes();
        match store.read(&key, &mut buffer) {
            Ok(Some(item)) => {
                assert_eq!(Some(&Kept::of(&item)), wanted.get(&key), "a wrong value");
                tally.right += 1;
            }
            Ok(None) if wanted.contains_key(&key) => tally.missed += 1,
            Ok(None) => tally.right += 1,
            Err(fault) => count(&fault, &mut tally.faults, &mut tally.panics),
        }
    }
    let limits = ScanLimits { items: 1000, bytes: usize::MAX };
    // Not judged within the visitor, whose panic would be taken for the database's.
    let mut wrong = Vec::new();
    let scanned = store.scan(Bound::Unbounded, limits, &mut buffer, |key, item| {
        match item {
            Ok(item) if Some(&Kept::of(&item)) == wanted.get(key) => tally.right += 1,
            Ok(_) => wrong.push(key.to_vec()),
            Err(fault) => count(&fault, &mut tally.faults, &mut tally.panics),
        }
        true
    });
    assert!(wrong.is_empty(), "wrong values under {wrong:?}");
    if let Err(fault) = scanned {
        count(&fault, &mut tally.faults, &mut tally.panics);
    }
    let written = match random.below(3) {
        0 => {
            store.commit(&[put("k1", &Kept::new("new", 9)), RowChange::Remove { key: b"k2" }], None).map(drop)
        }
        1 => store.due(3000, 10).and_then(|due| store.settle(due, 3000)).map(drop),
        _ => store.purge_flushed(None, 100).map(drop),
    };
    match written {
        Ok(()) => tally.right += 1,
        Err(fault) => {
            count(&fault, &mut tally.faults, &mut tally.panics);
        }
    }
}

fn count(fault: &Fault, faults: &mut usize, panics: &mut usize) {
    assert!(matches!(fault.kind, FaultKind::Corrupt | FaultKind::Io | FaultKind::Mismatch), "{fault}");
    assert!(fault.to_string().contains("simulated.redb"), "{fault}");
    *faults += 1;
    *panics += usize::from(fault.message.contains("gave up"));
}
