//! Finding a byte in a short text: sixteen bytes at once. Words and request lines are too short for a general vector
//! search to pay off, and too long for one byte at a time.

use wide::u8x16;

const ONES: u64 = u64::MAX / 0xff;

/// Where `byte` first stands in `text`.
#[inline]
pub fn position_of(byte: u8, text: &[u8]) -> Option<usize> {
    let mut rest = text;
    let mut position = 0;
    while let Some((sixteen, behind)) = rest.split_first_chunk() {
        if let Some(found) = position_in_sixteen(byte, sixteen) {
            return Some(position + found);
        }
        (rest, position) = (behind, position + 16);
    }
    match text.last_chunk() {
        // The last sixteen overlap those before, in which it was not found.
        Some(last) if !rest.is_empty() => {
            position_in_sixteen(byte, last).map(|found| text.len() - 16 + found)
        }
        _ => position_in_few(byte, rest).map(|found| position + found),
    }
}

/// The first word of `text` and what stands behind it. Only spaces separate.
#[inline]
pub fn split_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut word = text;
    while let [b' ', behind @ ..] = word {
        word = behind;
    }
    if word.is_empty() {
        return None;
    }
    word.split_at_checked(position_of(b' ', word).unwrap_or(word.len()))
}

/// The places of `byte` in sixteen bytes: a bit for each, the lowest for the first.
#[inline]
pub fn places_in_sixteen(byte: u8, sixteen: &[u8; 16]) -> u32 {
    u8x16::new(*sixteen).simd_eq(u8x16::splat(byte)).to_bitmask()
}

#[inline]
fn position_in_sixteen(byte: u8, sixteen: &[u8; 16]) -> Option<usize> {
    let places = places_in_sixteen(byte, sixteen);
    (places != 0).then(|| places.trailing_zeros() as usize)
}

/// Where `byte` first stands in fewer than sixteen.
#[inline]
fn position_in_few(byte: u8, few: &[u8]) -> Option<usize> {
    match (few.first_chunk(), few.last_chunk()) {
        (Some(first), Some(last)) => position_in_eight(byte, first)
            .or_else(|| position_in_eight(byte, last).map(|found| few.len() - 8 + found)),
        _ => few.iter().position(|other| *other == byte),
    }
}

/// Where `byte` first stands in eight: the test for a zero byte, on what differs from it. It may name wrong bytes, but
/// only behind the first right one.
#[inline]
fn position_in_eight(byte: u8, eight: &[u8; 8]) -> Option<usize> {
    let difference = u64::from_le_bytes(*eight) ^ (ONES * u64::from(byte));
    let found = difference.wrapping_sub(ONES) & !difference & (ONES << 7);
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_a_look_at_every_byte() {
        let bytes = [b' ', b'!', 0x1f, b' ' | 0x80, 0, 0xff];
        for length in 0..40usize {
            for at in 0..=length {
                for other in bytes.iter().filter(|other| **other != b' ') {
                    let mut text = vec![*other; length];
                    if let Some(place) = text.get_mut(at) {
                        *place = b' ';
                    }
                    if let Some(later) = text.get_mut(at + 3) {
                        *later = b' ';
                    }
                    assert_eq!(
                        position_of(b' ', &text),
                        text.iter().position(|byte| *byte == b' '),
                        "{text:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_word_ends_at_a_space_and_nothing_else() {
        for (text, split) in [
            ("", None),
            ("  ", None),
            ("a", Some(("a", ""))),
            ("  a\tb  c", Some(("a\tb", "  c"))),
            ("a-word-of-sixteen rest", Some(("a-word-of-sixteen", " rest"))),
        ] {
            let expected = split.map(|(word, rest): (&str, &str)| (word.as_bytes(), rest.as_bytes()));
            assert_eq!(split_word(text.as_bytes()), expected, "{text:?}");
        }
    }
}
