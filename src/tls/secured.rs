//! One connection behind TLS, over a socket that may block or not.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use rustls::Connection;

use super::certificates::count;
use crate::base::limits::TLS_WRITE_BYTES_DEFAULT;
use crate::base::tls::TlsCounts;

/// So many slices are encrypted at once; more are left for the next time.
const SLICES_MAX: usize = 64;

/// A socket behind TLS. It reads and writes as the socket does: `WouldBlock` when that would or did, `Interrupted` when
/// something was read that nobody but TLS can use, and the next read may find more.
pub struct Secured<S: Read + Write> {
    socket: S,
    connection: Connection,
    counts: Option<Arc<TlsCounts>>,
    /// How much is encrypted at once, bytes.
    write_bytes: usize,
    /// Bytes that were encrypted and not reported as written, since the socket has not taken all of them. Whoever writes
    /// offers them again.
    ahead_bytes: usize,
    /// Whether anything was received.
    has_begun: bool,
    /// Whether the handshake has ended since somebody asked.
    has_opened: bool,
    /// Whether a read would find more without a new event of the socket.
    has_more: bool,
    /// Whether the other side has said that it sends no more.
    is_ended: bool,
    is_counted: bool,
}

impl<S: Read + Write> Secured<S> {
    pub(super) fn new(
        socket: S,
        connection: Connection,
        write_bytes: usize,
        counts: Option<Arc<TlsCounts>>,
    ) -> Secured<S> {
        Secured {
            socket,
            connection,
            counts,
            write_bytes: if write_bytes == 0 { TLS_WRITE_BYTES_DEFAULT } else { write_bytes },
            ahead_bytes: 0,
            has_begun: false,
            has_opened: false,
            has_more: false,
            is_ended: false,
            is_counted: false,
        }
    }

    /// The socket.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// The socket, for what is neither reading nor writing.
    pub fn socket_mut(&mut self) -> &mut S {
        &mut self.socket
    }

    /// Whether the handshake is not over.
    #[inline(never)]
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the handshake has ended since this was asked last: what could not be written before can be now.
    pub fn take_opened(&mut self) -> bool {
        std::mem::take(&mut self.has_opened)
    }

