//! Placement over plain memcached servers: libmemcached is asked where it would put the same keys.
use std::io::Write;
use std::process::{Command, Stdio};

use larder::client::{Address, Client, Distribution, KeyHash, Memcached, Options};

use crate::skips::{require, skip};

/// The script that asks libmemcached.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/protocol-tests/clients/libmemcached_places.py");

/// Server lists: hosts, ports and weights. 11211 is the port that ketama leaves out of a server's name.
const SERVERS: &[&[(&str, u16, u32)]] = &[
    &[("10.0.0.1", 11211, 1)],
    &[("10.0.0.1", 11211, 1), ("10.0.0.2", 11211, 1), ("10.0.0.3", 11211, 1)],
    &[("127.0.0.1", 21211, 1), ("127.0.0.1", 21212, 1)],
    &[("a.example", 11211, 1), ("b.example", 11212, 2), ("c.example", 11213, 3), ("d.example", 11214, 4)],
    &[("h1", 1, 7), ("h2", 2, 11), ("h3", 3, 13), ("h4", 4, 600), ("h5", 5, 1), ("h6", 6, 1), ("h7", 7, 3)],
];

/// libmemcached's number of each hash.
const HASHES: [(KeyHash, u32); 7] = [
    (KeyHash::OneAtATime, 0),
    (KeyHash::Md5, 1),
    (KeyHash::Crc, 2),
    (KeyHash::Fnv1_64, 3),
    (KeyHash::Fnv1a64, 4),
    (KeyHash::Fnv1_32, 5),
    (KeyHash::Fnv1a32, 6),
];

/// Keys short, long, numbered and with bytes above 127, which C takes for negative.
fn keys() -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = (0..400).map(|number| format!("user:{number}").into_bytes()).collect();
    keys.extend((1..=250).map(|length| vec![b'k'; length]));
    keys.extend((1..=255_u8).map(|byte| vec![b'x', byte, byte ^ 0x80]));
    keys
}

#[test]
fn keys_go_where_libmemcached_puts_them() {
    let Some(python) = require("python3") else { return };
    let probe = Command::new(&python)
        .args(["-c", "import ctypes; ctypes.CDLL('libmemcached.so.11')"])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    if !probe.success() {
        return skip("libmemcached.so.11 not found");
    }
    let keys = keys();
    let distributions: Vec<(Distribution, String)> = HASHES
        .iter()
        .map(|(hash, number)| (Distribution::Modula(*hash), number.to_string()))
        .chain([(Distribution::Ketama, "ketama".to_owned())])
        .collect();
    assert_eq!(HASHES.map(|(hash, _)| hash).iter().filter(|hash| KeyHash::ALL.contains(hash)).count(), 7);
    let cases = || distributions.iter().flat_map(|case| SERVERS.iter().map(move |servers| (case, *servers)));
    let questions: Vec<String> = cases().map(|((_, name), servers)| question(name, servers, &keys)).collect();
    let answers = ask(&python, &questions.concat());
    let mut lines = answers.lines();
    for ((distribution, name), servers) in cases() {
        let expected: Vec<usize> =
            lines.next().unwrap().split(' ').map(|place| place.parse().unwrap()).collect();
        let addresses: Vec<(Address, u32)> = servers
            .iter()
            .map(|(host, port, weight)| (Address::parse(&format!("{host}:{port}")).unwrap(), *weight))
            .collect();
        let memcached =
            Memcached { servers: addresses.clone(), distribution: *distribution, takeover: false };
        let client = Client::memcached(&memcached, Options::default());
        for (key, place) in keys.iter().zip(&expected) {
            let found = client.server_of(key).unwrap();
            assert_eq!(found, addresses[*place].0, "{name} over {servers:?}: {}", key.escape_ascii());
        }
        assert_eq!(expected.len(), keys.len());
    }
    assert_eq!(lines.next(), None);
}

fn question(distribution: &str, servers: &[(&str, u16, u32)], keys: &[Vec<u8>]) -> String {
    let servers: Vec<String> =
        servers.iter().map(|(host, port, weight)| format!("{host},{port},{weight}")).collect();
    let hex = |key: &Vec<u8>| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let keys: Vec<String> = keys.iter().map(hex).collect();
    format!("{distribution} {} {}\n", servers.join(";"), keys.join(","))
}

fn ask(python: &std::path::Path, questions: &str) -> String {
    let mut child =
        Command::new(python).arg(SCRIPT).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let questions = questions.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(questions.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}
