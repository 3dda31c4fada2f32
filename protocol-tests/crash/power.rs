//! The power of one machine: all its disks lose it at the same change.
use std::io::ErrorKind::Other;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use larder::binlog::sim::{SimDisk, Trouble};
use larder::server::Disks;
use larder::store::sim::{Call, Fate, SimDisk as StoreDisk};

use crate::model::GROUPS;

/// Counts the changes of all disks, and ends them at one.
pub(super) struct Power {
    changes: AtomicU64,
    ends_at: AtomicU64,
}

impl Power {
    /// Power until the change with this number, from 0; with `u64::MAX` it stays.
    pub(super) fn until(change: u64) -> Arc<Power> {
        Arc::new(Power { changes: AtomicU64::new(0), ends_at: AtomicU64::new(change) })
    }

    /// Changes so far, the one that did not come to be included.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(SeqCst)
    }

    pub(super) fn is_off(&self) -> bool {
        self.changes() > self.ends_at.load(SeqCst)
    }

    /// Lets it end so many changes from now, or never with `u64::MAX`.
    pub(super) fn end_in(&self, changes: u64) {
        self.ends_at.store(self.changes().saturating_add(changes), SeqCst);
    }

    fn change(&self) -> Fate {
        let ends_at = self.ends_at.load(SeqCst);
        match self.changes.fetch_add(1, SeqCst) {
            number if number < ends_at => Fate::Done,
            number if number == ends_at => Fate::Torn,
            _ => Fate::Fails(Other),
        }
    }
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The process is killed: what it wrote is there.
    Killed,
    /// The power goes: what was not synced may be there, torn or lost.
    PowerCut,
}

/// The disks of one machine.
pub(super) struct Machine {
    log: SimDisk,
    stores: Vec<StoreDisk>,
}

impl Machine {
    pub(super) fn new(power: &Arc<Power>) -> Machine {
        let stores = (0..GROUPS).map(|_| StoreDisk::new(store_gate(power))).collect();
        Machine { log: SimDisk::new(), stores }.on(power)
    }

    /// What the end of a life leaves of it, on new power.
    pub(super) fn after(&self, end: End, seed: u64, power: &Arc<Power>) -> Machine {
        let store = |disk: &StoreDisk| match end {
            End::Killed => disk.after_kill(store_gate(power)),
            End::PowerCut => disk.after_power_cut(store_gate(power), seed),
        };
        let log = match end {
            End::Killed => self.log.after_kill(),
            End::PowerCut => self.log.after_power_cut(seed),
        };
        Machine { log, stores: self.stores.iter().map(store).collect() }.on(power)
    }

    fn on(self, power: &Arc<Power>) -> Machine {
        let power = Arc::clone(power);
        self.log.set_gate(Arc::new(move |_| (power.change() != Fate::Done).then_some(Trouble::PowerCut)));
        self
    }

    pub(super) fn disks(&self) -> Disks {
        let stores = self.stores.clone();
        Disks {
            log: Some(Arc::new(self.log.clone())),
            store: Some(Box::new(move |group| Box::new(stores[usize::from(group.0)].clone()))),
        }
    }
}

fn store_gate(power: &Arc<Power>) -> larder::store::sim::Gate {
    let power = Arc::clone(power);
    Arc::new(move |call| if call == Call::Read { Fate::Done } else { power.change() })
}
