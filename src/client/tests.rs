//! The client without sockets: what bytes mean as answers, and how much is written before anything is read.

use std::sync::Arc;

use proptest::prelude::*;

use super::error::Invalid;
use super::meta::{MetaAnswer, MetaOutcome};
use super::operation::{Action, Answer, Entry, Operation, Stored, Value};
use super::reply::{Frame, Progress, Reader, Step, step};
use super::request::{Chunk, check};
use super::ring::Ring;
use super::schedule::Schedule;
use super::{Address, Distribution, KeyHash, Memcached, MetaGet, MetaStore, Options, StatsTopic};
use crate::base::limits::{
    CLIENT_CHUNK_BYTES_MAX, CLIENT_REPLY_LINE_BYTES_MAX, CLIENT_SHORT_ANSWERS_MAX, CLIENT_STATS_BYTES_MAX,
    CLIENT_WRITE_AHEAD_BYTES, LINE_BYTES_MAX,
};
use crate::proto;

const VALUE_BYTES_MAX: usize = 1000;

/// All pieces of these bytes; how many are left over; what was wrong.
fn pieces(bytes: &[u8]) -> (Vec<String>, usize, Option<String>) {
    let (mut rest, mut found) = (bytes, Vec::new());
    loop {
        match step(rest, VALUE_BYTES_MAX) {
            Ok(Step::Frame(frame, length)) => {
                assert!((1..=rest.len()).contains(&length));
                found.push(format!("{frame:?}"));
                rest = &rest[length..];
            }
            Ok(Step::NeedMore(total)) => {
                assert!(total > rest.len(), "asks for {total} of {}", rest.len());
                return (found, rest.len(), None);
            }
            Err(what) => return (found, rest.len(), Some(what)),
        }
    }
}

#[test]
fn answers_end_where_they_end_at_every_split() {
    let bytes = b"STORED\r\nVALUE k 0 5\r\na\r\nbc\r\nEND\r\nVA 2 s2 t-1\r\nhi\r\nHD\r\nEN\r\n\r\n";
    let whole = pieces(bytes);
    assert_eq!((whole.0.len(), whole.1, &whole.2), (7, 0, &None), "{whole:?}");
    for cut in 0..bytes.len() {
        let (mut found, left, wrong) = pieces(&bytes[..cut]);
        assert_eq!(wrong, None, "cut at {cut}");
        found.extend(pieces(&bytes[cut - left..]).0);
        assert_eq!(found, whole.0, "cut at {cut}");
    }
}

#[test]
fn nothing_that_a_server_announces_is_believed() {
    let endless = vec![b'x'; CLIENT_REPLY_LINE_BYTES_MAX];
    for (bytes, wrong) in [
        (&b"VALUE k 0 1001\r\n"[..], "a value of 1001 bytes"),
        (b"VALUE k 0 18446744073709551615\r\n", "a value of 18446744073709551615 bytes"),
        (b"VALUE k 0 18446744073709551616\r\n", "a value without length"),
        (b"VALUE k 0 x\r\n", "a value without length"),
        (b"VALUE k\r\n", "a value without length"),
        (b"VA\r\n", "a value without length"),
        (b"VA 1\r\nabc", "no line end behind a value: bc"),
        (b"END\n", "a line without CR"),
        (&endless, "a line without end"),
    ] {
        let (_, _, found) = pieces(bytes);
        assert!(found.as_ref().is_some_and(|found| found.starts_with(wrong)), "{wrong}: {found:?}");
    }
}

#[test]
fn a_length_beyond_all_memory_is_refused_by_whoever_takes_any_value_too() {
    let found = step(b"VALUE k 0 18446744073709551615\r\n", usize::MAX);
    assert_eq!(found, Err("a value of 18446744073709551615 bytes".into()));
}

