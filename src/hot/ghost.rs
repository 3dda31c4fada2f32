//! Who was dropped lately: a bounded memory of fingerprints. A key that returns while it is remembered has proved
//! that it is wanted.

/// Fingerprints in one set; the newest come first, the last falls out.
const SET: usize = 4;

/// Sets of fingerprints, each a queue of its own: together they forget about as one long queue does, and answer in
/// one look.
#[derive(Debug, Default)]
pub(super) struct Ghosts {
    sets: Vec<[u32; SET]>,
}

impl Ghosts {
    /// What it takes, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.sets.capacity() * size_of::<[u32; SET]>()
    }

    /// Remembers a key that was dropped, while about `entries` others are kept. When that number has changed much it
    /// starts anew with a fitting size.
    pub(super) fn add(&mut self, hash: u64, entries: usize) {
        let wanted = (entries / SET).next_power_of_two();
        if self.sets.len() < wanted / 2 || self.sets.len() > wanted * 4 {
            self.sets = vec![[0; SET]; wanted];
        }
        if let Some(set) = self.set_of(hash).and_then(|set| self.sets.get_mut(set)) {
            set.rotate_right(1);
            set[0] = fingerprint(hash);
        }
    }

    /// Whether this key was dropped lately.
    pub(super) fn has(&self, hash: u64) -> bool {
        let set = self.set_of(hash).and_then(|set| self.sets.get(set));
        set.is_some_and(|set| set.contains(&fingerprint(hash)))
    }

    fn set_of(&self, hash: u64) -> Option<usize> {
        self.sets.len().checked_sub(1).map(|mask| hash as usize & mask)
    }
}

/// The upper half of the hash, never 0: that is an empty place.
fn fingerprint(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}
