//! What may come between the steps of a cold read, a warm-up and a checkpoint: a call to a store's disk is held up while
//! it comes.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use larder::binlog::sim::SimDisk;
use larder::store::sim::{Call, Fate};
use parking_lot::Mutex;

use super::{Rig, StoreDisk};

/// Longest wait for a thread that is to come to the held call.
const PATIENCE: Duration = Duration::from_secs(60);

/// Holds up the next call of one kind, once it is armed.
#[derive(Default)]
struct Hold {
    armed: AtomicBool,
    /// Tells that the call has come, or (by hanging up) that it never will.
    came: Mutex<Option<Sender<()>>>,
    go: Mutex<Option<Receiver<()>>>,
}

impl Hold {
    /// A call has come: waits if it is the one.
    fn pass(&self) {
        if self.armed.swap(false, Ordering::SeqCst) {
            let (came, go) = (self.came.lock().take(), self.go.lock().take());
            came.unwrap().send(()).unwrap();
            let _ = go.unwrap().recv_timeout(PATIENCE);
        }
    }

    /// A server whose stores pass here with calls of this kind.
    fn rig(self: &Arc<Hold>, held: Call) -> Rig {
        let hold = Arc::clone(self);
        let gate = move |_, call| {
            if call == held {
                hold.pass();
            }
            Fate::Done
        };
        Rig::gated("everysec", Arc::new(gate))
    }

    /// Does `work` in a thread and, when it has come to the call, `meddle`; then lets it go on.
    fn meanwhile<T: Send>(&self, work: impl FnOnce() -> T + Send, meddle: impl FnOnce()) -> T {
        let (came, has_come) = channel();
        let (let_go, go) = channel();
        (*self.came.lock(), *self.go.lock()) = (Some(came), Some(go));
        self.armed.store(true, Ordering::SeqCst);
        std::thread::scope(|scope| {
            let working = scope.spawn(|| {
                let done = work();
                self.came.lock().take();
                done
            });
            match has_come.recv_timeout(PATIENCE) {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("the work ended without the call"),
                Err(RecvTimeoutError::Timeout) => panic!("the work never ended"),
            }
            meddle();
            let_go.send(()).unwrap();
            working.join().unwrap()
        })
    }
}

impl Rig {
    /// Writes so much else in the group of `{k}...` that what was in memory, its own or its store's, is there no more.
    fn push_out(&self) {
        let value = "v".repeat(9000);
        for number in 0..100 {
            assert_eq!(self.beside(&format!("set {{k}}z{number} 0 0 9000\n{value}\n")), "STORED\n");
        }
        self.group("{k}").checkpoint().unwrap();
    }

    /// Reads all that [`Rig::push_out`] wrote, the neighbours of the middle first: their pages make those of the middle
    /// leave the store's memory.
    fn read_others(&self) {
        for number in (50..100).chain(0..50) {
            self.beside(&format!("get {{k}}z{number}\n"));
        }
    }

    /// Begins again over disks that were taken down before.
    fn resume_on(&mut self, left: (SimDisk, Vec<StoreDisk>)) {
        self.server = None;
        (self.disk, self.stores) = left;
        self.open();
    }
}

const NEW: &str = "VALUE {k}z50b 0 3\nnew\nEND\n";

#[test]
fn a_cold_read_that_was_overtaken_answers_and_admits_nothing_old() {
    for (meddling, after) in [("set {k}z50b 0 0 3\nnew\n", NEW), ("delete {k}z50b\n", "END\n")] {
        let hold = Arc::<Hold>::default();
        let mut rig = hold.rig(Call::Read);
        // So long that much of it is in pages of its own: there the read is held.
        rig.beside(&format!("set {{k}}z50b 0 0 9000\n{}\n", "o".repeat(9000)));
        rig.push_out();
        rig.kill();
        rig.read_others();
        let reply = hold.meanwhile(
            || rig.beside("get {k}z50b\n"),
            || {
                rig.beside(meddling);
                // Its tombstone or new value leaves memory: nothing but the generation tells that the row is old.
                rig.push_out();
            },
        );
        assert_eq!(reply, after, "{meddling:?}");
        assert_eq!(rig.beside("get {k}z50b\n"), after, "{meddling:?}: the old row was taken into memory");
    }
}

#[test]
fn a_warm_up_that_was_overtaken_takes_no_old_row() {
    let hold = Arc::<Hold>::default();
    let mut rig = hold.rig(Call::Read);
    rig.beside("set {k}a 0 0 3\nold\n");
    rig.checkpoint_all();
    rig.push_out();
    rig.kill();
    let warm_up = || rig.group("{k}").warm_up(|| true).unwrap();
    hold.meanwhile(warm_up, || {
        // Deleted, in the store too, its tombstone gone, and memory empty enough to take the row.
        rig.beside("delete {k}a\n");
        rig.group("{k}").checkpoint().unwrap();
    });
    assert_eq!(rig.beside("get {k}a\n"), "END\n", "the deleted row came back");
}

/// Everything but the group of `k` is in the stores, and so nothing else holds the log.
fn checkpoint_others(rig: &Rig) {
    let groups = &rig.server().backend.groups;
    for group in groups.iter().filter(|group| group.id != rig.group("k").id) {
        group.checkpoint().unwrap();
    }
}

#[test]
fn a_flush_that_a_checkpoint_is_still_writing_holds_the_log() {
    let hold = Arc::<Hold>::default();
    let mut rig = hold.rig(Call::Sync);
    rig.beside("set k 0 0 1\nv\n");
    rig.checkpoint_all();
    rig.beside("flush_all\n");
    checkpoint_others(&rig);
    let mut left = None;
    let checkpoint = || rig.group("k").checkpoint().unwrap();
    hold.meanwhile(checkpoint, || {
        // Meanwhile the keeper gives up what the log need not hold, the next batch says so, and the process ends.
        rig.server().keeper.trim().unwrap();
        rig.beside("set other 0 0 1\nv\n");
        left = Some(rig.left_by_kill());
    });
    rig.resume_on(left.unwrap());
    assert_eq!(rig.ask("get k\n"), "END\n", "the flush went with the log");
}

#[test]
fn a_flush_behind_a_checkpoint_that_runs_is_not_taken_for_stored() {
    let hold = Arc::<Hold>::default();
    let mut rig = hold.rig(Call::Sync);
    rig.beside("set k 0 0 1\nv\n");
    // The checkpoint has copied and commits; the flush comes behind what it says of itself.
    let checkpoint = || rig.group("k").checkpoint().unwrap();
    hold.meanwhile(checkpoint, || assert_eq!(rig.beside("flush_all\n"), "OK\n"));
    checkpoint_others(&rig);
    // Now nothing holds the log but the mark.
    rig.server().keeper.tend();
    rig.beside("set other 0 0 1\nv\n");
    rig.kill();
    assert_eq!(rig.ask("get k\n"), "END\n", "the flush went with the log");
}
