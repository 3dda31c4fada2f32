//! Replies that come late: a place is kept for each, and what is put later waits behind it.
//!
//! The outbox's own fields are always the end, where replies are put, so that putting knows nothing of all this. What
//! leaves earlier stands in stages. Once the first place is filled, the stages up to the next open one become one run,
//! and when none is open they become the outbox again: every byte is moved at most twice.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Outbox, Part, Shared};
use crate::base::errand::{Outcome, Room, Slot};
use crate::base::limits::{OUTBOX_BYTES_MAX, ROOM_SHARES, SLOT_BYTES};
use crate::base::lsn::Lsn;
use crate::base::reply::Sink;

/// What leaves before the outbox's own bytes.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    stages: VecDeque<Stage>,
    /// What of them has not left, with what every open place counts as.
    bytes: usize,
    /// What of that open places count as.
    open_bytes: usize,
    next_slot: u64,
    /// Behind the stage that was filled last: the next one is mostly found there, also while the first is open.
    searched: usize,
    /// Why a part of the reply that is being let go of is missing.
    missing: Option<Bytes>,
}

#[derive(Debug)]
enum Stage {
    /// Replies that are known.
    Run(Outbox),
    /// A place that is filled later, and what it counts as until then, bytes.
    Open(Slot, usize),
    /// A part that is missing.
    Missing(Bytes),
    /// The end of a reply of parts: these bytes, unless one of them is missing; `None` when it has ended with an
    /// error before.
    End(Option<Bytes>),
}

impl Outbox {
    /// Keeps a place for a reply that comes later, and counts it as so many bytes until then. Whatever is put from now on
    /// waits behind it.
    #[must_use]
    pub fn reserve(&mut self, bytes: usize) -> Slot {
        let mut ahead = self.ahead.take().unwrap_or_default();
        let slot = Slot(ahead.next_slot);
        ahead.next_slot += 1;
        ahead.push_run(std::mem::take(self));
        ahead.bytes += bytes;
        ahead.open_bytes += bytes;
        ahead.stages.push_back(Stage::Open(slot, bytes));
        self.ahead = Some(ahead);
        slot
    }

    /// Fills a place. What it holds has been safe where it comes from.
    pub fn fill(&mut self, slot: Slot, outcome: Outcome) {
        let Some(ahead) = &mut self.ahead else { return };
        let Some(at) = ahead.place_of(slot) else { return };
        if at == 1
            && let Outcome::Said(bytes) = &outcome
            && ahead.join(bytes)
        {
            if !ahead.is_open(1) {
                self.settle();
            }
            return;
        }
        ahead.searched = at + 1;
        ahead.close(at);
        let Some(stage) = ahead.stages.get_mut(at) else { return };
        *stage = match outcome {
            Outcome::Said(bytes) => {
                let mut run = Outbox::default();
                run.put_shared(&bytes);
                run.seal(Lsn::ZERO);
                ahead.bytes += bytes.len();
                Stage::Run(run)
            }
            Outcome::Missing(line) => Stage::Missing(line),
        };
        // Behind the run that leaves now there is an open place, if this was not it.
        if at <= 1 {
            self.settle();
        }
    }

    /// Ends a reply some of whose parts may come late: with these bytes, or with why one of them is missing.
    #[inline]
    pub fn end_parts(&mut self, text: &[u8]) {
        if self.ahead.is_none() {
            self.put(text);
            return self.seal(Lsn::ZERO);
        }
        self.end_late(Some(Bytes::copy_from_slice(text)));
    }

    /// Ends a reply of parts that has ended with an error before: whatever is missing is not told any more.
    pub fn drop_parts(&mut self) {
        if self.ahead.is_some() {
            self.end_late(None);
        }
    }

    fn end_late(&mut self, text: Option<Bytes>) {
        let mut ahead = self.ahead.take().unwrap_or_default();
        ahead.push_run(std::mem::take(self));
        ahead.stages.push_back(Stage::End(text));
        self.ahead = Some(ahead);
        self.settle();
    }

    /// Whether a reply is awaited.
    pub fn awaits(&self) -> bool {
        self.ahead().is_some_and(|ahead| ahead.stages.iter().any(|stage| matches!(stage, Stage::Open(..))))
    }

    /// The room for the answer to a read that is asked for now: a share of what is left, so that the more are awaited the
    /// less each has, and all together have no more than an outbox takes.
    pub fn room(&self) -> Room {
        let left = OUTBOX_BYTES_MAX.saturating_sub(self.unsent_bytes());
        Room { bytes: (left / ROOM_SHARES).max(SLOT_BYTES), is_sure: !self.awaits() }
    }

