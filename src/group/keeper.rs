//! The thread that keeps the log short and memory clean: it decides which group is checkpointed when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::compaction::Compactor;
use super::disk_limit::{Judgement, Limiter, Standing};
use super::eviction::Evictor;
use super::group::{Core, Group, Shared};
use crate::base::fault::{Fault, FaultKind};
use crate::base::lsn::Lsn;
use crate::base::space::OnFull;
use crate::base::time::{Clock, UnixMs};
use crate::base::version::Version;
use crate::binlog::Log;
use crate::store::{Ledger, Reserve};

/// How often the keeper looks when nobody rings.
const TICK: Duration = Duration::from_millis(200);
/// How long it rests after a checkpoint that failed.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);
/// Dirty entries are written at the latest after this long, so that their space is right and replay is short.
const DIRTY_AGE_MAX_S: u32 = 45;
/// The same with too little room on the disk.
const SHORT_AGE_MAX_S: u32 = 2;
/// So often a group is asked to give memory back in one round.
const TRIMS_MAX: usize = 64;
/// The log may be so full, eighths, before the group that pins its oldest record is written, wherever the others are.
const LOG_EIGHTHS_MAX: u64 = 6;
/// So much of it may a group need on average. Half of [`LOG_EIGHTHS_MAX`]: what they need when they are written in turn,
/// evenly. When many are equally far behind it comes to this sooner, and spreads them.
const LOG_EIGHTHS_MEAN_MAX: u64 = 3;
/// Up to here it is not full: nothing is written for its sake.
const LOG_EIGHTHS_FREE: u64 = 4;
/// How far ahead of the clock the version ceiling is persisted, and when it is renewed.
pub const CEILING_AHEAD_MS: u64 = 60_000;
/// See [`CEILING_AHEAD_MS`].
const CEILING_RENEWAL_MS: u64 = 30_000;

/// Rung by whoever needs the keeper at once.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    /// Wakes the keeper.
    pub fn ring(&self) {
        *self.rung.lock() = true;
        self.heard.notify_all();
    }

    /// Whether it was rung since the last wait.
    pub fn is_rung(&self) -> bool {
        *self.rung.lock()
    }

    /// Waits until it rings, or this long.
    pub fn wait(&self, pause: Duration) {
        let mut rung = self.rung.lock();
        if !*rung {
            self.heard.wait_for(&mut rung, pause);
        }
        *rung = false;
    }
}

/// What the keeper knows of a group when it decides.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// Its place in the list of groups.
    pub index: usize,
    /// What is dirty, bytes.
    pub dirty_bytes: usize,
    /// Everything up to here is in its store.
    pub applied: Lsn,
    /// For how long something has been dirty, seconds.
    pub dirty_age_s: u32,
    /// A writer waits because too much of just this group is dirty.
    pub wants_room: bool,
}

/// What presses: of log and memory the one that is nearer to its bound, or writers would wait for it while the keeper
/// works on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressing {
    /// Nothing: only what has been dirty for too long is written.
    Nothing,
    /// The groups need too much of the log: the one that pins its oldest record is written.
    Log,
    /// More than half of what may be dirty is: the fullest group is written.
    Memory,
    /// Too little room on the disk: removals are written soon, since only that gives their space back.
    Disk,
}

/// A figure and the bound at which writers wait, bytes.
#[derive(Clone, Copy, Debug)]
struct Fullness {
    used: u64,
    max: u64,
}

impl Fullness {
    /// In 1,024ths of the bound.
    fn part(self) -> u64 {
        self.used.saturating_mul(1024) / self.max.max(1)
    }
}

/// What presses on all groups, if it is log or memory: `log` is one that does, by [`LogUse::is_pressing`]. Pure, so that
/// it can be tested.
fn press(log: Option<Fullness>, dirty: Fullness) -> Option<Pressing> {
    let memory = Some(dirty.part()).filter(|part| *part > 512);
    match (log.map(Fullness::part), memory) {
        (None, None) => None,
        (Some(log), Some(memory)) if log <= memory => Some(Pressing::Memory),
        (Some(_), _) => Some(Pressing::Log),
        (None, Some(_)) => Some(Pressing::Memory),
    }
}

