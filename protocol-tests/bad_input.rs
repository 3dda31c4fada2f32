//! Clients that send nonsense, too much, too little, or do not read: each gets its answer, the others do not notice, and
//! the server's memory stays bounded.
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::client::{Client, set};
use crate::process::Larder;
use crate::random::Random;
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(60);
const MB: u64 = 1 << 20;

/// A server for one test; its data goes with it.
struct Fixture {
    larder: Larder,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn start(options: &[&str]) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let own = ["--groups", "4", "--log-size", "64m", "-t", "2"];
        let larder = Larder::start(&folder.path().join("data"), &[&own, options].concat()).unwrap();
        Fixture { larder, _folder: folder }
    }

    fn client(&self) -> Client {
        Client::connect(self.larder.address())
    }

    /// It serves others, and no thread has panicked.
    fn serves(&self) {
        assert_eq!(self.client().ask("version\r\n"), "VERSION 1.6.45");
        assert!(!self.larder.said().contains("panic"), "{}", self.larder.said());
    }

    /// Waits until only the connection that asks is left.
    fn is_left_alone(&self) {
        let mut client = self.client();
        wait::until(PATIENCE, || (client.figure("curr_connections") == 1).then_some(()))
            .expect("the others are closed");
    }
}

#[test]
fn nonsense_gets_its_answer_and_the_connection_lives() {
    let fixture = Fixture::start(&[]);
    let long_key = "k".repeat(251);
    let rows: Vec<(String, &str)> = vec![
        (format!("get {long_key}\r\n"), "CLIENT_ERROR bad command line format"),
        (format!("set {long_key} 0 0 5\r\nvalue\r\n"), "CLIENT_ERROR bad command line format"),
        (format!("delete {long_key}\r\n"), "CLIENT_ERROR bad command line format"),
        (format!("incr {long_key} 1\r\n"), "CLIENT_ERROR bad command line format"),
        ("set k 0 0 -1\r\n".into(), "CLIENT_ERROR bad command line format"),
        ("set k 0 0 x\r\n".into(), "CLIENT_ERROR bad command line format"),
        ("set k 0 0 2147483646\r\n".into(), "CLIENT_ERROR bad command line format"),
        ("set k 0 0 99999999999999999999\r\n".into(), "CLIENT_ERROR bad command line format"),
        ("set k 0 0 3\r\nvalue\r\n".into(), "CLIENT_ERROR bad data chunk"),
        ("set k 0 0 5\r\nvalueXX\r\n".into(), "CLIENT_ERROR bad data chunk"),
        ("fooble\r\n".into(), "ERROR"),
        ("\u{1}\u{2}\u{ff}\u{fe}junk\r\n".into(), "ERROR"),
        (format!("{} x\r\n", "y".repeat(1000)), "ERROR"),
    ];
    let mut client = fixture.client();
    for (request, reply) in &rows {
        assert_eq!(client.ask(request), *reply, "{request:?}");
        // What a bad length left behind is taken for commands, as memcached does.
        client.send("mn\r\n");
        while client.line() != "MN\r\n" {}
    }
    assert_eq!(client.value("k"), None);
    fixture.serves();
}

#[test]
fn a_line_without_an_end_closes_silently_unless_it_is_a_get() {
    let fixture = Fixture::start(&[]);
    for start in ["", "set ", "gat 0 ", "mg "] {
        let mut client = fixture.client();
        client.send(format!("{start}{}", "x".repeat(3000)));
        assert_eq!(client.line(), "", "{start:?}");
    }
    let mut client = fixture.client();
    client.set("x", b"value");
    client.send("get ");
    for _ in 0..1000 {
        client.send("absent ".repeat(128));
    }
    client.send("x\r\n");
    assert_eq!(client.values().len(), 1);
    let mut client = fixture.client();
    client.send(format!("get {}\r\n", "y".repeat(100_000)));
    assert_eq!(client.line(), "CLIENT_ERROR bad command line format\r\n");
    assert_eq!(client.ask("version\r\n"), "VERSION 1.6.45");
    fixture.serves();
}

#[test]
fn binary_junk_harms_nobody() {
    let fixture = Fixture::start(&[]);
    let seed = 41;
    let mut random = Random::new(seed);
    for round in 0..40 {
        let client = fixture.client();
        let mut junk: Vec<u8> = (0..20_000).flat_map(|_| random.next().to_le_bytes()).collect();
        if round % 2 == 0 {
            // As a binary protocol request begins.
            junk[0] = 0x80;
        }
        // It may be cut off in the middle.
        let _ = client.socket().write_all(&junk);
    }
    fixture.serves();
    fixture.is_left_alone();
}

