//! Reads of many keys through any server: whole, in order, and never a miss that is none.
use super::{Cluster, PATIENCE};
use crate::client::{Client, set};
use crate::wait;

/// More than one turn and one question hold.
const KEYS: usize = 3000;
/// Every so many-th key is not there.
const MISSED: usize = 7;

fn has(number: usize) -> bool {
    !number.is_multiple_of(MISSED)
}

/// Stores what is there of these keys through this client; each is its own value.
fn store(client: &mut Client, keys: &[String], value: impl Fn(&str) -> Vec<u8>) {
    for some in keys.chunks(100) {
        let text: Vec<u8> = some.iter().flat_map(|key| set(key, 0, &value(key))).collect();
        client.send(text);
        some.iter().for_each(|key| assert_eq!(client.line(), "STORED\r\n", "{key}"));
    }
}

#[test]
fn a_read_of_many_is_whole_and_in_order_through_any_server() {
    let cluster = Cluster::start();
    let all: Vec<String> = (0..KEYS).map(|number| format!("key{number}")).collect();
    let there: Vec<String> = (0..KEYS).filter(|n| has(*n)).map(|n| all[n].clone()).collect();
    store(&mut cluster.client(0), &there, |key| key.into());
    // Some keys twice, not side by side.
    let asked = [&all[..], &all[..500]].concat();
    let numbers = (0..KEYS).chain(0..500);
    let expected: String = numbers
        .filter(|number| has(*number))
        .map(|number| format!("VALUE key{number} 0 {}\r\nkey{number}\r\n", all[number].len()))
        .collect();
    for at in [0, 1, 2] {
        let mut client = cluster.client(at);
        for end in ["\r\n", "\n"] {
            let lines = client.lines(format!("get {}{end}", asked.join(" ")), "END\r\n").concat();
            assert!(lines == expected.clone() + "END\r\n", "through server {}", at + 1);
        }
        let missed: Vec<String> = (0..KEYS).filter(|n| !has(*n)).map(|n| all[n].clone()).collect();
        assert_eq!(client.get(&missed), [], "nothing but misses");
        // A cas is the one that its server gives.
        let key = &there[9];
        let line = cluster.client(cluster.home(key)).lines(format!("gets {key}\r\n"), "END\r\n").remove(0);
        let lines = client.lines(format!("gets {}\r\n", asked.join(" ")), "END\r\n");
        assert!(lines.contains(&line), "{line}");
        // What is behind a read in the pipeline is executed behind it, and answered behind it.
        let new: String = there[..50].iter().map(|key| format!("set {key} 0 0 1 noreply\r\nx\r\n")).collect();
        let old: String = there[..50]
            .iter()
            .map(|key| format!("set {key} 0 0 {} noreply\r\n{key}\r\n", key.len()))
            .collect();
        let read = format!("get {}\r\n", asked.join(" "));
        client.send([&read, &new, &read, &old, "mn\r\n"].concat());
        let first = client.values();
        assert!(first.iter().all(|(key, value)| value == key.as_bytes()), "read before they were changed");
        let second = client.values();
        let changed = second.iter().filter(|(key, value)| value != key.as_bytes()).count();
        let twice = (0..500).filter(|number| has(*number)).count().min(50);
        assert_eq!((second.len(), changed), (first.len(), 50 + twice));
        assert_eq!(client.line(), "MN\r\n");
    }
}

#[test]
fn a_read_of_many_large_values_is_whole_and_what_is_not_there_is_no_miss() {
    let mut cluster = Cluster::start();
    let keys: Vec<String> = (0..60).map(|number| format!("large{number}")).collect();
    let value = |key: &str| key.as_bytes().repeat(100_000 / key.len());
    store(&mut cluster.client(1), &keys, value);
    let mut one = cluster.client(0);
    let expected: Vec<(String, Vec<u8>)> = keys.iter().map(|key| (key.clone(), value(key))).collect();
    assert!(one.get(&keys) == expected);
    // The same while a server dies: what is shown is whole, and the end is no END.
    cluster.kill(1);
    let whole = |found: &[String]| found.iter().filter(|line| line.starts_with("VALUE ")).count();
    let kept = keys.iter().filter(|key| cluster.home(key) != 1).count();
    let lines = wait::until(PATIENCE, || {
        let lines = one.lines(format!("get {}\r\n", keys.join(" ")), "END\r\n");
        lines.last().is_some_and(|line| line.ends_with("is on server 2, which is down\r\n")).then_some(lines)
    });
    let lines = lines.unwrap();
    assert_eq!(whole(&lines), kept, "{:?}", lines.last());
    cluster.begin(1);
    let back = wait::until(PATIENCE, || {
        let lines = one.lines(format!("get {}\r\n", keys.join(" ")), "END\r\n");
        (whole(&lines) == keys.len()).then_some(lines)
    });
    assert_eq!(back.unwrap().last().map(String::as_str), Some("END\r\n"));
}