/// Which group is written next; first those that somebody waits for, whatever presses on all. Pure, so that it can be
/// tested.
pub fn choose(needs: &[Need], pressing: Pressing) -> Option<usize> {
    let wanted = needs.iter().filter(|need| need.wants_room).max_by_key(|need| need.dirty_bytes);
    if let Some(need) = wanted {
        return Some(need.index);
    }
    let aged = |age_s| needs.iter().filter(move |need| need.dirty_age_s >= age_s);
    let chosen = match pressing {
        Pressing::Nothing => aged(DIRTY_AGE_MAX_S).min_by_key(|need| need.applied),
        Pressing::Disk => aged(SHORT_AGE_MAX_S).max_by_key(|need| need.dirty_bytes),
        Pressing::Log => needs.iter().min_by_key(|need| need.applied),
        Pressing::Memory => needs.iter().max_by_key(|need| need.dirty_bytes),
    };
    chosen.map(|need| need.index)
}

/// What of the log is needed. The later a group is written the better: what is overwritten until then is not written at
/// all.
#[derive(Clone, Copy, Debug)]
struct LogUse {
    used_bytes: u64,
    bytes_max: u64,
    /// Its first record that is needed, about, and its last.
    ends: [Lsn; 2],
}

impl LogUse {
    fn fullness(&self) -> Fullness {
        Fullness { used: self.used_bytes, max: self.bytes_max }
    }

    /// Whether that is too much; `needs` are the groups that something of is to be written.
    fn is_pressing(&self, needs: &[Need]) -> bool {
        let [begin, end] = self.ends;
        let span = end.0.saturating_sub(begin.0).max(1);
        let behind = |need: &Need| end.0.saturating_sub(need.applied.0).min(span);
        let mean = needs.iter().map(behind).sum::<u64>() / (needs.len() as u64).max(1);
        let mean_bytes = (self.used_bytes as f64 * (mean as f64 / span as f64)) as u64;
        let eighth = self.bytes_max / 8;
        let is_filling = self.used_bytes > eighth * LOG_EIGHTHS_FREE;
        self.used_bytes > eighth * LOG_EIGHTHS_MAX || is_filling && mean_bytes > eighth * LOG_EIGHTHS_MEAN_MAX
    }
}

/// Where the version ceiling is kept.
pub trait Ceiling: Send + Sync {
    /// Makes sure that no start will issue versions up to this one again.
    fn raise(&self, version: Version) -> Result<(), Fault>;
}

/// Who is told that a group has given up items for room, besides those who ask it something.
pub trait Onlooker: Send + Sync {
    /// Looks at what has gone of this group.
    fn look(&self, group: &Group, now: UnixMs);
}

/// The keeper's thread.
pub struct Keeper {
    /// All groups of this server.
    pub groups: Arc<[Group]>,
    /// What they share.
    pub shared: Arc<Shared>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where the version ceiling is kept.
    pub ceiling: Arc<dyn Ceiling>,
    /// What the groups' files must hold; `None` under `--memory-only`.
    pub ledger: Option<Mutex<Ledger>>,
    /// Given up when the disk is full; `None` under `--memory-only`.
    pub reserve: Option<Reserve>,
    /// What is being compacted.
    pub compactor: Compactor,
    /// What the data directory may take; `None` under `--memory-only`.
    pub limiter: Option<Limiter>,
    /// What is given up for it.
    pub evictor: Evictor,
    /// Who is told of that; `None` when nobody can be.
    pub onlooker: Option<Arc<dyn Onlooker>>,
    /// Set when the server ends.
    pub stop: Arc<AtomicBool>,
}

impl Keeper {
    /// Keeps until the server ends.
    pub fn run(&self) {
        let mut pause = TICK;
        while !self.stop.load(Ordering::Acquire) {
            self.shared.bell.wait(pause);
            pause = self.tend();
        }
    }

    /// One turn: checkpoints for as long as something presses, then a step of a compaction. How long to rest after it.
    pub fn tend(&self) -> Duration {
        let round = self.round().or_else(|fault| self.round_on_reserve(fault));
        if let Some(onlooker) = &self.onlooker {
            self.groups.iter().for_each(|group| onlooker.look(group, self.clock.now()));
        }
        let is_pressed = self.limiter.as_ref().is_some_and(Limiter::is_pressed);
        // A compaction never keeps a checkpoint waiting for more than a step, unless it is room on the disk that is wanted.
        let go_on = || !self.stop.load(Ordering::Acquire) && (is_pressed || !self.shared.bell.is_rung());
        self.compactor.tend(&self.groups, self.clock.now(), is_pressed, go_on);
        match round {
            Ok(()) => TICK,
            Err(fault) => {
                self.note_trouble(&fault);
                TROUBLE_PAUSE
            }
        }
    }

