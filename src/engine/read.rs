//! Reads, and what they do beside reading: touch, vivify, recache, and the X, Z and W of the meta protocol.

use super::{Access, Call, Outcome, retouch};
use crate::base::command::{CountedAs, Get};
use crate::base::effect::{Cause, Effect, NewValue, Put};
use crate::base::item::{Item, Marks};
use crate::base::reply::{Created, Hit, Reply};
use crate::base::time::{Deadline, Exptime};
use crate::base::version::Version;

/// get, gets, gat, gats, mg.
#[inline]
pub(super) fn get<'i, 'c>(get: &Get, call: Call<'_>, old: Option<&'i Item<'i>>) -> Outcome<'i, 'c> {
    let access = if get.unnoticed { Access::None } else { Access::Fetched };
    match (old, get.vivify) {
        (Some(item), _) => hit(get, call, item, access),
        (None, Some(exptime)) => vivify(get, exptime, call).noted(access),
        (None, None) => Outcome::of(Reply::Miss),
    }
}

#[inline]
fn hit<'i, 'c>(get: &Get, call: Call<'_>, item: &'i Item<'i>, access: Access) -> Outcome<'i, 'c> {
    let deadline = get.touch.map_or(item.deadline, |exptime| call.deadline(exptime));
    let won = wins(get, call, item, if get.touches_first { deadline } else { item.deadline });
    let (cause, marks) =
        if won { (Cause::Win, item.marks.with(Marks::WON)) } else { (Cause::Touch, item.marks) };
    let facts = Hit { held: get.held_cas == Some(item.cas), won, deadline, ..facts(call, item) };
    Outcome { reply: Reply::Hit(facts), effect: retouch(cause, item, deadline, item.cas, marks), access }
}

/// Whether this client is the one to recache: the first to meet a stale item, or one about to die. Only meta clients
/// can be told, so a classic read never takes the turn of one.
fn wins(get: &Get, call: Call<'_>, item: &Item<'_>, deadline: Deadline) -> bool {
    let due = item.marks.has(Marks::STALE) || is_nearly_due(get.recache_below_s, call, deadline);
    get.counted_as == CountedAs::Meta && due && !item.marks.has(Marks::WON)
}

/// Whether fewer seconds remain than meta `R` asks for. memcached reads R by the exptime rule, so 0 never wins and
/// more than 30 days is a unix time.
fn is_nearly_due(recache_below_s: Option<i32>, call: Call<'_>, deadline: Deadline) -> bool {
    let threshold = recache_below_s.map_or(Deadline::NEVER, |below_s| call.deadline(Exptime(below_s)));
    !threshold.is_never() && !deadline.is_never() && deadline < threshold
}

/// An empty item for the caller to fill.
fn vivify<'i, 'c>(get: &Get, exptime: Exptime, call: Call<'_>) -> Outcome<'i, 'c> {
    let deadline = call.deadline(exptime);
    let cas = call.new_cas(get.new_cas);
    let marks = call.fresh_marks();
    let created = Created { cas, deadline, marks, now: call.stamp.now, held: get.held_cas == Some(cas) };
    let put = Put {
        cause: Cause::Vivify,
        value: NewValue::Whole(&[]),
        client_flags: 0,
        deadline,
        cas,
        marks: marks.with(Marks::WON),
        base: Version::ZERO,
        delta: 0,
    };
    Outcome::of(Reply::Created(created)).with(Some(Effect::Put(put)))
}

/// What can be said of an item that a request leaves as it is.
#[inline]
fn facts<'i>(call: Call<'_>, item: &'i Item<'i>) -> Hit<'i> {
    Hit {
        item,
        deadline: item.deadline,
        created: false,
        now: call.stamp.now,
        held: false,
        won: false,
        stale: item.marks.has(Marks::STALE),
        taken: item.marks.has(Marks::WON),
    }
}

/// touch.
pub(super) fn touch<'i, 'c>(exptime: Exptime, call: Call<'_>, old: Option<&Item<'i>>) -> Outcome<'i, 'c> {
    let Some(item) = old else { return Outcome::of(Reply::NotFound) };
    let effect = retouch(Cause::Touch, item, call.deadline(exptime), item.cas, item.marks);
    Outcome::of(Reply::Touched).with(effect).noted(Access::Fetched)
}

/// me.
pub(super) fn inspect<'i, 'c>(call: Call<'_>, old: Option<&'i Item<'i>>) -> Outcome<'i, 'c> {
    Outcome::of(old.map_or(Reply::Miss, |item| Reply::Inspected(facts(call, item))))
}
