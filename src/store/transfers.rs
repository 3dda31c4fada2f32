//! What became of groups that were carried from server to server by file: which were given away and are not served
//! here, which came and are. FORMAT.md draws the file.
//!
//! A group without an entry has never been carried; whether it is here, only the map says. Once it has an entry, the map
//! alone gives it to nobody: it comes and goes by file.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::disk::sync_directory_of;
use crate::base::fault::{Fault, FaultKind};
use crate::base::limits::{GROUPS_MAX, TOPOLOGY_NAME_BYTES_MAX};
use crate::base::lsn::GroupId;
use crate::base::rest::Rest;
use crate::base::time::UnixMs;

const FILE: &str = "larder.transfers";
const UNPUBLISHED: &str = "larder.transfers.new";
const MAGIC: [u8; 8] = *b"larderxf";
/// The format that this version writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// How a group that was carried stands in this directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// It is given away: not served here, its data is kept until the receiver has it.
    Giving = 1,
    /// It was given away, and the receiver has it.
    Given = 2,
    /// It is being taken in: not served yet.
    Taking = 3,
    /// It was taken in.
    Taken = 4,
    /// It will not be taken in.
    Refused = 5,
    /// It was to be given away, and was not.
    Kept = 6,
}

impl Standing {
    const ALL: [Standing; 6] = [
        Standing::Giving,
        Standing::Given,
        Standing::Taking,
        Standing::Taken,
        Standing::Refused,
        Standing::Kept,
    ];

    /// Whether the group may be served here.
    pub fn is_here(self) -> bool {
        matches!(self, Standing::Taken | Standing::Kept)
    }
}

/// The last transfer of one group that this directory knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// How the group stands since.
    pub standing: Standing,
    /// One more with every transfer of the group.
    pub number: u32,
    /// The id of the transfer.
    pub id: u64,
    /// The other server.
    pub other: u16,
    /// Items that were carried.
    pub items: u64,
    /// When it was given away.
    pub now: UnixMs,
}

/// The transfers that a data directory knows of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transfers {
    directory: PathBuf,
    directory_id: u64,
    cluster: String,
    passages: BTreeMap<GroupId, Passage>,
}

