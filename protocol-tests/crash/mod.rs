//! A whole server over simulated disks, log and stores together, that loses its power at any change of any of them; then
//! what the next start finds is held against everything that it was asked.
//!
//! Since changes are in one log, what is left must be what was there at one moment of the life before, in all groups
//! alike, and not before the last that was promised to last: so nothing acknowledged is lost, nothing deleted or flushed
//! comes back, and nothing is there by half.
mod history;
mod life;
mod power;

use history::{History, State};
use life::Life;
use power::{End, Machine, Power};

use crate::drivers::TestClock;
use crate::random::Random;
use crate::skips::{long, say};

/// Steps of one life.
const STEPS: usize = 220;
/// Lives of one world; each but the first begins with an audit.
const LIVES: u64 = 3;

/// One world: what happens in it is its seed's, but for the change at which its first life ends.
struct World {
    fsync: &'static str,
    end: End,
    seed: u64,
}

/// What was found in all worlds.
#[derive(Default)]
struct Totals {
    /// Ends at a change of their own.
    points: u64,
    /// Starts that ended before they served.
    starts_cut: u64,
    audits: u64,
    moments: usize,
}

impl World {
    /// Lives through it, the first life ending at change `first_end`; gives back the changes of the first life.
    fn play(&self, first_end: u64, totals: &mut Totals) -> Result<u64, String> {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let clock = TestClock::new();
        let mut random = Random::new(self.seed);
        let mut ends = Random::new(self.seed ^ first_end);
        let mut power = Power::until(first_end);
        let mut machine = Machine::new(&power);
        let mut before = History::from(State::empty(), 0);
        let (mut promised, mut first_changes) = (0, 0);
        for number in 0..LIVES {
            match Life::begin(&data_dir, self.fsync, &machine, &clock, &power) {
                Ok(_) | Err(_) if power.is_off() => totals.starts_cut += 1,
                Err(fault) => return Err(fault.to_string()),
                Ok(mut life) => {
                    if number > 0 {
                        power.end_in(u64::MAX);
                        let state = life.audit(&before, promised)?;
                        totals.audits += 1;
                        life.go_on_from(state, before.cas_max)?;
                        power.end_in(20 + ends.below(700));
                    }
                    life.run(STEPS, &mut random)?;
                    totals.moments += life.history.moments.len();
                    promised = self.promised(&life);
                    before = life.history;
                }
            }
            if number == 0 {
                first_changes = power.changes();
            }
            // Deadlines, and flushes to come, may pass while nothing runs.
            clock.advance(ends.below(2) as i64 * 6);
            // Of the next starts some end before they serve, but not the last.
            let is_cut = number + 2 < LIVES && ends.below(4) == 0;
            power = Power::until(if is_cut { ends.below(60) } else { u64::MAX });
            machine = machine.after(self.end, ends.next(), &power);
        }
        Ok(first_changes)
    }

    /// The last moment of a life that must have lasted.
    fn promised(&self, life: &Life<'_>) -> usize {
        match (self.end, self.fsync) {
            (End::Killed, _) | (End::PowerCut, "always") => life.history.acknowledged,
            // Power loss costs the last second: what was synced before is there.
            (End::PowerCut, _) => life.history.at(life.durable_lsn),
        }
    }
}

/// Worlds of these seeds; the first life of each ends at `points` changes, evenly spread, or at every one.
fn check(fsync: &'static str, end: End, seeds: std::ops::Range<u64>, points: u64) {
    let began = std::time::Instant::now();
    let mut totals = Totals::default();
    for seed in seeds.clone() {
        let world = World { fsync, end, seed };
        let blame = |point, why| panic!("{fsync}, {end:?}, seed {seed}, change {point}: {why}");
        let changes = world.play(u64::MAX, &mut totals).unwrap_or_else(|why| blame(u64::MAX, why));
        let step = (changes / points).max(1);
        for point in (seed % step..changes).step_by(step as usize) {
            world.play(point, &mut totals).unwrap_or_else(|why| blame(point, why));
            totals.points += 1;
        }
    }
    let Totals { points, starts_cut, audits, moments } = totals;
    say(&format!(
        "crash: {fsync}, {end:?}, seeds {seeds:?}: {points} crash points, {starts_cut} starts cut short, {audits} audits \
         of {moments} moments, in {:?}",
        began.elapsed()
    ));
    assert!(audits > points);
}

/// Crash points of one seed: a few, in the long form every change, or as many as `LARDER_POINTS` says.
fn points() -> u64 {
    let asked = std::env::var("LARDER_POINTS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or_else(|| if long("a crash at every change of every seed") { u64::MAX } else { 8 })
}

#[test]
fn power_loss_loses_nothing_acknowledged_with_always() {
    check("always", End::PowerCut, 1..5, points());
}

#[test]
fn power_loss_loses_only_the_last_with_everysec() {
    check("everysec", End::PowerCut, 11..15, points());
}

#[test]
fn kills_lose_nothing_acknowledged_with_everysec_and_never() {
    check("everysec", End::Killed, 21..24, points());
    check("never", End::Killed, 31..34, points());
}
