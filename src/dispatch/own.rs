//! The commands of Larder's own: the servers, where a key lives, the keys of an object.

use std::fmt::Write;

use super::Dispatch;
use super::cluster::Way;
use super::course::{self, Step};
use super::dump::say;
use crate::base::command::{Command, Own};
use crate::base::lsn::{GroupId, Lsn};
use crate::base::reply::{Denial, Sink};
use crate::base::time::UnixMs;
use crate::conn::{Ask, Outbox, Verdict};
use crate::group::Listing;
use crate::proto::{self, texts};
use crate::route::Input;
use crate::route::topology::{self, Topology};

/// A listing of keys under way.
#[derive(Debug)]
struct Course {
    group: GroupId,
    prefix: Box<[u8]>,
    keys_left: u32,
    listing: Listing,
}

impl Dispatch {
    /// Answers a command of Larder's own.
    pub(super) fn own(&self, own: &Own<'_>, ask: &mut Ask<'_>, out: &mut Outbox) -> Verdict {
        match own {
            Own::Discover => self.discover(b"CONFIG cluster", out),
            Own::ClusterMap => match &self.cluster {
                Some(cluster) => say(self.map_text(&cluster.map()).as_bytes(), out),
                None => say(texts::NO_CLUSTER, out),
            },
            Own::ClusterReload => match self.renew_map() {
                None => say(texts::NO_CLUSTER, out),
                Some(Ok(text)) => say(format!("OK {text}\r\n").as_bytes(), out),
                Some(Err(why)) => say(format!("SERVER_ERROR the old map stays: {why}\r\n").as_bytes(), out),
            },
            Own::Route(key) => say(self.route_text(key).as_bytes(), out),
            Own::Keys { prefix, limit, after } => self.keys(prefix, *limit, after, ask, out),
        }
    }

    /// Names the servers to auto-discovering clients. They follow the map and never who is up.
    pub(super) fn discover(&self, head: &[u8], out: &mut Outbox) -> Verdict {
        let Some(cluster) = &self.cluster else { return say(texts::NO_CLUSTER, out) };
        let map = cluster.map();
        let servers = map.servers().iter().map(|server| (bare(server.client.host()), server.client.port()));
        proto::encode_discovery(head, map.version(), servers, out);
        out.seal(Lsn::ZERO);
        Verdict::Done
    }

    fn map_text(&self, map: &Topology) -> String {
        topology::show(map, |server| self.health(server.get())) + "END\r\n"
    }

    /// The way of a key: what is hashed, the hash, the group, and its servers in order.
    fn route_text(&self, key: &[u8]) -> String {
        let found = self.placement.explain(key);
        let mut text = format!("KEY {}\r\nINPUT {}\r\n", key.escape_ascii(), found.input.escape_ascii());
        let _ = write!(
            text,
            "HASH {} {:016x}\r\nGROUP {}\r\n",
            self.placement.hash.name(),
            found.hash,
            found.group
        );
        if let Some(cluster) = &self.cluster {
            for server in cluster.map().members(found.group) {
                let health = self.health(server.id.get());
                let _ = write!(text, "SERVER {} client {} {health}\r\n", server.id, server.client);
            }
        }
        text + "END\r\n"
    }

    /// How a server is doing, in a word.
    fn health(&self, server: u16) -> String {
        match &self.cluster {
            Some(cluster) if cluster.own.get() != server => cluster.roster.health(server).to_string(),
            _ => "self".to_owned(),
        }
    }

    /// Lists the keys of an object in order: those that begin with a prefix whose tag in braces is whole, and which are
    /// therefore in one group.
    fn keys(&self, prefix: &[u8], limit: u32, after: &[u8], ask: &mut Ask<'_>, out: &mut Outbox) -> Verdict {
        if ask.resume == 0 {
            if matches!(self.placement.hash_tag.input(prefix), Input::Key(_)) {
                return say(texts::KEYS_OF_NOTHING, out);
            }
            let group = self.placement.group(prefix);
            match self.way(group, ask, out) {
                Way::Here => {}
                Way::There(server, version) => {
                    let command = Command::Own(Own::Keys { prefix, limit, after });
                    return self.send_own((server, version), command, group, ask, out);
                }
                Way::Wait => return Verdict::Parked { resume: 0 },
            }
            // The listing goes on behind a key: behind the last that is too small to begin with the prefix.
            let start = if after >= prefix { Some(after) } else { before(prefix) };
            let listing = start.map_or_else(Listing::default, Listing::behind);
            course::begin(Course { group, prefix: prefix.into(), keys_left: limit, listing }, ask);
        }
        let now = ask.now;
        course::go_on(ask, out, |course, out| match self.list_keys(course, now, out) {
            None => Step::More,
            Some(end) => {
                say(end, out);
                Step::End
            }
        })
    }

    /// One step of a listing; the last line when it is at its end.
    fn list_keys(&self, course: &mut Course, now: UnixMs, out: &mut Outbox) -> Option<&'static [u8]> {
        let group = self.groups.get(usize::from(course.group.0)).filter(|_| course.keys_left > 0);
        let Some(group) = group else { return Some(texts::END) };
        let (prefix, keys_left) = (&course.prefix, &mut course.keys_left);
        let mut is_over = false;
        let page = group.list(&mut course.listing, now, |key, _| {
            is_over |= !key.starts_with(prefix) && *key > **prefix;
            if key.starts_with(prefix) && *keys_left > 0 {
                *keys_left -= 1;
                out.put(b"KEY ");
                out.put(key);
                out.put(b"\r\n");
            }
        });
        match page {
            Ok(page) => {
                out.seal(page.lsn);
                (page.is_last || is_over).then_some(texts::END)
            }
            Err(fault) => {
                log::error!("group {}: a listing has ended early: {fault}", group.id);
                Some(texts::denial(Denial::Damaged))
            }
        }
    }
}

/// The prefix without its last byte: smaller than every key that begins with the prefix.
fn before(prefix: &[u8]) -> Option<&[u8]> {
    prefix.split_last().map(|(_, start)| start).filter(|start| !start.is_empty())
}

/// An address as clients connect to it: IPv6 without its brackets.
fn bare(host: &str) -> &str {
    host.trim_matches(['[', ']'])
}
