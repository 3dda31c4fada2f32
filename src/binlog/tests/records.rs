//! Entries come back as they were given.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::base::effect::{Digits, FlushMark, Removal, Touch};
use crate::base::limits::RECORD_BYTES_MAX;
use crate::binlog::record::{Encoder, Frame, Record, decode, frame};

const SEED: u32 = 0xABCD;
const HERE: Origin = Origin { server: 3, incarnation: 9, sequence: 0 };

/// The entry as a reader is to get it.
fn expected(mut entry: Entry<'_>) -> String {
    if entry.origin.is_here() {
        entry.origin = Origin { sequence: 77, ..HERE };
    }
    format!("{entry:?}")
}

fn read(bytes: &[u8]) -> String {
    let Frame::Good(record, whole) = frame(bytes, SEED) else { panic!("no record: {bytes:?}") };
    assert_eq!(whole, bytes.len());
    match decode(record, HERE).unwrap() {
        Record::Entry(Lsn(77), entry, None) => format!("{entry:?}"),
        other => panic!("{other:?}"),
    }
}

fn any_body<'a>(key: &'a [u8], value: &'a [u8], numbers: [u64; 4], kind: u8, cause: u8) -> Body<'a> {
    let cause = Cause::from_byte(cause).unwrap();
    let [cas, base, delta, small] = numbers;
    let (deadline, marks) = (Deadline::from_seconds(small as u32), Marks((small >> 40) as u8 & 7));
    let base = Version(base);
    let effect = match kind {
        0 => return Body::Flush(FlushMark { below: base, pending_s: small as u32 }),
        1 => Effect::Remove(Removal { cause, base }),
        2 => Effect::Touch(Touch { cause, deadline, cas, marks, base }),
        _ => Effect::Put(Put {
            cause,
            value: NewValue::Whole(value),
            client_flags: (small >> 32) as u32,
            deadline,
            cas,
            marks,
            base,
            delta,
        }),
    };
    Body::Item { key, effect }
}

/// Numbers that are often zero, so that fields are often left out.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1 << 40), any::<u64>()]
}

proptest! {
    #[test]
    fn every_entry_survives(
        key in prop::collection::vec(any::<u8>(), 1..=250),
        value in prop::collection::vec(any::<u8>(), 0..600),
        numbers in [number(), number(), number(), number()],
        stamp in [number(), number()],
        kind in 0..4u8,
        cause in 1..=18u8,
        group in 0..4096u16,
        group_epoch in prop_oneof![Just(0u32), any::<u32>()],
        origin in prop_oneof![Just((0u16, 0u32, 0u64)), (any::<u16>(), 1..=u32::MAX, any::<u64>())],
    ) {
        let entry = Entry {
            group: GroupId(group),
            group_epoch,
            origin: Origin { server: origin.0, incarnation: origin.1, sequence: origin.2 },
            stamp: Stamp { now: UnixMs(stamp[0]), version: Version(stamp[1]) },
            body: any_body(&key, &value, numbers, kind, cause),
        };
        let encoder = Encoder::new(&entry, &[], RECORD_BYTES_MAX);
        let piece = encoder.pieces().next().unwrap();
        let mut bytes = Vec::new();
        encoder.put(piece, Lsn(77), SEED, &mut bytes);
        prop_assert_eq!(encoder.single(), Some(bytes.len()));
        prop_assert_eq!(read(&bytes), expected(entry));
    }

    #[test]
    fn junk_is_never_a_record_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Frame::Good(record, _) = frame(&bytes, SEED) {
            drop(decode(record, HERE));
        }
        drop(decode(&bytes, HERE));
    }

    #[test]
    fn values_of_every_length_survive_the_log(
        lens in prop::collection::vec(prop_oneof![0..200usize, 3900..4200usize, 0..20_000usize], 1..6),
    ) {
        let disk = SimDisk::new();
        let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
        let mut given = Vec::new();
        for len in lens {
            log.pool_round();
            let value: Vec<u8> = (0..len).map(|at| (at * 31 + len) as u8).collect();
            if log.append(&set(5, b"k", &value), &[]).is_ok() {
                given.push((log.appended_lsn(), (b"k".to_vec(), value)));
            }
            write(&log).unwrap();
        }
        let (_, entries, report) = start(&disk.after_kill(), Fsync::EverySec).unwrap();
        prop_assert_eq!(report.cut, None);
        prop_assert_eq!(entries, given);
    }
}

#[test]
fn a_common_set_is_small() {
    let entry = set(1, &[b'k'; 16], &[b'v'; 100]);
    assert_eq!(Encoder::new(&entry, &[], RECORD_BYTES_MAX).single(), Some(160));
}

#[test]
fn the_old_value_is_put_together() {
    for (value, whole) in [
        (NewValue::Whole(b"new"), &b"new"[..]),
        (NewValue::OldThen(b"new"), b"oldnew"),
        (NewValue::ThenOld(b"new"), b"newold"),
        (NewValue::Digits(Digits::padded(7, 3)), b"7  "),
        (NewValue::Digits(Digits::padded(7, 22)), b"7                     "),
    ] {
        let disk = SimDisk::new();
        let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
        let mut entry = set(1, b"k", b"");
        if let Body::Item { effect: Effect::Put(put), .. } = &mut entry.body {
            put.value = value;
        }
        log.append(&entry, b"old").unwrap();
        write(&log).unwrap();
        let (_, entries, _) = start(&disk.after_kill(), Fsync::EverySec).unwrap();
        assert_eq!(entries, [(Lsn(1), (b"k".to_vec(), whole.to_vec()))], "{value:?}");
    }
}

#[test]
fn a_record_of_another_segment_start_or_secret_is_none() {
    use crate::binlog::segment::seed;
    let entry = set(1, b"key", b"value");
    let encoder = Encoder::new(&entry, &[], RECORD_BYTES_MAX);
    let mut bytes = Vec::new();
    encoder.put((0, 5), Lsn(1), seed(5, 2, 9), &mut bytes);
    assert!(matches!(frame(&bytes, seed(5, 2, 9)), Frame::Good(..)));
    for other in [seed(6, 2, 9), seed(5, 3, 9), seed(5, 2, 8)] {
        assert_eq!(frame(&bytes, other), Frame::Bad);
    }
}

#[test]
fn a_foreign_origin_is_kept_and_ours_is_filled_in() {
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
    let foreign = Origin { server: 8, incarnation: 4, sequence: 99 };
    log.append(&Entry { origin: foreign, group_epoch: 6, ..set(1, b"a", b"") }, &[]).unwrap();
    log.append(&set(1, b"b", b""), &[]).unwrap();
    write(&log).unwrap();
    let mut origins = Vec::new();
    let disk: Arc<dyn Disk> = Arc::new(disk.after_kill());
    let each = |_, entry: &Entry<'_>| {
        origins.push((entry.origin, entry.group_epoch));
        Ok(())
    };
    Recovery::open(disk, options(Fsync::EverySec, 2)).unwrap().replay(each, |_| ()).unwrap();
    assert_eq!(origins, [(foreign, 6), (Origin { server: 3, incarnation: 1, sequence: 2 }, 0)]);
}
