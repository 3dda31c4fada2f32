//! The rules of log, memory and store at the level of whole groups: each test fails when its rule is taken away.
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder::base::command::{Delete, Key, Op};
use larder::base::lsn::Lsn;
use larder::base::time::Clock;
use larder::binlog::sim::{SimDisk, Trouble};
use larder::binlog::{Disk, State};
use larder::conn::outbox::SLICES_MAX;
use larder::conn::{Backend, Connection, Progress};
use larder::group::{Asked, Group};
use larder::server::Embedded;
use larder::store::RowBuffer;

use crate::drivers::TestClock;
use crate::model::tiny;

/// A server over a real data directory and a simulated log disk; nothing happens in it of itself.
struct Rig {
    folder: tempfile::TempDir,
    fsync: &'static str,
    /// Memory at the next start, when not what [`tiny`] has.
    memory_bytes: Option<u64>,
    clock: Arc<TestClock>,
    disk: SimDisk,
    server: Option<Embedded>,
    conn: Connection,
}

impl Rig {
    fn new(fsync: &'static str) -> Rig {
        let mut rig = Rig {
            folder: tempfile::tempdir().unwrap(),
            fsync,
            memory_bytes: None,
            clock: TestClock::new(),
            disk: SimDisk::new(),
            server: None,
            conn: Connection::default(),
        };
        rig.open();
        rig
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn open(&mut self) {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let disk = Arc::new(self.disk.clone()) as Arc<dyn Disk>;
        let mut config = tiny(Path::new(&self.data_dir()), self.fsync);
        config.memory.bytes = self.memory_bytes.unwrap_or(config.memory.bytes);
        self.server = Some(Embedded::open_with_log_on(&config, &clock, disk).unwrap());
        self.conn = Connection::default();
    }

    /// Ends the server as a kill would, and begins again over what programs see of the disk.
    fn kill(&mut self) {
        self.server = None;
        self.disk = self.disk.after_kill();
        self.open();
    }

    /// Ends it by a power cut.
    fn cut_power(&mut self, seed: u64) {
        self.server = None;
        self.disk = self.disk.after_power_cut(seed);
        self.open();
    }

    fn server(&self) -> &Embedded {
        self.server.as_ref().unwrap()
    }

    fn group(&self, key: &str) -> &Group {
        self.server().backend.group_of(key.as_bytes()).unwrap()
    }

    /// What the keeper and the threads of the log do when writers wait.
    fn keep(&self) {
        self.server().tend_log();
        self.server().keeper.tend();
        self.server().tend_log();
    }

    fn sync(&self) {
        let log = self.server().log().unwrap();
        log.sync_past(log.appended_lsn()).unwrap();
    }

    /// Sends lines, `\n` for the end of one, and writes the log; how the turn ended.
    fn send(&mut self, text: &str) -> Progress {
        let bytes = text.replace('\n', "\r\n");
        let backend = &self.server.as_ref().unwrap().backend;
        let progress = self.conn.turn(bytes.as_bytes(), 100, self.clock.now(), backend);
        backend.end_turn();
        progress
    }

    /// What may leave now, lines ended by `\n`.
    fn receive(&mut self) -> String {
        let backend = &self.server.as_ref().unwrap().backend;
        let safe = backend.safe_lsn();
        if backend.is_stopped() {
            self.conn.fail_waiting(safe, b"SERVER_ERROR lost\r\n");
        }
        self.conn.outbox.release(safe);
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = self.conn.outbox.ready(&mut slices);
        let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        self.conn.outbox.advance(bytes.len());
        String::from_utf8(bytes).unwrap().replace('\r', "")
    }

    /// Sends, tends the log, receives.
    fn ask(&mut self, text: &str) -> String {
        self.send(text);
        self.server().tend_log();
        self.receive()
    }

    /// Sends, syncs, receives.
    fn settle(&mut self, text: &str) -> String {
        let mut progress = self.send(text);
        for _ in 0..4 {
            if progress != Progress::Parked {
                break;
            }
            self.keep();
            progress = self.send("");
        }
        assert_ne!(progress, Progress::Parked, "{text:?} is parked for ever");
        self.sync();
        self.server().tend_log();
        self.receive()
    }

    fn cas_of(&mut self, key: &str) -> u64 {
        let reply = self.settle(&format!("gets {key}\n"));
        reply.split_whitespace().nth(4).unwrap_or_else(|| panic!("{reply:?}")).parse().unwrap()
    }

    fn row(&self, key: &str) -> Option<Vec<u8>> {
        let mut row = RowBuffer::default();
        let item = self.group(key).read_stored(key.as_bytes(), &mut row).unwrap();
        item.map(|item| item.value.bytes().to_vec())
    }

    /// How many groups have everything in memory.
    fn complete_groups(&self) -> u64 {
        self.server().backend.groups.iter().map(|group| group.figures().complete_groups).sum()
    }

    fn checkpoint_all(&self) {
        for group in self.server().backend.groups.iter() {
            group.checkpoint().unwrap();
        }
    }
}

const HIT_V: &str = "VALUE k 0 1\nv\nEND\n";

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
        std::mem::swap(&mut rig.conn, &mut other);
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
        let _ = group.submit(&Asked { key: &key, op: &op, now }, |_| {});
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
