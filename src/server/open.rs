//! Opening what is kept: directory, stores, log; then the log's records into memory.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::Mutex;

use super::cluster::server_number;
use super::patience::patiently;
use super::timed_disk::TimedDisk;
use crate::base::fault::{Fault, FaultKind};
use crate::base::limits;
use crate::base::lsn::{GroupId, Lsn};
use crate::base::metrics::Timings;
use crate::base::space::DiskLimit;
use crate::base::time::{Clock, UnixMs};
use crate::base::version::Version;
use crate::binlog::{self, RealDisk, Recovery, Starts};
use crate::config::{Config, Data, Fsync, Keep, PlacementChoice};
use crate::dispatch::cluster::Cluster;
use crate::engine::Rules;
use crate::group::disk_limit::Limiter;
use crate::group::keeper::{CEILING_AHEAD_MS, Ceiling};
use crate::group::{Group, Shared};
use crate::hot::{self, Budget, Hot};
use crate::route::{Hash, HashTag, Placement};
use crate::store::directory::{self, Directory, Wanted};
use crate::store::{self, GroupIdentity, Ledger, Reserve, Store, StoreOptions, Transfers};

/// All stores' page caches together are this part of `-m`, but at least [`CACHE_BYTES_MIN`] each.
const CACHE_PART: usize = 16;
/// See [`CACHE_PART`].
const CACHE_BYTES_MIN: usize = 256 * 1024;
/// Dirty entries may take this part of `-m` before writers wait.
const DIRTY_PART: u64 = 2;
/// So many of the largest items fit the log, unless `--log-size` says otherwise.
const LOG_ITEMS_MIN: u64 = 4;
/// The log has at least so many segments.
const SEGMENTS_MIN: u64 = 8;

/// Everything that was opened and recovered.
pub(super) struct Opened {
    pub(super) placement: Placement,
    pub(super) groups: Arc<[Group]>,
    pub(super) shared: Arc<Shared>,
    pub(super) ceiling: Arc<dyn Ceiling>,
    pub(super) directory: Option<Directory>,
    /// The other servers; the assembly decides about them when the groups are open.
    pub(super) cluster: Option<Arc<Cluster>>,
    pub(super) ledger: Option<Mutex<Ledger>>,
    pub(super) reserve: Option<Reserve>,
    pub(super) limiter: Option<Limiter>,
    /// Which groups came or went by file.
    pub(super) transfers: Transfers,
}

/// Disks in place of what lies in the data directory: for tests. By default there are none.
#[derive(Default)]
pub struct Disks {
    /// The log's.
    pub log: Option<Arc<dyn binlog::Disk>>,
    /// That of each group's store.
    pub store: Option<StoreDisks>,
}

/// The disk of each group's store.
pub type StoreDisks = Box<dyn Fn(GroupId) -> Box<dyn store::Disk>>;

/// The file of starts, shared by those who raise the ceiling.
struct StartsFile(Mutex<Starts>);

impl Ceiling for StartsFile {
    fn raise(&self, version: Version) -> Result<(), Fault> {
        self.0.lock().raise(version)
    }
}

/// Nothing is kept, nothing can be issued twice.
struct NoCeiling;

impl Ceiling for NoCeiling {
    fn raise(&self, _: Version) -> Result<(), Fault> {
        Ok(())
    }
}

/// Opens and recovers what the configuration says.
pub(super) fn open_on(config: &Config, clock: &Arc<dyn Clock>, disks: &Disks) -> Result<Opened, Fault> {
    match &config.keep {
        Keep::Nothing => open_nothing(config),
        Keep::Data(data) => open_data(config, data, clock, disks),
    }
}

