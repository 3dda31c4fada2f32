//! `-Z`, `--peer-tls` and what `-o` says of TLS.

use std::path::{Path, PathBuf};

use super::{Flags, Listen, Machine, number, resolve::absolute};
use crate::base::limits;
use crate::base::tls::PeerCerts;
use crate::tls::IS_BUILT;

/// Certificates and rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The chain of certificates, PEM, absolute.
    pub chain: PathBuf,
    /// The key to its first, absolute; may be in the same file.
    pub key: PathBuf,
    /// Whether the key is DER, not PEM.
    pub key_is_der: bool,
    /// Whom to trust, PEM, absolute.
    pub ca: Option<PathBuf>,
    /// Whose certificates are asked for where `-l` says nothing of it.
    pub peer_certs: PeerCerts,
    /// Whether TLS 1.2 is too old.
    pub only_tls13: bool,
    /// What a connection encrypts at once, bytes.
    pub write_bytes: usize,
    /// Whether clients may resume their sessions.
    pub keeps_sessions: bool,
    /// Whether clients come in by TLS (`-Z`).
    pub clients: bool,
    /// Whether the other servers are reached by TLS (`--peer-tls`).
    pub peers: bool,
    /// What was asked for and has no effect, as it is shown.
    pub shown: ShownTls,
}

/// What memcached has for its TLS library, and this one decides by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownTls {
    /// `ssl_ciphers`.
    pub ciphers: Option<String>,
    /// `ssl_kernel_tls`.
    pub kernel: bool,
    /// `ssl_verify_mode` as memcached shows it: the bits of its library.
    pub verify_bits: u8,
}

impl Tls {
    /// What a client meets where `-l` says nothing of it.
    pub fn for_clients(&self) -> Option<PeerCerts> {
        self.clients.then_some(self.peer_certs)
    }

    /// An address that asks for certificates must know whose.
    pub(super) fn refuse_certs_without_ca(&self, listen: &[Listen]) -> Result<(), String> {
        let asks = |listen: &Listen| !matches!(listen.tls, None | Some(PeerCerts::Unasked));
        if self.ca.is_none() && listen.iter().any(asks) {
            return Err("-l mtls: and ssl_verify_mode: certificates of which CA? write \
                        -o ssl_ca_cert=FILE too"
                .into());
        }
        Ok(())
    }
}

/// The words of `-o`, as they were written.
#[derive(Debug, Default)]
pub(super) struct Words {
    chain_cert: Option<String>,
    key: Option<String>,
    ca_cert: Option<String>,
    verify_mode: Option<String>,
    min_version: Option<String>,
    key_format: Option<String>,
    ciphers: Option<String>,
    wbuf_size: Option<String>,
    session_cache: bool,
    kernel: bool,
}

impl Words {
    /// Takes one word; the last one counts.
    pub(super) fn take(&mut self, name: &str, value: Option<&str>) -> Result<(), String> {
        let place = match name {
            "ssl_session_cache" => {
                self.session_cache = true;
                return Ok(());
            }
            "ssl_kernel_tls" => {
                self.kernel = true;
                return Ok(());
            }
            "ssl_chain_cert" => &mut self.chain_cert,
            "ssl_key" => &mut self.key,
            "ssl_ca_cert" => &mut self.ca_cert,
            "ssl_verify_mode" => &mut self.verify_mode,
            "ssl_min_version" => &mut self.min_version,
            "ssl_keyformat" => &mut self.key_format,
            "ssl_ciphers" => &mut self.ciphers,
            "ssl_wbuf_size" => &mut self.wbuf_size,
            _ => return Err(format!("-o {name}: no such option; leave it out")),
        };
        let value = value.filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| format!("-o {name}: the value is missing; write -o {name}=VALUE"))?;
        *place = Some(value.to_owned());
        Ok(())
    }

    fn is_said(&self) -> bool {
        self.chain_cert.is_some() || self.key.is_some() || self.ca_cert.is_some()
    }
}

