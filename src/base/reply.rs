//! What a request is answered, before a codec gives it bytes.

use bytes::Bytes;

use super::item::{Item, Marks, Value};
use super::time::{Deadline, UnixMs};
use super::version::Version;

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
    /// None, to a read that has created one.
    Created(Created),
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
    pub item: &'a Item<'a>,
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

/// An empty item that a read has created, for its client to fill.
#[derive(Clone, Copy, Debug)]
pub struct Created {
    /// Its cas.
    pub cas: u64,
    /// When it dies.
    pub deadline: Deadline,
    /// Its marks, as the client is shown them.
    pub marks: Marks,
    /// When it was created.
    pub now: UnixMs,
    /// The client holds this cas already.
    pub held: bool,
}

impl Created {
    /// The item as the read that created it is shown it. Its deadline counts as changed by that read.
    pub fn item(&self) -> Item<'static> {
        Item {
            value: Value::Plain(&[]),
            client_flags: 0,
            deadline: Deadline::NEVER,
            version: Version::ZERO,
            cas: self.cas,
            meta_version: Version::ZERO,
            marks: self.marks,
            accessed_s: self.now.seconds(),
        }
    }

    /// What a client is told that meets `item`, the one created.
    pub fn hit<'a>(&self, item: &'a Item<'a>) -> Hit<'a> {
        Hit {
            item,
            deadline: self.deadline,
            created: true,
            now: self.now,
            held: self.held,
            won: true,
            stale: false,
            taken: false,
        }
    }
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
