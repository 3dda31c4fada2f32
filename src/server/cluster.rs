//! The map of the cluster: read at the start and on demand, judged, kept in the data directory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::certificates::Certificates;
use super::patience::patiently;
use crate::base::fault::{Fault, FaultKind};
use crate::base::limits::TOPOLOGY_BYTES_MAX;
use crate::base::lsn::GroupId;
use crate::config::{self, Config, Keep, Listen, ListenAddr, Tls};
use crate::dispatch::cluster::{Cluster, MapSource};
use crate::group::Group;
use crate::net::{Bound, door::NameOf};
use crate::peer::{Facts, Roster, Secret};
use crate::route::topology::{self, Address, Holdings, Proposal, ServerId, Topology, Verdict};
use crate::store::Transfers;
use crate::store::directory::MAP_FILE;

/// The map in force while it is written.
const MAP_UNPUBLISHED: &str = "cluster.map.new";

/// What was read before anything is opened.
pub(super) struct Plan {
    own: ServerId,
    secret: Secret,
    in_force: Option<Topology>,
    /// What is proposed, or why it cannot be read.
    proposal: Result<Proposal, String>,
    source: MapFile,
}

/// The file that proposes maps, and where the one in force is kept.
#[derive(Clone, Debug)]
struct MapFile {
    path: PathBuf,
    own: ServerId,
    /// `None` keeps it in memory only (`--memory-only`).
    kept: Option<PathBuf>,
    /// Which groups came or went by file; known once the data directory is open, and the same while it is.
    transfers: Transfers,
}

impl Plan {
    /// Reads what `--cluster` and its companions name.
    pub(super) fn read(config: &Config) -> Result<Option<Plan>, Fault> {
        let Some(wanted) = &config.cluster else { return Ok(None) };
        let own = wanted.server_id;
        let kept = match &config.keep {
            Keep::Data(data) => Some(data.dir.clone()),
            Keep::Nothing => None,
        };
        let source = MapFile { path: wanted.file.clone(), own, kept, transfers: Transfers::default() };
        let in_force = source.read_kept()?;
        let proposal = source.read_proposal();
        if let (None, Err(why)) = (&in_force, &proposal) {
            return Err(Fault::new(FaultKind::Unusable, why.clone()));
        }
        Ok(Some(Plan { own, secret: secret(&wanted.secret_file)?, in_force, proposal, source }))
    }

    /// The map that decides how keys are placed: what is fixed is the same in both.
    fn map(&self) -> Option<&Topology> {
        self.in_force.as_ref().or(self.proposal.as_ref().ok().map(|proposal| &proposal.topology))
    }

    /// What the map fixes for the data directory, and the address for clients when the command line names none.
    pub(super) fn fit(&self, config: &Config) -> Result<Config, Fault> {
        let mut config = config.clone();
        let Some(map) = self.map() else { return Ok(config) };
        let placement = map.placement();
        let choice = &mut config.placement;
        refuse_other("--groups", choice.group_count, placement.group_count)?;
        refuse_other("--hash", choice.hash.map(|hash| hash.name()), placement.hash.name())?;
        refuse_other("--hash-tag", choice.hash_tag.map(|tag| tag.name()), placement.hash_tag.name())?;
        choice.group_count = Some(placement.group_count);
        choice.hash = Some(placement.hash);
        choice.hash_tag = Some(placement.hash_tag);
        let listens_by_map = config.cluster.as_ref().is_some_and(|cluster| cluster.listens_by_map);
        if let Some(server) = map.server(self.own).filter(|_| listens_by_map) {
            let host = server.client.host().trim_matches(['[', ']']).to_owned();
            let address = ListenAddr::Name { host, port: server.client.port() };
            let tls = config.network.tls.as_ref().and_then(Tls::for_clients);
            config.network.listen = vec![Listen { address, tls }];
        }
        Ok(config)
    }

