//! The answering side: frames in, requests to their owner, frames out.

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::Ordering;

use super::frame::{Found, Kind, Question as Frame, Reply, Status, find, put};
use super::greeting::Answering;
use super::parts;
use super::roster::Roster;
use crate::base::command::{Command, Get, Keys, Own};
use crate::base::errand::Room;
use crate::base::inbox::rest_of;
use crate::base::limits::{
    KEPT_BUFFER_BYTES, OUTBOX_BYTES_MAX, PEER_FRAME_BYTES_MAX, PEER_GREETING_BYTES_MAX, PEER_GREETING_MS,
    PEER_PARTS_BYTES_MAX, PEER_PUT_OFF_MAX, PEER_READ_BYTES_MAX, PEER_READ_KEYS_MAX,
};
use crate::base::lsn::{GroupId, Lsn};
use crate::base::time::UnixMs;
use crate::proto::binary::{self, Refusal};
use crate::proto::{self, Form, Request, Step, texts};

/// Who has groups here and answers for them.
pub trait Owner: Send + Sync {
    /// Answers a request of another server, and asks nobody.
    fn answer(&self, question: &Question<'_>, now: UnixMs) -> Answered;

    /// Answers for one key of a read of many, and asks nobody: writes its part, which may leave when the LSN is safe.
    ///
    /// # Errors
    /// Why not now. Only who is the first may be told that the owner is busy because somebody else reads its row.
    fn answer_part(
        &self,
        asked: (&Question<'_>, &[u8]),
        is_first: bool,
        now: UnixMs,
        parts: &mut Vec<u8>,
    ) -> Result<Lsn, NotNow>;

    /// What the codec must know.
    fn peer_limits(&self) -> &proto::Limits;
}

/// A request of another server.
#[derive(Debug)]
pub struct Question<'a> {
    /// What is asked: something about one key, or of the whole store.
    pub request: Request<'a>,
    /// The group by the asker's map.
    pub group: Option<GroupId>,
    /// That map.
    pub map_version: u64,
    /// How long the answer may be, if it is a read.
    pub room: Room,
}

/// Why a question is not answered now. Nothing was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// Try again soon.
    Busy,
    /// Whoever asks has no room for the item.
    TooLong,
}

/// What the owner says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// A reply, which may leave when this is safe.
    Said(Vec<u8>, Lsn),
    /// Nothing.
    NotNow(NotNow),
    /// Another server has the group.
    NotMine {
        /// Which one.
        owner: u16,
        /// By this map.
        map_version: u64,
    },
}

impl Answered {
    /// The answer to a read of one key, as the part of an answer to many; see [`Owner::answer_part`].
    ///
    /// # Errors
    /// Why there is none now.
    pub fn into_part(self, parts: &mut Vec<u8>) -> Result<Lsn, NotNow> {
        match self {
            Answered::NotNow(why) => return Err(why),
            Answered::Said(text, lsn) => {
                match text.strip_suffix(texts::END) {
                    Some(found) => parts::put_said(found, parts),
                    None => parts::put_refused(&text, parts),
                }
                return Ok(lsn);
            }
            Answered::NotMine { owner, map_version } => parts::put_not_mine(owner, map_version, parts),
        }
        Ok(Lsn::ZERO)
    }
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Everything received is dealt with.
    Idle,
    /// There is more to do, after others had their turn.
    Again,
    /// The owner is busy: try again soon, read nothing until then.
    Parked,
    /// Too much waits to be sent: go on when it has drained.
    Blocked,
    /// Close when everything has left.
    Closing,
}

#[derive(Debug)]
enum State {
    Fresh,
    Greeted(Answering),
    Known,
    Closing,
}

/// One connection of another server.
#[derive(Debug)]
pub struct Session {
    state: State,
    since_ms: u64,
    inbox: Vec<u8>,
    /// How far the first question in `inbox` is answered, if it has many keys.
    course: Course,
    /// Whose questions are not executed.
    put_off: PutOff,
    /// Answers that wait for their LSN, in order.
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    out: Vec<u8>,
    /// How much of `out` has left.
    head: usize,
}

/// The clients of whose questions one was put off, until the asker has heard of it.
#[derive(Debug, Default)]
struct PutOff {
    clients: BTreeSet<u64>,
    /// The sequence of that question, and its client, in order.
    questions: VecDeque<(u64, u64)>,
}

impl PutOff {
    fn add(&mut self, client: u64, sequence: u64) {
        self.clients.insert(client);
        self.questions.push_back((sequence, client));
    }

