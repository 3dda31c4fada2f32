//! Storing: set, add, replace, append, prepend, cas, and meta `ms` with its compare and invalidate.

use super::{Access, Call, Comparison, Outcome, passes};
use crate::base::command::{Store, StoreMode};
use crate::base::effect::{Cause, Effect, NewValue, Put};
use crate::base::item::{Item, Marks};
use crate::base::reply::{Changed, Reply};
use crate::base::version::Version;

/// Every storage command.
#[inline]
pub(super) fn store<'i, 'c>(store: &Store<'c>, call: Call<'_>, old: Option<&Item<'i>>) -> Outcome<'i, 'c> {
    match (store.mode, store.compare, old) {
        (StoreMode::Set | StoreMode::Replace, Some(compare), Some(item)) => swap(store, compare, call, item),
        (StoreMode::Set | StoreMode::Replace, Some(_), None) => Outcome::of(Reply::NotFound),
        (StoreMode::Set, None, _) => stored(old, fresh(store, Cause::Set, call)),
        (StoreMode::Replace, None, Some(_)) => stored(old, fresh(store, Cause::Replace, call)),
        (StoreMode::Add, _, None) => stored(old, fresh(store, Cause::Add, call)),
        (StoreMode::Add, _, Some(_)) => Outcome::of(Reply::NotStored).noted(Access::Used),
        (StoreMode::Append | StoreMode::Prepend, _, Some(item)) => extend(store, call, item),
        (StoreMode::Append | StoreMode::Prepend, _, None) => vivify(store, call),
        (StoreMode::Replace, None, None) => Outcome::of(Reply::NotStored),
    }
}

/// Compare and swap. 0 is no item's cas to a client, whatever the item's is.
fn swap<'i, 'c>(store: &Store<'c>, compare: u64, call: Call<'_>, item: &Item<'i>) -> Outcome<'i, 'c> {
    let put = fresh(store, Cause::Cas, call);
    match Comparison::of(compare, item) {
        _ if compare == 0 => Outcome::of(Reply::Exists),
        Comparison::Match => stored(Some(item), put),
        Comparison::Lower if store.invalidate => stored(Some(item), outdated(put, item)),
        Comparison::Lower | Comparison::Mismatch => Outcome::of(Reply::Exists),
    }
}

/// A value made from an older one than is stored: better than none, but to be recached, by whom that was agreed with,
/// before the time that was set.
fn outdated<'c>(put: Put<'c>, item: &Item<'_>) -> Put<'c> {
    let marks = put.marks.with(Marks::STALE).with(item.marks.and(Marks::WON));
    Put { marks, deadline: item.deadline, ..put }
}

/// Append and prepend keep what was said of the item, but a mended value is stored anew: it is not stale.
fn extend<'i, 'c>(store: &Store<'c>, call: Call<'_>, item: &Item<'i>) -> Outcome<'i, 'c> {
    if !passes(store.compare.filter(|cas| *cas != 0), item) {
        return Outcome::of(Reply::Exists);
    }
    let (cause, value) = match store.mode {
        StoreMode::Prepend => (Cause::Prepend, NewValue::ThenOld(store.value)),
        _ => (Cause::Append, NewValue::OldThen(store.value)),
    };
    if !call.fits(value.len(item.value.bytes().len())) {
        return Outcome::of(Reply::NotStored);
    }
    let put = Put {
        value,
        client_flags: item.client_flags,
        deadline: item.deadline,
        marks: item.marks.and(Marks::BINARY_KEY),
        ..fresh(store, cause, call)
    };
    stored(Some(item), put)
}

/// Append and prepend to nothing.
fn vivify<'i, 'c>(store: &Store<'c>, call: Call<'_>) -> Outcome<'i, 'c> {
    let Some(exptime) = store.vivify else { return Outcome::of(Reply::NotStored) };
    stored(None, fresh(&Store { exptime, ..*store }, Cause::Vivify, call))
}

/// The item just as the request gives it.
fn fresh<'c>(store: &Store<'c>, cause: Cause, call: Call<'_>) -> Put<'c> {
    Put {
        cause,
        value: NewValue::Whole(store.value),
        client_flags: store.client_flags,
        deadline: call.deadline(store.exptime),
        cas: call.new_cas(store.new_cas),
        marks: call.fresh_marks(),
        base: Version::ZERO,
        delta: 0,
    }
}

/// The put over `old`, and its answer.
fn stored<'i, 'c>(old: Option<&Item<'i>>, put: Put<'c>) -> Outcome<'i, 'c> {
    let base = old.map_or(Version::ZERO, |item| item.version);
    let old_bytes = old.map_or(0, |item| item.value.bytes().len());
    let changed = Changed { cas: put.cas, value_bytes: put.value.len(old_bytes), deadline: put.deadline };
    Outcome::of(Reply::Stored(changed)).with(Some(Effect::Put(Put { base, ..put })))
}
