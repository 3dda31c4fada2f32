//! Waiting for a predecessor to be gone: the kernel takes back the lock and the ports of a killed process a moment after
//! a supervisor hears of its end.

use std::thread;
use std::time::Duration;

use crate::base::fault::{Fault, FaultKind};

/// How often what somebody else has is tried again before the start is refused: for about a second.
const TRIES: u32 = 50;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Tries again while somebody else has it; any other fault stays.
pub(super) fn patiently<T>(mut attempt: impl FnMut() -> Result<T, Fault>) -> Result<T, Fault> {
    let mut told = false;
    for _ in 0..TRIES {
        match attempt() {
            Err(fault) if fault.kind == FaultKind::Locked => {
                if !std::mem::replace(&mut told, true) {
                    log::info!("{fault}; waiting a moment");
                }
                thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
    attempt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_somebody_else_has_is_tried_again() {
        for (kind, frees_at, tries, works) in [
            (FaultKind::Locked, 3, 3, true),
            (FaultKind::Unusable, 3, 1, false),
            (FaultKind::Locked, u32::MAX, TRIES + 1, false),
        ] {
            let mut tried = 0;
            let result = patiently(|| {
                tried += 1;
                if tried >= frees_at { Ok(()) } else { Err(Fault::new(kind, "taken")) }
            });
            assert_eq!((result.is_ok(), tried), (works, tries), "{kind:?} until {frees_at}");
        }
    }
}
