//! A CA for one test, and the files of what it has signed.
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// A CA with a folder, in which its own certificate is `ca.pem`.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    folder: tempfile::TempDir,
}

/// A certificate with its key, both PEM.
pub(crate) struct Issued {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Every CA has a name of its own, which is not that of what it signs.
        params.distinguished_name.push(DnType::CommonName, folder.path().display().to_string());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        std::fs::write(folder.path().join("ca.pem"), &certificate).unwrap();
        Authority { issuer: Issuer::new(params, key), certificate, folder }
    }

    /// Its own certificate, PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Signs a certificate for this machine.
    pub(crate) fn issue(&self) -> Issued {
        self.issue_with(|_| {})
    }

    /// Signs one that ended long ago.
    pub(crate) fn issue_expired(&self) -> Issued {
        self.issue_with(|params| {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        })
    }

    fn issue_with(&self, change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "localhost");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Issued { chain, key: key.serialize_pem() }
    }

    /// The path of a file of this CA's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes what was issued to `server.pem` and `server.key`: the files of [`Authority::words`].
    pub(crate) fn install(&self, issued: &Issued) {
        std::fs::write(self.path("server.pem"), &issued.chain).unwrap();
        std::fs::write(self.path("server.key"), &issued.key).unwrap();
    }

    /// What `-o` is told of a server's certificate and this CA.
    pub(crate) fn words(&self) -> String {
        let path = |name| self.path(name).display().to_string();
        let (chain, key, ca) = (path("server.pem"), path("server.key"), path("ca.pem"));
        format!("ssl_chain_cert={chain},ssl_key={key},ssl_ca_cert={ca}")
    }

    /// A CA, and a server's certificate installed.
    pub(crate) fn serving() -> Authority {
        let authority = Authority::new();
        authority.install(&authority.issue());
        authority
    }
}
