//! The asking side of one connection to one server.
//!
//! A request waits in `queue` until its last byte is handed to the socket, then in `flying` until it is answered. When
//! the connection is lost, what was handed over at all is *unknown*; the rest waits for the next connection, but not
//! for long.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use super::desk::{Asker, Task};
use super::frame::{Found, HEAD_BYTES, Kind, Question, Reply, Status, find};
use super::greeting::Asking;
use super::parts::Part;
use super::roster::Roster;
use crate::base::errand::{Errand, Outcome, Place, Slot};
use crate::base::inbox::rest_of;
use crate::base::limits::{
    PEER_ANSWER_MS, PEER_FRAME_BYTES_MAX, PEER_GREETING_BYTES_MAX, PEER_GREETING_MS, PEER_HOLD_MS,
    PEER_PAUSE_MS_MAX, PEER_PAUSE_MS_MIN, PEER_WAITING_BYTES_MAX, PEER_WAITING_MAX,
};

/// The most slices handed to one `writev`.
pub const SLICES_MAX: usize = 64;

/// How far the connection is.
#[derive(Debug)]
enum State {
    /// There is none; after this moment it may be tried.
    Apart { until_ms: u64 },
    /// Asked for, or being greeted, since this moment.
    Opening { since_ms: u64, asking: Option<Asking> },
    /// Requests may be sent.
    Up,
}

/// A request and its frame.
#[derive(Debug)]
struct Letter {
    sequence: u64,
    sent_ms: u64,
    frame: Vec<u8>,
    task: Task,
}

impl Letter {
    /// Takes the answers to some of its keys.
    ///
    /// # Errors
    /// What cannot be such answers.
    fn take_parts(&mut self, mut parts: Bytes, events: &mut Vec<Event>) -> Result<(), &'static str> {
        while !parts.is_empty() {
            let part = Part::take(&mut parts).ok_or("it sent a part that cannot be understood")?;
            let task = &mut self.task;
            let place =
                *task.errand.places.get(task.filled).ok_or("it answers keys that nobody asked for")?;
            let (asker, began_ns, slot) = (task.asker, task.began_ns, place.slot);
            events.push(match part {
                Part::Said(bytes) => Event::Part { asker, began_ns, slot, outcome: Outcome::Said(bytes) },
                Part::Refused(line) => Event::Part { asker, began_ns, slot, outcome: Outcome::Missing(line) },
                Part::NotMine { owner, map_version } => {
                    let task = self.alone(self.task.filled, place).ok_or("a key is lost")?;
                    Event::NotMine { task, owner, map_version }
                }
            });
            self.task.filled += 1;
        }
        Ok(())
    }

    /// Whether all of its keys are answered.
    fn is_whole(&self) -> bool {
        self.task.filled == self.task.errand.places.len()
    }

    /// The question for one of its keys alone.
    fn alone(&self, at: usize, place: Place) -> Option<Task> {
        let Found::Whole(_, body, _) = find(&self.frame, PEER_FRAME_BYTES_MAX) else { return None };
        let mut words = Question::read(body)?.text.trim_ascii_end().split(|byte| *byte == b' ');
        let (verb, key) = (words.next()?, words.nth(at)?);
        let Errand { server, map_version, ref shown, told, .. } = self.task.errand;
        let mut errand = Errand::new(server, Some(place.group), map_version, shown.clone(), told);
        (errand.slot, errand.request) = (place.slot, [verb, b" ", key, b"\r\n"].concat());
        Some(Task {
            asker: self.task.asker,
            number: self.task.number,
            errand,
            filled: 0,
            is_retried: false,
            began_ns: self.task.began_ns,
        })
    }

    /// The request, to be sent again or elsewhere: without the keys that are answered.
    fn taken_back(mut self) -> Task {
        if let Found::Whole(_, body, _) = find(&self.frame, PEER_FRAME_BYTES_MAX)
            && let Some(question) = Question::read(body)
        {
            self.task.errand.request = question.text.to_vec();
        }
        self.task.errand.drop_first(std::mem::take(&mut self.task.filled));
        self.task
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The server is down; nothing was sent.
    Down,
    /// Too much waits for it; nothing was sent.
    Full,
    /// The answer is longer than whoever asks can ever take.
    Long,
    /// It was sent, and whether it was executed is not known.
    Unknown,
}

