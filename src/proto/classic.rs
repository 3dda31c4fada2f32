//! The classic commands about keys that carry no value: reads, delete, incr, decr, touch.

use super::line::{Words, ends_with_noreply, exptime, key, number_u64, word};
use super::{ClassicForm, Parsed, Request, texts};
use crate::base::command::{Arith, Command, CountedAs, Delete, Direction, Get, Key, Keys, Op};

/// How many spaces before an unended read are borne with.
const LEADING_SPACES_MAX: usize = 100;

/// get, gets: every key is checked before any is looked up, so that one bad key is one error and nothing else.
pub(super) fn read<'a>(args: &'a [u8], get: Get, with_cas: bool) -> Parsed<'a> {
    let mut count = 0usize;
    for word in Words(args) {
        key(word)?;
        count += 1;
    }
    if count == 0 {
        return Err(texts::BAD_LINE);
    }
    Ok(Request::classic(Command::Read(Keys(args), get), ClassicForm { noreply: false, with_cas }))
}

/// gat, gats.
pub(super) fn read_and_touch<'a>(args: &'a [u8], with_cas: bool) -> Parsed<'a> {
    let (keys, first) = word(args).map_err(|_| texts::BAD_LINE)?;
    if Words(keys).next().is_none() {
        return Err(texts::BAD_LINE);
    }
    let touch = Some(exptime(first).ok_or(texts::BAD_EXPTIME)?);
    read(keys, Get { touch, counted_as: CountedAs::Touch, ..Get::default() }, with_cas)
}

/// Whether an unended line is a get or gets, which may be longer than other lines.
pub(super) fn begins_read(bytes: &[u8]) -> bool {
    let spaces = bytes.iter().take(LEADING_SPACES_MAX + 1).take_while(|byte| **byte == b' ').count();
    let text = bytes.get(spaces..).unwrap_or(b"");
    spaces <= LEADING_SPACES_MAX && (text.starts_with(b"get ") || text.starts_with(b"gets "))
}

/// delete: old clients send a zero behind the key; anything else there is refused, and nothing is deleted.
pub(super) fn delete<'a>(args: &'a [u8]) -> Parsed<'a> {
    let (rest, name) = word(args).map_err(|_| texts::BAD_LINE)?;
    let form = ClassicForm { noreply: ends_with_noreply(args), with_cas: false };
    let mut words = Words(rest);
    let fine = match [words.next(), words.next(), words.next()] {
        [None, ..] => true,
        [Some(only), None, _] => only == b"0" || form.noreply,
        [Some(zero), Some(_), None] => zero == b"0" && form.noreply,
        _ => false,
    };
    if !fine {
        return Err(form.unless_quiet(texts::BAD_DELETE));
    }
    keyed(name, Op::Delete(Delete::default()), form)
}

/// incr, decr.
pub(super) fn arith<'a>(args: &'a [u8], direction: Direction) -> Parsed<'a> {
    let (name, second) = key_and_number(args).ok_or(texts::BAD_LINE)?;
    let form = ClassicForm { noreply: ends_with_noreply(args), with_cas: false };
    let delta = number_u64(second).ok_or(texts::BAD_DELTA);
    let delta = key(name).and(delta).map_err(|reply| form.unless_quiet(reply))?;
    let arith = Arith { direction, delta, compare: None, new_cas: None, initial: None, touch: None };
    keyed(name, Op::Arith(arith), form)
}

/// touch.
pub(super) fn touch<'a>(args: &'a [u8]) -> Parsed<'a> {
    let (name, second) = key_and_number(args).ok_or(texts::BAD_LINE)?;
    let form = ClassicForm { noreply: ends_with_noreply(args), with_cas: false };
    let exptime = exptime(second).ok_or(texts::BAD_EXPTIME);
    let exptime = key(name).and(exptime).map_err(|reply| form.unless_quiet(reply))?;
    keyed(name, Op::Touch(exptime), form)
}

/// The first two words.
fn key_and_number(args: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut words = Words(args);
    Some((words.next()?, words.next()?))
}

/// A request about one key, if it can be a key.
fn keyed<'a>(name: &'a [u8], op: Op<'a>, form: ClassicForm) -> Parsed<'a> {
    let name = key(name).map_err(|reply| form.unless_quiet(reply))?;
    Ok(Request::classic(Command::Keyed(Key::plain(name), op), form))
}
