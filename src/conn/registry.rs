//! The open connections and what passes through them, for `stats`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::watch::Watchers;
use crate::base::counters::Count;
use crate::base::tls::TlsCounts;

/// What is known of one connection or listener.
#[derive(Debug)]
pub struct Entry {
    /// Its address as `stats conns` writes it: `tcp:127.0.0.1:1234`, `udp:127.0.0.1:1234`, `unix:PATH`.
    pub address: String,
    /// The address that it came in by; `None` for a listener and for a UDP socket.
    pub listen_address: Option<Arc<str>>,
    /// Unix second of its last request; 0 for a listener.
    pub last_request_s: AtomicU32,
    /// Whether the rest of a value is still to come.
    pub awaits_value: AtomicBool,
}

impl Entry {
    /// Whether it is a socket that datagrams come to: memcached counts it as a connection.
    pub fn is_udp(&self) -> bool {
        self.address.starts_with("udp:")
    }
}

/// All open connections, by a number that is never given twice.
#[derive(Debug, Default)]
pub struct Registry {
    next: AtomicU64,
    entries: Mutex<BTreeMap<u64, Arc<Entry>>>,
    /// Those of them that watch events.
    pub watchers: Arc<Watchers>,
    /// Connections refused because there were too many.
    pub rejected: AtomicU64,
    /// Connections accepted since the start or the last reset.
    pub accepted: AtomicU64,
    /// What passed by TLS.
    pub tls: Arc<TlsCounts>,
}

impl Registry {
    /// One that shows these counts.
    pub fn counting(tls: Arc<TlsCounts>) -> Registry {
        Registry { tls, ..Registry::default() }
    }

    /// Enters a connection; its number and entry.
    pub fn enter(&self, address: String, listen_address: Option<Arc<str>>, now_s: u32) -> (u64, Arc<Entry>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let entry = Arc::new(Entry {
            address,
            listen_address,
            last_request_s: AtomicU32::new(now_s),
            awaits_value: AtomicBool::new(false),
        });
        self.entries.lock().insert(id, Arc::clone(&entry));
        (id, entry)
    }

    /// Takes a connection out.
    pub fn leave(&self, id: u64) {
        self.entries.lock().remove(&id);
    }

    /// How many clients are connected, and UDP sockets open; listeners do not count.
    pub fn clients(&self) -> usize {
        self.entries.lock().values().filter(|entry| entry.listen_address.is_some() || entry.is_udp()).count()
    }

    /// Visits all, in the order they came.
    pub fn visit(&self, mut visit: impl FnMut(u64, &Entry)) {
        for (id, entry) in self.entries.lock().iter() {
            visit(*id, entry);
        }
    }
}

/// What one worker has moved. Only that worker writes it, so that counting shares no cache line with another.
#[derive(Debug, Default)]
#[repr(align(128))]
#[allow(missing_docs)] // Each is the name in `stats`.
pub struct Traffic {
    pub bytes_read: Count,
    pub bytes_written: Count,
    pub conn_yields: Count,
    pub idle_kicks: Count,
}

impl Traffic {
    /// Begins counting anew.
    pub fn reset(&self) {
        for counter in [&self.bytes_read, &self.bytes_written, &self.conn_yields, &self.idle_kicks] {
            counter.reset();
        }
    }
}