#[test]
fn figures_without_end_are_refused() {
    let asked = Operation { key: b"", action: Action::Stats(StatsTopic::General) };
    let mut reader = Reader::new(vec![&asked]);
    let line = [b"STAT name ".to_vec(), vec![b'x'; 4000]].concat();
    let taken =
        (0..CLIENT_STATS_BYTES_MAX / 4000 + 1).try_for_each(|_| match reader.take(Frame::Line(&line))? {
            Progress::More => Ok(()),
            other => Err(format!("{other:?}")),
        });
    assert_eq!(taken, Err(format!("figures of more than {CLIENT_STATS_BYTES_MAX} bytes")));
}

#[test]
fn a_topic_is_one_or_more_words_of_one_line() {
    for (topic, expected) in [
        (&b"larder"[..], Ok(())),
        (b"cachedump 1 0", Ok(())),
        (b"items\r\nflush_all", Err(Invalid::Topic)),
        (b"", Err(Invalid::Topic)),
    ] {
        let asked = Operation { key: b"", action: Action::Stats(StatsTopic::Unknown(topic)) };
        assert_eq!(check(&asked), expected, "{topic:?}");
    }
}

/// What these operations, sent as one request, are answered by these lines.
fn answered(operations: &[Operation<'_>], bytes: &[u8]) -> Result<Vec<Option<Answer>>, String> {
    let mut reader = Reader::new(operations.iter().collect());
    let mut rest = bytes;
    while let Ok(Step::Frame(frame, length)) = step(rest, VALUE_BYTES_MAX) {
        rest = &rest[length..];
        match reader.take(frame)? {
            Progress::More => {}
            Progress::Done => return Ok(reader.finish(None).map(Result::ok).collect()),
            other => return Err(format!("{other:?}")),
        }
    }
    Err("no end".into())
}

#[test]
fn one_line_means_what_the_operation_makes_of_it() {
    let one = |operation: Operation<'_>, bytes: &str| {
        answered(&[operation], bytes.as_bytes()).map(|found| found[0].clone())
    };
    let miss = MetaAnswer { outcome: MetaOutcome::Miss, ..MetaAnswer::default() };
    for (operation, bytes, expected) in [
        (Operation::set("k", "v"), "STORED\r\n", Some(Answer::Stored(Stored::Stored))),
        (Operation::set("k", "v"), "NOT_FOUND\r\n", None),
        (Operation::cas("k", "v", 1), "EXISTS\r\n", Some(Answer::Stored(Stored::Exists))),
        (Operation::cas("k", "v", 1), "NOT_STORED\r\n", None),
        (Operation::add("k", "v"), "EXISTS\r\n", None),
        (Operation::incr("k", 1), "12\r\n", Some(Answer::Number(Some(12)))),
        (Operation::decr("k", 1), "9 \r\n", Some(Answer::Number(Some(9)))),
        (Operation::incr("k", 1), "-1\r\n", None),
        (Operation::incr("k", 1), "NOT_FOUND\r\n", Some(Answer::Number(None))),
        (Operation::delete("k"), "DELETED\r\n", Some(Answer::Found(true))),
        (Operation::delete("k"), "TOUCHED\r\n", None),
        (Operation::touch("k", 1), "NOT_FOUND\r\n", Some(Answer::Found(false))),
        (Operation::meta_get("k", MetaGet::default()), "EN\r\n", Some(Answer::Meta(miss))),
        (Operation::meta_get("k", MetaGet::default()), "HD cx\r\n", None),
        (Operation::meta_get("k", MetaGet::default()), "END\r\n", None),
        (Operation::meta_debug("k"), "ME k exp=-1 x\r\n", None),
        (Operation::get("k"), "VALUE k 4294967296 1\r\nx\r\nEND\r\n", None),
        (Operation::get("k"), "VALUE k 0 1 x\r\nx\r\nEND\r\n", None),
    ] {
        let shown = format!("{operation:?} {bytes:?}");
        let found = one(operation, bytes);
        assert_eq!(found.is_ok(), expected.is_some(), "{shown}: {found:?}");
        assert_eq!(found.unwrap_or(None), expected, "{shown}");
    }
}

