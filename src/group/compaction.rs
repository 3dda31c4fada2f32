//! Which group's file is compacted when, and at what pace: one at a time, a little in every turn of the keeper.

use parking_lot::Mutex;

use super::group::Group;
use crate::base::fault::{Fault, FaultKind};
use crate::base::limits::{
    COMPACTION_BYTES_PER_S, COMPACTION_COST_MAX, COMPACTION_GAIN_BYTES_MIN, COMPACTION_STEP_BYTES,
};
use crate::base::time::UnixMs;
use crate::store::{Compaction, Figures, Step, Store};

/// How often all files are looked at while none is worth it.
const LOOK_MS: u64 = 5_000;
/// What was not used of the pace is kept for so long: a pause is not followed by a burst.
const SAVED_MS: u64 = 250;
/// After a full disk or too many changes a group is left alone for so long.
const PAUSE_MS: u64 = 30_000;
/// What a row costs beside its key and value in a compacted file, bytes: header, lengths, its share of branches.
const ROW_BYTES: u64 = 25;
/// What a listed key costs beside its own bytes.
const LISTED_BYTES: u64 = 20;
/// What a file without rows takes.
const FILE_BYTES: u64 = 96 * 1024;

/// The keeper's state about compactions.
#[derive(Default)]
pub struct Compactor(Mutex<State>);

#[derive(Default)]
struct State {
    running: Option<Running>,
    /// What may be copied now, bytes.
    allowance: u64,
    last: UnixMs,
    next_look: UnixMs,
    groups: Vec<Memory>,
}

struct Running {
    index: usize,
    compaction: Compaction,
}

/// What is remembered of a group.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    /// What its file took more than was expected after its last compaction, bytes: so it will be the next time.
    surplus: u64,
    not_before: UnixMs,
    /// A damaged row ends every compaction of it: only a restart, or a repair, makes it worth trying again.
    is_hopeless: bool,
}

/// What a file with these rows takes after a compaction, bytes.
fn expected(figures: &Figures) -> u64 {
    let rows = figures.payload_bytes + figures.rows * ROW_BYTES + figures.listed * LISTED_BYTES;
    rows + rows / 16 + FILE_BYTES
}

/// What a compaction would give back, bytes; `None` when it is not worth it, which with too little room on the disk
/// (`is_pressed`) is decided by what it gives alone. Pure, so that it can be tested.
fn gain(figures: &Figures, surplus: u64, is_pressed: bool) -> Option<u64> {
    let expected = expected(figures) + surplus;
    let gain = figures.allocated_bytes.saturating_sub(expected);
    let costs_too_much = figures.allocated_bytes > figures.payload_bytes / 100 * COMPACTION_COST_MAX;
    ((costs_too_much || is_pressed) && gain >= COMPACTION_GAIN_BYTES_MIN.max(expected / 10)).then_some(gain)
}

/// What all files together take, bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weight {
    /// Blocks of the disk.
    pub(super) allocated: u64,
    /// The part of it that only removals can give back.
    pub(super) filled: u64,
}

/// What a file takes at most once compactions under pressure find nothing more to do in it, bytes.
fn filled(figures: &Figures, memory: &Memory) -> u64 {
    if memory.is_hopeless {
        return figures.allocated_bytes;
    }
    let expected = expected(figures) + memory.surplus;
    figures.allocated_bytes.min(expected + COMPACTION_GAIN_BYTES_MIN.max(expected / 10))
}

impl Compactor {
    /// Goes on with the compaction under way as far as the pace allows, or looks for one to begin. `go_on` is asked
    /// behind every step: there is progress however often it says no.
    pub fn tend(&self, groups: &[Group], now: UnixMs, is_pressed: bool, go_on: impl Fn() -> bool) {
        let mut state = self.0.lock();
        state.groups.resize(groups.len(), Memory::default());
        state.earn(now);
        if state.running.is_none() && (is_pressed || now >= state.next_look) {
            state.next_look = UnixMs(now.0 + LOOK_MS);
            state.begin(groups, now, is_pressed);
        }
        while state.allowance > 0 {
            let Some(running) = state.running.take() else { break };
            state.go_on(groups, running, now);
            if !go_on() {
                break;
            }
        }
    }

    /// What the groups' files take, and what they would take at most after compactions under pressure.
    pub(super) fn weigh(&self, groups: &[Group]) -> Weight {
        let state = self.0.lock();
        let mut weight = Weight::default();
        for (index, group) in groups.iter().enumerate() {
            let memory = state.groups.get(index).copied().unwrap_or_default();
            let figures = group.space();
            weight.allocated += figures.allocated_bytes;
            weight.filled += filled(&figures, &memory);
        }
        weight
    }

    /// Gives up what is under way: the end of the server.
    pub fn abandon(&self, groups: &[Group]) {
        if let Some(Running { index, compaction }) = self.0.lock().running.take()
            && let Some(store) = store_of(groups, index)
        {
            store.abandon_compaction(compaction);
        }
    }
}

