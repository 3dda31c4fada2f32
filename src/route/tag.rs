//! What of a key is hashed.

use std::borrow::Cow;

use crate::base::placement::HashTag;

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
    if !may_have_tag(key) {
        return None;
    }
    let open = memchr::memchr(b'{', key)?;
    let (_, text) = key.split_at_checked(open + 1)?;
    let close = memchr::memchr(b'}', text)?;
    let (tag, _) = text.split_at_checked(close)?;
    (!tag.is_empty()).then_some(tag)
}

/// Whether there is any `{`. Most keys have none and are shorter than the vectors of a general search, which then goes
/// byte by byte: eight at a time, the last eight overlapping, takes less than half of its time.
#[inline]
fn may_have_tag(key: &[u8]) -> bool {
    match key.last_chunk() {
        Some(last) => has_brace(last) || key.as_chunks().0.iter().any(has_brace),
        None => key.contains(&b'{'),
    }
}

/// Whether one of eight bytes is `{`: the exact test for a zero byte, on what differs from `{`.
#[inline]
fn has_brace(bytes: &[u8; 8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    let difference = u64::from_le_bytes(*bytes) ^ (ONES * b'{' as u64);
    difference.wrapping_sub(ONES) & !difference & (ONES << 7) != 0
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