#[test]
fn half_a_value_then_a_close_stores_nothing() {
    let fixture = Fixture::start(&[]);
    assert_eq!(fixture.client().set("k", b"old"), "STORED");
    for piece in [
        "set k 0 0 100",
        "set k 0 0 100\r\n",
        "set k 0 0 100\r\nhalf",
        "set k 0 0 4\r\nhalf",
        "append k 0 0 4\r\nhal",
    ] {
        let silent = fixture.client();
        silent.send(piece);
        assert_eq!(fixture.client().value("k").as_deref(), Some(&b"old"[..]), "{piece:?}, silent");
        silent.socket().shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        (&mut silent.socket()).read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "{piece:?}: {rest:?}");
        assert_eq!(fixture.client().value("k").as_deref(), Some(&b"old"[..]), "{piece:?}, closed");
    }
    fixture.is_left_alone();
}

#[test]
fn a_gigabyte_is_refused_and_swallowed_without_being_kept() {
    const LENGTH: u64 = 1 << 30;
    let fixture = Fixture::start(&[]);
    let mut client = fixture.client();
    let before = fixture.larder.memory_bytes("VmHWM");
    client.send(format!("set k 0 0 {LENGTH}\r\n"));
    assert_eq!(client.line(), "SERVER_ERROR object too large for cache\r\n");
    let piece = vec![b'x'; MB as usize];
    for _ in 0..LENGTH / MB {
        client.send(&piece);
    }
    assert_eq!(client.ask("\r\nversion\r\n"), "VERSION 1.6.45");
    let grown = fixture.larder.memory_bytes("VmHWM") - before;
    assert!(grown < 16 * MB, "{} MB more", grown / MB);
    // The announcement alone takes no memory either.
    let announcing: Vec<Client> = (0..200).map(|_| fixture.client()).collect();
    announcing.iter().for_each(|client| client.send("set k 0 0 1000000\r\nx"));
    fixture.serves();
    let grown = fixture.larder.memory_bytes("VmHWM") - before;
    assert!(grown < 16 * MB, "{} MB more", grown / MB);
}

#[test]
fn a_hundred_thousand_keys_in_one_get() {
    const STORED: usize = 200;
    const KEYS: usize = 100_000;
    let fixture = Fixture::start(&[]);
    let mut client = fixture.client();
    let value = |number: usize| format!("{number:>5000}").into_bytes();
    for number in 0..STORED {
        assert_eq!(client.set(&format!("key{number}"), &value(number)), "STORED");
    }
    // Every other key is a miss; the hits come to 250 MB, of which the outbox holds one at most.
    let keys: Vec<String> = (0..KEYS)
        .map(|at| if at % 2 == 0 { format!("key{}", at / 2 % STORED) } else { format!("miss{at}") })
        .collect();
    client.send(format!("get {}\r\n", keys.join(" ")));
    // Somebody else is served while this waits to be read.
    fixture.serves();
    let found = client.values();
    assert_eq!(found.len(), KEYS / 2);
    for (at, (key, found)) in found.into_iter().enumerate() {
        assert_eq!(key, format!("key{}", at % STORED));
        assert!(found == value(at % STORED), "{key}");
    }
    assert_eq!(client.ask("version\r\n"), "VERSION 1.6.45");
    let peak = fixture.larder.memory_bytes("VmHWM");
    assert!(peak < 128 * MB, "{} MB", peak / MB);
}

#[test]
fn clients_that_never_read_take_bounded_memory() {
    const CLIENTS: usize = 40;
    let fixture = Fixture::start(&[]);
    let mut client = fixture.client();
    assert_eq!(client.set("k", &vec![b'v'; 500_000]), "STORED");
    assert_eq!(client.set("small", &[b'v'; 1000]), "STORED");
    let before = fixture.larder.memory_bytes("VmRSS");
    let deaf: Vec<Client> = (0..CLIENTS).map(|_| fixture.client()).collect();
    for (number, client) in deaf.iter().enumerate() {
        // Requests for 2 GB and more a client, until the server takes no more of them.
        client.socket().set_nonblocking(true).unwrap();
        let key = if number % 2 == 0 { "k" } else { "small" };
        let requests = format!("get {key}\r\n").repeat(10_000);
        while (&mut client.socket()).write_all(requests.as_bytes()).is_ok() {}
    }
    let mut other = fixture.client();
    for number in 0..1000 {
        assert_eq!(other.set(&format!("key{number}"), b"value"), "STORED");
        assert_eq!(other.value("small").map(|value| value.len()), Some(1000));
    }
    let grown = fixture.larder.memory_bytes("VmRSS").saturating_sub(before);
    // An outbox each, and what a reply may put beyond its bound.
    let bound = CLIENTS as u64 * 3 * MB / 2 + 8 * MB;
    assert!(grown <= bound, "{} MB more for {CLIENTS} clients", grown / MB);
    drop((deaf, client, other));
    fixture.is_left_alone();
}

