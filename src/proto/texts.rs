//! Every fixed answer, once, with its line end.

use crate::base::reply::Denial;

/// Done (administration).
pub const OK: &[u8] = b"OK\r\n";
/// Done (storage, authentication).
pub const STORED: &[u8] = b"STORED\r\n";
/// The condition of the storage command did not hold.
pub const NOT_STORED: &[u8] = b"NOT_STORED\r\n";
/// The cas did not match.
pub const EXISTS: &[u8] = b"EXISTS\r\n";
/// No such item, to a change.
pub const NOT_FOUND: &[u8] = b"NOT_FOUND\r\n";
/// Removed.
pub const DELETED: &[u8] = b"DELETED\r\n";
/// The deadline is changed.
pub const TOUCHED: &[u8] = b"TOUCHED\r\n";
/// The end of a read or of `stats`.
pub const END: &[u8] = b"END\r\n";
/// The counters are zero (`stats reset`).
pub const RESET: &[u8] = b"RESET\r\n";
/// The answer to `mn`.
pub const MN: &[u8] = b"MN\r\n";
/// A meta miss; also the end of `mgdump`.
pub const EN: &[u8] = b"EN\r\n";
/// The answer to `version`: the memcached release whose protocol is spoken here, so that clients that parse it know.
pub const VERSION: &[u8] = b"VERSION 1.6.45\r\n";

/// An unknown command.
pub const ERROR: &[u8] = b"ERROR\r\n";
/// A line that is not as its command wants it.
pub const BAD_LINE: &[u8] = b"CLIENT_ERROR bad command line format\r\n";
/// `stats cachedump` with too few words.
pub const BAD_STATS_LINE: &[u8] = b"CLIENT_ERROR bad command line\r\n";
/// `delete` with more than a zero and noreply.
pub const BAD_DELETE: &[u8] = b"CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n";
/// A value that does not end where it was said to.
pub const BAD_DATA: &[u8] = b"CLIENT_ERROR bad data chunk\r\n";
/// An exptime that is no number.
pub const BAD_EXPTIME: &[u8] = b"CLIENT_ERROR invalid exptime argument\r\n";
/// A delta that is no 64-bit number.
pub const BAD_DELTA: &[u8] = b"CLIENT_ERROR invalid numeric delta argument\r\n";

/// `-F`.
pub const FLUSH_OFF: &[u8] = b"CLIENT_ERROR flush_all not allowed\r\n";
/// Without `-A`.
pub const SHUTDOWN_OFF: &[u8] = b"SERVER_ERROR: shutdown not enabled\r\n";
/// `shutdown` with another word than `graceful`.
pub const BAD_SHUTDOWN: &[u8] = b"CLIENT_ERROR invalid shutdown mode\r\n";
/// `cache_memlimit` below its smallest.
pub const MEMLIMIT_SMALL: &[u8] = b"MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n";
/// `cache_memlimit` in bytes, as it seems.
pub const MEMLIMIT_LARGE: &[u8] = b"MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n";

/// A reply that is longer than datagrams carry.
pub const REPLY_TOO_LONG: &[u8] = b"SERVER_ERROR reply too long for UDP: ask over TCP\r\n";

/// `-X`.
pub const CACHEDUMP_OFF: &[u8] = b"CLIENT_ERROR stats cachedump not allowed\r\n";
/// `-X`.
pub const DETAIL_OFF: &[u8] = b"CLIENT_ERROR stats detail not allowed\r\n";
/// `stats detail` with another word.
pub const BAD_DETAIL: &[u8] = b"CLIENT_ERROR usage: stats detail on|off|dump\r\n";
/// `stats cachedump` of a slab class that cannot be.
pub const BAD_SLAB: &[u8] = b"CLIENT_ERROR Illegal slab id\r\n";
/// `-X`.
pub const METADUMP_OFF: &[u8] = b"ERROR metadump not allowed\r\n";
/// `-X`.
pub const MGDUMP_OFF: &[u8] = b"ERROR key dump not allowed\r\n";
/// A dump that was asked for behind other commands that are not answered yet.
pub const METADUMP_PIPELINED: &[u8] = b"ERROR cannot pipeline other commands before metadump\r\n";
/// The same of the other dump.
pub const MGDUMP_PIPELINED: &[u8] = b"ERROR cannot pipeline other commands before mgdump\r\n";
/// `-X`.
pub const BACKUP_OFF: &[u8] = b"CLIENT_ERROR backup not allowed\r\n";
/// A backup that was asked for behind other commands that are not answered yet.
pub const BACKUP_PIPELINED: &[u8] = b"ERROR cannot pipeline other commands before backup\r\n";
/// A backup of a server that keeps nothing.
pub const BACKUP_OF_NOTHING: &[u8] = b"SERVER_ERROR no backup with --memory-only\r\n";
/// A dump while `lru_crawler` is disabled.
pub const CRAWLER_OFF: &[u8] = b"CLIENT_ERROR lru crawler disabled\r\n";
/// `lru_crawler enable` while it is enabled.
pub const CRAWLER_ON: &[u8] = b"ERROR failed to start lru crawler thread\r\n";
/// A dump while others are under way.
pub const CRAWLER_BUSY: &[u8] = b"BUSY currently processing crawler request\r\n";
/// `-W`.
pub const WATCH_OFF: &[u8] = b"CLIENT_ERROR watch commands not allowed\r\n";
/// A watch that was asked for behind other commands that are not answered yet.
pub const WATCH_PIPELINED: &[u8] = b"ERROR cannot pipeline other commands before watch\r\n";
/// No room for another watcher.
pub const WATCH_FULL: &[u8] = b"WATCHER_TOO_MANY log watcher limit reached\r\n";

