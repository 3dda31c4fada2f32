//! The coarse index of deadlines: which keys to look at when a stretch of time has passed.
//!
//! Time is cut into buckets. A row of the `deadlines` table, a *listing*, names keys under a bucket; it is a hint, the
//! item's own row is the truth. The invariant, with W the persisted *swept* bucket:
//!
//! * a stored row with a deadline is listed at or before the bucket of its deadline, if that bucket is above W;
//! * if it is not above W, the row is listed somewhere, at most one bucket after the last settling.
//!
//! So a deadline that slides forward costs no listing until the old one comes up (and is then listed where the row says
//! by then), and no expired row is ever unlisted. A key may be listed more than once; listings of one key that meet in
//! one settling become one.

use crate::base::rest::Rest;
use crate::base::time::Deadline;

/// The length of a bucket, seconds.
pub(super) const BUCKET_S: u32 = 16;
/// The longest listing, bytes: four fill a page.
const LISTING_BYTES_MAX: usize = 1000;
/// The checksum that leads a listing, bytes.
const CRC_BYTES: usize = 4;

/// A stretch of [`BUCKET_S`] seconds: unix seconds divided by it.
pub(super) type Bucket = u32;
/// The key of a listing: its bucket, and a number that is never given twice in one file.
pub type ListingId = (Bucket, u64);

/// The bucket that a deadline lies in.
pub(super) fn bucket_of(deadline: Deadline) -> Bucket {
    deadline.as_seconds() / BUCKET_S
}

/// The last bucket all of whose deadlines have passed at `now_s`, `None` in the first.
pub(super) fn last_passed(now_s: u32) -> Option<Bucket> {
    (now_s / BUCKET_S).checked_sub(1)
}

/// Where a key has to be listed when a row with deadline `old` (`None`: no row) becomes one with deadline `new`;
/// `None` when what is listed already will do.
pub(super) fn relisting(old: Option<Deadline>, new: Deadline, swept: Bucket) -> Option<Bucket> {
    if new.is_never() {
        return None;
    }
    let target = bucket_of(new);
    let listed = old.filter(|old| !old.is_never()).map(bucket_of);
    match listed {
        Some(listed) if listed > swept && listed <= target => None,
        _ => Some(target.max(swept.saturating_add(1))),
    }
}

/// Where a settled key is listed again whose row still has this deadline.
pub(super) fn after_settling(deadline: Deadline, swept: Bucket, now_s: u32) -> Bucket {
    let target = bucket_of(deadline);
    if target > swept { target } else { (now_s / BUCKET_S).max(swept).saturating_add(1) }
}

/// Keys to be listed, gathered during a transaction and written at its end, sorted by bucket.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    entries: Vec<(Bucket, usize, usize)>,
    keys: Vec<u8>,
}

impl Gathered {
    /// Remembers to list `key` under `bucket`.
    pub(super) fn list(&mut self, bucket: Bucket, key: &[u8]) {
        let start = self.keys.len();
        self.keys.extend_from_slice(key);
        self.entries.push((bucket, start, self.keys.len()));
    }

    /// What was gathered, bytes of keys.
    pub(super) fn bytes(&self) -> usize {
        self.keys.len()
    }

    /// How many keys were gathered.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Gives out the listings in the order of their buckets, numbered from `next` on.
    pub(super) fn write<E>(
        mut self,
        next: &mut u64,
        mut put: impl FnMut(ListingId, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.entries.sort_unstable();
        let mut listing = Vec::with_capacity(LISTING_BYTES_MAX);
        let mut open: Option<ListingId> = None;
        for (bucket, start, end) in self.entries {
            let Some(key) = self.keys.get(start..end) else { continue };
            let full = listing.len() + 1 + key.len() > LISTING_BYTES_MAX;
            if let Some(id) = open.filter(|id| id.0 != bucket || full) {
                put(id, seal(id, &mut listing))?;
                open = None;
            }
            if open.is_none() {
                listing.clear();
                listing.extend_from_slice(&[0; CRC_BYTES]);
                open = Some((bucket, *next));
                *next += 1;
            }
            listing.push(u8::try_from(key.len()).unwrap_or(u8::MAX));
            listing.extend_from_slice(key);
        }
        open.map_or(Ok(()), |id| put(id, seal(id, &mut listing)))
    }
}

/// Fills in the checksum of a listing.
fn seal(id: ListingId, listing: &mut [u8]) -> &[u8] {
    let crc = crc_of(id, listing.get(CRC_BYTES..).unwrap_or(&[]));
    for (to, from) in listing.iter_mut().zip(crc.to_le_bytes()) {
        *to = from;
    }
    listing
}

fn crc_of(id: ListingId, keys: &[u8]) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&id.0.to_le_bytes()), &id.1.to_le_bytes());
    crc32c::crc32c_append(crc, keys)
}