impl State {
    fn earn(&mut self, now: UnixMs) {
        let elapsed_ms = now.0.saturating_sub(self.last.0).min(SAVED_MS);
        let pace = COMPACTION_BYTES_PER_S as u64;
        self.allowance = (self.allowance + pace * elapsed_ms / 1000).min(pace * SAVED_MS / 1000);
        self.last = now;
    }

    /// Begins with the group whose file gives most back.
    fn begin(&mut self, groups: &[Group], now: UnixMs, is_pressed: bool) {
        let candidates =
            groups.iter().zip(&self.groups).enumerate().filter_map(|(index, (group, memory))| {
                let store = group.store.as_ref()?;
                store.close_replaced();
                if memory.is_hopeless || now < memory.not_before || store.frozen().is_some() {
                    return None;
                }
                let figures = store.figures().ok()?;
                Some((gain(&figures, memory.surplus, is_pressed)?, index))
            });
        let Some((_, index)) = candidates.max() else { return };
        let Some(store) = store_of(groups, index) else { return };
        match store.begin_compaction() {
            Ok(begun) => self.running = begun.map(|compaction| Running { index, compaction }),
            Err(fault) => self.note(index, &fault, now),
        }
    }

    fn go_on(&mut self, groups: &[Group], mut running: Running, now: UnixMs) {
        let index = running.index;
        let (Some(group), Some(store)) = (groups.get(index), store_of(groups, index)) else { return };
        match store.continue_compaction(&mut running.compaction, COMPACTION_STEP_BYTES) {
            Ok(Step::Copied(bytes)) => {
                self.allowance = self.allowance.saturating_sub(bytes.max(1) as u64);
                self.running = Some(running);
            }
            Ok(Step::Ready) => match finish(group, store, running.compaction) {
                Ok(surplus) => {
                    self.next_look = now;
                    self.remember(index, |memory| memory.surplus = surplus);
                }
                Err(fault) => self.note(index, &fault, now),
            },
            Ok(Step::Outrun) => {
                log::debug!("group {}: changes outran a compaction; later", group.id);
                store.abandon_compaction(running.compaction);
                self.remember(index, |memory| memory.not_before = UnixMs(now.0 + PAUSE_MS));
            }
            Err(fault) => {
                store.abandon_compaction(running.compaction);
                self.note(index, &fault, now);
            }
        }
    }

    fn note(&mut self, index: usize, fault: &Fault, now: UnixMs) {
        log::warn!("a compaction was given up, the file stays as it is: {fault}");
        self.remember(index, |memory| {
            memory.not_before = UnixMs(now.0 + PAUSE_MS);
            memory.is_hopeless = fault.kind == FaultKind::Corrupt;
        });
    }

    fn remember(&mut self, index: usize, what: impl FnOnce(&mut Memory)) {
        if let Some(memory) = self.groups.get_mut(index) {
            what(memory);
        }
    }
}

/// Puts the compacted file in its place; what it takes more than was expected, bytes.
fn finish(group: &Group, store: &Store, compaction: Compaction) -> Result<u64, Fault> {
    let before = store.figures()?;
    store.finish_compaction(compaction)?;
    group.core.lock().generation += 1;
    store.close_replaced();
    let after = store.figures()?;
    log::info!(
        "group {}: compacted from {} to {} KB, with {} KB of keys and values",
        group.id,
        before.allocated_bytes >> 10,
        after.allocated_bytes >> 10,
        after.payload_bytes >> 10
    );
    Ok(after.allocated_bytes.saturating_sub(expected(&after)))
}

fn store_of(groups: &[Group], index: usize) -> Option<&Store> {
    groups.get(index)?.store.as_ref()
}

impl Group {
    /// What its file takes, zeros when it has none or cannot be asked.
    pub fn space(&self) -> Figures {
        self.store.as_ref().and_then(|store| store.figures().ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_gives_much_back_is_compacted() {
        const MB: u64 = 1 << 20;
        let figures = |allocated_bytes, payload_bytes, rows| Figures {
            allocated_bytes,
            payload_bytes,
            rows,
            ..Figures::default()
        };
        for (what, figures, surplus, is_worth_it) in [
            ("nothing", figures(0, 0, 0), 0, false),
            ("an empty group", figures(200 << 10, 0, 0), 0, false),
            ("an emptied group", figures(10 * MB, 0, 0), 0, true),
            ("well filled", figures(15 * MB, 10 * MB, 10_000), 0, false),
            ("half empty", figures(21 * MB, 10 * MB, 10_000), 0, true),
            ("tiny values cost what they cost", figures(4 * MB, MB, 100_000), 0, false),
            ("tiny values, half empty", figures(8 * MB, MB, 100_000), 0, true),
            ("a compaction gave no more", figures(21 * MB, 10 * MB, 10_000), 9 * MB, false),
        ] {
            assert_eq!(gain(&figures, surplus, false).is_some(), is_worth_it, "{what}");
        }
    }
}
