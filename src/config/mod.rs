//! The command line and the configuration file: raw text -> typed [`Config`].
//!
//! Owns: memcached's flags and Larder's own, their defaults, what they refuse and the words that say so; the
//! configuration file, which has the same flags (`file`).
//!
//! May import: base, tls, route.
//!
//! Invariants: two stages. `flags` knows what can be written and checks nothing; `resolve` turns it into types, once,
//! so that nobody behind it checks again. What the machine is like comes in as [`Machine`]: no environment, disk or
//! name is looked up here. Every refusal is one line that says what to write instead.
//!
//! Start reading at [`read`].

mod admin_port;
mod extended;
mod file;
mod flags;
mod listen;
mod number;
mod resolve;
#[cfg(test)]
mod tests;
mod tls;
mod workings;

use std::ffi::OsString;
use std::io;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

pub use admin_port::Admin;
pub use flags::{Flags, SERVE_EXAMPLES, VERSION_LINE};
pub use listen::{Listen, ListenAddr};
pub use tls::Tls;

use crate::base::space::{DiskLimit, OnFull};
use crate::route::topology::ServerId;
use crate::route::{Hash, HashTag};

/// What the server is to do, complete and valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where clients come in, and how many.
    pub network: Network,
    /// Memory for items.
    pub memory: Memory,
    /// What survives.
    pub keep: Keep,
    /// Where keys live.
    pub placement: PlacementChoice,
    /// The cluster that it is a server of; `None` alone.
    pub cluster: Option<ClusterChoice>,
    /// What clients may do.
    pub allow: Allow,
    /// Statistics by key prefix.
    pub prefixes: Prefixes,
    /// Where people look, if anywhere.
    pub admin: Option<Admin>,
    /// What of memcached's workings shows in answers.
    pub shown: Shown,
    /// The process itself.
    pub process: Process,
    /// What was accepted and has no effect, in words for the log.
    pub notes: Vec<String>,
}

/// Where clients come in, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// TCP addresses; empty for none. Port 0 takes a free one.
    pub listen: Vec<Listen>,
    /// UDP addresses; empty for none, which is the default. Port 0 takes a free one.
    pub datagrams: Vec<ListenAddr>,
    /// The unix socket; with one there is neither TCP nor UDP.
    pub unix_socket: Option<UnixSocket>,
    /// Connections that wait to be accepted.
    pub backlog: u32,
    /// Workers: at least one.
    pub threads: usize,
    /// Connections at a time: at least one.
    pub connections_max: usize,
    /// Requests that a connection may make in one turn: at least one.
    pub turn_requests: usize,
    /// A connection that is silent for so long is closed, seconds; `None` for never.
    pub idle_timeout_s: Option<u32>,
    /// The file that is told the ports in use.
    pub port_file: Option<PathBuf>,
    /// Certificates, and what they are for; `None` without TLS.
    pub tls: Option<Tls>,
}

/// A unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket {
    /// Its path: as written, since it may have only some 100 bytes; absolute for a daemon.
    pub path: PathBuf,
    /// Its permissions, at most 0o777.
    pub mode: u32,
}

/// Memory for items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// For all groups together, bytes.
    pub bytes: u64,
    /// The largest item, bytes; at most half of `bytes`.
    pub item_bytes_max: usize,
    /// Whether a full memory makes room (else it refuses). Matters only for [`Keep::Nothing`].
    pub evict: bool,
}

/// What survives the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Everything, in a data directory.
    Data(Data),
    /// Nothing: a plain memcached.
    Nothing,
}

/// Where and how well data is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The data directory, absolute.
    pub dir: PathBuf,
    /// How safe an acknowledged write is.
    pub fsync: Fsync,
    /// All segments of the log, bytes; `None` leaves it to the server.
    pub log_bytes: Option<u64>,
    /// What the data directory may take of the disk.
    pub disk_limit: DiskLimit,
    /// What happens to writes then.
    pub on_full: OnFull,
    /// Where segments of the log are copied before they are used again, absolute.
    pub archive: Option<PathBuf>,
}

/// How safe an acknowledged write is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// On the disk before the reply leaves.
    Always,
    /// On the disk a second later.
    #[default]
    EverySecond,
    /// On the disk when the kernel thinks fit.
    Never,
}

