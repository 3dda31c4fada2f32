//! `larder check`: verifies a data directory that no server uses, or a backup; mends what can be mended when told.

mod identity;
mod repair;

use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use clap::Args;

use super::console::{self, Done, Progress, quoted, size};
use super::{Stop, Verdict, moment, verify};
use crate::backup::MANIFEST;
use crate::base::fault::{Fault, FaultKind};
use crate::base::lsn::{GroupId, Lsn};
use crate::binlog::check::LogReport;
use crate::route::Placement;
use crate::store::check::GroupReport;
use crate::store::directory::{Directory, Identity};
use crate::store::{self, GroupIdentity};

/// Verify the data directory of a stopped server, or a backup
///
/// Everything is read and compared with its checksums; nothing is changed unless --repair is given. What is wrong is told
/// with its place and what to do about it. A torn end of the log, as a crash leaves it, is told and is no damage.
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder check --data-dir /var/lib/larder\n",
    "  larder check --data-dir /backup/monday\n",
    "  larder check --data-dir /var/lib/larder --repair\n\n",
    "--repair builds a new file of what is good in each damaged one and says what is lost; the damaged one is kept ",
    "beside it as FILE.damaged. The log is only cut with --cut-log, since everything behind the cut is lost.\n\n",
    "Exit codes: 0 nothing is wrong, or all of it was mended; 2 usage; 3 something is wrong, refused or fault."
))]
pub(super) struct Options {
    /// The data directory or backup
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Mend what can be mended: keep what is good, put the damaged files aside
    #[arg(long)]
    repair: bool,
    /// With --repair: cut the log at the first record that is damaged, and lose what is behind
    #[arg(long, requires = "repair")]
    cut_log: bool,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> Result<Verdict, Stop> {
    // What redb panics about on damaged pages becomes a fault at the store, which is told once.
    std::panic::set_hook(Box::new(|_| ()));
    catch_unwind(AssertUnwindSafe(|| check(options))).unwrap_or_else(|_| {
        let message = "the check itself failed: this is an error in larder; nothing was mended";
        Err(Fault::new(FaultKind::Unusable, message).at(&options.data_dir).into())
    })
}

fn check(options: &Options) -> Result<Verdict, Stop> {
    if options.data_dir.join(MANIFEST).exists() {
        return check_backup(options);
    }
    let opened = match Directory::open_stopped(&options.data_dir) {
        Err(fault) if options.repair && identity::is_lost(&options.data_dir, &fault) => {
            identity::mend(&options.data_dir, &fault)?;
            Directory::open_stopped(&options.data_dir)
        }
        opened => opened,
    };
    let (directory, identity) = opened?;
    let found = look(&directory, &identity)?;
    found.tell(options.json, &options.data_dir);
    if found.is_good() {
        return Ok(Verdict::Done);
    }
    if !options.repair {
        return Ok(Verdict::Refused);
    }
    let is_mended = repair::repair(&directory, &identity, &found, options.cut_log)?;
    let mut again = look(&directory, &identity)?;
    repair::settle_ledger(&directory, &identity, &mut again)?;
    if !is_mended {
        return Ok(Verdict::Refused);
    }
    console::note("after the repair:");
    again.tell(options.json, &options.data_dir);
    Ok(if again.is_good() { Verdict::Done } else { Verdict::Refused })
}

fn check_backup(options: &Options) -> Result<Verdict, Stop> {
    if options.repair {
        return Err(Stop::Usage("--repair: a backup is not repaired; use another one".into()));
    }
    let manifest = verify::manifest(&options.data_dir)?;
    let problems = verify::findings(&options.data_dir, &manifest);
    let facts = format!(
        "backup of {}: {} items, {}, LSN {}",
        moment::show(manifest.end.now),
        manifest.end.items,
        size(manifest.bytes()),
        manifest.end.until
    );
    tell(options.json, &options.data_dir, &facts, &problems, &[]);
    Ok(if problems.is_empty() { Verdict::Done } else { Verdict::Refused })
}

/// All that was found in a data directory.
struct Found {
    log: LogReport,
    groups: Vec<(GroupId, GroupReport)>,
    /// What is wrong between the parts.
    problems: Vec<Fault>,
    /// What the ledger expects of the groups' files and they do not have, or what is wrong with the ledger.
    shortfalls: Vec<Fault>,
}

/// Looks at everything.
fn look(directory: &Directory, identity: &Identity) -> Result<Found, Fault> {
    let mut progress = Progress::new("check");
    let mut done = Done { total_bytes: bytes_of(directory, identity), ..Done::default() };
    let group_count = identity.group_count;
    let (mut strangers, mut highest) = (None, crate::base::version::Version::ZERO);
    let log = crate::binlog::check::look(&directory.binlog(), |lsn, entry| {
        if entry.group.0 >= group_count {
            strangers.get_or_insert((lsn, entry.group));
        }
        highest = highest.max(entry.stamp.version);
        Ok(())
    });
    let placement = placement(identity)?;
    let mut found = Found { log, groups: Vec::new(), problems: Vec::new(), shortfalls: Vec::new() };
    for id in 0..group_count {
        let group = GroupId(id);
        let path = directory.group(group);
        if !path.exists() {
            continue;
        }
        let owner = GroupIdentity { directory_id: identity.directory_id, group, group_count };
        let report = store::check::look(
            &path,
            &owner,
            |key| placement.group(key) == group,
            |bytes| {
                done.items += 1;
                done.bytes += bytes;
                progress.tell(done);
            },
        );
        highest = highest.max(report.version_max);
        found.groups.push((group, report));
    }
    if let Some((lsn, group)) = strangers {
        let message = format!("a record of group {group}, but there are {group_count} groups");
        found.problems.push(Fault::new(FaultKind::Corrupt, message).at(&directory.binlog()).lsn(lsn));
    }
    if let Some((_, ceiling)) = found.log.starts
        && highest >= ceiling
    {
        let message = format!(
            "version {} was issued, which is not below the ceiling, {}: restore this file",
            highest.0, ceiling.0
        );
        found.problems.push(Fault::new(FaultKind::Corrupt, message).at(&directory.binlog().join("starts")));
    }
    found.problems.extend(directory.transfers(identity).err());
    found.compare_ends(directory);
    found.compare_ledger(directory, identity);
    Ok(found)
}

fn bytes_of(directory: &Directory, identity: &Identity) -> u64 {
    let length = |id| std::fs::metadata(directory.group(GroupId(id))).map_or(0, |facts| facts.len());
    (0..identity.group_count).map(length).sum()
}

fn placement(identity: &Identity) -> Result<Placement, Fault> {
    let none = || Fault::new(FaultKind::Corrupt, "there are no groups");
    Ok(Placement {
        hash: identity.hash,
        hash_tag: identity.hash_tag,
        group_count: NonZeroU16::new(identity.group_count).ok_or_else(none)?,
    })
}

impl Found {
    /// A log is always synced past what the stores have.
    fn compare_ends(&mut self, directory: &Directory) {
        let Some(start) = &self.log.start else { return };
        let applied = self.applied();
        if applied > start.end {
            let message = format!(
                "the log ends at LSN {}, but a store knows LSN {applied}: its newest segment is missing; restore it, \
                 or accept that the changes in it are lost",
                start.end
            );
            self.problems.push(Fault::new(FaultKind::Corrupt, message).at(&directory.binlog()));
        }
    }

