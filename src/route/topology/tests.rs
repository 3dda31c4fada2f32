//! Topology files: what they say, what is refused and in which words, what may follow what, and what a plan moves.

use std::collections::BTreeSet;

use super::file::read_with;
use super::*;
use crate::base::lsn::GroupId;
use crate::route::topology::tools::{self, Init};
use crate::route::{Hash, HashTag};

/// Two servers, eight groups. Line 1 is the version.
const MAP: &str = "\
version = 3
cluster = \"shop\"
groups = 8
hash = \"larder\"
hash-tag = \"braces\"
[[server]]
id = 1
client = \"10.0.0.1:11211\"
peer = \"10.0.0.1:11311\"
zone = \"east\"
[[server]]
id = 2
client = \"cache-2.local:11211\"
peer = \"[::1]:11311\"
weight = 2
[[range]]
groups = \"0-4\"
servers = [1]
[[range]]
groups = \"5-7\"
servers = [2]
";

fn map(text: &str) -> Topology {
    read(text).unwrap_or_else(|refusals| panic!("{refusals:?}")).topology
}

fn id(number: u64) -> ServerId {
    ServerId::new(number).unwrap()
}

#[test]
fn a_file_becomes_a_map() {
    let topology = map(MAP);
    assert_eq!((topology.version(), topology.cluster()), (3, "shop"));
    assert_eq!(topology.placement().group_count.get(), 8);
    let owners: Vec<u16> =
        topology.groups().map(|group| topology.coordinator(group).unwrap().id.get()).collect();
    assert_eq!(owners, [1, 1, 1, 1, 1, 2, 2, 2]);
    assert_eq!(topology.coordinator(GroupId(8)), None);
    let server = topology.server(id(2)).unwrap();
    assert_eq!((server.client.host(), server.peer.host(), server.weight), ("cache-2.local", "[::1]", 2));
    let key = b"{shop:42}cart";
    let group = topology.placement().group(key);
    assert_eq!(topology.entrance(key), topology.coordinator(group));
}

#[test]
fn what_is_written_reads_as_the_same_map() {
    let topology = map(MAP);
    for text in [topology.to_text(), topology.content()] {
        assert_eq!(map(&text), topology, "{text}");
    }
    let other_form =
        format!("# a remark\n{}", MAP.replace("\"5-7\"", " \"5-6\"").replace("3\ncl", "3 # x\ncl"))
            + "[[range]]\ngroups = 7\nservers = [ 2 ]\n";
    assert_eq!(map(&other_form).checksum(), topology.checksum(), "the form of the file does not matter");
    assert_ne!(map(&MAP.replace("0-4", "0-3").replace("5-7", "4-7")).checksum(), topology.checksum());
    assert_eq!(topology.checksum(), 0x24d8_06d3_eab1_79a8, "a checksum in force must hold in every release");
}

/// A list that holds tables and something else is no shorter list of tables.
#[test]
fn what_is_no_table_is_refused_and_not_passed_over() {
    let right = "version = 1\ncluster = \"c\"\ngroups = 1\nhash = \"larder\"\nhash-tag = \"braces\"\n\
                 server = [{ id = 1, client = \"a:1\", peer = \"a:2\" }]\nrange = [{ groups = 0, servers = [1] }]\n";
    assert_eq!(map(right).servers().len(), 1);
    for (end, expected) in [
        (" }]\nrange", "line 6: `server` must be tables; write [[server]] above each"),
        (" }]\n", "line 7: `range` must be tables; write [[range]] above each"),
    ] {
        let at = right.rfind(end).unwrap();
        let wrong = format!("{} }}, 3{}", &right[..at], &right[at + 2..]);
        let refusals = read(&wrong).unwrap_err();
        assert!(refusals.iter().any(|refusal| refusal.to_string() == expected), "{wrong}: {refusals:?}");
    }
}

