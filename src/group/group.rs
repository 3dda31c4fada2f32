//! A command comes in, a reply and an LSN go out.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard};

use super::count::{count, count_change, is_eviction};
use super::disk_limit::DiskUse;
use super::keeper::Bell;
use super::readers::{Ahead, Readers};
use super::stored::Unsettled;
use super::trail::Trail;
use super::trouble::Trouble;
use crate::base::command::{Key, Op, StoreMode};
use crate::base::counters::GroupCounters;
use crate::base::effect::{Cause, Effect, FlushMark, Removal};
use crate::base::item::{Item, Marks};
use crate::base::lsn::{GroupId, Lsn};
use crate::base::metrics::Timings;
use crate::base::reply::{Denial, Reply};
use crate::base::time::{Exptime, UnixMs};
use crate::base::version::{Stamp, Version, VersionClock};
use crate::binlog::{self, Body, Log, Refusal};
use crate::engine::{self, Access, Rules};
use crate::hot::{self, Budget, Entry, Hot, Lost, Pressure, Slot};
use crate::store::{RowBuffer, Store};

/// After so many cold reads in vain (the store changed under each) the read is done under the lock.
const COLD_TRIES_MAX: usize = 4;
/// So often a row is taken into memory for one change before there is no room for it.
const ADMISSIONS_MAX: usize = 4;

/// What all groups of a server share.
pub struct Shared {
    /// The log; empty under `--memory-only`, and until recovery has opened it.
    pub log: OnceLock<Arc<Log>>,
    /// The memory of all groups.
    pub budget: Arc<Budget>,
    /// What the engine must know.
    pub rules: Rules,
    /// Which server stamps versions.
    pub server: u16,
    /// No version above this one is issued: the persisted ceiling.
    pub version_ceiling: AtomicU64,
    /// Wakes the keeper.
    pub bell: Bell,
    /// More dirty bytes than this and writers wait.
    pub dirty_bytes_max: AtomicU64,
    /// How long its work takes.
    pub timings: Arc<Timings>,
    /// What stands in the way of writes: what writers are told instead of waiting for ever.
    pub trouble: Trouble,
    /// What the data directory takes of the disk, and what it may.
    pub disk_use: DiskUse,
    /// Reads that workers do not wait for.
    pub readers: Readers,
    /// When somebody was told last why requests wait, unix seconds; 0 for never.
    pub delay_told_s: AtomicU32,
}

impl Shared {
    /// Up to here the log is safe.
    pub fn safe_lsn(&self) -> Lsn {
        self.log.get().map_or(Lsn::ZERO, |log| log.safe_lsn())
    }

    fn log(&self) -> Option<&Log> {
        self.log.get().map(Arc::as_ref)
    }

    pub(super) fn is_pressed(&self) -> bool {
        self.log.get().is_some()
            && self.budget.dirty_used() as u64 > self.dirty_bytes_max.load(Ordering::Relaxed)
    }

    /// Whether writers wait, or will soon: for dirty memory or for the log.
    pub(super) fn hurries(&self) -> bool {
        let dirty_max = self.dirty_bytes_max.load(Ordering::Relaxed);
        let log = self.log.get().is_some_and(|log| log.used_bytes() > log.bytes_max() / 4 * 3);
        log || self.budget.dirty_used() as u64 > dirty_max / 4 * 3
    }
}

/// The command cannot be taken just now; it has had no effect. Try again soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// One command about one key.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The key.
    pub key: &'a Key<'a>,
    /// What is asked.
    pub op: &'a Op<'a>,
    /// When.
    pub now: UnixMs,
    /// Whether it may be put off while its key is read ahead. Not so for who does not come again.
    pub may_wait: bool,
}

/// One logical group.
pub struct Group {
    /// Its number.
    pub id: GroupId,
    pub(super) shared: Arc<Shared>,
    /// Its redb file; `None` under `--memory-only`.
    pub(super) store: Option<Store>,
    /// Held by whoever writes a checkpoint. Taken before the core, never under it.
    pub(super) checkpointing: Mutex<()>,
    pub(super) core: Mutex<Core>,
}