    /// The room for an answer that there was too little for, once half an outbox is free: to be asked for each time that a
    /// little has left would be many short answers. What stands behind the first open place cannot leave before that
    /// is filled, so that there is always room for the first item of what fills it.
    pub fn room_at(&self, slot: Slot) -> Option<Room> {
        let ahead = self.ahead()?;
        let held_bytes = self.unsent_bytes() - ahead.open_bytes;
        let first = ahead.stages.iter().find_map(|stage| match stage {
            Stage::Open(slot, _) => Some(*slot),
            _ => None,
        });
        let in_the_way =
            if first == Some(slot) { ahead.front().map_or(0, Outbox::unsent_bytes) } else { held_bytes };
        let left = OUTBOX_BYTES_MAX.saturating_sub(held_bytes);
        (in_the_way <= OUTBOX_BYTES_MAX / 2).then_some(Room { bytes: left.max(SLOT_BYTES), is_sure: true })
    }

    /// What leaves before the outbox's own bytes, if there is anything.
    pub(super) fn ahead(&self) -> Option<&Ahead> {
        self.ahead.as_deref().filter(|ahead| !ahead.is_empty())
    }

    /// Makes one run of what stands before the first open place; when there is none, that run is the outbox.
    fn settle(&mut self) {
        let Some(mut ahead) = self.ahead.take_if(|ahead| !ahead.is_open(0)) else { return };
        ahead.searched = 0;
        let own = std::mem::take(self);
        let mut front = Outbox::default();
        while let Some(stage) = ahead.stages.pop_front() {
            match stage {
                Stage::Run(run) => front.absorb(run),
                Stage::Missing(line) => drop(ahead.missing.get_or_insert(line)),
                Stage::End(text) => ahead.bytes += front.say_end(text, ahead.missing.take()),
                Stage::Open(slot, bytes) => {
                    ahead.stages.push_front(Stage::Open(slot, bytes));
                    break;
                }
            }
        }
        if ahead.is_empty() {
            front.absorb(own);
            *self = front;
            ahead.bytes = 0;
            // Places are numbered anew: none is open.
            self.ahead = ahead.missing.is_some().then_some(ahead);
        } else {
            if !front.is_void() {
                ahead.stages.push_front(Stage::Run(front));
            }
            *self = own;
            self.ahead = Some(ahead);
        }
    }

    /// Writes the end of a reply of parts; how many bytes it has.
    fn say_end(&mut self, text: Option<Bytes>, missing: Option<Bytes>) -> usize {
        let said = text.map(|text| missing.unwrap_or(text)).unwrap_or_default();
        self.put(&said);
        self.seal(Lsn::ZERO);
        said.len()
    }

    /// Takes what is to leave behind its own bytes.
    fn absorb(&mut self, mut next: Outbox) {
        if self.is_void() {
            *self = next;
            return;
        }
        self.seal(Lsn::ZERO);
        let silent = std::mem::take(&mut self.unsaid);
        if next.end == next.sent {
            self.unsaid = silent.max(next.unsaid);
            return;
        }
        next.tell_of(silent);
        let flat_start = next.head;
        let (index, position) = (self.buffer.len(), self.end);
        let moved = |at: u64| at - next.sent + position;
        self.waiting.extend(next.waiting.iter().map(|part| Part {
            start: moved(part.start),
            end: moved(part.end),
            lsn: part.lsn,
        }));
        self.end = moved(next.end);
        self.part_start = moved(next.part_start.max(next.sent));
        self.shared.extend(
            next.shared
                .into_iter()
                .map(|shared| Shared { before: shared.before - flat_start + index, bytes: shared.bytes }),
        );
        self.buffer.extend_from_slice(next.buffer.get(flat_start..).unwrap_or_default());
        self.unsaid = next.unsaid;
    }

    /// What was observed in silence before its first byte is told of by that byte.
    fn tell_of(&mut self, silent: Lsn) {
        if silent == Lsn::ZERO {
            return;
        }
        let first = self.waiting.front_mut();
        match first {
            Some(part) if part.start <= self.sent => part.lsn = part.lsn.max(silent),
            first => {
                let end = first.map_or(self.part_start, |part| part.start);
                if end > self.sent {
                    self.waiting.push_front(Part { start: self.sent, end, lsn: silent });
                } else {
                    self.unsaid = self.unsaid.max(silent);
                }
            }
        }
    }

