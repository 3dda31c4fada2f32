//! Addresses to listen on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::number;
use crate::base::limits;
use crate::base::tls::PeerCerts;

/// One place to listen on. Port 0 takes a free one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddr {
    /// An address.
    Socket(SocketAddr),
    /// A name, resolved when the server starts: listen on every address it has, refuse the start if it has none.
    Name {
        /// The name.
        host: String,
        /// The port.
        port: u16,
    },
    /// Every address of the machine: IPv4, and IPv6 where there is any.
    All {
        /// The port.
        port: u16,
    },
}

impl ListenAddr {
    /// Its port.
    pub fn port(&self) -> u16 {
        match self {
            ListenAddr::Socket(address) => address.port(),
            ListenAddr::Name { port, .. } | ListenAddr::All { port } => *port,
        }
    }

    /// Whether only this machine can reach it. A name is taken for one that others know.
    pub(super) fn is_loopback(&self) -> bool {
        match self {
            ListenAddr::Socket(address) => address.ip().is_loopback(),
            ListenAddr::Name { host, .. } => host == "localhost",
            ListenAddr::All { .. } => false,
        }
    }
}

/// One place to listen on, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where.
    pub address: ListenAddr,
    /// With TLS, whose certificates are asked for; `None` without TLS.
    pub tls: Option<PeerCerts>,
}

/// What `-l` says, or the loopback address when it says nothing; `tls` is what an address has that says nothing of it.
pub(super) fn addresses(words: &[String], port: u16, tls: Option<PeerCerts>) -> Result<Vec<Listen>, String> {
    if words.is_empty() {
        let address = ListenAddr::Socket((Ipv4Addr::LOCALHOST, port).into());
        return Ok(vec![Listen { address, tls }]);
    }
    let found: Vec<_> = words
        .iter()
        .flat_map(|word| word.split(','))
        .map(|word| one(word, port, tls))
        .collect::<Result<_, _>>()?;
    if found.len() > limits::LISTEN_MAX {
        return Err(format!("-l: {} addresses; write at most {}", found.len(), limits::LISTEN_MAX));
    }
    Ok(found)
}

/// One address with or without a word about TLS before it.
fn one(text: &str, default_port: u16, default: Option<PeerCerts>) -> Result<Listen, String> {
    let prefixes =
        [("notls:", None), ("btls:", Some(PeerCerts::Unasked)), ("mtls:", Some(PeerCerts::Required))];
    let named = prefixes.into_iter().find_map(|(prefix, tls)| Some((text.strip_prefix(prefix)?, tls)));
    let (bare, tls) = named.unwrap_or((text, default));
    if tls.is_some() && default.is_none() {
        return Err(format!("-l {text}: there is TLS only with -Z; write that too, or leave the prefix out"));
    }
    Ok(Listen { address: address(text, bare, default_port)?, tls })
}

/// One address with or without a port.
fn address(text: &str, bare: &str, default_port: u16) -> Result<ListenAddr, String> {
    let refusal = || format!("-l {text}: not an address; write ip, name, ip:port, name:port or [ipv6]:port");
    let (host, port) = split(bare).ok_or_else(refusal)?;
    let port = port.map_or(Ok(default_port), |port| own_port(text, port))?;
    match host.parse::<IpAddr>() {
        Ok(ip) => Ok(ListenAddr::Socket((ip, port).into())),
        Err(_) if host == "*" => Ok(ListenAddr::All { port }),
        Err(_) if is_name(host) => Ok(ListenAddr::Name { host: host.to_owned(), port }),
        Err(_) => Err(refusal()),
    }
}

/// Host and port: only IPv6 has more than one colon, and must be in brackets to have a port.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return if rest.is_empty() {
            Some((host, None))
        } else {
            Some((host, Some(rest.strip_prefix(':')?)))
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some((text, None));
    }
    Some(text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))))
}

/// A port that an address brings along.
fn own_port(text: &str, port: &str) -> Result<u16, String> {
    number::digits(port)
        .and_then(|number| u16::try_from(number).ok())
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("-l {text}: {port:?} is not a port; write 1 to 65535 behind the colon"))
}

/// Whether this can be a host's name: labels of letters, digits, hyphens and underscores. The last must not be a number:
/// that is a mistyped address.
fn is_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let mut labels = text.strip_suffix('.').unwrap_or(text).split('.');
    let last_is_number =
        labels.clone().next_back().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    text.len() <= 253
        && !last_is_number
        && labels.all(|label| (1..=63).contains(&label.len()) && label.bytes().all(is_letter))
}
