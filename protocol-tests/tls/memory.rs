//! Two ends of a connection in memory: bytes in any pieces, buffers of any size.
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::rc::Rc;

use larder::base::tls::PeerCerts;
use larder::tls::{Acceptor, Connector, Identity, Rules, Secured};

use super::Authority;

type Pipe = Rc<RefCell<VecDeque<u8>>>;

/// One end: a socket that never blocks.
pub(super) struct End {
    incoming: Pipe,
    outgoing: Pipe,
    /// What one read gives at most.
    pub(super) piece_bytes: usize,
    /// What its outgoing pipe holds at most.
    pub(super) room_bytes: usize,
    /// Bytes that were read.
    pub(super) read_bytes: usize,
}

impl Read for End {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut pipe = self.incoming.borrow_mut();
        let count = buffer.len().min(pipe.len()).min(self.piece_bytes);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer[..count].iter_mut().zip(pipe.drain(..count)).for_each(|(to, from)| *to = from);
        self.read_bytes += count;
        Ok(count)
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut pipe = self.outgoing.borrow_mut();
        let count = bytes.len().min(self.room_bytes.saturating_sub(pipe.len()));
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        pipe.extend(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Both ends.
pub(super) fn ends() -> (End, End) {
    let (one, other) = (Pipe::default(), Pipe::default());
    let end = |incoming: &Pipe, outgoing: &Pipe| End {
        incoming: Rc::clone(incoming),
        outgoing: Rc::clone(outgoing),
        piece_bytes: usize::MAX,
        room_bytes: usize::MAX,
        read_bytes: 0,
    };
    (end(&one, &other), end(&other, &one))
}

impl End {
    /// What waits to be read here.
    pub(super) fn waiting(&self) -> Vec<u8> {
        self.incoming.borrow().iter().copied().collect()
    }

    /// Takes away what waits to be read here.
    pub(super) fn drain(&self) -> Vec<u8> {
        self.incoming.borrow_mut().drain(..).collect()
    }
}

/// Who accepts, by the rules of a server that asks for nothing.
pub(super) fn acceptor(authority: &Authority, rules: Rules) -> Acceptor {
    let issued = authority.issue();
    let identity = Identity { chain: issued.chain.as_bytes(), key: issued.key.as_bytes(), key_is_der: false };
    let ca = (rules.peer_certs != PeerCerts::Unasked).then(|| authority.certificate().as_bytes());
    Acceptor::new(identity, ca, rules, None).unwrap()
}

/// Who connects.
pub(super) fn connector(authority: &Authority) -> Connector {
    Connector::new(authority.certificate().as_bytes(), None).unwrap()
}

/// Lets both sides go on until neither can; an error of either.
pub(super) fn agree(server: &mut Secured<End>, client: &mut Secured<End>) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    match client.flush_all() {
        Err(error) if !is_pause(&error) => return Err(error),
        _ => {}
    }
    loop {
        let before = server.socket().read_bytes + client.socket().read_bytes;
        for side in [&mut *server, &mut *client] {
            match side.read(&mut buffer) {
                Ok(count) => panic!("{count} bytes that nobody sent"),
                Err(error) if is_pause(&error) => {}
                Err(error) => return Err(error),
            }
            match side.flush_all() {
                Err(error) if !is_pause(&error) => return Err(error),
                _ => {}
            }
        }
        if before == server.socket().read_bytes + client.socket().read_bytes {
            return Ok(());
        }
    }
}

pub(super) fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
