//! More data than memory: twenty times `-m` under concurrent load, and how long hot and cold keys take.
//!
//! ```text
//! LARDER_LONG=1 LARDER_BINARY=target/release/larder cargo test --test protocol-tests -- --test-threads 1 --nocapture cold::
//! ```

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::{self, Client};
use crate::process::Larder;
use crate::random::Random;
use crate::skips::{long, say};

const MB: u64 = 1 << 20;
/// A connection has items of its own, so that it knows what each must be.
const CONNECTIONS: u64 = 4;
const VALUE_BYTES: usize = 1000;
/// Of the items of a connection the first ones are hot: one read in two is of them.
const HOT_PART: u64 = 200;

/// What is tried.
struct Trial {
    memory_mb: u64,
    /// Items of each connection.
    items: u64,
    /// Requests of each connection.
    requests: u64,
}

impl Trial {
    /// `times` as many bytes of values as memory.
    fn of(memory_mb: u64, times: u64, requests: u64) -> Trial {
        Trial { memory_mb, items: memory_mb * MB * times / VALUE_BYTES as u64 / CONNECTIONS, requests }
    }
}

fn key(connection: u64, number: u64) -> String {
    format!("cold:{connection}:{number}")
}

/// The value of an item that was written so often.
fn value(connection: u64, number: u64, writes: u32) -> Vec<u8> {
    let mut value = format!("{connection} {number} {writes} ").into_bytes();
    value.resize(VALUE_BYTES, b'v');
    value
}

/// What one connection has seen.
struct Seen {
    hot: Vec<Duration>,
    cold: Vec<Duration>,
}

/// Fills its items, then reads and writes them at random; every answer must be right.
fn load(address: SocketAddr, connection: u64, trial: &Trial) -> Seen {
    let mut client = Client::connect(address);
    let mut writes = vec![0u32; trial.items as usize];
    for number in 0..trial.items {
        assert_eq!(client.set(&key(connection, number), &value(connection, number, 0)), "STORED");
    }
    let mut random = Random::new(connection + 1);
    let mut seen = Seen { hot: Vec::new(), cold: Vec::new() };
    for _ in 0..trial.requests {
        let dice = random.next();
        let is_hot = dice & 1 == 0;
        let number = (dice >> 8) % if is_hot { (trial.items / HOT_PART).max(1) } else { trial.items };
        let written = &mut writes[number as usize];
        if dice >> 61 == 0 {
            *written += 1;
            let set = client::set(&key(connection, number), 0, &value(connection, number, *written));
            assert_eq!(client.ask(set), "STORED");
            continue;
        }
        let began = Instant::now();
        let found = client.value(&key(connection, number));
        let took = began.elapsed();
        assert!(
            found.as_deref() == Some(&value(connection, number, *written)[..]),
            "item {number} of {connection}"
        );
        if is_hot { &mut seen.hot } else { &mut seen.cold }.push(took);
    }
    seen
}

fn quantile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    let at = (times.len() as f64 * share) as usize;
    times.get(at.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn run(trial: &Trial) {
    let folder = tempfile::tempdir().unwrap();
    let memory = trial.memory_mb.to_string();
    let larder = Larder::start(&folder.path().join("data"), &["-m", &memory]).unwrap();
    let address = larder.address();
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let loads: Vec<_> = (0..CONNECTIONS)
            .map(|connection| scope.spawn(move || load(address, connection, trial)))
            .collect();
        loads.into_iter().map(|load| load.join().unwrap()).collect()
    });
    let (hot, cold): (Vec<_>, Vec<_>) = seen.into_iter().map(|seen| (seen.hot, seen.cold)).unzip();
    for (name, times) in [("hot", hot), ("cold", cold)] {
        let mut times = times.concat();
        let [half, most, worst] = [0.5, 0.99, 1.0].map(|share| quantile(&mut times, share));
        say(&format!("  {name}: {} gets, p50 {half:.0?}, p99 {most:.0?}, most {worst:.0?}", times.len()));
    }
    let resident = larder.memory_bytes("VmHWM");
    let bound = trial.memory_mb * MB * 3 / 2 + 128 * MB;
    say(&format!("  memory: at most {} MB, bound {} MB", resident / MB, bound / MB));
    assert!(resident <= bound, "{resident} bytes");
    let evictions = Client::connect(address).figure("evictions");
    assert_eq!(evictions, 0, "an item that leaves memory is not lost");
}

#[test]
fn more_data_than_memory_is_right_under_load() {
    run(&Trial::of(2, 3, 2_000));
}

#[test]
fn twenty_times_its_memory_is_right_under_load() {
    if long("20 x -m under load") {
        run(&Trial::of(64, 20, 250_000));
    }
}
