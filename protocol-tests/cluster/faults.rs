//! A target that misbehaves spoils what is asked of it, tells who asked so, and spoils nothing else.
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::target::{Conduct, Target, VALUE};
use super::{Cluster, LOOPBACK, PATIENCE};
use crate::client::{Client, set};
use crate::frames;
use crate::skips::say;
use crate::wait;

/// Three servers, the second of which is played.
fn played(conduct: Conduct) -> (Cluster, Target) {
    let target = Target::listen(conduct);
    let ranges = [("0-5", 1), ("6-10", 2), ("11-15", 3)];
    let cluster = Cluster::of(16, &ranges, &[(1, target.address)]);
    target.in_force(&cluster.map, 2);
    (cluster, target)
}

/// A key of each server.
fn keys(cluster: &Cluster) -> [String; 3] {
    [0, 1, 2].map(|at| cluster.keys_of(at, 1).remove(0))
}

#[test]
fn a_slow_target_keeps_its_askers_in_order_and_nobody_else_waiting() {
    let (cluster, target) = played(Conduct::Holds);
    let [own, slow, other] = keys(&cluster);
    let mut patient = cluster.client(0);
    patient.send(format!("get {slow}\r\nset {own} 0 0 1\r\n1\r\nget {slow} {own} {slow}\r\nmn\r\n"));
    target.wait_asked(1);
    // While that client waits, others do not, nor does the command behind: it was executed, and says so in its turn.
    let mut client = cluster.client(0);
    for n in 0..200 {
        assert_eq!(client.set(&other, n.to_string().as_bytes()), "STORED");
        assert_eq!(client.value(&own).as_deref(), Some(&b"1"[..]));
    }
    target.conduct(Conduct::Drips);
    let value = |key: &str, value: &str| (key.to_owned(), value.as_bytes().to_vec());
    assert_eq!(patient.values(), [value(&slow, VALUE)]);
    assert_eq!(patient.line(), "STORED\r\n");
    assert_eq!(patient.values(), [value(&slow, VALUE), value(&own, "1"), value(&slow, VALUE)]);
    assert_eq!(patient.line(), "MN\r\n");
}

#[test]
fn a_target_that_closes_in_mid_value_shows_no_part_of_it_and_makes_no_miss() {
    let (cluster, target) = played(Conduct::Breaks);
    let [own, broken, _] = keys(&cluster);
    let mut client = cluster.client(0);
    assert_eq!(client.set(&own, b"1"), "STORED");
    let unknown = "SERVER_ERROR outcome unknown: group ";
    assert!(client.ask(format!("get {broken}\r\n")).starts_with(unknown));
    client.send(format!("get {own} {broken} {own}\r\n"));
    for expected in ["VALUE ", "1\r\n", "VALUE ", "1\r\n", unknown] {
        let line = client.line();
        assert!(line.starts_with(expected), "{expected}: {line}");
    }
    let mut binary = frames::Client::connect(cluster.address(2));
    let store = frames::Frame {
        opcode: 0x01,
        key: broken.clone().into(),
        extras: vec![0; 8],
        value: b"x".into(),
        ..Default::default()
    };
    binary.send(&store.bytes());
    let answer = binary.receive().unwrap();
    assert!(answer.status == 0x84 && answer.body.starts_with(unknown), "{answer:?}");
    assert_eq!(target.asked(), 3, "each was asked once");
    // Whoever is whole again is asked again.
    target.conduct(Conduct::Answers);
    assert_eq!(client.value(&broken).as_deref(), Some(VALUE.as_bytes()));
}

/// Values of the flood, how many of each client, and how many clients.
const FLOOD_BYTES: usize = 128 << 10;
const FLOOD_SETS: usize = 200;
const FLOOD_CLIENTS: usize = 8;
/// What the flood may add to the memory of the server that it comes in by: half of it. Both workers hold what may wait
/// for one server, 16 MB, and a heap holds more than is in use.
const FLOOD_HELD_BYTES: u64 = 100 << 20;

