//! How much one commit of a checkpoint takes.
//!
//! A commit writes over no page: whatever it touches it needs a second time, until the next commit uses what it has left
//! behind. In a file whose changes lie everywhere one commit would need everything twice, so there the keys, which are
//! sorted, go in portions: each touches its part of the file, and lives on the pages that the one before has left.

use crate::base::limits::{
    CHECKPOINT_CHUNK_BYTES, CHECKPOINT_CHUNK_ITEMS, CHECKPOINT_PORTION_BYTES_MIN, CHECKPOINT_PORTIONS,
    SHORT_CHUNK_BYTES, SHORT_CHUNK_ITEMS,
};
use crate::store::State;

/// What a leaf holds that is two thirds full, bytes of rows.
const LEAF_BYTES: u64 = 2_700;
/// What a row has beside its key and value, bytes.
const ROW_BYTES: u64 = 25;

/// What one commit takes: it ends with the entry that reaches either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Portion {
    pub(super) items: usize,
    pub(super) bytes: usize,
}

impl Portion {
    /// The cheapest.
    pub(super) const LARGE: Portion =
        Portion { items: CHECKPOINT_CHUNK_ITEMS, bytes: CHECKPOINT_CHUNK_BYTES };
    /// On a full disk the pages that one commit leaves have to serve the next.
    pub(super) const SHORT: Portion = Portion { items: SHORT_CHUNK_ITEMS, bytes: SHORT_CHUNK_BYTES };

    /// Such that no commit touches more than a part of the file, when `dirty` keys anywhere in it have changed.
    pub(super) fn of(file: &State, dirty: usize) -> Portion {
        let portions = CHECKPOINT_PORTIONS;
        let part = usize::try_from(file.payload_bytes).unwrap_or(usize::MAX) / portions;
        if part < CHECKPOINT_PORTION_BYTES_MIN {
            return Portion::LARGE;
        }
        let leaves = (file.payload_bytes + file.rows * ROW_BYTES) / LEAF_BYTES;
        let leaves = usize::try_from(leaves).unwrap_or(usize::MAX).max(1);
        let commits = dirty.min(leaves).saturating_mul(portions).div_ceil(leaves).max(1);
        Portion {
            items: dirty.div_ceil(commits).clamp(1, Portion::LARGE.items),
            bytes: part.min(Portion::LARGE.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_touches_a_part_of_the_file() {
        const MB: u64 = 1 << 20;
        let file = |payload_bytes, rows| State { payload_bytes, rows, ..State::default() };
        let portion = |items, bytes: u64| Portion { items, bytes: bytes as usize };
        for (what, file, dirty, expected) in [
            ("an empty file", file(0, 0), 5_000, Portion::LARGE),
            ("a small file", file(MB / 4, 2_000), 5_000, Portion::LARGE),
            ("few changes of many rows", file(4 * MB, 36_000), 400, portion(400, MB)),
            ("changes everywhere", file(4 * MB, 36_000), 4_000, portion(1_000, MB)),
            ("more changes than rows", file(4 * MB, 36_000), 90_000, portion(10_000, MB)),
            ("a large file", file(4_096 * MB, 36_000_000), 9_000, portion(9_000, 8 * MB)),
            ("large values", file(4 * MB, 8), 2, portion(2, MB)),
        ] {
            assert_eq!(Portion::of(&file, dirty), expected, "{what}");
        }
    }
}
