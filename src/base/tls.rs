//! The words of TLS: whose certificates are asked for, and what is counted.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Whether whoever connects shows a certificate. One that is shown must always be of the CA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerCerts {
    /// It is not asked for one.
    #[default]
    Unasked,
    /// It may show one.
    Welcome,
    /// Without one it is refused.
    Required,
}

/// What passes by TLS, for `stats`. Connections seldom count anything: all threads share it.
#[derive(Debug, Default)]
pub struct TlsCounts {
    /// Handshakes that were begun and came to nothing.
    pub handshake_errors: AtomicU64,
    /// Connections that broke the protocol later.
    pub protocol_errors: AtomicU64,
    /// Sessions kept for resumption.
    pub new_sessions: AtomicU64,
    /// Unix second when the certificates were read last. No count: a reset leaves it.
    pub refreshed_s: AtomicU32,
}

impl TlsCounts {
    /// Begins counting anew.
    pub fn reset(&self) {
        for counter in [&self.handshake_errors, &self.protocol_errors, &self.new_sessions] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}
