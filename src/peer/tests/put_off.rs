//! Answers that there is no room for: who asks for them is put off, in order, and nobody else.

use super::*;
use crate::base::chance::Chance;
use crate::base::errand::Place;
use crate::base::limits::SLOT_BYTES;

const OTHER: Asker = Asker { key: 4, id: 78 };
/// Room for nothing but small values, while something is awaited.
const LITTLE: Room = Room { bytes: SLOT_BYTES, is_sure: false };
/// Room for two large values.
const AGAIN: Room = Room { bytes: 2 * LARGE_BYTES + SLOT_BYTES, is_sure: true };

impl Pair {
    fn ask_of(&mut self, asker: Asker, slot: u64, request: &str, room: Room) {
        let keys = request.strip_prefix("get ").unwrap_or_default().split_ascii_whitespace();
        let shown = if request.starts_with("get ") { Shown::Before(proto::texts::END) } else { Shown::Whole };
        let mut errand = Errand::new(2, Some(GroupId(7)), 5, shown, Told::Line);
        errand.slot = Slot(slot);
        errand.request = request.as_bytes().to_vec();
        let places = keys.zip(slot..).map(|(_, slot)| Place { slot: Slot(slot), group: GroupId(7) });
        errand.places = places.collect();
        if errand.places.len() < 2 {
            errand.places.clear();
        }
        errand.room = room;
        self.desk.take(asker, errand, self.now_ms * 1_000_000);
    }

    /// The slots that are filled, of this asker.
    fn filled(&mut self, asker: Asker, answers: &[Answer]) -> Vec<u64> {
        answers.iter().filter(|answer| answer.asker == asker).map(|answer| answer.slot.0).collect()
    }

    /// There is room: whether anything is asked again.
    fn go_on(&mut self, asker: Asker) -> bool {
        let is_asked = self.desk.next_held(asker).is_some();
        self.desk.go_on(asker, AGAIN, self.now_ms);
        is_asked
    }

    fn heard(&self) -> Vec<String> {
        self.owner.heard.lock().unwrap().clone()
    }
}

#[test]
fn what_there_is_no_room_for_is_put_off_with_all_that_is_behind_it_and_asked_again_in_order() {
    for step in [7, 1 << 20] {
        let mut pair = Pair::new();
        pair.ask_of(ASKER, 0, "get a large1 large2 large3 b\r\n", Room { is_sure: true, ..LITTLE });
        pair.ask_of(ASKER, 5, &set("c"), Room::LINE);
        pair.ask_of(OTHER, 0, "get large4\r\n", Room { is_sure: true, ..LITTLE });
        pair.ask_of(ASKER, 6, "get large5\r\n", LITTLE);
        pair.open();
        pair.carry(step).unwrap();
        assert_eq!(pair.heard(), ["a", "large4"], "the other client is answered");
        assert_eq!((pair.desk.take_stopped().first(), pair.desk.has_held()), (Some(&ASKER), true));
        pair.ask_of(ASKER, 7, &set("d"), Room::LINE);
        pair.ask_of(OTHER, 1, &set("e"), Room::LINE);
        pair.carry(step).unwrap();
        assert_eq!(pair.heard()[2..], ["e"], "what is asked later waits too");
        let answers = pair.desk.take_answers();
        assert_eq!((pair.filled(ASKER, &answers), pair.filled(OTHER, &answers)), (vec![0], vec![0, 1]));
        // As much as there is room for. Who was put off is asked alone; once that is answered some share the room.
        for expected in [&["large1", "large2"][..], &["large3", "b"], &["c"], &["large5"], &["d"]] {
            let before = pair.heard().len();
            assert!(pair.go_on(ASKER));
            assert!(!pair.go_on(ASKER), "not before those are answered");
            pair.carry(step).unwrap();
            assert_eq!(pair.heard()[before..], *expected, "step {step}");
        }
        assert!(!pair.go_on(ASKER) && !pair.desk.has_held());
        let slots: Vec<u64> = pair.answers().into_iter().map(|(slot, _)| slot).collect();
        assert_eq!(slots, [1, 2, 3, 4, 5, 6, 7]);
    }
}

#[test]
fn who_is_gone_or_can_never_wait_is_not_asked_for_again() {
    let mut pair = Pair::new();
    pair.ask_of(ASKER, 0, "get large1\r\n", LITTLE);
    pair.ask_of(OTHER, 0, "get large2 large3\r\n", LITTLE);
    pair.open();
    pair.carry(1 << 20).unwrap();
    assert_eq!(pair.desk.take_stopped(), [ASKER, OTHER]);
    pair.desk.forget(OTHER);
    pair.desk.give_up(ASKER, 0);
    assert_eq!(
        pair.answers(),
        [(0, "SERVER_ERROR group 7 is on server 2, which has a longer answer than fits".into())]
    );
    assert!(!pair.desk.has_held() && pair.heard().is_empty());
}

