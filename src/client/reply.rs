//! Bytes to answers, without a socket: where an answer ends, what it says, and that nothing in it is believed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::{Blame, Error, Why};
use super::meta::{MetaAnswer, MetaOutcome};
use super::operation::{Action, Answer, Operation, Stored, Value};
use crate::base::limits::{
    CLIENT_MAP_LINES_MAX, CLIENT_REPLY_LINE_BYTES_MAX, CLIENT_STATS_BYTES_MAX, KEY_BYTES_MAX,
};
use crate::route::topology::Address;

/// How a server that passed a request on says that it knows no more.
const OUTCOME_UNKNOWN: &[u8] = b"SERVER_ERROR outcome unknown";
/// What of a bad reply is shown, bytes.
const SHOWN_BYTES: usize = 60;

/// One piece of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// A line, without its end.
    Line(&'a [u8]),
    /// A line that announces a block of bytes (`VALUE`, `VA`), and the block.
    Block(&'a [u8], &'a [u8]),
}

/// What received bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// Not a whole piece: another try is useless before so many bytes are there, more than were given.
    NeedMore(usize),
    /// A piece, and how many bytes it took.
    Frame(Frame<'a>, usize),
}

/// The first piece of what was received.
///
/// # Errors
/// What a server that speaks this protocol does not send, in words.
pub(super) fn step(bytes: &[u8], value_bytes_max: usize) -> Result<Step<'_>, String> {
    let Some(end) = memchr::memchr(b'\n', bytes.get(..CLIENT_REPLY_LINE_BYTES_MAX).unwrap_or(bytes)) else {
        return match bytes.len() {
            CLIENT_REPLY_LINE_BYTES_MAX.. => Err(format!("a line without end: {}", shown(bytes))),
            length => Ok(Step::NeedMore(length + 1)),
        };
    };
    let (line, rest) = bytes.split_at_checked(end).unwrap_or((bytes, b""));
    let line = line.strip_suffix(b"\r").ok_or_else(|| format!("a line without CR: {}", shown(line)))?;
    let Some(length) = block_length(line)? else { return Ok(Step::Frame(Frame::Line(line), end + 1)) };
    // A whole answer has to fit memory, whoever takes values of any length.
    let total = length.checked_add(end + 1 + 2).filter(|_| length <= value_bytes_max);
    let total = total.ok_or_else(|| format!("a value of {length} bytes"))?;
    let block = rest.get(1..).unwrap_or_default();
    match block.split_at_checked(length) {
        Some((value, behind)) if behind.starts_with(b"\r\n") => {
            Ok(Step::Frame(Frame::Block(line, value), total))
        }
        Some((_, behind)) if behind.len() >= 2 => {
            Err(format!("no line end behind a value: {}", shown(behind)))
        }
        _ => Ok(Step::NeedMore(total)),
    }
}

/// The length that a line announces, if it announces a block.
fn block_length(line: &[u8]) -> Result<Option<usize>, String> {
    let at = match words(line).next() {
        Some(b"VALUE") => 3,
        Some(b"VA") => 1,
        _ => return Ok(None),
    };
    let length = words(line).nth(at).and_then(number);
    length.map(Some).ok_or_else(|| format!("a value without length: {}", shown(line)))
}

/// What one request is answered, as it comes in.
pub(super) struct Reader<'a> {
    operations: Vec<&'a Operation<'a>>,
    /// Of each operation, once it is known.
    answers: Vec<Option<Answer>>,
    /// The names and values of `stats`, or the lines of a map.
    facts: Vec<(String, String)>,
    /// Of all of these.
    facts_bytes: usize,
}

/// What a piece of an answer meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More is to come.
    More,
    /// This was the end. Reads that found nothing are misses.
    Done,
    /// The server refuses what is not answered yet.
    Refused(Blame, String),
    /// A server in between does not know what became of what is not answered yet.
    Unknown(String),
}