/// Sends sets that the target never takes; the errors that answer them.
fn flood(address: SocketAddr, key: &str) -> Vec<String> {
    let mut client = Client::connect(address);
    let sender = client.socket().try_clone().unwrap();
    let request = set(key, 0, &vec![b'v'; FLOOD_BYTES]);
    let sending = std::thread::spawn(move || {
        (0..FLOOD_SETS).for_each(|_| (&sender).write_all(&request).unwrap());
    });
    let answers = (0..FLOOD_SETS).map(|_| client.line()).collect();
    sending.join().unwrap();
    answers
}

#[test]
fn a_target_that_stops_reading_is_given_up_and_costs_bounded_memory() {
    let (cluster, target) = played(Conduct::Stops);
    let [own, stuck, _] = keys(&cluster);
    let server = cluster.servers[0].as_ref().unwrap();
    let before = server.memory_bytes("VmRSS");
    let address = SocketAddr::new(LOOPBACK, cluster.address(0).port());
    let floods: Vec<_> = (0..FLOOD_CLIENTS)
        .map(|_| {
            let stuck = stuck.clone();
            std::thread::spawn(move || flood(address, &stuck))
        })
        .collect();
    target.wait_asked(1);
    let mut client = cluster.client(0);
    while !floods.iter().all(std::thread::JoinHandle::is_finished) {
        assert_eq!(client.set(&own, b"1"), "STORED");
        assert_eq!(client.value(&own).as_deref(), Some(&b"1"[..]));
    }
    let answers: Vec<String> = floods.into_iter().flat_map(|flood| flood.join().unwrap()).collect();
    let count = |what: &str| answers.iter().filter(|line| line.contains(what)).count();
    let (unknown, full, down) = (count("outcome unknown: "), count("has too much to do"), count("is down"));
    assert_eq!(unknown + full + down, FLOOD_CLIENTS * FLOOD_SETS, "{:?}", answers.first());
    assert!(unknown > 0 && answers.iter().all(|line| line.contains(" on server 2")));
    let more = server.memory_bytes("VmHWM").saturating_sub(before);
    say(&format!(
        "a target that stops reading: {unknown} unknown, {full} refused, {down} down, {more} bytes held"
    ));
    assert!(more < FLOOD_HELD_BYTES, "{more} bytes held of {}", FLOOD_CLIENTS * FLOOD_SETS * FLOOD_BYTES);
}

#[test]
fn nobody_without_the_secret_is_talked_to() {
    let mut cluster = Cluster::start();
    let peer = SocketAddr::new(LOOPBACK, cluster.map.servers()[0].peer.port());
    let binary = frames::Frame { opcode: 0x0a, ..Default::default() }.bytes();
    for stranger in [&b"get a\r\n"[..], b"GET / HTTP/1.1\r\n\r\n", &binary, &[0; 4096]] {
        let mut stream = TcpStream::connect(peer).unwrap();
        stream.write_all(stranger).unwrap();
        let mut answer = Vec::new();
        // It may close before it has read everything, which ends in a reset.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"LP\x03\x06"), "{}", answer.escape_ascii());
    }
    cluster.kill(2);
    std::fs::write(cluster.path("other"), "another secret of theirs").unwrap();
    cluster.begin_with(2, "other");
    let [first, _, third] = keys(&cluster);
    for (at, key, server) in [(2, &first, 1), (0, &third, 3)] {
        let mut client = cluster.client(at);
        let text = format!(" is on server {server}, which is down");
        let is_refused = || client.ask(format!("get {key}\r\n")).ends_with(&text).then_some(());
        assert!(wait::until(PATIENCE, is_refused).is_some(), "server {} asks {server}", at + 1);
    }
    let said = cluster.servers[0].as_ref().unwrap().said();
    assert!(said.contains("a connection to the peer address is refused: "), "{said}");
    assert_eq!(cluster.client(2).set(&third, b"1"), "STORED", "its own it has");
}
