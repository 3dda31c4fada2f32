//! Writing the stores of a new data directory: items and changes are staged by group and key, and committed in sorted
//! chunks.

use std::collections::BTreeMap;

use crate::base::effect::{Effect, FlushMark, NewValue};
use crate::base::fault::{Fault, FaultKind};
use crate::base::item::{Item, Value};
use crate::base::limits::{CHECKPOINT_CHUNK_BYTES, CHECKPOINT_CHUNK_ITEMS};
use crate::base::lsn::{GroupId, Lsn};
use crate::base::version::{Stamp, Version};
use crate::route::Placement;
use crate::store::directory::{Directory, Identity};
use crate::store::{End, GroupIdentity, RowBuffer, RowChange, Store, StoreOptions};

/// What is staged before it is committed, bytes: the larger, the fewer and better filled the commits.
const STAGED_BYTES_MAX: usize = 64 << 20;
/// What a staged item costs beside key and value, bytes, about.
const STAGED_ITEM_BYTES: usize = 160;
/// redb's page caches of all groups together, bytes, and of one group at least.
const CACHE_BYTES: usize = 64 << 20;
/// See [`CACHE_BYTES`].
const CACHE_BYTES_MIN: usize = 256 << 10;

/// An item of its own.
struct Kept {
    value: Vec<u8>,
    facts: Item<'static>,
}

/// Stores of a directory, by group.
pub(super) struct Shelves {
    placement: Placement,
    stores: BTreeMap<u16, Store>,
    /// What each key has, `None` for nothing.
    staged: BTreeMap<(u16, Vec<u8>), Option<Kept>>,
    staged_bytes: usize,
}

impl Shelves {
    pub(super) fn open(
        directory: &Directory,
        identity: &Identity,
        placement: Placement,
    ) -> Result<Shelves, Fault> {
        let group_count = identity.group_count;
        let cache_bytes = (CACHE_BYTES / usize::from(group_count.max(1))).max(CACHE_BYTES_MIN);
        let open = |id| {
            let group = GroupId(id);
            let owner = GroupIdentity { directory_id: identity.directory_id, group, group_count };
            let store = Store::open(&directory.group(group), owner, StoreOptions { cache_bytes })?;
            Ok((id, store))
        };
        let stores = (0..group_count).map(open).collect::<Result<_, Fault>>()?;
        Ok(Shelves { placement, stores, staged: BTreeMap::new(), staged_bytes: 0 })
    }

    /// One store alone.
    pub(super) fn of_one(placement: Placement, group: GroupId, store: Store) -> Shelves {
        let stores = BTreeMap::from([(group.0, store)]);
        Shelves { placement, stores, staged: BTreeMap::new(), staged_bytes: 0 }
    }

    /// Commits everything, and gives the one store back.
    pub(super) fn into_one(mut self, group: GroupId) -> Result<Store, Fault> {
        self.commit()?;
        let none = || Fault::new(FaultKind::Unusable, format!("group {group} is not open"));
        self.stores.remove(&group.0).ok_or_else(none)
    }

    /// A key has this item, or none.
    pub(super) fn put(&mut self, key: &[u8], item: Option<&Item<'_>>) -> Result<(), Fault> {
        let kept = item.map(|item| Kept {
            value: item.value.bytes().to_vec(),
            facts: Item { value: Value::Plain(&[]), ..*item },
        });
        self.staged_bytes += key.len() + item.map_or(0, |item| item.value.bytes().len()) + STAGED_ITEM_BYTES;
        self.staged.insert((self.placement.group(key).0, key.to_vec()), kept);
        if self.staged_bytes >= STAGED_BYTES_MAX { self.commit() } else { Ok(()) }
    }

    /// Applies a logged change as the server that logged it did; changes come in the order of the log.
    pub(super) fn apply(&mut self, key: &[u8], effect: &Effect<'_>, stamp: Stamp) -> Result<(), Fault> {
        match effect {
            Effect::Put(put) => {
                let NewValue::Whole(value) = put.value else {
                    return Err(Fault::new(FaultKind::Corrupt, "a logged value is not whole"));
                };
                let item = Item {
                    value: Value::Plain(value),
                    client_flags: put.client_flags,
                    deadline: put.deadline,
                    version: stamp.version,
                    cas: put.cas,
                    meta_version: stamp.version,
                    marks: put.marks,
                    accessed_s: 0,
                };
                self.put(key, Some(&item))
            }
            Effect::Remove(_) => self.put(key, None),
            Effect::Touch(touch) => self.change(key, |item| {
                if item.version == touch.base {
                    (item.deadline, item.cas, item.marks) = (touch.deadline, touch.cas, touch.marks);
                    item.meta_version = stamp.version;
                }
            }),
        }
    }

    /// Changes what is known of a key beside its value, if it has an item.
    fn change(&mut self, key: &[u8], change: impl FnOnce(&mut Item<'static>)) -> Result<(), Fault> {
        let group = self.placement.group(key);
        if let Some(staged) = self.staged.get_mut(&(group.0, key.to_vec())) {
            if let Some(kept) = staged {
                change(&mut kept.facts);
            }
            return Ok(());
        }
        let Some(store) = self.stores.get(&group.0) else { return Ok(()) };
        let mut buffer = RowBuffer::default();
        let Some(item) = store.read(key, &mut buffer)? else { return Ok(()) };
        let mut facts = Item { value: Value::Plain(&[]), ..item };
        change(&mut facts);
        let value = item.value;
        self.put(key, Some(&Item { value, ..facts }))
    }

    /// Commits what is staged.
    pub(super) fn commit(&mut self) -> Result<(), Fault> {
        self.staged_bytes = 0;
        let staged = std::mem::take(&mut self.staged);
        let mut chunk: Vec<RowChange<'_>> = Vec::new();
        let (mut group, mut bytes) = (0, 0);
        for ((of, key), kept) in &staged {
            if *of != group || chunk.len() >= CHECKPOINT_CHUNK_ITEMS || bytes >= CHECKPOINT_CHUNK_BYTES {
                self.commit_chunk(group, &chunk)?;
                chunk.clear();
                (group, bytes) = (*of, 0);
            }
            bytes += key.len() + kept.as_ref().map_or(0, |kept| kept.value.len());
            chunk.push(match kept {
                Some(kept) => {
                    RowChange::Put { key, item: Item { value: Value::Plain(&kept.value), ..kept.facts } }
                }
                None => RowChange::Remove { key },
            });
        }
        self.commit_chunk(group, &chunk)
    }

    fn commit_chunk(&self, group: u16, chunk: &[RowChange<'_>]) -> Result<(), Fault> {
        match self.stores.get(&group) {
            Some(store) if !chunk.is_empty() => store.commit(chunk, None).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Commits everything, and says in each store how far it is; the items in all of them.
    pub(super) fn finish(
        mut self,
        applied_lsn: Lsn,
        version_max: Version,
        flush_of: impl Fn(u16) -> FlushMark,
    ) -> Result<u64, Fault> {
        self.commit()?;
        let mut items = 0;
        for (group, store) in &self.stores {
            let (rows, flush) = (store.state().rows, flush_of(*group));
            if rows > 0 || flush != FlushMark::default() {
                store.commit(&[], Some(End { applied_lsn, flush, version_max }))?;
            }
            items += rows;
        }
        Ok(items)
    }
}
