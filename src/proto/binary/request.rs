//! Frames to commands.

use super::header::{HEADER_BYTES, Header, Status};
use super::{BinaryForm, REQUEST_MAGIC, Refusal, Verb};
use crate::base::command::{
    Arith, Command, CountedAs, Delete, Direction, Get, Key, Op, Sasl, StatsTopic, Store, StoreMode,
};
use crate::base::limits::{AUTH_BYTES_MAX, ITEM_BYTES_MAX, KEY_BYTES_MAX, SASL_MECHANISM_BYTES_MAX};
use crate::base::time::Exptime;
use crate::proto::{Form, Limits, Request, Step, admin};

/// An exptime that says not to create what is counted.
const DO_NOT_CREATE: u32 = u32::MAX;
/// Bytes in a key that no text command can name it with.
const NOT_IN_TEXT: &[u8] = b" \r\n\0";

/// A frame that is understood as far as its header goes.
struct Frame<'a> {
    header: Header,
    form: BinaryForm,
    extras: &'a [u8],
    key: &'a [u8],
    /// What was received behind the key.
    after: &'a [u8],
    value_bytes: usize,
}

/// Reads the first frame of `bytes`: what was received and not consumed yet. `is_authenticated`: by SASL.
pub fn decode<'a>(bytes: &'a [u8], is_authenticated: bool, limits: &Limits) -> Step<'a> {
    if bytes.first().is_some_and(|magic| *magic != REQUEST_MAGIC) {
        return Step::Close;
    }
    let Some((header, body)) = Header::first(bytes) else { return need(HEADER_BYTES) };
    let Some(value_bytes) = header.value_bytes() else { return header.close_with(Status::UnknownCommand) };
    // No item is so long: a length that is a lie. As memcached 1.6.45 has it; 1.6.18 takes it for a negative one.
    if header.body_bytes > ITEM_BYTES_MAX {
        return header.close_with(Status::Invalid);
    }
    let known = Verb::of(header.opcode);
    if limits.sasl && !is_authenticated && !known.is_some_and(|(verb, _)| verb.is_open()) {
        return header.close_with(Status::AuthFailure);
    }
    if header.key_bytes > KEY_BYTES_MAX {
        return header.close_with(Status::Invalid);
    }
    let Some((verb, quiet)) = known else { return header.pass_with(Status::UnknownCommand) };
    if !verb.is_shaped(header.extras_bytes, header.key_bytes, value_bytes) {
        return header.close_with(Status::Invalid);
    }
    if let Some(status) = refusal(verb, &header, value_bytes, limits) {
        return header.pass_with(status);
    }
    let is_oversized = !verb.is_sasl() && value_bytes > 0 && !limits.fits(header.key_bytes, value_bytes);
    let head_bytes = header.extras_bytes + header.key_bytes;
    let wanted_bytes = if is_oversized { head_bytes } else { header.body_bytes };
    if body.len() < wanted_bytes {
        return need(HEADER_BYTES + wanted_bytes);
    }
    let (extras, rest) = body.split_at_checked(header.extras_bytes).unwrap_or_default();
    let (key, after) = rest.split_at_checked(header.key_bytes).unwrap_or_default();
    let form = BinaryForm { opcode: header.opcode, opaque: header.opaque, verb, quiet };
    let frame = Frame { header, form, extras, key, after, value_bytes };
    if is_oversized { frame.oversized() } else { frame.step(limits) }
}

fn need<'a>(total: usize) -> Step<'a> {
    Step::NeedMore { total, searched: 0 }
}

/// Why a well-formed frame is not served.
fn refusal(verb: Verb, header: &Header, value_bytes: usize, limits: &Limits) -> Option<Status> {
    match verb {
        _ if verb.is_sasl() && !limits.sasl => Some(Status::UnknownCommand),
        Verb::SaslAuth | Verb::SaslStep if header.key_bytes > SASL_MECHANISM_BYTES_MAX => {
            Some(Status::Invalid)
        }
        Verb::SaslAuth | Verb::SaslStep if value_bytes > AUTH_BYTES_MAX => Some(Status::OutOfMemory),
        Verb::Flush if !limits.flush_enabled => Some(Status::AuthFailure),
        _ => None,
    }
}

impl Verb {
    fn is_sasl(self) -> bool {
        matches!(self, Verb::SaslMechanisms | Verb::SaslAuth | Verb::SaslStep)
    }
}

impl Header {
    fn refusal(&self, status: Status) -> Refusal {
        Refusal { opcode: self.opcode, opaque: self.opaque, status }
    }

    /// Answers and closes: nobody knows where the next frame begins.
    fn close_with<'a>(&self, status: Status) -> Step<'a> {
        Step::Refuse { refusal: self.refusal(status), length: HEADER_BYTES, swallow: 0, closes: true }
    }

    /// Answers and passes over the body.
    fn pass_with<'a>(&self, status: Status) -> Step<'a> {
        let swallow = self.body_bytes as u64;
        Step::Refuse { refusal: self.refusal(status), length: HEADER_BYTES, swallow, closes: false }
    }
}

