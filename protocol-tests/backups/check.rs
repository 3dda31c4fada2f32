//! `larder check`: damage of every kind is found, named and, when told, mended.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use super::{done, refused, text, tool};
use crate::client::Client;
use crate::process::Larder;

const CHECKPOINTED: usize = 600;
const LOGGED: usize = 60;

fn value(key: &str) -> Vec<u8> {
    format!("needle-{key}-").repeat(if key.ends_with('7') { 300 } else { 5 }).into_bytes()
}

fn keys(kind: &str, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |number| format!("{kind}{number:04}"))
}

/// A data directory with items in its stores and others only in its log.
fn made(data_dir: &Path) -> PathBuf {
    let options = ["--groups", "2", "--fsync", "always"];
    let larder = Larder::start(data_dir, &options).unwrap();
    let mut client = Client::connect(larder.address());
    for key in keys("stored", CHECKPOINTED) {
        assert_eq!(client.set(&key, &value(&key)), "STORED");
        assert_eq!(client.ask(format!("touch {key} 500000\r\n")), "TOUCHED");
    }
    assert!(larder.signal(Signal::SIGTERM).unwrap().success());
    let larder = Larder::start(data_dir, &options).unwrap();
    let mut client = Client::connect(larder.address());
    for key in keys("logged", LOGGED) {
        assert_eq!(client.set(&key, &value(&key)), "STORED");
    }
    larder.kill();
    let mut logs: Vec<_> = fs::read_dir(data_dir.join("binlog"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("log-"))
        .collect();
    logs.sort();
    logs.pop().unwrap()
}

/// A copy to be damaged.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn contents(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path))
        } else {
            drop(found.insert(path.clone(), fs::read(&path).unwrap()))
        }
    }
    found
}

fn place_of(bytes: &[u8], needle: &str) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle.as_bytes()).expect(needle)
}

/// Which keys a server over this directory has lost; the others have their values.
fn lost(data_dir: &Path) -> Vec<String> {
    let larder = Larder::start(data_dir, &[]).unwrap();
    let mut client = Client::connect(larder.address());
    let all = keys("stored", CHECKPOINTED).chain(keys("logged", LOGGED));
    all.filter(|key| match client.value(key) {
        Some(found) => {
            assert!(found == value(key), "{key}");
            false
        }
        None => true,
    })
    .collect()
}

#[test]
fn a_good_directory_is_good_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let log = made(&data_dir);
    let before = contents(&data_dir);
    let said = done(&["check", "--data-dir", text(&data_dir)]);
    assert!(said.contains("nothing is wrong") && said.contains("2 group files with 600 items"), "{said}");
    assert!(said.contains("60 records to replay"), "{said}");
    let said = done(&["check", "--json", "--data-dir", text(&data_dir)]);
    assert!(said.contains("\"good\":true") && said.contains("\"problems\":[]"), "{said}");
    assert!(contents(&data_dir) == before, "nothing is changed");

    // A write that a crash has torn: told, and no damage.
    let mut bytes = fs::read(&log).unwrap();
    let end = place_of(&bytes, "logged0059") + "logged0059".len() + value("logged0059").len();
    let end = end.next_multiple_of(8);
    bytes[end..end + 64].copy_from_slice(&[0xA5; 64]);
    fs::write(&log, &bytes).unwrap();
    let said = done(&["check", "--data-dir", text(&data_dir)]);
    assert!(
        said.contains("a torn tail") && said.contains(log.file_name().unwrap().to_str().unwrap()),
        "{said}"
    );

    let larder = Larder::start(&data_dir, &[]).unwrap();
    refused(&["check", "--data-dir", text(&data_dir)], &["another process"]);
    larder.kill();
    refused(&["check", "--data-dir", text(folder.path())], &["not a data directory"]);
    assert_eq!(tool(&["check"]).code, Some(2));
}

