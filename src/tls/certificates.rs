//! Certificates and rules, checked together once, for any number of connections.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion,
};

use super::secured::Secured;
use super::sessions::Sessions;
use crate::base::limits::TLS_WRITE_BYTES_DEFAULT;
use crate::base::tls::{PeerCerts, TlsCounts};

/// Who somebody is: a chain of certificates and the key to its first.
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    /// PEM.
    pub chain: &'a [u8],
    /// PEM, or DER.
    pub key: &'a [u8],
    /// Whether the key is DER.
    pub key_is_der: bool,
}

/// How connections are accepted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Whose certificates are asked for.
    pub peer_certs: PeerCerts,
    /// Whether TLS 1.2 is too old.
    pub only_tls13: bool,
    /// Whether sessions are kept, so that a client that comes back saves a part of the handshake.
    pub keeps_sessions: bool,
    /// How much is encrypted at once and held until the socket has taken it, bytes; 0 for the default.
    pub write_bytes: usize,
}

/// What is wrong with certificates, and with which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which of them.
    pub part: Part,
    /// What is wrong.
    pub why: String,
}

/// One of the things that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The chain.
    Chain,
    /// The key.
    Key,
    /// Chain and key together.
    Pair,
    /// The CA.
    Ca,
}

impl Part {
    fn refuses(self, why: impl fmt::Display) -> Refusal {
        Refusal { part: self, why: why.to_string() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.part {
            Part::Chain => "certificate chain",
            Part::Key => "key",
            Part::Pair => "certificate and key",
            Part::Ca => "CA",
        };
        write!(f, "{part}: {}", self.why)
    }
}

/// Accepts connections.
#[derive(Clone, Debug)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    write_bytes: usize,
    counts: Option<Arc<TlsCounts>>,
}

impl Acceptor {
    /// Checks everything. `ca` is PEM, and needed when certificates are asked for.
    ///
    /// # Errors
    /// What is wrong.
    pub fn new(
        identity: Identity<'_>,
        ca: Option<&[u8]>,
        rules: Rules,
        counts: Option<Arc<TlsCounts>>,
    ) -> Result<Acceptor, Refusal> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(rules.only_tls13))
            .map_err(|error| Part::Pair.refuses(error))?;
        let builder = match client_verifier(ca, rules.peer_certs)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let (chain, key) = (chain(identity.chain)?, key(identity)?);
        let mut config = builder.with_single_cert(chain, key).map_err(|error| Part::Pair.refuses(error))?;
        if rules.keeps_sessions {
            config.session_storage = Sessions::new(counts.clone());
        } else {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Acceptor { config: Arc::new(config), write_bytes: rules.write_bytes, counts })
    }

    /// The server's side of TLS over this socket. Nothing is read or written yet.
    ///
    /// # Errors
    /// Never with rules that were accepted.
    pub fn accept<S: Read + Write>(&self, socket: S) -> Result<Secured<S>, String> {
        let connection =
            ServerConnection::new(Arc::clone(&self.config)).map_err(|error| error.to_string())?;
        Ok(Secured::new(socket, connection.into(), self.write_bytes, self.counts.clone()))
    }
}

/// Connects to others.
#[derive(Clone, Debug)]
pub struct Connector {
    config: Arc<ClientConfig>,
}

impl Connector {
    /// Who trusts this CA (PEM) and shows this identity to those who ask for one.
    ///
    /// # Errors
    /// What is wrong.
    pub fn new(ca: &[u8], identity: Option<Identity<'_>>) -> Result<Connector, Refusal> {
        let verifier = WebPkiServerVerifier::builder_with_provider(roots(ca)?, provider())
            .build()
            .map_err(|error| Part::Ca.refuses(error))?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(false))
            .map_err(|error| Part::Pair.refuses(error))?
            .with_webpki_verifier(verifier);
        let config = match identity {
            Some(identity) => builder
                .with_client_auth_cert(chain(identity.chain)?, key(identity)?)
                .map_err(|error| Part::Pair.refuses(error))?,
            None => builder.with_no_client_auth(),
        };
        Ok(Connector { config: Arc::new(config) })
    }

    /// The client's side of TLS over this socket, to the server that its certificate must name `name`: a host or an IP
    /// address. Nothing is read or written yet.
    ///
    /// # Errors
    /// A name that no certificate can have.
    pub fn connect<S: Read + Write>(&self, socket: S, name: &str) -> Result<Secured<S>, String> {
        let name = ServerName::try_from(name.to_owned()).map_err(|error| format!("{name}: {error}"))?;
        let connection =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(|error| error.to_string())?;
        Ok(Secured::new(socket, connection.into(), TLS_WRITE_BYTES_DEFAULT, None))
    }
}

impl PartialEq for Connector {
    /// The same one: two that were made apart may trust alike and nobody can tell.
    fn eq(&self, other: &Connector) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

impl Eq for Connector {}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

static TLS13: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
static TLS12_AND_13: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

fn versions(only_tls13: bool) -> &'static [&'static SupportedProtocolVersion] {
    if only_tls13 { &TLS13 } else { &TLS12_AND_13 }
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Refusal> {
    certificates(pem, Part::Chain)
}

fn key(identity: Identity<'_>) -> Result<PrivateKeyDer<'static>, Refusal> {
    if identity.key_is_der {
        return PrivateKeyDer::try_from(identity.key.to_vec()).map_err(|why| Part::Key.refuses(why));
    }
    PrivateKeyDer::from_pem_slice(identity.key).map_err(|error| Part::Key.refuses(error))
}

fn roots(pem: &[u8]) -> Result<Arc<RootCertStore>, Refusal> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, Part::Ca)? {
        roots.add(certificate).map_err(|error| Part::Ca.refuses(error))?;
    }
    Ok(Arc::new(roots))
}

/// All certificates of a PEM text: at least one.
fn certificates(pem: &[u8], part: Part) -> Result<Vec<CertificateDer<'static>>, Refusal> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| part.refuses(error))?;
    if found.is_empty() { Err(part.refuses("there is no certificate in it")) } else { Ok(found) }
}

fn client_verifier(
    ca: Option<&[u8]>,
    peer_certs: PeerCerts,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, Refusal> {
    if peer_certs == PeerCerts::Unasked {
        return Ok(None);
    }
    let ca = ca.ok_or_else(|| Part::Ca.refuses("none is given"))?;
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots(ca)?, provider());
    if peer_certs == PeerCerts::Welcome {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map(Some).map_err(|error| Part::Ca.refuses(error))
}

/// Counts one thing, for whoever counts.
pub(super) fn count(counts: Option<&Arc<TlsCounts>>, what: fn(&TlsCounts) -> &std::sync::atomic::AtomicU64) {
    if let Some(counts) = counts {
        what(counts).fetch_add(1, Ordering::Relaxed);
    }
}
