//! The form of a backup: frames on the wire and in files, and the manifest that vouches for them; and of the file that
//! carries one group to another server. No I/O.
//!
//! Owns: `FORMAT.md`; frames ([`frame`]), the items and facts in them ([`body`]), the manifest ([`manifest`]), a carried
//! group ([`transfer`]).
//!
//! May import: base, route.
//!
//! Invariants: everything is covered by a checksum, and a manifest by its own; what is read is not trusted; nothing is
//! allocated from an unchecked length.
//!
//! Start reading at `FORMAT.md`.

pub mod body;
pub mod frame;
pub mod manifest;
#[cfg(test)]
mod tests;
pub mod transfer;

pub use body::{Begin, End, GroupEnd, items};
pub use frame::{Frame, Header, Kind};
pub use manifest::{FileFacts, Manifest};
pub use transfer::{Receipt, Seal, Transfer};

/// The format that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// What the server answers first.
pub const GREETING: &[u8] = b"BACKUP 1\r\n";
/// The manifest's file.
pub const MANIFEST: &str = "manifest";
/// The directory of the items' files.
pub const ITEMS: &str = "items";
/// The directory of the log's segments.
pub const BINLOG: &str = "binlog";

/// The file of a group's items, below the backup's directory.
pub fn items_file(group: u16) -> String {
    format!("{ITEMS}/{group:05}")
}
