//! What stands for TLS in a program that is built without: the same types, and no value of them.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::marker::PhantomData;
use std::sync::Arc;

use crate::base::tls::{PeerCerts, TlsCounts};

/// Whether this program can speak TLS.
pub const IS_BUILT: bool = false;
const WHY: &str = "this larder is built without TLS";

/// Who somebody is.
#[derive(Clone, Copy)]
#[allow(missing_docs)] // As with the feature.
pub struct Identity<'a> {
    pub chain: &'a [u8],
    pub key: &'a [u8],
    pub key_is_der: bool,
}

/// How connections are accepted.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct Rules {
    pub peer_certs: PeerCerts,
    pub only_tls13: bool,
    pub keeps_sessions: bool,
    pub write_bytes: usize,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Refusal {
    pub part: Part,
    pub why: String,
}

/// One of the things that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Part {
    Chain,
    Key,
    Pair,
    Ca,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

fn refusal() -> Refusal {
    Refusal { part: Part::Pair, why: WHY.into() }
}

/// Accepts connections, if there were any.
#[derive(Clone, Debug)]
pub struct Acceptor(Infallible);

impl Acceptor {
    /// Never succeeds.
    ///
    /// # Errors
    /// Always.
    pub fn new(
        _: Identity<'_>,
        _: Option<&[u8]>,
        _: Rules,
        _: Option<Arc<TlsCounts>>,
    ) -> Result<Acceptor, Refusal> {
        Err(refusal())
    }

    /// Cannot be called.
    ///
    /// # Errors
    /// None.
    pub fn accept<S: Read + Write>(&self, _: S) -> Result<Secured<S>, String> {
        match self.0 {}
    }
}

/// Connects to others, if it could.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connector(Infallible);

impl Connector {
    /// Never succeeds.
    ///
    /// # Errors
    /// Always.
    pub fn new(_: &[u8], _: Option<Identity<'_>>) -> Result<Connector, Refusal> {
        Err(refusal())
    }

    /// Cannot be called.
    ///
    /// # Errors
    /// None.
    pub fn connect<S: Read + Write>(&self, _: S, _: &str) -> Result<Secured<S>, String> {
        match self.0 {}
    }
}

/// A socket behind TLS: there is none.
#[derive(Debug)]
pub struct Secured<S>(Infallible, PhantomData<S>);

#[allow(missing_docs, clippy::missing_errors_doc)] // As with the feature.
impl<S: Read + Write> Secured<S> {
    pub fn socket(&self) -> &S {
        match self.0 {}
    }

    pub fn socket_mut(&mut self) -> &mut S {
        match self.0 {}
    }

    pub fn is_handshaking(&self) -> bool {
        match self.0 {}
    }

    pub fn take_opened(&mut self) -> bool {
        match self.0 {}
    }

    pub fn has_more(&self) -> bool {
        match self.0 {}
    }

    pub fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }

    pub fn write_vectored(&mut self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.0 {}
    }

    pub fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        match self.0 {}
    }

    pub fn flush_own(&mut self) -> io::Result<()> {
        match self.0 {}
    }

    pub fn flush_all(&mut self) -> io::Result<()> {
        match self.0 {}
    }
}
