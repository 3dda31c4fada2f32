//! Spoils inputs: the ways in which bytes on a wire go wrong, and some that only an attacker finds.
use super::Codec;
use crate::random::Random;

/// The longest input, bytes: longer than the longest line that may lack its end.
pub(crate) const INPUT_BYTES_MAX: usize = 4096;
/// Numbers at which something may change.
pub(crate) const NUMBERS: [&str; 32] = [
    "0",
    "1",
    "-1",
    "2",
    "9",
    "10",
    "20",
    "31",
    "32",
    "250",
    "251",
    "255",
    "256",
    "964",
    "965",
    "1024",
    "2592000",
    "2592001",
    "2147483645",
    "2147483646",
    "2147483647",
    "2147483648",
    "-2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "00000000000000000001",
    "+5",
];
/// Lengths at which something may change.
const LENGTHS: [usize; 10] = [1, 2, 31, 32, 33, 249, 250, 251, 300, 2049];

/// Changes the input in one way. `other` is another input to take pieces from.
pub(crate) fn mutate(input: &mut Vec<u8>, other: &[u8], codec: &Codec, random: &mut Random) {
    match random.below(12) {
        0 => flip(input, random),
        1 => overwrite(input, random),
        2 => remove(input, random),
        3 => repeat(input, random),
        4 | 5 => insert_word(input, codec, random),
        6 | 7 => change_number(input, random),
        8 => splice(input, other, random),
        9 => stretch_word(input, random),
        10 => input.truncate(position(input, random)),
        _ => (codec.grammar)(random, input),
    }
    input.truncate(INPUT_BYTES_MAX);
}

fn position(input: &[u8], random: &mut Random) -> usize {
    random.below(input.len() as u64 + 1) as usize
}

fn range(input: &[u8], random: &mut Random) -> std::ops::Range<usize> {
    let start = position(input, random);
    let longest = if random.below(4) == 0 { input.len() } else { 8 };
    let length = random.below(longest as u64 + 1) as usize;
    start..(start + length).min(input.len())
}

/// An element of `all`.
pub(crate) fn choose<'a, T: ?Sized>(all: &[&'a T], random: &mut Random) -> &'a T {
    all[random.below(all.len() as u64) as usize]
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied());
}

fn flip(input: &mut [u8], random: &mut Random) {
    let at = random.below(input.len().max(1) as u64) as usize;
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

fn overwrite(input: &mut [u8], random: &mut Random) {
    const BYTES: &[u8] = b" \r\n\0\t\x7f\x80\xff09azAZ=+-";
    let at = random.below(input.len().max(1) as u64) as usize;
    if let Some(byte) = input.get_mut(at) {
        let any = random.next() as u8;
        *byte = if random.below(2) == 0 { any } else { BYTES[usize::from(any) % BYTES.len()] };
    }
}

fn remove(input: &mut Vec<u8>, random: &mut Random) {
    input.drain(range(input, random));
}

fn repeat(input: &mut Vec<u8>, random: &mut Random) {
    let piece = input[range(input, random)].to_vec();
    let at = position(input, random);
    for _ in 0..=random.below(3) {
        insert(input, at, &piece);
    }
}

fn insert_word(input: &mut Vec<u8>, codec: &Codec, random: &mut Random) {
    let at = position(input, random);
    if random.below(4) == 0 {
        insert(input, at, choose(&NUMBERS, random).as_bytes());
    } else {
        insert(input, at, choose(codec.words, random));
    }
}

/// Puts another number where one stands, or moves it by one.
fn change_number(input: &mut Vec<u8>, random: &mut Random) {
    let at = position(input, random);
    let Some(start) = input.iter().skip(at).position(u8::is_ascii_digit).map(|found| at + found) else {
        return;
    };
    let digits = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number =
        std::str::from_utf8(&input[start..start + digits]).ok().and_then(|text| text.parse::<u64>().ok());
    let text = match (number, random.below(3)) {
        (Some(number), 0) => number.wrapping_add(1).to_string(),
        (Some(number), 1) => number.wrapping_sub(1).to_string(),
        _ => choose(&NUMBERS, random).to_string(),
    };
    input.splice(start..start + digits, text.bytes());
}

/// The front of this one and the back of the other.
fn splice(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    input.truncate(position(input, random));
    input.extend_from_slice(&other[position(other, random)..]);
}

/// Makes a word as long as a limit.
fn stretch_word(input: &mut Vec<u8>, random: &mut Random) {
    let at = position(input, random);
    let byte = input.get(at).copied().filter(u8::is_ascii_graphic).unwrap_or(b'k');
    let length = LENGTHS[random.below(LENGTHS.len() as u64) as usize];
    insert(input, at, &vec![byte; length]);
}
