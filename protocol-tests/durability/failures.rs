//! Disks that fail and disks that are full.
use std::io::ErrorKind::StorageFull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use larder::binlog::State;
use larder::binlog::sim::Trouble;
use larder::conn::Progress;
use larder::store::sim::{Call, Fate};

use super::Rig;

#[test]
fn a_failed_sync_stops_writes_and_reads_of_what_is_durable_go_on() {
    let mut rig = Rig::new("always");
    assert_eq!(rig.settle("set safe 0 0 1\nv\n"), "STORED\n");
    rig.send("set lost 0 0 1\nv\nget lost\nget safe\n");
    rig.disk.fail_at(rig.disk.changes() + 1, Trouble::Fails);
    let log = rig.server().log().unwrap();
    assert!(log.sync_past(log.appended_lsn()).is_err());
    assert!(matches!(log.state(), State::Stopped(_)));
    assert_eq!(
        rig.receive(),
        "SERVER_ERROR lost\nSERVER_ERROR lost\nEND\nVALUE safe 0 1\nv\nEND\n",
        "what waits above the durable LSN becomes an error"
    );
    rig.send("set more 0 0 1\nv\nget safe\nget lost\n");
    let reply = rig.receive();
    assert!(reply.starts_with("SERVER_ERROR "), "writes are refused: {reply:?}");
    assert!(reply.contains("VALUE safe 0 1\nv\nEND\n"), "{reply:?}");
    assert!(!reply.contains("VALUE lost"), "{reply:?}");
    rig.send("stats larder\n");
    let stats = rig.receive();
    assert!(stats.contains("STAT log_state stopped\n"), "{stats}");
    assert!(rig.group("lost").checkpoint().is_err(), "the checkpoint is frozen");
    assert_eq!(rig.row("lost"), None);
}

/// Stores while the disk is full: whether that was refused. Nobody is held for ever.
fn is_refused(rig: &mut Rig, round: usize, value: &str) -> bool {
    if rig.send(&format!("set k{round} 0 0 {}\n{value}\n", value.len())) == Progress::Parked {
        rig.keep();
        rig.keep();
        assert_ne!(rig.send(""), Progress::Parked, "round {round}");
    }
    rig.server().tend_log();
    let reply = rig.receive();
    assert!(reply == "STORED\n" || reply == "SERVER_ERROR disk full\n", "{reply:?}");
    reply != "STORED\n"
}

#[test]
fn a_full_disk_refuses_and_resumes_by_itself() {
    let mut rig = Rig::new("everysec");
    let value = "x".repeat(8000);
    rig.disk.set_room(Some(0));
    let mut refused = 0;
    for round in 0..200 {
        refused += usize::from(is_refused(&mut rig, round, &value));
        if refused > 2 {
            break;
        }
    }
    assert!(refused > 2);
    rig.disk.set_room(None);
    rig.server().tend_log();
    assert_eq!(rig.settle("set k 0 0 1\nv\n"), "STORED\n");
    assert_eq!(rig.server().log().unwrap().state(), State::Running);
}

#[test]
fn a_store_on_a_full_disk_holds_nobody_and_resumes_by_itself() {
    let is_full = Arc::new(AtomicBool::new(false));
    let full = Arc::clone(&is_full);
    let mut rig = Rig::gated(
        "everysec",
        Arc::new(move |_, call| match call {
            Call::Write | Call::Resize if full.load(SeqCst) => Fate::Fails(StorageFull),
            _ => Fate::Done,
        }),
    );
    let value = "v".repeat(900);
    assert_eq!(rig.settle("set first 0 0 1\nv\n"), "STORED\n");
    is_full.store(true, SeqCst);
    let mut refused = 0;
    for round in 0..300 {
        refused += usize::from(is_refused(&mut rig, round, &value));
    }
    assert!(refused > 2);
    assert_eq!(rig.ask("get first\n"), "VALUE first 0 1\nv\nEND\n");
    is_full.store(false, SeqCst);
    rig.keep();
    for round in 0..300 {
        // Whoever has to wait now waits for a checkpoint again, and is not refused.
        assert_eq!(rig.settle(&format!("set k{round} 0 0 900\n{value}\n")), "STORED\n", "round {round}");
    }
}

