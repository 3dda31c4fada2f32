//! What of a key is hashed.

use std::borrow::Cow;

use crate::base::search::position_of;

/// FastDHT writes this byte between namespace and object.
const SEPARATOR: u8 = 0x01;

/// Whether part of a key can stand for the whole of it. Stored in the data directory: codes and names never change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum HashTag {
    /// The text between the first `{` and the next `}`, unless that is empty: keys with one tag share a group.
    #[default]
    Braces = 1,
    /// Always the whole key.
    None = 2,
}

impl HashTag {
    /// Every choice, in the order in which messages list them.
    pub const ALL: [HashTag; 2] = [HashTag::Braces, HashTag::None];

    /// The choice of this name.
    pub fn from_name(name: &str) -> Option<HashTag> {
        HashTag::ALL.into_iter().find(|tag| tag.name() == name)
    }

    /// The choice of this byte on disk.
    pub fn from_code(code: u8) -> Option<HashTag> {
        HashTag::ALL.into_iter().find(|tag| tag.code() == code)
    }

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            HashTag::Braces => "braces",
            HashTag::None => "none",
        }
    }

    /// The byte on disk.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What of `key` (its decoded bytes) is hashed.
    #[inline]
    pub fn input(self, key: &[u8]) -> Input<'_> {
        match self {
            HashTag::Braces => braced(key).map_or(Input::Key(key), Input::Tag),
            HashTag::None => Input::Key(key),
        }
    }
}

/// The text between the first `{` and the `}` that follows it, when there is any.
#[inline]
fn braced(key: &[u8]) -> Option<&[u8]> {
    let open = position_of(b'{', key)?;
    let (_, text) = key.split_at_checked(open + 1)?;
    let close = position_of(b'}', text)?;
    let (tag, _) = text.split_at_checked(close)?;
    (!tag.is_empty()).then_some(tag)
}

/// What is hashed, and whether it was written as a tag: only a tag can name a FastDHT object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// The whole key.
    Key(&'a [u8]),
    /// The text between the braces, never empty.
    Tag(&'a [u8]),
}

impl<'a> Input<'a> {
    /// The bytes as they stand in the key.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Input::Key(bytes) | Input::Tag(bytes) => bytes,
        }
    }

    /// Namespace and object of `{namespace:object}`, split at the first colon; `None` unless both are there.
    #[inline]
    pub fn object(self) -> Option<(&'a [u8], &'a [u8])> {
        let Input::Tag(tag) = self else { return None };
        let (namespace, rest) = tag.split_at_checked(memchr::memchr(b':', tag)?)?;
        let (_, object) = rest.split_first()?;
        (!namespace.is_empty() && !object.is_empty()).then_some((namespace, object))
    }

    /// The bytes that FastDHT hashes, in the three pieces that they are made of.
    #[inline]
    pub(super) fn fastdht_pieces(self) -> [&'a [u8]; 3] {
        match self.object() {
            Some((namespace, object)) => [namespace, &[SEPARATOR], object],
            None => [self.bytes(), &[], &[]],
        }
    }

    /// The bytes that FastDHT hashes: allocates for an object.
    pub(super) fn fastdht_bytes(self) -> Cow<'a, [u8]> {
        match self.object() {
            Some(_) => Cow::Owned(self.fastdht_pieces().concat()),
            None => Cow::Borrowed(self.bytes()),
        }
    }
}
