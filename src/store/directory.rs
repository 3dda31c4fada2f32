//! The data directory: whose it is, what was decided when it was made, and that one process at a time uses it.
//!
//! `larder.id` holds the identity, `larder.ledger` what the groups' files must hold (`ledger.rs`), `larder.lock` is
//! locked while a process lives, `binlog/` and `groups/` hold the data. FORMAT.md draws them.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::disk::sync_directory_of;
use super::footprint::Footprint;
use super::ledger::{LEDGER_FILE, LEDGER_UNPUBLISHED, Ledger};
use super::reserve::Reserve;
use super::transfers::Transfers;
use crate::base::fault::{Fault, FaultKind};
use crate::base::limits::{GROUPS_DEFAULT, GROUPS_MAX};
use crate::base::lsn::GroupId;
use crate::base::placement::{Hash, HashTag};
use crate::base::rest::Rest;

const IDENTITY_FILE: &str = "larder.id";
const IDENTITY_UNPUBLISHED: &str = "larder.id.new";
const LOCK_FILE: &str = "larder.lock";
/// The map of the cluster in force.
pub const MAP_FILE: &str = "cluster.map";
/// What may lie in a directory that is to become ours: what a first start leaves that was cut short, and what the file
/// system puts there itself.
const HARMLESS: [&str; 5] = [IDENTITY_UNPUBLISHED, LOCK_FILE, LEDGER_FILE, LEDGER_UNPUBLISHED, "lost+found"];

/// What leads the identity file.
const MAGIC: [u8; 8] = *b"larderid";
/// The format of the data directory that this version writes, and the only one that it reads.
const FORMAT: u32 = 2;
/// The length of the identity file, bytes.
const IDENTITY_BYTES: usize = 32;

/// What the command line asks for: what is given has to agree with what the directory has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `--groups`, 1 to [`GROUPS_MAX`].
    pub group_count: Option<u16>,
    /// `--hash`.
    pub hash: Option<Hash>,
    /// `--hash-tag`.
    pub hash_tag: Option<HashTag>,
    /// The server's number in versions, 10 bits.
    pub server: Option<u16>,
}

/// What was decided when the directory was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Random; every group's file names it.
    pub directory_id: u64,
    /// Logical groups.
    pub group_count: u16,
    /// How a key becomes a group.
    pub hash: Hash,
    /// Which part of a key is hashed.
    pub hash_tag: HashTag,
    /// The server's number in versions.
    pub server: u16,
}

/// A data directory, locked by this process until this is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Opens the data directory at `path` for this process alone; makes it when it is absent or empty.
    ///
    /// # Errors
    /// `Locked` when another process has it; `Unusable` when it is no directory, not ours or not writable; `Mismatch`
    /// when it was made with other settings or by a newer version; `Corrupt` when its identity is damaged. Nothing is
    /// overwritten then.
    pub fn open(path: &Path, wanted: Wanted) -> Result<(Directory, Identity), Fault> {
        let path =
            &std::path::absolute(path).map_err(|error| Fault::io("resolving the path", path, &error))?;
        check_wanted(wanted)?;
        make(path)?;
        refuse_strangers(path)?;
        let lock = lock(path)?;
        let identity = match read_identity(path)? {
            Some(identity) => identity,
            None => found(path, fresh(wanted))?,
        };
        check(path, wanted, identity)?;
        let directory = Directory { path: path.clone(), _lock: lock };
        make(&directory.binlog())?;
        make(&directory.path.join("groups"))?;
        sync_directory_of(&directory.binlog())
            .map_err(|error| Fault::io("syncing the directory", path, &error))?;
        Ok((directory, identity))
    }

    /// Opens a data directory that is there, for this process alone, and makes nothing in it but the lock's file.
    ///
    /// # Errors
    /// As [`Directory::open`]; `Unusable` when there is no data directory.
    pub fn open_stopped(path: &Path) -> Result<(Directory, Identity), Fault> {
        let path =
            &std::path::absolute(path).map_err(|error| Fault::io("resolving the path", path, &error))?;
        let missing = || {
            Fault::new(FaultKind::Unusable, format!("not a data directory: it has no {IDENTITY_FILE}"))
                .at(path)
        };
        if !path.join(IDENTITY_FILE).exists() {
            return Err(missing());
        }
        let lock = lock(path)?;
        let identity = read_identity(path)?.ok_or_else(missing)?;
        Ok((Directory { path: path.clone(), _lock: lock }, identity))
    }

    /// Locks a directory whose identity is lost, for this process alone.
    ///
    /// # Errors
    /// As [`Directory::open`].
    pub fn open_nameless(path: &Path) -> Result<Directory, Fault> {
        let path =
            &std::path::absolute(path).map_err(|error| Fault::io("resolving the path", path, &error))?;
        Ok(Directory { path: path.clone(), _lock: lock(path)? })
    }

    /// Gives it an identity in the place of one that is lost.
    ///
    /// # Errors
    /// `Io` or `DiskFull`.
    pub fn name(&self, identity: Identity) -> Result<(), Fault> {
        write_identity(&self.path, identity).map(|_| ())
    }

    /// The file of its identity.
    pub fn identity_file(&self) -> PathBuf {
        self.path.join(IDENTITY_FILE)
    }

    /// Whether there is a data directory at `path`, whatever its state.
    pub fn is_at(path: &Path) -> bool {
        path.join(IDENTITY_FILE).exists()
    }

    /// Its absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The ledger of its groups.
    ///
    /// # Errors
    /// `Corrupt` when it is missing or damaged, `Mismatch` when it is not this directory's or of a newer format.
    pub fn ledger(&self, identity: &Identity) -> Result<Ledger, Fault> {
        Ledger::open(&self.path, identity.directory_id, identity.group_count)
    }

    /// A new ledger in the place of one that is lost or damaged: it expects nothing of any file.
    ///
    /// # Errors
    /// `Io` or `DiskFull`.
    pub fn remake_ledger(&self, identity: &Identity) -> Result<Ledger, Fault> {
        Ledger::make(&self.path, identity.directory_id, identity.group_count)
            .map_err(|error| Fault::io("making the ledger", &self.path, &error))?;
        self.ledger(identity)
    }

    /// What became of groups that were carried by file.
    ///
    /// # Errors
    /// `Corrupt` when that is damaged, `Mismatch` when it is another directory's or of a newer format.
    pub fn transfers(&self, identity: &Identity) -> Result<Transfers, Fault> {
        Transfers::open(&self.path, identity.directory_id)
    }

    /// The room that is kept for a full disk.
    ///
    /// # Errors
    /// `Io` when its file cannot be made; a full disk is none.
    pub fn reserve(&self) -> Result<Reserve, Fault> {
        Reserve::open(&self.path)
    }

    /// What it takes of its disk.
    pub fn footprint(&self) -> Footprint {
        Footprint::of(&self.path)
    }

    /// The directory of the binlog's segments.
    pub fn binlog(&self) -> PathBuf {
        self.path.join("binlog")
    }

    /// The file of one group.
    pub fn group(&self, group: GroupId) -> PathBuf {
        self.path.join("groups").join(format!("{:05}.redb", group.0))
    }

    /// The file of a group that is given away, kept until its receiver has it.
    pub fn given(&self, group: GroupId) -> PathBuf {
        self.group(group).with_extension("redb.given")
    }

    /// A file that is to take the place of a group's file, while it is made.
    pub fn making(&self, group: GroupId) -> PathBuf {
        self.group(group).with_extension("redb.making")
    }
}

