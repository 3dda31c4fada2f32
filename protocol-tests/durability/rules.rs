//! The rules of log, memory and store, one by one.
use std::sync::Arc;

use larder::base::command::{Delete, Key, Op};
use larder::base::lsn::Lsn;
use larder::base::time::Clock;
use larder::binlog::sim::Trouble;
use larder::conn::{Backend, Connection, Progress};
use larder::group::Asked;

use super::{HIT_V, Rig};

#[test]
fn replies_wait_for_what_they_observed() {
    const SET: &str = "set k 0 0 1\nv\n";
    // What is safe, what comes then and is not synced, and what observes it.
    let cases = [
        ("", SET, "get k\n", HIT_V),
        ("", SET, "add k 0 0 1\nw\n", "NOT_STORED\n"),
        ("", SET, "cas k 0 0 1 5\nw\n", "EXISTS\n"),
        ("", SET, "incr k 1\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\n"),
        (SET, "delete k\n", "get k\n", "END\n"),
        (SET, "delete k\n", "mg k v q\nmn\n", "MN\n"),
        (SET, "delete k\n", "touch k 0\n", "NOT_FOUND\n"),
        (SET, "flush_all\n", "get k\n", "END\n"),
        (SET, "flush_all\n", "get other\n", "END\n"),
        (SET, "flush_all\n", "replace k 0 0 1\nw\n", "NOT_STORED\n"),
        (SET, "touch k 200\n", "mg k t\n", "HD t200\n"),
        (SET, "touch k -1\n", "get k\n", "END\n"),
    ];
    for (safe, before, observer, reply) in cases {
        let mut rig = Rig::new("always");
        rig.settle(safe);
        rig.send(before);
        let mut other = Connection::default();
        let bytes = observer.replace('\n', "\r\n");
        other.turn(bytes.as_bytes(), 10, rig.clock.now(), &rig.server().backend);
        rig.server().tend_log();
        other.outbox.release(rig.server().backend.safe_lsn());
        assert_eq!(other.outbox.ready_bytes(), 0, "{observer:?} after {before:?} left before the sync");
        rig.sync();
        assert!(!rig.receive().is_empty());
        std::mem::swap(rig.conn.get_mut(), &mut other);
        assert_eq!(rig.receive(), reply, "{observer:?} after {before:?}");
        // What is safe is waited for no longer.
        rig.send(observer);
        assert_eq!(rig.receive(), reply, "{observer:?} again");
    }
}

#[test]
fn what_changes_during_a_checkpoint_stays_dirty() {
    let mut rig = Rig::new("always");
    rig.settle("set k 0 0 1\nv\n");
    rig.send("set k 0 0 1\nw\n");
    let backend = &rig.server().backend;
    let (groups, placement, now) = (Arc::clone(&backend.groups), backend.placement, rig.clock.now());
    // The checkpoint syncs the log between its copy and its commit: there the key is deleted.
    let delete = move || {
        let group = &groups[usize::from(placement.group(b"k").0)];
        let (key, op) = (Key::plain(b"k"), Op::Delete(Delete::default()));
        let _ = group.submit(&Asked { key: &key, op: &op, now, may_wait: false }, |_| {});
    };
    let subscription = backend.shared.log.get().unwrap().subscribe(Arc::new(delete));
    subscription.ask();
    rig.group("k").checkpoint().unwrap();
    drop(subscription);
    assert_eq!(rig.row("k").as_deref(), Some(&b"w"[..]), "as it was copied");
    assert_eq!(rig.settle("get k\n"), "STORED\nEND\n", "the deleted row came back");
    rig.group("k").checkpoint().unwrap();
    assert_eq!(rig.row("k"), None);
}

#[test]
fn a_store_never_holds_what_the_log_could_lose() {
    let mut rig = Rig::new("everysec");
    assert_eq!(rig.ask("set k 0 0 1\nv\n"), "STORED\n");
    let log = rig.server().log().unwrap();
    assert!(log.durable_lsn() < log.appended_lsn(), "everysec has not synced yet");
    // The sync that must come first fails: nothing may be in the store.
    rig.disk.fail_at(rig.disk.changes(), Trouble::Fails);
    assert!(rig.group("k").checkpoint().is_err());
    assert_eq!(rig.row("k"), None, "stored ahead of the log");
    assert_eq!(rig.group("k").applied_lsn(), Lsn::ZERO);
}

