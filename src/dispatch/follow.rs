//! Who looks on while commands are answered: watchers, and the counts by prefix. Nobody does, mostly; then it costs two
//! relaxed loads a command.

use super::Dispatch;
use super::prefixes::Deed;
use crate::base::command::{Delete, Get, Op, StoreMode};
use crate::base::lsn::Lsn;
use crate::base::reply::{Changed, Denial, Number, Reply, Sink};
use crate::base::time::{Deadline, UnixMs};
use crate::conn::{Ask, Outbox, Verdict};
use crate::group::keeper::Onlooker;
use crate::group::{Asked, Group, peek};
use crate::proto::{Event, Form, Kinds, Lookup, texts};

/// What of a reply is looked at, kept beyond the group's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// A hit, and the length of its value.
    Hit(usize),
    /// A hit of what this command has made.
    Made,
    /// Stored, also as the number that counting begins with.
    Stored(Changed),
    NotStored,
    Exists,
    NotFound,
    Deleted,
    TooLarge,
    OutOfMemory,
    Other,
}

impl Sight {
    pub(super) fn of(reply: &Reply<'_>) -> Sight {
        match reply {
            Reply::Created(_) => Sight::Made,
            Reply::Hit(hit) | Reply::Inspected(hit) => Sight::Hit(hit.item.value.bytes().len()),
            Reply::Stored(changed) => Sight::Stored(*changed),
            Reply::Number(number) if number.created => Sight::Stored(begun(number)),
            Reply::NotStored => Sight::NotStored,
            Reply::Exists => Sight::Exists,
            Reply::Miss | Reply::NotFound => Sight::NotFound,
            Reply::Deleted => Sight::Deleted,
            Reply::Denied(Denial::TooLarge) => Sight::TooLarge,
            Reply::Denied(Denial::OutOfMemory) => Sight::OutOfMemory,
            _ => Sight::Other,
        }
    }

    /// Why nothing was stored, in memcached's words.
    fn refusal(self) -> Option<&'static str> {
        Some(match self {
            Sight::NotStored => "not_stored",
            Sight::Exists => "exists",
            Sight::NotFound => "not_found",
            Sight::TooLarge => "too_large",
            Sight::OutOfMemory => "no_memory",
            Sight::Hit(_) | Sight::Made | Sight::Stored(_) | Sight::Deleted | Sight::Other => return None,
        })
    }
}

impl Dispatch {
    /// Whether anybody looks on.
    pub(super) fn is_followed(&self) -> bool {
        !self.registry.watchers.is_empty() || self.prefixes.is_on()
    }

    /// What a command that may change it is about to meet, for those who watch. A read that only reads is told of by
    /// [`Dispatch::met_by_read`].
    pub(super) fn look(&self, group: &Group, asked: &Asked<'_>) -> Option<Lookup> {
        let is_watched = self.registry.watchers.want(Kinds::FETCHERS.with(Kinds::DELETIONS));
        let only_reads = matches!(asked.op, Op::Get(Get { vivify: None, .. }));
        if is_watched && !only_reads { look_up(group, asked) } else { None }
    }

    /// What a read has met: its reply does not say why there was nothing, and has left it there.
    fn met_by_read(&self, group: &Group, asked: &Asked<'_>, sight: Sight) -> Option<Lookup> {
        match sight {
            Sight::Hit(value_bytes) => Some(Lookup::Found(value_bytes)),
            Sight::NotFound if self.registry.watchers.want(Kinds::FETCHERS) => {
                let why = look_up(group, asked).filter(|lookup| !matches!(lookup, Lookup::Found(_)));
                Some(why.unwrap_or(Lookup::NotFound))
            }
            _ => None,
        }
    }

    /// Tells those who look on what a command met and what was answered.
    pub(super) fn tell(
        &self,
        group: &Group,
        asked: &Asked<'_>,
        form: &Form<'_>,
        met: Option<Lookup>,
        sight: Sight,
        connection: u64,
    ) {
        let key = &*asked.key.bytes;
        if self.prefixes.is_on()
            && let Some(deed) = deed(asked.op, sight)
        {
            self.prefixes.count(key, deed);
        }
        let tell = |event: &Event<'_>| self.registry.watchers.tell(event, asked.now, connection);
        let met = met.or_else(|| self.met_by_read(group, asked, sight));
        if let Some(lookup) = met {
            tell(&Event::Get { key, lookup });
        }
        if let Some(event) = store_event(asked, sight) {
            tell(&event);
        }
        // What is marked stale is not deleted.
        if let (Op::Delete(Delete { invalidate: false, clear_value, .. }), Sight::Deleted) = (asked.op, sight)
        {
            let verb = if matches!(form, Form::Meta(_)) { "md" } else { "delete" };
            let value_bytes = match met {
                Some(Lookup::Found(value_bytes)) if !clear_value => value_bytes,
                _ => 0,
            };
            tell(&Event::Deleted { key, verb, value_bytes });
        }
    }

