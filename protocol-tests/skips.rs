//! The account of what could not be tested here. A missing program is a skip that is seen and counted; where
//! everything must be present (`LARDER_REQUIRE_ALL`), it is a failure.
use std::env;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// Where `program` is found on PATH. When it is not, the skip is told and counted.
///
/// # Panics
/// When `LARDER_REQUIRE_ALL` is set and the program is missing.
pub(crate) fn require(program: &str) -> Option<PathBuf> {
    let found = find(program);
    if found.is_none() {
        skip(&format!("{program} not found"));
    }
    found
}

/// Tells and counts that something could not be tested here, and why.
///
/// # Panics
/// When `LARDER_REQUIRE_ALL` is set.
pub(crate) fn skip(why: &str) {
    tell_missing(why);
    assert!(env::var_os("LARDER_REQUIRE_ALL").is_none(), "required here: {why}");
}

/// Tells and counts a skip of what cannot be installed everywhere: never a failure.
pub(crate) fn tell_missing(why: &str) {
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    say(&format!("SKIPPED: {why} ({count} so far)"));
}

/// Whether tests that take minutes are wanted (`LARDER_LONG`); tells when they are not.
pub(crate) fn long(what: &str) -> bool {
    let wanted = env::var_os("LARDER_LONG").is_some();
    if !wanted {
        say(&format!("left out: {what}; LARDER_LONG=1 runs it"));
    }
    wanted
}

/// Writes one line past the test harness, which swallows what passing tests print.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Where `program` is found on PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[test]
fn a_program_that_exists_is_found_and_another_is_not() {
    assert!(find("sh").is_some());
    assert!(find("no-such-program-anywhere").is_none());
}
