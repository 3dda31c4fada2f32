//! Requests as tables: bytes, and the step that they are.

mod administration;

use super::*;
use crate::base::command::{Get, Op};

/// What a step is, in one line of text: the command as the words of the house spell it, without what is unset.
pub(super) fn show(step: &Step<'_>) -> String {
    match step {
        Step::NeedMore { total, .. } => format!("more {total}"),
        Step::Close => "close".into(),
        Step::Refuse { refusal, length, swallow, closes } => {
            let end = if *closes { " and close" } else { "" };
            format!("refuse {length}+{swallow} {:?}{end}", refusal.status)
        }
        Step::Reject { reply, length, swallow } => {
            format!("reject {length}+{swallow} {}", String::from_utf8_lossy(reply).trim_end())
        }
        Step::Request { request, length, swallow } => {
            format!("{length}+{swallow} {}", show_request(request))
        }
    }
}

fn show_request(request: &Request<'_>) -> String {
    let form = match request.form {
        Form::Classic(form) => format!(
            "{}{}",
            if form.noreply { " noreply" } else { "" },
            if form.with_cas { " with_cas" } else { "" }
        ),
        Form::Meta(form) => format!(
            " {:?}{}{} [{}]",
            form.verb,
            if form.quiet { " q" } else { "" },
            if form.with_value { " v" } else { "" },
            String::from_utf8_lossy(form.flags).trim()
        ),
        Form::Binary(form) => {
            format!(" {:?}{} {:x}", form.verb, if form.quiet { " quiet" } else { "" }, form.opaque)
        }
    };
    format!("{}{form}", show_command(&request.command))
}

fn show_command(command: &Command<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match command {
        Command::Read(keys, get) => format!("read [{}]{}", text(keys.0).trim_matches(' '), show_get(get)),
        Command::Keyed(key, op) => {
            let name = if key.binary { format!("{}(b64)", text(&key.bytes)) } else { text(&key.bytes) };
            format!("{name} {}", show_op(op))
        }
        Command::Watch(words) => format!("watch [{}]", text(words).trim()),
        Command::Refused(kind, reply) => format!("refused {kind:?} {}", text(reply).trim_end()),
        Command::Authenticate(token) => format!("authenticate [{}]", text(token)),
        Command::Tuning(crate::base::command::Tuning::Answer(answer)) => {
            format!("tuning {}", text(answer).trim_end())
        }
        other => format!("{other:?}"),
    }
}

fn show_get(get: &Get) -> String {
    let mut out = String::new();
    for (name, number) in [
        ("T", get.touch.map(|exptime| i128::from(exptime.0))),
        ("N", get.vivify.map(|exptime| i128::from(exptime.0))),
        ("R", get.recache_below_s.map(i128::from)),
        ("C", get.held_cas.map(i128::from)),
        ("E", get.new_cas.map(i128::from)),
        ("u", get.unnoticed.then_some(1)),
    ] {
        if let Some(number) = number {
            out += &format!(" {name}{number}");
        }
    }
    out
}

fn show_op(op: &Op<'_>) -> String {
    match op {
        Op::Get(get) => format!("get{}", show_get(get)),
        Op::Store(store) => {
            let value = String::from_utf8_lossy(store.value);
            let mut out = format!("{:?} [{value}] F{} T{}", store.mode, store.client_flags, store.exptime.0);
            for (name, number) in [("C", store.compare), ("E", store.new_cas)] {
                out += &number.map(|number| format!(" {name}{number}")).unwrap_or_default();
            }
            out += if store.invalidate { " I" } else { "" };
            out + &store.vivify.map(|exptime| format!(" N{}", exptime.0)).unwrap_or_default()
        }
        Op::Delete(delete) => {
            let mut out = "delete".to_string();
            for (name, number) in [("C", delete.compare), ("E", delete.new_cas)] {
                out += &number.map(|number| format!(" {name}{number}")).unwrap_or_default();
            }
            out += &delete.exptime.map(|exptime| format!(" T{}", exptime.0)).unwrap_or_default();
            out += if delete.invalidate { " I" } else { "" };
            out += if delete.clear_value { " x" } else { "" };
            if delete.client_flags == 0 { out } else { out + &format!(" F{}", delete.client_flags) }
        }
        Op::Arith(arith) => {
            let mut out = format!("{:?} {}", arith.direction, arith.delta);
            for (name, number) in [("C", arith.compare), ("E", arith.new_cas)] {
                out += &number.map(|number| format!(" {name}{number}")).unwrap_or_default();
            }
            out += &arith.initial.map(|(number, ttl)| format!(" J{number} N{}", ttl.0)).unwrap_or_default();
            out + &arith.touch.map(|exptime| format!(" T{}", exptime.0)).unwrap_or_default()
        }
        Op::Touch(exptime) => format!("touch {}", exptime.0),
        other => format!("{other:?}"),
    }
}

