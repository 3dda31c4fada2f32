//! The map that a client goes by: fetched from the servers of a cluster, and replaced by one that may follow it.
//!
//! A map that is out of date makes requests slower and never wrong, since any server answers for any key. So nothing
//! waits for a newer one: calls go on by the map that they began with.

use std::sync::{Arc, PoisonError, RwLock};
use std::thread;

use super::endpoint::Endpoint;
use super::error::{Blame, Error, Invalid, Why};
use super::fanout::{Outcome, run_on_each};
use super::operation::{Action, Answer, Operation};
use super::options::Options;
use super::ring::{Ring, Rule};
use super::schedule::Schedule;
use crate::route::topology::{Address, Topology, read_shown};

/// What a client and whoever fetches its map share.
#[derive(Debug)]
pub(super) struct Following {
    present: RwLock<Present>,
    options: Options,
    /// Who is asked when no server of the map answers.
    seeds: Vec<Address>,
    schedule: Arc<Schedule>,
}

#[derive(Debug)]
struct Present {
    ring: Arc<Ring>,
    /// The client is gone: nothing follows any more.
    is_over: bool,
}

impl Following {
    /// Goes by this map from now on, and follows newer ones.
    pub(super) fn cluster(topology: Topology, seeds: &[Address], options: Options) -> Following {
        let schedule = Arc::new(Schedule::every(options.map_interval));
        let ring = Ring::cluster(topology, &options, &schedule, &[]);
        Following::over(ring, seeds, options, schedule)
    }

    /// Goes by this ring for ever.
    pub(super) fn fixed(ring: impl FnOnce(&Options, &Arc<Schedule>) -> Ring, options: Options) -> Following {
        let schedule = Arc::new(Schedule::every(None));
        Following::over(ring(&options, &schedule), &[], options, schedule)
    }

    fn over(ring: Ring, seeds: &[Address], options: Options, schedule: Arc<Schedule>) -> Following {
        let present = RwLock::new(Present { ring: Arc::new(ring), is_over: false });
        Following { present, options, seeds: seeds.to_vec(), schedule }
    }

    /// The servers and the rule in force.
    pub(super) fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.present.read().unwrap_or_else(PoisonError::into_inner).ring)
    }

    /// Puts a newer map of the same cluster in force; whether it is newer. Servers that stay keep their connections.
    ///
    /// # Errors
    /// Why this map may not follow.
    pub(super) fn take(&self, topology: Topology) -> Result<bool, String> {
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        let ring = Arc::clone(&present.ring);
        let Rule::Cluster(known) = &ring.rule else { return Err("these servers have no map".into()) };
        if !may_follow(known, &topology)? || present.is_over {
            return Ok(false);
        }
        let new = Ring::cluster(topology, &self.options, &self.schedule, &ring.endpoints);
        for endpoint in &ring.endpoints {
            if !new.endpoints.iter().any(|kept| Arc::ptr_eq(kept, endpoint)) {
                endpoint.retire();
            }
        }
        present.ring = Arc::new(new);
        Ok(true)
    }

    /// Has the map fetched if that is due. The caller does not wait for it.
    pub(super) fn keep_current(self: &Arc<Following>) {
        if !self.schedule.begin() {
            return;
        }
        let following = Arc::clone(self);
        let spawned = thread::Builder::new().name("larder-map".into()).spawn(move || following.renew());
        if spawned.is_err() {
            self.schedule.end();
        }
    }

    /// A server that refuses may do so because the map that led to it is out of date.
    pub(super) fn note(&self, outcomes: &[Outcome]) {
        let hints = |outcome: &Outcome| matches!(outcome, Err(Error::Refused { blame: Blame::Server, .. }));
        if outcomes.iter().any(hints) {
            self.schedule.hint();
        }
    }

    /// Nobody needs these servers any more.
    pub(super) fn end(&self) {
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        present.is_over = true;
        present.ring.endpoints.iter().for_each(|endpoint| endpoint.retire());
    }

    fn is_over(&self) -> bool {
        self.present.read().unwrap_or_else(PoisonError::into_inner).is_over
    }

    /// Fetches the map from the first server that has one, and takes it.
    fn renew(&self) {
        match self.fetch() {
            Ok(topology) => self.take_logged(topology),
            Err(_) if self.is_over() => {}
            Err(error) => log::warn!("no map of the cluster could be fetched: {error}"),
        }
        self.schedule.end();
    }

    fn take_logged(&self, topology: Topology) {
        let version = topology.version();
        match self.take(topology) {
            Ok(true) => log::info!("map version {version} is in force"),
            Ok(false) => {}
            Err(why) => log::warn!("map version {version} is not taken: {why}"),
        }
    }

    /// Asks the servers that are up, from any of them on; then the seeds, since all of the map's may have gone.
    fn fetch(&self) -> Result<Topology, Error> {
        let ring = self.ring();
        let count = ring.endpoints.len().max(1);
        let first = Schedule::any_of(count);
        let mut failure = Error::Invalid(Invalid::NoServer);
        for step in 0..count {
            let endpoint = ring.endpoints.get((first + step) % count);
            let is_wanted = |endpoint: &&Arc<Endpoint>| endpoint.is_up() && !self.is_over();
            let Some(endpoint) = endpoint.filter(is_wanted) else { continue };
            match ask(endpoint) {
                Ok(topology) => return Ok(topology),
                Err(error) => failure = error,
            }
        }
        if self.seeds.is_empty() || self.is_over() {
            Err(failure)
        } else {
            from_seeds(&self.seeds, &self.options)
        }
    }
}

