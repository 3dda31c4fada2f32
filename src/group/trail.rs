//! What a group has appended to the log, and which LSN a change waits for.

use std::collections::VecDeque;

use crate::base::lsn::Lsn;
use crate::base::version::Version;
use crate::binlog::{Entry, Log, Refusal};

/// The trail of one group in the log. It remembers the changes that the log cannot promise yet: within a group versions
/// and LSNs rise together, so that an entry needs no LSN of its own. What is not remembered is safe.
#[derive(Debug, Default)]
pub(super) struct Trail {
    changes: VecDeque<(Version, Lsn)>,
    last: Lsn,
}

impl Trail {
    /// A trail whose last record is known to be at `last`.
    pub(super) fn new(last: Lsn) -> Trail {
        Trail { changes: VecDeque::new(), last }
    }

    /// Appends a change and remembers it. Without a log there is nothing to wait for.
    pub(super) fn append(
        &mut self,
        log: Option<&Log>,
        entry: &Entry<'_>,
        old_value: &[u8],
    ) -> Result<Lsn, Refusal> {
        let Some(log) = log else { return Ok(Lsn::ZERO) };
        let lsn = log.append(entry, old_value)?;
        self.push(entry.stamp.version, lsn, log.safe_lsn());
        Ok(lsn)
    }

    /// The last LSN of the group.
    pub(super) fn last(&self) -> Lsn {
        self.last
    }

    /// A replayed record is safe, and the last one now.
    pub(super) fn replayed(&mut self, lsn: Lsn) {
        self.last = lsn;
    }

    /// Remembers a change that was just appended, and forgets those that have become safe.
    fn push(&mut self, version: Version, lsn: Lsn, safe: Lsn) {
        self.forget(safe);
        self.changes.push_back((version, lsn));
        self.last = lsn;
    }

    /// The LSN that whoever observed this version waits for; zero when it is safe.
    pub(super) fn lsn_of(&mut self, version: Version, safe: Lsn) -> Lsn {
        if self.changes.is_empty() {
            return Lsn::ZERO;
        }
        self.forget(safe);
        match self.changes.binary_search_by_key(&version, |change| change.0) {
            Ok(at) => self.changes.get(at).map_or(Lsn::ZERO, |change| change.1),
            Err(_) => Lsn::ZERO,
        }
    }

    fn forget(&mut self, safe: Lsn) {
        while self.changes.front().is_some_and(|change| change.1 <= safe) {
            self.changes.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_safe_is_waited_for() {
        let mut changes = Trail::default();
        for (version, lsn) in [(10, 1), (20, 5), (30, 6)] {
            changes.push(Version(version), Lsn(lsn), Lsn::ZERO);
        }
        for (safe, version, waits_for) in
            [(0, 10, 1), (0, 15, 0), (1, 10, 0), (1, 20, 5), (5, 30, 6), (6, 30, 0)]
        {
            assert_eq!(
                changes.lsn_of(Version(version), Lsn(safe)),
                Lsn(waits_for),
                "version {version} at {safe}"
            );
        }
    }
}
