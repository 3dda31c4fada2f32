//! What a server may take of its disk.

/// The most that a data directory may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskLimit {
    /// Hundredths of the file system that it lies on, 1 to 100.
    Percent(u8),
    /// Bytes.
    Bytes(u64),
}

impl DiskLimit {
    /// In bytes, on a file system of `total_bytes`.
    pub fn bytes(self, total_bytes: u64) -> u64 {
        match self {
            DiskLimit::Percent(percent) => total_bytes / 100 * u64::from(percent),
            DiskLimit::Bytes(bytes) => bytes,
        }
    }
}

/// What happens to writes at the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// They are refused until there is room.
    #[default]
    Refuse,
    /// Stored items are given up for them: expired ones, then those that expire soonest, then the coldest.
    Evict,
}
