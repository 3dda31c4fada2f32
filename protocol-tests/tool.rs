//! memcached-tool, as Debian's memcached brings it, sees what is there.
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::client::Client;
use crate::process::Larder;
use crate::skips::{require, skip};

const TOOL: &str = "/usr/share/memcached/scripts/memcached-tool";

/// What the tool prints for one of its modes: each line as its words.
fn says(perl: &Path, address: SocketAddr, mode: &str) -> Vec<Vec<String>> {
    let output = Command::new(perl).args([TOOL, &address.to_string(), mode]).output().unwrap();
    assert!(output.status.success(), "{mode}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| line.split_whitespace().map(Into::into).collect()).collect()
}

/// The value behind this name.
fn value<'a>(lines: &'a [Vec<String>], name: &str) -> Option<&'a str> {
    lines.iter().find(|words| words.first().is_some_and(|first| first == name))?.get(1).map(String::as_str)
}

#[test]
fn memcached_tool_shows_what_is_stored() {
    let Some(perl) = require("perl") else { return };
    if !Path::new(TOOL).is_file() {
        return skip("memcached-tool not found");
    }
    let folder = tempfile::tempdir().unwrap();
    let options = ["-m", "100", "-o", "track_sizes"];
    let larder = Larder::start(&folder.path().join("data"), &options).unwrap();
    let address = larder.address();
    let mut client = Client::connect(address);
    for number in 0..3 {
        assert_eq!(client.set(&format!("key{number}"), b"value"), "STORED");
    }
    assert_eq!(client.value("key1").as_deref(), Some(&b"value"[..]));

    let display = says(&perl, address, "display");
    assert_eq!(display[0][..5], ["#", "Item_Size", "Max_age", "Pages", "Count"]);
    assert_eq!((display[1][0].as_str(), display[1][4].as_str()), ("1", "3"), "{display:?}");

    let stats = says(&perl, address, "stats");
    for (name, expected) in [("version", "1.6.45"), ("curr_items", "3"), ("cmd_set", "3"), ("get_hits", "1")]
    {
        assert_eq!(value(&stats, name), Some(expected), "{name} in {stats:?}");
    }
    let settings = says(&perl, address, "settings");
    for (name, expected) in [("maxbytes", "104857600"), ("track_sizes", "yes"), ("evictions", "on")] {
        assert_eq!(value(&settings, name), Some(expected), "{name} in {settings:?}");
    }
    let sizes = says(&perl, address, "sizes");
    assert_eq!(value(&sizes, "96"), Some("3"), "{sizes:?}");

    let mut dump = says(&perl, address, "dump");
    dump.sort();
    for number in 0..3 {
        let key = format!("key{number}");
        let line = ["add".to_owned(), key, "0".into(), "0".into(), "5".into()];
        assert!(dump.iter().any(|words| words[..] == line), "{line:?} in {dump:?}");
    }
    assert_eq!(dump.iter().filter(|words| words[..] == ["value"]).count(), 3, "{dump:?}");
}