fn open_nothing(config: &Config) -> Result<Opened, Fault> {
    let placement = placement(&config.placement)?;
    let shared = Arc::new(shared(config, 0, Version(u64::MAX), Arc::default()));
    let group = |id| {
        Group::new(GroupId(id), Arc::clone(&shared), None, memory(config, &placement, &shared), Version::ZERO)
    };
    let groups = (0..placement.group_count.get()).map(group).collect();
    Ok(Opened {
        placement,
        groups,
        shared,
        ceiling: Arc::new(NoCeiling),
        directory: None,
        cluster: None,
        ledger: None,
        reserve: None,
        limiter: None,
        transfers: Transfers::default(),
    })
}

fn open_data(config: &Config, data: &Data, clock: &Arc<dyn Clock>, disks: &Disks) -> Result<Opened, Fault> {
    let began = Instant::now();
    let (directory, identity) = patiently(|| Directory::open(&data.dir, wanted(config)))?;
    let placement = placement_of(&identity)?;
    let transfers = directory.transfers(&identity)?;
    if config.cluster.is_none() {
        refuse_carried(&transfers, &data.dir)?;
    }
    let disk = match &disks.log {
        Some(disk) => Arc::clone(disk),
        None => Arc::new(RealDisk::open(&directory.binlog())?),
    };
    let timings: Arc<Timings> = Arc::default();
    let disk: Arc<dyn binlog::Disk> = Arc::new(TimedDisk { disk, timings: Arc::clone(&timings) });
    let reserve = directory.reserve()?;
    let (mut starts, incarnation, floor) = on_reserve(&reserve, || Starts::open(Arc::clone(&disk)))?;
    let ceiling = Version::at(UnixMs(clock.now().0.max(floor.ms()) + CEILING_AHEAD_MS));
    starts.raise(ceiling)?;
    let shared = Arc::new(shared(config, identity.server, ceiling, Arc::clone(&timings)));
    let mut ledger = directory.ledger(&identity)?;
    let stores = open_stores(config, &directory, &identity, &mut ledger, disks)?;
    let rows: u64 = stores.iter().map(|store| store.state().rows).sum();
    let dir = data.dir.display();
    log::info!("{dir}: {} groups with {rows} items opened in {:?}", stores.len(), began.elapsed());

    let groups: Arc<[Group]> = stores
        .into_iter()
        .zip(0..)
        .map(|(store, id)| {
            let floor = floor.max(store.state().version_max);
            Group::new(
                GroupId(id),
                Arc::clone(&shared),
                Some(store),
                memory(config, &placement, &shared),
                floor,
            )
        })
        .collect();
    let options = log_options(config, data, identity.server, incarnation);
    refuse_too_small(data, &options)?;
    let archive = data.archive.as_deref().map(open_archive).transpose()?;
    let log = recover(disk, options, archive, &groups)?;
    let _ = shared.log.set(log);
    let ceiling = Arc::new(StartsFile(Mutex::new(starts)));
    let (ledger, reserve) = (Some(Mutex::new(ledger)), Some(reserve));
    let limiter = Some(Limiter::new(directory.footprint(), data.disk_limit, data.on_full));
    Ok(Opened {
        placement,
        groups,
        shared,
        ceiling,
        directory: Some(directory),
        cluster: None,
        ledger,
        reserve,
        limiter,
        transfers,
    })
}

/// Without a cluster every group would be served, also those that are another server's.
fn refuse_carried(transfers: &Transfers, dir: &std::path::Path) -> Result<(), Fault> {
    match transfers.all().find_map(|(group, _)| transfers.refusal(group)) {
        Some(why) => {
            let message = format!("{why}; start with --cluster");
            Err(Fault::new(FaultKind::Mismatch, message).at(dir))
        }
        None => Ok(()),
    }
}

