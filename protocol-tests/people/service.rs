//! Larder as a service: the configuration file, readiness, the unit, the package's scripts.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::client::Client;
use crate::process::{Larder, binary, run_to_end};
use crate::skips::require;

const PATIENCE: Duration = Duration::from_secs(60);

fn contrib(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(name)
}

#[test]
fn a_server_runs_by_its_file_and_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("larder.toml");
    let data_dir = folder.path().join("data");
    let text =
        format!("port = -1\ngroups = 2\nfsync = \"always\"\ndata-dir = {:?}\nmemory-limit = 100\n", data_dir);
    fs::write(&file, &text).unwrap();
    let larder = Larder::launch(&["--config", file.to_str().unwrap(), "-m", "33"]).unwrap();
    assert_eq!(Client::connect(larder.address()).set("k", b"value"), "STORED");
    assert!(data_dir.join("larder.id").exists());
    let said = larder.said();
    let data_dir = data_dir.display().to_string();
    for wanted in [&data_dir, "2 groups", "fsync always", "memory 33 MB", &larder.address().to_string()] {
        assert!(said.contains(wanted), "{wanted} in {said}");
    }
    fs::write(&file, text + "memori-limit = 5\n").unwrap();
    let (code, said) = run_to_end(&["serve", "--config", file.to_str().unwrap()]);
    assert_eq!((code, said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("line 6") && said.contains("do you mean memory-limit?"), "{said}");
    let (code, said) = run_to_end(&["--config", "/no/such/file"]);
    assert!(code == Some(2) && said.contains("/no/such/file"), "{said}");
}

#[test]
fn the_service_manager_is_told_when_requests_are_answered_and_when_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = Command::new(binary());
    command.args(["-p", "-1", "--groups", "2", "--data-dir"]).arg(folder.path().join("data"));
    command.env("NOTIFY_SOCKET", folder.path().join("notify"));
    let larder = Larder::run(command).unwrap();
    let told = || {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert!(told().lines().any(|line| line == "READY=1"));
    let larder = larder.serving().unwrap();
    assert_eq!(Client::connect(larder.address()).set("k", b"value"), "STORED");
    larder.tell(Signal::SIGTERM);
    assert!(told().lines().any(|line| line == "STOPPING=1"));
    assert!(larder.end().unwrap().success());
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let Some(analyze) = require("systemd-analyze") else { return };
    let unit = fs::read_to_string(contrib("larder.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/bin/larder serve --config /etc/larder/larder.toml\n"));
    let folder = tempfile::tempdir().unwrap();
    let verify = |name: &str, unit: &str| {
        let path = folder.path().join(name);
        fs::write(&path, unit.replace("/usr/bin/larder", binary().to_str().unwrap())).unwrap();
        let output = Command::new(&analyze).arg("verify").arg(&path).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (good, said) = verify("larder.service", &unit);
    let about: Vec<&str> = said.lines().filter(|line| line.contains("larder.service")).collect();
    assert!(good && about.is_empty(), "{said}");
    // And it does look.
    let (_, said) = verify("wrong.service", &unit.replace("Type=notify", "Type=notifi\nNoSuchThing=1"));
    assert!(said.contains("NoSuchThing") || said.contains("notifi"), "{said}");
}

#[test]
fn the_packages_scripts_are_scripts() {
    let Some(sh) = require("sh") else { return };
    for name in ["postinst", "prerm", "postrm"] {
        let path = contrib("debian").join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("#DEBHELPER#") && text.contains("set -e"), "{name}");
        assert!(fs::metadata(&path).unwrap().permissions().mode() & 0o111 != 0, "{name} can be run");
        let checked = Command::new(&sh).arg("-n").arg(&path).status().unwrap();
        assert!(checked.success(), "{name}");
    }
}

#[test]
fn the_containers_check_needs_no_name_and_sees_that_nobody_listens() {
    let Some(_) = require("bash") else { return };
    let text = fs::read_to_string(contrib("Dockerfile")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("HEALTHCHECK CMD ")).expect("a check");
    let passes = |port: u16| {
        let words: Vec<String> = serde_json::from_str(&line.replace("11211", &port.to_string())).unwrap();
        let mut check = Command::new(&words[0]);
        check.args(&words[1..]).stderr(std::process::Stdio::null()).status().unwrap().success()
    };
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    fs::write(&users, "ann:one\n").unwrap();
    let asks = ["-p", "-1", "-U", "0", "--memory-only", "-Y", users.to_str().unwrap()];
    let larder = Larder::launch(&asks).unwrap();
    let port = larder.address().port();
    assert!(passes(port), "{line}");
    larder.kill();
    assert!(!passes(port), "{line}");
}
