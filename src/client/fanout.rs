//! Many operations at once: each server gets its part in one pipeline, all servers work at the same time.

use std::sync::Arc;
use std::time::Instant;

use super::connection::{Patience, Unsent};
use super::endpoint::{Endpoint, Taken};
use super::error::{Error, Invalid, Why};
use super::operation::{Answer, Operation};
use super::reply::{self, Progress, Reader};
use super::request::{Call, Chunk, check};
use super::ring::Ring;
use crate::route::topology::Address;

/// An operation's end.
pub(super) type Outcome = Result<Answer, Error>;

/// Asks everything of the servers that the ring chooses; the outcomes are in the order of the operations.
///
/// Operations on one key keep their order. What was not sent to a server because it is down goes to the next one, if
/// the ring allows it; what was sent is never sent again.
pub(super) fn run(ring: &Ring, operations: &[Operation<'_>]) -> Vec<Outcome> {
    let mut outcomes: Vec<Option<Outcome>> = operations.iter().map(refused).collect();
    // Each pass that leaves something to do has found a server down that it thought up.
    for _ in 0..=ring.endpoints.len() {
        let up = ring.up();
        let mut lanes: Vec<Lane> = ring.endpoints.iter().map(Lane::new).collect();
        for (at, operation) in operations.iter().enumerate() {
            if !may_go(ring, &up, outcomes.get(at)) {
                continue;
            }
            match ring.choose(operation.key, &up).and_then(|server| lanes.get_mut(server)) {
                Some(lane) => lane.positions.push(at),
                None => settle(&mut outcomes, at, Err(Error::Invalid(Invalid::NoServer))),
            }
        }
        lanes.retain(|lane| !lane.positions.is_empty());
        if lanes.is_empty() {
            break;
        }
        run_lanes(&mut lanes, operations, &mut outcomes);
    }
    outcomes.into_iter().map(|outcome| outcome.unwrap_or(Err(Error::Invalid(Invalid::NoServer)))).collect()
}

/// Asks one thing of each of these servers.
pub(super) fn run_on_each(endpoints: &[Arc<Endpoint>], operation: &Operation<'_>) -> Vec<Outcome> {
    let operations = vec![operation.clone(); endpoints.len()];
    let mut outcomes = vec![None; endpoints.len()];
    let mut lanes: Vec<Lane> = endpoints.iter().map(Lane::new).collect();
    lanes.iter_mut().enumerate().for_each(|(at, lane)| lane.positions.push(at));
    run_lanes(&mut lanes, &operations, &mut outcomes);
    outcomes.into_iter().map(|outcome| outcome.unwrap_or(Err(Error::Invalid(Invalid::NoServer)))).collect()
}

fn refused(operation: &Operation<'_>) -> Option<Outcome> {
    check(operation).err().map(|invalid| Err(Error::Invalid(invalid)))
}

/// Whether an operation is still to be sent: not yet tried, or not sent to a server that others may stand in for.
fn may_go(ring: &Ring, up: &[bool], outcome: Option<&Option<Outcome>>) -> bool {
    match outcome {
        Some(None) => true,
        // Who is still thought up was tried and broke at once; to try again could go on for ever.
        Some(Some(Err(Error::NotSent { server, .. }))) => {
            let mut known = ring.endpoints.iter().zip(up);
            let is_down = known.any(|(endpoint, up)| endpoint.address == *server && !up);
            ring.may_take_over() && is_down && up.contains(&true)
        }
        _ => false,
    }
}

fn settle(outcomes: &mut [Option<Outcome>], at: usize, outcome: Outcome) {
    if let Some(slot) = outcomes.get_mut(at) {
        *slot = Some(outcome);
    }
}

/// Rounds: every server's next requests are written, then every server's answers are read.
fn run_lanes(lanes: &mut [Lane<'_>], operations: &[Operation<'_>], outcomes: &mut [Option<Outcome>]) {
    while lanes.iter().any(Lane::has_more) {
        for lane in lanes.iter_mut().filter(|lane| lane.has_more()) {
            lane.write(operations, outcomes);
        }
        let start = Instant::now();
        for lane in lanes.iter_mut() {
            lane.read(operations, outcomes, start);
        }
    }
    lanes.iter_mut().for_each(Lane::end);
}

/// What one server is asked.
struct Lane<'r> {
    endpoint: &'r Arc<Endpoint>,
    /// Positions of the operations, in their order.
    positions: Vec<usize>,
    /// The first of them that was not written yet.
    next: usize,
    taken: Option<Taken>,
    chunk: Chunk,
}

