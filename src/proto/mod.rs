//! Bytes to words and back: memcached's text protocol, classic and meta, and its [`binary`] one.
//!
//! Owns: where a request ends, what it says ([`decode`]), how its answer looks ([`encode_reply`] and its siblings), and
//! how a request is written ([`write_request`]). The contract is memcached 1.6.45's behaviour on the wire.
//!
//! May import: `base`.
//!
//! Invariants:
//! * It never sees a socket, a store or the time.
//! * Any split of the input gives the same steps, with one exception: a line over
//!   [`LINE_BYTES_MAX`](crate::base::limits::LINE_BYTES_MAX) that has not ended closes the connection, but is served
//!   when it arrived whole. Reads of many keys may be longer.
//! * No more bytes are taken than were given; nothing is allocated from a length that a client merely announced.
//! * A request borrows from the bytes that it was read from. Only a key in base64 is copied.
//!
//! Start reading at [`decode`], then `storage.rs`, then `reply.rs`.

mod admin;
mod auth;
pub mod binary;
mod classic;
pub mod datagram;
mod dump;
mod line;
mod meta_reply;
mod meta_request;
mod own;
mod reply;
mod request;
mod storage;
pub mod texts;
mod watch;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod reply_tests;
#[cfg(test)]
mod tests;

pub use auth::decode_unauthenticated;
pub use dump::{encode_cached, encode_dump};
pub use meta_reply::item_bytes;
pub use meta_request::{MetaForm, MetaVerb};
pub use own::encode_discovery;
pub use reply::{
    encode_denial, encode_done, encode_prefix, encode_reply, encode_stat, encode_text, encode_value,
};
pub use request::write_request;
pub use watch::{Event, Kinds, Lookup, encode_event, encode_skipped};

use crate::base::command::{Command, Direction, StoreMode};
use crate::base::limits::{
    GET_LINE_BYTES_MAX, ITEM_BYTES_DEFAULT, ITEM_OVERHEAD_BYTES, LINE_BYTES_MAX, REQUEST_BYTES_MIN,
};
use binary::{BinaryForm, Refusal};
use line::Line;

/// What the codec must know of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The item size (`-I`), bytes of key, value and header.
    pub item_bytes_max: usize,
    /// Whether `flush_all` is allowed (not `-F`).
    pub flush_enabled: bool,
    /// Whether keys may be listed (not `-X`).
    pub dump_enabled: bool,
    /// Whether events may be watched (not `-W`).
    pub watch_enabled: bool,
    /// Whether clients may end the server (`-A`).
    pub shutdown_enabled: bool,
    /// Which protocols are spoken (`-B`).
    pub protocols: Protocols,
    /// Whether clients of the binary protocol must authenticate by SASL (`-S`).
    pub sasl: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            item_bytes_max: ITEM_BYTES_DEFAULT,
            flush_enabled: true,
            dump_enabled: true,
            watch_enabled: true,
            shutdown_enabled: false,
            protocols: Protocols::Any,
            sasl: false,
        }
    }
}

impl Limits {
    /// Whether a value of `value_bytes` under a key of `key_bytes` is within the item size.
    pub fn fits(&self, key_bytes: usize, value_bytes: usize) -> bool {
        key_bytes.saturating_add(value_bytes).saturating_add(ITEM_OVERHEAD_BYTES) <= self.item_bytes_max
    }
}

/// Which protocols are spoken (`-B`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocols {
    /// Whichever the first byte of a connection is of.
    #[default]
    Any,
    /// The text protocol only.
    Text,
    /// The binary protocol only.
    Binary,
}

impl Protocols {
    /// Whether a connection that begins with this byte speaks the binary protocol, for its whole life.
    pub fn is_binary(self, first: u8) -> bool {
        match self {
            Protocols::Any => first == binary::REQUEST_MAGIC,
            Protocols::Text => false,
            Protocols::Binary => true,
        }
    }
}

/// What the received bytes begin with.
#[derive(Clone, Debug)]
pub enum Step<'a> {
    /// Not a whole request yet.
    NeedMore {
        /// How many bytes, from the start of those given, must be there before another try can succeed: more than
        /// were given. Exact for a value; one more than were given for a line.
        total: usize,
        /// What to hand to the next [`decode`] of these bytes, so that nothing is searched twice.
        searched: usize,
    },
    /// A request.
    Request {
        /// What is asked, and how it is answered.
        request: Request<'a>,
        /// How many bytes it took, at least one and at most as many as were given.
        length: usize,
        /// How many bytes behind it are to be thrown away: a value that is not wanted. They may not be here yet.
        swallow: u64,
    },
    /// Not a request that can be served.
    Reject {
        /// The answer; empty when the client wants none.
        reply: &'static [u8],
        /// How many bytes it took, at least one and at most as many as were given.
        length: usize,
        /// As with a request.
        swallow: u64,
    },
    /// A binary frame that is not served.
    Refuse {
        /// The answer, for [`binary::encode_refusal`].
        refusal: Refusal,
        /// How many bytes it took, at least one and at most as many as were given.
        length: usize,
        /// As with a request.
        swallow: u64,
        /// Whether the connection is closed then.
        closes: bool,
    },
    /// Nothing more can be understood on this connection: it is closed, after what was asked before is answered.
    Close,
}

