//! A client over a plain socket, as simple as a telnet session.
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for a reply of a server that lives.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection. What goes wrong with it fails the test.
pub(crate) struct Client {
    replies: BufReader<TcpStream>,
}

impl Client {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { replies: BufReader::with_capacity(64 << 10, stream) }
    }

    /// The socket itself.
    pub(crate) fn socket(&self) -> &TcpStream {
        self.replies.get_ref()
    }

    /// Sends these bytes, all of them.
    pub(crate) fn send(&self, bytes: impl AsRef<[u8]>) {
        self.socket().write_all(bytes.as_ref()).unwrap();
    }

    /// The next line of the reply with its end; empty when the server has closed.
    pub(crate) fn line(&mut self) -> String {
        let mut bytes = Vec::new();
        match self.replies.read_until(b'\n', &mut bytes) {
            Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => String::new(),
            Err(error) => panic!("waiting for a reply: {error}"),
        }
    }

    /// Fills `bytes` with what comes next of the reply.
    pub(crate) fn read(&mut self, bytes: &mut [u8]) {
        self.replies.read_exact(bytes).unwrap();
    }

    /// Sends, and the first line of the reply without its end.
    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> String {
        self.send(request);
        self.line().trim_end().to_owned()
    }

    /// Sends, and the lines of the reply up to this one, which is among them; or the one line of an error.
    pub(crate) fn lines(&mut self, request: impl AsRef<[u8]>, last: &str) -> Vec<String> {
        self.send(request);
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            let is_over = line == last || line.is_empty() || line.contains("ERROR");
            lines.push(line);
            if is_over {
                return lines;
            }
        }
    }

    /// Stores a value; the reply.
    pub(crate) fn set(&mut self, key: &str, value: &[u8]) -> String {
        self.ask(set(key, 0, value))
    }

    /// Asks for these keys: what is there of them, in order.
    pub(crate) fn get(&mut self, keys: &[String]) -> Vec<(String, Vec<u8>)> {
        self.send(format!("get {}\r\n", keys.join(" ")));
        self.values()
    }

    /// The values of one reply up to its END.
    pub(crate) fn values(&mut self) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        loop {
            let line = self.line();
            if line == "END\r\n" {
                return found;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let ["VALUE", key, _, length] = words.as_slice() else { panic!("{line:?} instead of a value") };
            let mut value = vec![0; length.parse::<usize>().unwrap() + 2];
            self.replies.read_exact(&mut value).unwrap();
            assert_eq!(value.split_off(value.len() - 2), b"\r\n", "behind the value of {key}");
            found.push(((*key).to_owned(), value));
        }
    }

    /// The value of one key.
    pub(crate) fn value(&mut self, key: &str) -> Option<Vec<u8>> {
        self.get(&[key.to_owned()]).pop().map(|(_, value)| value)
    }

    /// A figure of `stats`.
    pub(crate) fn figure(&mut self, name: &str) -> u64 {
        self.figure_of("", name)
    }

    /// A figure of the `stats` of this topic.
    pub(crate) fn figure_of(&mut self, topic: &str, name: &str) -> u64 {
        self.send(format!("stats {topic}\r\n"));
        let mut found = None;
        loop {
            let line = self.line();
            match line.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["STAT", what, value] if *what == name => found = value.parse().ok(),
                ["STAT", ..] => {}
                _ => return found.unwrap_or_else(|| panic!("no figure {name} before {line:?}")),
            }
        }
    }
}

/// A set request.
pub(crate) fn set(key: &str, exptime: u32, value: &[u8]) -> Vec<u8> {
    let mut bytes = format!("set {key} 0 {exptime} {}\r\n", value.len()).into_bytes();
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(b"\r\n");
    bytes
}
