//! What must not be carried, taken in, served: each is refused, told with what to do, and changes nothing.
use std::fs;

use nix::sys::signal::Signal;

use super::{GROUP, Pair};
use crate::backups::{done, refused, text};
use crate::process::Larder;

/// Makes a directory that a server of this number has used by this map.
fn made(pair: &Pair, id: usize, data: &str, map: &str) {
    pair.serve(id, data, map).unwrap().kill();
}

#[test]
fn copies_of_another_cluster_and_for_another_server_are_refused() {
    let (pair, keys) = Pair::filled(20);
    pair.done("export 1 @group --to 2 --data-dir @data1");
    pair.refused("import @group --data-dir @data1", "exported for server 2, and this is server 1");
    for (data, map, name) in [
        ("other", "other.toml", "cluster is other here and shop in the file"),
        ("wide", "wide.toml", "groups is 8 here and 4 in the file"),
        ("fastdht", "fastdht.toml", "hash is fastdht here and larder in the file"),
    ] {
        made(&pair, 2, data, map);
        pair.refused(&format!("import @group --data-dir @{data}"), name);
        assert_eq!(pair.standing(data), "");
    }
    Larder::start(&pair.path("plain"), &["--groups", "4"]).unwrap().kill();
    pair.refused("import @group --data-dir @plain", "it has no map of a cluster");
    pair.refused("import @nothing --data-dir @data2", "cannot open");
    pair.refused("import @secret --data-dir @data2", "not a group's file");
    // A server that is new has no directory yet.
    pair.done("import @group --data-dir @new/data");
    not_served(pair.serve(2, "new/data", "other.toml"), "groups of cluster shop are here");
    not_served(pair.serve(2, "new/data", "one.toml"), "group 1 is taken from server 2");
    pair.has(2, ("new/data", "two.toml"), &keys);
}

#[test]
fn second_and_older_copies_are_refused() {
    let (pair, keys) = Pair::filled(20);
    pair.done("export 1 @first --to 2 --data-dir @data1");
    pair.done("import @first --data-dir @data2");
    let receipt = pair.receipt("data2");
    pair.refused("import @first --data-dir @data2", &receipt);
    // Back to where it came from, with a change.
    pair.refused("export 1 @back --to 2 --data-dir @data2", "this is that server");
    pair.done("export 1 @back --to 1 --data-dir @data2");
    pair.refused("import @back --data-dir @data1", "confirm or cancel that first");
    pair.done(&format!("confirm 1 {receipt} --data-dir @data1"));
    pair.done("import @back --data-dir @data1");
    pair.done(&format!("confirm 1 {} --data-dir @data2", pair.receipt("data1")));
    pair.refused("import @back --data-dir @data1", "taken in from this file already");
    pair.refused(
        "import @first --data-dir @data2",
        "an older copy of group 1: transfer 1, and transfer 2 is known",
    );
    pair.has(1, ("data1", "back.toml"), &keys);
    // The newest goes; what a restored directory would make does not, until it says what it has to be newer than.
    pair.done("export 1 @third --to 2 --data-dir @data1");
    fs::remove_file(pair.path("data1/larder.transfers")).unwrap();
    fs::rename(pair.path("data1/groups/00001.redb.given"), pair.path("data1/groups/00001.redb")).unwrap();
    pair.done("export 1 @again --to 2 --data-dir @data1");
    pair.refused("import @again --data-dir @data2", "--after 2");
    pair.done("import @third --data-dir @data2");
    pair.has(2, ("data2", "two.toml"), &keys);
}

#[test]
fn what_a_server_has_is_not_replaced() {
    let (pair, keys) = Pair::filled(20);
    // The map was given before the file: server 2 has served the group, and it has something.
    let two = pair.serve(2, "data2", "two.toml").unwrap();
    assert_eq!(pair.client(2).set(&keys[0], b"another"), "STORED");
    two.kill();
    pair.done("export 1 @group --to 2 --data-dir @data1");
    pair.refused("import @group --data-dir @data2", "1 items of group 1 are here already");
    let two = pair.serve(2, "data2", "two.toml").unwrap();
    assert_eq!(pair.client(2).value(&keys[0]).as_deref(), Some(&b"another"[..]));
    assert_eq!(pair.client(2).ask(format!("delete {}\r\n", keys[0])), "DELETED");
    assert!(two.signal(Signal::SIGTERM).unwrap().success());
    pair.done("import @group --data-dir @data2");
    pair.has(2, ("data2", "two.toml"), &keys);
}

