//! Bytes to requests and answers to bytes: as much of HTTP/1.1 as looking needs. One request a connection.

use std::borrow::Cow;

use crate::base::limits::{ADMIN_HEADERS_MAX, ADMIN_REQUEST_BYTES_MAX};

/// A request, as far as anybody here wants to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Without the query.
    pub(super) path: String,
    /// What stands behind the `?`, empty for nothing.
    pub(super) query: String,
    /// What the client calls this server.
    pub(super) host: Option<String>,
    /// What it shows behind `Authorization: Bearer`.
    pub(super) token: Option<Vec<u8>>,
    /// It wants the headers alone.
    pub(super) is_head: bool,
}

/// What the received bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// Not whole yet.
    Part,
    /// A request. What follows it is not looked at.
    Whole(Request),
    /// Nothing that is served, and the status that says why.
    Refused(Status),
}

/// The statuses that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    TooLarge,
    Fault,
    Unavailable,
    OtherVersion,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Status::Ok => "200 OK",
            Status::BadRequest => "400 Bad Request",
            Status::Unauthorized => "401 Unauthorized",
            Status::Forbidden => "403 Forbidden",
            Status::NotFound => "404 Not Found",
            Status::MethodNotAllowed => "405 Method Not Allowed",
            Status::TooLarge => "431 Request Header Fields Too Large",
            Status::Fault => "500 Internal Server Error",
            Status::Unavailable => "503 Service Unavailable",
            Status::OtherVersion => "505 HTTP Version Not Supported",
        }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub(super) status: Status,
    pub(super) content_type: &'static str,
    /// Further header lines, each with its end.
    pub(super) headers: String,
    pub(super) body: Vec<u8>,
}

impl Response {
    /// One line for people.
    pub(super) fn text(status: Status, text: &str) -> Response {
        let body = format!("{text}\n").into_bytes();
        Response { status, content_type: "text/plain; charset=utf-8", headers: String::new(), body }
    }

    /// A refusal that says no more than its status.
    pub(super) fn refusal(status: Status) -> Response {
        let mut response = Response::text(status, status.line());
        match status {
            Status::MethodNotAllowed => response.headers.push_str("Allow: GET, HEAD\r\n"),
            Status::Unauthorized => {
                response.headers.push_str("WWW-Authenticate: Bearer realm=\"larder\"\r\n")
            }
            _ => {}
        }
        response
    }

    /// JSON.
    pub(super) fn json(value: &serde_json::Value) -> Response {
        let body = value.to_string().into_bytes();
        Response { status: Status::Ok, content_type: "application/json", headers: String::new(), body }
    }

    /// The bytes to send, without the body for a HEAD.
    pub(super) fn bytes(&self, is_head: bool) -> Vec<u8> {
        let mut bytes = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\n{}\r\n",
            self.status.line(),
            self.content_type,
            self.body.len(),
            self.headers
        )
        .into_bytes();
        if !is_head {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// What these bytes, from the start of a connection, are. Nothing is allocated from a length that a client announces,
/// and a body is not read.
pub(super) fn receive(bytes: &[u8]) -> Received {
    let mut headers = [httparse::EMPTY_HEADER; ADMIN_HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Partial) if bytes.len() >= ADMIN_REQUEST_BYTES_MAX => {
            Received::Refused(Status::TooLarge)
        }
        Ok(httparse::Status::Partial) => Received::Part,
        Ok(httparse::Status::Complete(_)) => understand(&parsed),
        Err(httparse::Error::TooManyHeaders) => Received::Refused(Status::TooLarge),
        Err(httparse::Error::Version) => Received::Refused(Status::OtherVersion),
        Err(_) => Received::Refused(Status::BadRequest),
    }
}

fn understand(parsed: &httparse::Request<'_, '_>) -> Received {
    let is_head = match parsed.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Received::Refused(Status::MethodNotAllowed),
    };
    let target = parsed.path.unwrap_or_default();
    if !target.starts_with('/') {
        return Received::Refused(Status::BadRequest);
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut hosts = values(parsed.headers, "host");
    let host = hosts.next();
    // Two hosts, or none in HTTP/1.1: whoever checks the host and whoever acts on it might not mean the same one.
    if hosts.next().is_some() || (host.is_none() && parsed.version == Some(1)) {
        return Received::Refused(Status::BadRequest);
    }
    let token = values(parsed.headers, "authorization").next().and_then(bearer);
    Received::Whole(Request {
        path: path.to_owned(),
        query: query.to_owned(),
        host: host.map(|host| String::from_utf8_lossy(host).into_owned()),
        token,
        is_head,
    })
}

fn values<'a>(headers: &[httparse::Header<'a>], name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

