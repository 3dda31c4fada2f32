//! The examples of docs/ and of the README: commands as they are typed, and telnet sessions, in order against one server
//! for each page.
use std::path::Path;

use crate::client::Client;
use crate::people;
use crate::process::Larder;

const PAGES: &[&str] = &["README.md", "docs/getting-started.md", "docs/extensions.md", "docs/operations.md"];

/// A block of a page that can be tried.
enum Block {
    /// Commands of `larder` and what they print.
    Commands(String),
    /// What is typed into telnet, and what comes back.
    Session(Vec<String>),
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    for fenced in page.split("\n```").skip(1).step_by(2) {
        let (kind, body) = fenced.split_once('\n').unwrap();
        let body = body.trim_end();
        match (kind, body.strip_prefix("$ telnet 127.0.0.1 11211\n")) {
            ("console", _) => blocks.push(Block::Commands(body.to_owned())),
            ("text", Some(lines)) => {
                blocks.push(Block::Session(lines.lines().map(ToOwned::to_owned).collect()))
            }
            _ => {}
        }
    }
    blocks
}

/// Whether the line behind this command is its value.
fn has_value(command: &str) -> bool {
    let verb = command.split(' ').next().unwrap();
    ["set", "add", "replace", "append", "prepend", "cas", "ms"].contains(&verb)
}

/// Whether `line` ends the reply to `command`.
fn is_last(command: &str, line: &str) -> bool {
    let is_long = ["get", "gets", "stats", "keys", "route"].contains(&command.split(' ').next().unwrap());
    !is_long || line == "END" || line.contains("ERROR")
}

/// Types what is to be typed, and compares what comes back; the number of lines that came.
fn play(page: &str, lines: &[String], client: &mut Client) -> usize {
    let mut lines = lines.iter();
    let mut came = 0;
    while let Some(command) = lines.next() {
        let mut request = format!("{command}\r\n");
        if has_value(command) {
            request += &format!("{}\r\n", lines.next().unwrap());
        }
        if command == "quit" {
            continue;
        }
        client.send(&request);
        loop {
            let line = client.line().trim_end().to_owned();
            assert_eq!(Some(&line), lines.next(), "{page}: the reply to {command}");
            came += 1;
            if is_last(command, &line) {
                break;
            }
        }
    }
    came
}

#[test]
fn the_examples_of_the_pages_are_true() {
    for page in PAGES {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let larder = Larder::start(&folder.path().join("data"), &[]).unwrap();
        let mut client = Client::connect(larder.address());
        let mut tried = 0;
        for block in blocks(&text) {
            tried += match block {
                Block::Commands(text) => people::try_all(&text, folder.path(), larder.address()),
                Block::Session(lines) => play(page, &lines, &mut client),
            };
        }
        assert!(tried > 0, "{page}: nothing was tried");
    }
}

/// A page that nobody can reach, or a link to nothing, helps nobody.
#[test]
fn every_page_is_linked_and_every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = std::fs::read_dir(root.join("docs")).unwrap();
    let mut pages: Vec<String> =
        names.map(|entry| format!("docs/{}", entry.unwrap().file_name().to_str().unwrap())).collect();
    pages.push("README.md".to_owned());
    let mut linked = Vec::new();
    for page in &pages {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        for piece in text.split("](").skip(1) {
            let target = piece.split([')', '#']).next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let place = root.join(page).parent().unwrap().join(target);
            assert!(place.exists(), "{page}: a link to {target}, which is not there");
            linked.push(place.canonicalize().unwrap());
        }
    }
    for page in pages.iter().filter(|page| *page != "README.md") {
        let place = root.join(page).canonicalize().unwrap();
        assert!(linked.contains(&place), "{page}: no page links to it");
    }
}
