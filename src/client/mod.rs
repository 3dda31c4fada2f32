//! The client library: blocking, shared by threads, for a Larder cluster, one Larder, or plain memcached servers.
//!
//! ```
//! # #[cfg(not(feature = "server"))]
//! # fn main() {}
//! # #[cfg(feature = "server")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::sync::Arc;
//! # let machine = larder::config::Machine { cores: 1, working_dir: std::env::temp_dir(), port_file: None, sasl_file: None };
//! # let words = ["--memory-only", "-p", "-1"];
//! # let config = larder::config::read(words.map(Into::into).into_iter(), &machine).map_err(|_| "no config")?;
//! # let clock = Arc::new(larder::server::SystemClock);
//! # let server = larder::server::Server::start(&config, clock, Arc::new(|| {}))?;
//! # let address = server.addresses()[0].to_string();
//! use larder::client::{Address, Client, Entry, MetaGet, Operation, Options, Stored};
//!
//! let server_address = Address::parse(&address).ok_or("not host:port")?;
//! let client = Client::single(server_address, Options::default());
//!
//! client.set("greeting", Entry::new("hello").expiring(60))?;
//! assert_eq!(client.get("greeting")?.map(|value| value.bytes), Some(b"hello".to_vec()));
//!
//! // Change a value that others change too.
//! let value = client.gets("greeting")?.ok_or("a miss")?;
//! let stored = client.cas("greeting", "good morning", value.cas.ok_or("no cas")?)?;
//! assert_eq!(stored, Stored::Stored);
//!
//! // Many at once: one pipeline a server, all servers at the same time.
//! let answers = client.run(&[Operation::set("n", "41"), Operation::incr("n", 1), Operation::delete("greeting")]);
//! assert!(answers.iter().all(Result::is_ok));
//! let values = client.get_many(&["n", "greeting"]);
//! assert_eq!(values[0].as_ref().map(|value| value.as_ref().map(|v| v.bytes.as_slice())), Ok(Some(&b"42"[..])));
//! assert_eq!(values[1], Ok(None));
//!
//! let facts = client.meta_get("n", MetaGet { ttl: true, size: true, ..MetaGet::default() })?;
//! assert_eq!((facts.ttl_s, facts.size), (Some(-1), Some(2)));
//! # server.stop()?;
//! # Ok(())
//! # }
//! ```
//!
//! # What an error means
//!
//! * [`Error::NotSent`]: nothing of the operation reached a server; it was not done.
//! * [`Error::Unknown`]: it was sent, at least in part, and not answered: it may have been done, or be done yet. **It is
//!   never sent again by the client.** A timeout is this, never "not stored". Who knows that doing it twice does no
//!   harm may do it again.
//! * [`Error::Refused`]: the server answered that it does not do this.
//! * [`Error::Invalid`]: the protocol has no words for it.
//!
//! # When something is sent again
//!
//! Only what was not sent. Before a kept connection is used, the socket is looked at: one that the server has closed,
//! or that holds bytes nobody asked for, is put away, and nothing was written to it. Should it close in the very moment
//! between, the first write fails with not one byte taken by the system: then too nothing was sent, and a new connection
//! takes its place, once. When the system took bytes and the connection broke before the answer, nobody can tell
//! whether the server read them: that is [`Error::Unknown`].
//!
//! # When a server fails
//!
//! A failed connect, or [`Options::failures_max`] broken or silent connections in a row, mark it down: requests for it
//! fail at once, as not sent, without paying the connect timeout; a thread probes it with growing pauses and finds it
//! up again. In a cluster the next server takes its place as entrance, since any server answers for any key. Plain
//! memcached servers stand in for each other only when asked to ([`Memcached::takeover`]).
//!
//! # When the map changes
//!
//! A client of a cluster follows its map by itself: it is fetched in the background, at an interval
//! ([`Options::map_interval`]) and soon after a server went down, came back or refused something. No thread waits for
//! that: a call that finds it due has one begun, and does not wait for it. Calls under way end by the map that they began
//! with; it makes them slower at worst, since any server answers for any key.
//!
//! # The room
//!
//! Owns: connections, the order of requests and answers on them, what is known of each server's health, and the map of a
//! cluster as it changes. The words
//! are [`proto`](crate::proto)'s and [`base`](crate::base)'s; placement is [`route`](crate::route)'s, and libmemcached's
//! for plain memcached servers.
//!
//! May import: base, proto, route, tls.
//!
//! Invariants: no operation is sent twice once a byte of it was sent; a connection on which anything is owed or left
//! over is never kept; nothing is allocated from a length that a server merely announced; of one server never more is
//! written without reading than its socket holds, so that two never wait for each other (`request.rs`, `Chunk::fill`).
//!
//! Start reading at [`Client`], then `fanout.rs`, then `connection.rs`.

#[allow(clippy::module_inception, reason = "the type that gives the room its name")]
mod client;
mod connection;
mod endpoint;
mod error;
mod fanout;
mod following;
mod ketama;
mod key_hash;
mod meta;
mod operation;
mod options;
mod reply;
mod request;
mod ring;
mod schedule;
#[cfg(test)]
mod tests;
mod tls;
mod wire;

pub use client::{Answers, Client, Facts, ServerState};
pub use error::{Blame, Error, Invalid, Why};
pub use key_hash::KeyHash;
pub use meta::{MetaAnswer, MetaArith, MetaDelete, MetaGet, MetaOutcome, MetaStore};
pub use operation::{Answer, Entry, Operation, Stored, Value};
pub use options::{Login, Options};
pub use ring::{Distribution, Memcached};
pub use tls::{OwnCertificate, Tls};

pub use crate::base::command::{Direction, StatsTopic, StoreMode};
pub use crate::base::time::Exptime;
pub use crate::route::topology::{Address, Topology};
