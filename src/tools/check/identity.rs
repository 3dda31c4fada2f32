//! Making `larder.id` anew: what it says is also in the groups' files, in the ledger, in the log and in the map, and the
//! keys tell how they were placed. Where these do not agree nothing is made.

use std::cell::Cell;
use std::fs;
use std::num::NonZeroU16;
use std::path::Path;

use super::repair::aside;
use crate::base::fault::{Fault, FaultKind};
use crate::base::lsn::GroupId;
use crate::binlog;
use crate::binlog::Body;
use crate::route::topology;
use crate::route::{Hash, HashTag, Placement};
use crate::store::directory::{Directory, Identity, MAP_FILE};
use crate::store::{GroupIdentity, check};
use crate::tools::console;

/// How keys are placed.
type Rule = (Hash, HashTag);

/// Every rule by which keys can be placed, the usual ones first.
const RULES: [Rule; 4] = [
    (Hash::Larder, HashTag::Braces),
    (Hash::Larder, HashTag::None),
    (Hash::Fastdht, HashTag::Braces),
    (Hash::Fastdht, HashTag::None),
];

/// Whether it is the identity that is lost, of a directory that has groups.
pub(super) fn is_lost(path: &Path, fault: &Fault) -> bool {
    let is_damaged = fault.kind == FaultKind::Corrupt;
    let is_missing = !Directory::is_at(path) && path.join("groups").is_dir();
    is_damaged || is_missing
}

/// Makes it anew and puts the damaged one aside.
pub(super) fn mend(path: &Path, lost: &Fault) -> Result<(), Fault> {
    let directory = Directory::open_nameless(path)?;
    let owners = owners(&directory)?;
    let Some(GroupIdentity { directory_id, group_count, .. }) = owners.first().copied() else {
        let message =
            "no group has a file, so nothing tells whose directory this is: restore this file from a backup";
        return Err(Fault::new(FaultKind::Corrupt, message).at(&directory.identity_file()));
    };
    let (rules, server) = rules(&directory, &owners)?;
    let Some((hash, hash_tag)) = rules.first().copied() else {
        let message = "the keys are in their groups by no rule: restore this file from a backup";
        return Err(Fault::new(FaultKind::Corrupt, message).at(&directory.identity_file()));
    };
    let identity = Identity { directory_id, group_count, hash, hash_tag, server: server.unwrap_or_default() };
    // One that is of another directory or another group count speaks against the files.
    if let Err(fault) = directory.ledger(&identity)
        && fault.kind == FaultKind::Mismatch
    {
        return Err(fault);
    }
    console::note(&lost.to_string());
    let file = directory.identity_file();
    let kept = if file.exists() { Some(aside(&file)?) } else { None };
    directory.name(identity)?;
    let mut line = format!(
        "{}: made anew of {} groups' files: {group_count} groups, hash {}, hash-tag {}, server {}",
        file.display(),
        owners.len(),
        hash.name(),
        hash_tag.name(),
        identity.server
    );
    if rules.len() > 1 {
        line.push_str("; the keys do not tell the rule for sure, this one is right for all that there are");
    }
    if let Some(kept) = kept {
        line.push_str(&format!("; the damaged file is {}", kept.display()));
    }
    console::note(&line);
    Ok(())
}

/// Whose files the groups' files say that they are; they have to agree.
fn owners(directory: &Directory) -> Result<Vec<GroupIdentity>, Fault> {
    let groups = directory.path().join("groups");
    let entries = fs::read_dir(&groups).map_err(|error| Fault::io("cannot list", &groups, &error))?;
    let mut found: Vec<GroupIdentity> = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".redb")?.parse::<u16>().ok());
        let Some(group) = number.map(GroupId) else { continue };
        let path = directory.group(group);
        // A file that is damaged says nothing; it is mended behind this, by what the others say.
        let Ok(owner) = check::whose(&path) else { continue };
        let agrees = found.first().is_none_or(|first| {
            (first.directory_id, first.group_count) == (owner.directory_id, owner.group_count)
        });
        if !agrees || owner.group != group {
            let message = "this file is another directory's, or under another number, and the others do not agree with it: \
                           put back the files that belong here, or restore larder.id from a backup";
            return Err(Fault::new(FaultKind::Mismatch, message).at(&path));
        }
        found.push(owner);
    }
    Ok(found)
}

/// The rules by which all keys are in their groups, and the server that wrote the log.
fn rules(directory: &Directory, owners: &[GroupIdentity]) -> Result<(Vec<Rule>, Option<u16>), Fault> {
    let none = || Fault::new(FaultKind::Corrupt, "there are no groups").at(directory.path());
    let count = owners.first().and_then(|owner| NonZeroU16::new(owner.group_count)).ok_or_else(none)?;
    let fits: [Cell<bool>; 4] = std::array::from_fn(|_| Cell::new(true));
    let judge = |group: GroupId, key: &[u8]| {
        for (fits, (hash, hash_tag)) in fits.iter().zip(RULES) {
            let placement = Placement { hash, hash_tag, group_count: count };
            fits.set(fits.get() && placement.group(key) == group);
        }
    };
    for owner in owners {
        let each = |key: &[u8]| {
            judge(owner.group, key);
            true
        };
        check::look(&directory.group(owner.group), owner, each, |_| ());
    }
    let log = binlog::check::look(&directory.binlog(), |_, entry| {
        if let Body::Item { key, .. } = &entry.body {
            judge(entry.group, key);
        }
        Ok(())
    });
    let mapped = fs::read(directory.path().join(MAP_FILE)).ok();
    let mapped = mapped.and_then(|bytes| topology::restore(&bytes).ok()).map(|map| map.placement());
    let is_by_map = |rule: &Rule| mapped.is_none_or(|map| (map.hash, map.hash_tag) == *rule);
    let rules = RULES.into_iter().zip(&fits).filter(|(rule, fits)| fits.get() && is_by_map(rule));
    Ok((rules.map(|(rule, _)| rule).collect(), log.server))
}
