//! What `larder cluster` and `larder where` say: text in, text out.

use std::fmt::Write;

use super::change::{Move, Verdict, moves};
use super::file::{Proposal, read};
use super::map::{Parts, Server, ServerId, Topology, range_text};
use super::plan::assign;
use super::refusal::Refusal;
use crate::base::lsn::GroupId;
use crate::route::{Hash, HashTag};

/// What a new map is asked to be.
#[derive(Clone, Debug)]
pub struct Init<'a> {
    /// The name of the cluster.
    pub cluster: &'a str,
    /// Logical groups.
    pub groups: u16,
    /// How keys are hashed.
    pub hash: Hash,
    /// What of a key is hashed.
    pub hash_tag: HashTag,
    /// The servers, each as `id=1,client=host:port,peer=host:port[,zone=name][,weight=number]`.
    pub servers: &'a [&'a str],
}

/// A planned map.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The topology file to propose.
    pub text: String,
    /// What it moves, for people.
    pub report: String,
    /// What it moves.
    pub moves: Vec<Move>,
}

/// The topology file for given servers: the groups are shared by weight, each server's in one range.
///
/// # Errors
/// Whatever [`read`] refuses of them.
pub fn init(init: &Init<'_>) -> Result<String, Vec<Refusal>> {
    let first = init.servers.first().copied().unwrap_or_default();
    let Init { cluster, groups, .. } = init;
    let (hash, hash_tag) = (init.hash.name(), init.hash_tag.name());
    let mut text = format!("version = 1\ncluster = {}\ngroups = {groups}\n", quoted(cluster));
    let _ = writeln!(text, "hash = \"{hash}\"\nhash-tag = \"{hash_tag}\"");
    for server in init.servers {
        text.push_str(&server_text(server)?);
    }
    // Whoever is first has everything until the plan shares it.
    let last = groups.saturating_sub(1);
    let id = entry(first, "id").unwrap_or_default();
    let _ = write!(text, "[[range]]\ngroups = \"0-{last}\"\nservers = [{id}]\n");
    let topology = read_written(&text)?.topology;
    let shared = reassign(&topology, topology.servers().to_vec(), None, topology.version())?;
    Ok(shared.to_text())
}

/// The next version of a map: with these servers added and removed, or with the weights that it has. A server that is
/// to be emptied before it is removed gets weight 0 in the file.
///
/// # Errors
/// A file that is refused, a server that cannot be added or is not there.
pub fn plan(text: &str, add: &[&str], remove: &[ServerId]) -> Result<Planned, Vec<Refusal>> {
    let old = read(text)?.topology;
    let mut wider = old.content();
    for server in add {
        wider.push_str(&server_text(server)?);
    }
    let mut servers = read_written(&wider)?.topology.servers().to_vec();
    if let Some(id) = remove.iter().find(|id| old.server(**id).is_none()) {
        return Err(vec![Refusal::whole(
            format!("there is no server {id}"),
            format!("name one of {}", ids(&old)),
        )]);
    }
    servers.retain(|server| !remove.contains(&server.id));
    let new = reassign(&old, servers, Some(&old), old.version().saturating_add(1))?;
    let moves = moves(&old, &new);
    Ok(Planned { text: new.to_text(), report: report(&old, &new, &moves), moves })
}

/// What a file says, when nothing is wrong with it.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(text: &str) -> Result<String, Vec<Refusal>> {
    read(text).map(|proposal| summary(&proposal.topology))
}

/// What a file would change, when it may follow the map of another.
///
/// # Errors
/// Everything that is wrong with it or speaks against it.
pub fn check_change(in_force: &str, proposed: &str) -> Result<String, Vec<Refusal>> {
    let (old, proposal) = (read(in_force)?.topology, read(proposed)?);
    Ok(match proposal.judge(Some(&old), None)? {
        Verdict::Same => format!("{}nothing changes\n", summary(&proposal.topology)),
        Verdict::Newer { moves } => {
            format!("{}{}", summary(&proposal.topology), report(&old, &proposal.topology, &moves))
        }
    })
}

/// The way from a key (its decoded bytes) to its server.
///
/// # Errors
/// A file that is refused.
pub fn locate(text: &str, key: &[u8]) -> Result<String, Vec<Refusal>> {
    let topology = read(text)?.topology;
    let placement = topology.placement();
    let found = placement.explain(key);
    let mut said = format!(
        "key     {}\nhashed  {}\nhash    {} {:016x}\ngroup   {} of {}\n",
        key.escape_ascii(),
        found.input.escape_ascii(),
        placement.hash.name(),
        found.hash,
        found.group,
        placement.group_count
    );
    let entrance = topology.entrance(key).map(|server| server.id);
    for server in topology.members(found.group) {
        let enters = if Some(server.id) == entrance { " (clients enter here)" } else { "" };
        let _ = writeln!(said, "server  {} {}{enters}", server.id, server.client);
    }
    Ok(said)
}

