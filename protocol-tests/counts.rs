//! `curr_items` and `bytes` while there is more data than memory: exact at once for keys that are all new or all old,
//! and never off by more than the entries that are newer than the last checkpoint.
use std::time::Duration;

use crate::client::{self, Client};
use crate::process::Larder;
use crate::wait;

/// Less than the time after which what is dirty is written, whatever else happens.
const PATIENCE: Duration = Duration::from_secs(20);

const KEYS: usize = 8000;
const VALUE_BYTES: usize = 1000;
const BATCH: usize = 100;
/// Key, as `count:000000`, and value.
const ITEM_BYTES: usize = 12 + VALUE_BYTES;

fn key(number: usize) -> String {
    format!("count:{number:06}")
}

fn store(client: &mut Client, numbers: impl Iterator<Item = usize>) {
    let numbers: Vec<usize> = numbers.collect();
    for batch in numbers.chunks(BATCH) {
        let sets = batch.iter().flat_map(|number| client::set(&key(*number), 0, &[b'v'; VALUE_BYTES]));
        client.send(sets.collect::<Vec<u8>>());
        for _ in batch {
            assert_eq!(client.line(), "STORED\r\n");
        }
    }
}

/// A figure of `stats larder`.
fn own_figure(client: &mut Client, name: &str) -> u64 {
    let lines = client.lines("stats larder\r\n", "END\r\n");
    let line =
        lines.iter().find_map(|line| line.strip_prefix("STAT ")?.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|figure| figure.trim_end().parse().ok()).unwrap_or_else(|| panic!("no {name} in {lines:?}"))
}

/// A checkpoint that is being written is counted when it is done; the next one, which would count everything, comes much
/// later than this.
fn comes_to(client: &mut Client, what: &str) {
    let expected = (KEYS as u64, (KEYS * ITEM_BYTES) as u64);
    let mut counted = (0, 0);
    let found = wait::until(PATIENCE, || {
        counted = (client.figure("curr_items"), client.figure("bytes"));
        (counted == expected).then_some(())
    });
    assert!(found.is_some(), "{what}: {counted:?} instead of {expected:?}");
}

#[test]
fn what_is_stored_is_counted_at_once_with_more_data_than_memory() {
    let folder = tempfile::tempdir().unwrap();
    let larder = Larder::start(&folder.path().join("data"), &["-m", "2", "--groups", "4"]).unwrap();
    let client = &mut Client::connect(larder.address());
    store(client, 0..KEYS);
    assert_eq!(own_figure(client, "groups_complete"), 0, "memory holds everything");
    comes_to(client, "new keys");
    store(client, 0..KEYS);
    comes_to(client, "the same keys again");
    // Some old and some new keys side by side.
    store(client, (0..KEYS / 2).flat_map(|number| [number, KEYS + number]));
    let dirty = own_figure(client, "items_dirty");
    let off = client.figure("curr_items").abs_diff((KEYS + KEYS / 2) as u64);
    assert!(off <= dirty, "off by {off}, {dirty} entries are newer than the checkpoint");
}
