//! Log records into memory, as the start finds them.

use parking_lot::MutexGuard;

use super::group::{Core, Group};
use crate::base::effect::{Cause, Effect, NewValue, Put, Touch};
use crate::base::fault::Fault;
use crate::base::item::Item;
use crate::base::lsn::Lsn;
use crate::base::version::{Stamp, Version};
use crate::binlog::{Body, Entry};
use crate::store::RowBuffer;

impl Group {
    /// Applies one record of the log that is not in the store yet; whether it was new to this group.
    ///
    /// Records come in LSN order, nobody else uses the group, and applying one twice changes nothing. Everything becomes
    /// dirty, so that the next checkpoint writes it. When memory has no room the group checkpoints first.
    pub fn apply(&self, lsn: Lsn, entry: &Entry<'_>) -> Result<bool, Fault> {
        let mut core = self.core.lock();
        core.clock.advance(entry.stamp.version);
        if lsn <= core.applied_lsn {
            return Ok(false);
        }
        let (key, effect) = match &entry.body {
            Body::Flush(mark) => {
                core.flush = *mark;
                core.flush_unsaved = true;
                core.trail.replayed(lsn);
                return Ok(true);
            }
            Body::Item { key, effect } => (*key, effect),
        };
        let at = core.hot.locate(key);
        let value_bytes = match effect {
            Effect::Put(put) => put.value.len(0),
            Effect::Touch(_) | Effect::Remove(_) => 0,
        };
        if !matches!(effect, Effect::Touch(_)) && core.hot.has_room(key.len(), value_bytes) {
            core.change(key, at, effect, entry.stamp);
            core.trail.replayed(lsn);
            return Ok(true);
        }
        drop(core);
        self.apply_with_room(lsn, key, effect, entry.stamp, at.is_none())?;
        Ok(true)
    }

    /// Applies a record that needs room, or a row of the store, first.
    fn apply_with_room(
        &self,
        lsn: Lsn,
        key: &[u8],
        effect: &Effect<'_>,
        stamp: Stamp,
        is_cold: bool,
    ) -> Result<(), Fault> {
        let mut buffer = RowBuffer::default();
        let (row, value_bytes) = match effect {
            Effect::Put(put) => (None, put.value.len(0)),
            Effect::Touch(touch) if is_cold => self.row_to_touch(key, touch, &mut buffer)?,
            // What is in memory is touched where it is: making room could drop it.
            Effect::Touch(_) => (None, 0),
            Effect::Remove(_) => (None, 0),
        };
        let mut core = match effect {
            Effect::Touch(_) if row.is_none() => self.core.lock(),
            _ => self.lock_with_room(key.len(), value_bytes)?,
        };
        if let Some(item) = &row {
            // Put, not admitted: an admission may be refused, and the touch would be lost.
            core.hot.put(key, None, &as_it_is(item), Stamp { now: stamp.now, version: item.version });
        }
        let at = core.hot.locate(key);
        core.change(key, at, effect, stamp);
        // Only now: a checkpoint on the way must not claim a record that memory did not have yet.
        core.trail.replayed(lsn);
        Ok(())
    }

    /// The row that this touch is about, and the length of its value.
    fn row_to_touch<'b>(
        &self,
        key: &[u8],
        touch: &Touch,
        buffer: &'b mut RowBuffer,
    ) -> Result<(Option<Item<'b>>, usize), Fault> {
        let Some(store) = &self.store else { return Ok((None, 0)) };
        let row = store.read(key, buffer)?.filter(|item| item.version == touch.base);
        Ok((row, row.map_or(0, |item| item.value.bytes().len())))
    }

    /// The lock, with room for an entry of this size if a checkpoint can make it.
    fn lock_with_room(&self, key_bytes: usize, value_bytes: usize) -> Result<MutexGuard<'_, Core>, Fault> {
        let mut core = self.core.lock();
        if core.hot.make_room(key_bytes, value_bytes).is_ok() {
            return Ok(core);
        }
        drop(core);
        self.checkpoint()?;
        let mut core = self.core.lock();
        let _ = core.hot.make_room(key_bytes, value_bytes);
        Ok(core)
    }
}

/// The item as a put that makes it again, but for its meta version.
fn as_it_is<'a>(item: &Item<'a>) -> Put<'a> {
    Put {
        cause: Cause::Restore,
        value: NewValue::Whole(item.value.bytes()),
        client_flags: item.client_flags,
        deadline: item.deadline,
        cas: item.cas,
        marks: item.marks,
        base: Version::ZERO,
        delta: 0,
    }
}
