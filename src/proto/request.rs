//! Words to bytes, the other way: requests as a client writes them.

use super::line::NOREPLY;
use super::meta_reply::put_key_text;
use super::reply::{LINE_END, put_number};
use super::{ClassicForm, Form, MetaForm, MetaVerb, Request, binary};
use crate::base::command::{
    Command, Direction, DumpForm, Get, Key, Keys, Op, Own, ShutdownMode, StatsTopic, Store, StoreMode,
};
use crate::base::reply::Sink;

/// Writes a request as text that [`decode`](super::decode) reads as the same request. Answers whether it has a text:
/// what only the server asks of itself has none, and neither has a value that is not carried.
#[must_use]
pub fn write_request(request: &Request<'_>, out: &mut impl Sink) -> bool {
    match (&request.command, &request.form) {
        (Command::Keyed(key, op), Form::Classic(form)) => put_keyed(key, op, *form, out),
        (Command::Keyed(key, op), Form::Meta(form)) => put_meta(key, op, form, out),
        (Command::Read(keys, get), Form::Classic(form)) => put_read(*keys, get, *form, out),
        (command, Form::Classic(form)) => put_admin(command, *form, out),
        (command, Form::Binary(form)) => binary::write_request(command, form, out),
        (_, Form::Meta(_)) => false,
    }
}

/// A meta command: its flags are in its form.
fn put_meta(key: &Key<'_>, op: &Op<'_>, form: &MetaForm<'_>, out: &mut impl Sink) -> bool {
    let (verb, value) = match (form.verb, op) {
        (MetaVerb::Get, _) => (b"mg ", None),
        (MetaVerb::Delete, _) => (b"md ", None),
        (MetaVerb::Arith, _) => (b"ma ", None),
        (MetaVerb::Inspect, _) => (b"me ", None),
        (MetaVerb::Store, Op::Store(store)) => (b"ms ", Some(store.value)),
        (MetaVerb::Store, _) => return false,
    };
    out.put(verb);
    put_key_text(&key.bytes, key.binary, out);
    if let Some(value) = value {
        out.put(b" ");
        put_number(value.len(), out);
    }
    if !form.flags.is_empty() {
        out.put(b" ");
        out.put(form.flags);
    }
    out.put(LINE_END);
    if let Some(value) = value {
        out.put(value);
        out.put(LINE_END);
    }
    true
}

/// A classic command about one key.
fn put_keyed(key: &Key<'_>, op: &Op<'_>, form: ClassicForm, out: &mut impl Sink) -> bool {
    match op {
        Op::Store(store) => put_store(&key.bytes, store, form, out),
        Op::Get(get) => return put_read(Keys(&key.bytes), get, form, out),
        Op::Delete(_) => {
            // As the last word this key would say that no answer is wanted: the zero of old clients goes behind it.
            let zero = (*key.bytes == *NOREPLY && !form.noreply).then_some(0);
            put_line(b"delete ", &key.bytes, zero, form, out);
        }
        Op::Touch(exptime) => put_line(b"touch ", &key.bytes, Some(exptime.0), form, out),
        Op::Arith(arith) => {
            let verb: &[u8] = if arith.direction == Direction::Incr { b"incr " } else { b"decr " };
            put_line(verb, &key.bytes, Some(arith.delta), form, out);
        }
        Op::Inspect | Op::Expire | Op::Evict(_) | Op::Oversized { .. } => return false,
    }
    true
}

/// A storage command with its value.
fn put_store(key: &[u8], store: &Store<'_>, form: ClassicForm, out: &mut impl Sink) {
    out.put(match store.mode {
        StoreMode::Set if store.compare.is_some() => b"cas ",
        StoreMode::Set => b"set ",
        StoreMode::Add => b"add ",
        StoreMode::Replace => b"replace ",
        StoreMode::Append => b"append ",
        StoreMode::Prepend => b"prepend ",
    });
    out.put(key);
    out.put(b" ");
    put_number(store.client_flags, out);
    out.put(b" ");
    put_number(store.exptime.0, out);
    out.put(b" ");
    put_number(store.value.len(), out);
    if let Some(cas) = store.compare {
        out.put(b" ");
        put_number(cas, out);
    }
    put_line_end(form, out);
    out.put(store.value);
    out.put(LINE_END);
}

/// A read of one or more keys.
fn put_read(keys: Keys<'_>, get: &Get, form: ClassicForm, out: &mut impl Sink) -> bool {
    out.put(match (get.touch, form.with_cas) {
        (None, false) => b"get ",
        (None, true) => b"gets ",
        (Some(_), false) => b"gat ",
        (Some(_), true) => b"gats ",
    });
    if let Some(exptime) = get.touch {
        put_number(exptime.0, out);
        out.put(b" ");
    }
    out.put(keys.0);
    out.put(LINE_END);
    true
}

