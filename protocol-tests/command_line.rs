//! The command line from outside: what a start does, what it refuses and with which words, and how it ends.
use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::client::Client;
use crate::process::{self, Larder, run_to_end};
use crate::skips;
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(60);

/// Everything below a directory: path to permissions, size and a hash of the content.
fn listing(root: &Path) -> BTreeMap<String, (u32, u64, u64)> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(path) = open.pop() {
        let facts = fs::symlink_metadata(&path).unwrap();
        let mut hasher = DefaultHasher::new();
        if facts.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            fs::read(&path).unwrap_or_default().hash(&mut hasher);
        }
        let size = if facts.is_dir() { 0 } else { facts.len() };
        found.insert(path.display().to_string(), (facts.mode(), size, hasher.finish()));
    }
    found
}

/// Starts over a data directory that must be refused: in one line that says `words`, and nothing in it changes.
fn refused(data_dir: &Path, options: &[&str], words: &[&str]) {
    let before = listing(data_dir);
    let path = data_dir.to_str().unwrap();
    let (code, said) = run_to_end(&[&["-p", "-1", "--data-dir", path], options].concat());
    let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with('[')).collect();
    assert_eq!(code, Some(3), "{options:?}: {said}");
    assert_eq!(lines.len(), 1, "one line: {said}");
    assert!(lines[0].starts_with("larder: "), "{said}");
    for word in words {
        assert!(lines[0].contains(word), "{word:?} in {said}");
    }
    assert_eq!(before, listing(data_dir), "nothing is changed");
}

/// A data directory with one item in it, of a server that has ended.
fn made(data_dir: &Path, options: &[&str]) {
    let larder = Larder::start(data_dir, options).unwrap();
    assert_eq!(Client::connect(larder.address()).set("k", b"value"), "STORED");
    assert!(larder.signal(Signal::SIGTERM).unwrap().success());
}

#[test]
fn a_data_directory_that_cannot_be_used_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);

    fs::create_dir(path("strange")).unwrap();
    fs::write(path("strange").join("thesis.txt"), "years of work").unwrap();
    refused(&path("strange"), &[], &["not a data directory", "thesis.txt", "--data-dir"]);

    fs::write(path("file"), "not a directory").unwrap();
    refused(&path("file"), &[], &["not a directory"]);

    made(&path("ours"), &["--groups", "4"]);
    refused(&path("ours"), &["--groups", "8"], &["--groups 4", "not 8"]);
    refused(&path("ours"), &["--hash", "fastdht"], &["--hash larder", "not fastdht"]);
    refused(&path("ours"), &["--hash-tag", "none"], &["--hash-tag braces", "not none"]);

    let identity = path("ours").join("larder.id");
    let intact = fs::read(&identity).unwrap();
    let mut newer = intact.clone();
    newer[12] += 1;
    let checksum = crc32c(&newer[12..]);
    newer[8..12].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&identity, &newer).unwrap();
    refused(&path("ours"), &[], &["format 3", "newer"]);

    let mut damaged = intact.clone();
    damaged[20] ^= 1;
    fs::write(&identity, &damaged).unwrap();
    refused(&path("ours"), &[], &["larder.id", "damaged"]);

    fs::write(&identity, &intact).unwrap();
    let larder = Larder::start(&path("ours"), &[]).unwrap();
    assert_eq!(Client::connect(larder.address()).value("k").as_deref(), Some(&b"value"[..]));
}

/// CRC-32C bit by bit: the checksum that the identity carries.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[test]
fn one_process_uses_a_data_directory_and_the_next_waits_a_moment() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let path = data_dir.to_str().unwrap();
    let first = Larder::start(&data_dir, &[]).unwrap();
    let (code, said) = run_to_end(&["-p", "-1", "--data-dir", path]);
    assert!(code == Some(3) && said.contains("another process uses this data directory"), "{said}");
    assert_eq!(Client::connect(first.address()).set("k", b"value"), "STORED");

    // A supervisor may start the next before the kernel has taken everything from the killed one.
    let lock = fs::File::open(data_dir.join("larder.lock")).unwrap();
    first.kill();
    lock.lock().unwrap();
    refused(&data_dir, &[], &["another process", "--data-dir"]);
    let next = Larder::spawn(&["-p", "-1", "--data-dir", path]).unwrap();
    wait::until(PATIENCE, || next.said().contains("waiting a moment").then_some(())).expect("it waits");
    drop(lock);
    let next = next.serving().unwrap();
    assert_eq!(Client::connect(next.address()).value("k").as_deref(), Some(&b"value"[..]));
}

