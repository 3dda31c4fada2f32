//! The topology file: text -> map, or everything that is wrong with it.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU16;

use toml::de::{DeTable, DeValue};

use super::fields::{Fields, Reading, number, text};
use super::map::{Address, Parts, Server, ServerId, Topology, range_text};
use super::refusal::Refusal;
use crate::base::limits::{
    GROUP_SERVERS_MAX, GROUPS_MAX, SERVER_ID_MAX, SERVER_WEIGHT_MAX, TOPOLOGY_BYTES_MAX,
    TOPOLOGY_NAME_BYTES_MAX,
};
use crate::base::lsn::GroupId;
use crate::route::{Hash, HashTag, Placement};

/// A valid topology file. It is in force only when [`Proposal::judge`] has said that it may be.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The map.
    pub topology: Topology,
    /// Where the file says what.
    pub(super) lines: Lines,
}

/// Lines of a topology file, from 1.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    pub(super) version: usize,
    pub(super) cluster: usize,
    pub(super) groups: usize,
    pub(super) hash: usize,
    pub(super) hash_tag: usize,
    /// The range of each group.
    pub(super) ranges: Vec<usize>,
}

/// Reads a topology file.
///
/// # Errors
/// Everything that is wrong with it, never nothing.
pub fn read(text: &str) -> Result<Proposal, Vec<Refusal>> {
    read_with(text, GROUP_SERVERS_MAX)
}

/// As [`read`], for groups of so many servers.
pub(super) fn read_with(text: &str, group_servers_max: usize) -> Result<Proposal, Vec<Refusal>> {
    if text.len() > TOPOLOGY_BYTES_MAX {
        let reason = format!("the file has {} bytes", text.len());
        return Err(vec![Refusal::whole(reason, format!("write at most {TOPOLOGY_BYTES_MAX}"))]);
    }
    let mut reading = Reading { text, refusals: Vec::new() };
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let line = error.span().map(|span| reading.line(span.start));
            let reason = error.message().to_owned();
            return Err(vec![Refusal {
                line,
                reason,
                remedy: "write TOML, as docs/placement.md shows".into(),
            }]);
        }
    };
    let proposal = whole(&mut reading, table.get_ref(), group_servers_max);
    let mut refusals = reading.refusals;
    refusals.sort_by_key(|refusal| refusal.line);
    match proposal {
        Some(proposal) if refusals.is_empty() => Ok(proposal),
        _ if refusals.is_empty() => {
            Err(vec![Refusal::whole("no map", "write one as docs/placement.md shows")])
        }
        _ => Err(refusals),
    }
}

/// The whole file; `None` when something of it is missing, which has been noted.
fn whole(reading: &mut Reading<'_>, table: &DeTable<'_>, group_servers_max: usize) -> Option<Proposal> {
    let known = ["version", "cluster", "groups", "hash", "hash-tag", "server", "range"];
    let top = Fields::new(reading, table, "the file", 1, &known);
    let version =
        top.take(reading, "version", ("1", "a number from 1"), |v| number(v).filter(|version| *version > 0));
    let cluster = top.take(reading, "cluster", ("\"shop\"", NAME), name);
    let shown = format!("a number from 1 to {GROUPS_MAX}");
    let groups = top.take(reading, "groups", ("64", &shown), group_count);
    let hash =
        top.take(reading, "hash", ("\"larder\"", "\"larder\" or \"fastdht\""), |v| Hash::from_name(text(v)?));
    let hash_tag = top.take(reading, "hash-tag", ("\"braces\"", "\"braces\" or \"none\""), |v| {
        HashTag::from_name(text(v)?)
    });
    let servers = servers(reading, &top);
    let (group_count, groups_line) = groups?;
    let (members, ranges) = ranges(reading, &top, &servers, group_count, groups_line, group_servers_max)?;
    let ((version, version_line), (cluster, cluster_line)) = (version?, cluster?);
    let ((hash, hash_line), (hash_tag, hash_tag_line)) = (hash?, hash_tag?);
    let placement = Placement { hash, hash_tag, group_count };
    let lines = Lines {
        version: version_line,
        cluster: cluster_line,
        groups: groups_line,
        hash: hash_line,
        hash_tag: hash_tag_line,
        ranges,
    };
    Some(Proposal {
        topology: Topology::assemble(Parts { version, cluster, placement, servers, members }),
        lines,
    })
}

