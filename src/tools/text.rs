//! The text of `dump` and `load`: a line of facts, then the value. `docs/backup.md` describes it for people and tools.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::base::limits::{ITEM_BYTES_MAX, KEY_BYTES_MAX};

/// Digits of a byte in a URI.
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// What a line says of the item behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) key: Vec<u8>,
    /// When it dies: unix seconds, -1 for never.
    pub(super) exp: i64,
    pub(super) flags: u32,
    /// Of no effect on loading: cas numbers are the server's own.
    pub(super) cas: u64,
    /// The length of the value, bytes.
    pub(super) size: usize,
}

impl Line {
    /// Its text, with the line's end.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut text = b"key=".to_vec();
        put_uri(&self.key, &mut text);
        let rest = format!(" exp={} cas={} flags={} size={}\r\n", self.exp, self.cas, self.flags, self.size);
        text.extend_from_slice(rest.as_bytes());
        text
    }

    /// Reads a line without its end: words of a name, `=` and a value, in any order. `key` and `size` must be there; what
    /// is not known is passed over.
    pub(super) fn decode(line: &[u8]) -> Option<Line> {
        let text = std::str::from_utf8(line).ok()?;
        let word = |name: &str| text.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let key = from_uri(word("key")?).filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()))?;
        Some(Line {
            key,
            exp: word("exp").map_or(Some(-1), |exp| exp.parse().ok())?,
            flags: word("flags").map_or(Some(0), |flags| flags.parse().ok())?,
            cas: word("cas").map_or(Some(0), |cas| cas.parse().ok())?,
            size: word("size")?.parse().ok().filter(|size| *size <= ITEM_BYTES_MAX)?,
        })
    }
}

/// A key as a meta command names it, and the flag that says how. Base64 takes any byte, but makes long keys too long:
/// those stand as they are, if nothing in them ends a word.
pub(super) fn named(key: &[u8]) -> (Vec<u8>, &'static str) {
    let encoded = STANDARD.encode(key).into_bytes();
    let is_ascii = key.iter().all(|byte| (0x21..0x7f).contains(byte));
    let is_word = key.iter().all(|byte| *byte > b' ' && *byte != 0x7f);
    if is_ascii || (is_word && encoded.len() > KEY_BYTES_MAX) { (key.to_vec(), "") } else { (encoded, " b") }
}

/// Everything but letters, digits and `-._~` is shown as `%` and two digits.
fn put_uri(key: &[u8], out: &mut Vec<u8>) {
    for byte in key {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(*byte);
        } else {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// The bytes that such a text stands for.
pub(super) fn from_uri(text: &str) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'%' {
            key.push(*byte);
            continue;
        }
        let (digits, behind) = rest.split_first_chunk::<2>()?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let [high, low] = *digits;
        key.push(digit(high)? << 4 | digit(low)?);
        rest = behind;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_and_others_words_are_passed_over() {
        let line = Line { key: b"a b%\xff=\n".to_vec(), exp: 1_700_000_000, flags: 7, cas: 9, size: 3 };
        let text = line.encode();
        assert_eq!(text, b"key=a%20b%25%FF%3D%0A exp=1700000000 cas=9 flags=7 size=3\r\n");
        assert_eq!(Line::decode(text.strip_suffix(b"\r\n").unwrap()), Some(line));
        for (text, found) in [
            ("size=1 key=k", Some((-1, 0, 1))),
            ("key=k exp=-1 la=5 cas=5 fetch=no cls=1 size=70 flags=2", Some((-1, 2, 70))),
            ("key=k", None),
            ("size=1", None),
            ("key= size=1", None),
            ("key=%4 size=1", None),
            ("key=%zz size=1", None),
            ("key=k size=x", None),
            ("key=k size=99999999999999", None),
            ("key=k size=1 exp=never", None),
        ] {
            let line = Line::decode(text.as_bytes());
            assert_eq!(line.map(|line| (line.exp, line.flags, line.size)), found, "{text}");
        }
    }
}
