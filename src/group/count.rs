//! Which statistics a command moves (PROTOCOL.md section 4).

use crate::base::command::{CountedAs, Direction, Get, Op, StoreMode};
use crate::base::counters::GroupCounters;
use crate::base::effect::{Cause, Effect};
use crate::base::reply::{Denial, Reply};

/// Counts what a change of an item with a value of `old_len` bytes does.
pub(super) fn count_change(counters: &mut GroupCounters, effect: &Effect<'_>, old_len: usize) {
    counters.total_items += u64::from(is_new_item(effect, old_len));
    counters.evicted += u64::from(is_eviction(effect));
}

/// Whether memcached makes a new item of this and counts it: a number that fits its place is written over the old one.
fn is_new_item(effect: &Effect<'_>, old_len: usize) -> bool {
    match effect {
        Effect::Put(put) => {
            !matches!(put.cause, Cause::Incr | Cause::Decr) || put.value.len(old_len) > old_len
        }
        Effect::Touch(_) | Effect::Remove(_) => false,
    }
}

/// Whether an item that lived was given up for room on the disk.
pub(super) fn is_eviction(effect: &Effect<'_>) -> bool {
    matches!(effect, Effect::Remove(removal) if removal.cause == Cause::Evict)
}

/// `gat` always; `mg` with a new deadline when there was an item to give it to.
fn is_counted_as_touch(get: &Get, hits: u64) -> bool {
    match get.counted_as {
        CountedAs::Get => false,
        CountedAs::Touch => true,
        CountedAs::Meta => get.touch.is_some() && hits > 0,
    }
}

/// Counts one command and its reply.
pub(super) fn count(
    counters: &mut GroupCounters,
    op: &Op<'_>,
    reply: &Reply<'_>,
    is_flushed: bool,
    is_expired: bool,
) {
    match op {
        Op::Get(get) => {
            let hit = u64::from(matches!(reply, Reply::Hit(_) | Reply::Created(_)));
            counters.get_flushed += u64::from(is_flushed);
            counters.get_expired += u64::from(is_expired && !is_flushed);
            if is_counted_as_touch(get, hit) {
                counters.cmd_touch += 1;
                counters.touch_hits += hit;
                counters.touch_misses += 1 - hit;
            } else {
                counters.cmd_get += 1;
                counters.get_hits += hit;
                counters.get_misses += 1 - hit;
            }
        }
        Op::Store(store) => {
            counters.cmd_set += 1;
            if store.compare.is_some() && matches!(store.mode, StoreMode::Set | StoreMode::Replace) {
                match reply {
                    Reply::Stored(_) => counters.cas_hits += 1,
                    Reply::Exists => counters.cas_badval += 1,
                    Reply::NotFound => counters.cas_misses += 1,
                    _ => {}
                }
            }
        }
        Op::Oversized { .. } => counters.store_too_large += 1,
        // What is only marked stale is not deleted.
        Op::Delete(delete) if delete.invalidate && matches!(reply, Reply::Deleted) => {}
        Op::Delete(_) => match reply {
            Reply::Deleted => counters.delete_hits += 1,
            Reply::NotFound | Reply::Exists => counters.delete_misses += 1,
            _ => {}
        },
        Op::Arith(arith) => {
            let (hits, misses) = match arith.direction {
                Direction::Incr => (&mut counters.incr_hits, &mut counters.incr_misses),
                Direction::Decr => (&mut counters.decr_hits, &mut counters.decr_misses),
            };
            match reply {
                Reply::Number(number) => *hits += u64::from(!number.created),
                Reply::NotFound => *misses += 1,
                _ => {}
            }
        }
        Op::Touch(_) => {
            counters.cmd_touch += 1;
            match reply {
                Reply::Touched => counters.touch_hits += 1,
                _ => counters.touch_misses += 1,
            }
        }
        Op::Inspect | Op::Expire | Op::Evict(_) => {}
    }
    if matches!(reply, Reply::Denied(Denial::OutOfMemory)) {
        counters.store_no_memory += 1;
    }
}
