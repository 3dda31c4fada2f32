//! Clients that ask for much through a server that has none of it, and read nothing for a while: what they cost, and that
//! they get what they asked for all the same.
use std::io::Write;

use super::{Cluster, PATIENCE};
use crate::client::{Client, set};
use crate::skips::say;
use crate::wait;

const VALUE_BYTES: usize = 512 << 10;
const KEYS: usize = 64;
const CLIENTS: usize = 8;
/// What they may add to the memory of the server that they ask: an eighth of what they ask for, most of which is
/// what a heap holds more than is in use. Each may have an outbox and an item.
const HELD_BYTES: u64 = 96 << 20;

fn value(key: &str, number: usize) -> Vec<u8> {
    format!("{key} {number} ").repeat(VALUE_BYTES).into_bytes()[..VALUE_BYTES].to_vec()
}

/// The value that a meta get answers.
fn meta_value(client: &mut Client) -> Vec<u8> {
    assert_eq!(client.line(), format!("VA {VALUE_BYTES}\r\n"));
    let mut bytes = vec![0; VALUE_BYTES + 2];
    client.read(&mut bytes);
    bytes.truncate(VALUE_BYTES);
    bytes
}

/// Waits until the server asks others nothing more: nothing was answered between so many looks.
fn wait_for_rest(client: &mut Client) {
    let (mut last, mut looks) = (0, 0);
    let rests = || {
        let answered = client.figure_of("larder", "forwarded_answered");
        looks = if answered == last && answered > 0 { looks + 1 } else { 0 };
        last = answered;
        (looks > 50).then_some(())
    };
    assert!(wait::until(PATIENCE, rests).is_some(), "it asks on and on");
}

#[test]
fn who_does_not_read_costs_the_server_that_is_asked_an_outbox_and_an_item() {
    let cluster = Cluster::start();
    let keys = [cluster.keys_of(1, KEYS / 2), cluster.keys_of(2, KEYS / 2)].concat();
    let mut home = [cluster.client(1), cluster.client(2)];
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(home[at / (KEYS / 2)].set(key, &value(key, at)), "STORED");
    }
    let singles: String = keys.iter().map(|key| format!("get {key}\r\n")).collect();
    let metas: String = keys.iter().map(|key| format!("mg {key} v\r\n")).collect();
    let request = format!("get {}\r\n{singles}{metas}mn\r\n", keys.join(" "));
    let server = cluster.servers[0].as_ref().unwrap();
    let mut other = cluster.client(0);
    let before = server.memory_bytes("VmRSS");
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| cluster.client(0)).collect();
    clients.iter_mut().for_each(|client| client.send(&request));
    wait_for_rest(&mut other);
    // Nobody else waits for them.
    assert_eq!(other.value(&keys[0]).as_deref(), Some(&value(&keys[0], 0)[..]));
    let more = server.memory_bytes("VmHWM").saturating_sub(before);
    let asked = CLIENTS * 3 * KEYS * VALUE_BYTES;
    say(&format!("{CLIENTS} clients that do not read: {more} bytes held of {asked}"));
    let expected: Vec<(String, Vec<u8>)> =
        keys.iter().enumerate().map(|(at, key)| (key.clone(), value(key, at))).collect();
    for client in &mut clients {
        assert!(client.values() == expected, "the read of all");
        for one in &expected {
            assert!(client.values() == std::slice::from_ref(one), "{}", one.0);
        }
        for (key, value) in &expected {
            assert!(meta_value(client) == *value, "{key}");
        }
        assert_eq!(client.line(), "MN\r\n");
    }
    assert!(more < HELD_BYTES, "{more} bytes held of {asked}");
}

#[test]
fn what_is_read_late_is_as_it_was_when_it_was_asked_for() {
    const ROUNDS: usize = 40;
    let cluster = Cluster::start();
    let key = cluster.keys_of(1, 1).remove(0);
    let mut client = cluster.client(0);
    let mut sender = client.socket().try_clone().unwrap();
    let asked = key.clone();
    let sending = std::thread::spawn(move || {
        for round in 0..ROUNDS {
            let reads = format!("get {asked}\r\nmg {asked} v\r\ngat 0 {asked}\r\nget {asked} {asked}\r\n");
            sender.write_all(&set(&asked, 0, &value(&asked, round))).unwrap();
            sender.write_all(reads.as_bytes()).unwrap();
            sender.write_all(format!("append {asked} 0 0 1 noreply\r\nx\r\n").as_bytes()).unwrap();
        }
    });
    wait_for_rest(&mut cluster.client(0));
    for round in 0..ROUNDS {
        let expected = (key.clone(), value(&key, round));
        assert_eq!(client.line(), "STORED\r\n", "round {round}");
        assert!(client.values() == std::slice::from_ref(&expected), "get, round {round}");
        assert!(meta_value(&mut client) == expected.1, "mg, round {round}");
        assert!(client.values() == std::slice::from_ref(&expected), "gat, round {round}");
        assert!(client.values() == [expected.clone(), expected], "get of both, round {round}");
    }
    sending.join().unwrap();
    assert_eq!(client.value(&key).map(|value| value.len()), Some(VALUE_BYTES + 1), "the last is appended to");
}
