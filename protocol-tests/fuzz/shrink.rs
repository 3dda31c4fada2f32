//! Makes an input that breaks a rule as short and as plain as it can be while it still breaks one.
use super::Codec;
use super::check::check;

/// The shortest input found, and what it breaks.
pub(crate) fn shortest(codec: &Codec, input: &[u8], what: String) -> (Vec<u8>, String) {
    let mut best = (input.to_vec(), what);
    while let Some(better) = shorter(codec, &best.0).or_else(|| plainer(codec, &best.0)) {
        best = better;
    }
    best
}

/// Without some piece, the largest that can be spared.
fn shorter(codec: &Codec, input: &[u8]) -> Option<(Vec<u8>, String)> {
    let mut length = input.len();
    while length > 0 {
        for start in (0..=input.len() - length).step_by(length.div_ceil(4)) {
            let rest = [&input[..start], &input[start + length..]].concat();
            if let Err(what) = check(codec, &rest) {
                return Some((rest, what));
            }
        }
        length /= 2;
    }
    None
}

/// With a plain byte in place of another.
fn plainer(codec: &Codec, input: &[u8]) -> Option<(Vec<u8>, String)> {
    let odd = input
        .iter()
        .enumerate()
        .filter(|(_, byte)| !byte.is_ascii_alphanumeric() && !b" \r\n".contains(byte));
    for (at, _) in odd {
        let mut changed = input.to_vec();
        changed[at] = b'a';
        if let Err(what) = check(codec, &changed) {
            return Some((changed, what));
        }
    }
    None
}
