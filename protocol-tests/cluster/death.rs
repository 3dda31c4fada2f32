//! One of three servers is killed with -9 and started again while clients of the others go on.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Cluster, EndsWithTest, PATIENCE};
use crate::client::Client;
use crate::random::Random;
use crate::skips::say;
use crate::wait;

const SEED: u64 = 20_260_611;
/// Clients of each of the two servers that live.
const CLIENTS: u64 = 3;
/// Keys of each client, which no other uses.
const KEYS: u64 = 60;
/// The server that dies, from 0.
const VICTIM: usize = 1;
/// Requests that each client makes of others than the victim in each phase, at least.
const REQUESTS_MIN: usize = 100;
const PHASES: [&str; 3] = ["before", "while it is down", "afterwards"];

/// How far the test is: an index of [`PHASES`].
#[derive(Default)]
struct Course {
    phase: AtomicU8,
    is_over: AtomicBool,
}

/// What may be stored under a key: what was acknowledged last, and what may have been stored since.
type Possible = Vec<Option<String>>;

/// What one client has seen.
#[derive(Default)]
struct Account {
    possible: BTreeMap<String, Possible>,
    /// Of requests to the victim, in order: whether each was an error.
    victim_errors: Vec<bool>,
    /// How long requests to others took, in each phase.
    took: [Vec<Duration>; 3],
}

/// The answer to a request, and what it makes of what is stored.
fn exchange(client: &mut Client, key: &str, random: &mut Random, possible: &mut Possible) -> String {
    let number = random.below(1_000_000).to_string();
    match random.below(10) {
        0..4 => {
            let answer = client.set(key, number.as_bytes());
            note(possible, &answer, Some(number), "STORED");
            answer
        }
        4 => {
            let answer = client.ask(format!("ms {key} {} q\r\n{number}\r\nmn\r\n", number.len()));
            if answer != "MN" {
                assert_eq!(client.line(), "MN\r\n", "behind {answer}");
            }
            note(possible, &answer, Some(number), "MN");
            answer
        }
        5 => {
            let answer = client.ask(format!("md {key}\r\n"));
            let is_done = answer == "HD" || answer == "NF";
            note(possible, if is_done { "HD" } else { &answer }, None, "HD");
            answer
        }
        _ => {
            let answer = client.ask(format!("mg {key} v\r\n"));
            if answer.starts_with("VA ") {
                let value = Some(client.line().trim_end().to_owned());
                assert!(possible.contains(&value), "{key}: {value:?} of {possible:?}");
                *possible = vec![value];
            } else if answer == "EN" {
                assert!(possible.contains(&None), "{key}: a miss, of {possible:?}");
                *possible = vec![None];
            }
            answer
        }
    }
}

/// Notes what a change has made of a key.
fn note(possible: &mut Possible, answer: &str, value: Option<String>, done: &str) {
    if answer == done {
        *possible = vec![value];
    } else if answer.starts_with("SERVER_ERROR outcome unknown") {
        possible.push(value);
    }
}

/// One client's requests, one at a time, until it is told to end and the victim answers it again.
fn load(home: &impl Fn(&str) -> usize, mut client: Client, number: u64, course: &Course) -> Account {
    let mut random = Random::new(SEED + number);
    let mut account = Account::default();
    let mut deadline = None;
    while !course.is_over.load(Ordering::SeqCst) || account.victim_errors.last() != Some(&false) {
        if course.is_over.load(Ordering::SeqCst) {
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
            assert!(Instant::now() < deadline, "the victim never answers client {number} again");
        }
        let key = format!("c{number}:{}", random.below(KEYS));
        let is_victims = home(&key) == VICTIM;
        let now = course.phase.load(Ordering::SeqCst);
        let possible = account.possible.entry(key.clone()).or_insert_with(|| vec![None]);
        let began = Instant::now();
        let answer = exchange(&mut client, &key, &mut random, possible);
        let is_error = answer.contains("ERROR");
        if is_victims {
            assert!(!is_error || answer.contains(" is on server 2, which "), "{answer}");
            assert!(!is_error || course.phase.load(Ordering::SeqCst) > 0, "before its death: {answer}");
            account.victim_errors.push(is_error);
        } else {
            assert!(!is_error, "{key} is on another server: {answer}");
            account.took[usize::from(now)].push(began.elapsed());
        }
    }
    account
}

