//! The process dies at every call that it makes to the disk, with and without a power cut.

use super::disk::{Plan, Script, SimDisk};
use super::*;

const CHUNKS: usize = 4;

/// After each crash the file has all of the chunks that were acknowledged, and the one under way wholly or not at all.
#[test]
fn a_chunk_is_there_or_not_wherever_the_process_dies() {
    let mut random = Random(seed());
    let script = Script::new(CHUNKS);
    let mut points = 0;
    for at in 0.. {
        let disk = SimDisk::new(Plan::Die(at));
        let acknowledged = run(&script, &disk);
        for round in 0..4 {
            let survivor = disk.after_death((round > 0).then_some(&mut random));
            let store =
                survivor.open_store().unwrap_or_else(|fault| panic!("call {at} round {round}: {fault}"));
            assert!(!store.watch.has_walked(), "call {at}: opening walked through the whole file");
            let lsn = store.state().applied_lsn.0 as usize;
            assert!(lsn == acknowledged || lsn == acknowledged + 1, "call {at}: {lsn}, not {acknowledged}");
            assert_eq!(contents(&store), script.contents[lsn], "call {at} round {round}");
            assert_eq!(store.state().rows, script.contents[lsn].len() as u64);
            // And it takes the rest.
            if lsn < CHUNKS {
                script.commit(&store, lsn + 1).unwrap();
                assert_eq!(contents(&store), script.contents[lsn + 1]);
            }
            points += 1;
        }
        if acknowledged == CHUNKS {
            break;
        }
    }
    println!("{points} crash points");
    assert!(points > 400);
}

/// Commits until the disk dies; gives back how many chunks were acknowledged.
fn run(script: &Script, disk: &SimDisk) -> usize {
    let Ok(store) = disk.open_store() else { return 0 };
    (1..=CHUNKS).take_while(|number| script.commit(&store, *number).is_ok()).count()
}
