//! The map in force as bytes: what a data directory keeps of it.
//!
//! One line, `larder-map 1 <XXH3-64 of what follows, 16 hex digits> <its bytes>`, then the map's canonical text.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use super::file::read;
use super::map::Topology;

/// What the first line begins with: what the file is, and the number of its format.
const MAGIC: &str = "larder-map 1";

/// Why bytes are not a stored map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// They do not begin as one, or are of a format that is not known.
    NotAMap,
    /// They are not the bytes that were stored.
    Checksum {
        /// What the first line says.
        stored: u64,
        /// What the bytes have.
        found: u64,
    },
    /// They are what was stored, and no map: written by something else.
    Content(String),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::NotAMap => write!(f, "not a stored map of format 1"),
            Damage::Checksum { stored, found } => {
                write!(f, "damaged: its checksum is {found:016x} instead of {stored:016x}")
            }
            Damage::Content(why) => write!(f, "stored whole, but no valid map: {why}"),
        }
    }
}

impl std::error::Error for Damage {}

/// The bytes to keep.
pub fn store(topology: &Topology) -> Vec<u8> {
    let content = topology.content();
    format!("{MAGIC} {:016x} {}\n{content}", xxh3_64(content.as_bytes()), content.len()).into_bytes()
}

/// The map that was stored as these bytes.
///
/// # Errors
/// Any other bytes.
pub fn restore(bytes: &[u8]) -> Result<Topology, Damage> {
    let (stored, length, content) = split(bytes).ok_or(Damage::NotAMap)?;
    let found = xxh3_64(content);
    if stored != found || length != content.len() {
        return Err(Damage::Checksum { stored, found });
    }
    let text = std::str::from_utf8(content).map_err(|error| Damage::Content(error.to_string()))?;
    let proposal = read(text).map_err(|refusals| {
        let first = refusals.first().map_or_else(String::new, ToString::to_string);
        Damage::Content(first)
    })?;
    Ok(proposal.topology)
}

/// Checksum, length and content.
fn split(bytes: &[u8]) -> Option<(u64, usize, &[u8])> {
    let end = memchr::memchr(b'\n', bytes)?;
    let (head, content) = bytes.split_at_checked(end)?;
    let head = std::str::from_utf8(head).ok()?.strip_prefix(MAGIC)?.strip_prefix(' ')?;
    let (checksum, length) = head.split_once(' ')?;
    let plain = checksum.len() == 16 && checksum.bytes().all(|byte| byte.is_ascii_hexdigit());
    let checksum = u64::from_str_radix(checksum, 16).ok().filter(|_| plain)?;
    Some((checksum, length.parse().ok()?, content.get(1..)?))
}
