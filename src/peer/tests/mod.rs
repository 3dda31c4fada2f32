//! Both sides over an in-memory pair of pipes: cut, delayed, broken.

mod frames;
mod put_off;
mod reads;
mod requests;

use std::io::IoSlice;
use std::sync::Mutex;

use super::frame::{self, Found, HEAD_BYTES, Kind, Reply, Status};
use super::link::SLICES_MAX;
use super::roster::Health;
use super::session::Progress;
use super::*;
use crate::base::command::{Command, Op};
use crate::base::errand::{Errand, Outcome, Room, Shown, Slot, Told};
use crate::base::limits::{
    PEER_ANSWER_MS, PEER_FRAME_BYTES_MAX, PEER_GREETING_MS, PEER_HOLD_MS, PEER_WAITING_BYTES_MAX,
};
use crate::base::lsn::{GroupId, Lsn};
use crate::base::time::UnixMs;
use crate::proto;

const ASKER: Asker = Asker { key: 3, id: 77 };
const NOW: UnixMs = UnixMs(1);

fn facts(server: u16) -> Facts {
    Facts { server, cluster: "shop".into(), group_count: 64, hash: 1, hash_tag: 1, map_version: 5 }
}

fn roster(facts: Facts, secret: &str) -> Roster {
    let seed = [facts.server as u8; 32];
    Roster::new(Secret::read(secret.as_bytes()).unwrap(), facts, Vec::new(), seed)
}

const SECRET: &str = "0123456789abcdef";

/// The length of a large value, bytes.
const LARGE_BYTES: usize = 100_000;

/// An owner that writes down what it is asked and answers by the key.
#[derive(Default)]
struct Echo {
    heard: Mutex<Vec<String>>,
    busy: Mutex<usize>,
    /// It was busy once for a key `parks`.
    has_parked: Mutex<bool>,
}

impl Owner for Echo {
    fn answer(&self, question: &Question<'_>, _: UnixMs) -> Answered {
        let mut busy = self.busy.lock().unwrap();
        if *busy > 0 {
            *busy -= 1;
            return Answered::NotNow(NotNow::Busy);
        }
        let key = match &question.request.command {
            Command::Keyed(key, Op::Store(_) | Op::Get(_)) => {
                String::from_utf8_lossy(&key.bytes).into_owned()
            }
            Command::Read(keys, _) => String::from_utf8_lossy(keys.0.trim_ascii()).into_owned(),
            other => format!("{other:?}"),
        };
        if key == "parks" && !std::mem::replace(&mut *self.has_parked.lock().unwrap(), true) {
            return Answered::NotNow(NotNow::Busy);
        }
        let is_large = matches!(question.request.command, Command::Read(..)) && key.starts_with("large");
        if is_large && !question.room.takes(LARGE_BYTES) {
            return Answered::NotNow(NotNow::TooLong);
        }
        self.heard.lock().unwrap().push(key.clone());
        if key.starts_with("moved") {
            return Answered::NotMine { owner: 3, map_version: 9 };
        }
        let lsn = key.strip_prefix("waits").and_then(|number| number.parse().ok()).map_or(Lsn::ZERO, Lsn);
        let text = match &question.request.command {
            Command::Read(..) if key == "denied" => "SERVER_ERROR denied\r\n".into(),
            Command::Read(..) if key == "missed" => "END\r\n".into(),
            Command::Read(..) if is_large => format!("{key}{}END\r\n", "v".repeat(LARGE_BYTES)),
            Command::Read(..) => format!("read {key}\r\nEND\r\n"),
            _ => format!("did {key}\r\n"),
        };
        Answered::Said(text.into_bytes(), lsn)
    }