impl<'a> Frame<'a> {
    /// A value that is too large is answered at once, whether it has come or not, and never kept.
    fn oversized(self) -> Step<'a> {
        let drops_old = self.form.verb == Verb::Set;
        Step::Request {
            request: self.request(self.about_key(Op::Oversized { drops_old })),
            length: HEADER_BYTES + self.header.body_bytes - self.value_bytes,
            swallow: self.value_bytes as u64,
        }
    }

    /// The request, whose frame is all here.
    fn step(self, limits: &Limits) -> Step<'a> {
        match self.command(limits) {
            Some(command) => Step::Request {
                request: self.request(command),
                length: HEADER_BYTES + self.header.body_bytes,
                swallow: 0,
            },
            None => self.header.pass_with(Status::NotFound),
        }
    }

    fn request(&self, command: Command<'a>) -> Request<'a> {
        Request { command, form: Form::Binary(self.form) }
    }

    /// What is asked; `None` for figures that there are none of.
    fn command(&self, limits: &Limits) -> Option<Command<'a>> {
        Some(match self.form.verb {
            Verb::Get | Verb::GetKey => self.about_key(Op::Get(Get::default())),
            Verb::Touch | Verb::GetTouch | Verb::GetKeyTouch => self.about_key(self.touch()),
            Verb::Set | Verb::Add | Verb::Replace | Verb::Append | Verb::Prepend => {
                self.about_key(self.store())
            }
            Verb::Delete => self.about_key(Op::Delete(Delete { compare: self.cas(), ..Delete::default() })),
            Verb::Increment => self.about_key(self.arith(Direction::Incr)),
            Verb::Decrement => self.about_key(self.arith(Direction::Decr)),
            Verb::Flush => Command::FlushAll(Some(exptime(self.number(0))).filter(|delay| delay.0 > 0)),
            Verb::Stat => Command::Stats(self.topic(limits)?),
            Verb::Noop => Command::Noop,
            Verb::Version => Command::Version,
            Verb::Quit => Command::Quit,
            Verb::SaslMechanisms => Command::SaslMechanisms,
            Verb::SaslAuth => self.sasl(true),
            Verb::SaslStep => self.sasl(false),
        })
    }

    fn about_key(&self, op: Op<'a>) -> Command<'a> {
        let binary = self.key.iter().any(|byte| NOT_IN_TEXT.contains(byte));
        Command::Keyed(Key { binary, ..Key::plain(self.key) }, op)
    }

    fn value(&self) -> &'a [u8] {
        self.after.get(..self.value_bytes).unwrap_or_default()
    }

    /// The cas to compare: 0 is none.
    fn cas(&self) -> Option<u64> {
        Some(self.header.cas).filter(|cas| *cas != 0)
    }

    /// The 32-bit number of the extras at this byte, 0 where there is none.
    fn number(&self, at: usize) -> u32 {
        let bytes = self.extras.get(at..).and_then(<[u8]>::first_chunk);
        bytes.copied().map_or(0, u32::from_be_bytes)
    }

    fn number_u64(&self, at: usize) -> u64 {
        u64::from(self.number(at)) << 32 | u64::from(self.number(at + 4))
    }

    /// With a cas to compare there must be an item, whatever else the verb asks for.
    fn store(&self) -> Op<'a> {
        let mode = match self.form.verb {
            Verb::Append => StoreMode::Append,
            Verb::Prepend => StoreMode::Prepend,
            Verb::Add if self.header.cas == 0 => StoreMode::Add,
            Verb::Replace if self.header.cas == 0 => StoreMode::Replace,
            _ => StoreMode::Set,
        };
        Op::Store(Store {
            mode,
            value: self.value(),
            client_flags: self.number(0),
            exptime: exptime(self.number(4)),
            compare: self.cas(),
            new_cas: None,
            invalidate: false,
            vivify: None,
        })
    }

    /// A touch tells flags and cas as a read does.
    fn touch(&self) -> Op<'a> {
        let touch = Some(exptime(self.number(0)));
        Op::Get(Get { touch, counted_as: CountedAs::Touch, ..Get::default() })
    }

    fn arith(&self, direction: Direction) -> Op<'a> {
        let created = self.number(16);
        Op::Arith(Arith {
            direction,
            delta: self.number_u64(0),
            compare: self.cas(),
            new_cas: None,
            initial: (created != DO_NOT_CREATE).then(|| (self.number_u64(8), exptime(created))),
            touch: None,
        })
    }

    /// The words are those of the text protocol; listings of keys have no binary form.
    fn topic(&self, limits: &Limits) -> Option<StatsTopic<'a>> {
        let topic = admin::stats(self.key, limits).ok()?;
        Some(topic).filter(|topic| !matches!(topic, StatsTopic::CacheDump(..)))
    }

    fn sasl(&self, is_first: bool) -> Command<'a> {
        Command::Sasl(Sasl { mechanism: self.key, response: self.value(), is_first })
    }
}

/// An unsigned exptime. Moments after January 2038 are taken for the last second that the words of the house can say.
fn exptime(seconds: u32) -> Exptime {
    Exptime(i32::try_from(seconds).unwrap_or(i32::MAX))
}
