//! How an operation fails, and above all whether it may have been done.

use std::fmt;
use std::io;

use crate::route::topology::Address;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The key or the operation cannot be sent by this protocol. Nothing was sent.
    Invalid(Invalid),
    /// Nothing of the operation reached a server: it was not done, and may be tried again.
    NotSent {
        /// The server that it was for.
        server: Address,
        /// What was in the way.
        why: Why,
    },
    /// It was sent, wholly or in part, and not answered: it may have been done, or may be done yet. It was not sent
    /// again.
    Unknown {
        /// The server that it was sent to.
        server: Address,
        /// What came instead of an answer.
        why: Why,
    },
    /// The server answered that it does not do this.
    Refused {
        /// The server.
        server: Address,
        /// Whom it blames.
        blame: Blame,
        /// Its words.
        text: String,
    },
}

/// What the protocol has no words for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// A key is 1 to 250 bytes (of base64 for a meta command and a key that is no text).
    KeyLength,
    /// A key of a classic command has no spaces and no control characters; meta commands take any bytes.
    KeyBytes,
    /// A value has less than 2 GiB.
    ValueLength,
    /// A topic of `stats` has no control characters: they would end its line.
    Topic,
    /// There is no server for it.
    NoServer,
    /// The answer is one to another question: a mistake of this library.
    Answer,
}

/// Why a request found no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The server was marked down and is being probed.
    Down,
    /// Its name has no address.
    Unresolved(String),
    /// Nothing happened for the time that [`Options`](super::Options) allows.
    TimedOut,
    /// The server closed the connection.
    Closed,
    /// The operating system says so.
    Io(io::ErrorKind),
    /// TLS could not be agreed on, or was broken: what its rules say.
    Tls(String),
    /// What the server sent is no answer to what was asked.
    BadReply(String),
    /// The server does not know the [`Login`](super::Login); its words.
    Login(String),
    /// The server passed the request on to the one that owns the key, and knows no more.
    Forwarded(String),
}

/// Whom the server blames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// It does not know the command (`ERROR`).
    Command,
    /// The request is wrong (`CLIENT_ERROR`).
    Client,
    /// It cannot now (`SERVER_ERROR`).
    Server,
}

impl Error {
    /// Whether the operation may have been done although it failed here.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Error::Unknown { .. })
    }
}

impl Why {
    /// What the operating system said of a socket.
    pub(super) fn of(error: &io::Error) -> Why {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Why::TimedOut,
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Why::Tls(error.to_string()),
            kind => Why::Io(kind),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid(invalid) => write!(f, "cannot be asked: {invalid}"),
            Error::NotSent { server, why } => write!(f, "not sent to {server}: {why}"),
            Error::Unknown { server, why } => write!(f, "outcome unknown, {server} did not answer: {why}"),
            Error::Refused { server, text, .. } => write!(f, "{server} refused: {text}"),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Invalid::KeyLength => "a key has 1 to 250 bytes",
            Invalid::KeyBytes => "a key of a classic command has no spaces and no control characters",
            Invalid::ValueLength => "a value has less than 2 GiB",
            Invalid::Topic => "a topic of stats is one or more words of one line",
            Invalid::NoServer => "there is no server for it",
            Invalid::Answer => "the answer is one to another question",
        })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Down => write!(f, "it is marked down"),
            Why::Unresolved(what) => write!(f, "its name has no address: {what}"),
            Why::TimedOut => write!(f, "timed out"),
            Why::Closed => write!(f, "it closed the connection"),
            Why::Io(kind) => write!(f, "{kind}"),
            Why::Tls(what) => write!(f, "TLS: {what}"),
            Why::BadReply(what) => write!(f, "bad reply: {what}"),
            Why::Login(text) => write!(f, "the login was refused: {text}"),
            Why::Forwarded(text) => write!(f, "{text}"),
        }
    }
}

impl std::error::Error for Error {}