    /// Judges the proposal with what is stored here, and puts the outcome in force.
    pub(super) fn decide(self, groups: &[Group], transfers: Transfers) -> Result<Arc<Cluster>, Fault> {
        let Plan { own, secret, in_force, proposal, source } = self;
        let source = MapFile { transfers, ..source };
        let judged = proposal.and_then(|proposal| source.judge(&proposal, in_force.as_ref(), groups));
        let map = match (judged, in_force) {
            (Ok(new), _) => {
                source.keep(&new)?;
                new
            }
            (Err(why), None) => return Err(Fault::new(FaultKind::Unusable, why)),
            (Err(why), Some(old)) => {
                log::error!("map version {} stays in force: {why}", old.version());
                source.refuse_carried(&old).map_err(|why| Fault::new(FaultKind::Mismatch, why))?;
                old
            }
        };
        let addresses = addresses(&map, own);
        let roster = Roster::new(secret, Facts::of(&map, own), addresses, seed()?);
        log::info!(
            "server {own} of cluster {}: map version {}, {} servers, {} of {} groups are here",
            map.cluster(),
            map.version(),
            map.servers().len(),
            map.groups()
                .filter(|group| map.coordinator(*group).is_some_and(|server| server.id == own))
                .count(),
            map.groups().count()
        );
        let cluster = Cluster::new(map, own, Arc::new(roster), Box::new(source));
        cluster.fence(groups);
        Ok(Arc::new(cluster))
    }
}

/// Binds the address for other servers.
pub(super) fn bind(
    cluster: &Cluster,
    backlog: u32,
    certificates: Option<&Arc<Certificates>>,
) -> Result<Vec<Bound>, Fault> {
    let map = cluster.map();
    let Some(server) = map.server(cluster.own) else { return Ok(Vec::new()) };
    let found = resolve(&server.peer).map_err(|why| {
        Fault::new(FaultKind::Unusable, format!("server {}: peer address {}: {why}", server.id, server.peer))
    })?;
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    let door = certificates.and_then(|certificates| certificates.peer_door.as_ref());
    Ok(match patiently(|| Bound::tcp(found, backlog, door))? {
        Bound::Tcp(listener, address, door) => vec![Bound::Peer(listener, address, door)],
        _ => Vec::new(),
    })
}

/// What a server's certificate must name: the host or IP address of its peer address in the map in force.
pub(super) fn name_of(cluster: &Arc<Cluster>) -> NameOf {
    let cluster = Arc::clone(cluster);
    Box::new(move |number| {
        let map = cluster.map();
        let server = map.server(ServerId::new(number.into())?)?;
        Some(server.peer.host().trim_matches(['[', ']']).to_owned())
    })
}

impl MapFile {
    fn read_kept(&self) -> Result<Option<Topology>, Fault> {
        let Some(path) = self.kept.as_ref().map(|dir| dir.join(MAP_FILE)) else { return Ok(None) };
        match std::fs::read(&path) {
            Ok(bytes) => topology::restore(&bytes).map(Some).map_err(|damage| {
                let remedy = "restore it from a backup, or remove it to take the proposal as a first map";
                Fault::new(FaultKind::Corrupt, format!("the map in force is {damage}; {remedy}")).at(&path)
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::io("cannot read the map in force", &path, &error)),
        }
    }

    /// Reads the file.
    fn read_proposal(&self) -> Result<Proposal, String> {
        let path = self.path.display();
        let mut text = String::new();
        File::open(&self.path)
            .and_then(|file| file.take(TOPOLOGY_BYTES_MAX as u64 + 1).read_to_string(&mut text))
            .map_err(|error| format!("cannot read {path}: {error}"))?;
        let proposal = topology::read(&text).map_err(|refusals| self.named(&refusals))?;
        if proposal.topology.server(self.own).is_none() {
            return Err(format!("{path}: there is no server {}; write it, or another --server-id", self.own));
        }
        Ok(proposal)
    }

    /// Whether the proposal may follow, as far as this server's data is concerned.
    fn judge(
        &self,
        proposal: &Proposal,
        in_force: Option<&Topology>,
        groups: &[Group],
    ) -> Result<Topology, String> {
        self.refuse_carried(&proposal.topology)?;
        let has_data = |group: &&Group| group.has_items() || self.transfers.holds(group.id);
        let groups: BTreeSet<GroupId> = groups.iter().filter(has_data).map(|group| group.id).collect();
        let held = Holdings { server: self.own, groups: &groups };
        match proposal.judge(in_force, Some(held)) {
            Ok(Verdict::Same | Verdict::Newer { .. }) => Ok(proposal.topology.clone()),
            Err(refusals) => Err(self.named(&refusals)),
        }
    }

    /// Refuses a map by which this server has a group that was carried elsewhere, or another cluster's.
    fn refuse_carried(&self, map: &Topology) -> Result<(), String> {
        let path = self.path.display();
        let cluster = self.transfers.cluster();
        if !cluster.is_empty() && cluster != map.cluster() {
            return Err(format!(
                "{path}: groups of cluster {cluster} are here: write cluster = \"{cluster}\""
            ));
        }
        let is_own = |group: &GroupId| map.coordinator(*group).is_some_and(|server| server.id == self.own);
        let refusal = map.groups().filter(is_own).find_map(|group| self.transfers.refusal(group));
        refusal.map_or(Ok(()), |why| Err(format!("{path}: {why}")))
    }

    fn named(&self, refusals: &[topology::Refusal]) -> String {
        let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        format!("{}: {}", self.path.display(), lines.join("; "))
    }

    /// Writes the map in force: whole or not at all.
    fn keep(&self, map: &Topology) -> Result<(), Fault> {
        let Some(dir) = &self.kept else { return Ok(()) };
        let draft = dir.join(MAP_UNPUBLISHED);
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&draft)?;
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
            file.write_all(&topology::store(map))?;
            file.sync_all()?;
            std::fs::rename(&draft, dir.join(MAP_FILE))?;
            File::open(dir)?.sync_all()
        };
        write().map_err(|error| Fault::io("cannot keep the map in force", dir, &error))
    }
}

