//! Agreement and transfer over sockets that give and take what they like.
use std::io::IoSlice;

use larder::tls::{Rules, Secured};

use super::authority::Authority;
use super::memory::{End, acceptor, agree, connector, ends, is_pause};

/// Both sides, with sockets that `tune` has changed; nothing is said yet.
fn sides(tune: impl Fn(&mut End)) -> (Secured<End>, Secured<End>) {
    let authority = Authority::new();
    let (mut at_server, mut at_client) = ends();
    tune(&mut at_server);
    tune(&mut at_client);
    let server = acceptor(&authority, Rules::default()).accept(at_server).unwrap();
    (server, connector(&authority).connect(at_client, "localhost").unwrap())
}

/// Sends all of it from one side to the other, as a loop of events does: what was taken, in the end.
fn transfer(from: &mut Secured<End>, to: &mut Secured<End>, bytes: &[u8]) -> Vec<u8> {
    let (mut sent, mut received) = (0, Vec::new());
    let mut buffer = vec![0; 64 << 10];
    while received.len() < bytes.len() {
        let rest = &bytes[sent..];
        let (one, two) = rest.split_at(rest.len() / 3);
        match from.write_vectored(&[IoSlice::new(one), IoSlice::new(&[]), IoSlice::new(two)]) {
            Ok(count) => sent += count,
            Err(error) => assert!(is_pause(&error), "{error}"),
        }
        match to.read(&mut buffer) {
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) => assert!(is_pause(&error), "{error}"),
        }
    }
    assert_eq!(sent, bytes.len(), "all that was received was reported as sent, or will be");
    received
}

#[test]
fn sides_agree_though_every_byte_comes_alone() {
    let (mut server, mut client) = sides(|end| end.piece_bytes = 1);
    agree(&mut server, &mut client).unwrap();
    assert!(!server.is_handshaking() && !client.is_handshaking());
    assert!(server.take_opened() && !server.take_opened(), "it is said once");
}

#[test]
fn sides_agree_wherever_the_hello_is_cut() {
    let (_server, client) = sides(|_| {});
    drop(client);
    let mut cut = 1;
    loop {
        let (mut server, mut client) = sides(|_| {});
        client.flush_all().unwrap();
        let hello_bytes = server.socket().waiting().len();
        if cut >= hello_bytes {
            assert!(hello_bytes > 100, "there was a hello");
            return;
        }
        server.socket_mut().piece_bytes = cut;
        let first = server.read(&mut [0; 64 << 10]).unwrap_err();
        assert!(is_pause(&first), "cut at {cut}: {first}");
        server.socket_mut().piece_bytes = usize::MAX;
        agree(&mut server, &mut client).unwrap();
        assert!(!server.is_handshaking(), "cut at {cut}");
        cut += if cut < 64 { 1 } else { 7 };
    }
}

#[test]
fn sides_agree_though_sockets_take_little_at_a_time() {
    let (mut server, mut client) = sides(|end| end.room_bytes = 11);
    agree(&mut server, &mut client).unwrap();
    assert!(!server.is_handshaking() && !client.is_handshaking());
}

#[test]
fn large_values_pass_both_ways_whatever_the_sockets_take() {
    let value: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
    for (piece_bytes, room_bytes) in
        [(usize::MAX, usize::MAX), (1000, usize::MAX), (usize::MAX, 5000), (333, 777)]
    {
        let (mut server, mut client) = sides(|_| {});
        agree(&mut server, &mut client).unwrap();
        for side in [&mut server, &mut client] {
            (side.socket_mut().piece_bytes, side.socket_mut().room_bytes) = (piece_bytes, room_bytes);
        }
        assert!(transfer(&mut client, &mut server, &value) == value, "up, {piece_bytes} and {room_bytes}");
        assert!(transfer(&mut server, &mut client, &value) == value, "down, {piece_bytes} and {room_bytes}");
    }
}

#[test]
fn nothing_counts_as_written_before_the_socket_has_it_and_little_is_held() {
    let (mut server, mut client) = sides(|_| {});
    agree(&mut server, &mut client).unwrap();
    server.socket_mut().room_bytes = 1000;
    let value = vec![b'v'; 1_000_000];
    let refused = server.write(&value).unwrap_err();
    assert!(is_pause(&refused));
    // What it holds ahead comes out when there is room, and is no more than one piece of the default size.
    server.socket_mut().room_bytes = usize::MAX;
    server.flush_all().unwrap();
    let held_bytes = client.socket().waiting().len();
    assert!((16 << 10..(16 << 10) + 1000).contains(&held_bytes), "{held_bytes}");
}

#[test]
fn one_side_may_end_and_still_be_answered() {
    let (mut server, mut client) = sides(|_| {});
    agree(&mut server, &mut client).unwrap();
    client.write(b"get a\r\n").unwrap();
    drop(client);
    let mut buffer = [0; 64 << 10];
    assert_eq!(server.read(&mut buffer).unwrap(), 7);
    assert!(server.has_more(), "its end is known");
    assert_eq!(server.read(&mut buffer).unwrap(), 0, "the end");
    assert_eq!(server.write(b"END\r\n").unwrap(), 5);
}

/// Who counts bytes as unsent may send them again by another connection: they must not leave by this one after all.
#[test]
fn what_is_not_reported_does_not_leave_unseen() {
    let (mut server, mut client) = sides(|_| {});
    agree(&mut server, &mut client).unwrap();
    client.write(b"get a\r\n").unwrap();
    server.socket_mut().room_bytes = 1000;
    assert!(is_pause(&server.write(&[b'v'; 10_000]).unwrap_err()));
    server.socket_mut().room_bytes = usize::MAX;
    assert_eq!(server.read(&mut [0; 64 << 10]).unwrap(), 7);
    server.flush_own().unwrap();
    assert_eq!(client.socket().waiting().len(), 1000, "after a read and an event");
    drop(server);
    assert_eq!(client.socket().waiting().len(), 1000, "nor by a farewell");
}
