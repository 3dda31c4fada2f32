//! What the client says when a server fails in the midst of things, and that it never sends anything twice.
use std::net::TcpListener;
use std::time::Duration;

use larder::client::{Answer, Blame, Client, Error, Operation, Options, Stored, Value, Why};

use super::bad_server::{Act, BadServer, PATIENCE};
use super::{address, client, patient};
use crate::wait;

/// Options for servers that do not answer.
fn impatient() -> Options {
    let patience = Duration::from_millis(60);
    Options { write_timeout: patience, read_timeout: patience, failures_max: 1000, ..patient() }
}

/// Waits until a text was heard; it must not have been heard twice.
fn heard_once(server: &BadServer, text: &str) {
    let heard = wait::until(PATIENCE, || (times(server, text) > 0).then_some(()));
    assert!(heard.is_some() && times(server, text) == 1, "{text:?} in {:?}", server.heard());
}

/// How often a text was heard.
fn times(server: &BadServer, text: &str) -> usize {
    server.heard().matches(text).count()
}

/// What a server does to a `get k`, and what the client is to make of it.
fn misbehaviours() -> Vec<(&'static str, Vec<Act>, Why)> {
    let say = |name, text, what: &str| {
        (name, vec![Act::Hear(1), Act::Say(text), Act::Hang], Why::BadReply(what.into()))
    };
    vec![
        ("closes in mid-value", vec![Act::Hear(1), Act::Say("VALUE k 0 10\r\nabc")], Why::Closed),
        ("closes in mid-line", vec![Act::Hear(1), Act::Say("VALUE k 0")], Why::Closed),
        ("closes behind a value", vec![Act::Hear(1), Act::Say("VALUE x 0 1\r\na")], Why::Closed),
        ("closes without a word", vec![Act::Hear(1)], Why::Closed),
        ("never answers", vec![Act::Hang], Why::TimedOut),
        ("stops in mid-value", vec![Act::Hear(1), Act::Say("VALUE k 0 10\r\nabc"), Act::Hang], Why::TimedOut),
        say("answers garbage", "what?\r\n", "not an answer: what?"),
        say("answers something else", "STORED\r\n", "not an answer: STORED"),
        say("answers another key", "VALUE x 0 1\r\na\r\nEND\r\n", "not an answer: VALUE x 0 1"),
        say("announces too much", "VALUE k 0 99999999999\r\n", "a value of 99999999999 bytes"),
        say("announces nothing", "VALUE k 0\r\n", "a value without length: VALUE k 0"),
        say("announces less than nothing", "VALUE k 0 -1\r\n", "a value without length: VALUE k 0 -1"),
        say(
            "sends more than announced",
            "VALUE k 0 1\r\nabcd\r\nEND\r\n",
            "no line end behind a value: bcd\\r\\nEND\\r\\n",
        ),
        say("ends a line badly", "END\n", "a line without CR: END"),
        say("sends binary", "\u{1}\u{0}\r\n", "not an answer: \\x01\\x00"),
        (
            "passed it on and knows no more",
            vec![Act::Hear(1), Act::Say("SERVER_ERROR outcome unknown: server 2\r\n"), Act::Hang],
            Why::Forwarded("SERVER_ERROR outcome unknown: server 2".into()),
        ),
    ]
}

#[test]
fn a_read_without_a_whole_answer_is_unknown_and_never_a_miss() {
    for (name, script, why) in misbehaviours() {
        let server = BadServer::start(&[&script]);
        let options = if why == Why::TimedOut { impatient() } else { patient() };
        let client = client(server.address, options);
        let expected = Error::Unknown { server: address(server.address), why };
        assert_eq!(client.get("k"), Err(expected), "{name}");
        heard_once(&server, "get k");
        assert_eq!(server.accepted(), 1, "{name}");
    }
}