#[test]
fn every_mistake_is_refused_with_its_line_and_what_to_write() {
    let double =
        "[[server]]\nid = 3\nclient = \"10.0.0.1:11211\"\npeer = \"x:1\"\n[[range]]\ngroups = \"0-4\"";
    for (right, wrong, expected) in [
        ("version = 3\n", "", "line 1: the file needs `version`; write version = 1"),
        ("version = 3", "version = 0", "line 1: `version` must be a number from 1; write version = 1"),
        ("version = 3", "version = \"3\"", "line 1: `version` must be a number from 1; write version = 1"),
        ("version = 3", "version 3", "line 1: "),
        ("\"shop\"", "\"a shop\"", "line 2: `cluster` must be a name of letters"),
        ("groups = 8", "groups = 0", "line 3: `groups` must be a number from 1 to 4096; write groups = 64"),
        (
            "groups = 8",
            "groups = 4097",
            "line 3: `groups` must be a number from 1 to 4096; write groups = 64",
        ),
        (
            "\"larder\"",
            "\"crc\"",
            "line 4: `hash` must be \"larder\" or \"fastdht\"; write hash = \"larder\"",
        ),
        ("\"braces\"", "1", "line 5: `hash-tag` must be \"braces\" or \"none\"; write hash-tag = \"braces\""),
        (
            "zone = ",
            "zones = ",
            "line 10: a server has no `zones`; write one of: id, client, peer, zone, weight",
        ),
        ("id = 2", "id = 1", "line 11: server 1 is also in line 6; give each server an id of its own"),
        ("id = 2", "id = 0", "line 12: `id` must be a number from 1 to 1023; write id = 1"),
        ("id = 2", "id = 1024", "line 12: `id` must be a number from 1 to 1023; write id = 1"),
        (
            "cache-2.local:11211",
            "10.0.0.1:11311",
            "line 11: server 2 has the address 10.0.0.1:11311, as has server 1; write an address and port once only",
        ),
        ("cache-2.local:11211", "cache-2.local", "line 13: `client` must be host:port; write client = "),
        ("[::1]:11311", "::1:11311", "line 14: `peer` must be host:port; write peer = "),
        ("weight = 2", "weight = -1", "line 15: `weight` must be a number from 0 to 1000, 1 being usual"),
        ("weight = 2", "weight = 1001", "line 15: `weight` must be a number from 0 to 1000, 1 being usual"),
        ("weight = 2", "weight = 1.5", "line 15: `weight` must be a number from 0 to 1000, 1 being usual"),
        ("5-7", "4-7", "line 19: group 4 is also in line 16; name every group once"),
        ("5-7", "5-8", "line 20: `groups` must be \"first-last\", both at most 7; write groups = \"0-7\""),
        ("5-7", "7-5", "line 20: `groups` must be \"first-last\""),
        ("5-7", "7", "line 3: no server for groups 5-6; write a [[range]] with groups = \"5-6\""),
        (
            "0-4",
            "1-3",
            "line 3: no server for groups 0, nor for 1 more; write a [[range]] with groups = \"0\"",
        ),
        ("[2]", "[]", "line 21: `servers` must be a list of server ids, one at least; write servers = [1]"),
        ("[2]", "[3]", "line 19: there is no server 3; add its [[server]] table or name another"),
        (
            "[2]",
            "[2, 1]",
            "line 19: a range names 2 servers, and replication is not built yet; name one server: servers = [2]",
        ),
        ("[[range]]\ngroups = \"0-4\"", double, "line 16: server 3 has the address 10.0.0.1:11211"),
        ("[[server]]", "[[servers]]", "line 6: the file has no `servers`; write one of: version, "),
    ] {
        let text = MAP.replace(right, wrong);
        assert_ne!(text, MAP, "{right}");
        let said: Vec<String> = read(&text).unwrap_err().iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|line| line.starts_with(expected)), "{wrong}: {expected:?} not in {said:#?}");
    }
    let long = "#".repeat(crate::base::limits::TOPOLOGY_BYTES_MAX + 1);
    assert!(read(&long).unwrap_err()[0].reason.contains("bytes"));
    let twice = MAP.replace("[2]", "[2, 2]");
    assert!(read_with(&twice, 2).unwrap_err()[0].reason.contains("twice"));
}

