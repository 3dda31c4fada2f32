//! Who has what: stored by a client that knows one server, read through others, and by a client that knows the map.
use std::path::PathBuf;
use std::process::{Command, Stdio};

use larder::client as direct;

use super::Cluster;
use crate::client::{Client, set};
use crate::skips::{say, skip};

/// Keys stored.
const KEYS: usize = 100_000;
/// Keys of one request.
const CHUNK: usize = 500;
/// Chance spreads keys as unevenly as was found with this probability; below it the spread is no chance.
const P_MIN: f64 = 1e-6;
const GROUPS: [(&str, u16, usize); 3] = [("0-21", 1, 22), ("22-42", 2, 21), ("43-63", 3, 21)];

fn items(client: &mut Client) -> usize {
    client.figure("curr_items") as usize
}

/// The Python that can import pymemcache, if there is one.
fn python() -> Option<PathBuf> {
    let python: PathBuf = std::env::var_os("LARDER_PYTHON").unwrap_or_else(|| "python3".into()).into();
    let mut import = Command::new(&python);
    import.args(["-c", "import pymemcache"]).stdin(Stdio::null()).stderr(Stdio::null());
    import.status().is_ok_and(|status| status.success()).then_some(python)
}

/// Stores all keys through server 1: with pymemcache, or by a plain socket where there is none.
fn store(cluster: &Cluster, keys: &[String]) {
    let Some(python) = python() else {
        skip("pymemcache not found: a plain socket stores instead");
        let mut one = cluster.client(0);
        for (some, begin) in keys.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
            let numbered = some.iter().zip(begin..);
            let text: Vec<u8> =
                numbered.flat_map(|(key, n): (_, usize)| set(key, 0, n.to_string().as_bytes())).collect();
            one.send(text);
            some.iter().for_each(|key| assert_eq!(one.line(), "STORED\r\n", "{key}"));
        }
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/protocol-tests/clients/store_numbers.py");
    let (address, count) = (cluster.address(0), keys.len().to_string());
    let words = [script, &address.ip().to_string(), &address.port().to_string(), &count];
    assert!(Command::new(python).args(words).status().unwrap().success());
}

#[test]
fn what_one_plain_client_stores_is_where_the_map_says_and_read_by_all() {
    let cluster = Cluster::of(64, &GROUPS.map(|(groups, id, _)| (groups, id)), &[]);
    let keys: Vec<String> = (0..KEYS).map(|number| format!("key{number}")).collect();
    store(&cluster, &keys);
    for at in [1, 2] {
        let mut client = cluster.client(at);
        for (some, begin) in keys.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
            let numbers = begin..begin + some.len();
            let expected: Vec<_> =
                some.iter().cloned().zip(numbers.map(|n: usize| n.to_string().into_bytes())).collect();
            assert_eq!(client.get(some), expected, "through server {}, in order", at + 1);
        }
    }
    let direct = direct::Client::cluster(cluster.map.clone(), direct::Options::default());
    for (some, begin) in keys.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
        for (found, number) in direct.get_many(some).into_iter().zip(begin..) {
            let number: usize = number;
            let bytes = found.unwrap().map(|value| value.bytes);
            assert_eq!(bytes, Some(number.to_string().into_bytes()), "by the client that knows the map");
        }
    }
    let counts = [0, 1, 2].map(|at| items(&mut cluster.client(at)));
    let planned = [0, 1, 2].map(|at| keys.iter().filter(|key| cluster.home(key) == at).count());
    assert_eq!(counts, planned, "every server has what the map gives it");
    let p = chance_of(counts);
    say(&format!("{KEYS} keys on three servers: {counts:?}, p = {p:.3}"));
    assert!(p > P_MIN, "{counts:?}: p = {p:e}");
    assert!(
        chance_of([counts[0] + 1000, counts[1] - 1000, counts[2]]) < P_MIN,
        "the test sees what is uneven"
    );
}

/// The probability that chance spreads keys as unevenly over the servers' shares of groups: the chi-squared test, whose
/// tail is this exponential with two degrees of freedom.
fn chance_of(counts: [usize; 3]) -> f64 {
    let groups: usize = GROUPS.iter().map(|(.., share)| share).sum();
    let keys: usize = counts.iter().sum();
    let squares = counts.iter().zip(GROUPS).map(|(found, (.., share))| {
        let expected = keys as f64 * share as f64 / groups as f64;
        (*found as f64 - expected).powi(2) / expected
    });
    (-squares.sum::<f64>() / 2.0).exp()
}
