//! Which groups are this server's, and how a command finds its way to another.
//!
//! A connection goes by one map as long as it awaits answers of other servers: only then does it take a newer one. So
//! whatever a map moves, the commands of one connection stay in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::Dispatch;
use crate::base::command::{Command, Get, Key, Keys, Op, Own};
use crate::base::errand::{Errand, Place, Room, Shown, Told};
use crate::base::limits::{OUTBOX_BYTES_MAX, SLOT_BYTES};
use crate::base::lsn::{GroupId, Lsn};
use crate::base::reply::{Denial, Sink};
use crate::base::time::Exptime;
use crate::conn::{Ask, Outbox, Session, Verdict};
use crate::group::Group;
use crate::peer::Roster;
use crate::proto::binary::{self, BinaryForm, Verb};
use crate::proto::{self, ClassicForm, Form, Request, texts};
use crate::route::topology::{ServerId, Topology};

/// Stands for a map that is being changed: no version is as high.
const CHANGING: u64 = u64::MAX;

/// The map in force, as commands need it.
pub struct Cluster {
    /// This server.
    pub own: ServerId,
    /// The other servers.
    pub roster: Arc<Roster>,
    /// Who proposes maps and keeps the one in force.
    pub source: Box<dyn MapSource>,
    /// Held while a map is judged and taken.
    pub(super) renewing: Mutex<()>,
    map: RwLock<Arc<Topology>>,
    version: AtomicU64,
    /// Of each group the server that coordinates it.
    owners: Vec<AtomicU16>,
}

/// Where a proposed map comes from, and where the map in force is kept.
pub trait MapSource: Send + Sync {
    /// Reads the proposal, judges it, and keeps it as the map in force.
    ///
    /// # Errors
    /// Why the old map stays, in one or more lines.
    fn renew(&self, cluster: &Cluster, groups: &[Group]) -> Result<String, String>;

    /// A group that this server has given away, and of which it does not know that its receiver has it.
    fn in_transit(&self) -> Option<GroupId>;
}

/// Where a command goes.
pub(super) enum Way {
    /// It is for this server.
    Here,
    /// It is for this one.
    There(u16, u64),
    /// The map is changing: try again soon.
    Wait,
}

impl Cluster {
    /// The cluster by this map.
    pub fn new(map: Topology, own: ServerId, roster: Arc<Roster>, source: Box<dyn MapSource>) -> Cluster {
        let owners = owners(&map).map(AtomicU16::new).collect();
        Cluster {
            own,
            roster,
            source,
            renewing: Mutex::new(()),
            version: AtomicU64::new(map.version()),
            map: RwLock::new(Arc::new(map)),
            owners,
        }
    }

    /// The map in force.
    pub fn map(&self) -> Arc<Topology> {
        Arc::clone(&self.map.read())
    }

    /// Lets these groups take values where the map in force gives them to this server, and nowhere else.
    pub fn fence(&self, groups: &[Group]) {
        for (group, owner) in groups.iter().zip(&self.owners) {
            group.set_fence(owner.load(Ordering::SeqCst) != self.own.get());
        }
    }

    /// The groups that this server has now and would not have by `next` take no values from here on: what is judged of
    /// them stays true. [`Cluster::fence`] says what is to hold afterwards.
    pub fn fence_leaving(&self, groups: &[Group], next: &Topology) {
        for (group, owner) in groups.iter().zip(owners(next)) {
            if owner != self.own.get() {
                group.set_fence(true);
            }
        }
    }

    /// Puts a map in force that has been judged. It has as many groups as the one before.
    pub fn put_in_force(&self, map: Topology) {
        let version = map.version();
        self.version.store(CHANGING, Ordering::SeqCst);
        for (known, owner) in self.owners.iter().zip(owners(&map)) {
            known.store(owner, Ordering::SeqCst);
        }
        *self.map.write() = Arc::new(map);
        self.version.store(version, Ordering::SeqCst);
    }

    /// The server of a group, and the map that says so; `None` while the map changes.
    pub(super) fn owner(&self, group: GroupId) -> Option<(u16, u64)> {
        let version = self.version.load(Ordering::Acquire);
        let owner = self.owners.get(usize::from(group.0)).map_or(0, |owner| owner.load(Ordering::Acquire));
        let is_whole = version != CHANGING && version == self.version.load(Ordering::Acquire);
        is_whole.then_some((owner, version))
    }

