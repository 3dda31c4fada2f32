//! `larder group export`: a group into a file for another server. `store/FORMAT.md` has the steps.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::parcel::{self, Parcel, Writer};
use super::steps::Steps;
use super::stopped::{Settled, Stopped, rename};
use super::{At, now};
use crate::backup::Transfer;
use crate::base::effect::FlushMark;
use crate::base::fault::{Fault, FaultKind};
use crate::base::limits::SERVER_ID_MAX;
use crate::base::lsn::GroupId;
use crate::store::{End, Passage, RowBuffer, ScanLimits, Standing, Store};
use crate::tools::console::{self, Done, Progress, size};
use crate::tools::{Stop, Verdict};

/// Rows read in one go.
const ROWS: ScanLimits = ScanLimits { items: 4096, bytes: 16 << 20 };

/// Write a group into a file for another server, and let go of it
///
/// From then on this server does not serve the group, and takes a map that gives it to the other server. What it had is
/// kept until `larder group confirm`, or brought back by `larder group cancel`. An export that was cut short, or whose
/// file is lost, is run again.
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder group export 7 group7.larder --to 2 --data-dir /srv/larder1\n\n",
    "--json: group, file, to, number, items, bytes.\n",
    "Exit codes: 0 done, 2 usage, 3 refused or fault."
))]
pub(super) struct Export {
    /// The group
    group: u16,
    /// The file to make; nothing that exists is overwritten
    file: PathBuf,
    /// The number of the one server that may take it in
    #[arg(long, value_name = "SERVER", value_parser = clap::value_parser!(u16).range(1..=i64::from(SERVER_ID_MAX)))]
    to: u16,
    /// Be newer than the transfer of this number: where a directory was restored and does not know of it
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u32,
    #[command(flatten)]
    at: At,
}

pub(super) fn run(options: &Export, mut steps: Steps) -> Result<Verdict, Stop> {
    let mut giver = Stopped::open(&options.at.data_dir)?;
    let group = giver.group(options.group)?;
    let cluster = giver.cluster().map(ToOwned::to_owned).ok_or_else(|| no_cluster(&giver))?;
    let begun = begun(&giver, group, options)?;
    let made = made_before(options, begun)?;
    let settled = data(&giver, group)?;
    let version_max = settled.store.state().version_max;
    let end = End { applied_lsn: settled.end, flush: FlushMark::default(), version_max };
    if let Some(made) = made {
        drop(settled);
        giver.put_aside(group, end, &mut steps)?;
        report(options, &made.transfer, made.items, made.bytes);
        return Ok(Verdict::Done);
    }
    let mut passage = begun.unwrap_or_else(|| fresh(&giver, group, options));
    let transfer = transfer(&giver, &cluster, group, &passage, &settled);
    let mut name = options.file.clone().into_os_string();
    name.push(".unfinished");
    let unfinished = PathBuf::from(name);
    let mut file = begin(&unfinished, &transfer)?;
    let items = fill(&mut file, &settled.store, settled.flush)?;
    steps.took()?;

    // From here on the group is not served here.
    if begun.is_none() {
        passage.items = items;
        giver.transfers.put(&cluster, group, passage)?;
    } else if items != passage.items {
        let message = format!(
            "group {group} was given away with {} items, {items} are here: its file {} is not the one that was kept",
            passage.items,
            giver.directory.given(group).display()
        );
        return Err(giver.refuse(FaultKind::Corrupt, message).into());
    }
    steps.took()?;
    drop(settled);
    giver.put_aside(group, end, &mut steps)?;
    steps.took()?;

    let bytes = file.seal()?;
    parcel::look(&unfinished)?;
    steps.took()?;
    rename(&unfinished, &options.file)?;
    report(options, &transfer, items, bytes);
    Ok(Verdict::Done)
}

fn no_cluster(giver: &Stopped) -> Fault {
    let message = "this is no server of a cluster: use larder backup and restore, or dump and load";
    giver.refuse(FaultKind::Unusable, message)
}

/// The export that was begun before, if there is one; refuses what cannot be given away.
fn begun(giver: &Stopped, group: GroupId, options: &Export) -> Result<Option<Passage>, Fault> {
    let own = giver.identity.server;
    let refuse = |message: String| Err(giver.refuse(FaultKind::Unusable, message));
    if options.to == own {
        return refuse(format!("--to {own}: this is that server; name another"));
    }
    let Some(known) = giver.transfers.of(group) else {
        let owner = giver.map.as_ref().and_then(|map| map.coordinator(group)).map(|server| server.id.get());
        // What a server has against the map is given to whom it belongs.
        let is_here = giver.directory.group(group).exists();
        return match owner.filter(|owner| *owner != own && !is_here) {
            Some(owner) => refuse(format!("group {group} is on server {owner} by the map: export it there")),
            None => Ok(None),
        };
    };
    match known.standing {
        Standing::Taken | Standing::Kept => Ok(None),
        Standing::Giving if known.other == options.to => Ok(Some(*known)),
        Standing::Giving => refuse(format!(
            "group {group} is given away to server {} already: larder group cancel brings it back",
            known.other
        )),
        _ => refuse(giver.transfers.refusal(group).unwrap_or_default()),
    }
}