impl<'a> Reader<'a> {
    /// A reader of the answer to one request that carries these operations: several only when they are reads.
    pub(super) fn new(operations: Vec<&'a Operation<'a>>) -> Reader<'a> {
        let answers = vec![None; operations.len()];
        Reader { operations, answers, facts: Vec::new(), facts_bytes: 0 }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// What cannot be the answer, in words.
    pub(super) fn take(&mut self, frame: Frame<'_>) -> Result<Progress, String> {
        if let Frame::Line(line) = frame
            && let Some(refused) = refusal(line)
        {
            return Ok(refused);
        }
        let Some(operation) = self.operations.first() else { return Err("nothing was asked".into()) };
        let bad = || match frame {
            Frame::Line(line) | Frame::Block(line, _) => format!("not an answer: {}", shown(line)),
        };
        let answer = match (&operation.action, frame) {
            (Action::Read { .. }, Frame::Line(b"END")) => return Ok(Progress::Done),
            (Action::Read { .. }, Frame::Block(line, bytes)) => {
                return self.take_value(line, bytes).map(|()| Progress::More).ok_or_else(bad);
            }
            (Action::Stats(_), Frame::Line(b"END" | b"RESET" | b"OK")) => {
                Some(Answer::Server(std::mem::take(&mut self.facts)))
            }
            (Action::Stats(_), Frame::Line(line)) => {
                let fact = stat(line).ok_or_else(bad)?;
                self.facts_bytes += line.len();
                if self.facts_bytes > CLIENT_STATS_BYTES_MAX {
                    return Err(format!("figures of more than {CLIENT_STATS_BYTES_MAX} bytes"));
                }
                self.facts.push(fact);
                return Ok(Progress::More);
            }
            (Action::Map, Frame::Line(b"END")) => Some(Answer::Server(std::mem::take(&mut self.facts))),
            (Action::Map, Frame::Line(line)) => {
                self.facts.push(
                    map_line(line).filter(|_| self.facts.len() < CLIENT_MAP_LINES_MAX).ok_or_else(bad)?,
                );
                return Ok(Progress::More);
            }
            (action, frame) if action.is_meta() => meta(frame),
            (action, Frame::Line(line)) => classic(action, line),
            (_, Frame::Block(..)) => None,
        };
        let answer = answer.ok_or_else(bad)?;
        self.answers.iter_mut().for_each(|slot| *slot = Some(answer.clone()));
        Ok(Progress::Done)
    }

    /// A value goes to the first operation that asked for its key and has none. Values come in the order of the keys.
    fn take_value(&mut self, line: &[u8], bytes: &[u8]) -> Option<()> {
        let mut words = words(line).skip(1);
        let (key, flags, _) = (words.next()?, number(words.next()?)?, words.next()?);
        let cas = words.next().map(|word| number(word).ok_or(())).transpose().ok()?;
        let asked = |(operation, slot): &(&&Operation<'_>, &mut Option<Answer>)| {
            operation.key == key && slot.is_none()
        };
        let (_, slot) = self.operations.iter().zip(&mut self.answers).find(asked)?;
        *slot = Some(Answer::Value(Some(Value { bytes: bytes.to_vec(), flags, cas })));
        Some(())
    }

    /// The answers to all operations, in order; `rest` is what those get that were not answered. Without it they are
    /// reads that found nothing.
    pub(super) fn finish(self, rest: Option<Error>) -> impl Iterator<Item = Result<Answer, Error>> {
        self.answers.into_iter().map(move |answer| match (answer, &rest) {
            (Some(answer), _) => Ok(answer),
            (None, None) => Ok(Answer::Value(None)),
            (None, Some(error)) => Err(error.clone()),
        })
    }
}

/// What the operations that are not answered yet end with; none after [`Progress::Done`].
pub(super) fn error(progress: Progress, server: &Address) -> Option<Error> {
    let server = server.clone();
    match progress {
        Progress::More | Progress::Done => None,
        Progress::Refused(blame, text) => Some(Error::Refused { server, blame, text }),
        Progress::Unknown(text) => Some(Error::Unknown { server, why: Why::Forwarded(text) }),
    }
}

/// An error line.
fn refusal(line: &[u8]) -> Option<Progress> {
    let blame = match words(line).next()? {
        b"ERROR" => Blame::Command,
        b"CLIENT_ERROR" => Blame::Client,
        b"SERVER_ERROR" => Blame::Server,
        _ => return None,
    };
    let text = String::from_utf8_lossy(line).into_owned();
    Some(if line.starts_with(OUTCOME_UNKNOWN) {
        Progress::Unknown(text)
    } else {
        Progress::Refused(blame, text)
    })
}

