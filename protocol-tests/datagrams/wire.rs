//! The wire of datagrams: each send is one, and what comes back is their bytes, frames and all.
//!
//! A probe for silence comes without a frame. It is given one, with an id that no exchange has, and its answer loses it.
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};

use super::{FRAME_BYTES, PATIENCE, framed};
use crate::transcript::{ConnId, Received, Wire};

const PROBE: &[u8] = b"mn\r\n";
/// The id of a probe.
const PROBE_ID: u16 = 0x7f7f;

/// Sockets, each of which speaks to one server.
pub(super) struct UdpWire {
    server: SocketAddr,
    sockets: Vec<UdpSocket>,
}

impl UdpWire {
    pub(super) fn new(server: SocketAddr) -> UdpWire {
        UdpWire { server, sockets: Vec::new() }
    }
}

impl Wire for UdpWire {
    fn connect(&mut self) -> ConnId {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        self.sockets.push(socket);
        ConnId(self.sockets.len() - 1)
    }

    fn send(&mut self, conn: ConnId, bytes: &[u8]) {
        let datagram = if bytes == PROBE { framed(PROBE_ID, PROBE) } else { bytes.to_vec() };
        self.sockets[conn.0].send(&datagram).unwrap();
    }

    fn receive(&mut self, conn: ConnId) -> Received {
        let mut bytes = vec![0; 1 << 16];
        match self.sockets[conn.0].recv(&mut bytes) {
            Ok(length) => {
                bytes.truncate(length);
                if bytes.starts_with(&PROBE_ID.to_be_bytes()) {
                    bytes.drain(..FRAME_BYTES);
                }
                Received::Bytes(bytes)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Received::Nothing
            }
            Err(error) => panic!("receiving: {error}"),
        }
    }

    fn hang_up(&mut self, _: ConnId) {}

    fn advance_clock(&mut self, _: i64) -> bool {
        false
    }
}