/// A limit that the log and the reserve alone may pass would forbid everything.
fn refuse_too_small(data: &Data, log: &binlog::Options) -> Result<(), Fault> {
    let least = log.log_bytes_max + log.segment_bytes + limits::RESERVE_BYTES + limits::DISK_BESIDE_LOG_MIN;
    match data.disk_limit {
        DiskLimit::Bytes(bytes) if bytes < least => {
            let (limit, log, least) = (bytes >> 20, log.log_bytes_max >> 20, least.div_ceil(1 << 20));
            let message = format!(
                "--disk-limit of {limit} MB: the log alone may take {log} MB; write {least}m or more, or a smaller --log-size"
            );
            Err(Fault::new(FaultKind::Unusable, message))
        }
        _ => Ok(()),
    }
}

/// Does what needs a little room on the disk; once more with that of the reserve when there is no other.
fn on_reserve<T>(reserve: &Reserve, mut work: impl FnMut() -> Result<T, Fault>) -> Result<T, Fault> {
    match work() {
        Err(fault) if fault.kind == FaultKind::DiskFull && reserve.give_up() => work(),
        done => done,
    }
}

fn open_archive(path: &std::path::Path) -> Result<Arc<dyn binlog::Disk>, Fault> {
    Ok(Arc::new(RealDisk::open(path)?))
}

/// Replays the log into the groups and opens it for writing.
fn recover(
    disk: Arc<dyn binlog::Disk>,
    options: binlog::Options,
    archive: Option<Arc<dyn binlog::Disk>>,
    groups: &[Group],
) -> Result<Arc<binlog::Log>, Fault> {
    let began = Instant::now();
    let mut applied: u64 = 0;
    let recovery = Recovery::open(disk, options)?.archived_to(archive);
    let mut told = 0;
    let recovered = recovery.replay(
        |lsn, entry| {
            let Some(group) = groups.get(usize::from(entry.group.0)) else {
                let message =
                    format!("a record of group {}, but there are {} groups", entry.group, groups.len());
                return Err(Fault::new(FaultKind::Corrupt, message).lsn(lsn));
            };
            applied += u64::from(group.apply(lsn, entry)?);
            Ok(())
        },
        |progress| {
            let quarter = progress.bytes * 4 / progress.bytes_total.max(1);
            if quarter > told && progress.bytes_total > limits::SEGMENT_BYTES_DEFAULT {
                told = quarter;
                log::info!(
                    "replaying the log: {} of {} MB",
                    progress.bytes >> 20,
                    progress.bytes_total >> 20
                );
            }
        },
    )?;
    let report = &recovered.report;
    log::info!(
        "log: {} records ({} MB) read, {applied} applied, LSN {} to {}, in {:?}",
        report.records,
        report.bytes >> 20,
        report.trim_lsn.next(),
        report.end,
        began.elapsed()
    );
    if let Some(cut) = &report.cut {
        log::warn!(
            "log: a torn tail of {} bytes was cut off {} at offset {}; nothing in it was promised to be durable",
            cut.bytes,
            cut.path.display(),
            cut.offset
        );
    }
    let floor = groups.iter().map(Group::applied_lsn).max().unwrap_or(Lsn::ZERO);
    if report.end < floor {
        // A log is always synced past what the stores have: this one has lost its end since.
        log::error!(
            "log: it ends at LSN {}, but a store knows LSN {floor}: the newest segment is missing; changes may be lost",
            report.end
        );
    }
    recovered.finish(floor)
}

fn open_stores(
    config: &Config,
    directory: &Directory,
    identity: &directory::Identity,
    ledger: &mut Ledger,
    disks: &Disks,
) -> Result<Vec<Store>, Fault> {
    let group_count = identity.group_count;
    let bytes = usize::try_from(config.memory.bytes).unwrap_or(usize::MAX);
    let cache_bytes = (bytes / CACHE_PART / usize::from(group_count.max(1))).max(CACHE_BYTES_MIN);
    let mut open = |id| {
        let group = GroupId(id);
        let owner = GroupIdentity { directory_id: identity.directory_id, group, group_count };
        let options = StoreOptions { cache_bytes };
        let store = match &disks.store {
            Some(disk) => Store::open_on(disk(group), owner, options)?,
            None => Store::open(&directory.group(group), owner, options)?,
        };
        ledger.admit(group, store.path(), store.made())?;
        Ok(store)
    };
    (0..group_count).map(&mut open).collect()
}

