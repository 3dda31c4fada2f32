//! Mending: new files of what is good, the damaged ones aside, and word of what is lost.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Found, placement};
use crate::base::effect::FlushMark;
use crate::base::fault::{Fault, FaultKind};
use crate::base::lsn::GroupId;
use crate::base::version::Version;
use crate::binlog::check::rewrite;
use crate::store::check::{GroupReport, rebuild};
use crate::store::directory::{Directory, Identity};
use crate::store::{End, GroupIdentity};
use crate::tools::{console, place};

/// How far a lost version ceiling is put above everything that was seen: more than any server is ahead of it, ms.
const CEILING_MARGIN_MS: u64 = 3_600_000;

/// Mends what it can. Whether everything that is wrong could be.
pub(super) fn repair(
    directory: &Directory,
    identity: &Identity,
    found: &Found,
    cut_log: bool,
) -> Result<bool, Fault> {
    let is_log_bad = !found.log.problems.is_empty() || !found.problems.is_empty();
    if is_log_bad && !cut_log {
        console::note(
            "the log is damaged: --cut-log cuts it there, and loses what is behind; it is left as it is",
        );
    }
    for (group, report) in found.groups.iter().filter(|(_, report)| !report.problems.is_empty()) {
        mend_group(directory, identity, found, *group, report)?;
    }
    if is_log_bad && cut_log {
        cut(directory, identity, found)?;
    }
    Ok(!is_log_bad || cut_log)
}

/// Takes what the files have, now that they are mended, for all that is expected of them; what they lack is lost.
pub(super) fn settle_ledger(
    directory: &Directory,
    identity: &Identity,
    found: &mut Found,
) -> Result<(), Fault> {
    let lost = std::mem::take(&mut found.shortfalls);
    if lost.is_empty() {
        return Ok(());
    }
    for shortfall in &lost {
        console::note(&format!("lost: {shortfall}"));
    }
    let mut ledger = match directory.ledger(identity) {
        Ok(ledger) => ledger,
        Err(_) => directory.remake_ledger(identity)?,
    };
    for group in (0..identity.group_count).map(GroupId) {
        if let Some(applied) = found.applied_of(group)
            && ledger.shortfall(group, &directory.group(group), applied).is_some()
        {
            ledger.accept(group, applied)?;
        }
    }
    ledger.raise(
        (0..identity.group_count).map(|id| found.applied_of(GroupId(id)).flatten().unwrap_or_default()),
    )
}

/// Puts a new file of the good rows in the place of a group's file.
fn mend_group(
    directory: &Directory,
    identity: &Identity,
    found: &Found,
    group: GroupId,
    report: &GroupReport,
) -> Result<(), Fault> {
    let path = directory.group(group);
    let repaired = with_suffix(&path, ".repaired");
    remove_if_there(&repaired)?;
    let owner =
        GroupIdentity { directory_id: identity.directory_id, group, group_count: identity.group_count };
    // What the log still has above its trim LSN is replayed over what is kept.
    let applied_lsn = found.log.trim;
    let fallback = End { applied_lsn, flush: FlushMark::default(), version_max: Version::ZERO };
    let placement = placement(identity)?;
    let rebuilt = rebuild(&path, &repaired, owner, fallback, |key| placement.group(key) == group)?;
    let damaged = aside(&path)?;
    fs::rename(&repaired, &path).map_err(|error| Fault::io("cannot rename to this", &path, &error))?;
    path.parent().map_or(Ok(()), place::sync)?;
    let mut line = format!("{}: {} items kept", path.display(), rebuilt.rows);
    match report.state {
        Some(state) => {
            let lost = state.rows.saturating_sub(rebuilt.rows);
            line.push_str(&format!(" of {}, {lost} lost", state.rows));
        }
        None => line.push_str("; how many there were is not known, nor a flush_all of before"),
    }
    console::note(&format!("{line}; the damaged file is {}", damaged.display()));
    for problem in &rebuilt.problems {
        console::note(&format!("lost: {problem}"));
    }
    Ok(())
}

/// Puts a log of what is good up to the first damage in the place of the log.
fn cut(directory: &Directory, identity: &Identity, found: &Found) -> Result<(), Fault> {
    let path = directory.binlog();
    let repaired = with_suffix(&path, ".repaired");
    if repaired.exists() {
        fs::remove_dir_all(&repaired).map_err(|error| Fault::io("cannot remove", &repaired, &error))?;
    }
    let after = found.log.trim;
    let kept = rewrite(&path, &repaired, after, found.applied(), starts(found), identity.server)?;
    let damaged = aside(&path)?;
    fs::rename(&repaired, &path).map_err(|error| Fault::io("cannot rename to this", &path, &error))?;
    path.parent().map_or(Ok(()), place::sync)?;
    console::note(&format!(
        "{}: the log was cut behind LSN {}: {} records kept behind LSN {after}; the damaged log is {}",
        path.display(),
        kept.end,
        kept.records,
        damaged.display()
    ));
    Ok(())
}

/// The count of starts and the ceiling; if they are lost, ones that are surely above all that was.
fn starts(found: &Found) -> (u32, Version) {
    let highest = found.groups.iter().map(|(_, report)| report.version_max).max().unwrap_or(Version::ZERO);
    let now_ms = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    let safe = Version::at(crate::base::time::UnixMs(highest.ms().max(now_ms) + CEILING_MARGIN_MS));
    match found.log.starts {
        Some((incarnation, ceiling)) if ceiling > highest => {
            (incarnation.max(found.log.incarnation), ceiling)
        }
        Some((incarnation, _)) => (incarnation.max(found.log.incarnation), safe),
        None => (found.log.incarnation, safe),
    }
}

/// Gives a file or directory a name that says that it is damaged; the first that is free.
pub(super) fn aside(path: &Path) -> Result<PathBuf, Fault> {
    let names =
        std::iter::once(".damaged".to_owned()).chain((2..).map(|number| format!(".damaged.{number}")));
    let free = names.map(|name| with_suffix(path, &name)).find(|name| !name.exists());
    let to = free.ok_or_else(|| Fault::new(FaultKind::Unusable, "too many damaged files").at(path))?;
    fs::rename(path, &to).map_err(|error| Fault::io("cannot put aside", path, &error))?;
    Ok(to)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn remove_if_there(path: &Path) -> Result<(), Fault> {
    for path in [path.to_path_buf(), with_suffix(path, ".new")] {
        if path.exists() {
            fs::remove_file(&path).map_err(|error| Fault::io("cannot remove", &path, &error))?;
        }
    }
    Ok(())
}
