//! Waits for memory at the same time: what keys need is fetched before the first of them is looked up.
//!
//! The processor is asked to prefetch, since to read would not do: between two keys lies a group's lock, and who takes one
//! waits for all reads before it, but not for what is merely fetched. Where there is no such instruction nothing happens.

use super::Dispatch;
use crate::base::command::Command;
use crate::base::limits::BATCH_REQUESTS;
use crate::group::Group;
use crate::proto::Step;

impl Dispatch {
    /// Has the processor fetch the entries of these keys, of the first [`BATCH_REQUESTS`]. First all buckets, then all
    /// entries: while one is on its way, the next are asked for.
    pub(super) fn fetch<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        let mut looks: [Option<(&Group, u64)>; BATCH_REQUESTS] = [None; BATCH_REQUESTS];
        for (look, key) in looks.iter_mut().zip(keys) {
            *look = self.group_of(key).and_then(|group| Some((group, group.fetch_bucket(key)?)));
        }
        for (group, hash) in looks.into_iter().flatten() {
            group.fetch_entry(hash);
        }
    }
}

/// The first key of a request, if it is about keys. A read of many sees to the others itself.
pub(super) fn first_key<'a>(step: &'a Step<'a>) -> Option<&'a [u8]> {
    let Step::Request { request, .. } = step else { return None };
    match &request.command {
        Command::Keyed(key, _) => Some(&key.bytes),
        Command::Read(keys, _) => keys.split_first().map(|(key, _)| key),
        _ => None,
    }
}
