//! What watchers are told: events, their kinds and their lines, which end in a bare newline (PROTOCOL.md section 5).

use super::dump::put_uri;
use super::line::Words;
use super::reply::put_number;
use crate::base::reply::Sink;
use crate::base::time::UnixMs;

/// Kinds of events, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(pub u32);

impl Kinds {
    /// Reads of items.
    pub const FETCHERS: Kinds = Kinds(1);
    /// Stores of items.
    pub const MUTATIONS: Kinds = Kinds(2);
    /// Connections that come and go.
    pub const CONNECTIONS: Kinds = Kinds(4);
    /// Removals that a client asked for.
    pub const DELETIONS: Kinds = Kinds(8);
    /// Items lost because memory was full.
    pub const EVICTIONS: Kinds = Kinds(16);

    /// The kinds that the words behind `watch` name; no word means fetchers. `None` when one of them names nothing; words
    /// whose events never happen here add nothing.
    pub fn named(words: &[u8]) -> Option<Kinds> {
        let mut names = Words(words).peekable();
        if names.peek().is_none() {
            return Some(Kinds::FETCHERS);
        }
        names.try_fold(Kinds::default(), |kinds, name| {
            Some(kinds.with(match name {
                b"fetchers" => Kinds::FETCHERS,
                b"mutations" => Kinds::MUTATIONS,
                b"connevents" => Kinds::CONNECTIONS,
                b"evictions" => Kinds::EVICTIONS,
                b"deletions" => Kinds::DELETIONS,
                b"rawcmds" | b"sysevents" | b"proxyreqs" | b"proxyevents" | b"proxyuser" => Kinds::default(),
                _ => return None,
            }))
        })
    }

    /// With those of `other` too.
    pub fn with(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    /// Whether the two have a kind in common.
    pub fn meets(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }
}

/// What was there when an item was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The item, and the length of its value.
    Found(usize),
    /// Nothing.
    NotFound,
    /// One that a flush covers.
    Flushed,
    /// One whose deadline has come.
    Expired,
}

impl Lookup {
    /// In memcached's words.
    fn status(self) -> &'static str {
        match self {
            Lookup::Found(_) => "found",
            Lookup::NotFound => "not_found",
            Lookup::Flushed => "flushed",
            Lookup::Expired => "expired",
        }
    }
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// An item was looked for.
    Get {
        /// Its key.
        key: &'a [u8],
        /// What was there.
        lookup: Lookup,
    },
    /// A value was offered.
    Store {
        /// Its key.
        key: &'a [u8],
        /// What became of it, in memcached's words.
        status: &'static str,
        /// The command.
        verb: &'static str,
        /// Seconds that it has left, 0 for no end, -1 when its end is behind it.
        ttl_s: i64,
        /// Its length.
        value_bytes: usize,
    },
    /// An item was removed.
    Deleted {
        /// Its key.
        key: &'a [u8],
        /// The command.
        verb: &'static str,
        /// The length of its value.
        value_bytes: usize,
    },
    /// An item was lost because memory was full.
    Evicted {
        /// Its key.
        key: &'a [u8],
        /// Whether it was ever read.
        is_fetched: bool,
        /// Seconds that it had left, `None` for no end.
        ttl_s: Option<u32>,
        /// Seconds since it was last used.
        idle_s: u32,
        /// The length of its value.
        value_bytes: usize,
    },
    /// A connection was accepted.
    Opened {
        /// Its address as `stats conns` writes it.
        address: &'a str,
    },
    /// A connection is gone.
    Closed {
        /// Its address as `stats conns` writes it.
        address: &'a str,
        /// Why: `normal`, `error` or `idle_timeout`.
        reason: &'static str,
    },
}

impl Event<'_> {
    /// Of which kind it is.
    pub fn kind(&self) -> Kinds {
        match self {
            Event::Get { .. } => Kinds::FETCHERS,
            Event::Store { .. } => Kinds::MUTATIONS,
            Event::Deleted { .. } => Kinds::DELETIONS,
            Event::Evicted { .. } => Kinds::EVICTIONS,
            Event::Opened { .. } | Event::Closed { .. } => Kinds::CONNECTIONS,
        }
    }
}

