//! The course of one connection: bytes, requests, replies.

use arrayvec::ArrayVec;

use crate::base::command::{Command, Get, Keys};
use crate::base::inbox::rest_of;
use crate::base::limits::{BATCH_REQUESTS, OUTBOX_BYTES_MAX};
use crate::base::lsn::Lsn;
use crate::base::reply::Sink;
use crate::base::time::UnixMs;
use crate::proto::{self, ClassicForm, Form, Request, Step};

use super::{Ask, Backend, Outbox, Session, Verdict};

/// What is read before the one in front of it is answered.
type Batch<'a> = ArrayVec<Step<'a>, AHEAD_REQUESTS>;

const AHEAD_REQUESTS: usize = BATCH_REQUESTS - 1;

/// One connection. It never blocks and never fails: what cannot go on says so in its [`Progress`].
#[derive(Debug, Default)]
pub struct Connection {
    /// Bytes received that no request has consumed.
    inbox: Vec<u8>,
    /// With fewer bytes than this in the inbox there is no use in decoding again.
    need_bytes: usize,
    /// How much of the inbox was searched in vain for the end of a line.
    searched_bytes: usize,
    /// Bytes still to come that nobody wants: the rest of a refused value.
    swallow_bytes: u64,
    /// Where in a long request to go on.
    resume: usize,
    /// The read that goes on there, if it is one of many keys: boxed, since there is hardly ever one, and every turn looks.
    paused: Option<Box<PausedRead>>,
    /// Whether it speaks the binary protocol: known from its first byte on, for its whole life.
    is_binary: Option<bool>,
    /// Whether nothing is read any more.
    closing: bool,
    /// Whether that is for something which cannot be answered.
    refused: bool,
    /// Replies.
    pub outbox: Outbox,
    /// What requests leave for later ones.
    pub session: Session,
}

/// How a turn of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All that was received is dealt with, or waits for more bytes.
    Idle,
    /// Its share of this turn is used up; there is more in the inbox.
    Again,
    /// The outbox is full: go on when it has drained.
    Blocked,
    /// The server cannot take this request just now: try again soon, read nothing until then.
    Parked,
    /// Nothing more is read; close when the outbox is empty.
    Closing,
}

/// A read of many keys that goes on later. That its keys are keys was seen when it began, and is not looked at again
/// each time: with tens of thousands of them that would cost more than reading them.
#[derive(Clone, Copy, Debug)]
struct PausedRead {
    /// Where the keys begin and end in the inbox, which begins with the request.
    keys: (usize, usize),
    get: Get,
    form: ClassicForm,
    length: usize,
}

impl PausedRead {
    /// What is to be known of this step, which `bytes` begin with, if it is a read: its keys end its line.
    fn of(step: &Step<'_>, bytes: &[u8]) -> Option<Box<PausedRead>> {
        let Step::Request { request, length, .. } = step else { return None };
        let length = *length;
        let (Command::Read(keys, get), Form::Classic(form)) = (&request.command, &request.form) else {
            return None;
        };
        let line = bytes.get(..length)?.strip_suffix(b"\n")?;
        let end = line.strip_suffix(b"\r").unwrap_or(line).len();
        let start = end.checked_sub(keys.0.len())?;
        let is_it = bytes.get(start..end) == Some(keys.0);
        is_it.then(|| Box::new(PausedRead { keys: (start, end), get: *get, form: *form, length }))
    }

    fn step<'b>(&self, bytes: &'b [u8]) -> Option<Step<'b>> {
        let (start, end) = self.keys;
        let command = Command::Read(Keys(bytes.get(start..end)?), self.get);
        let request = Request { command, form: Form::Classic(self.form) };
        Some(Step::Request { request, length: self.length, swallow: 0 })
    }
}

