//! Replies: in pieces as memcached's, too long ones, late ones.
use std::collections::BTreeMap;

use super::{Fixture, Sender, framed};
use crate::client::Client;
use crate::oracle::Oracle;
use crate::random::Random;
use crate::skips;

/// The longest reply, bytes.
const REPLY_BYTES_MAX: usize = 64 * 1392;

fn value(bytes: usize) -> Vec<u8> {
    let mut random = Random::new(bytes as u64);
    (0..bytes).map(|_| b'a' + random.below(26) as u8).collect()
}

/// What `get` says of a value.
fn told(key: &str, value: &[u8]) -> Vec<u8> {
    [format!("VALUE {key} 0 {}\r\n", value.len()).as_bytes(), value, b"\r\nEND\r\n"].concat()
}

/// A frame of the binary protocol that asks for a key.
fn frame(opcode: u8, key: &str) -> Vec<u8> {
    let key_bytes = key.len() as u8;
    let mut bytes = vec![0x80, opcode, 0, key_bytes, 0, 0, 0, 0, 0, 0, 0, key_bytes, 0, 0, 0, 9];
    bytes.resize(24, 0);
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

#[test]
fn long_replies_come_in_the_pieces_that_memcached_sends() {
    let Some(memcached) = skips::require("memcached") else { return };
    let fixture = Fixture::start(&[]);
    let oracle = Oracle::start(&memcached, &["-U", "-1", "-t", "1"].map(String::from)).unwrap();
    let ours = fixture.sender();
    let theirs = Sender::to(oracle.udp_address().unwrap());
    let mut clients = [Client::connect(fixture.larder.address()), Client::connect(oracle.address())];
    // Around one datagram, then up to what a receive buffer surely holds.
    for bytes in (1360..1376).chain([1391, 1392, 1393, 2750, 4096, 5000, 20_000, 60_000]) {
        let value = value(bytes);
        for client in &mut clients {
            assert_eq!(client.set("k", &value), "STORED");
        }
        assert_eq!(ours.ask(0x1234, b"get k\r\n"), told("k", &value), "{bytes}");
        assert_eq!(ours.pieces(9, b"get k\r\n"), theirs.pieces(9, b"get k\r\n"), "{bytes}");
        let [mine, his] = [&ours, &theirs].map(|sender| sender.pieces(5, &frame(0x00, "k")));
        let lengths = |pieces: &[Vec<u8>]| pieces.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(&mine), lengths(&his), "{bytes} in a frame");
    }
}

#[test]
fn several_items_are_one_reply() {
    let fixture = Fixture::start(&[]);
    let mut client = Client::connect(fixture.larder.address());
    let (small, large) = (value(10), value(5000));
    client.set("s", &small);
    client.set("l", &large);
    let item = |key, value: &[u8]| {
        let mut text = told(key, value);
        text.truncate(text.len() - b"END\r\n".len());
        text
    };
    let expected = [item("s", &small), item("l", &large), item("s", &small), b"END\r\n".to_vec()].concat();
    let reply = fixture.sender().ask(3, b"get s l none s\r\n");
    assert_eq!(reply, expected);
}

#[test]
fn a_request_of_a_whole_datagram_is_served() {
    let fixture = Fixture::start(&[]);
    let sender = fixture.sender();
    let value = value(60_000);
    let request = [format!("set k 0 0 {}\r\n", value.len()).as_bytes(), &value, b"\r\n"].concat();
    assert_eq!(sender.ask(1, request), b"STORED\r\n");
    assert_eq!(sender.ask(2, b"get k\r\n"), told("k", &value));
    // More requests than a turn takes, and more keys than one does.
    let many = "mn\r\n".repeat(10_000);
    assert_eq!(sender.say(&many), "MN\r\n".repeat(10_000));
    let keys = " none".repeat(10_000);
    assert_eq!(sender.say(&format!("get{keys}\r\n")), "END\r\n");
}

