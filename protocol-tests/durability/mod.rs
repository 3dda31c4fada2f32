//! The rules of log, memory and store at the level of whole groups: each test fails when its rule is taken away.
mod clocks;
mod delays;
mod failures;
mod races;
mod room;
mod rules;
mod serving;

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder::base::time::Clock;
use larder::binlog::sim::SimDisk;
use larder::conn::outbox::SLICES_MAX;
use larder::conn::{Backend, Connection, Progress};
use larder::group::Group;
use larder::server::{Disks, Embedded};
use larder::store::RowBuffer;
use larder::store::sim::{Call, Fate, SimDisk as StoreDisk};

use parking_lot::Mutex;

use crate::drivers::TestClock;
use crate::model::{GROUPS, tiny};

const HIT_V: &str = "VALUE k 0 1\nv\nEND\n";

/// Asked before every call to the disk of the store of this group.
type Gate = Arc<dyn Fn(u16, Call) -> Fate + Send + Sync>;

/// A server over simulated disks; nothing happens in it of itself.
struct Rig {
    folder: tempfile::TempDir,
    fsync: &'static str,
    gate: Gate,
    stores: Vec<StoreDisk>,
    /// Memory at the next start, when not what [`tiny`] has.
    memory_bytes: Option<u64>,
    clock: Arc<TestClock>,
    disk: SimDisk,
    server: Option<Embedded>,
    /// Locked so that several threads may look at the rest; each asks over a connection of its own.
    conn: Mutex<Connection>,
}

impl Rig {
    fn new(fsync: &'static str) -> Rig {
        Rig::gated(fsync, Arc::new(|_, _| Fate::Done))
    }

    fn gated(fsync: &'static str, gate: Gate) -> Rig {
        let mut rig = Rig {
            folder: tempfile::tempdir().unwrap(),
            fsync,
            stores: (0..GROUPS).map(|group| StoreDisk::new(of_group(&gate, group))).collect(),
            gate,
            memory_bytes: None,
            clock: TestClock::new(),
            disk: SimDisk::new(),
            server: None,
            conn: Mutex::default(),
        };
        rig.open();
        rig
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn open(&mut self) {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let stores = self.stores.clone();
        let disks = Disks {
            log: Some(Arc::new(self.disk.clone())),
            store: Some(Box::new(move |group| Box::new(stores[usize::from(group.0)].clone()))),
        };
        let mut config = tiny(Path::new(&self.data_dir()), self.fsync);
        config.memory.bytes = self.memory_bytes.unwrap_or(config.memory.bytes);
        self.server = Some(Embedded::open_on(&config, &clock, &disks).unwrap());
        self.conn = Mutex::default();
    }

    /// Ends the server as a kill would, and begins again over what programs see of the disk.
    fn kill(&mut self) {
        self.server = None;
        (self.disk, self.stores) = self.left_by_kill();
        self.open();
    }

    /// What the next process would find if this one were killed now.
    fn left_by_kill(&self) -> (SimDisk, Vec<StoreDisk>) {
        let after_kill = |(group, disk): (u16, &StoreDisk)| disk.after_kill(of_group(&self.gate, group));
        (self.disk.after_kill(), (0..).zip(&self.stores).map(after_kill).collect())
    }

    /// Ends it by a power cut.
    fn cut_power(&mut self, seed: u64) {
        self.server = None;
        self.disk = self.disk.after_power_cut(seed);
        let after_cut =
            |(group, disk): (u16, &StoreDisk)| disk.after_power_cut(of_group(&self.gate, group), seed);
        self.stores = (0..).zip(&self.stores).map(after_cut).collect();
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
        let progress = self.conn.get_mut().turn(bytes.as_bytes(), 100, self.clock.now(), backend);
        backend.end_turn();
        progress
    }

    /// What may leave now, lines ended by `\n`.
    fn receive(&mut self) -> String {
        let backend = &self.server.as_ref().unwrap().backend;
        let safe = backend.safe_lsn();
        if backend.is_stopped() {
            self.conn.get_mut().fail_waiting(safe, b"SERVER_ERROR lost\r\n");
        }
        self.conn.get_mut().outbox.release(safe);
        taken(self.conn.get_mut())
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

    /// As [`Rig::settle`], over a connection of its own.
    fn beside(&self, text: &str) -> String {
        let mut conn = Connection::default();
        let mut bytes = text.replace('\n', "\r\n").into_bytes();
        let backend = &self.server().backend;
        while conn.turn(&bytes, 100, self.clock.now(), backend) == Progress::Parked {
            bytes.clear();
            self.keep();
        }
        self.sync();
        conn.outbox.release(backend.safe_lsn());
        taken(&mut conn)
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

/// What is ready in a connection's outbox, lines ended by `\n`.
fn taken(conn: &mut Connection) -> String {
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let count = conn.outbox.ready(&mut slices);
    let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
    conn.outbox.advance(bytes.len());
    String::from_utf8(bytes).unwrap().replace('\r', "")
}

fn of_group(gate: &Gate, group: u16) -> larder::store::sim::Gate {
    let gate = Arc::clone(gate);
    Arc::new(move |call| gate(group, call))
}
