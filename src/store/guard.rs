//! The one door to redb: whatever goes wrong behind it comes out as a fault with the file and the keys, panics too.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::disk::Watch;
use crate::base::fault::{Fault, FaultKind};

/// What went wrong behind the door.
#[derive(Debug)]
pub(super) enum Trouble {
    /// redb's word.
    Redb(Box<redb::Error>),
    /// Bytes in one of our rows that must be right are not; which row.
    Damaged(String),
    /// Found by us.
    Fault(Fault),
}

impl<E: Into<redb::Error>> From<E> for Trouble {
    fn from(error: E) -> Trouble {
        Trouble::Redb(Box::new(error.into()))
    }
}

/// Which keys an operation was about, for the message.
#[derive(Clone, Copy, Debug)]
pub(super) enum About<'a> {
    Whole,
    Key(&'a [u8]),
    Range(&'a [u8], &'a [u8]),
}

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            About::Whole => f.write_str("the file"),
            About::Key(key) => write!(f, "key {:?}", String::from_utf8_lossy(key)),
            About::Range(first, last) => {
                let [first, last] = [first, last].map(|key| String::from_utf8_lossy(key));
                write!(f, "keys {first:?} to {last:?}")
            }
        }
    }
}

/// Runs `work`, which calls into redb, and turns whatever goes wrong into a fault of the file at `path`.
pub(super) fn guard<T>(
    path: &Path,
    watch: &Watch,
    about: About<'_>,
    work: impl FnOnce() -> Result<T, Trouble>,
) -> Result<T, Fault> {
    // Unwind safety: what `work` may leave half done is a write transaction, which redb rolls back or marks for
    // repair as it is dropped, and buffers that their owners clear before the next use. After a panic in a write
    // the store refuses further writes.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(trouble)) => Err(trouble.into_fault(path, watch, about)),
        Err(payload) => Err(panic_fault(path, about, payload.as_ref())),
    }
}

impl Trouble {
    /// The trouble as a fault of the file at `path`.
    pub(super) fn into_fault(self, path: &Path, watch: &Watch, about: About<'_>) -> Fault {
        match self {
            Trouble::Fault(fault) => fault.at(path),
            Trouble::Damaged(what) => Fault::new(FaultKind::Corrupt, what).at(path),
            // The first failure of the disk says more than what redb makes of it.
            Trouble::Redb(error) => watch.fault(path).unwrap_or_else(|| redb_fault(path, about, *error)),
        }
    }
}

fn redb_fault(path: &Path, about: About<'_>, error: redb::Error) -> Fault {
    match error {
        // Not the disk's word, or the watch would have it: redb's own, about what it read.
        redb::Error::Io(error) => {
            Fault::new(FaultKind::Corrupt, format!("{error}; restore this group")).at(path)
        }
        redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
            Fault::new(FaultKind::Io, format!("{about}: {error}")).at(path)
        }
        redb::Error::DatabaseAlreadyOpen => Fault::new(FaultKind::Locked, error.to_string()).at(path),
        redb::Error::UpgradeRequired(_) => Fault::new(FaultKind::Mismatch, error.to_string()).at(path),
        error => Fault::new(FaultKind::Corrupt, format!("{about}: {error}; restore this group")).at(path),
    }
}

fn panic_fault(path: &Path, about: About<'_>, payload: &(dyn std::any::Any + Send)) -> Fault {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
    let message = format!(
        "damaged pages under {about}: the database gave up ({text}); restore this group or repair it"
    );
    Fault::new(FaultKind::Corrupt, message).at(path)
}
