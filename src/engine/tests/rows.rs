//! Rows of (old item, request, reply, effect), and stories of several requests on one key.

use super::*;

type Row<'a> = (Option<Held>, Op<'a>, &'a str, &'a str);

/// The one driver of all rows: versions are 100.
fn check(rules: &Rules, key: &Key<'_>, rows: &[Row<'_>]) {
    let stamp = Stamp { now: NOW, version: Version(100) };
    for (old, op, reply, effect) in rows {
        let item = old.as_ref().map(view);
        let outcome = execute(op, key, item.as_ref(), stamp, rules);
        let found =
            (show_reply(&outcome.reply, stamp), show_effect(outcome.effect.as_ref(), old.as_ref(), stamp));
        assert_eq!(found, (reply.to_string(), effect.to_string()), "{op:?} on {old:?}");
    }
}

fn rows(rows: &[Row<'_>]) {
    check(&RULES, &Key::plain(b"k"), rows);
}

/// Requests on one key, one after the other; effects are applied between them.
fn story(mut held: Option<Held>, steps: &[(Op<'_>, &str)]) {
    for (step, (op, reply)) in steps.iter().enumerate() {
        let stamp = Stamp { now: NOW, version: Version(100 + step as u64) };
        let old = held.clone();
        let item = old.as_ref().map(view).filter(|item| !item.is_expired(NOW));
        let outcome = execute(op, &Key::plain(b"k"), item.as_ref(), stamp, &RULES);
        assert_eq!(show_reply(&outcome.reply, stamp), *reply, "step {step}: {op:?} on {old:?}");
        if let Some(effect) = &outcome.effect {
            apply(&mut held, effect, stamp.version);
        }
    }
}

const PLAIN: Marks = Marks(0);
const GET: Get = Get {
    touch: None,
    vivify: None,
    recache_below_s: None,
    touches_first: false,
    held_cas: None,
    new_cas: None,
    unnoticed: false,
    counted_as: CountedAs::Get,
};
const MG: Get = Get { counted_as: CountedAs::Meta, ..GET };
const MD: Delete = Delete {
    compare: None,
    new_cas: None,
    invalidate: false,
    exptime: None,
    clear_value: false,
    client_flags: 0,
};
const MA: Arith =
    Arith { direction: Direction::Incr, delta: 1, compare: None, new_cas: None, initial: None, touch: None };

fn gat(exptime: i32) -> Get {
    Get { touch: Some(Exptime(exptime)), ..GET }
}

fn ms(mode: StoreMode, value: &str) -> Store<'_> {
    Store {
        mode,
        value: value.as_bytes(),
        client_flags: 9,
        exptime: Exptime(100),
        compare: None,
        new_cas: None,
        invalidate: false,
        vivify: None,
    }
}

fn decr(delta: u64) -> Op<'static> {
    Op::Arith(Arith { direction: Direction::Decr, delta, ..MA })
}

#[test]
fn reads() {
    let win = Get { recache_below_s: Some(30), ..MG };
    let below = |below_s| Op::Get(Get { recache_below_s: Some(below_s), ..MG });
    let touch = |get, exptime| Op::Get(Get { touch: Some(Exptime(exptime)), ..get });
    rows(&[
        (None, Op::Get(GET), "Miss", "-"),
        (None, Op::Get(gat(9)), "Miss", "-"),
        (None, Op::Get(win), "Miss", "-"),
        (held("x", 0, PLAIN), Op::Get(GET), "hit \"x\" f7 c50 t-1>t-1", "-"),
        (held("x", 9, PLAIN), Op::Get(gat(60)), "hit \"x\" f7 c50 t9>t60", "Touch c50 t60 base 40"),
        (held("x", 9, PLAIN), Op::Get(gat(9)), "hit \"x\" f7 c50 t9>t9", "-"),
        (held("x", 9, PLAIN), Op::Get(gat(-1)), "hit \"x\" f7 c50 t9>t0", "Touch c50 t0 base 40"),
        (held("x", 9, Marks::FETCHED), Op::Get(gat(60)), "hit \"x\" f7 c50 t9>t60", "Touch c50 t60 base 40"),
        // Stale: the first meta reader wins, a classic one only reads.
        (held("x", 9, S), Op::Get(GET), "hit \"x\" f7 c50 t9>t9 X", "-"),
        (held("x", 9, S), Op::Get(gat(60)), "hit \"x\" f7 c50 t9>t60 X", "Touch c50 t60 stale base 40"),
        (held("x", 9, S), Op::Get(MG), "hit \"x\" f7 c50 t9>t9 X W", "Win c50 t9 stale won base 40"),
        (held("x", 9, S), touch(MG, 80), "hit \"x\" f7 c50 t9>t80 X W", "Win c50 t80 stale won base 40"),
        (held("x", 9, S.with(W)), Op::Get(MG), "hit \"x\" f7 c50 t9>t9 X Z", "-"),
        (held("x", 0, S), Op::Get(win), "hit \"x\" f7 c50 t-1>t-1 X W", "Win c50 t-1 stale won base 40"),
        // R: by the deadline as it was, never without one, once.
        (held("x", 29, PLAIN), Op::Get(win), "hit \"x\" f7 c50 t29>t29 W", "Win c50 t29 won base 40"),
        (held("x", 30, PLAIN), Op::Get(win), "hit \"x\" f7 c50 t30>t30", "-"),
        (held("x", 0, PLAIN), Op::Get(win), "hit \"x\" f7 c50 t-1>t-1", "-"),
        (held("x", 9, W), Op::Get(win), "hit \"x\" f7 c50 t9>t9 Z", "-"),
        (held("x", 9, PLAIN), touch(win, 500), "hit \"x\" f7 c50 t9>t500 W", "Win c50 t500 won base 40"),
        (held("x", 9, PLAIN), below(0), "hit \"x\" f7 c50 t9>t9", "-"),
        (held("x", 9, PLAIN), below(-1), "hit \"x\" f7 c50 t9>t9", "-"),
        (held("x", 9, PLAIN), below(3_000_000), "hit \"x\" f7 c50 t9>t9", "-"),
        (held("x", 9, PLAIN), below(2_000_000_000), "hit \"x\" f7 c50 t9>t9 W", "Win c50 t9 won base 40"),
        // C: the client has it already.
        (held("x", 9, PLAIN), Op::Get(Get { held_cas: Some(50), ..MG }), "hit \"x\" f7 c50 t9>t9 held", "-"),
        (held("x", 9, PLAIN), Op::Get(Get { held_cas: Some(51), ..MG }), "hit \"x\" f7 c50 t9>t9", "-"),
    ]);
}

#[test]
fn reads_that_create() {
    let viv = Get { vivify: Some(Exptime(30)), ..MG };
    let touched = Get { touch: Some(Exptime(500)), recache_below_s: Some(99), ..viv };
    rows(&[
        (None, Op::Get(viv), "hit \"\" f0 new t-1>t30 W", "Vivify \"\" f0 new t30 won base 0"),
        (None, Op::Get(touched), "hit \"\" f0 new t-1>t30 W", "Vivify \"\" f0 new t30 won base 0"),
        (held("x", 9, PLAIN), Op::Get(viv), "hit \"x\" f7 c50 t9>t9", "-"),
        (
            held("x", 9, PLAIN),
            Op::Get(Get { touches_first: true, ..touched }),
            "hit \"x\" f7 c50 t9>t500",
            "Touch c50 t500 base 40",
        ),
        (held("x", 9, PLAIN), Op::Get(touched), "hit \"x\" f7 c50 t9>t500 W", "Win c50 t500 won base 40"),
        (
            None,
            Op::Get(Get { new_cas: Some(5), ..viv }),
            "hit \"\" f0 c5 t-1>t30 W",
            "Vivify \"\" f0 c5 t30 won base 0",
        ),
    ]);
}

#[test]
fn touches_and_looks() {
    rows(&[
        (None, Op::Touch(Exptime(9)), "NotFound", "-"),
        (held("x", 9, S), Op::Touch(Exptime(50)), "Touched", "Touch c50 t50 stale base 40"),
        (held("x", 9, PLAIN), Op::Touch(Exptime(9)), "Touched", "-"),
        (held("x", 9, PLAIN), Op::Touch(Exptime(0)), "Touched", "Touch c50 t-1 base 40"),
        (None, Op::Inspect, "Miss", "-"),
        (held("x", 9, S), Op::Inspect, "me \"x\" f7 c50 t9>t9 X", "-"),
        (held("x", 9, PLAIN), Op::Oversized { drops_old: true }, "Denied(TooLarge)", "TooLarge base 40"),
        (held("x", 9, PLAIN), Op::Oversized { drops_old: false }, "Denied(TooLarge)", "-"),
        (None, Op::Oversized { drops_old: true }, "Denied(TooLarge)", "-"),
        (None, Op::Expire, "Quiet", "-"),
        (held("x", 9, PLAIN), Op::Expire, "Quiet", "-"),
        (held("x", 0, PLAIN), Op::Expire, "Quiet", "-"),
        (held("x", -1, PLAIN), Op::Expire, "Quiet", "Expire base 40"),
    ]);
}

#[test]
fn the_sweeper_asks_for_flushed_items_too() {
    let stamp = Stamp { now: NOW, version: Version(100) };
    for (ttl_s, below, pending_s, effect) in [
        (9, 0, 0, "-"),
        (9, 40, 0, "-"),
        (9, 41, 0, "Expire base 40"),
        (0, 41, 0, "Expire base 40"),
        (0, 0, 1, "-"),
        (-1, 0, 0, "Expire base 40"),
    ] {
        let old = held("x", ttl_s, PLAIN);
        let flush = FlushMark { below: Version(below), pending_s };
        let outcome = expire(old.as_ref().map(view).as_ref(), &flush, stamp);
        assert_eq!(show_effect(outcome.effect.as_ref(), old.as_ref(), stamp), effect);
    }
}

#[test]
fn stores() {
    use StoreMode::{Add, Append, Prepend, Replace, Set};
    let store = |mode| Op::Store(ms(mode, "ab"));
    let cas = |mode, compare| Op::Store(Store { compare: Some(compare), ..ms(mode, "ab") });
    let viv = |mode, compare| Op::Store(Store { compare, vivify: Some(Exptime(30)), ..ms(mode, "ab") });
    rows(&[
        (None, store(Set), "stored new s2", "Set \"ab\" f9 new t100 base 0"),
        (held("x", 9, S.with(W)), store(Set), "stored new s2", "Set \"ab\" f9 new t100 base 40"),
        (None, store(Add), "stored new s2", "Add \"ab\" f9 new t100 base 0"),
        (held("x", 9, PLAIN), store(Add), "NotStored", "-"),
        (None, store(Replace), "NotStored", "-"),
        (held("x", 9, S), store(Replace), "stored new s2", "Replace \"ab\" f9 new t100 base 40"),
        (None, store(Append), "NotStored", "-"),
        (None, store(Prepend), "NotStored", "-"),
        (held("x", 9, S), store(Append), "stored new s3", "Append \"xab\" f7 new t9 base 40"),
        (held("x", 9, W), store(Prepend), "stored new s3", "Prepend \"abx\" f7 new t9 base 40"),
        // Compare.
        (None, cas(Set, 50), "NotFound", "-"),
        (None, cas(Replace, 50), "NotFound", "-"),
        (None, cas(Add, 50), "stored new s2", "Add \"ab\" f9 new t100 base 0"),
        (None, cas(Append, 50), "NotStored", "-"),
        (held("x", 9, S), cas(Set, 50), "stored new s2", "Cas \"ab\" f9 new t100 base 40"),
        (held("x", 9, PLAIN), cas(Replace, 50), "stored new s2", "Cas \"ab\" f9 new t100 base 40"),
        (held("x", 9, PLAIN), cas(Add, 50), "NotStored", "-"),
        (held("x", 9, PLAIN), cas(Append, 50), "stored new s3", "Append \"xab\" f7 new t9 base 40"),
        (held("x", 9, PLAIN), cas(Append, 0), "stored new s3", "Append \"xab\" f7 new t9 base 40"),
        (held("x", 9, PLAIN), cas(Set, 49), "Exists", "-"),
        (held("x", 9, PLAIN), cas(Set, 51), "Exists", "-"),
        (held("x", 9, PLAIN), cas(Set, 0), "Exists", "-"),
        (held("x", 9, PLAIN), cas(Replace, 49), "Exists", "-"),
        (held("x", 9, PLAIN), cas(Append, 49), "Exists", "-"),
        (held("x", 9, PLAIN), cas(Prepend, 51), "Exists", "-"),
        // Append and prepend to nothing.
        (None, viv(Append, None), "stored new s2", "Vivify \"ab\" f9 new t30 base 0"),
        (None, viv(Prepend, Some(5)), "stored new s2", "Vivify \"ab\" f9 new t30 base 0"),
        (held("x", 9, PLAIN), viv(Append, None), "stored new s3", "Append \"xab\" f7 new t9 base 40"),
        (None, viv(Replace, None), "NotStored", "-"),
        (
            held("x", 9, PLAIN),
            Op::Store(Store { new_cas: Some(3), ..ms(Append, "ab") }),
            "stored c3 s3",
            "Append \"xab\" f7 c3 t9 base 40",
        ),
    ]);
}

#[test]
fn stores_of_outdated_values() {
    let old = |compare| Store { compare, invalidate: true, ..ms(StoreMode::Set, "ab") };
    let adopt = |mode| Op::Store(Store { mode, ..old(Some(49)) });
    rows(&[
        (None, Op::Store(old(Some(49))), "NotFound", "-"),
        (held("x", 9, PLAIN), Op::Store(old(Some(51))), "Exists", "-"),
        (held("x", 9, PLAIN), Op::Store(old(Some(0))), "Exists", "-"),
        (held("x", 9, PLAIN), Op::Store(old(None)), "stored new s2", "Set \"ab\" f9 new t100 base 40"),
        (held("x", 9, S), Op::Store(old(Some(50))), "stored new s2", "Cas \"ab\" f9 new t100 base 40"),
        (
            held("x", 9, PLAIN),
            Op::Store(old(Some(49))),
            "stored new s2",
            "Cas \"ab\" f9 new t9 stale base 40",
        ),
        (
            held("x", 9, W),
            Op::Store(old(Some(49))),
            "stored new s2",
            "Cas \"ab\" f9 new t9 stale won base 40",
        ),
        (
            held("x", 9, PLAIN),
            adopt(StoreMode::Replace),
            "stored new s2",
            "Cas \"ab\" f9 new t9 stale base 40",
        ),
        (held("x", 9, PLAIN), adopt(StoreMode::Append), "Exists", "-"),
        (held("x", 9, PLAIN), adopt(StoreMode::Add), "NotStored", "-"),
    ]);
}

#[test]
fn what_is_extended_stays_within_the_item_size() {
    let room = RULES.item_bytes_max - ITEM_OVERHEAD_BYTES - 1;
    for (old_bytes, stored) in [(room - 2, true), (room - 1, false), (room, false)] {
        let old = held(&"x".repeat(old_bytes), 0, PLAIN);
        for mode in [StoreMode::Append, StoreMode::Prepend] {
            let stamp = Stamp { now: NOW, version: Version(100) };
            let item = old.as_ref().map(view);
            let outcome =
                execute(&Op::Store(ms(mode, "ab")), &Key::plain(b"k"), item.as_ref(), stamp, &RULES);
            assert_eq!(matches!(outcome.reply, Reply::Stored(_)), stored, "{old_bytes} and 2 bytes");
            assert_eq!(outcome.effect.is_some(), stored);
        }
    }
}

#[test]
fn deletes() {
    let stale = Delete { invalidate: true, ..MD };
    let clear = Delete { clear_value: true, ..MD };
    let ttl = Some(Exptime(30));
    rows(&[
        (None, Op::Delete(MD), "NotFound", "-"),
        (None, Op::Delete(stale), "NotFound", "-"),
        (None, Op::Delete(clear), "NotFound", "-"),
        (held("x", 9, PLAIN), Op::Delete(MD), "Deleted", "Delete base 40"),
        (held("x", 9, PLAIN), Op::Delete(Delete { compare: Some(50), ..MD }), "Deleted", "Delete base 40"),
        (held("x", 9, PLAIN), Op::Delete(Delete { compare: Some(49), ..MD }), "Exists", "-"),
        (held("x", 9, PLAIN), Op::Delete(Delete { compare: Some(0), ..MD }), "Exists", "-"),
        (held("x", 9, PLAIN), Op::Delete(Delete { compare: Some(49), ..stale }), "Exists", "-"),
        (held("x", 9, PLAIN), Op::Delete(stale), "Deleted", "Invalidate new t9 stale base 40"),
        (held("x", 9, S.with(W)), Op::Delete(stale), "Deleted", "Invalidate new t9 stale base 40"),
        (
            held("x", 9, Marks::FETCHED),
            Op::Delete(Delete { exptime: ttl, new_cas: Some(3), ..stale }),
            "Deleted",
            "Invalidate c3 t30 stale base 40",
        ),
        (held("x", 9, S.with(W)), Op::Delete(clear), "Deleted", "Clear \"\" f0 c50 t-1 base 40"),
        (
            held("x", 9, PLAIN),
            Op::Delete(Delete { exptime: ttl, client_flags: 5, new_cas: Some(3), ..clear }),
            "Deleted",
            "Clear \"\" f5 c3 t30 base 40",
        ),
        (
            held("x", 9, PLAIN),
            Op::Delete(Delete { invalidate: true, ..clear }),
            "Deleted",
            "Clear \"\" f0 new t-1 stale base 40",
        ),
    ]);
}

#[test]
fn counts() {
    let incr = |delta| Op::Arith(Arith { delta, ..MA });
    let cas = |compare| Op::Arith(Arith { compare: Some(compare), touch: Some(Exptime(50)), ..MA });
    let initial = Arith { initial: Some((7, Exptime(30))), ..MA };
    let padded = "Incr \"6                         \" f7 new t-1 base 40 delta 1";
    rows(&[
        (None, incr(1), "NotFound", "-"),
        (None, decr(1), "NotFound", "-"),
        (held("5", 9, PLAIN), incr(1), "6 new t9>t9", "Incr \"6\" f7 new t9 base 40 delta 1"),
        (held("9", 0, PLAIN), incr(1), "10 new t-1>t-1", "Incr \"10\" f7 new t-1 base 40 delta 1"),
        (held("10", 0, PLAIN), decr(1), "9 new t-1>t-1", "Decr \"9 \" f7 new t-1 base 40 delta 1"),
        (held("5", 0, PLAIN), decr(8), "0 new t-1>t-1", "Decr \"0\" f7 new t-1 base 40 delta 5"),
        (held(" 5", 0, PLAIN), incr(1), "6 new t-1>t-1", "Incr \"6 \" f7 new t-1 base 40 delta 1"),
        (held("5 a", 0, PLAIN), incr(1), "6 new t-1>t-1", "Incr \"6  \" f7 new t-1 base 40 delta 1"),
        (held("5                         ", 0, PLAIN), incr(1), "6 new t-1>t-1", padded),
        (
            held("18446744073709551615", 0, PLAIN),
            incr(2),
            "1 new t-1>t-1",
            "Incr \"1                   \" f7 new t-1 base 40 delta 2",
        ),
        (held("x", 0, PLAIN), incr(1), "Denied(NonNumeric)", "-"),
        (held("", 0, PLAIN), decr(1), "Denied(NonNumeric)", "-"),
        // Compare and touch.
        (held("5", 9, PLAIN), cas(50), "6 new t9>t50", "Incr \"6\" f7 new t50 base 40 delta 1"),
        (held("5", 9, PLAIN), cas(0), "6 new t9>t50", "Incr \"6\" f7 new t50 base 40 delta 1"),
        (held("5", 9, PLAIN), cas(49), "Exists", "-"),
        (held("x", 9, PLAIN), cas(49), "Exists", "-"),
        // A stale count stays stale, unless it outgrows its place.
        (held("9", 9, S.with(W)), Op::Arith(MA), "10 new t9>t9", "Incr \"10\" f7 new t9 base 40 delta 1"),
        (
            held("5", 9, S.with(W)),
            Op::Arith(Arith { new_cas: Some(3), ..MA }),
            "6 c3 t9>t9",
            "Incr \"6\" f7 c3 t9 stale won base 40 delta 1",
        ),
        // Starting from nothing.
        (None, Op::Arith(initial), "7 new t-1>t30", "Vivify \"7\" f0 new t30 base 0"),
        (
            None,
            Op::Arith(Arith { touch: Some(Exptime(99)), new_cas: Some(3), ..initial }),
            "7 c3 t-1>t30",
            "Vivify \"7\" f0 c3 t30 base 0",
        ),
        (held("5", 9, PLAIN), Op::Arith(initial), "6 new t9>t9", "Incr \"6\" f7 new t9 base 40 delta 1"),
    ]);
}

#[test]
fn the_key_keeps_the_form_it_was_stored_under() {
    let binary = Key { binary: true, ..Key::plain(b"k") };
    let b = Marks::BINARY_KEY;
    let set = Op::Store(ms(StoreMode::Set, "5"));
    let append = Op::Store(ms(StoreMode::Append, "5"));
    let viv = Op::Get(Get { vivify: Some(Exptime(0)), ..MG });
    check(
        &RULES,
        &binary,
        &[
            (None, set, "stored new s1", "Set \"5\" f9 new t100 b base 0"),
            (None, viv, "hit \"\" f0 new t-1>t-1 W", "Vivify \"\" f0 new t-1 won b base 0"),
            (held("5", 9, PLAIN), append, "stored new s2", "Append \"55\" f7 new t9 base 40"),
        ],
    );
    rows(&[
        (held("5", 9, b), set, "stored new s1", "Set \"5\" f9 new t100 base 40"),
        (held("5", 9, b), append, "stored new s2", "Append \"55\" f7 new t9 b base 40"),
        (held("5", 9, b), Op::Arith(MA), "6 new t9>t9", "Incr \"6\" f7 new t9 b base 40 delta 1"),
        (
            held("5", 9, b),
            Op::Delete(Delete { clear_value: true, ..MD }),
            "Deleted",
            "Clear \"\" f0 c50 t-1 b base 40",
        ),
    ]);
}

#[test]
fn without_cas_it_is_0_everywhere() {
    let rules = Rules { cas_enabled: false, ..RULES };
    let mut old = held("5", 9, PLAIN);
    old.iter_mut().for_each(|item| item.cas = 0);
    let set = ms(StoreMode::Set, "5");
    check(
        &rules,
        &Key::plain(b"k"),
        &[
            (None, Op::Store(set), "stored c0 s1", "Set \"5\" f9 c0 t100 base 0"),
            (
                None,
                Op::Store(Store { new_cas: Some(3), ..set }),
                "stored c0 s1",
                "Set \"5\" f9 c0 t100 base 0",
            ),
            (old.clone(), Op::Store(Store { compare: Some(0), ..set }), "Exists", "-"),
            (old.clone(), Op::Arith(MA), "6 c0 t9>t9", "Incr \"6\" f7 c0 t9 base 40 delta 1"),
            (old, Op::Delete(Delete { invalidate: true, ..MD }), "Deleted", "Invalidate c0 t9 stale base 40"),
        ],
    );
}

#[test]
fn what_counts_as_a_use() {
    use Access::{Fetched, None as Not, Used};
    let add = Op::Store(ms(StoreMode::Add, "5"));
    let viv = Get { vivify: Some(Exptime(0)), ..MG };
    for (old, op, access) in [
        (held("5", 9, PLAIN), Op::Get(GET), Fetched),
        (held("5", 9, PLAIN), Op::Get(Get { unnoticed: true, ..gat(60) }), Not),
        (None, Op::Get(GET), Not),
        (None, Op::Get(viv), Fetched),
        (None, Op::Get(Get { unnoticed: true, ..viv }), Not),
        (held("5", 9, PLAIN), Op::Touch(Exptime(0)), Fetched),
        (held("5", 9, PLAIN), Op::Inspect, Not),
        (held("5", 9, PLAIN), add, Used),
        (None, add, Not),
        (held("5", 9, PLAIN), Op::Arith(MA), Used),
        (held("5", 9, Marks::FETCHED), Op::Arith(MA), Fetched),
        (held("9", 9, Marks::FETCHED), Op::Arith(MA), Used),
        (held("5", 9, PLAIN), Op::Delete(Delete { invalidate: true, ..MD }), Not),
    ] {
        let stamp = Stamp { now: NOW, version: Version(100) };
        let item = old.as_ref().map(view);
        let outcome = execute(&op, &Key::plain(b"k"), item.as_ref(), stamp, &RULES);
        assert_eq!(outcome.access, access, "{op:?} on {old:?}");
    }
}

#[test]
fn stories() {
    let invalidate = Op::Delete(Delete { invalidate: true, exptime: Some(Exptime(30)), ..MD });
    let clear = Op::Delete(Delete { clear_value: true, ..MD });
    let outdated = Op::Store(Store { compare: Some(1), invalidate: true, ..ms(StoreMode::Set, "ab") });
    let set = Op::Store(ms(StoreMode::Set, "ab"));
    let (get, mg) = (Op::Get(GET), Op::Get(MG));
    story(
        held("x", 0, PLAIN),
        &[
            (invalidate, "Deleted"),
            (get, "hit \"x\" f7 c100 t30>t30 X"),
            (mg, "hit \"x\" f7 c100 t30>t30 X W"),
            (mg, "hit \"x\" f7 c100 t30>t30 X Z"),
            (outdated, "stored new s2"),
            (mg, "hit \"ab\" f9 c104 t30>t30 X Z"),
            (invalidate, "Deleted"),
            (mg, "hit \"ab\" f9 c106 t30>t30 X W"),
            (set, "stored new s2"),
            (mg, "hit \"ab\" f9 c108 t100>t100"),
            (outdated, "stored new s2"),
            (mg, "hit \"ab\" f9 c110 t100>t100 X W"),
            (clear, "Deleted"),
            (mg, "hit \"\" f0 c110 t-1>t-1"),
            (Op::Get(gat(-1)), "hit \"\" f0 c110 t-1>t0"),
            (mg, "Miss"),
        ],
    );
    let lease = Op::Get(Get { vivify: Some(Exptime(30)), ..MG });
    story(
        None,
        &[
            (lease, "hit \"\" f0 new t-1>t30 W"),
            (lease, "hit \"\" f0 c100 t30>t30 Z"),
            (get, "hit \"\" f0 c100 t30>t30 Z"),
            (set, "stored new s2"),
            (lease, "hit \"ab\" f9 c103 t100>t100"),
        ],
    );
}
