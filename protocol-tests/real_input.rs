//! Real input: the descriptions of a distribution's packages, stored by a client that others wrote, with kill -9 in the
//! middle: every acknowledged one is read back byte for byte.
//!
//! The client is pymemcache where `python3` (or the one that `LARDER_PYTHON` names) can import it, else our own socket.
//! `LARDER_LONG=1` takes every package instead of the first thousands.
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::client::{self, Client};
use crate::process::Larder;
use crate::skips::{self, require, say};

/// Packages of the short form.
const SHORT: usize = 4000;
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/protocol-tests/clients/real_input.py");

/// Name and description of every package, each name once.
fn packages(dump: &[u8]) -> Vec<(String, &[u8])> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut rest = dump;
    while !rest.is_empty() {
        let end = rest.windows(2).position(|pair| pair == b"\n\n").unwrap_or(rest.len());
        let stanza = &rest[..end];
        rest = rest.get(end + 2..).unwrap_or_default();
        let first = stanza.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let Some(name) = first.strip_prefix(b"Package: ") else { continue };
        if seen.insert(name) {
            found.push((String::from_utf8(name.to_vec()).unwrap(), stanza));
        }
    }
    found
}

/// A Python that can import pymemcache.
fn python() -> Option<String> {
    let python = std::env::var("LARDER_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut import = Command::new(&python);
    import.args(["-c", "import pymemcache"]).stdout(Stdio::null()).stderr(Stdio::null());
    import.status().is_ok_and(|status| status.success()).then_some(python)
}

fn script(python: &str, what: &str, address: SocketAddr, count: usize, dump: &Path) -> Child {
    Command::new(python)
        .args([SCRIPT, what, &address.to_string(), &count.to_string()])
        .stdin(std::fs::File::open(dump).unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Stores with pymemcache and kills the server when `enough` are acknowledged; how many were.
fn store_by_script(python: &str, larder: Larder, total: usize, enough: usize, dump: &Path) -> usize {
    let mut child = script(python, "store", larder.address(), total, dump);
    let mut acknowledged = 0;
    let mut larder = Some(larder);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        acknowledged = line.unwrap().parse().unwrap();
        if acknowledged == enough {
            larder.take().into_iter().for_each(Larder::kill);
        }
    }
    assert!(child.wait().unwrap().success(), "the client has stored all that it could");
    acknowledged
}

/// The same with our own socket.
fn store_by_socket(larder: Larder, packages: &[(String, &[u8])], enough: usize) -> usize {
    let acknowledged = AtomicUsize::new(0);
    let stream = std::net::TcpStream::connect(larder.address()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let replies = BufReader::new(&stream);
            let mut lines = replies.lines();
            for (name, stanza) in packages {
                let sent = (&stream).write_all(&client::set(name, 0, stanza)).is_ok();
                if !sent || !matches!(lines.next(), Some(Ok(line)) if line == "STORED") {
                    return;
                }
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
        });
        let reached = || (acknowledged.load(Ordering::Relaxed) >= enough).then_some(());
        crate::wait::until(std::time::Duration::from_secs(60), reached).expect("progress");
        larder.kill();
    });
    acknowledged.into_inner()
}

#[test]
fn every_acknowledged_package_is_there_after_a_kill() {
    let Some(apt_cache) = require("apt-cache") else { return };
    let dump = Command::new(apt_cache).arg("dumpavail").output().unwrap().stdout;
    let mut packages = packages(&dump);
    if !skips::long("packages beyond the first thousands") {
        packages.truncate(SHORT);
    }
    if packages.len() < 2 {
        return skips::skip("apt-cache dumpavail lists no packages");
    }
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, dump_file) = (folder.path().join("data"), folder.path().join("dump"));
    std::fs::write(&dump_file, &dump).unwrap();
    let python = python();
    if python.is_none() {
        skips::skip("pymemcache cannot be imported; an own client stands in");
    }
    let larder = Larder::start(&data_dir, &[]).unwrap();
    let enough = packages.len() / 2;
    let began = Instant::now();
    let acknowledged = match &python {
        Some(python) => store_by_script(python, larder, packages.len(), enough, &dump_file),
        None => store_by_socket(larder, &packages, enough),
    };
    let loaded = began.elapsed();
    assert!((enough..packages.len()).contains(&acknowledged), "killed in the middle: {acknowledged}");

    let began = Instant::now();
    let larder = Larder::start(&data_dir, &[]).unwrap();
    let started = began.elapsed();
    let mut client = Client::connect(larder.address());
    let mut bytes = 0;
    for (name, stanza) in packages.iter().take(acknowledged) {
        assert!(client.value(name).as_deref() == Some(*stanza), "{name} is not what was acknowledged");
        bytes += stanza.len();
    }
    // The other client has the same to say, of its own list.
    if let Some(python) = &python {
        let checked =
            script(python, "check", larder.address(), acknowledged, &dump_file).wait_with_output().unwrap();
        assert!(checked.status.success());
        assert_eq!(String::from_utf8_lossy(&checked.stdout).trim(), format!("{acknowledged} {bytes}"));
    }
    say(&format!(
        "real input by {}: {} packages, killed -9 after {acknowledged} acknowledged ({bytes} bytes, {loaded:.1?}); \
         started again in {started:.1?}; {acknowledged} of {acknowledged} read back byte for byte",
        if python.is_some() { "pymemcache" } else { "our own client" },
        packages.len()
    ));
}
