//! What can be written: every flag as raw text.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser};

use super::file::COUNT_MAX;
use super::{Stop, number};

/// The first line of `-V` and `-h`: some clients read the version of memcached from it.
pub const VERSION_LINE: &str = concat!("memcached 1.6.45 (larder ", env!("CARGO_PKG_VERSION"), ")");
/// The same without the name, which clap adds.
const VERSION: &str = concat!("1.6.45 (larder ", env!("CARGO_PKG_VERSION"), ")");
const HELP: &str = concat!(
    "memcached 1.6.45 (larder ",
    env!("CARGO_PKG_VERSION"),
    ")\n{about}\n\n{usage-heading} {usage}\n\n{all-args}{after-help}"
);

/// What `-i` prints.
const LICENSE: &str = concat!(
    "memcached 1.6.45 (larder ",
    env!("CARGO_PKG_VERSION"),
    ")\n\nLarder is free software. Use it under the MIT license or under the Apache License 2.0, whichever suits you.\n\
     Both are in its source, in LICENSE-MIT and LICENSE-APACHE. It comes without any warranty."
);

/// What else there is, at the end of `-h`: the tools have their own help.
const COMMANDS: &str = "\
Commands:
  serve        Serve: what larder does when no command is named, with the options above
  get          Read items
  set          Store a value
  touch        Give items a new time to live
  delete       Remove items
  incr         Count up or down, and print the number
  cat          Write a value to standard output, nothing but its bytes
  ls           List keys
  stats        Print a server's figures
  top          Watch a server's figures, each second anew
  watch        Print what happens on a server as it happens
  where        Tell where keys live: their group and servers
  cluster      Make, change and check the map of a cluster
  group        Move a group of a cluster from one stopped server to another, by file
  check        Verify the data directory of a stopped server, or a backup
  backup       Copy what a running server holds, consistent at one moment
  restore      Make a data directory of a backup
  dump         Write the items of a running server as text
  load         Read such text into a running server
  bench        Put a load on a running server and print what it does
  completions  Print the completions of a shell
  man          Print the manual page, or write those of all commands

`larder COMMAND --help` says more about each.";

/// What the manual page of `serve` shows.
pub const SERVE_EXAMPLES: &str = "\
Examples:
  larder -m 1024 --data-dir /var/lib/larder
  larder serve --config /etc/larder.toml -v
  larder --memory-only -l 127.0.0.1 -p 11212

Exit codes: 0 ended as asked, 2 usage, 3 refused or fault.";

/// The flags of `larder [serve]` as they were written. A flag that is given twice means what it said last.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "larder",
    display_name = "memcached",
    version = VERSION,
    about = "A memcached that remembers: it serves from 127.0.0.1:11211 and keeps its data in ./larder-data.",
    override_usage = "larder [serve] [OPTIONS]",
    help_template = HELP,
    after_help = COMMANDS,
    no_binary_name = true,
    args_override_self = true,
    allow_negative_numbers = true
)]
#[allow(missing_docs)] // Each is documented by the text that `-h` prints.
pub struct Flags {
    /// Take flags from this TOML file, by their long names; those on the command line win
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// TCP port; 0 for no TCP, -1 for any free port [default: 11211]
    #[arg(short, long, value_name = "NUM")]
    pub port: Option<String>,
    /// UDP port; 0 for no UDP, -1 for any free port [default: 0]
    #[arg(short = 'U', long, value_name = "NUM")]
    pub udp_port: Option<String>,
    /// Addresses to listen on: ip, name, ip:port, [ipv6]:port, * for all; several with commas or -l
    /// again [default: 127.0.0.1]
    #[arg(short, long, value_name = "ADDR")]
    pub listen: Vec<String>,
    /// Listen on this unix socket instead of TCP
    #[arg(short = 's', long, value_name = "FILE")]
    pub unix_socket: Option<PathBuf>,
    /// Permissions of the unix socket, octal [default: 700]
    #[arg(short = 'a', long, value_name = "MASK")]
    pub unix_mask: Option<String>,
    /// Connections waiting to be accepted [default: 1024]
    #[arg(short = 'b', long, value_name = "NUM")]
    pub listen_backlog: Option<String>,
    /// Connections at a time [default: 1024]
    #[arg(short, long, value_name = "NUM")]
    pub conn_limit: Option<String>,
    /// Worker threads [default: the number of cores, at most 4]
    #[arg(short, long, value_name = "NUM")]
    pub threads: Option<String>,
    /// Requests that one connection may make before others are served
    #[arg(short = 'R', long, value_name = "NUM")]
    pub max_reqs_per_event: Option<String>,

