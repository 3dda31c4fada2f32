//! Waiting for a condition. Tests never sleep for a duration and hope: they name what they wait for, and a
//! deadline only bounds the damage when it never comes.
use std::time::{Duration, Instant};

/// How often a condition that nobody can announce to us is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Asks `condition` until it answers, at most `patience` long. `None` means that it never did.
pub(crate) fn until<T>(patience: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = condition() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::park_timeout(LOOK_AGAIN);
    }
}