/// What became of a request.
#[derive(Debug)]
pub enum Event {
    /// It is answered.
    Said(Task, Bytes),
    /// One of its keys is answered.
    Part {
        /// Who waits for it.
        asker: Asker,
        /// See [`Task::began_ns`].
        began_ns: u64,
        /// Where it goes.
        slot: Slot,
        /// What it is.
        outcome: Outcome,
    },
    /// All of its keys are answered, or asked elsewhere.
    Whole(Task),
    /// There was no room for the answer, or for an earlier one of the same client. It is to be asked again.
    PutOff(Task),
    /// The server does not have the group.
    NotMine {
        /// The request.
        task: Task,
        /// Who has the group, it says.
        owner: u16,
        /// By this map.
        map_version: u64,
    },
    /// There is no answer.
    Failed(Task, Why),
}

/// The connection to one server. Times are milliseconds of a clock that never goes back.
#[derive(Debug)]
pub struct Link {
    server: u16,
    state: State,
    /// Bytes of the greeting that have not left.
    greeting: Vec<u8>,
    queue: VecDeque<Letter>,
    /// How much of the first frame in `queue` has left.
    started_bytes: usize,
    /// When the connection took bytes last.
    moved_ms: u64,
    /// When the last answer came.
    answered_ms: u64,
    flying: VecDeque<Letter>,
    /// What `queue` and `flying` hold.
    bytes: usize,
    inbox: Vec<u8>,
    next_sequence: u64,
    /// What was asked before this is answered.
    heard: u64,
    /// Since when it is not connected though it is wanted.
    missed_ms: Option<u64>,
    pause_ms: u64,
    /// What was wrong the last time, in words.
    pub trouble: Option<String>,
}

impl Link {
    /// Not connected yet, to the server of this number.
    pub fn new(server: u16) -> Link {
        Link {
            server,
            state: State::Apart { until_ms: 0 },
            greeting: Vec::new(),
            queue: VecDeque::new(),
            started_bytes: 0,
            moved_ms: 0,
            answered_ms: 0,
            flying: VecDeque::new(),
            bytes: 0,
            inbox: Vec::new(),
            next_sequence: 0,
            heard: 0,
            missed_ms: None,
            pause_ms: PEER_PAUSE_MS_MIN,
            trouble: None,
        }
    }

    /// Takes a request, or says at once why not.
    pub fn ask(&mut self, mut task: Task, now_ms: u64, events: &mut Vec<Event>) {
        if self.is_down(now_ms) {
            return events.push(Event::Failed(task, Why::Down));
        }
        let cost = task.errand.request.len() + HEAD_BYTES;
        let count = self.queue.len() + self.flying.len();
        if count > 0 && (self.bytes + cost > PEER_WAITING_BYTES_MAX || count >= PEER_WAITING_MAX) {
            return events.push(Event::Failed(task, Why::Full));
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let Errand { map_version, group, room, ref request, .. } = task.errand;
        let (client, heard) = (task.asker.id, self.heard);
        let mut frame = Vec::new();
        Question { sequence, client, heard, room, map_version, group, text: request }.put(&mut frame);
        // It is in the frame, and need not be held twice.
        task.errand.request = Vec::new();
        if !matches!(self.state, State::Up) {
            self.missed_ms.get_or_insert(now_ms);
        }
        self.bytes += frame.len();
        self.queue.push_back(Letter { sequence, sent_ms: 0, frame, task });
    }

    /// Whether requests are refused at once.
    pub fn is_down(&self, now_ms: u64) -> bool {
        self.missed_ms.is_some_and(|since| now_ms.saturating_sub(since) >= PEER_HOLD_MS)
    }

    /// Whether requests can be sent.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up)
    }

    /// Whether a connection is to be opened now.
    pub fn wants_opening(&self, now_ms: u64) -> bool {
        matches!(self.state, State::Apart { until_ms } if until_ms <= now_ms) && self.missed_ms.is_some()
    }

    /// A connection is being opened: the greeting may be sent as soon as it is.
    pub fn opening(&mut self, now_ms: u64, roster: &Roster) {
        self.greeting.clear();
        self.inbox.clear();
        let asking = Asking::begin(roster.facts(), self.server, roster.challenge(), &mut self.greeting);
        self.state = State::Opening { since_ms: now_ms, asking: Some(asking) };
    }

