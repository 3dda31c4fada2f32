//! Several servers: a cluster that is found by its map, and plain servers that keys are spread over.
use std::sync::{Arc, Barrier};
use std::time::Duration;

use larder::client::{
    Address, Client, Distribution, KeyHash, Memcached, Operation, Options, StatsTopic, Topology,
};
use larder::route::topology::{self, tools};
use larder::route::{Hash, HashTag};

use super::bad_server::{Act, BadServer, PATIENCE};
use super::{address, client, patient};
use crate::process::Larder;
use crate::wait;

fn larders(count: usize) -> Vec<Larder> {
    (0..count).map(|_| Larder::launch(&["-p", "-1", "-U", "0", "--memory-only"]).unwrap()).collect()
}

/// The servers as the tools write them.
fn specifications(larders: &[Larder]) -> Vec<String> {
    let specify = |(at, larder): (usize, &Larder)| {
        format!("id={},client={},peer=127.0.0.1:{}", at + 1, larder.address(), at + 1)
    };
    larders.iter().enumerate().map(specify).collect()
}

/// The text of a map of these servers.
fn map_of(larders: &[Larder]) -> String {
    let servers = specifications(larders);
    let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
    let (hash, hash_tag) = (Hash::Larder, HashTag::Braces);
    let init = tools::Init { cluster: "test", groups: 64, hash, hash_tag, servers: &servers };
    tools::init(&init).unwrap()
}

fn map(text: &str) -> Topology {
    topology::read(text).unwrap().topology
}

/// How many items each server has.
fn items(client: &Client) -> Vec<usize> {
    let count = |facts: Vec<(String, String)>| {
        facts.iter().find(|(fact, _)| fact == "curr_items").unwrap().1.parse().unwrap()
    };
    client.stats(StatsTopic::General).into_iter().map(|(_, facts)| count(facts.unwrap())).collect()
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("user:{number}")).collect()
}

#[test]
fn keys_are_spread_by_the_map_and_follow_a_newer_one() {
    let larders = larders(4);
    let text = map_of(&larders[..3]);
    let client = Client::cluster(map(&text), patient());
    let keys = keys(3000);
    let sets: Vec<Operation> = keys.iter().map(|key| Operation::set(key, key)).collect();
    assert!(client.run(&sets).iter().all(Result::is_ok));
    let topology = map(&text);
    let planned: Vec<usize> = topology
        .servers()
        .iter()
        .map(|server| keys.iter().filter(|key| topology.entrance(key.as_bytes()) == Some(server)).count())
        .collect();
    assert_eq!(items(&client), planned, "every server has what the map gives it");
    assert!(planned.iter().all(|count| *count > 800), "{planned:?}");
    for (key, found) in keys.iter().zip(client.get_many(&keys)) {
        assert_eq!(found.unwrap().unwrap().bytes, key.as_bytes());
    }
    let newer = tools::plan(&text, &[&specifications(&larders)[3]], &[]).unwrap().text;
    assert!(!client.set_topology(map(&text)), "the same version is passed over");
    assert!(
        !client.set_topology(map(&newer.replace("\"test\"", "\"other\""))),
        "another cluster is passed over"
    );
    assert!(client.set_topology(map(&newer)));
    assert!(!client.set_topology(map(&text)), "an older version is passed over");
    let newer = map(&newer);
    for (key, found) in keys.iter().zip(client.get_many(&keys)) {
        let moved = newer.entrance(key.as_bytes()).unwrap().id.get() == 4;
        assert_eq!(found.unwrap().is_none(), moved, "only what moved is not there: {key}");
    }
}

#[test]
fn the_next_server_takes_over_as_entrance() {
    let mut larders = larders(3);
    let options =
        Options { probe_first: Duration::from_millis(5), probe_max: Duration::from_millis(20), ..patient() };
    let client = Client::cluster(map(&map_of(&larders)), options);
    let keys = keys(300);
    let sets =
        |suffix: &'static str| keys.iter().map(move |key| Operation::set(key, suffix)).collect::<Vec<_>>();
    assert!(client.run(&sets("1")).iter().all(Result::is_ok));
    let gone = larders.remove(1);
    let socket = gone.address();
    gone.kill();
    // Connections may still be kept: what was sent on one is unknown, once; nothing else fails.
    let unknown = client.run(&sets("2")).into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert!(unknown.iter().all(|error| error.is_unknown()), "{unknown:?}");
    assert!(client.run(&sets("3")).iter().all(Result::is_ok));
    assert_eq!(client.servers().iter().filter(|server| !server.is_up).count(), 1);
    assert!(
        client.get_many(&keys).iter().all(|found| matches!(found, Ok(Some(value)) if value.bytes == b"3"))
    );
    let port = socket.port().to_string();
    let again = Larder::launch(&["-p", &port, "-l", "127.0.0.1", "-U", "0", "--memory-only"]).unwrap();
    let all_up = || client.servers().iter().all(|server| server.is_up).then_some(());
    assert!(wait::until(PATIENCE, all_up).is_some(), "{:?}", client.servers());
    assert!(client.run(&sets("4")).iter().all(Result::is_ok));
    assert!(items(&Client::single(address(again.address()), patient()))[0] > 0, "it has its keys again");
}

