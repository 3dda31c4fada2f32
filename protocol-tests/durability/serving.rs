//! What the threads of a whole server do when a disk fails under them, one of them panics, or nobody reads.
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use larder::binlog::sim::{Call, SimDisk, Trouble};
use larder::server::{Disks, Server};

use crate::client::Client;
use crate::datagrams::Sender;
use crate::drivers::{TestClock, configured};
use crate::frames::{self, Frame};
use crate::model::tiny;
use crate::process::Larder;
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(60);
/// Tells the test binary that it is to be the process that panics, and where its data is to be.
const PANICS_IN: &str = "LARDER_TEST_PANICS_IN";
/// Names the thread that is to panic.
const PANICKING: &str = "LARDER_TEST_PANICKING";

/// A server whose log is on a disk where, once the switch is on, every sync does this.
fn serve(data_dir: &Path, switch: &Arc<AtomicBool>, sync: fn() -> Option<Trouble>) -> Server {
    let mut config = tiny(data_dir, "always");
    config.network = configured(["-p", "-1", "-U", "-1", "-t", "2", "--memory-only"]).network;
    let disk = SimDisk::new();
    let is_on = Arc::clone(switch);
    disk.set_gate(Arc::new(move |call| if call == Call::Sync && is_on.load(SeqCst) { sync() } else { None }));
    let disks = Disks { log: Some(Arc::new(disk)), store: None };
    Server::start_on(&config, TestClock::new(), Arc::new(|| {}), &disks).unwrap()
}

#[test]
fn a_failed_sync_is_told_to_who_waits_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let switch = Arc::<AtomicBool>::default();
    let server = serve(&folder.path().join("data"), &switch, || Some(Trouble::Fails));
    let [mut waiting, mut other] = [0, 1].map(|_| Client::connect(server.addresses()[0]));
    assert_eq!(waiting.set("safe", b"v"), "STORED");
    switch.store(true, SeqCst);
    let reply = waiting.set("lost", b"v");
    assert!(reply.starts_with("SERVER_ERROR writes stopped"), "{reply:?}");
    let reply = other.set("more", b"v");
    assert!(reply.starts_with("SERVER_ERROR "), "{reply:?}");
    for client in [&mut waiting, &mut other] {
        assert_eq!(client.get(&["safe".into()]), [("safe".into(), b"v".to_vec())]);
    }
    assert!(server.stop().is_err(), "the end tells of it too");
}

/// Frames: a set, a quiet one, and a noop behind it.
fn sets(key: &str) -> Vec<u8> {
    let set =
        Frame { opcode: 0x01, extras: vec![0; 8], key: key.into(), value: "v".into(), ..Frame::default() };
    let frames = [
        Frame { opaque: 1, ..set.clone() },
        Frame { opcode: 0x11, opaque: 2, ..set },
        Frame { opcode: 0x0a, opaque: 3, ..Frame::default() },
    ];
    frames.iter().flat_map(Frame::bytes).collect()
}

/// Opcode, status and opaque of the next two answers.
fn two(client: &mut frames::Client) -> [(u8, u16, u32); 2] {
    [0, 1].map(|_| client.receive().map(|answer| (answer.opcode, answer.status, answer.opaque)).unwrap())
}

#[test]
fn a_failed_sync_is_told_in_frames_and_datagrams_too() {
    let folder = tempfile::tempdir().unwrap();
    let switch = Arc::<AtomicBool>::default();
    let server = serve(&folder.path().join("data"), &switch, || Some(Trouble::Fails));
    let [mut waiting, mut other] = [0, 1].map(|_| frames::Client::connect(server.addresses()[0]));
    let sender = Sender::to(server.datagram_addresses()[0]);
    waiting.send(&sets("safe"));
    assert_eq!(two(&mut waiting), [(0x01, 0, 1), (0x0a, 0, 3)]);
    assert_eq!(sender.ask(1, "set more 0 0 1\r\nv\r\n"), b"STORED\r\n");
    switch.store(true, SeqCst);
    waiting.send(&sets("lost"));
    let internal = 0x84;
    assert_eq!(
        two(&mut waiting),
        [(0x01, internal, 1), (0x0a, internal, 3)],
        "the quiet one is told by the noop"
    );
    // What comes now is refused at once: the quiet set has an error of its own, and the noop has seen nothing.
    other.send(&sets("later"));
    assert_eq!(two(&mut other), [(0x01, internal, 1), (0x11, internal, 2)]);
    assert_eq!(other.receive().map(|answer| (answer.status, answer.opaque)), Some((0, 3)));
    let refused = sender.ask(2, "set more 0 0 1\r\nw\r\n");
    assert!(refused.starts_with(b"SERVER_ERROR "), "{}", refused.escape_ascii());
    let refused = sender.ask(3, sets("later"));
    assert_eq!(refused[..8], [0x81, 0x01, 0, 0, 0, 0, 0, 0x84]);
    // What is safe is read; what is not is neither shown nor told to be missing.
    for (key, status) in [("safe", 0), ("lost", internal)] {
        other.send(&Frame { key: key.into(), ..Frame::default() }.bytes());
        assert_eq!(other.receive().map(|answer| answer.status), Some(status), "{key}");
    }
    assert_eq!(sender.ask(4, "get more\r\n"), b"VALUE more 0 1\r\nv\r\nEND\r\n");
    assert!(server.stop().is_err());
}

