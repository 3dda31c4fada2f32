//! A disk that is really full: a small file system of its own.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::command_line::SmallDisk;
use crate::drivers::{InProcess, TestClock, configured};
use crate::transcript::{ConnId, Received, Wire};

const VALUE_BYTES: usize = 2000;
/// Keys with values: some 10 MB in two groups' files.
const KEYS: usize = 5000;

struct Rig {
    wire: InProcess,
    conn: ConnId,
}

impl Rig {
    fn over(data_dir: &Path) -> Rig {
        let dir = data_dir.display().to_string();
        let words =
            ["--data-dir", &dir, "--fsync", "never", "--groups", "2", "-m", "64", "--log-size", "16m"];
        let mut wire = InProcess::keeping(&configured(words), &TestClock::new());
        let conn = wire.connect();
        Rig { wire, conn }
    }

    fn ask(&mut self, request: &str) -> String {
        self.wire.send(self.conn, request.as_bytes());
        let mut replies = Vec::new();
        while let Received::Bytes(bytes) = self.wire.receive(self.conn) {
            replies.extend_from_slice(&bytes);
        }
        String::from_utf8(replies).unwrap()
    }

    fn set(&mut self, key: usize) -> String {
        self.ask(&format!("set key:{key} 0 5000 {VALUE_BYTES}\r\n{}\r\n", "v".repeat(VALUE_BYTES)))
    }

    /// Everything dirty is old enough to be written, and is.
    fn keep(&mut self) {
        self.wire.server.keeper.tend();
        self.wire.clock.advance(50);
        self.wire.server.keeper.tend();
        self.wire.server.tend_log();
    }

    fn rows(&self) -> u64 {
        self.wire.server.backend.groups.iter().map(|group| group.figures().rows).sum()
    }

    fn allocated(&self) -> u64 {
        self.wire.server.backend.groups.iter().map(|group| group.space().allocated_bytes).sum()
    }
}

/// Fills the disk to the last byte.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    for bytes in [1 << 16, 4096, 1] {
        let piece = vec![1; bytes];
        while file.write_all(&piece).is_ok() {}
    }
}

/// Deletes, expiry, checkpoints and compactions go on; values are refused; with room again everything is as before.
#[test]
fn on_a_full_disk_removals_go_on_and_their_space_returns() {
    for is_restarted in [true, false] {
        fill_and_remove(is_restarted);
    }
}

/// With a restart on the full disk, which needs some room itself, or without.
fn fill_and_remove(is_restarted: bool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    fs::create_dir(&path).unwrap();
    let Some(disk) = SmallDisk::mount(&path, "size=96m") else { return };
    let data_dir = path.join("data");
    let mut rig = Rig::over(&data_dir);
    for key in 0..KEYS {
        assert_eq!(rig.set(key), "STORED\r\n");
    }
    rig.keep();
    assert_eq!(rig.rows(), KEYS as u64);
    // Files as full as they get: nothing in them to write a commit to.
    rig.wire.clock.advance(1);
    (0..20).for_each(|_| rig.keep());
    let reserve = data_dir.join("larder.reserve");
    assert!(fs::metadata(&reserve).unwrap().len() > 0);
    fill(&path.join("filling"));
    if is_restarted {
        drop(rig);
        rig = Rig::over(&data_dir);
    }
    let full = rig.allocated();
    for key in (0..KEYS).step_by(2) {
        assert_eq!(rig.ask(&format!("delete key:{key}\r\n")), "DELETED\r\n", "{key}");
    }
    rig.keep();
    assert_eq!(rig.rows(), KEYS as u64 / 2, "the checkpoint went through");
    assert_eq!(fs::metadata(&reserve).unwrap().len(), 0, "the reserve is given up");
    assert_eq!(rig.set(1), "SERVER_ERROR disk full\r\n");
    assert!(rig.ask("get key:1\r\n").starts_with("VALUE"));
    // What is left expires: its space goes back to the disk.
    rig.wire.clock.advance(6000);
    rig.keep();
    for group in rig.wire.server.backend.groups.iter() {
        rig.wire.server.sweeper.sweep(group).unwrap();
    }
    (0..20).for_each(|_| rig.keep());
    assert_eq!(rig.rows(), 0);
    let left = rig.allocated();
    assert!(left < full / 4, "{left} of {full} bytes");
    fs::remove_file(path.join("filling")).unwrap();
    rig.keep();
    assert!(fs::metadata(&reserve).unwrap().len() > 0, "the reserve is there again");
    assert_eq!(rig.set(1), "STORED\r\n");
    drop(rig);
    drop(disk);
}
