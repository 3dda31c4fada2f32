//! Every operation, answered by a Larder process and by a memcached.
use larder::client::{
    Answers, Blame, Client, Direction, Entry, Error, Exptime, Login, MetaArith, MetaDelete, MetaGet,
    MetaOutcome, MetaStore, Operation, Options, StatsTopic, StoreMode, Stored, Value, Why,
};

use super::{client, patient};
use crate::oracle::Oracle;
use crate::process::Larder;
use crate::skips::require;

/// Runs a test against a Larder and, where there is one, a memcached.
fn with_each(test: impl Fn(&str, Client)) {
    let larder = Larder::launch(&["-p", "-1", "-U", "0", "--memory-only"]).unwrap();
    test("larder", client(larder.address(), patient()));
    if let Some(memcached) = require("memcached") {
        let memcached = Oracle::start(&memcached, &[]).unwrap();
        test("memcached", client(memcached.address(), patient()));
    }
}

fn value(bytes: &[u8], flags: u32) -> Result<Option<Value>, Error> {
    Ok(Some(Value { bytes: bytes.to_vec(), flags, cas: None }))
}

#[test]
fn classic_operations_are_answered() {
    with_each(|name, client| {
        assert_eq!(client.get("k"), Ok(None), "{name}");
        assert_eq!(client.replace("k", "x"), Ok(false), "{name}");
        assert_eq!(client.append("k", "x"), Ok(false), "{name}");
        assert_eq!(client.add("k", Entry::new("mid").flagged(u32::MAX)), Ok(true), "{name}");
        assert_eq!(client.add("k", "no"), Ok(false), "{name}");
        assert_eq!(client.append("k", "\r\nend"), Ok(true), "{name}");
        assert_eq!(client.prepend("k", "begin "), Ok(true), "{name}");
        assert_eq!(client.get("k"), value(b"begin mid\r\nend", u32::MAX), "{name}");
        assert_eq!(client.replace("k", ""), Ok(true), "{name}");
        let first = client.gets("k").unwrap().unwrap();
        assert!(first.bytes.is_empty() && first.cas.is_some(), "{name}");
        assert_eq!(client.cas("k", "1", first.cas.unwrap()), Ok(Stored::Stored), "{name}");
        assert_eq!(client.cas("k", "2", first.cas.unwrap()), Ok(Stored::Exists), "{name}");
        assert_eq!(client.cas("none", "2", 1), Ok(Stored::NotFound), "{name}");
        assert_eq!(client.set("n", "10"), Ok(()), "{name}");
        assert_eq!(client.incr("n", 90), Ok(Some(100)), "{name}");
        assert_eq!(client.decr("n", 91), Ok(Some(9)), "{name}");
        assert_eq!(client.decr("n", u64::MAX), Ok(Some(0)), "{name}");
        assert_eq!(client.incr("none", 1), Ok(None), "{name}");
        assert!(client.incr("k1", 1).is_ok() && client.set("text", "t").is_ok());
        assert!(matches!(client.incr("text", 1), Err(larder::client::Error::Refused { .. })), "{name}");
        assert_eq!(client.touch("n", 100), Ok(true), "{name}");
        assert_eq!(client.touch("none", 100), Ok(false), "{name}");
        assert_eq!(client.gat("k", 100), value(b"1", 0), "{name}");
        assert!(client.gats("k", 0).unwrap().unwrap().cas > first.cas, "{name}");
        assert_eq!(client.gat("none", 100), Ok(None), "{name}");
        assert_eq!(client.set("past", Entry::new("x").expiring(-1)), Ok(()), "{name}");
        assert_eq!(client.get("past"), Ok(None), "{name}");
        assert_eq!(client.delete("k"), Ok(true), "{name}");
        assert_eq!(client.delete("k"), Ok(false), "{name}");
        let key = "k".repeat(250);
        assert_eq!(client.set(&key, "long"), Ok(()), "{name}");
        assert_eq!(client.get(&key), value(b"long", 0), "{name}");
    });
}

/// Whether there is one answer, and no error.
fn single<T>(answers: Answers<T>) -> bool {
    answers.len() == 1 && answers.iter().all(|(_, answer)| answer.is_ok())
}

