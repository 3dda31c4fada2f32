//! The order of changes: a hybrid clock that only the server stamps.

use super::time::UnixMs;

/// Bits of a [`Version`] that count within one millisecond.
const COUNTER_BITS: u32 = 12;
/// Bits of a [`Version`] that name the server.
const SERVER_BITS: u32 = 10;
/// What the millisecond part is shifted by.
const MS_SHIFT: u32 = COUNTER_BITS + SERVER_BITS;

/// When a value, a deadline or a mark was last changed: 42 bits of milliseconds, 12 of counter, 10 of server id.
///
/// Rises with every change of a group, also across restarts, clock steps and lost tails of the log. It orders changes;
/// it is not a time, since a restart or a clock that was set back lets it run ahead of the clock. 0 is "never".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// Older than every change.
    pub const ZERO: Version = Version(0);

    /// The first version of the millisecond `now`, as server 0 would stamp it.
    pub fn at(now: UnixMs) -> Version {
        Version(now.0.min((1 << 42) - 1) << MS_SHIFT)
    }

    /// The millisecond part.
    pub fn ms(self) -> u64 {
        self.0 >> MS_SHIFT
    }
}

/// What one change is stamped with. Replay and replicas reuse the logged stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The moment that expiry is judged by.
    pub now: UnixMs,
    /// The version of whatever this command changes.
    pub version: Version,
}

/// Gives out the versions of one group.
#[derive(Clone, Copy, Debug)]
pub struct VersionClock {
    last: Version,
    server: u64,
    /// The counter that each millisecond begins with, in its place.
    first: u64,
}

impl VersionClock {
    /// A clock of server `server` (10 bits) whose versions are all above `floor`.
    pub fn above(floor: Version, server: u16) -> VersionClock {
        VersionClock { last: floor, server: u64::from(server) & ((1 << SERVER_BITS) - 1), first: 0 }
    }

    /// The clock of one of several groups: each begins a millisecond at another counter, as far from the others as their
    /// number allows. So a cas of one group is hardly ever that of another, as clients of memcached expect.
    #[must_use]
    pub fn of_group(self, group: u16) -> VersionClock {
        let counter = u64::from(group.reverse_bits()) >> (u16::BITS - COUNTER_BITS);
        VersionClock { first: counter << SERVER_BITS, ..self }
    }

    /// The version that the next change gets: above every earlier one, and not before the clock.
    pub fn next(&self, now: UnixMs) -> Version {
        let tick = (self.last.0 >> SERVER_BITS) + 1;
        Version(tick.max((Version::at(now).0 | self.first) >> SERVER_BITS) << SERVER_BITS | self.server)
    }

    /// Remembers that `version` was used: the next ones are above it.
    pub fn advance(&mut self, version: Version) {
        self.last = self.last.max(version);
    }

    /// The highest version used or seen.
    pub fn last(&self) -> Version {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_rise_whatever_the_clock_does() {
        let mut clock = VersionClock::above(Version::ZERO, 7);
        let mut last = Version::ZERO;
        for now_ms in [1000, 1000, 999, 0, 5000, 4999, 5000, u64::MAX >> 30] {
            for _ in 0..5000 {
                let version = clock.next(UnixMs(now_ms));
                assert!(version > last, "{version:?} after {last:?}");
                assert_eq!(version.0 & 1023, 7, "the server id is kept");
                clock.advance(version);
                last = version;
            }
        }
    }

    #[test]
    fn groups_that_change_in_one_millisecond_use_different_versions() {
        for groups in [2, 64, 1000] {
            let mut seen = std::collections::BTreeSet::new();
            for group in 0..groups {
                let mut clock = VersionClock::above(Version::ZERO, 1).of_group(group);
                for _ in 0..4096 / groups.next_power_of_two() {
                    let version = clock.next(UnixMs(1000));
                    assert!(seen.insert(version), "{version:?} twice, of {groups} groups");
                    clock.advance(version);
                }
            }
        }
    }
}
