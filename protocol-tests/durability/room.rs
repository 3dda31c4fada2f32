//! Memory that is short: in replay, in changes of what is on disk, and after its limit was lowered.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use larder::conn::{Backend, Progress};
use larder::store::sim::{Call, Fate};

use super::Rig;

#[test]
fn a_replay_through_little_memory_checkpoints_by_the_bytes_and_not_by_the_records() {
    let commits = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&commits);
    let gate = move |_, call| {
        if call == Call::Sync {
            counted.fetch_add(1, SeqCst);
        }
        Fate::Done
    };
    let mut rig = Rig::gated("never", Arc::new(gate));
    rig.memory_bytes = Some(4 << 20);
    rig.kill();
    // Two groups fill what memory there will be; then come many small changes of the third.
    let value = "v".repeat(900);
    for number in 0..150 {
        rig.settle(&format!("set {{k}}{number} 0 0 900\n{value}\n"));
    }
    let third =
        (0..).map(|number| format!("{{t{number}}}")).find(|tag| rig.group(tag).id != rig.group("{k}").id);
    let third = third.unwrap();
    for number in 0..1500 {
        rig.ask(&format!("set {third}{number} 0 0 30\n{}\n", &value[..30]));
    }
    rig.memory_bytes = Some(96 * 1024);
    commits.store(0, SeqCst);
    rig.kill();
    let commits = commits.load(SeqCst);
    println!("{commits} syncs of stores for 1650 records");
    for number in 0..150 {
        assert!(rig.ask(&format!("get {{k}}{number}\n")).ends_with("v\nEND\n"), "{number}");
    }
    for number in 0..1500 {
        assert!(rig.ask(&format!("get {third}{number}\n")).ends_with("v\nEND\n"), "{number}");
    }
    assert!(commits < 60);
}

#[test]
fn a_lowered_limit_brings_memory_down_by_itself() {
    let mut rig = Rig::new("everysec");
    let value = "v".repeat(900);
    for number in 0..200 {
        assert_eq!(rig.settle(&format!("set k{number} 0 0 900\n{value}\n")), "STORED\n");
    }
    let shared = Arc::clone(&rig.server().backend.shared);
    let limit = shared.budget.limit() / 2;
    assert!(shared.budget.used() > limit);
    shared.set_memory_limit(limit);
    // Nobody writes to any group any more.
    rig.server().keeper.tend();
    rig.server().keeper.tend();
    assert!(shared.budget.used() <= limit, "{} of {limit} bytes", shared.budget.used());
    for number in 0..200 {
        assert!(rig.ask(&format!("get k{number}\n")).starts_with("VALUE "), "{number} is on disk");
    }
}

#[test]
fn what_outboxes_hold_counts_as_memory() {
    let rig = Rig::new("everysec");
    let backend = &rig.server().backend;
    let budget = &backend.shared.budget;
    let room = budget.limit() - budget.used();
    assert!(budget.fits(room));
    backend.repin(0, 5000);
    assert!((budget.pinned(), budget.fits(room)) == (5000, false));
    backend.repin(5000, 100);
    backend.repin(100, 0);
    assert!((budget.pinned(), budget.fits(room)) == (0, true));
}

#[test]
fn a_change_of_a_row_that_memory_cannot_hold_twice_ends() {
    let mut refused = 0;
    // In some of these sizes the row fits and so does what becomes of it, but not both: each drives the other out.
    for kilobytes in 16..48 {
        let mut rig = Rig::new("everysec");
        let value = "v".repeat(12_000);
        rig.settle(&format!("set {{k}} 0 0 12000\n{value}\n"));
        rig.checkpoint_all();
        rig.memory_bytes = Some(kilobytes * 1024);
        rig.kill();
        let reply = rig.settle(&format!("append {{k}} 0 0 3000\n{}\n", &value[..3000]));
        let whole = if reply == "STORED\n" { 15_000 } else { 12_000 };
        assert!(reply == "STORED\n" || reply.starts_with("SERVER_ERROR out of memory"), "{reply:?}");
        refused += usize::from(whole == 12_000);
        let found = rig.settle("get {k}\n");
        assert!(found.starts_with(&format!("VALUE {{k}} 0 {whole}\n")), "{}", &found[..30]);
    }
    assert!((1..32).contains(&refused), "{refused} of 32 refused");
}

