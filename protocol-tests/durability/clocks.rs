//! The wall clock jumps: forward, back, back before the start, and across a restart. Versions keep rising, items are
//! judged by the clock as it stands, and nothing that was removed comes back.

use super::Rig;

const HOUR: i64 = 3600;
/// Longer ago than the server has run.
const BEFORE_THE_START: i64 = -1_000_000;

/// Stores one item for ever, one for half an hour, one for three hours.
fn store(rig: &mut Rig) {
    for (key, exptime) in [("ever", 0), ("short", HOUR / 2), ("long", 3 * HOUR)] {
        assert_eq!(rig.settle(&format!("set {key} 0 {exptime} 1\nv\n")), "STORED\n");
    }
}

/// Which of them there are.
fn alive(rig: &mut Rig) -> Vec<String> {
    let reply = rig.settle("get ever short long\n");
    let keys = reply.lines().filter_map(|line| line.strip_prefix("VALUE ")?.split(' ').next());
    keys.map(str::to_owned).collect()
}

fn remaining_s(rig: &mut Rig, key: &str) -> i64 {
    let reply = rig.settle(&format!("mg {key} t\n"));
    reply.trim_end().strip_prefix("HD t").unwrap_or_else(|| panic!("{reply:?}")).parse().unwrap()
}

fn sweep(rig: &Rig) {
    for group in rig.server().backend.groups.iter() {
        rig.server().sweeper.sweep(group).unwrap();
    }
}

#[test]
fn items_are_judged_by_the_clock_as_it_stands() {
    for is_restarted in [false, true] {
        for (jump, left, remaining) in [
            (HOUR, vec!["ever", "long"], 2 * HOUR),
            (-HOUR, vec!["ever", "short", "long"], 4 * HOUR),
            (BEFORE_THE_START, vec!["ever", "short", "long"], 3 * HOUR - BEFORE_THE_START),
        ] {
            let mut rig = Rig::new("everysec");
            store(&mut rig);
            rig.clock.advance(jump);
            if is_restarted {
                rig.kill();
            }
            let case = format!("{jump} s, restarted: {is_restarted}");
            assert_eq!(alive(&mut rig), left, "{case}");
            assert_eq!(remaining_s(&mut rig, "long"), remaining, "{case}");
            // Back again in time nothing has changed, unless somebody has looked or swept meanwhile.
            rig.clock.advance(-jump);
            assert_eq!(remaining_s(&mut rig, "long"), 3 * HOUR, "{case}");
        }
    }
}

#[test]
fn what_a_jump_forward_has_removed_does_not_come_back() {
    for is_restarted in [false, true] {
        let mut rig = Rig::new("everysec");
        store(&mut rig);
        rig.checkpoint_all();
        rig.clock.advance(HOUR);
        // The keeper lets versions of this moment be issued.
        rig.keep();
        sweep(&rig);
        rig.clock.advance(-HOUR);
        if is_restarted {
            rig.kill();
        }
        assert_eq!(alive(&mut rig), ["ever", "long"], "restarted: {is_restarted}");
        rig.clock.advance(4 * HOUR);
        rig.keep();
        sweep(&rig);
        assert_eq!(alive(&mut rig), ["ever"], "what is listed is still found");
    }
}

#[test]
fn versions_rise_whatever_the_clock_does() {
    for jump in [HOUR, -HOUR, BEFORE_THE_START] {
        for is_restarted in [false, true] {
            let mut rig = Rig::new("everysec");
            store(&mut rig);
            let mut last = rig.cas_of("ever");
            for jump in [jump, -jump, jump] {
                rig.clock.advance(jump);
                if is_restarted {
                    rig.kill();
                }
                assert_eq!(rig.settle("set ever 0 0 1\nw\n"), "STORED\n");
                let next = rig.cas_of("ever");
                assert!(next > last, "{next} after {last} and {jump} s, restarted: {is_restarted}");
                last = next;
            }
        }
    }
}

#[test]
fn a_flush_holds_whatever_the_clock_does() {
    for jump in [HOUR, -HOUR, BEFORE_THE_START] {
        let mut rig = Rig::new("everysec");
        store(&mut rig);
        rig.clock.advance(jump);
        assert_eq!(rig.settle("flush_all\n"), "OK\n");
        assert_eq!(alive(&mut rig), [""; 0], "{jump}");
        rig.clock.advance(-jump);
        assert_eq!(alive(&mut rig), [""; 0], "{jump} and back");
        assert_eq!(rig.settle("set ever 0 0 1\nv\n"), "STORED\n");
        rig.kill();
        assert_eq!(alive(&mut rig), ["ever"], "{jump}: written after the flush");
    }
}
