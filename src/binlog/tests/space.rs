//! Segments: made ahead, recycled, bounded; a full disk refuses what is new and nothing else.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::binlog::{Refusal, State};

/// Appends sets of 1000 bytes until one is refused: how many went in, and why no more.
fn fill(log: &Log) -> (u32, Refusal) {
    let mut count = 0;
    loop {
        match log.append(&set(1, b"k", &[7; 1000]), &[]) {
            Ok(_) => count += 1,
            Err(refusal) => return (count, refusal),
        }
        write(log).unwrap();
    }
}

/// Everything is in the stores.
fn checkpoint(log: &Log) {
    let lsn = log.appended_lsn();
    log.sync_past(lsn).unwrap();
    log.trim(lsn);
}

#[test]
fn trimming_and_recycling_bound_the_files_and_no_stale_record_comes_back() {
    let disk = SimDisk::new();
    let mut next = 0;
    for _ in 0..6 {
        let (log, entries, report) = start(&disk, Fsync::EverySec).unwrap();
        assert_eq!(report.cut, None);
        let found = numbers(&entries);
        assert_eq!(found, (next - found.len() as u32..next).collect::<Vec<_>>());
        // Every record is as long as those before it in the recycled file: only the checksum tells them apart.
        for _ in 0..300 {
            log.pool_round();
            append_batch(&log, next..next + 5);
            next += 5;
            if next % 200 == 0 {
                checkpoint(&log);
            }
            let files = disk.list().unwrap().len() as u64;
            assert!(files <= SEGMENTS_MAX + 2, "{:?}", disk.list());
        }
        assert!(log.figures().segments_recycled > 10);
    }
}

#[test]
fn stale_records_behind_the_end_are_never_replayed() {
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
    let mut number = 0;
    while log.figures().segments_recycled < 3 {
        log.pool_round();
        append_batch(&log, number..number + 5);
        number += 5;
        checkpoint(&log);
    }
    while segment_names(&disk).len() < 2 {
        log.pool_round();
        append_batch(&log, number..number + 1);
        number += 1;
    }
    // The end mark is lost: what stands behind the last record now is a whole record of the file's earlier life.
    let name = segment_names(&disk).pop().unwrap();
    let mut bytes = disk.bytes(&name).unwrap();
    let end = log.figures().written_bytes;
    assert!(end > 0);
    let expected = numbers(&start(&disk.after_kill(), Fsync::EverySec).unwrap().1);
    let mark = (4096..bytes.len()).step_by(8).find(|at| bytes[*at..*at + 8] == [0; 8]).unwrap();
    bytes[mark..mark + 8].fill(0xEE);
    disk.set_bytes(&name, bytes);
    let (_, entries, report) = start(&disk, Fsync::EverySec).unwrap();
    assert_eq!(numbers(&entries), expected);
    assert!(report.cut.is_some());
}

#[test]
fn a_full_log_refuses_until_it_is_trimmed() {
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
    let woken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&woken);
    let _subscription = log.subscribe(Arc::new(move || {
        counter.fetch_add(1, SeqCst);
    }));
    let mut count = 0;
    loop {
        log.pool_round();
        match fill(&log) {
            (0, refusal) => break assert_eq!(refusal, Refusal::Busy),
            (more, _) => count += more,
        }
    }
    assert!(count > 40, "{count}");
    assert_eq!(log.used_bytes(), log.bytes_max());
    assert_eq!(log.state(), State::Running);
    let before = woken.load(SeqCst);
    checkpoint(&log);
    log.pool_round();
    assert!(woken.load(SeqCst) > before, "whoever was refused is told");
    assert!(fill(&log).0 > 10);
    let (_, entries, _) = start(&disk.after_power_cut(1), Fsync::EverySec).unwrap();
    assert!(entries.len() < count as usize, "what was trimmed is not replayed");
}

#[test]
fn a_full_disk_refuses_what_is_new_and_loses_nothing_that_was_taken() {
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
    disk.set_room(Some(0));
    assert!(log.pool_round(), "to be tried again");
    let (count, refusal) = fill(&log);
    assert_eq!((refusal, log.state()), (Refusal::DiskFull, State::Full));
    assert!(count >= 10, "the segment at hand is filled: {count}");
    log.sync_round().unwrap();
    assert_eq!(log.durable_lsn(), log.appended_lsn());
    disk.set_room(None);
    assert!(!log.pool_round());
    assert_eq!(log.state(), State::Running);
    let (more, _) = fill(&log);
    assert!(more > 0);
    let (_, entries, _) = start(&disk.after_kill(), Fsync::EverySec).unwrap();
    assert_eq!(entries.len() as u32, count + more);
}