#[test]
fn a_damaged_row_is_named_and_the_others_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    made(&good);
    let group = |dir: &Path, id: usize| dir.join(format!("groups/0000{id}.redb"));
    // A value in its row, and one in pieces.
    for key in ["stored0100", "stored0107"] {
        let data_dir = folder.path().join(key);
        copy(&good, &data_dir);
        let id = (0..2).find(|id| {
            let bytes = fs::read(group(&good, *id)).unwrap();
            bytes.windows(10).any(|window| window == key.as_bytes())
        });
        let path = group(&data_dir, id.unwrap());
        let mut bytes = fs::read(&path).unwrap();
        // Every copy of the value: the file may hold pages of before.
        let needle = format!("needle-{key}-needle");
        let mut from = 0;
        while let Some(at) =
            bytes[from..].windows(needle.len()).position(|window| window == needle.as_bytes())
        {
            bytes[from + at + 3] ^= 1;
            from += at + needle.len();
        }
        assert!(from > 0, "{needle} is in the file");
        fs::write(&path, &bytes).unwrap();
        refused(&["check", "--data-dir", text(&data_dir)], &[key, text(&path), "damaged"]);
        assert!(fs::read(&path).unwrap() == bytes, "check changes nothing");
        let ran = tool(&["check", "--repair", "--data-dir", text(&data_dir)]);
        assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.said);
        assert!(ran.said.contains("1 lost") && ran.said.contains(key), "{}", ran.said);
        assert!(fs::read(path.with_extension("redb.damaged")).unwrap() == bytes, "the damaged file is kept");
        assert_eq!(lost(&data_dir), [key]);
    }
}

/// Bits flipped all over a group's file: what check does not find has done no harm, and a repair keeps the rest.
#[test]
fn every_flip_in_a_groups_file_is_found_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    made(&good);
    let bytes = fs::read(good.join("groups/00000.redb")).unwrap();
    let used: Vec<usize> = (0..bytes.len() / 512)
        .filter(|sector| bytes[sector * 512..][..512].iter().any(|byte| *byte != 0))
        .collect();
    let mut random: u64 = 0x9E37_79B9_7F4A_7C15;
    let (mut found, mut harmless) = (0, 0);
    for round in 0..8 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pick = (random >> 20) as usize;
        let at = used[pick % used.len()] * 512 + pick / 7 % 512;
        let data_dir = folder.path().join(format!("round{round}"));
        copy(&good, &data_dir);
        let path = data_dir.join("groups/00000.redb");
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (round % 8);
        fs::write(&path, &bad).unwrap();
        let ran = tool(&["check", "--data-dir", text(&data_dir)]);
        if ran.code == Some(0) {
            harmless += 1;
            assert_eq!(lost(&data_dir), [""; 0], "byte {at}: {}", ran.out);
            continue;
        }
        found += 1;
        assert!(ran.code == Some(3) && ran.out.contains("00000.redb"), "byte {at}: {}{}", ran.out, ran.said);
        let ran = tool(&["check", "--repair", "--data-dir", text(&data_dir)]);
        assert_eq!(ran.code, Some(0), "byte {at}: {}{}", ran.out, ran.said);
        let gone = lost(&data_dir);
        assert!(gone.len() < 60, "byte {at}: {} keys are lost: {}", gone.len(), ran.said);
        assert!(gone.is_empty() || ran.said.contains("lost"), "{}", ran.said);
    }
    println!("{found} flips found, {harmless} harmless");
    assert!(found > 1);
}

#[test]
fn files_that_are_cut_or_gone_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    let log = made(&good);
    let log_name = format!("binlog/{}", log.file_name().unwrap().to_str().unwrap());
    let flip = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 8;
        bytes
    };
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let empty = |_: &[u8]| Vec::new();
    let header = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[20] ^= 1;
        bytes
    };
    type Harm<'h> = &'h dyn Fn(&[u8]) -> Vec<u8>;
    let rows: &[(&str, Harm<'_>)] = &[
        ("larder.id", &flip),
        ("larder.id", &half),
        ("binlog/starts", &flip),
        ("binlog/starts", &half),
        ("groups/00001.redb", &half),
        ("groups/00001.redb", &empty),
        (&log_name, &empty),
        (&log_name, &header),
    ];
    for (row, (name, harm)) in rows.iter().enumerate() {
        let data_dir = folder.path().join(row.to_string());
        copy(&good, &data_dir);
        let path = data_dir.join(name);
        fs::write(&path, harm(&fs::read(&path).unwrap())).unwrap();
        refused(&["check", "--data-dir", text(&data_dir)], &[name]);
        if name.starts_with("groups") {
            let ran = tool(&["check", "--repair", "--data-dir", text(&data_dir)]);
            assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.said);
            let gone = lost(&data_dir);
            assert!(
                gone.len() < CHECKPOINTED && gone.iter().all(|key| key.starts_with("stored")),
                "{gone:?}"
            );
        }
        if name.starts_with("binlog") {
            let ran = tool(&["check", "--repair", "--data-dir", text(&data_dir)]);
            assert_eq!(ran.code, Some(3), "the log is not cut unless told: {}{}", ran.out, ran.said);
            let ran = tool(&["check", "--repair", "--cut-log", "--data-dir", text(&data_dir)]);
            assert_eq!(ran.code, Some(0), "{name}: {}{}", ran.out, ran.said);
            assert!(data_dir.join("binlog.damaged").exists());
            let gone = lost(&data_dir);
            assert!(gone.iter().all(|key| key.starts_with("logged")), "{name}: {} are lost", gone.len());
            assert_eq!(gone.is_empty(), name.ends_with("starts"), "{name}: {} are lost", gone.len());
        }
    }
}

