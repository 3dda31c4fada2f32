//! The generator's side of a socket: plain, or with TLS around it.

use mio::net::TcpStream;
use mio::{Interest, Poll, Token};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

/// The name that the certificate is made out for.
const NAME: &str = "localhost";

/// A certificate for one server and its key, both as PEM, and a client that trusts it alone.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
    pub(crate) trust: Arc<ClientConfig>,
}

impl Identity {
    /// Makes a new one, signed by itself.
    pub(crate) fn make() -> io::Result<Self> {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).map_err(io::Error::other)?;
        let trust = Arc::new(trust_in(made.cert.der().clone()).map_err(io::Error::other)?);
        let (certificate_pem, key_pem) = (made.cert.pem(), made.signing_key.serialize_pem());
        Ok(Self { certificate_pem, key_pem, trust })
    }
}

fn trust_in(certificate: CertificateDer<'static>) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// An open connection.
#[derive(Debug)]
pub(crate) enum Wire {
    Plain(TcpStream),
    Sealed(Box<Sealed>),
}

#[derive(Debug)]
pub(crate) struct Sealed {
    socket: TcpStream,
    session: ClientConnection,
}

impl Wire {
    /// Connects, shakes hands if there is to be TLS, and has itself polled.
    pub(crate) fn open(
        server: SocketAddr,
        token: Token,
        poll: &Poll,
        trust: Option<&Arc<ClientConfig>>,
    ) -> io::Result<Self> {
        // Blocking until here: with thousands of connections this is paced by the server's accepting.
        let mut socket = std::net::TcpStream::connect(server)?;
        socket.set_nodelay(true)?;
        let session = trust.map(|trust| shake_hands(trust, &mut socket)).transpose()?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        poll.registry().register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(match session {
            Some(session) => Self::Sealed(Box::new(Sealed { socket, session })),
            None => Self::Plain(socket),
        })
    }

    /// Takes as many of the bytes as it can, `WouldBlock` when it can take none.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Sealed(sealed) => sealed.write(bytes),
        }
    }

    /// Sends what was taken and has not left.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Sealed(sealed) => sealed.send(),
        }
    }

    /// Reads once, `WouldBlock` when nothing is there.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Sealed(sealed) => sealed.read(buffer),
        }
    }

    /// Whether a read that does not fill its buffer has emptied the socket.
    pub(crate) fn is_emptied_by_a_short_read(&self) -> bool {
        matches!(self, Self::Plain(_))
    }
}

fn shake_hands(trust: &Arc<ClientConfig>, socket: &mut std::net::TcpStream) -> io::Result<ClientConnection> {
    let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
    let mut session = ClientConnection::new(Arc::clone(trust), name).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(socket)?;
    }
    Ok(session)
}

impl Sealed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.session.writer().write(bytes)?;
        self.send()?;
        if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    fn send(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            if self.session.read_tls(&mut self.socket)? == 0 {
                return Ok(0);
            }
            self.session.process_new_packets().map_err(io::Error::other)?;
        }
    }
}
