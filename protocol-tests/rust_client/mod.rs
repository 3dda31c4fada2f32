//! The client library against real servers, against servers that misbehave, and against libmemcached's arithmetic.
mod bad_server;
mod cluster;
mod failures;
mod libmemcached;
mod real;

use std::net::SocketAddr;
use std::time::Duration;

use larder::client::{Address, Client, Options};

/// Options for servers that live: nothing times out because the machine is busy.
fn patient() -> Options {
    let patience = Duration::from_secs(60);
    Options {
        connect_timeout: patience,
        write_timeout: patience,
        read_timeout: patience,
        ..Options::default()
    }
}

fn address(socket: SocketAddr) -> Address {
    Address::parse(&socket.to_string()).unwrap()
}

/// A client of one server.
fn client(socket: SocketAddr, options: Options) -> Client {
    Client::single(address(socket), options)
}