    /// The log lets go only of what the ledger says that the files have.
    fn compare_ledger(&mut self, directory: &Directory, identity: &Identity) {
        let ledger = match directory.ledger(identity) {
            Ok(ledger) => ledger,
            Err(fault) => return self.shortfalls.push(fault),
        };
        for id in 0..identity.group_count {
            let group = GroupId(id);
            // A file whose state cannot be read is a finding of its own.
            let Some(applied) = self.applied_of(group) else { continue };
            self.shortfalls.extend(ledger.shortfall(group, &directory.group(group), applied));
        }
    }

    /// How far the file of a group is; `Some(None)` when there is no file, `None` when the file does not say.
    fn applied_of(&self, group: GroupId) -> Option<Option<Lsn>> {
        match self.groups.iter().find(|(id, _)| *id == group) {
            None => Some(None),
            Some((_, report)) => report.state.map(|state| Some(state.applied_lsn)),
        }
    }

    /// The highest LSN that any store knows.
    fn applied(&self) -> Lsn {
        let applied = |(_, report): &(GroupId, GroupReport)| report.state.map(|state| state.applied_lsn);
        self.groups.iter().filter_map(applied).max().unwrap_or(Lsn::ZERO)
    }

    fn all_problems(&self) -> impl Iterator<Item = &Fault> {
        let of_groups = self.groups.iter().flat_map(|(_, report)| &report.problems);
        self.log.problems.iter().chain(of_groups).chain(&self.problems).chain(&self.shortfalls)
    }

    fn is_good(&self) -> bool {
        self.all_problems().next().is_none()
    }

    fn tell(&self, json: bool, path: &Path) {
        let items: u64 = self.groups.iter().map(|(_, report)| report.rows).sum();
        let bytes: u64 = self.groups.iter().map(|(_, report)| report.payload_bytes).sum();
        let mut facts = format!("{} group files with {items} items, {}", self.groups.len(), size(bytes));
        if let Some(start) = &self.log.start {
            facts.push_str(&format!(
                "; log: {} segments, LSN {} to {}, {} records to replay",
                self.log.segments,
                start.trim_lsn.next(),
                start.end,
                start.records
            ));
            if let Some(cut) = &start.cut {
                facts.push_str(&format!(
                    "; a torn tail of {} bytes at offset {} of {}, which nobody was promised",
                    cut.bytes,
                    cut.offset,
                    cut.path.display()
                ));
            }
        }
        let problems: Vec<&Fault> = self.all_problems().collect();
        tell(json, path, &facts, problems.iter().copied(), &self.log.notes);
    }
}

/// Prints what was found.
fn tell<'f>(
    json: bool,
    path: &Path,
    facts: &str,
    problems: impl IntoIterator<Item = &'f Fault>,
    notes: &[Fault],
) {
    let problems: Vec<String> = problems.into_iter().map(Fault::to_string).collect();
    let path = path.display().to_string();
    if json {
        let list: Vec<String> = problems.iter().map(|problem| quoted(problem)).collect();
        let (path, facts) = (quoted(&path), quoted(facts));
        return console::say(&format!(
            "{{\"path\":{path},\"good\":{},\"facts\":{facts},\"problems\":[{}]}}",
            list.is_empty(),
            list.join(",")
        ));
    }
    console::say(&format!("{path}: {facts}"));
    for note in notes {
        console::say(&format!("not needed any more, and damaged: {note}"));
    }
    for problem in &problems {
        console::say(&format!("WRONG: {problem}"));
    }
    match problems.len() {
        0 => console::say("nothing is wrong"),
        1 => console::say("1 thing is wrong; `larder check --help` tells of --repair"),
        count => console::say(&format!("{count} things are wrong; `larder check --help` tells of --repair")),
    }
}
