//! Whether a proposal may replace the map in force.

use std::collections::BTreeSet;

use super::file::{Lines, Proposal};
use super::map::{ServerId, Topology};
use super::refusal::Refusal;
use crate::base::lsn::GroupId;

/// What a server holds data of: the judge of whether groups may be taken from it.
#[derive(Clone, Copy, Debug)]
pub struct Holdings<'a> {
    /// The server.
    pub server: ServerId,
    /// Groups of which it has data.
    pub groups: &'a BTreeSet<GroupId>,
}

/// What a proposal that is taken means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it is the map in force.
    Same,
    /// A newer map, or the first one.
    Newer {
        /// The groups that get another coordinator.
        moves: Vec<Move>,
    },
}

/// A group that gets another coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The group.
    pub group: GroupId,
    /// Who has it.
    pub from: ServerId,
    /// Who gets it.
    pub to: ServerId,
}

impl Proposal {
    /// Whether this map may follow the one in force, as far as one server's data is concerned. `None` in force is a
    /// first map; `None` held judges the maps alone.
    ///
    /// # Errors
    /// Everything that speaks against it: the old map stays in force.
    pub fn judge(
        &self,
        in_force: Option<&Topology>,
        held: Option<Holdings<'_>>,
    ) -> Result<Verdict, Vec<Refusal>> {
        let new = &self.topology;
        if in_force == Some(new) {
            return Ok(Verdict::Same);
        }
        let mut refusals = in_force.map_or_else(Vec::new, |old| refuse_unlike(&self.lines, old, new));
        if refusals.is_empty() {
            refusals.extend(held.and_then(|held| refuse_taken(&self.lines, in_force, new, held)));
        }
        if !refusals.is_empty() {
            return Err(refusals);
        }
        Ok(Verdict::Newer { moves: in_force.map_or_else(Vec::new, |old| moves(old, new)) })
    }
}

/// The groups whose coordinator differs between two maps of one group count.
pub(super) fn moves(old: &Topology, new: &Topology) -> Vec<Move> {
    let differs = |group| {
        let (from, to) = (old.coordinator(group)?.id, new.coordinator(group)?.id);
        (from != to).then_some(Move { group, from, to })
    };
    new.groups().filter_map(differs).collect()
}

/// What may never change, and a version that does not rise.
fn refuse_unlike(lines: &Lines, old: &Topology, new: &Topology) -> Vec<Refusal> {
    let (was, is) = (old.placement(), new.placement());
    let fixed = [
        (lines.cluster, "cluster", format!("\"{}\"", old.cluster()), format!("\"{}\"", new.cluster())),
        (lines.groups, "groups", was.group_count.to_string(), is.group_count.to_string()),
        (lines.hash, "hash", format!("\"{}\"", was.hash.name()), format!("\"{}\"", is.hash.name())),
        (
            lines.hash_tag,
            "hash-tag",
            format!("\"{}\"", was.hash_tag.name()),
            format!("\"{}\"", is.hash_tag.name()),
        ),
    ];
    let mut refusals: Vec<Refusal> = fixed
        .into_iter()
        .filter(|(_, _, was, is)| was != is)
        .map(|(line, key, was, is)| {
            let reason = format!("{key} is {was} in the map in force and {is} here, and is fixed for ever");
            Refusal::at(line, reason, format!("write {key} = {was}"))
        })
        .collect();
    refusals.extend(refuse_version(lines.version, old.version(), new.version()));
    refusals
}

/// The contents are known to differ.
fn refuse_version(line: usize, old: u64, new: u64) -> Option<Refusal> {
    let reason = match new.cmp(&old) {
        std::cmp::Ordering::Greater => return None,
        std::cmp::Ordering::Equal => format!("version {new} is in force with other content"),
        std::cmp::Ordering::Less => format!("version {new} is older than version {old}, which is in force"),
    };
    Some(Refusal::at(line, reason, format!("write version = {}", old.saturating_add(1))))
}

/// A group that the map in force gives to a server (or that a server without a map has), whose data it still holds,
/// and that the new map gives to another.
fn refuse_taken(
    lines: &Lines,
    in_force: Option<&Topology>,
    new: &Topology,
    held: Holdings<'_>,
) -> Option<Refusal> {
    let has = |map: &Topology, group: GroupId| map.members(group).any(|server| server.id == held.server);
    let taken = |group: &&GroupId| in_force.is_none_or(|old| has(old, **group)) && !has(new, **group);
    let group = held.groups.iter().find(taken)?;
    let count = held.groups.iter().filter(taken).count();
    let more = if count > 1 { format!(", as are {} more", count - 1) } else { String::new() };
    let server = held.server;
    let line = lines.ranges.get(usize::from(group.0)).copied();
    let reason = format!("group {group} is taken from server {server}, which still holds its data{more}");
    let remedy = format!("move its data first, or leave it where it is: servers = [{server}]");
    Some(Refusal { line, reason, remedy })
}