#[test]
fn what_is_kept_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    made(&data_dir, &["--groups", "2"]);
    for (path, (mode, ..)) in listing(&data_dir) {
        let wanted = if Path::new(&path).is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode & 0o777, wanted, "{path}");
    }
}

#[test]
fn bad_flags_are_refused_in_one_line() {
    let rows: &[(&[&str], &str)] = &[
        (&["--fooble"], "--fooble"),
        (&["-c", "0"], "-c 0"),
        (&["-c", "-1"], "-c -1"),
        (&["-t", "0"], "-t 0"),
        (&["-p", "70000"], "-p 70000"),
        (&["-p", "x"], "-p x"),
        (&["-I", "1023"], "-I 1023"),
        (&["-I", "2g"], "-I 2g"),
        (&["-m", "0"], "-m 0"),
        (&["-B", "http"], "-B http"),
        (&["-U", "70000"], "-U 70000"),
        (&["--fsync", "sometimes"], "--fsync sometimes"),
        (&["--groups", "0"], "--groups 0"),
        (&["--groups", "5000"], "--groups 5000"),
        (&["-p"], "-p"),
        (&["-o", "fooble"], "-o fooble"),
        (&["-o", "hash_algorithm=foo"], "-o hash_algorithm=foo"),
        (&["-f", "0.5"], "-f 0.5"),
        (&["-n", "0"], "-n 0"),
    ];
    for (options, word) in rows {
        let (code, said) = run_to_end(options);
        assert_eq!((code, said.lines().count()), (Some(2), 1), "{options:?}: {said}");
        assert!(said.contains(word), "{word:?} in {said}");
    }
}

#[test]
fn an_address_that_is_not_ours_is_refused_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let path = data_dir.to_str().unwrap();
    for listen in ["fooble", "192.0.2.1", "300.1.1.1"] {
        let (code, said) = run_to_end(&["-p", "-1", "-l", listen, "--data-dir", path]);
        let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with('[')).collect();
        assert!(code.is_some_and(|code| code != 0), "{said}");
        assert!(lines.len() == 1 && lines[0].contains(listen), "{said}");
        assert!(!data_dir.exists());
    }
    let larder = Larder::start(&data_dir, &[]).unwrap();
    let port = larder.address().port().to_string();
    let other = folder.path().join("other");
    let (code, said) = run_to_end(&["-p", &port, "--data-dir", other.to_str().unwrap()]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("cannot listen on") && said.contains(&port), "{said}");
}

#[test]
fn version_and_help_begin_as_memcached() {
    for option in ["-V", "--version", "-h", "--help"] {
        let (code, said) = run_to_end(&[option]);
        assert_eq!(code, Some(0));
        let first = said.lines().next().unwrap_or_default();
        assert!(first.starts_with("memcached 1.6.45 (larder "), "{option}: {said}");
    }
    for option in ["-i", "--license"] {
        let (code, said) = run_to_end(&[option]);
        assert_eq!(code, Some(0));
        assert!(said.starts_with("memcached 1.6.45 (larder "), "{option}: {said}");
        assert!(said.contains("MIT") && said.contains("Apache"), "{option}: {said}");
    }
    let (_, help) = run_to_end(&["-h"]);
    for flag in [
        "--port",
        "--data-dir",
        "--fsync",
        "--memory-only",
        "--log-size",
        "--groups",
        "larder COMMAND --help",
    ] {
        assert!(help.contains(flag), "{flag}");
    }
}

#[test]
fn several_addresses_have_a_port_each() {
    let folder = tempfile::tempdir().unwrap();
    let larder =
        Larder::start(&folder.path().join("data"), &["-l", "127.0.0.1,127.0.0.2", "-l", "127.0.0.3"])
            .unwrap();
    assert_eq!(larder.ports().len(), 3);
    for (port, host) in larder.ports().iter().zip(1..) {
        let mut client = Client::connect(([127, 0, 0, host], *port).into());
        assert_eq!(client.ask("version\r\n"), "VERSION 1.6.45");
    }
}

