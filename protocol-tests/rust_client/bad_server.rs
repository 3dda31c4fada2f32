//! A server that does what a script says, connection by connection, and remembers every byte that it heard.
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use crate::acceptor::Acceptor;
use crate::wait;

/// Longest wait for what a script waits for.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// One thing that it does.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Waits until so many lines were heard on this connection.
    Hear(usize),
    /// Sends this.
    Say(&'static str),
    /// Sends this, every byte by itself.
    Drip(&'static str),
    /// Waits until as many others have come as the barrier is for.
    Meet(Arc<Barrier>),
    /// Listens and says nothing until the client goes.
    Hang,
    /// Neither listens nor speaks until the test ends.
    Ignore,
    /// Waits until something has come and closes without having read it: the client sees a reset.
    Reset,
}

/// A running script. What a script ends with is a closed connection.
pub(super) struct BadServer {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    _acceptor: Acceptor,
}

#[derive(Default)]
struct Shared {
    heard: Mutex<Vec<u8>>,
    /// Connections whose script has ended.
    closed: AtomicUsize,
    accepted: AtomicUsize,
    over: Arc<AtomicBool>,
}

impl BadServer {
    /// Plays the first script on the first connection, and so on; the last one on all that follow.
    pub(super) fn start(scripts: &[&[Act]]) -> BadServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        BadServer::serve(listener, scripts)
    }

    pub(super) fn serve(listener: TcpListener, scripts: &[&[Act]]) -> BadServer {
        let shared = Arc::new(Shared::default());
        let scripts: Vec<Vec<Act>> = scripts.iter().map(|script| script.to_vec()).collect();
        let theirs = Arc::clone(&shared);
        let acceptor = Acceptor::start(listener, &shared.over, move |number| {
            let script = scripts.get(number).or(scripts.last()).cloned().unwrap_or_default();
            let shared = Arc::clone(&theirs);
            shared.accepted.fetch_add(1, Ordering::SeqCst);
            move |stream| shared.play(stream, &script)
        });
        BadServer { address: acceptor.address, shared, _acceptor: acceptor }
    }

    /// Everything that was heard on all connections.
    pub(super) fn heard(&self) -> String {
        String::from_utf8_lossy(&self.shared.heard.lock().unwrap()).into_owned()
    }

    /// Connections so far.
    pub(super) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Waits until so many connections were closed.
    pub(super) fn wait_closed(&self, count: usize) {
        let closed = || (self.shared.closed.load(Ordering::SeqCst) >= count).then_some(());
        assert!(wait::until(PATIENCE, closed).is_some(), "{count} connections never closed");
    }
}

impl Shared {
    fn play(&self, mut stream: TcpStream, script: &[Act]) {
        stream.set_nodelay(true).unwrap();
        let mut lines = 0;
        for act in script {
            match act {
                Act::Hear(count) => while lines < *count && self.listen(&mut stream, &mut lines) {},
                Act::Say(text) => {
                    let _ = stream.write_all(text.as_bytes());
                }
                Act::Drip(text) => text.bytes().for_each(|byte| {
                    let _ = stream.write_all(&[byte]);
                }),
                Act::Meet(barrier) => {
                    barrier.wait();
                }
                Act::Hang => while self.listen(&mut stream, &mut lines) {},
                Act::Ignore => {
                    wait::until(PATIENCE, || self.over.load(Ordering::SeqCst).then_some(()));
                }
                Act::Reset => {
                    let _ = stream.peek(&mut [0]);
                }
            }
        }
        drop(stream);
        self.closed.fetch_add(1, Ordering::SeqCst);
    }

    /// Reads once; whether there was something.
    fn listen(&self, stream: &mut TcpStream, lines: &mut usize) -> bool {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).unwrap_or(0);
        let heard = &bytes[..count];
        *lines += heard.iter().filter(|byte| **byte == b'\n').count();
        self.heard.lock().unwrap().extend_from_slice(heard);
        count > 0
    }
}