    fn way(&self, group: GroupId, session: &mut Session, out: &Outbox) -> Way {
        let Some((owner, version)) = self.owner(group) else { return Way::Wait };
        if session.map_version != version {
            if out.awaits() {
                return Way::Wait;
            }
            session.map_version = version;
        }
        if owner == self.own.get() { Way::Here } else { Way::There(owner, version) }
    }
}

fn owners(map: &Topology) -> impl Iterator<Item = u16> {
    map.groups().map(|group| map.coordinator(group).map_or(0, |server| server.id.get()))
}

/// How long the answer to this may be. What of it is not known before counts while it is awaited.
fn room_for(command: &Command<'_>, out: &Outbox) -> Room {
    match command {
        Command::Read(..) | Command::Keyed(_, Op::Get(_)) => out.room(),
        Command::Own(Own::Keys { .. }) => Room { bytes: OUTBOX_BYTES_MAX, is_sure: true },
        _ => Room::LINE,
    }
}

/// How the client of this request is told that there is no answer.
fn told(form: &Form<'_>) -> Told {
    match form {
        Form::Binary(frame) => Told::Frame { opcode: frame.opcode, opaque: frame.opaque },
        Form::Classic(_) | Form::Meta(_) => Told::Line,
    }
}

/// Whether the client wants no answer whatever happens. Quiet meta commands and frames show errors.
fn is_silent(form: &Form<'_>) -> bool {
    matches!(form, Form::Classic(ClassicForm { noreply: true, .. }))
}

/// The removal that stands for a value that is not carried. A frame can name every key.
const REMOVAL: BinaryForm = BinaryForm { opcode: 0x04, opaque: 0, verb: Verb::Delete, quiet: false };

impl Dispatch {
    /// Where the commands of a group go. Without a cluster that is here.
    #[inline]
    pub(super) fn way(&self, group: GroupId, ask: &mut Ask<'_>, out: &Outbox) -> Way {
        match &self.cluster {
            None => Way::Here,
            Some(cluster) => cluster.way(group, ask.session, out),
        }
    }

