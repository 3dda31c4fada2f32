//! Operations as bytes: what may be sent, and how much at a time.

use std::ops::Range;

use super::error::Invalid;
use super::meta::Words;
use super::operation::{Action, Entry, Operation};
use crate::base::command::{Arith, Command, Delete, Get, Key, Keys, Op, Own, StatsTopic, Store, StoreMode};
use crate::base::limits::{
    CLIENT_CHUNK_BYTES_MAX, CLIENT_READ_LINE_BYTES_MAX, CLIENT_SHORT_ANSWERS_MAX, CLIENT_WRITE_AHEAD_BYTES,
    KEY_BYTES_MAX,
};
use crate::base::time::Exptime;
use crate::proto::{ClassicForm, Form, MetaForm, MetaVerb, Request, write_request};

/// The longest value that the protocol counts, bytes.
const VALUE_BYTES_MAX: usize = i32::MAX as usize - 2;
/// What a request takes beside its key and value, bytes at most.
const FRAME_BYTES: usize = 256;

/// One request on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Where its bytes begin.
    pub(super) start: usize,
    /// The operations that it carries, as positions in the lane.
    pub(super) lane: Range<usize>,
}

/// What is written before the answers are read.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) calls: Vec<Call>,
}

/// Whether an operation can be sent.
pub(super) fn check(operation: &Operation<'_>) -> Result<(), Invalid> {
    let key = operation.key;
    let value_bytes = match &operation.action {
        Action::Store(_, entry) | Action::Cas(entry, _) => entry.value.len(),
        Action::MetaStore(store) => store.value.len(),
        _ => 0,
    };
    if value_bytes > VALUE_BYTES_MAX {
        return Err(Invalid::ValueLength);
    }
    match &operation.action {
        Action::Stats(StatsTopic::Unknown(topic)) if !is_topic(topic) => Err(Invalid::Topic),
        Action::FlushAll(_)
        | Action::Stats(_)
        | Action::Version
        | Action::Verbosity(_)
        | Action::Noop
        | Action::Map
        | Action::Login(_) => Ok(()),
        _ if key.is_empty() => Err(Invalid::KeyLength),
        action if action.is_meta() => {
            let length = if is_text(key) { key.len() } else { key.len().div_ceil(3) * 4 };
            if length > KEY_BYTES_MAX { Err(Invalid::KeyLength) } else { Ok(()) }
        }
        _ if key.len() > KEY_BYTES_MAX => Err(Invalid::KeyLength),
        _ if !is_text(key) => Err(Invalid::KeyBytes),
        _ => Ok(()),
    }
}

/// Whether a key can stand in a line as it is: nothing in it ends a word or a line.
fn is_text(key: &[u8]) -> bool {
    key.iter().all(|byte| *byte > b' ' && *byte != 0x7f)
}

/// Whether a topic can stand in a line as it is; it may be several words.
fn is_topic(topic: &[u8]) -> bool {
    !topic.trim_ascii().is_empty() && topic.iter().all(|byte| *byte >= b' ' && *byte != 0x7f)
}