#[test]
fn plain_servers_do_not_stand_in_for_each_other_unless_asked() {
    let mut larders = larders(3);
    let servers: Vec<(Address, u32)> = larders.iter().map(|larder| (address(larder.address()), 1)).collect();
    for distribution in [Distribution::Ketama, Distribution::Modula(KeyHash::OneAtATime)] {
        let memcached = Memcached { servers: servers.clone(), distribution, takeover: false };
        let plain = Client::memcached(&memcached, patient());
        for key in keys(100) {
            plain.set(&key, "v").unwrap();
            let owner = plain.server_of(&key).unwrap().to_string().parse().unwrap();
            assert!(client(owner, patient()).get(&key).unwrap().is_some(), "{distribution:?} {key}");
        }
    }
    larders.remove(0).kill();
    let options = Options { probe_first: Duration::from_secs(3600), ..patient() };
    for takeover in [false, true] {
        let memcached = Memcached { servers: servers.clone(), distribution: Distribution::Ketama, takeover };
        let plain = Client::memcached(&memcached, options.clone());
        let answers = plain.get_many(&keys(100));
        let failed = answers.iter().filter(|answer| answer.is_err()).count();
        assert_eq!(failed == 0, takeover, "{failed} failed");
        for (key, answer) in keys(100).iter().zip(answers) {
            let gone = plain.server_of(key).as_ref() == servers.first().map(|(address, _)| address);
            assert_eq!(answer.is_err(), gone && !takeover, "{key}");
        }
    }
}

/// A client of these servers by modula, and for each of them a key that is its own.
fn spread(servers: &[&BadServer], options: Options) -> (Client, Vec<String>) {
    let addresses: Vec<(Address, u32)> = servers.iter().map(|server| (address(server.address), 1)).collect();
    let distribution = Distribution::Modula(KeyHash::OneAtATime);
    let client =
        Client::memcached(&Memcached { servers: addresses.clone(), distribution, takeover: false }, options);
    let own = |(owner, _): &(Address, u32)| {
        keys(1000).into_iter().find(|key| client.server_of(key).as_ref() == Some(owner)).unwrap()
    };
    let found = addresses.iter().map(own).collect();
    (client, found)
}

#[test]
fn every_server_is_asked_before_any_answer_is_waited_for() {
    let barrier = Arc::new(Barrier::new(3));
    let script = [Act::Hear(1), Act::Meet(Arc::clone(&barrier)), Act::Say("END\r\n"), Act::Hang];
    let servers = [(); 3].map(|()| BadServer::start(&[&script]));
    let (client, keys) = spread(&servers.each_ref(), patient());
    assert_eq!(client.get_many(&keys), [Ok(None), Ok(None), Ok(None)]);
}

#[test]
fn a_server_that_hangs_spoils_only_its_own() {
    let servers = [
        BadServer::start(&[&[Act::Hang]]),
        BadServer::start(&[&[Act::Hear(1), Act::Drip("END\r\n"), Act::Hang]]),
    ];
    let silence = Duration::from_secs(1);
    let options = Options { read_timeout: silence, ..patient() };
    let (client, keys) = spread(&servers.each_ref(), options);
    let answers = client.get_many(&keys);
    assert!(answers[0].as_ref().is_err_and(larder::client::Error::is_unknown), "{answers:?}");
    assert_eq!(answers[1], Ok(None));
}

#[test]
fn a_seed_that_has_no_map_is_passed_over() {
    let says = |text| BadServer::start(&[&[Act::Hear(1), Act::Say(text), Act::Hang]]);
    let memcached = says("ERROR\r\n");
    let alone = says("CLIENT_ERROR no cluster: the server runs without --cluster\r\n");
    let half = says("CLUSTER shop version 3 groups 8 hash larder hash-tag braces\r\nEND\r\n");
    let endless = says("CLUSTER shop\r\nnonsense\r\n");
    let good = says(
        "CLUSTER shop version 3 groups 8 hash larder hash-tag braces\r\n\
         SERVER 1 client 127.0.0.1:1 peer 127.0.0.1:2 self\r\nGROUPS 0-7 servers 1\r\nEND\r\n",
    );
    let bad = [&memcached, &alone, &half, &endless];
    for server in bad {
        let error = Client::discover(&[address(server.address)], patient()).unwrap_err();
        assert_eq!(server.heard(), "cluster map\r\n", "{error}");
    }
    let seeds: Vec<Address> = bad.iter().chain([&&good]).map(|server| address(server.address)).collect();
    let client = Client::discover(&seeds, patient()).unwrap();
    assert_eq!((client.map_version(), client.servers().len()), (Some(3), 1));
    assert!(Client::discover(&[], patient()).is_err());
}