    fn round(&self) -> Result<(), Fault> {
        self.raise_ceiling(self.clock.now())?;
        self.shrink();
        while !self.stop.load(Ordering::Acquire) {
            let now = self.clock.now();
            let needs = self.needs(now);
            let Some(index) = choose(&needs, self.pressing(&needs)) else { break };
            let Some(group) = self.groups.get(index) else { break };
            group.checkpoint()?;
            self.trim()?;
            self.raise_ceiling(now)?;
            // Under load that never pauses too.
            self.mind_disk()?;
        }
        self.trim()?;
        self.mind_disk()
    }

    /// On a full disk: once more, with the room of the reserve. Values are refused from here on, or they would take it.
    fn round_on_reserve(&self, fault: Fault) -> Result<(), Fault> {
        if fault.kind == FaultKind::DiskFull && self.reserve.as_ref().is_some_and(Reserve::give_up) {
            self.note_trouble(&fault);
            return self.round();
        }
        Err(fault)
    }

    fn mind_disk(&self) -> Result<(), Fault> {
        let room = self.keep_to_limit()?;
        if self.groups.iter().any(Group::is_frozen) { Ok(()) } else { self.judge_disk(room) }
    }

    /// The disk is full for as long as there is no room for the reserve; else its limit decides.
    fn judge_disk(&self, room: Room) -> Result<(), Fault> {
        let trouble = &self.shared.trouble;
        let has_reserve = self.reserve.as_ref().map_or(Ok(true), Reserve::restore)?;
        match room {
            _ if !has_reserve => trouble.set_disk_full(),
            Room::Enough => trouble.clear(),
            Room::Soon => trouble.set_making_room(),
            Room::None => trouble.set_over_limit(),
        }
        Ok(())
    }

    /// Gives up items for room, where that is wanted. Writers are not to fill meanwhile what is being emptied: the disk is
    /// looked at again behind every group, and near the limit they wait from the first look on.
    fn keep_to_limit(&self) -> Result<Room, Fault> {
        let Some(limiter) = &self.limiter else { return Ok(Room::Enough) };
        let judgement = self.look(limiter);
        let mut is_in_vain = limiter.on_full == OnFull::Refuse;
        if judgement.surplus > 0 {
            self.hold_back(judgement);
            let go_on = || {
                self.hold_back(self.look(limiter));
                !self.stop.load(Ordering::Acquire)
            };
            let evicted = self.evictor.evict(&self.groups, self.clock.as_ref(), judgement.surplus, go_on)?;
            log::debug!("{evicted} items given up for {} KB of the disk", judgement.surplus >> 10);
            is_in_vain = evicted == 0;
            limiter.look_again();
        }
        Ok(match self.look(limiter).standing {
            Standing::Within | Standing::Near => Room::Enough,
            Standing::Over if is_in_vain => Room::None,
            Standing::Over => Room::Soon,
        })
    }

    fn look(&self, limiter: &Limiter) -> Judgement {
        let dirty = self.shared.budget.dirty_used() as u64;
        let weigh = || self.compactor.weigh(&self.groups);
        let seen = limiter.look(self.clock.now(), dirty, &self.shared.disk_use, weigh);
        seen.unwrap_or_else(|fault| {
            log::warn!("--disk-limit is not judged: {fault}");
            Judgement::default()
        })
    }

    /// While items are given up near the limit what takes room waits for it.
    fn hold_back(&self, judgement: Judgement) {
        if judgement.standing != Standing::Within && !self.groups.iter().any(Group::is_frozen) {
            self.shared.trouble.begin_making_room();
        }
    }

    /// After the memory limit was lowered: a group that nobody writes to would keep what it has. What is left of it after
    /// so many steps waits for the next round: writers may wait for this one's checkpoints.
    fn shrink(&self) {
        for group in self.groups.iter() {
            let trims =
                (0..TRIMS_MAX).take_while(|_| self.shared.budget.is_over() && group.core.lock().hot.trim());
            trims.for_each(drop);
        }
    }

    /// Writes everything that is dirty: the end of a clean stop. What one group cannot write keeps no other from it; the
    /// log has it.
    pub fn checkpoint_all(&self) -> Result<(), Fault> {
        self.compactor.abandon(&self.groups);
        let mut result = Ok(());
        for group in self.groups.iter().filter(|group| group.need(0, self.clock.now()).is_some()) {
            result = result.and(group.checkpoint().map(|_| ()));
        }
        result.and(self.trim())
    }

    fn needs(&self, now: UnixMs) -> Vec<Need> {
        self.groups.iter().enumerate().filter_map(|(index, group)| group.need(index, now)).collect()
    }