/// Decodes each input as if nothing else will come, and compares the step.
fn check(limits: &Limits, table: &[(&str, &str)]) {
    for (input, step) in table {
        assert_eq!(&show(&decode(input.as_bytes(), 0, limits)), step, "{input:?}");
    }
}

const BCLF: &str = "CLIENT_ERROR bad command line format";

#[test]
fn lines_end_and_words_separate() {
    let limits = Limits::default();
    check(
        &limits,
        &[
            ("", "more 1"),
            ("get a", "more 6"),
            ("get a\r", "more 7"),
            ("get a\r\n", "7+0 read [a]"),
            ("get a\n", "6+0 read [a]"),
            ("get  a  b \r\nget c\r\n", "12+0 read [a  b]"),
            ("get a\r\r\n", "8+0 read [a\r]"),
            ("\r\n", &format!("reject 2+0 {BCLF}")),
            (" \n", &format!("reject 2+0 {BCLF}")),
            ("x\r\n", &format!("reject 3+0 {BCLF}")),
            ("mn\n", &format!("reject 3+0 {BCLF}")),
            ("mn\r\n", "4+0 Noop"),
            ("mn x\r\n", "6+0 Noop"),
            ("    \r\n", "reject 6+0 ERROR"),
            (" get a\r\n", "reject 8+0 ERROR"),
            ("get\ta\r\n", "reject 7+0 ERROR"),
            ("GET a\r\n", "reject 7+0 ERROR"),
            ("nope\r\n", "reject 6+0 ERROR"),
            ("nope noreply\r\n", "reject 14+0 ERROR"),
            ("GET / HTTP/1.1\r\n", "close"),
            ("HTTP/1.1\r\n", "reject 10+0 ERROR"),
            ("get HTTP/1.1\r\n", "14+0 read [HTTP/1.1]"),
            ("get\r\n", &format!("reject 5+0 {BCLF}")),
            ("get   \r\n", &format!("reject 8+0 {BCLF}")),
        ],
    );
}

#[test]
fn a_key_has_at_most_250_bytes() {
    let limits = Limits::default();
    for (length, fine) in [(250, true), (251, false)] {
        let key = "k".repeat(length);
        for (input, quiet) in [
            (format!("get a {key} b\r\n"), false),
            (format!("gets {key}\r\n"), false),
            (format!("gat 0 {key}\r\n"), false),
            (format!("delete {key}\r\n"), false),
            (format!("delete {key} noreply\r\n"), true),
            (format!("incr {key} 1\r\n"), false),
            (format!("incr {key} x noreply\r\n"), true),
            (format!("touch {key} 1\r\n"), false),
            (format!("mg {key} v\r\n"), false),
            (format!("md {key} q\r\n"), false),
            (format!("me {key}\r\n"), false),
        ] {
            let shown = show(&decode(input.as_bytes(), 0, &limits));
            if !fine {
                let reply = if quiet { "" } else { BCLF };
                assert_eq!(shown, format!("reject {}+0 {reply}", input.len()), "{input:?}");
            } else if !input.contains(" x ") {
                assert!(shown.starts_with(&format!("{}+0 ", input.len())), "{input:?}: {shown}");
            }
        }
        for (line, reply) in [
            (format!("set {key} 0 0 1\r\n"), BCLF),
            (format!("set {key} 0 0 1 noreply\r\n"), ""),
            (format!("ms {key} 1\r\n"), BCLF),
        ] {
            let shown = show(&decode(format!("{line}x\r\n").as_bytes(), 0, &limits));
            if fine {
                assert!(shown.starts_with(&format!("{}+0 k", line.len() + 3)), "{line:?}: {shown}");
            } else {
                assert_eq!(shown, format!("reject {}+3 {reply}", line.len()), "{line:?}");
            }
        }
    }
}

