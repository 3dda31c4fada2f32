//! Who is not answered, and what a stranger gets: servers that talk to each other, forged senders, nonsense.
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use larder::base::time::{Clock, UnixMs};
use larder::conn::Backend;
use larder::conn::datagram::{Allowance, Conversation, Need};
use larder::proto::datagram;
use larder::server::Embedded;

use super::{Fixture, framed};
use crate::client::Client;
use crate::drivers::TestClock;
use crate::fuzz;
use crate::model::tiny;
use crate::random::Random;
use crate::skips::say;

/// Datagrams of the ordinary run.
const DATAGRAMS: u64 = 4000;
/// Turns that one may take.
const TURNS_MAX: usize = 20_000;

#[test]
fn no_reply_to_a_reply_is_answered() {
    let fixture = Fixture::start(&[]);
    let mut client = Client::connect(fixture.larder.address());
    client.set("k", b"\r\nget k\r\nversion\r\nmn\r\n");
    client.set("n", b"5");
    client.set("l", &[b'x'; 3000]);
    let sender = fixture.sender();
    for request in [
        "get k\r\n",
        "get l\r\n",
        "get none\r\n",
        "mg k v\r\n",
        "mg none\r\n",
        "me k\r\n",
        "mn\r\n",
        "incr n 1\r\n",
        "ma n v\r\n",
        "set m 0 0 1\r\nx\r\n",
        "version\r\n",
        "nonsense\r\n",
        "get\r\n",
        "stats\r\n",
        "stats reset\r\n",
        "verbosity 1\r\n",
        "flush_all x\r\n",
        "touch k x\r\n",
        "watch\r\n",
        "lru_crawler metadump all\r\n",
        "keys p\r\n",
        "config get cluster\r\n",
        "route k\r\n",
        "shutdown\r\n",
        "cache_memlimit 1\r\n",
        "slabs reassign 1 1\r\n",
    ] {
        // What another server would make of the reply, and so on.
        let mut echoes = sender.pieces(7, request.as_bytes());
        for hop in 0.. {
            echoes.iter().for_each(|datagram| sender.send(datagram));
            echoes = sender.heard();
            if echoes.is_empty() {
                break;
            }
            assert!(hop == 0, "{request:?} goes on: {echoes:?}");
        }
    }
}

#[test]
fn a_stranger_gets_little_more_than_he_sent() {
    let (stranger, neighbour) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([127, 0, 0, 9]));
    let mut allowance = Allowance::default();
    let mut sent = 0;
    for _ in 0..100_000 {
        sent += if allowance.grants(stranger, 5, 15, 89_000) { 89_000 } else { 0 };
    }
    assert!((900_000..=1_100_000).contains(&sent), "{sent} bytes in a second");
    assert!(allowance.grants(stranger, 5, 15, 45), "what is no more than three times the request is free");
    assert!(!allowance.grants(stranger, 5, 15, 89_045));
    assert!(allowance.grants(neighbour, 5, 15, 89_045), "nobody can claim to be on this machine");
    assert!(allowance.grants(stranger, 6, 15, 89_000), "the next second is another one");
}

/// A request datagram of whatever may be in one.
fn nonsense(random: &mut Random) -> Vec<u8> {
    let mut body = Vec::new();
    for _ in 0..=random.below(4) {
        fuzz::request(random, &mut body);
    }
    let mut bytes = framed(random.next() as u16, &body);
    match random.below(4) {
        0 => bytes.truncate(random.below(bytes.len() as u64 + 1) as usize),
        1 => {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        _ => {}
    }
    bytes
}

/// The rules for one datagram: it ends, its reply is short and well framed, nothing is kept of it.
fn holds(server: &Embedded, now: UnixMs, bytes: &[u8]) -> usize {
    let Some((id, request)) = datagram::decode(bytes) else { return 0 };
    let mut conversation = Conversation::begin(id, 1);
    conversation.turn(request, 20, now, &server.backend);
    for turn in 0.. {
        server.backend.end_turn();
        server.tend_log();
        conversation.release(server.backend.safe_lsn(), None);
        match conversation.need() {
            Need::Nothing => break,
            Need::Patience => {}
            Need::Turn | Need::Pause => {
                server.keeper.tend();
                conversation.turn(&[], 20, now, &server.backend);
            }
        }
        assert!(turn < TURNS_MAX, "it does not end");
    }
    let reply = conversation.end(&server.backend);
    let (mut pieces, mut room, mut length) = (0, Vec::new(), 0);
    reply.send(&mut room, |piece| {
        assert!(piece.len() > 8 && piece.len() <= 1400);
        assert_eq!(piece[..4], [id.to_be_bytes(), (pieces as u16).to_be_bytes()].concat());
        pieces += 1;
        length += piece.len();
    });
    assert_eq!(length, reply.length_bytes());
    assert!(pieces <= 64, "{pieces} pieces");
    pieces
}

#[test]
fn whatever_a_datagram_holds_ends_and_is_answered_shortly() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::new();
    let shared = Arc::clone(&clock) as Arc<dyn Clock>;
    let server = Embedded::open(&tiny(&folder.path().join("data"), "everysec"), &shared).unwrap();
    let seconds: Option<u64> = std::env::var("LARDER_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let seed = std::env::var("LARDER_FUZZ_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| seconds.map_or(1, |_| u64::from(std::process::id())));
    let mut random = Random::new(seed);
    let (mut count, mut pieces, began) = (0u64, 0, Instant::now());
    while seconds.map_or(count < DATAGRAMS, |seconds| began.elapsed().as_secs() < seconds) {
        let bytes = nonsense(&mut random);
        let judged =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| holds(&server, clock.now(), &bytes)));
        pieces +=
            judged.unwrap_or_else(|_| panic!("seed {seed}, datagram {count}: {}", bytes.escape_ascii()));
        count += 1;
    }
    assert!(pieces > 0);
    say(&format!("datagrams: {count} of nonsense, {pieces} answers, seed {seed}"));
}

#[test]
fn nonsense_on_the_wire_disturbs_nobody() {
    let fixture = Fixture::start(&[]);
    let sender = fixture.sender();
    let mut random = Random::new(5);
    for _ in 0..500 {
        // Nobody takes the answers: what the buffer has no room for is lost.
        fixture.sender().send(&nonsense(&mut random));
        if random.below(10) == 0 {
            assert_eq!(sender.say("version\r\n"), "VERSION 1.6.45\r\n");
        }
    }
    sender.hears_nothing();
    assert_eq!(Client::connect(fixture.larder.address()).ask("version\r\n"), "VERSION 1.6.45");
    assert!(!fixture.larder.said().contains("panic"), "{}", fixture.larder.said());
}

#[test]
fn nobody_says_his_name_in_a_datagram() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    std::fs::write(&users, "ann:one\n").unwrap();
    let users = users.to_str().unwrap();
    for options in [&["-Y", users][..], &["-S", "-Y", users]] {
        let words = [&["-p", "-1", "-U", "-1", "--memory-only"], options].concat();
        let (code, said) = crate::process::run_to_end(&words);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("-U: datagrams cannot authenticate"), "{said}");
    }
}