#[test]
fn entries_that_can_never_fit_are_told_apart() {
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
    let value = vec![1; (SEGMENT_BYTES * SEGMENTS_MAX) as usize];
    assert_eq!(log.append(&set(1, b"k", &value), &[]), Err(Refusal::TooLarge));
    // One that needs several segments makes the pool make them.
    let value = &value[..40_000];
    assert_eq!(log.append(&set(1, b"k", value), &[]), Err(Refusal::Busy));
    log.pool_round();
    let lsn = log.append(&set(1, b"k", value), &[]).unwrap();
    assert!(log.durable_lsn() < lsn);
    log.write_round().unwrap();
    assert!(log.durable_lsn() < lsn, "the last part is written, not synced");
    log.sync_past(lsn).unwrap();
    // Trimmed up to the LSN before it, nothing of it goes.
    log.trim(Lsn(lsn.0 - 1));
    log.pool_round();
    let disk = disk.after_power_cut(1);
    let (log, entries, _) = start(&disk, Fsync::EverySec).unwrap();
    assert_eq!(entries, [(lsn, (b"k".to_vec(), value.to_vec()))]);
    log.trim(lsn);
    log.pool_round();
    assert_eq!(segment_names(&disk).len(), 1);
}

#[test]
fn the_buffer_is_bounded() {
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
    for _ in 0..3 {
        log.append(&set(1, b"k", &[1; 3000]), &[]).unwrap();
    }
    while log.append(&set(1, b"k", &[1; 3000]), &[]).is_ok() {
        log.pool_round();
    }
    assert!(log.figures().buffered_bytes <= options(Fsync::EverySec, 1).buffer_bytes_max);
    log.write_round().unwrap();
    log.pool_round();
    log.append(&set(1, b"k", &[1; 3000]), &[]).unwrap();
}

#[test]
fn what_is_held_stays_readable_and_does_not_stall_writers() {
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
    let hold = log.hold(Lsn(1));
    let mut number = 0;
    for _ in 0..400 {
        log.pool_round();
        append_batch(&log, number..number + 5);
        number += 5;
        if number % 100 == 0 {
            checkpoint(&log);
        }
    }
    let held = segment_names(&disk).len() as u64;
    assert!(held > SEGMENTS_MAX, "{held}");
    drop(hold);
    log.pool_round();
    assert!(disk.list().unwrap().len() as u64 <= SEGMENTS_MAX + 1, "{:?}", disk.list());
}

#[test]
fn starts_without_writes_do_not_fill_the_disk() {
    let disk = SimDisk::new();
    append_batch(&start(&disk, Fsync::EverySec).unwrap().0, 0..1);
    for _ in 0..20 {
        let (_, entries, _) = start(&disk, Fsync::EverySec).unwrap();
        assert_eq!(numbers(&entries), [0]);
        assert!(disk.list().unwrap().len() <= 4, "{:?}", disk.list());
    }
}

#[test]
fn what_an_interrupted_start_left_is_cleared_away() {
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
    append_batch(&log, 0..3);
    disk.set_bytes("unfinished-0000000000000009", vec![0; 100]);
    disk.set_bytes("spare-000000000000000a", vec![0; 100]);
    disk.set_bytes("somebody's notes", b"not ours".to_vec());
    let (_, entries, _) = start(&disk, Fsync::EverySec).unwrap();
    assert_eq!(numbers(&entries), [0, 1, 2]);
    let names = disk.list().unwrap();
    assert!(!names.iter().any(|name| name.starts_with("unfinished") || name.contains("000a")), "{names:?}");
    assert!(names.contains(&"somebody's notes".to_owned()));
}

#[test]
fn the_next_lsn_is_above_what_any_store_knows() {
    let disk = SimDisk::new();
    let (log, ..) = start_with(&disk, Fsync::EverySec, Lsn(1000)).unwrap();
    assert_eq!(append_batch(&log, 0..2), [Lsn(1001), Lsn(1002)]);
    let (log, entries, _) = start_with(&disk, Fsync::EverySec, Lsn(500)).unwrap();
    assert_eq!(numbers(&entries), [0, 1]);
    assert_eq!(append_batch(&log, 2..3), [Lsn(1003)]);
}
