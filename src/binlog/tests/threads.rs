//! The log as a server uses it: real files, real threads.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;
use crate::binlog::gather::{Gathering, Round};
use crate::binlog::{RealDisk, Refusal, State, run};

const APPENDERS: u16 = 4;
const APPENDS: u32 = 2000;

fn start_real(path: &std::path::Path, fsync: Fsync) -> (Arc<Log>, Vec<(GroupId, u32)>, Report) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(path).unwrap());
    let (_, incarnation, _) = Starts::open(Arc::clone(&disk)).unwrap();
    let mut entries = Vec::new();
    let each = |_, entry: &Entry<'_>| {
        let number = key_value(entry).1.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        entries.push((entry.group, number.unwrap()));
        Ok(())
    };
    let segment_bytes = 4 * SEGMENT_BYTES;
    let options =
        Options { segment_bytes, log_bytes_max: 100 * segment_bytes, ..options(fsync, incarnation) };
    let recovered = Recovery::open(disk, options).unwrap().replay(each, |_| ()).unwrap();
    let report = recovered.report.clone();
    (recovered.finish(Lsn::ZERO).unwrap(), entries, report)
}

/// A worker: appends to its group, writes, and waits to be woken for what it appended.
fn append_many(log: &Arc<Log>, group: u16) {
    let (sender, woken) = mpsc::channel();
    let subscription = log.subscribe(Arc::new(move || sender.send(()).unwrap_or(())));
    for number in 0..APPENDS {
        let value = [&number.to_le_bytes()[..], &[group as u8; 90]].concat();
        let lsn = loop {
            match log.append(&set(group, b"key", &value), &[]) {
                Ok(lsn) => break lsn,
                Err(Refusal::Busy) => {
                    log.write_pending();
                    woken.recv().unwrap();
                }
                Err(other) => panic!("{other:?}"),
            }
        };
        if number % 16 == 15 {
            log.write_pending();
            while subscription.ask() < lsn {
                woken.recv().unwrap();
            }
        }
    }
}

#[test]
fn concurrent_appends_keep_their_order_and_everyone_is_woken() {
    for fsync in [Fsync::Always, Fsync::EverySec, Fsync::Never] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("binlog");
        let (log, ..) = start_real(&path, fsync);
        thread::scope(|scope| {
            let thread = scope.spawn(|| run(&log));
            let appenders: Vec<_> = (0..APPENDERS)
                .map(|group| {
                    scope.spawn({
                        let log = &log;
                        move || append_many(log, group)
                    })
                })
                .collect();
            appenders.into_iter().for_each(|appender| appender.join().unwrap());
            log.sync_past(log.appended_lsn()).unwrap();
            log.close();
            thread.join().unwrap();
        });
        assert!(matches!(log.state(), State::Stopped(_)));
        let (_, entries, report) = start_real(&path, fsync);
        assert!(report.closed && report.cut.is_none());
        assert_eq!(report.durable_lsn, Lsn(u64::from(APPENDERS) * u64::from(APPENDS)));
        for group in 0..APPENDERS {
            let of_group = entries.iter().filter(|(of, _)| *of == GroupId(group)).map(|(_, number)| *number);
            assert!(of_group.eq(0..APPENDS), "{fsync:?}: group {group} is in order");
        }
    }
}

#[test]
fn one_sync_serves_all_who_wait() {
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::Always).unwrap();
    let before = log.figures().syncs;
    for number in 0..50 {
        append_batch_unwritten(&log, number);
    }
    log.sync_round().unwrap();
    assert_eq!((log.figures().syncs - before, log.safe_lsn()), (1, Lsn(50)));
}

#[test]
fn the_log_thread_is_woken_when_all_for_whom_it_waits_are_there() {
    let (log, ..) = start(&SimDisk::new(), Fsync::Always).unwrap();
    let append_one = |number| {
        append_batch_unwritten(&log, number);
        log.write_pending();
    };
    log.gathers_to.store(3, SeqCst);
    append_one(1);
    append_one(2);
    assert!(!log.bell.wait(Some(Duration::ZERO)), "the first two do not wake it");
    append_one(3);
    assert!(log.bell.wait(Some(Duration::ZERO)), "the third does");
    append_one(4);
    assert!(log.bell.wait(Some(Duration::ZERO)), "and who comes after it");
}

#[test]
fn a_sync_waits_for_those_whom_the_last_released() {
    let (log, ..) = start(&SimDisk::new(), Fsync::Always).unwrap();
    let released_two =
        Round { before: Lsn(0), durable: Lsn(2), appended: Lsn(0), took: Duration::from_secs(10) };
    let mut gathering = Gathering::default();
    gathering.note_round(&released_two);
    append_batch_unwritten(&log, 1);
    log.bell.ring();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while log.gathers_to.load(SeqCst) == 0 && !is_over.load(SeqCst) {
                thread::yield_now();
            }
            append_batch_unwritten(&log, 2);
            log.write_pending();
        });
        log.gather(&mut gathering);
        is_over.store(true, SeqCst);
    });
    assert_eq!((log.gathers_to.load(SeqCst), log.appended_lsn()), (0, Lsn(2)));
    assert!(gathering.wait(Lsn(0)).is_some(), "it was not in vain");
}

fn append_batch_unwritten(log: &Log, number: u32) {
    log.append(&set(1, format!("key-{number}").as_bytes(), &value_of(number)), &[]).unwrap();
}

#[test]
fn real_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("binlog");
    drop(start_real(&path, Fsync::Always));
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for entry in std::fs::read_dir(&path).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}
