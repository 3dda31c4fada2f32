//! The map as `cluster map` shows it, for people and for clients: written here, and read here.
//!
//! It holds what a client needs to find servers, and what a person wants to know of them; zones and weights it leaves
//! out.

use std::fmt::Write;

use super::file::read;
use super::map::{ServerId, Topology, range_text};

/// The lines of a map, without END; `health` says in a word how a server is doing.
pub fn show(map: &Topology, health: impl Fn(ServerId) -> String) -> String {
    let placement = map.placement();
    let mut text = format!(
        "CLUSTER {} version {} groups {} hash {} hash-tag {}\r\n",
        map.cluster(),
        map.version(),
        placement.group_count,
        placement.hash.name(),
        placement.hash_tag.name()
    );
    for server in map.servers() {
        let (id, client, peer, health) = (server.id, &server.client, &server.peer, health(server.id));
        let _ = write!(text, "SERVER {id} client {client} peer {peer} {health}\r\n");
    }
    for (first, last, servers) in map.ranges() {
        let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
        let _ = write!(text, "GROUPS {first}-{last} servers {}\r\n", servers.join(","));
    }
    text
}

/// Reads such lines, without their ends. The map is checked as that of a file is; what a later release says behind the
/// words that are known here is passed over.
///
/// # Errors
/// What cannot be a map, in words.
pub fn read_shown<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Topology, String> {
    let mut file = String::new();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        // Nothing that could end a text in the file.
        let is_plain =
            line.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\') || byte == b' ');
        let known = if is_plain { put_line(&words, &mut file) } else { None };
        known.ok_or_else(|| format!("not a line of a map: {}", line.escape_debug()))?;
    }
    let proposal = read(&file).map_err(|refusals| {
        let first = refusals.first().map_or("nothing", |refusal| refusal.reason.as_str());
        format!("not a map: {first}")
    })?;
    Ok(proposal.topology)
}

/// What a line is in a topology file.
fn put_line(words: &[&str], file: &mut String) -> Option<()> {
    match words {
        ["CLUSTER", cluster, "version", version, "groups", groups, "hash", hash, "hash-tag", tag, ..] => {
            let _ = write!(file, "version = {}\ncluster = \"{cluster}\"\n", number(version)?);
            let _ = write!(file, "groups = {}\nhash = \"{hash}\"\nhash-tag = \"{tag}\"\n", number(groups)?);
        }
        ["SERVER", id, "client", client, "peer", peer, ..] => {
            let id = number(id)?;
            let _ = write!(file, "[[server]]\nid = {id}\nclient = \"{client}\"\npeer = \"{peer}\"\n");
        }
        ["GROUPS", groups, "servers", servers, ..] => {
            let (first, last) = groups.split_once('-')?;
            let group = |text| u16::try_from(number(text)?).ok().map(crate::base::lsn::GroupId);
            let groups = range_text(group(first)?, group(last)?);
            let servers: Option<Vec<String>> =
                servers.split(',').map(|id| number(id).map(|id| id.to_string())).collect();
            let _ = write!(file, "[[range]]\ngroups = \"{groups}\"\nservers = [{}]\n", servers?.join(", "));
        }
        _ => return None,
    }
    Some(())
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}
