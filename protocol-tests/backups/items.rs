//! What is in a backup, read with the library's own words: for comparing two of them item by item.
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use larder::backup::frame::HEADER_BYTES;
use larder::backup::{self, GroupEnd, Header, Kind, MANIFEST, Manifest};

/// Everything about an item but its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) value: Vec<u8>,
    pub(crate) client_flags: u32,
    pub(crate) deadline_s: u32,
    pub(crate) version: u64,
    pub(crate) cas: u64,
    pub(crate) meta_version: u64,
    pub(crate) marks: u8,
}

pub(crate) type Items = BTreeMap<Vec<u8>, Kept>;

pub(crate) fn manifest(backup: &Path) -> Manifest {
    Manifest::decode(&fs::read_to_string(backup.join(MANIFEST)).unwrap()).unwrap()
}

/// The items of a backup, as its files have them: of a server that nobody wrote to, that is its state.
pub(crate) fn items(backup: &Path) -> Items {
    let mut found = Items::new();
    for group in 0..manifest(backup).begin.group_count {
        let bytes = fs::read(backup.join(backup::items_file(group))).unwrap();
        frames(&bytes, |header, body| {
            if header.kind != Kind::Items {
                return;
            }
            for item in backup::items(body) {
                let (key, item) = item.unwrap();
                let kept = Kept {
                    value: item.value.bytes().to_vec(),
                    client_flags: item.client_flags,
                    deadline_s: item.deadline.as_seconds(),
                    version: item.version.0,
                    cas: item.cas,
                    meta_version: item.meta_version.0,
                    marks: item.marks.0,
                };
                assert!(found.insert(key.to_vec(), kept).is_none(), "a key comes once");
            }
        });
    }
    found
}

/// The flush marks of the groups: below, and pending.
pub(crate) fn flush_marks(backup: &Path) -> Vec<(u64, u32)> {
    let mut found = Vec::new();
    for group in 0..manifest(backup).begin.group_count {
        let bytes = fs::read(backup.join(backup::items_file(group))).unwrap();
        frames(&bytes, |header, body| {
            if header.kind == Kind::GroupEnd {
                let flush = GroupEnd::decode(body).unwrap().flush;
                found.push((flush.below.0, flush.pending_s));
            }
        });
    }
    found
}

fn frames(bytes: &[u8], mut each: impl FnMut(Header, &[u8])) {
    let mut rest = bytes;
    while let Some((head, behind)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let header = Header::decode(head).unwrap();
        let (body, behind) = behind.split_at(header.body_bytes);
        each(header, body);
        rest = behind;
    }
}

/// Compares two states; told by key, since the whole of them is too long to be read.
pub(crate) fn assert_same(left: &Items, right: &Items) {
    let missing: Vec<_> = left.keys().filter(|key| !right.contains_key(*key)).take(5).collect();
    let surplus: Vec<_> = right.keys().filter(|key| !left.contains_key(*key)).take(5).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "missing {missing:?}, surplus {surplus:?}");
    for (key, kept) in left {
        assert_eq!(Some(kept), right.get(key), "{}", String::from_utf8_lossy(key));
    }
}
