//! `larder group import`: a group out of a file into this server. `store/FORMAT.md` has the steps.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::parcel::{self, Parcel};
use super::steps::Steps;
use super::stopped::{Settled, Stopped};
use super::{At, now};
use crate::backup::{Receipt, Transfer};
use crate::base::fault::{Fault, FaultKind};
use crate::base::lsn::{GroupId, Lsn};
use crate::base::version::Version;
use crate::binlog::{Disk, RealDisk, Starts};
use crate::store::check::Chunk;
use crate::store::directory::{Directory, Wanted};
use crate::store::{End, Passage, RowBuffer, ScanLimits, Standing};
use crate::tools::console;
use crate::tools::restore::begin_log;
use crate::tools::{Stop, Verdict};

/// Rows read in one go.
const ROWS: ScanLimits = ScanLimits { items: 4096, bytes: 16 << 20 };

/// Take a group in that another server has let go of
///
/// The file is verified first. A group of another cluster or server, an older copy than one that was taken in before, and
/// one that was taken in already are refused. A directory that is absent or empty is made, for a server that is new.
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder group import group7.larder --data-dir /srv/larder2\n\n",
    "The receipt that is printed is for `larder group confirm` where the group came from.\n",
    "--json: group, from, number, items, receipt.\n",
    "Exit codes: 0 done, 2 usage, 3 refused or fault."
))]
pub(super) struct Import {
    /// What larder group export made
    file: PathBuf,
    #[command(flatten)]
    at: At,
}

pub(super) fn run(options: &Import, mut steps: Steps) -> Result<Verdict, Stop> {
    let parcel = parcel::look(&options.file)?;
    let transfer = &parcel.transfer;
    let group = transfer.group;
    let mut taker = open(&options.at.data_dir, transfer)?;
    let is_begun = judge(&taker, transfer)?;
    let settled = taker.settle(group)?;
    if !is_begun {
        refuse_items(&taker, group, &settled)?;
    }
    let Settled { store, end, incarnation, .. } = settled;
    drop(store);

    let ceiling = raise_ceiling(&taker, transfer.ceiling)?;
    steps.took()?;
    let mut passage = passage(transfer, parcel.items);
    taker.transfers.put(&transfer.cluster, group, passage)?;
    steps.took()?;
    let end = if end == Lsn::ZERO { begun_log(&taker, incarnation, ceiling)? } else { end };
    build(&taker, options, &parcel, end)?;
    steps.took()?;
    taker.put_in_place(group)?;
    steps.took()?;
    let ends = (0..taker.identity.group_count).map(|id| if id == group.0 { end } else { Lsn::ZERO });
    taker.directory.ledger(&taker.identity)?.raise(ends)?;
    steps.took()?;

    // From here on it may be served here.
    passage.standing = Standing::Taken;
    taker.transfers.put(&transfer.cluster, group, passage)?;
    report(options, &parcel);
    Ok(Verdict::Done)
}

/// The server's directory; one that is absent or empty is made as the file's cluster has to have it.
pub(super) fn open(path: &Path, transfer: &Transfer) -> Result<Stopped, Fault> {
    if Directory::is_at(path) {
        return Stopped::open(path);
    }
    let wanted = Wanted {
        group_count: Some(transfer.group_count),
        hash: Some(transfer.hash),
        hash_tag: Some(transfer.hash_tag),
        server: Some(transfer.to),
    };
    Stopped::of(Directory::open(path, wanted)?)
}

/// Refuses what is not for this server, or not new. Whether this very transfer was begun here before.
pub(super) fn judge(taker: &Stopped, transfer: &Transfer) -> Result<bool, Fault> {
    let (identity, group) = (&taker.identity, transfer.group);
    refuse_other_cluster(taker, transfer)?;
    if transfer.to != identity.server {
        let (to, own) = (transfer.to, identity.server);
        let message = format!("group {group} was exported for server {to}, and this is server {own}");
        return Err(taker.refuse(FaultKind::Mismatch, message));
    }
    let Some(known) = taker.transfers.of(group) else { return Ok(false) };
    let (number, id) = (transfer.number, transfer.id);
    let is_same = (known.number, known.id) == (number, id);
    let message = match known.standing {
        Standing::Taking if is_same => return Ok(true),
        Standing::Taken if is_same => {
            let receipt = Receipt::Taken.text(group, number, id);
            format!("group {group} was taken in from this file already; the receipt is {receipt}")
        }
        Standing::Refused if is_same => {
            format!(
                "it was written down here that this file will not be taken in: export group {group} again"
            )
        }
        Standing::Giving => format!(
            "group {group} is being given away to server {}: larder group confirm or cancel that first",
            known.other
        ),
        _ if number <= known.number => format!(
            "an older copy of group {group}: transfer {number}, and transfer {} is known here; export it again, if it \
             was restored in between with --after {}",
            known.number, known.number
        ),
        Standing::Taken | Standing::Kept => format!(
            "group {group} is here, by transfer {}: export it from here to server {} first",
            known.number, transfer.from
        ),
        _ => return Ok(false),
    };
    Err(taker.refuse(FaultKind::Mismatch, message))
}

