//! What many keys of one question are answered: a part for each, in the order of the keys. `FORMAT.md` draws them.

use bytes::{Buf, Bytes};

/// What one key of a read of many is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// What stands before END: the item, or nothing.
    Said(Bytes),
    /// A line that says why it could not be read.
    Refused(Bytes),
    /// Its group is another server's.
    NotMine {
        /// Whose it is, by number.
        owner: u16,
        /// The map that says so.
        map_version: u64,
    },
}

/// A part before its text, bytes.
const HEAD_BYTES: usize = 5;
const SAID: u8 = 0;
const NOT_MINE: u8 = 1;
const REFUSED: u8 = 2;

impl Part {
    /// Takes the first part of these, which it shares the memory of.
    pub fn take(bytes: &mut Bytes) -> Option<Part> {
        let kind = bytes.try_get_u8().ok()?;
        if kind == NOT_MINE {
            let (owner, map_version) = (bytes.try_get_u16_le().ok()?, bytes.try_get_u64_le().ok()?);
            return Some(Part::NotMine { owner, map_version });
        }
        let length = usize::try_from(bytes.try_get_u32_le().ok()?).ok()?;
        let text = (length <= bytes.len()).then(|| bytes.split_to(length))?;
        match kind {
            SAID => Some(Part::Said(text)),
            REFUSED => Some(Part::Refused(text)),
            _ => None,
        }
    }
}

/// Writes what stands before END.
pub fn put_said(text: &[u8], out: &mut Vec<u8>) {
    put_text(SAID, text, out);
}

/// Writes why a key could not be read.
pub fn put_refused(line: &[u8], out: &mut Vec<u8>) {
    put_text(REFUSED, line, out);
}

/// Writes that the group of a key is another server's.
pub fn put_not_mine(owner: u16, map_version: u64, out: &mut Vec<u8>) {
    out.push(NOT_MINE);
    out.extend_from_slice(&owner.to_le_bytes());
    out.extend_from_slice(&map_version.to_le_bytes());
}

fn put_text(kind: u8, text: &[u8], out: &mut Vec<u8>) {
    let part = begin(out);
    out.extend_from_slice(text);
    end(part, kind == REFUSED, out);
}

/// Begins a part whose text is written next; what [`end`] is to be told.
pub fn begin(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[SAID, 0, 0, 0, 0]);
    out.len()
}

/// Ends the part that was begun: what stands before END, or a line that says why the key could not be read.
pub fn end(begun: usize, is_refused: bool, out: &mut [u8]) {
    let length = (out.len().saturating_sub(begun) as u32).to_le_bytes();
    let head = begun.checked_sub(HEAD_BYTES).and_then(|start| out.get_mut(start..begun));
    if let Some([kind, rest @ ..]) = head {
        *kind = if is_refused { REFUSED } else { SAID };
        rest.copy_from_slice(&length);
    }
}
