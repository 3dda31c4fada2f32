//! Log records into memory, as the start finds them.

use super::group::Group;
use crate::base::effect::Effect;
use crate::base::fault::Fault;
use crate::base::lsn::Lsn;
use crate::binlog::{Body, Entry};
use crate::hot;
use crate::store::RowBuffer;

impl Group {
    /// Applies one record of the log that is not in the store yet; whether it was new to this group.
    ///
    /// Records come in LSN order, and applying one twice changes nothing. Everything becomes dirty, so that the next
    /// checkpoint writes it. When memory has no room the group checkpoints first.
    pub fn apply(&self, lsn: Lsn, entry: &Entry<'_>) -> Result<bool, Fault> {
        let mut core = self.core.lock();
        core.clock.advance(entry.stamp.version);
        if self.store.as_ref().is_some_and(|store| lsn <= store.state().applied_lsn) {
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
        if let Effect::Touch(touch) = effect {
            drop(core);
            self.load(key)?;
            core = self.core.lock();
            let based = core.hot.locate(key).filter(|at| match core.hot.entry(*at) {
                hot::Entry::Live(item) => item.version == touch.base,
                hot::Entry::Tombstone(_) => false,
            });
            if based.is_none() {
                core.trail.replayed(lsn);
                return Ok(true);
            }
        }
        let value_bytes = match effect {
            Effect::Put(put) => put.value.len(0),
            _ => 0,
        };
        if core.hot.make_room(key.len(), value_bytes).is_err() {
            drop(core);
            self.checkpoint()?;
            core = self.core.lock();
            let _ = core.hot.make_room(key.len(), value_bytes);
        }
        let at = core.hot.locate(key);
        core.change(key, at, effect, entry.stamp);
        // Only now: a checkpoint on the way must not claim a record that memory did not have yet.
        core.trail.replayed(lsn);
        Ok(true)
    }

    /// Takes a key's row into memory, if the store has one and memory has not.
    fn load(&self, key: &[u8]) -> Result<(), Fault> {
        let Some(store) = &self.store else { return Ok(()) };
        if self.core.lock().hot.locate(key).is_some() {
            return Ok(());
        }
        let mut row = RowBuffer::default();
        if let Some(item) = store.read(key, &mut row)? {
            let mut core = self.core.lock();
            let _ = core.hot.make_room(key.len(), item.value.bytes().len());
            core.hot.admit(key, &item);
        }
        Ok(())
    }
}
