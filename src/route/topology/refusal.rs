//! Why a topology file is not taken.

use std::fmt;

/// What is wrong, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The line of the file, from 1; `None` when it is about no line.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
    /// What to write.
    pub remedy: String,
}

impl Refusal {
    /// A refusal of this line.
    pub(super) fn at(line: usize, reason: impl Into<String>, remedy: impl Into<String>) -> Refusal {
        Refusal { line: Some(line), reason: reason.into(), remedy: remedy.into() }
    }

    /// A refusal of no line.
    pub(super) fn whole(reason: impl Into<String>, remedy: impl Into<String>) -> Refusal {
        Refusal { line: None, reason: reason.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "{}; {}", self.reason, self.remedy)
    }
}

impl std::error::Error for Refusal {}
