//! What a server was asked, what it may hold after each request, and what it has promised.
use std::collections::VecDeque;
use std::rc::Rc;

use crate::model::GROUPS;
use crate::model::map::{CAS, Map};
use crate::model::request::Request;

/// One group's part of the truth; shared by all states that it did not change between.
type Part = Rc<Map>;

/// The truth at one moment, group by group: what of a `flush_all` is in the log may end between two groups.
#[derive(Clone)]
pub(super) struct State(Vec<Part>);

impl State {
    pub(super) fn empty() -> State {
        State((0..GROUPS).map(|_| Part::default()).collect())
    }

    pub(super) fn part(&self, group: usize) -> &Map {
        &self.0[group]
    }

    /// A request to one group at this second; the reply that it must get.
    pub(super) fn execute(&mut self, group: usize, request: &Request, now_s: i64) -> Vec<u8> {
        let map = Rc::make_mut(&mut self.0[group]);
        map.now_s = now_s;
        map.execute(request)
    }

    pub(super) fn learn_cas(&mut self, group: usize, key: &str, cas: u64) {
        Rc::make_mut(&mut self.0[group]).learn_cas(key, cas);
    }
}

/// A state, and up to where the log must reach for it to last.
pub(super) struct Moment {
    pub(super) state: State,
    pub(super) lsn: u64,
}

/// A reply that is awaited.
struct Awaited {
    expected: Vec<u8>,
    group: usize,
    key: String,
    /// The number of the moment that it speaks of.
    moment: usize,
}

/// One life of a server, as its only client sees it.
pub(super) struct History {
    /// Every state since the start, in the order of the log.
    pub(super) moments: Vec<Moment>,
    awaited: VecDeque<Awaited>,
    unread: Vec<u8>,
    /// The last moment that a reply has told of.
    pub(super) acknowledged: usize,
    /// The highest cas that the server has shown.
    pub(super) cas_max: u64,
}

impl History {
    pub(super) fn from(state: State, cas_max: u64) -> History {
        let begin = Moment { state, lsn: 0 };
        History {
            moments: vec![begin],
            awaited: VecDeque::new(),
            unread: Vec::new(),
            acknowledged: 0,
            cas_max,
        }
    }

    pub(super) fn now(&self) -> &State {
        &self.moments[self.moments.len() - 1].state
    }

    /// Notes a request that is about to be sent.
    pub(super) fn ask(&mut self, groups: &[usize], request: &Request, now_s: i64) {
        let mut expected = Vec::new();
        for group in groups {
            let mut state = self.now().clone();
            expected = state.execute(*group, request, now_s);
            self.moments.push(Moment { state, lsn: u64::MAX });
        }
        let moment = self.moments.len() - 1;
        let (group, key) = (groups[0], request.key().to_owned());
        self.awaited.push_back(Awaited { expected, group, key, moment });
    }

    /// The log has come to `lsn`, and with it everything so far.
    pub(super) fn reach(&mut self, lsn: u64) {
        for moment in self.moments.iter_mut().rev().take_while(|moment| moment.lsn == u64::MAX) {
            moment.lsn = lsn;
        }
    }

    /// The last moment that the log holds when it reaches `lsn`.
    pub(super) fn at(&self, lsn: u64) -> usize {
        self.moments.iter().rposition(|moment| moment.lsn <= lsn).unwrap_or(0)
    }

    /// What came from the server: compares it with what had to come.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.unread.extend_from_slice(bytes);
        while !self.unread.is_empty() {
            let Some(first) = self.awaited.pop_front() else {
                return Err(format!("unasked: {:?}", String::from_utf8_lossy(&self.unread)));
            };
            // A quiet request: what comes behind it tells that it is done.
            if first.expected.is_empty() {
                continue;
            }
            let Some((taken, cas)) = fit(&first.expected, &self.unread) else {
                let [expected, found] =
                    [&first.expected, &self.unread].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                return Err(format!("{}: expected {expected:?}, found {found:?}", first.key));
            };
            self.unread.drain(..taken);
            self.acknowledged = first.moment;
            if let Some(cas) = cas {
                self.learn(&first, cas);
            }
        }
        Ok(())
    }

    fn learn(&mut self, told: &Awaited, cas: u64) {
        self.cas_max = self.cas_max.max(cas);
        // Later requests may have changed the item since.
        let last = self.moments.len() - 1;
        if told.moment == last {
            self.moments[last].state.learn_cas(told.group, &told.key, cas);
        }
    }
}

/// Whether `bytes` begin with the expected reply: how many of them it is, and the cas that stands in place of the mark.
pub(super) fn fit(expected: &[u8], bytes: &[u8]) -> Option<(usize, Option<u64>)> {
    let Some(at) = expected.windows(CAS.len()).position(|window| window == CAS.as_bytes()) else {
        return bytes.starts_with(expected).then_some((expected.len(), None));
    };
    let (before, behind) = (&expected[..at], &expected[at + CAS.len()..]);
    let rest = bytes.strip_prefix(before)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let cas = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    rest[digits..].starts_with(behind).then_some((at + digits + behind.len(), Some(cas)))
}