#[test]
fn a_flush_is_stored_only_when_the_log_has_it() {
    let mut rig = Rig::new("everysec");
    rig.settle("set k 0 0 1\nv\n");
    rig.group("k").checkpoint().unwrap();
    rig.ask("flush_all\n");
    rig.disk.fail_at(rig.disk.changes(), Trouble::Fails);
    assert!(rig.group("k").checkpoint().is_err());
    rig.cut_power(1);
    let reply = rig.ask("get k\n");
    assert!(reply == HIT_V || reply == "END\n", "{reply:?}");
}

#[test]
fn a_flush_outlives_the_log_it_was_in() {
    for is_swept in [false, true] {
        let mut rig = Rig::new("everysec");
        rig.settle("set k 0 0 1\nv\n");
        rig.checkpoint_all();
        assert_eq!(rig.row("k").as_deref(), Some(&b"v"[..]));
        assert_eq!(rig.settle("flush_all\n"), "OK\n");
        if is_swept {
            // Memory is swept of what the mark covers, so that nothing dirty is left to hold the log.
            rig.server().sweeper.sweep(rig.group("k")).unwrap();
        }
        // Nothing is dirty: only the mark itself keeps the keeper from giving the log up.
        rig.server().keeper.tend();
        // The next batch tells the next start how far the log was given up.
        rig.settle("set other 0 0 1\nv\n");
        rig.kill();
        assert_eq!(rig.ask("get k\n"), "END\n", "the flush was lost with the log");
    }
}

#[test]
fn a_delayed_flush_is_judged_by_its_moment_and_survives() {
    let mut rig = Rig::new("everysec");
    rig.settle("set k 0 0 1\nv\nflush_all 10\n");
    rig.clock.advance(9);
    assert_eq!(rig.ask("get k\n"), HIT_V);
    rig.kill();
    assert_eq!(rig.ask("get k\n"), HIT_V, "pending, after a restart");
    rig.clock.advance(1);
    assert_eq!(rig.ask("get k\n"), "END\n", "its moment");
    // It has become a mark: what is stored since lives, also behind a restart and with the clock before the moment.
    assert_eq!(rig.settle("set k 0 0 1\nv\n"), "STORED\n");
    rig.kill();
    assert_eq!(rig.ask("get k\n"), HIT_V);
    rig.clock.advance(-5);
    rig.kill();
    assert_eq!(rig.ask("get k\n"), HIT_V, "a mark is no time");
}

#[test]
fn a_pending_flush_whose_moment_passed_unseen_still_counts() {
    let mut rig = Rig::new("everysec");
    rig.settle("set k 0 0 1\nv\nflush_all 2\n");
    rig.clock.advance(5);
    assert_eq!(rig.ask("flush_all 100\n"), "OK\n");
    assert_eq!(rig.ask("get k\n"), "END\n", "another flush took its place");
}

#[test]
fn nothing_is_issued_twice_after_a_lost_tail_with_the_clock_set_back() {
    for seed in 0..8 {
        let mut rig = Rig::new("everysec");
        let mut highest = 0;
        for round in 0..4 {
            rig.ask("set k 0 0 1\nv\n");
            let issued = rig.server().log().unwrap().appended_lsn();
            let reply = rig.ask("gets k\n");
            let cas: u64 = reply.split_whitespace().nth(4).unwrap().parse().unwrap();
            assert!(cas > highest, "seed {seed}, round {round}: cas {cas} after {highest}");
            highest = cas;
            let group = rig.group("k");
            if round % 2 == 1 {
                group.checkpoint().unwrap();
            }
            let applied = group.applied_lsn();
            rig.clock.advance(-100_000);
            rig.cut_power(seed * 10 + round);
            let next = rig.server().log().unwrap().appended_lsn();
            assert!(next >= applied, "LSN {next} after {issued}, {applied} is in a store");
        }
    }
}

