//! What one client has asked for that other servers have put off, and what it asked behind that: asked again in order, a
//! few at a time, as there is room for the answers.

use std::collections::{BTreeSet, VecDeque};

use super::desk::{Asker, Task};
use crate::base::errand::{Room, Slot};
use crate::base::limits::PEER_ASKED_AGAIN_MAX;

/// The requests of one client that wait for room.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// By their places in the replies, which for one server is the order that they were asked in.
    tasks: VecDeque<Task>,
    /// Those that are asked again. Until all are answered no others are, and nobody asks past them.
    asked: Vec<u64>,
    /// The servers that have put something off and answered nothing since. What was on its way to them when they did comes
    /// back before that answer, and must not be asked past either.
    unsure: BTreeSet<u16>,
}

impl Held {
    /// Takes a request that its server has put off.
    pub(super) fn put_off(&mut self, task: Task) {
        self.asked.retain(|asked| *asked != task.number);
        self.unsure.insert(task.errand.server);
        self.put(task);
    }

    /// Takes a request, and puts it where it was asked.
    pub(super) fn put(&mut self, task: Task) {
        let at = self.tasks.partition_point(|held| held.errand.slot.0 < task.errand.slot.0);
        self.tasks.insert(at, task);
    }

    /// The place of the request to be asked next, unless some are asked.
    pub(super) fn next_slot(&self) -> Option<Slot> {
        let next = self.tasks.front().filter(|_| self.asked.is_empty());
        next.map(|task| task.errand.slot)
    }

    /// That request and some behind it, which share the room. It is for the first that the first item is sure.
    pub(super) fn take_some(&mut self, room: Room) -> Vec<Task> {
        let count_max = if self.unsure.is_empty() { PEER_ASKED_AGAIN_MAX } else { 1 };
        let count = self.next_slot().map_or(0, |_| self.tasks.len().min(count_max));
        let bytes = room.bytes / count.max(1);
        let mut taken: Vec<Task> = self.tasks.drain(..count).collect();
        for (at, task) in taken.iter_mut().enumerate() {
            task.errand.room = Room { bytes, is_sure: room.is_sure && at == 0 };
            self.asked.push(task.number);
        }
        taken
    }

    /// This request is over; `is_answered`: by its server, or there is nothing on its way to that any more.
    pub(super) fn settle(&mut self, task: &Task, is_answered: bool) {
        if is_answered {
            self.unsure.remove(&task.errand.server);
        }
        self.asked.retain(|asked| *asked != task.number);
    }

    /// The connection to this server is lost: takes what has not left. Who is to be told that something waits.
    pub(super) fn take_back(&mut self, server: u16, unsent: Vec<Task>) -> Option<Asker> {
        self.unsure.remove(&server);
        for task in unsent {
            self.asked.retain(|asked| *asked != task.number);
            self.put(task);
        }
        self.tasks.front().map(|task| task.asker)
    }

    /// Everything.
    pub(super) fn take_all(self) -> VecDeque<Task> {
        self.tasks
    }

    /// Whether nothing waits, nor is under way.
    pub(super) fn is_over(&self) -> bool {
        self.tasks.is_empty() && self.asked.is_empty()
    }
}