impl<'r> Lane<'r> {
    fn new(endpoint: &'r Arc<Endpoint>) -> Lane<'r> {
        Lane { endpoint, positions: Vec::new(), next: 0, taken: None, chunk: Chunk::default() }
    }

    fn has_more(&self) -> bool {
        self.next < self.positions.len()
    }

    /// Writes the next requests.
    fn write(&mut self, operations: &[Operation<'_>], outcomes: &mut [Option<Outcome>]) {
        if self.taken.is_none() {
            match self.endpoint.take() {
                Ok(taken) => self.taken = Some(taken),
                Err(why) => return self.give_up(why, outcomes),
            }
        }
        self.chunk.fill(operations, &self.positions, &mut self.next);
        if let Err(unsent) = self.send() {
            self.taken = None;
            self.endpoint.failed();
            for call in std::mem::take(&mut self.chunk.calls) {
                let server = self.endpoint.address.clone();
                let why = unsent.why.clone();
                let touched = call.start < unsent.sent_bytes;
                let error =
                    if touched { Error::Unknown { server, why } } else { Error::NotSent { server, why } };
                self.settle_call(&call, &error, outcomes);
            }
            self.give_up(unsent.why, outcomes);
        }
    }

    /// Sends the chunk. A kept connection that takes not a single byte was closed by the server while nobody looked:
    /// nothing was sent, so a new one takes its place, once.
    fn send(&mut self) -> Result<(), Unsent> {
        let not_sent = |why| Unsent { sent_bytes: 0, why };
        let Some(taken) = &mut self.taken else { return Err(not_sent(Why::Closed)) };
        let sent = taken.connection.send(&self.chunk.bytes);
        match sent {
            Err(Unsent { sent_bytes: 0, .. }) if taken.reused => {
                *taken = self.endpoint.connect().map_err(not_sent)?;
                taken.connection.send(&self.chunk.bytes)
            }
            sent => sent,
        }
    }

    /// Reads the answers to what was written.
    fn read(&mut self, operations: &[Operation<'_>], outcomes: &mut [Option<Outcome>], start: Instant) {
        let mut patience = Patience::from(start, &self.endpoint.options);
        let mut broken = None;
        for call in std::mem::take(&mut self.chunk.calls) {
            let server = self.endpoint.address.clone();
            let positions = self.positions.get(call.lane.clone()).unwrap_or_default();
            let asked = positions.iter().filter_map(|at| operations.get(*at)).collect();
            let mut reader = Reader::new(asked);
            if broken.is_none() {
                broken = receive(&mut self.taken, &mut reader, &mut patience, &server);
            }
            let rest = match &broken {
                None => None,
                Some(Broken::Call(error)) => Some(error.clone()),
                Some(Broken::Connection(why)) => Some(Error::Unknown { server, why: why.clone() }),
            };
            for (at, outcome) in positions.iter().zip(reader.finish(rest)) {
                settle(outcomes, *at, outcome);
            }
            broken = broken.filter(|broken| matches!(broken, Broken::Connection(_)));
        }
        if let Some(Broken::Connection(why)) = broken {
            self.taken = None;
            self.endpoint.failed();
            self.give_up(why, outcomes);
        } else if let Some(taken) = &mut self.taken {
            // It has just answered: what breaks it from now on is not a kept connection that had been closed.
            taken.reused = false;
        }
    }

    /// All operations that were not written are not sent.
    fn give_up(&mut self, why: Why, outcomes: &mut [Option<Outcome>]) {
        let server = &self.endpoint.address;
        for at in self.positions.get(self.next..).unwrap_or_default() {
            settle(outcomes, *at, Err(Error::NotSent { server: server.clone(), why: why.clone() }));
        }
        self.next = self.positions.len();
    }

    fn settle_call(&self, call: &Call, error: &Error, outcomes: &mut [Option<Outcome>]) {
        for at in self.positions.get(call.lane.clone()).unwrap_or_default() {
            settle(outcomes, *at, Err(error.clone()));
        }
    }

    /// Everything is answered.
    fn end(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.endpoint.give_back(taken.connection);
        }
    }
}

/// What ended before its answer did.
enum Broken {
    /// One request: the next ones are answered.
    Call(Error),
    /// The connection.
    Connection(Why),
}

/// The pieces of one answer, up to its end.
fn receive(
    taken: &mut Option<Taken>,
    reader: &mut Reader<'_>,
    patience: &mut Patience,
    server: &Address,
) -> Option<Broken> {
    loop {
        let Some(taken) = taken else { return Some(Broken::Connection(Why::Closed)) };
        match taken.connection.receive(patience, |frame| reader.take(frame)) {
            Ok(Progress::More) => {}
            Ok(progress) => return reply::error(progress, server).map(Broken::Call),
            Err(why) => return Some(Broken::Connection(why)),
        }
    }
}
