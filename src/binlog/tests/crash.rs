//! A crash at every change of the disk in turn, at each level; then reopened and audited.

use std::collections::BTreeMap;

use super::*;
use crate::binlog::sim::Trouble;
use crate::binlog::{Refusal, State};

/// What was promised to whoever wrote, and what was given out.
#[derive(Default)]
struct Promises {
    /// Everything appended and not known to be lost: by LSN.
    given: BTreeMap<Lsn, (Vec<u8>, Vec<u8>)>,
    /// Up to here replies were sent.
    acknowledged: Lsn,
    /// Up to here power loss was promised to be survived.
    durable: Lsn,
    /// Up to here everything is in the stores.
    trimmed: Lsn,
    /// The highest LSN given in a start that still stands.
    highest: Lsn,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Killed,
    PowerCut(u64),
}

impl Promises {
    /// Starts on what the crash left, and checks it against what was promised.
    fn audit(&mut self, disk: &SimDisk, fsync: Fsync, end: End) -> Result<Arc<Log>, Fault> {
        let (log, entries, report) = start_with(disk, fsync, self.trimmed)?;
        let must_have = if end == End::Killed { self.acknowledged } else { self.durable };
        assert!(report.trim_lsn <= self.trimmed, "trimmed too far");
        let found: BTreeMap<_, _> = entries.into_iter().collect();
        for (lsn, item) in &found {
            assert_eq!(self.given.get(lsn), Some(item), "LSN {lsn} is not what was given");
        }
        let tail: Vec<_> = self.given.range(report.trim_lsn.next()..).map(|(lsn, _)| *lsn).collect();
        let kept = tail.iter().take_while(|lsn| found.contains_key(lsn)).count();
        assert_eq!(kept, found.len(), "a hole in {:?}", found.keys());
        assert!(tail.get(kept).is_none_or(|lost| *lost > must_have), "LSN {:?} is lost", tail.get(kept));
        self.given.retain(|lsn, _| *lsn <= report.trim_lsn || found.contains_key(lsn));
        assert!(log.appended_lsn() >= must_have.max(self.trimmed), "an LSN would be given again");
        self.highest = log.appended_lsn();
        (self.acknowledged, self.durable) = (log.safe_lsn(), log.durable_lsn());
        Ok(log)
    }

    /// A life of a server: appends, writes, syncs, checkpoints. Ends with the first fault.
    fn live(&mut self, log: &Arc<Log>, fsync: Fsync, steps: u32) -> Result<(), Fault> {
        for step in 0..steps {
            for number in 0..3 {
                let len = if (step * 3 + number) % 37 == 5 { 9000 } else { 40 + step as usize * 13 % 300 };
                let item = (format!("k{number}").into_bytes(), vec![step as u8; len]);
                if let Ok(lsn) = log.append(&set(number as u16, &item.0, &item.1), &[]) {
                    assert!(lsn > self.highest);
                    self.highest = lsn;
                    self.given.insert(lsn, item);
                }
            }
            let done = match fsync {
                Fsync::Always => log.sync_round(),
                _ if step % 9 == 4 => log.sync_round(),
                _ => write(log),
            };
            // Promises are what was published, also by a round that failed later on.
            self.acknowledged = self.acknowledged.max(log.safe_lsn());
            self.durable = self.durable.max(log.durable_lsn());
            done?;
            if step % 12 == 11 {
                let applied = Lsn(log.appended_lsn().0 - 5);
                let synced = log.sync_past(applied);
                self.acknowledged = self.acknowledged.max(log.safe_lsn());
                self.durable = self.durable.max(log.durable_lsn());
                synced?;
                self.trimmed = self.trimmed.max(applied);
                log.trim(applied);
            }
            log.pool_round();
            self.durable = self.durable.max(log.durable_lsn());
        }
        Ok(())
    }
}

/// Two lives with a clean start between them.
fn script(disk: &SimDisk, fsync: Fsync, promises: &mut Promises) -> Result<(), Fault> {
    for steps in [60, 25] {
        let log = promises.audit(disk, fsync, End::Killed)?;
        promises.live(&log, fsync, steps)?;
    }
    Ok(())
}

/// After the crash: a start, a short life, another crash, and a last look.
fn audit_twice(disk: &SimDisk, fsync: Fsync, promises: &mut Promises, end: End) {
    let left = |disk: &SimDisk, end| match end {
        End::Killed => disk.after_kill(),
        End::PowerCut(seed) => disk.after_power_cut(seed),
    };
    let disk = left(disk, end);
    let log = promises.audit(&disk, fsync, end).unwrap();
    promises.live(&log, fsync, 4).unwrap();
    let end = End::PowerCut(99);
    promises.audit(&left(&disk, end), fsync, end).unwrap();
}