/// A slab class that cannot be.
pub const BAD_CLASSES: &[u8] = b"BADCLASS invalid src or dst class id\r\n";
/// There are no slab pages here to move.
pub const NO_SPARE: &[u8] = b"NOSPARE source class has no spare pages\r\n";
/// From a slab class to itself.
pub const SAME_CLASS: &[u8] = b"SAME src and dst class are identical\r\n";
/// `slabs automove window` out of its bounds.
pub const BAD_WINDOW: &[u8] = b"CLIENT_ERROR automove window too low or too high\r\n";
/// `lru_crawler crawl` of a slab class that cannot be.
pub const BAD_CLASS: &[u8] = b"BADCLASS invalid class id\r\n";
/// `lru_crawler sleep` above a second.
pub const SLEEP_LONG: &[u8] = b"CLIENT_ERROR sleep must be one second or less\r\n";
/// `lru tune` whose shares exceed the whole.
pub const LRU_SHARES: &[u8] = b"ERROR hot and warm pcts must not exceed 80\r\n";
/// `lru tune` with factors that are not positive.
pub const LRU_FACTORS: &[u8] = b"ERROR hot/warm age factors must be greater than 0\r\n";
/// `refresh_certs`.
pub const NO_TLS: &[u8] = b"Error TLS not enabled\r\n";

/// A meta command of too many words.
pub const META_LONG: &[u8] = b"CLIENT_ERROR options flags are too long\r\n";
/// A meta flag given twice.
pub const META_DUPLICATE: &[u8] = b"CLIENT_ERROR duplicate flag\r\n";
/// A meta flag that is not known.
pub const META_UNKNOWN: &[u8] = b"CLIENT_ERROR invalid flag\r\n";
/// What `ma` says to anything wrong with its key or flags.
pub const META_ARITH_FLAG: &[u8] = b"CLIENT_ERROR invalid or duplicate flag\r\n";
/// A number in a meta flag that is none.
pub const META_TOKEN: &[u8] = b"CLIENT_ERROR bad token in command line format\r\n";
/// Meta `J` outside `ma`.
pub const META_INITIAL: &[u8] = b"CLIENT_ERROR invalid numeric initial value\r\n";
/// Meta `D` outside `ma`.
pub const META_DELTA: &[u8] = b"CLIENT_ERROR invalid numeric delta value\r\n";
/// A key that was said to be base64 and is not.
pub const META_KEY: &[u8] = b"CLIENT_ERROR error decoding key\r\n";
/// Meta `O` over its limit.
pub const META_OPAQUE: &[u8] = b"CLIENT_ERROR opaque token too long\r\n";
/// `ms` with an `M` that is not known.
pub const META_STORE_MODE: &[u8] = b"CLIENT_ERROR invalid mode for ms M token\r\n";
/// `ma` with an `M` that is not known.
pub const META_ARITH_MODE: &[u8] = b"CLIENT_ERROR invalid mode for ma M token\r\n";

/// Anything but a password before authentication (`-Y`).
pub const UNAUTHENTICATED: &[u8] = b"CLIENT_ERROR unauthenticated\r\n";
/// The wrong name or password.
pub const AUTH_FAILURE: &[u8] = b"CLIENT_ERROR authentication failure\r\n";
/// A name and password over the limit.
pub const AUTH_LONG: &[u8] = b"CLIENT_ERROR auth token too long\r\n";
/// A payload that is not a name and a password.
pub const AUTH_FORMAT: &[u8] = b"CLIENT_ERROR bad authentication token format\r\n";
/// A payload that does not end where it was said to.
pub const AUTH_END: &[u8] = b"CLIENT_ERROR bad command line termination\r\n";

/// The answer to a connection above `-c`.
pub const TOO_MANY_CONNECTIONS: &[u8] = b"ERROR Too many open connections\r\n";

/// What has no text to ask another server with.
pub const NOT_FORWARDED: &[u8] = b"SERVER_ERROR this command cannot be asked of another server\r\n";
/// `keys` without a prefix, or with what is no limit.
pub const BAD_KEYS: &[u8] = b"CLIENT_ERROR usage: keys PREFIX [limit] [after]\r\n";
/// `cluster` with another word.
pub const BAD_CLUSTER: &[u8] = b"CLIENT_ERROR usage: cluster map|reload\r\n";
/// `config` with other words.
pub const BAD_CONFIG: &[u8] = b"CLIENT_ERROR usage: config get cluster\r\n";
/// `route` without a key.
pub const BAD_ROUTE: &[u8] = b"CLIENT_ERROR usage: route KEY\r\n";
/// `keys` of a prefix that names no object.
pub const KEYS_OF_NOTHING: &[u8] = b"CLIENT_ERROR keys lists one object: the prefix must hold its {name}\r\n";
/// `-X`.
pub const KEYS_OFF: &[u8] = b"CLIENT_ERROR keys not allowed\r\n";
/// What only servers of a cluster can say.
pub const NO_CLUSTER: &[u8] = b"CLIENT_ERROR no cluster: the server runs without --cluster\r\n";

/// Why a request was refused, in words.
pub fn denial(denial: Denial) -> &'static [u8] {
    match denial {
        Denial::TooLarge => b"SERVER_ERROR object too large for cache\r\n",
        Denial::OutOfMemory => b"SERVER_ERROR out of memory storing object\r\n",
        Denial::NonNumeric => b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
        Denial::DiskFull => b"SERVER_ERROR disk full\r\n",
        Denial::WritesStopped => b"SERVER_ERROR writes stopped after a failed log write, see the log\r\n",
        Denial::Damaged => b"SERVER_ERROR stored data of this group is damaged, see the log\r\n",
    }
}
