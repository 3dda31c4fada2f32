//! Reads of several keys: get, gets, gat, gats.

use super::Dispatch;
use super::cluster::Way;
use super::follow::Sight;
use crate::base::command::{Get, Key, Keys, Op};
use crate::base::limits::{BATCH_REQUESTS, OUTBOX_BYTES_MAX, TURN_KEYS_MAX};
use crate::base::reply::Reply;
use crate::conn::{Ask, Outbox, Verdict};
use crate::group::{Asked, Busy};
use crate::proto::{self, Form, texts};

/// What older auto-discovering clients ask for instead of `config get cluster`. It is no key of a cluster's data.
const DISCOVERY_KEY: &[u8] = b"AmazonElastiCache:cluster";

impl Dispatch {
    /// Answers key after key. A reply that outgrows the outbox pauses between two keys and goes on when it has drained; one
    /// of many keys pauses for the sake of others.
    pub(super) fn read(
        &self,
        form: &Form<'_>,
        keys: Keys<'_>,
        get: &Get,
        ask: &mut Ask<'_>,
        out: &mut Outbox,
    ) -> Verdict {
        if self.cluster.is_some() && keys.0.trim_ascii() == DISCOVERY_KEY {
            return self.discover(b"VALUE AmazonElastiCache:cluster", out);
        }
        let op = Op::Get(*get);
        let own_errands = ask.session.errands.len();
        let mut rest = Keys(keys.0.get(ask.resume..).unwrap_or_default());
        let (mut looked_up, mut fetched) = (0, 0);
        while let Some((key, next)) = rest.split_first() {
            let resume = keys.0.len() - rest.0.len();
            if out.unsent_bytes() >= OUTBOX_BYTES_MAX || looked_up >= TURN_KEYS_MAX {
                return Verdict::Paused { resume };
            }
            if fetched == 0 && !next.0.is_empty() {
                self.fetch(rest.iter());
                fetched = BATCH_REQUESTS;
            }
            fetched = fetched.saturating_sub(1);
            let id = self.placement.group(key);
            match self.way(id, ask, out) {
                Way::Here => {}
                Way::There(server, version) => {
                    match self.send_read((server, version), (form, key, get), (id, own_errands), ask, out) {
                        Verdict::Done => {}
                        stop => return stop,
                    }
                    rest = next;
                    continue;
                }
                Way::Wait => return Verdict::Parked { resume },
            }
            let Some(group) = self.groups.get(usize::from(id.0)) else { return Verdict::Close };
            // Only the first key of a turn: many cold ones would else be read one hop between threads after the other.
            let key = Key::plain(key);
            let asked = Asked { key: &key, op: &op, now: ask.now, may_wait: looked_up == 0 };
            let is_followed = self.is_followed();
            let (mut is_denied, mut sight) = (false, Sight::NotFound);
            let answer = |reply: &Reply<'_>| {
                is_denied = matches!(reply, Reply::Denied(_));
                if is_followed {
                    sight = Sight::of(reply);
                }
                proto::encode_reply(form, &key, reply, out);
            };
            match group.submit(&asked, answer) {
                Ok(lsn) => out.seal(lsn),
                Err(Busy) => return Verdict::Parked { resume },
            }
            if is_followed {
                self.tell(group, &asked, form, None, sight, ask.session.id);
            }
            if is_denied {
                // The error line ends the reply: without END nobody takes the keys not asked for as misses.
                out.drop_parts();
                return Verdict::Done;
            }
            rest = next;
            looked_up += 1;
        }
        out.end_parts(texts::END);
        Verdict::Done
    }
}
