//! A server behind TLS: what clients send and are sent, and what it tells of itself.
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use larder::client::{self, Entry, Operation, Options, Tls};

use super::authority::Authority;
use super::{PATIENCE, connect};
use crate::client::{Client, set};
use crate::process::{Larder, run_to_end};

/// A server behind this authority on these addresses, with more words.
fn start(authority: &Authority, listen: &str, more: &[&str]) -> Larder {
    let words = authority.words();
    let own = ["--memory-only", "-m", "128", "-p", "-1", "-t", "1", "-l", listen, "-Z", "-o", &words];
    Larder::launch(&[&own, more].concat()).unwrap()
}

fn at(larder: &Larder, port: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], larder.ports()[port]))
}

/// What a plain socket is sent in answer to these bytes, up to the end.
fn answer_to(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // The end may be a reset: then it is the end all the same.
    let _ = socket.read_to_end(&mut answer);
    answer
}

#[test]
fn large_values_pass_both_ways_and_others_are_served_meanwhile() {
    let authority = Authority::serving();
    let larder = start(&authority, "127.0.0.1", &[]);
    let mut one = connect(larder.address(), &authority, None).unwrap();
    let value: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
    assert_eq!(one.ask(set("large", 0, &value)), "STORED");
    // More than every buffer holds: what is not read stops what is written.
    let count = 30;
    one.send("get large\r\n".repeat(count));
    let mut other = connect(larder.address(), &authority, None).unwrap();
    assert_eq!(other.ask("set a 0 0 1\r\n1\r\n"), "STORED");
    assert_eq!(other.ask("get a\r\n"), "VALUE a 0 1");
    for _ in 0..count {
        assert_eq!(one.line(), "VALUE large 0 1000000");
        assert!(one.read(value.len()) == value);
        assert_eq!(one.read(7), b"\r\nEND\r\n");
    }
}

#[test]
fn who_ends_his_side_is_still_answered() {
    let authority = Authority::serving();
    let larder = start(&authority, "127.0.0.1", &[]);
    let mut session = connect(larder.address(), &authority, None).unwrap();
    session.send("set a 0 0 1\r\n1\r\n".to_owned() + &"get a\r\n".repeat(1000));
    session.secured.socket().shutdown(Shutdown::Write).unwrap();
    assert_eq!(session.line(), "STORED");
    for _ in 0..1000 {
        assert_eq!([session.line(), session.line(), session.line()], ["VALUE a 0 1", "1", "END"]);
    }
    assert!(!session.receive().unwrap(), "then the server ends too, as TLS asks for");
}

#[test]
fn plain_text_at_a_tls_address_is_closed_and_a_hello_at_a_plain_one_is_junk() {
    let authority = Authority::serving();
    let larder = start(&authority, "127.0.0.1,notls:127.0.0.1", &[]);
    let alert = answer_to(at(&larder, 0), b"get a\r\n");
    assert!(alert.is_empty() || alert.len() == 7 && alert[0] == 0x15, "an alert at most: {alert:?}");

    let mut plain = Client::connect(at(&larder, 1));
    assert_eq!(plain.set("a", b"1"), "STORED");
    assert_eq!(plain.figure("ssl_handshake_errors"), 1);
    let mut session = connect(at(&larder, 0), &authority, None).unwrap();
    assert_eq!(session.ask("get a\r\n"), "VALUE a 0 1", "both are one server");
    let junk = answer_to(at(&larder, 1), b"\x16\x03\x01\x00\x05hello\nquit\r\n");
    assert_eq!(junk, b"ERROR\r\n");
}

#[test]
fn too_many_connections_are_closed_without_a_word() {
    let authority = Authority::serving();
    let larder = start(&authority, "127.0.0.1", &["-c", "1"]);
    let mut first = connect(larder.address(), &authority, None).unwrap();
    assert_eq!(first.ask("mn\r\n"), "MN");
    assert!(answer_to(larder.address(), b"").is_empty());
    assert_eq!(first.figure("stats\r\n", "rejected_connections").as_deref(), Some("1"));
}

#[test]
fn what_is_set_is_shown() {
    let authority = Authority::serving();
    let more =
        ",ssl_verify_mode=1,ssl_min_version=tlsv1.3,ssl_wbuf_size=32,ssl_session_cache,ssl_ciphers=HIGH";
    let words = format!("{}{more},ssl_keyformat=PEM,ssl_kernel_tls", authority.words());
    let larder = Larder::launch(&["--memory-only", "-p", "-1", "-Z", "-o", &words]).unwrap();
    let mut session = connect(larder.address(), &authority, None).unwrap();
    let settings = session.lines("stats settings\r\n");
    let shown: Vec<&str> = settings.iter().filter_map(|line| line.strip_prefix("STAT ssl_")).collect();
    let path = |name: &str| authority.path(name).display().to_string();
    let (chain, key, ca) = (path("server.pem"), path("server.key"), path("ca.pem"));
    let expected = [
        "enabled yes",
        &format!("chain_cert {chain}"),
        &format!("key {key}"),
        "verify_mode 1",
        "keyformat 1",
        "ciphers HIGH",
        &format!("ca_cert {ca}"),
        "wbuf_size 32768",
        "session_cache yes",
        "kernel_tls yes",
        "min_version tlsv1.3",
    ];
    assert_eq!(shown, expected);
    let stats = session.lines("stats\r\n");
    let names =
        ["ssl_new_sessions", "ssl_handshake_errors", "ssl_proto_errors", "time_since_server_cert_refresh"];
    let mut places = names.iter().map(|name| stats.iter().position(|line| line.contains(name)));
    let first = places.next().unwrap().unwrap();
    assert!(stats[first - 1].contains("log_watchers"), "where memcached has them");
    assert!(places.eq([1, 2, 3].map(|behind| Some(first + behind))));
    assert_ne!(stats[first], "STAT ssl_new_sessions 0", "a session is kept for this client");
    let said = larder.said();
    assert!(said.contains("ssl_ciphers=HIGH has no effect") && said.contains("ssl_kernel_tls has no effect"));
}

