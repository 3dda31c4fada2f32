//! One life of a whole server over a machine's disks: random requests and chores until the power ends, and the audit of
//! what the next start finds.
use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;

use larder::base::fault::Fault;
use larder::base::time::Clock;
use larder::binlog::Log;
use larder::config::Config;
use larder::conn::outbox::SLICES_MAX;
use larder::conn::{Backend, Connection, Progress};
use larder::server::Embedded;

use super::history::{History, State, fit};
use super::power::{Machine, Power};
use crate::drivers::TestClock;
use crate::model::request::{Flags, Maker, Request};
use crate::model::{GROUPS, tiny};
use crate::random::Random;

/// So many that memory does not hold them all.
const KEYS: u64 = 120;
/// So often a parked request is tried again.
const PARKED_TRIES_MAX: usize = 50;

/// A server, its client, and the world around them.
pub(super) struct Life<'w> {
    server: Embedded,
    conn: Connection,
    clock: &'w Arc<TestClock>,
    power: &'w Power,
    pub(super) history: History,
    /// What was durable when the power was last seen on.
    pub(super) durable_lsn: u64,
}

fn config(data_dir: &Path, fsync: &str) -> Config {
    let mut config = tiny(data_dir, fsync);
    config.memory.bytes = 64 * 1024;
    config
}

