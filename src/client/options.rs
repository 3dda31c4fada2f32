//! How patient a client is, and how much it keeps.

use std::fmt;
use std::time::Duration;

use super::tls::Tls;

/// Timeouts and bounds of a [`Client`](super::Client). Change what you need:
/// `Options { read_timeout: Duration::from_millis(200), ..Options::default() }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The longest wait for a connection. Resolving a name is the system's and not counted. 1 s.
    pub connect_timeout: Duration,
    /// The longest time in which a server takes nothing of a request. 1 s.
    pub write_timeout: Duration,
    /// The longest silence of a server that owes an answer. 1 s.
    pub read_timeout: Duration,
    /// The longest time for the answers to one round of requests, however steadily they drip in. 30 s.
    pub answer_timeout: Duration,
    /// Connections to one server that are kept when nobody uses them. As many more are open as threads are in a call.
    /// 16.
    pub idle_connections_max: usize,
    /// The longest value that is taken from a server, bytes. A longer one is a broken answer. 64 MiB.
    pub value_bytes_max: usize,
    /// So many requests in a row that ended in a timeout or a broken connection mark a server down. One failed
    /// connect does at once. 3.
    pub failures_max: u32,
    /// How long after it was marked down a server is probed first. 100 ms.
    pub probe_first: Duration,
    /// The wait between two probes doubles up to this. 10 s.
    pub probe_max: Duration,
    /// How often the map of a cluster is fetched, in the background, by a client that is used: about, and some time
    /// between half of this and one and a half. It is also fetched soon after a server went down, came back, or refused
    /// something. `None`: never, and [`Client::set_topology`](super::Client::set_topology) is all there is. 30 s.
    pub map_interval: Option<Duration>,
    /// What every connection says first, to servers that know users (`-Y`). Nothing.
    pub login: Option<Login>,
    /// TLS to all servers. None: bytes go over the network as they are.
    pub tls: Option<Tls>,
}

/// A name and a password. They go over the network as they are, unless there is TLS.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Without spaces.
    pub name: String,
    /// As the server's file has it.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connect_timeout: Duration::from_secs(1),
            write_timeout: Duration::from_secs(1),
            read_timeout: Duration::from_secs(1),
            answer_timeout: Duration::from_secs(30),
            idle_connections_max: 16,
            value_bytes_max: 64 * 1024 * 1024,
            failures_max: 3,
            probe_first: Duration::from_millis(100),
            probe_max: Duration::from_secs(10),
            map_interval: Some(Duration::from_secs(30)),
            login: None,
            tls: None,
        }
    }
}