fn bearer(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii().to_vec())
}

/// The value of a parameter of a query, decoded.
pub(super) fn parameter(query: &str, name: &str) -> Option<Vec<u8>> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| decoded(value.as_bytes()))
}

/// `%41` and `+` as what they stand for; what only looks so stays as it is.
fn decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let escaped = match (first, after) {
            (b'%', [high, low, behind @ ..]) => hex(*high, *low).map(|byte| (byte, behind)),
            (b'+', behind) => Some((b' ', behind)),
            _ => None,
        };
        let (byte, behind) = escaped.unwrap_or((*first, after));
        bytes.push(byte);
        rest = behind;
    }
    bytes
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Any bytes as text that says exactly which: what is not printable as `\xNN`.
pub(super) fn shown(bytes: &[u8]) -> Cow<'_, str> {
    let is_plain = |text: &str| !text.chars().any(|c| c.is_control() || c == '\\');
    match std::str::from_utf8(bytes) {
        Ok(text) if is_plain(text) => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.escape_ascii().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> Option<Status> {
        match receive(text.as_bytes()) {
            Received::Refused(status) => Some(status),
            Received::Whole(_) => Some(Status::Ok),
            Received::Part => None,
        }
    }

    #[test]
    fn requests_are_taken_part_by_part_and_refused_when_they_are_none() {
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(ADMIN_REQUEST_BYTES_MAX));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(ADMIN_HEADERS_MAX + 1));
        let cases = [
            ("", None),
            ("GET / HTTP/1.1\r\nHost: a\r\n", None),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Some(Status::Ok)),
            ("GET / HTTP/1.0\r\n\r\n", Some(Status::Ok)),
            ("GET / HTTP/1.1\r\n\r\n", Some(Status::BadRequest)),
            ("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", Some(Status::BadRequest)),
            ("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Some(Status::BadRequest)),
            ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", Some(Status::MethodNotAllowed)),
            ("OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n", Some(Status::MethodNotAllowed)),
            ("GET / HTTP/2.0\r\n\r\n", Some(Status::OtherVersion)),
            ("get\0 / HTTP/1.1\r\n\r\n", Some(Status::BadRequest)),
            ("\u{16}\u{3}\u{1}\u{2}", Some(Status::BadRequest)),
            (&long, Some(Status::TooLarge)),
            (&many, Some(Status::TooLarge)),
        ];
        for (text, expected) in cases {
            assert_eq!(status(text), expected, "{text:.60}");
        }
    }

    #[test]
    fn what_a_request_says() {
        let text = "HEAD /api/key?key=a%20b HTTP/1.1\r\nHOST: h:1\r\nauthorization: bEaRer  to ken \r\n\r\n";
        let Received::Whole(request) = receive(text.as_bytes()) else { panic!("{text}") };
        assert_eq!((&*request.path, &*request.query), ("/api/key", "key=a%20b"));
        assert_eq!((request.host.as_deref(), request.is_head), (Some("h:1"), true));
        assert_eq!(request.token.as_deref(), Some(&b"to ken"[..]));
        for (value, token) in [("Basic x", None), ("Bearer", None), ("Bearer ", Some(""))] {
            assert_eq!(bearer(value.as_bytes()).as_deref(), token.map(str::as_bytes), "{value}");
        }
    }

    #[test]
    fn parameters_are_decoded() {
        for (query, value) in [
            ("key=a", Some("a")),
            ("x=1&key=a%2Fb+c", Some("a/b c")),
            ("key=%", Some("%")),
            ("key=%4", Some("%4")),
            ("key=%zz%41", Some("%zzA")),
            ("key=%+5", Some("% 5")),
            ("key=", Some("")),
            ("key", None),
            ("keys=a", None),
        ] {
            assert_eq!(parameter(query, "key").as_deref(), value.map(str::as_bytes), "{query}");
        }
    }

    #[test]
    fn any_key_can_be_shown() {
        for (bytes, text) in
            [(&b"k:1"[..], "k:1"), ("ä€".as_bytes(), "ä€"), (b"a\xff\n", "a\\xff\\n"), (b"a\\", "a\\\\")]
        {
            assert_eq!(shown(bytes), text);
        }
    }
}