#[test]
fn a_unix_socket_stands_in_for_tcp() {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, socket) = (folder.path().join("data"), folder.path().join("socket"));
    // A stale one: nobody listens on it any more.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let words =
        ["-p", "0", "-s", socket.to_str().unwrap(), "-a", "660", "--data-dir", data_dir.to_str().unwrap()];
    let larder = Larder::launch(&words).unwrap();
    assert!(larder.ports().is_empty(), "no TCP");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(b"set k 0 0 5\r\nvalue\r\nget k\r\nquit\r\n").unwrap();
    let said: Vec<String> = BufReader::new(stream).lines().map(Result::unwrap).collect();
    assert_eq!(said, ["STORED", "VALUE k 0 5", "value", "END"]);

    // Somebody listens on it: another must not take it away, nor leave one behind when it is refused.
    let other = folder.path().join("other").display().to_string();
    let (code, said) = run_to_end(&["-s", socket.to_str().unwrap(), "--data-dir", &other]);
    assert!(code == Some(3) && said.contains("cannot listen"), "{said}");
    let second = folder.path().join("second");
    let (code, said) =
        run_to_end(&["-s", second.to_str().unwrap(), "--data-dir", data_dir.to_str().unwrap()]);
    assert!(code == Some(3) && said.contains("another process"), "{said}");
    assert!(!second.exists(), "a refused start leaves no socket");
    assert!(UnixStream::connect(&socket).is_ok());

    assert!(larder.signal(Signal::SIGTERM).unwrap().success());
    assert!(!socket.exists(), "removed at the end");
}

#[test]
fn signals_end_it_with_a_checkpoint_and_nothing_is_replayed() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1] {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let larder = Larder::start(&data_dir, &[]).unwrap();
        let mut client = Client::connect(larder.address());
        for number in 0..500 {
            assert_eq!(client.set(&format!("key{number}"), b"value"), "STORED");
        }
        assert_eq!(larder.signal(signal).unwrap().code(), Some(0), "{signal}");
        let larder = Larder::start(&data_dir, &[]).unwrap();
        let mut client = Client::connect(larder.address());
        for number in 0..500 {
            assert_eq!(client.value(&format!("key{number}")).as_deref(), Some(&b"value"[..]), "{signal}");
        }
        let said = larder.said();
        assert!(said.contains("64 groups with 500 items opened"), "{signal}: {said}");
        assert!(said.contains(" 0 applied,"), "{signal}: {said}");
    }
}

#[test]
fn the_shutdown_command_needs_a() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let larder = Larder::start(&data_dir, &[]).unwrap();
    let mut client = Client::connect(larder.address());
    assert_eq!(client.ask("shutdown\r\n"), "SERVER_ERROR: shutdown not enabled");
    assert_eq!(client.set("k", b"value"), "STORED");
    drop(larder);
    let larder = Larder::start(&data_dir, &["-A"]).unwrap();
    Client::connect(larder.address()).send("shutdown\r\n");
    assert_eq!(larder.end().unwrap().code(), Some(0));
    let larder = Larder::start(&data_dir, &[]).unwrap();
    assert_eq!(Client::connect(larder.address()).value("k").as_deref(), Some(&b"value"[..]));
    assert!(larder.said().contains(" 0 applied,"), "{}", larder.said());
}

#[test]
fn the_users_are_read_again_on_hup() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    fs::write(&users, "ann:one\n").unwrap();
    let larder = Larder::start(&folder.path().join("data"), &["-Y", users.to_str().unwrap()]).unwrap();
    let enter = |who: &str| {
        let mut client = Client::connect(larder.address());
        client.ask(format!("set a 0 0 {}\r\n{who}\r\n", who.len()))
    };
    assert_eq!(Client::connect(larder.address()).ask("get k\r\n"), "CLIENT_ERROR unauthenticated");
    assert_eq!(
        (enter("ann one").as_str(), enter("bob two").as_str()),
        ("STORED", "CLIENT_ERROR authentication failure")
    );
    fs::write(&users, "bob:two\n").unwrap();
    larder.tell(Signal::SIGHUP);
    wait::until(PATIENCE, || (enter("bob two") == "STORED").then_some(())).expect("the new user may enter");
    assert_eq!(enter("ann one"), "CLIENT_ERROR authentication failure");
    // A file that cannot be understood changes nothing.
    fs::write(&users, "no colon\n").unwrap();
    larder.tell(Signal::SIGHUP);
    wait::until(PATIENCE, || larder.said().contains("stay as they were").then_some(())).expect("it is told");
    assert_eq!(enter("bob two"), "STORED");
}

/// A process that is nobody's child; killed when dropped.
struct Daemon(nix::unistd::Pid);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(self.0, Signal::SIGKILL);
    }
}

