//! The map in memory.

use std::fmt::{self, Write};
use std::num::NonZeroU16;

use xxhash_rust::xxh3::xxh3_64;

use crate::base::limits::{ADDRESS_BYTES_MAX, SERVER_ID_MAX};
use crate::base::lsn::GroupId;
use crate::route::{Hash, Placement};

/// A server's number in its cluster: 1 to [`SERVER_ID_MAX`]. It is part of every version that the server stamps, so a
/// number is never given to another server; 0 is a server without a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(NonZeroU16);

impl ServerId {
    /// The id of this number, if it can be one.
    pub fn new(number: u64) -> Option<ServerId> {
        let number = u16::try_from(number).ok().filter(|number| *number <= SERVER_ID_MAX)?;
        NonZeroU16::new(number).map(ServerId)
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where a server is reached: a name or an IP address, and a port. Compared as text: nothing is looked up here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// Reads `host:port`; an IPv6 address stands in brackets: `[::1]:11211`. Letters of the host are made small.
    pub fn parse(text: &str) -> Option<Address> {
        let (host, port) = text.rsplit_once(':')?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse::<u16>().ok().filter(|port| digits && *port != 0)?;
        let named = match host.strip_prefix('[') {
            Some(inside) => inside.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().is_ok(),
            None => is_name(host),
        };
        let fits = text.len() <= ADDRESS_BYTES_MAX;
        (named && fits).then(|| Address { host: host.to_ascii_lowercase(), port })
    }

    /// The host, an IPv6 address in its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// A host name or an IPv4 address, as far as its letters tell.
fn is_name(host: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !host.is_empty() && host.bytes().all(letter)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// One server of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its number.
    pub id: ServerId,
    /// Where clients reach it.
    pub client: Address,
    /// Where other servers reach it.
    pub peer: Address,
    /// The part of the world that it shares its failures with; may be empty.
    pub zone: String,
    /// Its share of the groups beside the other servers' weights; 0 for one that is to be emptied.
    pub weight: u32,
}

/// Which server has which group. Valid by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    version: u64,
    cluster: String,
    placement: Placement,
    /// By rising id.
    servers: Vec<Server>,
    /// For every group the positions of its servers in `servers`, the one that coordinates first.
    members: Vec<Vec<u16>>,
    /// The same positions in the order that hash values count by.
    entrances: Vec<Vec<u16>>,
}

/// What a map is made of, checked by whoever reads it.
pub(super) struct Parts {
    pub(super) version: u64,
    pub(super) cluster: String,
    pub(super) placement: Placement,
    pub(super) servers: Vec<Server>,
    /// For every group its servers; all exist, none is empty.
    pub(super) members: Vec<Vec<ServerId>>,
}

impl Topology {
    /// Puts a map together.
    pub(super) fn assemble(parts: Parts) -> Topology {
        let Parts { version, cluster, placement, mut servers, members } = parts;
        servers.sort_by_key(|server| server.id);
        let place = |id: &ServerId| servers.binary_search_by_key(id, |server| server.id).ok();
        let places = |ids: &Vec<ServerId>| ids.iter().filter_map(place).map(|at| at as u16).collect();
        let members: Vec<Vec<u16>> = members.iter().map(places).collect();
        let entrances = members.iter().map(|group| entrances(placement.hash, group, &servers)).collect();
        Topology { version, cluster, placement, servers, members, entrances }
    }

    /// Rises with every change of the map.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The name that all its servers share.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The rule from key to group.
    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// The servers, by rising id.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The server of this id.
    pub fn server(&self, id: ServerId) -> Option<&Server> {
        let at = self.servers.binary_search_by_key(&id, |server| server.id).ok()?;
        self.servers.get(at)
    }

    /// All groups.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> + use<> {
        (0..self.placement.group_count.get()).map(GroupId)
    }

    /// The servers of a group in the order of the map; none for a group that does not exist.
    pub fn members(&self, group: GroupId) -> impl Iterator<Item = &Server> {
        let places = self.members.get(usize::from(group.0)).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|place| self.servers.get(usize::from(*place)))
    }

    /// The server that coordinates a group: the first of its servers. `None` for a group that does not exist.
    pub fn coordinator(&self, group: GroupId) -> Option<&Server> {
        self.members(group).next()
    }

    /// The server that a client enters a key's group by. `fastdht` counts the servers sorted by the text of their
    /// address and then by port, as FastDHT does; `larder` counts them in the order of the map.
    pub fn entrance(&self, key: &[u8]) -> Option<&Server> {
        let hash = self.placement.hash;
        let value = hash.value(self.placement.hash_tag.input(key));
        let group = hash.group(value, self.placement.group_count);
        let places = self.entrances.get(usize::from(group.0))?;
        let count = NonZeroU16::new(places.len() as u16)?;
        let place = places.get(usize::from(hash.server(value, count)))?;
        self.servers.get(usize::from(*place))
    }

    /// The map as a topology file, with a word of explanation.
    pub fn to_text(&self) -> String {
        format!(
            "# A proposal for the map of a Larder cluster; docs/placement.md explains every line.\n\
             # Raise the version with every change.\n{}",
            self.content()
        )
    }

    /// XXH3-64 of the content: equal for maps that say the same, however their files are written.
    pub fn checksum(&self) -> u64 {
        xxh3_64(self.content().as_bytes())
    }

    /// The map as a topology file in its one canonical form.
    pub(super) fn content(&self) -> String {
        let mut text = format!(
            "version = {}\ncluster = \"{}\"\ngroups = {}\nhash = \"{}\"\nhash-tag = \"{}\"\n",
            self.version,
            self.cluster,
            self.placement.group_count,
            self.placement.hash.name(),
            self.placement.hash_tag.name()
        );
        for server in &self.servers {
            let Server { id, client, peer, zone, weight } = server;
            let _ = write!(text, "\n[[server]]\nid = {id}\nclient = \"{client}\"\npeer = \"{peer}\"\n");
            let _ = write!(text, "zone = \"{zone}\"\nweight = {weight}\n");
        }
        for (first, last, servers) in self.ranges() {
            let groups = range_text(first, last);
            let servers: Vec<String> = servers.iter().map(ServerId::to_string).collect();
            let servers = servers.join(", ");
            let _ = write!(text, "\n[[range]]\ngroups = \"{groups}\"\nservers = [{servers}]\n");
        }
        text
    }

    /// The longest runs of groups that have the same servers: first, last, servers.
    pub fn ranges(&self) -> Vec<(GroupId, GroupId, Vec<ServerId>)> {
        let mut ranges: Vec<(GroupId, GroupId, Vec<ServerId>)> = Vec::new();
        for group in self.groups() {
            let servers: Vec<ServerId> = self.members(group).map(|server| server.id).collect();
            match ranges.last_mut() {
                Some((_, last, same)) if *same == servers => *last = group,
                _ => ranges.push((group, group, servers)),
            }
        }
        ranges
    }
}

/// The order in which a hash counts the servers of a group.
pub(super) fn entrances(hash: Hash, group: &[u16], servers: &[Server]) -> Vec<u16> {
    let mut places = group.to_vec();
    if hash == Hash::Fastdht {
        places.sort_by_key(|place| servers.get(usize::from(*place)).map(|server| &server.client));
    }
    places
}

/// A range of groups as the file writes it.
pub(super) fn range_text(first: GroupId, last: GroupId) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}
