//! The hashes of keys that libmemcached offers, bit for bit, as far as clients use them.

/// How a key becomes 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyHash {
    /// Bob Jenkins' one at a time: libmemcached's default.
    #[default]
    OneAtATime,
    /// The first four bytes of MD5, little-endian.
    Md5,
    /// Bits 16 to 30 of CRC-32.
    Crc,
    /// FNV-1 in 32 bits.
    Fnv1_32,
    /// FNV-1a in 32 bits.
    Fnv1a32,
    /// The low half of FNV-1 in 64 bits.
    Fnv1_64,
    /// FNV-1a with the low halves of the 64-bit constants.
    Fnv1a64,
}

const FNV_32_OFFSET: u32 = 0x811c_9dc5;
const FNV_32_PRIME: u32 = 0x0100_0193;
const FNV_64_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_64_PRIME: u64 = 0x0000_0100_0000_01b3;

impl KeyHash {
    /// Every hash.
    pub const ALL: [KeyHash; 7] = [
        KeyHash::OneAtATime,
        KeyHash::Md5,
        KeyHash::Crc,
        KeyHash::Fnv1_32,
        KeyHash::Fnv1a32,
        KeyHash::Fnv1_64,
        KeyHash::Fnv1a64,
    ];

    /// The hash of a key.
    pub fn hash(self, key: &[u8]) -> u32 {
        match self {
            KeyHash::OneAtATime => one_at_a_time(key),
            KeyHash::Md5 => md5_word(&md5::compute(key).0, 0),
            KeyHash::Crc => (crc32(key) >> 16) & 0x7fff,
            KeyHash::Fnv1_32 => {
                key.iter().fold(FNV_32_OFFSET, |hash, byte| hash.wrapping_mul(FNV_32_PRIME) ^ widened(*byte))
            }
            KeyHash::Fnv1a32 => key
                .iter()
                .fold(FNV_32_OFFSET, |hash, byte| (hash ^ widened(*byte)).wrapping_mul(FNV_32_PRIME)),
            KeyHash::Fnv1_64 => {
                let step = |hash: u64, byte: &u8| hash.wrapping_mul(FNV_64_PRIME) ^ u64::from(widened(*byte));
                key.iter().fold(FNV_64_OFFSET, step) as u32
            }
            KeyHash::Fnv1a64 => {
                let step = |hash: u32, byte: &u8| (hash ^ widened(*byte)).wrapping_mul(FNV_64_PRIME as u32);
                key.iter().fold(FNV_64_OFFSET as u32, step)
            }
        }
    }
}

/// A byte as C widens a signed `char`: from 128 on the upper bits are ones.
fn widened(byte: u8) -> u32 {
    i32::from(byte as i8) as u32
}

fn one_at_a_time(key: &[u8]) -> u32 {
    let mix = |hash: u32, byte: &u8| {
        let hash = hash.wrapping_add(widened(*byte));
        let hash = hash.wrapping_add(hash << 10);
        hash ^ (hash >> 6)
    };
    let hash = key.iter().fold(0, mix);
    let hash = hash.wrapping_add(hash << 3);
    let hash = hash ^ (hash >> 11);
    hash.wrapping_add(hash << 15)
}

/// CRC-32 (IEEE), bit by bit: keys are short, and a table would be most of this file.
fn crc32(key: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !key.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// One of the four little-endian words of an MD5 digest.
pub(super) fn md5_word(digest: &[u8; 16], word: usize) -> u32 {
    digest.as_chunks().0.get(word).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
