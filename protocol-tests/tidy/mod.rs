//! The house rules as a test: who may import whom, which crate is named where, how long things may be.
//!
//! `code` blanks out what is not code, `rules` are pure functions from one file to its complaints, and `tests` hold
//! for every rule a snippet that breaks it: a rule that cannot fail is no rule.
mod code;
mod rules;

#[cfg(test)]
mod tests;

/// One file, by its path from the root of the package.
pub(crate) struct File<'a> {
    /// With forward slashes: `src/base/mod.rs`.
    pub(crate) path: &'a str,
    /// As on disk.
    pub(crate) text: &'a str,
}
