//! Reads of many keys: one question, a part of the answer for each key, and what happens when a part is missing.

use super::frames::{crc, shown};
use super::*;
use crate::base::errand::Place;
use crate::base::limits::{PEER_PARTS_BYTES_MAX, PEER_READ_BYTES_MAX, PEER_READ_KEYS_MAX};
use crate::peer::parts::{Part, put_not_mine, put_refused, put_said};

/// A read of these keys, the first of which has this slot; each group is that of its slot.
fn read(slot: u64, keys: &[&str]) -> Errand {
    let shown = Shown::Before(proto::texts::END);
    let group = |slot| GroupId(slot as u16);
    let mut errand = Errand::new(2, Some(group(slot)), 5, shown, Told::Line);
    (errand.slot, errand.request) = (Slot(slot), format!("get {}\r\n", keys[0]).into_bytes());
    for (key, slot) in keys[1..].iter().zip(slot + 1..) {
        assert!(errand.join(key.as_bytes()));
        errand.places.push(Place { slot: Slot(slot), group: group(slot) });
    }
    errand.room = PLENTY;
    errand
}

/// Room for all that these tests read.
const PLENTY: Room = Room { bytes: 1 << 30, is_sure: true };

impl Pair {
    fn ask_many(&mut self, slot: u64, keys: &[&str]) {
        self.desk.take(ASKER, read(slot, keys), self.now_ms * 1_000_000);
    }

    /// Carries the greeting and everything else, until nobody has anything to say.
    fn carry_all(&mut self, step: usize) {
        self.open();
        self.carry(step).unwrap();
    }
}

#[test]
fn many_keys_are_one_question_and_each_has_its_part() {
    for step in [1, 7, 100_000] {
        let mut pair = Pair::new();
        pair.ask_many(0, &["a", "missed", "denied", "a"]);
        pair.ask(4, &set("a"));
        pair.ask_many(5, &["b"]);
        pair.carry_all(step);
        let expected =
            [(0, "read a"), (1, ""), (2, "SERVER_ERROR denied"), (3, "read a"), (4, "did a"), (5, "read b")];
        assert_eq!(pair.answers(), expected.map(|(slot, text)| (slot, text.to_owned())), "step {step}");
        assert_eq!(*pair.owner.heard.lock().unwrap(), ["a", "missed", "denied", "a", "a", "b"]);
        let figures = &pair.answering.figures.answered;
        assert_eq!(figures.load(std::sync::atomic::Ordering::Relaxed), 6, "keys are counted");
    }
}

#[test]
fn a_part_that_is_no_value_is_missing() {
    let mut pair = Pair::new();
    pair.ask_many(0, &["a", "denied"]);
    pair.carry_all(99);
    let outcomes: Vec<Outcome> = pair.desk.take_answers().into_iter().map(|answer| answer.outcome).collect();
    assert!(matches!(&outcomes[..], [Outcome::Said(_), Outcome::Missing(_)]), "{outcomes:?}");
}

#[test]
fn a_question_has_as_many_keys_as_its_limits_allow() {
    let mut errand = read(0, &["k"]);
    let mut count = 1;
    while errand.join(b"k") {
        errand.places.push(Place { slot: Slot(count), group: GroupId(0) });
        count += 1;
    }
    assert_eq!((count as usize, errand.places.len()), (PEER_READ_KEYS_MAX, PEER_READ_KEYS_MAX));
    let key = "k".repeat(250);
    let mut errand = read(0, &[&key]);
    let mut count = 1;
    while errand.join(key.as_bytes()) {
        errand.places.push(Place { slot: Slot(count), group: GroupId(0) });
        count += 1;
    }
    assert_eq!(count as usize, PEER_READ_BYTES_MAX / 251, "{count} keys of 250 bytes");
    // One that nobody would send is not answered.
    let mut pair = Pair::new();
    pair.ask(0, &format!("get {}\r\n", "k ".repeat(PEER_READ_BYTES_MAX / 2 + 1)));
    pair.open();
    assert!(pair.carry(100_000).is_err() && pair.owner.heard.lock().unwrap().is_empty());
}

