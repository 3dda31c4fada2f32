//! memcached's binary protocol as the generator speaks it: set, get of one key, and of many by quiet gets with a noop
//! behind them. Pure.

use crate::dialect::Step;
use crate::workload::ItemShape;

const HEADER_BYTES: usize = 24;
const REQUEST: u8 = 0x80;
const REPLY: u8 = 0x81;
const GET: u8 = 0x00;
const SET: u8 = 0x01;
const QUIET_GET: u8 = 0x09;
const NOOP: u8 = 0x0a;
/// Flags, before the value of a reply to a get.
const GET_EXTRAS_BYTES: usize = 4;
const STATUS_OK: u16 = 0;
const STATUS_NO_SUCH_KEY: u16 = 1;
/// A body longer than any value that is asked for is no reply.
const MAX_BODY_BYTES: usize = 64 << 20;

/// Appends the request that stores this key.
pub(crate) fn put_set(item: &ItemShape, key: u64, out: &mut Vec<u8>) {
    put_header(SET, item.key_bytes, 8, item.value_bytes, key, out);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&item.exptime_s.to_be_bytes());
    item.put_key(key, out);
    item.put_value(key, out);
}

/// Appends the requests that get these keys.
pub(crate) fn put_get(item: &ItemShape, keys: impl ExactSizeIterator<Item = u64>, out: &mut Vec<u8>) {
    let is_many = keys.len() != 1;
    for key in keys {
        put_header(if is_many { QUIET_GET } else { GET }, item.key_bytes, 0, 0, key, out);
        item.put_key(key, out);
    }
    if is_many {
        put_header(NOOP, 0, 0, 0, 0, out);
    }
}

/// The opaque is the low half of the key's number, and comes back with the reply.
fn put_header(opcode: u8, key: usize, extras: usize, value: usize, number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&[REQUEST, opcode]);
    out.extend_from_slice(&(key as u16).to_be_bytes());
    out.extend_from_slice(&[extras as u8, 0, 0, 0]);
    out.extend_from_slice(&((key + extras + value) as u32).to_be_bytes());
    out.extend_from_slice(&(number as u32).to_be_bytes());
    out.extend_from_slice(&[0; 8]);
}

/// Looks for the reply to a set at the beginning of `bytes`.
pub(crate) fn stored(bytes: &[u8]) -> Step {
    match reply(bytes) {
        Reply::More => Step::More,
        Reply::Whole { opcode: SET, status: STATUS_OK, taken, .. } => Step::Done { taken, hits: 0 },
        Reply::Whole { opcode: SET, taken, .. } => Step::Wrong { taken },
        Reply::Whole { .. } | Reply::None => Step::Lost,
    }
}

/// Looks for the reply to a get of these keys at the beginning of `bytes`.
pub(crate) fn values(item: &ItemShape, mut asked: impl ExactSizeIterator<Item = u64>, bytes: &[u8]) -> Step {
    let last = if asked.len() == 1 { GET } else { NOOP };
    let (mut at, mut hits, mut right) = (0, 0, true);
    loop {
        let (opcode, status, opaque, body, taken) = match reply(bytes.get(at..).unwrap_or_default()) {
            Reply::Whole { opcode, status, opaque, body, taken } => (opcode, status, opaque, body, taken),
            Reply::More => return Step::More,
            Reply::None => return Step::Lost,
        };
        at += taken;
        match (opcode, status) {
            (GET | QUIET_GET, STATUS_OK) => {
                let value = body.get(GET_EXTRAS_BYTES..).unwrap_or_default();
                let number = asked.find(|number| *number as u32 == opaque);
                right &= number.is_some_and(|number| item.is_value(number, value));
                hits += 1;
            }
            (GET, STATUS_NO_SUCH_KEY) | (NOOP, STATUS_OK) => {}
            (GET | QUIET_GET | NOOP, _) => right = false,
            _ => return Step::Lost,
        }
        if opcode == last {
            return if right { Step::Done { taken: at, hits } } else { Step::Wrong { taken: at } };
        }
    }
}

enum Reply<'a> {
    More,
    Whole {
        opcode: u8,
        status: u16,
        opaque: u32,
        body: &'a [u8],
        taken: usize,
    },
    /// These bytes begin no reply.
    None,
}

fn reply(bytes: &[u8]) -> Reply<'_> {
    if bytes.first().is_some_and(|magic| *magic != REPLY) {
        return Reply::None;
    }
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Reply::More };
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let length = word(8) as usize;
    if length > MAX_BODY_BYTES {
        return Reply::None;
    }
    let taken = HEADER_BYTES + length;
    let Some(body) = bytes.get(HEADER_BYTES..taken) else { return Reply::More };
    let status = u16::from_be_bytes([header[6], header[7]]);
    Reply::Whole { opcode: header[1], status, opaque: word(12), body, taken }
}

/// Replies for the dialect's table, to keys with values of 2 bytes; without a key asked for, to a set.
pub(crate) fn samples() -> Vec<(&'static [u64], Vec<u8>, Step)> {
    let hit = |opcode, number: u32| reply_bytes(opcode, STATUS_OK, number, b"\0\0\0\0vv");
    let noop = reply_bytes(NOOP, STATUS_OK, 0, b"");
    let done = |taken, hits| Step::Done { taken, hits };
    vec![
        (&[], reply_bytes(SET, STATUS_OK, 7, b""), done(24, 0)),
        (&[], reply_bytes(SET, 0x82, 7, b"Out of memory"), Step::Wrong { taken: 37 }),
        (&[], noop.clone(), Step::Lost),
        (&[7], hit(GET, 7), done(30, 1)),
        (&[8], hit(GET, 7), Step::Wrong { taken: 30 }),
        (&[7], reply_bytes(GET, STATUS_OK, 7, b"\0\0\0\0vvv"), Step::Wrong { taken: 31 }),
        (&[7], reply_bytes(GET, STATUS_NO_SUCH_KEY, 7, b"Not found"), done(33, 0)),
        (&[7], reply_bytes(GET, 0x81, 7, b"Unknown command"), Step::Wrong { taken: 39 }),
        (&[7], b"VALUE k-0000000007 0 2\r\n".to_vec(), Step::Lost),
        (&[7, 8, 9], [hit(QUIET_GET, 7), hit(QUIET_GET, 9), noop.clone()].concat(), done(84, 2)),
        (&[9, 7], [hit(QUIET_GET, 7), hit(QUIET_GET, 9), noop].concat(), Step::Wrong { taken: 84 }),
    ]
}

fn reply_bytes(opcode: u8, status: u16, opaque: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![REPLY, opcode, 0, 0, 0, 0];
    bytes.extend_from_slice(&status.to_be_bytes());
    bytes.extend_from_slice(&(body.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&opaque.to_be_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(body);
    bytes
}
