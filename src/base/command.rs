//! What a request asks for, whatever protocol it came in. Codecs make these words, the engine gives them meaning.

use std::borrow::Cow;

use super::search::split_word;
use super::time::{Deadline, Exptime};

/// One request, borrowed from the bytes it was read from.
#[derive(Clone, Debug)]
pub enum Command<'a> {
    /// Something about one key.
    Keyed(Key<'a>, Op<'a>),
    /// The classic reads of several keys: get, gets, gat, gats.
    Read(Keys<'a>, Get),
    /// Every item stored before now, or before a moment to come, is gone.
    FlushAll(Option<Exptime>),
    /// Figures about the server.
    Stats(StatsTopic<'a>),
    /// Which version is this?
    Version,
    /// Say more or less in the log.
    Verbosity(u32),
    /// Change the memory bound: megabytes.
    CacheMemlimit(u64),
    /// End the server.
    Shutdown(ShutdownMode),
    /// Nothing: meta `mn`, binary noop. Whatever was held back is sent.
    Noop,
    /// Close this connection after what was asked before.
    Quit,
    /// The name and password of a client (`-Y`): the payload of the storage command that carries it.
    Authenticate(&'a [u8]),
    /// Which ways there are to authenticate by SASL (`-S`).
    SaslMechanisms,
    /// A step of authenticating by SASL.
    Sasl(Sasl<'a>),
    /// Refused with this text, and counted all the same.
    Refused(Refused, &'a [u8]),
    /// Administration that steers memcached's own workings and has no meaning here: it is answered and does nothing.
    Tuning(Tuning<'a>),
    /// Listing of all keys (`lru_crawler metadump`, `mgdump`).
    Dump(DumpForm),
    /// Everything that is stored, consistent at one moment (`backup`).
    Backup,
    /// Follow events (`watch`): the words after the command.
    Watch(&'a [u8]),
    /// What memcached does not know.
    Own(Own<'a>),
}

impl Command<'_> {
    /// Whether it is about keys alone: then it changes nothing about how the next one is read.
    pub fn is_about_keys(&self) -> bool {
        matches!(self, Command::Keyed(..) | Command::Read(..))
    }
}

/// Commands of Larder's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own<'a> {
    /// The servers, in the form that auto-discovering clients ask for: `config get cluster`.
    Discover,
    /// The map in force, for people: `cluster map`.
    ClusterMap,
    /// Read the proposed map again: `cluster reload`.
    ClusterReload,
    /// Where a key lives: `route KEY`.
    Route(&'a [u8]),
    /// The keys that begin with a prefix, in order: `keys PREFIX [limit] [after]`.
    Keys {
        /// What they begin with.
        prefix: &'a [u8],
        /// At most so many.
        limit: u32,
        /// Only those behind this one.
        after: &'a [u8],
    },
}

/// A key: 1..=250 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// Its bytes, decoded.
    pub bytes: Cow<'a, [u8]>,
    /// Whether it was given in base64, and is to be shown so.
    pub binary: bool,
}

impl<'a> Key<'a> {
    /// A key as it stands in the request.
    pub fn plain(bytes: &'a [u8]) -> Key<'a> {
        Key { bytes: Cow::Borrowed(bytes), binary: false }
    }
}

/// The keys of a multi-key read: space-separated text whose every word is a valid key (the codec has checked).
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a>(pub &'a [u8]);

impl<'a> Keys<'a> {
    /// The first key and the text after it; `None` when there is none left.
    #[inline]
    pub fn split_first(self) -> Option<(&'a [u8], Keys<'a>)> {
        split_word(self.0).map(|(key, rest)| (key, Keys(rest)))
    }

    /// All of them.
    pub fn iter(mut self) -> impl Iterator<Item = &'a [u8]> {
        std::iter::from_fn(move || {
            let (key, rest) = self.split_first()?;
            self = rest;
            Some(key)
        })
    }
}

/// What is asked of one key.
#[derive(Clone, Copy, Debug)]
pub enum Op<'a> {
    /// Read it.
    Get(Get),
    /// Give it a value.
    Store(Store<'a>),
    /// A value too large to be stored was offered, and is not carried: the old value goes when `drops_old`.
    Oversized {
        /// `set` and every meta store lose the old value, the other classic commands keep it.
        drops_old: bool,
    },
    /// Remove, empty or invalidate it.
    Delete(Delete),
    /// Count.
    Arith(Arith),
    /// Give it a new deadline.
    Touch(Exptime),
    /// Show what is known about it without touching it (`me`).
    Inspect,
    /// Remove it if its deadline has come or a flush covers it: what the sweeper asks.
    Expire,
    /// Remove it for room on the disk if its deadline comes at this one or before; [`Deadline::NEVER`]: whenever it comes.
    Evict(Deadline),
}

impl Op<'_> {
    /// Whether what it finds on disk is worth a place in memory: not what is only looked at to be removed.
    pub fn wants_memory(&self) -> bool {
        !matches!(self, Op::Expire | Op::Evict(_))
    }

    /// Whether the answer or the effect depends on what is stored now. A plain set does not look.
    pub fn needs_old(&self) -> bool {
        match self {
            Op::Store(store) => {
                !(store.mode == StoreMode::Set && store.compare.is_none() && !store.invalidate)
            }
            _ => true,
        }
    }
}

/// A read of one key and what it does beside reading.
#[derive(Clone, Copy, Debug, Default)]
pub struct Get {
    /// Give it a new deadline (gat; meta `T`). One that is created here has the deadline that `vivify` says.
    pub touch: Option<Exptime>,
    /// On a miss create an empty item with this exptime and let the caller win (meta `N`; where a `T` stands behind it,
    /// the exptime of that).
    pub vivify: Option<Exptime>,
    /// Let the caller win when fewer seconds than this remain (meta `R`).
    pub recache_below_s: Option<i32>,
    /// What remains is judged after the touch, not before (a `T` before the `R`).
    pub touches_first: bool,
    /// A cas that the client holds already: on a match it needs no value (meta `C`).
    pub held_cas: Option<u64>,
    /// The cas of an item created here (meta `E`).
    pub new_cas: Option<u64>,
    /// Leave no trace of this access (meta `u`).
    pub unnoticed: bool,
    /// Whether this counts among the classic gets, the touches or the metas in the statistics.
    pub counted_as: CountedAs,
}

/// Which statistics a read belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CountedAs {
    /// `cmd_get`.
    #[default]
    Get,
    /// `cmd_touch`: gat and gats.
    Touch,
    /// `cmd_get` too: mg. Only meta clients can win.
    Meta,
}

/// When a store takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMode {
    /// Always.
    Set,
    /// Only if the key is absent.
    Add,
    /// Only if it is present.
    Replace,
    /// The value goes behind the old one.
    Append,
    /// The value goes before the old one.
    Prepend,
}

/// Give a key a value.
#[derive(Clone, Copy, Debug)]
pub struct Store<'a> {
    /// When.
    pub mode: StoreMode,
    /// The bytes.
    pub value: &'a [u8],
    /// The client's own bits.
    pub client_flags: u32,
    /// Its time to live.
    pub exptime: Exptime,
    /// Only if the item's cas is this one (cas; meta `C`). Add ignores it.
    pub compare: Option<u64>,
    /// The cas that the item gets (meta `E`).
    pub new_cas: Option<u64>,
    /// A lower `compare` than the item's stores and marks stale instead of failing (meta `I`).
    pub invalidate: bool,
    /// Append and prepend on a miss create an item with this exptime (meta `N`).
    pub vivify: Option<Exptime>,
}

/// Remove a key, or leave something of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delete {
    /// Only if the item's cas is this one.
    pub compare: Option<u64>,
    /// The cas that remains with `invalidate` or `clear_value`.
    pub new_cas: Option<u64>,
    /// Mark stale instead of removing (meta `I`).
    pub invalidate: bool,
    /// With `invalidate` or `clear_value`: a new time to live (meta `T`).
    pub exptime: Option<Exptime>,
    /// Replace by an empty value instead of removing (meta `x`).
    pub clear_value: bool,
    /// The flags of the empty value (meta `F`).
    pub client_flags: u32,
}

/// Which way to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Up, wrapping at 2^64.
    Incr,
    /// Down, stopping at 0.
    Decr,
}