    fn pressing(&self, needs: &[Need]) -> Pressing {
        let dirty = Fullness {
            used: self.shared.budget.dirty_used() as u64,
            max: self.shared.dirty_bytes_max.load(Ordering::Relaxed),
        };
        let log = self.shared.log.get().map(|log| log_use(log)).filter(|log| log.is_pressing(needs));
        press(log.map(|log| log.fullness()), dirty).unwrap_or_else(|| {
            let is_disk = self.limiter.as_ref().is_some_and(Limiter::is_pressed);
            if is_disk { Pressing::Disk } else { Pressing::Nothing }
        })
    }

    /// Gives up the part of the log that every group has in its store, once the ledger says how far each store is. The
    /// log's end is read first: what is appended meanwhile is above it.
    ///
    /// # Errors
    /// `Io` when the ledger cannot be written; nothing is given up then.
    pub fn trim(&self) -> Result<(), Fault> {
        let Some(log) = self.shared.log.get() else { return Ok(()) };
        let end = log.appended_lsn();
        let progress: Vec<Progress> = self.groups.iter().map(|group| group.progress(end)).collect();
        let settled = progress.iter().map(|progress| progress.settled).min().unwrap_or(end);
        if settled > log.trim_lsn()
            && let Some(ledger) = &self.ledger
        {
            ledger.lock().raise(progress.iter().map(|progress| progress.applied))?;
        }
        log.trim(settled);
        Ok(())
    }

    fn raise_ceiling(&self, now: UnixMs) -> Result<(), Fault> {
        if self.shared.log.get().is_none() {
            return Ok(());
        }
        let highest =
            self.groups.iter().map(|group| group.core.lock().clock.last()).max().unwrap_or(Version::ZERO);
        let reached_ms = highest.ms().max(now.0);
        let ceiling = Version(self.shared.version_ceiling.load(Ordering::Relaxed));
        if reached_ms + CEILING_RENEWAL_MS < ceiling.ms() {
            return Ok(());
        }
        let raised = Version::at(UnixMs(reached_ms + CEILING_AHEAD_MS));
        self.ceiling.raise(raised)?;
        self.shared.version_ceiling.store(raised.0, Ordering::Relaxed);
        Ok(())
    }

    fn note_trouble(&self, fault: &Fault) {
        if fault.kind == FaultKind::DiskFull {
            self.shared.trouble.set_disk_full();
            log::warn!("the disk is full, no checkpoint: {fault}; make room, writing resumes by itself");
        } else {
            self.shared.trouble.set_fault();
            log::error!("a checkpoint failed: {fault}; writes that need one are refused");
        }
    }
}

fn log_use(log: &Log) -> LogUse {
    let ends = [log.trim_lsn(), log.appended_lsn()];
    LogUse { used_bytes: log.used_bytes(), bytes_max: log.bytes_max(), ends }
}

impl Group {
    /// Whether its store takes no more writes: a fault that only a restart can mend.
    fn is_frozen(&self) -> bool {
        self.store.as_ref().is_some_and(|store| store.frozen().is_some())
    }

    /// What the keeper must know, if anything is to be written. A group whose store is at fault is left out: the others
    /// go on, and its changes stay in the log.
    fn need(&self, index: usize, now: UnixMs) -> Option<Need> {
        self.store.as_ref().filter(|store| store.frozen().is_none())?;
        let mut core = self.core.lock();
        if core.is_settled() {
            return None;
        }
        if core.dirty_since_s == 0 {
            core.dirty_since_s = now.seconds();
        }
        let dirty_age_s = now.seconds().saturating_sub(core.dirty_since_s);
        Some(Need {
            index,
            dirty_bytes: core.hot.dirty_bytes(),
            applied: core.applied_lsn,
            dirty_age_s,
            wants_room: core.wants_room,
        })
    }

    /// How far its store is; the log ends at `end`.
    fn progress(&self, end: Lsn) -> Progress {
        let core = self.core.lock();
        let applied = core.applied_lsn;
        Progress { applied, settled: if core.is_settled() { end } else { applied.min(end) } }
    }
}

impl Core {
    /// Whether the store has everything, and says so: an older copy of its file could not pass for it.
    fn is_settled(&self) -> bool {
        self.hot.dirty_count() == 0 && !self.flush_unsaved && self.trail.last() <= self.applied_lsn
    }
}

/// What `--disk-limit` says to writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Enough,
    /// Not now: items are given up, files compacted.
    Soon,
    None,
}

