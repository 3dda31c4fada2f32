//! Words to bytes: the answers.

use super::{ClassicForm, Form, binary, meta_reply, texts};
use crate::base::command::Key;
use crate::base::item::Value;
use crate::base::reply::{Denial, Hit, Reply, Sink};

/// The end of a line, and of a value.
pub(super) const LINE_END: &[u8] = b"\r\n";
/// Three figures, each of a space and at most 20 digits, and the end of their line, bytes.
const FIGURES_BYTES: usize = 3 * 21 + LINE_END.len();

/// Writes the answer to something asked of one key. Nothing is written when the client wants none.
///
/// A classic read ends with [`texts::END`], which the caller writes after its last key; a classic miss is no bytes.
pub fn encode_reply(form: &Form<'_>, key: &Key<'_>, reply: &Reply<'_>, out: &mut impl Sink) {
    match form {
        Form::Classic(form) if form.noreply => {}
        Form::Classic(form) => put_classic(*form, &key.bytes, reply, out),
        Form::Meta(form) => meta_reply::put(form, key, reply, out),
        Form::Binary(form) => binary::put(form, key, reply, out),
    }
}

/// Writes a fixed answer, unless the client wants none. Frames have no texts: [`binary`] has what answers them.
pub fn encode_text(form: &Form<'_>, text: &[u8], out: &mut impl Sink) {
    match form {
        Form::Classic(ClassicForm { noreply: true, .. }) | Form::Binary(_) => {}
        _ => out.put(text),
    }
}

/// Writes that something that is not about keys is done.
pub fn encode_done(form: &Form<'_>, out: &mut impl Sink) {
    match form {
        Form::Binary(form) => binary::encode_done(form, out),
        _ => encode_text(form, texts::OK, out),
    }
}

/// Writes why something that is not about keys is refused.
pub fn encode_denial(form: &Form<'_>, denial: Denial, out: &mut impl Sink) {
    match form {
        Form::Binary(form) => binary::encode_status(form, binary::denied(denial), out),
        _ => encode_text(form, texts::denial(denial), out),
    }
}

/// Writes one item of a classic read.
pub fn encode_value(key: &[u8], hit: &Hit<'_>, with_cas: bool, out: &mut impl Sink) {
    out.put(b"VALUE ");
    out.put(key);
    let mut text = [0; FIGURES_BYTES];
    let mut free = &mut text[..];
    put_last(&mut free, b'\n');
    put_last(&mut free, b'\r');
    if with_cas {
        put_figure_last(&mut free, hit.item.cas);
    }
    put_figure_last(&mut free, hit.item.value.bytes().len() as u64);
    put_figure_last(&mut free, u64::from(hit.item.client_flags));
    let start = free.len();
    out.put(text.get(start..).unwrap_or_default());
    put_value(hit.item.value, out);
    out.put(LINE_END);
}

/// Writes one figure of `stats`; [`texts::END`] ends them.
pub fn encode_stat(name: &str, value: &str, out: &mut impl Sink) {
    out.put(b"STAT ");
    out.put(name.as_bytes());
    out.put(b" ");
    out.put(value.as_bytes());
    out.put(LINE_END);
}

/// Writes one prefix of `stats detail dump` with its gets, hits, sets and deletes; [`texts::END`] ends them.
pub fn encode_prefix(prefix: &[u8], counts: [u64; 4], out: &mut impl Sink) {
    out.put(b"PREFIX ");
    out.put(prefix);
    for (name, count) in [" get ", " hit ", " set ", " del "].into_iter().zip(counts) {
        out.put(name.as_bytes());
        put_number(count, out);
    }
    out.put(LINE_END);
}

/// The classic answers.
fn put_classic(form: ClassicForm, key: &[u8], reply: &Reply<'_>, out: &mut impl Sink) {
    let text = match reply {
        Reply::Hit(hit) | Reply::Inspected(hit) => return encode_value(key, hit, form.with_cas, out),
        Reply::Number(number) => {
            put_number(number.value, out);
            LINE_END
        }
        Reply::Stored(_) => texts::STORED,
        Reply::NotStored => texts::NOT_STORED,
        Reply::Exists => texts::EXISTS,
        Reply::NotFound => texts::NOT_FOUND,
        Reply::Deleted => texts::DELETED,
        Reply::Touched => texts::TOUCHED,
        Reply::Denied(denial) => texts::denial(*denial),
        // No classic read creates anything.
        Reply::Miss | Reply::Created(_) | Reply::Quiet => return,
    };
    out.put(text);
}

/// Writes a space and a number at the end of what is free of a text. Written from the back, the figures of a line make
/// one piece, and none is copied twice.
fn put_figure_last(free: &mut &mut [u8], number: u64) {
    let mut rest = number;
    loop {
        put_last(free, b'0' + (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    put_last(free, b' ');
}

fn put_last(free: &mut &mut [u8], byte: u8) {
    if let Some(last) = free.split_off_last_mut() {
        *last = byte;
    }
}

/// Writes a number.
pub(super) fn put_number(number: impl itoa::Integer, out: &mut impl Sink) {
    out.put(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes the bytes of a value.
pub(super) fn put_value(value: Value<'_>, out: &mut impl Sink) {
    match value {
        Value::Plain(bytes) => out.put(bytes),
        Value::Shared(bytes) => out.put_shared(bytes),
    }
}