/// The same map with other servers, its groups shared among them.
fn reassign(
    topology: &Topology,
    servers: Vec<Server>,
    old: Option<&Topology>,
    version: u64,
) -> Result<Topology, Vec<Refusal>> {
    let placement = topology.placement();
    let Some(owners) = assign(&servers, placement.group_count.get(), old) else {
        return Err(vec![Refusal::whole("no server has a weight", "give one of them weight = 1")]);
    };
    let members = owners.into_iter().map(|id| vec![id]).collect();
    let cluster = topology.cluster().to_owned();
    Ok(Topology::assemble(Parts { version, cluster, placement, servers, members }))
}

/// Reads what was written here: its lines are nobody's, so refusals name none.
fn read_written(text: &str) -> Result<Proposal, Vec<Refusal>> {
    let without_line = |refusal: Refusal| Refusal { line: None, ..refusal };
    read(text).map_err(|refusals| refusals.into_iter().map(without_line).collect())
}

/// A server's table, from `id=1,client=...`.
fn server_text(server: &str) -> Result<String, Vec<Refusal>> {
    let mut text = String::from("\n[[server]]\n");
    for entry in server.split(',') {
        let refusal = || {
            let reason = format!("`{}` in a server is not understood", entry.escape_debug());
            let example = "id=1,client=10.0.0.1:11211,peer=10.0.0.1:11311,zone=east,weight=1";
            vec![Refusal::whole(reason, format!("write {example}"))]
        };
        let (key, value) = entry.split_once('=').ok_or_else(refusal)?;
        let _ = match key {
            "id" | "weight" if is_digits(value) => writeln!(text, "{key} = {value}"),
            "client" | "peer" | "zone" => writeln!(text, "{key} = {}", quoted(value)),
            _ => return Err(refusal()),
        };
    }
    Ok(text)
}

fn is_digits(value: &str) -> bool {
    !value.is_empty() && value.len() < 10 && value.bytes().all(|byte| byte.is_ascii_digit())
}

/// The value of one entry of a server as it is written.
fn entry<'a>(server: &'a str, key: &str) -> Option<&'a str> {
    server
        .split(',')
        .filter_map(|entry| entry.split_once('='))
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value)
}

/// A TOML string of whatever text.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// The servers of a map by their numbers.
fn ids(topology: &Topology) -> String {
    let ids: Vec<String> = topology.servers().iter().map(|server| server.id.to_string()).collect();
    ids.join(", ")
}

/// A map in a few lines.
fn summary(topology: &Topology) -> String {
    let placement = topology.placement();
    let mut said = format!(
        "version {} of cluster {}: {} groups, hash {}, hash-tag {}, checksum {:016x}\n",
        topology.version(),
        topology.cluster(),
        placement.group_count,
        placement.hash.name(),
        placement.hash_tag.name(),
        topology.checksum()
    );
    for server in topology.servers() {
        let has = |group: &GroupId| topology.coordinator(*group).is_some_and(|owner| owner.id == server.id);
        let groups: Vec<GroupId> = topology.groups().filter(has).collect();
        let Server { id, client, zone, weight, .. } = server;
        let zone = if zone.is_empty() { String::new() } else { format!(" zone {zone}") };
        let _ = writeln!(said, "server {id} {client}{zone} weight {weight}: {}", counted(&groups));
    }
    said
}

/// What moves, by giver and receiver.
fn report(old: &Topology, new: &Topology, moves: &[Move]) -> String {
    let mut said = format!(
        "version {} -> {}: {} of {} groups move\n",
        old.version(),
        new.version(),
        moves.len(),
        new.placement().group_count
    );
    let mut pairs: Vec<(ServerId, ServerId)> = moves.iter().map(|moved| (moved.from, moved.to)).collect();
    pairs.sort_unstable();
    pairs.dedup();
    for (from, to) in pairs {
        let pair = moves.iter().filter(|moved| (moved.from, moved.to) == (from, to));
        let groups: Vec<GroupId> = pair.map(|moved| moved.group).collect();
        let _ = writeln!(said, "server {from} -> server {to}: {}", counted(&groups));
    }
    said
}

/// `3 groups (0-1, 7)`.
fn counted(groups: &[GroupId]) -> String {
    let mut runs: Vec<(GroupId, GroupId)> = Vec::new();
    for group in groups {
        match runs.last_mut() {
            Some((_, last)) if u32::from(last.0) + 1 == u32::from(group.0) => *last = *group,
            _ => runs.push((*group, *group)),
        }
    }
    let runs: Vec<String> = runs.into_iter().map(|(first, last)| range_text(first, last)).collect();
    match groups.len() {
        0 => "no group".to_owned(),
        1 => format!("1 group ({})", runs.join(", ")),
        count => format!("{count} groups ({})", runs.join(", ")),
    }
}
