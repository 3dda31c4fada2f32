//! The names of what decides where a key lives. `route` holds the arithmetic; the store keeps the choice on disk.

/// How keys are hashed and hashes become places. Stored in the data directory: codes and names never change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Hash {
    /// XXH3-64, seed 0: group from its high 32 bits, server from its low 32, so that the two choices are independent
    /// for all counts.
    #[default]
    Larder = 1,
    /// FastDHT 2.04, bit for bit. Group and server are independent only for some counts.
    Fastdht = 2,
}

impl Hash {
    /// Every choice, in the order in which messages list them.
    pub const ALL: [Hash; 2] = [Hash::Larder, Hash::Fastdht];

    /// The choice of this name.
    pub fn from_name(name: &str) -> Option<Hash> {
        Hash::ALL.into_iter().find(|hash| hash.name() == name)
    }

    /// The choice of this byte on disk.
    pub fn from_code(code: u8) -> Option<Hash> {
        Hash::ALL.into_iter().find(|hash| hash.code() == code)
    }

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Hash::Larder => "larder",
            Hash::Fastdht => "fastdht",
        }
    }

    /// The byte on disk.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// Whether part of a key can stand for the whole of it. Stored in the data directory: codes and names never change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum HashTag {
    /// The text between the first `{` and the next `}`, unless that is empty: keys with one tag share a group.
    #[default]
    Braces = 1,
    /// Always the whole key.
    None = 2,
}

impl HashTag {
    /// Every choice, in the order in which messages list them.
    pub const ALL: [HashTag; 2] = [HashTag::Braces, HashTag::None];

    /// The choice of this name.
    pub fn from_name(name: &str) -> Option<HashTag> {
        HashTag::ALL.into_iter().find(|tag| tag.name() == name)
    }

    /// The choice of this byte on disk.
    pub fn from_code(code: u8) -> Option<HashTag> {
        HashTag::ALL.into_iter().find(|tag| tag.code() == code)
    }

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            HashTag::Braces => "braces",
            HashTag::None => "none",
        }
    }

    /// The byte on disk.
    pub fn code(self) -> u8 {
        self as u8
    }
}