#[test]
fn a_datagram_that_waits_for_a_sync_that_fails_is_answered_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let switch = Arc::<AtomicBool>::default();
    let server = serve(&folder.path().join("data"), &switch, || Some(Trouble::Fails));
    let sender = Sender::to(server.datagram_addresses()[0]);
    assert_eq!(sender.ask(1, "set safe 0 0 1\r\nv\r\n"), b"STORED\r\n");
    switch.store(true, SeqCst);
    let reply = sender.ask(2, "set lost 0 0 1\r\nv\r\n");
    assert!(reply.starts_with(b"SERVER_ERROR writes stopped"), "{}", reply.escape_ascii());
    assert!(server.stop().is_err());
}

#[test]
fn what_a_client_does_not_read_counts_until_it_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&folder.path().join("data"), &Arc::default(), || None);
    let [mut slow, mut watching] = [0, 1].map(|_| Client::connect(server.addresses()[0]));
    assert_eq!(slow.set("k", &[b'v'; 15_000]), "STORED");
    slow.send("get k\r\n".repeat(2000));
    let mut pinned = || -> u64 {
        watching.send("stats larder\r\n");
        let lines = std::iter::repeat_with(|| watching.line()).take_while(|line| line != "END\r\n");
        let rows: Vec<String> = lines.collect();
        let row = rows.iter().find_map(|row| row.strip_prefix("STAT outbox_pinned_bytes ")).unwrap();
        row.trim_end().parse().unwrap()
    };
    assert!(wait::until(PATIENCE, || (pinned() > 100_000).then_some(())).is_some());
    drop(slow);
    assert!(wait::until(PATIENCE, || (pinned() == 0).then_some(())).is_some());
    server.stop().unwrap();
}

/// Not a test of its own: the process of the next one.
#[test]
fn the_process_that_panics() {
    let Some(data_dir) = std::env::var_os(PANICS_IN) else { return };
    env_logger::Builder::new().filter_level(log::LevelFilter::Error).init();
    let switch = Arc::<AtomicBool>::default();
    let sync = || {
        let (name, here) = (std::env::var(PANICKING).unwrap(), std::thread::current());
        assert_ne!(here.name(), Some(name.as_str()), "a sync that panics");
        None
    };
    let server = serve(Path::new(&data_dir), &switch, sync);
    let mut client = Client::connect(server.addresses()[0]);
    assert_eq!(client.set("k", b"v"), "STORED");
    switch.store(true, SeqCst);
    // So much that every thread of the log has something to sync.
    for _ in 0..100 {
        client.set("k", &[b'w'; 15_000]);
    }
    // Refusals come quicker than the end.
    assert_eq!(wait::until(PATIENCE, || None::<()>), Some(()), "it never ended");
}

#[test]
fn a_thread_that_panics_ends_the_process() {
    for thread in ["log", "binlog-pool"] {
        let folder = tempfile::tempdir().unwrap();
        let ended = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "durability::serving::the_process_that_panics", "--nocapture"])
            .env(PANICS_IN, folder.path().join("data"))
            .env(PANICKING, thread)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.signal(), Some(nix::libc::SIGABRT), "{thread}: {:?}: {said}", ended.status);
        assert!(said.contains("the log thread panicked: ending the process"), "{thread}: {said}");
    }
}

#[test]
fn a_log_that_has_lost_its_end_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let larder = Larder::start(&data_dir, &[]).unwrap();
    assert_eq!(Client::connect(larder.address()).set("k", b"v"), "STORED");
    // A clean end writes everything to the stores.
    larder.signal(nix::sys::signal::Signal::SIGTERM).unwrap();
    for entry in std::fs::read_dir(data_dir.join("binlog")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("log-") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    let larder = Larder::start(&data_dir, &[]).unwrap();
    assert!(larder.said().contains("the newest segment is missing"), "{}", larder.said());
    let found = Client::connect(larder.address()).get(&["k".into()]);
    assert_eq!(found, [("k".into(), b"v".to_vec())], "the stores are whole");
}