    /// Memory for items in megabytes [default: 64]; more data than that stays on disk
    #[arg(short, long, value_name = "NUM")]
    pub memory_limit: Option<String>,
    /// With --memory-only: refuse writes when the memory is full instead of losing old items
    #[arg(short = 'M', long)]
    pub disable_evictions: bool,
    /// The largest item: bytes, or with k, m [default: 1m]
    #[arg(short = 'I', long, value_name = "SIZE")]
    pub max_item_size: Option<String>,

    /// Where data is kept [default: ./larder-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Keep nothing: a plain memcached
    #[arg(long)]
    pub memory_only: bool,
    /// When acknowledged writes are synced: always (before the reply), everysec, never [default: everysec]
    #[arg(long, value_name = "LEVEL")]
    pub fsync: Option<String>,
    /// The size of the log: bytes, or with k, m, g
    #[arg(long, value_name = "SIZE")]
    pub log_size: Option<String>,
    /// The most that the data directory takes of the disk: a size, or a part of the file system [default: 90%]
    #[arg(long, value_name = "SIZE")]
    pub disk_limit: Option<String>,
    /// What happens to writes then: refuse, or evict what expires soonest and the coldest [default: refuse]
    #[arg(long, value_name = "WHAT")]
    pub on_full: Option<String>,
    /// Copy segments of the log to this directory before they are used again: for larder restore --archive
    #[arg(long, value_name = "DIR")]
    pub archive: Option<PathBuf>,
    /// Logical groups of a new data directory [default: 64]
    #[arg(long, value_name = "NUM")]
    pub groups: Option<String>,
    /// How a new data directory places keys: larder or fastdht [default: larder]
    #[arg(long, value_name = "NAME")]
    pub hash: Option<String>,
    /// Whether the text in {braces} stands for the whole key: braces or none [default: braces]
    #[arg(long, value_name = "NAME")]
    pub hash_tag: Option<String>,

    /// The map of the cluster that this is a server of (docs/cluster.md)
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    /// Which server of the map this is
    #[arg(long, value_name = "NUM")]
    pub server_id: Option<String>,
    /// The secret that the servers of the cluster share
    #[arg(long, value_name = "FILE")]
    pub peer_secret_file: Option<PathBuf>,
    /// Reach the other servers by TLS, with the certificates of -o ssl_..., each of them verified by ssl_ca_cert
    #[arg(long)]
    pub peer_tls: bool,
    /// Metrics, health and a page to look at over HTTP: port (on 127.0.0.1), ip:port, or -1 for any free port
    #[arg(long, value_name = "PORT")]
    pub admin_port: Option<String>,
    /// Listen on this address instead; others than loopback need a token
    #[arg(long, value_name = "IP")]
    pub admin_address: Option<String>,
    /// Ask for the token in the first line of this file (Authorization: Bearer TOKEN)
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,

    /// Refuse flush_all
    #[arg(short = 'F', long)]
    pub disable_flush_all: bool,
    /// Obey the shutdown command
    #[arg(short = 'A', long)]
    pub enable_shutdown: bool,
    /// Show every cas as 0
    #[arg(short = 'C', long)]
    pub disable_cas: bool,
    /// Refuse to list keys
    #[arg(short = 'X', long)]
    pub disable_dumping: bool,
    /// Refuse watch
    #[arg(short = 'W', long)]
    pub disable_watch: bool,
    /// Ask for a name and password out of this file of user:password lines
    #[arg(short = 'Y', long, value_name = "FILE")]
    pub auth_file: Option<PathBuf>,
    /// Ask clients of the binary protocol to authenticate by SASL PLAIN, with a user of -Y's file; without -Y the file is
    /// MEMCACHED_SASL_PWDB's, and nobody else is served
    #[arg(short = 'S', long)]
    pub enable_sasl: bool,
    /// Protocol: auto, ascii or binary
    #[arg(short = 'B', long, value_name = "NAME")]
    pub protocol: Option<String>,
    /// Serve clients by TLS: -o ssl_chain_cert=FILE,ssl_key=FILE names the certificate; -l notls:ADDR goes without,
    /// -l mtls:ADDR asks clients for theirs
    #[arg(short = 'Z', long)]
    pub enable_ssl: bool,
    /// Count by key prefix, which ends at this character
    #[arg(short = 'D', long, value_name = "CHAR", allow_hyphen_values = true)]
    pub delimiter: Option<String>,

