//! The replies of one connection, in order, each held until what it observed is safe.

mod slots;

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use super::Spares;
use crate::base::limits::SHARED_BYTES_MIN;
use crate::base::lsn::Lsn;
use crate::base::reply::Sink;
use slots::Ahead;

/// The most slices handed to one `writev`.
pub const SLICES_MAX: usize = 16;

/// Replies on their way out. Positions count all bytes ever put, small ones copied and large ones by reference alike.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The copied bytes that have not left, from `head` on.
    buffer: Vec<u8>,
    /// How much of `buffer` has left.
    head: usize,
    /// Large values, each with the index of `buffer` that it stands before.
    shared: VecDeque<Shared>,
    /// Position of the next byte to leave.
    sent: u64,
    /// Position behind the last byte put.
    end: u64,
    /// Position where the part being written begins.
    part_start: u64,
    /// The parts that wait for an LSN, in order.
    waiting: VecDeque<Part>,
    /// What was observed without a byte being put: the next part tells of it.
    unsaid: Lsn,
    /// What leaves before all this: earlier replies, and places that are filled later. Mostly there is nothing.
    ahead: Option<Box<Ahead>>,
}

#[derive(Debug)]
struct Shared {
    before: usize,
    bytes: Bytes,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    start: u64,
    end: u64,
    lsn: Lsn,
}

impl Sink for Outbox {
    fn put(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.end += bytes.len() as u64;
    }

    fn put_shared(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARED_BYTES_MIN {
            return self.put(bytes);
        }
        self.shared.push_back(Shared { before: self.buffer.len(), bytes: bytes.clone() });
        self.end += bytes.len() as u64;
    }
}

impl Outbox {
    /// Ends a part: what was put since the last seal observed `lsn` and may leave once that is safe;
    /// [`Lsn::ZERO`] is safe already.
    ///
    /// Saying nothing says something too: a key that `get` leaves out, or a quiet command, is told of by whatever comes
    /// next (`END`, `MN`), which therefore waits for both.
    #[inline]
    pub fn seal(&mut self, lsn: Lsn) {
        self.unsaid = self.unsaid.max(lsn);
        if self.part_start == self.end {
            return;
        }
        let lsn = std::mem::take(&mut self.unsaid);
        if lsn > Lsn::ZERO {
            self.waiting.push_back(Part { start: self.part_start, end: self.end, lsn });
        }
        self.part_start = self.end;
    }

    /// Lets go of the parts whose LSN is safe.
    pub fn release(&mut self, safe: Lsn) {
        if let Some(ahead) = &mut self.ahead {
            ahead.release(safe);
        }
        while self.waiting.front().is_some_and(|part| part.lsn <= safe) {
            self.waiting.pop_front();
        }
    }

    /// After the log has failed: parts that observed more than `safe` will never be confirmed. `lose` writes what such a
    /// part says instead.
    pub fn fail_waiting(&mut self, safe: Lsn, lose: impl Fn(&[u8], &mut Vec<u8>)) {
        if let Some(ahead) = &mut self.ahead {
            ahead.fail_waiting(safe, &lose);
        }
        self.release(safe);
        let Some(first) = self.waiting.front() else { return };
        let kept_len = (first.start - self.sent) as usize;
        let unsent = self.take_unsent();
        let mut position = self.sent;
        self.keep(unsent.get(..kept_len).unwrap_or_default());
        position += kept_len as u64;
        for part in std::mem::take(&mut self.waiting) {
            let from = (position - self.sent) as usize;
            let between = from..from + (part.start - position) as usize;
            let whole = from + (part.start - position) as usize..from + (part.end - position) as usize;
            self.keep(unsent.get(between).unwrap_or_default());
            let whole = unsent.get(whole).unwrap_or_default();
            if part.lsn <= safe {
                self.keep(whole);
            } else {
                lose(whole, &mut self.buffer);
            }
            position = part.end;
        }
        let rest = (position - self.sent) as usize;
        self.keep(unsent.get(rest..).unwrap_or_default());
        self.end = self.sent + (self.buffer.len() - self.head) as u64;
        self.part_start = self.end;
    }

