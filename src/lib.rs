//! Larder: a memcached that remembers. This page is the map; each room's `mod.rs` is its own.
//!
//! # The threads
//!
//! ```text
//!  listener --accepted sockets--> worker 0..N     each a mio loop: read, decode, execute, reply
//!                                    |   ^
//!                       append, write |   | woken when replies have become safe
//!                                    v   |
//!                                  log thread      writes and syncs; its pool thread keeps segments ready
//!                                                    and copies those that leave to the archive
//!  keeper   decides which group is checkpointed when, trims the log, raises the version ceiling, compacts files
//!  sweeper  removes what has expired or was flushed
//!  warmer   reads the stores into memory after a start, then ends
//!  readers  read rows that are not in memory ahead of the workers, while the disk is slow
//!  admin    answers HTTP: metrics, health, the page people look at; only with `--admin-port`
//! ```
//!
//! Any worker executes any group's command under that group's mutex; no request hops between threads.
//!
//! # The floors
//!
//! A room imports only rooms on lower floors, and rooms of one floor meet in the words of [`base`].
//! `protocol-tests/tidy` enforces it.
//!
//! | floor | rooms |
//! |---|---|
//! | 5 | `server` assembles: open, recover, spawn, join, stop; `tools`: the commands beside `serve` |
//! | 4 | `net`: sockets, of connections and of datagrams, and event loops, the only room that names mio and socket2; `admin`: HTTP for people and their tools, and what workers record for it |
//! | 3 | `dispatch`: what a request means over all groups: reads of many keys, flush_all, stats |
//! | 2 | `group`: one logical group, whole; `conn`: a connection without a socket; [`client`]: the client library; `config`: the command line of `serve` and its file; `backup`: the form of a backup; `peer`: what servers ask each other |
//! | 1 | [`proto`]: bytes and words; [`route`]: key to group to server; [`engine`]: what a command means; `hot`: the memory tier; `binlog`: the append-only truth; `store`: one redb file a group; [`tls`]: certificates, and a connection behind TLS, the only room that names rustls |
//! | 0 | [`base`]: the words: commands, replies, effects, items, versions, limits |
//!
//! # One `set`
//!
//! 1. `net/worker.rs`, `Worker::serve`: one read from the socket.
//! 2. `conn/connection.rs`, `Connection::turn`: finds whole requests; [`proto::decode`], or
//!    [`proto::binary::decode`], makes a [`Command`](base::command::Command).
//! 3. `dispatch/mod.rs`, `Dispatch::keyed`: [`route::Placement::group`] names the group.
//! 4. `group/group.rs`, `Group::submit`, under the group's lock: [`engine::execute`] says what it means, `Log::append`
//!    gives the change its LSN, [`proto::encode_reply`] writes the reply into the connection's outbox, `Hot::put`
//!    changes memory.
//! 5. `conn/outbox.rs`: the reply waits for that LSN.
//! 6. `net/worker.rs`, `Worker::turn` ends with `Log::write_pending`: one `write(2)` for all that the turn appended.
//!    Under `--fsync always` the log thread syncs, for all who wait at once, and wakes the workers.
//! 7. `Worker::let_go`: what has become safe leaves, one write a connection.
//! 8. Later, `group/checkpoint.rs`: the item goes to the group's redb file, and the log is trimmed.
//!
//! # One `get`
//!
//! 1. to 3. as above, but `dispatch/reads.rs`, `Dispatch::read`, goes from key to key. What many keys or requests will
//!    look at is fetched from memory before the first is looked up: `dispatch/prefetch.rs`.
//! 4. `Group::submit`: found in memory, the value is copied into the outbox (large ones by reference). Not in memory,
//!    and not everything is: the lock is let go, `Store::read` reads the snapshot, and the row is taken into memory if
//!    nothing has changed meanwhile. While such reads are slow, `group/readers.rs` does them and the request waits.
//! 5. If the item is newer than what the log can promise, the reply waits like that of the `set`; else it leaves in the
//!    same turn.

pub mod base;
pub mod client;
pub mod engine;
pub mod proto;
pub mod route;
#[cfg_attr(not(feature = "tls"), path = "tls/absent.rs")]
pub mod tls;

#[cfg(feature = "server")]
pub mod admin;
#[cfg(feature = "server")]
pub mod backup;
#[cfg(feature = "server")]
pub mod binlog;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod conn;
#[cfg(feature = "server")]
pub mod dispatch;
#[cfg(feature = "server")]
pub mod group;
#[cfg(feature = "server")]
pub mod hot;
#[cfg(feature = "server")]
pub mod net;
#[cfg(feature = "server")]
pub mod peer;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod tools;
