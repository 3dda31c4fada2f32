//! Listings of keys: `lru_crawler metadump` and `mgdump`.

use super::meta_reply::{item_bytes, put_key_text};
use super::reply::{LINE_END, put_number};
use crate::base::command::DumpForm;
use crate::base::item::{Item, Marks};
use crate::base::reply::Sink;
use crate::base::time::UnixMs;

/// Digits of a byte in a URI.
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Writes one item of a listing, which begins with [`OK`](super::texts::OK) and ends with
/// [`END`](super::texts::END) (metadump) or [`EN`](super::texts::EN) (mgdump). Lines of metadump end in a bare newline.
pub fn encode_dump(form: DumpForm, key: &[u8], item: &Item<'_>, now: UnixMs, out: &mut impl Sink) {
    match form {
        DumpForm::Meta => put_meta(key, item, now, out),
        DumpForm::Mget => put_mget(key, item.marks.has(Marks::BINARY_KEY), out),
    }
}

/// Writes one item of `stats cachedump`; [`END`](super::texts::END) ends them. A binary key could break the line: it is
/// left out.
pub fn encode_cached(key: &[u8], item: &Item<'_>, out: &mut impl Sink) {
    if item.marks.has(Marks::BINARY_KEY) {
        return;
    }
    out.put(b"ITEM ");
    out.put(key);
    out.put(b" [");
    put_number(item.value.bytes().len(), out);
    out.put(b" b; ");
    put_number(item.deadline.as_seconds(), out);
    out.put(b" s]\r\n");
}

fn put_meta(key: &[u8], item: &Item<'_>, now: UnixMs, out: &mut impl Sink) {
    out.put(b"key=");
    put_uri(key, out);
    out.put(b" exp=");
    if item.deadline.is_never() {
        out.put(b"-1")
    } else {
        put_number(item.deadline.as_seconds(), out)
    }
    out.put(b" la=");
    put_number(if item.accessed_s == 0 { now.seconds() } else { item.accessed_s }, out);
    out.put(b" cas=");
    put_number(item.cas, out);
    out.put(if item.marks.has(Marks::FETCHED) { b" fetch=yes" } else { b" fetch=no" });
    out.put(b" cls=1 size=");
    put_number(item_bytes(key.len(), item), out);
    out.put(b" flags=");
    put_number(item.client_flags, out);
    out.put(b"\n");
}

fn put_mget(key: &[u8], binary: bool, out: &mut impl Sink) {
    out.put(b"mg ");
    put_key_text(key, binary, out);
    if binary {
        out.put(b" b");
    }
    out.put(LINE_END);
}

/// A key in which everything but letters, digits and `-._~` is shown as `%` and two digits.
pub(super) fn put_uri(key: &[u8], out: &mut impl Sink) {
    for byte in key {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.put(&[*byte]);
        } else {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.put(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}
