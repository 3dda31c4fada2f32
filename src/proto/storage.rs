//! The classic commands that carry a value: set, add, replace, append, prepend, cas.
//!
//! Once the announced length is understood, the value is taken from the stream whatever else is wrong, so that it is
//! never read as commands.

use super::line::{
    Block, Line, Words, block_bytes, client_flags, ends_with_noreply, key, number_u64, stored_exptime,
    value_bytes,
};
use super::{ClassicForm, Form, Limits, Request, Step, texts};
use crate::base::command::{Command, Key, Op, Refused, Store, StoreMode};
use crate::base::time::Exptime;

/// The words of a storage line, in order; those that are not understood are `None`.
struct Announced<'a> {
    key: &'a [u8],
    client_flags: Option<u32>,
    exptime: Option<Exptime>,
    /// The length of the value.
    value_bytes: usize,
    /// What stands behind the length.
    rest: &'a [u8],
}

/// All but cas.
#[inline]
pub(super) fn decode<'a>(line: &Line<'a>, args: &'a [u8], mode: StoreMode, limits: &Limits) -> Step<'a> {
    let Some(announced) = announced(args) else { return line.reject(texts::BAD_LINE) };
    let form = ClassicForm { noreply: ends_with_noreply(announced.rest), with_cas: false };
    match store(&announced, mode, None) {
        Some((name, store)) => take_value(line, Key::plain(name), store, announced.value_bytes, form, limits),
        None => line.reject_with_value(form.unless_quiet(texts::BAD_LINE), announced.value_bytes),
    }
}

/// cas.
pub(super) fn decode_cas<'a>(line: &Line<'a>, args: &'a [u8], limits: &Limits) -> Step<'a> {
    let Some(announced) = announced(args) else { return line.reject(texts::BAD_LINE) };
    let form = ClassicForm { noreply: ends_with_noreply(announced.rest), with_cas: false };
    let compare = Words(announced.rest).next().and_then(number_u64);
    match compare.and_then(|cas| store(&announced, StoreMode::Set, Some(cas))) {
        Some((name, store)) => take_value(line, Key::plain(name), store, announced.value_bytes, form, limits),
        None => line.reject_with_value(form.unless_quiet(texts::BAD_LINE), announced.value_bytes),
    }
}

/// The words, when there are enough and the length is understood.
#[inline]
fn announced(args: &[u8]) -> Option<Announced<'_>> {
    let mut words = Words(args);
    let key = words.next()?;
    let client_flags = words.number(client_flags)?;
    let exptime = words.number(stored_exptime)?.map(Exptime);
    let value_bytes = words.number(value_bytes)??;
    Some(Announced { key, client_flags, exptime, value_bytes, rest: words.0 })
}

/// The key and what to store, still without its value.
#[inline]
fn store<'a>(
    announced: &Announced<'a>,
    mode: StoreMode,
    compare: Option<u64>,
) -> Option<(&'a [u8], Store<'a>)> {
    let store = Store {
        mode,
        value: b"",
        client_flags: announced.client_flags?,
        exptime: announced.exptime?,
        compare,
        new_cas: None,
        invalidate: false,
        vivify: None,
    };
    Some((key(announced.key).ok()?, store))
}

/// The request with the value behind its line, if the value may be stored and is here.
#[inline]
fn take_value<'a>(
    line: &Line<'a>,
    key: Key<'a>,
    store: Store<'a>,
    value_bytes: usize,
    form: ClassicForm,
    limits: &Limits,
) -> Step<'a> {
    if !limits.fits(key.bytes.len(), value_bytes) {
        let drops_old = store.mode == StoreMode::Set && store.compare.is_none();
        return oversized(line, key, drops_old, value_bytes, Form::Classic(form));
    }
    match line.block(value_bytes) {
        Block::Partial { total } => Step::NeedMore { total, searched: 0 },
        Block::Broken { length } => broken(Form::Classic(form), length),
        Block::Whole { value, length } => {
            let command = Command::Keyed(key, Op::Store(Store { value, ..store }));
            Step::Request { request: Request::classic(command, form), length, swallow: 0 }
        }
    }
}

/// A value that does not end where it was announced to end; it and its line are `length` bytes.
pub(super) fn broken<'a>(form: Form<'a>, length: usize) -> Step<'a> {
    let command = Command::Refused(Refused::Store, texts::BAD_DATA);
    Step::Request { request: Request { command, form }, length, swallow: 0 }
}

/// A value that is too large is answered at once, whether it has come or not, and never kept.
pub(super) fn oversized<'a>(
    line: &Line<'a>,
    key: Key<'a>,
    drops_old: bool,
    value_bytes: usize,
    form: Form<'a>,
) -> Step<'a> {
    let command = Command::Keyed(key, Op::Oversized { drops_old });
    Step::Request {
        request: Request { command, form },
        length: line.length,
        swallow: block_bytes(value_bytes),
    }
}
