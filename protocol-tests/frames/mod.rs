//! The binary protocol beyond transcripts: a client of frames, SASL, and random frames beside memcached.
mod differential;
mod sasl;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
const HEADER_BYTES: usize = 24;

/// A frame to send.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    pub(crate) extras: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) opaque: u32,
    pub(crate) cas: u64,
}

impl Frame {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let body_bytes = self.extras.len() + self.key.len() + self.value.len();
        let mut bytes = vec![0x80, self.opcode];
        bytes.extend((self.key.len() as u16).to_be_bytes());
        bytes.extend([self.extras.len() as u8, 0, 0, 0]);
        bytes.extend((body_bytes as u32).to_be_bytes());
        bytes.extend(self.opaque.to_be_bytes());
        bytes.extend(self.cas.to_be_bytes());
        [&self.extras, &self.key, &self.value].into_iter().for_each(|part| bytes.extend(part));
        bytes
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) opcode: u8,
    pub(crate) status: u16,
    extras_bytes: u8,
    key_bytes: u16,
    pub(crate) opaque: u32,
    cas: u64,
    pub(crate) body: String,
}

/// A connection that speaks frames.
pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Client(socket)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// The next answer; `None` when the server has closed.
    pub(crate) fn receive(&mut self) -> Option<Answer> {
        let mut header = [0; HEADER_BYTES];
        self.0.read_exact(&mut header).ok()?;
        let [magic, opcode, k0, k1, extras_bytes, _, s0, s1, b0, b1, b2, b3, o0, o1, o2, o3, cas @ ..] =
            header;
        assert_eq!(magic, 0x81, "{header:02x?}");
        let mut body = vec![0; u32::from_be_bytes([b0, b1, b2, b3]) as usize];
        self.0.read_exact(&mut body).ok()?;
        Some(Answer {
            opcode,
            status: u16::from_be_bytes([s0, s1]),
            extras_bytes,
            key_bytes: u16::from_be_bytes([k0, k1]),
            opaque: u32::from_be_bytes([o0, o1, o2, o3]),
            cas: u64::from_be_bytes(cas),
            body: body.escape_ascii().to_string(),
        })
    }

    /// The status and the text that answer a frame; `None` when the server closes.
    fn ask(&mut self, opcode: u8, key: &str, value: &str) -> Option<(u16, String)> {
        let frame = Frame { opcode, key: key.into(), value: value.into(), ..Frame::default() };
        self.send(&frame.bytes());
        self.receive().map(|answer| (answer.status, answer.body))
    }
}