/// Count up or down.
#[derive(Clone, Copy, Debug)]
pub struct Arith {
    /// Which way.
    pub direction: Direction,
    /// By how much.
    pub delta: u64,
    /// Only if the item's cas is this one.
    pub compare: Option<u64>,
    /// The cas that the item gets.
    pub new_cas: Option<u64>,
    /// On a miss create an item of this number and exptime (meta `J` and `N`; where a `T` stands behind the `N`, the
    /// exptime of that).
    pub initial: Option<(u64, Exptime)>,
    /// A new time to live (meta `T`). One that is created here has that of `initial`.
    pub touch: Option<Exptime>,
}

/// Which figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Each is the word after `stats`.
pub enum StatsTopic<'a> {
    General,
    Settings,
    Items,
    Slabs,
    Sizes,
    Conns,
    Reset,
    DetailOn,
    DetailOff,
    DetailDump,
    /// Keys of one slab class: class and limit.
    CacheDump(u32, u32),
    Extstore,
    Larder,
    Groups,
    /// A topic that is not known here.
    Unknown(&'a [u8]),
}

/// A step of authenticating by SASL (RFC 4422).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sasl<'a> {
    /// The way that the client chose.
    pub mechanism: &'a [u8],
    /// What the client says to it.
    pub response: &'a [u8],
    /// Whether the client begins with it.
    pub is_first: bool,
}

/// How to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownMode {
    /// At once (what is acknowledged is kept all the same).
    Now,
    /// After the connections have been served.
    Graceful,
}

/// What counts although it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A value that does not end where it was announced to end: as `cmd_set`.
    Store,
    /// A `flush_all` that is not allowed, or whose delay is none: as `cmd_flush`.
    Flush,
}

/// Commands that steer workings which memcached has and Larder has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tuning<'a> {
    /// Answered with this text and nothing else.
    Answer(&'a [u8]),
    /// `lru_crawler enable` and `disable`: without it keys are not listed.
    Crawler(bool),
    /// `lru_crawler crawl`: nothing needs it, and it is refused while the crawler is disabled.
    Crawl,
    /// `refresh_certs`: the certificates are read again.
    RefreshCerts,
}

/// How keys are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpForm {
    /// `key=… exp=… la=… cas=… fetch=… cls=… size=… flags=…`.
    Meta,
    /// `mg <key>` lines.
    Mget,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_words_between_spaces() {
        for (text, words) in [
            ("", &[][..]),
            ("   ", &[]),
            ("a", &["a"]),
            (" a  bb ", &["a", "bb"]),
            ("a a\tb", &["a", "a\tb"]),
        ] {
            let mut keys = Keys(text.as_bytes());
            let mut found = Vec::new();
            while let Some((key, rest)) = keys.split_first() {
                found.push(String::from_utf8_lossy(key).into_owned());
                keys = rest;
            }
            assert_eq!(found, words, "{text:?}");
        }
    }
}
