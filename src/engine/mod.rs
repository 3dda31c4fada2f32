//! What a command means: every rule of cas, exptime, counting and the meta marks, once, for all codecs.
//!
//! Owns: [`execute`], which turns one request, the item it meets and a stamp into a reply and at most one effect, and
//! [`expire`], which the sweeper asks.
//!
//! May import: `base`.
//!
//! Invariants: no state, no I/O, no clock, no allocation; the same arguments always give the same outcome. Nothing is
//! changed here: an effect says what the item became, and names the version it was judged on. What changes nothing
//! yields no effect. An effect carries stored marks only, never [`Marks::FETCHED`].
//!
//! The rules are those of `PROTOCOL.md` sections 1 to 3. Where memcached lets the order of the flags of one request
//! decide, the order here is always N, R, T: an item is created, the recaching client is chosen by the deadline as it
//! was, then the deadline is changed.
//!
//! Start reading at [`execute`], then `read.rs` and `store.rs`.

mod arith;
mod delete;
mod read;
mod store;
#[cfg(test)]
mod tests;

use crate::base::command::{Key, Op};
use crate::base::effect::{Cause, Effect, FlushMark, Removal, Touch};
use crate::base::item::{Item, Marks};
use crate::base::limits::ITEM_OVERHEAD_BYTES;
use crate::base::reply::{Denial, Reply};
use crate::base::time::{Deadline, Exptime, UnixMs};
use crate::base::version::Stamp;

/// What the operator chose and commands depend on.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The largest item (`-I`): bytes of key, value and header.
    pub item_bytes_max: usize,
    /// Whether items carry a cas; without (`-C`) it is 0 everywhere.
    pub cas_enabled: bool,
}

impl Rules {
    /// Whether a value of this length may be stored under a key of this length.
    pub fn fits(&self, key_bytes: usize, value_bytes: usize) -> bool {
        key_bytes.saturating_add(value_bytes).saturating_add(ITEM_OVERHEAD_BYTES) <= self.item_bytes_max
    }
}

/// What a request comes to.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'i, 'c> {
    /// The answer; a hit shows the item as it was before.
    pub reply: Reply<'i>,
    /// What changed, if anything did.
    pub effect: Option<Effect<'c>>,
    /// What the item remembers of this request beside the effect; noted after the effect.
    pub access: Access,
}

/// How far a request counts as a use of the item. Kept in memory only, never logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Not at all.
    None,
    /// It is in use: recency and the last access time move.
    Used,
    /// It was read: as [`Access::Used`], and [`Marks::FETCHED`] is set.
    Fetched,
}

/// What `op` on `key` means now: the reply, and the effect at `stamp.version`.
///
/// `old` is the live item: one for which [`is_doomed`] holds is not handed in. It may be left out when it is there but
/// [`Op::needs_old`] is false. [`Op::Expire`] and [`Op::Evict`] take a dead item too and judge it by its deadline
/// alone; a caller with a flush mark uses [`expire`] and [`evict`].
#[inline]
pub fn execute<'i, 'c>(
    op: &Op<'c>,
    key: &Key<'_>,
    old: Option<&'i Item<'i>>,
    stamp: Stamp,
    rules: &Rules,
) -> Outcome<'i, 'c> {
    let call = Call { key, stamp, rules };
    match op {
        Op::Get(get) => read::get(get, call, old),
        Op::Touch(exptime) => read::touch(*exptime, call, old),
        Op::Inspect => read::inspect(call, old),
        Op::Store(store) => store::store(store, call, old),
        Op::Oversized { drops_old } => oversized(*drops_old, old),
        Op::Delete(delete) => delete::delete(delete, call, old),
        Op::Arith(arith) => arith::arith(arith, call, old),
        Op::Expire => expire(old, &FlushMark::default(), stamp),
        Op::Evict(until) => evict(old, *until, &FlushMark::default(), stamp),
    }
}

/// Whether an item is dead: its deadline has come, or a flush covers it. A pending flush counts once it is a mark.
pub fn is_doomed(item: &Item<'_>, flush: &FlushMark, now: UnixMs) -> bool {
    item.is_expired(now) || flush.covers(item.version)
}

/// The removal of an item that is dead at `stamp.now`, and nothing for one that lives.
pub fn expire<'i, 'c>(old: Option<&Item<'i>>, flush: &FlushMark, stamp: Stamp) -> Outcome<'i, 'c> {
    let doomed = old.filter(|item| is_doomed(item, flush, stamp.now));
    Outcome::of(Reply::Quiet).with(doomed.map(|item| removal(Cause::Expire, item)))
}

