//! The count of starts only rises, whatever happens in between.

use super::*;
use crate::base::fault::FaultKind;
use crate::binlog::sim::Trouble;

fn open(disk: &SimDisk) -> Result<(Starts, u32, Version), Fault> {
    Starts::open(Arc::new(disk.clone()))
}

#[test]
fn starts_are_counted_and_the_ceiling_is_kept() {
    let disk = SimDisk::new();
    let (mut starts, incarnation, floor) = open(&disk).unwrap();
    assert_eq!((incarnation, floor), (1, Version::ZERO));
    starts.raise(Version(500)).unwrap();
    starts.raise(Version(400)).unwrap();
    assert_eq!(starts.ceiling(), Version(500));
    let (_, incarnation, floor) = open(&disk.after_power_cut(1)).unwrap();
    assert_eq!((incarnation, floor), (2, Version(500)));
}

#[test]
fn a_crash_at_every_change_gives_nothing_out_twice() {
    let script = |disk: &SimDisk, promised: &mut (u32, Version)| -> Result<(), Fault> {
        for ceiling in [10, 20, 30] {
            let (mut starts, incarnation, floor) = open(disk)?;
            assert!(incarnation > promised.0 && floor >= promised.1);
            promised.0 = incarnation;
            starts.raise(Version(ceiling))?;
            promised.1 = Version(ceiling);
        }
        Ok(())
    };
    let whole = SimDisk::new();
    script(&whole, &mut (0, Version::ZERO)).unwrap();
    for change in 0..whole.changes() {
        for (trouble, seed) in [(Trouble::PowerCut, 1), (Trouble::PowerCut, 2), (Trouble::Fails, 3)] {
            let disk = SimDisk::new();
            disk.fail_at(change, trouble);
            let mut promised = (0, Version::ZERO);
            script(&disk, &mut promised).unwrap_err();
            let (_, incarnation, floor) = open(&disk.after_power_cut(seed)).unwrap();
            assert!(incarnation > promised.0 && floor >= promised.1, "change {change}, seed {seed}");
        }
    }
}

#[test]
fn every_flipped_byte_is_found() {
    let disk = SimDisk::new();
    open(&disk).unwrap();
    let good = disk.bytes("starts").unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        disk.set_bytes("starts", bad);
        let fault = open(&disk).err().unwrap();
        assert_eq!(fault.kind, FaultKind::Corrupt, "byte {at}");
        assert_eq!(fault.path.unwrap(), disk.path("starts"));
    }
}

#[test]
fn a_log_that_knows_later_starts_is_refused() {
    let disk = SimDisk::new();
    drop(start(&disk, Fsync::Always).unwrap());
    disk.remove("starts").unwrap();
    assert_eq!(start(&disk, Fsync::Always).err().unwrap().kind, FaultKind::Mismatch);
}