    fn answer_part(
        &self,
        (question, _): (&Question<'_>, &[u8]),
        _: bool,
        now: UnixMs,
        parts: &mut Vec<u8>,
    ) -> Result<Lsn, NotNow> {
        self.answer(question, now).into_part(parts)
    }

    fn peer_limits(&self) -> &proto::Limits {
        static LIMITS: std::sync::LazyLock<proto::Limits> = std::sync::LazyLock::new(proto::Limits::default);
        &LIMITS
    }
}

/// A server that asks, one that answers, and what is between them.
struct Pair {
    asking: Roster,
    answering: Roster,
    desk: Desk,
    session: Session,
    owner: Echo,
    now_ms: u64,
}

impl Pair {
    fn new() -> Pair {
        Pair::of(roster(facts(1), SECRET), roster(facts(2), SECRET))
    }

    /// A pair whose asker knows who answers, but not the other way round: its greeting, and the proof that has not arrived.
    fn greeted() -> (Pair, [Vec<u8>; 2]) {
        let mut pair = Pair::new();
        pair.ask(0, &set("a"));
        pair.open();
        let hello = pair.sent(usize::MAX);
        pair.session.turn(&hello, 9, NOW, &pair.owner, &pair.answering);
        let welcome = pair.answered(usize::MAX);
        pair.desk.receive(2, &welcome, &pair.asking, 0).unwrap();
        let proof = pair.sent(usize::MAX);
        (pair, [hello, proof])
    }

    fn of(asking: Roster, answering: Roster) -> Pair {
        let mut desk = Desk::default();
        desk.renew(&[2, 3]);
        let (owner, session) = (Echo::default(), Session::new(0));
        Pair { asking, answering, desk, session, owner, now_ms: 0 }
    }

    fn ask(&mut self, slot: u64, request: &str) {
        self.ask_as(slot, request.as_bytes(), Told::Line);
    }

    fn ask_as(&mut self, slot: u64, request: &[u8], told: Told) {
        let mut errand = Errand::new(2, Some(GroupId(7)), 5, Shown::Whole, told);
        (errand.slot, errand.request) = (Slot(slot), request.to_vec());
        self.desk.take(ASKER, errand, self.now_ms * 1_000_000);
    }

    fn open(&mut self) {
        assert_eq!(self.desk.wants_opening(self.now_ms), [2]);
        self.desk.link(2).unwrap().opening(self.now_ms, &self.asking);
        self.session = Session::new(self.now_ms);
    }

    /// What the asking side sends, at most so many bytes.
    fn sent(&mut self, most: usize) -> Vec<u8> {
        let link = self.desk.link(2).unwrap();
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = link.ready(&mut slices);
        let all: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        let sent = all.get(..most).unwrap_or(&all).to_vec();
        link.advance(sent.len(), self.now_ms);
        sent
    }

    fn answered(&mut self, most: usize) -> Vec<u8> {
        let all = self.session.ready();
        let out = all.get(..most).unwrap_or(all).to_vec();
        self.session.advance(out.len());
        out
    }

    /// Opens the connection and greets, up to the proof, which is the next to be sent.
    fn greet(&mut self) {
        self.open();
        let greeting = self.sent(usize::MAX);
        self.session.turn(&greeting, 9, NOW, &self.owner, &self.answering);
        let welcome = self.answered(usize::MAX);
        self.desk.receive(2, &welcome, &self.asking, 0).unwrap();
    }

    /// Carries bytes both ways in steps of this many until nobody has anything to say.
    fn carry(&mut self, step: usize) -> Result<(), String> {
        let mut idle = 0;
        loop {
            let sent = self.sent(step);
            if !sent.is_empty() || self.session.has_backlog() {
                self.session.turn(&sent, 1000, NOW, &self.owner, &self.answering);
            }
            let answered = self.answered(step);
            idle = if sent.is_empty() && answered.is_empty() { idle + 1 } else { 0 };
            if idle > 0 && (!self.session.has_backlog() || idle > 9) {
                return Ok(());
            }
            self.desk.receive(2, &answered, &self.asking, self.now_ms)?;
        }
    }

    fn lose(&mut self) {
        self.desk.lost(2, "cut".into(), &self.asking, self.now_ms);
    }

