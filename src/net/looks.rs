//! What a worker looks at once a second.

use crate::base::time::UnixMs;

/// When something was looked at last.
#[derive(Debug, Default)]
pub(super) struct Looks {
    at_s: u32,
}

impl Looks {
    /// Whether it is time to look again: once a second.
    pub(super) fn is_due(&mut self, now: UnixMs) -> bool {
        let now_s = now.seconds();
        std::mem::replace(&mut self.at_s, now_s) != now_s
    }
}