#[test]
fn half_open_connections_keep_nobody_out_and_too_many_are_told() {
    const MAX: usize = 100;
    let fixture = Fixture::start(&["-c", "100"]);
    let mut first = fixture.client();
    assert_eq!(first.ask("version\r\n"), "VERSION 1.6.45");
    let open: Vec<Client> = (1..MAX).map(|_| fixture.client()).collect();
    for (number, client) in open.iter().enumerate() {
        client.send(["", "g", "get k", "set k 0 0 10\r\n", "set k 0 0 10\r\nhalf"][number % 5]);
    }
    wait::until(PATIENCE, || (first.figure("curr_connections") == MAX as u64).then_some(()))
        .expect("all are in");
    for _ in 0..5 {
        let mut refused = fixture.client();
        assert_eq!(refused.line(), "ERROR Too many open connections\r\n");
        assert_eq!(refused.line(), "", "closed");
    }
    assert_eq!(first.figure("rejected_connections"), 5);
    assert_eq!(first.set("k", b"value"), "STORED");
    drop(open);
    wait::until(PATIENCE, || (first.figure("curr_connections") == 1).then_some(())).expect("all are gone");
    fixture.serves();
}

#[test]
fn a_client_that_sends_byte_by_byte_is_understood() {
    let fixture = Fixture::start(&[]);
    let mut client = fixture.client();
    for byte in b"set k 0 0 5\r\nvalue\r\nget k absent\r\nversion\r\n" {
        client.send([*byte]);
    }
    let lines: Vec<String> = (0..5).map(|_| client.line()).collect();
    assert_eq!(lines, ["STORED\r\n", "VALUE k 0 5\r\n", "value\r\n", "END\r\n", "VERSION 1.6.45\r\n"]);
}

#[test]
fn ten_thousand_pipelined_requests_are_answered_in_order() {
    const REQUESTS: u64 = 10_000;
    for options in [&["--fsync", "everysec"][..], &["--fsync", "always"]] {
        let fixture = Fixture::start(options);
        let mut client = fixture.client();
        assert_eq!(client.set("n", b"0"), "STORED");
        let mut requests = Vec::new();
        for number in 1..=REQUESTS {
            match number % 4 {
                0 => requests.extend_from_slice(b"incr n 1\r\n"),
                1 => requests.extend_from_slice(&set(
                    &format!("key{number}"),
                    0,
                    number.to_string().as_bytes(),
                )),
                2 => requests.extend_from_slice(format!("get key{}\r\n", number - 1).as_bytes()),
                _ => requests.extend_from_slice(format!("fooble {number}\r\nmn\r\n").as_bytes()),
            }
        }
        // All of it before anything is read: the replies are smaller than what the sockets and the outbox hold.
        client.send(&requests);
        client.socket().shutdown(Shutdown::Write).unwrap();
        for number in 1..=REQUESTS {
            match number % 4 {
                0 => assert_eq!(client.line(), format!("{}\r\n", number / 4)),
                1 => assert_eq!(client.line(), "STORED\r\n"),
                2 => assert_eq!(
                    client.values(),
                    [(format!("key{}", number - 1), (number - 1).to_string().into_bytes())]
                ),
                _ => assert_eq!((client.line().as_str(), client.line().as_str()), ("ERROR\r\n", "MN\r\n")),
            }
        }
        assert_eq!(client.line(), "", "closed after the last");
    }
}

#[test]
fn a_slow_reader_gets_the_value_that_was_there_when_it_asked() {
    const LENGTH: usize = 256 * 1024;
    const TIMES: usize = 32;
    let fixture = Fixture::start(&[]);
    let (old, new) = (vec![b'o'; LENGTH], vec![b'n'; LENGTH]);
    let mut writer = fixture.client();
    assert_eq!(writer.set("k", &old), "STORED");
    let mut slow = fixture.client();
    // More than the sockets take: the first replies are on their way, some wait in the outbox, the rest is asked later.
    slow.send("get k\r\n".repeat(TIMES));
    let mut first = [0; 1];
    slow.socket().peek(&mut first).unwrap();
    assert_eq!(writer.set("k", &new), "STORED");
    let mut seen = Vec::new();
    for _ in 0..TIMES {
        let value = slow.values().pop().unwrap().1;
        assert!(value == old || value == new, "a value is never mixed");
        seen.push(value == new);
    }
    // So many fill the outbox in the turn that sends the first byte.
    assert!(!seen[3], "what was asked for before keeps the old one");
    assert!(seen.is_sorted(), "never the old one after the new one");
    assert_eq!(slow.value("k"), Some(new));
}

#[test]
fn a_reset_in_the_middle_of_a_reply_frees_everything() {
    let fixture = Fixture::start(&[]);
    assert_eq!(fixture.client().set("k", &vec![b'v'; 900_000]), "STORED");
    for _ in 0..50 {
        let stream = TcpStream::connect(fixture.larder.address()).unwrap();
        (&stream).write_all("get k\r\n".repeat(50).as_bytes()).unwrap();
        let mut some = [0; 100];
        (&stream).read_exact(&mut some).unwrap();
        // Unread bytes in our socket make this a reset.
        drop(stream);
    }
    fixture.is_left_alone();
    fixture.serves();
}
