//! Reads of many keys go on through every server while groups move: no answer is short, mixed up or a false miss.
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::thread;

use nix::sys::signal::Signal;

use super::maps::propose;
use super::{Cluster, EndsWithTest, PATIENCE};
use crate::client::Client;
use crate::skips::say;
use crate::wait;

/// Groups that go from server 1 to server 2, one after another, from 0 on.
const MOVED: u16 = 6;
const GROUPS: u16 = 16;
/// Keys of one read: one server has more of them than one question asks for.
const KEYS: usize = 1500;
/// The server, from 0, that each reader asks. Server 3 has no group that moves, and learns last of each map.
const READERS: [usize; 4] = [2, 2, 0, 1];
/// Reads that each reader ends in each phase, at least.
const READS_MIN: usize = 3;

/// How far the test is, and how far its readers are.
#[derive(Default)]
struct Course {
    /// Groups below it have moved, and their keys are stored.
    placed: AtomicU16,
    is_over: AtomicBool,
    whole: [AtomicUsize; READERS.len()],
    refused: [AtomicUsize; READERS.len()],
}

impl Course {
    /// Waits until every reader has ended some more reads of this kind.
    fn through(&self, ended: &[AtomicUsize; READERS.len()], phase: &str) {
        let counts = || ended.iter().map(|count| count.load(Ordering::SeqCst));
        let before: Vec<usize> = counts().collect();
        let is_through = || counts().zip(&before).all(|(now, before)| now >= before + READS_MIN);
        let ends = || (is_through() || self.is_over.load(Ordering::SeqCst)).then(is_through);
        let seen = wait::until(PATIENCE, ends);
        assert_eq!(seen, Some(true), "{phase}: {:?} from {before:?} on", counts().collect::<Vec<_>>());
    }
}

fn value(key: &str) -> String {
    format!("the value of {key}")
}

/// Reads all keys: those whose whole values came, in order, and the last line.
fn read<'a>(client: &mut Client, request: &str, keys: &'a [String]) -> (BTreeSet<&'a str>, String) {
    client.send(request);
    let (mut left, mut found) = (keys.iter(), BTreeSet::new());
    loop {
        let line = client.line();
        let Some(head) = line.strip_prefix("VALUE ") else { return (found, line) };
        let name = head.split(' ').next().unwrap();
        let key =
            left.find(|key| *key == name).unwrap_or_else(|| panic!("{line}: not asked for, or not in order"));
        let expected = value(key);
        assert_eq!(line, format!("VALUE {key} 0 {}\r\n", expected.len()));
        assert_eq!(client.line(), expected + "\r\n", "another value than that of {key}");
        found.insert(key);
    }
}

/// Reads until it is told to end: what was there when a read began is shown, or the read says that it is not complete.
fn go_on_reading(
    client: &mut Client,
    number: usize,
    keys: &[String],
    group: impl Fn(&str) -> u16,
    course: &Course,
) {
    let request = format!("get {}\r\n", keys.join(" "));
    while !course.is_over.load(Ordering::SeqCst) {
        let placed = course.placed.load(Ordering::SeqCst);
        let (found, last) = read(client, &request, keys);
        if last != "END\r\n" {
            assert!(last.starts_with("SERVER_ERROR ") && last.contains("the servers disagree"), "{last}");
            course.refused[number].fetch_add(1, Ordering::SeqCst);
            continue;
        }
        let is_there = |key: &&String| group(key) < placed || group(key) >= MOVED;
        let missed: Vec<&String> =
            keys.iter().filter(is_there).filter(|key| !found.contains(key.as_str())).collect();
        assert!(missed.is_empty(), "reader {number}, {placed} groups have moved, false misses: {missed:?}");
        course.whole[number].fetch_add(1, Ordering::SeqCst);
    }
}

fn store<'a>(client: &mut Client, keys: impl Iterator<Item = &'a String>) {
    keys.for_each(|key| assert_eq!(client.set(key, value(key).as_bytes()), "STORED", "{key}"));
}