    /// All unsent bytes, flattened; the buffers are empty afterwards.
    fn take_unsent(&mut self) -> Vec<u8> {
        let mut flat = Vec::with_capacity((self.end - self.sent) as usize);
        let mut at = self.head;
        for shared in std::mem::take(&mut self.shared) {
            flat.extend_from_slice(self.buffer.get(at..shared.before).unwrap_or_default());
            flat.extend_from_slice(&shared.bytes);
            at = shared.before.max(at);
        }
        flat.extend_from_slice(self.buffer.get(at..).unwrap_or_default());
        self.buffer.clear();
        self.head = 0;
        flat
    }

    /// Everything put, and the LSN that all of it is safe with: a reply that somebody else sends.
    pub fn into_reply(mut self) -> (Vec<u8>, Lsn) {
        self.seal(Lsn::ZERO);
        let lsn = self.waiting.iter().map(|part| part.lsn).max().unwrap_or(Lsn::ZERO).max(self.unsaid);
        (self.take_unsent(), lsn)
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Removes `count` bytes that have left.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        if let Some(ahead) = &mut self.ahead
            && !ahead.is_empty()
        {
            return ahead.advance(count);
        }
        self.sent += count as u64;
        if self.shared.is_empty() {
            self.head += count;
        } else {
            self.advance_over_shared(count);
        }
        if self.head >= self.buffer.len() && self.shared.is_empty() {
            self.head = 0;
            self.buffer.clear();
        }
    }

    #[inline(never)]
    fn advance_over_shared(&mut self, count: usize) {
        let mut left = count;
        while left > 0 {
            let inline_end = self.shared.front().map_or(self.buffer.len(), |shared| shared.before);
            let inline = (inline_end - self.head).min(left);
            self.head += inline;
            left -= inline;
            if left == 0 {
                break;
            }
            let Some(front) = self.shared.front_mut() else { break };
            let step = left.min(front.bytes.len());
            let _ = front.bytes.split_to(step);
            left -= step;
            if front.bytes.is_empty() {
                self.shared.pop_front();
            }
        }
    }

    /// Lends it memory for what will be put: an outbox has none of its own while it is empty.
    pub fn borrow(&mut self, spares: &mut Spares) {
        if self.buffer.capacity() == 0 {
            self.buffer = spares.take();
        }
    }

    /// Gives that memory back if nothing is left in it.
    pub fn give_back(&mut self, spares: &mut Spares) {
        if self.buffer.is_empty() {
            spares.keep(std::mem::take(&mut self.buffer));
        }
    }

