//! A request line: where it ends, its words, and the numbers in them.

use nom::Parser;
use nom::character::complete::{i64 as signed, u64 as unsigned};
use nom::combinator::all_consuming;

use super::{ClassicForm, Request, Step, texts};
use crate::base::command::Command;
use crate::base::limits::KEY_BYTES_MAX;
use crate::base::search::{position_of, split_word};
use crate::base::time::Exptime;

/// Up to here the end of a line is searched for as in a short text, bytes.
const SHORT_LINE_BYTES: usize = 64;
/// Numbers of no more digits fit every type that a number is read as.
const PLAIN_DIGITS_MAX: usize = 9;
/// What follows a value.
const VALUE_END: &[u8] = b"\r\n";
/// The longest value that may be announced, bytes: with its end it still counts in 31 bits.
const VALUE_BYTES_MAX: usize = i32::MAX as usize - 2;
/// The most characters of a number of 32 bits, and of one of 64: memcached reads no longer ones, even of zeros.
const DIGITS_MAX_32: usize = 11;
const DIGITS_MAX_64: usize = 22;
/// The last word of a command that wants no answer.
pub(super) const NOREPLY: &[u8] = b"noreply";

/// The first line of what was received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// Without its end.
    pub(super) text: &'a [u8],
    /// With its end, bytes.
    pub(super) length: usize,
    /// What was received behind it.
    after: &'a [u8],
}

/// The value behind a storage line.
pub(super) enum Block<'a> {
    /// Not all here: the request and its value are `total` bytes.
    Partial { total: usize },
    /// It does not end where it was said to; the request and its value are `length` bytes.
    Broken { length: usize },
    /// The value; the request and its value are `length` bytes.
    Whole { value: &'a [u8], length: usize },
}

impl<'a> Line<'a> {
    /// The first line of `bytes`, whose first `searched` bytes are known to hold no line end.
    #[inline]
    pub(super) fn first(bytes: &'a [u8], searched: usize) -> Option<Line<'a>> {
        let searched = searched.min(bytes.len());
        let end = searched + line_end(bytes.get(searched..)?)?;
        let (text, after) = bytes.split_at_checked(end)?;
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        Some(Line { text, length: end + 1, after: after.get(1..)? })
    }

    /// The command word and the text behind it.
    #[inline]
    pub(super) fn split_verb(&self) -> (&'a [u8], &'a [u8]) {
        let verb_bytes = position_of(b' ', self.text).unwrap_or(self.text.len());
        self.text.split_at_checked(verb_bytes).unwrap_or((self.text, b""))
    }

    /// The block of a value of `value_bytes` behind this line.
    #[inline]
    pub(super) fn block(&self, value_bytes: usize) -> Block<'a> {
        let length = self.length + value_bytes + VALUE_END.len();
        match self.after.split_at_checked(value_bytes) {
            Some((value, end)) if end.starts_with(VALUE_END) => Block::Whole { value, length },
            Some((_, end)) if end.len() >= VALUE_END.len() => Block::Broken { length },
            _ => Block::Partial { total: length },
        }
    }

    /// This line is a request, with a classic answer.
    #[inline]
    pub(super) fn request(&self, command: Command<'a>, form: ClassicForm) -> Step<'a> {
        Step::Request { request: Request::classic(command, form), length: self.length, swallow: 0 }
    }

    /// Answers this line with an error.
    pub(super) fn reject(&self, reply: &'static [u8]) -> Step<'a> {
        Step::Reject { reply, length: self.length, swallow: 0 }
    }

    /// Answers this line with an error and throws away the value of `value_bytes` behind it.
    pub(super) fn reject_with_value(&self, reply: &'static [u8], value_bytes: usize) -> Step<'a> {
        Step::Reject { reply, length: self.length, swallow: block_bytes(value_bytes) }
    }
}

/// What a value of `value_bytes` takes on the wire, bytes.
pub(super) fn block_bytes(value_bytes: usize) -> u64 {
    value_bytes as u64 + VALUE_END.len() as u64
}

/// The words of a text. Only spaces separate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (found, rest) = split_word(self.0)?;
        self.0 = rest;
        Some(found)
    }
}

impl<'a> Words<'a> {
    /// The next word as the number that `general` reads. A plain one, as nearly all are, is read where it stands.
    #[inline]
    pub(super) fn number<N: TryFrom<u32>>(&mut self, general: fn(&[u8]) -> Option<N>) -> Option<Option<N>> {
        match plain_number(self.0) {
            Some((number, rest)) => {
                self.0 = rest;
                Some(number.try_into().ok())
            }
            None => self.next().map(general),
        }
    }
}

/// The number that a space and one to nine digits say, and the text behind them.
#[inline]
fn plain_number(text: &[u8]) -> Option<(u32, &[u8])> {
    let (b' ', word) = text.split_first()? else { return None };
    let mut number = 0;
    for (digits, byte) in word.iter().enumerate() {
        match byte {
            b'0'..=b'9' if digits < PLAIN_DIGITS_MAX => number = number * 10 + u32::from(byte - b'0'),
            b' ' if digits > 0 => return Some((number, word.get(digits..)?)),
            _ => return None,
        }
    }
    (!word.is_empty()).then_some((number, &[]))
}

/// Where the line ends. Most lines are short; the long ones are worth a vector search.
#[inline]
fn line_end(bytes: &[u8]) -> Option<usize> {
    let Some((near, far)) = bytes.split_at_checked(SHORT_LINE_BYTES) else {
        return position_of(b'\n', bytes);
    };
    position_of(b'\n', near)
        .or_else(|| memchr::memchr(b'\n', far).map(|position| SHORT_LINE_BYTES + position))
}

/// Whether the last word is `noreply`.
pub(super) fn ends_with_noreply(text: &[u8]) -> bool {
    let mut text = text;
    while let Some(shorter) = text.strip_suffix(b" ") {
        text = shorter;
    }
    let before = text.strip_suffix(NOREPLY);
    before.is_some_and(|before| before.last().is_none_or(|byte| *byte == b' '))
}

/// Whether a word can be a key as it stands.
pub(super) fn is_key(word: &[u8]) -> bool {
    word.len() <= KEY_BYTES_MAX
}

/// `word` if it can be a key as it stands.
pub(super) fn key(word: &[u8]) -> Result<&[u8], &'static [u8]> {
    if is_key(word) { Ok(word) } else { Err(texts::BAD_LINE) }
}

