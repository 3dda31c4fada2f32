//! How a value is cut into rows that fill redb's pages.
//!
//! redb's pages are powers of two and a row that does not fit beside another gets a page of its own: a value just above
//! one page costs two. So a value is cut into pieces that fill whole pages exactly; what remains is cut into pieces so
//! small that several share a page, and the first of those lies in the item's own row. The cut follows from the lengths
//! alone, so nothing but the value's length is stored about it.

use std::ops::Range;

/// redb's page, bytes.
const PAGE_BYTES: usize = 4096;
/// The page of a large piece, bytes: 16 times fewer rows for what it holds.
const LARGE_PAGE_BYTES: usize = 64 * 1024;
/// What redb spends on a page that holds one row: header, key end, value end, bytes.
const PAGE_OVERHEAD_BYTES: usize = 12;
/// Class byte and number of a piece's key, bytes.
const PIECE_KEY_BYTES: usize = 5;
/// The longest value that lies in the item's own row, and the longest small piece: four and more share a page.
pub(super) const SMALL_BYTES_MAX: usize = 976;
/// A remainder from this size on fills a page well enough alone, bytes.
const LONE_BYTES_MIN: usize = 3000;

/// Which table neighbourhood a piece lives in. It leads the piece's key, so that rows of one size are neighbours: a
/// small row between two full pages would sit in a page alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    Small = 0,
    Page = 1,
    Large = 2,
}

/// How a value is cut: a head in the item's row, then large pieces, page pieces, small pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    value_bytes: usize,
    /// What lies in the item's own row, bytes.
    pub(super) head_bytes: usize,
    large: usize,
    large_bytes: usize,
    page: usize,
    page_bytes: usize,
    small: usize,
    small_bytes: usize,
}

/// One piece of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) class: Class,
    number: u32,
    /// Where in the value it lies.
    pub(super) range: Range<usize>,
}

impl Cut {
    /// The cut of a value of `value_bytes` under a key of `key_bytes`.
    pub(super) fn of(key_bytes: usize, value_bytes: usize) -> Cut {
        let mut cut = Cut { value_bytes, head_bytes: value_bytes, ..Cut::default() };
        if value_bytes <= SMALL_BYTES_MAX {
            return cut;
        }
        let overhead = PAGE_OVERHEAD_BYTES + PIECE_KEY_BYTES + key_bytes;
        cut.large_bytes = LARGE_PAGE_BYTES.saturating_sub(overhead).max(1);
        cut.page_bytes = PAGE_BYTES.saturating_sub(overhead).max(1);
        cut.large = value_bytes / cut.large_bytes;
        let after_large = value_bytes % cut.large_bytes;
        cut.page = after_large / cut.page_bytes;
        let remainder = after_large % cut.page_bytes;
        if remainder >= LONE_BYTES_MIN {
            cut.page += 1;
            cut.head_bytes = 0;
            return cut;
        }
        let rows = remainder.div_ceil(SMALL_BYTES_MAX).max(1);
        cut.small = rows - 1;
        cut.small_bytes = remainder.div_ceil(rows);
        cut.head_bytes = remainder - cut.small * cut.small_bytes;
        cut
    }

    /// How many pieces lie in the `parts` table.
    pub(super) fn pieces(&self) -> usize {
        self.large + self.page + self.small
    }

    /// The piece at `index`, in the order of the value.
    pub(super) fn piece(&self, index: usize) -> Piece {
        let pages_at = self.head_bytes + self.large * self.large_bytes;
        let (class, number, start, bytes) = if index < self.large {
            (Class::Large, index, self.head_bytes + index * self.large_bytes, self.large_bytes)
        } else if index < self.large + self.page {
            let number = index - self.large;
            (Class::Page, number, pages_at + number * self.page_bytes, self.page_bytes)
        } else {
            let number = index - self.large - self.page;
            let small_at = pages_at + self.page * self.page_bytes;
            (Class::Small, number, small_at + number * self.small_bytes, self.small_bytes)
        };
        let end = (start + bytes).min(self.value_bytes);
        Piece { class, number: u32::try_from(number).unwrap_or(u32::MAX), range: start.min(end)..end }
    }

    /// Whether a value cut like this has `piece` too.
    pub(super) fn has(&self, piece: &Piece) -> bool {
        let count = match piece.class {
            Class::Large => self.large,
            Class::Page => self.page,
            Class::Small => self.small,
        };
        usize::try_from(piece.number).is_ok_and(|number| number < count)
    }
}

impl Piece {
    /// Writes the key of this piece's row into `to`: class, key, number. Two pieces of different keys never share one:
    /// equal lengths mean equal key lengths, and then the keys differ.
    pub(super) fn write_key(&self, key: &[u8], to: &mut Vec<u8>) {
        to.clear();
        to.push(self.class as u8);
        to.extend_from_slice(key);
        to.extend_from_slice(&self.number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Head and pieces cover each value exactly once, in order, and every piece fits its page.
    #[test]
    fn a_cut_covers_the_value() {
        let sizes = (0..20_000).chain([33_000, 65_400, 65_536, 131_000, 530_000, 1 << 20, 1 << 30]);
        for value_bytes in sizes {
            for key_bytes in [1, 16, 250] {
                let cut = Cut::of(key_bytes, value_bytes);
                assert!(cut.head_bytes <= SMALL_BYTES_MAX);
                let mut at = cut.head_bytes;
                for index in 0..cut.pieces() {
                    let piece = cut.piece(index);
                    assert_eq!(piece.range.start, at, "{value_bytes} {key_bytes} {piece:?}");
                    assert!(!piece.range.is_empty() && cut.has(&piece));
                    let row = piece.range.len() + key_bytes + PIECE_KEY_BYTES + PAGE_OVERHEAD_BYTES;
                    assert!(
                        row <= match piece.class {
                            Class::Large => LARGE_PAGE_BYTES,
                            Class::Page => PAGE_BYTES,
                            Class::Small => PAGE_BYTES / 3,
                        }
                    );
                    at = piece.range.end;
                }
                assert_eq!(at, value_bytes);
            }
        }
    }
}
