//! One client of a worker: its socket, its connection, and what the loop has to know of both.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::stream::Stream;
use crate::base::limits::OUTBOX_BYTES_MAX;
use crate::conn::outbox::SLICES_MAX;
use crate::conn::registry::{Entry, Traffic};
use crate::conn::{Backend, Connection, Progress};

/// One client.
pub(super) struct Peer {
    pub(super) stream: Stream,
    pub(super) connection: Connection,
    pub(super) entry: Arc<Entry>,
    /// The socket may have more to read.
    pub(super) readable: bool,
    /// The peer has sent all it will.
    pub(super) read_closed: bool,
    /// The socket took less than was offered: its writable event is awaited.
    pub(super) stuck: bool,
    pub(super) progress: Progress,
    /// It stands in `again` or `parked` already.
    pub(super) queued: bool,
    /// It stands in `waiting` already.
    pub(super) waits: bool,
    /// It stands in `watching`.
    pub(super) watches: bool,
    pub(super) pinned_bytes: usize,
}

/// Why a connection is closed, as watchers are told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reason {
    Normal,
    Error,
    IdleTimeout,
}

impl Reason {
    pub(super) fn name(self) -> &'static str {
        match self {
            Reason::Normal => "normal",
            Reason::Error => "error",
            Reason::IdleTimeout => "idle_timeout",
        }
    }
}

impl Peer {
    /// Writes what may leave until it is gone or the socket takes no more.
    pub(super) fn write_ready(&mut self, traffic: &Traffic) -> io::Result<()> {
        loop {
            let outbox = &self.connection.outbox;
            let (result, offered) = match outbox.ready_plain() {
                Some(bytes) if !bytes.is_empty() => (self.stream.write(bytes), bytes.len()),
                None if outbox.ready_bytes() > 0 => {
                    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                    let count = outbox.ready(&mut slices);
                    let slices = slices.get(..count).unwrap_or_default();
                    (self.stream.write_vectored(slices), slices.iter().map(|slice| slice.len()).sum())
                }
                _ => return Ok(()),
            };
            match result {
                Ok(count) => {
                    self.connection.outbox.advance(count);
                    traffic.bytes_written.add(count as u64);
                    if count < offered {
                        self.stuck = true;
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stuck = true;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Keeps the count of what outboxes hold right: memory that the hot tier may have given up already.
    pub(super) fn note_pinned(&mut self, backend: &impl Backend) {
        let pinned_bytes = self.connection.outbox.pinned_bytes();
        if pinned_bytes != self.pinned_bytes {
            backend.repin(self.pinned_bytes, pinned_bytes);
            self.pinned_bytes = pinned_bytes;
        }
    }

    /// Whether it is its turn to be told something, and not to ask: its request is put off, or its reply waits for the log,
    /// for another server or for room in the socket, or it watches. However long it is silent, it is not idle.
    pub(super) fn is_served(&self) -> bool {
        self.watches || self.progress == Progress::Parked || !self.connection.outbox.is_empty()
    }

    /// Whether who was stopped by a full outbox may go on: half of it has left. To fill it up after each reply would be
    /// many short turns, and as many questions to other servers, each for a few keys.
    pub(super) fn has_room(&self) -> bool {
        self.connection.outbox.unsent_bytes() < OUTBOX_BYTES_MAX / 2
    }
}