#[test]
fn only_reads_may_be_long_without_an_end() {
    let limits = Limits::default();
    let (line_max, read_max) = (LINE_BYTES_MAX, GET_LINE_BYTES_MAX);
    for (begin, bytes, closes) in [
        ("set ", line_max, false),
        ("set ", line_max + 1, true),
        ("gat 0 ", line_max + 1, true),
        ("mg ", line_max + 1, true),
        ("get ", line_max + 1, false),
        ("gets ", 128 * 1024, false),
        ("    get ", line_max + 1, false),
        (&format!("{}get ", " ".repeat(100)), line_max + 1, false),
        (&format!("{}get ", " ".repeat(101)), line_max + 1, true),
        ("get ", read_max, false),
        ("get ", read_max + 1, true),
    ] {
        let mut input = begin.as_bytes().to_vec();
        input.resize(bytes, b'k');
        let expected = if closes { "close".into() } else { format!("more {}", bytes + 1) };
        assert_eq!(show(&decode(&input, 0, &limits)), expected, "{begin:?} {bytes}");
    }
    let whole = format!("gat 0 {}\r\n", "k ".repeat(1500));
    assert!(show(&decode(whole.as_bytes(), 0, &limits)).starts_with("3008+0 read"));
}

#[test]
fn what_was_searched_is_not_searched_again() {
    let limits = Limits::default();
    let Step::NeedMore { total: 8, searched } = decode(b"get abc", 0, &limits) else { panic!() };
    assert_eq!(show(&decode(b"get abc\r\n", searched, &limits)), "9+0 read [abc]");
    assert_eq!(show(&decode(b"get abc\r\n", 99, &limits)), "more 10", "the caller's word is taken for it");
    let Step::NeedMore { total: 16, searched: 0 } = decode(b"set a 0 0 1\r\n", 0, &limits) else { panic!() };
}

#[test]
fn storage() {
    let limits = Limits::default();
    check(
        &limits,
        &[
            ("set a 1 2 3\r\nxyz\r\nget a\r\n", "18+0 a Set [xyz] F1 T2"),
            ("set a 1 2 3\n", "more 17"),
            ("set a 1 2 3\nxyz\r", "more 17"),
            ("set a 1 2 3\nxyz\r\n", "17+0 a Set [xyz] F1 T2"),
            ("set a 0 0 0\r\n\r\n", "15+0 a Set [] F0 T0"),
            ("set a 0 0 2 noreply\r\n\r\n\r\n", "25+0 a Set [\r\n] F0 T0 noreply"),
            ("set a 0 0 1 foo\r\nx\r\n", "20+0 a Set [x] F0 T0"),
            ("set a 0 0 1 foo noreply \r\nx\r\n", "29+0 a Set [x] F0 T0 noreply"),
            ("set a 0 0 1 NOREPLY\r\nx\r\n", "24+0 a Set [x] F0 T0"),
            ("add a 0 -1 1\r\nx\r\n", "17+0 a Add [x] F0 T-1"),
            ("replace a 4294967295 0 1\r\nx\r\n", "29+0 a Replace [x] F4294967295 T0"),
            ("append a 4294967296 0 1\r\nx\r\n", "28+0 a Append [x] F0 T0"),
            ("prepend a 0 4294967297 1\r\nx\r\n", "29+0 a Prepend [x] F0 T1"),
            ("cas a 0 0 1 18446744073709551615\r\nx\r\n", "37+0 a Set [x] F0 T0 C18446744073709551615"),
            ("cas a 0 0 1 7 noreply\r\nx\r\n", "26+0 a Set [x] F0 T0 C7 noreply"),
        ],
    );
}

