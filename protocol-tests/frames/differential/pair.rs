//! A server that is asked, and its answers made comparable: cas numbers by the order they are first seen.
use std::net::{Shutdown, SocketAddr};

use super::generate::Pipeline;
use crate::differential::pair::{connect, counters, read_until, send};
use crate::frames::Frame;

const HEADER_BYTES: usize = 24;
/// The opaque of what ends the preparation.
const PREPARED: u32 = 0x7072_6570;
/// Values that are longer are told by their length.
const SHOWN_BYTES_MAX: usize = 60;

/// What one server has said to a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// To the preparation.
    prepared: Vec<String>,
    /// To the rest, up to where it closed.
    pub(super) answers: Vec<String>,
    /// The counters behind it, where they are wanted.
    counters: String,
}

impl Said {
    pub(super) fn shown(&self) -> String {
        format!("{} {}", self.answers.join("; "), self.counters)
    }
}

/// Sends a pipeline over a connection of its own and takes what comes until the server closes.
pub(super) fn ask(address: SocketAddr, pipeline: &Pipeline) -> Said {
    let mut stream = connect(address);
    let mut seen = Vec::new();
    let noop = Frame { opcode: 0x0a, opaque: PREPARED, ..Frame::default() };
    let mut preparation: Vec<u8> = pipeline.preparation.iter().flat_map(|sent| sent.bytes(&[])).collect();
    preparation.extend(noop.bytes());
    send(&mut stream, &preparation, None);
    let prepared = comparable(&read_until(&mut stream, &noop_answer()), &mut seen);
    let shown = seen.clone();
    let bytes: Vec<u8> = pipeline.units.iter().flatten().flat_map(|sent| sent.bytes(&shown)).collect();
    send(&mut stream, &bytes, pipeline.piece);
    let _ = stream.shutdown(Shutdown::Write);
    let answers = comparable(&read_until(&mut stream, b""), &mut seen);
    let counters = if pipeline.counted { counters(address) } else { String::new() };
    Said { prepared, answers, counters }
}

/// The answer to the noop that ends the preparation.
fn noop_answer() -> Vec<u8> {
    let mut bytes = Frame { opcode: 0x0a, opaque: PREPARED, ..Frame::default() }.bytes();
    bytes[0] = 0x81;
    bytes
}

/// Answers in words: opcode, status, extras, key, value, the place of the cas, opaque. What is no answer is told as it is.
fn comparable(mut bytes: &[u8], seen: &mut Vec<u64>) -> Vec<String> {
    let mut all = Vec::new();
    while let Some((answer, rest)) = split(bytes) {
        all.push(words(answer, seen));
        bytes = rest;
    }
    if !bytes.is_empty() {
        all.push(format!("no answer: {}", bytes.escape_ascii()));
    }
    all
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let header = bytes.first_chunk::<HEADER_BYTES>().filter(|header| header[0] == 0x81)?;
    let body_bytes = u32::from_be_bytes([header[8], header[9], header[10], header[11]]) as usize;
    bytes.split_at_checked(HEADER_BYTES + body_bytes)
}

fn words(answer: &[u8], seen: &mut Vec<u64>) -> String {
    let (header, body) = answer.split_at(HEADER_BYTES);
    let [_, opcode, k0, k1, extras, data_type, s0, s1, _, _, _, _, o0, o1, o2, o3, cas @ ..] = header else {
        return String::new();
    };
    let (extras, rest) = body.split_at(usize::from(*extras).min(body.len()));
    let (key, value) = rest.split_at(usize::from(u16::from_be_bytes([*k0, *k1])).min(rest.len()));
    let mut words = format!("{opcode:02x} {s0:02x}{s1:02x}");
    if !extras.is_empty() {
        words += " x";
        words.extend(extras.iter().map(|byte| format!("{byte:02x}")));
    }
    if !key.is_empty() {
        words += &format!(" k'{}'", key.escape_ascii());
    }
    match value.len() {
        0 => {}
        length if length > SHOWN_BYTES_MAX => words += &format!(" {length}:{:x}", sum(value)),
        _ => words += &format!(" '{}'", value.escape_ascii()),
    }
    let cas = cas.try_into().map_or(0, u64::from_be_bytes);
    if cas != 0 {
        let place = seen.iter().position(|other| *other == cas).unwrap_or_else(|| {
            seen.push(cas);
            seen.len() - 1
        });
        words += &format!(" #{}", place + 1);
    }
    if *data_type != 0 {
        words += " a data type";
    }
    words + &format!(" @{}", u32::from_be_bytes([*o0, *o1, *o2, *o3]))
}

fn sum(value: &[u8]) -> u64 {
    value.iter().fold(7, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()))
}