/// A request: what is asked, and how the answer is shown.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// What is asked.
    pub command: Command<'a>,
    /// How the answer is shown.
    pub form: Form<'a>,
}

/// How an answer is shown.
#[derive(Clone, Copy, Debug)]
pub enum Form<'a> {
    /// Words: `STORED`, `VALUE` ...
    Classic(ClassicForm),
    /// Codes of two letters, and the flags that were asked for.
    Meta(MetaForm<'a>),
    /// Frames.
    Binary(BinaryForm),
}

/// How a classic answer is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassicForm {
    /// Not at all.
    pub noreply: bool,
    /// Values with their cas (gets, gats).
    pub with_cas: bool,
}

impl ClassicForm {
    /// An error to answer with: none when no answer is wanted.
    fn unless_quiet(self, reply: &'static [u8]) -> &'static [u8] {
        if self.noreply { b"" } else { reply }
    }
}

/// A request that is one line, or the error that answers it.
type Parsed<'a> = Result<Request<'a>, &'static [u8]>;

impl<'a> Request<'a> {
    /// A request with a classic answer.
    fn classic(command: Command<'a>, form: ClassicForm) -> Request<'a> {
        Request { command, form: Form::Classic(form) }
    }
}

/// Reads the first request of `bytes`: what was received and not consumed yet.
///
/// `searched` is what the last [`Step::NeedMore`] for these bytes said, 0 when there was none.
pub fn decode<'a>(bytes: &'a [u8], searched: usize, limits: &Limits) -> Step<'a> {
    let Some(line) = Line::first(bytes, searched) else { return await_line(bytes) };
    if line.length < REQUEST_BYTES_MIN {
        return line.reject(texts::BAD_LINE);
    }
    // Most requests are these two. Their verbs are known without looking where they end.
    if let Some(args) = line.text.strip_prefix(b"get ") {
        return classic::read(&line, args, false);
    }
    if let Some(args) = line.text.strip_prefix(b"set ") {
        return storage::decode(&line, args, StoreMode::Set, limits);
    }
    let (verb, args) = line.split_verb();
    let parsed = match verb {
        b"get" => return classic::read(&line, args, false),
        b"set" => return storage::decode(&line, args, StoreMode::Set, limits),
        b"gets" => return classic::read(&line, args, true),
        b"mg" => meta_request::get(args),
        b"ms" => return meta_request::store(&line, args, limits),
        b"delete" => classic::delete(args),
        b"incr" => classic::arith(args, Direction::Incr),
        b"decr" => classic::arith(args, Direction::Decr),
        b"md" => meta_request::delete(args),
        b"ma" => meta_request::arith(args),
        b"mn" => Ok(Request::classic(Command::Noop, ClassicForm::default())),
        b"add" => return storage::decode(&line, args, StoreMode::Add, limits),
        b"replace" => return storage::decode(&line, args, StoreMode::Replace, limits),
        b"append" => return storage::decode(&line, args, StoreMode::Append, limits),
        b"prepend" => return storage::decode(&line, args, StoreMode::Prepend, limits),
        b"cas" => return storage::decode_cas(&line, args, limits),
        b"touch" => classic::touch(args),
        b"gat" => return classic::read_and_touch(&line, args, false),
        b"gats" => return classic::read_and_touch(&line, args, true),
        b"me" => meta_request::inspect(args),
        b"config" | b"cluster" | b"route" | b"keys" => own::decode(verb, args, limits),
        _ => match admin::decode(verb, args, limits) {
            Some(parsed) => parsed,
            None => return unknown(&line),
        },
    };
    match parsed {
        Ok(request) => Step::Request { request, length: line.length, swallow: 0 },
        Err(reply) => line.reject(reply),
    }
}

/// A line that has not ended: only reads may be long.
fn await_line<'a>(bytes: &[u8]) -> Step<'a> {
    let bytes_max = if classic::begins_read(bytes) { GET_LINE_BYTES_MAX } else { LINE_BYTES_MAX };
    if bytes.len() > bytes_max {
        return Step::Close;
    }
    Step::NeedMore { total: bytes.len() + 1, searched: bytes.len() }
}

/// A command that nobody knows. A browser is not talked to: what it sends next could be commands that a web page chose.
fn unknown<'a>(line: &Line<'a>) -> Step<'a> {
    let mut words = line::Words(line.text).skip(1);
    if words.by_ref().last().is_some_and(|word| word.starts_with(b"HTTP/")) {
        return Step::Close;
    }
    line.reject(texts::ERROR)
}