    /// The answers so far, as text.
    fn answers(&mut self) -> Vec<(u64, String)> {
        let text = |answer: Answer| {
            assert_eq!(answer.asker, ASKER);
            let (Outcome::Said(bytes) | Outcome::Missing(bytes)) = answer.outcome;
            (answer.slot.0, String::from_utf8_lossy(&bytes).trim_end().to_owned())
        };
        self.desk.take_answers().into_iter().map(text).collect()
    }
}

/// A question of a client that has room for a line.
fn asked(sequence: u64, map_version: u64, group: Option<GroupId>, text: &[u8]) -> frame::Question<'_> {
    frame::Question { sequence, client: ASKER.id, heard: 0, room: Room::LINE, map_version, group, text }
}

fn set(key: &str) -> String {
    format!("set {key} 0 0 1\r\nx\r\n")
}

#[test]
fn requests_are_answered_in_order_however_the_bytes_are_cut() {
    for step in [1, 2, 7, 100, 100_000] {
        let mut pair = Pair::new();
        for slot in 0..40 {
            pair.ask(slot, &set(&format!("k{slot}")));
        }
        pair.open();
        pair.carry(step).unwrap();
        let expected: Vec<(u64, String)> = (0..40).map(|slot| (slot, format!("did k{slot}"))).collect();
        assert_eq!(pair.answers(), expected, "step {step}");
        assert_eq!(pair.asking.health(2), Health::Up);
        assert_eq!(pair.desk.deadline_ms(pair.now_ms), None, "nothing is awaited");
    }
}

#[test]
fn answers_wait_for_their_lsn_and_what_the_log_lost_says_so() {
    let mut pair = Pair::new();
    for (slot, key) in ["a", "waits5", "b", "waits9", "moved1", "c"].iter().enumerate() {
        pair.ask(slot as u64, &set(key));
    }
    pair.open();
    pair.carry(9).unwrap();
    assert_eq!(pair.answers(), [(0, "did a".into())]);
    pair.session.release(Lsn(5), None);
    pair.carry(9).unwrap();
    assert_eq!(pair.answers(), [(1, "did waits5".into()), (2, "did b".into())]);
    pair.session.release(Lsn(6), Some(b"SERVER_ERROR lost\r\n"));
    pair.carry(9).unwrap();
    let answers = pair.answers();
    assert_eq!(answers[0], (3, "SERVER_ERROR lost".into()));
    assert_eq!(answers.last().unwrap(), &(5, "did c".into()), "{answers:?}");
}

#[test]
fn a_busy_owner_is_asked_again_and_executes_once() {
    let mut pair = Pair::new();
    *pair.owner.busy.lock().unwrap() = 3;
    pair.ask(0, &set("a"));
    pair.ask(1, &set("b"));
    pair.open();
    pair.carry(50).unwrap();
    assert_eq!(pair.answers(), [(0, "did a".into()), (1, "did b".into())]);
    assert_eq!(*pair.owner.heard.lock().unwrap(), ["a", "b"]);
}

/// Whoever says that there is more to do is served again at once, for ever if that is not so.
#[test]
fn a_share_that_is_used_up_leaves_something_to_do_only_if_a_whole_frame_is_left() {
    // The proof and three questions, the last of them cut short by so many bytes.
    for (frames_max, missing, expected) in [
        (3, 0, Progress::Again),
        (4, 0, Progress::Idle),
        (5, 0, Progress::Idle),
        (3, 1, Progress::Idle),
        (4, 1, Progress::Idle),
    ] {
        let mut pair = Pair::new();
        (0..3).for_each(|slot| pair.ask(slot, &set(&format!("k{slot}"))));
        pair.greet();
        let sent = pair.sent(usize::MAX);
        let found =
            pair.session.turn(&sent[..sent.len() - missing], frames_max, NOW, &pair.owner, &pair.answering);
        assert_eq!(found, expected, "a share of {frames_max}, {missing} bytes missing");
    }
}

