//! What is not read yet of bytes whose fields follow one another.

/// Bytes not read yet. Every form on the disk that is ours is read through it.
#[derive(Clone, Copy, Debug)]
pub struct Rest<'a>(pub &'a [u8]);

impl<'a> Rest<'a> {
    /// The next `N` bytes; `None`, and nothing is taken, when there are not so many.
    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*chunk)
    }

    /// The next `count` bytes; `None`, and nothing is taken, when there are not so many.
    pub fn slice(&mut self, count: usize) -> Option<&'a [u8]> {
        let (piece, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(piece)
    }
}
