//! Listings, looks and reads ahead beside what can happen between their steps: stores, removals, checkpoints, eviction.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::base::command::{Delete, Get, Key, Op, Store as Storing, StoreMode};
use crate::base::lsn::GroupId;
use crate::base::reply::Reply;
use crate::base::time::{Exptime, UnixMs};
use crate::base::version::Version;
use crate::engine::Rules;
use crate::hot::{self, Budget, Hot};
use crate::store::{GroupIdentity, Store, StoreOptions};

const NOW: UnixMs = UnixMs(1_700_000_000_000);
/// So little memory that most keys are only in the store.
const MEMORY_BYTES: usize = 96 * 1024;
/// Keys that exist throughout are those divisible by this.
const LASTING: u64 = 3;
const KEYS: u64 = 1200;

/// Pseudo-random numbers from a seed (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % bound
    }
}

fn group(store: Option<Store>) -> Group {
    let bytes = if store.is_some() { MEMORY_BYTES } else { 64 * MEMORY_BYTES };
    let budget = Arc::new(Budget::new(bytes));
    let options = hot::Options { persistent: store.is_some(), evicts: true, segment_bytes: 8192 };
    let shared = Shared {
        log: Default::default(),
        budget: Arc::clone(&budget),
        rules: Rules { item_bytes_max: 1 << 20, cas_enabled: true },
        server: 0,
        version_ceiling: AtomicU64::new(u64::MAX),
        bell: Default::default(),
        dirty_bytes_max: AtomicU64::new(u64::MAX),
        timings: Default::default(),
        trouble: Default::default(),
        delay_told_s: Default::default(),
        disk_use: Default::default(),
        readers: Default::default(),
    };
    Group::new(GroupId(0), Arc::new(shared), store, Hot::new(budget, options), Version::ZERO)
}

fn store_in(folder: &tempfile::TempDir) -> Store {
    let identity = GroupIdentity { directory_id: 1, group: GroupId(0), group_count: 1 };
    Store::open(&folder.path().join("g"), identity, StoreOptions { cache_bytes: 1 << 20 }).unwrap()
}

fn name(number: u64) -> String {
    format!("key:{:04}", number.wrapping_mul(7919) % 10_000)
}

fn submit(group: &Group, name: &str, op: &Op<'_>) {
    let key = Key::plain(name.as_bytes());
    while group.submit(&Asked { key: &key, op, now: NOW, may_wait: false }, |_| {}).is_err() {
        group.checkpoint().unwrap();
    }
}

fn set(group: &Group, name: &str, exptime: i32) {
    let storing = Storing {
        mode: StoreMode::Set,
        value: &[b'v'; 120],
        client_flags: 0,
        exptime: Exptime(exptime),
        compare: None,
        new_cas: None,
        invalidate: false,
        vivify: None,
    };
    submit(group, name, &Op::Store(storing));
}

/// Lists the group while `meddle` works between the steps.
fn list(group: &Group, keys_max: usize, meddle: impl FnMut()) -> Vec<String> {
    list_at(group, keys_max, NOW, meddle)
}

fn list_at(group: &Group, keys_max: usize, now: UnixMs, mut meddle: impl FnMut()) -> Vec<String> {
    let mut listing = Listing::of(keys_max);
    let mut shown = Vec::new();
    loop {
        let page = group
            .list(&mut listing, now, |key, _| shown.push(String::from_utf8_lossy(key).into_owned()))
            .unwrap();
        if page.is_last {
            return shown;
        }
        meddle();
    }
}

fn check(group: &Group, random: &mut Random) {
    for number in 0..KEYS {
        set(group, &name(number), 0);
    }
    for keys_max in [7, 100, 5000] {
        let shown = list(group, keys_max, || {
            for _ in 0..random.below(40) {
                let number = random.below(KEYS);
                match random.below(3) {
                    0 if !number.is_multiple_of(LASTING) => {
                        submit(group, &name(number), &Op::Delete(Delete::default()))
                    }
                    _ => set(group, &name(number), 0),
                }
            }
            if random.below(4) == 0 {
                group.checkpoint().unwrap();
            }
        });
        assert!(shown.is_sorted_by(|a, b| a < b), "in order, each once");
        let shown: BTreeSet<String> = shown.into_iter().collect();
        for number in (0..KEYS).step_by(LASTING as usize) {
            assert!(shown.contains(&name(number)), "{} of {keys_max} is missing", name(number));
        }
    }
}

#[test]
fn a_listing_misses_nothing_that_lasts() {
    let seed = std::env::var("LARDER_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0x5EED);
    println!("LARDER_SEED={seed}");
    let mut random = Random(seed);
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(&folder);
    let kept = group(Some(store));
    check(&kept, &mut random);
    assert!(kept.figures().hot.cooled > 0, "keys were only in the store");
    check(&group(None), &mut random);
}

#[test]
fn what_is_dead_is_not_listed() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(&folder);
    let group = group(Some(store));
    set(&group, "gone", 0);
    set(&group, "expired", -1);
    set(&group, "changed", 0);
    group.checkpoint().unwrap();
    submit(&group, "gone", &Op::Delete(Delete::default()));
    set(&group, "changed", 0);
    set(&group, "new", 0);
    assert_eq!(list(&group, 10, || {}), ["changed", "new"]);
    let _ = group.flush(None, NOW);
    assert!(list(&group, 10, || {}).is_empty());
    set(&group, "before", 0);
    let moment = Exptime(NOW.seconds() as i32 + 10);
    let _ = group.flush(Some(moment), NOW);
    assert_eq!(list_at(&group, 10, NOW, || {}), ["before"]);
    assert!(list_at(&group, 10, UnixMs(NOW.0 + 10_000), || {}).is_empty(), "nobody has met the flush yet");
    let _ = group.flush(None, NOW);
    set(&group, "after", 0);
    assert_eq!(list(&group, 10, || {}), ["after"]);
}

