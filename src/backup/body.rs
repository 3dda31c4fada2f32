//! What the bodies of frames say. FORMAT.md draws them.

use super::FORMAT;
use crate::base::effect::FlushMark;
use crate::base::item::{Item, Marks, Value};
use crate::base::limits::KEY_BYTES_MAX;
use crate::base::lsn::Lsn;
use crate::base::rest::Rest;
use crate::base::time::{Deadline, UnixMs};
use crate::base::version::Version;
use crate::route::{Hash, HashTag};

/// An item without its key and value, bytes.
const ITEM_HEAD_BYTES: usize = 40;

/// Whose backup it is, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Logical groups of the server.
    pub group_count: u16,
    /// How it places keys.
    pub hash: Hash,
    /// What of a key it hashes.
    pub hash_tag: HashTag,
    /// Its number in versions.
    pub server: u16,
    /// Which of its starts this is.
    pub incarnation: u32,
    /// What is not in the items is in the log behind this.
    pub after: Lsn,
    /// When it began.
    pub now: UnixMs,
}

/// How one group was when all its items had been sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupEnd {
    /// Items sent.
    pub items: u64,
    /// What flush_all has done to it.
    pub flush: FlushMark,
}

/// Where a backup ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The backup is the state at this position.
    pub until: Lsn,
    /// When it ended.
    pub now: UnixMs,
    /// The server has issued no version from this one on.
    pub ceiling: Version,
    /// Items sent.
    pub items: u64,
    /// Items that could not be read.
    pub left_out: u64,
}

impl Begin {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = FORMAT.to_le_bytes().to_vec();
        body.extend_from_slice(&self.group_count.to_le_bytes());
        body.push(if self.hash == Hash::Larder { 1 } else { 2 });
        body.push(if self.hash_tag == HashTag::Braces { 1 } else { 2 });
        body.extend_from_slice(&self.incarnation.to_le_bytes());
        body.extend_from_slice(&self.server.to_le_bytes());
        body.extend_from_slice(&[0; 2]);
        body.extend_from_slice(&self.after.0.to_le_bytes());
        body.extend_from_slice(&self.now.0.to_le_bytes());
        body
    }

    /// Reads it; `None` when it is none of this format.
    pub fn decode(body: &[u8]) -> Option<Begin> {
        let mut rest = Rest(body);
        if rest.u32()? != FORMAT {
            return None;
        }
        let group_count = rest.u16()?;
        let [hash, tag] = rest.take()?;
        let incarnation = rest.u32()?;
        let server = rest.u16()?;
        let _: [u8; 2] = rest.take()?;
        let begin = Begin {
            group_count,
            hash: if hash == 1 { Hash::Larder } else { Hash::Fastdht },
            hash_tag: if tag == 1 { HashTag::Braces } else { HashTag::None },
            server,
            incarnation,
            after: Lsn(rest.u64()?),
            now: UnixMs(rest.u64()?),
        };
        ((1..=2).contains(&hash) && (1..=2).contains(&tag)).then_some(begin)
    }
}

impl GroupEnd {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = self.items.to_le_bytes().to_vec();
        body.extend_from_slice(&self.flush.below.0.to_le_bytes());
        body.extend_from_slice(&self.flush.pending_s.to_le_bytes());
        body.extend_from_slice(&[0; 4]);
        body
    }

    /// Reads it.
    pub fn decode(body: &[u8]) -> Option<GroupEnd> {
        let mut rest = Rest(body);
        let items = rest.u64()?;
        let below = Version(rest.u64()?);
        Some(GroupEnd { items, flush: FlushMark { below, pending_s: rest.u32()? } })
    }
}

impl End {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let numbers = [self.until.0, self.now.0, self.ceiling.0, self.items, self.left_out];
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    /// Reads it.
    pub fn decode(body: &[u8]) -> Option<End> {
        let mut rest = Rest(body);
        Some(End {
            until: Lsn(rest.u64()?),
            now: UnixMs(rest.u64()?),
            ceiling: Version(rest.u64()?),
            items: rest.u64()?,
            left_out: rest.u64()?,
        })
    }
}

/// Writes the head and key of an item; its value follows.
pub fn put_item(key: &[u8], item: &Item<'_>, out: &mut Vec<u8>) {
    let value_bytes = u32::try_from(item.value.bytes().len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&[
        u8::try_from(key.len()).unwrap_or(u8::MAX),
        item.marks.and(Marks::STORED).0,
        0,
        0,
    ]);
    for number in [item.client_flags, item.deadline.as_seconds(), value_bytes] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for number in [item.version.0, item.cas, item.meta_version.0] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(key);
}

/// The items of a frame's body in order; `None` where it is not understood.
pub fn items(body: &[u8]) -> impl Iterator<Item = Option<(&[u8], Item<'_>)>> {
    let mut rest = Rest(body);
    let mut is_broken = false;
    std::iter::from_fn(move || {
        if rest.0.is_empty() || is_broken {
            return None;
        }
        let item = take_item(&mut rest);
        is_broken = item.is_none();
        Some(item)
    })
}

/// The next item and its key.
fn take_item<'a>(rest: &mut Rest<'a>) -> Option<(&'a [u8], Item<'a>)> {
    let mut head = Rest(rest.slice(ITEM_HEAD_BYTES)?);
    let [key_len, marks, _, _] = head.take()?;
    let client_flags = head.u32()?;
    let deadline = Deadline::from_seconds(head.u32()?);
    let value_bytes = usize::try_from(head.u32()?).ok()?;
    let version = Version(head.u64()?);
    let cas = head.u64()?;
    let meta_version = Version(head.u64()?);
    let key = rest.slice(usize::from(key_len)).filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()))?;
    let value = Value::Plain(rest.slice(value_bytes)?);
    let marks = Marks(marks).and(Marks::STORED);
    let item = Item { value, client_flags, deadline, version, cas, meta_version, marks, accessed_s: 0 };
    Some((key, item))
}