#[test]
fn a_long_answer_comes_in_several_and_nothing_overtakes_it() {
    let keys: Vec<String> = (0..9).map(|number| format!("large{number}")).collect();
    let mut keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    keys.insert(4, "parks");
    for step in [999, 1 << 20] {
        let mut pair = Pair::new();
        pair.ask_many(0, &keys);
        pair.ask(10, &set("behind"));
        pair.carry_all(step);
        let mut expected = keys.clone();
        expected.push("behind");
        assert_eq!(*pair.owner.heard.lock().unwrap(), expected, "each is read once, and in order");
        let slots: Vec<u64> = pair.answers().into_iter().map(|(slot, _)| slot).collect();
        assert_eq!(slots, (0..11).collect::<Vec<u64>>());
    }
    // What is read of them before others have their turn is bounded.
    let mut pair = Pair::new();
    pair.ask_many(0, &keys);
    pair.greet();
    let sent = pair.sent(usize::MAX);
    let progress = pair.session.turn(&sent, 2, NOW, &pair.owner, &pair.answering);
    assert_eq!(progress, Progress::Again);
    assert_eq!(pair.owner.heard.lock().unwrap().len(), PEER_PARTS_BYTES_MAX / LARGE_BYTES + 1);
}

#[test]
fn a_server_that_answers_bit_by_bit_is_waited_for_as_long_as_it_does() {
    let mut pair = Pair::new();
    pair.ask_many(0, &["large1", "large2", "large3", "large4", "large5"]);
    pair.ask(5, &set("behind"));
    pair.greet();
    let sent = pair.sent(usize::MAX);
    // The greeting and the first answer, the second, and what was asked behind them.
    for (at, frames) in [2, 1, 1].into_iter().enumerate() {
        pair.session.turn(if at == 0 { &sent } else { b"" }, frames, NOW, &pair.owner, &pair.answering);
        pair.now_ms += PEER_ANSWER_MS - 1;
        let said = pair.answered(usize::MAX);
        pair.desk.receive(2, &said, &pair.asking, pair.now_ms).unwrap();
        assert!(pair.desk.tick(&pair.asking, pair.now_ms).is_empty(), "it has just answered");
        assert_eq!(pair.desk.deadline_ms(0), (at < 2).then_some(pair.now_ms + PEER_ANSWER_MS));
    }
    let slots: Vec<u64> = pair.answers().into_iter().map(|(slot, _)| slot).collect();
    assert_eq!(slots, (0..6).collect::<Vec<u64>>());
}

#[test]
fn a_key_whose_group_has_moved_is_asked_alone_elsewhere_and_the_others_are_answered() {
    let mut pair = Pair::new();
    pair.ask_many(0, &["a", "moved1", "b"]);
    pair.carry_all(99);
    assert_eq!(pair.answers(), [(0, "read a".into()), (2, "read b".into())]);
    let link = pair.desk.link(3).unwrap();
    assert!(link.wants_opening(0), "the owner that was named is asked");
    pair.now_ms = PEER_HOLD_MS;
    pair.desk.tick(&pair.asking, pair.now_ms);
    assert_eq!(pair.answers(), [(1, "SERVER_ERROR group 1 is on server 3, which is down".into())]);
}

