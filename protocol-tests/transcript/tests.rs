//! The runner against a wire that answers from a list: every kind of step must be able to fail.
use super::{ConnId, Received, Wire, parse, run};

/// Answers each piece it is sent with the next line of a script; `mn` it answers by itself.
struct Scripted {
    answers: Vec<&'static str>,
    ready: Vec<Vec<u8>>,
    sent: Vec<Vec<u8>>,
    exact: bool,
}

impl Wire for Scripted {
    fn connect(&mut self) -> ConnId {
        ConnId(0)
    }

    fn send(&mut self, _: ConnId, bytes: &[u8]) {
        if bytes == b"mn\r\n" {
            self.ready.push(b"MN\r\n".into());
            return;
        }
        self.sent.push(bytes.into());
        if !self.answers.is_empty() {
            self.ready.push(self.answers.remove(0).into());
        }
    }

    fn receive(&mut self, _: ConnId) -> Received {
        match self.ready.first().map(Vec::as_slice) {
            None => Received::Nothing,
            Some(b"close") => Received::Closed,
            Some(_) => Received::Bytes(self.ready.remove(0)),
        }
    }

    fn hang_up(&mut self, _: ConnId) {}

    fn advance_clock(&mut self, seconds: i64) -> bool {
        seconds < 100
    }

    fn exact_clock(&self) -> bool {
        self.exact
    }
}

fn play(content: &str, answers: &[&'static str], exact: bool) -> Result<Vec<Vec<u8>>, String> {
    let transcript = parse("t.txt", content)?;
    let mut wire = Scripted { answers: answers.into(), ready: Vec::new(), sent: Vec::new(), exact };
    run(&transcript, &mut wire, false).map_err(|mismatch| mismatch.to_string())?;
    Ok(wire.sent)
}

#[test]
fn what_holds_passes_and_what_does_not_is_found() {
    type Case = (&'static str, &'static [&'static str], bool);
    let cases: &[Case] = &[
        ("> a\n< X", &["X\r\n"], true),
        ("> a\n< X", &["Y\r\n"], false),
        ("> a\n< X", &["X\n"], false),
        ("> a\n< X", &[], false),
        ("> a\n< X", &["X\r\nmore"], false),
        ("> a\n<< X", &["X"], true),
        ("> a\n< {ab*3}", &["ababab\r\n"], true),
        ("> a\n<~ V {n} {n}", &["V 1 1\r\n"], true),
        ("> a\n<~ V {n} {n}", &["V 1 2\r\n"], false),
        ("> a\n<~ V {n} {_}\n? {n} == 1", &["V 1 2\r\n"], true),
        ("> a\n<~ V {n}\n? {n} > 7", &["V 7\r\n"], false),
        ("> a\n<~ V {n}\n? {n} >= 7\n? {n} != 8\n? {n} < 8", &["V 7\r\n"], true),
        ("> a\n<~ V {..} z", &["V x y z\r\n"], true),
        ("> a\n<~ V {..} z", &["V x y\r\n"], false),
        ("> a\n<~ t{30-}", &["t29\r\n"], true),
        ("> a\n<~ t{30-}", &["t31\r\n"], false),
        ("> a\n<~ l{2+}", &["l1\r\n"], false),
        ("> a\n<* END", &["1\r\n2\r\nEND\r\n"], true),
        ("> a\n<* END", &["1\r\n2\r\n"], false),
        ("> a\n<!close", &["close"], true),
        ("> a\n<!close", &["X\r\n"], false),
        ("> a\n<!silence", &[], true),
        ("> a\n<!silence", &["X\r\n"], false),
        ("> a\n> b", &["X\r\n"], false),
        ("! clock\n> a\n@ +99s", &[], true),
        ("! clock\n> a\n@ +100s", &[], false),
    ];
    for (content, answers, holds) in cases {
        let result = play(content, answers, false);
        assert_eq!(result.is_ok(), *holds, "{content:?} answered {answers:?}: {result:?}");
    }
}

#[test]
fn under_a_clock_that_stands_still_remaining_times_are_exact() {
    assert!(play("> a\n<~ t{30-}", &["t29\r\n"], true).is_err());
    assert!(play("> a\n<~ t{30-}", &["t30\r\n"], true).is_ok());
}

#[test]
fn neighbouring_lines_are_one_piece_and_escapes_are_bytes() {
    let sent = play("> set k 0 0 2\n> \\x00\\xff\n< S\n>> a\\r\\n\\t\\0\\\\\\{", &["S\r\n"], false);
    assert_eq!(sent, Ok(vec![b"set k 0 0 2\r\n\x00\xff\r\n".to_vec(), b"a\r\n\t\0\\{".to_vec()]));
}

#[test]
fn a_captured_word_is_sent_and_counted_on() {
    let sent = play("> a\n<~ cas {c}\n> b {c} {c+5}\n< X", &["cas 37\r\n", "X\r\n"], false);
    assert_eq!(sent, Ok(vec![b"a\r\n".to_vec(), b"b 37 42\r\n".to_vec()]));
}

#[test]
fn a_mismatch_names_its_line_and_shows_both_sides() {
    let text = play("> get k\n< VALUE", &["END\r\n"], false).unwrap_err();
    assert_eq!(text, "t.txt:2\n      sent: get k\\r\\n\n  expected: VALUE\\r\\n\n       got: END\\r\\n");
}

#[test]
fn files_that_are_not_of_the_format_are_refused() {
    let bad = [
        "",
        "# nothing happens",
        "hello",
        "> a\n! options: -m 1",
        "! target: no\n> a",
        "! nonsense\n> a",
        "> trailing ",
        "> {unknown}",
        "< {n}",
        "< {_}",
        "<<~ {n}",
        "> \\q",
        "> \\x1",
        "> {a*99999999}",
        "> open {",
        "! clock\n> a",
        "@ +1s",
        "! clock\n@ 1s",
        "? 1 ~ 2",
        "[a > b",
        "<!sleep",
    ];
    for content in bad {
        assert!(parse("t.txt", content).is_err(), "{content:?} was taken");
    }
}
