//! What the file takes of the disk, beside what is in it: blocks, not lengths.

use super::*;

/// What live data may cost, in hundredths of its payload.
const COST_MAX: u64 = 200;

/// A store that is written to as checkpoints do it: in chunks sorted by key.
struct Churned {
    _directory: tempfile::TempDir,
    store: Store,
    random: Random,
    version: u64,
    value_bytes: usize,
}

impl Churned {
    fn new(value_bytes: usize) -> Churned {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("00003.redb"), IDENTITY, OPTIONS).unwrap();
        Churned { _directory: directory, store, random: Random(seed()), version: 0, value_bytes }
    }

    /// One checkpoint of so many random ones of so many keys; one in eight is removed when `removing`.
    fn checkpoint(&mut self, changes: u64, keys: u64, removing: bool) {
        let mut wanted = std::collections::BTreeMap::new();
        self.version += 1;
        for _ in 0..changes {
            let number = self.random.below(keys);
            // Keys of one length in no order, as hashes and counters are.
            let key = format!("key:{:012x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16);
            let kept = Kept::new(vec![number as u8; self.value_bytes], self.version);
            let kept = if number.is_multiple_of(2) { kept } else { kept.until(1_000_000 + number as u32) };
            wanted.insert(key, (!removing || self.random.below(8) != 0).then_some(kept));
        }
        let wanted: Vec<_> = wanted.into_iter().collect();
        let chunk = (8_000_000 / self.value_bytes).clamp(1, 10_000);
        for chunk in wanted.chunks(chunk) {
            let changes: Vec<RowChange<'_>> = chunk
                .iter()
                .map(|(key, kept)| match kept {
                    Some(kept) => put(key, kept),
                    None => RowChange::Remove { key: key.as_bytes() },
                })
                .collect();
            self.store.commit(&changes, end(self.version)).unwrap();
        }
    }

    fn cost(&self) -> u64 {
        let figures = self.store.figures().unwrap();
        figures.allocated_bytes * 100 / figures.payload_bytes.max(1)
    }
}

/// Long churn, then a compaction: what is live costs at most twice its payload, whatever the size of the values.
#[test]
fn live_data_costs_at_most_twice_its_payload() {
    let scale = if std::env::var_os("LARDER_LONG").is_some() { 16 } else { 1 };
    for value_bytes in [50, 100, 2150, 33_000, 530_000, 1_000_000] {
        let keys = (scale * 3_000_000 / (value_bytes as u64 + 60)).max(12);
        let mut churned = Churned::new(value_bytes);
        for _ in 0..6 {
            churned.checkpoint(keys, keys, true);
        }
        for _ in 0..20 {
            churned.checkpoint(keys / 50 + 1, keys, true);
        }
        let (before, contents_before) = (churned.cost(), contents(&churned.store));
        churned.store.compact(300_000).unwrap();
        churned.store.close_replaced();
        let after = churned.cost();
        println!(
            "values of {value_bytes} bytes: {before} before, {after} after, in hundredths of the payload"
        );
        assert!(after <= COST_MAX, "values of {value_bytes} bytes cost {after} hundredths");
        assert_eq!(contents(&churned.store), contents_before);
    }
}

/// Space of what was removed goes back to the disk.
#[test]
fn an_emptied_file_gives_its_space_back() {
    let mut churned = Churned::new(1000);
    churned.checkpoint(3000, 3000, false);
    let full = churned.store.figures().unwrap().allocated_bytes;
    let keys: Vec<Vec<u8>> = contents(&churned.store).into_keys().collect();
    let changes: Vec<RowChange<'_>> = keys.iter().map(|key| RowChange::Remove { key }).collect();
    churned.store.commit(&changes, end(100)).unwrap();
    churned.store.compact(1 << 20).unwrap();
    churned.store.close_replaced();
    let empty = churned.store.figures().unwrap().allocated_bytes;
    println!("{full} bytes full, {empty} empty");
    assert!(empty < 128 * 1024, "{empty} bytes for nothing");
    assert!(full > 2_000_000);
}