/// A classic answer of one line.
fn classic(action: &Action<'_>, line: &[u8]) -> Option<Answer> {
    let server = |facts| Some(Answer::Server(facts));
    match (action, line) {
        (Action::Store(..) | Action::Cas(..), b"STORED") => Some(Answer::Stored(Stored::Stored)),
        (Action::Store(..), b"NOT_STORED") => Some(Answer::Stored(Stored::NotStored)),
        (Action::Cas(..), b"EXISTS") => Some(Answer::Stored(Stored::Exists)),
        (Action::Cas(..), b"NOT_FOUND") => Some(Answer::Stored(Stored::NotFound)),
        (Action::Count(..), b"NOT_FOUND") => Some(Answer::Number(None)),
        // memcached pads what decr made shorter.
        (Action::Count(..), digits) => number(digits.trim_ascii_end()).map(|n| Answer::Number(Some(n))),
        (Action::Delete, b"DELETED") | (Action::Touch(_), b"TOUCHED") => Some(Answer::Found(true)),
        (Action::Delete | Action::Touch(_), b"NOT_FOUND") => Some(Answer::Found(false)),
        (Action::FlushAll(_) | Action::Verbosity(_), b"OK") | (Action::Noop, b"MN") => server(Vec::new()),
        (Action::Login(_), b"STORED") => server(Vec::new()),
        (Action::Version, line) => {
            let version = line.strip_prefix(b"VERSION ")?;
            server(vec![("version".into(), String::from_utf8_lossy(version).into_owned())])
        }
        _ => None,
    }
}

/// `STAT name value`, and the lines of the like form that some topics have.
fn stat(line: &[u8]) -> Option<(String, String)> {
    let forms: [&[u8]; 3] = [b"STAT ", b"ITEM ", b"PREFIX "];
    let rest = forms.into_iter().find_map(|form| line.strip_prefix(form))?;
    let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let (name, value) = rest.split_at_checked(end)?;
    let value = value.strip_prefix(b" ").unwrap_or(value);
    Some((String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(value).into_owned()))
}

/// A line of `cluster map`, behind its first word. Whether it makes sense is judged when all are there.
fn map_line(line: &[u8]) -> Option<(String, String)> {
    let line = std::str::from_utf8(line).ok()?;
    let (word, _) = line.split_once(' ')?;
    Some((word.to_owned(), line.to_owned()))
}

/// The answer to a meta command.
fn meta(frame: Frame<'_>) -> Option<Answer> {
    let (line, value) = match frame {
        Frame::Line(line) => (line, None),
        Frame::Block(line, value) => (line, Some(value.to_vec())),
    };
    let mut words = words(line);
    let outcome = match words.next()? {
        b"HD" if value.is_none() => MetaOutcome::Done,
        b"VA" => {
            words.next();
            MetaOutcome::Done
        }
        b"EN" => MetaOutcome::Miss,
        b"NS" => MetaOutcome::NotStored,
        b"EX" => MetaOutcome::Exists,
        b"NF" => MetaOutcome::NotFound,
        b"ME" => return facts(words),
        _ => return None,
    };
    let mut answer = MetaAnswer { outcome, value, ..MetaAnswer::default() };
    let mut binary = false;
    for word in words {
        let (flag, token) = word.split_first()?;
        match flag {
            b'c' => answer.cas = Some(number(token)?),
            b'f' => answer.flags = Some(number(token)?),
            b't' => answer.ttl_s = Some(number(token)?),
            b's' => answer.size = Some(number(token)?),
            b'h' => answer.hit_before = Some(token == b"1"),
            b'l' => answer.last_access_s = Some(number(token)?),
            b'k' => answer.key = Some(token.to_vec()),
            b'O' => answer.opaque = Some(number(token)?),
            b'b' => binary = true,
            b'W' => answer.won = true,
            b'X' => answer.stale = true,
            b'Z' => answer.taken = true,
            _ => {}
        }
    }
    if binary && let Some(key) = &answer.key {
        answer.key = Some(STANDARD.decode(key).ok().filter(|key| key.len() <= KEY_BYTES_MAX)?);
    }
    Some(Answer::Meta(answer))
}

/// The words behind `ME`: the key, then `name=value`.
fn facts<'a>(words: impl Iterator<Item = &'a [u8]>) -> Option<Answer> {
    let fact = |word: &[u8]| {
        let text = String::from_utf8_lossy(word);
        text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    words.skip(1).map(fact).collect::<Option<Vec<_>>>().map(|facts| Answer::Facts(Some(facts)))
}

/// The words of a line.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

/// A number of whatever width the field has.
fn number<T: std::str::FromStr>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The beginning of what a server sent, for a message.
fn shown(bytes: &[u8]) -> String {
    bytes.get(..SHOWN_BYTES).unwrap_or(bytes).escape_ascii().to_string()
}
