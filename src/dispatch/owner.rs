//! What other servers ask of the groups here: answered without asking anybody, and only as far as they have room for it.

use super::Dispatch;
use super::follow::Sight;
use crate::base::command::{Command, CountedAs, Get, Key, Op};
use crate::base::limits::OUTBOX_BYTES_MAX;
use crate::base::lsn::Lsn;
use crate::base::reply::Reply;
use crate::base::time::UnixMs;
use crate::conn::{Ask, Backend, Outbox, Session, Verdict};
use crate::group::{Asked, peek};
use crate::peer::{Answered, NotNow, Owner, Question, parts};
use crate::proto;

impl Owner for Dispatch {
    fn answer(&self, question: &Question<'_>, now: UnixMs) -> Answered {
        let read = read_of(&question.request.command);
        if let Some((key, get)) = read
            && !question.room.is_sure
            && !question.room.takes(self.value_bytes(key, leaves_trace(get), now))
        {
            return Answered::NotNow(NotNow::TooLong);
        }
        let may_repeat = read.is_some_and(|(_, get)| !leaves_trace(get));
        let mut session = Session { is_peer: true, authenticated: true, ..Session::default() };
        let mut ask = Ask { now, resume: 0, session: &mut session };
        let mut out = Outbox::default();
        loop {
            match Backend::execute(self, &question.request, &mut ask, &mut out) {
                Verdict::Done => {
                    let (text, lsn) = out.into_reply();
                    if may_repeat && !question.room.takes(text.len()) {
                        return Answered::NotNow(NotNow::TooLong);
                    }
                    return Answered::Said(text, lsn);
                }
                Verdict::Elsewhere { server, map_version } => {
                    return Answered::NotMine { owner: server, map_version };
                }
                // Only a listing of keys pauses, which is bounded.
                Verdict::Paused { resume } if out.unsent_bytes() < OUTBOX_BYTES_MAX => ask.resume = resume,
                _ => return Answered::NotNow(NotNow::Busy),
            }
        }
    }

    /// As a read answers key after key, without what only a connection of a client needs.
    fn answer_part(
        &self,
        (question, name): (&Question<'_>, &[u8]),
        is_first: bool,
        now: UnixMs,
        parts: &mut Vec<u8>,
    ) -> Result<Lsn, NotNow> {
        let (Command::Read(_, get), form) = (&question.request.command, &question.request.form) else {
            return Err(NotNow::Busy);
        };
        let id = self.placement.group(name);
        let cluster = self.cluster.as_ref().ok_or(NotNow::Busy)?;
        let (owner, map_version) = cluster.owner(id).ok_or(NotNow::Busy)?;
        if owner != cluster.own.get() {
            parts::put_not_mine(owner, map_version, parts);
            return Ok(Lsn::ZERO);
        }
        let (key, op) = (Key::plain(name), Op::Get(*get));
        let asked = Asked { key: &key, op: &op, now, may_wait: is_first };
        let (mut is_denied, mut is_taken, mut sight) = (false, true, Sight::NotFound);
        let before = parts.len();
        let begun = parts::begin(parts);
        let group = self.groups.get(usize::from(id.0)).ok_or(NotNow::Busy)?;
        let submitted = group.submit(&asked, |reply| {
            is_denied = matches!(reply, Reply::Denied(_));
            is_taken = question.room.takes(value_bytes(reply));
            sight = Sight::of(reply);
            if is_taken {
                proto::encode_reply(form, &key, reply, parts);
            }
        });
        let lsn = match submitted {
            Ok(lsn) if is_taken => lsn,
            other => {
                parts.truncate(before);
                return Err(if other.is_ok() { NotNow::TooLong } else { NotNow::Busy });
            }
        };
        parts::end(begun, is_denied, parts);
        if self.is_followed() {
            self.tell(group, &asked, form, None, sight, 0);
        }
        Ok(lsn)
    }

    fn peer_limits(&self) -> &proto::Limits {
        &self.limits
    }
}

impl Dispatch {
    /// How long the value of a key is, bytes, before it is read; 0 when there is none, or it cannot be read, or it is not
    /// in memory and need not be `known`.
    fn value_bytes(&self, key: &[u8], known: bool, now: UnixMs) -> usize {
        let Some(group) = self.groups.get(usize::from(self.placement.group(key).0)) else { return 0 };
        let peek = if known { group.peek(key, now).ok() } else { Some(group.peek_memory(key, now)) };
        match peek.map(|peek| peek.sight) {
            Some(peek::Sight::Item(facts)) => facts.value_bytes,
            _ => 0,
        }
    }
}

/// What a request reads, if it reads one key.
fn read_of<'a>(command: &'a Command<'_>) -> Option<(&'a [u8], &'a Get)> {
    match command {
        Command::Read(keys, get) => keys.split_first().map(|(key, _)| (key, get)),
        Command::Keyed(key, Op::Get(get)) => Some((&key.bytes, get)),
        _ => None,
    }
}

/// How long the value in this reply is.
fn value_bytes(reply: &Reply<'_>) -> usize {
    if let Reply::Hit(hit) = reply { hit.item.value.bytes().len() } else { 0 }
}

/// Whether this read leaves a trace that is seen: it must not be executed twice.
fn leaves_trace(get: &Get) -> bool {
    get.touch.is_some() || get.vivify.is_some() || get.counted_as == CountedAs::Meta
}
