//! memcached's binary protocol: frames of a 24-byte header, extras, key and value.
//!
//! Owns: where a frame ends, what it asks ([`decode`]), how its answer looks ([`encode_done`] and its siblings), and how
//! a request is written. It makes the same commands as the text codec and meets the rest of the server in them.
//!
//! May import: `base`, and what of `proto` is for every codec.
//!
//! Invariants: those of `proto`, without its exception: any split of the input gives the same steps. What a header says
//! is judged before anything behind it is waited for; a value that is too large is never kept; a length that contradicts
//! another one closes the connection, since nobody knows where the next frame begins.
//!
//! Deviations from memcached, all where it loses track of the frames: an unknown opcode is answered and its whole body
//! passed over; a body behind the key of touch, get-and-touch and stat is refused. A first byte that is no request's
//! closes at once.
//!
//! Start reading at [`decode`].

mod header;
mod reply;
mod request;
mod verb;
mod write;

#[cfg(test)]
mod tests;

pub use header::Status;
pub use reply::{
    encode_body, encode_done, encode_error, encode_instead, encode_lost, encode_refusal, encode_stat,
    encode_stats_end, encode_status,
};
pub use request::decode;
pub use verb::Verb;

pub(super) use reply::{denied, put};
pub(super) use write::write_request;

/// The first byte of every request.
pub const REQUEST_MAGIC: u8 = 0x80;

/// How a binary answer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinaryForm {
    /// The opcode of the request, which the answer repeats.
    pub opcode: u8,
    /// What the client wants back with the answer.
    pub opaque: u32,
    /// What the opcode means.
    pub verb: Verb,
    /// Success is not told, and a read tells no miss. Errors always are.
    pub quiet: bool,
}

/// A frame that is not served: what is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The opcode of the request, known or not.
    pub opcode: u8,
    /// What the client wants back.
    pub opaque: u32,
    /// Why.
    pub status: Status,
}