#[test]
fn a_line_without_end_is_not_waited_for() {
    let endless: &'static str = Box::leak("x".repeat(5000).into_boxed_str());
    let server = BadServer::start(&[&[Act::Hear(1), Act::Say(endless), Act::Hang]]);
    let error = client(server.address, patient()).get("k").unwrap_err();
    let Error::Unknown { why: Why::BadReply(what), .. } = &error else { panic!("{error}") };
    assert!(what.starts_with("a line without end: xxx"), "{what}");
}

#[test]
fn an_answer_in_any_pieces_is_an_answer() {
    let server =
        BadServer::start(&[&[Act::Hear(1), Act::Drip("VALUE k 7 5\r\nhe\r\no\r\nEND\r\n"), Act::Hang]]);
    let found = client(server.address, patient()).get("k");
    assert_eq!(found, Ok(Some(Value { bytes: b"he\r\no".to_vec(), flags: 7, cas: None })));
}

#[test]
fn a_change_that_was_not_answered_is_unknown_and_sent_once() {
    for (name, script) in [
        ("closes", &[Act::Hear(1)][..]),
        ("hangs", &[Act::Hang]),
        ("resets", &[Act::Reset]),
        ("resets when accepted", &[]),
    ] {
        let server = BadServer::start(&[script]);
        let options = if name == "hangs" { impatient() } else { patient() };
        let client = client(server.address, options);
        for key in ["a", "b"] {
            let error = client.incr(key, 1).unwrap_err();
            let may_not_have_left = name == "resets when accepted";
            assert!(error.is_unknown() || may_not_have_left, "{name}: {error}");
            assert_ne!(error, Error::NotSent { server: address(server.address), why: Why::Down }, "{name}");
        }
        assert!(times(&server, "incr a") <= 1 && times(&server, "incr b") <= 1, "{name}: {}", server.heard());
    }
}

#[test]
fn of_a_pipeline_only_what_was_answered_is_known() {
    let server =
        BadServer::start(&[&[Act::Hear(4), Act::Say("STORED\r\nSERVER_ERROR out of memory\r\n7\r\n")]]);
    let client = client(server.address, patient());
    let operations = [
        Operation::set("a", "1"),
        Operation::set("b", "2"),
        Operation::incr("c", 1),
        Operation::incr("d", 1),
        Operation::get("e"),
    ];
    let answers = client.run(&operations);
    let server_address = address(server.address);
    let text = "SERVER_ERROR out of memory".to_owned();
    assert_eq!(answers[0], Ok(Answer::Stored(Stored::Stored)));
    assert_eq!(answers[1], Err(Error::Refused { server: server_address, blame: Blame::Server, text }));
    assert_eq!(answers[2], Ok(Answer::Number(Some(7))));
    assert!(answers[3..].iter().all(|answer| answer.as_ref().is_err_and(Error::is_unknown)), "{answers:?}");
    heard_once(&server, "incr d 1");
}