#[test]
fn refused_storage() {
    let limits = Limits::default();
    let bad = |rest: &str| format!("reject {rest} {BCLF}");
    check(
        &limits,
        &[
            ("set a\r\n", &bad("7+0")),
            ("set a 0 0\r\n", &bad("11+0")),
            ("set a 0 noreply\r\n", &bad("17+0")),
            ("set a 0 0 noreply\r\n", &bad("19+0")),
            ("set a 0 0 -1\r\n", &bad("14+0")),
            ("set a 0 0 x\r\n", &bad("13+0")),
            ("set a 0 0 1x noreply\r\n", &bad("22+0")),
            ("set a 0 0 2147483646\r\n", &bad("22+0")),
            ("set a -1 0 5\r\n", &bad("14+7")),
            ("set a x 0 5\r\n", &bad("13+7")),
            ("set a 0 x 5\r\n", &bad("13+7")),
            ("set a x 0 5 noreply\r\n", "reject 21+7 "),
            ("cas a 0 0 1\r\n", &bad("13+3")),
            ("cas a 0 0 1 x\r\n", &bad("15+3")),
            ("cas a 0 0 1 noreply\r\n", "reject 21+3 "),
            ("cas a 0 0 1 -1\r\n", &bad("16+3")),
            ("set a 0 0 1\r\nxyz\r\n", "16+0 refused Store CLIENT_ERROR bad data chunk"),
            ("set a 0 0 1 noreply\r\nxyz\r\n", "24+0 refused Store CLIENT_ERROR bad data chunk noreply"),
            ("set a 0 0 1\r\nx\n\r\n", "16+0 refused Store CLIENT_ERROR bad data chunk"),
            ("set a 0 0 2147483645\r\n", "22+2147483647 a Oversized { drops_old: true }"),
            ("add a 0 0 2147483645 noreply\r\n", "30+2147483647 a Oversized { drops_old: false } noreply"),
            ("cas a 0 0 2147483645 1\r\n", "24+2147483647 a Oversized { drops_old: false }"),
            ("append a 0 0 2147483645\r\n", "25+2147483647 a Oversized { drops_old: false }"),
            ("ms a 2147483645 ME\r\n", "20+2147483647 a Oversized { drops_old: true } Store [ME]"),
        ],
    );
}

#[test]
fn the_item_size_counts_key_and_header() {
    let limits = Limits::default();
    for (value_bytes, fits) in [(1_048_476, true), (1_048_516, true), (1_048_517, false), (1_048_576, false)]
    {
        let line = format!("set a 0 0 {value_bytes}\r\n");
        let expected = if fits {
            format!("more {}", line.len() + value_bytes + 2)
        } else {
            format!("{}+{} a Oversized {{ drops_old: true }}", line.len(), value_bytes + 2)
        };
        assert_eq!(show(&decode(line.as_bytes(), 0, &limits)), expected);
    }
}

