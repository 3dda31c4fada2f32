//! Replies to frames.

use super::header::{Answer, HEADER_BYTES, Status};
use super::{BinaryForm, Refusal, Verb};
use crate::base::command::Key;
use crate::base::reply::{Denial, Hit, Reply, Sink};
use crate::proto::reply::put_value;

/// The client flags before a value.
const FLAGS_BYTES: usize = 4;

/// The answer to something asked of one key.
pub(in crate::proto) fn put(form: &BinaryForm, key: &Key<'_>, reply: &Reply<'_>, out: &mut impl Sink) {
    match reply {
        Reply::Hit(hit) | Reply::Inspected(hit) => put_hit(form, key, hit, out),
        Reply::Created(created) => put_hit(form, key, &created.hit(&created.item()), out),
        Reply::Miss | Reply::NotFound => put_miss(form, key, out),
        Reply::Stored(changed) => put_success(form, changed.cas, b"", out),
        Reply::Number(number) => put_success(form, number.cas, &number.value.to_be_bytes(), out),
        Reply::Deleted | Reply::Touched => put_success(form, 0, b"", out),
        Reply::NotStored => encode_status(form, not_stored(form.verb), out),
        Reply::Exists => encode_status(form, Status::Exists, out),
        Reply::Denied(denial) => encode_status(form, denied(*denial), out),
        Reply::Quiet => {}
    }
}

/// Flags, key where it is asked for, value. A touch tells the flags alone.
fn put_hit(form: &BinaryForm, key: &Key<'_>, hit: &Hit<'_>, out: &mut impl Sink) {
    let key: &[u8] = if form.verb.shows_key() { &key.bytes } else { b"" };
    let value_bytes = if form.verb == Verb::Touch { 0 } else { hit.item.value.bytes().len() };
    let lengths = [FLAGS_BYTES, key.len(), value_bytes];
    out.put(&form.answer(Status::Done, hit.item.cas, lengths).bytes());
    out.put(&hit.item.client_flags.to_be_bytes());
    out.put(key);
    if form.verb != Verb::Touch {
        put_value(hit.item.value, out);
    }
}

/// Who asks for the key is told the key instead of a text.
fn put_miss(form: &BinaryForm, key: &Key<'_>, out: &mut impl Sink) {
    if form.quiet && form.verb.reads() {
        return;
    }
    if !form.verb.shows_key() {
        return encode_status(form, Status::NotFound, out);
    }
    out.put(&form.answer(Status::NotFound, 0, [0, key.bytes.len(), 0]).bytes());
    out.put(&key.bytes);
}

fn put_success(form: &BinaryForm, cas: u64, body: &[u8], out: &mut impl Sink) {
    if !form.quiet {
        out.put(&form.answer(Status::Done, cas, [0, 0, body.len()]).bytes());
        out.put(body);
    }
}

/// What add and replace say of a condition that did not hold.
fn not_stored(verb: Verb) -> Status {
    match verb {
        Verb::Add => Status::Exists,
        Verb::Replace => Status::NotFound,
        _ => Status::NotStored,
    }
}

/// Why a request was refused, as a status.
pub(in crate::proto) fn denied(denial: Denial) -> Status {
    match denial {
        Denial::TooLarge => Status::TooLarge,
        Denial::OutOfMemory => Status::OutOfMemory,
        Denial::NonNumeric => Status::NonNumeric,
        Denial::DiskFull => Status::Temporary,
        Denial::WritesStopped | Denial::Damaged => Status::Internal,
    }
}

impl BinaryForm {
    fn answer(&self, status: Status, cas: u64, lengths: [usize; 3]) -> Answer {
        Answer { opcode: self.opcode, opaque: self.opaque, status, cas, lengths }
    }
}

/// Writes that it is done, unless quietly.
pub fn encode_done(form: &BinaryForm, out: &mut impl Sink) {
    put_success(form, 0, b"", out);
}

/// Writes that it is done, and `body`.
pub fn encode_body(form: &BinaryForm, body: &[u8], out: &mut impl Sink) {
    put_success(form, 0, body, out);
}

/// Writes a status and its text.
pub fn encode_status(form: &BinaryForm, status: Status, out: &mut impl Sink) {
    encode_refusal(&Refusal { opcode: form.opcode, opaque: form.opaque, status }, out);
}

/// Writes why a frame is not served.
pub fn encode_refusal(refusal: &Refusal, out: &mut impl Sink) {
    encode_error(refusal, refusal.status.text(), out);
}

/// Writes why a frame is not served, in these words.
pub fn encode_error(refusal: &Refusal, text: &[u8], out: &mut impl Sink) {
    let Refusal { opcode, opaque, status } = *refusal;
    let lengths = [0, 0, text.len()];
    out.put(&Answer { opcode, opaque, status, cas: 0, lengths }.bytes());
    out.put(text);
}

/// Writes one figure of `stats`; [`encode_stats_end`] ends them.
pub fn encode_stat(form: &BinaryForm, name: &[u8], value: &[u8], out: &mut impl Sink) {
    out.put(&form.answer(Status::Done, 0, [0, name.len(), value.len()]).bytes());
    out.put(name);
    out.put(value);
}

/// Writes the end of the figures: one without name and value.
pub fn encode_stats_end(form: &BinaryForm, out: &mut impl Sink) {
    encode_stat(form, b"", b"", out);
}

/// What becomes of an answer whose change the log can no longer promise: the same frame, with an error.
pub fn encode_lost(answer: &[u8], out: &mut impl Sink) {
    encode_instead(answer, Status::Internal, out);
}

/// Writes a status instead of the answer that these bytes begin with.
pub fn encode_instead(answer: &[u8], status: Status, out: &mut impl Sink) {
    let Some([_, opcode, .., o0, o1, o2, o3, _, _, _, _, _, _, _, _]) = answer.first_chunk::<HEADER_BYTES>()
    else {
        return;
    };
    let opaque = u32::from_be_bytes([*o0, *o1, *o2, *o3]);
    encode_refusal(&Refusal { opcode: *opcode, opaque, status }, out);
}
