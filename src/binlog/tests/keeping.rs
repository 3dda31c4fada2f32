//! What is kept of the log beyond its own need: holds and their bounds, copies while it is written, the archive.

use super::*;
use crate::binlog::{Ended, History};

/// Five sets and a trim of all that is written.
fn fill_and_trim(log: &Log, numbers: &mut u32) {
    for _ in 0..20 {
        log.pool_round();
        append_batch(log, *numbers..*numbers + 5);
        *numbers += 5;
    }
    log.sync_past(log.appended_lsn()).unwrap();
    log.trim(log.appended_lsn());
    log.pool_round();
}

#[test]
fn a_hold_lapses_at_its_bound() {
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
    log.pool.lock().bound_holds(6);
    let hold = log.hold(Lsn(1));
    let mut numbers = 0;
    let mut most = 0;
    while !hold.has_lapsed() {
        fill_and_trim(&log, &mut numbers);
        most = most.max(segment_names(&disk).len());
        assert!(numbers < 100_000, "it never lapses");
    }
    assert!((6..12).contains(&most), "{most} segments were held");
    fill_and_trim(&log, &mut numbers);
    assert!(segment_names(&disk).len() as u64 <= SEGMENTS_MAX, "what it held is used again");
}

#[test]
fn a_hold_lapses_when_the_disk_is_full() {
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
    let hold = log.hold(Lsn(1));
    let mut numbers = 0;
    for _ in 0..10 {
        fill_and_trim(&log, &mut numbers);
    }
    assert!(!hold.has_lapsed() && segment_names(&disk).len() as u64 > SEGMENTS_MAX);
    disk.set_room(Some(0));
    for _ in 0..300 {
        log.pool_round();
        // Refused while there is no room; what the hold gives up makes room.
        let _ = log.append(&set(1, b"k", &[7; 3000]), &[]);
        write(&log).unwrap();
    }
    assert!(hold.has_lapsed(), "writers go on with what it held");
}

/// Reads what was copied.
fn read(disks: &[&SimDisk], after: Lsn, durable: Lsn) -> Result<(Vec<u32>, Ended), Fault> {
    let disks: Vec<Arc<dyn Disk>> =
        disks.iter().map(|disk| Arc::new((*disk).clone()) as Arc<dyn Disk>).collect();
    let mut entries = Vec::new();
    let ended = History::open(&disks, after)?.replay(durable, |lsn, entry| {
        entries.push((lsn, key_value(entry)));
        Ok(())
    })?;
    Ok((numbers(&entries), ended))
}

#[test]
fn the_log_is_copied_while_it_is_written() {
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
    let mut count = 0;
    fill_and_trim(&log, &mut count);
    let _hold = log.hold(log.appended_lsn().next());
    let after = log.appended_lsn();
    let first = count;
    for _ in 0..3 {
        fill_and_trim(&log, &mut count);
    }
    assert_eq!(log.extents(after, Lsn(after.0 + 1_000_000)).unwrap(), None, "not written yet");
    let (extents, until) = log.extents(after, log.appended_lsn()).unwrap().unwrap();
    let last = count;
    // What comes later is no part of it.
    fill_and_trim(&log, &mut count);
    let copy = SimDisk::new();
    for extent in &extents {
        let mut bytes = vec![0; extent.bytes as usize];
        assert_eq!(log.open_extent(extent).unwrap().read_at(&mut bytes, 0).unwrap(), bytes.len());
        copy.set_bytes(&extent.file_name(), bytes);
    }
    let (found, ended) = read(&[&copy], after, until).unwrap();
    assert_eq!(found, (first..last).collect::<Vec<_>>());
    assert_eq!((ended.end, ended.cut), (until, None));

    // Nothing may be missing or damaged of it, be it the last byte.
    let whole = copy.bytes(&extents[1].file_name()).unwrap();
    for at in [5, 100, 4096 + 9, whole.len() - 1] {
        let mut bad = whole.clone();
        bad[at] ^= 1;
        copy.set_bytes(&extents[1].file_name(), bad);
        assert!(read(&[&copy], after, until).is_err(), "byte {at}");
    }
    copy.set_bytes(&extents[1].file_name(), whole[..whole.len() - 8].to_vec());
    assert!(read(&[&copy], after, until).is_err(), "cut");
    copy.remove(&extents[1].file_name()).unwrap();
    let fault = read(&[&copy], after, until).unwrap_err();
    assert!(fault.message.contains("missing"), "{fault}");
}

/// A start with an archive.
fn start_with_archive(disk: &SimDisk, archive: &SimDisk) -> Arc<Log> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let (_, incarnation, _) = Starts::open(Arc::clone(&disk)).unwrap();
    let recovery = Recovery::open(disk, options(Fsync::EverySec, incarnation)).unwrap();
    let recovery = recovery.archived_to(Some(Arc::new(archive.clone())));
    recovery.replay(|_, _| Ok(()), |_| ()).unwrap().finish(Lsn::ZERO).unwrap()
}

#[test]
fn archive_and_log_together_have_everything_over_several_starts() {
    let (disk, archive) = (SimDisk::new(), SimDisk::new());
    let mut count = 0;
    for _ in 0..4 {
        // A start without a change leaves nothing in the archive.
        drop(start_with_archive(&disk, &archive));
        let log = start_with_archive(&disk, &archive);
        for _ in 0..3 {
            fill_and_trim(&log, &mut count);
        }
        append_batch(&log, count..count + 1);
        count += 1;
    }
    let (found, _) = read(&[&archive, &disk], Lsn::ZERO, Lsn::ZERO).unwrap();
    assert_eq!(found, (0..count).collect::<Vec<_>>());
    let names = segment_names(&archive);
    assert!(names.len() > 8, "{names:?}");
    archive.remove(&names[names.len() / 2]).unwrap();
    assert!(read(&[&archive, &disk], Lsn::ZERO, Lsn::ZERO).is_err(), "a gap is found");
}

#[test]
fn an_archive_that_fails_is_waited_for_within_bounds() {
    let (disk, archive) = (SimDisk::new(), SimDisk::new());
    let log = start_with_archive(&disk, &archive);
    log.pool.lock().bound_holds(8);
    let mut count = 0;
    archive.set_room(Some(0));
    for _ in 0..4 {
        fill_and_trim(&log, &mut count);
    }
    let figures = log.archive_figures().unwrap();
    assert!(figures.is_failing && figures.lost == 0, "{figures:?}");
    archive.set_room(None);
    assert!(log.pool_round() || !log.archive_figures().unwrap().is_failing);
    fill_and_trim(&log, &mut count);
    let figures = log.archive_figures().unwrap();
    assert!(!figures.is_failing && figures.lost == 0 && figures.kept > 0, "{figures:?}");
    assert!(read(&[&archive, &disk], Lsn::ZERO, Lsn::ZERO).is_ok(), "nothing is missing");

    archive.set_room(Some(0));
    while log.archive_figures().unwrap().lost == 0 {
        fill_and_trim(&log, &mut count);
        assert!(count < 100_000, "it is waited for without end");
    }
    assert!(segment_names(&disk).len() < 20, "{:?}", segment_names(&disk));
    archive.set_room(None);
    fill_and_trim(&log, &mut count);
    assert!(read(&[&archive, &disk], Lsn::ZERO, Lsn::ZERO).is_err(), "the gap is found");
}
