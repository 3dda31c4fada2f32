//! Parked requests that wait long: somebody should hear of them.

use crate::base::limits::PARKED_LONG_S;
use crate::base::time::UnixMs;

/// How long the longest has waited, seconds, if that is long. `read_at_s` says of each when its connection was read last:
/// a parked one is not read, and so whatever it has in hand is as old as that.
pub(super) fn longest_wait_s(now: UnixMs, read_at_s: impl Iterator<Item = u32>) -> Option<u32> {
    let oldest_s = read_at_s.min()?;
    Some(now.seconds().saturating_sub(oldest_s)).filter(|waited_s| *waited_s >= PARKED_LONG_S)
}
