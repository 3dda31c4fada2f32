//! The store into memory after a start, while requests are served.

use std::ops::Bound;

use super::group::Group;
use super::rows::Batch;
use crate::base::fault::Fault;
use crate::store::{RowBuffer, ScanLimits};

/// What is read in one go: the store's read transaction is short, and nobody waits for the lock long.
const BATCH: ScanLimits = ScanLimits { items: 512, bytes: 256 * 1024 };

/// How a warm-up ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warmth {
    /// Everything is in memory: a miss needs no disk.
    Complete,
    /// Memory is full.
    Full,
    /// It was stopped.
    Stopped,
}

impl Group {
    /// Reads rows into memory until all are in, or memory is full. `go_on` is asked between batches.
    pub fn warm_up(&self, mut go_on: impl FnMut() -> bool) -> Result<Warmth, Fault> {
        let Some(store) = &self.store else { return Ok(Warmth::Complete) };
        let drops_before = self.core.lock().drops();
        let mut after: Option<Vec<u8>> = None;
        let mut buffer = RowBuffer::default();
        loop {
            if !go_on() {
                return Ok(Warmth::Stopped);
            }
            let generation = self.core.lock().generation;
            let mut batch = Batch::default();
            let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let mut damage = None;
            let resume = store.scan(from, BATCH, &mut buffer, |key, item| {
                match item {
                    Ok(item) => batch.push(key, &item),
                    Err(fault) => damage = Some(fault),
                }
                damage.is_none()
            })?;
            if let Some(fault) = damage {
                return Err(fault);
            }
            let mut core = self.core.lock();
            if core.generation != generation {
                // The store has changed under the batch: its rows may be outdated. Read them again.
                continue;
            }
            for row in &batch.rows {
                let (key, item) = batch.row(row);
                if !core.hot.admit(key, &item) {
                    return Ok(Warmth::Full);
                }
            }
            match resume.after {
                Some(key) => after = Some(key),
                None if core.drops() == drops_before => {
                    core.hot.set_complete(true);
                    return Ok(Warmth::Complete);
                }
                None => return Ok(Warmth::Full),
            }
        }
    }
}

/// Warms all groups, one after the other.
pub fn warm_up(groups: &[Group], mut go_on: impl FnMut() -> bool) -> Result<Warmth, Fault> {
    let mut all = Warmth::Complete;
    for group in groups {
        match group.warm_up(&mut go_on)? {
            Warmth::Complete => {}
            Warmth::Full => all = Warmth::Full,
            Warmth::Stopped => return Ok(Warmth::Stopped),
        }
    }
    Ok(all)
}