fn refuse_other_cluster(taker: &Stopped, transfer: &Transfer) -> Result<(), Fault> {
    let identity = &taker.identity;
    let cluster = match taker.cluster() {
        Some(cluster) => cluster,
        None if is_new(taker) => &transfer.cluster,
        None => {
            let message = "it has no map of a cluster: start its server once with --cluster, or name a directory that is \
                           absent or empty";
            return Err(taker.refuse(FaultKind::Unusable, message));
        }
    };
    for (what, theirs, ours) in [
        ("cluster", transfer.cluster.clone(), cluster.to_owned()),
        ("groups", transfer.group_count.to_string(), identity.group_count.to_string()),
        ("hash", transfer.hash.name().to_owned(), identity.hash.name().to_owned()),
        ("hash-tag", transfer.hash_tag.name().to_owned(), identity.hash_tag.name().to_owned()),
    ] {
        if theirs != ours {
            let message =
                format!("{what} is {ours} here and {theirs} in the file: it belongs to another cluster");
            return Err(taker.refuse(FaultKind::Mismatch, message));
        }
    }
    Ok(())
}

/// Whether nothing was ever stored in it.
fn is_new(taker: &Stopped) -> bool {
    let is_empty = |path: &Path| std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    let has_log = std::fs::read_dir(taker.directory.binlog()).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("log-"))
    });
    is_empty(&taker.directory.path().join("groups")) && !has_log
}

/// A group that has items here is not replaced: whoever stored them was promised that they stay.
fn refuse_items(taker: &Stopped, group: GroupId, settled: &Settled) -> Result<(), Fault> {
    let now = now();
    let mut buffer = RowBuffer::default();
    let (mut from, mut count, mut first) = (Bound::Unbounded, 0_u64, None);
    loop {
        let resume =
            settled.store.scan(from.as_ref().map(Vec::as_slice), ROWS, &mut buffer, |key, item| {
                let is_live =
                    item.is_ok_and(|item| !item.is_expired(now) && !settled.flush.covers(item.version));
                if is_live {
                    count += 1;
                    first.get_or_insert_with(|| String::from_utf8_lossy(key).into_owned());
                }
                true
            })?;
        match resume.after {
            Some(after) => from = Bound::Excluded(after),
            None => break,
        }
    }
    let Some(first) = first else { return Ok(()) };
    let message = format!(
        "{count} items of group {group} are here already, such as {first:?}: look at them, and remove them first"
    );
    Err(taker.refuse(FaultKind::Mismatch, message))
}

/// Everything that this server will issue is above what the giver has issued. Durable when this returns.
fn raise_ceiling(taker: &Stopped, ceiling: Version) -> Result<Version, Fault> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&taker.directory.binlog())?);
    let (incarnation, own) = Starts::look(&*disk)?;
    if own < ceiling {
        Starts::make(disk, incarnation, ceiling)?;
    }
    Ok(own.max(ceiling))
}

/// The end of a log that was not begun yet: there has to be one, so that an older copy of the group's file can be told.
fn begun_log(taker: &Stopped, incarnation: u32, ceiling: Version) -> Result<Lsn, Fault> {
    let first = Lsn::ZERO.next();
    begin_log(&taker.directory, taker.identity.server, (incarnation, ceiling), first)?;
    Ok(first)
}

fn passage(transfer: &Transfer, items: u64) -> Passage {
    let Transfer { number, id, from, now, .. } = *transfer;
    Passage { standing: Standing::Taking, number, id, other: from, items, now }
}

/// Makes the group's file of what the other server's file has, at this server's own place of the log.
fn build(taker: &Stopped, options: &Import, parcel: &Parcel, end: Lsn) -> Result<(), Fault> {
    let store = taker.make(parcel.transfer.group)?;
    let mut chunk = Chunk::default();
    let found = parcel::read(&options.file, "import", |key, item| {
        chunk.push(key, item);
        if chunk.is_full() { chunk.commit(&store) } else { Ok(()) }
    })?;
    chunk.commit(&store)?;
    if found.transfer != parcel.transfer || store.state().rows != parcel.items {
        let message = "the file was changed while it was read; run larder group import again";
        return Err(Fault::new(FaultKind::Corrupt, message).at(&options.file));
    }
    let end = End { applied_lsn: end, flush: parcel.flush, version_max: parcel.transfer.ceiling };
    store.commit(&[], Some(end)).map(|_| ())
}

fn report(options: &Import, parcel: &Parcel) {
    let Parcel { transfer, items, .. } = parcel;
    let Transfer { group, from, number, id, .. } = transfer;
    let receipt = Receipt::Taken.text(*group, *number, *id);
    if options.at.json {
        let group = group.0;
        let facts =
            json!({"group": group, "from": from, "number": number, "items": items, "receipt": receipt});
        return console::say(&facts.to_string());
    }
    console::say(&format!("group {group} from server {from}, transfer {number}: {items} items taken in"));
    console::say(&format!(
        "next, where server {from} is stopped: larder group confirm {group} {receipt} --data-dir DIR"
    ));
}
