//! What a client can ask about one key, and what it is answered.

use super::meta::{MetaAnswer, MetaArith, MetaDelete, MetaGet, MetaStore};
use crate::base::command::{Direction, StatsTopic, StoreMode};
use crate::base::time::Exptime;

/// A value to be stored, with the client's own bits and its time to live.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The bytes.
    pub value: &'a [u8],
    /// 32 bits that the server keeps and gives back.
    pub flags: u32,
    /// Seconds from now (up to 30 days), or a unix time; 0 for ever.
    pub exptime: Exptime,
}

impl<'a> Entry<'a> {
    /// A value that never expires.
    pub fn new(value: &'a (impl AsRef<[u8]> + ?Sized)) -> Entry<'a> {
        Entry { value: value.as_ref(), flags: 0, exptime: Exptime(0) }
    }

    /// With this exptime.
    pub fn expiring(self, exptime_s: i32) -> Entry<'a> {
        Entry { exptime: Exptime(exptime_s), ..self }
    }

    /// With these flags.
    pub fn flagged(self, flags: u32) -> Entry<'a> {
        Entry { flags, ..self }
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> From<&'a T> for Entry<'a> {
    fn from(value: &'a T) -> Entry<'a> {
        Entry::new(value)
    }
}

/// One thing to ask about one key.
#[derive(Clone, Debug)]
pub struct Operation<'a> {
    pub(super) key: &'a [u8],
    pub(super) action: Action<'a>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) enum Action<'a> {
    Read {
        touch: Option<Exptime>,
        with_cas: bool,
    },
    Store(StoreMode, Entry<'a>),
    Cas(Entry<'a>, u64),
    Count(Direction, u64),
    Delete,
    Touch(Exptime),
    MetaGet(MetaGet),
    MetaStore(MetaStore<'a>),
    MetaDelete(MetaDelete),
    MetaArith(MetaArith),
    Inspect,
    // What is asked of a server and not about a key.
    FlushAll(Option<Exptime>),
    Stats(StatsTopic<'a>),
    Version,
    Verbosity(u32),
    Noop,
    /// The map of the cluster: its lines, whole, each behind its first word.
    Map,
    /// Name and password.
    Login(&'a [u8]),
}

impl Action<'_> {
    /// Whether it is a meta command: its key may be any bytes, and its answer has flags.
    pub(super) fn is_meta(&self) -> bool {
        use Action::{Inspect, MetaArith, MetaDelete, MetaGet, MetaStore};
        matches!(self, MetaGet(_) | MetaStore(_) | MetaDelete(_) | MetaArith(_) | Inspect)
    }
}

/// Makes constructors: name, what it asks, and the documentation.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) = $action:expr;)*) => {
        impl<'a> Operation<'a> {
            $($(#[$doc])*
            pub fn $name(key: &'a (impl AsRef<[u8]> + ?Sized), $($arg: $type),*) -> Operation<'a> {
                Operation { key: key.as_ref(), action: $action }
            })*
        }
    };
}

operations! {
    /// Read: [`Answer::Value`] without a cas.
    get() = Action::Read { touch: None, with_cas: false };
    /// Read: [`Answer::Value`] with its cas.
    gets() = Action::Read { touch: None, with_cas: true };
    /// Read and give a new exptime.
    gat(exptime_s: i32) = Action::Read { touch: Some(Exptime(exptime_s)), with_cas: false };
    /// Read with the cas and give a new exptime.
    gats(exptime_s: i32) = Action::Read { touch: Some(Exptime(exptime_s)), with_cas: true };
    /// Store: [`Answer::Stored`].
    set(entry: impl Into<Entry<'a>>) = Action::Store(StoreMode::Set, entry.into());
    /// Store if there is nothing.
    add(entry: impl Into<Entry<'a>>) = Action::Store(StoreMode::Add, entry.into());
    /// Store if there is something.
    replace(entry: impl Into<Entry<'a>>) = Action::Store(StoreMode::Replace, entry.into());
    /// Put behind what is there; flags and exptime stay.
    append(entry: impl Into<Entry<'a>>) = Action::Store(StoreMode::Append, entry.into());
    /// Put before what is there; flags and exptime stay.
    prepend(entry: impl Into<Entry<'a>>) = Action::Store(StoreMode::Prepend, entry.into());
    /// Store if the item still has this cas.
    cas(entry: impl Into<Entry<'a>>, cas: u64) = Action::Cas(entry.into(), cas);
    /// Count up: [`Answer::Number`].
    incr(delta: u64) = Action::Count(Direction::Incr, delta);
    /// Count down, not below 0.
    decr(delta: u64) = Action::Count(Direction::Decr, delta);
    /// Remove: [`Answer::Found`].
    delete() = Action::Delete;
    /// Give a new exptime: [`Answer::Found`].
    touch(exptime_s: i32) = Action::Touch(Exptime(exptime_s));
    /// mg: [`Answer::Meta`].
    meta_get(get: MetaGet) = Action::MetaGet(get);
    /// ms: [`Answer::Meta`].
    meta_store(store: MetaStore<'a>) = Action::MetaStore(store);
    /// md: [`Answer::Meta`].
    meta_delete(delete: MetaDelete) = Action::MetaDelete(delete);
    /// ma: [`Answer::Meta`].
    meta_arith(arith: MetaArith) = Action::MetaArith(arith);
    /// me: [`Answer::Facts`].
    meta_debug() = Action::Inspect;
}

/// An item that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The client's own bits.
    pub flags: u32,
    /// The number that [`Operation::cas`] compares; only of `gets` and `gats`.
    pub cas: Option<u64>,
}

/// How a store ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is stored.
    Stored,
    /// The condition of add, replace, append or prepend did not hold.
    NotStored,
    /// The item has another cas by now.
    Exists,
    /// There is no item to compare with.
    NotFound,
}

/// What an operation is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To reads: the item, or none.
    Value(Option<Value>),
    /// To stores.
    Stored(Stored),
    /// To counting: the number now; `None` when there is no item.
    Number(Option<u64>),
    /// To delete and touch: whether there was an item.
    Found(bool),
    /// To meta commands.
    Meta(MetaAnswer),
    /// To meta debug: names and values; `None` when there is no item.
    Facts(Option<Vec<(String, String)>>),
    /// To what is asked of a server: names and values of `stats`, the text of `version`, nothing of most others.
    Server(Vec<(String, String)>),
}
