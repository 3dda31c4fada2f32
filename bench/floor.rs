//! The floor: what a mio server costs that parses nothing and stores nothing. It counts line ends to know how many
//! requests a read carried and answers each with the same bytes. One thread, edge triggered, one read and one write
//! per connection and turn; whatever a real server costs above this is its own work.

use clap::{Parser, ValueEnum};
use memchr::memchr_iter;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::Path;

const LISTENER: Token = Token(usize::MAX);
const READ_BYTES: usize = 64 * 1024;
const EVENTS: usize = 1_024;
/// Where the port is written, as memcached does it.
const PORT_FILE_VARIABLE: &str = "MEMCACHED_PORT_FILENAME";

/// Answers every request with the same reply, unread.
#[derive(Parser)]
struct Arguments {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// What every request is taken for
    #[arg(long, value_enum, default_value_t = Answer::Get)]
    answer: Answer,
    /// Length of the value that answers a get
    #[arg(long, default_value_t = 100)]
    value_bytes: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Answer {
    /// One line is a request; the reply is a value
    Get,
    /// Two lines are a request; the reply is STORED
    Set,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let mut listener = TcpListener::bind(([127, 0, 0, 1], arguments.port).into())?;
    let port = listener.local_addr()?.port();
    if let Some(path) = std::env::var_os(PORT_FILE_VARIABLE) {
        write_port(Path::new(&path), port)?;
    }
    eprintln!("listening on 127.0.0.1:{port}");
    serve(&mut listener, &Script::new(&arguments))
}

/// Written beside and renamed, so that a reader never sees half of it.
fn write_port(path: &Path, port: u16) -> io::Result<()> {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, format!("TCP INET: {port}\n"))?;
    std::fs::rename(draft, path)
}

/// What is answered to how many lines.
struct Script {
    lines_per_request: usize,
    reply: Vec<u8>,
}

impl Script {
    fn new(arguments: &Arguments) -> Self {
        match arguments.answer {
            Answer::Set => Self { lines_per_request: 2, reply: b"STORED\r\n".to_vec() },
            Answer::Get => {
                let mut reply =
                    format!("VALUE k-00000000000000 0 {}\r\n", arguments.value_bytes).into_bytes();
                reply.resize(reply.len() + arguments.value_bytes, b'v');
                reply.extend_from_slice(b"\r\nEND\r\n");
                Self { lines_per_request: 1, reply }
            }
        }
    }
}

fn serve(listener: &mut TcpListener, script: &Script) -> io::Result<()> {
    let mut poll = Poll::new()?;
    poll.registry().register(listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(EVENTS);
    let mut connections = HashMap::new();
    let mut scratch = vec![0; READ_BYTES];
    let mut next = 0;
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            let token = event.token();
            if token == LISTENER {
                accept(listener, &poll, &mut connections, &mut next)?;
            } else if let Some(connection) = connections.get_mut(&token)
                && connection.turn(script, &mut scratch).is_err()
            {
                connections.remove(&token);
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    poll: &Poll,
    connections: &mut HashMap<Token, Connection>,
    next: &mut usize,
) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        let token = Token(*next);
        *next += 1;
        poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        connections.insert(token, Connection { stream, lines: 0, outbox: Vec::new() });
    }
}

struct Connection {
    stream: TcpStream,
    /// Lines of a request that has not ended.
    lines: usize,
    outbox: Vec<u8>,
}

impl Connection {
    /// One read and one write; an error, also the peer's close, ends the connection.
    fn turn(&mut self, script: &Script, scratch: &mut [u8]) -> io::Result<()> {
        loop {
            let count = match self.stream.read(scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            self.lines += memchr_iter(b'\n', &scratch[..count]).count();
            for _ in 0..self.lines / script.lines_per_request {
                self.outbox.extend_from_slice(&script.reply);
            }
            self.lines %= script.lines_per_request;
            self.flush()?;
            // A full buffer may have left bytes behind, and the edge will not come again.
            if count < scratch.len() {
                return Ok(());
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        match self.stream.write(&self.outbox) {
            Ok(count) if count == self.outbox.len() => self.outbox.clear(),
            Ok(count) => drop(self.outbox.drain(..count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