#[test]
fn servers_are_asked_about_themselves() {
    with_each(|name, client| {
        assert!(client.version()[0].1.as_ref().unwrap().starts_with("1.6."), "{name}");
        assert!(single(client.noop()) && single(client.verbosity(1)), "{name}");
        client.set("k", "v").unwrap();
        let facts = client.stats(StatsTopic::General).pop().unwrap().1.unwrap();
        let items = facts.iter().find(|(fact, _)| fact == "curr_items").map(|(_, count)| count.as_str());
        assert_eq!(items, Some("1"), "{name}");
        let facts = client.stats(StatsTopic::Settings).pop().unwrap().1.unwrap();
        assert!(facts.iter().any(|(fact, _)| fact == "maxbytes"), "{name}");
        assert!(client.stats(StatsTopic::Reset).pop().unwrap().1.unwrap().is_empty(), "{name}");
        for topic in
            [StatsTopic::DetailOn, StatsTopic::DetailDump, StatsTopic::CacheDump(1, 10), StatsTopic::Sizes]
        {
            assert!(single(client.stats(topic)), "{name}: {topic:?}");
        }
        assert!(single(client.flush_all(Some(3600))), "{name}");
        assert!(client.get("k").unwrap().is_some(), "{name}");
        assert!(single(client.flush_all(None)), "{name}");
    });
}

/// All that can be asked of a read.
fn everything() -> MetaGet {
    MetaGet {
        value: true,
        cas: true,
        flags: true,
        ttl: true,
        size: true,
        hit_before: true,
        last_access: true,
        key: true,
        opaque: Some(7),
        ..MetaGet::default()
    }
}

#[test]
fn meta_operations_are_answered() {
    with_each(|name, client| {
        let all = everything();
        assert_eq!(client.meta_get("k", all).unwrap().outcome, MetaOutcome::Miss, "{name}");
        assert_eq!(client.meta_debug("k"), Ok(None), "{name}");
        let store = MetaStore {
            flags: 5,
            exptime: Exptime(1000),
            cas: true,
            key: true,
            opaque: Some(9),
            ..MetaStore::new("v\r\n")
        };
        let stored = client.meta_store("k", store).unwrap();
        assert_eq!((stored.outcome, stored.opaque), (MetaOutcome::Done, Some(9)), "{name}");
        assert_eq!(stored.key.as_deref(), Some(&b"k"[..]), "{name}");
        let found = client.meta_get("k", all).unwrap();
        assert_eq!(found.value.as_deref(), Some(&b"v\r\n"[..]), "{name}");
        assert_eq!(
            (found.flags, found.size, found.opaque, found.cas),
            (Some(5), Some(3), Some(7), stored.cas),
            "{name}"
        );
        assert_eq!((found.hit_before, found.won), (Some(false), false), "{name}");
        assert!(found.ttl_s.is_some_and(|ttl_s| (900..=1000).contains(&ttl_s)), "{name}: {found:?}");
        let facts = client.meta_debug("k").unwrap().unwrap();
        assert!(facts.iter().any(|(fact, value)| fact == "fetch" && value == "yes"), "{name}: {facts:?}");
        let compared = MetaStore { compare: Some(999_999), ..MetaStore::new("no") };
        assert_eq!(client.meta_store("k", compared).unwrap().outcome, MetaOutcome::Exists, "{name}");
        let added = MetaStore { mode: StoreMode::Add, ..MetaStore::new("no") };
        assert_eq!(client.meta_store("k", added).unwrap().outcome, MetaOutcome::NotStored, "{name}");
        let appended = MetaStore { mode: StoreMode::Append, ..MetaStore::new("w") };
        assert_eq!(client.meta_store("k", appended).unwrap().outcome, MetaOutcome::Done, "{name}");
        let missing = MetaStore { mode: StoreMode::Replace, ..MetaStore::new("no") };
        assert_eq!(client.meta_store("none", missing).unwrap().outcome, MetaOutcome::NotStored, "{name}");
        let counted = MetaArith { initial: Some((40, Exptime(0))), ..MetaArith::default() };
        assert_eq!(client.meta_arith("n", counted).unwrap().number(), Some(40), "{name}");
        let down = MetaArith { direction: Direction::Decr, delta: 2, ttl: true, ..MetaArith::default() };
        let number = client.meta_arith("n", down).unwrap();
        assert_eq!((number.number(), number.ttl_s), (Some(38), Some(-1)), "{name}");
        assert_eq!(client.meta_arith("none", down).unwrap().outcome, MetaOutcome::NotFound, "{name}");
    });
}

