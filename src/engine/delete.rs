//! Deleting, and what meta `md` may leave instead: a stale item, or an empty one.

use super::{Call, Outcome, passes, removal, retouch};
use crate::base::command::Delete;
use crate::base::effect::{Cause, Effect, NewValue, Put};
use crate::base::item::{Item, Marks};
use crate::base::reply::Reply;
use crate::base::time::Deadline;

/// delete and md.
pub(super) fn delete<'i, 'c>(delete: &Delete, call: Call<'_>, old: Option<&Item<'i>>) -> Outcome<'i, 'c> {
    let Some(item) = old else { return Outcome::of(Reply::NotFound) };
    if !passes(delete.compare, item) {
        return Outcome::of(Reply::Exists);
    }
    let effect = match (delete.clear_value, delete.invalidate) {
        (true, _) => Some(Effect::Put(cleared(delete, call, item))),
        (false, true) => invalidated(delete, call, item),
        (false, false) => Some(removal(Cause::Delete, item)),
    };
    Outcome::of(Reply::Deleted).with(effect)
}

/// An empty value under the same key: nothing else of the old item remains.
fn cleared<'c>(delete: &Delete, call: Call<'_>, item: &Item<'_>) -> Put<'c> {
    let stale = if delete.invalidate { Marks::STALE } else { Marks::default() };
    Put {
        cause: Cause::Clear,
        value: NewValue::Whole(&[]),
        client_flags: delete.client_flags,
        deadline: delete.exptime.map_or(Deadline::NEVER, |exptime| call.deadline(exptime)),
        // Whoever holds the cas may still store over it, unless it is marked stale too.
        cas: if delete.invalidate || delete.new_cas.is_some() {
            call.new_cas(delete.new_cas)
        } else {
            item.cas
        },
        marks: item.marks.and(Marks::BINARY_KEY).with(stale),
        base: item.version,
        delta: 0,
    }
}

/// The same value, stale: the next meta reader wins, and whoever held the old cas cannot store over it unnoticed.
fn invalidated<'c>(delete: &Delete, call: Call<'_>, item: &Item<'_>) -> Option<Effect<'c>> {
    let deadline = delete.exptime.map_or(item.deadline, |exptime| call.deadline(exptime));
    let marks = item.marks.with(Marks::STALE).without(Marks::WON);
    retouch(Cause::Invalidate, item, deadline, call.new_cas(delete.new_cas), marks)
}
