//! What a command changes. Effects are logged, put into memory, replayed and, later, replicated; applying one twice
//! changes nothing.

use super::item::Marks;
use super::limits::COUNTED_BYTES_MAX;
use super::time::{Deadline, UnixMs};
use super::version::Version;

/// Why something changed: a byte in every logged record. Replay does not need it; watchers, replicas and people do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)] // Each is the command of its name.
pub enum Cause {
    Set = 1,
    Add = 2,
    Replace = 3,
    Append = 4,
    Prepend = 5,
    Cas = 6,
    Incr = 7,
    Decr = 8,
    /// An empty or initial item made by a miss (meta `N`).
    Vivify = 9,
    /// A deadline changed.
    Touch = 10,
    /// A client was told to recache (meta `W`).
    Win = 11,
    /// Marked stale by meta `I`.
    Invalidate = 12,
    /// Emptied by meta `md x`.
    Clear = 13,
    Delete = 14,
    /// Its deadline had come.
    Expire = 15,
    /// Given up for space.
    Evict = 16,
    /// A value too large to be stored removed the one before it.
    TooLarge = 17,
    /// Written back as it was read: a restore or an import.
    Restore = 18,
}

impl Cause {
    /// The cause with this byte.
    pub fn from_byte(byte: u8) -> Option<Cause> {
        const ALL: [Cause; 18] = [
            Cause::Set,
            Cause::Add,
            Cause::Replace,
            Cause::Append,
            Cause::Prepend,
            Cause::Cas,
            Cause::Incr,
            Cause::Decr,
            Cause::Vivify,
            Cause::Touch,
            Cause::Win,
            Cause::Invalidate,
            Cause::Clear,
            Cause::Delete,
            Cause::Expire,
            Cause::Evict,
            Cause::TooLarge,
            Cause::Restore,
        ];
        ALL.get(usize::from(byte).checked_sub(1)?).copied()
    }
}

/// The text of a 64-bit number, as incr and decr store it, padded with trailing spaces to the length it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits {
    bytes: [u8; Digits::LEN_MAX],
    len: u8,
    /// Spaces behind `bytes`: what it replaces was longer than any number.
    more_spaces: u32,
}

/// What the longest padding is cut from.
static SPACES: [u8; COUNTED_BYTES_MAX] = [b' '; COUNTED_BYTES_MAX];

impl Digits {
    /// The longest number: 20 digits.
    pub const LEN_MAX: usize = 20;

    /// The text of `number`, padded with spaces to at least `width` (at most [`COUNTED_BYTES_MAX`]) bytes.
    pub fn padded(number: u64, width: usize) -> Digits {
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(number).as_bytes();
        let mut bytes = [b' '; Digits::LEN_MAX];
        for (to, from) in bytes.iter_mut().zip(text) {
            *to = *from;
        }
        let width = width.min(COUNTED_BYTES_MAX);
        let len = text.len().max(width.min(Digits::LEN_MAX));
        Digits { bytes, len: len as u8, more_spaces: width.saturating_sub(Digits::LEN_MAX) as u32 }
    }

    /// The text, but for what [`Digits::more_spaces`] has.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// The spaces behind the first [`Digits::LEN_MAX`] bytes of the text.
    pub fn more_spaces(&self) -> &'static [u8] {
        SPACES.get(..self.more_spaces as usize).unwrap_or(&[])
    }
}

/// The value that an item gets, built from what the command carried and the value before it. It borrows nothing from
/// the old item, so that memory can be changed while it is at hand.
#[derive(Clone, Copy, Debug)]
pub enum NewValue<'a> {
    /// These bytes.
    Whole(&'a [u8]),
    /// The old value, then these bytes.
    OldThen(&'a [u8]),
    /// These bytes, then the old value.
    ThenOld(&'a [u8]),
    /// A number.
    Digits(Digits),
}

impl NewValue<'_> {
    /// The two pieces whose concatenation is the value; `old` is the value before.
    pub fn pieces<'v>(&'v self, old: &'v [u8]) -> [&'v [u8]; 2] {
        match self {
            NewValue::Whole(bytes) => [bytes, &[]],
            NewValue::OldThen(tail) => [old, tail],
            NewValue::ThenOld(head) => [head, old],
            NewValue::Digits(digits) => [digits.bytes(), digits.more_spaces()],
        }
    }

    /// Whether the value before is part of it.
    pub fn needs_old(&self) -> bool {
        matches!(self, NewValue::OldThen(_) | NewValue::ThenOld(_))
    }

    /// The length of the whole value.
    pub fn len(&self, old_len: usize) -> usize {
        match self {
            NewValue::Whole(bytes) => bytes.len(),
            NewValue::OldThen(piece) | NewValue::ThenOld(piece) => piece.len() + old_len,
            NewValue::Digits(digits) => digits.bytes().len() + digits.more_spaces().len(),
        }
    }
}