#[test]
fn a_reply_that_is_too_long_is_one_error() {
    let fixture = Fixture::start(&["-I", "4m", "-m", "64"]);
    let mut client = Client::connect(fixture.larder.address());
    let sender = fixture.sender();
    let head = told("k", &value(80_000)).len() - 80_000;
    for (bytes, fits) in
        [(REPLY_BYTES_MAX - head, true), (REPLY_BYTES_MAX - head + 1, false), (3_000_000, false)]
    {
        let value = value(bytes);
        assert_eq!(client.set("k", &value), "STORED");
        let reply = sender.ask(1, b"get k\r\n");
        if fits {
            assert_eq!(reply, told("k", &value));
        } else {
            assert_eq!(reply, b"SERVER_ERROR reply too long for UDP: ask over TCP\r\n", "{bytes}");
        }
    }
    // The opcode, the status and the opaque of the first frame whose answer would have come.
    let reply = sender.ask(1, [frame(0x09, "none"), frame(0x0c, "k"), frame(0x0a, "")].concat());
    assert_eq!(reply[..8], [0x81, 0x0c, 0, 0, 0, 0, 0, 3]);
    assert_eq!((&reply[12..16], &reply[24..]), (&[0, 0, 0, 9][..], &b"Too large."[..]));
    // Many short ones are as long.
    assert!(sender.say(&"nonsense\r\n".repeat(6000)).starts_with("ERROR\r\n"));
    let reply = sender.ask(1, "incr\r\n".repeat(6000));
    assert_eq!(reply, b"SERVER_ERROR reply too long for UDP: ask over TCP\r\n");
    sender.hears_nothing();
}

#[test]
fn late_replies_reach_whoever_asked() {
    let fixture = Fixture::start(&["--fsync", "always"]);
    let senders: Vec<Sender> = (0..40).map(|_| fixture.sender()).collect();
    for (who, sender) in senders.iter().enumerate() {
        for round in 0..4u16 {
            let key = format!("k{who}r{round}");
            let id = (who as u16) << 8 | round;
            sender.send(&framed(id, format!("set {key} 0 0 4\r\n{id:04x}\r\nget {key}\r\n").as_bytes()));
        }
    }
    for (who, sender) in senders.iter().enumerate() {
        let replies: BTreeMap<u16, Vec<u8>> = (0..4)
            .map(|_| sender.receive())
            .map(|piece| (u16::from_be_bytes([piece[0], piece[1]]), piece[8..].to_vec()))
            .collect();
        for round in 0..4u16 {
            let id = (who as u16) << 8 | round;
            let told = told(&format!("k{who}r{round}"), format!("{id:04x}").as_bytes());
            assert_eq!(replies.get(&id), Some(&[b"STORED\r\n", &told[..]].concat()), "{id:04x}");
        }
        sender.hears_nothing();
    }
}

#[test]
fn more_than_may_wait_are_taken_when_others_have_left() {
    let fixture = Fixture::start(&["--fsync", "always"]);
    let sender = fixture.sender();
    // Each socket buffer holds some hundred; what is not taken yet waits there.
    let (count, rounds) = (100u16, 6u16);
    for round in 0..rounds {
        let ids: Vec<u16> = (0..count).map(|number| round * count + number).collect();
        ids.iter().for_each(|id| sender.send(&framed(*id, format!("set k{id} 0 0 1\r\nx\r\n").as_bytes())));
        let mut answered: Vec<u16> = ids
            .iter()
            .map(|_| sender.receive())
            .map(|piece| u16::from_be_bytes([piece[0], piece[1]]))
            .collect();
        answered.sort_unstable();
        assert_eq!(answered, ids);
    }
}

#[test]
fn the_figures_know_of_udp() {
    let fixture = Fixture::start(&[]);
    let port = fixture.larder.udp_address().port();
    let sender = fixture.sender();
    assert_eq!(sender.say("version\r\n"), "VERSION 1.6.45\r\n");
    let mut client = Client::connect(fixture.larder.address());
    let conns = client.lines("stats conns\r\n", "END\r\n").concat();
    let udp = conns.find(":UDP UDP\r\n").expect("the socket is shown");
    assert!(conns[udp..].contains(&format!(":addr udp:127.0.0.1:{port}\r\n")), "{conns}");
    assert!(conns[udp..].contains(":state conn_read\r\n"), "{conns}");
    let settings = client.lines("stats settings\r\n", "END\r\n");
    assert!(settings.contains(&"STAT num_threads_per_udp 1\r\n".to_owned()), "{settings:?}");
    assert!(settings.iter().any(|line| line.starts_with("STAT udpport ")), "{settings:?}");
    // memcached counts the socket, too.
    assert_eq!(client.figure("curr_connections"), 2);
    let (read, written) = (client.figure("bytes_read"), client.figure("bytes_written"));
    sender.say("mn\r\n");
    assert!(client.figure("bytes_read") >= read + 12 && client.figure("bytes_written") >= written + 12);
    assert!(Fixture::start(&["-U", "0"]).larder.udp_ports().is_empty());
}