#[test]
fn a_read_of_many_that_cannot_be_complete_makes_no_misses() {
    let reply = "VALUE b 0 1\r\nx\r\nSERVER_ERROR group 7: server 2 is down\r\n";
    let server =
        BadServer::start(&[&[Act::Hear(1), Act::Say(reply), Act::Hear(2), Act::Say("END\r\n"), Act::Hang]]);
    let client = client(server.address, patient());
    let answers = client.get_many(&["a", "b", "c", "b"]);
    assert!(matches!(&answers[1], Ok(Some(value)) if value.bytes == b"x"), "{answers:?}");
    for at in [0, 2, 3] {
        assert!(matches!(&answers[at], Err(Error::Refused { blame: Blame::Server, .. })), "{answers:?}");
    }
    assert_eq!(client.get("a"), Ok(None), "the connection goes on");
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_kept_connection_that_was_closed_is_replaced_unseen() {
    let stored = [Act::Hear(2), Act::Say("STORED\r\n")];
    let server = BadServer::start(&[&stored]);
    let client = client(server.address, patient());
    for round in 1..=3 {
        assert_eq!(client.set("k", "v"), Ok(()), "round {round}");
        server.wait_closed(round);
    }
    assert_eq!((times(&server, "set k"), server.accepted()), (3, 3));
}

#[test]
fn an_answer_that_nobody_asked_for_is_nobodys() {
    let twice = [Act::Hear(2), Act::Say("STORED\r\nVALUE k 0 1\r\nx\r\nEND\r\n"), Act::Hang];
    let late = [Act::Hear(2), Act::Say("STORED\r\n"), Act::Say("VALUE k 0 1\r\nx\r\nEND\r\n")];
    for script in [&twice[..], &late] {
        let server = BadServer::start(&[script, &[Act::Hear(1), Act::Say("END\r\n"), Act::Hang]]);
        let client = client(server.address, patient());
        assert_eq!(client.set("k", "v"), Ok(()));
        if script.len() == late.len() && !matches!(script[2], Act::Hang) {
            server.wait_closed(1);
        }
        assert_eq!(client.get("k"), Ok(None), "the value belongs to no question");
    }
}

#[test]
fn a_server_that_takes_nothing_times_out() {
    let server = BadServer::start(&[&[Act::Ignore]]);
    let client = client(server.address, impatient());
    let value = vec![b'v'; 64 << 20];
    let error = client.set("k", &value).unwrap_err();
    assert_eq!(error, Error::Unknown { server: address(server.address), why: Why::TimedOut });
}

#[test]
fn a_server_that_is_gone_is_marked_down_probed_and_found_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = listener.local_addr().unwrap();
    drop(listener);
    let options =
        Options { probe_first: Duration::from_millis(5), probe_max: Duration::from_millis(20), ..patient() };
    let client = client(socket, options);
    let refused =
        Error::NotSent { server: address(socket), why: Why::Io(std::io::ErrorKind::ConnectionRefused) };
    assert_eq!(client.set("k", "v"), Err(refused));
    assert_eq!(client.set("k", "v"), Err(Error::NotSent { server: address(socket), why: Why::Down }));
    assert!(!client.servers()[0].is_up);
    let answering =
        [Act::Hear(1), Act::Say("VERSION 1\r\n"), Act::Hear(3), Act::Say("STORED\r\n"), Act::Hang];
    let server = BadServer::serve(TcpListener::bind(socket).unwrap(), &[&answering]);
    assert!(wait::until(PATIENCE, || client.servers()[0].is_up.then_some(())).is_some());
    assert_eq!(client.set("k", "v"), Ok(()));
    assert_eq!((times(&server, "set k"), server.accepted()), (1, 1), "the probe's connection serves on");
}

#[test]
fn a_server_that_hangs_is_marked_down() {
    let server = BadServer::start(&[&[Act::Hang]]);
    let options = Options { failures_max: 2, probe_first: Duration::from_secs(3600), ..impatient() };
    let client = client(server.address, options);
    let ends: Vec<Why> = (0..4)
        .map(|_| match client.get("k").unwrap_err() {
            Error::Unknown { why, .. } | Error::NotSent { why, .. } => why,
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(ends, [Why::TimedOut, Why::TimedOut, Why::Down, Why::Down]);
    drop(client);
    assert!(times(&server, "get k") <= 2);
}

#[test]
fn what_cannot_be_asked_is_not_sent() {
    let server = BadServer::start(&[&[Act::Hang]]);
    let client = client(server.address, impatient());
    let long = "k".repeat(251);
    for key in ["", "a b", "a\r\nflush_all", "a\u{7f}", long.as_str()] {
        assert!(matches!(client.get(key), Err(Error::Invalid(_))), "{key:?}");
        assert!(matches!(client.set(key, "v"), Err(Error::Invalid(_))), "{key:?}");
    }
    assert!(matches!(client.meta_debug(&long), Err(Error::Invalid(_))));
    assert!(
        matches!(client.meta_debug("k ".repeat(94)), Err(Error::Invalid(_))),
        "188 bytes are 252 of base64"
    );
    assert_eq!(server.accepted(), 0);
    let nobody = larder::client::Memcached {
        servers: Vec::new(),
        distribution: larder::client::Distribution::default(),
        takeover: true,
    };
    assert!(matches!(Client::memcached(&nobody, patient()).get("k"), Err(Error::Invalid(_))));
}
