//! Torn tails are cut, damage is refused: at every byte.

use super::*;
use crate::base::fault::FaultKind;
use crate::binlog::segment::HEADER_BYTES;

/// A record where it lies, read by `FORMAT.md` and not by the code under test.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    end: usize,
    /// The LSN that is due here.
    lsn: u64,
    /// The durable LSN that a batch record tells of.
    durable: Option<u64>,
}

fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    bytes[at..at + len].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The records of a segment.
fn places(bytes: &[u8]) -> Vec<Place> {
    let mut places = Vec::new();
    let mut start = HEADER_BYTES;
    while number(bytes, start, 8) != 0 {
        let end = (start + number(bytes, start + 4, 4) as usize).next_multiple_of(8);
        let is_batch = bytes[start + 18] == 1;
        let durable = is_batch.then(|| number(bytes, start + 24, 8));
        places.push(Place { start, end, lsn: number(bytes, start + 8, 8), durable });
        start = end;
    }
    places
}

/// A log of one segment: two synced batches, then two that no durable LSN covers.
fn torn_log() -> (SimDisk, String, Vec<u8>, Vec<Place>) {
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
    append_batch(&log, 1..3);
    log.sync_round().unwrap();
    append_batch(&log, 3..5);
    log.sync_round().unwrap();
    append_batch(&log, 5..7);
    append_batch(&log, 7..10);
    let name = segment_names(&disk).pop().unwrap();
    let bytes = disk.bytes(&name).unwrap();
    let places = places(&bytes);
    assert_eq!(places.iter().filter_map(|place| place.durable).collect::<Vec<_>>(), [0, 2, 4, 4]);
    (disk, name, bytes, places)
}

/// Starts on these bytes, appends, is killed, starts again: what is there is what was there, and the new.
fn goes_on(disk: &SimDisk, survivors: u32, what: &str) {
    let (log, entries, _) = start(disk, Fsync::EverySec).unwrap();
    assert_eq!(numbers(&entries), (1..=survivors).collect::<Vec<_>>(), "{what}");
    let new = append_batch(&log, 100..103);
    log.sync_round().unwrap();
    append_batch(&log, 103..104);
    assert!(new[0] > Lsn(u64::from(survivors)), "{what}");
    for disk in [disk.after_kill(), disk.after_power_cut(7)] {
        let (_, entries, _) = start(&disk, Fsync::EverySec).unwrap();
        let (old, new) = numbers(&entries).into_iter().partition::<Vec<_>, _>(|number| *number < 100);
        assert_eq!(old, (1..=survivors).collect::<Vec<_>>(), "{what}, the second time");
        assert!(new.starts_with(&[100, 101, 102]), "{what}: {new:?}");
    }
}

#[test]
fn a_log_cut_at_every_byte_keeps_every_whole_record() {
    let (disk, name, bytes, places) = torn_log();
    let end = places.last().unwrap().end;
    for cut in HEADER_BYTES..=end {
        for junk in [None, Some(0), Some(0xA5)] {
            let mut torn = bytes[..cut].to_vec();
            if let Some(junk) = junk {
                torn.resize(bytes.len(), junk);
            }
            // What is cut off may have been zeros as well: padding.
            let whole = |place: &&Place| {
                place.durable.is_none() && torn.get(..place.end) == Some(&bytes[..place.end])
            };
            let survivors = places.iter().filter(whole).count() as u32;
            let disk = disk.after_kill();
            disk.set_bytes(&name, torn);
            goes_on(&disk, survivors, &format!("cut at {cut}, then {junk:?}"));
        }
    }
}

#[test]
fn every_flipped_byte_is_cut_above_the_durable_lsn_and_refused_below() {
    let (disk, name, bytes, places) = torn_log();
    let end = places.last().unwrap().end;
    for at in HEADER_BYTES..end {
        let place = places.iter().find(|place| place.end > at).unwrap();
        let durable =
            places.iter().filter(|other| other.start != place.start).filter_map(|other| other.durable).max();
        let disk = disk.after_kill();
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        disk.set_bytes(&name, flipped);
        if Some(place.lsn) <= durable {
            let fault =
                start(&disk, Fsync::EverySec).err().unwrap_or_else(|| panic!("byte {at} was not refused"));
            assert_eq!(fault.kind, FaultKind::Corrupt);
            assert_eq!(fault.path, Some(disk.path(&name)));
            assert_eq!((fault.offset, fault.lsn), (Some(place.start as u64), Some(Lsn(place.lsn))));
        } else {
            goes_on(&disk, place.lsn as u32 - 1, &format!("byte {at} flipped"));
        }
    }
}

#[test]
fn a_cut_is_reported_with_its_place_and_a_whole_log_is_not_cut() {
    let (disk, name, mut bytes, places) = torn_log();
    assert_eq!(start(&disk.after_kill(), Fsync::EverySec).unwrap().2.cut, None);
    let place = places[places.len() - 2];
    bytes[place.start + 20] ^= 1;
    disk.set_bytes(&name, bytes);
    let cut = start(&disk, Fsync::EverySec).unwrap().2.cut.unwrap();
    assert_eq!((cut.path, cut.offset), (disk.path(&name), place.start as u64));
    assert_eq!(cut.bytes, (places.last().unwrap().end - place.start) as u64);
}