#[test]
fn an_expired_entry_leaves_a_tombstone_over_an_older_row() {
    let mut rig = Rig::new("everysec");
    rig.settle("set k 0 0 3\nold\n");
    rig.group("k").checkpoint().unwrap();
    rig.settle("set k 0 2 3\nnew\n");
    rig.clock.advance(3);
    rig.server().sweeper.sweep(rig.group("k")).unwrap();
    assert_eq!(rig.ask("get k\n"), "END\n");
    rig.sync();
    rig.kill();
    assert_eq!(rig.ask("get k\n"), "END\n", "the older row came back");
    rig.group("k").checkpoint().unwrap();
    assert_eq!(rig.row("k"), None);
}

#[test]
fn absent_in_memory_is_absent_only_while_memory_is_complete() {
    let mut rig = Rig::new("everysec");
    let value = "v".repeat(500);
    rig.settle("set key0 0 0 1\nv\n");
    for group in rig.server().backend.groups.iter() {
        group.warm_up(|| true).unwrap();
    }
    assert_eq!(rig.complete_groups(), 3);
    let mut count = 1;
    while rig.complete_groups() > 0 {
        assert_eq!(rig.settle(&format!("set key{count} 0 0 500\n{value}\n")), "STORED\n");
        count += 1;
        if count % 20 == 0 {
            rig.checkpoint_all();
        }
        assert!(count < 5000, "nothing was ever evicted");
    }
    let mut misses = 0;
    for number in 0..count {
        misses += usize::from(rig.ask(&format!("get key{number}\n")) == "END\n");
    }
    assert_eq!(misses, 0, "of {count} keys");
    // A warm-up of more than fits does not claim to be complete.
    for group in rig.server().backend.groups.iter() {
        group.warm_up(|| true).unwrap();
    }
    assert_eq!(rig.complete_groups(), 0);
}

#[test]
fn replay_through_little_memory_loses_no_touch() {
    let mut rig = Rig::new("everysec");
    let value = "v".repeat(900);
    for number in 0..20 {
        rig.settle(&format!("set {{k}}{number} 0 100 900\n{value}\n"));
    }
    rig.checkpoint_all();
    // All in one group: dirt, and touches of rows that the replay finds on disk only.
    for number in 0..20 {
        rig.settle(&format!("set {{k}}dirt{number} 0 0 900\n{value}\n"));
        assert_eq!(rig.settle(&format!("touch {{k}}{number} 5000\n")), "TOUCHED\n");
    }
    rig.memory_bytes = Some(16 * 1024);
    rig.kill();
    for number in 0..20 {
        assert_eq!(rig.ask(&format!("mg {{k}}{number} t\n")), "HD t5000\n", "number {number}");
    }
}

#[test]
fn a_group_short_of_memory_is_checkpointed_at_once() {
    let mut rig = Rig::new("everysec");
    let value = "v".repeat(700);
    let limit = 128 * 1024;
    // All other memory is taken by what outboxes hold: this group's share is all dirty long before half of all is.
    rig.server().backend.shared.budget.pin(limit);
    let mut parked = 0;
    for round in 0..120 {
        let line = format!("set {{one}}{round} 0 0 700\n{value}\n");
        if rig.send(&line) == Progress::Parked {
            parked += 1;
            rig.keep();
            assert_ne!(rig.send(""), Progress::Parked, "round {round}: the keeper did not help");
        }
        rig.sync();
        rig.server().tend_log();
        assert_eq!(rig.receive(), "STORED\n", "round {round}");
    }
    assert!(parked > 0, "memory was never short");
    rig.server().backend.shared.budget.unpin(limit);
}

#[test]
fn flushes_and_cas_stay_in_order_over_a_restart() {
    let mut rig = Rig::new("everysec");
    rig.settle("set k 0 0 1\nv\n");
    let before = rig.cas_of("k");
    rig.clock.advance(-100_000);
    rig.kill();
    rig.settle("set k 0 0 1\nw\n");
    assert!(rig.cas_of("k") > before);
}
