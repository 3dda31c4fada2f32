//! What all commands about items share: which server, how keys and values are shown, what an error means.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Map, Value as Json};

use super::Stop;
use super::server_link;
use super::tls::Tls;
use crate::base::fault::{Fault, FaultKind};
use crate::base::limits::ITEM_BYTES_MAX;
use crate::client::{Address, Client, Error, Login, Options as Patience};

/// The longest silence of a server that owes an answer: a person waits, and a cold read may take a while.
const READ_PATIENCE: Duration = Duration::from_secs(10);
const PORT_DEFAULT: &str = "11211";

/// Options of every command about items.
#[derive(Args, Debug)]
pub(super) struct Server {
    /// The running server
    #[arg(short = 's', long, value_name = "HOST:PORT", default_value = "127.0.0.1:11211")]
    pub(super) server: String,
    /// A file with the user:password that the server asks for (-Y); its first line is used
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,
    #[command(flatten)]
    tls: Tls,
}

impl Server {
    /// A client of it. Nothing is connected yet.
    pub(super) fn client(&self) -> Result<Client, Stop> {
        let options = Patience {
            read_timeout: READ_PATIENCE,
            value_bytes_max: ITEM_BYTES_MAX,
            login: self.login()?,
            tls: self.tls.settings()?,
            ..Patience::default()
        };
        Ok(Client::single(self.address()?, options))
    }

    /// A connection for what the client library has no words for.
    pub(super) fn link(&self) -> Result<server_link::Link, Stop> {
        let address = server_link::Address::of(
            self.address()?.to_string(),
            self.auth_file.clone(),
            self.tls.settings()?,
        );
        Ok(server_link::Link::open(&address)?)
    }

    /// Where it is; without a port, memcached's.
    fn address(&self) -> Result<Address, Stop> {
        let named = Address::parse(&self.server);
        let found = named.or_else(|| Address::parse(&format!("{}:{PORT_DEFAULT}", self.server)));
        let refusal = || {
            let text = format!("-s {}: write HOST:PORT, such as 127.0.0.1:11211", self.server.escape_debug());
            Stop::Usage(text)
        };
        found.ok_or_else(refusal)
    }

    fn login(&self) -> Result<Option<Login>, Fault> {
        let Some(path) = &self.auth_file else { return Ok(None) };
        let text = std::fs::read_to_string(path).map_err(|error| Fault::io("cannot read", path, &error))?;
        let line = text.lines().next().unwrap_or_default();
        let (name, password) = line
            .split_once(':')
            .ok_or_else(|| Fault::new(FaultKind::Unusable, "its first line is not user:password").at(path))?;
        Ok(Some(Login { name: name.to_owned(), password: password.to_owned() }))
    }
}

impl From<Error> for Stop {
    /// What cannot be asked is the command line's mistake; all else is a fault.
    fn from(error: Error) -> Stop {
        match error {
            Error::Invalid(invalid) => Stop::Usage(invalid.to_string()),
            Error::NotSent { .. } => {
                Fault::new(FaultKind::Io, format!("{error}; is a server running there?")).into()
            }
            Error::Unknown { .. } => Fault::new(FaultKind::Io, error.to_string()).into(),
            Error::Refused { .. } => Fault::new(FaultKind::Unusable, error.to_string()).into(),
        }
    }
}

/// A key for people: what is no printable text shows as escapes.
pub(super) fn shown(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) => text.chars().map(printable).collect(),
        Err(_) => key.escape_ascii().to_string(),
    }
}

/// A character as it is, or as its escape when it would steer a terminal.
fn printable(c: char) -> String {
    if c.is_control() { c.escape_default().to_string() } else { c.to_string() }
}

/// Puts bytes into an object: as text under `name`, or in base64 under `name_base64`.
pub(super) fn put_bytes(object: &mut Map<String, Json>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.to_owned(), text.into()),
        Err(_) => object.insert(format!("{name}_base64"), STANDARD.encode(bytes).into()),
    };
}

/// The object of one key, whose other fields follow.
pub(super) fn object_of(key: &[u8]) -> Map<String, Json> {
    let mut object = Map::new();
    put_bytes(&mut object, "key", key);
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_steer_a_terminal_is_shown_as_escapes() {
        for (key, expected) in [
            (&b"plain key"[..], "plain key"),
            ("b\u{e9}".as_bytes(), "b\u{e9}"),
            (b"\x1b[2J", "\\u{1b}[2J"),
            (b"a\nb", "a\\nb"),
            (b"\xff\x00", "\\xff\\x00"),
        ] {
            assert_eq!(shown(key), expected);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_in_base64() {
        let mut object = object_of(b"k");
        put_bytes(&mut object, "value", b"\xff");
        assert_eq!(Json::Object(object).to_string(), r#"{"key":"k","value_base64":"/w=="}"#);
    }
}
