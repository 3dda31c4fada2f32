//! The log's two threads.

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use crate::base::fault::{Fault, FaultKind};
use crate::base::limits;

use super::gather::{Gathering, Round};
use super::log::{Fsync, Log};

const GATHER_WAIT_MAX: Duration = Duration::from_millis(limits::GATHER_WAIT_MS_MAX);

/// What `everysec` means, and how often a full disk is tried again.
const SECOND: Duration = Duration::from_secs(1);

/// The body of the log thread: writes and syncs by the level, and keeps segments ready on a thread of its own, until
/// [`Log::close`]; then writes, syncs and marks the end.
///
/// Panics when one of the two threads does, as soon as the other has ended, which it is made to.
pub fn run(log: &Log) {
    thread::scope(|scope| {
        let _both = EndsBoth(log);
        let pool = thread::Builder::new().name("binlog-pool".into());
        if let Err(error) = pool.spawn_scoped(scope, || keep_ready(log)) {
            log.stop(Fault::new(FaultKind::Io, format!("cannot start a thread: {error}")));
        }
        if write_and_sync(log).is_ok() && seal(log).is_ok() {
            return;
        }
        while !log.closing.load(SeqCst) {
            log.bell.wait(None);
        }
    });
}

/// Closes the log when its thread panics: neither thread goes on without the other, nor waits for it for ever.
struct EndsBoth<'l>(&'l Log);

impl Drop for EndsBoth<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.close();
        }
    }
}

/// Writes and syncs until the log is closed; fails when that is no longer possible.
fn write_and_sync(log: &Log) -> Result<(), Fault> {
    let mut due = Instant::now() + SECOND;
    let mut gathering = Gathering::default();
    while !log.closing.load(SeqCst) {
        match log.options.fsync {
            Fsync::Always => {
                log.bell.wait(None);
                log.gather(&mut gathering);
                gathering.note_round(&log.timed_sync_round()?);
            }
            Fsync::EverySec | Fsync::Never => {
                let never = log.options.fsync == Fsync::Never;
                log.bell.wait((!never).then(|| due.saturating_duration_since(Instant::now())));
                let over = !never && Instant::now() >= due;
                if log.sync_soon.swap(false, SeqCst) || over {
                    log.sync_round()?;
                    due = Instant::now() + SECOND;
                } else {
                    log.write_round()?;
                }
            }
        }
    }
    Ok(())
}

impl Log {
    /// Waits until as many are there as the last sync released, if that has proved worth it.
    pub(crate) fn gather(&self, gathering: &mut Gathering) {
        let Some(wait) = gathering.wait(self.appended_lsn()) else { return };
        self.gathers_to.store(wait.until.0, SeqCst);
        let end = Instant::now() + wait.at_most;
        // A ring from before may still be heard.
        while self.appended_lsn() < wait.until && !self.closing.load(SeqCst) {
            if !self.bell.wait(Some(end.saturating_duration_since(Instant::now()))) {
                break;
            }
        }
        self.gathers_to.store(0, SeqCst);
        gathering.note_wait(self.appended_lsn() >= wait.until);
    }

    fn timed_sync_round(&self) -> Result<Round, Fault> {
        let (before, began) = (self.durable_lsn(), Instant::now());
        self.sync_round()?;
        let took = began.elapsed().min(GATHER_WAIT_MAX);
        Ok(Round { before, durable: self.durable_lsn(), appended: self.appended_lsn(), took })
    }

    /// One round of both threads without the syncing that the level asks for: for who runs a log without [`run`]. A
    /// failure is final as ever, and [`Log::state`] tells it.
    pub fn tend(&self) {
        let _ = self.write_round();
        self.pool_round();
    }
}

/// Ends a log that is closed: the next start finds that nothing is behind.
pub(crate) fn seal(log: &Log) -> Result<(), Fault> {
    log.sync_round()?;
    if log.ask_for_batch(true) {
        log.sync_round()?;
    }
    Ok(())
}

/// Keeps segments ready until the log is closed.
fn keep_ready(log: &Log) {
    let _both = EndsBoth(log);
    while !log.closing.load(SeqCst) {
        let again = log.pool_round();
        log.pool_bell.wait(again.then_some(SECOND));
    }
}
