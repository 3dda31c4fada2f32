//! New certificates for new connections, while old ones go on.
use nix::sys::signal::Signal;

use super::authority::Authority;
use super::{PATIENCE, connect};
use crate::process::Larder;
use crate::wait;

#[test]
fn new_certificates_meet_new_connections_and_old_ones_go_on() {
    let (old, new) = (Authority::serving(), Authority::new());
    let words = old.words();
    let larder = Larder::launch(&["--memory-only", "-p", "-1", "-Z", "-o", &words]).unwrap();
    let mut session = connect(larder.address(), &old, None).unwrap();
    assert!(connect(larder.address(), &new, None).is_err(), "nobody knows the new one yet");

    old.install(&new.issue());
    assert_eq!(session.ask("refresh_certs\r\n"), "OK");
    assert!(connect(larder.address(), &old, None).is_err());
    let mut later = connect(larder.address(), &new, None).unwrap();
    assert_eq!(later.ask("mn\r\n"), "MN");
    assert_eq!(session.ask("mn\r\n"), "MN", "who is in already goes on");

    old.install(&old.issue());
    larder.tell(Signal::SIGHUP);
    let back = wait::until(PATIENCE, || connect(larder.address(), &old, None).ok());
    assert_eq!(back.expect("SIGHUP reads them again").ask("mn\r\n"), "MN");
    assert_eq!([session.ask("mn\r\n"), later.ask("mn\r\n")], ["MN", "MN"]);
}

#[test]
fn what_cannot_be_used_changes_nothing() {
    let authority = Authority::serving();
    let larder = Larder::launch(&["--memory-only", "-p", "-1", "-Z", "-o", &authority.words()]).unwrap();
    let mut session = connect(larder.address(), &authority, None).unwrap();
    let (other, key) = (authority.issue(), authority.path("server.key"));
    std::fs::write(&key, &other.key).unwrap();
    let answer = session.ask("refresh_certs\r\n");
    assert!(answer.starts_with("Error validating the certificate: "), "{answer}");
    std::fs::remove_file(&key).unwrap();
    let answer = session.ask("refresh_certs\r\n");
    assert!(answer.starts_with(&format!("Error loading the key: {} : ", key.display())), "{answer}");
    std::fs::write(authority.path("ca.pem"), "no certificate").unwrap();
    std::fs::write(&key, &other.key).unwrap();
    std::fs::write(authority.path("server.pem"), &other.chain).unwrap();
    let answer = session.ask("refresh_certs\r\n");
    assert!(answer.starts_with("Error loading the CA certificate: "), "{answer}");
    assert!(connect(larder.address(), &authority, None).is_ok(), "the old ones stay");
    assert!(larder.said().contains("the certificates stay as they were"), "and the log says so");
}
