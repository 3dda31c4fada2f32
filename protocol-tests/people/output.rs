//! Where the result of a command goes: a reader that has read enough ends it, and what could not be written is told.
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::{Larder, binary};
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_result_that_cannot_be_written_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let larder = Larder::start(&folder.path().join("data"), &["--groups", "2"]).unwrap();
    let address = larder.address().to_string();
    assert_eq!(crate::client::Client::connect(larder.address()).set("k", b"v"), "STORED");
    for words in [&["where", "k"][..], &["stats", "-s", &address], &["get", "-s", &address, "k"], &["man"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = Command::new(binary()).args(words).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{words:?}: {said}");
        assert!(said.contains("cannot write to standard output"), "{words:?}: {said}");
    }
}

#[test]
fn who_has_read_enough_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let larder = Larder::start(&folder.path().join("data"), &["--groups", "2"]).unwrap();
    let address = larder.address().to_string();
    let words = ["watch", "-s", &address, "fetchers"];
    let mut watching =
        Command::new(binary()).args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(watching.stderr.take().unwrap());
    said.read_line(&mut String::new()).unwrap();
    drop(watching.stdout.take());
    let mut client = crate::client::Client::connect(larder.address());
    let ended = wait::until(PATIENCE, || {
        client.value("seen");
        watching.try_wait().unwrap()
    });
    if ended.is_none() {
        watching.kill().unwrap();
    }
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
}