    /// Whether there is nothing in it that anybody could ever see.
    fn is_void(&self) -> bool {
        self.sent == self.end && self.unsaid == Lsn::ZERO && self.waiting.is_empty()
    }
}

impl Ahead {
    pub(super) fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Whether this stage is an open place.
    fn is_open(&self, at: usize) -> bool {
        matches!(self.stages.get(at), Some(Stage::Open(..)))
    }

    /// This place is open no longer: what fills it is to be counted instead.
    fn close(&mut self, at: usize) {
        if let Some(Stage::Open(_, bytes)) = self.stages.get(at) {
            (self.bytes, self.open_bytes) = (self.bytes - bytes, self.open_bytes - bytes);
        }
    }

    /// Puts what fills the second stage behind the run that is the first, as nearly all of a long reply are put.
    fn join(&mut self, bytes: &Bytes) -> bool {
        let Some(Stage::Run(run)) = self.stages.front_mut() else { return false };
        run.seal(Lsn::ZERO);
        run.put_shared(bytes);
        run.seal(Lsn::ZERO);
        self.bytes += bytes.len();
        self.close(1);
        self.stages.remove(1);
        self.searched = 1;
        true
    }

    /// Where this place is, if it is open.
    fn place_of(&self, slot: Slot) -> Option<usize> {
        let is_it = |stage: &Stage| matches!(stage, Stage::Open(open, _) if *open == slot);
        let behind = self.stages.iter().skip(self.searched).position(is_it).map(|at| at + self.searched);
        behind.or_else(|| self.stages.iter().position(is_it))
    }

    fn push_run(&mut self, run: Outbox) {
        if !run.is_void() {
            self.bytes += run.unsent_bytes();
            self.stages.push_back(Stage::Run(run));
        }
    }

    /// What may leave, its LSN permitting.
    pub(super) fn front(&self) -> Option<&Outbox> {
        match self.stages.front() {
            Some(Stage::Run(run)) => Some(run),
            _ => None,
        }
    }

    #[inline(never)]
    pub(super) fn advance(&mut self, count: usize) {
        self.bytes = self.bytes.saturating_sub(count);
        if let Some(Stage::Run(run)) = self.stages.front_mut() {
            run.advance(count);
            if run.is_void() {
                self.stages.pop_front();
                self.searched = self.searched.saturating_sub(1);
            }
        }
    }

    pub(super) fn unsent_bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn pinned_bytes(&self) -> usize {
        self.runs().map(Outbox::pinned_bytes).sum()
    }

    pub(super) fn waits_for(&self) -> Option<Lsn> {
        self.runs().find_map(Outbox::waits_for)
    }

    pub(super) fn release(&mut self, safe: Lsn) {
        self.runs_mut().for_each(|run| run.release(safe));
    }

    pub(super) fn fail_waiting(&mut self, safe: Lsn, lose: &dyn Fn(&[u8], &mut Vec<u8>)) {
        let before: usize = self.runs().map(Outbox::unsent_bytes).sum();
        self.runs_mut().for_each(|run| run.fail_waiting(safe, lose));
        let after: usize = self.runs().map(Outbox::unsent_bytes).sum();
        self.bytes = self.bytes.saturating_sub(before) + after;
    }

    fn runs(&self) -> impl Iterator<Item = &Outbox> {
        self.stages.iter().filter_map(|stage| if let Stage::Run(run) = stage { Some(run) } else { None })
    }

