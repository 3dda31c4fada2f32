//! The two hashes, and what group and server follow from a hash value.

use std::borrow::Cow;
use std::num::NonZeroU16;

use xxhash_rust::xxh3::xxh3_64;

use super::tag::Input;
use crate::base::lsn::GroupId;
use crate::base::placement::Hash;

/// FastDHT keeps 31 bits: its hash codes are non-negative 32-bit integers.
const FASTDHT_MASK: u32 = 0x7fff_ffff;

impl Hash {
    /// The hash value: 64 bits, of which FastDHT's uses 31.
    #[inline]
    pub fn value(self, input: Input<'_>) -> u64 {
        match self {
            Hash::Larder => xxh3_64(input.bytes()),
            Hash::Fastdht => u64::from(time33(input.fastdht_pieces()) & FASTDHT_MASK),
        }
    }

    /// The group of a hash value.
    #[inline]
    pub fn group(self, value: u64, group_count: NonZeroU16) -> GroupId {
        GroupId(match self {
            Hash::Larder => share(high(value), group_count),
            Hash::Fastdht => remainder(low(value), group_count),
        })
    }

    /// The server that a client enters a group by: an index below `server_count` into the group's ordered servers.
    #[inline]
    pub fn server(self, value: u64, server_count: NonZeroU16) -> u16 {
        match self {
            Hash::Larder => share(low(value), server_count),
            // Swapping the halves of a 31-bit code can set bit 31; FastDHT cuts it off again, and with it bit 15.
            Hash::Fastdht => remainder(low(value).rotate_left(16) & FASTDHT_MASK, server_count),
        }
    }

    /// The bytes that are hashed.
    pub(super) fn bytes(self, input: Input<'_>) -> Cow<'_, [u8]> {
        match self {
            Hash::Larder => Cow::Borrowed(input.bytes()),
            Hash::Fastdht => input.fastdht_bytes(),
        }
    }
}

/// Times 33 plus the byte, from 0, in 32 bits: FastDHT's hash before its mask.
#[inline]
fn time33(pieces: [&[u8]; 3]) -> u32 {
    let step = |hash: u32, byte: &u8| hash.wrapping_mul(33).wrapping_add(u32::from(*byte));
    pieces.into_iter().fold(0, |hash, piece| piece.iter().fold(hash, step))
}

/// Cuts the 32-bit range into `count` even parts and names the part that `bits` lies in: below `count`, hence 16 bits.
#[inline]
fn share(bits: u32, count: NonZeroU16) -> u16 {
    ((u64::from(bits) * u64::from(count.get())) >> 32) as u16
}

/// What division by `count` leaves: below `count`, hence 16 bits.
#[inline]
fn remainder(bits: u32, count: NonZeroU16) -> u16 {
    (bits % u32::from(count.get())) as u16
}

#[inline]
fn high(value: u64) -> u32 {
    (value >> 32) as u32
}

#[inline]
fn low(value: u64) -> u32 {
    value as u32
}
