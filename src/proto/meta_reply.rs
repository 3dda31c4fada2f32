//! The answers to meta commands: a code of two letters, then, in the order of the request, what its flags ask for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::line::{Words, exptime};
use super::reply::{LINE_END, put_number, put_value};
use super::{MetaForm, MetaVerb, texts};
use crate::base::command::Key;
use crate::base::item::{Item, Marks};
use crate::base::limits::{ITEM_OVERHEAD_BYTES, KEY_BYTES_MAX};
use crate::base::reply::{Changed, Hit, Number, Reply, Sink};
use crate::base::time::{Deadline, UnixMs};

/// A key of the greatest length in base64.
const KEY_TEXT_BYTES_MAX: usize = KEY_BYTES_MAX.div_ceil(3) * 4;
/// What memcached counts for client flags other than zero, bytes.
const CLIENT_FLAGS_BYTES: usize = 4;

/// Writes the answer to a meta command. `q` hides only the nominal answer; errors are always told.
pub(super) fn put(form: &MetaForm<'_>, key: &Key<'_>, reply: &Reply<'_>, out: &mut impl Sink) {
    match reply {
        Reply::Hit(hit) => put_hit(form, key, hit, out),
        Reply::Created(created) => put_hit(form, key, &created.hit(&created.item()), out),
        Reply::Inspected(hit) => put_inspected(key, hit, out),
        Reply::Number(_) | Reply::Stored(_) | Reply::Deleted | Reply::Touched | Reply::Miss if form.quiet => {
        }
        Reply::Number(number) => put_arith(form, key, number, out),
        Reply::Stored(changed) => put_change(b"HD", form, key, Some(changed), out),
        Reply::Deleted | Reply::Touched => put_change(b"HD", form, key, None, out),
        Reply::Miss => put_change(b"EN", form, key, None, out),
        Reply::NotStored => put_change(b"NS", form, key, None, out),
        Reply::Exists => put_change(b"EX", form, key, None, out),
        Reply::NotFound => put_change(b"NF", form, key, None, out),
        Reply::Denied(denial) => out.put(texts::denial(*denial)),
        Reply::Quiet => {}
    }
}

/// A hit of mg. The marks of the server come last.
fn put_hit(form: &MetaForm<'_>, key: &Key<'_>, hit: &Hit<'_>, out: &mut impl Sink) {
    let item = hit.item;
    let with_value = form.with_value && !hit.held;
    put_code(with_value.then_some(item.value.bytes().len()), out);
    let mut deadlines = Deadlines { current: item.deadline, created: hit.created, now: hit.now };
    for word in Words(form.flags) {
        match word.first() {
            Some(b'c') => put_flag(b" c", item.cas, out),
            Some(b'f') => put_flag(b" f", item.client_flags, out),
            Some(b'h') => out.put(if item.marks.has(Marks::FETCHED) { b" h1" } else { b" h0" }),
            Some(b'k') => put_key(&key.bytes, item.marks.has(Marks::BINARY_KEY), out),
            Some(b'l') => put_flag(b" l", hit.now.seconds().saturating_sub(item.accessed_s), out),
            Some(b'O') => put_word(word, out),
            Some(b's') => put_flag(b" s", item.value.bytes().len(), out),
            Some(b't') => deadlines.put(out),
            Some(_) => deadlines.pass(word),
            None => {}
        }
    }
    for (shown, mark) in [(hit.taken, b" Z"), (hit.stale, b" X"), (hit.won, b" W")] {
        if shown {
            out.put(mark);
        }
    }
    out.put(LINE_END);
    if with_value {
        put_value(item.value, out);
        out.put(LINE_END);
    }
}

/// A success of ma.
fn put_arith(form: &MetaForm<'_>, key: &Key<'_>, number: &Number, out: &mut impl Sink) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number.value).as_bytes();
    put_code(form.with_value.then_some(digits.len()), out);
    let [before, _] = number.deadlines;
    let mut deadlines = Deadlines { current: before, created: number.created, now: number.now };
    for word in Words(form.flags) {
        match word.first() {
            Some(b'c') => put_flag(b" c", number.cas, out),
            Some(b'k') => put_key(&key.bytes, key.binary, out),
            Some(b'O') => put_word(word, out),
            Some(b't') => deadlines.put(out),
            Some(_) => deadlines.pass(word),
            None => {}
        }
    }
    out.put(LINE_END);
    if form.with_value {
        out.put(digits);
        out.put(LINE_END);
    }
}