/// How long the fastest 99 % took at most.
fn p99(took: &mut [Duration]) -> Duration {
    took.sort_unstable();
    took[(took.len() - 1) * 99 / 100]
}

#[test]
fn a_server_killed_under_load_spoils_only_its_groups_and_only_while_it_is_down() {
    let mut cluster = Cluster::start();
    let course = Course::default();
    let map = cluster.map.clone();
    let home = |key: &str| {
        let group = map.placement().group(key.as_bytes());
        usize::from(map.coordinator(group).unwrap().id.get()) - 1
    };
    let mut accounts = thread::scope(|scope| {
        let clients: Vec<_> = (0..2 * CLIENTS)
            .map(|number| {
                let client = cluster.client(if number % 2 == 0 { 0 } else { 2 });
                let (home, course) = (&home, &course);
                scope.spawn(move || load(home, client, number, course))
            })
            .collect();
        let end = EndsWithTest(&course.is_over);
        through(&cluster, 0);
        course.phase.store(1, Ordering::SeqCst);
        cluster.kill(VICTIM);
        through(&cluster, 1);
        cluster.begin(VICTIM);
        course.phase.store(2, Ordering::SeqCst);
        through(&cluster, 2);
        drop(end);
        clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<Account>>()
    });
    judge(&accounts);
    figures(&mut accounts);
    let mut client = cluster.client(2);
    for (key, possible) in accounts.iter().flat_map(|account| &account.possible) {
        let stored = client.value(key).map(|value| String::from_utf8(value).unwrap());
        assert!(possible.contains(&stored), "{key}: {stored:?} of {possible:?}, seed {SEED}");
    }
}

/// Waits until both entrances have answered enough in this phase: while the victim is down with what is not its own, at
/// other times with everything.
fn through(cluster: &Cluster, phase: u8) {
    let keys: Vec<String> = [0, 1, 2].iter().flat_map(|at| cluster.keys_of(*at, 3)).collect();
    for at in [0, 2] {
        let mut client = cluster.client(at);
        for round in 0..REQUESTS_MIN {
            for key in keys.iter().filter(|key| phase != 1 || cluster.home(key) != VICTIM) {
                let value = round.to_string();
                let stored =
                    wait::until(PATIENCE, || (client.set(key, value.as_bytes()) == "STORED").then_some(()));
                assert!(stored.is_some(), "{key}");
            }
        }
        if phase == 1 {
            let lost = cluster.keys_of(VICTIM, 1).remove(0);
            let down = wait::until(PATIENCE, || {
                client.ask(format!("mg {lost} v\r\n")).ends_with("which is down").then_some(())
            });
            assert!(down.is_some(), "server {} never says that the victim is down", at + 1);
        }
    }
}

/// Errors come in one piece: whoever was answered again was answered for good.
fn judge(accounts: &[Account]) {
    for account in accounts {
        let errors = &account.victim_errors;
        let behind = errors.iter().skip_while(|is_error| !**is_error).skip_while(|is_error| **is_error);
        assert_eq!(behind.filter(|is_error| **is_error).count(), 0, "errors return: {errors:?}");
        assert!(account.took.iter().all(|took| !took.is_empty()), "requests of others in every phase");
    }
    let is_seen = |account: &Account| account.victim_errors.contains(&true);
    assert!(accounts.iter().any(is_seen), "its death was seen");
}

/// Prints how long requests to the servers that live took.
fn figures(accounts: &mut [Account]) {
    for (at, phase) in PHASES.iter().enumerate() {
        let mut took: Vec<Duration> =
            accounts.iter_mut().flat_map(|account| std::mem::take(&mut account.took[at])).collect();
        let (count, p99) = (took.len(), p99(&mut took));
        say(&format!(
            "a server dies, requests to others {phase}: {count}, p50 {:?}, p99 {p99:?}",
            took[count / 2]
        ));
    }
}
