//! The two rows of the `meta` table: whose file this is, and how far it is. FORMAT.md draws them.

use redb::{ReadableTable, Table};

use super::GroupIdentity;
use super::deadlines::Bucket;
use super::guard::Trouble;
use crate::base::effect::FlushMark;
use crate::base::fault::{Fault, FaultKind};
use crate::base::lsn::{GroupId, Lsn};
use crate::base::rest::Rest;
use crate::base::version::Version;

/// The format of a group's file that this version writes, and the newest that it reads.
const FORMAT: u32 = 1;
const IDENTITY: &str = "identity";
const STATE: &str = "state";

/// How far a group's file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Everything up to this position of the log is in the file.
    pub applied_lsn: Lsn,
    /// The flush mark at that position.
    pub flush: FlushMark,
    /// The highest version of anything in the file, and at least what the last checkpoint gave.
    pub version_max: Version,
    /// Items.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub payload_bytes: u64,
}

/// [`State`] and what the deadline index keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) state: State,
    /// The last bucket of which listings were consumed.
    pub(super) swept: Bucket,
    /// The number of the next listing.
    pub(super) next_listing: u64,
    /// Keys listed, counted with repeats.
    pub(super) listed: u64,
}

/// Reads the state; a file without one is as if nothing was ever committed to it.
pub(super) fn read_record(meta: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<Record, Trouble> {
    let row = meta.get(STATE)?;
    let found = row.and_then(|row| decode_record(body(STATE, row.value())?));
    found.ok_or_else(|| Trouble::Damaged("the state row is missing or damaged".to_owned()))
}

/// Writes the state.
pub(super) fn write_record(
    meta: &mut Table<'_, &'static str, &'static [u8]>,
    record: &Record,
) -> Result<(), Trouble> {
    let state = &record.state;
    let mut row = vec![0; 4];
    row.extend_from_slice(&state.applied_lsn.0.to_le_bytes());
    row.extend_from_slice(&state.flush.below.0.to_le_bytes());
    row.extend_from_slice(&state.flush.pending_s.to_le_bytes());
    row.extend_from_slice(&state.version_max.0.to_le_bytes());
    row.extend_from_slice(&state.rows.to_le_bytes());
    row.extend_from_slice(&state.payload_bytes.to_le_bytes());
    row.extend_from_slice(&record.swept.to_le_bytes());
    row.extend_from_slice(&record.next_listing.to_le_bytes());
    row.extend_from_slice(&record.listed.to_le_bytes());
    put(meta, STATE, row)
}

fn decode_record(bytes: &[u8]) -> Option<Record> {
    let mut rest = Rest(bytes);
    let (applied_lsn, below) = (Lsn(rest.u64()?), Version(rest.u64()?));
    let pending_s = rest.u32()?;
    let (version_max, rows, payload_bytes) = (Version(rest.u64()?), rest.u64()?, rest.u64()?);
    let swept = rest.u32()?;
    let flush = FlushMark { below, pending_s };
    let state = State { applied_lsn, flush, version_max, rows, payload_bytes };
    Some(Record { state, swept, next_listing: rest.u64()?, listed: rest.u64()? })
}

/// Writes whose file this is.
pub(super) fn write_identity(
    meta: &mut Table<'_, &'static str, &'static [u8]>,
    identity: &GroupIdentity,
) -> Result<(), Trouble> {
    let mut row = vec![0; 4];
    row.extend_from_slice(&FORMAT.to_le_bytes());
    row.extend_from_slice(&identity.directory_id.to_le_bytes());
    row.extend_from_slice(&identity.group.0.to_le_bytes());
    row.extend_from_slice(&identity.group_count.to_le_bytes());
    put(meta, IDENTITY, row)
}

/// Reads whose file this is.
pub(super) fn read_identity(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<GroupIdentity, Trouble> {
    let row = meta.get(IDENTITY)?;
    let bytes = row.as_ref().and_then(|row| body(IDENTITY, row.value()));
    let bytes = bytes.ok_or_else(|| Trouble::Damaged("the identity row is missing or damaged".to_owned()))?;
    let mut rest = Rest(bytes);
    let short = || Trouble::Damaged("the identity row is too short".to_owned());
    let format = rest.u32().ok_or_else(short)?;
    if format > FORMAT {
        let message = format!(
            "format {format}, this version reads up to {FORMAT}: start the newer larder that wrote it"
        );
        return Err(Trouble::Fault(Fault::new(FaultKind::Mismatch, message)));
    }
    let directory_id = rest.u64().ok_or_else(short)?;
    let group = GroupId(rest.u16().ok_or_else(short)?);
    let group_count = rest.u16().ok_or_else(short)?;
    Ok(GroupIdentity { directory_id, group, group_count })
}

/// Refuses a file that is not the one of `wanted`.
pub(super) fn check_identity(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    wanted: &GroupIdentity,
) -> Result<(), Trouble> {
    let GroupIdentity { directory_id, group, group_count } = read_identity(meta)?;
    if group_count != wanted.group_count {
        let asked = wanted.group_count;
        return refuse(format!(
            "made with --groups {group_count}, not {asked}: start with --groups {group_count}"
        ));
    }
    if group != wanted.group {
        let place = wanted.group;
        return refuse(format!(
            "this is group {group}, in the place of group {place}: put the files back under their own numbers"
        ));
    }
    if directory_id != wanted.directory_id {
        return refuse("made by another data directory: bring data over with backup and restore".to_owned());
    }
    Ok(())
}

fn refuse(message: String) -> Result<(), Trouble> {
    Err(Trouble::Fault(Fault::new(FaultKind::Mismatch, message)))
}

fn put(
    meta: &mut Table<'_, &'static str, &'static [u8]>,
    name: &'static str,
    mut row: Vec<u8>,
) -> Result<(), Trouble> {
    let crc = crc_of(name, row.get(4..).unwrap_or(&[]));
    for (to, from) in row.iter_mut().zip(crc.to_le_bytes()) {
        *to = from;
    }
    meta.insert(name, row.as_slice())?;
    Ok(())
}

/// What stands behind the checksum of the row `name`, if it is right.
fn body<'a>(name: &str, row: &'a [u8]) -> Option<&'a [u8]> {
    let mut rest = Rest(row);
    let crc = rest.u32()?;
    (crc == crc_of(name, rest.0)).then_some(rest.0)
}

fn crc_of(name: &str, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(name.as_bytes()), body)
}