    /// Has another server asked about one key.
    pub(super) fn send_keyed(
        &self,
        (server, map_version): (u16, u64),
        (form, key, op): (&Form<'_>, &Key<'_>, &Op<'_>),
        group: GroupId,
        ask: &mut Ask<'_>,
        out: &mut Outbox,
    ) -> Verdict {
        if ask.session.is_peer {
            return Verdict::Elsewhere { server, map_version };
        }
        let shown = if is_silent(form) { Shown::Nothing } else { Shown::Whole };
        let (asked_as, op, shown) = match op {
            Op::Oversized { drops_old: false } => {
                proto::encode_denial(form, Denial::TooLarge, out);
                out.seal(Lsn::ZERO);
                return Verdict::Done;
            }
            // The value is not carried, but the old one has to go.
            Op::Oversized { drops_old: true } => {
                let mut denial = Vec::new();
                proto::encode_denial(form, Denial::TooLarge, &mut denial);
                let shown = if is_silent(form) { shown } else { Shown::Instead(denial.into()) };
                (Form::Binary(REMOVAL), Op::Delete(Default::default()), shown)
            }
            _ => (*form, *op, shown),
        };
        let request = Request { command: Command::Keyed(key.clone(), op), form: asked_as };
        let errand = Errand::new(server, Some(group), map_version, shown, told(form));
        self.send(&request, errand, ask, out)
    }

    /// Has another server asked for one key of a read, in one question with others of its keys: the errands from
    /// `own_errands` on are this read's.
    pub(super) fn send_read(
        &self,
        (server, map_version): (u16, u64),
        (form, key, get): (&Form<'_>, &[u8], &Get),
        (group, own_errands): (GroupId, usize),
        ask: &mut Ask<'_>,
        out: &mut Outbox,
    ) -> Verdict {
        if ask.session.is_peer {
            return Verdict::Elsewhere { server, map_version };
        }
        let own = ask.session.errands.get_mut(own_errands..).unwrap_or_default();
        let known =
            own.iter_mut().rev().find(|errand| errand.server == server && errand.map_version == map_version);
        // One that also touches is asked key by key: it changes something, and is never begun twice.
        if let Some(errand) = known.filter(|_| get.touch.is_none())
            && errand.join(key)
        {
            errand.places.push(Place { slot: out.reserve(SLOT_BYTES), group });
            return Verdict::Done;
        }
        let request = Request { command: Command::Read(Keys(key), *get), form: *form };
        let errand = Errand::new(server, Some(group), map_version, Shown::Before(texts::END), Told::Line);
        self.send(&request, errand, ask, out)
    }

    /// Has another server asked what is not about one key but about one group.
    pub(super) fn send_own(
        &self,
        (server, map_version): (u16, u64),
        command: Command<'_>,
        group: GroupId,
        ask: &mut Ask<'_>,
        out: &mut Outbox,
    ) -> Verdict {
        if ask.session.is_peer {
            return Verdict::Elsewhere { server, map_version };
        }
        let request = Request { command, form: Form::Classic(ClassicForm::default()) };
        let errand = Errand::new(server, Some(group), map_version, Shown::Whole, Told::Line);
        self.send(&request, errand, ask, out)
    }

    /// Refuses to flush while a group is between two servers: neither could flush what is in it.
    pub(super) fn refuse_flush(&self, form: &Form<'_>, out: &mut Outbox) -> Option<Verdict> {
        let group = self.cluster.as_ref()?.source.in_transit()?;
        let why = format!(
            "SERVER_ERROR group {group} is between two servers: larder group confirm or cancel, then flush_all\r\n"
        );
        match form {
            Form::Binary(frame) => binary::encode_status(frame, binary::Status::Temporary, out),
            _ => proto::encode_text(form, why.as_bytes(), out),
        }
        out.seal(Lsn::ZERO);
        Some(Verdict::Done)
    }

    /// Has all other servers asked to flush, after this one has. OK is said when all have said so.
    pub(super) fn flush_others(
        &self,
        exptime: Option<Exptime>,
        form: &Form<'_>,
        ask: &mut Ask<'_>,
        out: &mut Outbox,
    ) -> Option<Verdict> {
        let cluster = self.cluster.as_ref().filter(|_| !ask.session.is_peer)?;
        let map = cluster.map();
        let shown = if is_silent(form) { Shown::Nothing } else { Shown::Before(texts::OK) };
        for server in map.servers().iter().filter(|server| server.id != cluster.own) {
            let asked_as = Form::Classic(ClassicForm::default());
            let request = Request { command: Command::FlushAll(exptime), form: asked_as };
            let errand = Errand::new(server.id.get(), None, map.version(), shown.clone(), told(form));
            self.send(&request, errand, ask, out);
        }
        if !is_silent(form) {
            let mut done = Vec::new();
            proto::encode_done(form, &mut done);
            out.end_parts(&done);
        }
        Some(Verdict::Done)
    }

    fn send(
        &self,
        request: &Request<'_>,
        mut errand: Errand,
        ask: &mut Ask<'_>,
        out: &mut Outbox,
    ) -> Verdict {
        if !proto::write_request(request, &mut errand.request) {
            match &request.form {
                Form::Binary(frame) => binary::encode_status(frame, binary::Status::Internal, out),
                _ => out.put(texts::NOT_FORWARDED),
            }
            out.seal(Lsn::ZERO);
            return Verdict::Done;
        }
        errand.room = room_for(&request.command, out);
        errand.slot = out.reserve(errand.room.bytes + errand.request.len());
        ask.session.errands.push(errand);
        Verdict::Done
    }
}

impl Dispatch {
    /// Reads the proposed map again, and puts it in force if it may follow: what came of it, in words.
    ///
    /// # Errors
    /// Why the old map stays.
    pub fn renew_map(&self) -> Option<Result<String, String>> {
        let cluster = self.cluster.as_ref()?;
        let _one_at_a_time = cluster.renewing.lock();
        let result = cluster.source.renew(cluster, &self.groups);
        // Whichever map is in force now.
        cluster.fence(&self.groups);
        match &result {
            Ok(text) => log::info!("{text}"),
            Err(why) => log::error!("map version {} stays in force: {why}", cluster.map().version()),
        }
        Some(result)
    }
}
