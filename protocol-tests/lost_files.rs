//! What was done to the groups' files while the server was down: found out at the start, before anything is served.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder::base::fault::{Fault, FaultKind};
use larder::base::time::Clock;
use larder::server::Embedded;
use larder::store::RowBuffer;

use crate::drivers::TestClock;
use crate::model::tiny;

/// A data directory of which one group's file is played with.
struct Rig {
    folder: tempfile::TempDir,
    clock: Arc<TestClock>,
}

impl Rig {
    fn new() -> Rig {
        Rig { folder: tempfile::tempdir().unwrap(), clock: TestClock::new() }
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn open(&self) -> Result<Embedded, Fault> {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Embedded::open(&tiny(&self.data_dir(), "always"), &clock)
    }

    /// Stores `value` under the key of this test; it is durable then.
    fn set(&self, server: &Embedded, value: &str) {
        let mut conn = larder::conn::Connection::default();
        let request = format!("set {KEY} 0 0 {}\r\n{value}\r\n", value.len());
        conn.turn(request.as_bytes(), 1, self.clock.now(), &server.backend);
        let log = server.log().unwrap();
        log.sync_past(log.appended_lsn()).unwrap();
    }

    /// The file of the key's group.
    fn file(&self, server: &Embedded) -> PathBuf {
        let group = server.backend.group_of(KEY.as_bytes()).unwrap();
        self.data_dir().join("groups").join(format!("{:05}.redb", group.id.0))
    }
}

const KEY: &str = "key";

/// Everything into the stores, and the log trimmed behind it.
fn checkpoint_and_trim(server: &Embedded) {
    server.keeper.checkpoint_all().unwrap();
    let log = server.log().unwrap();
    assert_eq!(log.trim_lsn(), log.durable_lsn(), "nothing holds the log back");
}

fn value_of(server: &Embedded) -> Option<String> {
    let group = server.backend.group_of(KEY.as_bytes()).unwrap();
    group.checkpoint().unwrap();
    let mut row = RowBuffer::default();
    let item = group.read_stored(KEY.as_bytes(), &mut row).unwrap();
    item.map(|item| String::from_utf8(item.value.bytes().to_vec()).unwrap())
}

fn refused(rig: &Rig, words: &[&str]) {
    let fault = rig.open().err().expect("a start that had to be refused");
    assert_eq!(fault.kind, FaultKind::Corrupt, "{fault}");
    let text = fault.to_string();
    assert!(!text.contains('\n'), "one line: {text:?}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

/// A server was killed at each step between the making of a group's file and the trim of the log. The directory is
/// taken as it is; and with the file gone it is taken while the log has everything, else refused.
#[test]
fn a_crash_between_any_two_steps_refuses_no_healthy_directory_and_accepts_no_lossy_one() {
    type Step = fn(&Rig, &Embedded);
    let steps: [(&str, Step); 4] = [
        ("stored", |_, _| {}),
        ("checkpointed", |_, server| {
            server.backend.group_of(KEY.as_bytes()).unwrap().checkpoint().unwrap();
        }),
        ("trimmed", |_, server| checkpoint_and_trim(server)),
        ("stored again behind the trim", |rig, server| rig.set(server, "two")),
    ];
    for last in 0..steps.len() {
        for is_deleted in [false, true] {
            let rig = Rig::new();
            let server = rig.open().unwrap();
            rig.set(&server, "one");
            steps[..=last].iter().for_each(|(_, step)| step(&rig, &server));
            let file = rig.file(&server);
            drop(server);
            if is_deleted {
                let _ = fs::remove_file(&file);
            }
            let name = steps[last].0;
            if is_deleted && last >= 2 {
                refused(&rig, &[&file.display().to_string(), "missing", "LSN 1", "restore it", ".lost"]);
                continue;
            }
            let server = rig.open().unwrap_or_else(|fault| panic!("{name} {is_deleted}: {fault}"));
            let wanted = if last == 3 { "two" } else { "one" };
            assert_eq!(value_of(&server).as_deref(), Some(wanted), "{name} {is_deleted}");
        }
    }
}

#[test]
fn an_older_copy_is_refused_and_a_newer_one_is_not() {
    let rig = Rig::new();
    let server = rig.open().unwrap();
    rig.set(&server, "one");
    checkpoint_and_trim(&server);
    let file = rig.file(&server);
    drop(server);
    let copy = rig.folder.path().join("copy");
    fs::copy(&file, &copy).unwrap();

    // The log has what the copy lacks: nothing is lost.
    let server = rig.open().unwrap();
    rig.set(&server, "two");
    server.backend.group_of(KEY.as_bytes()).unwrap().checkpoint().unwrap();
    drop(server);
    fs::copy(&copy, &file).unwrap();
    let server = rig.open().unwrap();
    assert_eq!(value_of(&server).as_deref(), Some("two"));
    // And now it does not.
    checkpoint_and_trim(&server);
    drop(server);
    let newest = fs::read(&file).unwrap();
    fs::copy(&copy, &file).unwrap();
    refused(&rig, &[&file.display().to_string(), "older copy", "LSN 1", "LSN 2"]);
    fs::write(&file, newest).unwrap();
    assert_eq!(value_of(&rig.open().unwrap()).as_deref(), Some("two"));
}

#[test]
fn a_loss_is_accepted_once_and_for_one_group() {
    let rig = Rig::new();
    let server = rig.open().unwrap();
    rig.set(&server, "one");
    checkpoint_and_trim(&server);
    let file = rig.file(&server);
    drop(server);
    fs::remove_file(&file).unwrap();
    fs::write(file.with_extension("lost"), "").unwrap();
    let server = rig.open().unwrap();
    // Some of it may come back: whatever the log happens to have still.
    assert!(!file.with_extension("lost").exists(), "it holds for one start");
    rig.set(&server, "two");
    checkpoint_and_trim(&server);
    drop(server);
    // Left behind for nothing it must not accept a later loss.
    fs::write(file.with_extension("lost"), "").unwrap();
    assert_eq!(value_of(&rig.open().unwrap()).as_deref(), Some("two"));
    fs::remove_file(&file).unwrap();
    refused(&rig, &["missing", "LSN 2"]);
}

/// A file cut at any length is refused, also when the server was killed: it never looks like an empty group.
#[test]
fn a_truncated_file_is_refused() {
    for was_killed in [false, true] {
        let rig = Rig::new();
        let server = rig.open().unwrap();
        rig.set(&server, &"v".repeat(5000));
        checkpoint_and_trim(&server);
        let file = rig.file(&server);
        let killed = fs::read(&file).unwrap();
        drop(server);
        let whole = if was_killed { killed } else { fs::read(&file).unwrap() };
        let steps = (0..whole.len()).step_by(whole.len() / 23 / 4096 * 4096);
        for len in steps.chain([1, 63, 320, 4095, 4096, whole.len() - 4096, whole.len() - 1]) {
            fs::write(&file, &whole[..len]).unwrap();
            println!("cut at {len} of {}, killed: {was_killed}", whole.len());
            refused(&rig, &[&file.display().to_string(), "restore"]);
        }
        fs::write(&file, &whole).unwrap();
        assert!(value_of(&rig.open().unwrap()).is_some());
    }
}

/// The ledger is written in two slots in turn: half of a new one leaves the other.
#[test]
fn a_torn_ledger_is_read_from_its_other_slot_and_a_lost_one_is_refused() {
    let rig = Rig::new();
    let ledger = |rig: &Rig| rig.data_dir().join("larder.ledger");
    let server = rig.open().unwrap();
    rig.set(&server, "one");
    checkpoint_and_trim(&server);
    let file = rig.file(&server);
    drop(server);
    let whole = fs::read(ledger(&rig)).unwrap();
    let slot = whole.len() / 2;
    for torn in [0, slot] {
        for at in [0, 8, 12, 30, 60, slot - 1] {
            let mut bytes = whole.clone();
            bytes[torn + at] ^= 1;
            fs::write(ledger(&rig), bytes).unwrap();
            assert_eq!(value_of(&rig.open().unwrap()).as_deref(), Some("one"), "slot at {torn}, byte {at}");
        }
    }
    let mut bytes = whole.clone();
    (bytes[20], bytes[slot + 20]) = (bytes[20] ^ 1, bytes[slot + 20] ^ 1);
    let damage: [&dyn Fn(&Path); 4] = [
        &|path| fs::remove_file(path).unwrap(),
        &|path| fs::write(path, "").unwrap(),
        &|path| fs::write(path, &bytes).unwrap(),
        &|path| fs::write(path, vec![0; whole.len()]).unwrap(),
    ];
    for damage in damage {
        damage(&ledger(&rig));
        refused(&rig, &["larder.ledger", "restore it"]);
    }
    fs::write(ledger(&rig), &whole).unwrap();
    fs::remove_file(file).unwrap();
    refused(&rig, &["missing"]);
}