#[test]
fn a_group_whose_store_is_at_fault_keeps_no_other_from_its_checkpoint() {
    let is_broken = Arc::new(AtomicBool::new(true));
    let broken = Arc::clone(&is_broken);
    let mut rig = Rig::new("everysec");
    let bad = rig.group("{k}").id.0;
    rig.gate = Arc::new(move |group, call| match call {
        Call::Sync if group == bad && broken.load(SeqCst) => Fate::Torn,
        _ => Fate::Done,
    });
    rig.kill();
    // The group whose store fails has the most that is dirty, and is the oldest in the log: whatever presses, it is
    // the one to be written.
    let value = "v".repeat(900);
    for number in 0..45 {
        assert_eq!(rig.settle(&format!("set {{k}}{number} 0 0 900\n{value}\n")), "STORED\n");
    }
    let others: Vec<String> =
        (0..20).map(|number| format!("k{number}")).filter(|key| rig.group(key).id.0 != bad).collect();
    for key in &others {
        assert_eq!(rig.settle(&format!("set {key} 0 0 1\nv\n")), "STORED\n");
    }
    for _ in 0..4 {
        rig.server().keeper.tend();
    }
    for key in &others {
        assert_eq!(rig.row(key).as_deref(), Some(&b"v"[..]), "{key} waits for another group");
    }
    // What the one cannot write is in the log still, whatever was given up of it.
    rig.settle("set last 0 0 1\nv\n");
    is_broken.store(false, SeqCst);
    rig.kill();
    for number in 0..45 {
        assert_eq!(
            rig.ask(&format!("get {{k}}{number}\n")),
            format!("VALUE {{k}}{number} 0 900\n{value}\nEND\n")
        );
    }
}

#[test]
fn a_flush_that_is_due_is_judged_by_the_clock_while_the_log_takes_nothing() {
    // Whether the log has stopped (or is only full), and whether the flush is as safe as the level promises.
    for (is_stopped, is_safe) in [(true, true), (true, false), (false, true)] {
        let mut rig = Rig::new("always");
        rig.settle("set k 0 0 1\nv\n");
        let flush = "flush_all 10\n";
        if is_safe {
            rig.settle(flush)
        } else {
            rig.ask("\n")
        };
        if is_stopped {
            if !is_safe {
                rig.send(flush);
            }
            rig.send("set lost 0 0 1\nv\n");
            rig.disk.fail_at(rig.disk.changes() + 1, Trouble::Fails);
            let log = rig.server().log().unwrap();
            log.sync_past(log.appended_lsn()).unwrap_err();
        } else {
            fill_log(&mut rig);
        }
        rig.receive();
        assert_eq!(rig.ask("get k\n"), super::HIT_V, "not due yet");
        rig.clock.advance(11);
        let reply = rig.ask("get k\n");
        let expected = if is_safe { "END\n" } else { "SERVER_ERROR lost\n" };
        assert_eq!(reply, expected, "stopped: {is_stopped}, safe: {is_safe}");
        assert!(
            rig.ask("set k 0 0 1\nv\n").starts_with("SERVER_ERROR "),
            "nothing is changed before the mark"
        );
        if !is_stopped {
            rig.disk.set_room(None);
            rig.server().tend_log();
            assert_eq!(rig.settle("get k\n"), "END\n");
            assert_eq!(rig.settle("set k 0 0 1\nv\n"), "STORED\n");
            rig.kill();
            assert_eq!(rig.ask("get k\n"), super::HIT_V, "the mark came before what was stored behind it");
        }
    }
}

/// Writes until the log finds no room on the disk any more, not for the least record.
fn fill_log(rig: &mut Rig) {
    rig.disk.set_room(Some(0));
    for bytes in [8000, 1] {
        let value = "x".repeat(bytes);
        let is_full = (0..2000).any(|round| {
            if rig.send(&format!("set fill{round} 0 0 {bytes}\n{value}\n")) == Progress::Parked {
                rig.keep();
                rig.send("");
            }
            rig.sync();
            rig.server().tend_log();
            rig.receive() == "SERVER_ERROR disk full\n"
        });
        assert!(is_full, "{bytes} bytes always had room");
    }
}
