//! Groups carried from one server to another by file, with real servers: everything arrives, no two servers have a
//! group, and no crash loses one.
mod crashes;
mod refusals;

use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use larder::base::lsn::GroupId;
use larder::route::topology::{self, Topology};
use nix::sys::signal::Signal;

use crate::backups::form::fill;
use crate::backups::items::{Items, flush_marks, items};
use crate::backups::{done, text, tool};
use crate::client::Client;
use crate::process::Larder;

/// The group that is carried.
const GROUP: &str = "1";

/// Two servers: by `one.toml` the first has the groups 0 to 2, by `two.toml` group 1 is the second's.
struct Pair {
    folder: tempfile::TempDir,
    map: Topology,
}

/// The map of a cluster, with these groups for the first and the others for the second server.
fn map(version: u64, name: &str, groups: u16, first: &[&str], second: &[&str], ports: &[u16]) -> String {
    let mut text = format!(
        "version = {version}\ncluster = \"{name}\"\ngroups = {groups}\nhash = \"larder\"\nhash-tag = \"braces\"\n"
    );
    for id in 1..=2 {
        let (client, peer) = (ports[id - 1], ports[id + 1]);
        text +=
            &format!("[[server]]\nid = {id}\nclient = \"127.0.0.1:{client}\"\npeer = \"127.0.0.1:{peer}\"\n");
    }
    for (groups, id) in [(first, 1), (second, 2)] {
        for range in groups {
            text += &format!("[[range]]\ngroups = \"{range}\"\nservers = [{id}]\n");
        }
    }
    text
}

impl Pair {
    fn new() -> Pair {
        let folder = tempfile::tempdir().unwrap();
        let held: Vec<TcpListener> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = held.iter().map(|held| held.local_addr().unwrap().port()).collect();
        let one = map(1, "shop", 4, &["0-2"], &["3"], &ports);
        for (name, text) in [
            ("one.toml", one.clone()),
            ("two.toml", map(2, "shop", 4, &["0", "2"], &["1", "3"], &ports)),
            ("back.toml", map(3, "shop", 4, &["0-2"], &["3"], &ports)),
            ("other.toml", map(1, "other", 4, &["0-2"], &["3"], &ports)),
            ("wide.toml", map(1, "shop", 8, &["0-2"], &["3-7"], &ports)),
            ("fastdht.toml", one.replace("hash = \"larder\"", "hash = \"fastdht\"")),
            ("secret", "a secret of many bytes\n".to_owned()),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Pair { folder, map: topology::read(&one).unwrap().topology }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a server over this directory by this map.
    fn serve(&self, id: usize, data: &str, map: &str) -> Result<Larder, String> {
        let [map, secret, data] = [map, "secret", data].map(|name| self.path(name));
        let (map, secret, data, id) = (text(&map), text(&secret), text(&data), id.to_string());
        let options = ["--cluster", map, "--server-id", &id, "--peer-secret-file", secret];
        Larder::launch(&[&options[..], &["--data-dir", data, "--fsync", "always", "-t", "1"]].concat())
    }

    fn client(&self, id: usize) -> Client {
        Client::connect(self.address(id))
    }

    fn address(&self, id: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.map.servers()[id - 1].client.port()))
    }

    fn group(&self, key: &[u8]) -> GroupId {
        self.map.placement().group(key)
    }

    /// So many keys of the group that is carried.
    fn keys(&self, count: usize) -> Vec<String> {
        let keys = (0..).map(|number| format!("key{number}"));
        keys.filter(|key| self.group(key.as_bytes()) == GroupId(1)).take(count).collect()
    }

    /// Copies a data directory.
    fn copy(&self, from: &str, to: &str) {
        crate::backups::check::copy(&self.path(from), &self.path(to));
    }

    /// Runs `larder group`; the words that begin with `@` are files of this folder.
    fn words(&self, line: &str) -> Vec<String> {
        let place = |word: &str| match word.strip_prefix('@') {
            Some(name) => text(&self.path(name)).to_owned(),
            None => word.to_owned(),
        };
        std::iter::once("group").chain(line.split_whitespace()).map(place).collect()
    }

