//! Random requests on one key, against what must hold for all of them.

use proptest::prelude::*;

use super::*;

/// The parts a random request is made of; each kind of request takes what it needs.
#[derive(Clone, Debug)]
struct Parts {
    kind: u8,
    value: Vec<u8>,
    exptime: i32,
    delta: u64,
    compare: Option<u64>,
    new_cas: Option<u64>,
    touch: Option<i32>,
    vivify: Option<i32>,
    bits: [bool; 3],
}

fn request(parts: &Parts) -> Op<'_> {
    let Parts { compare, new_cas, bits: [one, two, three], .. } = *parts;
    let (touch, vivify) = (parts.touch.map(Exptime), parts.vivify.map(Exptime));
    let mode = |kind| {
        [StoreMode::Set, StoreMode::Add, StoreMode::Replace, StoreMode::Append, StoreMode::Prepend]
            [kind as usize]
    };
    let direction = if one { Direction::Incr } else { Direction::Decr };
    let counted_as = if two { CountedAs::Meta } else { CountedAs::Get };
    match parts.kind {
        kind @ 0..=4 => Op::Store(Store {
            mode: mode(kind),
            value: &parts.value,
            client_flags: 1,
            exptime: Exptime(parts.exptime),
            compare,
            new_cas,
            invalidate: one,
            vivify,
        }),
        5 => Op::Oversized { drops_old: one },
        6 => Op::Delete(Delete {
            compare,
            new_cas,
            invalidate: one,
            exptime: touch,
            clear_value: two,
            client_flags: 2,
        }),
        7 | 8 => Op::Arith(Arith {
            direction,
            delta: parts.delta,
            compare,
            new_cas,
            initial: vivify.map(|exptime| (parts.delta, exptime)),
            touch,
        }),
        9 => Op::Touch(Exptime(parts.exptime)),
        10 => Op::Inspect,
        11 => Op::Expire,
        _ => Op::Get(Get {
            touch,
            vivify,
            recache_below_s: one.then_some(parts.exptime),
            touches_first: three,
            held_cas: compare,
            new_cas,
            unnoticed: three,
            counted_as,
        }),
    }
}

fn requests() -> impl Strategy<Value = Vec<Parts>> {
    let exptime = || prop_oneof![Just(0), Just(-1), 1..100i32, Just(2_000_000_000), any::<i32>()];
    let value = prop_oneof![
        "[ 0-9+x-]{0,24}".prop_map(String::into_bytes),
        any::<u64>().prop_map(|number| number.to_string().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..400),
    ];
    // Versions in a run are 1000 and up: some compares match, some are lower, some higher.
    let cas = || proptest::option::weighted(0.3, prop_oneof![Just(0), 1000..1012u64, any::<u64>()]);
    let touch = || proptest::option::weighted(0.3, exptime());
    let delta = prop_oneof![0..20u64, any::<u64>()];
    let parts = (0..16u8, value, exptime(), delta, cas(), cas(), touch(), touch(), any::<[bool; 3]>());
    let parts = parts.prop_map(|(kind, value, exptime, delta, compare, new_cas, touch, vivify, bits)| {
        Parts { kind, value, exptime, delta, compare, new_cas, touch, vivify, bits }
    });
    proptest::collection::vec(parts, 1..12)
}

/// What must hold of every outcome, whatever was asked.
fn judge(rules: &Rules, old: &Option<Held>, new: &Option<Held>, outcome: &Outcome<'_, '_>) {
    let old_version = old.as_ref().map_or(0, |item| item.version.0);
    let base = |effect: &Effect<'_>| match effect {
        Effect::Put(put) => put.base.0,
        Effect::Touch(touch) => touch.base.0,
        Effect::Remove(removal) => removal.base.0,
    };
    if let Some(effect) = &outcome.effect {
        assert!(base(effect) == 0 || base(effect) == old_version, "{effect:?}");
        assert!(old.is_some() || matches!(effect, Effect::Put(_)), "{effect:?} of nothing");
        assert_ne!(old, new, "{effect:?} changes nothing");
    }
    if let Some(item) = new {
        assert_eq!(item.marks.and(Marks::STORED), item.marks);
        assert!(rules.cas_enabled || item.cas == 0);
        assert!(rules.fits(1, item.value.len()), "{} bytes", item.value.len());
    }
    let quiet = matches!(
        outcome.reply,
        Reply::Miss | Reply::NotStored | Reply::Exists | Reply::NotFound | Reply::Inspected(_)
    );
    assert!(!quiet || outcome.effect.is_none(), "{:?} with {:?}", outcome.reply, outcome.effect);
    match &outcome.reply {
        Reply::Stored(changed) => {
            let item = new.as_ref().unwrap();
            assert_eq!((item.cas, item.value.len()), (changed.cas, changed.value_bytes));
        }
        Reply::Number(number) => {
            let item = new.as_ref().unwrap();
            let text = String::from_utf8(item.value.clone()).unwrap();
            assert_eq!(text.trim_end(), number.value.to_string());
            let width = old.as_ref().map_or(0, |item| item.value.len());
            assert_eq!(text.len(), width.max(number.value.to_string().len()));
            assert_eq!((item.cas, item.deadline), (number.cas, number.deadlines[1]));
        }
        Reply::Hit(hit) => {
            let item = new.as_ref().unwrap();
            assert_eq!(item.deadline, hit.deadline);
            assert_eq!(item.marks.has(W), hit.won || hit.taken);
            assert!(!(hit.won && hit.taken), "one wins");
        }
        Reply::Created(created) => {
            let item = new.as_ref().unwrap();
            assert_eq!((item.cas, item.deadline), (created.cas, created.deadline));
            assert!(old.is_none() && item.value.is_empty() && item.marks.has(W));
        }
        Reply::Quiet => {
            let dead = old.as_ref().is_some_and(|item| view(item).is_expired(NOW));
            assert_eq!(outcome.effect.is_some(), dead);
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked(requests in requests(), cas_enabled: bool) {
        let rules = Rules { cas_enabled, ..RULES };
        let mut held: Option<Held> = None;
        for (step, parts) in requests.iter().enumerate() {
            let stamp = Stamp { now: NOW, version: Version(1000 + step as u64) };
            let op = request(parts);
            let old = held.clone();
            let item = old.as_ref().map(view);
            let outcome = execute(&op, &Key::plain(b"k"), item.as_ref(), stamp, &rules);
            if let Some(effect) = &outcome.effect {
                apply(&mut held, effect, stamp.version);
                prop_assert_eq!(held.as_ref().map_or(stamp.version, |item| view(item).stamp()), stamp.version);
                let once = held.clone();
                apply(&mut held, effect, stamp.version);
                prop_assert_eq!(&held, &once, "applied twice");
            }
            judge(&rules, &old, &held, &outcome);
            if !op.needs_old() {
                let blind = execute(&op, &Key::plain(b"k"), None, stamp, &rules);
                prop_assert_eq!(show_reply(&blind.reply, stamp), show_reply(&outcome.reply, stamp));
            }
        }
    }
}
