//! What is stored under a key, as a view into wherever it lies.

use bytes::Bytes;

use super::time::{Deadline, UnixMs};
use super::version::Version;

/// The bytes of a stored value where they lie.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Bytes to copy.
    Plain(&'a [u8]),
    /// A large value that can be handed on by reference count.
    Shared(&'a Bytes),
}

impl<'a> Value<'a> {
    /// The bytes.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Value::Plain(bytes) => bytes,
            Value::Shared(bytes) => bytes,
        }
    }
}

/// Facts about an item beside its value: one bit each, the form on disk. See [`Marks::STALE`] and its siblings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(pub u8);

impl Marks {
    /// Invalidated by meta `I`: shown with `X` (PROTOCOL.md section 3).
    pub const STALE: Marks = Marks(1);
    /// Somebody was told `W` and is recaching: others are shown `Z`.
    pub const WON: Marks = Marks(2);
    /// The key was given in base64 and is shown so.
    pub const BINARY_KEY: Marks = Marks(4);
    /// Read since it was stored. Kept in memory only: a read is not a change and is not logged.
    pub const FETCHED: Marks = Marks(8);
    /// The marks that are part of the stored state.
    pub const STORED: Marks = Marks(1 | 2 | 4);

    /// Whether all marks of `other` are set.
    pub fn has(self, other: Marks) -> bool {
        self.0 & other.0 == other.0
    }

    /// With the marks of `other` too.
    pub fn with(self, other: Marks) -> Marks {
        Marks(self.0 | other.0)
    }

    /// Without the marks of `other`.
    pub fn without(self, other: Marks) -> Marks {
        Marks(self.0 & !other.0)
    }

    /// Only the marks that both have.
    pub fn and(self, other: Marks) -> Marks {
        Marks(self.0 & other.0)
    }
}

/// One item.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The value.
    pub value: Value<'a>,
    /// The client's own 32 bits.
    pub client_flags: u32,
    /// When it dies.
    pub deadline: Deadline,
    /// When its value was stored: orders values.
    pub version: Version,
    /// The number that clients compare: equal to `version` unless a command chose or renewed it. Orders nothing.
    pub cas: u64,
    /// Last change of deadline, cas or marks, `version` or later.
    pub meta_version: Version,
    /// State marks.
    pub marks: Marks,
    /// Last access, unix seconds; kept in memory only.
    pub accessed_s: u32,
}

impl Item<'_> {
    /// Whether its deadline has come.
    pub fn is_expired(&self, now: UnixMs) -> bool {
        self.deadline.has_passed(now)
    }

    /// Its last change of any kind: what whoever saw it has observed.
    pub fn stamp(&self) -> Version {
        self.version.max(self.meta_version)
    }
}