/// A command that is not about keys.
fn put_admin(command: &Command<'_>, form: ClassicForm, out: &mut impl Sink) -> bool {
    match command {
        Command::FlushAll(None) => out.put(b"flush_all"),
        Command::FlushAll(Some(delay)) => put_number_after(b"flush_all ", delay.0, out),
        Command::Verbosity(level) => put_number_after(b"verbosity ", *level, out),
        Command::CacheMemlimit(megabytes) => put_number_after(b"cache_memlimit ", *megabytes, out),
        Command::Version => out.put(b"version"),
        Command::Noop => out.put(b"mn"),
        Command::Quit => out.put(b"quit"),
        Command::Shutdown(ShutdownMode::Now) => out.put(b"shutdown"),
        Command::Shutdown(ShutdownMode::Graceful) => out.put(b"shutdown graceful"),
        Command::Dump(DumpForm::Meta) => out.put(b"lru_crawler metadump all"),
        Command::Dump(DumpForm::Mget) => out.put(b"lru_crawler mgdump all"),
        Command::Backup => out.put(b"backup"),
        Command::Stats(topic) => put_stats(topic, out),
        Command::Watch(words) => {
            out.put(b"watch ");
            out.put(words);
        }
        Command::Authenticate(token) => {
            put_number_after(b"set auth 0 0 ", token.len(), out);
            out.put(LINE_END);
            out.put(token);
        }
        Command::Own(own) => put_own(own, out),
        Command::Keyed(..)
        | Command::Read(..)
        | Command::Refused(..)
        | Command::Tuning(_)
        | Command::SaslMechanisms
        | Command::Sasl(_) => return false,
    }
    put_line_end(form, out);
    true
}

/// A command of Larder's own.
fn put_own(own: &Own<'_>, out: &mut impl Sink) {
    match own {
        Own::Discover => out.put(b"config get cluster"),
        Own::ClusterMap => out.put(b"cluster map"),
        Own::ClusterReload => out.put(b"cluster reload"),
        Own::Route(key) => {
            out.put(b"route ");
            out.put(key);
        }
        Own::Keys { prefix, limit, after } => {
            out.put(b"keys ");
            out.put(prefix);
            put_number_after(b" ", *limit, out);
            if !after.is_empty() {
                out.put(b" ");
                out.put(after);
            }
        }
    }
}

/// stats and its topic.
fn put_stats(topic: &StatsTopic<'_>, out: &mut impl Sink) {
    out.put(b"stats");
    if *topic != StatsTopic::General {
        out.put(b" ");
        put_topic(topic, out);
    }
}

/// What stands behind `stats`.
pub(super) fn put_topic(topic: &StatsTopic<'_>, out: &mut impl Sink) {
    out.put(match topic {
        StatsTopic::General => b"",
        StatsTopic::Settings => b"settings",
        StatsTopic::Items => b"items",
        StatsTopic::Slabs => b"slabs",
        StatsTopic::Sizes => b"sizes",
        StatsTopic::Conns => b"conns",
        StatsTopic::Reset => b"reset",
        StatsTopic::DetailOn => b"detail on",
        StatsTopic::DetailOff => b"detail off",
        StatsTopic::DetailDump => b"detail dump",
        StatsTopic::CacheDump(..) => b"cachedump ",
        StatsTopic::Extstore => b"extstore",
        StatsTopic::Larder => b"larder",
        StatsTopic::Groups => b"groups",
        StatsTopic::Unknown(word) => word,
    });
    if let StatsTopic::CacheDump(class, limit) = topic {
        put_number(*class, out);
        put_number_after(b" ", *limit, out);
    }
}

/// A command, its key and at most one number.
fn put_line(
    verb: &[u8],
    key: &[u8],
    number: Option<impl itoa::Integer>,
    form: ClassicForm,
    out: &mut impl Sink,
) {
    out.put(verb);
    out.put(key);
    if let Some(number) = number {
        put_number_after(b" ", number, out);
    }
    put_line_end(form, out);
}

fn put_number_after(text: &[u8], number: impl itoa::Integer, out: &mut impl Sink) {
    out.put(text);
    put_number(number, out);
}

/// The end of a command line, which says first when no answer is wanted.
fn put_line_end(form: ClassicForm, out: &mut impl Sink) {
    if form.noreply {
        out.put(b" noreply");
    }
    out.put(LINE_END);
}