/// Cuts the connection after every byte that the asking side can send. Nothing is executed that was not handed over,
/// nothing that was handed over is sent again, and every request gets exactly one answer.
#[test]
fn a_cut_after_any_byte_leaves_each_request_answered_or_unknown_and_executed_at_most_once() {
    let total = {
        let mut pair = Pair::new();
        (0..3).for_each(|slot| pair.ask(slot, &set(&format!("k{slot}"))));
        pair.greet();
        pair.sent(usize::MAX).len()
    };
    for cut in 0..=total {
        let mut pair = Pair::new();
        (0..3).for_each(|slot| pair.ask(slot, &set(&format!("k{slot}"))));
        pair.greet();
        let sent = pair.sent(cut);
        pair.session.turn(&sent, 9, NOW, &pair.owner, &pair.answering);
        pair.lose();
        let unknown = pair.answers();
        let is_unknown =
            |(_, text): &(u64, String)| text.starts_with("SERVER_ERROR outcome unknown: group 7");
        assert!(unknown.iter().all(is_unknown), "{unknown:?}");
        // The rest is sent on the next connection, in order.
        pair.now_ms += 200;
        pair.ask(3, &set("k3"));
        pair.open();
        pair.carry(1000).unwrap();
        let slots: Vec<u64> =
            unknown.iter().map(|one| one.0).chain(pair.answers().iter().map(|one| one.0)).collect();
        assert_eq!(slots, [0, 1, 2, 3], "cut {cut}");
        let heard = pair.owner.heard.lock().unwrap().clone();
        let mut once = heard.clone();
        once.dedup();
        assert_eq!(heard, once, "cut {cut}: nothing is executed twice");
        assert!(heard.len() >= 4 - unknown.len(), "what is not unknown was executed: {heard:?}");
    }
}

#[test]
fn a_server_that_cannot_be_reached_is_waited_for_and_then_down_at_once() {
    let mut pair = Pair::new();
    pair.ask(0, &set("a"));
    let mut tries = 0;
    while pair.now_ms < PEER_HOLD_MS {
        assert_eq!(pair.answers(), [], "held at {}", pair.now_ms);
        if pair.desk.wants_opening(pair.now_ms) == [2] {
            pair.desk.link(2).unwrap().opening(pair.now_ms, &pair.asking);
            pair.lose();
            tries += 1;
        }
        pair.now_ms = pair.desk.deadline_ms(pair.now_ms).unwrap();
        assert!(pair.desk.tick(&pair.asking, pair.now_ms).is_empty());
    }
    let down = "SERVER_ERROR group 7 is on server 2, which is down";
    assert_eq!(pair.answers(), [(0, down.into())]);
    assert!((3..9).contains(&tries), "{tries} tries, farther and farther apart");
    assert_eq!(pair.asking.health(2), Health::Down);
    pair.ask(1, &set("b"));
    assert_eq!(pair.answers(), [(1, down.into())], "at once");
    // It is probed all the same, and when it is back it is asked.
    while pair.desk.wants_opening(pair.now_ms).is_empty() {
        pair.now_ms = pair.desk.deadline_ms(pair.now_ms).unwrap().max(pair.now_ms + 1);
    }
    pair.open();
    pair.carry(99).unwrap();
    pair.ask(2, &set("c"));
    pair.carry(99).unwrap();
    assert_eq!(pair.answers(), [(2, "did c".into())]);
    assert_eq!((pair.asking.health(2), pair.owner.heard.lock().unwrap().len()), (Health::Up, 1));
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    // Before the greeting is over.
    let mut pair = Pair::new();
    pair.ask(0, &set("a"));
    pair.open();
    assert!(pair.desk.tick(&pair.asking, PEER_GREETING_MS - 1).is_empty());
    assert_eq!(pair.desk.tick(&pair.asking, PEER_GREETING_MS), [(2, "it does not answer")]);
    // With requests under way: those are unknown, and the next ones are refused at once.
    let mut pair = Pair::new();
    pair.ask(0, &set("a"));
    pair.open();
    pair.carry(99).unwrap();
    pair.answers();
    pair.now_ms = 50;
    pair.ask(1, &set("b"));
    pair.sent(usize::MAX);
    assert_eq!(pair.desk.deadline_ms(60), Some(50 + PEER_ANSWER_MS));
    pair.now_ms = 50 + PEER_ANSWER_MS;
    assert_eq!(pair.desk.tick(&pair.asking, pair.now_ms), [(2, "it does not answer requests")]);
    pair.lose();
    assert!(pair.answers()[0].1.starts_with("SERVER_ERROR outcome unknown"));
    pair.ask(2, &set("c"));
    assert!(pair.answers()[0].1.ends_with("is down"));
    // One that connects and does not greet is not waited for by the answering side either.
    let session = Session::new(7);
    assert!(!session.is_overdue(PEER_GREETING_MS) && session.is_overdue(7 + PEER_GREETING_MS));
}

