//! What all workers know of the other servers: who there is, where, what they must prove, and who is up.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use super::greeting::{Challenge, prove};
use crate::base::limits::{
    PEER_SECRET_BYTES_MAX, PEER_SECRET_BYTES_MIN, SERVER_ID_MAX, TOPOLOGY_NAME_BYTES_MAX,
};
use crate::base::metrics::Histogram;
use crate::base::rest::Rest;
use crate::route::topology::{ServerId, Topology};
use crate::route::{Hash, HashTag};

/// What the servers of a cluster share, and nobody else knows. It is never shown.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret")
    }
}

impl Secret {
    /// The content of a secret file: white space at its ends does not count.
    ///
    /// # Errors
    /// Why it is none, and what to write.
    pub fn read(content: &[u8]) -> Result<Secret, String> {
        let secret = content.trim_ascii();
        let (least, most) = (PEER_SECRET_BYTES_MIN, PEER_SECRET_BYTES_MAX);
        if !(least..=most).contains(&secret.len()) {
            let length = secret.len();
            return Err(format!("the secret has {length} bytes; write {least} to {most} random ones"));
        }
        Ok(Secret(secret.to_vec()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What two servers tell each other before anything else, and must agree about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Who says so, by number.
    pub server: u16,
    /// The name of the cluster.
    pub cluster: String,
    /// Logical groups.
    pub group_count: u16,
    /// The number of the hash.
    pub hash: u8,
    /// The number of the rule of what is hashed.
    pub hash_tag: u8,
    /// The map in force; it may differ.
    pub map_version: u64,
}

impl Facts {
    /// What this server says with this map.
    pub fn of(map: &Topology, own: ServerId) -> Facts {
        let placement = map.placement();
        Facts {
            server: own.get(),
            cluster: map.cluster().to_owned(),
            group_count: placement.group_count.get(),
            hash: match placement.hash {
                Hash::Larder => 1,
                Hash::Fastdht => 2,
            },
            hash_tag: match placement.hash_tag {
                HashTag::Braces => 1,
                HashTag::None => 2,
            },
            map_version: map.version(),
        }
    }

    /// As bytes: fixed widths, little-endian, the name last.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.server.to_le_bytes());
        bytes.extend_from_slice(&self.group_count.to_le_bytes());
        bytes.extend_from_slice(&[self.hash, self.hash_tag]);
        bytes.extend_from_slice(&self.map_version.to_le_bytes());
        bytes.extend_from_slice(self.cluster.as_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Facts> {
        let mut fields = Rest(bytes);
        let (server, group_count) = (fields.u16()?, fields.u16()?);
        let (hash, hash_tag, map_version) = (fields.u8()?, fields.u8()?, fields.u64()?);
        let cluster =
            std::str::from_utf8(fields.0).ok().filter(|name| name.len() <= TOPOLOGY_NAME_BYTES_MAX)?;
        Some(Facts { server, cluster: cluster.to_owned(), group_count, hash, hash_tag, map_version })
    }

    /// Whether both are servers of one cluster.
    ///
    /// # Errors
    /// What they disagree about.
    pub(super) fn agree(&self, other: &Facts) -> Result<(), String> {
        if self.cluster != other.cluster {
            return Err(format!("clusters `{}` and `{}`", self.cluster, other.cluster.escape_debug()));
        }
        if self.group_count != other.group_count {
            return Err(format!("{} and {} groups", self.group_count, other.group_count));
        }
        if (self.hash, self.hash_tag) != (other.hash, other.hash_tag) {
            return Err("another hash, or another hash tag".into());
        }
        if self.server == other.server {
            return Err(format!("both are server {}", self.server));
        }
        Ok(())
    }
}

/// How a server is doing, as far as this one can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nobody has asked it yet.
    Unknown,
    /// It answers.
    Up,
    /// It does not.
    Down,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Health::Unknown => "unknown",
            Health::Up => "up",
            Health::Down => "down",
        })
    }
}

