//! A command ends behind each of its steps, as a crash would end it: nothing is lost, no two servers have the group, and
//! the command is run again or the way back is taken.
use std::fs;

use super::{Pair, check};

/// What a crash in the middle of a step may leave of files that are being made.
fn leave_halves(pair: &Pair, names: &[&str]) {
    names.iter().for_each(|name| fs::write(pair.path(name), b"half of something").unwrap());
}

/// Which version of the map a server goes by over this directory.
fn map_version(pair: &Pair, id: usize, data: &str, map: &str) -> Option<String> {
    let larder = pair.serve(id, data, map).ok()?;
    let line = pair.client(id).ask("cluster map\r\n");
    larder.kill();
    line.split(" version ").nth(1)?.split(' ').next().map(ToOwned::to_owned)
}

#[test]
fn an_export_that_is_cut_short_is_run_again_or_called_back() {
    let (pair, keys) = Pair::filled(40);
    let mut ended = None;
    for steps in 0..20 {
        let (one, two, file) = (format!("one{steps}"), format!("two{steps}"), format!("group{steps}"));
        pair.copy("data1", &one);
        pair.copy("data2", &two);
        let line = format!("export 1 @{file} --to 2 --data-dir @{one}");
        let is_done = pair.up_to(steps, &line) == 0;
        let is_served = map_version(&pair, 1, &one, "one.toml").is_some();
        let is_whole = pair.path(&file).exists();
        assert_eq!(is_whole, is_done, "the file has its name at last: {steps}");
        assert_eq!(
            is_served,
            steps == 0,
            "it is served up to the first step, and never beside the file: {steps}"
        );
        assert_eq!(pair.standing(&one), if is_served { "" } else { "giving" });
        let unfinished = format!("{file}.unfinished");
        if pair.path(&unfinished).exists() && steps < 5 {
            pair.refused(&format!("import @{unfinished} --data-dir @{two}"), "may still have the group");
        }

        let back = format!("back{steps}");
        pair.copy(&one, &back);
        if !is_served {
            pair.done(&format!("cancel 1 --without-receipt --data-dir @{back}"));
        }
        check(&pair.path(&back));
        pair.has(1, (&back, "one.toml"), &keys);

        if !is_done {
            let halves = [".redb.making", ".redb.making.new"].map(|end| format!("{one}/groups/00001{end}"));
            leave_halves(&pair, &[&halves[0], &halves[1], &unfinished]);
        }
        pair.done(&line);
        assert!(!pair.path(&unfinished).exists());
        check(&pair.path(&one));
        assert_eq!(map_version(&pair, 1, &one, "two.toml").as_deref(), Some("2"), "it lets go: {steps}");
        pair.done(&format!("import @{file} --data-dir @{two}"));
        pair.has(2, (&two, "two.toml"), &keys);
        if is_done {
            ended = Some(steps);
            break;
        }
    }
    assert_eq!(ended, Some(6), "every step was the last one once");
}