/// The packed keys of a listing, `None` when it is damaged.
pub(super) fn keys_of(id: ListingId, listing: &[u8]) -> Option<&[u8]> {
    let mut rest = Rest(listing);
    let crc = rest.u32()?;
    (crc == crc_of(id, rest.0)).then_some(rest.0)
}

/// The keys that came up: to be judged by the caller, then handed to [`super::Store::settle`].
#[derive(Debug, Default)]
pub struct Due {
    /// The listings that were read.
    pub(super) listings: Vec<ListingId>,
    /// Their keys, each behind its length.
    pub(super) packed: Vec<u8>,
    /// Whether more are waiting.
    pub(super) more: bool,
    /// Of which file they are: how many compactions came before.
    pub(super) swaps: u64,
}

/// Keys by the deadlines that they were expected to have.
#[derive(Debug, Default)]
pub struct Soonest {
    /// The listings that were read, in order: what each has, as packed keys.
    pub(super) listings: Vec<(ListingId, Vec<u8>)>,
}

impl Soonest {
    /// The last listing that was read: where to go on. `None` when there was none.
    pub fn last(&self) -> Option<ListingId> {
        self.listings.last().map(|(id, _)| *id)
    }

    /// Each key with the latest deadline that its listing stands for.
    pub fn keys(&self) -> impl Iterator<Item = (&[u8], Deadline)> {
        self.listings.iter().flat_map(|((bucket, _), packed)| {
            let until_s = bucket.saturating_add(1).saturating_mul(BUCKET_S) - 1;
            keys_in(packed).map(move |key| (key, Deadline::from_seconds(until_s)))
        })
    }
}

/// How many keys a listing names; a damaged one is counted as far as it goes.
pub(super) fn count_in_listing(listing: &[u8]) -> usize {
    keys_in(listing.get(CRC_BYTES..).unwrap_or(&[])).count()
}

/// The keys that are packed in `packed`, each behind its length.
pub(super) fn keys_in(packed: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Rest(packed);
    std::iter::from_fn(move || {
        let [len] = rest.take::<1>()?;
        rest.slice(usize::from(len))
    })
}

impl Due {
    /// Adds the keys of a listing; gives back how many.
    pub(super) fn add(&mut self, id: ListingId, keys: &[u8]) -> usize {
        self.listings.push(id);
        self.packed.extend_from_slice(keys);
        keys_in(keys).count()
    }

    /// Whether nothing came up.
    pub fn is_empty(&self) -> bool {
        self.listings.is_empty()
    }

    /// Whether more are waiting: settle these, then ask again.
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// The keys, in no order; a key may come twice.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        keys_in(&self.packed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_made_only_when_none_will_do() {
        let at = |bucket: u32| Deadline::from_seconds(bucket * BUCKET_S + 1);
        for (old, new, swept, listed) in [
            (None, Deadline::NEVER, 0, None),
            (Some(at(5)), Deadline::NEVER, 0, None),
            (None, at(9), 0, Some(9)),
            (Some(Deadline::NEVER), at(9), 0, Some(9)),
            (Some(at(9)), at(9), 0, None),
            (Some(at(5)), at(9), 0, None),
            (Some(at(9)), at(5), 0, Some(5)),
            (Some(at(5)), at(9), 4, None),
            (Some(at(5)), at(9), 5, Some(9)),
            (None, at(3), 7, Some(8)),
            (Some(at(3)), at(3), 7, Some(8)),
            (None, Deadline::PAST, 7, Some(8)),
        ] {
            assert_eq!(relisting(old, new, swept), listed, "{old:?} {new:?} {swept}");
        }
    }

    #[test]
    fn listings_carry_every_key_under_its_bucket() {
        let mut gathered = Gathered::default();
        for n in 0..500u32 {
            gathered.list(n % 3, format!("key-{n}").as_bytes());
        }
        let mut next = 10;
        let mut found = Vec::new();
        let done: Result<(), ()> = gathered.write(&mut next, |id, listing| {
            assert!(listing.len() <= LISTING_BYTES_MAX);
            assert!(keys_of((id.0 + 1, id.1), listing).is_none(), "a listing under another id is damaged");
            let due = Due { packed: keys_of(id, listing).ok_or(())?.to_vec(), ..Due::default() };
            found.extend(due.keys().map(|key| (id.0, String::from_utf8_lossy(key).into_owned())));
            Ok(())
        });
        assert_eq!(done, Ok(()));
        found.sort();
        let mut wanted: Vec<_> = (0..500u32).map(|n| (n % 3, format!("key-{n}"))).collect();
        wanted.sort();
        assert_eq!(found, wanted);
    }
}
