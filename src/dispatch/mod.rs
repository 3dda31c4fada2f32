//! What a request means over the whole server: which group a key belongs to, commands about many keys or none,
//! administration and statistics.
//!
//! Owns: [`Dispatch`], the server's [`Backend`]; `stats` tables ([`stats`]); listings of keys ([`dump`]); backups (`backup`); counts by
//! prefix ([`prefixes`]); what watchers are told (`follow`); replies that take many turns (`course`); who may
//! ask ([`users`]); what only frames ask (`binary`); what is fetched from memory
//! ahead (`prefetch`); which groups are other servers' ([`cluster`]), and what they ask of those here (`owner`).
//!
//! May import: base, proto, route, engine, hot, binlog, store, group, conn, backup, peer.
//!
//! Invariants: a command about one key touches one group and nothing else that is shared; a multi-key read never shows
//! a miss for a key that it could not ask for; statistics are added up from groups and workers only when asked for.
//!
//! Start reading at [`Dispatch::execute`].

mod admin;
mod backup;
mod binary;
pub mod cluster;
mod course;
pub mod dump;
mod follow;
mod own;
mod owner;
mod prefetch;
pub mod prefixes;
pub mod reads;
pub mod stats;
pub mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::command::{Command, Key, Op};
use crate::base::lsn::Lsn;
use crate::base::reply::Reply;
use crate::base::time::UnixMs;
use crate::conn::registry::{Registry, Traffic};
use crate::conn::{Ask, Backend, Outbox, Verdict};
use crate::group::{Asked, Busy, Group, Shared};
use crate::proto::{self, Form, Request, Step};
use crate::route::Placement;
use cluster::Way;
use follow::Sight;
use prefetch::first_key;

/// What the assembly gives the dispatch beside the groups.
pub trait Control: Send + Sync {
    /// Ends the server.
    fn shut_down(&self);
    /// Wakes this worker when the log's safe LSN rises.
    fn want_wake(&self, worker: usize);
    /// Reads the certificates of TLS again, which new connections meet; `None` without TLS.
    ///
    /// # Errors
    /// What is wrong with them: the old ones stay.
    fn refresh_certs(&self) -> Option<Result<(), String>> {
        None
    }
}

/// The server's backend: groups behind a placement.
pub struct Dispatch {
    /// Key to group.
    pub placement: Placement,
    /// All groups of this server, by number.
    pub groups: Arc<[Group]>,
    /// The other servers, if there are any.
    pub cluster: Option<Arc<cluster::Cluster>>,
    /// What the groups share.
    pub shared: Arc<Shared>,
    /// What the codec must know.
    pub limits: proto::Limits,
    /// What `stats` shows of the configuration.
    pub settings: stats::Settings,
    /// Open connections.
    pub registry: Arc<Registry>,
    /// What each worker has moved.
    pub traffic: Vec<Arc<Traffic>>,
    /// Who may ask, if not everybody.
    pub users: Option<users::Users>,
    /// The assembly.
    pub control: Arc<dyn Control>,
    /// Listings of keys.
    pub crawler: dump::Crawler,
    /// Counts by key prefix.
    pub prefixes: prefixes::Prefixes,
    /// flush_all commands, those that were refused too.
    pub flushes: AtomicU64,
    /// Values that did not end where they were announced to end: memcached counts them as sets.
    pub broken_values: AtomicU64,
    /// `me` commands: what memcached counts as `cmd_meta`.
    pub inspections: AtomicU64,
    /// Attempts to authenticate.
    pub auth_commands: AtomicU64,
    /// Failed ones.
    pub auth_errors: AtomicU64,
}

impl Backend for Dispatch {
    fn limits(&self) -> &proto::Limits {
        &self.limits
    }

    fn foresee<'s>(&self, steps: impl Iterator<Item = &'s Step<'s>>) {
        self.fetch(steps.filter_map(first_key));
    }

    fn execute(&self, request: &Request<'_>, ask: &mut Ask<'_>, out: &mut Outbox) -> Verdict {
        match &request.command {
            Command::Keyed(key, op) => {
                if let Op::Inspect = op {
                    self.inspections.fetch_add(1, Ordering::Relaxed);
                }
                self.keyed(&request.form, key, op, ask, out)
            }
            Command::Read(keys, get) => self.read(&request.form, *keys, get, ask, out),
            command => self.administer(command, &request.form, ask, out),
        }
    }

    fn repin(&self, before: usize, now: usize) {
        self.shared.budget.pin(now);
        self.shared.budget.unpin(before);
    }

    fn end_turn(&self) {
        if let Some(log) = self.shared.log.get() {
            log.write_pending();
        }
    }

    fn safe_lsn(&self) -> Lsn {
        self.shared.safe_lsn()
    }

    fn is_stopped(&self) -> bool {
        self.shared.log.get().is_some_and(|log| log.has_stopped())
    }

    fn want_wake(&self, worker: usize) {
        self.control.want_wake(worker);
    }

    fn note_delay(&self, now: UnixMs, waited_s: u32) {
        if let Some(delay) = self.shared.delay_to_tell(now) {
            log::warn!("a request has waited for {waited_s} s: {delay}");
        }
    }

    fn wants_authentication(&self) -> bool {
        self.users.is_some()
    }
}

impl Dispatch {
    /// The group that a key belongs to.
    pub fn group_of(&self, key: &[u8]) -> Option<&Group> {
        self.groups.get(usize::from(self.placement.group(key).0))
    }

    /// A command about one key: its group executes it, the codec writes the reply where it will leave from.
    fn keyed(
        &self,
        form: &Form<'_>,
        key: &Key<'_>,
        op: &Op<'_>,
        ask: &mut Ask<'_>,
        out: &mut Outbox,
    ) -> Verdict {
        let id = self.placement.group(&key.bytes);
        match self.way(id, ask, out) {
            Way::Here => {}
            Way::There(server, version) => {
                return self.send_keyed((server, version), (form, key, op), id, ask, out);
            }
            Way::Wait => return Verdict::Parked { resume: 0 },
        }
        let Some(group) = self.groups.get(usize::from(id.0)) else { return Verdict::Close };
        let asked = Asked { key, op, now: ask.now, may_wait: true };
        let is_followed = self.is_followed();
        let met = if is_followed { self.look(group, &asked) } else { None };
        let mut sight = Sight::Other;
        let answer = |reply: &Reply<'_>| {
            if is_followed {
                sight = Sight::of(reply);
            }
            proto::encode_reply(form, key, reply, out);
        };
        match group.submit(&asked, answer) {
            Ok(lsn) => {
                out.seal(lsn);
                if is_followed {
                    self.tell(group, &asked, form, met, sight, ask.session.id);
                    self.tell_lost(group, ask.now, ask.session.id);
                }
                Verdict::Done
            }
            Err(Busy) => Verdict::Parked { resume: 0 },
        }
    }

    /// Begins counting anew (`stats reset`).
    fn reset_counters(&self) {
        for group in self.groups.iter() {
            group.reset_counters();
        }
        for traffic in &self.traffic {
            traffic.reset();
        }
        self.prefixes.clear();
        self.registry.tls.reset();
        let own =
            [&self.flushes, &self.broken_values, &self.inspections, &self.auth_commands, &self.auth_errors];
        let watchers = &self.registry.watchers;
        let others = [&self.registry.rejected, &self.registry.accepted, &watchers.sent, &watchers.skipped];
        for counter in own.into_iter().chain(others) {
            counter.store(0, Ordering::Relaxed);
        }
    }
}
