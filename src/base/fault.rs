//! What goes wrong beyond a client's reply: a fault of one group or of the process, told with its place.

use std::fmt;
use std::path::{Path, PathBuf};

use super::lsn::Lsn;

/// What kind of thing went wrong; code acts on this, never on texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A read, write or sync failed.
    Io,
    /// No room on the disk: passes when there is.
    DiskFull,
    /// Bytes that must be right are not.
    Corrupt,
    /// The data is another server's, another format's or another group count's.
    Mismatch,
    /// Somebody else uses the directory or the address.
    Locked,
    /// The place is not ours, or cannot be used.
    Unusable,
}

/// A fault: what happened, where, and what to do next, in words for a person.
#[derive(Debug)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// What happened and what to do next.
    pub message: String,
    /// The file or directory.
    pub path: Option<PathBuf>,
    /// The byte offset in the file.
    pub offset: Option<u64>,
    /// The position in the log.
    pub lsn: Option<Lsn>,
}

impl Fault {
    /// A fault without a place.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Fault {
        Fault { kind, message: message.into(), path: None, offset: None, lsn: None }
    }

    /// A failed operation on a file: no space is told apart from everything else.
    pub fn io(action: &str, path: &Path, error: &std::io::Error) -> Fault {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => FaultKind::DiskFull,
            _ => FaultKind::Io,
        };
        Fault::new(kind, format!("{action}: {error}")).at(path)
    }

    /// In this file.
    #[must_use]
    pub fn at(mut self, path: &Path) -> Fault {
        self.path = Some(path.to_path_buf());
        self
    }

    /// At this byte.
    #[must_use]
    pub fn offset(mut self, offset: u64) -> Fault {
        self.offset = Some(offset);
        self
    }

    /// At this position of the log.
    #[must_use]
    pub fn lsn(mut self, lsn: Lsn) -> Fault {
        self.lsn = Some(lsn);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        if let Some(offset) = self.offset {
            write!(f, "offset {offset}: ")?;
        }
        if let Some(lsn) = self.lsn {
            write!(f, "LSN {lsn}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