#[test]
fn what_waits_for_one_server_is_bounded() {
    let mut pair = Pair::new();
    let value = "v".repeat(PEER_WAITING_BYTES_MAX / 2);
    let request = format!("set k 0 0 {}\r\n{value}\r\n", value.len());
    (0..3).for_each(|slot| pair.ask(slot, &request));
    let busy = "SERVER_ERROR group 7 is on server 2, which has too much to do";
    assert_eq!(pair.answers(), [(1, busy.into()), (2, busy.into())]);
}

#[test]
fn who_does_not_have_a_group_names_the_owner_who_is_asked_once() {
    let mut pair = Pair::new();
    pair.ask(0, &set("moved"));
    pair.open();
    pair.carry(99).unwrap();
    assert_eq!(pair.answers(), []);
    // Server 3 is asked now; this one says that it is not the one either.
    let mut greeting = Vec::new();
    let link = pair.desk.link(3).unwrap();
    assert!(link.wants_opening(0));
    link.opening(0, &pair.asking);
    let third = roster(facts(3), SECRET);
    let mut session = Session::new(0);
    for _ in 0..3 {
        let link = pair.desk.link(3).unwrap();
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = link.ready(&mut slices);
        greeting.extend(slices[..count].iter().flat_map(|slice| slice.to_vec()));
        link.advance(greeting.len(), 0);
        session.turn(&std::mem::take(&mut greeting), 9, NOW, &pair.owner, &third);
        let said = session.ready().to_vec();
        session.advance(said.len());
        pair.desk.receive(3, &said, &pair.asking, 0).unwrap();
    }
    let (_, text) = pair.answers().pop().unwrap();
    assert!(text.starts_with("SERVER_ERROR group 7: the servers disagree"), "{text}");
    assert_eq!(*pair.owner.heard.lock().unwrap(), ["moved", "moved"], "two servers, once each");
}

#[test]
fn an_older_map_is_not_followed() {
    let mut pair = Pair::new();
    let mut errand = Errand::new(2, Some(GroupId(7)), 9, Shown::Whole, Told::Line);
    errand.request = set("moved").into_bytes();
    pair.desk.take(ASKER, errand, 0);
    pair.open();
    pair.carry(99).unwrap();
    let answers = pair.answers();
    assert!(answers[0].1.starts_with("SERVER_ERROR group 7: the servers disagree"), "{answers:?}");
}

#[test]
fn strangers_are_refused_on_both_sides() {
    let other = |change: fn(&mut Facts)| {
        let mut facts = facts(2);
        change(&mut facts);
        roster(facts, SECRET)
    };
    for (answering, words) in [
        (roster(facts(2), "another secret of theirs"), "secret"),
        (other(|facts| facts.cluster = "other".into()), "cluster"),
        (other(|facts| facts.group_count = 32), "groups"),
        (other(|facts| facts.hash = 2), "hash"),
        (other(|facts| facts.hash_tag = 2), "hash"),
        (other(|facts| facts.server = 1), "both are server 1"),
        (other(|facts| facts.server = 4), "it is server 4"),
    ] {
        let mut pair = Pair::of(roster(facts(1), SECRET), answering);
        pair.ask(0, &set("a"));
        pair.open();
        let why = pair.carry(99).unwrap_err();
        assert!(why.contains(words), "{words}: {why}");
        assert!(pair.owner.heard.lock().unwrap().is_empty());
        assert_ne!(pair.asking.health(2), Health::Up);
    }
}