impl MapSource for MapFile {
    fn renew(&self, cluster: &Cluster, groups: &[Group]) -> Result<String, String> {
        let in_force = cluster.map();
        let proposal = self.read_proposal()?;
        if proposal.topology == *in_force {
            return Ok(format!("map version {} is in force already", in_force.version()));
        }
        cluster.fence_leaving(groups, &proposal.topology);
        let map = self.judge(&proposal, Some(&in_force), groups)?;
        self.keep(&map).map_err(|fault| fault.to_string())?;
        let version = map.version();
        cluster.roster.renew(Facts::of(&map, self.own), addresses(&map, self.own));
        cluster.put_in_force(map);
        Ok(format!("map version {version} is in force"))
    }

    fn in_transit(&self) -> Option<GroupId> {
        self.transfers.in_transit()
    }
}

/// Where the other servers are. One whose name says nothing counts as down until the map is read again.
fn addresses(map: &Topology, own: ServerId) -> Vec<(u16, SocketAddr)> {
    let others = map.servers().iter().filter(|server| server.id != own);
    others
        .filter_map(|server| match resolve(&server.peer) {
            Ok(address) => Some((server.id.get(), address)),
            Err(why) => {
                log::warn!("server {} at {}: {why}", server.id, server.peer);
                None
            }
        })
        .collect()
}

fn resolve(address: &Address) -> Result<SocketAddr, String> {
    let mut found = address.to_string().to_socket_addrs().map_err(|error| error.to_string())?;
    found.next().ok_or_else(|| "the name has no address".into())
}

fn secret(path: &Path) -> Result<Secret, Fault> {
    let content =
        std::fs::read(path).map_err(|error| Fault::io("cannot read the peers' secret", path, &error))?;
    let mode = std::fs::metadata(path).map_or(0, |facts| facts.permissions().mode());
    if mode & 0o077 != 0 {
        log::warn!(
            "{}: others than its owner may use this file; `chmod 600` keeps it secret",
            path.display()
        );
    }
    Secret::read(&content).map_err(|why| Fault::new(FaultKind::Unusable, why).at(path))
}

/// Random bytes of the system.
fn seed() -> Result<[u8; 32], Fault> {
    let path = Path::new("/dev/urandom");
    let mut seed = [0; 32];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut seed))
        .map_err(|error| Fault::io("cannot read random bytes", path, &error))?;
    Ok(seed)
}

fn refuse_other<T: PartialEq + std::fmt::Display>(flag: &str, given: Option<T>, map: T) -> Result<(), Fault> {
    match given.filter(|given| *given != map) {
        Some(given) => {
            let message = format!("{flag} {given}: the map of the cluster says {map}; leave {flag} out");
            Err(Fault::new(FaultKind::Mismatch, message))
        }
        None => Ok(()),
    }
}

/// What the data directory is asked to be.
pub(super) fn server_number(config: &Config) -> Option<u16> {
    config.cluster.as_ref().map(|cluster: &config::ClusterChoice| cluster.server_id.get())
}
