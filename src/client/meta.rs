//! The meta commands with their flags as fields.
//!
//! Flags that leave an answer out (`q`) have no field: a client that cannot tell an answer from a lost connection
//! would have to guess. The base64 flag (`b`) is set by itself for keys that are no text.

use crate::base::command::{Direction, StoreMode};
use crate::base::time::Exptime;

/// What `mg` asks for and does; all off: is it there?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetaGet {
    /// The value (`v`).
    pub value: bool,
    /// The cas (`c`).
    pub cas: bool,
    /// The client's own bits (`f`).
    pub flags: bool,
    /// Seconds to live (`t`).
    pub ttl: bool,
    /// The value's length (`s`).
    pub size: bool,
    /// Whether it was read before (`h`).
    pub hit_before: bool,
    /// Seconds since the last access (`l`).
    pub last_access: bool,
    /// The key (`k`).
    pub key: bool,
    /// Leave no trace of this access (`u`).
    pub unnoticed: bool,
    /// Come back with the answer (`O`).
    pub opaque: Option<u64>,
    /// A new exptime (`T`).
    pub touch: Option<Exptime>,
    /// On a miss create an empty item with this exptime, and win (`N`).
    pub vivify: Option<Exptime>,
    /// Win when fewer seconds than this remain (`R`).
    pub recache_below_s: Option<i32>,
    /// A cas that is held already: on a match the value is not needed (`C`).
    pub held_cas: Option<u64>,
    /// The cas of an item created here (`E`).
    pub new_cas: Option<u64>,
}

/// A value for `ms`.
#[derive(Clone, Copy, Debug)]
pub struct MetaStore<'a> {
    /// The bytes.
    pub value: &'a [u8],
    /// The client's own bits (`F`).
    pub flags: u32,
    /// Its exptime (`T`).
    pub exptime: Exptime,
    /// When it is stored (`M`).
    pub mode: StoreMode,
    /// Only if the item's cas is this one (`C`).
    pub compare: Option<u64>,
    /// The cas that it gets (`E`).
    pub new_cas: Option<u64>,
    /// With a lower `compare` than the item's: store, and mark stale (`I`).
    pub invalidate: bool,
    /// Append and prepend create a missing item with this exptime (`N`).
    pub vivify: Option<Exptime>,
    /// Answer the new cas (`c`).
    pub cas: bool,
    /// Answer the value's length (`s`).
    pub size: bool,
    /// Answer the key (`k`).
    pub key: bool,
    /// Come back with the answer (`O`).
    pub opaque: Option<u64>,
}

impl<'a> MetaStore<'a> {
    /// A plain set of this value.
    pub fn new(value: &'a (impl AsRef<[u8]> + ?Sized)) -> MetaStore<'a> {
        MetaStore {
            value: value.as_ref(),
            flags: 0,
            exptime: Exptime(0),
            mode: StoreMode::Set,
            compare: None,
            new_cas: None,
            invalidate: false,
            vivify: None,
            cas: false,
            size: false,
            key: false,
            opaque: None,
        }
    }
}

/// What `md` does; all off: remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetaDelete {
    /// Only if the item's cas is this one (`C`).
    pub compare: Option<u64>,
    /// The cas that remains (`E`).
    pub new_cas: Option<u64>,
    /// Mark stale instead of removing (`I`).
    pub invalidate: bool,
    /// A new exptime for what remains (`T`).
    pub exptime: Option<Exptime>,
    /// Empty the value instead of removing (`x`).
    pub clear_value: bool,
    /// Answer the key (`k`).
    pub key: bool,
    /// Come back with the answer (`O`).
    pub opaque: Option<u64>,
}

/// What `ma` counts; the default adds 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetaArith {
    /// Which way (`M`).
    pub direction: Direction,
    /// By how much (`D`).
    pub delta: u64,
    /// On a miss create an item of this number and exptime (`J`, `N`).
    pub initial: Option<(u64, Exptime)>,
    /// A new exptime (`T`).
    pub touch: Option<Exptime>,
    /// Only if the item's cas is this one (`C`).
    pub compare: Option<u64>,
    /// The cas that it gets (`E`).
    pub new_cas: Option<u64>,
    /// Answer the number (`v`).
    pub value: bool,
    /// Answer the new cas (`c`).
    pub cas: bool,
    /// Answer the seconds to live (`t`).
    pub ttl: bool,
    /// Answer the key (`k`).
    pub key: bool,
    /// Come back with the answer (`O`).
    pub opaque: Option<u64>,
}

impl Default for MetaArith {
    fn default() -> MetaArith {
        MetaArith {
            direction: Direction::Incr,
            delta: 1,
            initial: None,
            touch: None,
            compare: None,
            new_cas: None,
            value: true,
            cas: false,
            ttl: false,
            key: false,
            opaque: None,
        }
    }
}

/// How a meta command ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetaOutcome {
    /// A hit, or done (`HD`, `VA`).
    #[default]
    Done,
    /// `mg` found nothing (`EN`).
    Miss,
    /// The mode's condition did not hold (`NS`).
    NotStored,
    /// The cas did not match (`EX`).
    Exists,
    /// There is no item to change (`NF`).
    NotFound,
}

