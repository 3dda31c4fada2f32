//! The commands for people: what they print and their exit codes, against a real server; their help, completions and
//! manual pages.
mod output;
mod pages;
mod service;
mod terminal;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::process::{Larder, binary};

/// Commands that ask no server.
const OFFLINE: &[&str] = &["where", "cluster", "group", "completions", "man"];

/// One command and what must come of it.
#[derive(Debug, Default)]
struct Case {
    line: usize,
    words: Vec<String>,
    input: String,
    out: Vec<String>,
    said: Vec<String>,
    code: i32,
}

/// Words, those in single quotes as one.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (place, piece) in text.split('\'').enumerate() {
        if place % 2 == 1 {
            words.push(piece.to_owned());
        } else {
            words.extend(piece.split_whitespace().map(ToOwned::to_owned));
        }
    }
    words
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (place, line) in text.lines().enumerate() {
        if let Some(words) = line.strip_prefix("$ larder ") {
            cases.push(Case { line: place + 1, words: split(words), ..Case::default() });
            continue;
        }
        let Some(case) = cases.last_mut().filter(|_| !line.starts_with('#') && !line.is_empty()) else {
            continue;
        };
        match line.split_at_checked(2) {
            Some(("< ", input)) => case.input += input,
            Some(("! ", said)) => case.said.push(said.to_owned()),
            Some(("= ", code)) => case.code = code.parse().unwrap(),
            _ => case.out.push(line.to_owned()),
        }
    }
    cases
}

/// Whether a text is what a pattern says, in which * stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(pieces.next().unwrap()) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

/// Runs a command to its end.
fn run(folder: &Path, words: &[String], input: &str) -> Output {
    let mut child = Command::new(binary())
        .args(words)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may be gone by now.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// What is wrong with what came of a case.
fn judge(case: &Case, folder: &Path, server: SocketAddr) -> Result<(), String> {
    let mut words = case.words.clone();
    if !OFFLINE.contains(&words[0].as_str()) {
        words.splice(1..1, ["-s".to_owned(), server.to_string()]);
    }
    let output = run(folder, &words, &case.input);
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = out.lines().collect();
    // A last pattern that is * alone stands for all lines that follow.
    let patterns = case.out.as_slice();
    let (patterns, lines) = match patterns.split_last() {
        Some((last, head)) if last == "*" => (head, &lines[..head.len().min(lines.len())]),
        _ => (patterns, lines.as_slice()),
    };
    let same = patterns.len() == lines.len() && patterns.iter().zip(lines).all(|(p, line)| fits(p, line));
    let is_said = case.said.iter().all(|wanted| said.contains(wanted.as_str()));
    let is_quiet = !case.said.is_empty() || said.is_empty();
    let mut is_json = true;
    if case.words.iter().any(|word| word == "--json") {
        is_json = out.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
    }
    if same && is_said && is_quiet && is_json && output.status.code() == Some(case.code) {
        return Ok(());
    }
    let code = output.status.code();
    Err(format!("line {}: larder {words:?} ended with {code:?}:\n{out}{said}", case.line))
}

/// Tries commands in order and fails with what is wrong; how many there were.
pub(crate) fn try_all(text: &str, folder: &Path, server: SocketAddr) -> usize {
    let cases = cases(text);
    let wrong: Vec<String> = cases.iter().filter_map(|case| judge(case, folder, server).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    cases.len()
}

#[test]
fn commands_print_what_they_say_and_end_with_their_codes() {
    let folder = tempfile::tempdir().unwrap();
    let larder = Larder::start(&folder.path().join("data"), &["--groups", "2"]).unwrap();
    let tried = try_all(include_str!("people/commands.txt"), folder.path(), larder.address());
    assert!(tried > 50, "{tried} cases");
}

#[test]
fn a_server_that_is_not_there_is_a_fault_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    for words in ["get k", "set k v", "delete k", "incr k", "cat k", "ls", "stats", "top", "watch"] {
        let mut words = split(words);
        words.extend(["-s".to_owned(), address.clone()]);
        let output = run(folder.path(), &words, "");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{words:?}: {said}");
        assert!(said.contains(&address) && said.contains("is a server running there?"), "{words:?}: {said}");
        assert_eq!(said.lines().filter(|line| line.starts_with("larder: ")).count(), 1, "{words:?}: {said}");
    }
}

#[test]
fn bytes_that_are_no_text_go_through_cat_and_are_base64_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let larder = Larder::start(&folder.path().join("data"), &["--groups", "2"]).unwrap();
    let mut client = crate::client::Client::connect(larder.address());
    assert_eq!(client.set("k", b"\xff\x00\r\n\x1b"), "STORED");
    let ask = |words: &str| {
        let words = format!("{words} -s {} k", larder.address());
        run(folder.path(), &split(&words), "").stdout
    };
    assert_eq!(ask("cat"), b"\xff\x00\r\n\x1b");
    assert!(String::from_utf8(ask("get --json")).unwrap().contains(r#""value_base64":"/wANChs=""#));
}

#[test]
fn watch_prints_events_until_it_has_enough() {
    let folder = tempfile::tempdir().unwrap();
    let larder = Larder::start(&folder.path().join("data"), &["--groups", "2"]).unwrap();
    let address = larder.address().to_string();
    let words = ["watch", "-s", &address, "--json", "--count", "1", "fetchers"];
    let mut watching = Command::new(binary());
    let mut watching = watching.args(words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut client = crate::client::Client::connect(larder.address());
    let ended = crate::wait::until(std::time::Duration::from_secs(60), || {
        // It may not be watching yet.
        client.value("seen");
        watching.try_wait().unwrap()
    });
    if ended.is_none() {
        watching.kill().unwrap();
    }
    let output = watching.wait_with_output().unwrap();
    let event: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&event["type"], &event["key"]), (&"item_get".into(), &"seen".into()), "{event}");
}

#[test]
fn patterns_fit_what_they_say() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("a", "ab", false),
        ("a*", "ab", true),
        ("*b", "ab", true),
        ("a*c*e", "abcde", true),
        ("a*e*c", "abcde", false),
        ("*", "", true),
        ("a*b", "ac", false),
    ] {
        assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
    }
}