#[test]
fn keyed_commands_without_a_value() {
    let limits = Limits::default();
    let usage = format!("{BCLF}.  Usage: delete <key> [noreply]");
    check(
        &limits,
        &[
            ("gets a b\r\n", "10+0 read [a b] with_cas"),
            ("gat 5 a b\r\n", "11+0 read [a b] T5"),
            ("gats -1 a\r\n", "11+0 read [a] T-1 with_cas"),
            ("gat 5\r\n", &format!("reject 7+0 {BCLF}")),
            ("gat x a\r\n", "reject 9+0 CLIENT_ERROR invalid exptime argument"),
            ("delete a\r\n", "10+0 a delete"),
            ("delete a 0\r\n", "12+0 a delete"),
            ("delete a noreply\r\n", "18+0 a delete noreply"),
            ("delete a 0 noreply\r\n", "20+0 a delete noreply"),
            ("delete a junk\r\n", &format!("reject 15+0 {usage}")),
            ("delete a 10 noreply\r\n", "reject 21+0 "),
            ("delete a 0 0 noreply\r\n", "reject 22+0 "),
            ("delete\r\n", &format!("reject 8+0 {BCLF}")),
            ("incr a 18446744073709551615\r\n", "29+0 a Incr 18446744073709551615"),
            ("decr a 1 foo noreply\r\n", "22+0 a Decr 1 noreply"),
            ("incr a\r\n", &format!("reject 8+0 {BCLF}")),
            ("incr a -1\r\n", "reject 11+0 CLIENT_ERROR invalid numeric delta argument"),
            ("incr a 18446744073709551616\r\n", "reject 29+0 CLIENT_ERROR invalid numeric delta argument"),
            ("incr a noreply\r\n", "reject 16+0 "),
            ("touch a 5\r\n", "11+0 a touch 5"),
            ("touch a 5 noreply\r\n", "19+0 a touch 5 noreply"),
            ("touch a 4294967301\r\n", "reject 20+0 CLIENT_ERROR invalid exptime argument"),
            ("touch a x\r\n", "reject 11+0 CLIENT_ERROR invalid exptime argument"),
            ("touch a\r\n", &format!("reject 9+0 {BCLF}")),
        ],
    );
}

#[test]
fn what_is_switched_off() {
    let closed =
        Limits { flush_enabled: false, dump_enabled: false, watch_enabled: false, ..Limits::default() };
    check(
        &closed,
        &[
            ("flush_all\r\n", "11+0 refused Flush CLIENT_ERROR flush_all not allowed"),
            ("flush_all noreply\r\n", "19+0 refused Flush CLIENT_ERROR flush_all not allowed noreply"),
            ("watch\r\n", "reject 7+0 CLIENT_ERROR watch commands not allowed"),
            ("lru_crawler metadump all\r\n", "reject 26+0 ERROR metadump not allowed"),
            ("stats cachedump\r\n", "reject 17+0 CLIENT_ERROR stats cachedump not allowed"),
            ("stats detail on\r\n", "reject 17+0 CLIENT_ERROR stats detail not allowed"),
        ],
    );
    let open = Limits { shutdown_enabled: true, ..Limits::default() };
    check(
        &open,
        &[
            ("shutdown\r\n", "10+0 Shutdown(Now)"),
            ("shutdown graceful\r\n", "19+0 Shutdown(Graceful)"),
            ("shutdown now\r\n", "reject 14+0 CLIENT_ERROR invalid shutdown mode"),
        ],
    );
}

#[test]
fn before_authentication() {
    let auth = |input: &str| show(&decode_unauthenticated(input.as_bytes(), 0));
    let long = "x".repeat(LINE_BYTES_MAX + 1);
    for (input, step) in [
        ("set a b c 9\r\nuser pass\r\n", "24+0 authenticate [user pass]"),
        ("set a b c 9 noreply\r\nuser pass\r\n", "32+0 authenticate [user pass]"),
        ("set a b c 9\r\nuser", "more 24"),
        ("set a b c 4\r\nuser\r\n", "reject 19+0 CLIENT_ERROR bad authentication token format"),
        ("set a b c 4\r\nuser pass\r\n", "reject 19+0 CLIENT_ERROR bad command line termination"),
        ("set a b c 16385\r\n", "reject 17+0 CLIENT_ERROR auth token too long"),
        ("set a b c 16384\r\n", "more 16403"),
        ("set a b c x\r\n", "reject 13+0 CLIENT_ERROR unauthenticated"),
        ("get a\r\n", "reject 7+0 CLIENT_ERROR unauthenticated"),
        ("mn\r\n", "close"),
        ("get", "more 4"),
        (long.as_str(), "close"),
    ] {
        assert_eq!(auth(input), step, "{input:?}");
    }
}

