//! Whether a sync waits a moment for company: those whom the last one released send their next write soon.
//!
//! Without it clients that wait for their replies fall into two halves, each of which waits for the sync of the other
//! and then for its own.

use std::time::Duration;

use crate::base::limits::GATHER_PAUSE_ROUNDS_MAX;
use crate::base::lsn::Lsn;

/// What a round of syncing did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// Everything up to here was durable before it.
    pub(crate) before: Lsn,
    /// Everything up to here is durable since.
    pub(crate) durable: Lsn,
    /// The last LSN given when it ended.
    pub(crate) appended: Lsn,
    /// How long it took, as far as that is worth waiting for.
    pub(crate) took: Duration,
}

/// A wait before a sync: until so much is appended, but no longer than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// The LSN to be appended.
    pub(crate) until: Lsn,
    /// The longest wait: as long as the sync before took, so that it takes nobody more than twice as long.
    pub(crate) at_most: Duration,
}

/// Decides by what earlier waits came to.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    wait: Option<Wait>,
    /// Waits in vain since the last that was not.
    failures: u32,
    /// Rounds without a wait that are still to come.
    pause: u32,
}

impl Gathering {
    /// The wait before the next sync, if it is worth one now that all up to `appended` is there.
    pub(crate) fn wait(&self, appended: Lsn) -> Option<Wait> {
        self.wait.filter(|wait| self.pause == 0 && appended < wait.until)
    }

    /// Notes whether as many came as were waited for. The more often not, the longer nobody is waited for.
    pub(crate) fn note_wait(&mut self, has_come: bool) {
        if has_come {
            self.failures = 0;
        } else {
            self.failures = self.failures.saturating_add(1);
            self.pause = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX).min(GATHER_PAUSE_ROUNDS_MAX);
        }
    }

    /// Notes a round: as many as it released are expected to come again.
    pub(crate) fn note_round(&mut self, round: &Round) {
        self.pause = self.pause.saturating_sub(1);
        let released = round.durable.0.saturating_sub(round.before.0);
        let until = Lsn(round.appended.0.saturating_add(released));
        self.wait = Some(Wait { until, at_most: round.took });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(1);

    fn round(before: u64, durable: u64, appended: u64) -> Round {
        Round { before: Lsn(before), durable: Lsn(durable), appended: Lsn(appended), took: TOOK }
    }

    fn until(gathering: &Gathering, appended: u64) -> Option<u64> {
        let wait = gathering.wait(Lsn(appended))?;
        assert_eq!(wait.at_most, TOOK, "nobody waits longer than for the sync before");
        Some(wait.until.0)
    }

    #[test]
    fn as_many_are_waited_for_as_were_released() {
        for (round, appended, expected) in [
            (round(0, 1, 1), 2, None),
            (round(0, 25, 50), 50, Some(75)),
            (round(0, 25, 50), 74, Some(75)),
            (round(0, 25, 50), 75, None),
            (round(50, 100, 100), 101, Some(150)),
            (round(50, 50, 60), 60, None),
        ] {
            let mut gathering = Gathering::default();
            assert_eq!(until(&gathering, appended), None, "nothing is known yet");
            gathering.note_round(&round);
            assert_eq!(until(&gathering, appended), expected, "{round:?}, {appended} appended");
        }
    }

    #[test]
    fn waits_in_vain_become_rare() {
        let mut gathering = Gathering::default();
        let mut rounds_apart = Vec::new();
        for _ in 0..10 {
            let mut rounds = 0;
            while until(&gathering, 2).is_none() {
                gathering.note_round(&round(0, 2, 2));
                rounds += 1;
            }
            rounds_apart.push(rounds);
            gathering.note_wait(false);
        }
        assert_eq!(rounds_apart, [1, 2, 4, 8, 16, 32, 64, 128, 256, 256]);
        while until(&gathering, 2).is_none() {
            gathering.note_round(&round(0, 2, 2));
        }
        gathering.note_wait(true);
        assert_eq!(until(&gathering, 2), Some(4), "one that was not in vain, and all is forgotten");
    }
}