/// What was asked of placement: `None` takes what the data directory says, or the default for a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlacementChoice {
    /// Logical groups, at most `limits::GROUPS_MAX`.
    pub group_count: Option<NonZeroU16>,
    /// How keys are hashed.
    pub hash: Option<Hash>,
    /// What of a key is hashed.
    pub hash_tag: Option<HashTag>,
}

/// What was asked of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterChoice {
    /// The file that proposes a map, absolute.
    pub file: PathBuf,
    /// Which of its servers this is.
    pub server_id: ServerId,
    /// The file of the secret that the servers share, absolute.
    pub secret_file: PathBuf,
    /// The map says where clients come in: the command line does not.
    pub listens_by_map: bool,
}

/// What clients may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// `flush_all`.
    pub flush: bool,
    /// `shutdown`.
    pub shutdown: bool,
    /// `cas`: without it every cas is shown as 0.
    pub cas: bool,
    /// Listing keys.
    pub dump: bool,
    /// `watch`.
    pub watch: bool,
    /// The file of names and passwords, absolute; `None` asks for none.
    pub auth_file: Option<PathBuf>,
    /// Which protocols clients may speak.
    pub protocol: Protocol,
    /// Whether clients of the binary protocol authenticate, by SASL; then there is an `auth_file`.
    pub sasl: bool,
}

/// Which protocols clients may speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Whichever the first byte of a connection is of.
    #[default]
    Auto,
    /// Text.
    Ascii,
    /// Binary.
    Binary,
}

/// Statistics by key prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefixes {
    /// Ends a prefix.
    pub delimiter: u8,
    /// Whether they are counted from the start.
    pub counted: bool,
}

/// What `-o` says of workings that memcached has: they show in its answers, and so in ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// `lru_crawler`: whether keys are listed until a client says otherwise, and its figures.
    pub crawler: bool,
    /// `lru_maintainer`: its figures.
    pub maintainer: bool,
    /// `track_sizes`: whether `stats sizes` counts items by size.
    pub sizes: bool,
}

impl Default for Shown {
    fn default() -> Shown {
        Shown { crawler: true, maintainer: true, sizes: false }
    }
}

/// The process itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Leave the terminal.
    pub daemon: bool,
    /// Become this user.
    pub user: Option<String>,
    /// Write the process id there; absolute.
    pub pid_file: Option<PathBuf>,
    /// How much the log says: 0 to 3.
    pub verbosity: u8,
}

/// What of the machine matters here.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Cores that the process may use.
    pub cores: usize,
    /// What relative paths are relative to.
    pub working_dir: PathBuf,
    /// `MEMCACHED_PORT_FILENAME`.
    pub port_file: Option<PathBuf>,
    /// `MEMCACHED_SASL_PWDB`.
    pub sasl_file: Option<PathBuf>,
}

/// Why there is no server to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The text that was asked for (`-h`, `-V`): to standard output, exit 0.
    Answer(String),
    /// What is wrong and what to write instead, one line: to standard error, exit other than 0.
    Refusal(String),
}

/// Reads `[serve] FLAGS`: the words behind the program's name. `read_file` reads the configuration file, if `--config`
/// names one.
///
/// # Errors
/// A text that was asked for instead of a server, or what is wrong.
pub fn read_with(
    words: impl IntoIterator<Item = OsString>,
    machine: &Machine,
    read_file: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<Config, Stop> {
    let mut words = words.into_iter().peekable();
    words.next_if(|word| word == "serve");
    let flags = flags::parse(words, read_file)?;
    resolve::resolve(flags, machine).map_err(Stop::Refusal)
}

/// As [`read_with`], without a configuration file.
///
/// # Errors
/// As [`read_with`]; `--config` too.
pub fn read(words: impl IntoIterator<Item = OsString>, machine: &Machine) -> Result<Config, Stop> {
    read_with(words, machine, |_| Err(io::ErrorKind::Unsupported.into()))
}

/// What a verbosity (`-v`, or the command of that name) means for the log. Even 0 tells what an operator must know: how
/// the start went, and what is wrong.
pub fn log_level(verbosity: u32) -> log::LevelFilter {
    match verbosity {
        0 => log::LevelFilter::Info,
        1 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    }
}
