//! What a record says.

use crate::base::effect::{Effect, FlushMark};
use crate::base::lsn::GroupId;
use crate::base::version::Stamp;

/// Where a change was made: the name of a record among all servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The server, 10 bits.
    pub server: u16,
    /// Which of its starts, from 1.
    pub incarnation: u32,
    /// The record's number among those of that start.
    pub sequence: u64,
}

impl Origin {
    /// "Made here": what an append of this server's own change passes. It is not stored; a reader is given the
    /// server and incarnation of the segment, and the LSN as the sequence.
    pub const HERE: Origin = Origin { server: 0, incarnation: 0, sequence: 0 };

    /// Whether this is [`Origin::HERE`]. Incarnations start at 1, so no named origin is.
    pub fn is_here(self) -> bool {
        self.incarnation == 0
    }
}

/// One change of one group.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The group.
    pub group: GroupId,
    /// The group's epoch: rises when another server takes the group over. 0 until there are several servers.
    pub group_epoch: u32,
    /// Where the change was made.
    pub origin: Origin,
    /// What it was stamped with.
    pub stamp: Stamp,
    /// The change.
    pub body: Body<'a>,
}

/// The change itself.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// Something about one key.
    Item {
        /// The key, 1..=250 bytes.
        key: &'a [u8],
        /// What became of it. A reader gets a value always as `NewValue::Whole`.
        effect: Effect<'a>,
    },
    /// The group's flush mark is this one now.
    Flush(FlushMark),
}