/// The map of the first of these servers that has one.
///
/// # Errors
/// What the last of them said, or what was in the way.
pub(super) fn from_seeds(seeds: &[Address], options: &Options) -> Result<Topology, Error> {
    let mut failure = Error::Invalid(Invalid::NoServer);
    for seed in seeds {
        let endpoint = Endpoint::new(seed.clone(), options.clone(), Arc::new(Schedule::every(None)));
        let found = ask(&endpoint);
        endpoint.retire();
        match found {
            Ok(topology) => return Ok(topology),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Asks a server for its map.
fn ask(endpoint: &Arc<Endpoint>) -> Result<Topology, Error> {
    let asked = Operation { key: b"", action: Action::Map };
    let outcome = run_on_each(std::slice::from_ref(endpoint), &asked).pop();
    let Some(Answer::Server(lines)) = outcome.transpose()? else {
        return Err(Error::Invalid(Invalid::Answer));
    };
    let lines = lines.iter().map(|(_, line)| line.as_str());
    read_shown(lines)
        .map_err(|what| Error::Unknown { server: endpoint.address.clone(), why: Why::BadReply(what) })
}

/// Whether a map is newer than the present one, of whose cluster it must be.
fn may_follow(present: &Topology, next: &Topology) -> Result<bool, String> {
    let (is, was) = (next.version(), present.version());
    if next.cluster() != present.cluster() {
        return Err(format!("it is of cluster {}, and this is {}", next.cluster(), present.cluster()));
    }
    if next.placement() != present.placement() {
        return Err("it has another group count, hash or hash tag, which are fixed for ever".into());
    }
    if is < was {
        return Err(format!("it is older than version {was}, which is in force"));
    }
    Ok(is > was)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The map of this head with one server at this port, as a server shows it.
    fn shown(head: &str, port: u16) -> Topology {
        let server = format!("SERVER 1 client 127.0.0.1:{port} peer 127.0.0.1:2 up");
        let last = if head.contains("groups 17") { 16 } else { 15 };
        read_shown([head, &server, &format!("GROUPS 0-{last} servers 1")].into_iter()).unwrap()
    }

    #[test]
    fn a_map_that_may_not_follow_is_refused_and_the_old_one_stays_in_force() {
        let present = shown("CLUSTER shop version 5 groups 16 hash larder hash-tag braces", 1);
        let following = Following::cluster(present, &[], Options::default());
        let before = following.ring();
        let fixed = Err("it has another group count, hash or hash tag, which are fixed for ever".to_owned());
        for (head, expected) in [
            (
                "CLUSTER shop version 4 groups 16 hash larder hash-tag braces",
                Err("it is older than version 5, which is in force".to_owned()),
            ),
            (
                "CLUSTER shoe version 6 groups 16 hash larder hash-tag braces",
                Err("it is of cluster shoe, and this is shop".to_owned()),
            ),
            ("CLUSTER shop version 6 groups 17 hash larder hash-tag braces", fixed.clone()),
            ("CLUSTER shop version 6 groups 16 hash fastdht hash-tag braces", fixed.clone()),
            ("CLUSTER shop version 6 groups 16 hash larder hash-tag none", fixed),
            ("CLUSTER shop version 5 groups 16 hash larder hash-tag braces", Ok(false)),
        ] {
            assert_eq!(following.take(shown(head, 3)), expected, "{head}");
            assert!(Arc::ptr_eq(&following.ring(), &before), "{head}: the old map stays");
        }
        let next = "CLUSTER shop version 6 groups 16 hash larder hash-tag braces";
        assert_eq!(following.take(shown(next, 3)), Ok(true));
        assert_eq!(following.ring().endpoints[0].address.port(), 3, "one that may follow is in force");
    }
}
