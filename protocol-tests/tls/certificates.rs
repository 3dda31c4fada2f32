//! Who is let in: by the mode, and by what the client shows.
use larder::tls::{Acceptor, Connector, Identity, Part, Rules};

use super::authority::{Authority, Issued};
use super::connect;
use crate::process::Larder;

/// A server behind this authority, with these words for `-o` too.
fn server(authority: &Authority, listen: &str, more: &str) -> Larder {
    let words = format!("{}{more}", authority.words());
    Larder::launch(&["--memory-only", "-p", "-1", "-t", "1", "-l", listen, "-Z", "-o", &words]).unwrap()
}

/// Whether a client with this certificate is served.
fn is_served(larder: &Larder, port: usize, authority: &Authority, own: Option<&Issued>) -> bool {
    let mut address = larder.address();
    address.set_port(larder.ports()[port]);
    // With TLS 1.3 a client learns only by the answer whether its certificate was accepted.
    connect(address, authority, own)
        .and_then(|mut session| {
            session.secured.write(b"mn\r\n")?;
            session.try_line()
        })
        .is_ok_and(|line| line == "MN")
}

#[test]
fn modes_ask_for_certificates_and_refuse_what_is_not_of_the_ca() {
    let (authority, stranger) = (Authority::serving(), Authority::new());
    let own = [Some(authority.issue()), None, Some(authority.issue_expired()), Some(stranger.issue())];
    for (mode, served) in [
        ("0", [true, true, true, true]),
        ("1", [true, true, false, false]),
        ("2", [true, false, false, false]),
        ("3", [true, false, false, false]),
    ] {
        let larder = server(&authority, "127.0.0.1", &format!(",ssl_verify_mode={mode}"));
        let found = [0, 1, 2, 3].map(|at| is_served(&larder, 0, &authority, own[at].as_ref()));
        assert_eq!(found, served, "mode {mode}: of the CA, none, expired, a stranger's");
    }
}

#[test]
fn addresses_may_ask_otherwise_than_the_mode() {
    let authority = Authority::serving();
    let larder = server(&authority, "127.0.0.1,mtls:127.0.0.1,btls:127.0.0.1", ",ssl_verify_mode=1");
    let (own, expired) = (authority.issue(), authority.issue_expired());
    for (port, name, served) in
        [(0, "by the mode", [true, true, false]), (1, "mtls", [true, false, false]), (2, "btls", [true; 3])]
    {
        let found = [Some(&own), None, Some(&expired)].map(|own| is_served(&larder, port, &authority, own));
        assert_eq!(found, served, "{name}: of the CA, none, expired");
    }
}

#[test]
fn a_client_refuses_a_server_that_it_does_not_trust() {
    let (authority, stranger) = (Authority::serving(), Authority::new());
    let larder = server(&authority, "127.0.0.1", "");
    let refused = connect(larder.address(), &stranger, None).err().unwrap();
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidData, "{refused}");
    assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
    let mut session = connect(larder.address(), &authority, None).unwrap();
    assert_eq!(session.figure("stats\r\n", "ssl_handshake_errors").as_deref(), Some("1"), "it was counted");
}

#[test]
fn a_server_does_not_start_with_what_it_cannot_use() {
    let authority = Authority::serving();
    let other = authority.issue();
    std::fs::write(authority.path("other.key"), &other.key).unwrap();
    std::fs::write(authority.path("empty"), "").unwrap();
    let path = |name: &str| authority.path(name).display().to_string();
    let (chain, key) = (path("server.pem"), path("server.key"));
    for (words, told) in [
        (format!("ssl_chain_cert={},ssl_key={key}", path("none")), "certificate chain"),
        (format!("ssl_chain_cert={},ssl_key={key}", path("empty")), "certificate chain"),
        (format!("ssl_chain_cert={chain},ssl_key={}", path("none")), "key"),
        (format!("ssl_chain_cert={chain},ssl_key={chain}"), "key"),
        (format!("ssl_chain_cert={chain},ssl_key={}", path("other.key")), "certificate and key"),
        (format!("ssl_chain_cert={chain},ssl_key={key},ssl_ca_cert={}", path("empty")), "CA"),
    ] {
        let refused = Larder::launch(&["--memory-only", "-p", "-1", "-Z", "-o", &words]).err().unwrap();
        assert!(refused.contains(&format!("TLS: {told}")), "{words}: {refused}");
    }
    assert!(server(&authority, "127.0.0.1", "").address().port() > 0, "and with the right ones it does");
}

#[test]
fn a_key_may_be_der_or_in_the_file_of_the_chain() {
    let authority = Authority::serving();
    let issued = authority.issue();
    let both = format!("{}{}", issued.chain, issued.key);
    std::fs::write(authority.path("both.pem"), both).unwrap();
    let words = format!("ssl_chain_cert={}", authority.path("both.pem").display());
    let larder = Larder::launch(&["--memory-only", "-p", "-1", "-Z", "-o", &words]).unwrap();
    assert!(is_served(&larder, 0, &authority, None));
    let identity = Identity { chain: issued.chain.as_bytes(), key: b"no key", key_is_der: true };
    let refused = Acceptor::new(identity, None, Rules::default(), None).unwrap_err();
    assert_eq!(refused.part, Part::Key, "{refused}");
    let trusting_nobody = Connector::new(b"", None).unwrap_err();
    assert_eq!(trusting_nobody.part, Part::Ca);
}
