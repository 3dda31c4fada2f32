//! What the tests share: an item as memory holds it, and replies and effects as short texts (see [`show_reply`] and
//! [`show_effect`]).

mod random;
mod rows;

use super::*;
use crate::base::command::{Arith, CountedAs, Delete, Direction, Get, Store, StoreMode};
use crate::base::item::Value;
use crate::base::reply::Hit;
use crate::base::version::Version;

const NOW: UnixMs = UnixMs(1_700_000_000_500);
const RULES: Rules = Rules { item_bytes_max: 1024, cas_enabled: true };
const S: Marks = Marks::STALE;
const W: Marks = Marks::WON;

/// An item as memory would hold it.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    value: Vec<u8>,
    client_flags: u32,
    deadline: Deadline,
    version: Version,
    cas: u64,
    meta_version: Version,
    marks: Marks,
}

/// The item most rows begin with: version 40, cas 50, flags 7, dying `ttl_s` from now (0: never).
fn held(value: &str, ttl_s: i32, marks: Marks) -> Option<Held> {
    Some(Held {
        value: value.into(),
        client_flags: 7,
        deadline: Exptime(ttl_s).deadline(NOW),
        version: Version(40),
        cas: 50,
        meta_version: Version(45),
        marks,
    })
}

fn view(held: &Held) -> Item<'_> {
    Item {
        value: Value::Plain(&held.value),
        client_flags: held.client_flags,
        deadline: held.deadline,
        version: held.version,
        cas: held.cas,
        meta_version: held.meta_version,
        marks: held.marks,
        accessed_s: 0,
    }
}

/// What memory does with an effect: newer versions win, a touch only meets the value it was judged on.
fn apply(held: &mut Option<Held>, effect: &Effect<'_>, version: Version) {
    match effect {
        Effect::Put(put) if held.as_ref().is_none_or(|item| item.version < version) => {
            let old = held.take().map_or(Vec::new(), |item| item.value);
            *held = Some(Held {
                value: put.value.pieces(&old).concat(),
                client_flags: put.client_flags,
                deadline: put.deadline,
                version,
                cas: put.cas,
                meta_version: version,
                marks: put.marks,
            });
        }
        Effect::Touch(touch) => {
            if let Some(item) =
                held.as_mut().filter(|item| item.version == touch.base && item.meta_version < version)
            {
                item.deadline = touch.deadline;
                item.cas = touch.cas;
                item.marks = touch.marks;
                item.meta_version = version;
            }
        }
        Effect::Remove(_) => *held = held.take().filter(|item| item.version > version),
        Effect::Put(_) => {}
    }
}

fn show_deadline(deadline: Deadline) -> String {
    deadline.remaining_s(NOW).map_or("t-1".into(), |left_s| format!("t{left_s}"))
}

fn show_cas(cas: u64, stamp: Stamp) -> String {
    if cas == stamp.version.0 { "new".into() } else { format!("c{cas}") }
}

fn show_marks(marks: Marks) -> String {
    let letter = |mark, letter| if marks.has(mark) { letter } else { "" };
    [
        letter(S, " stale"),
        letter(W, " won"),
        letter(Marks::BINARY_KEY, " b"),
        letter(Marks::FETCHED, " fetched"),
    ]
    .concat()
}

/// `hit <value> f<flags> <cas> <deadline before>><after> [held] [X] [Z] [W]`
fn show_hit(word: &str, hit: &Hit<'_>, stamp: Stamp) -> String {
    let item = hit.item;
    let letter = |set, letter| if set { letter } else { "" };
    format!(
        "{word} {:?} f{} {} {}>{}{}{}{}{}",
        String::from_utf8_lossy(item.value.bytes()),
        item.client_flags,
        show_cas(item.cas, stamp),
        show_deadline(item.deadline),
        show_deadline(hit.deadline),
        letter(hit.held, " held"),
        letter(hit.stale, " X"),
        letter(hit.taken, " Z"),
        letter(hit.won, " W"),
    )
}

fn show_reply(reply: &Reply<'_>, stamp: Stamp) -> String {
    match reply {
        Reply::Hit(hit) => show_hit("hit", hit, stamp),
        Reply::Created(created) => show_hit("hit", &created.hit(&created.item()), stamp),
        Reply::Inspected(hit) => show_hit("me", hit, stamp),
        Reply::Stored(changed) => format!("stored {} s{}", show_cas(changed.cas, stamp), changed.value_bytes),
        Reply::Number(number) => {
            let [before, after] = number.deadlines.map(show_deadline);
            format!("{} {} {before}>{after}", number.value, show_cas(number.cas, stamp))
        }
        other => format!("{other:?}"),
    }
}

/// `<cause> <value> f<flags> <cas> <deadline> [marks] base <version> [delta <n>]`, less without a new value.
fn show_effect(effect: Option<&Effect<'_>>, old: Option<&Held>, stamp: Stamp) -> String {
    match effect {
        None => "-".into(),
        Some(Effect::Put(put)) => format!(
            "{:?} {:?} f{} {} {}{} base {}{}",
            put.cause,
            String::from_utf8_lossy(&put.value.pieces(old.map_or(&[], |item| &item.value)).concat()),
            put.client_flags,
            show_cas(put.cas, stamp),
            show_deadline(put.deadline),
            show_marks(put.marks),
            put.base.0,
            if put.delta == 0 { String::new() } else { format!(" delta {}", put.delta) },
        ),
        Some(Effect::Touch(touch)) => format!(
            "{:?} {} {}{} base {}",
            touch.cause,
            show_cas(touch.cas, stamp),
            show_deadline(touch.deadline),
            show_marks(touch.marks),
            touch.base.0
        ),
        Some(Effect::Remove(removal)) => format!("{:?} base {}", removal.cause, removal.base.0),
    }
}
