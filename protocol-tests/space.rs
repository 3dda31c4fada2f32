//! The promise about space, kept by the keeper itself while requests are served.

use crate::drivers::{InProcess, TestClock, configured};
use crate::random::Random;
use crate::transcript::{ConnId, Received, Wire};

struct Rig {
    _folder: tempfile::TempDir,
    wire: InProcess,
    conn: ConnId,
}

impl Rig {
    fn new() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("data").display().to_string();
        let config = configured(["--data-dir", &dir, "--fsync", "never", "--groups", "2", "-m", "64"]);
        let mut wire = InProcess::keeping(&config, &TestClock::new());
        let conn = wire.connect();
        Rig { _folder: folder, wire, conn }
    }

    /// Sends requests and gives back the replies.
    fn ask(&mut self, requests: &[u8]) -> String {
        self.wire.send(self.conn, requests);
        let mut replies = Vec::new();
        while let Received::Bytes(bytes) = self.wire.receive(self.conn) {
            replies.extend_from_slice(&bytes);
        }
        String::from_utf8(replies).unwrap()
    }

    fn figure(&mut self, name: &str) -> f64 {
        let stats = self.ask(b"stats larder\r\n");
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("STAT {name} "))).unwrap();
        line.trim().parse().unwrap()
    }

    /// The keeper's turns of some seconds; meanwhile a key is read and written.
    fn keep(&mut self, seconds: usize) {
        for second in 0..seconds {
            self.wire.clock.advance(1);
            self.wire.server.keeper.tend();
            self.wire.server.tend_log();
            let meanwhile = format!("set meanwhile 0 0 2\r\n{:02}\r\nget meanwhile\r\n", second % 100);
            let reply = self.ask(meanwhile.as_bytes());
            assert!(reply.contains(&format!("\r\n{:02}\r\nEND", second % 100)), "{reply:?}");
        }
    }
}

/// Overwritten, deleted and expired values cost at most what the promise says, without anybody asking for it.
#[test]
fn the_keeper_gives_space_back_while_serving() {
    const KEYS: u64 = 15_000;
    let mut rig = Rig::new();
    let mut model = vec![None; KEYS as usize];
    let mut number = 1u64;
    for round in 0..6u32 {
        let mut requests = Vec::new();
        for _ in 0..KEYS {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key = (number >> 33) % KEYS;
            let value = format!("{:0>100}", round * 7 + key as u32);
            match number >> 60 {
                0 => {
                    requests.extend_from_slice(format!("delete key:{key}\r\n").as_bytes());
                    model[key as usize] = None;
                }
                1 => {
                    let set = format!("set key:{key} 0 20 100\r\n{value}\r\n");
                    requests.extend_from_slice(set.as_bytes());
                    model[key as usize] = None;
                }
                _ => {
                    let set = format!("set key:{key} 0 0 100\r\n{value}\r\n");
                    requests.extend_from_slice(set.as_bytes());
                    model[key as usize] = Some(value);
                }
            }
        }
        for requests in requests.chunks(1 << 16) {
            rig.ask(requests);
        }
        rig.wire.server.keeper.checkpoint_all().unwrap();
    }
    let churned = rig.figure("store_space_amplification");
    rig.wire.clock.advance(30);
    for group in rig.wire.server.backend.groups.iter() {
        rig.wire.server.sweeper.sweep(group).unwrap();
    }
    rig.keep(60);
    let kept = rig.figure("store_space_amplification");
    println!("{churned} after the churn, {kept} a minute later");
    assert!(churned > 2.2, "nothing to give back: {churned}");
    assert!(kept <= 2.0, "{kept}");
    let (compactions, rewritten) = (rig.figure("compactions"), rig.figure("compaction_rewritten_bytes"));
    assert!((2.0..=4.0).contains(&compactions), "{compactions} compactions");
    assert!(rewritten > 500_000.0, "{rewritten}");
    for (key, value) in model.iter().enumerate() {
        let wanted = value
            .as_ref()
            .map_or("END\r\n".to_owned(), |value| format!("VALUE key:{key} 0 100\r\n{value}\r\nEND\r\n"));
        assert_eq!(rig.ask(format!("get key:{key}\r\n").as_bytes()), wanted);
    }
}

/// Deleted and expired values: a minute later their space is the disk's again.
#[test]
fn what_is_gone_takes_no_space_a_minute_later() {
    for (how, exptime) in [("deleted", 0), ("expired", 5)] {
        let mut rig = Rig::new();
        let value = "v".repeat(1000);
        for key in 0..4000 {
            rig.ask(format!("set key:{key} 0 {exptime} 1000\r\n{value}\r\n").as_bytes());
        }
        rig.wire.server.keeper.checkpoint_all().unwrap();
        assert!(rig.figure("store_allocated_bytes") > 4_000_000.0);
        if exptime == 0 {
            (0..4000).for_each(|key| {
                assert_eq!(rig.ask(format!("delete key:{key}\r\n").as_bytes()), "DELETED\r\n")
            });
        } else {
            rig.keep(exptime);
        }
        for _ in 0..30 {
            rig.keep(2);
            for group in rig.wire.server.backend.groups.iter() {
                rig.wire.server.sweeper.sweep(group).unwrap();
            }
        }
        let left = rig.figure("store_allocated_bytes");
        assert!(left < 500_000.0, "{how}: {left} bytes");
    }
}

/// While values are overwritten all over a file, again and again, its checkpoints live on the pages that they leave: without
/// any compaction it does not take everything twice.
#[test]
fn what_churns_does_not_take_its_space_twice() {
    const KEYS: u64 = 24_000;
    let mut rig = Rig::new();
    let mut random = Random::new(5);
    let write = |rig: &mut Rig, keys: &mut dyn Iterator<Item = u64>| {
        let set = |key| format!("set key:{key} 0 0 100 noreply\r\n{key:0>100}\r\n");
        rig.ask(keys.map(set).collect::<String>().as_bytes());
        rig.wire.server.keeper.checkpoint_all().unwrap();
    };
    write(&mut rig, &mut (0..KEYS));
    for _ in 0..25 {
        write(&mut rig, &mut (0..KEYS / 4).map(|_| random.below(KEYS)));
    }
    let churned = rig.figure("store_space_amplification");
    let written = rig.figure("store_written_bytes") / rig.figure("checkpoint_bytes");
    println!("{churned} while it churns, {written:.2} bytes written for each that was to be kept");
    assert!((rig.figure("store_write_amplification") - written).abs() < 0.01);
    assert_eq!(rig.figure("compactions"), 0.0);
    assert!(churned <= 2.0, "{churned}");
}
