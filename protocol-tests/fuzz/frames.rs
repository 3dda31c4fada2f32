//! Writes frames of the binary protocol: right ones, and ones whose lengths lie.
use super::mutate::{NUMBERS, choose};
use crate::random::Random;

/// Bytes that mean something in a header, and whole headers.
pub(crate) const WORDS: &[&[u8]] = &[
    b"\x80",
    b"\x81",
    b"\x80\x00",
    b"\x80\x01",
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\x00\xfa",
    b"\x00\xfb",
    b"\x08\x00\x00\x00",
    b"\x14",
    b"\x04",
    b"PLAIN",
    b"\0user\0password",
    b"detail dump",
    b"settings",
    b"\x80\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    b"get a\r\n",
];
const KEYS: [&str; 7] = ["a", "b", "foo", "a b\r\n", "\0", "PLAIN", "detail on"];
/// A frame in so many has a length that is not its own.
const LIES: u64 = 8;

/// One frame.
pub(crate) fn frame(random: &mut Random, out: &mut Vec<u8>) {
    let opcode = if random.below(16) == 0 { random.next() as u8 } else { random.below(0x25) as u8 };
    let (extras_bytes, takes_key, takes_value) = match opcode {
        0x01..=0x03 | 0x11..=0x13 => (8, true, true),
        0x05 | 0x06 | 0x15 | 0x16 => (20, true, false),
        0x0e | 0x0f | 0x19 | 0x1a | 0x21 | 0x22 => (0, true, true),
        0x1c..=0x1e | 0x23 | 0x24 => (4, true, false),
        0x08 | 0x18 => (4 * random.below(2) as usize, false, false),
        0x07 | 0x0a | 0x0b | 0x17 | 0x20 => (0, false, false),
        _ => (0, true, false),
    };
    let extras: Vec<u8> = (0..extras_bytes).map(|_| extra(random)).collect();
    let key = if takes_key { key(random) } else { Vec::new() };
    let value = if takes_value { value(random) } else { Vec::new() };
    let mut lengths = [key.len(), extras.len(), extras.len() + key.len() + value.len()];
    if random.below(LIES) == 0 {
        let lie = choose(&NUMBERS, random).parse::<u64>().unwrap_or(u64::MAX) as usize;
        lengths[random.below(3) as usize] = lie;
    }
    let [key_bytes, extras_bytes, body_bytes] = lengths;
    out.extend_from_slice(&[0x80, opcode]);
    out.extend_from_slice(&(key_bytes as u16).to_be_bytes());
    out.extend_from_slice(&[extras_bytes as u8, 0, 0, 0]);
    out.extend_from_slice(&(body_bytes as u32).to_be_bytes());
    out.extend_from_slice(&(random.next() as u32).to_be_bytes());
    let cas = if random.below(4) == 0 { random.next() } else { 0 };
    out.extend_from_slice(&cas.to_be_bytes());
    for part in [extras, key, value] {
        out.extend_from_slice(&part);
    }
}

/// Extremes more often than anything between.
fn extra(random: &mut Random) -> u8 {
    match random.below(4) {
        0 => 0xff,
        1 => random.next() as u8,
        _ => 0,
    }
}

fn key(random: &mut Random) -> Vec<u8> {
    match random.below(8) {
        0 => vec![b'k'; 248 + random.below(5) as usize],
        1 => vec![b'M'; 30 + random.below(5) as usize],
        _ => choose(&KEYS, random).into(),
    }
}

fn value(random: &mut Random) -> Vec<u8> {
    match random.below(4) {
        // Around the item size of these runs.
        0 => vec![b'v'; 955 + random.below(20) as usize],
        1 => b"\0user\0password".to_vec(),
        _ => (0..random.below(20)).map(|_| random.next() as u8).collect(),
    }
}