    fn runs_mut(&mut self) -> impl Iterator<Item = &mut Outbox> {
        self.stages.iter_mut().filter_map(|stage| if let Stage::Run(run) = stage { Some(run) } else { None })
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::*;
    use crate::base::limits::{OUTBOX_BYTES_MAX, SHARED_BYTES_MIN};
    use crate::conn::outbox::SLICES_MAX;

    fn drain(outbox: &mut Outbox) -> String {
        let mut out = Vec::new();
        while outbox.ready_bytes() > 0 {
            let before = out.len();
            if let Some(plain) = outbox.ready_plain() {
                out.extend_from_slice(plain.get(..3).unwrap_or(plain));
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let count = outbox.ready(&mut slices);
                slices[..count].iter().for_each(|slice| out.extend_from_slice(slice));
            }
            outbox.advance(out.len() - before);
        }
        String::from_utf8(out).unwrap()
    }

    fn said(text: &'static str) -> Outcome {
        Outcome::Said(Bytes::from_static(text.as_bytes()))
    }

    fn missing(text: &'static str) -> Outcome {
        Outcome::Missing(Bytes::from_static(text.as_bytes()))
    }

    fn put(outbox: &mut Outbox, text: &str, lsn: u64) {
        outbox.put(text.as_bytes());
        outbox.seal(Lsn(lsn));
    }

    #[test]
    fn replies_leave_in_order_whatever_order_the_places_are_filled_in() {
        let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]];
        for (order, is_large) in orders.into_iter().flat_map(|order| [(order, false), (order, true)]) {
            let mut outbox = Outbox::default();
            let large = "x".repeat(if is_large { SHARED_BYTES_MIN } else { 1 });
            put(&mut outbox, "a", 0);
            let mut slots = Vec::new();
            for text in ["b", "", "c", "d"] {
                slots.push(outbox.reserve(SLOT_BYTES));
                put(&mut outbox, text, 0);
                outbox.put_shared(&Bytes::from(large.clone()));
                outbox.seal(Lsn::ZERO);
            }
            let mut seen = drain(&mut outbox);
            assert_eq!(seen, "a");
            for at in order {
                outbox.fill(slots[at], said(["0", "1", "2", "3"][at]));
                seen += &drain(&mut outbox);
            }
            assert_eq!(seen, format!("a0b{large}1{large}2c{large}3d{large}"), "{order:?}");
            assert!(outbox.is_empty() && outbox.ahead.is_none() && outbox.unsent_bytes() == 0);
            assert!(!outbox.awaits() && outbox.pinned_bytes() == 0);
        }
    }

    #[test]
    fn open_places_count_until_they_are_filled() {
        let mut outbox = Outbox::default();
        let slots: Vec<Slot> =
            (0..OUTBOX_BYTES_MAX / SLOT_BYTES).map(|_| outbox.reserve(SLOT_BYTES)).collect();
        assert_eq!(
            outbox.unsent_bytes(),
            OUTBOX_BYTES_MAX,
            "so many, and the connection is not read further"
        );
        put(&mut outbox, "end", 0);
        slots.iter().rev().for_each(|slot| outbox.fill(*slot, said("12")));
        assert_eq!(outbox.unsent_bytes(), slots.len() * 2 + 3);
        assert_eq!(drain(&mut outbox), "12".repeat(slots.len()) + "end");
    }

    #[test]
    fn the_more_is_awaited_the_less_room_there_is_and_all_rooms_together_are_an_outbox() {
        let mut outbox = Outbox::default();
        let first = outbox.room();
        assert_eq!(first, Room { bytes: OUTBOX_BYTES_MAX / ROOM_SHARES, is_sure: true });
        let (mut last, mut sum) = (first, 0);
        while outbox.unsent_bytes() < OUTBOX_BYTES_MAX {
            let room = outbox.room();
            assert!(room.bytes <= last.bytes && room.bytes >= SLOT_BYTES && room.is_sure == (sum == 0));
            let _ = outbox.reserve(room.bytes);
            (last, sum) = (room, sum + room.bytes);
        }
        assert_eq!((last.bytes, sum < OUTBOX_BYTES_MAX + SLOT_BYTES), (SLOT_BYTES, true));
    }

    #[test]
    fn there_is_room_again_for_what_everything_waits_for_and_for_others_when_half_is_free() {
        const MB: usize = OUTBOX_BYTES_MAX;
        let sure = |bytes| Some(Room { bytes, is_sure: true });
        // What stands before the first place, between the two, and behind both; the rooms of the two.
        for (before, between, behind, first, second) in [
            (0, 0, 0, sure(MB), sure(MB)),
            (MB / 2, 0, 0, sure(MB / 2), sure(MB / 2)),
            (MB / 2 + 1, 0, 0, None, None),
            (MB / 4, MB / 4, 1, sure(MB / 2 - 1), None),
            (0, MB / 2, MB / 2, sure(SLOT_BYTES), None),
            (0, 0, 2 * MB, sure(SLOT_BYTES), None),
        ] {
            let mut outbox = Outbox::default();
            put(&mut outbox, &"a".repeat(before), 0);
            let slots = [between, behind].map(|length| {
                let slot = outbox.reserve(MB);
                put(&mut outbox, &"b".repeat(length), 0);
                slot
            });
            assert_eq!(
                slots.map(|slot| outbox.room_at(slot)),
                [first, second],
                "{before} {between} {behind}"
            );
        }
        assert_eq!(Outbox::default().room_at(Slot(0)), None, "nothing is awaited");
    }

    #[test]
    fn what_waits_for_the_log_waits_behind_and_before_a_place() {
        let mut outbox = Outbox::default();
        put(&mut outbox, "a", 5);
        put(&mut outbox, "", 9);
        let slot = outbox.reserve(SLOT_BYTES);
        put(&mut outbox, "c", 7);
        assert_eq!((outbox.waits_for(), drain(&mut outbox).as_str()), (Some(Lsn(5)), ""));
        outbox.release(Lsn(5));
        assert_eq!(drain(&mut outbox), "a");
        // What was observed in silence is told of by what was filled in.
        outbox.fill(slot, said("b"));
        outbox.release(Lsn(8));
        assert_eq!((drain(&mut outbox).as_str(), outbox.waits_for()), ("", Some(Lsn(9))));
        outbox.release(Lsn(9));
        assert_eq!(drain(&mut outbox), "bc");
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_the_log_lost_says_so_before_and_behind_a_place() {
        let mut outbox = Outbox::default();
        put(&mut outbox, "safe ", 3);
        put(&mut outbox, "lost ", 9);
        let slot = outbox.reserve(SLOT_BYTES);
        put(&mut outbox, "gone ", 8);
        put(&mut outbox, "free ", 0);
        outbox.fail_waiting(Lsn(3), |_, out| out.put(b"ERR "));
        outbox.fill(slot, said("there "));
        assert_eq!(drain(&mut outbox), "safe ERR there ERR free ");
        assert_eq!(outbox.unsent_bytes(), 0);
    }

    #[test]
    fn a_reply_of_parts_ends_with_its_end_or_with_what_is_missing() {
        for (outcomes, expected) in [
            ([said("v1 "), said("")], "v0 v1 v2 END "),
            ([missing("E1 "), said("x ")], "v0 v2 x E1 "),
            ([missing("E1 "), missing("E2 ")], "v0 v2 E1 "),
            ([said("v1 "), missing("E2 ")], "v0 v1 v2 E2 "),
        ] {
            for is_reversed in [false, true] {
                let mut outbox = Outbox::default();
                put(&mut outbox, "v0 ", 0);
                let first = outbox.reserve(SLOT_BYTES);
                put(&mut outbox, "v2 ", 0);
                let second = outbox.reserve(SLOT_BYTES);
                outbox.end_parts(b"END ");
                put(&mut outbox, "next", 0);
                let mut fills = vec![(first, outcomes[0].clone()), (second, outcomes[1].clone())];
                if is_reversed {
                    fills.reverse();
                }
                fills.into_iter().for_each(|(slot, outcome)| outbox.fill(slot, outcome));
                assert_eq!(drain(&mut outbox), format!("{expected}next"));
                assert!(outbox.is_empty() && outbox.ahead.is_none());
            }
        }
    }

    #[test]
    fn a_missing_part_is_told_at_the_end_though_the_reply_pauses_before_it() {
        let mut outbox = Outbox::default();
        let slot = outbox.reserve(SLOT_BYTES);
        outbox.fill(slot, missing("E1 "));
        assert!(outbox.is_empty());
        put(&mut outbox, "v2 ", 0);
        assert_eq!(drain(&mut outbox), "v2 ");
        outbox.end_parts(b"END ");
        assert_eq!(drain(&mut outbox), "E1 ");
        // An error that was said already is the end; the next reply knows nothing of it.
        let slot = outbox.reserve(SLOT_BYTES);
        put(&mut outbox, "E2 ", 0);
        outbox.drop_parts();
        outbox.fill(slot, missing("E3 "));
        outbox.end_parts(b"END ");
        assert_eq!(drain(&mut outbox), "E2 END ");
    }

    #[test]
    fn a_reply_whose_end_says_nothing_tells_what_is_missing_all_the_same() {
        for (outcome, expected) in [(said(""), "next"), (missing("E1 "), "E1 next")] {
            let mut outbox = Outbox::default();
            let slot = outbox.reserve(SLOT_BYTES);
            outbox.end_parts(b"");
            put(&mut outbox, "next", 0);
            outbox.fill(slot, outcome);
            assert_eq!(drain(&mut outbox), expected);
        }
    }

    #[test]
    fn a_reply_for_somebody_else_carries_its_lsn() {
        let mut outbox = Outbox::default();
        put(&mut outbox, "a", 3);
        put(&mut outbox, "b", 7);
        put(&mut outbox, "c", 0);
        assert_eq!(outbox.into_reply(), (b"abc".to_vec(), Lsn(7)));
        let mut silent = Outbox::default();
        put(&mut silent, "", 4);
        assert_eq!(silent.into_reply(), (Vec::new(), Lsn(4)));
    }
}