/// What came of a request to another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was answered.
    Answered,
    /// The server is down.
    Down,
    /// Too much waited for it.
    Full,
    /// It was sent and not answered.
    Unknown,
    /// The servers' maps differ.
    Disagreed,
}

impl End {
    /// All, in the order of their numbers.
    pub const ALL: [End; 5] = [End::Answered, End::Down, End::Full, End::Unknown, End::Disagreed];

    /// As figures name it.
    pub fn name(self) -> &'static str {
        match self {
            End::Answered => "answered",
            End::Down => "down",
            End::Full => "full",
            End::Unknown => "unknown",
            End::Disagreed => "disagreed",
        }
    }
}

/// What this server has asked others, and they it.
#[derive(Debug, Default)]
pub struct Figures {
    /// From a whole request of a client to the answer of another server, those that were answered.
    pub durations: Histogram,
    ends: [AtomicU64; End::ALL.len()],
    /// Questions of other servers that were answered here.
    pub answered: AtomicU64,
}

impl Figures {
    /// Counts a request to another server.
    pub fn count(&self, end: End, took: Duration) {
        if end == End::Answered {
            self.durations.record(took);
        }
        if let Some(count) = self.ends.get(end as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many ended so.
    pub fn ended(&self, end: End) -> u64 {
        self.ends.get(end as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// The other servers.
pub struct Roster {
    /// What they must know.
    pub secret: Secret,
    /// Rises when what follows changes.
    epoch: AtomicU64,
    facts: RwLock<Facts>,
    addresses: RwLock<Vec<(u16, SocketAddr)>>,
    health: Vec<AtomicU8>,
    /// Random, and how many challenges were made of it.
    seed: Secret,
    challenges: AtomicU64,
    /// What was asked.
    pub figures: Figures,
}

impl Roster {
    /// The servers at these addresses; `seed` is random and used nowhere else.
    pub fn new(secret: Secret, facts: Facts, addresses: Vec<(u16, SocketAddr)>, seed: [u8; 32]) -> Roster {
        Roster {
            secret,
            epoch: AtomicU64::new(1),
            facts: RwLock::new(facts),
            addresses: RwLock::new(addresses),
            health: (0..=SERVER_ID_MAX).map(|_| AtomicU8::new(0)).collect(),
            seed: Secret(seed.to_vec()),
            challenges: AtomicU64::new(0),
            figures: Figures::default(),
        }
    }

    /// Takes what a new map says.
    pub fn renew(&self, facts: Facts, addresses: Vec<(u16, SocketAddr)>) {
        *self.facts.write() = facts;
        *self.addresses.write() = addresses;
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Rises with every change.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// What this server says of itself.
    pub fn facts(&self) -> Facts {
        self.facts.read().clone()
    }

    /// The other servers and where they are.
    pub fn addresses(&self) -> Vec<(u16, SocketAddr)> {
        self.addresses.read().clone()
    }

    /// A challenge that was never used before.
    pub fn challenge(&self) -> Challenge {
        let number = self.challenges.fetch_add(1, Ordering::Relaxed);
        prove(&self.seed, &[b"challenge", &number.to_le_bytes()])
    }

    /// How a server is doing.
    pub fn health(&self, server: u16) -> Health {
        match self.health.get(usize::from(server)).map(|health| health.load(Ordering::Relaxed)) {
            Some(1) => Health::Up,
            Some(2) => Health::Down,
            _ => Health::Unknown,
        }
    }

    /// Notes how a server is doing; whether that is news.
    pub fn note(&self, server: u16, health: Health) -> bool {
        let number = match health {
            Health::Unknown => 0,
            Health::Up => 1,
            Health::Down => 2,
        };
        self.health
            .get(usize::from(server))
            .is_some_and(|known| known.swap(number, Ordering::Relaxed) != number)
    }
}
