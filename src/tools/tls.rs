//! What commands that talk to a server are told of TLS.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Stop;
use crate::base::fault::{Fault, FaultKind};
use crate::client::{self, OwnCertificate};

/// Options of every command that talks to a running server.
#[derive(Args, Clone, Debug)]
pub(super) struct Tls {
    /// Speak TLS, with --ca
    #[arg(long, requires = "tls_ca")]
    tls: bool,
    /// Trust servers whose certificate is of this CA (PEM) and names the host that is connected to
    #[arg(long = "ca", value_name = "FILE", requires = "tls")]
    tls_ca: Option<PathBuf>,
    /// Show this certificate (PEM) to a server that asks for one
    #[arg(long = "cert", value_name = "FILE", requires = "tls")]
    tls_cert: Option<PathBuf>,
    /// The key to --cert [default: in the same file]
    #[arg(long = "cert-key", value_name = "FILE", requires = "tls_cert")]
    tls_cert_key: Option<PathBuf>,
}

impl Tls {
    /// How it is spoken, if it is.
    ///
    /// # Errors
    /// A file that cannot be read or used.
    pub(super) fn settings(&self) -> Result<Option<client::Tls>, Stop> {
        let Some(ca_file) = self.tls_ca.as_deref().filter(|_| self.tls) else { return Ok(None) };
        let ca = read(ca_file)?;
        let own = match self.tls_cert.as_deref() {
            Some(cert) => Some((read(cert)?, read(self.tls_cert_key.as_deref().unwrap_or(cert))?)),
            None => None,
        };
        let own = own.as_ref().map(|(chain, key)| OwnCertificate { chain, key });
        let made = client::Tls::new(&ca, own);
        Ok(Some(made.map_err(|why| Fault::new(FaultKind::Unusable, format!("--tls: {why}")))?))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    std::fs::read(path).map_err(|error| Fault::io("cannot read", path, &error))
}
