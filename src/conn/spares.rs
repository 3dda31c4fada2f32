//! Memory that the connections of one worker lend each other.

use crate::base::limits::{SPARE_BUFFER_BYTES_MAX, SPARE_BUFFERS_MAX};

/// Buffers that are not in use. Only a connection with something to send has one: thousands of idle connections cost
/// none, and a busy one needs not grow a new one for every turn.
#[derive(Debug, Default)]
pub struct Spares {
    buffers: Vec<Vec<u8>>,
}

impl Spares {
    /// An empty buffer, of the capacity that somebody needed before.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    /// Keeps an empty buffer for the next, unless there are enough or it has grown too large.
    pub(super) fn keep(&mut self, buffer: Vec<u8>) {
        let is_worth_keeping = (1..=SPARE_BUFFER_BYTES_MAX).contains(&buffer.capacity());
        if is_worth_keeping && self.buffers.len() < SPARE_BUFFERS_MAX {
            self.buffers.push(buffer);
        }
    }
}
