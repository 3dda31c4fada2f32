//! Sharing groups among servers by weight, moving as few as possible.

use super::map::{Server, ServerId, Topology};
use crate::base::lsn::GroupId;

/// One server of the plan.
struct Share {
    id: ServerId,
    weight: u64,
    /// Groups that it has and may keep, by rising number.
    held: Vec<GroupId>,
    /// Groups that it is to have.
    target: usize,
}

/// The coordinator of every group of `group_count`. `old` says who has what; servers that are gone or have weight 0
/// lose theirs. `None` when no server has a weight.
///
/// As few groups move as the targets allow: a server gives only what is above its target. The targets are each
/// server's part by weight, rounded down; what is left over goes by the largest remainder, of equal ones to the server
/// that has more groups now, then to the lower id.
pub(super) fn assign(servers: &[Server], group_count: u16, old: Option<&Topology>) -> Option<Vec<ServerId>> {
    let mut shares: Vec<Share> = servers.iter().map(share).collect();
    let mut homeless = Vec::new();
    for group in (0..group_count).map(GroupId) {
        let owner = old.and_then(|old| old.coordinator(group)).map(|server| server.id);
        match shares.iter_mut().find(|share| Some(share.id) == owner) {
            Some(share) => share.held.push(group),
            None => homeless.push(group),
        }
    }
    set_targets(&mut shares, u64::from(group_count))?;
    for share in &mut shares {
        homeless.extend(share.held.drain(share.target.min(share.held.len())..));
    }
    homeless.sort_unstable();
    let mut homeless = homeless.into_iter();
    for share in &mut shares {
        let wanted = share.target.saturating_sub(share.held.len());
        share.held.extend(homeless.by_ref().take(wanted));
    }
    let mut owned: Vec<(GroupId, ServerId)> =
        shares.iter().flat_map(|share| share.held.iter().map(|group| (*group, share.id))).collect();
    owned.sort_unstable();
    Some(owned.into_iter().map(|(_, id)| id).collect())
}

fn share(server: &Server) -> Share {
    Share { id: server.id, weight: u64::from(server.weight), held: Vec::new(), target: 0 }
}

/// Says how many groups each server is to have: together all of them.
fn set_targets(shares: &mut [Share], groups: u64) -> Option<()> {
    let total: u64 = shares.iter().map(|share| share.weight).sum();
    if total == 0 {
        return None;
    }
    for share in shares.iter_mut() {
        share.target = (groups * share.weight / total) as usize;
    }
    let given: usize = shares.iter().map(|share| share.target).sum();
    let left = (groups as usize).saturating_sub(given);
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by_key(|at| {
        let share = shares.get(*at);
        let remainder = share.map(|share| groups * share.weight % total);
        (std::cmp::Reverse(remainder), share.map(|share| (std::cmp::Reverse(share.held.len()), share.id)))
    });
    for at in order.into_iter().take(left) {
        if let Some(share) = shares.get_mut(at) {
            share.target += 1;
        }
    }
    Some(())
}