/// The file that is there, if it is the one that would be made; nothing else is overwritten.
fn made_before(options: &Export, begun: Option<Passage>) -> Result<Option<Parcel>, Fault> {
    let path = &options.file;
    if !path.exists() {
        return Ok(None);
    }
    let found = begun.and_then(|begun| parcel::look(path).ok().filter(|found| found.transfer.id == begun.id));
    if found.is_none() {
        let message = "there is something already, and nothing is overwritten: name another file";
        return Err(Fault::new(FaultKind::Unusable, message).at(path));
    }
    console::note(&format!("{}: it was made before, and is whole", path.display()));
    Ok(found)
}

/// What is given away: in its place, or put aside by an export before.
fn data(giver: &Stopped, group: GroupId) -> Result<Settled, Fault> {
    if !giver.is_put_aside(group)? {
        return giver.settle(group);
    }
    let store = giver.store(&giver.directory.given(group), group)?;
    let state = store.state();
    let here = giver.settle(group)?;
    Ok(Settled { store, flush: state.flush, ..here })
}

/// A transfer that nobody has heard of.
fn fresh(giver: &Stopped, group: GroupId, options: &Export) -> Passage {
    let known = giver.transfers.of(group).map_or(0, |known| known.number);
    Passage {
        standing: Standing::Giving,
        number: known.max(options.after).saturating_add(1),
        // Seeded by the system.
        id: RandomState::new().build_hasher().finish(),
        other: options.to,
        items: 0,
        now: now(),
    }
}

fn transfer(
    giver: &Stopped,
    cluster: &str,
    group: GroupId,
    passage: &Passage,
    settled: &Settled,
) -> Transfer {
    let identity = &giver.identity;
    Transfer {
        cluster: cluster.to_owned(),
        group,
        group_count: identity.group_count,
        hash: identity.hash,
        hash_tag: identity.hash_tag,
        from: identity.server,
        to: passage.other,
        number: passage.number,
        id: passage.id,
        directory_id: identity.directory_id,
        incarnation: settled.incarnation,
        lsn: settled.store.state().applied_lsn,
        ceiling: settled.ceiling,
        now: passage.now,
    }
}

/// Begins the file under a name by which nobody takes it for whole; what an export before has left there is replaced.
fn begin(unfinished: &Path, transfer: &Transfer) -> Result<Writer, Fault> {
    match fs::remove_file(unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Fault::io("cannot remove", unfinished, &error))
        }
        _ => Writer::begin(unfinished, transfer),
    }
}

/// Writes all items; how many.
fn fill(file: &mut Writer, store: &Store, flush: FlushMark) -> Result<u64, Fault> {
    let mut progress = Progress::new("export");
    let mut done = Done { total_bytes: store.state().payload_bytes, ..Done::default() };
    let mut buffer = RowBuffer::default();
    let mut from = Bound::Unbounded;
    loop {
        let mut stop = Ok(());
        let resume = store.scan(from.as_ref().map(Vec::as_slice), ROWS, &mut buffer, |key, item| {
            stop = item.and_then(|item| {
                done.items += 1;
                done.bytes += (key.len() + item.value.bytes().len()) as u64;
                if flush.covers(item.version) { Ok(()) } else { file.put(key, &item) }
            });
            stop.is_ok()
        })?;
        stop?;
        progress.tell(done);
        match resume.after {
            Some(after) => from = Bound::Excluded(after),
            None => return file.end(flush),
        }
    }
}

fn report(options: &Export, transfer: &Transfer, items: u64, bytes: u64) {
    let path = options.file.display().to_string();
    let Transfer { group, to, number, .. } = transfer;
    if options.at.json {
        let group = group.0;
        let facts =
            json!({"group": group, "file": path, "to": to, "number": number, "items": items, "bytes": bytes});
        return console::say(&facts.to_string());
    }
    console::say(&format!(
        "{path}: group {group} for server {to}, transfer {number}: {items} items, {}; verified",
        size(bytes)
    ));
    console::say(&format!("next, where server {to} is stopped: larder group import {path} --data-dir DIR"));
}
