//! What of a key is hashed.

use std::borrow::Cow;

use crate::base::placement::HashTag;
use crate::base::search::position_of;

/// FastDHT writes this byte between namespace and object.
const SEPARATOR: u8 = 0x01;

impl HashTag {
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