/// The removal of an item for room on the disk: of a dead one as by [`expire`], of a living one if its deadline comes
/// at `until` or before. [`Deadline::NEVER`] takes any.
pub fn evict<'i, 'c>(
    old: Option<&Item<'i>>,
    until: Deadline,
    flush: &FlushMark,
    stamp: Stamp,
) -> Outcome<'i, 'c> {
    let is_taken = |item: &&Item<'_>| until.is_never() || !item.deadline.is_never() && item.deadline <= until;
    let cause =
        |item: &Item<'_>| if is_doomed(item, flush, stamp.now) { Cause::Expire } else { Cause::Evict };
    let taken = old.filter(|item| is_doomed(item, flush, stamp.now) || is_taken(item));
    Outcome::of(Reply::Quiet).with(taken.map(|item| removal(cause(item), item)))
}

/// A value too large to be stored costs the old one where leaving that would show the client outdated data.
fn oversized<'i, 'c>(drops_old: bool, old: Option<&Item<'i>>) -> Outcome<'i, 'c> {
    let dropped = old.filter(|_| drops_old);
    Outcome::of(Reply::Denied(Denial::TooLarge)).with(dropped.map(|item| removal(Cause::TooLarge, item)))
}

impl<'i, 'c> Outcome<'i, 'c> {
    /// A reply and nothing else.
    fn of(reply: Reply<'i>) -> Outcome<'i, 'c> {
        Outcome { reply, effect: None, access: Access::None }
    }

    /// With this effect.
    fn with(self, effect: Option<Effect<'c>>) -> Outcome<'i, 'c> {
        Outcome { effect, ..self }
    }

    /// With this access.
    fn noted(self, access: Access) -> Outcome<'i, 'c> {
        Outcome { access, ..self }
    }
}

/// What every rule may ask of the request it serves.
#[derive(Clone, Copy)]
struct Call<'r> {
    key: &'r Key<'r>,
    stamp: Stamp,
    rules: &'r Rules,
}

impl Call<'_> {
    /// The cas of whatever this request stores or renews: the client's choice (meta `E`) or the version.
    fn new_cas(&self, chosen: Option<u64>) -> u64 {
        if self.rules.cas_enabled { chosen.unwrap_or(self.stamp.version.0) } else { 0 }
    }

    /// The deadline that an exptime means in this request.
    fn deadline(&self, exptime: Exptime) -> Deadline {
        exptime.deadline(self.stamp.now)
    }

    /// The marks of an item that this request stores anew.
    fn fresh_marks(&self) -> Marks {
        if self.key.binary { Marks::BINARY_KEY } else { Marks::default() }
    }

    /// Whether a value of this length may be stored under this request's key.
    fn fits(&self, value_bytes: usize) -> bool {
        self.rules.fits(self.key.bytes.len(), value_bytes)
    }
}

/// How an item's cas stands to the one a client compares it with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    /// Equal.
    Match,
    /// The client's is lower: it speaks of an older value.
    Lower,
    /// Neither.
    Mismatch,
}

impl Comparison {
    fn of(compare: u64, item: &Item<'_>) -> Comparison {
        match compare {
            equal if equal == item.cas => Comparison::Match,
            lower if lower < item.cas => Comparison::Lower,
            _ => Comparison::Mismatch,
        }
    }
}

/// Whether the item's cas lets this request through. Append and arith pass 0 on as "any", as memcached does.
fn passes(compare: Option<u64>, item: &Item<'_>) -> bool {
    compare.is_none_or(|cas| cas == item.cas)
}

/// The effect that leaves the value and changes what is known about it; `None` when nothing changes.
fn retouch<'c>(
    cause: Cause,
    item: &Item<'_>,
    deadline: Deadline,
    cas: u64,
    marks: Marks,
) -> Option<Effect<'c>> {
    let marks = marks.and(Marks::STORED);
    let changes = deadline != item.deadline || cas != item.cas || marks != item.marks.and(Marks::STORED);
    changes.then_some(Effect::Touch(Touch { cause, deadline, cas, marks, base: item.version }))
}

/// The effect that removes the item.
fn removal<'c>(cause: Cause, item: &Item<'_>) -> Effect<'c> {
    Effect::Remove(Removal { cause, base: item.version })
}