/// The key has this value now. Its version and meta version are the stamp's.
#[derive(Clone, Copy, Debug)]
pub struct Put<'a> {
    /// Why.
    pub cause: Cause,
    /// The value.
    pub value: NewValue<'a>,
    /// The client's own bits.
    pub client_flags: u32,
    /// When it dies.
    pub deadline: Deadline,
    /// The number that clients compare.
    pub cas: u64,
    /// State marks.
    pub marks: Marks,
    /// The version that it replaces, zero for none or unknown.
    pub base: Version,
    /// What incr or decr added or took, for replicas that count; else 0.
    pub delta: u64,
}

/// The item keeps its value and version, and has this deadline, cas and marks now. Its meta version is the stamp's.
#[derive(Clone, Copy, Debug)]
pub struct Touch {
    /// Why.
    pub cause: Cause,
    /// When it dies.
    pub deadline: Deadline,
    /// The number that clients compare.
    pub cas: u64,
    /// State marks.
    pub marks: Marks,
    /// The version of the value that it was based on: on another one it has no effect.
    pub base: Version,
}

/// The key has no value any more, since the stamp's version.
#[derive(Clone, Copy, Debug)]
pub struct Removal {
    /// Why.
    pub cause: Cause,
    /// The version of the value that went, zero for unknown.
    pub base: Version,
}

/// What became of one key.
#[derive(Clone, Copy, Debug)]
pub enum Effect<'a> {
    /// It has a new value.
    Put(Put<'a>),
    /// It has a new deadline, cas or marks.
    Touch(Touch),
    /// It is gone.
    Remove(Removal),
}

impl Effect<'_> {
    /// Why.
    pub fn cause(&self) -> Cause {
        match self {
            Effect::Put(put) => put.cause,
            Effect::Touch(touch) => touch.cause,
            Effect::Remove(removal) => removal.cause,
        }
    }
}

/// What flush_all has done to one group. Kept by the group, logged when it changes, and part of every checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlushMark {
    /// Values of a version below this one are gone.
    pub below: Version,
    /// A flush that is still to come: unix seconds, 0 for none. When a stamp reaches it, it becomes a mark.
    pub pending_s: u32,
}

impl FlushMark {
    /// Whether a value of this version is gone.
    pub fn covers(&self, version: Version) -> bool {
        version < self.below
    }

    /// Whether the pending flush has come.
    pub fn is_due(&self, now: UnixMs) -> bool {
        self.pending_s != 0 && self.pending_s <= now.seconds()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_padded_to_the_width_they_replace() {
        for (number, width, text) in [
            (0, 0, "0"),
            (9, 2, "9 "),
            (100, 2, "100"),
            (u64::MAX, 0, "18446744073709551615"),
            (7, 20, "7                   "),
            (7, 23, "7                      "),
        ] {
            let value = NewValue::Digits(Digits::padded(number, width));
            assert_eq!(value.pieces(b"old").concat(), text.as_bytes());
            assert_eq!(value.len(3), text.len());
        }
        for width in [COUNTED_BYTES_MAX, usize::MAX] {
            assert_eq!(NewValue::Digits(Digits::padded(7, width)).len(0), COUNTED_BYTES_MAX);
        }
    }

    #[test]
    fn every_cause_survives_its_byte() {
        for byte in 0..=255u8 {
            if let Some(cause) = Cause::from_byte(byte) {
                assert_eq!(cause as u8, byte);
            } else {
                assert!(byte == 0 || byte > Cause::Restore as u8);
            }
        }
    }
}