#[test]
fn nothing_is_executed_before_the_secret_is_proved() {
    let mut question = Vec::new();
    asked(0, 5, None, b"set a 0 0 1\r\nx\r\n").put(&mut question);
    let mut greeting = Vec::new();
    let hello = greeting::Asking::begin(facts(1), 2, [9; 32], &mut greeting);
    drop(hello);
    let mut forged = Vec::new();
    frame::put(Kind::Proof, &[&[7; 32]], &mut forged);
    for bytes in
        [question.clone(), [&*greeting, &question].concat(), [&*greeting, &forged, &question].concat()]
    {
        let (owner, answering) = (Echo::default(), roster(facts(2), SECRET));
        let mut session = Session::new(0);
        assert_eq!(session.turn(&bytes, 99, NOW, &owner, &answering), Progress::Closing);
        assert!(owner.heard.lock().unwrap().is_empty() && !session.is_known());
        assert_eq!(session.turn(&question, 99, NOW, &owner, &answering), Progress::Closing, "for good");
    }
    // A proof that was overheard is worth nothing for the next challenge.
    let (mut pair, greeting) = Pair::greeted();
    pair.session = Session::new(0);
    assert_eq!(
        pair.session.turn(&greeting.concat(), 9, NOW, &pair.owner, &pair.answering),
        Progress::Closing
    );
    assert!(pair.owner.heard.lock().unwrap().is_empty());
}

#[test]
fn only_single_requests_are_taken() {
    for text in ["gat 9 a b\r\n", "stats\r\n", "quit\r\n", "get a\r\nget b\r\n", "get a", ""] {
        let mut pair = Pair::new();
        pair.ask(0, text);
        pair.open();
        assert!(pair.carry(99).is_err(), "{text:?}");
        assert!(pair.owner.heard.lock().unwrap().is_empty());
    }
    let mut pair = Pair::new();
    pair.ask(0, "flush_all\r\n");
    pair.ask(1, "incr\r\n");
    pair.open();
    pair.carry(99).unwrap();
    assert_eq!(
        pair.answers()[1].1,
        "CLIENT_ERROR bad command line format",
        "what the codec rejects is its answer"
    );
}

#[test]
fn hostile_answers_close_the_connection() {
    let mut out_of_order = Vec::new();
    Reply { sequence: 8, status: Status::Said, text: b"" }.put(&mut out_of_order);
    let mut twice = Vec::new();
    (0..2).for_each(|_| Reply { sequence: 0, status: Status::Said, text: b"" }.put(&mut twice));
    let mut question = Vec::new();
    asked(0, 0, None, b"").put(&mut question);
    let mut huge = vec![b'L', b'P', 3, 5];
    huge.extend_from_slice(&(PEER_FRAME_BYTES_MAX as u32 + 1).to_le_bytes());
    huge.extend_from_slice(&[0; 8]);
    for bytes in [out_of_order, twice, question, huge, b"VALUE a 0 1\r\n".to_vec()] {
        let (mut pair, _) = Pair::greeted();
        assert!(pair.desk.receive(2, &bytes, &pair.asking, 0).is_err());
    }
}

#[test]
fn a_server_that_leaves_the_map_leaves_nobody_waiting() {
    let mut pair = Pair::new();
    pair.ask(0, &set("a"));
    pair.open();
    pair.carry(99).unwrap();
    pair.answers();
    pair.ask(1, &set("b"));
    pair.sent(usize::MAX);
    pair.ask(2, &set("c"));
    pair.desk.renew(&[3]);
    let answers = pair.answers();
    assert!(answers[0].1.starts_with("SERVER_ERROR outcome unknown"), "{answers:?}");
    assert!(answers[1].1.ends_with("is down"), "{answers:?}");
}
