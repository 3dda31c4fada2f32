//! Answers as tables: a request, what became of it, and the bytes that tell it.

use bytes::Bytes;

use super::*;
use crate::base::command::DumpForm;
use crate::base::item::{Item, Marks, Value};
use crate::base::reply::{Changed, Created, Denial, Hit, Number, Reply};
use crate::base::time::{Deadline, UnixMs};
use crate::base::version::Version;

/// The moment of every test.
const NOW: UnixMs = UnixMs(1_700_000_000_000);

fn item(value: &[u8]) -> Item<'_> {
    Item {
        value: Value::Plain(value),
        client_flags: 5,
        deadline: Deadline::from_seconds(NOW.seconds() + 30),
        version: Version(9),
        cas: 77,
        meta_version: Version(9),
        marks: Marks::default(),
        accessed_s: NOW.seconds() - 4,
    }
}

fn hit<'a>(item: &'a Item<'a>) -> Hit<'a> {
    Hit {
        item,
        deadline: item.deadline,
        created: false,
        now: NOW,
        held: false,
        won: false,
        stale: false,
        taken: false,
    }
}

/// Decodes a keyed request and answers it.
fn answer(request: &str, reply: &Reply<'_>) -> String {
    let Step::Request { request: Request { command: Command::Keyed(key, _), form }, .. } =
        decode(request.as_bytes(), 0, &Limits::default())
    else {
        panic!("{request:?} is not about a key");
    };
    let mut out = Vec::new();
    encode_reply(&form, &key, reply, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn classic_replies() {
    let stored = Reply::Stored(Changed { cas: 8, value_bytes: 2, deadline: Deadline::NEVER });
    let number = Reply::Number(Number {
        value: 42,
        cas: 8,
        deadlines: [Deadline::NEVER; 2],
        created: false,
        now: NOW,
    });
    for (reply, text) in [
        (stored, "STORED\r\n"),
        (Reply::NotStored, "NOT_STORED\r\n"),
        (Reply::Exists, "EXISTS\r\n"),
        (Reply::NotFound, "NOT_FOUND\r\n"),
        (Reply::Deleted, "DELETED\r\n"),
        (Reply::Touched, "TOUCHED\r\n"),
        (number, "42\r\n"),
        (Reply::Denied(Denial::TooLarge), "SERVER_ERROR object too large for cache\r\n"),
        (Reply::Denied(Denial::OutOfMemory), "SERVER_ERROR out of memory storing object\r\n"),
        (
            Reply::Denied(Denial::NonNumeric),
            "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
        ),
        (Reply::Denied(Denial::DiskFull), "SERVER_ERROR disk full\r\n"),
        (Reply::Quiet, ""),
    ] {
        assert_eq!(answer("set a 0 0 2\r\nhi\r\n", &reply), text);
        assert_eq!(answer("set a 0 0 2 noreply\r\nhi\r\n", &reply), "");
    }
}

#[test]
fn values_and_figures() {
    let shared = Bytes::from_static(b"shared");
    let mut out = Vec::new();
    encode_value(b"k", &hit(&item(b"hi")), false, &mut out);
    encode_value(b"k", &hit(&Item { value: Value::Shared(&shared), ..item(b"") }), true, &mut out);
    out.extend_from_slice(texts::END);
    encode_stat("pid", "7", &mut out);
    assert_eq!(out, b"VALUE k 5 2\r\nhi\r\nVALUE k 5 6 77\r\nshared\r\nEND\r\nSTAT pid 7\r\n");

    let mut dump = Vec::new();
    let binary =
        Item { marks: Marks::BINARY_KEY.with(Marks::FETCHED), deadline: Deadline::NEVER, ..item(b"hi") };
    encode_dump(DumpForm::Meta, b"a b%", &item(b"hi"), NOW, &mut dump);
    encode_dump(DumpForm::Meta, b"k", &binary, NOW, &mut dump);
    encode_dump(DumpForm::Mget, b"k", &item(b"hi"), NOW, &mut dump);
    encode_dump(DumpForm::Mget, b"foo", &binary, NOW, &mut dump);
    assert_eq!(
        String::from_utf8(dump).unwrap(),
        "key=a%20b%25 exp=1700000030 la=1699999996 cas=77 fetch=no cls=1 size=69 flags=5\n\
         key=k exp=-1 la=1699999996 cas=77 fetch=yes cls=1 size=66 flags=5\n\
         mg k\r\nmg Zm9v b\r\n"
    );
}

#[test]
fn meta_hits() {
    let plain = item(b"hi");
    let never = Item { deadline: Deadline::NEVER, marks: Marks::FETCHED, ..plain };
    let binary = Item { marks: Marks::BINARY_KEY, ..plain };
    let (plain, never, binary) = (hit(&plain), hit(&never), hit(&binary));
    let touched = Hit { deadline: Deadline::from_seconds(NOW.seconds() + 500), ..plain };
    for (request, hit, text) in [
        ("mg a", plain, "HD\r\n"),
        ("mg a q", plain, "HD\r\n"),
        ("mg a v", plain, "VA 2\r\nhi\r\n"),
        ("mg a C77 v s", Hit { held: true, ..plain }, "HD s2\r\n"),
        ("mg a s v c k Oab t f h l", plain, "VA 2 s2 c77 ka Oab t30 f5 h0 l4\r\nhi\r\n"),
        ("mg a f  t O", plain, "HD f5 t30 O\r\n"),
        ("mg a t h", never, "HD t-1 h1\r\n"),
        ("mg a t T500", touched, "HD t30\r\n"),
        ("mg a T500 t", touched, "HD t500\r\n"),
        ("mg a N500 t", touched, "HD t30\r\n"),
        ("mg a N500 t T60", Hit { created: true, ..touched }, "HD t500\r\n"),
        ("mg a t f", Hit { won: true, stale: true, ..plain }, "HD t30 f5 X W\r\n"),
        ("mg a t", Hit { taken: true, stale: true, ..plain }, "HD t30 Z X\r\n"),
        ("mg a k", binary, "HD kYQ== b\r\n"),
        ("mg Zm9v b k", binary, "HD kZm9v b\r\n"),
        ("mg Zm9v b k", plain, "HD kfoo\r\n"),
    ] {
        assert_eq!(answer(&format!("{request}\r\n"), &Reply::Hit(hit)), text, "{request}");
    }
}

#[test]
fn other_meta_replies() {
    let stored = Reply::Stored(Changed { cas: 8, value_bytes: 9, deadline: Deadline::NEVER });
    let deadlines = [Deadline::NEVER, Deadline::from_seconds(NOW.seconds() + 9)];
    let number = Reply::Number(Number { value: 42, cas: 8, deadlines, created: false, now: NOW });
    let made = Reply::Number(Number { value: 42, cas: 8, deadlines, created: true, now: NOW });
    let denied = Reply::Denied(Denial::NonNumeric);
    let seen = Item { marks: Marks::FETCHED, ..item(b"bar") };
    let unseen =
        Item { deadline: Deadline::NEVER, marks: Marks::BINARY_KEY, client_flags: 0, ..item(b"bar") };
    let (seen, unseen) = (hit(&seen), hit(&unseen));
    let [_, deadline] = deadlines;
    let created = Created { cas: 8, deadline, marks: Marks::BINARY_KEY, now: NOW, held: false };
    let vivified = Reply::Created(created);
    let held = Reply::Created(Created { held: true, ..created });
    for (request, reply, text) in [
        ("mg a v t k Oabc", Reply::Miss, "EN ka Oabc\r\n"),
        ("mg Zm9v Oabc b k", Reply::Miss, "EN Oabc kZm9v b\r\n"),
        ("mg a q k", Reply::Miss, ""),
        ("mg Zm9v b v c f h k l s t N9", vivified, "VA 0 c8 f0 h0 kZm9v b l0 s0 t-1 W\r\n\r\n"),
        ("mg a N9 v s t", held, "HD s0 t9 W\r\n"),
        ("ms a 2 c k s Oz\r\nhi", stored, "HD c8 ka s9 Oz\r\n"),
        ("ms Zm9v 2 b k\r\nhi", stored, "HD kZm9v b\r\n"),
        ("ms a 2 q c\r\nhi", stored, ""),
        ("ms a 2 q c s Oz\r\nhi", Reply::NotStored, "NS c0 s2 Oz\r\n"),
        ("ms a 2 q k\r\nhi", Reply::Exists, "EX ka\r\n"),
        ("ms a 2 q\r\nhi", Reply::NotFound, "NF\r\n"),
        ("ms a 2 q\r\nhi", Reply::Denied(Denial::TooLarge), "SERVER_ERROR object too large for cache\r\n"),
        ("md a c k Oz t", Reply::Deleted, "HD ka Oz\r\n"),
        ("md a q", Reply::Deleted, ""),
        ("md a q Oz", Reply::NotFound, "NF Oz\r\n"),
        ("md a q", Reply::Exists, "EX\r\n"),
        ("ma a", number, "HD\r\n"),
        ("ma a q v", number, ""),
        ("ma a v c t k Oz", number, "VA 2 c8 t-1 ka Oz\r\n42\r\n"),
        ("ma a t T9", number, "HD t-1\r\n"),
        ("ma a T9 t", number, "HD t9\r\n"),
        ("ma a N9 t", number, "HD t-1\r\n"),
        ("ma a N9 t", made, "HD t9\r\n"),
        ("ma a q k c", Reply::NotFound, "NF ka\r\n"),
        ("ma a q", Reply::Exists, "EX\r\n"),
        ("ma a q", denied, "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"),
        ("me a", Reply::Inspected(seen), "ME a exp=30 la=4 cas=77 fetch=yes cls=1 size=67\r\n"),
        ("me Zm9v b", Reply::Inspected(unseen), "ME Zm9v exp=-1 la=4 cas=77 fetch=no cls=1 size=65\r\n"),
        ("me a k Ox", Reply::Miss, "EN\r\n"),
    ] {
        assert_eq!(answer(&format!("{request}\r\n"), &reply), text, "{request}");
    }
}

#[test]
fn fixed_answers_heed_noreply() {
    for (noreply, text) in [(false, "OK\r\n"), (true, "")] {
        let mut out = Vec::new();
        encode_text(&Form::Classic(ClassicForm { noreply, with_cas: false }), texts::OK, &mut out);
        assert_eq!(out, text.as_bytes());
    }
}