    /// Run in the background
    #[arg(short, long)]
    pub daemon: bool,
    /// Become this user
    #[arg(short, long, value_name = "NAME")]
    pub user: Option<String>,
    /// Write the process id to this file
    #[arg(short = 'P', long, value_name = "FILE")]
    pub pidfile: Option<PathBuf>,
    /// Say more in the log; -vv and -vvv say still more
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Print the license
    #[arg(short = 'i', long)]
    pub license: bool,
    /// memcached's extended options, with commas: idle_timeout=SECONDS, track_sizes, no_lru_crawler,
    /// ssl_chain_cert=FILE and the others of TLS; those that mean nothing here are accepted
    #[arg(short = 'o', long, value_name = "LIST")]
    pub extended: Vec<String>,

    /// Accepted, no effect
    #[arg(short = 'k', long)]
    pub lock_memory: bool,
    /// Accepted, no effect
    #[arg(short = 'r', long)]
    pub enable_coredumps: bool,
    /// Accepted, no effect
    #[arg(short = 'L', long)]
    pub enable_largepages: bool,
    /// Accepted, no effect
    #[arg(short = 'f', long, value_name = "NUM")]
    pub slab_growth_factor: Option<String>,
    /// Accepted, no effect
    #[arg(short = 'n', long, value_name = "BYTES")]
    pub slab_min_size: Option<String>,
    /// Accepted, no effect
    #[arg(short = 'N', long, value_name = "NUM")]
    pub napi_ids: Option<String>,
    /// Accepted, no effect: data is kept in --data-dir
    #[arg(short = 'e', long, value_name = "FILE")]
    pub memory_file: Option<PathBuf>,
}

/// Words into flags, with those of a configuration file that `--config` names and `read` reads.
pub(super) fn parse(
    words: impl Iterator<Item = OsString>,
    read: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<Flags, Stop> {
    let words = words.map(counted).collect::<Result<Vec<_>, _>>().map_err(Stop::Refusal)?.concat();
    let command = Flags::command();
    let given = command.clone().try_get_matches_from(&words).map_err(|error| stop(&error))?;
    if given.get_flag("license") {
        return Err(Stop::Answer(LICENSE.into()));
    }
    let Some(path) = given.get_one::<PathBuf>("config") else {
        return Flags::from_arg_matches(&given).map_err(|error| stop(&error));
    };
    let text = read(path)
        .map_err(|error| Stop::Refusal(format!("--config {}: cannot be read: {error}", path.display())))?;
    let file = super::file::words(path, &text, &command, &given).map_err(Stop::Refusal)?;
    Flags::try_parse_from(file.into_iter().chain(words)).map_err(|error| stop(&error))
}

/// memcached takes `--verbose=2` too. Here it means what `verbose = 2` means in the file.
fn counted(word: OsString) -> Result<Vec<OsString>, String> {
    let Some(count) = word.to_str().and_then(|word| word.strip_prefix("--verbose=")) else {
        return Ok(vec![word]);
    };
    let count = number::within("--verbose", count, 0..=COUNT_MAX)?;
    Ok((0..count).map(|_| "--verbose".into()).collect())
}

fn stop(error: &clap::Error) -> Stop {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Stop::Answer(error.render().to_string()),
        _ => Stop::Refusal(in_one_line(error)),
    }
}

/// What clap refuses, in one line.
fn in_one_line(error: &clap::Error) -> String {
    let flag = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "an option",
    };
    match error.kind() {
        ErrorKind::UnknownArgument if flag.starts_with('-') => {
            format!("{flag}: no such option; `larder -h` lists them all")
        }
        ErrorKind::UnknownArgument => {
            format!("{flag}: no such command, and no option; `larder -h` lists them all")
        }
        ErrorKind::InvalidValue => format!("{flag}: the value is missing; write it behind the option"),
        ErrorKind::TooManyValues => format!("{flag}: takes no value; leave it out"),
        ErrorKind::InvalidUtf8 => {
            "the command line is not valid UTF-8; only file names may be in another encoding".into()
        }
        _ => format!("{flag}: cannot be understood; `larder -h` shows what can be written"),
    }
}
