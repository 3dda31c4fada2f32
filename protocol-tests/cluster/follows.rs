//! A client of the library that began with one seed: what the servers' maps become, it goes by.
use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use larder::client as direct;
use larder::route::topology;

use super::maps::{key_in, propose};
use super::{Cluster, EndsWithTest, LOOPBACK, PATIENCE, ports};
use crate::skips::say;
use crate::wait;

/// Threads that use the one client.
const THREADS: usize = 3;
/// Requests whose ways are counted.
const COUNTED: usize = 200;
/// Groups of server 1: the first is given to server 2, the second to a new server.
const TO_TWO: u16 = 0;
const TO_NEW: u16 = 1;

/// A client that knows one server and looks for a newer map all the time.
fn follower(cluster: &Cluster) -> direct::Client {
    let options = direct::Options {
        map_interval: Some(Duration::from_millis(10)),
        read_timeout: PATIENCE,
        ..direct::Options::default()
    };
    let seed = direct::Address::parse(&cluster.address(0).to_string()).unwrap();
    direct::Client::discover(&[seed], options).unwrap()
}

/// What all servers have asked each other for clients.
fn forwarded(cluster: &Cluster) -> u64 {
    let asked = |at| cluster.client(at).figure_of("larder", "peer_requests");
    (0..cluster.servers.len()).map(asked).sum()
}

/// Uses the client until it is told to end: nothing ever fails but what is asked of a group on its way.
fn load(client: &direct::Client, keys: &[String], moving: &[String], is_over: &AtomicBool) -> usize {
    let mut requests = 0;
    while !is_over.load(Ordering::SeqCst) {
        for key in keys {
            client.set(key, "x").unwrap();
            assert_eq!(client.get(key).unwrap().map(|value| value.bytes), Some(b"x".to_vec()), "{key}");
        }
        for (key, found) in moving.iter().zip(client.get_many(moving)) {
            assert!(matches!(found, Ok(_) | Err(direct::Error::Refused { .. })), "{key}: {found:?}");
        }
        requests += 2 * keys.len() + moving.len();
    }
    requests
}

/// Waits until the client asks this server for the key itself: all servers together are asked nothing by each other
/// meanwhile.
fn goes_to(client: &direct::Client, cluster: &Cluster, key: &str, address: SocketAddr) {
    let is_direct = || {
        let before = forwarded(cluster);
        let is_known = client.server_of(key).is_some_and(|server| server.to_string() == address.to_string());
        let fine = (0..COUNTED).filter(|_| client.get(key).is_ok()).count();
        (is_known && fine == COUNTED && forwarded(cluster) == before).then_some(())
    };
    assert!(
        wait::until(PATIENCE, is_direct).is_some(),
        "{key} is not asked of {address}: {:?}",
        client.servers()
    );
}

/// Puts the proposed map in force: first where a group leaves.
fn reload(cluster: &Cluster) {
    for at in 0..cluster.servers.len() {
        let answer = cluster.client(at).ask("cluster reload\r\n");
        assert!(answer.starts_with("OK map version"), "{answer}");
    }
}

#[test]
fn a_client_follows_the_map_and_uses_a_server_that_was_added() {
    let mut cluster = Cluster::start();
    let client = follower(&cluster);
    assert_eq!((client.servers().len(), client.map_version()), (3, Some(1)));
    let [to_two, to_new] = [TO_TWO, TO_NEW].map(|group| key_in(&cluster, group));
    let moving = [to_two.clone(), to_new.clone()];
    let in_moving =
        |key: &String| [TO_TWO, TO_NEW].contains(&cluster.map.placement().group(key.as_bytes()).0);
    let keys: Vec<String> = (0..60).map(|n| format!("k{n}")).filter(|key| !in_moving(key)).collect();
    let (is_over, threads_done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let [client_port, peer_port] = ports(LOOPBACK, 2)[..] else { panic!("two ports") };
    thread::scope(|scope| {
        let _end = EndsWithTest(&is_over);
        for _ in 0..THREADS {
            scope.spawn(|| threads_done.fetch_add(load(&client, &keys, &moving, &is_over), Ordering::SeqCst));
        }
        goes_to(&client, &cluster, &to_two, cluster.address(0));
        assert_eq!(forwarded(&cluster), 0, "a client that knows the map asks whom it concerns");

        propose(&cluster, 2, |text| {
            text.replace("groups = \"0-5\"\nservers = [1]", "groups = \"1-5\"\nservers = [1]")
                + "[[range]]\ngroups = \"0\"\nservers = [2]\n"
        });
        reload(&cluster);
        goes_to(&client, &cluster, &to_two, cluster.address(1));
        assert_eq!(client.map_version(), Some(2));

        propose(&cluster, 3, |text| {
            text.replace("groups = \"1-5\"\nservers = [1]", "groups = \"2-5\"\nservers = [1]")
                + "[[range]]\ngroups = \"1\"\nservers = [4]\n[[server]]\nid = 4\n"
                + &format!("client = \"{LOOPBACK}:{client_port}\"\npeer = \"{LOOPBACK}:{peer_port}\"\n")
        });
        cluster.map =
            topology::read(&fs::read_to_string(cluster.path("cluster.toml")).unwrap()).unwrap().topology;
        reload(&cluster);
        cluster.servers.push(None);
        cluster.begin(3);
        goes_to(&client, &cluster, &to_new, cluster.address(3));
        let before = forwarded(&cluster);
        client.set(&to_new, "there").unwrap();
        assert_eq!((cluster.client(3).figure("curr_items"), forwarded(&cluster)), (1, before));
    });
    assert_eq!((client.servers().len(), client.map_version()), (4, Some(3)));
    say(&format!("a client follows two maps during {} requests", threads_done.into_inner()));
}
