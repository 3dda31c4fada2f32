//! The port as a whole, without a server behind it: what it says while one recovers, and that it ends.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;

use super::{Admin, Pulse};

fn open() -> Admin {
    Admin::open((Ipv4Addr::LOCALHOST, 0).into(), None, Arc::new(Pulse::default())).unwrap()
}

fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_server_that_recovers_is_alive_and_not_ready() {
    let admin = open();
    for (path, status, body) in [
        ("/health/live", "200", "alive\n"),
        ("/health/ready", "503", "recovering\n"),
        ("/api/overview", "200", "{\"state\":\"recovering\"}"),
        ("/api/groups", "503", "recovering\n"),
        ("/metrics", "200", "larder_ready 0\n"),
    ] {
        let answer = ask(admin.address(), path);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.ends_with(body),
            "{path}: {answer}"
        );
    }
    admin.tell_stopping();
    assert!(ask(admin.address(), "/health/ready").ends_with("stopping\n"));
}

#[test]
fn the_port_closes_when_it_is_dropped_whoever_is_connected() {
    let admin = open();
    let address = admin.address();
    let mut stuck = TcpStream::connect(address).unwrap();
    stuck.write_all(b"GET ").unwrap();
    // Answered: the connection before it was taken in.
    assert!(ask(address, "/health/live").ends_with("alive\n"));
    drop(admin);
    assert!(matches!(stuck.read(&mut [0; 1]), Ok(0) | Err(_)));
    assert!(TcpStream::connect(address).is_err());
}