fn check_wanted(wanted: Wanted) -> Result<(), Fault> {
    match wanted.group_count {
        Some(count) if count == 0 || count > GROUPS_MAX => {
            Err(Fault::new(FaultKind::Unusable, format!("--groups {count}: 1 to {GROUPS_MAX} are possible")))
        }
        _ => Ok(()),
    }
}

/// Makes a directory for its owner alone, unless it is there.
fn make(path: &Path) -> Result<(), Fault> {
    match fs::metadata(path) {
        Ok(facts) if facts.is_dir() => Ok(()),
        Ok(_) => {
            Err(Fault::new(FaultKind::Unusable, "not a directory; name another with --data-dir").at(path))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| unusable("making the directory", path, &error)),
        Err(error) => Err(unusable("looking at the directory", path, &error)),
    }
}

/// Refuses a directory that has something in it but no identity.
fn refuse_strangers(path: &Path) -> Result<(), Fault> {
    let entries = fs::read_dir(path).map_err(|error| unusable("listing the directory", path, &error))?;
    let mut stranger = None;
    for entry in entries {
        let name = entry.map_err(|error| unusable("listing the directory", path, &error))?.file_name();
        if name == IDENTITY_FILE {
            return Ok(());
        }
        if !HARMLESS.iter().any(|harmless| name == *harmless) {
            stranger = Some(name);
        }
    }
    stranger.map_or(Ok(()), |name| {
        let name = name.to_string_lossy();
        let message = format!(
            "not a data directory: it holds {name:?} but no {IDENTITY_FILE}; name an empty one with --data-dir"
        );
        Err(Fault::new(FaultKind::Unusable, message).at(path))
    })
}