/// A number of digits alone, at most `digits_max` of them.
fn digits(word: &[u8], digits_max: usize) -> Option<u64> {
    if word.len() > digits_max {
        return None;
    }
    all_consuming(unsigned::<_, ()>).parse(word).ok().map(|(_, number)| number)
}

/// A 64-bit number.
pub(super) fn number_u64(word: &[u8]) -> Option<u64> {
    digits(word, DIGITS_MAX_64)
}

/// A 32-bit number.
pub(super) fn number_u32(word: &[u8]) -> Option<u32> {
    digits(word, DIGITS_MAX_32)?.try_into().ok()
}

/// A signed 64-bit number: a minus may stand before it, a plus may not.
pub(super) fn number_i64(word: &[u8]) -> Option<i64> {
    if word.starts_with(b"+") {
        return None;
    }
    all_consuming(signed::<_, ()>).parse(word).ok().map(|(_, number)| number)
}

/// A signed 32-bit number: digits with or without a minus, and a minus alone is 0.
pub(super) fn number_i32(word: &[u8]) -> Option<i32> {
    match word {
        b"-" => Some(0),
        _ if word.len() > DIGITS_MAX_32 => None,
        _ => number_i64(word)?.try_into().ok(),
    }
}

/// An exptime, where it is an argument of its own.
pub(super) fn exptime(word: &[u8]) -> Option<Exptime> {
    number_i32(word).map(Exptime)
}

/// The exptime of a storage line: read as C's `strtol` reads, and of larger numbers the lower 32 bits are kept.
pub(super) fn stored_exptime(word: &[u8]) -> Option<i32> {
    let number = match c_number(word)? {
        [b'+', number @ ..] => digits(number, usize::MAX)?.try_into().ok()?,
        number => number_i64(number)?,
    };
    Some(number as i32)
}

/// Client flags of a storage line: read as C's `strtoul` reads, and of larger numbers the lower 32 bits are kept. What
/// is below zero counts down from 2^64, and is refused where that comes out as a large number.
pub(super) fn client_flags(word: &[u8]) -> Option<u32> {
    let number = c_number(word)?;
    match number.strip_prefix(b"-") {
        Some(below) => {
            let wrapped = digits(below, usize::MAX)?.wrapping_neg();
            (wrapped <= i64::MAX as u64).then_some(wrapped as u32)
        }
        None => digits(number.strip_prefix(b"+").unwrap_or(number), usize::MAX).map(|number| number as u32),
    }
}

/// The part of a word that C reads as a number: it passes over blanks before it, and a blank ends it.
fn c_number(word: &[u8]) -> Option<&[u8]> {
    let is_blank = |byte: &u8| matches!(byte, b'\t' | 0x0b | 0x0c | b'\r');
    let (_, text) = word.split_at_checked(word.iter().position(|byte| !is_blank(byte))?)?;
    text.split(is_blank).next()
}

/// The announced length of a value, bytes.
pub(super) fn value_bytes(word: &[u8]) -> Option<usize> {
    let bytes = usize::try_from(number_i32(word)?).ok()?;
    (bytes <= VALUE_BYTES_MAX).then_some(bytes)
}
