//! UDP: what is sent and answered, datagram by datagram, beside a memcached; pieces of long replies; who is not answered;
//! replies that come late; datagrams that nobody would send.
mod guard;
mod replies;
mod wire;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use crate::oracle::Oracle;
use crate::process::Larder;
use crate::skips;
use crate::transcript::{self, Transcript};
use wire::UdpWire;

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The frame before each piece, bytes.
const FRAME_BYTES: usize = 8;

/// A server with a UDP port; its data goes with it.
struct Fixture {
    larder: Larder,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn start(options: &[&str]) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let own = ["-U", "-1", "--groups", "4", "--log-size", "64m", "-t", "2"];
        let larder = Larder::start(&folder.path().join("data"), &[&own, options].concat()).unwrap();
        Fixture { larder, _folder: folder }
    }

    fn sender(&self) -> Sender {
        Sender::to(self.larder.udp_address())
    }
}

/// Who sends datagrams and gets datagrams.
pub(crate) struct Sender {
    socket: UdpSocket,
}

impl Sender {
    pub(crate) fn to(server: SocketAddr) -> Sender {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Sender { socket }
    }

    /// Sends these bytes as they are.
    fn send(&self, datagram: &[u8]) {
        self.socket.send(datagram).unwrap();
    }

    /// The next datagram.
    fn receive(&self) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 16];
        let length = self.socket.recv(&mut bytes).expect("a datagram comes");
        bytes.truncate(length);
        bytes
    }

    /// Sends a request; the pieces of its reply, as they came.
    fn pieces(&self, id: u16, request: &[u8]) -> Vec<Vec<u8>> {
        self.send(&framed(id, request));
        let first = self.receive();
        let count = u16::from_be_bytes([first[4], first[5]]);
        let mut pieces = vec![first];
        (1..count).for_each(|_| pieces.push(self.receive()));
        pieces
    }

    /// Sends a request; its reply, whose frames are judged.
    pub(crate) fn ask(&self, id: u16, request: impl AsRef<[u8]>) -> Vec<u8> {
        let pieces = self.pieces(id, request.as_ref());
        let mut reply = Vec::new();
        for (number, piece) in pieces.iter().enumerate() {
            let frame = [id, number as u16, pieces.len() as u16, 0].map(u16::to_be_bytes).concat();
            assert_eq!(piece[..FRAME_BYTES], frame, "piece {number} of {}", pieces.len());
            assert!(piece.len() == 1400 || number + 1 == pieces.len(), "{} bytes", piece.len());
            reply.extend_from_slice(&piece[FRAME_BYTES..]);
        }
        reply
    }

    /// Asks in words for words.
    fn say(&self, request: &str) -> String {
        String::from_utf8(self.ask(7, request)).unwrap()
    }

    /// What has come beside the answers to two probes, of which the second is taken after all that the turn of the first
    /// has let go of.
    fn heard(&self) -> Vec<Vec<u8>> {
        let mut others = Vec::new();
        for id in [0xfffe_u16, 0xffff] {
            let probe = framed(id, b"mn\r\n");
            self.send(&probe);
            others.extend(
                std::iter::repeat_with(|| self.receive()).take_while(|heard| heard[..2] != probe[..2]),
            );
        }
        others
    }

    /// Nothing has been said that was not expected.
    fn hears_nothing(&self) {
        assert_eq!(self.heard(), Vec::<Vec<u8>>::new());
    }
}

/// A request in its frame.
fn framed(id: u16, request: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0], request].concat()
}

/// The exchanges, as files.
fn exchanges() -> Vec<Transcript> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol-tests/datagrams/exchanges");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        transcript::parse(&name, &fs::read_to_string(path).unwrap()).unwrap_or_else(|what| panic!("{what}"))
    };
    paths.iter().map(|path| read(path)).collect()
}

#[test]
fn every_exchange_holds() {
    let all = exchanges();
    assert!(all.len() >= 6, "the files are found");
    for exchange in &all {
        let options: Vec<&str> = exchange.options.iter().map(String::as_str).collect();
        let fixture = Fixture::start(&options);
        let mut wire = UdpWire::new(fixture.larder.udp_address());
        transcript::run(exchange, &mut wire, false).unwrap_or_else(|mismatch| panic!("{mismatch}"));
    }
}

#[test]
fn memcached_holds_every_exchange_that_names_no_reason() {
    let Some(memcached) = skips::require("memcached") else { return };
    for exchange in &exchanges() {
        let own = ["-U", "-1", "-t", "1"].map(String::from);
        let oracle = Oracle::start(&memcached, &[&own, &exchange.options[..]].concat()).unwrap();
        let mut wire = UdpWire::new(oracle.udp_address().unwrap());
        match (transcript::run(exchange, &mut wire, false), &exchange.not_for_target) {
            (Err(mismatch), None) => panic!("{mismatch}"),
            (Ok(()), Some(why)) if !why.starts_with("unsteady") => {
                panic!("{}: memcached answers so too, in spite of: {why}", exchange.file)
            }
            _ => {}
        }
    }
}
