//! TLS to a server: whom a client trusts, whom it says it is, and a connection that is agreed on.

use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::base::limits::CLIENT_READ_BYTES;
use crate::tls::{Connector, Identity, Secured};

/// The shortest wait that a socket can be given.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// How a client speaks TLS. One value serves any number of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    connector: Connector,
    /// What certificates must name instead of the host that is connected to.
    name: Option<String>,
}

/// A certificate that a client shows to servers which ask for one.
#[derive(Clone, Copy)]
pub struct OwnCertificate<'a> {
    /// The chain, PEM.
    pub chain: &'a [u8],
    /// The key to its first, PEM.
    pub key: &'a [u8],
}

impl Tls {
    /// Trusts servers whose certificates are of this CA (PEM; there may be several), and shows `own` to those who ask.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(ca: &[u8], own: Option<OwnCertificate<'_>>) -> Result<Tls, String> {
        let identity = own.map(|own| Identity { chain: own.chain, key: own.key, key_is_der: false });
        let connector = Connector::new(ca, identity).map_err(|refusal| refusal.to_string())?;
        Ok(Tls { connector, name: None })
    }

    /// The same, but certificates must name this, whatever host is connected to.
    #[must_use]
    pub fn naming(mut self, name: &str) -> Tls {
        self.name = Some(name.to_owned());
        self
    }

    /// Agrees with the server at the other end, within the patience of `wait`. The socket blocks; its timeout for reading is
    /// another afterwards.
    ///
    /// # Errors
    /// The socket's, `InvalidData` for a server that is not trusted or speaks something else, `InvalidInput` for a host
    /// that no certificate can name.
    pub fn over(&self, socket: TcpStream, host: &str, wait: Duration) -> io::Result<Secured<TcpStream>> {
        let deadline = Instant::now() + wait;
        let name = self.name.as_deref().unwrap_or(host);
        let mut secured = self
            .connector
            .connect(socket, name)
            .map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
        let mut nothing = vec![0; CLIENT_READ_BYTES];
        secured.flush_all()?;
        while secured.is_handshaking() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            secured.socket().set_read_timeout(Some(left.max(WAIT_MIN)))?;
            match secured.read(&mut nothing) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                // Servers speak when they are asked.
                Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        secured.flush_all()?;
        Ok(secured)
    }
}