#[test]
fn fastdht_counts_servers_by_the_text_of_their_address() {
    let servers = [(1, "10.0.0.9:1"), (2, "10.0.0.10:2"), (3, "10.0.0.10:11")];
    let mut text =
        String::from("version = 1\ncluster = \"c\"\ngroups = 4\nhash = \"HASH\"\nhash-tag = \"braces\"\n");
    for (id, client) in servers {
        text += &format!("[[server]]\nid = {id}\nclient = \"{client}\"\npeer = \"p:{id}\"\n");
    }
    text += "[[range]]\ngroups = \"0-3\"\nservers = [3, 1, 2]\n";
    for (hash, order) in [("larder", [3, 1, 2]), ("fastdht", [2, 3, 1])] {
        let topology = read_with(&text.replace("HASH", hash), 3).unwrap().topology;
        let placement = topology.placement();
        let mut seen = BTreeSet::new();
        for number in 0..200 {
            let key = format!("user:{number}").into_bytes();
            let index = placement.server(&key, 3.try_into().unwrap());
            assert_eq!(
                topology.entrance(&key).unwrap().id.get(),
                order[usize::from(index)],
                "{hash} {number}"
            );
            seen.insert(index);
            let first = topology.coordinator(placement.group(&key)).unwrap();
            assert_eq!(first.id.get(), 3, "the coordinator is the one that is named first");
        }
        assert_eq!(seen.len(), 3, "{hash}");
    }
    // The published vectors: with 3 servers `a` enters at 1 of the sorted list, `bbs\x01o1` at 2.
    let topology = read_with(&text.replace("HASH", "fastdht"), 3).unwrap().topology;
    for (key, server) in [(&b"a"[..], 3), (b"bbs\x01o1", 1), (b"{bbs:o1}x", 1), (b"key1", 3)] {
        assert_eq!(topology.entrance(key).unwrap().id.get(), server, "{}", key.escape_ascii());
    }
}

#[test]
fn a_map_follows_another_only_when_it_may() {
    let in_force = map(MAP);
    let next = MAP.replace("version = 3", "version = 4");
    let moved = next.replace("0-4", "0-3").replace("5-7", "4-7");
    let held = |groups: &[u16]| groups.iter().map(|group| GroupId(*group)).collect::<BTreeSet<_>>();
    let judge = |text: &str, server: u64, groups: &[u16]| {
        let groups = held(groups);
        let holdings = Holdings { server: id(server), groups: &groups };
        read(text).unwrap().judge(Some(&in_force), Some(holdings))
    };
    assert_eq!(judge(MAP, 1, &[0, 4]), Ok(Verdict::Same));
    assert_eq!(judge(&next, 1, &[0, 4]), Ok(Verdict::Newer { moves: vec![] }));
    let one = Move { group: GroupId(4), from: id(1), to: id(2) };
    assert_eq!(judge(&moved, 1, &[0, 3]), Ok(Verdict::Newer { moves: vec![one] }));
    assert_eq!(
        judge(&moved, 2, &[4, 5, 6]),
        Ok(Verdict::Newer { moves: vec![one] }),
        "the receiver has it already"
    );
    let away = next.replace("[2]", "[1]");
    for (text, server, groups, expected) in [
        (
            MAP.replace("version = 3", "version = 2"),
            1,
            &[][..],
            "line 1: version 2 is older than version 3, which is in force; write version = 4",
        ),
        (
            MAP.replace("weight = 2", "weight = 3"),
            1,
            &[],
            "line 1: version 3 is in force with other content; write version = 4",
        ),
        (
            next.replace("groups = 8", "groups = 9").replace("5-7", "5-8"),
            1,
            &[],
            "line 3: groups is 8 in the map in force and 9 here, and is fixed for ever; write groups = 8",
        ),
        (
            next.replace("shop", "other"),
            1,
            &[],
            "line 2: cluster is \"shop\" in the map in force and \"other\" here",
        ),
        (next.replace("\"larder\"", "\"fastdht\""), 1, &[], "line 4: hash is \"larder\""),
        (next.replace("\"braces\"", "\"none\""), 1, &[], "line 5: hash-tag is \"braces\""),
        (
            moved.clone(),
            1,
            &[3, 4],
            "line 19: group 4 is taken from server 1, which still holds its data; move its data first, or leave it \
             where it is: servers = [1]",
        ),
        (
            away.clone(),
            2,
            &[5, 7],
            "line 19: group 5 is taken from server 2, which still holds its data, as are 1 more",
        ),
    ] {
        let refusals = judge(&text, server, groups).unwrap_err();
        assert!(refusals[0].to_string().starts_with(expected), "{expected:?} not in {refusals:#?}");
    }
    let first = |groups: &[u16]| {
        let groups = held(groups);
        read(MAP).unwrap().judge(None, Some(Holdings { server: id(2), groups: &groups })).is_ok()
    };
    assert!(first(&[5]) && !first(&[4]), "a first map does not take what a server has either");
}

