//! Several real servers on loopback: any of them answers for any key, and what happens when one fails.
//!
//! `placed`: who has what, by clients that know nothing and by one that knows; `death`: a server is killed under load;
//! `faults`: a server that misbehaves, played by the test; `maps`: maps that change, and maps that differ; `follows`: a
//! client that goes by them; `reads`: many keys at once; `moved`: such reads while maps change; `transcripts`: the whole contract on the wire, asked of a server
//! that has none of the keys.
mod death;
mod faults;
mod follows;
mod keys;
mod maps;
mod moved;
mod placed;
mod reads;
mod slow_readers;
mod target;
mod transcripts;

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use larder::route::topology::{self, Topology};

use crate::client::Client;
use crate::datagrams::Sender;
use crate::frames;
use crate::process::Larder;
use crate::wait;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
/// What the servers share.
const SECRET: &str = "a secret of many bytes";
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A map, a secret, and a server for each part of the map.
struct Cluster {
    folder: tempfile::TempDir,
    map: Topology,
    servers: Vec<Option<Larder>>,
}

/// Ends what runs beside a test when that goes on, also when it fails.
struct EndsWithTest<'a>(&'a AtomicBool);

impl Drop for EndsWithTest<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// So many ports that are free now.
fn ports(host: IpAddr, count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind((host, 0)).unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// A map of servers 1, 2 ... at these addresses, for clients and for each other.
fn map_text(groups: u16, servers: &[(SocketAddr, SocketAddr)], ranges: &[(&str, u16)]) -> String {
    let mut text = format!(
        "version = 1\ncluster = \"shop\"\ngroups = {groups}\nhash = \"larder\"\nhash-tag = \"braces\"\n"
    );
    for (id, (client, peer)) in (1..).zip(servers) {
        let _ = write!(text, "[[server]]\nid = {id}\nclient = \"{client}\"\npeer = \"{peer}\"\n");
    }
    for (groups, id) in ranges {
        let _ = write!(text, "[[range]]\ngroups = \"{groups}\"\nservers = [{id}]\n");
    }
    text
}

impl Cluster {
    /// Three servers.
    fn start() -> Cluster {
        Cluster::of(16, &[("0-5", 1), ("6-10", 2), ("11-15", 3)], &[])
    }

    /// Three servers that have these groups. The test itself plays those whose address is given here.
    fn of(groups: u16, ranges: &[(&str, u16)], played: &[(usize, SocketAddr)]) -> Cluster {
        let ports = ports(LOOPBACK, 6);
        let at = |id: usize| (SocketAddr::new(LOOPBACK, ports[id]), SocketAddr::new(LOOPBACK, ports[id + 3]));
        let mut servers = [at(0), at(1), at(2)];
        for (id, peer) in played {
            servers[*id].1 = *peer;
        }
        let folder = tempfile::tempdir().unwrap();
        let text = map_text(groups, &servers, ranges);
        fs::write(folder.path().join("cluster.toml"), &text).unwrap();
        fs::write(folder.path().join("secret"), SECRET).unwrap();
        let map = topology::read(&text).unwrap().topology;
        let mut cluster = Cluster { folder, map, servers: vec![None, None, None] };
        let is_played = |at: &usize| played.iter().any(|(id, _)| id == at);
        (0..3).filter(|at| !is_played(at)).for_each(|at| cluster.begin(at));
        cluster
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a server.
    fn begin(&mut self, at: usize) {
        self.begin_with(at, "secret");
    }

    /// Starts a server with the secret of this file.
    fn begin_with(&mut self, at: usize, secret: &str) {
        let [map, secret, data] = ["cluster.toml", secret, &format!("data{at}")].map(|name| self.path(name));
        let id = (at + 1).to_string();
        let words = [
            "--cluster",
            map.to_str().unwrap(),
            "--server-id",
            &id,
            "--peer-secret-file",
            secret.to_str().unwrap(),
            "--data-dir",
            data.to_str().unwrap(),
            "--log-size",
            "64m",
            "-t",
            "2",
            "-U",
            "-1",
        ];
        self.servers[at] = Some(Larder::launch(&words).unwrap());
    }

    fn kill(&mut self, at: usize) {
        self.servers[at].take().unwrap().kill();
    }

    fn address(&self, at: usize) -> SocketAddr {
        SocketAddr::new(LOOPBACK, self.map.servers()[at].client.port())
    }

    fn client(&self, at: usize) -> Client {
        Client::connect(self.address(at))
    }

    /// The server of a key, from 0.
    fn home(&self, key: &str) -> usize {
        let group = self.map.placement().group(key.as_bytes());
        usize::from(self.map.coordinator(group).unwrap().id.get()) - 1
    }

    /// So many keys of a server.
    fn keys_of(&self, at: usize, count: usize) -> Vec<String> {
        (0..).map(|n| format!("k{n}")).filter(|key| self.home(key) == at).take(count).collect()
    }
}

#[test]
fn a_server_that_dies_spoils_only_its_own() {
    let mut cluster = Cluster::start();
    let mut one = cluster.client(0);
    let (lost, kept) = (&cluster.keys_of(1, 1)[0], &cluster.keys_of(2, 1)[0]);
    assert_eq!([one.set(lost, b"1"), one.set(kept, b"1")], ["STORED", "STORED"]);
    cluster.kill(1);
    let mut error = one.ask(format!("get {lost}\r\n"));
    if error.starts_with("SERVER_ERROR outcome unknown") {
        error = one.ask(format!("get {lost}\r\n"));
    }
    assert!(
        error.starts_with("SERVER_ERROR group ") && error.ends_with("is on server 2, which is down"),
        "{error}"
    );
    // A read of many does not pretend that they are misses.
    assert_eq!(one.get(std::slice::from_ref(kept)).len(), 1);
    one.send(format!("get {kept} {lost} {kept}\r\nset {lost} 0 0 1 noreply\r\nx\r\nmg {lost} v q\r\nmn\r\n"));
    for expected in ["VALUE", "1", "VALUE", "1", "SERVER_ERROR group", "SERVER_ERROR group", "MN"] {
        let line = one.line();
        assert!(line.starts_with(expected), "{expected}: {line}");
    }
    frames_are_told_by_frames(&cluster, lost, kept);
    assert!(one.ask("flush_all\r\n").starts_with("SERVER_ERROR server 2"), "not all have flushed");
    cluster.begin(1);
    let back = wait::until(PATIENCE, || {
        Some(one.ask(format!("mg {lost} v\r\n"))).filter(|line| !line.starts_with("SERVER"))
    });
    assert_eq!(back.as_deref(), Some("VA 1"), "what it had is there");
    assert_eq!(one.line(), "1\r\n");
    assert_eq!(one.ask("flush_all\r\n"), "OK");
    assert_eq!(one.ask(format!("get {lost} {kept}\r\n")), "END");
}

#[test]
fn datagrams_are_answered_for_any_key() {
    let mut cluster = Cluster::start();
    let senders: Vec<Sender> =
        cluster.servers.iter().map(|server| Sender::to(server.as_ref().unwrap().udp_address())).collect();
    let keys: Vec<String> = (0..30).map(|number| format!("key{number}")).collect();
    for (number, key) in keys.iter().enumerate() {
        let request = format!("set {key} 0 0 {}\r\n{key}\r\n", key.len());
        assert_eq!(senders[number % 3].ask(number as u16, request), b"STORED\r\n", "{key}");
    }
    let values: String = keys.iter().map(|key| format!("VALUE {key} 0 {}\r\n{key}\r\n", key.len())).collect();
    for sender in &senders {
        let reply = sender.ask(9, format!("get {}\r\n", keys.join(" ")));
        assert_eq!(String::from_utf8(reply).unwrap(), values.clone() + "END\r\n");
    }
    let of_two = &cluster.keys_of(1, 1)[0];
    cluster.kill(1);
    let reply = senders[0].ask(9, format!("get {of_two}\r\n"));
    assert!(reply.starts_with(b"SERVER_ERROR "), "{}", reply.escape_ascii());
}

/// While server 2 is down, a client of the binary protocol at server 3 is told which of its requests failed, quiet ones
/// too, and everything in order.
fn frames_are_told_by_frames(cluster: &Cluster, lost: &str, kept: &str) {
    let mut client = frames::Client::connect(cluster.address(2));
    let frame = |opcode, opaque, key: &str, extras: &[u8], value: &str| frames::Frame {
        opcode,
        opaque,
        key: key.into(),
        extras: extras.into(),
        value: value.into(),
        cas: 0,
    };
    // What is waited for first is given up as one: from then on the server counts as down here, too.
    client.send(&frame(0x00, 1, lost, &[], "").bytes());
    assert_eq!(client.receive().unwrap().opaque, 1);
    let pipeline = [
        frame(0x09, 2, kept, &[], ""),
        frame(0x11, 3, lost, &[0; 8], "x"),
        frame(0x11, 4, kept, &[0; 8], "y"),
        frame(0x0d, 5, lost, &[], ""),
        frame(0x1d, 6, lost, &[0; 4], ""),
        frame(0x00, 7, kept, &[], ""),
        frame(0x18, 8, "", &[], ""),
        frame(0x08, 9, "", &[], ""),
        frame(0x0a, 10, "", &[], ""),
    ];
    client.send(&pipeline.iter().flat_map(frames::Frame::bytes).collect::<Vec<u8>>());
    let group = cluster.map.placement().group(lost.as_bytes());
    let down = format!("SERVER_ERROR group {group} is on server 2, which is down");
    let flushed = "SERVER_ERROR server 2 is down";
    for (opaque, status, body) in [
        (2, 0, "\\x00\\x00\\x00\\x001"),
        (3, 0x86, &*down),
        (5, 0x86, &*down),
        (6, 0x86, &*down),
        (7, 0, "\\x00\\x00\\x00\\x00y"),
        (8, 0x86, flushed),
        (9, 0x86, flushed),
        (10, 0, ""),
    ] {
        let answer = client.receive().unwrap();
        assert_eq!((answer.opaque, answer.status, &*answer.body), (opaque, status, body));
        let asked = pipeline.iter().find(|frame| frame.opaque == opaque).unwrap();
        assert_eq!(answer.opcode, asked.opcode);
    }
}

#[test]
fn a_cluster_is_shown_and_its_maps_are_judged() {
    let cluster = Cluster::start();
    let mut one = cluster.client(0);
    let key = (0..).map(|n| format!("{{shop:u{n}}}")).find(|key| cluster.home(key) == 2).unwrap();
    for name in ["c", "a", "b"] {
        assert_eq!(one.set(&format!("{key}{name}"), b"1"), "STORED");
    }
    assert_eq!(
        one.lines(format!("keys {key} 2\r\n"), "END\r\n")[..2],
        [format!("KEY {key}a\r\n"), format!("KEY {key}b\r\n")]
    );
    assert_eq!(
        one.lines(format!("keys {key} 9 {key}b\r\n"), "END\r\n"),
        [format!("KEY {key}c\r\n"), "END\r\n".into()]
    );
    assert!(one.ask("keys plain\r\n").starts_with("CLIENT_ERROR"));
    let route = one.lines(format!("route {key}\r\n"), "END\r\n").concat();
    assert!(route.contains("SERVER 3 client 127.0.0.1:"), "{route}");
    assert!(one.lines("cluster map\r\n", "END\r\n").concat().contains("CLUSTER shop version 1 groups 16"));
    for (question, head) in [
        ("config get cluster", "CONFIG cluster 0 "),
        ("get AmazonElastiCache:cluster", "VALUE AmazonElastiCache:cluster 0 "),
    ] {
        let lines = one.lines(format!("{question}\r\n"), "END\r\n");
        assert!(lines[0].starts_with(head) && lines[1] == "1\n", "{lines:?}");
        assert_eq!(lines[2].split(' ').count(), 3, "{lines:?}");
    }
    // A map that takes a group with data away is refused, and so is another map of the same version.
    let path = cluster.path("cluster.toml");
    let text = fs::read_to_string(&path).unwrap();
    let mine = (0..).map(|n| format!("k{n}")).find(|key| cluster.home(key) == 0).unwrap();
    assert_eq!(one.set(&mine, b"1"), "STORED");
    let taken = text.replace("groups = \"0-5\"\nservers = [1]", "groups = \"0-5\"\nservers = [3]");
    fs::write(&path, &taken).unwrap();
    let refusal = one.ask("cluster reload\r\n");
    assert!(
        refusal.starts_with("SERVER_ERROR the old map stays") && refusal.contains("write version = 2"),
        "{refusal}"
    );
    fs::write(&path, taken.replace("version = 1", "version = 2")).unwrap();
    let refusal = one.ask("cluster reload\r\n");
    assert!(refusal.contains("which still holds its data"), "{refusal}");
    assert_eq!(one.set(&mine, b"2"), "STORED", "where the old map stays, writes go on");
    fs::write(&path, text.replace("version = 1", "version = 2")).unwrap();
    assert_eq!(one.ask("cluster reload\r\n"), "OK map version 2 is in force");
    assert_eq!(one.ask("cluster reload\r\n"), "OK map version 2 is in force already");
    assert_eq!(
        one.get(&[format!("{key}a")]).len(),
        1,
        "a server with the older map still answers for its own"
    );
}