#[test]
fn a_look_finds_what_a_get_would_and_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(&folder);
    let group = group(Some(store));
    let sight = |name: &str, now: UnixMs| group.peek(name.as_bytes(), now).unwrap().sight;
    let (mut cold, mut warm) = (0, 0);
    for number in 0..KEYS {
        set(&group, &name(number), 60);
        if number % 100 == 99 {
            group.checkpoint().unwrap();
        }
    }
    submit(&group, &name(5), &Op::Delete(Delete::default()));
    let before = group.figures();
    for number in 0..KEYS {
        match sight(&name(number), NOW) {
            peek::Sight::Item(facts) if facts.in_memory => warm += 1,
            peek::Sight::Item(facts) => {
                cold += 1;
                let memory = group.peek_memory(name(number).as_bytes(), NOW).sight;
                assert_eq!((memory, facts.is_dirty), (peek::Sight::Unknown, false), "{}", name(number));
            }
            sight => assert_eq!((number, sight), (5, peek::Sight::Nothing)),
        }
    }
    assert!(cold > 100 && warm > 10 && cold + warm == KEYS - 1, "{cold} cold, {warm} warm");
    let later = UnixMs(NOW.0 + 60_000);
    let all_are = |gone: peek::Sight, now: UnixMs| {
        let expected = |number: u64| if number == 5 { peek::Sight::Nothing } else { gone };
        (0..KEYS).all(|number| sight(&name(number), now) == expected(number))
    };
    assert!(all_are(peek::Sight::Expired, later), "expired");
    let after = group.figures();
    assert_eq!((before.hot, before.counters.cold_reads), (after.hot, after.counters.cold_reads));
    let _ = group.flush(None, NOW);
    assert!(all_are(peek::Sight::Flushed, NOW), "flushed");
}

/// While the store is slow nobody waits for it who could do something else: the request is put off, the row is read by
/// another thread, and every answer is the one that it would have been.
#[test]
fn a_slow_store_is_read_ahead_of_those_who_ask() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(&folder);
    let groups = [group(Some(store))];
    let group = &groups[0];
    for number in 0..KEYS {
        set(group, &name(number), 0);
        if number % 100 == 99 {
            group.checkpoint().unwrap();
        }
    }
    let readers = &group.shared.readers;
    let woken = Arc::new(AtomicU64::new(0));
    let waker = Arc::clone(&woken);
    readers.begin(vec![Arc::new(move || {
        waker.fetch_add(1, Ordering::SeqCst);
    })]);
    let get = |name: &str| {
        let key = Key::plain(name.as_bytes());
        let mut is_found = false;
        let answer = |reply: &Reply<'_>| is_found = matches!(reply, Reply::Hit(_));
        group
            .submit(&Asked { key: &key, op: &Op::Get(Get::default()), now: NOW, may_wait: true }, answer)
            .map(|_| is_found)
    };
    let is_cold = |name: &str| group.core.lock().hot.locate(name.as_bytes()).is_none();
    let cold: Vec<String> = (0..KEYS).map(name).filter(|name| is_cold(name)).take(6).collect();
    assert_eq!(get(&cold[0]), Ok(true), "a store that is not slow is read at once");
    let stop = AtomicBool::new(false);
    (0..64).for_each(|_| readers.note(Duration::from_millis(1)));
    for name in [&cold[1], &cold[2], "absent"] {
        assert_eq!((get(name), get(name)), (Err(Busy), Err(Busy)), "{name} is put off until it was read");
    }
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| readers.run(&groups, &stop));
        for (name, is_there) in [(cold[1].as_str(), true), (cold[2].as_str(), true), ("absent", false)] {
            let answer = std::iter::repeat_with(|| get(name)).find_map(Result::ok);
            assert_eq!(answer, Some(is_there), "{name}");
        }
        while woken.load(Ordering::SeqCst) == 0 {
            std::hint::spin_loop();
        }
        stop.store(true, Ordering::Release);
        readers.end(1);
        reader.join().unwrap();
    });
    (0..64).for_each(|_| readers.note(Duration::ZERO));
    assert_eq!(get(&cold[3]), Ok(true), "a store that is not slow any more is read at once");
}

#[test]
fn who_waits_for_room_on_the_disk_is_told_so() {
    let group = group(None);
    assert_eq!(group.shared.delay(NOW), delay::Delay::Group);
    group.shared.trouble.set_making_room();
    assert_eq!(group.shared.delay(NOW), delay::Delay::Room);
}