impl Connection {
    /// Takes what was received and answers it, at most `requests_max` requests.
    pub fn turn(
        &mut self,
        received: &[u8],
        requests_max: usize,
        now: UnixMs,
        backend: &impl Backend,
    ) -> Progress {
        if self.closing {
            return Progress::Closing;
        }
        if let Some(watch) = &self.session.watch {
            self.inbox = Vec::new();
            watch.pull(&mut self.outbox);
            return Progress::Idle;
        }
        if self.inbox.is_empty() {
            let (taken, progress) = self.serve(received, requests_max, now, backend);
            self.inbox.extend_from_slice(received.get(taken..).unwrap_or_default());
            return progress;
        }
        self.inbox.extend_from_slice(received);
        if self.inbox.len() < self.need_bytes {
            return Progress::Idle;
        }
        let inbox = std::mem::take(&mut self.inbox);
        let (taken, progress) = self.serve(&inbox, requests_max, now, backend);
        self.inbox = rest_of(inbox, taken);
        progress
    }

    /// Answers the requests in `bytes`; how many bytes were taken, and why it ended.
    fn serve(
        &mut self,
        bytes: &[u8],
        requests_max: usize,
        now: UnixMs,
        backend: &impl Backend,
    ) -> (usize, Progress) {
        let (mut taken, mut left) = (0, requests_max);
        self.need_bytes = 0;
        let mut searched = std::mem::take(&mut self.searched_bytes);
        let mut batch = Batch::new();
        while left > 0 {
            taken += self.swallow(bytes.len() - taken);
            let rest = bytes.get(taken..).unwrap_or_default();
            if rest.is_empty() {
                return (taken, Progress::Idle);
            }
            let mut paused = self.paused.take();
            let known = paused.as_ref().and_then(|read| read.step(rest));
            let first = known.unwrap_or_else(|| self.decode(rest, std::mem::take(&mut searched), backend));
            batch.clear();
            self.read_ahead(behind(&first, rest), left - 1, backend, &mut batch);
            let steps = std::iter::once(&first).chain(&batch);
            if !batch.is_empty() {
                backend.foresee(steps.clone());
            }
            left -= 1 + batch.len();
            for step in steps {
                if self.outbox.unsent_bytes() >= OUTBOX_BYTES_MAX {
                    self.paused = paused;
                    return (taken, Progress::Blocked);
                }
                match self.take(step, now, backend) {
                    Ok(length) => (taken, paused) = (taken + length, None),
                    Err(Progress::Closing) if self.refused => return (bytes.len(), Progress::Closing),
                    Err(stop) => {
                        if self.resume > 0 {
                            self.paused = paused.or_else(|| PausedRead::of(step, bytes.get(taken..)?));
                        }
                        return (taken, stop);
                    }
                }
            }
        }
        (taken, if taken < bytes.len() { Progress::Again } else { Progress::Idle })
    }

