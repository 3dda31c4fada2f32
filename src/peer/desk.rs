//! All that one worker asks other servers: takes errands in, gives answers out.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::held::Held;
use super::link::{Event, Link, Why};
use super::roster::{End, Health, Roster};
use crate::base::errand::{Errand, Outcome, Room, Slot, Told};
use crate::proto::binary::{self, Refusal, Status};

/// The connection that waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Where the worker has it.
    pub key: usize,
    /// Its number, which is never given twice.
    pub id: u64,
}

/// A request under way.
#[derive(Clone, Debug)]
pub struct Task {
    /// Who waits for it.
    pub asker: Asker,
    /// Its number among all that was asked here.
    pub number: u64,
    /// What is asked.
    pub errand: Errand,
    /// How many of the errand's places are filled.
    pub filled: usize,
    /// A server has said that it is not the one.
    pub is_retried: bool,
    /// When it was taken, nanoseconds of the clock that `now_ms` is of.
    pub began_ns: u64,
}

/// What a slot is to be filled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whose slot.
    pub asker: Asker,
    /// Which one.
    pub slot: Slot,
    /// With what.
    pub outcome: Outcome,
    /// When it was asked for, nanoseconds of the clock that `now_ms` is of.
    pub began_ns: u64,
    /// What came of it.
    pub end: End,
}

/// The requests of one worker to all other servers.
#[derive(Debug, Default)]
pub struct Desk {
    links: BTreeMap<u16, Link>,
    answers: Vec<Answer>,
    next_number: u64,
    /// By the numbers of the connections, those of whose requests some were put off.
    held: BTreeMap<u64, Held>,
    /// Whose are put off since somebody was told.
    stopped: Vec<Asker>,
}

impl Desk {
    /// Takes the servers that there are now; what waits for others is given up.
    pub fn renew(&mut self, servers: &[u16]) {
        let gone: Vec<u16> = self.links.keys().copied().filter(|id| !servers.contains(id)).collect();
        let mut events = Vec::new();
        for id in gone {
            if let Some(link) = self.links.remove(&id) {
                link.dissolve(&mut events);
            }
        }
        for id in servers {
            self.links.entry(*id).or_insert_with(|| Link::new(*id));
        }
        self.conclude(events, 0);
    }

    /// Takes an errand of this connection.
    pub fn take(&mut self, asker: Asker, errand: Errand, now_ns: u64) {
        let number = self.next_number;
        self.next_number += 1;
        let task = Task { asker, number, errand, filled: 0, is_retried: false, began_ns: now_ns };
        match self.held.get_mut(&asker.id) {
            Some(held) => held.put(task),
            None => self.send(task, now_ns / 1_000_000),
        }
    }

    /// Whether anybody's requests are put off.
    pub fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Those whose requests were put off since this was asked last: for each it is to be asked again when there is room,
    /// or it is to be forgotten or given up.
    pub fn take_stopped(&mut self) -> Vec<Asker> {
        std::mem::take(&mut self.stopped)
    }

    /// Which place of this connection's replies is to be asked for next of those that were put off; none while some are.
    pub fn next_held(&self, asker: Asker) -> Option<Slot> {
        self.held.get(&asker.id).and_then(Held::next_slot)
    }

    /// Asks for it and some behind it: there is this much room for the answers.
    pub fn go_on(&mut self, asker: Asker, room: Room, now_ms: u64) {
        let tasks = self.held.get_mut(&asker.id).map(|held| held.take_some(room)).unwrap_or_default();
        tasks.into_iter().for_each(|task| self.send(task, now_ms));
    }

    /// The connection is gone: what was put off is asked no more.
    pub fn forget(&mut self, asker: Asker) {
        self.held.remove(&asker.id);
    }

    /// There will never be more room: what was put off is answered so.
    pub fn give_up(&mut self, asker: Asker, now_ms: u64) {
        let tasks = self.held.remove(&asker.id).map(Held::take_all).unwrap_or_default();
        self.conclude(tasks.into_iter().map(|task| Event::Failed(task, Why::Long)).collect(), now_ms);
    }