#[test]
fn a_stored_map_comes_back_and_damage_is_seen() {
    let topology = map(MAP);
    let stored = store(&topology);
    assert_eq!(restore(&stored), Ok(topology));
    for at in 0..stored.len() {
        let mut damaged = stored.clone();
        damaged[at] ^= 1;
        assert!(restore(&damaged).is_err(), "byte {at} of {}", stored.len());
        assert!(restore(&stored[..at]).is_err(), "cut at {at}");
    }
    assert!(restore(&[&stored[..], b"\n"].concat()).is_err());
}

fn init(groups: u16, servers: &[(u64, u32)]) -> String {
    let servers: Vec<String> = servers
        .iter()
        .map(|(id, weight)| format!("id={id},client=h{id}:11211,peer=h{id}:11311,weight={weight}"))
        .collect();
    let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
    let init =
        Init { cluster: "c", groups, hash: Hash::Larder, hash_tag: HashTag::Braces, servers: &servers };
    tools::init(&init).unwrap_or_else(|refusals| panic!("{refusals:?}"))
}

fn owned(text: &str) -> Vec<(u64, usize)> {
    let topology = map(text);
    let has = |server: &Server| {
        topology.groups().filter(|group| topology.coordinator(*group) == Some(server)).count()
    };
    topology.servers().iter().map(|server| (u64::from(server.id.get()), has(server))).collect()
}

#[test]
fn groups_are_shared_by_weight() {
    for (groups, servers, expected) in [
        (64, &[(1, 1)][..], &[(1, 64)][..]),
        (64, &[(1, 1), (2, 1), (3, 1)], &[(1, 22), (2, 21), (3, 21)]),
        (64, &[(1, 1), (2, 3)], &[(1, 16), (2, 48)]),
        (10, &[(7, 0), (9, 5)], &[(7, 0), (9, 10)]),
        (2, &[(1, 1), (2, 1), (3, 1)], &[(1, 1), (2, 1), (3, 0)]),
        (4096, &[(1, 1000), (2, 1)], &[(1, 4092), (2, 4)]),
    ] {
        assert_eq!(owned(&init(groups, servers)), expected, "{servers:?}");
    }
}