#[test]
fn a_set_that_finds_no_memory_loses_the_value_on_disk_for_good() {
    let mut rig = Rig::new("everysec");
    rig.settle("set k 0 0 3\nold\n");
    rig.checkpoint_all();
    rig.kill();
    let shared = Arc::clone(&rig.server().backend.shared);
    let all = 2 * shared.budget.limit();
    shared.budget.pin(all);
    let value = "v".repeat(15_000);
    let reply = rig.settle(&format!("set k 0 0 15000\n{value}\n"));
    assert!(reply.starts_with("SERVER_ERROR out of memory"), "{reply:?}");
    shared.budget.unpin(all);
    assert_eq!(rig.settle("get k\n"), "END\n", "the value before a refused set is outdated");
    rig.kill();
    assert_eq!(rig.settle("get k\n"), "END\n", "after a restart");
    rig.checkpoint_all();
    assert_eq!(rig.row("k"), None);
}

#[test]
fn a_sweep_that_may_remove_nothing_ends() {
    let mut rig = Rig::new("everysec");
    for number in 0..50 {
        rig.settle(&format!("set {{k}}{number} 0 5 1\nv\n"));
        if number == 25 {
            rig.checkpoint_all();
            rig.kill();
        }
    }
    rig.clock.advance(400);
    let shared = Arc::clone(&rig.server().backend.shared);
    // No version may be issued: every change is put off, and no checkpoint helps.
    shared.version_ceiling.store(0, SeqCst);
    rig.server().sweeper.sweep(rig.group("{k}")).unwrap();
    assert_eq!(rig.server().log().unwrap().appended_lsn().0, 50, "nothing was removed");
    rig.server().keeper.tend();
    rig.server().sweeper.sweep(rig.group("{k}")).unwrap();
    rig.group("{k}").checkpoint().unwrap();
    assert_eq!(rig.group("{k}").figures().rows, 0, "the next sweep finds them again");
}

#[test]
fn no_version_is_issued_above_the_ceiling() {
    for request in ["flush_all\n", "flush_all 10\n", "set k 0 0 1\nv\n", "delete k\n", "touch k 9\n"] {
        let mut rig = Rig::new("everysec");
        rig.settle("set k 0 0 1\nv\n");
        let before = rig.server().log().unwrap().appended_lsn();
        rig.server().backend.shared.version_ceiling.store(0, SeqCst);
        assert_eq!(rig.send(request), Progress::Parked, "{request:?}");
        assert_eq!(rig.server().log().unwrap().appended_lsn(), before, "{request:?}");
        // The keeper raises it, durably first.
        rig.keep();
        assert_ne!(rig.send(""), Progress::Parked, "{request:?}");
        assert!(rig.server().log().unwrap().appended_lsn() > before);
    }
}

#[test]
fn a_get_of_many_keys_lets_others_be_served() {
    let mut rig = Rig::new("everysec");
    rig.settle("set k2500 0 0 1\nv\n");
    let keys: Vec<String> = (0..2600).map(|number| format!("k{number}")).collect();
    let mut progress = rig.send(&format!("get {}\n", keys.join(" ")));
    let (mut turns, mut reply) = (1, rig.receive());
    while progress == Progress::Blocked {
        progress = rig.send("");
        turns += 1;
        reply += &rig.receive();
    }
    assert_eq!((turns, reply.as_str()), (3, "VALUE k2500 0 1\nv\nEND\n"));
}