/// What the group's lock guards.
pub(super) struct Core {
    pub(super) hot: Hot,
    pub(super) clock: VersionClock,
    pub(super) flush: FlushMark,
    /// The version of the change that set `flush`; zero when the log has promised it for long.
    flush_version: Version,
    /// Everything of this group up to here is in the store.
    pub(super) applied_lsn: Lsn,
    /// `flush` has changed since the last checkpoint.
    pub(super) flush_unsaved: bool,
    /// The group is another server's, or about to be: it takes no values.
    is_fenced: bool,
    /// The store holds no rows of versions below this one.
    pub(super) purged_below: Version,
    /// A change found no room because too much of this group is dirty: only its checkpoint helps.
    pub(super) wants_room: bool,
    /// The unix second since when something is dirty, 0 for nothing.
    pub(super) dirty_since_s: u32,
    /// Rises whenever the store's snapshot does: what was read from an older one proves nothing.
    pub(super) generation: u64,
    /// What it has appended to the log.
    pub(super) trail: Trail,
    /// What is read ahead of those who ask for it.
    pub(super) ahead: Ahead,
    pub(super) counters: GroupCounters,
    /// What the last look at what is dirty has shown of what the store does not count yet.
    pub(super) unsettled: Unsettled,
    /// Items removed by [`Op::Evict`], never reset.
    pub(super) removed_for_room: u64,
    /// What memory had counted at the last `stats reset`. Memory itself goes on counting: whether something was dropped
    /// during a warm-up must not depend on who resets statistics.
    pub(super) counted_from: hot::Figures,
}

/// What is known about a key that is not in memory.
#[derive(Clone, Copy)]
enum Known<'a> {
    /// Nothing yet.
    Nothing,
    /// The store has this.
    Row(&'a Item<'a>),
    /// Nobody has it.
    Absent,
}