#[test]
fn a_plan_moves_as_few_groups_as_possible() {
    for groups in [64_u16, 63, 100, 1024, 4096] {
        for before in 1..=12_u64 {
            let weights: Vec<(u64, u32)> = (1..=before).map(|id| (id, 1)).collect();
            let text = init(groups, &weights);
            let id_new = before + 1;
            let added = format!("id={id_new},client=h{id_new}:11211,peer=h{id_new}:11311");
            let wider = tools::plan(&text, &[&added], &[]).unwrap();
            let most = usize::from(groups).div_ceil(id_new as usize);
            assert!(wider.moves.len() <= most, "{groups} groups, {before} servers: {}", wider.report);
            assert!(wider.moves.iter().all(|moved| moved.to == id(id_new)), "{}", wider.report);
            let again = tools::plan(&wider.text, &[], &[]).unwrap();
            assert_eq!(again.moves, [], "a plan of a plan moves nothing");
            let back = tools::plan(&wider.text, &[], &[id(id_new)]).unwrap();
            assert_eq!(back.moves.len(), wider.moves.len(), "only what the removed server had moves");
            tools::check_change(&text, &wider.text).unwrap();
        }
    }
    let text = init(64, &[(1, 1), (2, 1), (3, 1)]);
    let planned = tools::plan(&text, &["id=4,client=h4:1,peer=h4:2"], &[]).unwrap();
    assert_eq!(planned.moves.len(), 16, "a quarter for 3 -> 4 servers: {}", planned.report);
    assert_eq!(owned(&planned.text), [(1, 16), (2, 16), (3, 16), (4, 16)]);
    assert!(
        planned.report.starts_with("version 1 -> 2: 16 of 64 groups move\nserver 1 -> server 4: 6 groups (")
    );
}

#[test]
fn the_tools_refuse_in_words() {
    let text = init(8, &[(1, 1), (2, 1)]);
    let said = |refusals: Vec<Refusal>| refusals.first().map(ToString::to_string).unwrap_or_default();
    let plan = |add: &[&str], remove: &[ServerId]| said(tools::plan(&text, add, remove).unwrap_err());
    for (found, expected) in [
        (plan(&["id=1,client=a:1,peer=a:2"], &[]), "server 1 is also in line"),
        (plan(&["id=3,client=h1:11211,peer=a:2"], &[]), "server 3 has the address h1:11211, as has server 1"),
        (plan(&["id=3"], &[]), "a server needs `client`; write client = \"10.0.0.1:11211\""),
        (plan(&["nonsense"], &[]), "`nonsense` in a server is not understood; write id=1,client="),
        (plan(&["id=3,client=a:1,peer=\"\n[[x]]"], &[]), "`peer` must be host:port"),
        (plan(&[], &[id(3)]), "there is no server 3; name one of 1, 2"),
        (plan(&[], &[id(1), id(2)]), "no server has a weight; give one of them weight = 1"),
        (said(tools::check("x").unwrap_err()), "line 1: "),
        (
            said(tools::check_change(&text, &text.replace("weight = 1", "weight = 2")).unwrap_err()),
            "line 3: version 1 is in force with other content; write version = 2",
        ),
    ] {
        assert!(found.starts_with(expected), "{expected:?} is not how {found:?} begins");
    }
    let none = Init { cluster: "c", groups: 8, hash: Hash::Larder, hash_tag: HashTag::None, servers: &[] };
    assert!(tools::init(&none).is_err());
}

#[test]
fn the_tools_say_where_everything_is() {
    let said = tools::check(MAP).unwrap();
    let expected = "version 3 of cluster shop: 8 groups, hash larder, hash-tag braces, checksum 24d806d3eab179a8\n\
                    server 1 10.0.0.1:11211 zone east weight 1: 5 groups (0-4)\n\
                    server 2 cache-2.local:11211 weight 2: 3 groups (5-7)\n";
    assert_eq!(said, expected);
    // A vector of `protocol-tests/vectors/placement.txt`.
    let found = tools::locate(MAP, b"{user:happy_fish}cart").unwrap();
    let expected = "key     {user:happy_fish}cart\nhashed  user:happy_fish\nhash    larder cabdf3c1f63d221e\n\
                    group   6 of 8\nserver  2 cache-2.local:11211 (clients enter here)\n";
    assert_eq!(found, expected);
}