impl Transfers {
    /// Reads those of the data directory at `directory`; without a file there are none.
    ///
    /// # Errors
    /// `Corrupt` when the file is damaged, `Mismatch` when it is another directory's or a newer version's.
    pub(super) fn open(directory: &Path, directory_id: u64) -> Result<Transfers, Fault> {
        let none = Transfers { directory: directory.to_path_buf(), directory_id, ..Transfers::default() };
        let path = directory.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(none),
            Err(error) => return Err(Fault::io("reading the transfers", &path, &error)),
        };
        let damaged = || {
            let message =
                "damaged: it says which groups were given away and taken in; restore it from a copy";
            Fault::new(FaultKind::Corrupt, message).at(&path)
        };
        let mut rest = Rest(&bytes);
        let (magic, crc) = (rest.take::<8>(), rest.u32());
        if magic != Some(MAGIC) || crc != Some(crc32c::crc32c(rest.0)) {
            return Err(damaged());
        }
        let format = rest.u32().ok_or_else(damaged)?;
        if format != FORMAT {
            let message =
                format!("format {format}, this version reads {FORMAT}: use the larder that wrote it");
            return Err(Fault::new(FaultKind::Mismatch, message).at(&path));
        }
        if rest.u64() != Some(directory_id) {
            let message = "another data directory's: put back the one that belongs here";
            return Err(Fault::new(FaultKind::Mismatch, message).at(&path));
        }
        let (cluster, passages) = decode(rest).ok_or_else(damaged)?;
        Ok(Transfers { cluster, passages, ..none })
    }

    /// The cluster whose groups were carried; empty when none was.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// What is known of a group.
    pub fn of(&self, group: GroupId) -> Option<&Passage> {
        self.passages.get(&group)
    }

    /// Every group that was carried.
    pub fn all(&self) -> impl Iterator<Item = (GroupId, &Passage)> {
        self.passages.iter().map(|(group, passage)| (*group, passage))
    }

    /// Whether the group came by file or stayed so, and goes by file alone.
    pub fn holds(&self, group: GroupId) -> bool {
        self.of(group).is_some_and(|passage| passage.standing.is_here())
    }

    /// A group whose data is kept for a receiver that may not have it yet.
    pub fn in_transit(&self) -> Option<GroupId> {
        self.all().find(|(_, passage)| passage.standing == Standing::Giving).map(|(group, _)| group)
    }

    /// Why a group must not be served here, and what to do; `None` when it may.
    pub fn refusal(&self, group: GroupId) -> Option<String> {
        let passage = self.of(group).filter(|passage| !passage.standing.is_here())?;
        let other = passage.other;
        Some(match passage.standing {
            Standing::Giving => format!(
                "group {group} is given away to server {other}: give it to server {other} in the map, or bring it back \
                 with larder group cancel"
            ),
            Standing::Taking => {
                format!("group {group} was taken in by halves: run larder group import once more")
            }
            _ => format!(
                "group {group} was given away and its data is elsewhere: bring it here with larder group export and \
                 import, or give it to its server in the map"
            ),
        })
    }

    /// Notes what became of a group of this cluster, durably.
    ///
    /// # Errors
    /// `Io` or `DiskFull`: nothing is noted.
    pub fn put(&mut self, cluster: &str, group: GroupId, passage: Passage) -> Result<(), Fault> {
        let mut next = self.clone();
        next.cluster = cluster.to_owned();
        next.passages.insert(group, passage);
        let [unpublished, published] = [UNPUBLISHED, FILE].map(|name| self.directory.join(name));
        let write = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&unpublished)?;
            file.write_all(&next.encode())?;
            file.sync_all()?;
            fs::rename(&unpublished, &published)?;
            sync_directory_of(&published)
        };
        write().map_err(|error| Fault::io("writing the transfers", &published, &error))?;
        *self = next;
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut body = FORMAT.to_le_bytes().to_vec();
        body.extend_from_slice(&self.directory_id.to_le_bytes());
        body.extend_from_slice(&u16::try_from(self.passages.len()).unwrap_or(u16::MAX).to_le_bytes());
        body.push(u8::try_from(self.cluster.len()).unwrap_or(u8::MAX));
        body.push(0);
        body.extend_from_slice(self.cluster.as_bytes());
        for (group, passage) in &self.passages {
            body.extend_from_slice(&group.0.to_le_bytes());
            body.extend_from_slice(&[passage.standing as u8, 0]);
            body.extend_from_slice(&passage.number.to_le_bytes());
            body.extend_from_slice(&passage.id.to_le_bytes());
            body.extend_from_slice(&passage.items.to_le_bytes());
            body.extend_from_slice(&passage.now.0.to_le_bytes());
            body.extend_from_slice(&passage.other.to_le_bytes());
            body.extend_from_slice(&[0; 6]);
        }
        [&MAGIC[..], &crc32c::crc32c(&body).to_le_bytes(), &body].concat()
    }
}

/// What stands behind the directory id.
fn decode(mut rest: Rest<'_>) -> Option<(String, BTreeMap<GroupId, Passage>)> {
    let count = rest.u16()?;
    let [name_bytes, _] = rest.take()?;
    let (name, entries) = rest.0.split_at_checked(usize::from(name_bytes))?;
    let fits = name.len() <= TOPOLOGY_NAME_BYTES_MAX && count <= GROUPS_MAX;
    let cluster = std::str::from_utf8(name).ok().filter(|_| fits)?.to_owned();
    rest = Rest(entries);
    let mut passages = BTreeMap::new();
    for _ in 0..count {
        let group = GroupId(rest.u16()?);
        let [standing, _] = rest.take()?;
        let number = rest.u32()?;
        let (id, items, now) = (rest.u64()?, rest.u64()?, UnixMs(rest.u64()?));
        let other = rest.u16()?;
        let _: [u8; 6] = rest.take()?;
        let standing = Standing::ALL.into_iter().find(|known| *known as u8 == standing)?;
        passages.insert(group, Passage { standing, number, id, other, items, now });
    }
    rest.0.is_empty().then_some((cluster, passages))
}