#[test]
fn what_a_lost_connection_had_put_off_is_asked_again_on_the_next_before_what_was_behind_it() {
    let mut pair = Pair::new();
    pair.ask_of(ASKER, 0, "get large1\r\n", LITTLE);
    pair.greet();
    // The second has not left when the first is put off, nor when the first is asked again behind it.
    let sent = pair.sent(usize::MAX);
    pair.ask_of(ASKER, 1, &set("b"), Room::LINE);
    pair.session.turn(&sent, 9, NOW, &pair.owner, &pair.answering);
    let said = pair.answered(usize::MAX);
    pair.desk.receive(2, &said, &pair.asking, 0).unwrap();
    pair.ask_of(ASKER, 2, &set("c"), Room::LINE);
    assert!(pair.go_on(ASKER));
    pair.desk.take_stopped();
    pair.lose();
    assert_eq!((pair.desk.take_stopped(), pair.answers()), (vec![ASKER], vec![]));
    pair.now_ms += 200;
    pair.ask_of(ASKER, 3, &set("d"), Room::LINE);
    assert!(pair.go_on(ASKER));
    pair.open();
    pair.carry(1 << 20).unwrap();
    assert_eq!(pair.heard(), ["large1", "b", "c", "d"]);
    assert!(!pair.desk.has_held());
    // And when there is no next one, all are told so.
    let mut pair = Pair::new();
    pair.ask_of(ASKER, 0, "get large1\r\n", LITTLE);
    pair.open();
    pair.carry(1 << 20).unwrap();
    (1..20).for_each(|slot| pair.ask_of(ASKER, slot, &set("b"), Room::LINE));
    pair.lose();
    pair.now_ms += PEER_HOLD_MS;
    let down = "SERVER_ERROR group 7 is on server 2, which is down";
    let mut told = Vec::new();
    while pair.go_on(ASKER) {
        pair.desk.tick(&pair.asking, pair.now_ms);
        told.extend(pair.answers());
    }
    assert_eq!(told, (0..20).map(|slot| (slot, down.to_owned())).collect::<Vec<_>>());
    assert!(pair.heard().is_empty());
}

#[test]
fn who_puts_off_too_many_clients_is_refused() {
    let (mut pair, [_, proof]) = Pair::greeted();
    pair.session.turn(&proof, 9, NOW, &pair.owner, &pair.answering);
    let mut last = Progress::Idle;
    for client in 0..=crate::base::limits::PEER_PUT_OFF_MAX as u64 {
        assert_eq!(last, Progress::Idle);
        let mut bytes = Vec::new();
        let question = asked(client, 5, Some(GroupId(7)), b"get large1\r\n");
        frame::Question { client, room: LITTLE, ..question }.put(&mut bytes);
        last = pair.session.turn(&bytes, 9, NOW, &pair.owner, &pair.answering);
        pair.answered(usize::MAX);
    }
    assert_eq!(last, Progress::Closing);
}

/// Two clients ask for what comes to their minds, with more or less room, over a connection that carries a few bytes at a
/// time and is cut now and then. Each request has one answer; what is executed, is so once and in the order of its client.
#[test]
fn every_client_is_answered_once_and_in_order_whatever_is_put_off() {
    // The last of them found a question that came before one that it stood behind, after a cut.
    for seed in (0..50).chain([267]) {
        let mut chance = Chance(seed);
        let mut pair = Pair::new();
        let mut next = [0_u64; 2];
        let mut filled = [Vec::new(), Vec::new()];
        for _ in 0..60 {
            let client = chance.below(2) as usize;
            let asker = [ASKER, OTHER][client];
            let count = if chance.below(3) == 0 { 1 + chance.below(5) } else { 1 };
            let key = |chance: &mut Chance, slot: u64| {
                let is_large = chance.below(3) == 0;
                format!("{}-{client}-{slot:04}", if is_large { "large" } else { "k" })
            };
            let keys: Vec<String> = (0..count).map(|at| key(&mut chance, next[client] + at)).collect();
            let is_set = count == 1 && chance.below(2) == 0;
            let request = if is_set { set(&keys[0]) } else { format!("get {}\r\n", keys.join(" ")) };
            let is_sure = chance.below(3) == 0;
            pair.ask_of(asker, next[client], &request, Room { is_sure, ..LITTLE });
            next[client] += count;
            if pair.desk.wants_opening(pair.now_ms) == [2] {
                pair.open();
            }
            if chance.below(25) == 0 {
                pair.lose();
                pair.now_ms += 600;
            } else if chance.below(3) == 0 {
                pair.carry([50, 5000, 1 << 20][chance.below(3) as usize]).unwrap();
            } else {
                let sent = pair.sent(1 + chance.below(300) as usize);
                pair.session.turn(&sent, 2, NOW, &pair.owner, &pair.answering);
                let said = pair.answered(1 + chance.below(200_000) as usize);
                pair.desk.receive(2, &said, &pair.asking, pair.now_ms).unwrap();
            }
            let who = [ASKER, OTHER][chance.below(2) as usize];
            if chance.below(3) == 0 {
                pair.go_on(who);
            }
            let answers = pair.desk.take_answers();
            filled[0].extend(pair.filled(ASKER, &answers));
            filled[1].extend(pair.filled(OTHER, &answers));
        }
        pair.now_ms += 600;
        for _ in 0..500 {
            if pair.desk.wants_opening(pair.now_ms) == [2] {
                pair.open();
            }
            pair.carry(1 << 20).unwrap();
            pair.go_on(ASKER);
            pair.go_on(OTHER);
        }
        let answers = pair.desk.take_answers();
        filled[0].extend(pair.filled(ASKER, &answers));
        filled[1].extend(pair.filled(OTHER, &answers));
        assert!(!pair.desk.has_held(), "seed {seed}");
        for client in 0..2 {
            filled[client].sort_unstable();
            assert_eq!(filled[client], (0..next[client]).collect::<Vec<u64>>(), "seed {seed}");
            let heard = pair.heard();
            let number =
                |key: &String| key.split_once(&format!("-{client}-")).map(|(_, slot)| slot.to_owned());
            let own: Vec<String> = heard.iter().filter_map(number).collect();
            assert!(own.is_sorted_by(|one, next| one < next), "seed {seed}: {own:?}");
        }
    }
}
