//! The clients that people use, each through its own suite of checks against a fresh server: before a kill -9, and
//! again when the server has started over the same data.
//!
//! `install` brings the clients, by the names of their packages; `suites` is the table of those that speak to the
//! server themselves; `sessions` are web applications that keep theirs in it; `proxies` stand before it, `monitors`
//! watch it. A suite is a script in the client's own language, called with `before` or `after`, a host and a port. It
//! prints `ok NAME` or `not ok NAME DETAIL` for every check, then `version WORDS`, then `N passed, M failed`.
//!
//! The table of docs/clients.md: `cargo test --test protocol-tests -- --nocapture clients::`.
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::Larder;
use crate::skips::{self, say};
use crate::wait;

mod monitors;
mod proxies;
mod sessions;
mod suites;

/// Longest run of one phase of a suite.
const PATIENCE: Duration = Duration::from_secs(300);
/// Debian's Go libraries.
const GO_PATH: &str = "/usr/share/gocode";

/// What runs a suite, and the package without which it cannot.
#[derive(Clone, Copy)]
enum Needs {
    Python(&'static str),
    Php(&'static str),
    Node(&'static str),
    Ruby(&'static str),
    Perl(&'static str),
    Go(&'static str),
    /// A shell, and this program.
    Shell(&'static str),
}

/// One client, or one way of using it.
struct Suite {
    /// As the table names it.
    client: &'static str,
    needs: Needs,
    /// Below this folder.
    script: &'static str,
    /// What the script is given behind host and port.
    words: &'static [&'static str],
    /// What the server is given.
    options: &'static [&'static str],
}

/// What a phase of a suite came to.
#[derive(Debug, PartialEq)]
struct Sum {
    version: String,
    passed: usize,
}

/// Where `install` puts what is not Debian's: `LARDER_CLIENTS`, else beside what cargo builds.
fn installed() -> PathBuf {
    let beside = || Path::new(env!("CARGO_BIN_EXE_larder")).ancestors().nth(2).unwrap().join("clients");
    std::env::var_os("LARDER_CLIENTS").map_or_else(beside, PathBuf::from)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol-tests/clients").join(name)
}

impl Needs {
    /// The program with what it is always told, ready for a script.
    fn command(self) -> Command {
        let folder = installed();
        match self {
            Needs::Python(_) => {
                let mut command = Command::new(folder.join("python/bin/python"));
                command.env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
            Needs::Php(extension) => {
                let mut command = Command::new("php");
                // With Debian's configuration both extensions load; these two settings are what a suite may rely on.
                command.args(["-d", "error_reporting=-1", "-d", "display_errors=stderr"]);
                command.env("LARDER_EXTENSION", extension);
                command
            }
            Needs::Node(_) => {
                let mut command = Command::new("node");
                command.env("NODE_PATH", folder.join("node/node_modules"));
                command
            }
            Needs::Ruby(_) => Command::new("ruby"),
            Needs::Perl(_) => Command::new("perl"),
            Needs::Go(_) => {
                let mut command = Command::new("go");
                command.arg("run").env("GO111MODULE", "off").env("GOPATH", GO_PATH);
                command.env("GOCACHE", folder.join("go")).env("GOFLAGS", "");
                command
            }
            Needs::Shell(_) => Command::new("bash"),
        }
    }

    /// Whether it can be used here.
    fn present(self) -> bool {
        let mut probe = self.command();
        match self {
            Needs::Python(module) => probe.args(["-c", &format!("import {module}")]),
            Needs::Php(extension) => {
                probe.args(["-r", &format!("exit((int)!extension_loaded('{extension}'));")])
            }
            Needs::Node(module) => probe.args(["-e", &format!("require('{module}')")]),
            Needs::Ruby(library) => probe.args(["-e", &format!("require '{library}'")]),
            Needs::Perl(module) => probe.args([&format!("-M{module}"), "-e", "1"]),
            Needs::Go(package) => {
                return skips::find("go").is_some() && Path::new(GO_PATH).join("src").join(package).is_dir();
            }
            Needs::Shell(program) => return skips::find(program).is_some(),
        };
        let quiet = probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    }

    /// What is missing when it cannot.
    fn package(self) -> &'static str {
        match self {
            Needs::Python(name) | Needs::Php(name) | Needs::Node(name) | Needs::Ruby(name) => name,
            Needs::Perl(name) | Needs::Go(name) | Needs::Shell(name) => name,
        }
    }
}

impl Suite {
    /// Both phases, and a line of the table.
    fn run(&self) {
        if !self.needs.present() {
            return skips::skip(&format!("{}: no {}", self.client, self.needs.package()));
        }
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("users");
        std::fs::write(&users, "ann:one\n").unwrap();
        let certificate = certificate(folder.path());
        let option = |word: &'static str| match word {
            "USERS" => users.to_str().unwrap(),
            "CERTIFICATE" => &certificate,
            word => word,
        };
        let options: Vec<&str> = self.options.iter().copied().map(option).collect();
        let larder = Larder::start(&folder.path().join("data"), &options).unwrap();
        let before = self.phase("before", larder.address(), folder.path());
        larder.kill();
        let larder = Larder::start(&folder.path().join("data"), &options).unwrap();
        let after = self.phase("after", larder.address(), folder.path());
        assert_eq!(before.version, after.version);
        let (passed, kept) = (before.passed, after.passed);
        let sums = format!("{passed}/{passed}, {kept}/{kept} after kill -9");
        say(&format!("client {:<32} {:<34} {sums}", self.client, before.version));
    }

    fn phase(&self, phase: &str, server: SocketAddr, folder: &Path) -> Sum {
        let mut command = self.needs.command();
        command.arg(script(self.script)).args([phase, &server.ip().to_string(), &server.port().to_string()]);
        command.args(self.words).current_dir(folder);
        let said = finished(command, folder);
        judged(&said).unwrap_or_else(|what| panic!("{} {phase}: {what}\n{said}", self.client))
    }
}

/// What `-o` is told of a server's certificate; its CA is put into this folder.
#[cfg(feature = "tls")]
fn certificate(folder: &Path) -> String {
    let authority = crate::tls::authority::Authority::serving();
    for name in ["ca.pem", "server.pem", "server.key"] {
        std::fs::copy(authority.path(name), folder.join(name)).unwrap();
    }
    let path = |name| folder.join(name).display().to_string();
    format!("ssl_chain_cert={},ssl_key={}", path("server.pem"), path("server.key"))
}

#[cfg(not(feature = "tls"))]
fn certificate(_: &Path) -> String {
    String::new()
}

/// Runs it to its end; what it said, and how it ended if not well.
fn finished(mut command: Command, folder: &Path) -> String {
    let file = folder.join("said");
    let said = File::create(&file).unwrap();
    command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let status = wait::until(PATIENCE, || child.try_wait().unwrap());
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
    match status {
        Some(status) if status.success() => text,
        Some(status) => format!("{text}\nended with {status}"),
        None => format!("{text}\ndid not end"),
    }
}

/// What a suite's lines come to: something passed, nothing failed, and it counted as we do.
fn judged(said: &str) -> Result<Sum, String> {
    let lines = || said.lines().map(str::trim_end);
    let failed: Vec<&str> = lines().filter(|line| line.starts_with("not ok")).collect();
    let passed = lines().filter(|line| line.starts_with("ok ")).count();
    let version = lines().find_map(|line| line.strip_prefix("version ")).ok_or("it names no version")?;
    if !failed.is_empty() {
        return Err(failed.join("\n"));
    }
    let last = lines().next_back().unwrap_or_default();
    if passed == 0 || last != format!("{passed} passed, 0 failed") {
        return Err(format!("{passed} checks passed, but it ends with {last:?}"));
    }
    Ok(Sum { version: version.to_owned(), passed })
}

#[test]
fn only_a_whole_run_without_a_failure_counts() {
    let sum = |version: &str, passed| Ok(Sum { version: version.into(), passed });
    assert_eq!(judged("ok a\nok b\nversion 1 x\n2 passed, 0 failed\n"), sum("1 x", 2));
    for bad in [
        "",
        "version 1\n0 passed, 0 failed\n",
        "ok a\nversion 1\n",
        "ok a\n1 passed, 0 failed\n",
        "ok a\nnot ok b\nversion 1\n1 passed, 1 failed\n",
        "ok a\nversion 1\n2 passed, 0 failed\n",
        "ok a\nversion 1\n1 passed, 0 failed\nended with exit status: 1",
        "ok a\nnot ok b\nversion 1\n1 passed, 0 failed\n",
    ] {
        assert!(judged(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn every_suite_has_its_script_and_every_script_its_suite() {
    let mut named: Vec<&str> = suites::ALL.iter().map(|suite| suite.script).collect();
    named.sort_unstable();
    named.dedup();
    let mut found = Vec::new();
    for language in std::fs::read_dir(script("")).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        for file in std::fs::read_dir(language.path()).unwrap().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.starts_with("with_") {
                found.push(format!("{}/{name}", language.file_name().display()));
            }
        }
    }
    found.sort_unstable();
    assert_eq!(found, named);
}

#[test]
fn the_page_has_a_row_for_every_client() {
    let page = include_str!("../../docs/clients.md");
    for suite in suites::ALL {
        assert!(page.contains(&format!("\n| {} | ", suite.client)), "{}", suite.client);
    }
    assert_eq!(page.matches(" | text | ").count() + page.matches(" | binary | ").count(), suites::ALL.len());
}