    /// Whatever was answered before this sequence was heard.
    fn forget_before(&mut self, heard: u64) {
        while let Some((_, client)) = self.questions.front().filter(|(sequence, _)| *sequence < heard) {
            self.clients.remove(client);
            self.questions.pop_front();
        }
    }
}

/// How far a read of many is answered.
#[derive(Clone, Copy, Debug, Default)]
struct Course {
    /// Where the next key stands among them.
    resume: usize,
    /// How long the answers to those before are, bytes.
    said_bytes: usize,
}

/// An answer.
#[derive(Debug)]
struct Waiting {
    lsn: Lsn,
    sequence: u64,
    status: Status,
    text: Vec<u8>,
    /// What becomes of it if it is lost; `None` for a line, which whoever lets go of it has.
    frame: Option<Refusal>,
    /// Of answers to many keys, how many they are.
    keys: usize,
}

impl Session {
    /// Accepted at this moment.
    pub fn new(now_ms: u64) -> Session {
        Session {
            state: State::Fresh,
            since_ms: now_ms,
            inbox: Vec::new(),
            course: Course::default(),
            put_off: PutOff::default(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            out: Vec::new(),
            head: 0,
        }
    }

    /// Takes what was received, and answers at most `frames_max` frames.
    pub fn turn(
        &mut self,
        received: &[u8],
        frames_max: usize,
        now: UnixMs,
        owner: &impl Owner,
        roster: &Roster,
    ) -> Progress {
        let mut inbox = std::mem::take(&mut self.inbox);
        inbox.extend_from_slice(received);
        let mut taken = 0;
        let mut progress = Progress::Again;
        for _ in 0..frames_max {
            if self.unsent_bytes() >= OUTBOX_BYTES_MAX {
                progress = Progress::Blocked;
                break;
            }
            let (length, stop) = self.step(inbox.get(taken..).unwrap_or_default(), now, owner, roster);
            taken += length;
            if let Some(stop) = stop {
                progress = stop;
                break;
            }
        }
        if progress != Progress::Closing {
            self.inbox = rest_of(inbox, taken);
        }
        // A share that is used up leaves something to do only where a whole frame is left.
        if progress == Progress::Again && !self.has_backlog() { Progress::Idle } else { progress }
    }

    /// Deals with one frame: its length, and whether the turn is over.
    fn step(
        &mut self,
        bytes: &[u8],
        now: UnixMs,
        owner: &impl Owner,
        roster: &Roster,
    ) -> (usize, Option<Progress>) {
        let is_known = matches!(self.state, State::Known);
        let bytes_max = if is_known { PEER_FRAME_BYTES_MAX } else { PEER_GREETING_BYTES_MAX };
        let (kind, body, length) = match find(bytes, bytes_max) {
            _ if matches!(self.state, State::Closing) => return (0, Some(Progress::Closing)),
            Found::NeedMore(_) => return (0, Some(Progress::Idle)),
            Found::Bad(why) => return (0, Some(self.refuse(why))),
            Found::Whole(kind, body, length) => (kind, body, length),
        };
        match (kind, &self.state) {
            (Kind::Hello, State::Fresh) => {
                let (facts, challenge) = (roster.facts(), roster.challenge());
                match Answering::begin(body, &facts, challenge, &roster.secret, &mut self.out) {
                    Ok(answering) => self.state = State::Greeted(answering),
                    Err(why) => return (0, Some(self.refuse(&why))),
                }
            }
            (Kind::Proof, State::Greeted(answering)) if answering.finish(body, &roster.secret) => {
                self.state = State::Known;
            }
            (Kind::Proof, _) => return (0, Some(self.refuse("the secret is another one"))),
            (Kind::Question, State::Known) => return self.question(body, length, now, owner, roster),
            _ => return (0, Some(self.refuse("this does not belong here"))),
        }
        (length, None)
    }

    fn question(
        &mut self,
        body: &[u8],
        length: usize,
        now: UnixMs,
        owner: &impl Owner,
        roster: &Roster,
    ) -> (usize, Option<Progress>) {
        let Some(frame) = Frame::read(body) else {
            return (0, Some(self.refuse("a question that cannot be understood")));
        };
        // Whoever has heard of it asks again.
        self.put_off.forget_before(frame.heard);
        if self.put_off.clients.contains(&frame.client) {
            self.say(Waiting::of(frame.sequence, Status::PutOff));
            return (length, None);
        }
        let request = match decode(frame.text, owner.peer_limits()) {
            Step::Request { request, length, swallow }
                if length as u64 + swallow == frame.text.len() as u64 && is_one(&request) =>
            {
                request
            }
            Step::Reject { reply, .. } => {
                self.say(Waiting { text: reply.to_vec(), ..Waiting::of(frame.sequence, Status::Said) });
                return (length, None);
            }
            Step::Refuse { refusal, closes: false, .. } => {
                let mut text = Vec::new();
                binary::encode_refusal(&refusal, &mut text);
                self.say(Waiting { text, ..Waiting::of(frame.sequence, Status::Said) });
                return (length, None);
            }
            _ => return (0, Some(self.refuse("a question that is no single request"))),
        };
        if let (Command::Read(keys, get), form) = (&request.command, request.form)
            && !is_single(*keys)
        {
            return self.read_many(&frame, (form, *keys, *get), length, now, owner, roster);
        }
        let lost = lost_frame(&request);
        match owner.answer(&asked(&frame, request, frame.room), now) {
            Answered::NotNow(NotNow::Busy) => return (0, Some(Progress::Parked)),
            Answered::NotNow(NotNow::TooLong) => {
                return self.put_off(&frame, Waiting::of(frame.sequence, Status::PutOff), length);
            }
            Answered::Said(text, lsn) => {
                roster.figures.answered.fetch_add(1, Ordering::Relaxed);
                self.say(Waiting { lsn, text, frame: lost, ..Waiting::of(frame.sequence, Status::Said) });
            }
            Answered::NotMine { owner, map_version } => {
                let status = Status::NotMine { owner, map_version };
                // Behind the answers that wait, as its question was.
                if self.waiting.is_empty() {
                    Reply { sequence: frame.sequence, status, text: b"" }.put(&mut self.out);
                } else {
                    return (0, Some(Progress::Parked));
                }
            }
        }
        (length, None)
    }

    /// Answers as many keys of a read as one answer holds. The question stays until all have been, so that nothing
    /// behind it overtakes them; others have their turn meanwhile.
    fn read_many(
        &mut self,
        frame: &Frame<'_>,
        (form, keys, get): (Form<'_>, Keys<'_>, Get),
        length: usize,
        now: UnixMs,
        owner: &impl Owner,
        roster: &Roster,
    ) -> (usize, Option<Progress>) {
        let mut rest = Keys(keys.0.get(self.course.resume..).unwrap_or_default());
        let (mut parts, mut lsn, mut count, mut stop) = (Vec::new(), Lsn::ZERO, 0, None);
        while let Some((key, next)) = rest.split_first()
            && parts.len() < PEER_PARTS_BYTES_MAX
            && count < PEER_READ_KEYS_MAX
        {
            let request = Request { command: Command::Read(Keys(key), get), form };
            let room = frame.room.without(self.course.said_bytes + parts.len());
            match owner.answer_part((&asked(frame, request, room), key), count == 0, now, &mut parts) {
                Ok(at) => lsn = lsn.max(at),
                Err(why) => {
                    stop = Some(why);
                    break;
                }
            }
            (rest, count) = (next, count + 1);
        }
        roster.figures.answered.fetch_add(count as u64, Ordering::Relaxed);
        let said_bytes = self.course.said_bytes + parts.len();
        let is_last = is_none(rest);
        let status = Status::Parts { is_last };
        let answer = Waiting { lsn, text: parts, keys: count, ..Waiting::of(frame.sequence, status) };
        match stop {
            Some(NotNow::TooLong) => return self.put_off(frame, answer, length),
            Some(NotNow::Busy) if count == 0 => return (0, Some(Progress::Parked)),
            _ => self.say(answer),
        }
        if is_last {
            self.course = Course::default();
            return (length, Some(Progress::Again));
        }
        self.course = Course { resume: keys.0.len() - rest.0.len(), said_bytes };
        (0, Some(if stop.is_some() { Progress::Parked } else { Progress::Again }))
    }

    /// Ends the answer to a question that there is no room for: nothing of its client is executed until it asks again.
    fn put_off(&mut self, frame: &Frame<'_>, answer: Waiting, length: usize) -> (usize, Option<Progress>) {
        if self.put_off.clients.len() >= PEER_PUT_OFF_MAX {
            return (0, Some(self.refuse("it asks for more than it takes, for too many clients")));
        }
        self.course = Course::default();
        self.put_off.add(frame.client, frame.sequence);
        self.say(Waiting { status: Status::PutOff, ..answer });
        (length, None)
    }

    /// An answer, which leaves when its LSN is safe.
    fn say(&mut self, answer: Waiting) {
        if answer.lsn == Lsn::ZERO && self.waiting.is_empty() {
            return answer.put(&answer.text, &mut self.out);
        }
        self.waiting_bytes += answer.text.len();
        self.waiting.push_back(answer);
    }

    /// Lets go of the answers whose LSN is safe. When the log has failed the others will never be: they become the line
    /// `lost`, or a frame that says so.
    pub fn release(&mut self, safe: Lsn, lost: Option<&[u8]>) {
        while let Some(first) = self.waiting.front()
            && (first.lsn <= safe || lost.is_some())
        {
            let text = if first.lsn <= safe {
                Cow::Borrowed(first.text.as_slice())
            } else {
                first.lost(lost.unwrap_or_default())
            };
            first.put(&text, &mut self.out);
            self.waiting_bytes -= first.text.len();
            self.waiting.pop_front();
        }
    }

    /// Whether answers wait for their LSN.
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What may leave now.
    pub fn ready(&self) -> &[u8] {
        self.out.get(self.head..).unwrap_or_default()
    }

    /// So many bytes have left.
    pub fn advance(&mut self, count: usize) {
        self.head += count;
        if self.head >= self.out.len() {
            self.head = 0;
            self.out.clear();
            if self.out.capacity() > KEPT_BUFFER_BYTES.max(OUTBOX_BYTES_MAX / 16) {
                self.out = Vec::new();
            }
        }
    }

    /// What has not left, bytes.
    pub fn unsent_bytes(&self) -> usize {
        self.out.len() - self.head + self.waiting_bytes
    }

    /// Whether bytes wait that a turn without new ones could deal with.
    pub fn has_backlog(&self) -> bool {
        !self.inbox.is_empty() && !matches!(find(&self.inbox, PEER_FRAME_BYTES_MAX), Found::NeedMore(_))
    }

    /// Whether the other side has had its time to prove the secret and has not.
    pub fn is_overdue(&self, now_ms: u64) -> bool {
        !matches!(self.state, State::Known) && now_ms.saturating_sub(self.since_ms) >= PEER_GREETING_MS
    }

    /// Whether the other side has proved the secret.
    pub fn is_known(&self) -> bool {
        matches!(self.state, State::Known)
    }

    fn refuse(&mut self, why: &str) -> Progress {
        log::warn!("a connection to the peer address is refused: {why}");
        put(Kind::Refusal, &[why.as_bytes()], &mut self.out);
        self.state = State::Closing;
        Progress::Closing
    }
}

impl Waiting {
    /// Nothing, to this question: what observed nothing may leave at once.
    fn of(sequence: u64, status: Status) -> Waiting {
        Waiting { lsn: Lsn::ZERO, sequence, status, text: Vec::new(), frame: None, keys: 0 }
    }