#[test]
fn a_daemon_leaves_terminal_and_directory_and_writes_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let (port_file, pid_file) = (folder.path().join("port"), folder.path().join("pid"));
    let status = Command::new(process::binary())
        .args(["-d", "-p", "-1", "-P", "pid", "--data-dir", "data", "--groups", "2"])
        .current_dir(folder.path())
        .env("MEMCACHED_PORT_FILENAME", &port_file)
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let read = |path: &Path| fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'));
    let pid: i32 = wait::until(PATIENCE, || read(&pid_file)).expect("a pid file").trim().parse().unwrap();
    let daemon = Daemon(nix::unistd::Pid::from_raw(pid));
    let port = read(&port_file).expect("a port file").trim().rsplit(' ').next().unwrap().parse().unwrap();
    let mut client = Client::connect(([127, 0, 0, 1], port).into());
    assert_eq!(client.set("k", b"value"), "STORED");
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), Path::new("/"));
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let session: i32 = stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap().parse().unwrap();
    assert_eq!(session, pid, "a session of its own");
    assert!(folder.path().join("data/larder.id").exists(), "where it was started");
    nix::sys::signal::kill(daemon.0, Signal::SIGTERM).unwrap();
    wait::until(PATIENCE, || (!pid_file.exists()).then_some(())).expect("the pid file goes with it");
    let is_gone = || (!Path::new(&format!("/proc/{pid}/exe")).exists()).then_some(());
    wait::until(PATIENCE, is_gone).expect("it ends");
}

#[test]
fn root_becomes_the_user_it_is_told() {
    if !nix::unistd::Uid::effective().is_root() {
        return skips::skip("-u NAME: only root can become another user");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let data_dir = folder.path().join("data");
    fs::create_dir(&data_dir).unwrap();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().expect("a user nobody");
    nix::unistd::chown(&data_dir, Some(nobody.uid), Some(nobody.gid)).unwrap();
    let port_file = folder.path().join("port");
    let mut child = Command::new(process::binary())
        .args(["-u", "nobody", "-p", "-1", "--data-dir"])
        .arg(&data_dir)
        .env("MEMCACHED_PORT_FILENAME", &port_file)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = wait::until(PATIENCE, || port_file.exists().then_some(()));
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let _ = child.kill();
    let _ = child.wait();
    started.expect("it starts");
    for field in ["Uid", "Gid"] {
        let id = if field == "Uid" { nobody.uid.as_raw() } else { nobody.gid.as_raw() };
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(":\t")).unwrap();
        assert_eq!(
            line,
            [id.to_string(), id.to_string(), id.to_string(), id.to_string()].join("\t"),
            "{field}"
        );
    }
    assert_eq!(fs::metadata(data_dir.join("larder.id")).unwrap().uid(), nobody.uid.as_raw());
    let (code, said) = run_to_end(&["-u", "no-such-user", "--data-dir", data_dir.to_str().unwrap()]);
    assert!(code == Some(3) && said.contains("-u no-such-user"), "{said}");
}

/// A small file system in memory; gone when dropped. Only root can have one.
pub(crate) struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    pub(crate) fn mount(path: &'a Path, options: &str) -> Option<SmallDisk<'a>> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "larder-test"]).arg(path).stderr(Stdio::null());
        let works =
            nix::unistd::Uid::effective().is_root() && mount.status().is_ok_and(|status| status.success());
        if !works {
            skips::skip("a small file system of its own: cannot mount one here");
        }
        works.then_some(SmallDisk(path))
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &options]).arg(self.0).status().unwrap().success());
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_or_read_only_disk_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    fs::create_dir(&path).unwrap();
    let Some(disk) = SmallDisk::mount(&path, "size=48m") else { return };
    let data_dir = path.join("data");
    let small = ["--groups", "2", "--log-size", "16m"];
    made(&data_dir, &small);

    disk.remount("ro");
    refused(&data_dir, &small, &["Read-only file system", "write there"]);
    disk.remount("rw");

    let filling = path.join("filling");
    let piece = vec![1; 1 << 16];
    let mut file = fs::File::create(&filling).unwrap();
    while file.write_all(&piece).is_ok() {}
    drop(file);
    let new = path.join("new");
    let (code, said) = run_to_end(&["-p", "-1", "--data-dir", new.to_str().unwrap()]);
    let lines = said.lines().filter(|line| !line.starts_with('[')).count();
    assert_eq!((code, lines), (Some(3), 1), "{said}");
    assert!(said.contains("No space left"), "{said}");

    fs::remove_file(&filling).unwrap();
    let larder = Larder::start(&data_dir, &small).unwrap();
    assert_eq!(Client::connect(larder.address()).value("k").as_deref(), Some(&b"value"[..]));
    drop(larder);
    drop(disk);
}