#[test]
fn what_is_lost_or_cut_is_told_for_each_key_that_has_no_answer() {
    let mut pair = Pair::new();
    pair.ask_many(0, &["a", "waits5", "b"]);
    pair.carry_all(99);
    assert_eq!(pair.answers(), []);
    pair.session.release(Lsn(4), Some(b"SERVER_ERROR lost\r\n"));
    pair.carry(99).unwrap();
    assert_eq!(pair.answers(), [0, 1, 2].map(|slot| (slot, "SERVER_ERROR lost".into())));
    // A server that dies behind the first of several answers.
    let mut pair = Pair::new();
    pair.ask_many(0, &["large1", "large2", "large3", "large4", "large5"]);
    pair.greet();
    let sent = pair.sent(usize::MAX);
    pair.session.turn(&sent, 2, NOW, &pair.owner, &pair.answering);
    let first = pair.answered(usize::MAX);
    pair.desk.receive(2, &first, &pair.asking, 0).unwrap();
    assert_eq!(pair.answers().len(), 3);
    pair.lose();
    let unknown = "SERVER_ERROR outcome unknown: group 3 is on server 2, which did not answer";
    assert_eq!(pair.answers(), [(3, unknown.into()), (4, unknown.into())]);
}

#[test]
fn hostile_parts_close_the_connection() {
    let said = |count: usize| (0..count).fold(Vec::new(), |mut out, _| (put_said(b"v", &mut out), out).1);
    let mut longer = said(2);
    longer[1..5].copy_from_slice(&99_u32.to_le_bytes());
    let mut unknown = said(2);
    unknown[0] = 3;
    let (last, more) = (Status::Parts { is_last: true }, Status::Parts { is_last: false });
    for (status, text) in [
        (last, said(1)),
        (last, said(3)),
        (more, said(2)),
        (last, [said(2), vec![0]].concat()),
        (last, longer),
        (last, unknown),
        (last, Vec::new()),
        (Status::PutOff, said(2)),
        (Status::PutOff, said(3)),
        (Status::Said, b"END\r\n".to_vec()),
        (Status::NotMine { owner: 3, map_version: 9 }, Vec::new()),
    ] {
        let mut pair = Pair::new();
        pair.ask_many(0, &["a", "b"]);
        pair.greet();
        pair.sent(usize::MAX);
        let mut bytes = Vec::new();
        Reply { sequence: 0, status, text: &text }.put(&mut bytes);
        assert!(pair.desk.receive(2, &bytes, &pair.asking, 0).is_err(), "{status:?} {text:02x?}");
        pair.lose();
        assert_eq!(pair.answers().len(), 2, "each key has one answer: {status:?} {text:02x?}");
    }
    let mut pair = Pair::new();
    pair.ask(0, &set("a"));
    pair.greet();
    pair.sent(usize::MAX);
    for status in [last, Status::PutOff] {
        let mut bytes = Vec::new();
        Reply { sequence: 0, status, text: &said(1) }.put(&mut bytes);
        assert!(pair.desk.receive(2, &bytes, &pair.asking, 0).is_err(), "one key has no parts");
    }
}

#[test]
fn parts_are_these_bytes() {
    let mut bytes = Vec::new();
    put_said(b"x", &mut bytes);
    put_not_mine(5, 6, &mut bytes);
    put_refused(b"no", &mut bytes);
    assert_eq!(shown(&bytes), "000100000078".to_owned() + "0105000600000000000000" + "02020000006e6f");
    for cut in 0..bytes.len() {
        let mut rest = bytes::Bytes::copy_from_slice(&bytes[..cut]);
        let found = std::iter::from_fn(|| Part::take(&mut rest)).count();
        assert_eq!(found, [6, 17].iter().filter(|end| cut >= **end).count(), "cut at {cut}");
    }
    let mut all = bytes::Bytes::from(bytes);
    let found: Vec<Part> = std::iter::from_fn(|| Part::take(&mut all)).collect();
    let (said, refused) = (bytes::Bytes::from_static(b"x"), bytes::Bytes::from_static(b"no"));
    assert_eq!(found, [Part::Said(said), Part::NotMine { owner: 5, map_version: 6 }, Part::Refused(refused)]);
    let mut framed = Vec::new();
    Reply { sequence: 1, status: Status::Parts { is_last: true }, text: b"" }.put(&mut framed);
    let golden = "4c500305 13000000 CRC 00000000 0100000000000000 03 0000 0000000000000000";
    assert_eq!(shown(&framed), golden.replace(' ', "").replace("CRC", &crc(&framed)));
}
