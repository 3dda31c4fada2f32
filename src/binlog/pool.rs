//! Which segments there are: those of the log, and those that wait to be used. Makes new ones ahead, and turns those
//! that are not needed any more into ones that wait.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use crate::base::fault::{Fault, FaultKind};
use crate::base::lsn::Lsn;

use super::disk::{Disk, DiskFile};
use super::log::{Fsync, Log, Options};
use super::segment::FileName;
use super::tail::Gate;

/// Segments that are kept ready, so that going on in the next one is quick.
const READY_SEGMENTS: usize = 1;
/// What is zeroed with one write, bytes.
const ZERO_BYTES: usize = 1 << 20;

/// The segments.
#[derive(Default)]
pub(crate) struct Pool {
    /// Those of the log, oldest first; the last is the one that is written.
    live: VecDeque<Live>,
    /// Those that wait to be used; the first ones may be promised to records already.
    ready: VecDeque<Spare>,
    /// Positions from which on somebody still reads the log.
    holds: Vec<(u64, Lsn)>,
    /// What all holds together may keep beyond the trim LSN, segments.
    held_segments_max: usize,
    /// The number of the next spare file, and of the next hold.
    next_number: u64,
}

/// A segment of the log.
#[derive(Clone, Copy, Debug)]
struct Live {
    sequence: u64,
    /// Its highest LSN; meaningless for the one that is written.
    last: Lsn,
}

/// A file of a segment's length that nobody needs.
pub(crate) struct Spare {
    pub(crate) name: String,
    pub(crate) file: Arc<dyn DiskFile>,
}

impl Pool {
    /// A pool that numbers its files from `next_number` on.
    pub(crate) fn new(next_number: u64) -> Pool {
        Pool { next_number, held_segments_max: usize::MAX, ..Pool::default() }
    }

    /// Bounds what holds keep.
    pub(crate) fn bound_holds(&mut self, segments: usize) {
        self.held_segments_max = segments;
    }

    /// The segments of the log that hold something behind `after`, oldest first; the last is the one that is written.
    pub(crate) fn behind(&self, after: Lsn) -> Vec<u64> {
        let older = self.live.len().saturating_sub(1);
        let holds_some = |(index, live): &(usize, &Live)| *index == older || live.last > after;
        self.live.iter().enumerate().filter(holds_some).map(|(_, live)| live.sequence).collect()
    }

    /// A number that no spare file has.
    pub(crate) fn take_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// Adds a segment that waits to be used.
    pub(crate) fn add_ready(&mut self, spare: Spare) {
        self.ready.push_back(spare);
    }

    /// The segment to go on in.
    pub(crate) fn take_ready(&mut self) -> Option<Spare> {
        self.ready.pop_front()
    }

    /// The log goes on in segment `sequence`; the one before ended with `prior_last`. How many segments the log has.
    pub(crate) fn began(&mut self, sequence: u64, prior_last: Lsn) -> usize {
        if let Some(prior) = self.live.back_mut() {
            prior.last = prior_last;
        }
        self.live.push_back(Live { sequence, last: Lsn::ZERO });
        self.live.len()
    }

    /// Segments of the log, and segments that wait.
    pub(crate) fn figures(&self) -> (usize, usize) {
        (self.live.len(), self.ready.len())
    }

    /// The segments that hold nothing above `trim`, oldest first.
    fn trimmed(&self, trim: Lsn) -> impl Iterator<Item = u64> + '_ {
        let older = self.live.len().saturating_sub(1);
        self.live.iter().take(older).take_while(move |live| live.last <= trim).map(|live| live.sequence)
    }

    /// Up to here nobody reads the log any more, whatever is trimmed.
    fn held_below(&self) -> Lsn {
        let held = self.holds.iter().map(|(_, lsn)| lsn.0.saturating_sub(1)).min();
        Lsn(held.unwrap_or(u64::MAX))
    }

    /// Ends all holds.
    fn lapse(&mut self, why: &str) {
        if !self.holds.is_empty() {
            log::warn!("backups that read the log come to nothing: {why}");
            self.holds.clear();
        }
    }

    /// Segments that count against the bound: what a hold keeps does not, so that no reader stalls the writers.
    fn counted(&self, trim: Lsn) -> usize {
        self.live.len() - self.trimmed(trim).count() + self.ready.len()
    }
}

/// Keeps every record from an LSN on readable, until it is dropped or has lapsed.
pub struct Hold {
    log: Arc<Log>,
    number: u64,
}

impl Hold {
    /// Whether it keeps nothing any more: what it kept had grown beyond the bound, or the disk was full.
    pub fn has_lapsed(&self) -> bool {
        !self.log.pool.lock().holds.iter().any(|(number, _)| *number == self.number)
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hold({})", self.number)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.log.pool.lock().holds.retain(|(number, _)| *number != self.number);
        self.log.pool_bell.ring();
    }
}

