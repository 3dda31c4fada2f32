//! What requests may be, beside lines: frames of the binary protocol, values that this server takes and the other does
//! not, and requests that the other side never takes whole.

use super::*;
use crate::base::limits::ITEM_BYTES_DEFAULT;
use crate::base::reply::Sink;
use crate::proto::binary::{BinaryForm, Verb};
use crate::proto::{Form, Request};

const OPAQUE: u32 = 0x0102_0304;

fn form(opcode: u8, verb: Verb) -> BinaryForm {
    BinaryForm { opcode, opaque: OPAQUE, verb, quiet: false }
}

/// The frame of a get of this key.
fn get(key: &[u8]) -> Vec<u8> {
    let command = Command::Keyed(crate::base::command::Key::plain(key), Op::Get(Default::default()));
    let mut frame = Vec::new();
    let request = Request { command, form: Form::Binary(form(0x00, Verb::Get)) };
    assert!(proto::write_request(&request, &mut frame));
    frame
}

const TOLD: Told = Told::Frame { opcode: 0x00, opaque: OPAQUE };

/// The answers so far: status and text of each frame.
fn frames(pair: &mut Pair) -> Vec<(u16, String)> {
    let read = |answer: Answer| {
        let (Outcome::Said(bytes) | Outcome::Missing(bytes)) = answer.outcome;
        let head: [u8; 24] = bytes[..24].try_into().unwrap();
        assert_eq!((head[0], head[1], &head[12..16]), (0x81, 0x00, &OPAQUE.to_be_bytes()[..]));
        assert_eq!(u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize, bytes.len() - 24);
        (u16::from_be_bytes([head[6], head[7]]), String::from_utf8_lossy(&bytes[24..]).into_owned())
    };
    pair.desk.take_answers().into_iter().map(read).collect()
}

#[test]
fn frames_are_asked_as_lines_are() {
    for step in [1, 7, 100_000] {
        let mut pair = Pair::new();
        pair.ask_as(0, &get(b"a key"), TOLD);
        pair.ask(1, &set("b"));
        pair.ask_as(2, &get(b"moved c"), TOLD);
        pair.open();
        pair.carry(step).unwrap();
        assert_eq!(pair.answers(), [(0, "did a key".into()), (1, "did b".into())]);
        assert_eq!(*pair.owner.heard.lock().unwrap(), ["a key", "b", "moved c"]);
    }
    let mut stat = get(b"items");
    stat[1] = 0x10;
    let mut cut = get(b"key");
    cut.pop();
    for bytes in [stat, cut, [get(b"a"), get(b"b")].concat()] {
        let mut pair = Pair::new();
        pair.ask_as(0, &bytes, TOLD);
        pair.open();
        assert!(pair.carry(99).is_err(), "{bytes:02x?}");
        assert!(pair.owner.heard.lock().unwrap().is_empty());
    }
}

#[test]
fn who_asked_by_a_frame_is_told_by_a_frame_that_there_is_no_answer() {
    let mut pair = Pair::new();
    pair.ask_as(0, &get(b"a"), TOLD);
    pair.open();
    pair.carry(99).unwrap();
    pair.desk.take_answers();
    pair.ask_as(1, &get(b"b"), TOLD);
    pair.sent(usize::MAX);
    pair.lose();
    let (status, text) = frames(&mut pair).pop().unwrap();
    assert!(status == 0x84 && text.starts_with("SERVER_ERROR outcome unknown: group 7"), "{status:x} {text}");
    pair.now_ms += PEER_HOLD_MS;
    pair.ask_as(2, &get(b"c"), TOLD);
    let down = "SERVER_ERROR group 7 is on server 2, which is down";
    assert_eq!(frames(&mut pair), [(0x86, down.into())]);
    // A part of a longer answer that is an error becomes a frame as well.
    let mut pair = Pair::new();
    let mut errand = Errand::new(2, None, 5, Shown::Before(b"OK\r\n"), TOLD);
    errand.request = set("x").into_bytes();
    pair.desk.take(ASKER, errand, 0);
    pair.open();
    pair.carry(99).unwrap();
    assert_eq!(frames(&mut pair), [(0x84, "did x".into())]);
}

#[test]
fn a_frame_that_the_log_lost_is_answered_by_a_frame() {
    let mut pair = Pair::new();
    pair.ask_as(0, &get(b"waits9"), TOLD);
    pair.open();
    pair.carry(99).unwrap();
    pair.session.release(Lsn(8), Some(b"SERVER_ERROR lost\r\n"));
    pair.carry(99).unwrap();
    let (status, text) = frames(&mut pair).pop().unwrap();
    assert!(status == 0x84 && !text.contains("lost\r\n"), "{status:x} {text}");
}

/// An owner to whom values are too large that were not too large for the server that asks.
#[test]
fn a_value_that_only_the_owner_finds_too_large_is_its_answer_and_no_end_of_the_connection() {
    let value = "v".repeat(ITEM_BYTES_DEFAULT);
    let line = format!("set a 0 0 {}\r\n{value}\r\n", value.len());
    let mut frame = Vec::new();
    let mut head = vec![0x80, 0x01, 0, 1, 8, 0, 0, 0];
    head.extend((9 + value.len() as u32).to_be_bytes());
    head.extend([0; 20]);
    frame.put(&head);
    frame.put(b"a");
    frame.put(value.as_bytes());
    for request in [line.into_bytes(), frame] {
        let mut pair = Pair::new();
        pair.ask_as(0, &request, TOLD);
        pair.ask(1, &set("b"));
        pair.open();
        pair.carry(100_000).unwrap();
        let answers = pair.answers();
        assert!(answers[0].1.contains("Oversized { drops_old: true }"), "{answers:?}");
        assert_eq!(answers[1], (1, "did b".into()));
    }
}

#[test]
fn a_request_that_the_other_side_never_takes_whole_is_given_up() {
    let mut pair = Pair::new();
    pair.ask(0, &set("a"));
    pair.open();
    pair.carry(99).unwrap();
    pair.answers();
    pair.now_ms = 1000;
    pair.ask(1, &set("b"));
    assert_eq!(pair.sent(5).len(), 5);
    pair.now_ms = 2000;
    assert_eq!(pair.sent(5).len(), 5, "it takes more, late");
    assert_eq!(pair.desk.deadline_ms(2500), Some(2000 + PEER_ANSWER_MS));
    assert!(pair.desk.tick(&pair.asking, 1999 + PEER_ANSWER_MS).is_empty());
    pair.now_ms = 2000 + PEER_ANSWER_MS;
    assert_eq!(pair.desk.tick(&pair.asking, pair.now_ms), [(2, "it does not answer requests")]);
    pair.lose();
    assert!(pair.answers()[0].1.starts_with("SERVER_ERROR outcome unknown"));
}
