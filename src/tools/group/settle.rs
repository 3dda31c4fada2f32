//! How a transfer ends: `larder group confirm` and `cancel` where the group was given away, `refuse` where it was to go.
//! Each goes by what the other side has written down, which the receipt tells.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::steps::Steps;
use super::stopped::{Stopped, rename};
use super::{At, import, now, parcel};
use crate::backup::Receipt;
use crate::base::effect::FlushMark;
use crate::base::fault::{Fault, FaultKind};
use crate::base::lsn::{GroupId, Lsn};
use crate::store::{End, Passage, Standing};
use crate::tools::{Stop, Verdict, console, place};

/// Remove what was kept of a group, now that the other server has it
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder group confirm 7 taken-41b0e6a2c8d97f35 --data-dir /srv/larder1\n\n",
    "--json: group, to, number, standing.\n",
    "Exit codes: 0 done, 2 usage, 3 refused or fault."
))]
pub(super) struct Confirm {
    /// The group
    group: u16,
    /// What larder group import has printed
    receipt: String,
    #[command(flatten)]
    at: At,
}

/// Write down that a file will not be taken in
///
/// Run it where the group was to go. The receipt lets `larder group cancel` bring the group back where it came from.
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder group refuse group7.larder --data-dir /srv/larder2\n\n",
    "--json: group, from, number, standing, receipt.\n",
    "Exit codes: 0 done, 2 usage, 3 refused or fault."
))]
pub(super) struct Refuse {
    /// What larder group export made
    file: PathBuf,
    #[command(flatten)]
    at: At,
}

/// Bring a group back that was given away and not taken in
///
/// The server may serve it again. The receipt is what `larder group refuse` has printed where the group was to go: so no
/// two servers have it.
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder group cancel 7 refused-0c9a6f1e2b7d8453 --data-dir /srv/larder1\n",
    "  larder group cancel 7 --without-receipt --data-dir /srv/larder1\n\n",
    "--json: group, to, number, standing.\n",
    "Exit codes: 0 done, 2 usage, 3 refused or fault."
))]
pub(super) struct Cancel {
    /// The group
    group: u16,
    /// What larder group refuse has printed
    #[arg(required_unless_present = "without_receipt", conflicts_with = "without_receipt")]
    receipt: Option<String>,
    /// The file was never taken in and never will be: every copy of it is removed
    #[arg(long)]
    without_receipt: bool,
    #[command(flatten)]
    at: At,
}

pub(super) fn confirm(options: &Confirm, mut steps: Steps) -> Result<Verdict, Stop> {
    let mut giver = Stopped::open(&options.at.data_dir)?;
    let group = giver.group(options.group)?;
    let passage = given(&giver, group, Standing::Given)?;
    match Receipt::read(&options.receipt, group, passage.number, passage.id) {
        Some(Receipt::Taken) => {}
        Some(Receipt::Refused) => {
            let message =
                format!("the receipt says that group {group} was not taken in: larder group cancel");
            return Err(giver.refuse(FaultKind::Unusable, message).into());
        }
        None => return Err(no_receipt(&giver, group, &passage).into()),
    }
    let passage = note(&mut giver, group, Passage { standing: Standing::Given, ..passage })?;
    steps.took()?;
    remove_given(&giver, group, &mut steps)?;
    told(&options.at, group, "to", &passage, None);
    Ok(Verdict::Done)
}

pub(super) fn cancel(options: &Cancel, mut steps: Steps) -> Result<Verdict, Stop> {
    let mut giver = Stopped::open(&options.at.data_dir)?;
    let group = giver.group(options.group)?;
    let passage = given(&giver, group, Standing::Kept)?;
    let receipt = options.receipt.as_ref().map(|text| Receipt::read(text, group, passage.number, passage.id));
    match receipt {
        Some(Some(Receipt::Refused)) | None => {}
        Some(Some(Receipt::Taken)) => {
            let message = format!("the receipt says that group {group} was taken in: larder group confirm");
            return Err(giver.refuse(FaultKind::Unusable, message).into());
        }
        Some(None) => return Err(no_receipt(&giver, group, &passage).into()),
    }
    bring_back(&giver, group, &mut steps)?;
    let passage = note(&mut giver, group, Passage { standing: Standing::Kept, ..passage })?;
    told(&options.at, group, "to", &passage, None);
    Ok(Verdict::Done)
}

