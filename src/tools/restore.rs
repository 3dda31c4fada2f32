//! `larder restore`: makes a data directory of a backup, and of archived segments of the log behind it.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::console::{self, Done, Progress, quoted};
use super::shelves::Shelves;
use super::{Stop, Verdict, moment, place, verify};
use crate::backup::{BINLOG, Manifest, items_file};
use crate::base::effect::FlushMark;
use crate::base::fault::{Fault, FaultKind};
use crate::base::limits::GROUPS_MAX;
use crate::base::lsn::Lsn;
use crate::base::time::UnixMs;
use crate::base::version::Version;
use crate::binlog::{self, Body, Disk, Entry, Fsync, History, RealDisk, Recovery, Starts, StillDisk};
use crate::route::Placement;
use crate::store::directory::{Directory, Wanted};

/// Make a data directory of a backup
///
/// The backup is verified first. The new directory has an identity of its own, so that two servers that were restored
/// from one backup are told apart, and what they store is newer than everything in the backup.
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder restore /backup/monday --data-dir /var/lib/larder\n",
    "  larder restore /backup/monday --data-dir /srv/new --groups 256\n",
    "  larder restore /backup/monday --archive /backup/log --until-time 2026-11-21T04:10:00Z --data-dir /srv/then\n\n",
    "Exit codes: 0 done, 2 usage, 3 refused or fault."
))]
pub(super) struct Options {
    /// The backup
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// The directory to make; it must be absent or empty
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Logical groups of the new directory [default: as in the backup]
    #[arg(long, value_name = "NUM", value_parser = clap::value_parser!(u16).range(1..=i64::from(GROUPS_MAX)))]
    groups: Option<u16>,
    /// Go on behind the backup with the segments of the log in this directory (serve --archive, or the binlog
    /// directory of a stopped server); may be given again
    #[arg(long, value_name = "DIR")]
    archive: Vec<PathBuf>,
    /// With --archive: up to this position of the log
    #[arg(long, value_name = "LSN", requires = "archive", conflicts_with = "until_time")]
    until_lsn: Option<u64>,
    /// With --archive: up to the end of this second, as 2026-11-21T04:10:00Z or unix seconds
    #[arg(long, value_name = "TIME", requires = "archive")]
    until_time: Option<String>,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> Result<Verdict, Stop> {
    let until = options.until()?;
    place::refuse_used(&options.data_dir, "name an absent or empty one with --data-dir")?;
    let manifest = verify::manifest(&options.backup)?;
    verify::verify(&options.backup, &manifest)?;
    let mut disks: Vec<Arc<dyn Disk>> = vec![Arc::new(StillDisk::new(&options.backup.join(BINLOG)))];
    disks.extend(options.archive.iter().map(|path| Arc::new(StillDisk::new(path)) as Arc<dyn Disk>));
    let history = History::open(&disks, manifest.begin.after)?;
    let target = Target::find(&history, &manifest, until)?;

    let building = building(&options.data_dir)?;
    let result = build(&building, options, &manifest, &history, &target);
    let (items, groups) = match result {
        Ok(made) => made,
        Err(fault) => {
            drop(std::fs::remove_dir_all(&building));
            return Err(fault.into());
        }
    };
    publish(&building, &options.data_dir)?;
    report(options, items, groups, &target);
    Ok(Verdict::Done)
}

/// How far the log is to be followed behind the backup.
#[derive(Clone, Copy, Debug)]
enum Until {
    Backup,
    Lsn(Lsn),
    Time(UnixMs),
    End,
}

impl Options {
    fn until(&self) -> Result<Until, Stop> {
        match (&self.until_time, self.until_lsn) {
            (Some(text), _) => moment::parse(text).map(Until::Time).ok_or_else(|| {
                Stop::Usage(format!("--until-time {text}: write 2026-11-21T04:10:00Z, or unix seconds"))
            }),
            (None, Some(lsn)) => Ok(Until::Lsn(Lsn(lsn))),
            (None, None) if self.archive.is_empty() => Ok(Until::Backup),
            (None, None) => Ok(Until::End),
        }
    }
}

/// The state that is restored: what a first reading of the log says of it.
struct Target {
    /// The last record.
    until: Lsn,
    /// Every version up to there is below this.
    ceiling: Version,
    incarnation: u32,
    /// When it was.
    now: UnixMs,
    /// What the log says of the flush marks of the backup's groups.
    marks: BTreeMap<u16, FlushMark>,
}

impl Target {
    fn find(history: &History, manifest: &Manifest, until: Until) -> Result<Target, Fault> {
        let end = &manifest.end;
        match until {
            Until::Lsn(lsn) if lsn < end.until => return Err(too_early(&format!("LSN {}", end.until))),
            Until::Time(time) if time < end.now => return Err(too_early(&moment::show(end.now))),
            _ => {}
        }
        let mut target = Target {
            until: end.until,
            ceiling: end.ceiling,
            incarnation: manifest.begin.incarnation,
            now: end.now,
            marks: BTreeMap::new(),
        };
        let mut is_over = false;
        let ended = history.replay(end.until, |lsn, entry| {
            is_over |= lsn > end.until && target.is_behind(until, lsn, entry);
            if !is_over {
                target.note(lsn, entry);
            }
            Ok(())
        })?;
        if let Until::Lsn(lsn) = until
            && ended.end < lsn
        {
            let message = format!("the archive ends at LSN {}, LSN {lsn} was asked for", ended.end);
            return Err(Fault::new(FaultKind::Unusable, message));
        }
        target.incarnation = target.incarnation.max(ended.incarnation);
        Ok(target)
    }