    /// Reads what the bytes begin with as far as that does not depend on how it is answered.
    fn read_ahead<'b>(
        &mut self,
        bytes: &'b [u8],
        requests_max: usize,
        backend: &impl Backend,
        batch: &mut Batch<'b>,
    ) {
        let mut rest = bytes;
        while !rest.is_empty() && batch.len() < requests_max.min(AHEAD_REQUESTS) {
            let step = self.decode(rest, 0, backend);
            rest = behind(&step, rest);
            batch.push(step);
        }
    }

    /// Answers what was read: how many bytes it took, or why the turn ends before it.
    #[inline]
    fn take(&mut self, step: &Step<'_>, now: UnixMs, backend: &impl Backend) -> Result<usize, Progress> {
        match *step {
            Step::NeedMore { total, searched } => {
                self.need_bytes = total;
                self.searched_bytes = searched;
                Err(Progress::Idle)
            }
            Step::Request { ref request, length, swallow } => {
                let mut ask = Ask { now, resume: self.resume, session: &mut self.session };
                let verdict = backend.execute(request, &mut ask, &mut self.outbox);
                self.stop_at(verdict).map_or(Ok(()), Err)?;
                self.swallow_bytes = swallow;
                Ok(length)
            }
            Step::Reject { reply, length, swallow } => {
                self.outbox.put(reply);
                self.outbox.seal(Lsn::ZERO);
                self.swallow_bytes = swallow;
                Ok(length)
            }
            Step::Refuse { ref refusal, length, swallow, closes } => {
                proto::binary::encode_refusal(refusal, &mut self.outbox);
                self.outbox.seal(Lsn::ZERO);
                if closes {
                    return Err(self.refuse());
                }
                self.swallow_bytes = swallow;
                Ok(length)
            }
            Step::Close => Err(self.refuse()),
        }
    }

    /// Closes for something which cannot be answered: nothing that came with it is looked at.
    fn refuse(&mut self) -> Progress {
        (self.closing, self.refused) = (true, true);
        Progress::Closing
    }

    fn decode<'b>(&mut self, bytes: &'b [u8], searched: usize, backend: &impl Backend) -> Step<'b> {
        let limits = backend.limits();
        let first = bytes.first().copied().unwrap_or_default();
        if *self.is_binary.get_or_insert_with(|| limits.protocols.is_binary(first)) {
            return proto::binary::decode(bytes, self.session.authenticated, limits);
        }
        if backend.wants_authentication() && !self.session.authenticated {
            return proto::decode_unauthenticated(bytes, searched);
        }
        proto::decode(bytes, searched, limits)
    }

    /// Whether this verdict ends the turn before the request is consumed.
    fn stop_at(&mut self, verdict: Verdict) -> Option<Progress> {
        let (resume, stop) = match verdict {
            Verdict::Done => (0, None),
            Verdict::Parked { resume } => (resume, Some(Progress::Parked)),
            Verdict::Paused { resume } => (resume, Some(Progress::Blocked)),
            Verdict::Watching => (0, Some(Progress::Idle)),
            Verdict::Close | Verdict::Elsewhere { .. } => {
                self.closing = true;
                (0, Some(Progress::Closing))
            }
        };
        self.resume = resume;
        stop
    }

    /// Throws away what nobody wants of the next `available` bytes; how many.
    fn swallow(&mut self, available: usize) -> usize {
        let step = self.swallow_bytes.min(available as u64);
        self.swallow_bytes -= step;
        step as usize
    }

    /// Whether it speaks the binary protocol, as far as that is known.
    pub fn is_binary(&self) -> bool {
        self.is_binary == Some(true)
    }

    /// After the log has failed: answers that observed more than `safe` become errors, as text `text`.
    pub fn fail_waiting(&mut self, safe: Lsn, text: &[u8]) {
        let is_binary = self.is_binary();
        self.outbox.fail_waiting(safe, |answer, out| {
            if is_binary { proto::binary::encode_lost(answer, out) } else { out.put(text) }
        });
    }

    /// How many more bytes the request at hand needs, 0 when that is not known: a hint for how much to read.
    pub fn missing_bytes(&self) -> usize {
        self.need_bytes.saturating_sub(self.inbox.len())
    }

    /// Whether bytes wait that a turn without new ones could deal with.
    pub fn has_backlog(&self) -> bool {
        !self.inbox.is_empty() && self.inbox.len() >= self.need_bytes && !self.closing && !self.is_watching()
    }

    /// Whether it is told events, and a turn without new bytes fetches them.
    pub fn is_watching(&self) -> bool {
        self.session.watch.is_some()
    }

    /// Whether the rest of a value is still to come.
    pub fn awaits_value(&self) -> bool {
        self.swallow_bytes > 0 || self.need_bytes > 0 && self.searched_bytes == 0
    }

    /// Whether it is closed for what it has sent: no request, and nothing that has an answer.
    pub fn is_refused(&self) -> bool {
        self.refused
    }

    /// Whether nothing is read any more.
    pub fn is_closing(&self) -> bool {
        self.closing
    }
}

/// The bytes behind a step that can be read before it is answered: none unless it is a request about keys.
#[inline]
fn behind<'b>(step: &Step<'_>, bytes: &'b [u8]) -> &'b [u8] {
    match step {
        Step::Request { request, length, swallow: 0 } if request.command.is_about_keys() => {
            bytes.get(*length..).unwrap_or_default()
        }
        _ => &[],
    }
}
