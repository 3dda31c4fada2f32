//! `larder where`: the way from a key to its group and servers, without asking anybody.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value as Json, json};

use super::asking::{object_of, put_bytes, shown};
use super::cluster::{read_text, refusals_of};
use super::rule::Rule;
use super::{Stop, Verdict, console};
use crate::route::Placement;
use crate::route::topology::{self, Topology};

/// Tell where keys live: their group, and their servers by the map of a cluster
///
/// No server is asked: the answer is arithmetic. Without --cluster the rule is that of --groups, --hash and --hash-tag,
/// which `larder stats larder` tells of a running server.
#[derive(Args, Debug)]
#[command(name = "where")]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder where user:42\n",
    "  larder where --groups 128 '{user:42}cart' '{user:42}name'\n",
    "  larder where --cluster cluster.toml --json user:42\n\n",
    "--json: a line for each key: key, hashed, hash, group, groups, servers (id, client, entrance).\n",
    "Exit codes: 0 done, 2 usage, 3 the file is refused."
))]
pub(super) struct Options {
    /// The keys
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
    /// The topology file of a cluster
    #[arg(long, value_name = "FILE", conflicts_with_all = ["groups", "hash", "hash_tag"])]
    cluster: Option<PathBuf>,
    #[command(flatten)]
    rule: Rule,
    /// Print JSON, one line for each key
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> Result<Verdict, Stop> {
    let topology = match &options.cluster {
        None => None,
        Some(path) => {
            let read = topology::read(&read_text(path)?);
            Some(read.map_err(|refusals| refusals_of(path, &refusals))?.topology)
        }
    };
    let placement = topology.as_ref().map_or_else(|| options.rule.placement(), |map| Ok(map.placement()))?;
    for key in &options.keys {
        if options.json {
            console::say(&Json::Object(object(key, placement, topology.as_ref())).to_string());
        } else {
            print(key, placement, topology.as_ref());
        }
    }
    Ok(Verdict::Done)
}

fn object(key: &str, placement: Placement, topology: Option<&Topology>) -> serde_json::Map<String, Json> {
    let found = placement.explain(key.as_bytes());
    let mut object = object_of(key.as_bytes());
    put_bytes(&mut object, "hashed", &found.input);
    // As text: many readers of JSON have no numbers of 64 bits.
    object.insert("hash".into(), format!("{:016x}", found.hash).into());
    object.insert("group".into(), found.group.0.into());
    object.insert("groups".into(), placement.group_count.get().into());
    if let Some(topology) = topology {
        let entrance = topology.entrance(key.as_bytes()).map(|server| server.id);
        let servers = topology.members(found.group).map(|server| {
            let client = server.client.to_string();
            json!({"id": server.id.get(), "client": client, "entrance": Some(server.id) == entrance})
        });
        object.insert("servers".into(), servers.collect());
    }
    object
}

fn print(key: &str, placement: Placement, topology: Option<&Topology>) {
    let found = placement.explain(key.as_bytes());
    let name = console::bold(&shown(key.as_bytes()));
    let (group, count, hash) = (found.group, placement.group_count, found.hash);
    let hashed = shown(&found.input);
    console::say(&format!(
        "{name}: group {group} of {count}, by {} {hash:016x} of {hashed}",
        placement.hash.name()
    ));
    let Some(topology) = topology else { return };
    let entrance = topology.entrance(key.as_bytes()).map(|server| server.id);
    for server in topology.members(found.group) {
        let enters = if Some(server.id) == entrance { ": clients enter here" } else { "" };
        console::say(&format!("  server {} at {}{enters}", server.id, server.client));
    }
}
