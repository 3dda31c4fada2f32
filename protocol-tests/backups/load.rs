//! A backup while the server is written to: consistent at one LSN.
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::items::{Items, items, manifest};
use super::{done, text};
use crate::client::Client;
use crate::process::Larder;
use crate::skips;
use crate::wait;

/// Connections that write, each to keys of its own.
const WRITERS: usize = 3;
/// Keys of one writer.
const KEYS: u64 = 40;

/// What one writer does as its `step`th change, in the order of which the server takes them.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Set,
    Delete,
    Touch,
    Append,
}

fn key(writer: usize, step: u64) -> String {
    format!("w{writer}-{}", step.wrapping_mul(2_654_435_761) % KEYS)
}

fn deed(step: u64) -> Deed {
    match step % 7 {
        0..=2 => Deed::Set,
        3 => Deed::Delete,
        4 | 5 => Deed::Touch,
        _ => Deed::Append,
    }
}

fn request(writer: usize, step: u64) -> Vec<u8> {
    let key = key(writer, step);
    let flags = step as u32;
    match deed(step) {
        // Every thousandth is long: it is logged in parts.
        Deed::Set => {
            let value = value(step);
            [format!("set {key} {flags} 0 {}\r\n", value.len()).as_bytes(), &value, b"\r\n"].concat()
        }
        Deed::Delete => format!("delete {key}\r\n").into_bytes(),
        Deed::Touch => format!("touch {key} {}\r\n", 100_000 + step).into_bytes(),
        Deed::Append => format!("append {key} 0 0 3\r\n+++\r\n").into_bytes(),
    }
}

fn value(step: u64) -> Vec<u8> {
    let len = if step % 1000 == 1 { 700_000 } else { step as usize * 31 % 900 };
    vec![b'a' + (step % 26) as u8; len]
}

/// The state of a writer's keys, as a model has it: value, flags, whether it has a deadline.
type Model = BTreeMap<Vec<u8>, (Vec<u8>, u32, bool)>;

fn apply(model: &mut Model, writer: usize, step: u64) {
    let key = key(writer, step).into_bytes();
    match deed(step) {
        Deed::Set => drop(model.insert(key, (value(step), step as u32, false))),
        Deed::Delete => drop(model.remove(&key)),
        Deed::Touch => {
            if let Some(kept) = model.get_mut(&key) {
                kept.2 = true;
            }
        }
        Deed::Append => {
            if let Some(kept) = model.get_mut(&key) {
                kept.0.extend_from_slice(b"+++");
            }
        }
    }
}

/// Writes until told to stop; counts what was acknowledged.
fn write(larder: &Larder, writer: usize, acknowledged: &AtomicU64, stop: &AtomicBool) {
    let mut client = Client::connect(larder.address());
    let mut step = 0;
    while !stop.load(Ordering::Acquire) {
        let reply = client.ask(request(writer, step));
        assert!(["STORED", "NOT_STORED", "DELETED", "NOT_FOUND", "TOUCHED"].contains(&&*reply), "{reply}");
        step += 1;
        acknowledged.store(step, Ordering::Release);
    }
}

/// After how many steps of the writer its keys were like this; the last such number up to `most`.
fn prefix_of(found: &Items, writer: usize, least: u64, most: u64) -> Option<u64> {
    let prefix = format!("w{writer}-").into_bytes();
    let has: Model = found
        .iter()
        .filter(|(key, _)| key.starts_with(&prefix))
        .map(|(key, kept)| (key.clone(), (kept.value.clone(), kept.client_flags, kept.deadline_s != 0)))
        .collect();
    let mut model = Model::new();
    for step in 0..=most {
        if step >= least && model == has {
            return Some(step);
        }
        apply(&mut model, writer, step);
    }
    None
}

fn counts(acknowledged: &[AtomicU64]) -> Vec<u64> {
    acknowledged.iter().map(|count| count.load(Ordering::Acquire)).collect()
}

/// Backs up `idle` items while others are written, restores into other groups, and compares: the idle items are all
/// there, and each writer's keys are as they were between two of its changes.
fn back_up_under_load(folder: &Path, idle: usize, options: &[&str], rate: &str) {
    let larder = Larder::start(&folder.join("data"), options).unwrap();
    let mut client = Client::connect(larder.address());
    let mut batch = Vec::new();
    for number in 0..idle {
        batch.extend_from_slice(format!("set idle{number} 7 0 100 noreply\r\n").as_bytes());
        batch.extend_from_slice(format!("{number:0>100}\r\n").as_bytes());
        if batch.len() > 1 << 20 || number + 1 == idle {
            batch.extend_from_slice(b"mn\r\n");
            assert_eq!(client.ask(std::mem::take(&mut batch)), "MN");
        }
    }
    let acknowledged: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    let stop = AtomicBool::new(false);
    let (backup, address) = (folder.join("backup"), larder.address().to_string());
    let (before, after) = thread::scope(|scope| {
        for (writer, count) in acknowledged.iter().enumerate() {
            let (larder, stop) = (&larder, &stop);
            scope.spawn(move || write(larder, writer, count, stop));
        }
        let begun = || counts(&acknowledged).iter().all(|count| *count > 500).then_some(());
        wait::until(Duration::from_secs(60), begun).expect("the writers write");
        let before = counts(&acknowledged);
        done(&["backup", &address, text(&backup), "--rate", rate]);
        let after = counts(&acknowledged);
        stop.store(true, Ordering::Release);
        (before, after)
    });
    assert!(
        before.iter().zip(&after).all(|(before, after)| after > before),
        "writers went on: {before:?} {after:?}"
    );
    let facts = manifest(&backup);
    assert!(facts.end.until > facts.begin.after, "changes came in while items were read");

    let (data_dir, again) = (folder.join("restored"), folder.join("again"));
    done(&["restore", text(&backup), "--data-dir", text(&data_dir), "--groups", "7"]);
    let restored = Larder::start(&data_dir, &[]).unwrap();
    done(&["backup", &restored.address().to_string(), text(&again)]);
    let found = items(&again);
    for number in 0..idle {
        let kept = found
            .get(format!("idle{number}").as_bytes())
            .unwrap_or_else(|| panic!("idle{number} is missing"));
        assert_eq!((kept.value.as_slice(), kept.client_flags), (format!("{number:0>100}").as_bytes(), 7));
    }
    assert_eq!(found.keys().filter(|key| key.starts_with(b"idle")).count(), idle);
    for (writer, (least, most)) in before.iter().zip(&after).enumerate() {
        let step = prefix_of(&found, writer, *least, *most + 1);
        assert!(step.is_some(), "writer {writer}: not the state after any of its steps {least} to {most}");
    }
}

#[test]
fn a_backup_under_load_is_the_state_at_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    // Little memory and a small log: most items are only on disk, checkpoints and trimming go on meanwhile.
    back_up_under_load(folder.path(), 30_000, &["--groups", "4", "-m", "8", "--log-size", "16m"], "8");
}

#[test]
fn a_backup_of_a_million_items_under_load() {
    if !skips::long("a backup of a million items") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    back_up_under_load(folder.path(), 1_000_000, &["-m", "64"], "1000");
}