    /// The bytes that may leave now, as slices for one `writev`; how many slices were filled.
    pub fn ready<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        if let Some(ahead) = self.ahead() {
            return ahead.front().map_or(0, |run| run.ready(slices));
        }
        let mut left = self.ready_bytes();
        let mut at = self.head;
        let mut count = 0;
        let mut next_shared = 0;
        while left > 0 && count < SLICES_MAX {
            let shared = self.shared.get(next_shared);
            let inline_end = shared.map_or(self.buffer.len(), |shared| shared.before);
            let piece = if at < inline_end {
                let piece = self.buffer.get(at..inline_end).unwrap_or_default();
                at = inline_end;
                piece
            } else if let Some(shared) = shared {
                next_shared += 1;
                &shared.bytes
            } else {
                break;
            };
            let piece = piece.get(..left.min(piece.len())).unwrap_or_default();
            if let Some(slot) = slices.get_mut(count) {
                *slot = IoSlice::new(piece);
            }
            left -= piece.len();
            count += 1;
        }
        count
    }

    /// The copied bytes that may leave now, when there is nothing else: the common case, for a plain `write`.
    #[inline]
    pub fn ready_plain(&self) -> Option<&[u8]> {
        if let Some(ahead) = self.ahead() {
            return ahead.front().map_or(Some(&[]), Outbox::ready_plain);
        }
        if !self.shared.is_empty() {
            return None;
        }
        self.buffer.get(self.head..self.head + self.ready_bytes())
    }

    /// How many bytes may leave now.
    #[inline]
    pub fn ready_bytes(&self) -> usize {
        if let Some(ahead) = self.ahead() {
            return ahead.front().map_or(0, Outbox::ready_bytes);
        }
        (self.waiting.front().map_or(self.end, |part| part.start) - self.sent) as usize
    }

    /// How many bytes have not left. A place that is not filled counts as what was said when it
    /// was kept, so that a full outbox bounds their number too.
    pub fn unsent_bytes(&self) -> usize {
        (self.end - self.sent) as usize + self.ahead().map_or(0, Ahead::unsent_bytes)
    }

    /// How many of them are held by reference: memory that the hot tier may have given up already.
    #[inline]
    pub fn pinned_bytes(&self) -> usize {
        if self.shared.is_empty() && self.ahead.is_none() { 0 } else { self.pinned_sum() }
    }

    fn pinned_sum(&self) -> usize {
        let own: usize = self.shared.iter().map(|shared| shared.bytes.len()).sum();
        own + self.ahead().map_or(0, Ahead::pinned_bytes)
    }

    /// The LSN that the first waiting part waits for.
    #[inline]
    pub fn waits_for(&self) -> Option<Lsn> {
        let ahead = self.ahead().and_then(Ahead::waits_for);
        ahead.or_else(|| self.waiting.front().map(|part| part.lsn))
    }

    /// The LSN that the last waiting part waits for: what is put now leaves behind it.
    pub fn waits_last(&self) -> Option<Lsn> {
        self.waiting.back().map(|part| part.lsn)
    }

    /// Whether everything put has left.
    pub fn is_empty(&self) -> bool {
        self.sent == self.end && self.ahead().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(outbox: &mut Outbox, step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while outbox.ready_bytes() > 0 {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = outbox.ready(&mut slices);
            assert!(count > 0, "ready bytes come in slices");
            let before = out.len();
            for slice in &slices[..count] {
                let left = step - (out.len() - before);
                out.extend_from_slice(&slice[..left.min(slice.len())]);
            }
            outbox.advance(out.len() - before);
        }
        out
    }

    #[test]
    fn copied_and_shared_bytes_leave_in_order_whatever_the_socket_takes() {
        for step in [1, 7, 4096, 100_000] {
            let mut outbox = Outbox::default();
            let mut expected = Vec::new();
            for round in 0..40u8 {
                let small = vec![round; usize::from(round) * 3];
                let large = Bytes::from(vec![round ^ 0xff; SHARED_BYTES_MIN + usize::from(round)]);
                outbox.put(&small);
                outbox.put_shared(&large);
                expected.extend_from_slice(&small);
                expected.extend_from_slice(&large);
                outbox.seal(Lsn::ZERO);
            }
            assert_eq!(outbox.unsent_bytes(), expected.len());
            assert!(drain(&mut outbox, step) == expected, "step {step}");
            assert!(outbox.is_empty() && outbox.pinned_bytes() == 0);
        }
    }

    #[test]
    fn a_waiting_part_holds_those_behind_it() {
        let mut outbox = Outbox::default();
        for (text, lsn) in [("a", 0), ("b", 5), ("c", 0), ("d", 3), ("", 9), ("e", 7)] {
            outbox.put(text.as_bytes());
            outbox.seal(Lsn(lsn));
        }
        // The empty part is told of by the one behind it.
        for (safe, leaves) in [(2, "a"), (4, ""), (5, "bcd"), (6, ""), (8, ""), (9, "e")] {
            outbox.release(Lsn(safe));
            assert_eq!(String::from_utf8(drain(&mut outbox, 1)).unwrap(), leaves, "safe {safe}");
        }
        assert!(outbox.waits_for().is_none() && outbox.is_empty());
    }

    #[test]
    fn failed_parts_say_so_and_the_others_stay() {
        let mut outbox = Outbox::default();
        let large = Bytes::from(vec![b'x'; SHARED_BYTES_MIN]);
        for (text, lsn) in [("sent", 0), ("kept ", 0), ("safe ", 3), ("lost ", 9), ("free ", 0), ("gone", 8)]
        {
            outbox.put(text.as_bytes());
            if text == "lost " {
                outbox.put_shared(&large);
            }
            outbox.seal(Lsn(lsn));
        }
        outbox.advance(4);
        outbox.fail_waiting(Lsn(3), |_, out| out.put(b"ERR "));
        assert_eq!(String::from_utf8(drain(&mut outbox, 3)).unwrap(), "kept safe ERR free ERR ");
        outbox.put(b"later");
        outbox.seal(Lsn::ZERO);
        assert_eq!(String::from_utf8(drain(&mut outbox, 9)).unwrap(), "later");
    }
}