#[test]
fn a_cut_tail_stays_cut_when_later_records_are_durable() {
    // The tail of the first start is torn, with good records behind the bad one. Whatever later starts write and
    // sync, the tail is neither replayed nor taken for damage.
    let (disk, name, mut bytes, places) = torn_log();
    let place = places.iter().find(|place| place.lsn == 6 && place.durable.is_none()).unwrap();
    bytes[place.start + 30] ^= 1;
    disk.set_bytes(&name, bytes);
    let mut kept = vec![1, 2, 3, 4, 5];
    let mut last = Lsn::ZERO;
    for round in 1..4 {
        let (log, entries, report) = start(&disk, Fsync::EverySec).unwrap();
        assert_eq!(numbers(&entries), kept);
        assert_eq!(report.cut.is_some(), round == 1, "round {round}");
        let lsns = append_batch(&log, round * 10..round * 10 + 3);
        log.sync_round().unwrap();
        append_batch(&log, round * 10 + 3..round * 10 + 4);
        log.sync_round().unwrap();
        assert!(lsns[0] > last && lsns[0] > Lsn(9), "LSNs of the lost tail are not given again");
        last = log.appended_lsn();
        kept.extend(round * 10..round * 10 + 4);
    }
}

#[test]
fn damage_in_an_older_segment_is_refused_at_every_byte_of_a_record() {
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
    let mut number = 1;
    while segment_names(&disk).len() < 3 {
        log.pool_round();
        append_batch(&log, number..number + 5);
        number += 5;
    }
    let name = segment_names(&disk).remove(1);
    let bytes = disk.bytes(&name).unwrap();
    let records = places(&bytes);
    for place in [records[0], records[3], *records.last().unwrap()] {
        for at in place.start..place.end {
            let disk = disk.after_kill();
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x80;
            disk.set_bytes(&name, flipped);
            let fault = start(&disk, Fsync::EverySec).err().unwrap();
            assert_eq!(
                (fault.kind, fault.offset),
                (FaultKind::Corrupt, Some(place.start as u64)),
                "byte {at}"
            );
        }
    }
}

#[test]
fn damage_in_the_sealed_half_of_a_value_is_refused_with_its_place() {
    // No durable LSN covers the value, but the segment that holds its first part was synced before the next began.
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
    log.pool_round();
    log.append(&set(1, b"key-1", &[7; 15_000]), &[]).unwrap();
    log.write_round().unwrap();
    assert_eq!(log.durable_lsn(), Lsn::ZERO);
    let name = segment_names(&disk).remove(0);
    let mut bytes = disk.bytes(&name).unwrap();
    let part = places(&bytes)[2];
    bytes[part.start + 100] ^= 1;
    disk.set_bytes(&name, bytes);
    let fault = start(&disk, Fsync::EverySec).err().unwrap();
    assert_eq!((fault.kind, fault.path), (FaultKind::Corrupt, Some(disk.path(&name))));
    assert_eq!(fault.offset, Some(part.start as u64));
}

#[test]
fn every_damage_to_the_files_is_told_by_file() {
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
    for number in 0..60 {
        log.pool_round();
        append_batch(&log, number * 5..number * 5 + 5);
    }
    let names = segment_names(&disk);
    assert!(names.len() >= 3);
    type Damage = fn(&SimDisk, &str);
    let damages: [(&str, usize, Damage); 6] = [
        ("the first is missing", 0, |disk, name| disk.remove(name).unwrap()),
        ("one in the middle is missing", 1, |disk, name| disk.remove(name).unwrap()),
        ("one is empty", 1, |disk, name| disk.set_bytes(name, Vec::new())),
        ("one is cut short", 1, |disk, name| {
            let bytes = disk.bytes(name).unwrap();
            disk.set_bytes(name, bytes[..6000].to_vec());
        }),
        ("one has the bytes of another", 1, |disk, name| {
            let other = segment_names(disk).remove(0);
            disk.set_bytes(name, disk.bytes(&other).unwrap());
        }),
        ("the last one's header is damaged", names.len() - 1, |disk, name| {
            let mut bytes = disk.bytes(name).unwrap();
            bytes[33] ^= 4;
            disk.set_bytes(name, bytes);
        }),
    ];
    for (what, index, damage) in damages {
        let disk = disk.after_kill();
        damage(&disk, &names[index]);
        let before = disk.list().unwrap();
        let fault = start(&disk, Fsync::EverySec).err().unwrap_or_else(|| panic!("{what}"));
        assert_eq!(fault.kind, FaultKind::Corrupt, "{what}");
        assert_eq!(fault.path, Some(disk.path(&names[index])), "{what}");
        assert_eq!(disk.list().unwrap(), before, "{what}: nothing is changed");
    }
}

#[test]
fn a_later_format_is_refused_as_such() {
    let (disk, name, mut bytes, _) = torn_log();
    bytes[12] = 2;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..8]), &bytes[12..HEADER_BYTES]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    disk.set_bytes(&name, bytes);
    assert_eq!(start(&disk, Fsync::EverySec).err().unwrap().kind, FaultKind::Mismatch);
}

#[test]
fn a_value_that_lacks_a_part_is_dropped_whole() {
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
    append_batch(&log, 1..3);
    log.append(&set(1, b"key-3", &[7; 10_000]), &[]).unwrap();
    write(&log).unwrap();
    let name = segment_names(&disk).remove(0);
    let bytes = disk.bytes(&name).unwrap();
    let parts: Vec<Place> = places(&bytes).into_iter().filter(|place| place.lsn == 3).collect();
    assert_eq!(parts.len(), 4, "a batch record and three parts: {parts:?}");
    for part in &parts[1..] {
        let disk = disk.after_kill();
        disk.set_bytes(&name, bytes[..part.start + 50].to_vec());
        goes_on(&disk, 2, &format!("without the part at {}", part.start));
    }
}
