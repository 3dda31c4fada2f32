//! What a request is answered, before a codec gives it bytes.

use bytes::Bytes;

use super::item::Item;
use super::time::{Deadline, UnixMs};

/// Where a codec writes a reply.
pub trait Sink {
    /// Takes a copy of these bytes.
    fn put(&mut self, bytes: &[u8]);
    /// Takes these bytes by reference count where that is cheaper than a copy.
    fn put_shared(&mut self, bytes: &Bytes);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn put_shared(&mut self, bytes: &Bytes) {
        self.extend_from_slice(bytes);
    }
}

/// The answer to something asked of one key.
#[derive(Clone, Copy, Debug)]
pub enum Reply<'a> {
    /// The item, to a read.
    Hit(Hit<'a>),
    /// No item, to a read.
    Miss,
    /// Stored; also when meta `I` stored a stale value.
    Stored(Changed),
    /// The condition of add, replace, append or prepend did not hold.
    NotStored,
    /// The cas did not match.
    Exists,
    /// No item, to a change.
    NotFound,
    /// Removed, emptied or invalidated.
    Deleted,
    /// The deadline is changed.
    Touched,
    /// Counted.
    Number(Number),
    /// What `me` shows.
    Inspected(Hit<'a>),
    /// Refused.
    Denied(Denial),
    /// Done, and nobody is to be told: the sweeper's own.
    Quiet,
}

/// An item that was read, as it was before this command, and what the command did beside reading.
#[derive(Clone, Copy, Debug)]
pub struct Hit<'a> {
    /// The item before.
    pub item: Item<'a>,
    /// Its deadline after.
    pub deadline: Deadline,
    /// There was none, and one was created.
    pub created: bool,
    /// The moment of the read: what remaining time is counted from.
    pub now: UnixMs,
    /// The client holds this value already (its cas matched): only the facts are asked for.
    pub held: bool,
    /// This client is to recache (`W`).
    pub won: bool,
    /// The value is stale (`X`).
    pub stale: bool,
    /// Somebody else is recaching (`Z`).
    pub taken: bool,
}

/// A stored value's facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The new cas.
    pub cas: u64,
    /// The length of the whole value, after append the new total.
    pub value_bytes: usize,
    /// Its deadline, after append that of the item before.
    pub deadline: Deadline,
}

/// The result of counting.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// The number now.
    pub value: u64,
    /// The new cas.
    pub cas: u64,
    /// The deadline before and after.
    pub deadlines: [Deadline; 2],
    /// There was no item, and one was created.
    pub created: bool,
    /// The moment that remaining time is counted from.
    pub now: UnixMs,
}

/// Why a request was refused. The codec has the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Key and value do not fit `-I`.
    TooLarge,
    /// No memory, and `-M` forbids eviction.
    OutOfMemory,
    /// incr or decr of something that is not a number.
    NonNumeric,
    /// No room on the disk; passes when there is.
    DiskFull,
    /// A write or sync of the log failed: no more writes until a restart.
    WritesStopped,
    /// The group's store is damaged; the log names the place.
    Damaged,
}
