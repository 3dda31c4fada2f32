//! A server at rest: what is restored is the same in every field, whatever the group count.
use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use super::items::{assert_same, flush_marks, items, manifest};
use super::{done, refused, text, tool};
use crate::client::Client;
use crate::process::Larder;

/// Items of every kind: flags, deadlines, chosen cas, W X Z states, binary keys, touched, counted, all sizes.
pub(crate) fn fill(client: &mut Client) {
    for number in 0..2000 {
        let value = vec![b'a' + (number % 26) as u8; number * 7 % 3000];
        assert_eq!(client.set(&format!("plain{number}"), &value), "STORED");
    }
    for (number, size) in [4095, 4096, 65_536, 300_000, 900_000].iter().enumerate() {
        assert_eq!(client.set(&format!("large{number}"), &vec![b'L'; *size]), "STORED");
    }
    for (request, reply) in [
        ("ms flags 2 F4294967295\r\nhi\r\n", "HD"),
        ("ms deadline 2 T100000\r\nhi\r\n", "HD"),
        ("ms touched 2\r\nhi\r\n", "HD"),
        ("mg touched T5000\r\n", "HD"),
        ("ms cas 2 E77\r\nhi\r\n", "HD"),
        ("ms stale 2 T5000\r\nhi\r\n", "HD"),
        ("md stale I T300\r\n", "HD"),
        ("mg won N300 v t\r\n", "VA 0 t300 W"),
    ] {
        assert_eq!(client.ask(request), reply, "{request}");
        if reply.starts_with("VA") {
            client.line();
        }
    }
    let stale = client.ask("mg stale s\r\n");
    assert!(stale.contains(" W") && stale.contains(" X"), "{stale}");
    assert_eq!(client.ask("ms AAEC/w== 3 b F9\r\nbin\r\n"), "HD");
    assert_eq!(client.ask("set gone 0 0 1\r\nx\r\n"), "STORED");
    assert_eq!(client.ask("delete gone\r\n"), "DELETED");
    assert_eq!(client.ask("set number 0 0 2\r\n41\r\n"), "STORED");
    assert_eq!(client.ask("incr number 1\r\n"), "42");
}

fn back_up(larder: &Larder, destination: &Path) {
    let said = done(&["backup", &larder.address().to_string(), text(destination)]);
    assert!(said.contains("verified"), "{said}");
}

#[test]
fn a_restored_server_has_the_same_items_in_every_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let larder = Larder::start(&path("data"), &["--groups", "4"]).unwrap();
    let mut client = Client::connect(larder.address());
    assert_eq!(client.set("flushed", b"old"), "STORED");
    assert_eq!(client.ask("flush_all\r\n"), "OK");
    fill(&mut client);
    assert_eq!(client.ask("flush_all 90000\r\n"), "OK");
    back_up(&larder, &path("first"));
    let wanted = items(&path("first"));
    assert_eq!(wanted.len(), 2000 + 5 + 6 + 2);
    let cas = client.ask("mg plain1 c\r\n");
    assert!(larder.signal(Signal::SIGTERM).unwrap().success());

    for groups in ["4", "1", "9"] {
        let data_dir = path(&format!("restored{groups}"));
        done(&["restore", text(&path("first")), "--data-dir", text(&data_dir), "--groups", groups]);
        let sound = done(&["check", "--data-dir", text(&data_dir)]);
        assert!(sound.contains("2013 items") && sound.contains("nothing is wrong"), "{sound}");
        let restored = Larder::start(&data_dir, &[]).unwrap();
        let again = path(&format!("again{groups}"));
        back_up(&restored, &again);
        assert_same(&wanted, &items(&again));
        let (before, after) = (manifest(&path("first")), manifest(&again));
        assert!(after.begin.incarnation > before.begin.incarnation, "another start");
        assert_eq!(after.end.until, before.end.until, "the log goes on where the backup ends");
        let pending: Vec<u32> = flush_marks(&again).iter().map(|mark| mark.1).collect();
        assert_eq!(pending, vec![flush_marks(&path("first"))[0].1; groups.parse().unwrap()]);
        if groups == "4" {
            assert_eq!(flush_marks(&path("first")), flush_marks(&again));
        }

        let mut client = Client::connect(restored.address());
        assert_eq!(client.ask("mg plain1 c\r\n"), cas);
        assert_eq!(client.value("flushed"), None);
        assert_eq!(client.value("gone"), None);
        assert_eq!(client.ask("mg AAEC/w== b k f\r\n"), "HD kAAEC/w== b f9");
        let reply = client.ask("ms new 1 c\r\nx\r\n");
        let new_cas: u64 = reply.strip_prefix("HD c").unwrap().parse().unwrap();
        assert!(new_cas >= before.end.ceiling.0, "newer than everything in the backup");
        assert!(!restored.said().contains("ERROR"), "{}", restored.said());
        // It survives what any data directory survives.
        restored.kill();
        let restored = Larder::start(&data_dir, &[]).unwrap();
        let mut client = Client::connect(restored.address());
        assert_eq!(client.value("new").as_deref(), Some(&b"x"[..]));
        assert_eq!(client.value("number").as_deref(), Some(&b"42"[..]));
    }
    let identity = |name: &str| fs::read(path(name).join("larder.id")).unwrap();
    assert_ne!(identity("restored4")[16..24], identity("data")[16..24], "an identity of its own");
}