#[test]
fn the_log_is_cut_where_it_is_damaged_and_only_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let log = made(&data_dir);
    let mut bytes = fs::read(&log).unwrap();
    let at = place_of(&bytes, "needle-logged0030");
    bytes[at] ^= 1;
    fs::write(&log, &bytes).unwrap();
    let name = log.file_name().unwrap().to_str().unwrap();
    refused(
        &["check", "--data-dir", text(&data_dir)],
        &[name, "offset", "a record that was durable is damaged"],
    );
    let ran = tool(&["check", "--repair", "--data-dir", text(&data_dir)]);
    assert!(ran.code == Some(3) && ran.said.contains("--cut-log"), "{}{}", ran.out, ran.said);
    assert!(fs::read(&log).unwrap() == bytes, "not cut");
    let ran = tool(&["check", "--repair", "--cut-log", "--data-dir", text(&data_dir)]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.said);
    assert!(ran.said.contains("30 records kept"), "{}", ran.said);
    let gone = lost(&data_dir);
    assert_eq!(gone, keys("logged", LOGGED).skip(30).collect::<Vec<_>>());
    let kept = fs::read(data_dir.join("binlog.damaged").join(name)).unwrap();
    assert!(kept == bytes, "the damaged log is kept");
}

/// The keys tell the rule by which they were placed, the files whose they are; where they do not agree nothing is made.
#[test]
fn a_lost_identity_is_made_anew_where_the_files_agree() {
    let folder = tempfile::tempdir().unwrap();
    let rules = [
        ("larder", "braces"),
        ("larder", "none"),
        ("fastdht", "braces"),
        ("fastdht", "none"),
        ("larder", "none"),
    ];
    for (number, (hash, hash_tag)) in rules.iter().enumerate() {
        let data_dir = folder.path().join(number.to_string());
        let options = ["--groups", "5", "--hash", hash, "--hash-tag", hash_tag];
        let larder = Larder::start(&data_dir, &options).unwrap();
        let mut client = Client::connect(larder.address());
        for key in (0..100).map(|number| format!("{{tag:{}}}key{number}", number % 10)) {
            assert_eq!(client.set(&key, b"value"), "STORED");
        }
        // In the log alone in the last one: its files' keys tell less.
        if number < 4 {
            assert!(larder.signal(Signal::SIGTERM).unwrap().success());
        } else {
            drop(client);
            assert!(larder.signal(Signal::SIGTERM).unwrap().success());
            let larder = Larder::start(&data_dir, &options).unwrap();
            assert_eq!(Client::connect(larder.address()).set("{tag}more", b"value"), "STORED");
            larder.kill();
        }
        let file = data_dir.join("larder.id");
        let good = fs::read(&file).unwrap();
        let mut flipped = good.clone();
        flipped[20] ^= 1;
        fs::write(&file, &flipped).unwrap();
        let ran = tool(&["check", "--repair", "--data-dir", text(&data_dir)]);
        assert!(ran.code == Some(0) && ran.said.contains("made anew"), "{}{}", ran.out, ran.said);
        assert_eq!(fs::read(&file).unwrap(), good, "{hash} {hash_tag}");
        assert_eq!(fs::read(data_dir.join("larder.id.damaged")).unwrap(), flipped, "the damaged one is kept");
        fs::remove_file(&file).unwrap();
        refused(&["check", "--data-dir", text(&data_dir)], &["larder.id"]);
        done(&["check", "--repair", "--data-dir", text(&data_dir)]);
        assert_eq!(fs::read(&file).unwrap(), good, "{hash} {hash_tag}");
    }
    // A file of another directory among them; and no file at all.
    let [mixed, bare] = ["mixed", "bare"].map(|name| folder.path().join(name));
    copy(&folder.path().join("0"), &mixed);
    fs::copy(folder.path().join("1/groups/00003.redb"), mixed.join("groups/00003.redb")).unwrap();
    copy(&folder.path().join("0"), &bare);
    for entry in fs::read_dir(bare.join("groups")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for (data_dir, name) in [(&mixed, "do not agree"), (&bare, "no group has a file")] {
        fs::write(data_dir.join("larder.id"), b"half").unwrap();
        refused(&["check", "--repair", "--data-dir", text(data_dir)], &[name]);
        assert_eq!(fs::read(data_dir.join("larder.id")).unwrap(), b"half", "nothing is made");
    }
}
