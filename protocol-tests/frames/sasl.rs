//! SASL PLAIN under `-S`.
use super::Client;
use crate::client;
use crate::process::Larder;

const NOOP: u8 = 0x0a;
const VERSION: u8 = 0x0b;
const MECHANISMS: u8 = 0x20;
const AUTH: u8 = 0x21;
const STEP: u8 = 0x22;

fn said(status: u16, text: &str) -> Option<(u16, String)> {
    Some((status, text.into()))
}

#[test]
fn sasl_lets_in_who_knows_a_password_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    std::fs::write(&users, "ann:one\nbob:two three").unwrap();
    let options = ["-S", "-Y", users.to_str().unwrap()];
    let larder = Larder::start(&folder.path().join("data"), &options).unwrap();
    let connect = || Client::connect(larder.address());

    let mut stranger = connect();
    assert_eq!(stranger.ask(VERSION, "", ""), said(0, "1.6.45"));
    assert_eq!(stranger.ask(MECHANISMS, "", ""), said(0, "PLAIN"));
    for (mechanism, response) in [
        ("PLAIN", "\0ann\0wrong"),
        ("PLAIN", "\0ann\0on"),
        ("PLAIN", "\0ann:one\0"),
        ("PLAIN", "bob\0ann\0one"),
        ("PLAIN", "ann one"),
        ("CRAM-MD5", "\0ann\0one"),
    ] {
        assert_eq!(stranger.ask(AUTH, mechanism, response), said(0x20, "Auth failure."), "{response:?}");
    }
    assert_eq!(stranger.ask(STEP, "PLAIN", "\0ann\0one"), said(0x20, "Auth failure."), "no step has begun");
    assert_eq!(stranger.ask(NOOP, "", ""), said(0x20, "Auth failure."));
    assert_eq!(stranger.ask(VERSION, "", ""), None, "and the connection is closed");

    let mut ann = connect();
    assert_eq!(ann.ask(AUTH, "PLAIN", "ann\0ann\0one"), said(0, "Authenticated"));
    assert_eq!(ann.ask(NOOP, "", ""), said(0, ""));
    let mut bob = connect();
    assert_eq!(bob.ask(AUTH, "PLAIN", ""), said(0x21, ""), "name and password in a second step");
    assert_eq!(bob.ask(STEP, "PLAIN", "\0bob\0two three"), said(0, "Authenticated"));
    assert_eq!(bob.ask(NOOP, "", ""), said(0, ""));

    let mut text = client::Client::connect(larder.address());
    assert_eq!(text.ask("get k\r\n"), "CLIENT_ERROR unauthenticated");
    assert_eq!(text.ask("set a 0 0 7\r\nann one\r\n"), "STORED");
    assert_eq!((text.figure("auth_cmds"), text.figure("auth_errors")), (10, 7));
}

#[test]
fn without_s_there_is_no_sasl_and_with_y_alone_no_binary_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let larder = Larder::start(&folder.path().join("open"), &[]).unwrap();
    let mut client = Client::connect(larder.address());
    assert_eq!(client.ask(MECHANISMS, "", ""), said(0x81, "Unknown command"));
    assert_eq!(client.ask(AUTH, "PLAIN", "\0ann\0one"), said(0x81, "Unknown command"));
    assert_eq!(client.ask(NOOP, "", ""), said(0, ""));

    let users = folder.path().join("users");
    std::fs::write(&users, "ann:one").unwrap();
    let options = ["-Y", users.to_str().unwrap()];
    let larder = Larder::start(&folder.path().join("closed"), &options).unwrap();
    let mut text = client::Client::connect(larder.address());
    assert_eq!(
        text.ask(b"\x80\x0b\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n"),
        "CLIENT_ERROR unauthenticated"
    );
}
