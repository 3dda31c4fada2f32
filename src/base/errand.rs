//! What one server asks another for a client that asked the wrong one, and what comes of it.

use bytes::Bytes;

use super::limits::{PEER_READ_BYTES_MAX, PEER_READ_KEYS_MAX, SLOT_BYTES};
use super::lsn::GroupId;

/// A place in the replies of one connection that is filled later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub u64);

/// One of the keys of a read of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where its part of the answer goes.
    pub slot: Slot,
    /// Its group.
    pub group: GroupId,
}

/// How long the answer to a read may be: what whoever asks for it has room for. Only reads are held to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// All of it, bytes.
    pub bytes: usize,
    /// But for its first item, which is wanted whatever its length: nothing else is awaited.
    pub is_sure: bool,
}

impl Room {
    /// For an answer of one line.
    pub const LINE: Room = Room { bytes: SLOT_BYTES, is_sure: true };

    /// Whether there is room for an item, or an answer, of this many bytes.
    pub fn takes(self, bytes: usize) -> bool {
        self.is_sure || bytes <= self.bytes
    }

    /// What is left when so much of it is taken.
    #[must_use]
    pub fn without(self, bytes: usize) -> Room {
        Room { bytes: self.bytes.saturating_sub(bytes), is_sure: self.is_sure && bytes == 0 }
    }
}

/// One request for another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// Where its answer goes, if it is one.
    pub slot: Slot,
    /// Of a read of many keys, which is answered in as many parts: the place of each. Else there are none.
    pub places: Vec<Place>,
    /// Who is asked, by number.
    pub server: u16,
    /// What group it is about, or its first key is; `None` for the whole store.
    pub group: Option<GroupId>,
    /// The map that says so.
    pub map_version: u64,
    /// How long its answer may be.
    pub room: Room,
    /// The request in its canonical form: a line with what belongs to it, or a frame.
    pub request: Vec<u8>,
    /// What of the answer the client sees.
    pub shown: Shown,
    /// How it is told that there is none.
    pub told: Told,
}

/// How a client is told that there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// By a line.
    Line,
    /// By a frame of the binary protocol, with what the client knows its request by.
    Frame {
        /// Which command it was.
        opcode: u8,
        /// What the client wants back.
        opaque: u32,
    },
}

/// What of an answer the client sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// All of it.
    Whole,
    /// Nothing, not even an error (`noreply`).
    Nothing,
    /// This instead: the request stood for another one that is not carried.
    Instead(Bytes),
    /// It is a part of a longer reply: what stands before this end. An answer without the end is a failure of the
    /// whole reply.
    Before(&'static [u8]),
}

/// What a slot is filled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// These bytes, which may be none.
    Said(Bytes),
    /// A part is missing: the reply that it belongs to ends with this line.
    Missing(Bytes),
}

impl Errand {
    /// A request for this server, still without its bytes and its place.
    pub fn new(server: u16, group: Option<GroupId>, map_version: u64, shown: Shown, told: Told) -> Errand {
        Errand {
            slot: Slot(0),
            places: Vec::new(),
            server,
            group,
            map_version,
            room: Room::LINE,
            request: Vec::new(),
            shown,
            told,
        }
    }

    /// Asks for one more key with those of this read, if the question takes it; whether it did. Its place is still to be
    /// added, and counts as [`SLOT_BYTES`], which the answer may be longer by.
    pub fn join(&mut self, key: &[u8]) -> bool {
        let bytes = self.request.len() + 1 + key.len();
        if bytes > PEER_READ_BYTES_MAX || self.places.len() >= PEER_READ_KEYS_MAX {
            return false;
        }
        if self.places.is_empty() {
            self.places.extend(self.group.map(|group| Place { slot: self.slot, group }));
        }
        self.request.truncate(self.request.trim_ascii_end().len());
        self.request.push(b' ');
        self.request.extend_from_slice(key);
        self.request.extend_from_slice(b"\r\n");
        self.room.bytes += SLOT_BYTES;
        true
    }