    /// Runs `larder group` to its end, which must be good; what it printed.
    fn done(&self, line: &str) -> String {
        let words = self.words(line);
        done(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Runs `larder group`, which must be refused in words that name this.
    fn refused(&self, line: &str, name: &str) {
        let words = self.words(line);
        let ran = tool(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(ran.code, Some(3), "larder {words:?}: {}{}", ran.out, ran.said);
        assert!(ran.said.contains(name), "{name:?} in {:?} of larder {words:?}", ran.said);
        assert_eq!(ran.said.matches("larder: ").count(), 1, "one complaint: {:?}", ran.said);
    }

    /// Runs `larder group` up to a step; its exit code.
    fn up_to(&self, steps: usize, line: &str) -> u8 {
        larder::tools::run_steps(self.words(line).into_iter().map(OsString::from), Some(steps))
    }

    /// The receipt that is listed in this directory.
    fn receipt(&self, data: &str) -> String {
        let listed = self.done(&format!("list --json --data-dir @{data}"));
        let line = listed.lines().find(|line| line.contains("\"group\":1,")).expect("the group is listed");
        let facts: serde_json::Value = serde_json::from_str(line).unwrap();
        facts["receipt"].as_str().unwrap_or_default().to_owned()
    }

    /// How the group stands in this directory; empty when it was never carried.
    fn standing(&self, data: &str) -> String {
        let listed = self.done(&format!("list --data-dir @{data}"));
        let line = listed.lines().find_map(|line| line.strip_prefix("group 1: "));
        line.and_then(|line| line.split(',').next()).unwrap_or_default().to_owned()
    }

    /// Two stopped servers, `data1` with these keys in its log and its stores, and others in the other groups.
    fn filled(count: usize) -> (Pair, Vec<String>) {
        let pair = Pair::new();
        let (one, two) = (pair.serve(1, "data1", "one.toml"), pair.serve(2, "data2", "one.toml"));
        let (one, two) = (one.unwrap(), two.unwrap());
        let keys = pair.keys(count);
        let mut client = pair.client(1);
        let (stored, logged) = keys.split_at(count / 2);
        stored.iter().for_each(|key| assert_eq!(client.set(key, key.as_bytes()), "STORED"));
        (0..20).for_each(|number| assert_eq!(client.set(&format!("other{number}"), b"1"), "STORED"));
        assert!(one.signal(Signal::SIGTERM).unwrap().success());
        let one = pair.serve(1, "data1", "one.toml").unwrap();
        let mut client = pair.client(1);
        logged.iter().for_each(|key| assert_eq!(client.set(key, key.as_bytes()), "STORED"));
        one.kill();
        two.kill();
        (pair, keys)
    }

    /// That the server over this directory has all of these keys by this map.
    fn has(&self, id: usize, (data, map): (&str, &str), keys: &[String]) {
        let larder = self.serve(id, data, map).unwrap();
        let found = self.client(id).get(keys);
        let wanted: Vec<_> = keys.iter().map(|key| (key.clone(), key.clone().into_bytes())).collect();
        assert_eq!(found, wanted, "server {id} over {data}");
        larder.kill();
    }
}

/// The items of these groups.
fn of_groups(pair: &Pair, all: &Items, groups: &[u16]) -> Items {
    let is_wanted = |key: &[u8]| groups.contains(&pair.group(key).0);
    all.iter().filter(|(key, _)| is_wanted(key)).map(|(key, kept)| (key.clone(), kept.clone())).collect()
}

fn back_up(pair: &Pair, id: usize, name: &str) -> Items {
    done(&["backup", &pair.address(id).to_string(), text(&pair.path(name))]);
    items(&pair.path(name))
}

fn check(path: &Path) {
    let said = done(&["check", "--data-dir", text(path)]);
    assert!(said.contains("nothing is wrong"), "{said}");
}

#[test]
fn a_group_is_carried_with_every_item_and_served_by_its_new_server() {
    let pair = Pair::new();
    let (one, two) = (pair.serve(1, "data1", "one.toml"), pair.serve(2, "data2", "one.toml"));
    let (one, two) = (one.unwrap(), two.unwrap());
    let mut client = pair.client(1);
    assert_eq!(client.ask("flush_all\r\n"), "OK");
    fill(&mut client);
    assert_eq!(client.ask("flush_all 90000\r\n"), "OK", "one is still to come");
    let before = [back_up(&pair, 1, "before1"), back_up(&pair, 2, "before2")];
    let carried = of_groups(&pair, &before[0], &[1]);
    assert!(carried.len() > 300, "{} items", carried.len());
    one.kill();
    assert!(two.signal(Signal::SIGTERM).unwrap().success());

    let said = pair.done("export 1 @group --to 2 --data-dir @data1");
    assert!(said.contains(&format!("{} items", carried.len())) && said.contains("verified"), "{said}");
    let said = pair.done("import @group --data-dir @data2");
    let receipt = said.split_whitespace().find(|word| word.starts_with("taken-")).unwrap();
    assert_eq!(receipt, pair.receipt("data2"));
    check(&pair.path("data1"));
    check(&pair.path("data2"));
    pair.done(&format!("confirm 1 {receipt} --data-dir @data1"));
    assert!(!pair.path("data1/groups/00001.redb.given").exists(), "what was kept is gone");

    let (one, two) = (pair.serve(1, "data1", "two.toml"), pair.serve(2, "data2", "two.toml"));
    let (one, two) = (one.unwrap(), two.unwrap());
    let after = [back_up(&pair, 1, "after1"), back_up(&pair, 2, "after2")];
    assert_eq!(of_groups(&pair, &after[1], &[1]), carried, "every field of every item");
    assert_eq!(of_groups(&pair, &after[1], &[3]), of_groups(&pair, &before[1], &[3]));
    assert_eq!(after[0], of_groups(&pair, &before[0], &[0, 2]));
    let [from, to] = ["before1", "after2"].map(|name| flush_marks(&pair.path(name))[1]);
    assert!(from == to && from.0 > 0 && from.1 > 0, "the flush marks hold: {from:?}, {to:?}");
    client_goes_on(&pair, &carried);
    one.kill();
    two.kill();

    // What the new server was given and what it did with it survives what everything survives.
    let two = pair.serve(2, "data2", "two.toml").unwrap();
    let one = pair.serve(1, "data1", "two.toml").unwrap();
    let key = pair.keys(1).remove(0);
    assert_eq!(pair.client(1).value(&key).as_deref(), Some(&b"new"[..]));
    assert_eq!(pair.client(1).ask("flush_all\r\n"), "OK");
    let all: Vec<String> = carried.keys().filter_map(|key| String::from_utf8(key.clone()).ok()).collect();
    assert_eq!(pair.client(2).get(&all[..200]), [], "a flush covers what came from elsewhere");
    one.kill();
    two.kill();
    check(&pair.path("data1"));
    check(&pair.path("data2"));
}

/// The old cas numbers are good, and everything that is issued now is above all that was issued before.
fn client_goes_on(pair: &Pair, carried: &Items) {
    let highest = carried.values().map(|kept| kept.version.max(kept.meta_version)).max().unwrap();
    let (key, kept) = carried.iter().find(|(key, _)| key.starts_with(b"plain")).unwrap();
    let key = std::str::from_utf8(key).unwrap();
    let mut client = pair.client(1);
    assert_eq!(client.ask(format!("cas {key} 0 0 3 {}\r\nold\r\n", kept.cas)), "STORED");
    let key = pair.keys(1).remove(0);
    assert_eq!(client.set(&key, b"new"), "STORED");
    let cas = client.ask(format!("mg {key} c\r\n"));
    let cas: u64 = cas.strip_prefix("HD c").unwrap().parse().unwrap();
    assert!(cas > highest, "{cas} is above {highest}");
}