#[test]
fn what_cannot_be_given_away_is_refused() {
    let (pair, keys) = Pair::filled(20);
    let one = pair.serve(1, "data1", "one.toml").unwrap();
    pair.refused("export 1 @group --to 2 --data-dir @data1", "another process uses this data directory");
    one.kill();
    pair.refused("export 1 @group --to 1 --data-dir @data1", "this is that server");
    pair.refused("export 4 @group --to 2 --data-dir @data1", "there is no group 4: 0 to 3");
    pair.refused("export 3 @group --to 2 --data-dir @data1", "group 3 is on server 2 by the map");
    pair.refused("export 1 @secret --to 2 --data-dir @data1", "nothing is overwritten");
    pair.refused("export 1 @no/such/place --to 2 --data-dir @data1", "cannot make the file");
    pair.refused("confirm 1 taken-0 --data-dir @data1", "not being given away");
    pair.refused("cancel 1 --without-receipt --data-dir @data1", "not being given away");
    Larder::start(&pair.path("plain"), &["--groups", "4"]).unwrap().kill();
    pair.refused("export 1 @group --to 2 --data-dir @plain", "no server of a cluster");
    assert_eq!(pair.standing("data1"), "");
    pair.has(1, ("data1", "one.toml"), &keys);

    pair.done("export 1 @group --to 2 --data-dir @data1");
    pair.done("export 1 @group --to 2 --data-dir @data1");
    pair.refused("export 1 @more --to 3 --data-dir @data1", "given away to server 2 already");
    pair.refused("confirm 1 taken-0123456789abcdef --data-dir @data1", "no receipt of transfer 1");
    pair.refused("cancel 1 refused-0123456789abcdef --data-dir @data1", "no receipt of transfer 1");
    // One or the other: what was taken in cannot be brought back, what was refused cannot be taken in.
    pair.copy("data2", "taker");
    pair.done("import @group --data-dir @taker");
    pair.refused("refuse @group --data-dir @taker", "taken in from this file already");
    pair.refused(&format!("cancel 1 {} --data-dir @data1", pair.receipt("taker")), "larder group confirm");
    pair.done("refuse @group --data-dir @data2");
    pair.done("refuse @group --data-dir @data2");
    pair.refused("import @group --data-dir @data2", "will not be taken in");
    pair.refused(&format!("confirm 1 {} --data-dir @data1", pair.receipt("data2")), "larder group cancel");
    pair.done(&format!("cancel 1 {} --data-dir @data1", pair.receipt("data2")));
    assert_eq!(pair.standing("data1"), "kept");
    pair.has(1, ("data1", "one.toml"), &keys);
    // And it may go again.
    fs::remove_file(pair.path("group")).unwrap();
    pair.done("export 1 @group --to 2 --data-dir @data1");
    pair.done("import @group --data-dir @data2");
    pair.has(2, ("data2", "two.toml"), &keys);
}

/// A start over a directory that must not serve the group.
fn not_served(started: Result<Larder, String>, name: &str) {
    let Err(said) = started else { panic!("a start that had to be refused: {name}") };
    assert!(said.contains(name), "{name:?} in {said}");
}

#[test]
fn a_group_between_two_servers_is_served_by_neither() {
    let (pair, keys) = Pair::filled(20);
    pair.done("export 1 @group --to 2 --data-dir @data1");
    assert_eq!(pair.standing("data1"), "giving");
    not_served(pair.serve(1, "data1", "one.toml"), "group 1 is given away to server 2");
    not_served(Larder::start(&pair.path("data1"), &[]), "start with --cluster");
    // By the new map it serves the others; but nobody could flush what is in the file.
    fs::copy(pair.path("two.toml"), pair.path("now.toml")).unwrap();
    let one = pair.serve(1, "data1", "now.toml").unwrap();
    let two = pair.serve(2, "data2", "one.toml").unwrap();
    let mut client = pair.client(1);
    let refusal = client.ask("flush_all\r\n");
    assert!(refusal.starts_with("SERVER_ERROR group 1 is between two servers"), "{refusal}");
    let refusal = pair.client(2).ask("flush_all\r\n");
    assert!(refusal.contains("group 1 is between two servers"), "{refusal}");
    // A map that gives it back is refused as long as its data is elsewhere.
    fs::copy(pair.path("back.toml"), pair.path("now.toml")).unwrap();
    let refusal = client.ask("cluster reload\r\n");
    assert!(refusal.contains("the old map stays") && refusal.contains("given away to server 2"), "{refusal}");
    two.kill();
    one.kill();
    let one = pair.serve(1, "data1", "now.toml").unwrap();
    assert!(one.said().contains("map version 2 stays in force"), "{}", one.said());
    one.kill();

    pair.done("import @group --data-dir @data2");
    pair.has(2, ("data2", "two.toml"), &keys);
    pair.done(&format!("confirm {GROUP} {} --data-dir @data1", pair.receipt("data2")));
    let (one, two) = (pair.serve(1, "data1", "two.toml"), pair.serve(2, "data2", "two.toml"));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(pair.client(1).value(&keys[0]).as_deref(), Some(keys[0].as_bytes()), "forwarded");
    assert_eq!(pair.client(1).ask("flush_all\r\n"), "OK", "flushed again");
    assert_eq!(pair.client(1).value(&keys[0]), None);
    // What came by file goes by file, also when it is empty.
    fs::copy(pair.path("back.toml"), pair.path("two.toml")).unwrap();
    let refusal = pair.client(2).ask("cluster reload\r\n");
    assert!(refusal.contains("group 1 is taken from server 2"), "{refusal}");
    one.kill();
    two.kill();
}

#[test]
fn what_a_directory_knows_of_groups_is_looked_after() {
    let (pair, keys) = Pair::filled(20);
    // The identity of a cluster's server is lost, and made anew.
    let file = pair.path("data1/larder.id");
    let good = fs::read(&file).unwrap();
    fs::write(&file, b"half").unwrap();
    let data1 = pair.path("data1");
    let check = ["check", "--repair", "--data-dir", text(&data1)];
    assert!(done(&check).contains("nothing is wrong"));
    assert_eq!(fs::read(&file).unwrap(), good, "with the server's number and the map's rule");
    // What became of the group is damaged: nobody serves by what cannot be read.
    pair.done("export 1 @group --to 2 --data-dir @data1");
    let file = pair.path("data1/larder.transfers");
    let mut bytes = fs::read(&file).unwrap();
    bytes[40] ^= 1;
    fs::write(&file, &bytes).unwrap();
    refused(&["check", "--data-dir", text(&data1)], &["larder.transfers", "damaged"]);
    not_served(pair.serve(1, "data1", "two.toml"), "larder.transfers");
    pair.refused("cancel 1 --without-receipt --data-dir @data1", "larder.transfers");
    bytes[40] ^= 1;
    fs::write(&file, &bytes).unwrap();
    pair.done("cancel 1 --without-receipt --data-dir @data1");
    pair.has(1, ("data1", "one.toml"), &keys);
}
