//! dump and load: text that people read and other tools make.
use std::collections::BTreeMap;
use std::fs;

use super::{done, refused, text, tool};
use crate::client::Client;
use crate::process::Larder;

fn facts(client: &mut Client, key: &str) -> String {
    let reply = client.ask(format!("mg {key} b f s v\r\n"));
    if reply.starts_with("VA") { format!("{reply} {}", client.line()) } else { reply }
}

#[test]
fn what_is_dumped_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let one = Larder::start(&path("one"), &["--groups", "3"]).unwrap();
    let two = Larder::start(&path("two"), &["--groups", "5"]).unwrap();
    let (mut from, mut to) = (Client::connect(one.address()), Client::connect(two.address()));
    for number in 0..500 {
        let value = format!("line\r\nkey=x size=1\r\n{number}").repeat(number % 40);
        let request = format!("set k{number} {number} {} {}\r\n{value}\r\n", number % 2 * 9000, value.len());
        assert_eq!(from.ask(request), "STORED");
    }
    for (request, reply) in [("ms AAEC/w== 3 b F9\r\nbin\r\n", "HD"), ("set a%b 0 0 1\r\nx\r\n", "STORED")] {
        assert_eq!(from.ask(request), reply);
    }
    let file = path("items.txt");
    let (address, other) = (one.address().to_string(), two.address().to_string());
    done(&["dump", &address, text(&file)]);
    refused(&["dump", &address, text(&file)], &["cannot make the file"]);
    let dumped = fs::read(&file).unwrap();
    assert!(dumped.windows(16).any(|window| window == b"key=%00%01%02%FF"), "binary keys as in a URI");
    assert_eq!(done(&["dump", &address]).into_bytes(), dumped, "the same to standard output");

    assert_eq!(to.set("k1", b"old"), "STORED");
    done(&["load", "--add", &other, text(&file)]);
    assert_eq!(to.value("k1").as_deref(), Some(&b"old"[..]));
    let ran = tool(&["load", &other, text(&file)]);
    assert!(ran.code == Some(0) && ran.said.contains("502 items loaded, 0 expired"), "{}", ran.said);
    for key in ["AAEC/w==", "YSVi"] {
        assert_eq!(facts(&mut from, key), facts(&mut to, key), "{key}");
        assert!(facts(&mut to, key).starts_with("VA"), "{key}");
    }
    let again = path("again.txt");
    done(&["dump", &other, text(&again)]);
    let sorted = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap();
        let items = text.split("\r\nkey=k").map(str::to_owned);
        let facts = items.map(|item| {
            let (head, rest) = item.split_once(" cas=").unwrap();
            let behind = rest.split_once(' ').unwrap().1;
            (head.to_owned(), behind.trim_end().to_owned())
        });
        facts.collect::<BTreeMap<String, String>>()
    };
    let only_k = |bytes: Vec<u8>| {
        let mut found = sorted(bytes);
        found.retain(|head, _| head.starts_with(|c: char| c.is_ascii_digit()));
        found.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(only_k(dumped), only_k(fs::read(&again).unwrap()), "keys and deadlines");
    for number in 0..500 {
        let key = format!("k{number}");
        assert_eq!(from.ask(format!("mg {key} f s\r\n")), to.ask(format!("mg {key} f s\r\n")), "{key}");
        assert_eq!(from.value(&key), to.value(&key), "{key}");
    }
}

/// In base64 these would be longer than a key may be.
#[test]
fn long_keys_are_dumped_and_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let larder = Larder::start(&folder.path().join("data"), &["--groups", "2"]).unwrap();
    let address = larder.address().to_string();
    let mut client = Client::connect(larder.address());
    let keys = ["k".repeat(250), "\u{e9}".repeat(125)];
    for key in &keys {
        assert_eq!(client.set(key, b"v"), "STORED");
    }
    let file = folder.path().join("items.txt");
    done(&["dump", &address, text(&file)]);
    for key in &keys {
        assert_eq!(client.ask(format!("delete {key}\r\n")), "DELETED");
    }
    done(&["load", &address, text(&file)]);
    for key in &keys {
        assert_eq!(client.value(key).as_deref(), Some(&b"v"[..]), "{key}");
    }
}

#[test]
fn text_that_is_not_as_it_should_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let larder = Larder::start(&folder.path().join("data"), &["--groups", "2", "-I", "2k"]).unwrap();
    let address = larder.address().to_string();
    let mut client = Client::connect(larder.address());
    let file = folder.path().join("items.txt");
    for (written, word) in [
        ("key=a size=1\r\nx\r\nnonsense\r\n", "offset 17: a line"),
        ("key=a size=1\r\nx\r\nkey=b size=5\r\nxy", "offset 17: the value is cut off"),
        ("key=a size=1\r\nx\r\nkey=b size=1\r\nxy\r\n", "offset 17: the value is not as long"),
        ("key=a size=1\r\nx\r\nkey=b", "offset 17: a line is cut off"),
    ] {
        fs::write(&file, written).unwrap();
        refused(&["load", &address, text(&file)], &[word]);
    }
    let large = "x".repeat(3000);
    fs::write(&file, format!("key=a size=2\nhi\nkey=old exp=5 size=1\nx\nkey=big size=3000\n{large}\n"))
        .unwrap();
    let ran = tool(&["load", &address, text(&file)]);
    assert_eq!(ran.code, Some(3), "{}", ran.said);
    assert!(ran.said.contains("1 items loaded, 1 expired, 0 there already, 1 refused"), "{}", ran.said);
    assert!(ran.said.contains("\"big\": SERVER_ERROR object too large"), "{}", ran.said);
    assert_eq!(client.value("a").as_deref(), Some(&b"hi"[..]), "line ends may be bare");
}