pub(super) fn refuse(options: &Refuse, mut steps: Steps) -> Result<Verdict, Stop> {
    let parcel = parcel::look(&options.file)?;
    let transfer = &parcel.transfer;
    let (group, number, id) = (transfer.group, transfer.number, transfer.id);
    let mut taker = import::open(&options.at.data_dir, transfer)?;
    let known = taker.transfers.of(group).copied();
    let is_refused =
        known.is_some_and(|it| (it.standing, it.number, it.id) == (Standing::Refused, number, id));
    if !is_refused && import::judge(&taker, transfer)? {
        // Taken in by halves: what is in place already was never served.
        let settled = taker.settle(group)?;
        let version_max = settled.store.state().version_max;
        let end = End { applied_lsn: settled.end, flush: FlushMark::default(), version_max };
        drop(settled);
        taker.make(group)?.commit(&[], Some(end))?;
        steps.took()?;
        taker.put_in_place(group)?;
    }
    steps.took()?;
    let (standing, other, now) = (Standing::Refused, transfer.from, now());
    let passage = Passage { standing, number, id, other, items: parcel.items, now };
    taker.transfers.put(&transfer.cluster, group, passage)?;
    let receipt = Receipt::Refused.text(group, number, id);
    told(&options.at, group, "from", &passage, Some(&receipt));
    Ok(Verdict::Done)
}

/// The transfer by which a group was given away; one that has ended as it is to end now is ended once more.
fn given(giver: &Stopped, group: GroupId, end: Standing) -> Result<Passage, Fault> {
    let known = giver.transfers.of(group);
    let found = known.filter(|known| known.standing == Standing::Giving || known.standing == end);
    found.copied().ok_or_else(|| {
        giver.refuse(FaultKind::Unusable, format!("group {group} is not being given away: larder group list"))
    })
}

fn no_receipt(giver: &Stopped, group: GroupId, passage: &Passage) -> Fault {
    let message = format!(
        "this is no receipt of transfer {} of group {group}: larder group list shows it where it went",
        passage.number
    );
    giver.refuse(FaultKind::Unusable, message)
}

fn note(stopped: &mut Stopped, group: GroupId, passage: Passage) -> Result<Passage, Fault> {
    let cluster = stopped.transfers.cluster().to_owned();
    stopped.transfers.put(&cluster, group, passage)?;
    Ok(passage)
}

/// Removes what was kept. An export that was cut short may have left it in its place.
fn remove_given(giver: &Stopped, group: GroupId, steps: &mut Steps) -> Result<(), Fault> {
    let path = giver.directory.given(group);
    if !giver.is_put_aside(group)? && giver.directory.group(group).exists() {
        let settled = giver.settle(group)?;
        if settled.store.state().rows > 0 {
            let version_max = settled.store.state().version_max;
            let end = End { applied_lsn: settled.end, flush: FlushMark::default(), version_max };
            drop(settled);
            giver.put_aside(group, end, steps)?;
        }
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Fault::io("cannot remove", &path, &error))
        }
        Err(_) => Ok(()),
        Ok(()) => path.parent().map_or(Ok(()), place::sync),
    }
}

/// Puts what was kept in its place again; the log has moved on, and says nothing of it.
fn bring_back(giver: &Stopped, group: GroupId, steps: &mut Steps) -> Result<(), Fault> {
    let given = giver.directory.given(group);
    if giver.is_put_aside(group)? {
        let end = giver.settle(group)?.end;
        let store = giver.store(&given, group)?;
        let state = store.state();
        let applied_lsn = end.max(state.applied_lsn).max(Lsn::ZERO);
        store.commit(&[], Some(End { applied_lsn, flush: state.flush, version_max: state.version_max }))?;
        drop(store);
        steps.took()?;
        rename(&given, &giver.directory.group(group))?;
    } else if given.exists() {
        // A second name of the file that is in its place.
        fs::remove_file(&given).map_err(|error| Fault::io("cannot remove", &given, &error))?;
    }
    steps.took()
}

fn told(at: &At, group: GroupId, way: &str, passage: &Passage, receipt: Option<&str>) {
    let Passage { standing, number, other, items, .. } = passage;
    let word = super::word(*standing);
    if at.json {
        let mut facts = json!({"group": group.0, "number": number, "standing": word});
        facts[way] = (*other).into();
        if let Some(receipt) = receipt {
            facts["receipt"] = receipt.into();
        }
        return console::say(&facts.to_string());
    }
    console::say(&format!("group {group}, {way} server {other}, transfer {number}, {items} items: {word}"));
    if let Some(receipt) = receipt {
        console::say(&format!(
            "next, where server {other} is stopped: larder group cancel {group} {receipt} --data-dir DIR"
        ));
    }
}