    /// The connection to a server.
    pub fn link(&mut self, server: u16) -> Option<&mut Link> {
        self.links.get_mut(&server)
    }

    /// Takes what was received from a server.
    ///
    /// # Errors
    /// Why the connection is to be closed, and [`Desk::lost`] to be told.
    pub fn receive(&mut self, server: u16, bytes: &[u8], roster: &Roster, now_ms: u64) -> Result<(), String> {
        let Some(link) = self.links.get_mut(&server) else { return Err("it is not in the map".into()) };
        let mut events = Vec::new();
        let was_up = link.is_up();
        let result = link.receive(bytes, roster, now_ms, &mut events);
        if link.is_up() && !was_up && roster.note(server, Health::Up) {
            log::info!("server {server} is up");
        }
        self.conclude(events, now_ms);
        result
    }

    /// The connection to a server is gone, or could not be made.
    pub fn lost(&mut self, server: u16, why: String, roster: &Roster, now_ms: u64) {
        let mut events = Vec::new();
        if let Some(link) = self.links.get_mut(&server) {
            log::debug!("the connection to server {server} is lost: {why}");
            link.lost(why, now_ms, &mut events);
            // The next connection knows nothing of what was put off, and would let pass what was asked behind it.
            for (client, held) in &mut self.held {
                self.stopped.extend(held.take_back(server, link.recall(*client)));
            }
        }
        self.conclude(events, now_ms);
        self.note_down(server, roster, now_ms);
    }

    /// Gives up what has waited too long; which connections are to be closed, and why.
    pub fn tick(&mut self, roster: &Roster, now_ms: u64) -> Vec<(u16, &'static str)> {
        let mut events = Vec::new();
        let mut overdue = Vec::new();
        for (server, link) in &mut self.links {
            overdue.extend(link.tick(now_ms, &mut events).map(|why| (*server, why)));
        }
        self.conclude(events, now_ms);
        let servers: Vec<u16> = self.links.keys().copied().collect();
        servers.into_iter().for_each(|server| self.note_down(server, roster, now_ms));
        overdue
    }

    fn note_down(&self, server: u16, roster: &Roster, now_ms: u64) {
        if let Some(link) = self.links.get(&server)
            && link.is_down(now_ms)
            && roster.note(server, Health::Down)
        {
            log::warn!(
                "server {server} is down: {}",
                link.trouble.as_deref().unwrap_or("it cannot be reached")
            );
        }
    }

    /// The servers that a connection is to be opened to now.
    pub fn wants_opening(&self, now_ms: u64) -> Vec<u16> {
        self.links.iter().filter(|(_, link)| link.wants_opening(now_ms)).map(|(server, _)| *server).collect()
    }

    /// When the time will mean something next.
    pub fn deadline_ms(&self, now_ms: u64) -> Option<u64> {
        self.links.values().filter_map(|link| link.deadline_ms(now_ms)).min()
    }

