//! The end of a log that no durable LSN covers: made durable before anybody builds on it.

use std::io;

use super::reader::{Reader, Step};
use super::recovery::Segment;

/// What is written again at once, bytes.
const PIECE_BYTES: usize = 1 << 20;

/// Writes the good records of the last segment from `from` on once more, and syncs them. After a failed sync the kernel
/// may hold them as written although the disk does not have them, and another sync alone would not tell.
pub(crate) fn make_durable(last: &Segment, from: u64) -> io::Result<()> {
    let mut reader = Reader::open(last.file.clone(), &last.header, last.end);
    reader.seek(from);
    while let Step::Record(_) = reader.next()? {}
    let end = reader.offset();
    let mut buffer = vec![0; PIECE_BYTES];
    let mut offset = from;
    while offset < end {
        let len = buffer.len().min(usize::try_from(end - offset).unwrap_or(usize::MAX));
        let piece = buffer.get_mut(..len).unwrap_or_default();
        if last.file.read_at(piece, offset)? < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        last.file.write_all_at(piece, offset)?;
        offset += len as u64;
    }
    last.file.sync_data()
}