#[test]
fn an_import_that_is_cut_short_is_run_again_or_refused() {
    let (pair, keys) = Pair::filled(40);
    pair.done("export 1 @group --to 2 --data-dir @data1");
    // The giver was started later, and may have issued what the taker has not come to yet.
    let number = |name: &str, at: usize| {
        u64::from_le_bytes(fs::read(pair.path(name)).unwrap()[at..at + 8].try_into().unwrap())
    };
    let ceiling = number("group", 16 + 48);
    assert!(number("data2/binlog/starts", 16) < ceiling);
    let mut ended = None;
    for steps in 0..20 {
        let two = format!("two{steps}");
        pair.copy("data2", &two);
        let line = format!("import @group --data-dir @{two}");
        let is_done = pair.up_to(steps, &line) == 0;
        let standing = pair.standing(&two);
        assert_eq!(standing, if is_done { "taken" } else { ["", "taking"][steps.min(1)] }, "{steps}");
        if !standing.is_empty() {
            let wanted = if is_done { "2" } else { "1" };
            let found = map_version(&pair, 2, &two, "two.toml");
            assert_eq!(found.as_deref(), Some(wanted), "not served by halves: {steps}");
        }
        if !is_done {
            let back = format!("back{steps}");
            pair.copy(&two, &back);
            pair.done(&format!("refuse @group --data-dir @{back}"));
            pair.refused(&format!("import @group --data-dir @{back}"), "will not be taken in");
            let said = crate::backups::done(&["check", "--data-dir", pair.path(&back).to_str().unwrap()]);
            assert!(said.contains("nothing is wrong"), "{said}");
            let halves = [".redb.making", ".redb.making.new"].map(|end| format!("{two}/groups/00001{end}"));
            leave_halves(&pair, &[&halves[0], &halves[1]]);
            pair.done(&line);
        }
        assert!(
            number(&format!("{two}/binlog/starts"), 16) >= ceiling,
            "what it will issue is above: {steps}"
        );
        pair.refused(&line, "taken in from this file already");
        check(&pair.path(&two));
        pair.has(2, (&two, "two.toml"), &keys);
        check(&pair.path(&two));
        if is_done {
            ended = Some(steps);
            break;
        }
    }
    assert_eq!(ended, Some(5), "every step was the last one once");
}

#[test]
fn an_end_that_is_cut_short_is_ended_again() {
    let (pair, keys) = Pair::filled(40);
    pair.done("export 1 @group --to 2 --data-dir @data1");
    pair.copy("data2", "refusing");
    pair.done("import @group --data-dir @data2");
    pair.done("refuse @group --data-dir @refusing");
    // The giver has gone on meanwhile, and its log with it.
    let one = pair.serve(1, "data1", "two.toml").unwrap();
    let mut client = pair.client(1);
    let others = (0..).map(|number| format!("later{number}")).filter(|key| pair.group(key.as_bytes()).0 == 0);
    others.take(30).for_each(|key| assert_eq!(client.set(&key, b"1"), "STORED"));
    assert!(one.signal(nix::sys::signal::Signal::SIGTERM).unwrap().success());

    let [taken, refused] = ["data2", "refusing"].map(|data| pair.receipt(data));
    for steps in 0..2 {
        let one = format!("confirmed{steps}");
        pair.copy("data1", &one);
        let line = format!("confirm 1 {taken} --data-dir @{one}");
        assert_eq!(pair.up_to(steps, &line) == 0, steps > 0);
        assert_eq!(pair.standing(&one), "given");
        pair.done(&line);
        assert!(!pair.path(&format!("{one}/groups/00001.redb.given")).exists());
        pair.refused(&format!("cancel 1 --without-receipt --data-dir @{one}"), "not being given away");
        check(&pair.path(&one));
    }
    for steps in 0..3 {
        let (one, again) = (format!("kept{steps}"), format!("again{steps}"));
        pair.copy("data1", &one);
        let line = format!("cancel 1 {refused} --data-dir @{one}");
        let is_done = pair.up_to(steps, &line) == 0;
        assert_eq!(is_done, steps == 2);
        if !is_done {
            // Not brought back, but given away after all.
            pair.copy(&one, &again);
            pair.done(&format!("export 1 @group --to 2 --data-dir @{again}"));
            assert_eq!(map_version(&pair, 1, &again, "two.toml").as_deref(), Some("2"));
            fs::remove_file(pair.path("group")).unwrap();
            pair.done(&format!("export 1 @group --to 2 --data-dir @{again}"));
            pair.done(&format!("import @group --data-dir @taker{steps}"));
            pair.has(2, (&format!("taker{steps}"), "two.toml"), &keys);
        }
        pair.done(&line);
        pair.done(&line);
        assert_eq!(pair.standing(&one), "kept");
        check(&pair.path(&one));
        pair.has(1, (&one, "back.toml"), &keys);
        check(&pair.path(&one));
    }
}
