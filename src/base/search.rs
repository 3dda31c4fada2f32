//! Finding a byte in a short text: eight bytes at once. Words and request lines are too short for a general vector
//! search to pay off, and too long for one byte at a time.

const ONES: u64 = u64::MAX / 0xff;

/// Where `byte` first stands in `text`.
#[inline]
pub fn position_of(byte: u8, text: &[u8]) -> Option<usize> {
    let mut rest = text;
    let mut position = 0;
    while let Some((eight, behind)) = rest.split_first_chunk() {
        if let Some(found) = position_in_eight(byte, eight) {
            return Some(position + found);
        }
        (rest, position) = (behind, position + 8);
    }
    match text.last_chunk() {
        // The last eight overlap those before, in which it was not found.
        Some(last) if !rest.is_empty() => position_in_eight(byte, last).map(|found| text.len() - 8 + found),
        _ => rest.iter().position(|other| *other == byte).map(|found| position + found),
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
}
