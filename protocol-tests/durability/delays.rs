//! Why a request waits is told in words that fit, and not again and again.
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use larder::base::limits::DELAY_TOLD_EVERY_S;
use larder::base::time::Clock;
use larder::conn::{Backend, Progress};
use larder::group::delay::Delay;

use super::Rig;

/// Stores until a request is put off that the threads of the log do not help.
fn fill(rig: &mut Rig) {
    let value = "v".repeat(900);
    let mut is_put_off = |number| {
        let is_parked = rig.send(&format!("set k{number} 0 0 900\n{value}\n")) == Progress::Parked;
        rig.server().tend_log();
        is_parked && rig.send("") == Progress::Parked
    };
    assert!((0..2000).any(&mut is_put_off), "there is room for everything");
}

#[test]
fn what_stands_in_the_way_is_named() {
    let mut rig = Rig::new("everysec");
    let now = rig.clock.now();
    fill(&mut rig);
    let shared = Arc::clone(&rig.server().backend.shared);
    assert_eq!(shared.delay(now), Delay::Dirty);
    rig.keep();
    assert_eq!(shared.delay(now), Delay::Group, "nothing that all groups share");
    shared.version_ceiling.store(0, SeqCst);
    assert_eq!(shared.delay(now), Delay::Ceiling);
}

#[test]
fn a_log_that_is_full_is_named() {
    let mut rig = Rig::new("everysec");
    rig.memory_bytes = Some(64 << 20);
    rig.kill();
    fill(&mut rig);
    assert_eq!(rig.server().backend.shared.delay(rig.clock.now()), Delay::Log);
}

#[test]
fn it_is_told_once_in_a_while() {
    let rig = Rig::new("everysec");
    let backend = &rig.server().backend;
    let told = || backend.shared.delay_to_tell(rig.clock.now()).is_some();
    backend.note_delay(rig.clock.now(), 5);
    rig.clock.advance(i64::from(DELAY_TOLD_EVERY_S) - 1);
    assert!(!told());
    rig.clock.advance(1);
    assert_eq!((told(), told()), (true, false));
}