    fn is_behind(&self, until: Until, lsn: Lsn, entry: &Entry<'_>) -> bool {
        match until {
            Until::Backup => true,
            Until::Lsn(last) => lsn > last,
            Until::Time(last) => entry.stamp.now > last,
            Until::End => false,
        }
    }

    fn note(&mut self, lsn: Lsn, entry: &Entry<'_>) {
        self.until = self.until.max(lsn);
        self.now = self.now.max(entry.stamp.now);
        self.ceiling = self.ceiling.max(Version(entry.stamp.version.0.saturating_add(1)));
        if let Body::Flush(mark) = entry.body {
            self.marks.insert(entry.group.0, mark);
        }
    }

    /// The mark of a group of the backup as it ended: one that was to come and has, has flushed everything.
    fn settle(&mut self, group: u16, listed: FlushMark) {
        let (ceiling, now) = (self.ceiling, self.now);
        let mark = self.marks.entry(group).or_insert(listed);
        if mark.is_due(now) {
            *mark = FlushMark { below: ceiling, pending_s: 0 };
        }
    }

    fn covers(&self, group: u16, version: Version) -> bool {
        self.marks.get(&group).is_some_and(|mark| mark.covers(version))
    }
}

fn too_early(end: &str) -> Fault {
    let message = format!("the backup is the state at {end}, it has no earlier one; use an earlier backup");
    Fault::new(FaultKind::Unusable, message)
}

/// A directory beside the one that is to be made: half a restore must not look like a data directory.
fn building(data_dir: &Path) -> Result<PathBuf, Fault> {
    let path =
        std::path::absolute(data_dir).map_err(|error| Fault::io("resolving the path", data_dir, &error))?;
    let mut name = path.as_os_str().to_owned();
    name.push(".restoring");
    let building = PathBuf::from(name);
    place::refuse_used(&building, "an earlier restore was cut short: remove it")?;
    Ok(building)
}

/// Builds the directory; the items in it and its groups.
fn build(
    building: &Path,
    options: &Options,
    manifest: &Manifest,
    history: &History,
    target: &Target,
) -> Result<(u64, u16), Fault> {
    let begin = &manifest.begin;
    let groups = options.groups.unwrap_or(begin.group_count);
    let (directory, identity) = Directory::open(building, wanted(manifest, groups))?;
    let group_count =
        NonZeroU16::new(groups).ok_or_else(|| Fault::new(FaultKind::Corrupt, "there are no groups"))?;
    let placement = Placement { hash: begin.hash, hash_tag: begin.hash_tag, group_count };
    let mut shelves = Shelves::open(&directory, &identity, placement)?;
    let mut target = Target { marks: target.marks.clone(), ..*target };
    load(options, manifest, &mut target, &mut shelves)?;
    replay(history, manifest, &target, &mut shelves)?;
    let flush_of = |group| new_mark(&target, group, groups == begin.group_count);
    let items = shelves.finish(target.until, target.ceiling, flush_of)?;
    begin_log(&directory, begin.server, (target.incarnation, target.ceiling), target.until)?;
    Ok((items, groups))
}

/// The items of the backup, but for those that were flushed.
fn load(
    options: &Options,
    manifest: &Manifest,
    target: &mut Target,
    shelves: &mut Shelves,
) -> Result<(), Fault> {
    let mut progress = Progress::new("restore");
    let mut done = Done { total_bytes: manifest.bytes(), ..Done::default() };
    for group in 0..manifest.begin.group_count {
        let path = options.backup.join(items_file(group));
        // The mark stands behind the items.
        target.settle(group, verify::read_end(&path, group)?.flush);
        verify::read_items(&path, group, |key, item| {
            if !target.covers(group, item.version) {
                shelves.put(key, Some(item))?;
            }
            done.items += 1;
            done.bytes += (key.len() + item.value.bytes().len()) as u64;
            progress.tell(done);
            Ok(())
        })?;
    }
    Ok(())
}

/// The changes that the log has behind the items.
fn replay(
    history: &History,
    manifest: &Manifest,
    target: &Target,
    shelves: &mut Shelves,
) -> Result<(), Fault> {
    let mut progress = Progress::new("restore: the log");
    let mut done = Done::default();
    history.replay(manifest.end.until, |lsn, entry| {
        if lsn > target.until {
            return Ok(());
        }
        done.items += 1;
        progress.tell(done);
        match &entry.body {
            Body::Item { key, .. } if target.covers(entry.group.0, entry.stamp.version) => {
                shelves.put(key, None)
            }
            Body::Item { key, effect } => shelves.apply(key, effect, entry.stamp),
            Body::Flush(_) => Ok(()),
        }
    })?;
    Ok(())
}

/// The flush mark of a new group. With other groups the marks of the old ones have done their work on the items; a flush
/// that is still to come was asked of all of them.
fn new_mark(target: &Target, group: u16, same_groups: bool) -> FlushMark {
    if same_groups {
        return target.marks.get(&group).copied().unwrap_or_default();
    }
    let pending_s = target.marks.values().map(|mark| mark.pending_s).max().unwrap_or(0);
    FlushMark { below: Version::ZERO, pending_s }
}

/// A log that goes on behind `end`, in the name of a start that nobody else had: the one behind `incarnation`, whose
/// versions are above `ceiling`.
pub(super) fn begin_log(
    directory: &Directory,
    server: u16,
    (incarnation, ceiling): (u32, Version),
    end: Lsn,
) -> Result<(), Fault> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&directory.binlog())?);
    Starts::make(Arc::clone(&disk), incarnation, ceiling)?;
    let (_, incarnation, _) = Starts::open(Arc::clone(&disk))?;
    let salt = RandomState::new().hash_one(incarnation);
    let log_options = binlog::Options::new(Fsync::EverySec, server, incarnation, salt);
    let recovered = Recovery::open(disk, log_options)?.replay(|_, _| Ok(()), |_| ())?;
    let log = recovered.finish(end)?;
    log.close();
    binlog::run(&log);
    Ok(())
}

fn wanted(manifest: &Manifest, groups: u16) -> Wanted {
    let begin = &manifest.begin;
    Wanted {
        group_count: Some(groups),
        hash: Some(begin.hash),
        hash_tag: Some(begin.hash_tag),
        server: Some(begin.server),
    }
}

/// Gives the directory its name, now that it is whole.
fn publish(building: &Path, data_dir: &Path) -> Result<(), Fault> {
    std::fs::rename(building, data_dir).map_err(|error| {
        let mut fault = Fault::io("cannot rename the restored directory to this", data_dir, &error);
        fault.message.push_str(&format!("; it is whole under {}: move it yourself", building.display()));
        fault
    })?;
    building.parent().map_or(Ok(()), place::sync)
}

fn report(options: &Options, items: u64, groups: u16, target: &Target) {
    let (dir, lsn, time) = (options.data_dir.display().to_string(), target.until, moment::show(target.now));
    if options.json {
        let dir = quoted(&dir);
        return console::say(&format!(
            "{{\"data_dir\":{dir},\"items\":{items},\"groups\":{groups},\"lsn\":{lsn},\"time\":\"{time}\"}}"
        ));
    }
    console::say(&format!("{dir}: {items} items in {groups} groups, as of LSN {lsn} ({time})"));
}
