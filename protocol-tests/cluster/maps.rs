//! Maps that differ between servers, and maps that change while clients write.
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::{Cluster, EndsWithTest, PATIENCE};
use crate::client::Client;
use crate::skips::say;
use crate::wait;

/// Puts these words of the map in the place of those, and raises the version.
pub(super) fn propose(cluster: &Cluster, version: u64, change: impl Fn(&str) -> String) {
    let path = cluster.path("cluster.toml");
    let text = fs::read_to_string(&path).unwrap();
    let raised = text.replacen(&format!("version = {}", version - 1), &format!("version = {version}"), 1);
    assert_ne!(text, raised);
    fs::write(&path, change(&raised)).unwrap();
}

/// The first key of a group.
pub(super) fn key_in(cluster: &Cluster, group: u16) -> String {
    (0..)
        .map(|n| format!("k{n}"))
        .find(|key| cluster.map.placement().group(key.as_bytes()).0 == group)
        .unwrap()
}

#[test]
fn servers_with_different_maps_ask_once_more_or_say_that_they_disagree_and_execute_nothing() {
    let cluster = Cluster::start();
    let [mut one, mut two, mut three] = [0, 1, 2].map(|at| cluster.client(at));
    let key = key_in(&cluster, 0);
    propose(&cluster, 2, |text| {
        text.replace("groups = \"0-5\"\nservers = [1]", "groups = \"1-5\"\nservers = [1]")
            + "[[range]]\ngroups = \"0\"\nservers = [2]\n"
    });
    assert_eq!(one.ask("cluster reload\r\n"), "OK map version 2 is in force");
    // Server 1 has given group 0 to server 2, who does not know. Server 3 asks 1, then 2.
    for client in [&mut one, &mut two, &mut three] {
        for request in
            [format!("set {key} 0 0 1\r\nx\r\n"), format!("get {key}\r\n"), format!("md {key}\r\n")]
        {
            let error = client.ask(request);
            assert!(error.starts_with("SERVER_ERROR group 0: the servers disagree: "), "{error}");
            assert!(error.contains("version 1") && error.contains("version 2"), "{error}");
        }
    }
    assert!(one.figure_of("larder", "forwarded_disagreed") == 3, "each is counted where it was asked");
    // Once the new owner knows, who has the old map finds it by asking once more.
    assert_eq!(two.ask("cluster reload\r\n"), "OK map version 2 is in force");
    assert_eq!(three.ask(format!("get {key}\r\n")), "END", "nothing was executed");
    assert_eq!(three.set(&key, b"x"), "STORED");
    assert!(three.ask("cluster map\r\n").contains("version 1"));
    drop(three);
    for at in [0, 1, 2] {
        assert_eq!(cluster.client(at).value(&key).as_deref(), Some(&b"x"[..]), "through server {}", at + 1);
    }
}

/// Groups that are taken from server 1, one after another.
const ROUNDS: u16 = 20;

/// Sets, gets and deletes a key through server 1 until it is told to end: what was acknowledged must be there.
fn write(client: &mut Client, key: &str, is_over: &AtomicBool, stored: &AtomicUsize) {
    while !is_over.load(Ordering::SeqCst) {
        let answer = client.set(key, b"x");
        if answer != "STORED" {
            assert!(answer.contains("the servers disagree"), "{answer}");
            continue;
        }
        stored.fetch_add(1, Ordering::SeqCst);
        let found = wait::until(PATIENCE, || {
            Some(client.ask(format!("mg {key} s\r\n"))).filter(|line| !line.starts_with("SERVER_ERROR"))
        });
        assert_eq!(found.as_deref(), Some("HD s1"), "what was acknowledged while the map changed");
        wait::until(PATIENCE, || {
            Some(client.ask(format!("md {key}\r\n"))).filter(|line| !line.starts_with("SERVER_ERROR"))
        });
    }
}

#[test]
fn a_write_that_comes_in_between_is_where_the_group_is_when_the_map_has_changed() {
    let cluster = Cluster::of(64, &[("0-21", 1), ("22-42", 2), ("43-63", 3)], &[]);
    let [mut one, mut two] = [0, 1].map(|at| cluster.client(at));
    let (mut refusals, mut all_stored) = (0, 0);
    for group in 0..ROUNDS {
        let key = key_in(&cluster, group);
        let (is_over, stored) = (AtomicBool::new(false), AtomicUsize::new(0));
        let mut writer = cluster.client(0);
        thread::scope(|scope| {
            scope.spawn(|| write(&mut writer, &key, &is_over, &stored));
            let _end = EndsWithTest(&is_over);
            assert!(wait::until(PATIENCE, || (stored.load(Ordering::SeqCst) > 2).then_some(())).is_some());
            propose(&cluster, u64::from(group) + 2, |text| {
                let first = format!("groups = \"{group}-21\"\nservers = [1]");
                assert!(text.contains(&first), "{text}");
                let rest = format!("groups = \"{}-21\"\nservers = [1]", group + 1);
                text.replace(&first, &rest) + &format!("[[range]]\ngroups = \"{group}\"\nservers = [2]\n")
            });
            // The server that gives first: until the other knows, both refuse.
            let given = wait::until(PATIENCE, || {
                let answer = one.ask("cluster reload\r\n");
                let is_held = answer.contains("which still holds its data");
                refusals += usize::from(is_held);
                assert!(is_held || answer.starts_with("OK map version"), "{answer}");
                (!is_held).then_some(())
            });
            assert!(given.is_some(), "group {group} is never empty");
            assert!(two.ask("cluster reload\r\n").starts_with("OK map version"));
            let so_far = stored.load(Ordering::SeqCst);
            let goes_on = || (stored.load(Ordering::SeqCst) > so_far).then_some(());
            assert!(wait::until(PATIENCE, goes_on).is_some(), "writes go on at the new place");
        });
        all_stored += stored.load(Ordering::SeqCst);
        assert_eq!(one.figure_of("groups", &format!("{group}:items")), 0, "nothing was left behind");
    }
    say(&format!(
        "{ROUNDS} groups taken under load: {refusals} maps refused meanwhile, {all_stored} values stored"
    ));
}
