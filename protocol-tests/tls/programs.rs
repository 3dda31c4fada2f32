//! openssl as a client.
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::authority::Authority;
use crate::process::Larder;
use crate::skips::require;

/// What openssl's client shows when it sends this.
fn said(openssl: &Path, larder: &Larder, authority: &Authority, words: &[&str], request: &str) -> String {
    let mut command = Command::new(openssl);
    command.args(["s_client", "-quiet", "-verify_return_error", "-verify_hostname", "localhost"]);
    command.arg("-connect").arg(larder.address().to_string());
    command.arg("-CAfile").arg(authority.path("ca.pem")).args(words);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // It may be gone already: then the server did not want it.
    let _ = child.stdin.take().unwrap().write_all(request.as_bytes());
    String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
}

#[test]
fn openssl_is_served_by_every_version_it_may_use() {
    let Some(openssl) = require("openssl") else { return };
    let authority = Authority::serving();
    let own = authority.issue();
    let (cert, key) = (authority.path("own.pem"), authority.path("own.key"));
    std::fs::write(&cert, own.chain).unwrap();
    std::fs::write(&key, own.key).unwrap();
    let own = ["-cert", cert.to_str().unwrap(), "-key", key.to_str().unwrap()];
    let words = format!("{},ssl_verify_mode=2", authority.words());
    let larder = Larder::launch(&["--memory-only", "-p", "-1", "-Z", "-o", &words]).unwrap();
    let request = "set a 0 0 3\r\none\r\nget a\r\nquit\r\n";
    for version in ["-tls1_2", "-tls1_3"] {
        let served = said(&openssl, &larder, &authority, &[&own[..], &[version]].concat(), request);
        assert_eq!(served, "STORED\r\nVALUE a 0 3\r\none\r\nEND\r\n", "{version}");
    }
    assert_eq!(said(&openssl, &larder, &authority, &own[..0], request), "", "without a certificate");
    assert_eq!(said(&openssl, &larder, &authority, &[&own[..], &["-tls1_1"]].concat(), request), "");
}