fn shared(config: &Config, server: u16, ceiling: Version, timings: Arc<Timings>) -> Shared {
    let bytes = usize::try_from(config.memory.bytes).unwrap_or(usize::MAX);
    Shared {
        log: OnceLock::new(),
        budget: Arc::new(Budget::new(bytes)),
        rules: Rules { item_bytes_max: config.memory.item_bytes_max, cas_enabled: config.allow.cas },
        server,
        version_ceiling: AtomicU64::new(ceiling.0),
        bell: Default::default(),
        dirty_bytes_max: AtomicU64::new(config.memory.bytes / DIRTY_PART),
        timings,
        trouble: Default::default(),
        delay_told_s: Default::default(),
        disk_use: Default::default(),
        readers: Default::default(),
    }
}

impl Shared {
    /// Sets the memory bound (`cache_memlimit`), bytes.
    pub fn set_memory_limit(&self, bytes: usize) {
        self.budget.set_limit(bytes);
        self.dirty_bytes_max.store(bytes as u64 / DIRTY_PART, Ordering::Relaxed);
        self.bell.ring();
    }
}

/// An empty memory for one group.
fn memory(config: &Config, placement: &Placement, shared: &Shared) -> Hot {
    let groups = usize::from(placement.group_count.get());
    let options = hot::Options {
        persistent: config.keep != Keep::Nothing,
        evicts: config.memory.evict || config.keep != Keep::Nothing,
        segment_bytes: hot::Options::segment_bytes_for(shared.budget.limit(), groups),
    };
    Hot::new(Arc::clone(&shared.budget), options)
}

fn log_options(config: &Config, data: &Data, server: u16, incarnation: u32) -> binlog::Options {
    let fsync = match data.fsync {
        Fsync::Always => binlog::Fsync::Always,
        Fsync::EverySecond => binlog::Fsync::EverySec,
        Fsync::Never => binlog::Fsync::Never,
    };
    // The log must take several of the largest items, or they could never be stored.
    let least = LOG_ITEMS_MIN * config.memory.item_bytes_max as u64;
    let log_bytes_max = data.log_bytes.unwrap_or(limits::LOG_BYTES_DEFAULT.max(least));
    let segment_bytes = (log_bytes_max / SEGMENTS_MIN).min(limits::SEGMENT_BYTES_DEFAULT) / 4096 * 4096;
    // Seeded by the system: a number that clients cannot guess.
    let salt = RandomState::new().hash_one(incarnation);
    binlog::Options { segment_bytes, log_bytes_max, ..binlog::Options::new(fsync, server, incarnation, salt) }
}

fn wanted(config: &Config) -> Wanted {
    let choice = &config.placement;
    Wanted {
        group_count: choice.group_count.map(u16::from),
        hash: choice.hash,
        hash_tag: choice.hash_tag,
        server: server_number(config),
    }
}

fn placement_of(identity: &directory::Identity) -> Result<Placement, Fault> {
    placement(&PlacementChoice {
        group_count: std::num::NonZeroU16::new(identity.group_count),
        hash: Some(identity.hash),
        hash_tag: Some(identity.hash_tag),
    })
}

fn placement(choice: &PlacementChoice) -> Result<Placement, Fault> {
    let count = choice.group_count.or(std::num::NonZeroU16::new(limits::GROUPS_DEFAULT));
    let group_count = count.ok_or_else(|| Fault::new(FaultKind::Corrupt, "there are no groups"))?;
    Ok(Placement {
        hash: choice.hash.unwrap_or(Hash::Larder),
        hash_tag: choice.hash_tag.unwrap_or(HashTag::Braces),
        group_count,
    })
}
