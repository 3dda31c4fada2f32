//! The commands in docs/backup.md, run as they stand there but for places and ports.
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::{done, text};
use crate::client::Client;
use crate::process::{Larder, binary};

/// The lines of the shell blocks of a page, by block.
fn blocks(page: &str) -> Vec<Vec<&str>> {
    page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().lines().collect()).collect()
}

#[test]
fn the_commands_of_the_page_work() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/backup.md")).unwrap();
    let mut run = 0;
    for block in blocks(&page) {
        let folder = tempfile::tempdir().unwrap();
        let root = text(folder.path()).to_owned();
        for name in ["backup", "srv", "other"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let placed = |word: &str| {
            word.replace("/backup/", &format!("{root}/backup/")).replace("/srv/", &format!("{root}/srv/"))
        };
        let serves = |words: &[String]| {
            let data_dir = words.iter().skip_while(|word| *word != "--data-dir").nth(1).unwrap();
            let rest: Vec<&str> =
                words.iter().map(String::as_str).skip_while(|word| *word != "--archive").collect();
            Larder::start(Path::new(data_dir), &rest).unwrap()
        };
        let mut larder = Some(Larder::start(&folder.path().join("srv/first"), &["--groups", "2"]).unwrap());
        let other = Larder::start(&folder.path().join("other/data"), &["--groups", "2"]).unwrap();
        for line in block {
            if let Some(server) = &larder {
                assert_eq!(Client::connect(server.address()).set("k", b"value"), "STORED");
            }
            let address = |server: &Larder| server.address().to_string();
            let line = line.replace("127.0.0.1:11212", &address(&other));
            let line = match &larder {
                Some(server) => line.replace("127.0.0.1:11211", &address(server)),
                None => line,
            };
            run += 1;
            if let Some((head, tail)) = line.split_once(" | ") {
                let script = format!(
                    "cd {root}; {head} | {} {}",
                    binary().display(),
                    tail.strip_prefix("larder ").unwrap()
                );
                let status = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status().unwrap();
                assert!(status.success(), "{line}");
                assert_eq!(
                    Client::connect(other.address()).value("greeting").as_deref(),
                    Some(&b"hello"[..])
                );
                continue;
            }
            let mut words: Vec<String> = line.split(' ').skip(1).map(placed).collect();
            for word in words.iter_mut().filter(|word| word.ends_with(".txt")) {
                *word = format!("{root}/{word}");
            }
            // A moment in the page would be long ago.
            for word in words.iter_mut().filter(|word| word.starts_with("2026-")) {
                *word = "2100-01-01T00:00:00Z".to_owned();
            }
            if words.first().is_some_and(|word| word == "serve") {
                drop(larder.replace(serves(&words)));
                continue;
            }
            if words.iter().any(|word| word == "--archive") {
                // Its binlog is read: it has to be stopped, as the page says.
                larder.take().unwrap().signal(Signal::SIGTERM).unwrap();
            }
            done(&words.iter().map(String::as_str).collect::<Vec<_>>());
        }
        if let Some(server) = &larder {
            assert_eq!(Client::connect(server.address()).value("k").as_deref(), Some(&b"value"[..]));
        }
    }
    assert!(run >= 10, "{run} lines of the page were run");
}
