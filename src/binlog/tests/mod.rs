//! The log on a simulated disk, driven by hand so that every step is where the test wants it.

mod ceiling;
mod crash;
mod damage;
mod golden;
mod keeping;
mod records;
mod space;
mod threads;

use std::sync::Arc;

use super::disk::Disk;
use super::sim::SimDisk;
use super::{Body, Entry, Fsync, Log, Options, Origin, Recovery, Report, Starts, Written};
use crate::base::effect::{Cause, Effect, NewValue, Put};
use crate::base::fault::Fault;
use crate::base::item::Marks;
use crate::base::lsn::{GroupId, Lsn};
use crate::base::time::{Deadline, UnixMs};
use crate::base::version::{Stamp, Version};

/// Small, so that tests go through many.
const SEGMENT_BYTES: u64 = 16 * 1024;
const SEGMENTS_MAX: u64 = 5;

fn options(fsync: Fsync, incarnation: u32) -> Options {
    Options {
        segment_bytes: SEGMENT_BYTES,
        log_bytes_max: SEGMENTS_MAX * SEGMENT_BYTES,
        buffer_bytes_max: 32 * 1024,
        ..Options::new(fsync, 3, incarnation, 0x5A17)
    }
}

/// A set: what tests append.
fn set<'a>(group: u16, key: &'a [u8], value: &'a [u8]) -> Entry<'a> {
    let version = Version(1 << 40);
    Entry {
        group: GroupId(group),
        group_epoch: 0,
        origin: Origin::HERE,
        stamp: Stamp { now: UnixMs(1_700_000_000_123), version },
        body: Body::Item {
            key,
            effect: Effect::Put(Put {
                cause: Cause::Set,
                value: NewValue::Whole(value),
                client_flags: 0,
                deadline: Deadline::NEVER,
                cas: version.0,
                marks: Marks::default(),
                base: Version::ZERO,
                delta: 0,
            }),
        },
    }
}

/// Key and value of an entry that [`set`] made.
fn key_value(entry: &Entry<'_>) -> (Vec<u8>, Vec<u8>) {
    match entry.body {
        Body::Item { key, effect: Effect::Put(Put { value: NewValue::Whole(value), .. }) } => {
            (key.to_vec(), value.to_vec())
        }
        other => panic!("not a set: {other:?}"),
    }
}

type Entries = Vec<(Lsn, (Vec<u8>, Vec<u8>))>;

/// A start: counts it, replays, opens the log.
fn start(disk: &SimDisk, fsync: Fsync) -> Result<(Arc<Log>, Entries, Report), Fault> {
    start_with(disk, fsync, Lsn::ZERO)
}

fn start_with(disk: &SimDisk, fsync: Fsync, floor: Lsn) -> Result<(Arc<Log>, Entries, Report), Fault> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let (_, incarnation, _) = Starts::open(Arc::clone(&disk))?;
    let mut entries = Vec::new();
    let recovered = Recovery::open(disk, options(fsync, incarnation))?.replay(
        |lsn, entry| {
            entries.push((lsn, key_value(entry)));
            Ok(())
        },
        |progress| assert!(progress.bytes <= progress.bytes_total),
    )?;
    let report = recovered.report.clone();
    Ok((recovered.finish(floor)?, entries, report))
}

/// A log that is about to be replayed.
fn recovery_of(disk: &SimDisk) -> Recovery {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let (_, incarnation, _) = Starts::open(Arc::clone(&disk)).unwrap();
    Recovery::open(disk, options(Fsync::EverySec, incarnation)).unwrap()
}

/// What a worker and the log thread do between them when there is something to write.
fn write(log: &Log) -> Result<(), Fault> {
    if log.write_pending() == Written::Left { log.write_round() } else { Ok(()) }
}

/// Appends sets `from..to` to group 1, writes them as one batch; their keys are their numbers.
fn append_batch(log: &Log, numbers: std::ops::Range<u32>) -> Vec<Lsn> {
    let lsns = numbers
        .map(|number| {
            let key = format!("key-{number}");
            log.append(&set(1, key.as_bytes(), &value_of(number)), &[]).unwrap()
        })
        .collect();
    write(log).unwrap();
    lsns
}

/// Different for each number, of different lengths.
fn value_of(number: u32) -> Vec<u8> {
    let len = 20 + (number as usize * 7) % 60;
    (0..len).map(|at| (number as usize * 31 + at * 7) as u8).collect()
}

/// The numbers of sets that [`append_batch`] made, after a check of their values.
fn numbers(entries: &Entries) -> Vec<u32> {
    let number =
        |key: &[u8]| std::str::from_utf8(key).unwrap().strip_prefix("key-").unwrap().parse().unwrap();
    entries
        .iter()
        .map(|(_, (key, value))| {
            assert_eq!(*value, value_of(number(key)));
            number(key)
        })
        .collect()
}

/// The names of the segments that the log has, oldest first.
fn segment_names(disk: &SimDisk) -> Vec<String> {
    let mut names: Vec<String> =
        disk.list().unwrap().into_iter().filter(|name| name.starts_with("log-")).collect();
    names.sort();
    names
}