#[test]
fn watchers_see_connections_behind_tls() {
    let authority = Authority::serving();
    let larder = start(&authority, "127.0.0.1", &[]);
    let mut watcher = connect(larder.address(), &authority, None).unwrap();
    assert_eq!(watcher.ask("watch connevents mutations\r\n"), "OK");
    let mut other = connect(larder.address(), &authority, None).unwrap();
    assert_eq!(other.ask("set a 0 0 1\r\n1\r\n"), "STORED");
    drop(other);
    for event in ["type=conn_new", "type=item_store", "type=conn_close"] {
        let line = watcher.line();
        assert!(line.contains(event), "{event}: {line}");
    }
}

/// A client of TLS 1.2 alone.
fn connect_by_tls12(address: SocketAddr, authority: &Authority) -> Result<(), rustls::Error> {
    use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = rustls::ClientConnection::new(config.into(), name).unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    while connection.is_handshaking() {
        while connection.wants_write() {
            connection.write_tls(&mut socket).unwrap();
        }
        assert!(connection.read_tls(&mut socket).unwrap() > 0, "the server says why it ends");
        connection.process_new_packets()?;
    }
    Ok(())
}

#[test]
fn a_version_below_the_least_is_refused() {
    let authority = Authority::serving();
    let older = start(&authority, "127.0.0.1", &[]);
    assert_eq!(connect_by_tls12(older.address(), &authority), Ok(()));
    let newer = start(&authority, "127.0.0.1", &["-o", "ssl_min_version=3"]);
    let refused = connect_by_tls12(newer.address(), &authority).unwrap_err();
    assert!(matches!(refused, rustls::Error::AlertReceived(_)), "{refused}");
    assert!(connect(newer.address(), &authority, None).is_ok());
}

#[test]
fn the_client_library_speaks_tls() {
    let authority = Authority::serving();
    let larder = start(&authority, "127.0.0.1", &["-o", "ssl_verify_mode=2,ssl_session_cache"]);
    let own = authority.issue();
    let own = client::OwnCertificate { chain: own.chain.as_bytes(), key: own.key.as_bytes() };
    let ca = authority.certificate().as_bytes();
    let options = |tls| Options {
        tls: Some(tls),
        read_timeout: PATIENCE,
        connect_timeout: PATIENCE,
        ..Options::default()
    };
    let address = client::Address::parse(&larder.address().to_string()).unwrap();
    let client = client::Client::single(address.clone(), options(Tls::new(ca, Some(own)).unwrap()));
    client.set("a", Entry::new(&vec![b'v'; 900_000])).unwrap();
    for _ in 0..3 {
        assert_eq!(client.get("a").unwrap().unwrap().bytes.len(), 900_000);
    }
    let many: Vec<Operation> = (0..500).map(|_| Operation::set("n", "1")).collect();
    assert!(client.run(&many).iter().all(Result::is_ok));
    // Tickets that come behind the handshake are no answers: the connection is kept.
    let opened = client.stats(client::StatsTopic::General).remove(0).1.unwrap();
    let total = opened.iter().find(|(name, _)| name == "total_connections").unwrap();
    assert_eq!(total.1, "1");

    let bare = client::Client::single(address.clone(), options(Tls::new(ca, None).unwrap()));
    let refused = bare.get("a").unwrap_err();
    assert!(refused.to_string().contains("TLS"), "{refused}");
    let named = Tls::new(ca, Some(own)).unwrap().naming("elsewhere.example");
    let refused = client::Client::single(address, options(named)).get("a").unwrap_err();
    assert!(matches!(refused, client::Error::NotSent { why: client::Why::Tls(_), .. }), "{refused}");
}

#[test]
fn the_tools_speak_tls() {
    let authority = Authority::serving();
    let larder = start(&authority, "127.0.0.1", &["-o", "ssl_verify_mode=2"]);
    let own = authority.issue();
    std::fs::write(authority.path("own.pem"), format!("{}{}", own.chain, own.key)).unwrap();
    let (ca, cert) = (authority.path("ca.pem"), authority.path("own.pem"));
    let (ca, cert) = (ca.to_str().unwrap(), cert.to_str().unwrap());
    let server = larder.address().to_string();
    let by_tls = ["--tls", "--ca", ca, "--cert", cert];
    let run = |words: &[&str]| run_to_end(&[words, &by_tls].concat());
    assert_eq!(run(&["set", "-s", &server, "a", "one"]).0, Some(0));
    assert_eq!(run(&["cat", "-s", &server, "a"]), (Some(0), "one".to_owned()));
    let (code, said) = run(&["ls", "-s", &server]);
    assert!(code == Some(0) && said.contains('a'), "{said}");
    let (code, said) = run(&["dump", &server]);
    assert!(code == Some(0) && said.contains("one"), "{said}");
    let (code, said) = run_to_end(&["get", "-s", &server, "a", "--tls", "--ca", ca]);
    assert!(code == Some(3) && said.contains("TLS"), "without a certificate: {code:?} {said}");
    let (code, said) = run_to_end(&["get", "-s", &server, "a", "--tls"]);
    assert!(code == Some(2) && said.contains("--ca"), "whom to trust? {code:?} {said}");
}