fn crash_everywhere(fsync: Fsync, trouble: Trouble, ends: &[End]) {
    let whole = SimDisk::new();
    script(&whole, fsync, &mut Promises::default()).unwrap();
    for change in 0..whole.changes() {
        for end in ends {
            println!("{fsync:?} {trouble:?} at change {change}, then {end:?}");
            let disk = SimDisk::new();
            disk.fail_at(change, trouble);
            let mut promises = Promises::default();
            // A failure that is not the log's end (no new segment could be made) lets the script go on.
            drop(script(&disk, fsync, &mut promises));
            audit_twice(&disk, fsync, &mut promises, *end);
        }
    }
}

#[test]
fn power_cuts_at_every_change_lose_nothing_with_always() {
    let ends = [1, 2, 3].map(End::PowerCut);
    crash_everywhere(Fsync::Always, Trouble::PowerCut, &ends);
}

#[test]
fn power_cuts_and_kills_at_every_change_lose_nothing_promised_with_everysec() {
    let ends = [End::Killed, End::PowerCut(4), End::PowerCut(5), End::PowerCut(6)];
    crash_everywhere(Fsync::EverySec, Trouble::PowerCut, &ends);
}

#[test]
fn power_cuts_at_every_change_leave_a_log_with_never() {
    crash_everywhere(Fsync::Never, Trouble::PowerCut, &[End::Killed, End::PowerCut(7)]);
}

#[test]
fn failures_at_every_change_lose_nothing_promised() {
    for fsync in [Fsync::Always, Fsync::EverySec] {
        crash_everywhere(fsync, Trouble::Fails, &[End::Killed, End::PowerCut(8)]);
    }
}

#[test]
fn what_a_failed_sync_lost_is_not_taken_for_durable_after_a_restart() {
    let disk = SimDisk::new();
    let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
    append_batch(&log, 1..4);
    disk.fail_at(disk.changes(), Trouble::Fails);
    log.sync_round().unwrap_err();
    // The kernel still shows the records, so the next start replays them and calls them durable.
    let disk = disk.after_kill();
    let (log, entries, _) = start(&disk, Fsync::EverySec).unwrap();
    assert_eq!((numbers(&entries), log.durable_lsn()), (vec![1, 2, 3], Lsn(3)));
    let (_, entries, _) = start(&disk.after_power_cut(1), Fsync::EverySec).unwrap();
    assert_eq!(numbers(&entries), [1, 2, 3]);
}

#[test]
fn a_failed_write_or_sync_is_final() {
    for (fsync, syncs) in [(Fsync::Always, true), (Fsync::EverySec, true), (Fsync::EverySec, false)] {
        let disk = SimDisk::new();
        let (log, ..) = start(&disk, fsync).unwrap();
        append_batch(&log, 1..3);
        log.sync_round().unwrap();
        log.append(&set(1, b"k", b"v"), &[]).unwrap();
        if syncs {
            write(&log).unwrap();
        }
        disk.fail_at(disk.changes(), Trouble::Fails);
        let durable = log.durable_lsn();
        if syncs {
            log.sync_round().unwrap_err()
        } else {
            log.write_round().unwrap_err()
        };
        assert!(matches!(log.state(), State::Stopped(_)));
        assert_eq!(log.append(&set(1, b"k", b"v"), &[]), Err(Refusal::Stopped));
        // The disk is well again; the log is not.
        assert!(log.sync_round().is_err() && log.write_round().is_err());
        assert!(log.sync_past(Lsn(3)).is_err());
        assert_eq!(log.durable_lsn(), durable);
        assert!(!log.pool_round());
    }
}

#[test]
fn what_a_replay_hands_out_survives_power_loss_at_once() {
    for seed in 0..20 {
        let disk = SimDisk::new();
        let (log, ..) = start(&disk, Fsync::EverySec).unwrap();
        append_batch(&log, 1..4);
        log.sync_round().unwrap();
        for first in (4..40).step_by(4) {
            append_batch(&log, first..first + 4);
        }
        let disk = disk.after_kill();
        let (recovery, mut cuts) = (recovery_of(&disk), Vec::new());
        // A store may commit a record as soon as it has it: the power goes right behind each.
        let each = |lsn, _: &Entry<'_>| {
            cuts.push((lsn, disk.after_power_cut(seed)));
            Ok(())
        };
        recovery.replay(each, |_| ()).unwrap();
        assert_eq!(cuts.len(), 39);
        for (lsn, disk) in cuts {
            let (_, entries, report) = start(&disk, Fsync::EverySec).unwrap();
            assert!(
                report.end >= lsn,
                "seed {seed}: a store may hold LSN {lsn}, the log ends at {}",
                report.end
            );
            assert_eq!(entries.len() as u64, report.end.0);
        }
    }
}