impl<'w> Life<'w> {
    /// Starts a server; fails when the power ends meanwhile.
    pub(super) fn begin(
        data_dir: &Path,
        fsync: &str,
        machine: &Machine,
        clock: &'w Arc<TestClock>,
        power: &'w Power,
    ) -> Result<Life<'w>, Fault> {
        let shared = Arc::clone(clock) as Arc<dyn Clock>;
        let server = Embedded::open_on(&config(data_dir, fsync), &shared, &machine.disks())?;
        let durable_lsn = server.log().map_or(0, |log| log.durable_lsn().0);
        let history = History::from(State::empty(), 0);
        Ok(Life { server, conn: Connection::default(), clock, power, history, durable_lsn })
    }

    fn log(&self) -> &Log {
        self.server.log().unwrap()
    }

    fn now_s(&self) -> i64 {
        i64::from(self.clock.now().seconds())
    }

    fn group_of(&self, key: &str) -> usize {
        usize::from(self.server.backend.group_of(key.as_bytes()).unwrap().id.0)
    }

    /// So many steps, or as many as there is power for.
    pub(super) fn run(&mut self, steps: usize, random: &mut Random) -> Result<(), String> {
        for _ in 0..steps {
            match random.below(20) {
                0..3 => self.chore(random)?,
                3 => self.clock.advance(1 + random.below(4) as i64),
                4..6 => {
                    self.server.tend_log();
                    self.listen()?;
                }
                6 => {
                    self.sync()?;
                    self.listen()?;
                }
                _ => {
                    let request = self.make(random);
                    self.ask(&request)?;
                }
            }
            if self.power.is_off() {
                return Ok(());
            }
            self.durable_lsn = self.log().durable_lsn().0;
        }
        Ok(())
    }

    fn make(&self, random: &mut Random) -> Request {
        let state = self.history.now();
        let mut maker = Maker { random, keys: KEYS, now_s: self.now_s() };
        match maker.request(|key| state.part(self.group_of(key)).seen_cas(key)) {
            Request::Get { mut keys, cas, touch } => {
                keys.truncate(1);
                Request::Get { keys, cas, touch }
            }
            request => request,
        }
    }

    /// Sends a request and takes what comes at once.
    fn ask(&mut self, request: &Request) -> Result<(), String> {
        let groups = match request {
            Request::FlushAll(_) => (0..usize::from(GROUPS)).collect(),
            request => vec![self.group_of(request.key())],
        };
        self.history.ask(&groups, request, self.now_s());
        let bytes = request.wire(false);
        let mut progress = self.turn(&bytes);
        for _ in 0..PARKED_TRIES_MAX {
            if progress != Progress::Parked || self.power.is_off() {
                break;
            }
            self.server.tend_log();
            self.server.keeper.tend();
            progress = self.turn(&[]);
        }
        if self.power.is_off() {
            return Ok(());
        }
        if progress == Progress::Parked {
            return Err(format!("parked for ever: {request:?}"));
        }
        self.history.reach(self.log().appended_lsn().0);
        self.server.backend.end_turn();
        self.listen()
    }

    fn turn(&mut self, bytes: &[u8]) -> Progress {
        self.conn.turn(bytes, 100, self.clock.now(), &self.server.backend)
    }

    /// Takes the replies that may leave. Without power none does.
    fn listen(&mut self) -> Result<(), String> {
        if self.power.is_off() {
            return Ok(());
        }
        self.conn.outbox.release(self.server.backend.safe_lsn());
        let bytes = self.ready();
        self.history.hear(&bytes)
    }

    fn ready(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = self.conn.outbox.ready(&mut slices);
            let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
            if bytes.is_empty() {
                return all;
            }
            self.conn.outbox.advance(bytes.len());
            all.extend_from_slice(&bytes);
        }
    }

    fn sync(&self) -> Result<(), String> {
        let log = self.log();
        self.excuse(log.sync_past(log.appended_lsn()))
    }

    /// What threads do beside the requests.
    fn chore(&self, random: &mut Random) -> Result<(), String> {
        let group = &self.server.backend.groups[random.below(u64::from(GROUPS)) as usize];
        match random.below(8) {
            0..4 => self.excuse(group.checkpoint()),
            4 => self.excuse(group.warm_up(|| true)),
            5..7 => self.excuse(self.server.sweeper.sweep(group)),
            _ => {
                self.server.keeper.tend();
                Ok(())
            }
        }
    }

    /// Only without power may anything fail.
    fn excuse<T>(&self, result: Result<T, Fault>) -> Result<(), String> {
        match result {
            Err(fault) if !self.power.is_off() => Err(fault.to_string()),
            _ => Ok(()),
        }
    }

    /// Finds the moment of the life before that everything stored is of: not before `promised`. Goes on from there.
    pub(super) fn audit(&mut self, before: &History, promised: usize) -> Result<State, String> {
        let requests: Vec<Request> = (0..KEYS).map(|index| look_at(&format!("key:{index}"))).collect();
        let mut found = Vec::new();
        for request in &requests {
            self.turn(&request.wire(false));
            self.sync()?;
            self.conn.outbox.release(self.server.backend.safe_lsn());
            found.push(self.ready());
        }
        let moments = before.moments.get(promised..).unwrap_or_default();
        let told = moments.iter().rev().map(|moment| self.compare(&moment.state, &requests, &found));
        let mut first = None;
        for outcome in told {
            match outcome {
                Ok(state) => return Ok(state),
                Err(why) => first = first.or(Some(why)),
            }
        }
        let count = moments.len();
        Err(format!(
            "what is stored is of none of {count} moments; of the last not: {}",
            first.unwrap_or_default()
        ))
    }

    /// The state behind these requests, if their replies are these.
    fn compare(&self, state: &State, requests: &[Request], found: &[Vec<u8>]) -> Result<State, String> {
        let mut state = state.clone();
        for (request, found) in requests.iter().zip(found) {
            let key = request.key();
            let expected = state.execute(self.group_of(key), request, self.now_s());
            if fit(&expected, found).is_none_or(|(taken, _)| taken != found.len()) {
                let [expected, found] =
                    [&expected, found].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                return Err(format!("{key}: {expected:?}, but {found:?} is stored"));
            }
        }
        Ok(state)
    }

    /// After an audit: what no reply shows (a flush to come) is made the same in both, and versions have risen.
    pub(super) fn go_on_from(&mut self, state: State, cas_max: u64) -> Result<(), String> {
        self.history = History::from(state, cas_max);
        self.ask(&Request::FlushAll(Some(900_000)))?;
        let key = "key:0".to_owned();
        let value = b"v".to_vec();
        self.ask(&Request::Store { verb: "set", key: key.clone(), flags: 0, exptime: 0, value, cas: 0 })?;
        self.sync()?;
        self.listen()?;
        self.history.cas_max = 0;
        self.ask(&Request::Get { keys: vec![key], cas: true, touch: None })?;
        let shown = std::mem::replace(&mut self.history.cas_max, cas_max);
        if shown <= cas_max {
            return Err(format!("cas {shown} was issued after {cas_max}"));
        }
        self.history.cas_max = shown;
        Ok(())
    }
}

/// Everything that a reply can show of a key and that lasts.
fn look_at(key: &str) -> Request {
    let flags = "vfstc".chars().map(|flag| (flag, String::new())).collect();
    Request::Mg { key: key.into(), flags: Flags(flags) }
}
