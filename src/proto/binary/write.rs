//! Requests as a client writes them.

use super::header::HEADER_BYTES;
use super::{BinaryForm, REQUEST_MAGIC};
use crate::base::command::{Arith, Command, Get, Op, StatsTopic, Store, StoreMode};
use crate::base::reply::Sink;
use crate::base::time::Exptime;
use crate::proto::request::put_topic;

/// An exptime that says not to create what is counted.
const DO_NOT_CREATE: u32 = u32::MAX;
/// A moment of 1970: what is said for "already over", since an exptime is unsigned here.
const LONG_AGO: u32 = 60 * 60 * 24 * 30 + 1;

/// The parts of a frame behind its header.
#[derive(Default)]
struct Body<'a> {
    extras: Vec<u8>,
    key: &'a [u8],
    value: &'a [u8],
    cas: u64,
}

/// Writes a request as the frame that [`decode`](super::decode) reads as the same request. Answers whether it has one.
pub(in crate::proto) fn write_request(command: &Command<'_>, form: &BinaryForm, out: &mut impl Sink) -> bool {
    let mut topic = Vec::new();
    if let Command::Stats(known) = command
        && *known != StatsTopic::General
    {
        put_topic(known, &mut topic);
    }
    let body = match command {
        Command::Keyed(key, op) => match about_key(op) {
            Some(body) => Body { key: &key.bytes, ..body },
            None => return false,
        },
        Command::FlushAll(Some(delay)) => Body { extras: number(*delay).to_vec(), ..Body::default() },
        Command::Stats(_) => Body { key: &topic, ..Body::default() },
        Command::Sasl(sasl) => Body { key: sasl.mechanism, value: sasl.response, ..Body::default() },
        Command::FlushAll(None)
        | Command::Noop
        | Command::Version
        | Command::Quit
        | Command::SaslMechanisms => Body::default(),
        _ => return false,
    };
    put_frame(form, &body, out);
    true
}

/// All but the key of a command about one.
fn about_key<'a>(op: &Op<'a>) -> Option<Body<'a>> {
    Some(match op {
        Op::Get(Get { touch: None, .. }) => Body::default(),
        Op::Get(Get { touch: Some(exptime), .. }) | Op::Touch(exptime) => {
            Body { extras: number(*exptime).to_vec(), ..Body::default() }
        }
        Op::Store(store) => Body {
            extras: store_extras(store),
            value: store.value,
            cas: store.compare.unwrap_or(0),
            key: b"",
        },
        Op::Delete(delete) => Body { cas: delete.compare.unwrap_or(0), ..Body::default() },
        Op::Arith(arith) => {
            Body { extras: arith_extras(arith), cas: arith.compare.unwrap_or(0), ..Body::default() }
        }
        Op::Oversized { .. } | Op::Inspect | Op::Expire | Op::Evict(_) => return None,
    })
}

fn store_extras(store: &Store<'_>) -> Vec<u8> {
    match store.mode {
        StoreMode::Append | StoreMode::Prepend => Vec::new(),
        _ => [store.client_flags.to_be_bytes(), number(store.exptime)].concat(),
    }
}

fn arith_extras(arith: &Arith) -> Vec<u8> {
    let initial = arith.initial.map_or(0, |(initial, _)| initial);
    let exptime = arith.initial.map_or(DO_NOT_CREATE.to_be_bytes(), |(_, exptime)| number(exptime));
    let mut extras = [arith.delta.to_be_bytes(), initial.to_be_bytes()].concat();
    extras.extend_from_slice(&exptime);
    extras
}

fn number(exptime: Exptime) -> [u8; 4] {
    u32::try_from(exptime.0).unwrap_or(LONG_AGO).to_be_bytes()
}

fn put_frame(form: &BinaryForm, body: &Body<'_>, out: &mut impl Sink) {
    let body_bytes = body.extras.len() + body.key.len() + body.value.len();
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(&[REQUEST_MAGIC, form.opcode]);
    header.extend_from_slice(&(body.key.len() as u16).to_be_bytes());
    header.extend_from_slice(&[body.extras.len() as u8, 0, 0, 0]);
    header.extend_from_slice(&(body_bytes as u32).to_be_bytes());
    header.extend_from_slice(&form.opaque.to_be_bytes());
    header.extend_from_slice(&body.cas.to_be_bytes());
    for part in [&header, &body.extras, body.key, body.value] {
        out.put(part);
    }
}