    fn put(&self, text: &[u8], out: &mut Vec<u8>) {
        Reply { sequence: self.sequence, status: self.status, text }.put(out);
    }

    /// What becomes of it when the log can no longer promise it.
    fn lost<'a>(&self, line: &'a [u8]) -> Cow<'a, [u8]> {
        let mut text = Vec::new();
        match (&self.frame, self.status) {
            (Some(frame), _) => binary::encode_refusal(frame, &mut text),
            (None, Status::Parts { .. } | Status::PutOff) => {
                (0..self.keys).for_each(|_| parts::put_refused(line, &mut text))
            }
            (None, _) => return Cow::Borrowed(line),
        }
        Cow::Owned(text)
    }
}

fn asked<'a>(frame: &Frame<'_>, request: Request<'a>, room: Room) -> Question<'a> {
    Question { request, group: frame.group, map_version: frame.map_version, room }
}

/// Reads a request: a line with what belongs to it, or a frame of the binary protocol. Who asks has seen to who may.
fn decode<'a>(text: &'a [u8], limits: &proto::Limits) -> Step<'a> {
    if text.first() == Some(&binary::REQUEST_MAGIC) {
        binary::decode(text, true, limits)
    } else {
        proto::decode(text, 0, limits)
    }
}

/// What answers a frame whose change the log can no longer promise.
fn lost_frame(request: &Request<'_>) -> Option<Refusal> {
    let Form::Binary(form) = &request.form else { return None };
    Some(Refusal { opcode: form.opcode, opaque: form.opaque, status: binary::Status::Internal })
}

/// Whether this is a request that one server may ask another: of one key, a read of some, or of the whole store.
fn is_one(request: &Request<'_>) -> bool {
    match &request.command {
        Command::Keyed(..) | Command::FlushAll(_) | Command::Own(Own::Keys { .. }) => true,
        Command::Read(keys, get) => {
            is_single(*keys) || (keys.0.len() <= PEER_READ_BYTES_MAX && get.touch.is_none())
        }
        _ => false,
    }
}

fn is_single(keys: Keys<'_>) -> bool {
    keys.split_first().is_some_and(|(_, rest)| is_none(rest))
}

fn is_none(keys: Keys<'_>) -> bool {
    keys.split_first().is_none()
}