fn lock(path: &Path) -> Result<File, Fault> {
    let file = private().create(true).truncate(false).write(true).open(path.join(LOCK_FILE));
    let file = file.map_err(|error| unusable("opening the lock file", path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let message =
                "another process uses this data directory; stop it, or name another with --data-dir";
            Err(Fault::new(FaultKind::Locked, message).at(path))
        }
        Err(TryLockError::Error(error)) => Err(unusable("locking", path, &error)),
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// A failure that has to do with the place, except a full disk.
fn unusable(action: &str, path: &Path, error: &io::Error) -> Fault {
    let mut fault = Fault::io(action, path, error);
    let refused =
        [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::NotFound];
    if refused.contains(&error.kind()) {
        fault.kind = FaultKind::Unusable;
        fault.message = format!("{action}: {error}; larder has to be able to write there");
    }
    fault
}

/// A new identity as wished. The random number is the seed of a hasher: the standard library's own randomness.
fn fresh(wanted: Wanted) -> Identity {
    Identity {
        directory_id: RandomState::new().build_hasher().finish(),
        group_count: wanted.group_count.unwrap_or(GROUPS_DEFAULT),
        hash: wanted.hash.unwrap_or_default(),
        hash_tag: wanted.hash_tag.unwrap_or_default(),
        server: wanted.server.unwrap_or_default(),
    }
}

/// Makes a new data directory: the ledger first, so that a directory with an identity has one.
fn found(path: &Path, identity: Identity) -> Result<Identity, Fault> {
    Ledger::make(path, identity.directory_id, identity.group_count)
        .map_err(|error| unusable("making the ledger", path, &error))?;
    write_identity(path, identity)
}

/// Publishes an identity: complete under another name first, so that half of one is never seen.
fn write_identity(path: &Path, identity: Identity) -> Result<Identity, Fault> {
    let [unpublished, published] = [IDENTITY_UNPUBLISHED, IDENTITY_FILE].map(|name| path.join(name));
    let write = || -> io::Result<()> {
        let mut file = private().create(true).truncate(true).write(true).open(&unpublished)?;
        file.write_all(&encode(&identity))?;
        file.sync_all()?;
        fs::rename(&unpublished, &published)?;
        sync_directory_of(&published)?;
        sync_directory_of(path)
    };
    write().map_err(|error| unusable("writing the identity", path, &error))?;
    Ok(identity)
}

fn read_identity(path: &Path) -> Result<Option<Identity>, Fault> {
    let file = path.join(IDENTITY_FILE);
    let bytes = match fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable("reading the identity", path, &error)),
    };
    let damaged = || {
        let message = "the identity of this data directory is damaged: larder check --repair makes it anew of the \
                       groups' files, or restore this file from a backup";
        Fault::new(FaultKind::Corrupt, message).at(&file)
    };
    let mut rest = Rest(&bytes);
    let (magic, crc) = (rest.take::<8>(), rest.u32());
    if magic != Some(MAGIC) || crc != Some(crc32c::crc32c(rest.0)) {
        return Err(damaged());
    }
    let format = rest.u32().ok_or_else(damaged)?;
    if format > FORMAT {
        let message = format!(
            "this data directory has format {format}, this version reads {FORMAT}: start the newer larder that wrote it"
        );
        return Err(Fault::new(FaultKind::Mismatch, message).at(path));
    }
    if format < FORMAT {
        let message = format!(
            "this data directory has format {format}, this version reads {FORMAT}: start the older larder that wrote it"
        );
        return Err(Fault::new(FaultKind::Mismatch, message).at(path));
    }
    decode(rest).map(Some).ok_or_else(damaged)
}

fn encode(identity: &Identity) -> Vec<u8> {
    let mut body = Vec::with_capacity(IDENTITY_BYTES);
    body.extend_from_slice(&FORMAT.to_le_bytes());
    body.extend_from_slice(&identity.directory_id.to_le_bytes());
    body.extend_from_slice(&identity.group_count.to_le_bytes());
    body.extend_from_slice(&[identity.hash.code(), identity.hash_tag.code()]);
    body.extend_from_slice(&identity.server.to_le_bytes());
    body.extend_from_slice(&[0, 0]);
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// What stands behind the format.
fn decode(mut rest: Rest<'_>) -> Option<Identity> {
    let directory_id = rest.u64()?;
    let group_count = rest.u16()?;
    let [hash, hash_tag] = rest.take()?;
    let server = rest.u16()?;
    let (hash, hash_tag) = (Hash::from_code(hash)?, HashTag::from_code(hash_tag)?);
    (1..=GROUPS_MAX).contains(&group_count).then_some(Identity {
        directory_id,
        group_count,
        hash,
        hash_tag,
        server,
    })
}

/// Refuses what was asked for and is not so.
fn check(path: &Path, wanted: Wanted, has: Identity) -> Result<(), Fault> {
    let differences = [
        differs("--groups", wanted.group_count.map(|n| n.to_string()), has.group_count.to_string()),
        differs("--hash", wanted.hash.map(|hash| hash.name().to_owned()), has.hash.name().to_owned()),
        differs(
            "--hash-tag",
            wanted.hash_tag.map(|tag| tag.name().to_owned()),
            has.hash_tag.name().to_owned(),
        ),
        differs("--server-id", wanted.server.map(|n| n.to_string()), has.server.to_string()),
    ];
    match differences.into_iter().flatten().next() {
        Some(message) => Err(Fault::new(FaultKind::Mismatch, message).at(path)),
        None => Ok(()),
    }
}

fn differs(option: &str, wanted: Option<String>, has: String) -> Option<String> {
    wanted.filter(|wanted| *wanted != has).map(|wanted| {
        format!(
            "this data directory was made with {option} {has}, not {wanted}: start with {option} {has}, or without it; \
             or restore a backup of it into a new directory made with {option} {wanted}"
        )
    })
}
