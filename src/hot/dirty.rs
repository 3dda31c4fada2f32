//! What is newer than the checkpoint: the list that the next one works through.

/// Hashes of the keys that became dirty, for one checkpoint. A key may be named twice, and may be clean again or gone
/// when its turn comes.
///
/// A list that was taken must be brought to its end: every key it leads to is marked clean, or it is given back with
/// `untake`. Otherwise its keys stay dirty and no later list names them.
#[derive(Debug, Default)]
pub struct DirtyList {
    pub(super) hashes: Vec<u64>,
}

impl DirtyList {
    /// How many it names: the positions of a range are below.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// What it takes, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.hashes.capacity() * size_of::<u64>()
    }
}