/// What a read of the store at some generation proves at this one.
fn known_of<'a>(read: &'a Option<(u64, Option<Item<'_>>)>, generation: u64) -> Known<'a> {
    match read {
        Some((at, found)) if *at == generation => found.as_ref().map_or(Known::Absent, Known::Row),
        _ => Known::Nothing,
    }
}

/// How one try under the lock ended.
enum Attempt {
    Done(Lsn),
    /// The store must be asked first.
    Cold,
    /// Memory must be made for a key and value of these lengths.
    NoRoom(usize, usize),
    /// The row must be taken into memory first, since something about it changes.
    Admit,
    Busy,
    Denied(Denial),
}

impl Group {
    /// A group over this memory and store, recovered up to `floor` in versions.
    pub fn new(id: GroupId, shared: Arc<Shared>, store: Option<Store>, hot: Hot, floor: Version) -> Group {
        let state = store.as_ref().map(Store::state);
        let core = Core {
            hot,
            clock: VersionClock::above(floor, shared.server).of_group(id.0),
            flush: state.as_ref().map_or(FlushMark::default(), |state| state.flush),
            applied_lsn: state.as_ref().map_or(Lsn::ZERO, |state| state.applied_lsn),
            flush_version: Version::ZERO,
            flush_unsaved: false,
            is_fenced: false,
            wants_room: false,
            purged_below: Version::ZERO,
            dirty_since_s: 0,
            generation: 0,
            trail: Trail::new(state.as_ref().map_or(Lsn::ZERO, |state| state.applied_lsn)),
            ahead: Ahead::default(),
            counters: GroupCounters::default(),
            unsettled: Unsettled::default(),
            removed_for_room: 0,
            counted_from: hot::Figures::default(),
        };
        Group { id, shared, store, checkpointing: Mutex::new(()), core: Mutex::new(core) }
    }

    /// Executes one command and tells `answer` its reply, under the group's lock; the reply may be shown once the
    /// returned LSN is safe. `Err` means that it had no effect, `answer` was not told, and it is to be tried again.
    #[inline]
    pub fn submit(&self, asked: &Asked<'_>, mut answer: impl FnMut(&Reply<'_>)) -> Result<Lsn, Busy> {
        let mut core = self.core.lock();
        match self.attempt(&mut core, asked, Known::Nothing, &mut answer) {
            Attempt::Done(lsn) => Ok(lsn),
            obstacle => self.overcome(obstacle, &mut core, asked, &mut answer),
        }
    }

    /// A command about this key comes soon: has the processor fetch where its look begins. Nothing waits for it, nor for
    /// the lock if another has it. What [`Group::fetch_entry`] takes.
    #[inline]
    pub fn fetch_bucket(&self, key: &[u8]) -> Option<u64> {
        Some(self.core.try_lock()?.hot.fetch_bucket(key))
    }

    /// Has it fetch the entry too.
    #[inline]
    pub fn fetch_entry(&self, hash: u64) {
        if let Some(core) = self.core.try_lock() {
            core.hot.fetch_entry(hash);
        }
    }

    /// Removes what the first try met, and each one after it, until the command is done or refused.
    #[cold]
    fn overcome(
        &self,
        obstacle: Attempt,
        core: &mut MutexGuard<'_, Core>,
        asked: &Asked<'_>,
        answer: &mut impl FnMut(&Reply<'_>),
    ) -> Result<Lsn, Busy> {
        let mut row = RowBuffer::default();
        let mut read: Option<(u64, Option<Item<'_>>)> = None;
        let (mut cold_tries, mut admissions, mut attempt) = (0, 0, obstacle);
        loop {
            match attempt {
                Attempt::Done(lsn) => return Ok(lsn),
                Attempt::Busy => {
                    let denial = self.busy(core).ok_or(Busy)?;
                    return Ok(self.deny(core, asked, denial, answer));
                }
                Attempt::Denied(denial) => return Ok(self.deny(core, asked, denial, answer)),
                Attempt::NoRoom(key_bytes, value_bytes) => {
                    let room = core.hot.make_room(key_bytes, value_bytes);
                    if let Err(pressure) = room {
                        let denial = self.pressed(core, pressure).ok_or(Busy)?;
                        return Ok(self.deny(core, asked, denial, answer));
                    }
                }
                Attempt::Admit => {
                    admissions += 1;
                    if let Known::Row(item) = known_of(&read, core.generation)
                        && let Err(pressure) = self.take_in(core, &asked.key.bytes, item, admissions)
                    {
                        let denial = self.pressed(core, pressure).ok_or(Busy)?;
                        return Ok(self.deny(core, asked, denial, answer));
                    }
                }
                Attempt::Cold if cold_tries == 0 && self.waits_for_reader(core, asked) => return Err(Busy),
                Attempt::Cold => {
                    let generation = core.generation;
                    let Some(store) = &self.store else { return Err(Busy) };
                    core.counters.cold_reads += 1;
                    cold_tries += 1;
                    let began = core.cold_read_to_time();
                    let found = if cold_tries > COLD_TRIES_MAX {
                        self.timed_read(store, &asked.key.bytes, &mut row)
                    } else {
                        MutexGuard::unlocked(core, || self.timed_read(store, &asked.key.bytes, &mut row))
                    };
                    if let Some(began) = began {
                        self.shared.timings.cold_read.record(began.elapsed());
                    }
                    match found {
                        Ok(found) => {
                            let is_wanted = generation == core.generation && asked.op.wants_memory();
                            if let (Some(item), true) = (&found, is_wanted) {
                                core.warm(&asked.key.bytes, item);
                            }
                            read = Some((generation, found));
                        }
                        Err(fault) => {
                            log::error!("group {}: {fault}", self.id);
                            answer(&Reply::Denied(Denial::Damaged));
                            return Ok(Lsn::ZERO);
                        }
                    }
                }
            }
            let known = known_of(&read, core.generation);
            attempt = self.attempt(core, asked, known, answer);
        }
    }

    /// One try: what is stored, what the command means, the log, memory. In causal order.
    fn attempt(
        &self,
        core: &mut Core,
        asked: &Asked<'_>,
        known: Known<'_>,
        answer: &mut impl FnMut(&Reply<'_>),
    ) -> Attempt {
        let now = asked.now;
        // Who only looks does not wait for a log that takes no mark: the clock says as well what is flushed.
        let unmarked = if core.flush.is_due(now) { self.fire_flush(core, now).err() } else { None };
        let flush = core.flush_at(now);
        let at = core.hot.locate(&asked.key.bytes);
        let (stored, observed) = match (at.map(|at| core.hot.entry(at)), known) {
            (Some(Entry::Live(item)), _) => (Some(item), item.stamp()),
            (Some(Entry::Tombstone(version)), _) => (None, version),
            (None, Known::Row(item)) => (Some(*item), Version::ZERO),
            (None, Known::Absent) => (None, Version::ZERO),
            (None, Known::Nothing) if asked.op.needs_old() && self.may_be_cold(core) => return Attempt::Cold,
            (None, Known::Nothing) => (None, Version::ZERO),
        };
        let is_flushed = stored.as_ref().is_some_and(|item| flush.covers(item.version));
        let is_expired = stored.as_ref().is_some_and(|item| item.is_expired(now));
        let old = stored.as_ref().filter(|_| !is_flushed && !is_expired);
        // Who finds nothing may see the work of a flush, which must be as safe as any other change that is seen.
        let flushed_by = if unmarked.is_some() { core.flush_version } else { core.flush.below };
        let observed = if old.is_none() { observed.max(flushed_by) } else { observed };

        let stamp = Stamp { now, version: core.clock.next(now) };
        let mut outcome = match asked.op {
            Op::Expire => engine::expire(stored.as_ref(), &core.flush, stamp),
            Op::Evict(until) => engine::evict(stored.as_ref(), *until, &core.flush, stamp),
            op => engine::execute(op, asked.key, old, stamp, &self.shared.rules),
        };
        let access = outcome.access;
        let Some(effect) = &mut outcome.effect else {
            answer(&outcome.reply);
            count(&mut core.counters, asked.op, &outcome.reply, is_flushed, is_expired);
            let lsn = core.trail.lsn_of(observed, self.shared.safe_lsn());
            core.note_access(at, access, now);
            return Attempt::Done(lsn);
        };

        if let Some(attempt) = unmarked {
            return attempt;
        }
        let old_value = stored.as_ref().map_or(&[][..], |item| item.value.bytes());
        if let Some(obstacle) = self.obstacle(core, asked, effect, at, old_value.len(), stamp) {
            return obstacle;
        }
        let entry = self.entry(stamp, Body::Item { key: &asked.key.bytes, effect: *effect });
        let lsn = match core.trail.append(self.shared.log(), &entry, old_value) {
            Ok(lsn) => lsn,
            Err(refusal) => return refusal.into(),
        };
        answer(&outcome.reply);
        count(&mut core.counters, asked.op, &outcome.reply, is_flushed, is_expired);
        count_change(&mut core.counters, effect, old_value.len());
        let lost = stored.filter(|_| is_eviction(effect) && core.hot.remembers_lost());
        if let Some(lost) = lost.map(|item| Lost::of(&asked.key.bytes, &item)) {
            core.hot.remember_lost(lost);
        }
        core.removed_for_room += u64::from(matches!(asked.op, Op::Evict(_)));
        match effect {
            Effect::Put(put) if access == Access::Fetched => put.marks = put.marks.with(Marks::FETCHED),
            Effect::Touch(_) => core.note_access(at, access, now),
            Effect::Put(_) | Effect::Remove(_) => {}
        }
        core.change(&asked.key.bytes, at, effect, stamp);
        Attempt::Done(lsn)
    }

    /// What forbids this change just now: everything that can fail is asked before the append.
    fn obstacle(
        &self,
        core: &Core,
        asked: &Asked<'_>,
        effect: &Effect<'_>,
        at: Option<Slot>,
        old_len: usize,
        stamp: Stamp,
    ) -> Option<Attempt> {
        if self.shared.is_pressed() || stamp.version.0 > self.shared.version_ceiling.load(Ordering::Relaxed) {
            return Some(Attempt::Busy);
        }
        if core.is_fenced && matches!(effect, Effect::Put(_)) {
            return Some(Attempt::Busy);
        }
        if matches!(effect, Effect::Put(_)) && self.shared.trouble.refuses_values() {
            return Some(Attempt::Denied(Denial::DiskFull));
        }
        if matches!(effect, Effect::Put(_)) && self.shared.trouble.delays_values() {
            return Some(Attempt::Busy);
        }
        let value_bytes = match effect {
            Effect::Put(put) if at.is_none() && put.value.needs_old() => return Some(Attempt::Admit),
            Effect::Touch(_) if at.is_none() => return Some(Attempt::Admit),
            Effect::Put(put) => put.value.len(old_len),
            // A touched entry may have to be written anew: the fields that a change needs may not be there.
            Effect::Touch(_) => old_len,
            Effect::Remove(_) => 0,
        };
        (!core.hot.has_room(asked.key.bytes.len(), value_bytes))
            .then_some(Attempt::NoRoom(asked.key.bytes.len(), value_bytes))
    }

    fn entry<'a>(&self, stamp: Stamp, body: Body<'a>) -> binlog::Entry<'a> {
        binlog::Entry { group: self.id, group_epoch: 0, origin: binlog::Origin::HERE, stamp, body }
    }

    /// Turns a pending flush into a mark if its moment has come. Refused now it is tried again by the next command.
    pub(super) fn fire_due_flush(&self, core: &mut Core, now: UnixMs) {
        if core.flush.is_due(now) {
            let _ = self.fire_flush(core, now);
        }
    }

    /// Turns a pending flush whose moment has come into a mark.
    fn fire_flush(&self, core: &mut Core, now: UnixMs) -> Result<(), Attempt> {
        let mark = FlushMark { below: core.clock.next(now), pending_s: 0 };
        self.set_flush(core, mark, now).map(|_| ())
    }

    fn set_flush(&self, core: &mut Core, mark: FlushMark, now: UnixMs) -> Result<Lsn, Attempt> {
        let stamp = Stamp { now, version: core.clock.next(now) };
        if stamp.version.0 > self.shared.version_ceiling.load(Ordering::Relaxed) {
            return Err(Attempt::Busy);
        }
        let entry = self.entry(stamp, Body::Flush(mark));
        let lsn = core.trail.append(self.shared.log(), &entry, &[]).map_err(Attempt::from)?;
        core.clock.advance(stamp.version);
        core.flush = mark;
        core.flush_version = stamp.version;
        core.flush_unsaved = true;
        Ok(lsn)
    }

    /// flush_all for this group: now, or at the moment that `exptime` means.
    pub fn flush(&self, exptime: Option<Exptime>, now: UnixMs) -> Result<Result<Lsn, Denial>, Busy> {
        let mut core = self.core.lock();
        // Another flush to come takes the place of a pending one, but not of one whose moment has passed unseen.
        let fired = if core.flush.is_due(now) { self.fire_flush(&mut core, now) } else { Ok(()) };
        let deadline = exptime.unwrap_or(Exptime(-1)).deadline(now);
        let mark = if exptime.is_none_or(|exptime| exptime.0 <= 0) || deadline.has_passed(now) {
            FlushMark { below: core.clock.next(now), pending_s: 0 }
        } else {
            FlushMark { pending_s: deadline.as_seconds(), ..core.flush }
        };
        match fired.and_then(|()| self.set_flush(&mut core, mark, now)) {
            Ok(lsn) => {
                core.counters.cmd_flush += 1;
                Ok(Ok(lsn))
            }
            Err(Attempt::Denied(denial)) => Ok(Err(denial)),
            Err(_) => self.busy(&mut core).map(Err).ok_or(Busy),
        }
    }

    /// Whether a key that memory does not have may be in the store.
    fn may_be_cold(&self, core: &Core) -> bool {
        self.store.is_some() && !core.hot.is_complete()
    }

    /// Too much is dirty: the keeper hurries and the writer waits, unless waiting would be in vain.
    fn busy(&self, core: &mut Core) -> Option<Denial> {
        core.counters.parked += 1;
        self.shared.bell.ring();
        self.shared.trouble.denial()
    }

    /// No room for a change: a checkpoint of this group makes some, or nothing does.
    fn pressed(&self, core: &mut Core, pressure: Pressure) -> Option<Denial> {
        match pressure {
            Pressure::Dirty => {
                core.wants_room = true;
                self.busy(core)
            }
            // The keeper has the others pay.
            Pressure::Owed => self.busy(core),
            Pressure::Full => Some(Denial::OutOfMemory),
        }
    }

    /// Takes a row into memory that is to be changed there. Each time it has come to this before, making room for the
    /// change has dropped the row again: memory holds one of them and not both.
    fn take_in(&self, core: &mut Core, key: &[u8], item: &Item<'_>, tries: usize) -> Result<(), Pressure> {
        core.hot.make_room(key.len(), item.value.bytes().len())?;
        if tries <= ADMISSIONS_MAX && core.hot.admit(key, item) {
            return Ok(());
        }
        Err(if core.hot.dirty_count() > 0 { Pressure::Dirty } else { Pressure::Full })
    }

    /// Answers a refusal. A `set` that finds no memory loses the old value, as in memcached.
    fn deny(
        &self,
        core: &mut Core,
        asked: &Asked<'_>,
        denial: Denial,
        answer: &mut impl FnMut(&Reply<'_>),
    ) -> Lsn {
        let is_set = matches!(asked.op, Op::Store(store) if store.mode == StoreMode::Set);
        let mut lsn = Lsn::ZERO;
        if denial == Denial::OutOfMemory {
            core.counters.store_no_memory += 1;
            let at = core.hot.locate(&asked.key.bytes);
            // A tombstone is small: what it may take beyond the budget is not worth keeping an outdated value for.
            if is_set && (at.is_some() || self.may_be_cold(core)) {
                let stamp = Stamp { now: asked.now, version: core.clock.next(asked.now) };
                let effect = Effect::Remove(Removal { cause: Cause::TooLarge, base: Version::ZERO });
                let entry = self.entry(stamp, Body::Item { key: &asked.key.bytes, effect });
                if let Ok(appended) = core.trail.append(self.shared.log(), &entry, &[]) {
                    core.change(&asked.key.bytes, at, &effect, stamp);
                    lsn = appended;
                }
            }
        }
        answer(&Reply::Denied(denial));
        lsn
    }

    /// With a fence the group takes no values: whoever brings one is to try again, and finds where the group is now. What
    /// was taken before this returns is seen by [`Group::has_items`].
    pub fn set_fence(&self, is_fenced: bool) {
        self.core.lock().is_fenced = is_fenced;
    }

    /// Everything of this group up to here is in its store.
    pub fn applied_lsn(&self) -> Lsn {
        self.core.lock().applied_lsn
    }

    /// The items that were evicted since the last call, some of them; remembered from the first call on.
    pub fn take_lost(&self) -> Vec<Lost> {
        self.core.lock().hot.take_lost()
    }

    /// Begins counting anew.
    pub fn reset_counters(&self) {
        let mut core = self.core.lock();
        core.counters = GroupCounters::default();
        core.counted_from = core.hot.figures();
    }
}

impl Core {
    /// Changes memory; the log has the change already.
    pub(super) fn change(&mut self, key: &[u8], at: Option<Slot>, effect: &Effect<'_>, stamp: Stamp) {
        self.clock.advance(stamp.version);
        match effect {
            Effect::Put(put) => self.hot.put(key, at, put, stamp),
            Effect::Touch(touch) => {
                if let Some(at) = at {
                    self.hot.touch(at, touch, stamp);
                }
            }
            Effect::Remove(_) => self.hot.remove(key, at, stamp.version),
        }
    }
}

impl Core {
    /// Takes a row into memory that was asked for, at the cost of others; it may be refused.
    pub(super) fn warm(&mut self, key: &[u8], item: &Item<'_>) {
        if self.hot.locate(key).is_none() {
            let _ = self.hot.make_room(key.len(), item.value.bytes().len());
            self.hot.admit(key, item);
        }
    }

    /// Remembers that the entry was used, for recency and for what meta shows.
    fn note_access(&mut self, at: Option<Slot>, access: Access, now: UnixMs) {
        match (at, access) {
            (Some(at), Access::Fetched) => self.hot.accessed(at, now.seconds()),
            (Some(at), Access::Used) => self.hot.used(at),
            (Some(_), Access::None) | (None, _) => {}
        }
    }
}

impl From<Refusal> for Attempt {
    fn from(refusal: Refusal) -> Attempt {
        match refusal {
            Refusal::Busy => Attempt::Busy,
            Refusal::DiskFull => Attempt::Denied(Denial::DiskFull),
            Refusal::Stopped => Attempt::Denied(Denial::WritesStopped),
            Refusal::TooLarge => Attempt::Denied(Denial::TooLarge),
        }
    }
}
