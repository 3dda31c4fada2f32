//! Items given up for room on the disk, group after group: first what expires soonest, by the index of deadlines, then
//! what was not in memory lately, then what came into memory longest ago.
//!
//! Each is judged again under the group's lock, and its removal is an effect like others: logged, and checkpointed
//! before its space counts as free.

use std::ops::Bound;

use parking_lot::Mutex;

use super::group::{Asked, Group};
use crate::base::command::{Key, Op};
use crate::base::fault::Fault;
use crate::base::time::{Clock, Deadline};
use crate::hot::ScanCursor;
use crate::store::{ListingId, RowBuffer, ScanLimits, Store};

/// Keys judged between two looks at what has been given up.
const STEP_KEYS: usize = 512;
/// Items that one call gives up, and keys that it judges in one group: the keeper has other work too.
const CALL_KEYS: usize = 16 * 1024;
/// What is read of the store in one go.
const STEP_ROWS: ScanLimits = ScanLimits { items: STEP_KEYS, bytes: 1024 * 1024 };

/// Where the search goes on.
#[derive(Default)]
pub struct Evictor(Mutex<State>);

#[derive(Default)]
struct State {
    next_group: usize,
    cursors: Vec<Cursor>,
}

/// Where it goes on in one group. What came in behind it is found in the next round.
#[derive(Default)]
struct Cursor {
    listing: Option<ListingId>,
    row: Option<Vec<u8>>,
}

/// Who goes, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Soonest,
    NotInMemory,
    Any,
}

impl Evictor {
    /// Gives up about `bytes` of stored items, as much in one group as in another, and checkpoints it. How many items
    /// have gone.
    pub(super) fn evict(
        &self,
        groups: &[Group],
        clock: &dyn Clock,
        bytes: u64,
        mut go_on: impl FnMut() -> bool,
    ) -> Result<u64, Fault> {
        let mut state = self.0.lock();
        state.cursors.resize_with(groups.len(), Cursor::default);
        let stored: u64 = groups.iter().map(Group::stored_bytes).sum();
        let mut evicted = 0;
        for _ in 0..groups.len() {
            if !go_on() || evicted >= CALL_KEYS as u64 {
                break;
            }
            let index = state.next_group;
            state.next_group = (index + 1) % groups.len().max(1);
            let (Some(group), Some(cursor)) = (groups.get(index), state.cursors.get_mut(index)) else {
                continue;
            };
            let share = u128::from(group.stored_bytes()) * u128::from(bytes) / u128::from(stored.max(1));
            evicted += group.evict(cursor, clock, share as u64)?;
        }
        Ok(evicted)
    }
}

impl Group {
    fn stored_bytes(&self) -> u64 {
        self.store.as_ref().map_or(0, |store| store.state().payload_bytes)
    }

    /// Gives up about `bytes` of what is stored here; how many items have gone.
    fn evict(&self, cursor: &mut Cursor, clock: &dyn Clock, bytes: u64) -> Result<u64, Fault> {
        let Some(store) = self.store.as_ref().filter(|store| store.frozen().is_none()) else { return Ok(0) };
        let state = store.state();
        let wanted = (bytes * state.rows).div_ceil(state.payload_bytes.max(1)).min(state.rows);
        let before = self.removed();
        let mut judged = 0;
        for stage in [Stage::Soonest, Stage::NotInMemory, Stage::Any] {
            let mut rounds = 0;
            while self.removed() - before < wanted && judged < CALL_KEYS && rounds < 2 {
                let (keys, came_round) = self.candidates(store, stage, cursor)?;
                judged += keys.len().max(1);
                for (key, until) in &keys {
                    if self.removed() - before >= wanted {
                        break;
                    }
                    if !self.give_up(key, *until, clock)? {
                        return Ok(self.removed() - before);
                    }
                }
                // A round that began in the middle is followed by a whole one.
                rounds += usize::from(came_round);
            }
        }
        if self.removed() > before {
            self.checkpoint()?;
        }
        Ok(self.removed() - before)
    }

    /// Some keys of a stage, each with the latest deadline that lets it go; and whether the search came to its end.
    fn candidates(
        &self,
        store: &Store,
        stage: Stage,
        cursor: &mut Cursor,
    ) -> Result<(Candidates, bool), Fault> {
        match stage {
            Stage::Soonest => {
                let soonest = store.soonest(cursor.listing, STEP_KEYS)?;
                cursor.listing = soonest.last();
                let keys = soonest.keys().map(|(key, until)| (key.into(), until)).collect();
                Ok((keys, cursor.listing.is_none()))
            }
            // Whatever is stored is in memory too.
            Stage::NotInMemory if self.core.lock().hot.is_complete() => Ok((Vec::new(), true)),
            Stage::NotInMemory => {
                let (keys, resume) = scanned(store, cursor.row.as_deref())?;
                cursor.row = resume;
                let core = self.core.lock();
                let cold = keys.into_iter().filter(|key| !core.hot.knows(key));
                Ok((cold.map(|key| (key, Deadline::NEVER)).collect(), cursor.row.is_none()))
            }
            Stage::Any => {
                let mut keys = Vec::new();
                let core = self.core.lock();
                let mut from = Some(ScanCursor::default());
                while let Some(at) = from.filter(|_| keys.len() < STEP_KEYS) {
                    from = core.hot.scan(at, STEP_KEYS, |key, _, _| keys.push((key.into(), Deadline::NEVER)));
                }
                Ok((keys, from.is_none()))
            }
        }
    }

    /// Removes one item for room; `false` when the group takes no removal just now and its checkpoint does not help.
    fn give_up(&self, key: &[u8], until: Deadline, clock: &dyn Clock) -> Result<bool, Fault> {
        let key = Key::plain(key);
        let remove = || {
            self.submit(
                &Asked { key: &key, op: &Op::Evict(until), now: clock.now(), may_wait: false },
                |_| {},
            )
            .is_ok()
        };
        if remove() {
            return Ok(true);
        }
        self.checkpoint()?;
        Ok(remove())
    }

    fn removed(&self) -> u64 {
        self.core.lock().removed_for_room
    }
}

/// Keys that may go.
type Candidates = Vec<(Box<[u8]>, Deadline)>;
/// The keys of some rows, and where to go on.
type Scanned = (Vec<Box<[u8]>>, Option<Vec<u8>>);

/// The keys of some rows behind `after`, and where to go on.
fn scanned(store: &Store, after: Option<&[u8]>) -> Result<Scanned, Fault> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut keys = Vec::new();
    let mut buffer = RowBuffer::default();
    // A damaged row is left where it is: a repair may save something of it.
    let resume = store.scan(from, STEP_ROWS, &mut buffer, |key, item| {
        if item.is_ok() {
            keys.push(key.into());
        }
        true
    })?;
    Ok((keys, resume.after))
}