/// Takes a group from server 1. Server 3 learns of it by a signal, when its new server has long had it.
fn move_group(cluster: &Cluster, moving: u16, course: &Course, store: impl FnOnce(&mut Client)) {
    let [mut one, mut two, mut three] = [0, 1, 2].map(|at| cluster.client(at));
    let version = u64::from(moving) + 2;
    propose(cluster, version, |text| {
        let range = |from: u16| format!("groups = \"{from}-7\"\nservers = [1]");
        assert!(text.contains(&range(moving)), "{text}");
        text.replace(&range(moving), &range(moving + 1))
            + &format!("[[range]]\ngroups = \"{moving}\"\nservers = [2]\n")
    });
    let in_force = format!("OK map version {version} is in force");
    assert_eq!(one.ask("cluster reload\r\n"), in_force);
    course.through(&course.refused, "nobody has the group");
    assert_eq!(two.ask("cluster reload\r\n"), in_force);
    course.through(&course.whole, "it is asked for at its old server, and empty");
    store(&mut two);
    course.placed.store(moving + 1, Ordering::SeqCst);
    course.through(&course.whole, "it is asked for at its old server");
    cluster.servers[2].as_ref().unwrap().tell(Signal::SIGHUP);
    let shown = format!(" version {version} ");
    let is_known = || three.lines("cluster map\r\n", "END\r\n")[0].contains(&shown).then_some(());
    assert!(wait::until(PATIENCE, is_known).is_some(), "server 3 never has map version {version}");
    course.through(&course.whole, "everybody knows where it is");
}

#[test]
fn reads_of_many_miss_nothing_while_groups_move() {
    let cluster = Cluster::of(GROUPS, &[("0-7", 1), ("8-13", 2), ("14-15", 3)], &[]);
    let keys: Vec<String> = (0..KEYS).map(|number| format!("key{number}")).collect();
    let group = |key: &str| cluster.map.placement().group(key.as_bytes()).0;
    let of = |wanted: u16| keys.iter().filter(move |key| group(key) == wanted);
    (MOVED..GROUPS).for_each(|stays| store(&mut cluster.client(0), of(stays)));
    let course = Course::default();
    thread::scope(|scope| {
        let _end = EndsWithTest(&course.is_over);
        for (number, at) in READERS.into_iter().enumerate() {
            let (mut client, keys, course) = (cluster.client(at), &keys, &course);
            scope.spawn(move || {
                // One that fails ends the others.
                let _end = EndsWithTest(&course.is_over);
                go_on_reading(&mut client, number, keys, group, course);
            });
        }
        for moving in 0..MOVED {
            move_group(&cluster, moving, &course, |client| store(client, of(moving)));
        }
    });
    answers_come_from_the_new_server(&cluster, &keys, |key| group(key) < MOVED);
    let sum = |counts: &[AtomicUsize]| counts.iter().map(|count| count.load(Ordering::SeqCst)).sum::<usize>();
    let (whole, refused) = (sum(&course.whole), sum(&course.refused));
    say(&format!("{MOVED} groups moved under reads of {KEYS} keys: {whole} whole, {refused} refused"));
}

/// The old server is asked nothing about what has moved, and the new one about each key once.
fn answers_come_from_the_new_server(cluster: &Cluster, keys: &[String], has_moved: impl Fn(&str) -> bool) {
    let moved: Vec<String> = keys.iter().filter(|key| has_moved(key)).cloned().collect();
    let asked = || [0, 1].map(|at| cluster.client(at).figure_of("larder", "peer_requests"));
    let before = asked();
    let expected: Vec<(String, Vec<u8>)> = moved.iter().map(|key| (key.clone(), value(key).into())).collect();
    assert_eq!(cluster.client(2).get(&moved), expected);
    assert_eq!(asked(), [before[0], before[1] + moved.len() as u64]);
}
