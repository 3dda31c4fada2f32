//! How much a group stores while not all of it is in memory: the rows of its file, and what the entries that are newer
//! than those will make of them.
//!
//! A plain `set` does not look whether the file has its key, so nobody knows whether it adds a row until the checkpoint
//! has written it. Who asks for figures looks some of these keys up and takes the others to be like them. The answer is
//! exact when no more entries than [`SAMPLE_KEYS`] are newer than the file, and also when all of them are new keys, or
//! all are old ones. It is never off by more than the number of these entries.

use super::group::Group;
use crate::hot::Entry;
use crate::store::{RowBuffer, Store};

/// Keys that are looked up for one answer.
const SAMPLE_KEYS: usize = 32;
/// A checkpoint may commit a chunk while keys are looked up: then once more, so often.
const TRIES_MAX: usize = 3;

/// What one entry that is newer than the file adds to what the file counts, on average.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unsettled {
    items: f64,
    bytes: f64,
}

/// One entry that is newer than the file: its key, and the bytes of key and value if it is no tombstone.
type Newer = (Box<[u8]>, Option<usize>);

impl Group {
    /// Items that are stored, and the bytes of their keys and values.
    pub(super) fn stored_now(&self, store: &Store) -> (u64, u64) {
        for _ in 1..TRIES_MAX {
            let before = store.state();
            let answer = self.stored_at(store, before.rows, before.payload_bytes);
            if store.state() == before {
                return answer;
            }
        }
        let state = store.state();
        self.stored_at(store, state.rows, state.payload_bytes)
    }

    /// Remembers what the entries that are newer than the file will make of its rows.
    pub(super) fn look_at_newer(&self, store: &Store) {
        self.stored_at(store, 0, 0);
    }

    fn stored_at(&self, store: &Store, rows: u64, payload_bytes: u64) -> (u64, u64) {
        let (sample, newer, mut unsettled) = self.sample();
        // While a checkpoint is written nothing may be listed: what was seen last holds on.
        if !sample.is_empty() {
            unsettled = looked_up(store, &sample);
            self.core.lock().unsettled = unsettled;
        }
        let with =
            |stored: u64, each: f64| stored.saturating_add_signed((each * newer as f64).round() as i64);
        (with(rows, unsettled.items), with(payload_bytes, unsettled.bytes))
    }

    /// Some of the entries that are newer than the file, how many there are, and what was found the last time.
    fn sample(&self) -> (Vec<Newer>, usize, Unsettled) {
        let core = self.core.lock();
        let mut sample: Vec<Newer> = Vec::new();
        core.hot.sample_dirty(SAMPLE_KEYS, |key, entry| {
            let live_bytes = match entry {
                Entry::Live(item) => Some(key.len() + item.value.bytes().len()),
                Entry::Tombstone(_) => None,
            };
            sample.push((key.into(), live_bytes));
        });
        sample.sort_unstable();
        sample.dedup();
        (sample, core.hot.dirty_count(), core.unsettled)
    }
}

/// What these entries add on average to what the file counts. A row that cannot be read counts as none.
fn looked_up(store: &Store, sample: &[Newer]) -> Unsettled {
    let mut row = RowBuffer::default();
    let (mut items, mut bytes) = (0, 0);
    for (key, live_bytes) in sample {
        let stored = store.read(key, &mut row).ok().flatten();
        let stored_bytes = stored.map(|item| key.len() + item.value.bytes().len());
        items += i64::from(live_bytes.is_some()) - i64::from(stored_bytes.is_some());
        bytes += live_bytes.unwrap_or(0) as i64 - stored_bytes.unwrap_or(0) as i64;
    }
    let count = sample.len().max(1) as f64;
    Unsettled { items: items as f64 / count, bytes: bytes as f64 / count }
}
