//! A server that the test plays: it listens on a peer address, proves the secret, and then does to questions what it
//! is told to.
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use larder::base::command::{Command, Op};
use larder::base::lsn::Lsn;
use larder::base::time::UnixMs;
use larder::peer::{Answered, Facts, NotNow, Owner, Question, Roster, Secret, Session};
use larder::proto;
use larder::route::topology::{ServerId, Topology};

use super::{LOOPBACK, PATIENCE, SECRET};
use crate::acceptor::Acceptor;
use crate::wait;

/// What it does once a question has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conduct {
    /// Answers.
    Answers,
    /// Answers byte by byte.
    Drips,
    /// Keeps its answers until it is told otherwise.
    Holds,
    /// Reads nothing more.
    Stops,
    /// Sends a part of the answer and closes.
    Breaks,
}

/// A played server. What it has of every key is a value of the same text.
pub(super) struct Target {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    _acceptor: Acceptor,
}

struct Shared {
    conduct: Mutex<Conduct>,
    roster: Mutex<Option<Arc<Roster>>>,
    questions: AtomicUsize,
    over: Arc<AtomicBool>,
    limits: proto::Limits,
}

impl Target {
    /// Listens. Nobody is greeted before it is [`Target::in_force`].
    pub(super) fn listen(conduct: Conduct) -> Target {
        let listener = TcpListener::bind((LOOPBACK, 0)).unwrap();
        let shared = Arc::new(Shared {
            conduct: Mutex::new(conduct),
            roster: Mutex::new(None),
            questions: AtomicUsize::new(0),
            over: Arc::default(),
            limits: proto::Limits::default(),
        });
        let theirs = Arc::clone(&shared);
        let acceptor = Acceptor::start(listener, &shared.over, move |_| {
            let shared = Arc::clone(&theirs);
            move |stream| shared.serve(stream)
        });
        Target { address: acceptor.address, shared, _acceptor: acceptor }
    }

    /// Takes its place in a map.
    pub(super) fn in_force(&self, map: &Topology, id: u64) {
        let secret = Secret::read(SECRET.as_bytes()).unwrap();
        let facts = Facts::of(map, ServerId::new(id).unwrap());
        let roster = Roster::new(secret, facts, Vec::new(), [7; 32]);
        *self.shared.roster.lock().unwrap() = Some(Arc::new(roster));
    }

    /// From now on it does this.
    pub(super) fn conduct(&self, conduct: Conduct) {
        *self.shared.conduct.lock().unwrap() = conduct;
    }

    /// Waits until so many questions have come.
    pub(super) fn wait_asked(&self, count: usize) {
        let asked = || (self.shared.questions.load(Ordering::SeqCst) >= count).then_some(());
        assert!(wait::until(PATIENCE, asked).is_some(), "{count} questions never came");
    }

    /// Questions so far.
    pub(super) fn asked(&self) -> usize {
        self.shared.questions.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// Waits for a conduct that is another one, or for the end.
    fn wait_past(&self, conduct: Conduct) {
        wait::until(PATIENCE, || {
            (self.over.load(Ordering::SeqCst) || self.conduct() != conduct).then_some(())
        });
    }

    fn conduct(&self) -> Conduct {
        *self.conduct.lock().unwrap()
    }

    fn serve(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let Some(roster) = wait::until(PATIENCE, || self.roster.lock().unwrap().clone()) else { return };
        let mut session = Session::new(0);
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count) = stream.read(&mut bytes)
            && count > 0
        {
            session.turn(&bytes[..count], usize::MAX, UnixMs(0), self, &roster);
            let is_question = session.is_known() && !session.ready().is_empty();
            for waits in [Conduct::Holds, Conduct::Stops] {
                if is_question && self.conduct() == waits {
                    self.wait_past(waits);
                }
            }
            let answers = session.ready().to_vec();
            session.advance(answers.len());
            let sent = match self.conduct() {
                Conduct::Drips => answers.chunks(1).try_for_each(|byte| stream.write_all(byte)),
                Conduct::Breaks if is_question => {
                    let _ = stream.write_all(&answers[..answers.len() * 2 / 3]);
                    return;
                }
                _ => stream.write_all(&answers),
            };
            if sent.is_err() {
                return;
            }
        }
    }
}

/// What every key has.
pub(super) const VALUE: &str = "a value that is long enough to be cut in the middle";

impl Owner for Shared {
    fn answer(&self, question: &Question<'_>, _: UnixMs) -> Answered {
        self.questions.fetch_add(1, Ordering::SeqCst);
        let text = match &question.request.command {
            Command::Read(keys, _) => {
                let key = String::from_utf8_lossy(keys.0);
                format!("VALUE {key} 0 {}\r\n{VALUE}\r\nEND\r\n", VALUE.len())
            }
            Command::Keyed(_, Op::Store(_)) => "STORED\r\n".to_owned(),
            other => panic!("a question that no test asks: {other:?}"),
        };
        Answered::Said(text.into_bytes(), Lsn::ZERO)
    }

    fn answer_part(
        &self,
        (question, _): (&Question<'_>, &[u8]),
        _: bool,
        now: UnixMs,
        parts: &mut Vec<u8>,
    ) -> Result<Lsn, NotNow> {
        self.answer(question, now).into_part(parts)
    }

    fn peer_limits(&self) -> &proto::Limits {
        &self.limits
    }
}
