//! Clients that take their time with the handshake, before a server whose clock is the test's.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use larder::base::limits::TLS_HANDSHAKE_S;
use larder::base::time::Clock;
use larder::server::Server;

use super::authority::Authority;
use super::memory::{connector, ends};
use super::{PATIENCE, connect};
use crate::drivers::{TestClock, configured};

/// What a client says first.
fn hello(authority: &Authority) -> Vec<u8> {
    let (at_server, at_client) = ends();
    connector(authority).connect(at_client, "localhost").unwrap().flush_all().unwrap();
    at_server.drain()
}

#[test]
fn a_handshake_that_stalls_is_closed_and_holds_up_nobody() {
    let authority = Authority::serving();
    let words = authority.words();
    let words = ["--memory-only", "-p", "-1", "-t", "1", "-Z", "-o", &words];
    let clock = TestClock::new();
    let shared = Arc::clone(&clock) as Arc<dyn Clock>;
    let server = Server::start(&configured(words), shared, Arc::new(|| {})).unwrap();
    let address = server.addresses()[0];
    let stall = |said: &[u8]| {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(said).unwrap();
        socket
    };
    let whole = hello(&authority);
    // Nothing, a part of a hello, and a hello whose answer nobody goes on with.
    let mut stalled = [stall(b""), stall(&whole[..40]), stall(&whole)];
    let mut session = connect(address, &authority, None).unwrap();
    assert_eq!(session.ask("set a 0 0 1\r\n1\r\n"), "STORED", "others are served");
    assert_eq!(session.figure("stats\r\n", "curr_connections").as_deref(), Some("4"));
    clock.advance(i64::from(TLS_HANDSHAKE_S) + 1);
    for socket in &mut stalled {
        // It ends: by a reset where it had bytes that nobody read.
        let _ = socket.read_to_end(&mut Vec::new());
    }
    assert_eq!(
        session.ask("get a\r\n"),
        "VALUE a 0 1",
        "who has agreed may be silent for as long as he likes"
    );
    session.read(b"1\r\nEND\r\n".len());
    assert_eq!(session.figure("stats\r\n", "curr_connections").as_deref(), Some("1"));
    assert_eq!(session.figure("stats\r\n", "ssl_handshake_errors").as_deref(), Some("2"), "two had begun");
    server.stop().unwrap();
}