#[test]
fn whatever_a_file_says_is_borne() {
    let mut taken = 0;
    for at in 0..MAP.len() {
        for other in [
            "",
            "\"",
            "[",
            "]",
            "=",
            "\n",
            "9",
            "-",
            "99999999999999999999",
            "\u{e9}",
            "\u{0}",
            "1e9",
            "{a=1}",
        ] {
            let text = [&MAP[..at], other, &MAP[at + 1..]].concat();
            match read(&text) {
                Ok(proposal) => {
                    let again = map(&proposal.topology.to_text());
                    assert_eq!(again, proposal.topology, "{text}");
                    taken += 1;
                }
                Err(refusals) => assert!(!refusals.is_empty(), "{text}"),
            }
        }
    }
    assert!(taken > 100, "{taken} of the changes make another map");
}

#[test]
fn a_shown_map_is_read_as_the_map_that_it_shows() {
    let topology = map(MAP);
    let shown =
        show(&topology, |server| if server == id(1) { "self".into() } else { "not asked yet".into() });
    assert_eq!(
        shown,
        "CLUSTER shop version 3 groups 8 hash larder hash-tag braces\r\n\
         SERVER 1 client 10.0.0.1:11211 peer 10.0.0.1:11311 self\r\n\
         SERVER 2 client cache-2.local:11211 peer [::1]:11311 not asked yet\r\n\
         GROUPS 0-4 servers 1\r\nGROUPS 5-7 servers 2\r\n"
    );
    let found = read_shown(shown.lines()).unwrap();
    assert_eq!((found.version(), found.cluster(), found.placement()), (3, "shop", topology.placement()));
    assert_eq!(found.ranges(), topology.ranges());
    let places = |map: &Topology| -> Vec<_> {
        map.servers().iter().map(|server| (server.id, server.client.clone(), server.peer.clone())).collect()
    };
    assert_eq!(places(&found), places(&topology));
    let one_group = map(&MAP.replace("0-4", "0-3").replace(
        "[[range]]\ngroups = \"5",
        "[[range]]\ngroups = \"4\"\nservers = [2]\n[[range]]\ngroups = \"5",
    ));
    let found = read_shown(show(&one_group, |_| String::new()).lines()).unwrap();
    assert_eq!(found.ranges(), one_group.ranges());
}

#[test]
fn what_is_no_shown_map_is_refused_in_words() {
    let shown = show(&map(MAP), |_| "self".into());
    for (was, is, why) in [
        ("CLUSTER shop", "CLUSTER sh\"op", "not a line of a map"),
        ("CLUSTER shop", "CLUSTER sh\\u0041op", "not a line of a map"),
        ("version 3", "version 3.0", "not a line of a map"),
        ("version 3", "version +3", "not a line of a map"),
        ("version 3", "version 0", "not a map"),
        ("groups 8", "groups 5000", "not a map"),
        ("hash larder", "hash other", "not a map"),
        ("SERVER 2", "SERVER 1", "not a map"),
        ("cache-2.local:11211", "cache-2.local", "not a map"),
        ("GROUPS 5-7", "GROUPS 6-7", "not a map"),
        ("GROUPS 5-7", "GROUPS 5-8", "not a map"),
        ("GROUPS 5-7", "GROUPS 5-70000", "not a line of a map"),
        ("GROUPS 5-7", "GROUPS 57", "not a line of a map"),
        ("servers 2", "servers 3", "not a map"),
        ("servers 2", "servers ", "not a line of a map"),
        ("GROUPS 5-7 servers 2\r\n", "WEIGHTS 1 2\r\n", "not a line of a map"),
        ("GROUPS 5-7 servers 2\r\n", "", "not a map"),
    ] {
        let text = shown.replace(was, is);
        assert_ne!(text, shown);
        let found = read_shown(text.lines()).unwrap_err();
        assert!(found.starts_with(why), "{is}: {found}");
    }
    assert!(read_shown([].into_iter()).is_err());
    let later = shown.replace("hash-tag braces", "hash-tag braces zones 2");
    assert!(read_shown(later.lines()).is_ok(), "what a later release says behind it is passed over");
}