/// The answer to a meta command: of what was not asked for, nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetaAnswer {
    /// How it ended.
    pub outcome: MetaOutcome,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The cas.
    pub cas: Option<u64>,
    /// The client's own bits.
    pub flags: Option<u32>,
    /// Seconds to live; -1 for ever.
    pub ttl_s: Option<i64>,
    /// The value's length, bytes.
    pub size: Option<u64>,
    /// Whether it was read before.
    pub hit_before: Option<bool>,
    /// Seconds since the last access.
    pub last_access_s: Option<u64>,
    /// The key, decoded.
    pub key: Option<Vec<u8>>,
    /// What was to come back.
    pub opaque: Option<u64>,
    /// This client is to recache (`W`).
    pub won: bool,
    /// The value is stale (`X`).
    pub stale: bool,
    /// Somebody else is recaching (`Z`).
    pub taken: bool,
}

impl MetaAnswer {
    /// The value as the number that `ma` counts.
    pub fn number(&self) -> Option<u64> {
        std::str::from_utf8(self.value.as_deref()?).ok()?.trim_end().parse().ok()
    }
}

/// The words of a meta command behind its key.
pub(super) struct Words(pub(super) Vec<u8>);

impl Words {
    fn on(self, flag: u8, wanted: bool) -> Words {
        if wanted { self.word(flag, "") } else { self }
    }

    fn with(self, flag: u8, number: Option<impl std::fmt::Display>) -> Words {
        match number {
            Some(number) => self.word(flag, &number.to_string()),
            None => self,
        }
    }

    fn word(mut self, flag: u8, token: &str) -> Words {
        if !self.0.is_empty() {
            self.0.push(b' ');
        }
        self.0.push(flag);
        self.0.extend_from_slice(token.as_bytes());
        self
    }
}

fn seconds(exptime: Option<Exptime>) -> Option<i32> {
    exptime.map(|exptime| exptime.0)
}

/// The flags of each command; `binary` says that the key is in base64.
impl MetaGet {
    pub(super) fn words(&self, binary: bool) -> Words {
        Words(Vec::new())
            .on(b'b', binary)
            .on(b'v', self.value)
            .on(b'c', self.cas)
            .on(b'f', self.flags)
            .on(b't', self.ttl)
            .on(b's', self.size)
            .on(b'h', self.hit_before)
            .on(b'l', self.last_access)
            .on(b'k', self.key)
            .on(b'u', self.unnoticed)
            .with(b'O', self.opaque)
            .with(b'T', seconds(self.touch))
            .with(b'N', seconds(self.vivify))
            .with(b'R', self.recache_below_s)
            .with(b'C', self.held_cas)
            .with(b'E', self.new_cas)
    }
}

impl MetaStore<'_> {
    pub(super) fn words(&self, binary: bool) -> Words {
        // Without a mode it is a set.
        let mode = match self.mode {
            StoreMode::Set => None,
            StoreMode::Add => Some("E"),
            StoreMode::Replace => Some("R"),
            StoreMode::Append => Some("A"),
            StoreMode::Prepend => Some("P"),
        };
        let flagged = (self.flags != 0).then_some(self.flags);
        let expires = (self.exptime.0 != 0).then_some(self.exptime.0);
        Words(Vec::new())
            .on(b'b', binary)
            .with(b'M', mode)
            .with(b'F', flagged)
            .with(b'T', expires)
            .with(b'C', self.compare)
            .with(b'E', self.new_cas)
            .on(b'I', self.invalidate)
            .with(b'N', seconds(self.vivify))
            .on(b'c', self.cas)
            .on(b's', self.size)
            .on(b'k', self.key)
            .with(b'O', self.opaque)
    }
}

impl MetaDelete {
    pub(super) fn words(&self, binary: bool) -> Words {
        Words(Vec::new())
            .on(b'b', binary)
            .with(b'C', self.compare)
            .with(b'E', self.new_cas)
            .on(b'I', self.invalidate)
            .with(b'T', seconds(self.exptime))
            .on(b'x', self.clear_value)
            .on(b'k', self.key)
            .with(b'O', self.opaque)
    }
}

impl MetaArith {
    pub(super) fn words(&self, binary: bool) -> Words {
        let mode = if self.direction == Direction::Incr { "I" } else { "D" };
        Words(Vec::new())
            .on(b'b', binary)
            .with(b'M', Some(mode))
            .with(b'D', Some(self.delta))
            .with(b'J', self.initial.map(|(number, _)| number))
            .with(b'N', self.initial.map(|(_, exptime)| exptime.0))
            .with(b'T', seconds(self.touch))
            .with(b'C', self.compare)
            .with(b'E', self.new_cas)
            .on(b'v', self.value)
            .on(b'c', self.cas)
            .on(b't', self.ttl)
            .on(b'k', self.key)
            .with(b'O', self.opaque)
    }
}
