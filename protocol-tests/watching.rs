//! Who watches evictions is told what is lost, in memory and on disk, who is slow is told what he missed, and who asks is
//! told what connections do. No transcript shows that: which item goes first is the server's own choice, which worker is
//! first is nobody's, and how much a slow watcher's socket holds is the system's.
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::client::{self, Client};
use crate::process::Larder;
use crate::wait;

/// A server with many workers takes bytes in when it comes to them.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stores are sent in such batches until something is lost.
const BATCH: usize = 100;
/// Far more than what the servers below have room for.
const BATCHES_MAX: usize = 1000;
const VALUE_BYTES: usize = 2000;

/// A connection that is told of evictions.
fn watcher(larder: &Larder) -> Client {
    let mut watcher = Client::connect(larder.address());
    assert_eq!(watcher.ask("watch evictions\r\n"), "OK");
    watcher
}

/// Stores until items have been lost.
fn fill(client: &mut Client) {
    for batch in 0..BATCHES_MAX {
        let keys = (0..BATCH).map(|number| format!("lost:{batch}:{number}"));
        client.send(keys.flat_map(|key| client::set(&key, 0, &[b'v'; VALUE_BYTES])).collect::<Vec<u8>>());
        for _ in 0..BATCH {
            assert_eq!(client.line(), "STORED\r\n");
        }
        if client.figure("evictions") > 0 {
            return;
        }
    }
    panic!("nothing was lost");
}

/// The fields behind the moment and the number of an event.
fn check(line: &str) {
    let fields: Vec<(&str, &str)> = line.split_whitespace().filter_map(|word| word.split_once('=')).collect();
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["ts", "gid", "type", "key", "fetch", "ttl", "la", "clsid", "size"], "{line:?}");
    let key = fields[3].1;
    assert!(key.starts_with("lost%3A"), "{line:?}");
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    assert!(is_number(fields[6].1), "{line:?}");
    assert_eq!(
        (fields[2].1, fields[4].1, fields[5].1, fields[8].1),
        ("eviction", "no", "-1", "2000"),
        "{line:?}"
    );
    assert!(line.ends_with('\n') && !line.ends_with("\r\n"), "{line:?}");
}

#[test]
fn connections_show_who_asks_who_waits_and_who_is_in_the_middle_of_a_value() {
    let larder = Larder::launch(&["-p", "-1", "-U", "0", "--memory-only"]).unwrap();
    let connect = || Client::connect(larder.address());
    let (sending, waiting, mut asking) = (connect(), connect(), connect());
    sending.send("set k 0 0 5\r\nhe");
    let shown = wait::until(PATIENCE, || {
        let lines = asking.lines("stats conns\r\n", "END\r\n");
        let count = |state: &str| lines.iter().filter(|line| line.trim_end().ends_with(state)).count();
        let states = ["conn_listening", "conn_nread", "conn_read", "conn_parse_cmd"].map(count);
        (states == [1; 4]).then_some(())
    });
    assert!(shown.is_some());
    drop(waiting);
}

#[test]
fn what_memory_loses_is_told() {
    let larder =
        Larder::launch(&["-p", "-1", "-U", "0", "--memory-only", "-m", "8", "--groups", "2"]).unwrap();
    let mut watcher = watcher(&larder);
    fill(&mut Client::connect(larder.address()));
    check(&watcher.line());
}

#[test]
fn what_is_given_up_for_room_on_the_disk_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        ["--disk-limit", "64m", "--log-size", "16m", "--groups", "4", "-m", "16", "--fsync", "never"];
    let options = [&options[..], &["--on-full", "evict"]].concat();
    let larder = Larder::start(&folder.path().join("data"), &options).unwrap();
    let mut watcher = watcher(&larder);
    fill(&mut Client::connect(larder.address()));
    check(&watcher.line());
}

#[test]
fn who_does_not_read_is_told_how_many_lines_he_missed() {
    let larder = Larder::launch(&["-p", "-1", "-U", "0", "--memory-only", "-t", "1"]).unwrap();
    let (mut watcher, mut client) = (Client::connect(larder.address()), Client::connect(larder.address()));
    assert_eq!(watcher.ask("watch fetchers\r\n"), "OK");
    let batch = format!("get {}\r\n", "k".repeat(250)).repeat(BATCH);
    for _ in 0..BATCHES_MAX {
        client.send(&batch);
        for _ in 0..BATCH {
            assert_eq!(client.line(), "END\r\n");
        }
        if client.figure("log_watcher_skipped") > 0 {
            break;
        }
    }
    let (sent, skipped) = (client.figure("log_watcher_sent"), client.figure("log_watcher_skipped"));
    assert!(skipped > 0, "nothing was skipped of {sent} lines");
    for _ in 0..sent {
        let line = watcher.line();
        assert!(line.starts_with("ts=") && line.ends_with(" size=0\n"), "{line:?}");
    }
    assert_eq!(client.ask("get k\r\n"), "END");
    assert_eq!(watcher.line(), format!("[skipped={skipped}]\n"));
    assert!(watcher.line().contains("type=item_get key=k status=not_found"));
}

#[test]
fn connections_of_a_unix_socket_are_told_too() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _larder = Larder::launch(&["-s", socket.to_str().unwrap(), "--memory-only"]).unwrap();
    let connect = || BufReader::new(UnixStream::connect(&socket).unwrap());
    let line = |reader: &mut BufReader<UnixStream>| {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line
    };
    let mut watcher = connect();
    watcher.get_mut().write_all(b"watch connevents\r\n").unwrap();
    assert_eq!(line(&mut watcher), "OK\r\n");
    drop(connect());
    for words in ["type=conn_new rip=unix rport=0 transport=local cfd=", "transport=local reason=normal cfd="]
    {
        let said = line(&mut watcher);
        assert!(said.contains(words), "{words:?} in {said:?}");
    }
}
