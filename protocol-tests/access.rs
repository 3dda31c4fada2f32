//! Who must give a name and a password (`-Y`), over TCP and over a unix socket.
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::client::Client;
use crate::process::Larder;

/// What is sent on a connection of its own, with nothing after it, and everything that is answered until both close.
const ROWS: [(&str, &str); 12] = [
    ("get k\r\n", "CLIENT_ERROR unauthenticated\r\n"),
    ("mg k v\r\n", "CLIENT_ERROR unauthenticated\r\n"),
    ("version\r\n", "CLIENT_ERROR unauthenticated\r\n"),
    ("set a 0 0 7\r\nann one\r\nget k\r\n", "STORED\r\nEND\r\n"),
    ("set a b c 7\r\nann one\r\nversion\r\n", "STORED\r\nVERSION 1.6.45\r\n"),
    (
        "set a 0 0 7\r\nann two\r\nget k\r\n",
        "CLIENT_ERROR authentication failure\r\nCLIENT_ERROR unauthenticated\r\n",
    ),
    ("set a 0 0 7\r\nbob one\r\n", "CLIENT_ERROR authentication failure\r\n"),
    ("set a 0 0 3\r\nann\r\n", "CLIENT_ERROR bad authentication token format\r\n"),
    ("set a 0 0 7\r\nann oneXX", "CLIENT_ERROR bad command line termination\r\n"),
    ("set a 0 0 16385\r\n", "CLIENT_ERROR auth token too long\r\n"),
    ("get\r\n", ""),
    (ENDLESS, ""),
];
/// Longer than a line may be, and without an end.
const ENDLESS: &str = match std::str::from_utf8(&[b'x'; 2049]) {
    Ok(text) => text,
    Err(_) => "",
};

fn answer<S: Read + Write>(mut stream: S, request: &str, end: impl Fn(&S)) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    end(&stream);
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

fn check(over: &str, ask: impl Fn(&str) -> String) {
    for (request, expected) in ROWS {
        assert_eq!(ask(request), expected, "{request:?} over {over}");
    }
}

fn users(folder: &Path) -> String {
    let users = folder.join("users");
    // The last line may lack its end.
    fs::write(&users, "bob:two\nann:one").unwrap();
    users.display().to_string()
}

#[test]
fn names_are_asked_for_over_tcp() {
    let folder = tempfile::tempdir().unwrap();
    let larder = Larder::start(&folder.path().join("data"), &["-Y", &users(folder.path())]).unwrap();
    let end = |stream: &TcpStream| stream.shutdown(std::net::Shutdown::Write).unwrap();
    check("TCP", |request| answer(TcpStream::connect(larder.address()).unwrap(), request, end));
    let mut client = Client::connect(larder.address());
    assert_eq!(client.ask("set a 0 0 7\r\nann one\r\n"), "STORED");
    // What could not be taken for a name and a password is no attempt.
    assert_eq!((client.figure("auth_cmds"), client.figure("auth_errors")), (5, 2));
    assert_eq!(client.figure("cmd_set"), 0);
}

#[test]
fn a_file_of_more_users_than_eight_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    for (count, is_refused) in [(8, false), (9, true)] {
        let lines: String = (0..count).map(|number| format!("user{number}:word\n")).collect();
        fs::write(&users, lines).unwrap();
        let words = ["-p", "-1", "-U", "0", "--memory-only", "-Y", users.to_str().unwrap()];
        assert_eq!(Larder::launch(&words).is_err(), is_refused, "{count} users");
    }
}

#[test]
fn names_are_asked_for_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, data_dir) = (folder.path().join("socket"), folder.path().join("data"));
    let users = users(folder.path());
    let words = ["-s", socket.to_str().unwrap(), "--data-dir", data_dir.to_str().unwrap(), "-Y", &users];
    let _larder = Larder::launch(&words).unwrap();
    let end = |stream: &UnixStream| stream.shutdown(std::net::Shutdown::Write).unwrap();
    check("a unix socket", |request| answer(UnixStream::connect(&socket).unwrap(), request, end));
}

#[test]
fn lines_of_the_file_may_end_in_cr_lf() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    fs::write(&users, "ann:one\r\nbob:two\r\n").unwrap();
    let words = ["-p", "-1", "-U", "0", "--memory-only", "-Y", users.to_str().unwrap()];
    let larder = Larder::launch(&words).unwrap();
    for payload in ["ann one", "bob two"] {
        let mut client = Client::connect(larder.address());
        assert_eq!(client.ask(format!("set a 0 0 7\r\n{payload}\r\n")), "STORED", "{payload}");
    }
}