#[test]
fn meta_requests() {
    let limits = Limits::default();
    check(
        &limits,
        &[
            ("mg a\r\n", "6+0 a get Get []"),
            ("mg a v q k Oabc\r\n", "17+0 a get Get q v [v q k Oabc]"),
            ("mg a T30 N-1 R5 C6 E7 u\r\n", "25+0 a get T30 N-1 R5 C6 E7 u1 Get [T30 N-1 R5 C6 E7 u]"),
            ("mg a vv\r\n", "9+0 a get Get v [vv]"),
            ("mg a M D1 J2 F3 I x S P L\r\n", "reject 27+0 CLIENT_ERROR invalid flag"),
            ("mg a M D1 J2 F3 I x Pz Lz\r\n", "27+0 a get Get [M D1 J2 F3 I x Pz Lz]"),
            ("mg Zm9v b k\r\n", "13+0 foo(b64) get Get [b k]"),
            ("mg\r\n", &format!("reject 4+0 {BCLF}")),
            ("mg  \r\n", &format!("reject 6+0 {BCLF}")),
            ("ms a 2 T5 F6 C7 E8 I MS\r\nhi\r\n", "29+0 a Set [hi] F6 T5 C7 E8 I Store [T5 F6 C7 E8 I MS]"),
            ("ms a 2 I\r\nhi\r\n", "14+0 a Set [hi] F0 T0 Store [I]"),
            ("ms a 2 ME C1 I\r\nhi\r\n", "20+0 a Add [hi] F0 T0 C1 Store [ME C1 I]"),
            ("ms a 2 MR\r\nhi\r\n", "15+0 a Replace [hi] F0 T0 Store [MR]"),
            ("ms a 2 MR C1\r\nhi\r\n", "18+0 a Set [hi] F0 T0 C1 Store [MR C1]"),
            ("ms a 2 MA N9\r\nhi\r\n", "18+0 a Append [hi] F0 T0 N9 Store [MA N9]"),
            ("ms a 2 MP q\r\nhi\r\n", "17+0 a Prepend [hi] F0 T0 Store q [MP q]"),
            ("ms a 2 N9\r\nhi\r\n", "15+0 a Set [hi] F0 T0 Store [N9]"),
            ("ms a 2\r\n", "more 12"),
            ("ms a\r\n", &format!("reject 6+0 {BCLF}")),
            ("md a q I T5 C6 E7 x F8\r\n", "24+0 a delete C6 E7 T5 I x F8 Delete q [q I T5 C6 E7 x F8]"),
            ("ma a\r\n", "6+0 a Incr 1 Arith []"),
            ("ma a MD D5 N6 J7 T8 C9 E10\r\n", "28+0 a Decr 5 C9 E10 J7 N8 T8 Arith [MD D5 N6 J7 T8 C9 E10]"),
            ("ma a M- C0 J7\r\n", "15+0 a Decr 1 Arith [M- C0 J7]"),
            ("ma a M+ N0\r\n", "12+0 a Incr 1 J0 N0 Arith [M+ N0]"),
            ("me a\r\n", "6+0 a Inspect Inspect []"),
            ("me Zm9v b\r\n", "11+0 foo(b64) Inspect Inspect [b]"),
            ("me a x x\r\n", "10+0 a Inspect Inspect [x x]"),
            ("me\r\n", &format!("reject 4+0 {BCLF}")),
        ],
    );
}