impl Log {
    /// Keeps every record from `lsn` on readable while the hold lives: for backups. What a hold keeps beyond the trim
    /// LSN does not count against the log's bound, but has its own (`limits::LOG_HELD_BYTES_MAX`): when that is reached,
    /// or the disk is full, every hold lapses, so that no reader stalls the writers.
    pub fn hold(self: &Arc<Log>, lsn: Lsn) -> Hold {
        let mut pool = self.pool.lock();
        let number = pool.take_number();
        pool.holds.push((number, lsn));
        Hold { log: Arc::clone(self), number }
    }

    /// Everything up to `lsn` is in the stores, durably: a recovery need not replay it, and segments that hold
    /// nothing else are recycled.
    pub fn trim(&self, lsn: Lsn) {
        let trim = lsn.min(self.durable_lsn());
        self.marks.trim.fetch_max(trim.0, SeqCst);
        if self.pool.lock().trimmed(trim).next().is_some() {
            self.pool_bell.ring();
        }
    }

    /// One round of the thread that keeps segments ready. Whether it is to be tried again soon.
    pub(crate) fn pool_round(&self) -> bool {
        if self.is_stopped() {
            return false;
        }
        let retired = self.retire_trimmed();
        if let Err(fault) = &retired {
            log::warn!("a trimmed segment could not be recycled: {fault}");
        }
        let unarchived = self.try_again.swap(false, SeqCst);
        self.prepare() || retired.is_err() || unarchived
    }

    /// Takes the segments out of the log that nobody needs.
    fn retire_trimmed(&self) -> Result<(), Fault> {
        let trim = self.trim_lsn();
        let sequences: Vec<u64> = {
            let mut pool = self.pool.lock();
            if pool.trimmed(trim).count() - pool.trimmed(trim.min(pool.held_below())).count()
                > pool.held_segments_max
            {
                pool.lapse("they keep more of it than they may");
            }
            pool.trimmed(trim.min(pool.held_below())).collect()
        };
        // The log says durably that they are not needed before they go: a recovery that missed them would have to
        // take it for a loss.
        let wanted = sequences.len();
        let sequences = self.archived(sequences);
        if sequences.len() < wanted {
            self.try_again.store(true, SeqCst);
        }
        if sequences.is_empty() || !self.ask_for_batch(false) {
            return Ok(());
        }
        self.sync_round()?;
        let mut retired = Vec::with_capacity(sequences.len());
        for sequence in sequences {
            let number = self.pool.lock().take_number();
            retired.push(retire(&*self.disk, sequence, number)?);
            let mut pool = self.pool.lock();
            pool.live.pop_front();
            self.counts.segments_recycled.fetch_add(1, SeqCst);
            self.counts.used_bytes.store(pool.live.len() as u64 * self.options.segment_bytes, SeqCst);
        }
        // Before a file gets a new content its old name is gone for good. What is dropped here after a failure is
        // taken in by the next start.
        self.disk
            .sync_directory()
            .map_err(|error| Fault::io("cannot sync the directory", &self.disk.path(""), &error))?;
        for spare in retired {
            self.take_in(spare);
        }
        Ok(())
    }

    /// Those of `sequences`, oldest first, that are in the archive, or given up by it because too many wait.
    fn archived(&self, mut sequences: Vec<u64>) -> Vec<u64> {
        let Some(archive) = &self.archive else { return sequences };
        let is_full = self.tail.lock().gate == Gate::Full;
        let waiting_max = if is_full { 0 } else { self.pool.lock().held_segments_max };
        let mut waiting = sequences.len();
        let mut done = 0;
        for sequence in &sequences {
            if !archive.keep(&*self.disk, *sequence) {
                if waiting <= waiting_max {
                    break;
                }
                archive.give_up(*sequence);
            }
            waiting -= 1;
            done += 1;
        }
        sequences.truncate(done);
        sequences
    }

    /// A segment waits to be used, or is removed when there are more than the log may have.
    fn take_in(&self, spare: Spare) {
        let surplus = {
            let mut pool = self.pool.lock();
            if pool.counted(self.trim_lsn()) >= self.options.segments_max() {
                Some(spare)
            } else {
                pool.add_ready(spare);
                None
            }
        };
        match surplus {
            // A file that cannot be removed is found and removed at the next start.
            Some(spare) => drop(self.disk.remove(&spare.name)),
            None => self.one_more_ready(),
        }
    }

