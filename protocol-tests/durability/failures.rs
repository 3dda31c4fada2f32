//! Disks that fail and disks that are full.
use larder::binlog::State;
use larder::binlog::sim::Trouble;
use larder::conn::Progress;

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

#[test]
fn a_full_disk_refuses_and_resumes_by_itself() {
    let mut rig = Rig::new("everysec");
    let value = "x".repeat(8000);
    rig.disk.set_room(Some(0));
    let mut refused = 0;
    for round in 0..200 {
        if rig.send(&format!("set k{round} 0 0 8000\n{value}\n")) == Progress::Parked {
            // Parked requests are not held for ever either.
            rig.keep();
            rig.keep();
            assert_ne!(rig.send(""), Progress::Parked, "round {round}");
        }
        rig.server().tend_log();
        let reply = rig.receive();
        refused += usize::from(reply == "SERVER_ERROR disk full\n");
        assert!(reply == "STORED\n" || reply == "SERVER_ERROR disk full\n", "{reply:?}");
        if refused > 2 {
            break;
        }
    }
    assert!(refused > 2);
    rig.disk.set_room(None);
    rig.server().tend_log();
    assert_eq!(rig.settle("set k 0 0 1\nv\n"), "STORED\n");
}