#[test]
fn refused_meta_requests() {
    let limits = Limits::default();
    let error = |verb: &str, rest: &str, reply: &str| {
        let line = format!("{verb} {rest}\r\n");
        let shown = show(&decode(line.as_bytes(), 0, &limits));
        let swallow = if verb == "ms" && reply != BCLF { 4 } else { 0 };
        assert_eq!(shown, format!("reject {}+{swallow} {reply}", line.len()), "{line:?}");
    };
    for (flags, reply) in [
        ("v v", "CLIENT_ERROR duplicate flag"),
        ("v vx", "CLIENT_ERROR duplicate flag"),
        ("\u{7f}", BCLF),
        ("\u{e9}", BCLF),
        ("!", BCLF),
        ("S1", "CLIENT_ERROR invalid flag"),
        ("T", "CLIENT_ERROR bad token in command line format"),
        ("Tx", "CLIENT_ERROR bad token in command line format"),
        ("T1x q", "CLIENT_ERROR bad token in command line format"),
        ("N", "CLIENT_ERROR bad token in command line format"),
        ("Rx", "CLIENT_ERROR bad token in command line format"),
        ("C-1", "CLIENT_ERROR bad token in command line format"),
        ("E18446744073709551616", "CLIENT_ERROR bad token in command line format"),
        ("Jx", "CLIENT_ERROR invalid numeric initial value"),
        ("D-1", "CLIENT_ERROR invalid numeric delta value"),
        ("Tx Jx", "CLIENT_ERROR invalid numeric initial value"),
        ("Tx Fx", "CLIENT_ERROR bad token in command line format"),
        ("Tx !", BCLF),
        ("b", "CLIENT_ERROR error decoding key"),
        (&"1 ".repeat(18), "CLIENT_ERROR options flags are too long; more than 20 words"),
        (&format!("q O{}", "x".repeat(32)), "CLIENT_ERROR opaque token too long"),
    ] {
        let reply = reply.split(';').next().unwrap();
        let words = if reply.ends_with("too long") && !flags.contains('O') {
            format!("{flags}1")
        } else {
            flags.into()
        };
        error("mg", &format!("a {words}"), reply);
        error("md", &format!("a {words}"), reply);
        error("ms", &format!("a 2 {words}"), reply);
        let of_arith = if flags.contains('O') || reply == BCLF {
            reply
        } else {
            "CLIENT_ERROR invalid or duplicate flag"
        };
        error("ma", &format!("a {words}"), of_arith);
    }
    error("ma", "a MX", "CLIENT_ERROR invalid mode for ma M token");
    error("ma", "a M", "CLIENT_ERROR invalid mode for ma M token");
    error("ms", "a 2 MX", "CLIENT_ERROR invalid mode for ms M token");
    error("ms", "a S2", BCLF);
    error("ms", "a T0 2", BCLF);
    error("ms", "a -1", BCLF);
    check(
        &limits,
        &[
            ("mg a Fx\r\n", &format!("reject 9+0 {BCLF}")),
            ("ms a 2 Fx\r\n", &format!("reject 11+4 {BCLF}")),
            ("ms a 2 q\r\nxyz\r\n", "14+0 refused Store CLIENT_ERROR bad data chunk Store q [q]"),
            ("me ! b\r\n", &format!("reject 8+0 {BCLF}")),
        ],
    );
}

#[test]
fn opaque_and_word_limits() {
    let limits = Limits::default();
    for (input, fine) in [
        (format!("mg a O{}\r\n", "x".repeat(31)), true),
        (format!("mg a O{}\r\n", "x".repeat(32)), false),
        ("mg a c f h k l O q s t u v x I M D1 J1 F1 P\r\n".into(), true),
        ("mg a c f h k l O q s t u v x I M D1 J1 F1 P L\r\n".into(), false),
    ] {
        let shown = show(&decode(input.as_bytes(), 0, &limits));
        assert_eq!(!shown.starts_with("reject"), fine, "{input:?}: {shown}");
    }
}

#[test]
fn keys_in_base64() {
    let limits = Limits::default();
    for (text, key) in [
        ("Zm9v", Some("foo")),
        ("Zm8=", Some("fo")),
        ("Zg==", Some("f")),
        ("Zh==", Some("f")),
        ("Zm9v!", Some("foo")),
        ("Zm8=Zm9v", Some("fo")),
        ("Zm9", None),
        ("====", None),
        ("!", None),
    ] {
        let input = format!("mg {text} b\r\n");
        let expected = match key {
            Some(key) => format!("{}+0 {key}(b64) get Get [b]", input.len()),
            None => format!("reject {}+0 CLIENT_ERROR error decoding key", input.len()),
        };
        assert_eq!(show(&decode(input.as_bytes(), 0, &limits)), expected);
    }
}

/// The hot path passes whole requests around by value.
#[test]
fn a_step_stays_small() {
    assert!(size_of::<Step<'_>>() <= 224, "{}", size_of::<Step<'_>>());
}
