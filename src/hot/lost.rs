//! Items that are gone for good because memory or the disk was full, remembered for those who watch.

use super::segment::Slot;
use super::{Entry, Hot};
use crate::base::item::{Item, Marks};
use crate::base::limits::LOST_ITEMS_MAX;
use crate::base::time::Deadline;

/// What is told of an evicted item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Its key.
    pub key: Box<[u8]>,
    /// Whether it was ever read.
    pub is_fetched: bool,
    /// When it would have died.
    pub deadline: Deadline,
    /// Last access, unix seconds.
    pub accessed_s: u32,
    /// The length of its value.
    pub value_bytes: usize,
}

impl Lost {
    /// What is told of this item.
    pub fn of(key: &[u8], item: &Item<'_>) -> Lost {
        Lost {
            key: key.into(),
            is_fetched: item.marks.has(Marks::FETCHED),
            deadline: item.deadline,
            accessed_s: item.accessed_s,
            value_bytes: item.value.bytes().len(),
        }
    }
}

impl Hot {
    /// The items evicted since the last call, at most [`LOST_ITEMS_MAX`]. They are remembered from the first call on.
    pub fn take_lost(&mut self) -> Vec<Lost> {
        self.lost.replace(Vec::new()).unwrap_or_default()
    }

    /// Whether anybody wants to know of one more.
    pub fn remembers_lost(&self) -> bool {
        self.lost.as_ref().is_some_and(|lost| lost.len() < LOST_ITEMS_MAX)
    }

    /// Remembers an item that is given up.
    pub fn remember_lost(&mut self, lost: Lost) {
        if self.remembers_lost() {
            self.lost.get_or_insert_default().push(lost);
        }
    }

    /// Remembers an item that is about to be evicted, if anybody wants to know.
    pub(super) fn note_lost(&mut self, slot: Slot) {
        if !self.remembers_lost() {
            return;
        }
        let Some(record) = self.segments.record(slot) else { return };
        let Entry::Live(item) = self.view(&record) else { return };
        let lost = Lost::of(record.key, &item);
        self.remember_lost(lost);
    }
}
