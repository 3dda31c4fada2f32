//! Consistent hashing as libmemcached's weighted ketama has it: 160 points a server on a ring of 32 bits.

use super::key_hash::{KeyHash, md5_word};
use crate::route::topology::Address;

/// Points of a server of average weight.
const POINTS_PER_SERVER: f32 = 160.0;
/// Points that one MD5 digest gives.
const POINTS_PER_HASH: usize = 4;
/// A server on this port is named without it.
const DEFAULT_PORT: u16 = 11211;

/// The ring.
#[derive(Clone, Debug)]
pub(super) struct Ketama {
    /// Points and the positions of their servers, by rising point.
    points: Vec<(u32, usize)>,
}

impl Ketama {
    /// The ring of these servers and weights.
    pub(super) fn new<'a>(servers: impl Iterator<Item = (&'a Address, u32)> + Clone) -> Ketama {
        let total: u32 = servers.clone().fold(0, |total, (_, weight)| total.saturating_add(weight));
        let count = servers.clone().count();
        let mut points = Vec::new();
        for (at, (address, weight)) in servers.enumerate() {
            for digest in 0..digests(weight, total, count) {
                let digest = md5::compute(format!("{}-{digest}", name(address))).0;
                points.extend((0..POINTS_PER_HASH).map(|word| (md5_word(&digest, word), at)));
            }
        }
        points.sort_by_key(|(point, _)| *point);
        Ketama { points }
    }

    /// The position of the server that has a key: that of the first point from the key's hash on, round the ring.
    pub(super) fn server(&self, key: &[u8]) -> Option<usize> {
        let hash = KeyHash::Md5.hash(key);
        let at = self.points.partition_point(|(point, _)| *point < hash);
        self.points.get(at).or(self.points.first()).map(|(_, server)| *server)
    }
}

/// How many digests of four points a server gets. The reference computes in 32-bit floats and adds a trifle in 64 bits
/// before it rounds down, and both decide.
fn digests(weight: u32, total: u32, servers: usize) -> usize {
    let share = weight as f32 / total as f32;
    let points = share * POINTS_PER_SERVER / POINTS_PER_HASH as f32 * servers as f32;
    (f64::from(points) + 0.000_000_000_1) as f32 as usize
}

/// What a server's points are made of.
fn name(address: &Address) -> String {
    let host = address.host().trim_matches(['[', ']']);
    match address.port() {
        DEFAULT_PORT => host.to_owned(),
        port => format!("{host}:{port}"),
    }
}