/// How far a group's store is.
struct Progress {
    /// What its file says.
    applied: Lsn,
    /// No record of this group up to here is needed any more: the log's end when nothing is missing.
    settled: Lsn,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(index: usize, dirty_bytes: usize, applied: u64, dirty_age_s: u32) -> Need {
        Need { index, dirty_bytes, applied: Lsn(applied), dirty_age_s, wants_room: false }
    }

    #[test]
    fn the_log_presses_by_its_oldest_record_and_by_what_groups_need_on_average() {
        let all_behind = [need(0, 1, 0, 0), need(1, 1, 0, 0)];
        let most_behind = [need(0, 1, 0, 0), need(1, 1, 0, 0), need(2, 1, 200, 0)];
        let one_behind = [need(0, 1, 0, 0), need(1, 1, 1000, 0), need(2, 1, 1000, 0)];
        let half_behind = [need(0, 1, 0, 0), need(1, 1, 1000, 0)];
        for (needs, used_bytes, presses) in [
            (&all_behind[..], 400, false),
            (&all_behind, 401, true),
            (&most_behind, 401, true),
            (&half_behind, 600, false),
            (&half_behind, 601, true),
            (&one_behind, 600, false),
            (&one_behind, 601, true),
            (&[], 600, false),
        ] {
            let log = LogUse { used_bytes, bytes_max: 800, ends: [Lsn(0), Lsn(1000)] };
            assert_eq!(log.is_pressing(needs), presses, "{used_bytes} of {needs:?}");
        }
    }

    /// However the groups begin, they come to be written in turn, each when the log has gone on by three quarters of what
    /// it may be, and never many at once.
    #[test]
    fn checkpoints_spread_over_the_log_by_themselves() {
        const STEPS: usize = 256;
        let bytes_max = 1 << 20;
        let mut needs: Vec<Need> = (0..64).map(|index| need(index, 1, 0, 0)).collect();
        let (mut end, mut written, mut most_at_once) = (0, 0, 0);
        for step in 0..20 * STEPS {
            end += bytes_max / STEPS as u64;
            let mut at_once = 0;
            loop {
                let begin = needs.iter().map(|need| need.applied.0).min().unwrap();
                let log = LogUse { used_bytes: end - begin, bytes_max, ends: [Lsn(begin), Lsn(end)] };
                assert!(log.used_bytes <= bytes_max / 8 * 7, "{} at {step}", log.used_bytes);
                let pressing = if log.is_pressing(&needs) { Pressing::Log } else { Pressing::Nothing };
                let Some(index) = choose(&needs, pressing) else { break };
                needs[index].applied = Lsn(end);
                at_once += 1;
            }
            if step >= 10 * STEPS {
                written += at_once;
                most_at_once = most_at_once.max(at_once);
            }
        }
        assert!(most_at_once <= 4, "{most_at_once} at once");
        let expected = 10 * 64 * 4 / 3;
        assert!(
            written <= expected * 11 / 10,
            "{written} checkpoints in ten times the log, expected {expected}"
        );
    }

    #[test]
    fn what_is_nearest_to_its_bound_presses() {
        for (log, dirty, presses) in [
            (None, 0, None),
            (None, 50, None),
            (None, 51, Some(Pressing::Memory)),
            (Some(80), 50, Some(Pressing::Log)),
            (Some(100), 60, Some(Pressing::Log)),
            (Some(60), 100, Some(Pressing::Memory)),
            (Some(100), 130, Some(Pressing::Memory)),
        ] {
            let fullness = |used| Fullness { used, max: 100 };
            let found = press(log.map(fullness), fullness(dirty));
            assert_eq!(found, presses, "log {log:?} %, dirty {dirty} %");
        }
    }

    #[test]
    fn the_group_that_helps_most_is_written() {
        let needs = [need(3, 10, 7, 0), need(5, 90, 9, DIRTY_AGE_MAX_S), need(8, 20, 2, 1)];
        for (pressing, chosen) in
            [(Pressing::Nothing, 5), (Pressing::Disk, 5), (Pressing::Log, 8), (Pressing::Memory, 5)]
        {
            assert_eq!(choose(&needs, pressing), Some(chosen), "{pressing:?}");
        }
        assert_eq!(choose(&needs[..1], Pressing::Nothing), None);
        let awaited = [needs[1], Need { wants_room: true, ..needs[2] }, needs[0]];
        for pressing in [Pressing::Nothing, Pressing::Log, Pressing::Memory] {
            assert_eq!(choose(&awaited, pressing), Some(8), "{pressing:?}: somebody waits");
        }
    }
}
