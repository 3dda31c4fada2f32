//! The classic commands about keys that carry no value: reads, delete, incr, decr, touch.

use super::line::{Line, Words, ends_with_noreply, exptime, is_key, key, number_u64};
use super::{ClassicForm, Parsed, Request, Step, texts};
use crate::base::command::{Arith, Command, CountedAs, Delete, Direction, Get, Key, Keys, Op};
use crate::base::search::split_word;
use crate::base::time::Exptime;

/// How many spaces before an unended read are borne with.
const LEADING_SPACES_MAX: usize = 100;

/// get, gets.
#[inline]
pub(super) fn read<'a>(line: &Line<'a>, args: &'a [u8], with_cas: bool) -> Step<'a> {
    read_keys(line, args, None, with_cas)
}

/// gat, gats.
pub(super) fn read_and_touch<'a>(line: &Line<'a>, args: &'a [u8], with_cas: bool) -> Step<'a> {
    let Some((first, keys)) = split_word(args) else { return line.reject(texts::BAD_LINE) };
    if split_word(keys).is_none() {
        return line.reject(texts::BAD_LINE);
    }
    match exptime(first) {
        Some(exptime) => read_keys(line, keys, Some(exptime), with_cas),
        None => line.reject(texts::BAD_EXPTIME),
    }
}

/// Every key is checked before any is looked up, so that one bad key is one error and nothing else.
#[inline]
fn read_keys<'a>(line: &Line<'a>, keys: &'a [u8], touch: Option<Exptime>, with_cas: bool) -> Step<'a> {
    let mut words = Words(keys);
    let fine = words.next().is_some_and(is_key) && words.all(is_key);
    if !fine {
        return line.reject(texts::BAD_LINE);
    }
    let counted_as = if touch.is_some() { CountedAs::Touch } else { CountedAs::Get };
    let get = Get { touch, counted_as, ..Get::default() };
    line.request(Command::Read(Keys(keys), get), ClassicForm { noreply: false, with_cas })
}

/// Whether an unended line is a get or gets, which may be longer than other lines.
pub(super) fn begins_read(bytes: &[u8]) -> bool {
    let spaces = bytes.iter().take(LEADING_SPACES_MAX + 1).take_while(|byte| **byte == b' ').count();
    let text = bytes.get(spaces..).unwrap_or(b"");
    spaces <= LEADING_SPACES_MAX && (text.starts_with(b"get ") || text.starts_with(b"gets "))
}

/// delete: old clients send a zero behind the key; anything else there is refused, and nothing is deleted.
pub(super) fn delete<'a>(args: &'a [u8]) -> Parsed<'a> {
    let (name, rest) = split_word(args).ok_or(texts::BAD_LINE)?;
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
