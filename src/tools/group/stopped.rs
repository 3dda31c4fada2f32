//! The data directory of a stopped server whose groups come and go: what it knows of them, and their files.

use std::fs;
use std::num::NonZeroU16;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::steps::Steps;
use crate::base::effect::FlushMark;
use crate::base::fault::{Fault, FaultKind};
use crate::base::lsn::{GroupId, Lsn};
use crate::base::version::Version;
use crate::binlog::{self, Body, Disk, Fsync, RealDisk, Recovery, Starts};
use crate::route::Placement;
use crate::route::topology::{self, Topology};
use crate::store::directory::{Directory, Identity, MAP_FILE};
use crate::store::{End, GroupIdentity, Store, StoreOptions, Transfers};
use crate::tools::place;
use crate::tools::shelves::Shelves;

/// redb's page cache, bytes.
const CACHE_BYTES: usize = 64 << 20;

/// A stopped server.
pub(super) struct Stopped {
    pub(super) directory: Directory,
    pub(super) identity: Identity,
    pub(super) transfers: Transfers,
    /// The map in force, if there is one.
    pub(super) map: Option<Topology>,
}

/// A group with everything that the log has of it.
pub(super) struct Settled {
    pub(super) store: Store,
    pub(super) flush: FlushMark,
    /// The end of the log.
    pub(super) end: Lsn,
    /// The latest start.
    pub(super) incarnation: u32,
    /// Everything that this server has issued is below this.
    pub(super) ceiling: Version,
}

impl Stopped {
    pub(super) fn open(path: &Path) -> Result<Stopped, Fault> {
        Stopped::of(Directory::open_stopped(path)?)
    }

    /// What an open directory knows.
    pub(super) fn of((directory, identity): (Directory, Identity)) -> Result<Stopped, Fault> {
        let transfers = directory.transfers(&identity)?;
        let path = directory.path().join(MAP_FILE);
        let map = match fs::read(&path) {
            Ok(bytes) => Some(topology::restore(&bytes).map_err(|damage| {
                Fault::new(FaultKind::Corrupt, format!("the map in force is {damage}")).at(&path)
            })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Fault::io("cannot read the map in force", &path, &error)),
        };
        Ok(Stopped { directory, identity, transfers, map })
    }

    /// The cluster that it is a server of.
    pub(super) fn cluster(&self) -> Option<&str> {
        let carried = Some(self.transfers.cluster()).filter(|name| !name.is_empty());
        self.map.as_ref().map(Topology::cluster).or(carried)
    }

    /// A fault of this directory.
    pub(super) fn refuse(&self, kind: FaultKind, message: impl Into<String>) -> Fault {
        Fault::new(kind, message).at(self.directory.path())
    }

    /// Refuses a group that there is not.
    pub(super) fn group(&self, group: u16) -> Result<GroupId, Fault> {
        let count = self.identity.group_count;
        if group < count {
            return Ok(GroupId(group));
        }
        Err(self.refuse(FaultKind::Unusable, format!("there is no group {group}: 0 to {}", count - 1)))
    }

    fn placement(&self) -> Result<Placement, Fault> {
        let none = || self.refuse(FaultKind::Corrupt, "there are no groups");
        let Identity { hash, hash_tag, group_count, .. } = self.identity;
        Ok(Placement { hash, hash_tag, group_count: NonZeroU16::new(group_count).ok_or_else(none)? })
    }

    /// Opens a file of this group.
    pub(super) fn store(&self, path: &Path, group: GroupId) -> Result<Store, Fault> {
        let Identity { directory_id, group_count, .. } = self.identity;
        let owner = GroupIdentity { directory_id, group, group_count };
        Store::open(path, owner, StoreOptions { cache_bytes: CACHE_BYTES })
    }

    /// Reads the log as a start does, and commits what it has of this group to the group's file. No segment is begun and
    /// none given up.
    pub(super) fn settle(&self, group: GroupId) -> Result<Settled, Fault> {
        let path = self.directory.group(group);
        let store = self.store(&path, group)?;
        let lacks = self.directory.ledger(&self.identity)?.shortfall(group, &path, store.made());
        if let Some(fault) = lacks {
            return Err(fault);
        }
        let before = store.state();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&self.directory.binlog())?);
        let (incarnation, ceiling) = Starts::look(&*disk)?;
        let next = incarnation.saturating_add(1);
        let options = binlog::Options::new(Fsync::EverySec, self.identity.server, next, 0);
        let (mut flush, mut highest, mut records) = (before.flush, before.version_max, 0);
        let mut shelf = Shelves::of_one(self.placement()?, group, store);
        let recovered = Recovery::open(disk, options)?.replay(
            |lsn, entry| {
                if entry.group != group || lsn <= before.applied_lsn {
                    return Ok(());
                }
                highest = highest.max(entry.stamp.version);
                records += 1;
                match &entry.body {
                    Body::Flush(mark) => flush = *mark,
                    Body::Item { key, effect } => shelf.apply(key, effect, entry.stamp)?,
                }
                Ok(())
            },
            |_| (),
        )?;
        let end = recovered.report.end.max(before.applied_lsn);
        let store = shelf.into_one(group)?;
        if records > 0 {
            store.commit(&[], Some(End { applied_lsn: end, flush, version_max: highest }))?;
        }
        let ceiling = ceiling.max(Version(highest.0.saturating_add(1)));
        Ok(Settled { store, flush, end, incarnation, ceiling })
    }

    /// Whether the data of a group that is given away has left its place.
    pub(super) fn is_put_aside(&self, group: GroupId) -> Result<bool, Fault> {
        let [given, path] = [self.directory.given(group), self.directory.group(group)];
        let place = |path: &Path| match fs::metadata(path) {
            Ok(facts) => Ok(Some(facts.ino())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::io("cannot look at the file", path, &error)),
        };
        let given = place(&given)?;
        Ok(given.is_some() && given != place(&path)?)
    }

    /// Gives the file of a group a second name, and its place to an empty one that has everything up to `end`.
    pub(super) fn put_aside(&self, group: GroupId, end: End, steps: &mut Steps) -> Result<(), Fault> {
        let [given, path] = [self.directory.given(group), self.directory.group(group)];
        if !path.exists() || self.is_put_aside(group)? {
            return Ok(());
        }
        if !given.exists() {
            fs::hard_link(&path, &given).map_err(|error| Fault::io("cannot link to this", &given, &error))?;
            given.parent().map_or(Ok(()), place::sync)?;
        }
        steps.took()?;
        let store = self.make(group)?;
        store.commit(&[], Some(end))?;
        drop(store);
        steps.took()?;
        self.put_in_place(group)
    }

    /// Begins a new file for a group; it is not in its place yet.
    pub(super) fn make(&self, group: GroupId) -> Result<Store, Fault> {
        let path = self.directory.making(group);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Fault::io("cannot remove", &path, &error))
            }
            _ => self.store(&path, group),
        }
    }

    /// Puts the file that was made in the place of the group's, durably.
    pub(super) fn put_in_place(&self, group: GroupId) -> Result<(), Fault> {
        rename(&self.directory.making(group), &self.directory.group(group))
    }
}

/// Renames a file, durably; what had the name before is gone.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), Fault> {
    fs::rename(from, to).map_err(|error| Fault::io("cannot rename to this", to, &error))?;
    let directory = to.parent().filter(|directory| !directory.as_os_str().is_empty());
    place::sync(directory.unwrap_or(Path::new(".")))
}
