//! The file that carries one group to another server: what leads it, what seals it, and the words by which the two
//! servers' operators tell each other what became of it. FORMAT.md draws the file.

use xxhash_rust::xxh3::xxh3_64;

use crate::base::limits::TOPOLOGY_NAME_BYTES_MAX;
use crate::base::lsn::{GroupId, Lsn};
use crate::base::rest::Rest;
use crate::base::time::UnixMs;
use crate::base::version::Version;
use crate::route::{Hash, HashTag};

/// The format of a group's file that this version writes, and the newest that it reads.
pub const TRANSFER_FORMAT: u32 = 1;

/// Which group is carried, from where to where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The cluster of both servers.
    pub cluster: String,
    /// The group.
    pub group: GroupId,
    /// Of how many.
    pub group_count: u16,
    /// How its cluster places keys.
    pub hash: Hash,
    /// What of a key is hashed.
    pub hash_tag: HashTag,
    /// The server that gives it away.
    pub from: u16,
    /// The one server that may take it in.
    pub to: u16,
    /// One more with every transfer of this group: a lower number is an older copy.
    pub number: u32,
    /// Random: two transfers are never taken for one.
    pub id: u64,
    /// The giver's data directory: whose log the next two speak of.
    pub directory_id: u64,
    /// The latest start of the giver.
    pub incarnation: u32,
    /// The group as of this position of the giver's log. Means nothing to another log.
    pub lsn: Lsn,
    /// Everything that was ever issued for the group is below this version.
    pub ceiling: Version,
    /// When it was given away.
    pub now: UnixMs,
}

/// The last frame: a file without one was never finished, and its giver may still have the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seal {
    /// Items in the file.
    pub items: u64,
    /// The length of all frames before this one, bytes.
    pub bytes: u64,
    /// The CRC-32C of all of them.
    pub crc: u32,
}

/// What the receiver's operator tells the giver's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// The group was taken in.
    Taken,
    /// It never will be.
    Refused,
}

impl Transfer {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = TRANSFER_FORMAT.to_le_bytes().to_vec();
        for number in [self.group.0, self.group_count] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        body.extend_from_slice(&[self.hash.code(), self.hash_tag.code()]);
        for number in [self.from, self.to, 0] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.number, self.incarnation] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.id, self.directory_id, self.lsn.0, self.ceiling.0, self.now.0] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        body.push(u8::try_from(self.cluster.len()).unwrap_or(u8::MAX));
        body.extend_from_slice(self.cluster.as_bytes());
        body
    }

    /// Reads it; `None` when it is none of this format.
    pub fn decode(body: &[u8]) -> Option<Transfer> {
        let mut rest = Rest(body);
        if rest.u32()? != TRANSFER_FORMAT {
            return None;
        }
        let (group, group_count) = (GroupId(rest.u16()?), rest.u16()?);
        let [hash, hash_tag] = rest.take()?;
        let (from, to, _) = (rest.u16()?, rest.u16()?, rest.u16()?);
        let number = rest.u32()?;
        let incarnation = rest.u32()?;
        let (id, directory_id, lsn) = (rest.u64()?, rest.u64()?, Lsn(rest.u64()?));
        let (ceiling, now) = (Version(rest.u64()?), UnixMs(rest.u64()?));
        let [name_bytes] = rest.take()?;
        let (hash, hash_tag) = (Hash::from_code(hash)?, HashTag::from_code(hash_tag)?);
        let name = rest.0;
        let fits = name.len() == usize::from(name_bytes) && name.len() <= TOPOLOGY_NAME_BYTES_MAX;
        let cluster = std::str::from_utf8(name).ok().filter(|_| fits && group.0 < group_count)?.to_owned();
        Some(Transfer {
            cluster,
            group,
            group_count,
            hash,
            hash_tag,
            from,
            to,
            number,
            id,
            directory_id,
            incarnation,
            lsn,
            ceiling,
            now,
        })
    }
}

impl Seal {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = self.items.to_le_bytes().to_vec();
        body.extend_from_slice(&self.bytes.to_le_bytes());
        body.extend_from_slice(&self.crc.to_le_bytes());
        body.extend_from_slice(&[0; 4]);
        body
    }

    /// Reads it.
    pub fn decode(body: &[u8]) -> Option<Seal> {
        let mut rest = Rest(body);
        let (items, bytes) = (rest.u64()?, rest.u64()?);
        let seal = Seal { items, bytes, crc: rest.u32()? };
        (rest.0 == [0; 4]).then_some(seal)
    }
}

impl Receipt {
    /// The receipt of this transfer: a word, and a number that only those know who have the transfer's id.
    pub fn text(self, group: GroupId, number: u32, id: u64) -> String {
        let word = self.word();
        let sum = xxh3_64(format!("{word} {group} {number} {id:016x}").as_bytes());
        format!("{word}-{sum:016x}")
    }

    /// What `text` says about this transfer; `None` when it is no receipt of it.
    pub fn read(text: &str, group: GroupId, number: u32, id: u64) -> Option<Receipt> {
        [Receipt::Taken, Receipt::Refused]
            .into_iter()
            .find(|receipt| text.trim().eq_ignore_ascii_case(&receipt.text(group, number, id)))
    }

    fn word(self) -> &'static str {
        match self {
            Receipt::Taken => "taken",
            Receipt::Refused => "refused",
        }
    }
}
