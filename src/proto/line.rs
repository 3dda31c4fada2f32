//! A request line: where it ends, its words, and the numbers in them.

use nom::Parser;
use nom::character::complete::{i64 as signed, u64 as unsigned};
use nom::combinator::all_consuming;

use super::{ClassicForm, Request, Step, texts};
use crate::base::command::Command;
use crate::base::limits::KEY_BYTES_MAX;
use crate::base::time::Exptime;

/// What follows a value.
const VALUE_END: &[u8] = b"\r\n";
/// The longest value that may be announced, bytes: with its end it still counts in 31 bits.
const VALUE_BYTES_MAX: u64 = i32::MAX as u64 - 2;
/// The most characters of an announced length.
const VALUE_BYTES_DIGITS_MAX: usize = 11;
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
    pub(super) fn first(bytes: &'a [u8], searched: usize) -> Option<Line<'a>> {
        let searched = searched.min(bytes.len());
        let end = searched + memchr::memchr(b'\n', bytes.get(searched..)?)?;
        let (text, after) = bytes.split_at_checked(end)?;
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        Some(Line { text, length: end + 1, after: after.get(1..)? })
    }

    /// The command word and the text behind it.
    pub(super) fn split_verb(&self) -> (&'a [u8], &'a [u8]) {
        self.text.split_at_checked(space_position(self.text)).unwrap_or((self.text, b""))
    }

    /// The block of a value of `value_bytes` behind this line.
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
        let start = self.0.iter().position(|byte| *byte != b' ')?;
        let (_, text) = self.0.split_at_checked(start)?;
        let (found, rest) = text.split_at_checked(space_position(text))?;
        self.0 = rest;
        Some(found)
    }
}

/// The next word, whatever number of spaces stands before it, and the text behind it.
pub(super) fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut words = Words(text);
    words.next().map(|word| (word, words.0))
}

/// Where the first space is, or the length of the text. Eight bytes at once: words are too short for a vector search
/// to pay off, and too many for one byte at a time.
#[inline]
fn space_position(text: &[u8]) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = LOW << 7;
    let mut rest = text;
    let mut position = 0;
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        let difference = u64::from_le_bytes(*eight) ^ (LOW * b' ' as u64);
        // The lowest high bit that is set belongs to the first byte without difference.
        let found = difference.wrapping_sub(LOW) & !difference & HIGH;
        if found != 0 {
            return position + found.trailing_zeros() as usize / 8;
        }
        (rest, position) = (behind, position + 8);
    }
    position + rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len())
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

/// A 64-bit number.
pub(super) fn number_u64(word: &[u8]) -> Option<u64> {
    let digits = word.strip_prefix(b"+").unwrap_or(word);
    all_consuming(unsigned::<_, ()>).parse(digits).ok().map(|(_, number)| number)
}

/// A 32-bit number, digits only.
pub(super) fn number_u32(word: &[u8]) -> Option<u32> {
    all_consuming(nom::character::complete::u32::<_, ()>).parse(word).ok().map(|(_, number)| number)
}

/// A signed 64-bit number.
pub(super) fn number_i64(word: &[u8]) -> Option<i64> {
    all_consuming(signed::<_, ()>).parse(word).ok().map(|(_, number)| number)
}

/// Seconds in 32 bits; larger numbers lose their upper half, as clients have come to expect.
pub(super) fn number_i32(word: &[u8]) -> Option<i32> {
    number_i64(word).map(|number| number as i32)
}

/// An exptime, wrapping as [`number_i32`].
pub(super) fn exptime(word: &[u8]) -> Option<Exptime> {
    number_i32(word).map(Exptime)
}

/// Client flags: of numbers above 32 bits only the lower half is kept.
pub(super) fn client_flags(word: &[u8]) -> Option<u32> {
    number_u64(word).map(|number| number as u32)
}

/// The announced length of a value, bytes.
pub(super) fn value_bytes(word: &[u8]) -> Option<usize> {
    if word.len() > VALUE_BYTES_DIGITS_MAX {
        return None;
    }
    let (_, number) = all_consuming(unsigned::<_, ()>).parse(word).ok()?;
    (number <= VALUE_BYTES_MAX).then_some(number as usize)
}
