//! TLS without sockets or files: certificates as bytes in, one connection's bytes through.
//!
//! Owns: what is made of certificates ([`Acceptor`] for who is connected to, [`Connector`] for who connects), and a
//! socket's two directions behind TLS ([`Secured`]). The only room that names rustls. Without the feature `tls` its types
//! exist, and no value of them does.
//!
//! May import: base.
//!
//! Invariants: no file and no socket of its own: a socket is whatever reads and writes, blocking or not. TLS 1.2 and 1.3
//! only. What a stranger can make a connection hold is bounded: by rustls before the handshake is over (64 KB), by one
//! record of each direction and what was asked to be sent at once later (`Rules::write_bytes`). Nothing is reported as
//! sent before the socket has taken all of it. Handshakes answer, and fail, whatever the input is cut into.
//!
//! Start reading at [`Secured::read`].

mod certificates;
mod secured;
mod sessions;

pub use certificates::{Acceptor, Connector, Identity, Part, Refusal, Rules};
pub use secured::Secured;

/// Whether this program can speak TLS.
pub const IS_BUILT: bool = true;