impl Chunk {
    /// The next requests of a lane from `*next` on, and moves `*next` behind them. `lane` lists positions in
    /// `operations`.
    ///
    /// While this is written nothing is read, so a server that waits for its answers to be taken must find room for
    /// all that is written, or there would be two who wait for each other. Either all requests together are short
    /// enough for any socket's buffers, or all their answers are.
    pub(super) fn fill(&mut self, operations: &[Operation<'_>], lane: &[usize], next: &mut usize) {
        self.bytes.clear();
        self.calls.clear();
        let mut all_short = true;
        while let Some(operation) = lane.get(*next).and_then(|at| operations.get(*at)) {
            all_short &= is_short(&operation.action);
            if !self.takes(operation, all_short) {
                return;
            }
            let start = self.bytes.len();
            let end = match &operation.action {
                Action::Read { touch, with_cas } => {
                    self.put_reads(operations, lane, *next, *touch, *with_cas)
                }
                _ => {
                    put(operation, &mut self.bytes);
                    *next + 1
                }
            };
            self.calls.push(Call { start, lane: *next..end });
            *next = end;
        }
    }

    /// Whether there is room for one more request. The first always fits.
    fn takes(&self, operation: &Operation<'_>, all_short: bool) -> bool {
        let bytes = self.bytes.len().saturating_add(request_bytes(operation));
        self.calls.is_empty()
            || bytes <= CLIENT_WRITE_AHEAD_BYTES
            || (all_short && self.calls.len() < CLIENT_SHORT_ANSWERS_MAX && bytes <= CLIENT_CHUNK_BYTES_MAX)
    }

    /// One line for this read and the like ones behind it; answers where they end.
    fn put_reads(
        &mut self,
        operations: &[Operation<'_>],
        lane: &[usize],
        first: usize,
        touch: Option<Exptime>,
        with_cas: bool,
    ) -> usize {
        let (mut keys, mut end) = (Vec::new(), first);
        while let Some(operation) = lane.get(end).and_then(|at| operations.get(*at)) {
            let alike = matches!(&operation.action, Action::Read { touch: t, with_cas: c } if *t == touch && *c == with_cas);
            let full = keys.len() + operation.key.len() > CLIENT_READ_LINE_BYTES_MAX;
            if !alike || (full && end > first) {
                break;
            }
            if end > first {
                keys.push(b' ');
            }
            keys.extend_from_slice(operation.key);
            end += 1;
        }
        let form = Form::Classic(ClassicForm { noreply: false, with_cas });
        let get = Get { touch, ..Get::default() };
        let _ = write_request(&Request { command: Command::Read(Keys(&keys), get), form }, &mut self.bytes);
        end
    }
}

/// About how long a request is, bytes: never less.
fn request_bytes(operation: &Operation<'_>) -> usize {
    match &operation.action {
        Action::Read { .. } => CLIENT_READ_LINE_BYTES_MAX + KEY_BYTES_MAX + FRAME_BYTES,
        Action::Store(_, entry) | Action::Cas(entry, _) => entry.value.len() + KEY_BYTES_MAX + FRAME_BYTES,
        Action::MetaStore(store) => store.value.len() + KEY_BYTES_MAX + FRAME_BYTES,
        _ => KEY_BYTES_MAX + FRAME_BYTES,
    }
}

/// Whether the answer is one short line, or a number.
fn is_short(action: &Action<'_>) -> bool {
    !matches!(action, Action::Read { .. } | Action::MetaGet(_) | Action::Stats(_) | Action::Map)
}

/// Writes one operation that has been checked.
fn put(operation: &Operation<'_>, out: &mut Vec<u8>) {
    let binary = operation.action.is_meta() && !is_text(operation.key);
    let key = Key { binary, ..Key::plain(operation.key) };
    let classic = Form::Classic(ClassicForm::default());
    let (command, words) = match &operation.action {
        Action::Read { touch, .. } => {
            (Command::Read(Keys(operation.key), Get { touch: *touch, ..Get::default() }), None)
        }
        Action::Store(mode, entry) => (Command::Keyed(key, Op::Store(store(*mode, entry, None))), None),
        Action::Cas(entry, cas) => {
            (Command::Keyed(key, Op::Store(store(StoreMode::Set, entry, Some(*cas)))), None)
        }
        Action::Count(direction, delta) => {
            let arith = Arith {
                direction: *direction,
                delta: *delta,
                compare: None,
                new_cas: None,
                initial: None,
                touch: None,
            };
            (Command::Keyed(key, Op::Arith(arith)), None)
        }
        Action::Delete => (Command::Keyed(key, Op::Delete(Delete::default())), None),
        Action::Touch(exptime) => (Command::Keyed(key, Op::Touch(*exptime)), None),
        // Of a meta command only the words and the value are written.
        Action::MetaGet(get) => (inspected(key), Some((MetaVerb::Get, get.words(binary)))),
        Action::MetaDelete(delete) => (inspected(key), Some((MetaVerb::Delete, delete.words(binary)))),
        Action::MetaArith(arith) => (inspected(key), Some((MetaVerb::Arith, arith.words(binary)))),
        Action::MetaStore(meta) => {
            let entry = Entry::new(meta.value);
            let op = Op::Store(store(meta.mode, &entry, None));
            (Command::Keyed(key, op), Some((MetaVerb::Store, meta.words(binary))))
        }
        Action::Inspect => {
            let words = if binary { b"b".to_vec() } else { Vec::new() };
            (inspected(key), Some((MetaVerb::Inspect, Words(words))))
        }
        Action::FlushAll(delay) => (Command::FlushAll(*delay), None),
        Action::Stats(topic) => (Command::Stats(*topic), None),
        Action::Version => (Command::Version, None),
        Action::Verbosity(level) => (Command::Verbosity(*level), None),
        Action::Noop => (Command::Noop, None),
        Action::Map => (Command::Own(Own::ClusterMap), None),
        Action::Login(token) => (Command::Authenticate(token), None),
    };
    let form = words.as_ref().map_or(classic, |(verb, words)| meta_form(*verb, &words.0));
    let _ = write_request(&Request { command, form }, out);
}

/// A meta command whose meaning is in its words.
fn inspected(key: Key<'_>) -> Command<'_> {
    Command::Keyed(key, Op::Inspect)
}

fn meta_form(verb: MetaVerb, flags: &[u8]) -> Form<'_> {
    Form::Meta(MetaForm { verb, flags, quiet: false, with_value: false, value_bytes: 0 })
}

fn store<'a>(mode: StoreMode, entry: &Entry<'a>, compare: Option<u64>) -> Store<'a> {
    Store {
        mode,
        value: entry.value,
        client_flags: entry.flags,
        exptime: entry.exptime,
        compare,
        new_cas: None,
        invalidate: false,
        vivify: None,
    }
}
