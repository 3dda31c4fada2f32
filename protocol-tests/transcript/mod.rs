//! Transcripts: what a client sends and what it must be answered, as files that people can read.
//!
//! `parse` turns a file into steps, `run` plays the steps over any [`Wire`], `tcp` is the wire to a server that
//! listens somewhere. The format is described in `protocol-tests/transcripts/README.md`.
//! Absent on purpose: no step knows which server answers it, and nothing here waits for a duration.
pub(crate) mod parse;
pub(crate) mod run;
pub(crate) mod tcp;
pub(crate) mod text;

#[cfg(test)]
mod tests;

pub(crate) use parse::{Transcript, parse};
pub(crate) use run::run;

/// One connection of a wire, counted from 0 in the order of `connect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnId(pub(crate) usize);

/// What a connection had to say when it was asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// At least one byte.
    Bytes(Vec<u8>),
    /// Nothing, and nothing will come before more is sent (over a network: nothing within a long patience).
    Nothing,
    /// The server closed, and everything it sent before has been handed over.
    Closed,
}

/// A way to reach a server: in process, or through a socket.
pub(crate) trait Wire {
    /// Opens one more connection.
    fn connect(&mut self) -> ConnId;
    /// Hands `bytes` to the server in one piece. A closed connection swallows them; `receive` then says so.
    fn send(&mut self, conn: ConnId, bytes: &[u8]);
    /// Called only when the transcript needs more bytes than it has, so a correct server is never waited for.
    fn receive(&mut self, conn: ConnId) -> Received;
    /// The client closes.
    fn hang_up(&mut self, conn: ConnId);
    /// Moves the server's clock on, or waits until it has moved. `false`: this wire can do neither.
    fn advance_clock(&mut self, seconds: i64) -> bool;
    /// Whether the server's clock stands still between `advance_clock` calls, so that remaining times are exact.
    fn exact_clock(&self) -> bool {
        false
    }
}
