//! Three real servers on loopback: any of them answers for any key, and one of them dies.
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use larder::client;
use larder::route::topology::{self, Topology};

use crate::client::{Client, set};
use crate::datagrams::Sender;
use crate::process::Larder;
use crate::wait;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// A map, a secret, and a server for each part of the map.
struct Cluster {
    folder: tempfile::TempDir,
    map: Topology,
    servers: Vec<Option<Larder>>,
}

/// So many ports that are free now.
fn ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

impl Cluster {
    fn start() -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let ports = ports(6);
        let mut text =
            "version = 1\ncluster = \"shop\"\ngroups = 16\nhash = \"larder\"\nhash-tag = \"braces\"\n"
                .to_owned();
        for id in 1..=3 {
            let (client, peer) = (ports[id - 1], ports[id + 2]);
            text += &format!(
                "[[server]]\nid = {id}\nclient = \"127.0.0.1:{client}\"\npeer = \"127.0.0.1:{peer}\"\n"
            );
        }
        for (groups, id) in [("0-5", 1), ("6-10", 2), ("11-15", 3)] {
            text += &format!("[[range]]\ngroups = \"{groups}\"\nservers = [{id}]\n");
        }
        fs::write(folder.path().join("cluster.toml"), &text).unwrap();
        fs::write(folder.path().join("secret"), "a secret of many bytes\n").unwrap();
        let map = topology::read(&text).unwrap().topology;
        let mut cluster = Cluster { folder, map, servers: vec![None, None, None] };
        (0..3).for_each(|at| cluster.begin(at));
        cluster
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn begin(&mut self, at: usize) {
        let [map, secret, data] =
            ["cluster.toml", "secret", &format!("data{at}")].map(|name| self.path(name));
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

    fn client(&self, at: usize) -> Client {
        Client::connect(SocketAddr::from(([127, 0, 0, 1], self.map.servers()[at].client.port())))
    }

    /// The server of a key, from 0.
    fn home(&self, key: &str) -> usize {
        let group = self.map.placement().group(key.as_bytes());
        usize::from(self.map.coordinator(group).unwrap().id.get()) - 1
    }
}

fn items(client: &mut Client) -> usize {
    let lines = client.lines("stats\r\n", "END\r\n");
    let line = lines.iter().find_map(|line| line.strip_prefix("STAT curr_items ")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn any_server_answers_for_any_key_and_one_that_dies_spoils_only_its_own() {
    let mut cluster = Cluster::start();
    let count = if std::env::var_os("LARDER_LONG").is_some() { 100_000 } else { 2_000 };
    let keys: Vec<String> = (0..count).map(|number| format!("key{number}")).collect();
    let mut one = cluster.client(0);
    for some in keys.chunks(200) {
        let text: Vec<u8> = some.iter().flat_map(|key| set(key, 0, key.as_bytes())).collect();
        one.send(text);
        some.iter().for_each(|key| assert_eq!(one.line(), "STORED\r\n", "{key}"));
    }
    for at in 0..3 {
        let mut client = cluster.client(at);
        for some in keys.chunks(500) {
            let expected: Vec<_> = some.iter().map(|key| (key.clone(), key.clone().into_bytes())).collect();
            assert_eq!(client.get(some), expected, "through server {}, in order", at + 1);
        }
        let own = keys.iter().filter(|key| cluster.home(key) == at).count();
        assert_eq!(items(&mut client), own, "server {} has what the map says", at + 1);
    }
    let direct = client::Client::cluster(cluster.map.clone(), client::Options::default());
    for key in keys.iter().take(300) {
        assert_eq!(&*direct.get(key).unwrap().unwrap().bytes, key.as_bytes());
    }

    // Server 2 dies: its keys are errors, everything else goes on; a read of many does not pretend that they are misses.
    cluster.kill(1);
    let [lost, kept] =
        [true, false].map(|is_lost| keys.iter().find(|key| (cluster.home(key) == 1) == is_lost).unwrap());
    let mut error = one.ask(format!("get {lost}\r\n"));
    if error.starts_with("SERVER_ERROR outcome unknown") {
        error = one.ask(format!("get {lost}\r\n"));
    }
    assert!(
        error.starts_with("SERVER_ERROR group ") && error.ends_with("is on server 2, which is down"),
        "{error}"
    );
    assert_eq!(one.get(std::slice::from_ref(kept)).len(), 1);
    one.send(format!("get {kept} {lost} {kept}\r\nset {lost} 0 0 1 noreply\r\nx\r\nmg {lost} v q\r\nmn\r\n"));
    for expected in ["VALUE", kept, "VALUE", kept, "SERVER_ERROR group", "SERVER_ERROR group", "MN"] {
        let line = one.line();
        assert!(line.starts_with(expected), "{expected}: {line}");
    }
    assert!(one.ask("flush_all\r\n").starts_with("SERVER_ERROR server 2"), "not all have flushed");
    cluster.begin(1);
    let back = wait::until(PATIENCE, || {
        Some(one.ask(format!("mg {lost} v\r\n"))).filter(|line| !line.starts_with("SERVER"))
    });
    assert_eq!(
        back.as_deref(),
        Some("VA ".to_owned() + &lost.len().to_string()).as_deref(),
        "what it had is there"
    );
    assert_eq!(one.line().trim_end(), lost.as_str());
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
    let of_two = keys.iter().find(|key| cluster.home(key) == 1).unwrap();
    cluster.kill(1);
    let reply = senders[0].ask(9, format!("get {of_two}\r\n"));
    assert!(reply.starts_with(b"SERVER_ERROR "), "{}", reply.escape_ascii());
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
    fs::write(&path, text.replace("version = 1", "version = 2")).unwrap();
    assert_eq!(one.ask("cluster reload\r\n"), "OK map version 2 is in force");
    assert_eq!(one.ask("cluster reload\r\n"), "OK map version 2 is in force already");
    assert_eq!(
        one.get(&[format!("{key}a")]).len(),
        1,
        "a server with the older map still answers for its own"
    );
}