/// A miss, a failure, or a success of ms and md. Only ms shows facts of the value, also of one that was not stored:
/// its cas is then 0.
fn put_change(
    code: &[u8],
    form: &MetaForm<'_>,
    key: &Key<'_>,
    changed: Option<&Changed>,
    out: &mut impl Sink,
) {
    let stores = form.verb == MetaVerb::Store;
    let sent_bytes = usize::try_from(form.value_bytes).unwrap_or(usize::MAX);
    let (cas, value_bytes) = changed.map_or((0, sent_bytes), |changed| (changed.cas, changed.value_bytes));
    out.put(code);
    // The words behind `me k` are no flags.
    let flags = if form.verb == MetaVerb::Inspect { b"" } else { form.flags };
    for word in Words(flags) {
        match word.first() {
            Some(b'c') if stores => put_flag(b" c", cas, out),
            Some(b'k') => put_key(&key.bytes, key.binary, out),
            Some(b'O') => put_word(word, out),
            Some(b's') if stores => put_flag(b" s", value_bytes, out),
            _ => {}
        }
    }
    out.put(LINE_END);
}

/// A hit of me.
fn put_inspected(key: &Key<'_>, hit: &Hit<'_>, out: &mut impl Sink) {
    let item = hit.item;
    out.put(b"ME ");
    put_key_text(&key.bytes, item.marks.has(Marks::BINARY_KEY), out);
    out.put(b" exp=");
    put_remaining(item.deadline, hit.now, out);
    put_flag(b" la=", hit.now.seconds().saturating_sub(item.accessed_s), out);
    put_flag(b" cas=", item.cas, out);
    out.put(if item.marks.has(Marks::FETCHED) { b" fetch=yes" } else { b" fetch=no" });
    put_flag(b" cls=1 size=", item_bytes(key.bytes.len(), item), out);
    out.put(LINE_END);
}

/// What memcached counts for an item, bytes.
pub fn item_bytes(key_bytes: usize, item: &Item<'_>) -> usize {
    let flags_bytes = if item.client_flags == 0 { 0 } else { CLIENT_FLAGS_BYTES };
    key_bytes + item.value.bytes().len() + flags_bytes + ITEM_OVERHEAD_BYTES
}

/// The deadline that `t` speaks of: the old one until a flag that changes it has been passed.
struct Deadlines {
    current: Deadline,
    /// Whether the item was created by this request: then `N` changes it too.
    created: bool,
    now: UnixMs,
}

impl Deadlines {
    fn pass(&mut self, word: &[u8]) {
        if let Some((flag @ (b'T' | b'N'), token)) = word.split_first()
            && (*flag == b'T' || self.created)
            && let Some(exptime) = exptime(token)
        {
            self.current = exptime.deadline(self.now);
        }
    }

    fn put(&self, out: &mut impl Sink) {
        out.put(b" t");
        put_remaining(self.current, self.now, out);
    }
}

/// The seconds that remain, -1 for ever.
fn put_remaining(deadline: Deadline, now: UnixMs, out: &mut impl Sink) {
    match deadline.remaining_s(now) {
        Some(remaining_s) => put_number(remaining_s, out),
        None => out.put(b"-1"),
    }
}

/// `VA` and the length of the value that follows, or `HD` when none does.
fn put_code(value_bytes: Option<usize>, out: &mut impl Sink) {
    match value_bytes {
        Some(value_bytes) => put_flag(b"VA ", value_bytes, out),
        None => out.put(b"HD"),
    }
}

/// A number with what stands before it.
fn put_flag(name: &[u8], number: impl itoa::Integer, out: &mut impl Sink) {
    out.put(name);
    put_number(number, out);
}

/// A word of the request as it stood there.
fn put_word(word: &[u8], out: &mut impl Sink) {
    out.put(b" ");
    out.put(word);
}

/// The key as a flag, and that it is in base64.
fn put_key(key: &[u8], binary: bool, out: &mut impl Sink) {
    out.put(b" k");
    put_key_text(key, binary, out);
    if binary {
        out.put(b" b");
    }
}

/// The key as clients write it.
pub(super) fn put_key_text(key: &[u8], binary: bool, out: &mut impl Sink) {
    if !binary {
        return out.put(key);
    }
    let mut text = [0; KEY_TEXT_BYTES_MAX];
    if let Ok(length) = STANDARD.encode_slice(key, &mut text) {
        out.put(text.get(..length).unwrap_or(b""));
    }
}