    /// The append side may go on in one more segment.
    fn one_more_ready(&self) {
        let woken = {
            let mut tail = self.tail.lock();
            tail.ready += 1;
            let woken = tail.wanted > 0 || tail.gate == Gate::Full;
            if tail.ready >= tail.wanted {
                tail.wanted = 0;
            }
            if tail.gate == Gate::Full {
                tail.gate = Gate::Open;
            }
            woken
        };
        if woken {
            self.wake_all();
        }
    }

    /// Makes segments until enough wait. Whether that failed and is to be tried again.
    fn prepare(&self) -> bool {
        loop {
            let (ready, wanted) = {
                let tail = self.tail.lock();
                (tail.ready, tail.wanted.max(READY_SEGMENTS))
            };
            let bound = self.options.segments_max();
            if ready >= wanted || self.pool.lock().counted(self.trim_lsn()) >= bound {
                return false;
            }
            let number = self.pool.lock().take_number();
            let zeroed = if self.options.fsync == Fsync::Always { Zeroed::Yes } else { Zeroed::No };
            match make_spare(&*self.disk, &self.options, number, zeroed, &|| self.is_stopped()) {
                Ok(Some(spare)) => self.take_in(spare),
                Ok(None) => return false,
                Err(fault) => {
                    self.no_room(&fault);
                    return true;
                }
            }
        }
    }

    /// No segment can be made: what is accepted has its place, what is new may be refused.
    fn no_room(&self, fault: &Fault) {
        let news = {
            let mut tail = self.tail.lock();
            let news = tail.gate == Gate::Open;
            if news {
                tail.gate = Gate::Full;
            }
            news
        };
        self.pool.lock().lapse("the disk is full");
        if news {
            log::warn!("no new segment for the log, tried again every second: {fault}");
            self.wake_all();
        }
    }
}

/// Turns a segment of the log into a spare one. Not to be written before the directory is synced: a crash could give
/// it its old name back.
pub(crate) fn retire(disk: &dyn Disk, sequence: u64, number: u64) -> Result<Spare, Fault> {
    let old = FileName::Segment(sequence).text();
    let name = FileName::Spare(number).text();
    let fault = |error| Fault::io("cannot take it out of the log", &disk.path(&old), &error);
    let file = disk.open(&old).map_err(fault)?;
    disk.rename(&old, &name).map_err(fault)?;
    Ok(Spare { name, file })
}

/// Whether a new segment is filled with zeros: syncs of a file whose blocks were written once are quicker, but filling it
/// writes every byte once more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zeroed {
    /// Ahead of time, where clients wait for syncs.
    Yes,
    /// Where they do not, or somebody waits for the segment.
    No,
}

/// Makes a spare segment; `None` when `given_up` says so in between.
pub(crate) fn make_spare(
    disk: &dyn Disk,
    options: &Options,
    number: u64,
    zeroed: Zeroed,
    given_up: &dyn Fn() -> bool,
) -> Result<Option<Spare>, Fault> {
    let unfinished = FileName::Unfinished(number).text();
    let fault = |error| Fault::io("cannot make a segment", &disk.path(&unfinished), &error);
    if disk.free_bytes().map_err(fault)? < options.segment_bytes {
        let message = format!("a segment of {} bytes has no room on the disk", options.segment_bytes);
        return Err(Fault::new(FaultKind::DiskFull, message).at(&disk.path(&unfinished)));
    }
    let file = disk.create(&unfinished).map_err(fault)?;
    let name = FileName::Spare(number).text();
    let made = file
        .allocate(options.segment_bytes)
        .and_then(|()| {
            if zeroed == Zeroed::Yes { zero(&*file, options.segment_bytes, given_up) } else { Ok(true) }
        })
        .and_then(|whole| if whole { file.sync_data().map(|()| true) } else { Ok(false) })
        .and_then(|whole| if whole { disk.rename(&unfinished, &name).map(|()| true) } else { Ok(false) });
    match made {
        Ok(true) => Ok(Some(Spare { name, file })),
        // Nothing depends on the file: if it cannot be removed now, the next start does.
        Ok(false) => Ok(disk.remove(&unfinished).ok().and(None)),
        Err(error) => {
            drop(disk.remove(&unfinished));
            Err(fault(error))
        }
    }
}

/// Writes zeros over the whole file. False when given up.
fn zero(file: &dyn DiskFile, bytes: u64, given_up: &dyn Fn() -> bool) -> io::Result<bool> {
    let zeros = vec![0; ZERO_BYTES];
    let mut offset = 0;
    while offset < bytes {
        if given_up() {
            return Ok(false);
        }
        let count = zeros.len().min(usize::try_from(bytes - offset).unwrap_or(ZERO_BYTES));
        file.write_all_at(zeros.get(..count).unwrap_or(&zeros), offset)?;
        offset += count as u64;
    }
    Ok(true)
}
