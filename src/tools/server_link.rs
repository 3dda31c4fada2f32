//! A blocking connection to a running server, over TCP, with or without TLS, or a unix socket.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Stop;
use super::tls::Tls;
use crate::base::fault::{Fault, FaultKind};
use crate::base::limits::LINE_BYTES_MAX;
use crate::client;
use crate::tls::Secured;

/// A server that says nothing for so long is not waited for any longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is read from the socket at once, bytes.
const READ_BYTES: usize = 256 * 1024;
const PORT_DEFAULT: &str = "11211";

/// Options of every command that talks to a running server; HOST:PORT is its first word.
#[derive(Args, Debug)]
pub(super) struct Way {
    /// The unix socket of the running server, instead of HOST:PORT
    #[arg(short = 's', long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// A file with the user:password that the server asks for (-Y); its first line is used
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,
    #[command(flatten)]
    tls: Tls,
}

impl Way {
    /// Which server, and the words behind: without --socket the first of `words` names it.
    pub(super) fn address<'w>(&self, words: &'w [String]) -> Result<(Address, &'w [String]), Stop> {
        let (server, rest) = match (&self.socket, words.split_first()) {
            (Some(_), _) => (None, words),
            (None, Some((server, rest))) => (Some(server.clone()), rest),
            (None, None) => return Err(Stop::Usage("which server? write HOST:PORT or --socket PATH".into())),
        };
        let (socket, auth_file) = (self.socket.clone(), self.auth_file.clone());
        Ok((Address { server, socket, auth_file, tls: self.tls.settings()? }, rest))
    }

    /// Which server, and the one file that may be named behind it; `-` without.
    pub(super) fn address_and_file<'w>(&self, words: &'w [String]) -> Result<(Address, &'w str), Stop> {
        let (address, rest) = self.address(words)?;
        match rest {
            [] => Ok((address, "-")),
            [name] => Ok((address, name)),
            _ => Err(Stop::Usage("one file is enough".into())),
        }
    }
}

/// Which server.
#[derive(Clone, Debug)]
pub(super) struct Address {
    server: Option<String>,
    socket: Option<PathBuf>,
    auth_file: Option<PathBuf>,
    /// Over TCP only.
    tls: Option<client::Tls>,
}

impl Address {
    /// A server over TCP, HOST:PORT.
    pub(super) fn of(server: String, auth_file: Option<PathBuf>, tls: Option<client::Tls>) -> Address {
        Address { server: Some(server), socket: None, auth_file, tls }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.socket, &self.server) {
            (Some(path), _) => write!(f, "{}", path.display()),
            (None, Some(server)) => f.write_str(server),
            (None, None) => f.write_str("no server"),
        }
    }
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<Secured<TcpStream>>),
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(buffer),
            Socket::Unix(stream) => stream.read(buffer),
            Socket::Tls(stream) => stream.read(buffer),
        }
    }
}

/// A connection.
pub(super) struct Link {
    address: Address,
    socket: BufReader<Socket>,
}

impl Link {
    /// Connects, and tells who asks if that is wanted.
    ///
    /// # Errors
    /// Nobody answers there, or the password is not accepted.
    pub(super) fn open(address: &Address) -> Result<Link, Fault> {
        let socket = connect(address).map_err(|error| {
            let message = format!("cannot connect to {address}: {error}; is a server running there?");
            Fault::new(FaultKind::Io, message)
        })?;
        let mut link =
            Link { address: address.clone(), socket: BufReader::with_capacity(READ_BYTES, socket) };
        if let Some(path) = &address.auth_file {
            let text =
                std::fs::read_to_string(path).map_err(|error| Fault::io("cannot read", path, &error))?;
            let login = text.lines().next().unwrap_or_default().replacen(':', " ", 1);
            link.send(format!("set auth 0 0 {}\r\n{login}\r\n", login.len()).as_bytes())?;
            let reply = link.line()?;
            if reply != b"STORED" {
                return Err(link.refusal(&reply));
            }
        }
        Ok(link)
    }

    /// Waits for lines as long as it takes: for a server that speaks when there is something to say.
    pub(super) fn wait_for_ever(&self) -> Result<(), Fault> {
        let result = match self.socket.get_ref() {
            Socket::Tcp(stream) => stream.set_read_timeout(None),
            Socket::Unix(stream) => stream.set_read_timeout(None),
            Socket::Tls(stream) => stream.socket().set_read_timeout(None),
        };
        result.map_err(|error| self.lost("setting a timeout", &error))
    }

    /// Sends all of it.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let result = match self.socket.get_mut() {
            Socket::Tcp(stream) => stream.write_all(bytes),
            Socket::Unix(stream) => stream.write_all(bytes),
            // A socket that blocks takes all of it, or fails.
            Socket::Tls(stream) => stream.write(bytes).map(|_| ()),
        };
        result.map_err(|error| self.lost("sending", &error))
    }

    /// The next line, without its end.
    pub(super) fn line(&mut self) -> Result<Vec<u8>, Fault> {
        let mut line = Vec::new();
        let limit = LINE_BYTES_MAX as u64;
        let read = (&mut self.socket).take(limit).read_until(b'\n', &mut line);
        read.map_err(|error| self.lost("waiting for a line", &error))?;
        if line.pop() != Some(b'\n') {
            return Err(self.lost("waiting for a line", &io::ErrorKind::UnexpectedEof.into()));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }

    /// Fills `buffer`.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Fault> {
        let read = self.socket.read_exact(buffer);
        read.map_err(|error| self.lost("reading", &error))
    }

    /// What to say about an answer that was not hoped for.
    pub(super) fn refusal(&self, reply: &[u8]) -> Fault {
        let text = String::from_utf8_lossy(reply);
        let hint = if reply.starts_with(b"ERROR") && reply.len() == 5 {
            "; it does not know the command"
        } else {
            ""
        };
        Fault::new(FaultKind::Unusable, format!("{} answers {text:?}{hint}", self.address))
    }

    fn lost(&self, action: &str, error: &io::Error) -> Fault {
        Fault::new(FaultKind::Io, format!("{}: {action}: {error}; the connection is lost", self.address))
    }
}

fn connect(address: &Address) -> io::Result<Socket> {
    if let Some(path) = &address.socket {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        return Ok(Socket::Unix(stream));
    }
    let server = address.server.as_deref().unwrap_or_default();
    let has_port =
        server.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let stream = if has_port {
        TcpStream::connect(server)?
    } else {
        TcpStream::connect(format!("{server}:{PORT_DEFAULT}"))?
    };
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let Some(tls) = &address.tls else { return Ok(Socket::Tcp(stream)) };
    let host = if has_port { server.rsplit_once(':').map_or(server, |(host, _)| host) } else { server };
    let secured = tls.over(stream, host.trim_matches(['[', ']']), PATIENCE)?;
    secured.socket().set_read_timeout(Some(PATIENCE))?;
    Ok(Socket::Tls(Box::new(secured)))
}