#[test]
fn meta_operations_mark_win_and_take_any_key() {
    with_each(|name, client| {
        let all = everything();
        client.set("k", "v").unwrap();
        let stale = MetaDelete { invalidate: true, exptime: Some(Exptime(30)), ..MetaDelete::default() };
        assert_eq!(client.meta_delete("k", stale).unwrap().outcome, MetaOutcome::Done, "{name}");
        let won = client.meta_get("k", all).unwrap();
        assert!(won.won && won.stale && !won.taken, "{name}: {won:?}");
        let lost = client.meta_get("k", all).unwrap();
        assert!(!lost.won && lost.stale && lost.taken, "{name}: {lost:?}");
        assert_eq!(
            client.meta_delete("k", MetaDelete::default()).unwrap().outcome,
            MetaOutcome::Done,
            "{name}"
        );
        assert_eq!(
            client.meta_delete("k", MetaDelete::default()).unwrap().outcome,
            MetaOutcome::NotFound,
            "{name}"
        );
        let vivified = MetaGet { vivify: Some(Exptime(30)), ..all };
        assert!(client.meta_get("v", vivified).unwrap().won, "{name}");
        let binary = b"\x00 key\r\n\xff";
        assert_eq!(
            client.meta_store(binary, MetaStore::new("b")).unwrap().outcome,
            MetaOutcome::Done,
            "{name}"
        );
        let found = client.meta_get(binary, all).unwrap();
        assert_eq!(found.value.as_deref(), Some(&b"b"[..]), "{name}");
        assert_eq!(found.key.as_deref(), Some(&binary[..]), "{name}");
        assert_eq!(
            client.meta_delete(binary, MetaDelete::default()).unwrap().outcome,
            MetaOutcome::Done,
            "{name}"
        );
    });
}

#[test]
fn pipelines_larger_than_every_buffer_are_answered() {
    with_each(|name, client| {
        let value = vec![b'v'; 100_000];
        let keys: Vec<String> = (0..100).map(|number| format!("large:{number}")).collect();
        // Reads between writes: whoever wrote all of it before reading would wait for ever.
        let mut operations = Vec::new();
        for key in &keys {
            operations.push(Operation::set(key, &value));
            operations.push(Operation::get(key));
            operations.extend(
                (0..4).map(|_| Operation::meta_get(key, MetaGet { value: true, ..MetaGet::default() })),
            );
        }
        let answers = client.run(&operations);
        assert_eq!(answers.len(), operations.len());
        for (operation, answer) in operations.iter().zip(&answers) {
            assert!(answer.is_ok(), "{name}: {operation:.60?}: {answer:.60?}");
        }
        let found = client.get_many(&keys);
        let whole = found.iter().filter(|found| matches!(found, Ok(Some(found)) if found.bytes == value));
        assert_eq!(whole.count(), keys.len(), "{name}");
        let small: Vec<String> = (0..20_000).map(|number| format!("small:{number}")).collect();
        let sets: Vec<Operation> = small.iter().map(|key| Operation::set(key, key)).collect();
        assert!(client.run(&sets).iter().all(Result::is_ok), "{name}");
        for (key, found) in small.iter().zip(client.get_many(&small)) {
            assert_eq!(found.unwrap().unwrap().bytes, key.as_bytes(), "{name}");
        }
    });
}

#[test]
fn threads_share_a_client() {
    with_each(|name, client| {
        client.set("n", "0").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..200).for_each(|_| assert!(client.incr("n", 1).unwrap().is_some())));
            }
        });
        assert_eq!(client.get("n").unwrap().unwrap().bytes, b"1600", "{name}");
    });
}

#[test]
fn a_server_that_knows_users_is_told_the_name_first() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    std::fs::write(&users, "alice:secret\n").unwrap();
    let users = users.to_str().unwrap();
    let larder = Larder::launch(&["-p", "-1", "-U", "0", "--memory-only", "-Y", users]).unwrap();
    let login = |password: &str| Login { name: "alice".into(), password: password.into() };
    let with = |login| client(larder.address(), Options { login, ..patient() });
    let known = with(Some(login("secret")));
    assert_eq!(known.set("k", "v"), Ok(()));
    assert_eq!(known.get("k"), value(b"v", 0));
    let wrong = with(Some(login("guess"))).get("k").unwrap_err();
    assert!(matches!(&wrong, Error::NotSent { why: Why::Login(_), .. }), "{wrong}");
    assert!(!format!("{:?}", login("secret")).contains("secret"));
    assert!(matches!(with(None).get("k"), Err(Error::Refused { blame: Blame::Client, .. })));
}