/// What a name may be, in words.
const NAME: &str = "a name of letters, digits, '-', '_' and '.'";

/// A name: short, and of letters that need no escape anywhere.
fn name(value: &DeValue<'_>) -> Option<String> {
    let name = text(value)?;
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let fits = !name.is_empty() && name.len() <= TOPOLOGY_NAME_BYTES_MAX && name.bytes().all(letter);
    fits.then(|| name.to_owned())
}

fn group_count(value: &DeValue<'_>) -> Option<NonZeroU16> {
    let count = u16::try_from(number(value)?).ok().filter(|count| *count <= GROUPS_MAX)?;
    NonZeroU16::new(count)
}

/// All servers that are whole and unlike the others.
fn servers(reading: &mut Reading<'_>, top: &Fields<'_, '_>) -> Vec<Server> {
    let tables = top.tables(reading, "server");
    if tables.is_empty() {
        reading.refuse(top.line, "the file names no server", "write a [[server]] table for each");
    }
    let mut servers = Vec::new();
    let mut ids = HashMap::new();
    let mut addresses = HashMap::new();
    for (table, line) in tables {
        let Some(server) = server(reading, table, line) else { continue };
        if let Some(other) = ids.insert(server.id, line) {
            let reason = format!("server {} is also in line {other}", server.id);
            reading.refuse(line, reason, "give each server an id of its own");
            continue;
        }
        for address in [&server.client, &server.peer] {
            if let Some(other) = addresses.insert(address.clone(), server.id) {
                let reason = format!("server {} has the address {address}, as has server {other}", server.id);
                reading.refuse(line, reason, "write an address and port once only");
            }
        }
        servers.push(server);
    }
    servers
}

/// One `[[server]]`.
fn server(reading: &mut Reading<'_>, table: &DeTable<'_>, line: usize) -> Option<Server> {
    let server = Fields::new(reading, table, "a server", line, &["id", "client", "peer", "zone", "weight"]);
    let shown = format!("a number from 1 to {SERVER_ID_MAX}");
    let id = server.take(reading, "id", ("1", &shown), |v| ServerId::new(number(v)?));
    let address = |v: &DeValue<'_>| Address::parse(text(v)?);
    let client = server.take(reading, "client", ("\"10.0.0.1:11211\"", "host:port"), address);
    let peer = server.take(reading, "peer", ("\"10.0.0.1:11311\"", "host:port"), address);
    let zone = |v: &DeValue<'_>| if text(v)?.is_empty() { Some(String::new()) } else { name(v) };
    let zone = server.take_or(reading, "zone", ("\"east\"", NAME), String::new(), zone);
    let shown = format!("a number from 0 to {SERVER_WEIGHT_MAX}, 1 being usual");
    let weight =
        |v: &DeValue<'_>| u32::try_from(number(v)?).ok().filter(|weight| *weight <= SERVER_WEIGHT_MAX);
    let weight = server.take_or(reading, "weight", ("1", &shown), 1, weight);
    Some(Server { id: id?.0, client: client?.0, peer: peer?.0, zone: zone?, weight: weight? })
}