    /// Tells of the items that a group has lost.
    pub(super) fn tell_lost(&self, group: &Group, now: UnixMs, connection: u64) {
        if !self.registry.watchers.want(Kinds::EVICTIONS) {
            return;
        }
        for lost in group.take_lost() {
            let event = Event::Evicted {
                key: &lost.key,
                is_fetched: lost.is_fetched,
                ttl_s: lost.deadline.remaining_s(now),
                idle_s: now.seconds().saturating_sub(lost.accessed_s),
                value_bytes: lost.value_bytes,
            };
            self.registry.watchers.tell(&event, now, connection);
        }
    }

    /// Makes a watcher of this connection.
    pub(super) fn watch(&self, words: &[u8], ask: &mut Ask<'_>, out: &mut Outbox) -> Verdict {
        let kinds = Kinds::named(words);
        let (text, verdict) = if !out.is_empty() {
            (texts::WATCH_PIPELINED, Verdict::Done)
        } else if kinds.is_none() {
            (texts::ERROR, Verdict::Done)
        } else if let Some(watch) = kinds.and_then(|kinds| self.registry.watchers.enter(kinds)) {
            // What was lost before anybody wanted to know is nobody's news.
            if kinds.is_some_and(|kinds| kinds.meets(Kinds::EVICTIONS)) {
                self.groups.iter().for_each(|group| drop(group.take_lost()));
            }
            ask.session.watch = Some(watch);
            (texts::OK, Verdict::Watching)
        } else {
            (texts::WATCH_FULL, Verdict::Done)
        };
        out.put(text);
        out.seal(Lsn::ZERO);
        verdict
    }
}

impl Onlooker for Dispatch {
    fn look(&self, group: &Group, now: UnixMs) {
        self.tell_lost(group, now, 0);
    }
}

/// What there is now. Nothing of the look is noted; `None` when nobody knows.
fn look_up(group: &Group, asked: &Asked<'_>) -> Option<Lookup> {
    match group.peek(&asked.key.bytes, asked.now).ok()?.sight {
        peek::Sight::Item(facts) => Some(Lookup::Found(facts.value_bytes)),
        peek::Sight::Nothing => Some(Lookup::NotFound),
        peek::Sight::Expired => Some(Lookup::Expired),
        peek::Sight::Flushed => Some(Lookup::Flushed),
        peek::Sight::Unknown => None,
    }
}

/// What is told of a value that was offered, or made by the command itself.
fn store_event<'a>(asked: &Asked<'a>, sight: Sight) -> Option<Event<'a>> {
    let now = asked.now;
    let (status, verb, deadline, value_bytes) = match (asked.op, sight) {
        (Op::Store(store), Sight::Stored(Changed { deadline, value_bytes, .. })) => {
            ("stored", verb(store.mode, store.compare.is_some()), deadline, value_bytes)
        }
        (Op::Store(store), _) => {
            let verb = verb(store.mode, store.compare.is_some());
            (sight.refusal()?, verb, store.exptime.deadline(now), store.value.len())
        }
        (Op::Oversized { .. }, Sight::TooLarge) => (sight.refusal()?, "set", Deadline::NEVER, 0),
        (Op::Arith(_), Sight::Stored(Changed { deadline, value_bytes, .. })) => {
            ("stored", "add", deadline, value_bytes)
        }
        (Op::Delete(Delete { clear_value: true, exptime, .. }), Sight::Deleted) => {
            ("stored", "set", exptime.unwrap_or_default().deadline(now), 0)
        }
        _ => return None,
    };
    let ttl_s = match deadline.remaining_s(now) {
        None => 0,
        Some(0) => -1,
        Some(left_s) => i64::from(left_s),
    };
    Some(Event::Store { key: &asked.key.bytes, status, verb, ttl_s, value_bytes })
}

/// The number that counting has begun with, as a stored value.
fn begun(number: &Number) -> Changed {
    let digits = number.value.checked_ilog10().map_or(1, |exponent| exponent as usize + 1);
    Changed { cas: number.cas, value_bytes: digits, deadline: number.deadlines[1] }
}

/// What `stats detail` counts a command as.
fn deed(op: &Op<'_>, sight: Sight) -> Option<Deed> {
    match op {
        Op::Get(_) => Some(Deed::Get { is_hit: matches!(sight, Sight::Hit(_) | Sight::Made) }),
        Op::Store(_) | Op::Oversized { .. } => Some(Deed::Set),
        Op::Delete(_) => Some(Deed::Delete),
        _ => None,
    }
}

/// The command that stores so.
fn verb(mode: StoreMode, compares: bool) -> &'static str {
    match mode {
        StoreMode::Set if compares => "cas",
        StoreMode::Set => "set",
        StoreMode::Add => "add",
        StoreMode::Replace => "replace",
        StoreMode::Append => "append",
        StoreMode::Prepend => "prepend",
    }
}
