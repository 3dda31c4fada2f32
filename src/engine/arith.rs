//! Counting: incr, decr and meta `ma`, and which stored values are numbers.

use super::{Access, Call, Outcome, passes};
use crate::base::command::{Arith, Direction};
use crate::base::effect::{Cause, Digits, Effect, NewValue, Put};
use crate::base::item::{Item, Marks};
use crate::base::limits::{CLIENT_FLAGS_BYTES, COUNTED_BYTES_MAX, ITEM_OVERHEAD_BYTES};
use crate::base::reply::{Denial, Number, Reply};
use crate::base::time::{Deadline, Exptime};
use crate::base::version::Version;

/// incr, decr and ma.
pub(super) fn arith<'i, 'c>(arith: &Arith, call: Call<'_>, old: Option<&Item<'i>>) -> Outcome<'i, 'c> {
    match (old, arith.initial) {
        (Some(item), _) => count(arith, call, item),
        (None, Some((number, exptime))) => vivify(arith.new_cas, number, exptime, call),
        (None, None) => Outcome::of(Reply::NotFound),
    }
}

/// The number that an item becomes. One that fits the place of the old one changes the text only: a stale count stays
/// stale. A longer one is stored anew.
fn count<'i, 'c>(arith: &Arith, call: Call<'_>, item: &Item<'i>) -> Outcome<'i, 'c> {
    let text = item.value.bytes();
    // memcached tells this before it looks at the cas, and everything else that is no number only behind it.
    if text.is_empty() || !is_countable(call.key.bytes.len(), item) {
        return Outcome::of(Reply::Denied(Denial::NonNumeric));
    }
    if !passes(arith.compare.filter(|cas| *cas != 0), item) {
        return Outcome::of(Reply::Exists);
    }
    let Some(stored) = parse(text) else { return Outcome::of(Reply::Denied(Denial::NonNumeric)) };
    let (cause, value, delta) = match arith.direction {
        Direction::Incr => (Cause::Incr, stored.wrapping_add(arith.delta), arith.delta),
        Direction::Decr => (Cause::Decr, stored.saturating_sub(arith.delta), arith.delta.min(stored)),
    };
    let value_text = NewValue::Digits(Digits::padded(value, text.len()));
    let fits = value_text.len(text.len()) <= text.len();
    let put = Put {
        cause,
        value: value_text,
        client_flags: item.client_flags,
        deadline: arith.touch.map_or(item.deadline, |exptime| call.deadline(exptime)),
        cas: call.new_cas(arith.new_cas),
        marks: item.marks.and(if fits { Marks::STORED } else { Marks::BINARY_KEY }),
        base: item.version,
        delta,
    };
    // Counting is not reading: what stays the same item stays as read or unread as it was.
    let access = if fits && item.marks.has(Marks::FETCHED) { Access::Fetched } else { Access::Used };
    counted(call, put, value, Some(item)).noted(access)
}

/// The item that counting starts from when there is none. Before this request its deadline was none.
fn vivify<'i, 'c>(new_cas: Option<u64>, number: u64, exptime: Exptime, call: Call<'_>) -> Outcome<'i, 'c> {
    let put = Put {
        cause: Cause::Vivify,
        value: NewValue::Digits(Digits::padded(number, 0)),
        client_flags: 0,
        deadline: call.deadline(exptime),
        cas: call.new_cas(new_cas),
        marks: call.fresh_marks(),
        base: Version::ZERO,
        delta: 0,
    };
    counted(call, put, number, None)
}

/// The put and its answer.
fn counted<'i, 'c>(call: Call<'_>, put: Put<'c>, value: u64, old: Option<&Item<'i>>) -> Outcome<'i, 'c> {
    let before = old.map_or(Deadline::NEVER, |item| item.deadline);
    let (deadlines, now) = ([before, put.deadline], call.stamp.now);
    let number = Number { value, cas: put.cas, deadlines, created: old.is_none(), now };
    Outcome::of(Reply::Number(number)).with(Some(Effect::Put(put)))
}

/// Whether memcached has an item of this size in one piece.
fn is_countable(key_bytes: usize, item: &Item<'_>) -> bool {
    let flags_bytes = if item.client_flags == 0 { 0 } else { CLIENT_FLAGS_BYTES };
    key_bytes + item.value.bytes().len() + flags_bytes + ITEM_OVERHEAD_BYTES <= COUNTED_BYTES_MAX
}

/// The number that a stored value is: white space, a plus sign perhaps, 1 to [`Digits::LEN_MAX`] digits, and then the
/// end, or white space and anything. `None` for everything else and for what exceeds 64 bits.
fn parse(text: &[u8]) -> Option<u64> {
    let start = text.iter().position(|byte| !is_space(*byte))?;
    let (_, text) = text.split_at_checked(start)?;
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let len = text.iter().take(Digits::LEN_MAX).take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(len)?;
    let ends = rest.first().is_none_or(|byte| is_space(*byte));
    let number = |digits: &[u8]| {
        digits
            .iter()
            .try_fold(0u64, |sum, byte| sum.checked_mul(10)?.checked_add(u64::from(byte.wrapping_sub(b'0'))))
    };
    if ends && len > 0 { number(digits) } else { None }
}

/// White space as memcached's number parser knows it, vertical tab included.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn numbers_are_digits_between_white_space() {
        for (text, number) in [
            ("5", Some(5)),
            ("5 ", Some(5)),
            (" 5", Some(5)),
            ("\t5\x0b", Some(5)),
            ("5 a", Some(5)),
            ("5\n3", Some(5)),
            ("+5", Some(5)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("00000000000000000005", Some(5)),
            ("5                             ", Some(5)),
            ("                             5", Some(5)),
            ("000000000000000000005", None),
            ("18446744073709551616", None),
            ("99999999999999999999", None),
            ("", None),
            (" ", None),
            ("+", None),
            ("+ 5", None),
            ("++5", None),
            ("-5", None),
            ("- ", None),
            ("1x", None),
            ("x1", None),
            ("0x5", None),
            ("5\0", None),
            ("5-3", None),
        ] {
            assert_eq!(parse(text.as_bytes()), number, "{text:?}");
        }
    }
}
