//! Bytes that no honest client sends: nothing panics, and nothing is kept for ever.
use std::io::Write;

use larder::tls::{Acceptor, Rules, Secured};

use super::authority::Authority;
use super::memory::{End, acceptor, agree, connector, ends, is_pause};
use crate::random::Random;

/// Handshakes that are tried for each way of spoiling them.
const TRIES: usize = 2_000;
/// What a handshake may take in before it must have failed: the largest message that rustls waits for, and a read.
const HANDSHAKE_BYTES_MAX: usize = (64 << 10) + (32 << 10);

/// What became of bytes.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// It waits for more.
    Waits,
    /// The connection is to be closed.
    Fails,
}

/// Gives a server these bytes.
fn offer(acceptor: &Acceptor, bytes: &[u8]) -> Outcome {
    let (at_server, mut at_client) = ends();
    at_client.write_all(bytes).unwrap();
    let mut server = acceptor.accept(at_server).unwrap();
    take_all(&mut server)
}

fn take_all(server: &mut Secured<End>) -> Outcome {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match server.read(&mut buffer) {
            Ok(0) => return Outcome::Fails,
            Ok(count) => panic!("{count} bytes of plain text out of nowhere"),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) if is_pause(&error) => return Outcome::Waits,
            Err(_) => return Outcome::Fails,
        }
    }
}

/// What a client says first.
fn hello(authority: &Authority) -> Vec<u8> {
    let (at_server, at_client) = ends();
    let mut client = connector(authority).connect(at_client, "localhost").unwrap();
    client.flush_all().unwrap();
    at_server.drain()
}

/// Changes, cuts, doubles or lengthens a part of it.
fn spoil(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let length = bytes.len() as u64;
        if length < 8 {
            return;
        }
        let at = random.below(length) as usize;
        match random.below(5) {
            0 => bytes[at] = random.next() as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.truncate(at),
            3 => {
                let piece: Vec<u8> = bytes[at..].iter().copied().take(random.below(64) as usize).collect();
                bytes.splice(at..at, piece);
            }
            _ => bytes.insert(at, [0, 0xff, 0x16, 0x03][random.below(4) as usize]),
        }
    }
}

#[test]
fn spoiled_hellos_fail_or_wait_and_never_panic() {
    let authority = Authority::new();
    let acceptor = acceptor(&authority, Rules::default());
    let whole = hello(&authority);
    let (mut waits, mut fails) = (0, 0);
    for seed in 0..TRIES as u64 {
        let mut random = Random::new(seed);
        let mut bytes = whole.clone();
        spoil(&mut bytes, &mut random);
        match offer(&acceptor, &bytes) {
            Outcome::Waits => waits += 1,
            Outcome::Fails => fails += 1,
        }
    }
    assert!(fails > TRIES / 4 && waits > TRIES / 20, "{fails} failed, {waits} wait: both happen");
}

#[test]
fn random_bytes_fail_or_wait_and_never_panic() {
    let acceptor = acceptor(&Authority::new(), Rules::default());
    for seed in 0..TRIES as u64 {
        let mut random = Random::new(seed);
        let mut bytes: Vec<u8> = (0..random.below(4096)).map(|_| random.next() as u8).collect();
        if random.below(2) == 0 && bytes.len() > 3 {
            bytes[..3].copy_from_slice(&[0x16, 3, 1]);
        }
        offer(&acceptor, &bytes);
    }
}

#[test]
fn what_comes_instead_of_a_handshake_fails_at_once() {
    let acceptor = acceptor(&Authority::new(), Rules::default());
    for text in
        ["get a\r\n", "GET / HTTP/1.0\r\n\r\n", "\r\n\r\n\r\n", "set a 0 0 1\r\na\r\n", "mn\r\nmn\r\n"]
    {
        assert_eq!(offer(&acceptor, text.as_bytes()), Outcome::Fails, "{text:?}");
    }
    assert_eq!(offer(&acceptor, &[0x80; 24]), Outcome::Fails, "a binary noop, nearly");
}

/// A handshake message that says it is 16 MB long, in records of any size; and records of nothing.
#[test]
fn a_handshake_that_never_ends_is_not_kept() {
    let acceptor = acceptor(&Authority::new(), Rules::default());
    for (payload_bytes, first) in
        [(16_000_usize, &[1, 0xff, 0xff, 0xff][..]), (100, &[1, 0xff, 0xff, 0xff]), (0, &[])]
    {
        let (at_server, mut at_client) = ends();
        let mut server = acceptor.accept(at_server).unwrap();
        let mut is_first = true;
        let failed = (0..100_000).any(|_| {
            let mut payload = vec![0; payload_bytes];
            if std::mem::replace(&mut is_first, false) {
                payload[..first.len()].copy_from_slice(first);
            }
            let length = (payload.len() as u16).to_be_bytes();
            at_client.write_all(&[0x16, 3, 1, length[0], length[1]]).unwrap();
            at_client.write_all(&payload).unwrap();
            take_all(&mut server) == Outcome::Fails
        });
        let taken = server.socket().read_bytes;
        assert!(
            failed && taken <= HANDSHAKE_BYTES_MAX,
            "records of {payload_bytes}: {failed}, {taken} bytes"
        );
    }
}

#[test]
fn what_is_spoiled_after_the_handshake_ends_the_connection() {
    let authority = Authority::new();
    let acceptor = acceptor(&authority, Rules::default());
    for at in [0, 1, 3, 4, 5, 9, 20] {
        let (at_server, at_client) = ends();
        let mut server = acceptor.accept(at_server).unwrap();
        let mut client = connector(&authority).connect(at_client, "localhost").unwrap();
        agree(&mut server, &mut client).unwrap();
        client.write(b"get a\r\n").unwrap();
        let mut record = server.socket().drain();
        record[at] ^= 0x55;
        // The rest of a record that is said to be longer, and more than any record may have.
        record.extend(vec![0; 40_000]);
        client.socket_mut().write_all(&record).unwrap();
        assert_eq!(take_all(&mut server), Outcome::Fails, "byte {at}");
    }
}
