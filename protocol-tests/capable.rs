//! libmemcached's own conformance check, of the text and the binary protocol.
use std::process::Command;

use crate::process::Larder;
use crate::skips::require;

#[test]
fn memccapable_finds_nothing() {
    let Some(memccapable) = require("memccapable") else { return };
    let folder = tempfile::tempdir().unwrap();
    let larder = Larder::start(&folder.path().join("data"), &[]).unwrap();
    let port = larder.address().port().to_string();
    let output = Command::new(memccapable).args(["-h", "127.0.0.1", "-p", &port]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("All tests passed"), "{said}");
    for (protocol, tests) in [("ascii", 27), ("binary", 27)] {
        let passed = |line: &&str| line.starts_with(protocol) && line.ends_with("[pass]");
        assert_eq!(said.lines().filter(passed).count(), tests, "{protocol}: {said}");
    }
}
