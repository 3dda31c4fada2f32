//! Sessions that clients may resume, counted.

use std::sync::Arc;

use rustls::server::{ServerSessionMemoryCache, StoresServerSessions};

use super::certificates::count;
use crate::base::limits::TLS_SESSIONS_MAX;
use crate::base::tls::TlsCounts;

/// The sessions of one [`Acceptor`](super::Acceptor): new certificates begin without any.
#[derive(Debug)]
pub(super) struct Sessions {
    kept: Arc<ServerSessionMemoryCache>,
    counts: Option<Arc<TlsCounts>>,
}

impl Sessions {
    pub(super) fn new(counts: Option<Arc<TlsCounts>>) -> Arc<Sessions> {
        Arc::new(Sessions { kept: ServerSessionMemoryCache::new(TLS_SESSIONS_MAX), counts })
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        count(self.counts.as_ref(), |counts| &counts.new_sessions);
        self.kept.put(key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.kept.get(key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.kept.take(key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}