/// The servers of every group, and the line that says so; `None` when a group has none.
fn ranges(
    reading: &mut Reading<'_>,
    top: &Fields<'_, '_>,
    servers: &[Server],
    group_count: NonZeroU16,
    groups_line: usize,
    group_servers_max: usize,
) -> Option<(Vec<Vec<ServerId>>, Vec<usize>)> {
    let known: HashSet<ServerId> = servers.iter().map(|server| server.id).collect();
    let mut members: Vec<Option<(Vec<ServerId>, usize)>> = vec![None; usize::from(group_count.get())];
    for (table, line) in top.tables(reading, "range") {
        let Some((first, last, ids)) = range(reading, table, line, group_count) else { continue };
        check_members(reading, &ids, &known, line, group_servers_max);
        let Some(groups) = members.get_mut(usize::from(first)..=usize::from(last)) else { continue };
        let twice = groups.iter().zip(first..).find_map(|(group, id)| Some((group.as_ref()?.1, id)));
        if let Some((other, group)) = twice {
            reading.refuse(line, format!("group {group} is also in line {other}"), "name every group once");
        }
        groups.fill(Some((ids, line)));
    }
    refuse_gaps(reading, &members, groups_line);
    members.into_iter().collect::<Option<Vec<_>>>().map(|members| members.into_iter().unzip())
}

/// One `[[range]]`: first and last group, and the servers.
fn range(
    reading: &mut Reading<'_>,
    table: &DeTable<'_>,
    line: usize,
    group_count: NonZeroU16,
) -> Option<(u16, u16, Vec<ServerId>)> {
    let range = Fields::new(reading, table, "a range", line, &["groups", "servers"]);
    let last = group_count.get() - 1;
    let (example, shown) = (format!("\"0-{last}\""), format!("\"first-last\", both at most {last}"));
    let groups = range.take(reading, "groups", (&example, &shown), |v| groups(v, last));
    let ids = |v: &DeValue<'_>| {
        let ids = v.as_array()?.iter().map(|id| ServerId::new(number(id.get_ref())?));
        ids.collect::<Option<Vec<_>>>().filter(|ids| !ids.is_empty())
    };
    let ids = range.take(reading, "servers", ("[1]", "a list of server ids, one at least"), ids);
    let ((first, last), _) = groups?;
    Some((first, last, ids?.0))
}

/// `"3"` or `"3-7"`, or the number 3.
fn groups(value: &DeValue<'_>, last_max: u16) -> Option<(u16, u16)> {
    let digits = |word: &str| {
        let plain = word.bytes().all(|byte| byte.is_ascii_digit());
        word.parse::<u16>().ok().filter(|_| plain)
    };
    let (first, last) = match text(value) {
        Some(text) => {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            (digits(first)?, digits(last)?)
        }
        None => u16::try_from(number(value)?).ok().map(|group| (group, group))?,
    };
    (first <= last && last <= last_max).then_some((first, last))
}

/// The servers of one range: known, different, and not too many.
fn check_members(
    reading: &mut Reading<'_>,
    ids: &[ServerId],
    known: &HashSet<ServerId>,
    line: usize,
    group_servers_max: usize,
) {
    if let Some(id) = ids.iter().find(|id| !known.contains(id)) {
        let remedy = "add its [[server]] table or name another";
        reading.refuse(line, format!("there is no server {id}"), remedy);
    }
    if ids.iter().collect::<HashSet<_>>().len() < ids.len() {
        reading.refuse(line, "a range names a server twice", "name it once");
    }
    if ids.len() > group_servers_max {
        let reason = format!("a range names {} servers, and replication is not built yet", ids.len());
        let first = ids.first().map_or(String::new(), ServerId::to_string);
        reading.refuse(line, reason, format!("name one server: servers = [{first}]"));
    }
}

/// Notes the first run of groups that have no server, and how many more there are.
fn refuse_gaps<T>(reading: &mut Reading<'_>, members: &[Option<T>], line: usize) {
    let none = |member: &Option<T>| member.is_none();
    let Some(first) = members.iter().position(none) else { return };
    let run = members.iter().skip(first).take_while(|member| member.is_none()).count();
    let count = members.iter().filter(|member| member.is_none()).count();
    let groups = range_text(GroupId(first as u16), GroupId((first + run - 1) as u16));
    let more = if count > run { format!(", nor for {} more", count - run) } else { String::new() };
    let remedy = format!("write a [[range]] with groups = \"{groups}\"");
    reading.refuse(line, format!("no server for groups {groups}{more}"), remedy);
}