#[test]
fn values_find_their_questions() {
    let value = |text: &str| Some(Answer::Value(Some(Value { bytes: text.into(), flags: 0, cas: None })));
    let keys = ["a", "b", "a", "c"].map(Operation::get);
    let found = answered(&keys, b"VALUE a 0 1\r\n1\r\nVALUE a 0 1\r\n2\r\nEND\r\n").unwrap();
    assert_eq!(found, [value("1"), Some(Answer::Value(None)), value("2"), Some(Answer::Value(None))]);
    assert!(
        answered(&keys, b"VALUE b 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nEND\r\n").is_err(),
        "b was asked for once"
    );
}

#[test]
fn what_is_written_ahead_fits_buffers() {
    let large = vec![b'v'; 300_000];
    let key = "k".repeat(250);
    let operations: Vec<Operation> = (0..600)
        .map(|number| match number % 5 {
            0 if number < 300 => Operation::set(&key, &large),
            1 => Operation::meta_get(&key, MetaGet { value: true, ..MetaGet::default() }),
            2 => Operation::meta_store(&key, MetaStore::new("small")),
            3 => Operation::incr(&key, 1),
            _ => Operation::get(&key),
        })
        .collect();
    assert!(operations.iter().all(|operation| check(operation).is_ok()));
    let lane: Vec<usize> = (0..operations.len()).collect();
    let (mut chunk, mut next, mut rounds) = (Chunk::default(), 0, 0);
    while next < lane.len() {
        let first = next;
        chunk.fill(&operations, &lane, &mut next);
        assert!(next > first);
        let mut covered = first;
        for call in &chunk.calls {
            assert_eq!(call.lane.start, covered, "every operation is in one request");
            covered = call.lane.end;
        }
        assert_eq!(covered, next);
        let short =
            chunk.calls.len() <= CLIENT_SHORT_ANSWERS_MAX && chunk.bytes.len() <= CLIENT_CHUNK_BYTES_MAX;
        let reads = chunk.bytes.windows(4).any(|bytes| bytes == b"get " || bytes == b"\nmg ");
        assert!(chunk.bytes.len() <= CLIENT_WRITE_AHEAD_BYTES || (short && !reads) || chunk.calls.len() == 1);
        rounds += 1;
    }
    assert!(rounds > 60, "{rounds}");
}

#[test]
fn reads_share_lines_that_every_server_takes() {
    let keys: Vec<String> = (0..1000).map(|number| format!("{number:0>60}")).collect();
    let operations: Vec<Operation> = keys.iter().map(Operation::get).collect();
    let lane: Vec<usize> = (0..operations.len()).collect();
    let (mut chunk, mut next, mut asked) = (Chunk::default(), 0, 0);
    while next < lane.len() {
        chunk.fill(&operations, &lane, &mut next);
        let lines: Vec<&[u8]> = chunk.bytes.split_inclusive(|byte| *byte == b'\n').collect();
        assert_eq!(lines.len(), chunk.calls.len());
        assert!(lines.iter().all(|line| line.len() <= LINE_BYTES_MAX && line.ends_with(b"\r\n")));
        assert!(lines[0].len() > LINE_BYTES_MAX / 2 || next == lane.len(), "lines are filled");
        asked += chunk.calls.iter().map(|call| call.lane.len()).sum::<usize>();
    }
    assert_eq!(asked, keys.len());
}

#[test]
fn what_is_written_is_what_was_meant() {
    let entry = Entry::new("ab").flagged(7).expiring(-3);
    for (operation, expected) in [
        (Operation::get("k"), "get k\r\n"),
        (Operation::gets("k"), "gets k\r\n"),
        (Operation::gat("k", 5), "gat 5 k\r\n"),
        (Operation::gats("k", -1), "gats -1 k\r\n"),
        (Operation::set("k", entry), "set k 7 -3 2\r\nab\r\n"),
        (Operation::cas("k", entry, 9), "cas k 7 -3 2 9\r\nab\r\n"),
        (Operation::prepend("k", "ab"), "prepend k 0 0 2\r\nab\r\n"),
        (Operation::decr("k", u64::MAX), "decr k 18446744073709551615\r\n"),
        (Operation::delete("k"), "delete k\r\n"),
        (Operation::touch("k", 9), "touch k 9\r\n"),
        (Operation::meta_get("k", MetaGet::default()), "mg k\r\n"),
        (
            Operation::meta_get(b"k ", MetaGet { value: true, opaque: Some(3), ..MetaGet::default() }),
            "mg ayA= b v O3\r\n",
        ),
        (
            Operation::meta_store(
                "k",
                MetaStore { flags: 7, invalidate: true, compare: Some(2), ..MetaStore::new("ab") },
            ),
            "ms k 2 F7 C2 I\r\nab\r\n",
        ),
        (Operation::meta_debug(b"\n"), "me Cg== b\r\n"),
    ] {
        let (mut chunk, mut next) = (Chunk::default(), 0);
        chunk.fill(std::slice::from_ref(&operation), &[0], &mut next);
        assert_eq!(String::from_utf8_lossy(&chunk.bytes), expected);
        let limits = proto::Limits::default();
        assert!(
            matches!(proto::decode(&chunk.bytes, 0, &limits), proto::Step::Request { length, .. } if length == chunk.bytes.len())
        );
    }
}

