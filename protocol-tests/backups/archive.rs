//! Point in time: a backup, the archived segments behind it, and what is in the log still.
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::items::{assert_same, items, manifest};
use super::{done, refused, text};
use crate::client::Client;
use crate::process::Larder;
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(60);
const SMALL: [&str; 6] = ["--groups", "3", "--log-size", "16m", "-m", "8"];

/// A figure of `stats larder`.
fn figure(client: &mut Client, name: &str) -> String {
    client.send("stats larder\r\n");
    let mut found = String::new();
    loop {
        let line = client.line();
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["STAT", what, value] if *what == name => found = (*value).to_owned(),
            ["STAT", ..] => {}
            _ => return found,
        }
    }
}

/// Changes that fill some segments: stores, deletes, counts, touches.
fn change(client: &mut Client, round: u32) {
    for number in 0..1500_u32 {
        let key = format!("key{}", (number * 7 + round * 13) % 2000);
        let value = vec![b'a' + (round % 26) as u8; 2000 + number as usize];
        let request =
            [format!("set {key} {round} 0 {} noreply\r\n", value.len()).as_bytes(), &value, b"\r\n"].concat();
        client.send(request);
        match number % 10 {
            3 => client.send(format!("delete key{} noreply\r\n", number % 2000)),
            5 => client.send(format!("touch {key} 700000 noreply\r\n")),
            7 => client.send("incr count 1 noreply\r\n"),
            _ => {}
        }
    }
    assert_eq!(client.ask("mn\r\n"), "MN");
}

/// The state of a data directory, as a backup of a server over it has it.
fn state(data_dir: &Path, backup: &Path) -> super::items::Items {
    let larder = Larder::start(data_dir, &[]).unwrap();
    done(&["backup", &larder.address().to_string(), text(backup)]);
    items(backup)
}

#[test]
fn a_backup_and_the_archive_give_every_later_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let archive = path("archive");
    let options = [&SMALL[..], &["--archive", text(&archive)]].concat();
    let larder = Larder::start(&path("data"), &options).unwrap();
    let mut client = Client::connect(larder.address());
    assert_eq!(client.set("count", b"0"), "STORED");
    change(&mut client, 0);
    done(&["backup", &larder.address().to_string(), text(&path("first"))]);
    for round in 1..6 {
        change(&mut client, round);
    }
    done(&["backup", &larder.address().to_string(), text(&path("middle"))]);
    let middle_lsn = manifest(&path("middle")).end.until;
    let middle = {
        done(&["restore", text(&path("middle")), "--data-dir", text(&path("m"))]);
        state(&path("m"), &path("m-backup"))
    };
    change(&mut client, 6);
    // Another start, after a crash, in between.
    larder.kill();
    let larder = Larder::start(&path("data"), &options).unwrap();
    let mut client = Client::connect(larder.address());
    assert_eq!(client.ask("flush_all\r\n"), "OK");
    for round in 7..10 {
        change(&mut client, round);
    }
    let kept = wait::until(PATIENCE, || (figure(&mut client, "archive_segments") != "0").then_some(()));
    kept.expect("segments are archived");
    assert_eq!(figure(&mut client, "archive_lost_segments"), "0");
    done(&["backup", &larder.address().to_string(), text(&path("last"))]);
    let last = items(&path("last"));
    assert!(larder.signal(Signal::SIGTERM).unwrap().success());

    let (first, log) = (path("first"), path("data").join("binlog"));
    let until = middle_lsn.to_string();
    let both = ["--archive", text(&archive), "--archive", text(&log)];
    let restore = |name: &str, more: &[&str]| {
        let data_dir = path(name);
        done(&[&["restore", text(&first), "--data-dir", text(&data_dir)], more].concat());
        state(&data_dir, &path(&format!("{name}-backup")))
    };
    assert_same(&middle, &restore("at-middle", &[&both[..], &["--until-lsn", &until]].concat()));
    assert_same(&last, &restore("at-end", &both));
    assert_same(
        &last,
        &restore("others", &[&both[..], &["--groups", "8", "--until-time", "4000000000"]].concat()),
    );

    let new = path("new");
    let words = ["restore", text(&first), "--data-dir", text(&new)];
    refused(&[&words[..], &both, &["--until-lsn", "1"]].concat(), &["use an earlier backup"]);
    refused(&[&words[..], &both, &["--until-lsn", "99999999"]].concat(), &["the archive ends at LSN"]);
    refused(
        &[&words[..], &both, &["--until-time", "2001-01-01T00:00:00Z"]].concat(),
        &["use an earlier backup"],
    );
    // A segment is missing, or not the same server's.
    let mut names: Vec<_> = fs::read_dir(&archive).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(names.len() > 3, "{names:?}");
    fs::remove_file(&names[names.len() / 2]).unwrap();
    refused(&[&words[..], &both].concat(), &["the segment before this one is missing"]);
    assert!(!new.exists());
}

#[test]
fn an_archive_that_fails_stalls_nobody_and_catches_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let archive = path("archive");
    let options = [&SMALL[..], &["--archive", text(&archive)]].concat();
    let larder = Larder::start(&path("data"), &options).unwrap();
    fs::remove_dir(&archive).unwrap();
    let mut client = Client::connect(larder.address());
    for round in 0..8 {
        change(&mut client, round);
    }
    let fails = wait::until(PATIENCE, || (figure(&mut client, "archive_failing") == "yes").then_some(()));
    fails.expect("it is told");
    assert!(larder.said().contains("the archive fails"), "{}", larder.said());
    change(&mut client, 9);
    fs::create_dir(&archive).unwrap();
    change(&mut client, 10);
    let caught_up = wait::until(PATIENCE, || (figure(&mut client, "archive_failing") == "no").then_some(()));
    caught_up.expect("it goes on");
    assert_eq!(figure(&mut client, "archive_lost_segments"), "0");
    assert_ne!(figure(&mut client, "archive_segments"), "0");
}
