//! Time as a value: moments, deadlines, and memcached's exptime rule. Nobody here reads a clock.

/// A source of moments, handed in by whoever runs the server; tests hand in one that they move.
pub trait Clock: Send + Sync {
    /// The present moment. May step back when the machine's clock is set.
    fn now(&self) -> UnixMs;
}

/// A moment: milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMs(pub u64);

impl UnixMs {
    /// The whole second that this moment lies in; expiry is judged by whole seconds.
    pub fn seconds(self) -> u32 {
        u32::try_from(self.0 / 1000).unwrap_or(u32::MAX)
    }
}

/// When an item dies: whole unix seconds. The item is dead from the first moment of that second on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(u32);

impl Deadline {
    /// No deadline.
    pub const NEVER: Deadline = Deadline(0);
    /// A deadline that has always passed: what a negative exptime asks for.
    pub const PAST: Deadline = Deadline(1);

    /// The deadline at this unix second; 0 is [`Deadline::NEVER`].
    pub fn from_seconds(unix_s: u32) -> Deadline {
        Deadline(unix_s)
    }

    /// The unix second, 0 for never: the form on disk.
    pub fn as_seconds(self) -> u32 {
        self.0
    }

    /// Whether there is none.
    pub fn is_never(self) -> bool {
        self.0 == 0
    }

    /// Whether it has come.
    pub fn has_passed(self, now: UnixMs) -> bool {
        self.0 != 0 && self.0 <= now.seconds()
    }

    /// Seconds left, `None` for never, 0 when it has passed.
    pub fn remaining_s(self, now: UnixMs) -> Option<u32> {
        (self.0 != 0).then(|| self.0.saturating_sub(now.seconds()))
    }
}

/// An expiry time as clients write it (PROTOCOL.md section 1, "exptime meaning").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exptime(pub i32);

/// Up to here an exptime counts from now, above it is a unix time: 30 days.
const RELATIVE_MAX_S: i32 = 60 * 60 * 24 * 30;

impl Exptime {
    /// The deadline that this exptime means at the moment `now`.
    pub fn deadline(self, now: UnixMs) -> Deadline {
        match self.0 {
            0 => Deadline::NEVER,
            i32::MIN..=-1 => Deadline::PAST,
            1..=RELATIVE_MAX_S => Deadline(now.seconds().saturating_add(self.0.unsigned_abs())),
            unix_s => Deadline(unix_s.unsigned_abs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exptimes_become_deadlines() {
        let now = UnixMs(1_700_000_000_500);
        for (exptime, deadline_s, passed) in [
            (0, 0, false),
            (-1, 1, true),
            (i32::MIN, 1, true),
            (1, 1_700_000_001, false),
            (2_592_000, 1_702_592_000, false),
            (2_592_001, 2_592_001, true),
            (1_700_000_000, 1_700_000_000, true),
            (1_700_000_001, 1_700_000_001, false),
        ] {
            let deadline = Exptime(exptime).deadline(now);
            assert_eq!(deadline.as_seconds(), deadline_s, "exptime {exptime}");
            assert_eq!(deadline.has_passed(now), passed, "exptime {exptime}");
        }
    }
}
