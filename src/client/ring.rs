//! Which server a key is asked of, and who is asked when that one is down.

use std::sync::Arc;

use super::endpoint::Endpoint;
use super::ketama::Ketama;
use super::key_hash::KeyHash;
use super::options::Options;
use super::schedule::Schedule;
use crate::route::topology::{Address, Topology};

/// Plain memcached servers that know nothing of each other.
#[derive(Clone, Debug)]
pub struct Memcached {
    /// The servers and their weights; the order matters to [`Distribution::Modula`], which takes no notice of weights.
    pub servers: Vec<(Address, u32)>,
    /// How keys are spread over them.
    pub distribution: Distribution,
    /// Whether the next server is asked for the keys of one that is down. They will not be there, and what is stored
    /// there meanwhile is lost to sight when it is up again.
    pub takeover: bool,
}

/// How keys are spread over plain memcached servers: as libmemcached does, exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// Consistent hashing by MD5 with weights (`MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED`): few keys move when a server is
    /// added.
    #[default]
    Ketama,
    /// The hash of the key modulo the number of servers: libmemcached's default.
    Modula(KeyHash),
}

/// The servers and the rule that spreads keys over them.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) endpoints: Vec<Arc<Endpoint>>,
    /// Whether another server may be asked.
    takeover: bool,
    pub(super) rule: Rule,
}

/// How a key finds its server.
#[derive(Debug)]
pub(super) enum Rule {
    /// The map of a Larder cluster, whose servers are the endpoints in the same order.
    Cluster(Topology),
    Ketama(Ketama),
    Modula(KeyHash),
}

impl Ring {
    /// The ring of a cluster; servers of `old` that have not moved are kept with their connections.
    pub(super) fn cluster(
        topology: Topology,
        options: &Options,
        schedule: &Arc<Schedule>,
        old: &[Arc<Endpoint>],
    ) -> Ring {
        let keep = |address: &Address| {
            let kept = old.iter().find(|endpoint| endpoint.address == *address).map(Arc::clone);
            kept.unwrap_or_else(|| Endpoint::new(address.clone(), options.clone(), Arc::clone(schedule)))
        };
        let endpoints = topology.servers().iter().map(|server| keep(&server.client)).collect();
        Ring { endpoints, takeover: true, rule: Rule::Cluster(topology) }
    }

    /// The ring of plain memcached servers.
    pub(super) fn memcached(memcached: &Memcached, options: &Options, schedule: &Arc<Schedule>) -> Ring {
        let servers = memcached.servers.iter().map(|(address, weight)| (address, *weight));
        let endpoint =
            |(address, _)| Endpoint::new(Address::clone(address), options.clone(), Arc::clone(schedule));
        let rule = match memcached.distribution {
            Distribution::Ketama => Rule::Ketama(Ketama::new(servers.clone())),
            Distribution::Modula(hash) => Rule::Modula(hash),
        };
        Ring { endpoints: servers.map(endpoint).collect(), takeover: memcached.takeover, rule }
    }

    /// Which endpoints are up now. One look serves all keys of a batch, or two operations on one key could go to two
    /// servers and change places.
    pub(super) fn up(&self) -> Vec<bool> {
        self.endpoints.iter().map(|endpoint| endpoint.is_up()).collect()
    }

    /// The server to ask for a key: its own, or, if that is down and others may be asked, the next that is up.
    /// `None` when there is no server.
    pub(super) fn choose(&self, key: &[u8], up: &[bool]) -> Option<usize> {
        let own = self.own(key)?;
        let is_up = |at: &usize| up.get(*at) == Some(&true);
        if !self.takeover || is_up(&own) {
            return Some(own);
        }
        let mut others = (1..up.len()).map(|step| (own + step) % up.len());
        Some(others.find(is_up).unwrap_or(own))
    }

    /// Whether a request that was not sent may go to another server.
    pub(super) fn may_take_over(&self) -> bool {
        self.takeover
    }

    /// The server that a key belongs to.
    pub(super) fn own(&self, key: &[u8]) -> Option<usize> {
        match &self.rule {
            Rule::Cluster(topology) => {
                let id = topology.entrance(key)?.id;
                topology.servers().binary_search_by_key(&id, |server| server.id).ok()
            }
            // One server has everything, whatever its weight.
            Rule::Ketama(_) if self.endpoints.len() == 1 => Some(0),
            Rule::Ketama(ketama) => ketama.server(key),
            Rule::Modula(hash) => (hash.hash(key) as usize).checked_rem(self.endpoints.len()),
        }
    }
}
