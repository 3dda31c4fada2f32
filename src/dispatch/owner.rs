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
use crate::proto::{self, texts};

/// Why a key is not read here.
enum Unread {
    NotNow(NotNow),
    NotMine { owner: u16, map_version: u64 },
}

impl Owner for Dispatch {
    fn answer(&self, question: &Question<'_>, now: UnixMs) -> Answered {
        let read = read_of(&question.request.command);
        if let (Command::Read(..), Some((name, get))) = (&question.request.command, read)
            && get.touch.is_none()
        {
            let mut text = Vec::new();
            return match self.read_for(question, name, get, true, now, &mut text) {
                Ok((lsn, is_denied)) => {
                    text.extend_from_slice(if is_denied { b"" } else { texts::END });
                    Answered::Said(text, lsn)
                }
                Err(Unread::NotNow(why)) => Answered::NotNow(why),
                Err(Unread::NotMine { owner, map_version }) => Answered::NotMine { owner, map_version },
            };
        }
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

    fn answer_part(
        &self,
        (question, name): (&Question<'_>, &[u8]),
        is_first: bool,
        now: UnixMs,
        parts: &mut Vec<u8>,
    ) -> Result<Lsn, NotNow> {
        let Command::Read(_, get) = &question.request.command else { return Err(NotNow::Busy) };
        let before = parts.len();
        let begun = parts::begin(parts);
        match self.read_for(question, name, get, is_first, now, parts) {
            Ok((lsn, is_denied)) => {
                parts::end(begun, is_denied, parts);
                Ok(lsn)
            }
            Err(Unread::NotNow(why)) => {
                parts.truncate(before);
                Err(why)
            }
            Err(Unread::NotMine { owner, map_version }) => {
                parts.truncate(before);
                parts::put_not_mine(owner, map_version, parts);
                Ok(Lsn::ZERO)
            }
        }
    }

    fn peer_limits(&self) -> &proto::Limits {
        &self.limits
    }
}

impl Dispatch {
    /// Reads one key as a read of many does, without what only a connection of a client needs. Writes the item, nothing,
    /// or why it is denied; what may leave when the LSN is safe, and whether it is that.
    fn read_for(
        &self,
        question: &Question<'_>,
        name: &[u8],
        get: &Get,
        may_wait: bool,
        now: UnixMs,
        out: &mut Vec<u8>,
    ) -> Result<(Lsn, bool), Unread> {
        let busy = Unread::NotNow(NotNow::Busy);
        let id = self.placement.group(name);
        let Some(cluster) = &self.cluster else { return Err(busy) };
        let Some((owner, map_version)) = cluster.owner(id) else { return Err(busy) };
        if owner != cluster.own.get() {
            return Err(Unread::NotMine { owner, map_version });
        }
        let Some(group) = self.groups.get(usize::from(id.0)) else { return Err(busy) };
        let (key, op, form) = (Key::plain(name), Op::Get(*get), &question.request.form);
        let asked = Asked { key: &key, op: &op, now, may_wait };
        let (mut is_denied, mut is_taken, mut sight) = (false, true, Sight::NotFound);
        let lsn = group.submit(&asked, |reply| {
            is_denied = matches!(reply, Reply::Denied(_));
            is_taken = question.room.takes(value_bytes(reply));
            sight = Sight::of(reply);
            if is_taken {
                proto::encode_reply(form, &key, reply, out);
            }
        });
        let lsn = lsn.map_err(|_| busy)?;
        if !is_taken {
            return Err(Unread::NotNow(NotNow::TooLong));
        }
        if self.is_followed() {
            self.tell(group, &asked, form, None, sight, 0);
        }
        Ok((lsn, is_denied))
    }

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
