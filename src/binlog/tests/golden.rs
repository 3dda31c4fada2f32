//! A segment of format 1, as it was first written: it is read for ever.
//!
//! The file is never made again. When a later format writes other bytes, that format gets a file of its own, and this
//! one is still read.

use super::*;
use crate::base::effect::{FlushMark, Removal, Touch};
use crate::binlog::run::seal;

const GOLDEN: &[u8] = include_bytes!("../../../protocol-tests/golden/binlog-1.segment");

/// The entries of the file: every kind, with and without every optional field.
fn entries() -> Vec<Entry<'static>> {
    let plain = set(1, b"plain", b"value");
    let stamp = Stamp { now: UnixMs(1_700_000_001_000), version: Version(1 << 41) };
    let item = |key, effect| Entry { stamp, body: Body::Item { key, effect }, ..plain };
    let deadline = Deadline::from_seconds(1_800_000_000);
    let base = Version(1 << 40);
    let put = Put {
        cause: Cause::Incr,
        value: NewValue::Whole(b"42"),
        client_flags: 0xDEAD_BEEF,
        deadline,
        cas: 77,
        marks: Marks::STALE.with(Marks::BINARY_KEY),
        base,
        delta: 41,
    };
    let touch = Touch { cause: Cause::Touch, deadline, cas: 78, marks: Marks::WON, base };
    vec![
        plain,
        Entry {
            group: GroupId(4095),
            group_epoch: 5,
            origin: Origin { server: 1023, incarnation: 6, sequence: 1 << 50 },
            ..item(b"full", Effect::Put(put))
        },
        item(b"touched", Effect::Touch(touch)),
        item(b"gone", Effect::Remove(Removal { cause: Cause::Delete, base })),
        Entry { body: Body::Flush(FlushMark { below: base, pending_s: 1_900_000_000 }), ..plain },
        Entry { body: Body::Flush(FlushMark::default()), ..plain },
        set(2, b"large", &LARGE),
    ]
}

const LARGE: [u8; 5000] = [b'L'; 5000];
const NAME: &str = "log-0000000000000001";

#[test]
fn the_golden_segment_is_read() {
    let disk = SimDisk::new();
    disk.set_bytes(NAME, GOLDEN.to_vec());
    let mut found = Vec::new();
    let recovery = Recovery::open(Arc::new(disk), options(Fsync::Always, 2)).unwrap();
    let recovered = recovery
        .replay(
            |lsn, entry| {
                found.push(format!("{lsn}: {entry:?}"));
                Ok(())
            },
            |_| (),
        )
        .unwrap();
    assert!(recovered.report.closed && recovered.report.cut.is_none());
    let expected: Vec<String> = entries()
        .into_iter()
        .zip(1..)
        .map(|(mut entry, lsn)| {
            if entry.origin.is_here() {
                entry.origin = Origin { server: 3, incarnation: 1, sequence: lsn };
            }
            format!("{lsn}: {entry:?}")
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn the_golden_segment_is_what_is_written_today() {
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::Always).unwrap();
    for entry in entries() {
        log.append(&entry, &[]).unwrap();
    }
    seal(&log).unwrap();
    let bytes = disk.bytes(NAME).unwrap();
    assert!(bytes.starts_with(GOLDEN), "the bytes of format 1 have changed");
    assert!(bytes[GOLDEN.len()..].iter().all(|byte| *byte == 0));
}