    /// The bytes to send, as slices for one `writev`; how many slices were filled.
    pub fn ready<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        let letters = if self.is_up() { self.queue.len() } else { 0 };
        let frames = self.queue.iter().take(letters).enumerate().map(|(at, letter)| {
            let from = if at == 0 { self.started_bytes } else { 0 };
            letter.frame.get(from..).unwrap_or_default()
        });
        let pieces =
            std::iter::once(self.greeting.as_slice()).chain(frames).filter(|piece| !piece.is_empty());
        slices.iter_mut().zip(pieces).map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    /// So many bytes have left.
    pub fn advance(&mut self, count: usize, now_ms: u64) {
        self.moved_ms = now_ms;
        let greeted = count.min(self.greeting.len());
        self.greeting.drain(..greeted);
        let mut left = count - greeted;
        while let Some(first) = self.queue.front()
            && left > 0
        {
            let rest = first.frame.len() - self.started_bytes;
            if left < rest {
                self.started_bytes += left;
                return;
            }
            left -= rest;
            self.started_bytes = 0;
            if let Some(mut letter) = self.queue.pop_front() {
                letter.sent_ms = now_ms;
                self.flying.push_back(letter);
            }
        }
    }

    /// Takes what was received.
    ///
    /// # Errors
    /// Why the connection is to be closed.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        roster: &Roster,
        now_ms: u64,
        events: &mut Vec<Event>,
    ) -> Result<(), String> {
        let mut inbox = std::mem::take(&mut self.inbox);
        inbox.extend_from_slice(bytes);
        let mut taken = 0;
        let result = loop {
            let bytes_max = if self.is_up() { PEER_FRAME_BYTES_MAX } else { PEER_GREETING_BYTES_MAX };
            match find(inbox.get(taken..).unwrap_or_default(), bytes_max) {
                Found::NeedMore(_) => break Ok(()),
                Found::Bad(why) => break Err(format!("it sent {why}")),
                Found::Whole(kind, body, length) => {
                    if let Err(why) = self.take(kind, body, roster, events) {
                        break Err(why);
                    }
                    if kind == Kind::Answer {
                        self.answered_ms = now_ms;
                    }
                    taken += length;
                }
            }
        };
        self.inbox = rest_of(inbox, taken);
        result
    }

    fn take(
        &mut self,
        kind: Kind,
        body: &[u8],
        roster: &Roster,
        events: &mut Vec<Event>,
    ) -> Result<(), String> {
        match (kind, &mut self.state) {
            (Kind::Refusal, _) => {
                Err(format!("it refuses: {}", String::from_utf8_lossy(body).escape_debug()))
            }
            (Kind::Welcome, State::Opening { asking, .. }) => {
                let asking = asking.take().ok_or("it greets twice")?;
                asking.finish(body, &roster.secret, &mut self.greeting)?;
                self.state = State::Up;
                self.missed_ms = None;
                self.pause_ms = PEER_PAUSE_MS_MIN;
                self.trouble = None;
                Ok(())
            }
            (Kind::Answer, State::Up) => {
                let reply = Reply::read(body).ok_or("it sent an answer that cannot be understood")?;
                Ok(self.answered(&reply, events)?)
            }
            _ => Err("it sent what does not belong here".into()),
        }
    }

    /// Takes an answer, which is one to the question that has waited longest.
    fn answered(&mut self, reply: &Reply<'_>, events: &mut Vec<Event>) -> Result<(), &'static str> {
        let is_next = |letter: &&mut Letter| letter.sequence == reply.sequence;
        let letter = self.flying.front_mut().filter(is_next).ok_or("it answers out of order")?;
        let is_of_many = !letter.task.errand.places.is_empty();
        match reply.status {
            Status::Parts { .. } if is_of_many => letter.take_parts(reply.bytes(), events)?,
            Status::PutOff if is_of_many || reply.text.is_empty() => {
                letter.take_parts(reply.bytes(), events)?;
            }
            Status::Said | Status::NotMine { .. } if !is_of_many => {}
            _ => return Err("it answers many keys as one, or one as many"),
        }
        match reply.status {
            Status::Parts { is_last } if is_last != letter.is_whole() => {
                return Err("it answers another number of keys");
            }
            Status::PutOff if is_of_many && letter.is_whole() => {
                return Err("it puts off what it has answered");
            }
            Status::Parts { is_last: false } => return Ok(()),
            _ => {}
        }
        let Some(letter) = self.flying.pop_front() else { return Ok(()) };
        self.bytes -= letter.frame.len();
        self.heard = reply.sequence + 1;
        events.push(match reply.status {
            Status::Said => Event::Said(letter.task, reply.bytes()),
            Status::Parts { .. } => Event::Whole(letter.task),
            Status::PutOff => Event::PutOff(letter.taken_back()),
            Status::NotMine { owner, map_version } => {
                Event::NotMine { task: letter.taken_back(), owner, map_version }
            }
        });
        Ok(())
    }

    /// Takes back what of a client's waits for the next connection.
    pub fn recall(&mut self, client: u64) -> Vec<Task> {
        let queue = std::mem::take(&mut self.queue).into_iter();
        let (recalled, kept): (Vec<Letter>, _) = queue.partition(|letter| letter.task.asker.id == client);
        self.queue = kept.into();
        self.bytes -= recalled.iter().map(|letter| letter.frame.len()).sum::<usize>();
        recalled.into_iter().map(Letter::taken_back).collect()
    }

    /// The connection is gone, or was never made.
    pub fn lost(&mut self, why: String, now_ms: u64, events: &mut Vec<Event>) {
        let is_stalled = self.is_stalled(now_ms);
        self.state = State::Apart { until_ms: now_ms + self.pause_ms };
        self.pause_ms = (self.pause_ms * 2).min(PEER_PAUSE_MS_MAX);
        self.greeting.clear();
        self.inbox.clear();
        self.trouble = Some(why);
        let began = if std::mem::take(&mut self.started_bytes) > 0 { self.queue.pop_front() } else { None };
        for letter in std::mem::take(&mut self.flying).into_iter().chain(began) {
            self.bytes -= letter.frame.len();
            events.push(Event::Failed(letter.task, Why::Unknown));
        }
        // One that holds a connection and says nothing has been waited for long enough.
        let since = if is_stalled { now_ms.saturating_sub(PEER_HOLD_MS) } else { now_ms };
        self.missed_ms.get_or_insert(since);
        self.tick(now_ms, events);
    }

    /// Gives up what has waited too long for a connection. Whether the one there is is to be closed.
    pub fn tick(&mut self, now_ms: u64, events: &mut Vec<Event>) -> Option<&'static str> {
        if self.is_down(now_ms) {
            for letter in std::mem::take(&mut self.queue) {
                self.bytes -= letter.frame.len();
                events.push(Event::Failed(letter.task, Why::Down));
            }
        }
        match &self.state {
            State::Opening { since_ms, .. } if now_ms.saturating_sub(*since_ms) >= PEER_GREETING_MS => {
                Some("it does not answer")
            }
            State::Up if self.is_stalled(now_ms) => Some("it does not answer requests"),
            _ => None,
        }
    }

    fn is_stalled(&self, now_ms: u64) -> bool {
        self.waits_since_ms().is_some_and(|since| now_ms.saturating_sub(since) >= PEER_ANSWER_MS)
    }

    /// Since when the other side owes something: an answer, or to take the rest of a request. Answers come one after the
    /// other, so that a request owes nothing while those before it are answered.
    fn waits_since_ms(&self) -> Option<u64> {
        let unanswered = self.flying.front().map(|letter| letter.sent_ms.max(self.answered_ms));
        let untaken = (self.started_bytes > 0).then_some(self.moved_ms);
        [unanswered, untaken].into_iter().flatten().min()
    }

    /// When [`Link::tick`] or [`Link::wants_opening`] has something to say next.
    pub fn deadline_ms(&self, now_ms: u64) -> Option<u64> {
        let held = self.missed_ms.filter(|_| !self.queue.is_empty()).map(|since| since + PEER_HOLD_MS);
        let own = match &self.state {
            State::Apart { until_ms } => self.missed_ms.map(|_| *until_ms),
            State::Opening { since_ms, .. } => Some(since_ms + PEER_GREETING_MS),
            State::Up => self.waits_since_ms().map(|since| since + PEER_ANSWER_MS),
        };
        [held, own].into_iter().flatten().min().map(|at| at.max(now_ms))
    }

    /// Everything that waits, when the server is no longer in the map.
    pub fn dissolve(mut self, events: &mut Vec<Event>) {
        let queue = std::mem::take(&mut self.queue);
        let started = usize::from(self.started_bytes > 0);
        events.extend(self.flying.into_iter().map(|letter| Event::Failed(letter.task, Why::Unknown)));
        for (at, letter) in queue.into_iter().enumerate() {
            let why = if at < started { Why::Unknown } else { Why::Down };
            events.push(Event::Failed(letter.task, why));
        }
    }
}