    /// After a read: whether the next would find something though the socket has no new event.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// Reads the socket once at most, and answers what of it the handshake asks for. 0 is the end: what the other side
    /// said before it was whole.
    ///
    /// # Errors
    /// The socket's, or `InvalidData` when the other side breaks the protocol or is refused: it has been told.
    // Apart, like its neighbours: inside the loops of those who have no TLS it would cost them registers.
    #[inline(never)]
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pending = self.take_plain(buffer);
        if pending > 0 {
            self.has_more = true;
            return Ok(pending);
        }
        if self.is_ended {
            return Ok(0);
        }
        // A record that was received in part before may come out too, so that plaintext has the larger share; what
        // should not fit all the same stays in rustls until the next read.
        let (plain, raw) = buffer.split_at_mut(buffer.len() / 2 + buffer.len() / 16);
        let count = self.socket.read(raw)?;
        self.has_more = count == raw.len();
        if count == 0 {
            return self.end();
        }
        self.has_begun = true;
        let received = self.receive(raw.get(..count).unwrap_or_default(), plain);
        match self.flush_own() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        let taken = received?;
        self.has_more |= self.is_ended || taken == plain.len();
        match taken {
            0 if self.is_ended => Ok(0),
            // Only the socket itself knows whether it is drained: its end may be behind these bytes.
            0 => Err(io::ErrorKind::Interrupted.into()),
            taken => Ok(taken),
        }
    }

    /// The socket has ended. Many clients just close: what they sent is no less whole for it, since requests say how
    /// long they are.
    fn end(&mut self) -> io::Result<usize> {
        self.has_more = true;
        self.is_ended = true;
        if self.is_handshaking() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(0) }
    }

    /// Takes what was received; how much plaintext came out.
    fn receive(&mut self, mut raw: &[u8], plain: &mut [u8]) -> io::Result<usize> {
        let was_handshaking = self.is_handshaking();
        let mut taken = 0;
        while !raw.is_empty() && self.connection.read_tls(&mut raw)? > 0 {
            match self.connection.process_new_packets() {
                Ok(state) => self.is_ended |= state.peer_has_closed(),
                Err(error) => {
                    self.count_failure();
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
            taken += self.take_plain(plain.get_mut(taken..).unwrap_or_default());
        }
        self.has_opened |= was_handshaking && !self.is_handshaking();
        Ok(taken)
    }

    fn take_plain(&mut self, plain: &mut [u8]) -> usize {
        // It fails when there is nothing, or nothing more: that is known by other ways.
        self.connection.reader().read(plain).unwrap_or(0)
    }

    /// Writes these bytes: how many of them the socket has taken, behind TLS. If those are not all, or with `WouldBlock`,
    /// the next call must begin with the same bytes behind them.
    ///
    /// # Errors
    /// The socket's; `WouldBlock` also before the handshake is over.
    #[inline(never)]
    pub fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush_all()?;
        if self.is_handshaking() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut sent = std::mem::take(&mut self.ahead_bytes).min(offered);
        while sent < offered {
            let taken = self.encrypt(slices, sent)?;
            match self.flush_all() {
                Ok(()) if taken == 0 => break,
                Ok(()) => sent += taken,
                Err(error) => {
                    self.ahead_bytes = taken;
                    return if sent > 0 { Ok(sent) } else { Err(error) };
                }
            }
        }
        Ok(sent)
    }

    /// As [`Secured::write_vectored`], of one slice.
    ///
    /// # Errors
    /// As there.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    /// Encrypts what comes behind the first `skip` bytes, as much as is held at once; how many bytes those are.
    fn encrypt(&mut self, slices: &[IoSlice<'_>], mut skip: usize) -> io::Result<usize> {
        let mut pieces = [IoSlice::new(&[]); SLICES_MAX];
        let (mut count, mut room) = (0, self.write_bytes);
        for slice in slices {
            let Some(rest) = slice.get(skip..).filter(|rest| !rest.is_empty()) else {
                skip = skip.saturating_sub(slice.len());
                continue;
            };
            skip = 0;
            let Some(piece) = pieces.get_mut(count).filter(|_| room > 0) else { break };
            let length = rest.len().min(room);
            *piece = IoSlice::new(rest.get(..length).unwrap_or_default());
            (count, room) = (count + 1, room - length);
        }
        self.connection.writer().write_vectored(pieces.get(..count).unwrap_or_default())
    }

    /// Writes what TLS itself has to say, but nothing of what somebody else offered and was not told of yet: who counts
    /// that as unsent may send it again by another connection.
    ///
    /// # Errors
    /// The socket's.
    #[inline(never)]
    pub fn flush_own(&mut self) -> io::Result<()> {
        if self.ahead_bytes > 0 { Ok(()) } else { self.flush_all() }
    }

    /// Writes what is encrypted: the handshake's words too.
    ///
    /// # Errors
    /// The socket's.
    pub fn flush_all(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut self.socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn count_failure(&mut self) {
        if std::mem::replace(&mut self.is_counted, true) {
            return;
        }
        if self.is_handshaking() {
            count(self.counts.as_ref(), |counts| &counts.handshake_errors);
        } else {
            count(self.counts.as_ref(), |counts| &counts.protocol_errors);
        }
    }
}

impl<S: Read + Write> Drop for Secured<S> {
    /// Says that nothing more comes, if the socket takes it; a handshake that was begun and is dropped has failed.
    fn drop(&mut self) {
        if !self.is_handshaking() {
            if self.ahead_bytes == 0 {
                self.connection.send_close_notify();
                let _ = self.flush_all();
            }
        } else if self.has_begun {
            self.count_failure();
        }
    }
}

impl<S: Read + Write + fmt::Debug> fmt::Debug for Secured<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured").field("socket", &self.socket).finish_non_exhaustive()
    }
}
