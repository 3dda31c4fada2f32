//! Where a key lives.

use std::borrow::Cow;
use std::num::NonZeroU16;

use crate::base::lsn::GroupId;
use crate::base::placement::{Hash, HashTag};

/// The rule by which keys find their group, fixed when a data directory is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// How keys are hashed.
    pub hash: Hash,
    /// What of a key is hashed.
    pub hash_tag: HashTag,
    /// Logical groups.
    pub group_count: NonZeroU16,
}

/// How a key found its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation<'a> {
    /// The bytes that were hashed.
    pub input: Cow<'a, [u8]>,
    /// Their hash value.
    pub hash: u64,
    /// The group that it names.
    pub group: GroupId,
}

impl Placement {
    /// The group of a key (its decoded bytes).
    #[inline]
    pub fn group(&self, key: &[u8]) -> GroupId {
        self.hash.group(self.hash.value(self.hash_tag.input(key)), self.group_count)
    }

    /// The server that a client enters the key's group by: an index below `server_count` into the group's ordered
    /// servers.
    #[inline]
    pub fn server(&self, key: &[u8], server_count: NonZeroU16) -> u16 {
        self.hash.server(self.hash.value(self.hash_tag.input(key)), server_count)
    }

    /// The way from a key to its group, for people.
    pub fn explain<'a>(&self, key: &'a [u8]) -> Explanation<'a> {
        let input = self.hash_tag.input(key);
        let hash = self.hash.value(input);
        Explanation { input: self.hash.bytes(input), hash, group: self.hash.group(hash, self.group_count) }
    }
}