    /// Asks no more for so many of its first keys; a read of one key is left as it is.
    pub fn drop_first(&mut self, count: usize) {
        if count == 0 || count >= self.places.len() {
            return;
        }
        let text = self.request.trim_ascii_end();
        let mut spaces = (0..text.len()).filter(|at| text.get(*at) == Some(&b' '));
        let (Some(verb_end), Some(dropped_end)) = (spaces.next(), spaces.nth(count - 1)) else { return };
        self.request.drain(verb_end..dropped_end);
        self.places.drain(..count);
        if let [first, ..] = *self.places.as_slice() {
            (self.slot, self.group) = (first.slot, Some(first.group));
        }
        if self.places.len() == 1 {
            self.places.clear();
        }
    }
}

impl Shown {
    /// What the other server's answer becomes.
    pub fn answer(&self, answer: Bytes) -> Outcome {
        match self {
            Shown::Whole => Outcome::Said(answer),
            Shown::Nothing => Outcome::Said(Bytes::new()),
            Shown::Instead(text) => Outcome::Said(text.clone()),
            Shown::Before(end) => match answer.strip_suffix(*end).map(<[u8]>::len) {
                Some(length) => Outcome::Said(answer.slice(..length)),
                None => Outcome::Missing(answer),
            },
        }
    }

    /// What the lack of an answer becomes; `line` says why there is none.
    pub fn failure(&self, line: Bytes) -> Outcome {
        match self {
            Shown::Whole | Shown::Instead(_) => Outcome::Said(line),
            Shown::Nothing => Outcome::Said(Bytes::new()),
            Shown::Before(_) => Outcome::Missing(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_sees_of_an_answer_what_it_asked_for() {
        let said = |text: &'static str| Outcome::Said(Bytes::from_static(text.as_bytes()));
        let missing = |text: &'static str| Outcome::Missing(Bytes::from_static(text.as_bytes()));
        for (shown, answer, seen, unanswered) in [
            (Shown::Whole, "STORED\r\n", said("STORED\r\n"), said("E\r\n")),
            (Shown::Nothing, "ERROR\r\n", said(""), said("")),
            (Shown::Instead(Bytes::from_static(b"no\r\n")), "DELETED\r\n", said("no\r\n"), said("E\r\n")),
            (
                Shown::Before(b"END\r\n"),
                "VALUE a 0 0\r\n\r\nEND\r\n",
                said("VALUE a 0 0\r\n\r\n"),
                missing("E\r\n"),
            ),
            (Shown::Before(b"END\r\n"), "END\r\n", said(""), missing("E\r\n")),
            (
                Shown::Before(b"END\r\n"),
                "SERVER_ERROR x\r\n",
                missing("SERVER_ERROR x\r\n"),
                missing("E\r\n"),
            ),
        ] {
            assert_eq!(shown.answer(Bytes::from_static(answer.as_bytes())), seen, "{shown:?} {answer}");
            assert_eq!(shown.failure(Bytes::from_static(b"E\r\n")), unanswered, "{shown:?}");
        }
    }

    #[test]
    fn what_is_left_of_a_read_is_a_read_of_the_rest() {
        let place = |slot| Place { slot: Slot(slot), group: GroupId(slot as u16 + 40) };
        for (dropped, slot, request, places) in [
            (0, 0, "gets a bb c\r\n", vec![0, 1, 2]),
            (1, 1, "gets bb c\r\n", vec![1, 2]),
            (2, 2, "gets c\r\n", vec![]),
            (3, 0, "gets a bb c\r\n", vec![0, 1, 2]),
        ] {
            let mut errand = Errand::new(1, Some(GroupId(40)), 1, Shown::Whole, Told::Line);
            errand.request = b"gets a\r\n".to_vec();
            for (key, slot) in [("bb", 1), ("c", 2)] {
                assert!(errand.join(key.as_bytes()));
                errand.places.push(place(slot));
            }
            errand.drop_first(dropped);
            assert_eq!(String::from_utf8_lossy(&errand.request), request);
            assert_eq!(errand.places, places.into_iter().map(place).collect::<Vec<Place>>());
            assert_eq!((errand.slot, errand.group), (Slot(slot), Some(place(slot).group)));
        }
        let mut alone = Errand::new(1, Some(GroupId(40)), 1, Shown::Whole, Told::Line);
        alone.request = b"get a\r\n".to_vec();
        let before = alone.clone();
        alone.drop_first(1);
        assert_eq!(alone, before);
    }
}
