//! Servers that reach each other by TLS, and one that the others' CA does not know.
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use super::authority::Authority;
use super::{PATIENCE, connect};
use crate::client::Client;
use crate::process::Larder;
use crate::wait;

/// So many ports that are free now.
fn ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// A map of two servers, each with half of the groups; the second is named, not numbered.
fn write_map(folder: &Path, ports: &[u16]) {
    let mut text =
        "version = 1\ncluster = \"shop\"\ngroups = 16\nhash = \"larder\"\nhash-tag = \"braces\"\n".to_owned();
    for (id, host) in [(1, "127.0.0.1"), (2, "localhost")] {
        let (client, peer) = (ports[id - 1], ports[id + 1]);
        text +=
            &format!("[[server]]\nid = {id}\nclient = \"127.0.0.1:{client}\"\npeer = \"{host}:{peer}\"\n");
    }
    for (groups, id) in [("0-7", 1), ("8-15", 2)] {
        text += &format!("[[range]]\ngroups = \"{groups}\"\nservers = [{id}]\n");
    }
    std::fs::write(folder.join("cluster.toml"), text).unwrap();
    std::fs::write(folder.join("secret"), "a secret of many bytes\n").unwrap();
}

fn start(folder: &Path, id: &str, tls: &[&str]) -> Larder {
    let (map, secret) = (folder.join("cluster.toml"), folder.join("secret"));
    let own = ["--memory-only", "-t", "1", "--server-id", id, "--cluster", map.to_str().unwrap()];
    let secret = ["--peer-secret-file", secret.to_str().unwrap()];
    Larder::launch(&[&own[..], &secret, tls].concat()).unwrap()
}

#[test]
fn servers_reach_each_other_by_tls_and_a_stranger_is_not_reached() {
    let (authority, stranger) = (Authority::serving(), Authority::serving());
    let folder = tempfile::tempdir().unwrap();
    let ports = ports(4);
    write_map(folder.path(), &ports);
    let words = authority.words();
    let one = start(folder.path(), "1", &["--peer-tls", "-Z", "-o", &words]);
    let two = start(folder.path(), "2", &["--peer-tls", "-o", &words]);
    let address = |at: usize| SocketAddr::from(([127, 0, 0, 1], ports[at]));
    let large = "v".repeat(500_000);
    let mut client = connect(address(0), &authority, None).unwrap();
    for number in 0..64 {
        let value = if number % 16 == 0 { large.as_str() } else { "one" };
        let request = format!("set key{number} 0 0 {}\r\n{value}\r\n", value.len());
        assert_eq!(client.ask(request), "STORED", "key{number}, wherever it lives");
    }
    // Clients of the second come in without TLS: only the links have it.
    let mut other = Client::connect(address(1));
    for number in 0..64 {
        let value = if number % 16 == 0 { large.as_str() } else { "one" };
        assert_eq!(other.value(&format!("key{number}")).as_deref(), Some(value.as_bytes()), "key{number}");
    }
    assert!(other.figure("curr_items") > 10, "some live there");

    drop((other, two));
    let strange = stranger.words();
    let _two = start(folder.path(), "2", &["--peer-tls", "-o", &strange]);
    let refused = wait::until(PATIENCE, || one.said().contains("UnknownIssuer").then_some(()));
    assert!(refused.is_some(), "{}", one.said());
    let errors =
        (0..64).filter(|number| client.lines_of(&format!("get key{number}\r\n")).starts_with("SERVER_ERROR"));
    assert!(errors.count() > 10, "what lives there cannot be reached");
}

#[test]
fn a_link_without_tls_is_not_answered() {
    let authority = Authority::serving();
    let folder = tempfile::tempdir().unwrap();
    let ports = ports(4);
    write_map(folder.path(), &ports);
    let words = authority.words();
    let _one = start(folder.path(), "1", &[]);
    let _two = start(folder.path(), "2", &["--peer-tls", "-o", &words]);
    let mut client = Client::connect(SocketAddr::from(([127, 0, 0, 1], ports[0])));
    let replies: Vec<String> =
        (0..32).map(|number| client.ask(format!("set key{number} 0 0 1\r\n1\r\n"))).collect();
    assert!(replies.iter().any(|reply| reply == "STORED"), "its own: {replies:?}");
    assert!(replies.iter().any(|reply| reply.starts_with("SERVER_ERROR")), "the other's: {replies:?}");
}