    /// What has been answered.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    fn send(&mut self, task: Task, now_ms: u64) {
        let mut events = Vec::new();
        match self.links.get_mut(&task.errand.server) {
            Some(link) => link.ask(task, now_ms, &mut events),
            None => events.push(Event::Failed(task, Why::Down)),
        }
        self.conclude(events, now_ms);
    }

    fn conclude(&mut self, events: Vec<Event>, now_ms: u64) {
        for event in events {
            match event {
                Event::Said(task, text) => {
                    self.settle(&task, true);
                    let outcome = match task.errand.shown.answer(text) {
                        Outcome::Missing(line) => {
                            Outcome::Missing(told(&task.errand, Status::Internal, line))
                        }
                        said => said,
                    };
                    self.answer(&task, outcome, End::Answered);
                }
                Event::Part { asker, began_ns, slot, outcome } => {
                    self.answers.push(Answer { asker, slot, outcome, began_ns, end: End::Answered });
                }
                Event::Whole(task) => self.settle(&task, true),
                Event::PutOff(task) => {
                    self.stopped.push(task.asker);
                    self.held.entry(task.asker.id).or_default().put_off(task);
                }
                Event::Failed(task, why) => {
                    self.settle(&task, why != Why::Full);
                    let end = match why {
                        Why::Down => End::Down,
                        Why::Full | Why::Long => End::Full,
                        Why::Unknown => End::Unknown,
                    };
                    self.fail(&task, &failure(&task, why), end);
                }
                Event::NotMine { task, owner, map_version } => {
                    self.ask_elsewhere(task, owner, map_version, now_ms);
                }
            }
        }
    }

    /// A request is over: if it was put off before, the next one may be asked. See [`Held::settle`].
    fn settle(&mut self, task: &Task, is_answered: bool) {
        let Some(held) = self.held.get_mut(&task.asker.id) else { return };
        held.settle(task, is_answered);
        if held.is_over() {
            self.held.remove(&task.asker.id);
        }
    }

    /// A server has said that the group is another's: that one is asked, once, when the map that says so is newer.
    fn ask_elsewhere(&mut self, mut task: Task, owner: u16, map_version: u64, now_ms: u64) {
        let errand = &mut task.errand;
        if task.is_retried || map_version <= errand.map_version || !self.links.contains_key(&owner) {
            let text = disagreement(errand, owner, map_version);
            self.settle(&task, true);
            return self.fail(&task, &text, End::Disagreed);
        }
        (errand.server, errand.map_version, task.is_retried) = (owner, map_version, true);
        self.send(task, now_ms);
    }

    fn fail(&mut self, task: &Task, text: &str, end: End) {
        // Only where the outcome is not known does it help nobody to ask again.
        let status = if end == End::Unknown { Status::Internal } else { Status::Temporary };
        let line = told(&task.errand, status, Bytes::from(format!("SERVER_ERROR {text}\r\n")));
        if task.errand.places.is_empty() {
            return self.answer(task, task.errand.shown.failure(line), end);
        }
        let (asker, began_ns) = (task.asker, task.began_ns);
        for place in task.errand.places.get(task.filled..).unwrap_or_default() {
            let (slot, outcome) = (place.slot, task.errand.shown.failure(line.clone()));
            self.answers.push(Answer { asker, slot, outcome, began_ns, end });
        }
    }

    fn answer(&mut self, task: &Task, outcome: Outcome, end: End) {
        let (asker, slot, began_ns) = (task.asker, task.errand.slot, task.began_ns);
        self.answers.push(Answer { asker, slot, outcome, began_ns, end });
    }
}

/// A line of an error as the client of this errand is told it.
fn told(errand: &Errand, status: Status, line: Bytes) -> Bytes {
    let Told::Frame { opcode, opaque } = errand.told else { return line };
    let mut frame = Vec::new();
    binary::encode_error(&Refusal { opcode, opaque, status }, line.trim_ascii_end(), &mut frame);
    frame.into()
}

/// Why there is no answer, in words. A client acts on the beginning `outcome unknown`.
fn failure(task: &Task, why: Why) -> String {
    let Task { errand, filled, .. } = task;
    let server = errand.server;
    let group = errand.places.get(*filled).map(|place| place.group).or(errand.group);
    let place = match group {
        Some(group) => format!("group {group} is on server {server}, which"),
        None => format!("server {server}"),
    };
    match why {
        Why::Down => format!("{place} is down"),
        Why::Full => format!("{place} has too much to do"),
        Why::Long => format!("{place} has a longer answer than fits"),
        Why::Unknown => format!("outcome unknown: {place} did not answer"),
    }
}

fn disagreement(errand: &Errand, owner: u16, map_version: u64) -> String {
    let Errand { server, map_version: own_version, .. } = errand;
    let group = errand.group.map_or_else(String::new, |group| format!("group {group}: "));
    format!(
        "{group}the servers disagree: it is on server {server} by map version {own_version}, \
         and on server {owner} by map version {map_version}"
    )
}
