//! Who may look: the name that a client calls this server by, and the token it shows.

use std::net::{IpAddr, SocketAddr};

use super::http::{Request, Status};
use crate::base::fault::{Fault, FaultKind};
use crate::base::limits::ADMIN_TOKEN_BYTES_MAX;

/// The rule of one admin port.
#[derive(Debug)]
pub(super) struct Access {
    /// It listens on a loopback address: only a client of this machine can come, but that may be a browser in the
    /// service of any site whose name is made to lead here. So the name must be one of this machine's own.
    local_only: bool,
    token: Option<Token>,
}

/// What must be shown. Never printed.
pub(super) struct Token(Vec<u8>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// Reads a token: the first line of the file.
    pub(super) fn read(path: &std::path::Path) -> Result<Token, Fault> {
        let text = std::fs::read(path).map_err(|error| Fault::io("cannot read the token", path, &error))?;
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
        let is_fit =
            (1..=ADMIN_TOKEN_BYTES_MAX).contains(&line.len()) && line.iter().all(u8::is_ascii_graphic);
        if !is_fit {
            let message = format!(
                "the first line must be a token of 1 to {ADMIN_TOKEN_BYTES_MAX} printable characters without spaces"
            );
            return Err(Fault::new(FaultKind::Unusable, message).at(path));
        }
        Ok(Token(line.to_vec()))
    }

    /// Compares every byte of the token, whatever was shown: the time taken tells at most its length.
    fn is(&self, shown: &[u8]) -> bool {
        let padded = shown.iter().copied().chain(std::iter::repeat(0));
        let differing = self.0.iter().zip(padded).fold(0, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
        (differing == 0) & (self.0.len() == shown.len())
    }
}

impl Access {
    pub(super) fn new(address: SocketAddr, token: Option<Token>) -> Access {
        Access { local_only: address.ip().is_loopback(), token }
    }

    /// Whether this request may be answered at all.
    pub(super) fn admits(&self, request: &Request) -> Result<(), Status> {
        let is_known = !self.local_only || request.host.as_deref().is_none_or(is_local);
        is_known.then_some(()).ok_or(Status::Forbidden)
    }

    /// Whether it may also see what the server holds.
    pub(super) fn trusts(&self, request: &Request) -> Result<(), Status> {
        let Some(token) = &self.token else { return Ok(()) };
        let is_trusted = request.token.as_deref().is_some_and(|shown| token.is(shown));
        is_trusted.then_some(()).ok_or(Status::Unauthorized)
    }
}

/// Whether a `Host` header, with or without a port, names this machine as only itself would.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host: Option<&str>, token: Option<&str>) -> Request {
        Request {
            path: "/".into(),
            query: String::new(),
            host: host.map(str::to_owned),
            token: token.map(|token| token.as_bytes().to_vec()),
            is_head: false,
        }
    }

    #[test]
    fn a_loopback_port_answers_to_its_own_names_alone() {
        for (host, is_known) in [
            (None, true),
            (Some("localhost"), true),
            (Some("LOCALHOST:9150"), true),
            (Some("127.0.0.1:9150"), true),
            (Some("127.8.9.1"), true),
            (Some("[::1]:9150"), true),
            (Some("evil.example"), false),
            (Some("localhost.evil.example"), false),
            (Some("127.0.0.1.evil.example:80"), false),
            (Some("10.0.0.1"), false),
            (Some(""), false),
        ] {
            let request = request(host, None);
            let local = Access::new(([127, 0, 0, 1], 1).into(), None);
            assert_eq!(local.admits(&request).is_ok(), is_known, "{host:?}");
            let open = Access::new(([0, 0, 0, 0], 1).into(), None);
            assert_eq!(open.admits(&request), Ok(()), "{host:?} where the token is the guard");
        }
    }

    #[test]
    fn only_the_token_itself_is_trusted() {
        let access = Access::new(([0, 0, 0, 0], 1).into(), Some(Token(b"secret".to_vec())));
        for (token, is_trusted) in [
            (Some("secret"), true),
            (Some("secret\0"), false),
            (Some("secre"), false),
            (Some("Secret"), false),
            (Some("secrets"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(access.trusts(&request(None, token)).is_ok(), is_trusted, "{token:?}");
        }
    }
}