/// Writes the line of event number `number`, caused by connection `connection`.
pub fn encode_event(event: &Event<'_>, now: UnixMs, number: u64, connection: u64, out: &mut impl Sink) {
    let fraction = format!("{:06}", now.0 % 1000 * 1000);
    put_field("ts=", now.seconds(), out);
    out.put(b".");
    out.put(fraction.as_bytes());
    put_field(" gid=", number, out);
    match event {
        Event::Get { key, lookup } => {
            let (class, value_bytes) = if let Lookup::Found(bytes) = *lookup { (1, bytes) } else { (0, 0) };
            put_key(" type=item_get key=", key, out);
            put_text(" status=", lookup.status(), out);
            put_field(" clsid=", class, out);
            put_field(" cfd=", connection, out);
            put_field(" size=", value_bytes, out);
        }
        Event::Store { key, status, verb, ttl_s, value_bytes } => {
            put_key(" type=item_store key=", key, out);
            put_text(" status=", status, out);
            put_text(" cmd=", verb, out);
            put_field(" ttl=", *ttl_s, out);
            put_field(" clsid=1 cfd=", connection, out);
            put_field(" size=", *value_bytes, out);
        }
        Event::Deleted { key, verb, value_bytes } => {
            put_key(" type=deleted key=", key, out);
            put_text(" cmd=", verb, out);
            put_field(" clsid=1 size=", *value_bytes, out);
        }
        Event::Evicted { key, is_fetched, ttl_s, idle_s, value_bytes } => {
            put_key(" type=eviction key=", key, out);
            put_text(" fetch=", if *is_fetched { "yes" } else { "no" }, out);
            put_field(" ttl=", ttl_s.map_or(-1, i64::from), out);
            put_field(" la=", *idle_s, out);
            put_field(" clsid=1 size=", *value_bytes, out);
        }
        Event::Opened { address } => {
            put_peer(" type=conn_new", address, out);
            put_field(" cfd=", connection, out);
        }
        Event::Closed { address, reason } => {
            put_peer(" type=conn_close", address, out);
            put_text(" reason=", reason, out);
            put_field(" cfd=", connection, out);
        }
    }
    out.put(b"\n");
}

/// Writes how many lines a slow watcher has missed.
pub fn encode_skipped(count: u64, out: &mut impl Sink) {
    put_field("[skipped=", count, out);
    out.put(b"]\n");
}

fn put_field(name: &str, number: impl itoa::Integer, out: &mut impl Sink) {
    out.put(name.as_bytes());
    put_number(number, out);
}

fn put_text(name: &str, text: &str, out: &mut impl Sink) {
    out.put(name.as_bytes());
    out.put(text.as_bytes());
}

fn put_key(name: &str, key: &[u8], out: &mut impl Sink) {
    out.put(name.as_bytes());
    put_uri(key, out);
}

/// `tcp:[::1]:1234` and `unix:PATH` in three fields.
fn put_peer(name: &str, address: &str, out: &mut impl Sink) {
    let tcp = address.strip_prefix("tcp:").and_then(|address| address.rsplit_once(':'));
    let (host, port) = tcp.unwrap_or(("unix", "0"));
    out.put(name.as_bytes());
    put_text(" rip=", host.trim_start_matches('[').trim_end_matches(']'), out);
    put_text(" rport=", port, out);
    put_text(" transport=", if tcp.is_some() { "tcp" } else { "local" }, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_become_lines() {
        let (key, address) = (&b"a b"[..], "tcp:[::1]:80");
        let store = Event::Store { key, status: "stored", verb: "set", ttl_s: 9, value_bytes: 5 };
        for (event, line) in [
            (
                Event::Get { key, lookup: Lookup::Found(5) },
                "item_get key=a%20b status=found clsid=1 cfd=3 size=5",
            ),
            (
                Event::Get { key, lookup: Lookup::NotFound },
                "item_get key=a%20b status=not_found clsid=0 cfd=3 size=0",
            ),
            (store, "item_store key=a%20b status=stored cmd=set ttl=9 clsid=1 cfd=3 size=5"),
            (Event::Deleted { key, verb: "md", value_bytes: 5 }, "deleted key=a%20b cmd=md clsid=1 size=5"),
            (
                Event::Evicted { key, is_fetched: true, ttl_s: None, idle_s: 4, value_bytes: 5 },
                "eviction key=a%20b fetch=yes ttl=-1 la=4 clsid=1 size=5",
            ),
            (Event::Opened { address }, "conn_new rip=::1 rport=80 transport=tcp cfd=3"),
            (
                Event::Closed { address: "unix:/s", reason: "normal" },
                "conn_close rip=unix rport=0 transport=local reason=normal cfd=3",
            ),
        ] {
            let mut out = Vec::new();
            encode_event(&event, UnixMs(7_045), 2, 3, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), format!("ts=7.045000 gid=2 type={line}\n"));
        }
    }

    #[test]
    fn words_name_kinds() {
        for (words, kinds) in [
            ("", Some(Kinds::FETCHERS)),
            ("mutations", Some(Kinds::MUTATIONS)),
            ("fetchers  deletions", Some(Kinds::FETCHERS.with(Kinds::DELETIONS))),
            ("sysevents", Some(Kinds::default())),
            ("connevents rawcmds", Some(Kinds::CONNECTIONS)),
            ("connevents nonsense", None),
        ] {
            assert_eq!(Kinds::named(words.as_bytes()), kinds, "{words:?}");
        }
    }
}
