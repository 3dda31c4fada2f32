//! Backup, restore, check, dump and load, from outside, with real processes.
mod archive;
pub(crate) mod check;
mod docs;
pub(crate) mod form;
pub(crate) mod items;
mod load;
mod text;

use std::path::Path;
use std::process::{Command, Stdio};

use crate::process::binary;

/// A tool that has ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) said: String,
}

/// Runs a tool to its end.
pub(crate) fn tool(words: &[&str]) -> Ran {
    let output = Command::new(binary()).args(words).stdin(Stdio::null()).output().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        said: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a tool that must succeed; what it printed.
pub(crate) fn done(words: &[&str]) -> String {
    let ran = tool(words);
    assert_eq!(ran.code, Some(0), "larder {words:?}: {}{}", ran.out, ran.said);
    ran.out
}

/// Runs a tool that must be refused in words that name these things.
pub(crate) fn refused(words: &[&str], names: &[&str]) -> String {
    let ran = tool(words);
    assert_eq!(ran.code, Some(3), "larder {words:?}: {}{}", ran.out, ran.said);
    for name in names {
        assert!(ran.said.contains(name) || ran.out.contains(name), "{name:?} in {}{}", ran.out, ran.said);
    }
    ran.said
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