#[test]
fn key_hashes_are_those_of_libmemcached() {
    // `memcached_generate_hash_value` of libmemcached 1.1.4.
    for (hash, foo) in [
        (KeyHash::OneAtATime, 596_015_325),
        (KeyHash::Md5, 3_675_831_724),
        (KeyHash::Crc, 3187),
        (KeyHash::Fnv1_64, 1_805_727_027),
        (KeyHash::Fnv1a64, 4_275_688_823),
        (KeyHash::Fnv1_32, 1_083_137_555),
        (KeyHash::Fnv1a32, 2_851_307_223),
    ] {
        assert_eq!(hash.hash(b"foo"), foo, "{hash:?}");
    }
}

#[test]
fn the_next_server_that_is_up_stands_in_where_it_may() {
    let servers = ["a:1", "b:1", "c:1"].map(|text| (Address::parse(text).unwrap(), 1)).to_vec();
    let distribution = Distribution::Modula(KeyHash::default());
    for takeover in [false, true] {
        let memcached = Memcached { servers: servers.clone(), distribution, takeover };
        let ring = Ring::memcached(&memcached, &Options::default(), &Arc::new(Schedule::every(None)));
        for key in ["k", "l", "m", "n", "o", "p"] {
            let own = ring.own(key.as_bytes()).unwrap();
            for mask in 0..8_usize {
                let up: Vec<bool> = (0..3).map(|at| mask & (1 << at) != 0).collect();
                let next = (0..3).map(|step| (own + step) % 3).find(|at| up[*at]);
                let expected = if takeover { next.unwrap_or(own) } else { own };
                assert_eq!(ring.choose(key.as_bytes(), &up), Some(expected), "{key} {up:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_borne_and_any_split_gives_the_same_pieces(
        pieces_of in proptest::collection::vec(proptest::sample::select(&[
            "VALUE k 0 3", "VA 2", "VA 1 kYQ== b", " ", "\r\n", "\n", "END", "abc", "HD c5", "STAT a b", "ERROR", "ME k x=1",
            "SERVER_ERROR outcome unknown", "5", "\u{0}",
        ][..]), 0..12),
        cut in any::<proptest::sample::Index>(),
    ) {
        let bytes = pieces_of.concat().into_bytes();
        let whole = pieces(&bytes);
        let cut = cut.index(bytes.len() + 1);
        let (mut found, left, wrong) = pieces(&bytes[..cut]);
        if wrong.is_none() {
            let (more, rest, wrong) = pieces(&bytes[cut - left..]);
            found.extend(more);
            prop_assert_eq!((&found, rest, wrong.is_some()), (&whole.0, whole.1, whole.2.is_some()));
        }
        for operation in [Operation::get("k"), Operation::incr("k", 1), Operation::meta_debug("k")] {
            let mut reader = Reader::new(vec![&operation]);
            let mut rest = &bytes[..];
            while let Ok(Step::Frame(frame, length)) = step(rest, VALUE_BYTES_MAX) {
                let _ = reader.take(frame);
                let _ = matches!(frame, Frame::Line(_));
                rest = &rest[length..];
            }
        }
    }
}