/// What `-Z` and `--peer-tls` ask for.
pub(super) fn resolve(
    words: Words,
    flags: &Flags,
    machine: &Machine,
    notes: &mut Vec<String>,
) -> Result<Option<Tls>, String> {
    let (clients, peers) = (flags.enable_ssl, flags.peer_tls);
    let peer_certs = verify_mode(words.verify_mode.as_deref())?;
    let only_tls13 = min_version(words.min_version.as_deref(), notes)?;
    let key_is_der = key_format(words.key_format.as_deref())?;
    let write_bytes = write_bytes(words.wbuf_size.as_deref())?;
    if !clients && !peers {
        if words.is_said() {
            notes.push("-o ssl_... has no effect without -Z: clients come in without TLS".into());
        }
        return Ok(None);
    }
    let flag = if clients { "-Z" } else { "--peer-tls" };
    if !IS_BUILT {
        return Err(format!("{flag}: this larder is built without TLS; build it with the feature `tls`"));
    }
    let chain = words
        .chain_cert
        .as_deref()
        .ok_or_else(|| format!("{flag}: which certificate? write -o ssl_chain_cert=FILE,ssl_key=FILE too"))?;
    let key = words.key.as_deref().unwrap_or(chain);
    refuse_peers(flags, words.ca_cert.is_some())?;
    note(&words, notes);
    let absolute = |path: &str| absolute(Path::new(path), machine);
    Ok(Some(Tls {
        chain: absolute(chain),
        key: absolute(key),
        key_is_der,
        ca: words.ca_cert.as_deref().map(absolute),
        peer_certs,
        only_tls13,
        write_bytes,
        keeps_sessions: words.session_cache,
        clients,
        peers,
        shown: ShownTls {
            verify_bits: verify_bits(words.verify_mode.as_deref()),
            ciphers: words.ciphers,
            kernel: words.kernel,
        },
    }))
}

fn refuse_peers(flags: &Flags, has_ca: bool) -> Result<(), String> {
    match (flags.peer_tls, flags.cluster.is_some(), has_ca) {
        (true, false, _) => Err("--peer-tls: there are no other servers; write --cluster FILE too".into()),
        (true, true, false) => {
            Err("--peer-tls: certificates of which CA? write -o ssl_ca_cert=FILE too".into())
        }
        _ => Ok(()),
    }
}

fn note(words: &Words, notes: &mut Vec<String>) {
    if let Some(ciphers) = &words.ciphers {
        notes.push(format!(
            "-o ssl_ciphers={ciphers} has no effect: only ciphers without known weakness are spoken"
        ));
    }
    if words.kernel {
        notes.push("-o ssl_kernel_tls has no effect here".into());
    }
}

/// As memcached numbers them. 3 is 2 for a connection that is never agreed on again, as none is here.
fn verify_mode(text: Option<&str>) -> Result<PeerCerts, String> {
    match text {
        None | Some("0") => Ok(PeerCerts::Unasked),
        Some("1") => Ok(PeerCerts::Welcome),
        Some("2" | "3") => Ok(PeerCerts::Required),
        Some(text) => Err(format!(
            "-o ssl_verify_mode={text}: no such mode; write 0 (none), 1 (request), 2 (require) or 3 (once)"
        )),
    }
}

fn verify_bits(text: Option<&str>) -> u8 {
    match text {
        Some("1") => 1,
        Some("2") => 3,
        Some("3") => 7,
        _ => 0,
    }
}

/// Whether TLS 1.2 is refused.
fn min_version(text: Option<&str>, notes: &mut Vec<String>) -> Result<bool, String> {
    match text {
        None | Some("2" | "tlsv1.2") => Ok(false),
        Some("3" | "tlsv1.3") => Ok(true),
        Some(old @ ("0" | "1" | "tlsv1.0" | "tlsv1.1")) => {
            notes.push(format!("-o ssl_min_version={old} is taken as tlsv1.2: older TLS is not spoken"));
            Ok(false)
        }
        Some(text) => Err(format!("-o ssl_min_version={text}: no such version; write tlsv1.2 or tlsv1.3")),
    }
}

fn key_format(text: Option<&str>) -> Result<bool, String> {
    match text {
        None | Some("1" | "PEM" | "pem") => Ok(false),
        Some("2" | "DER" | "der") => Ok(true),
        Some(text) => Err(format!("-o ssl_keyformat={text}: no such format; write PEM or DER")),
    }
}

fn write_bytes(text: Option<&str>) -> Result<usize, String> {
    let default_kb = (limits::TLS_WRITE_BYTES_DEFAULT >> 10) as u64;
    let kb = number::within_or("-o ssl_wbuf_size", text, 1..=limits::TLS_WRITE_KB_MAX, default_kb)?;
    Ok((kb as usize) << 10)
}