#[test]
fn a_flush_that_has_come_empties_the_restored_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let larder = Larder::start(&path("data"), &["--groups", "3"]).unwrap();
    let mut client = Client::connect(larder.address());
    assert_eq!(client.set("k", b"v"), "STORED");
    assert_eq!(client.ask("flush_all\r\n"), "OK");
    back_up(&larder, &path("backup"));
    for groups in ["3", "2"] {
        let data_dir = path(groups);
        done(&["restore", text(&path("backup")), "--data-dir", text(&data_dir), "--groups", groups]);
        let restored = Larder::start(&data_dir, &[]).unwrap();
        assert_eq!(Client::connect(restored.address()).value("k"), None);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let larder = Larder::start(&path("data"), &["--groups", "2"]).unwrap();
    let address = larder.address().to_string();
    back_up(&larder, &path("backup"));
    let (backup, data) = (path("backup"), path("data"));
    refused(&["backup", &address, text(&backup)], &["something in it"]);
    refused(&["restore", text(&backup), "--data-dir", text(&data)], &["something in it"]);
    refused(&["restore", text(&data), "--data-dir", text(&path("new"))], &["no manifest"]);
    assert!(!path("new").exists());
    let closed = Larder::start(&path("closed"), &["-X", "--groups", "2"]).unwrap();
    refused(&["backup", &closed.address().to_string(), text(&path("x"))], &["backup not allowed"]);
    let memory = Larder::launch(&["-p", "-1", "--memory-only"]).unwrap();
    refused(&["backup", &memory.address().to_string(), text(&path("x"))], &["--memory-only"]);
    refused(&["backup", "127.0.0.1:1", text(&path("x"))], &["cannot connect"]);
    assert!(!path("x").exists(), "nothing is made in vain");
    for words in [&["backup"][..], &["backup", "a"], &["restore", "a"], &["backup", "--rate", "0", "a", "b"]]
    {
        assert_eq!(tool(words).code, Some(2), "{words:?}");
    }
}

/// A cut or changed file of a backup is named by restore and by check.
#[test]
fn a_damaged_backup_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let larder = Larder::start(&path("data"), &["--groups", "2"]).unwrap();
    let mut client = Client::connect(larder.address());
    for number in 0..200 {
        assert_eq!(client.set(&format!("key{number}"), &[b'v'; 100]), "STORED");
    }
    let backup = path("backup");
    back_up(&larder, &backup);
    let log_file = fs::read_dir(backup.join("binlog")).unwrap().next().unwrap().unwrap().file_name();
    let log_name = format!("binlog/{}", log_file.to_str().unwrap());
    for name in ["manifest", "items/00000", "items/00001", &log_name] {
        let file = backup.join(name);
        let good = fs::read(&file).unwrap();
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 4;
        let longer = [&good[..], b"x"].concat();
        for bad in [flipped, good[..good.len() - 1].to_vec(), longer] {
            fs::write(&file, &bad).unwrap();
            refused(&["check", "--data-dir", text(&backup)], &[name]);
            refused(&["restore", text(&backup), "--data-dir", text(&path("new"))], &[name]);
        }
        fs::remove_file(&file).unwrap();
        let word = if name == "manifest" { "manifest" } else { name };
        refused(&["restore", text(&backup), "--data-dir", text(&path("new"))], &[word]);
        assert!(!path("new").exists() && !path("new.restoring").exists());
        fs::write(&file, &good).unwrap();
    }
    done(&["check", "--data-dir", text(&backup)]);
}
