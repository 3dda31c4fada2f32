//! The house as it stands, and for every rule a snippet that breaks it and one that only looks so.
use std::path::{Path, PathBuf};

use super::File;
use super::code::{Keep, blanked};
use super::rules::complaints;

/// Folders of the package that the rules hold for.
const CHECKED: &[&str] = &["src", "protocol-tests", "bench"];

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    CHECKED.iter().for_each(|folder| collect(&root.join(folder), &mut files));
    files.sort();
    assert!(files.len() > 20, "only {} files were found", files.len());
    let mut all = Vec::new();
    for file in &files {
        let path = file.strip_prefix(root).unwrap_or(file).display().to_string();
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{path}: {error}"));
        all.extend(complaints(&File { path: &path, text: &text }));
    }
    assert!(all.is_empty(), "\n{}", all.join("\n"));
}

#[test]
fn every_rule_can_fail() {
    let long_file = "//! x\n".repeat(601);
    let long_function = format!("fn f() {{\n{}}}\n", "    x();\n".repeat(70));
    let long_with_array = format!("fn f(a: [u8; 4]) {{\n{}}}\n", "    x();\n".repeat(70));
    let cases: &[(&str, &str, &str)] = &[
        ("src/base/a.rs", "use crate::proto::X;", "base (floor 0) imports proto (floor 1)"),
        ("src/proto/a.rs", "use crate::engine::X;", "proto (floor 1) imports engine (floor 1)"),
        ("src/hot/a.rs", "fn f() { crate::group::g(); }", "hot (floor 1) imports group (floor 2)"),
        (
            "src/group/mod.rs",
            "//! x\nuse crate::{base::X, conn::Y};",
            "group (floor 2) imports conn (floor 2)",
        ),
        (
            "src/group/a.rs",
            "use crate::{\n  base::{X, Z},\n  net::Y,\n};",
            "group (floor 2) imports net (floor 4)",
        ),
        ("src/dispatch/a.rs", "use crate::replica::X;", "dispatch (floor 3) imports replica (floor 3)"),
        ("src/config.rs", "use crate::server;", "config (floor 2) imports server (floor 5)"),
        ("src/conn/mod.rs", "//! x\nuse super::group::X;", "conn (floor 2) imports group (floor 2)"),
        ("src/conn/a.rs", "use crate::attic::X;", "crate::attic is no room"),
        ("src/attic/a.rs", "", "the room attic stands on no floor"),
        ("src/conn/a.rs", "use mio::Poll;", "mio is only named in src/net"),
        ("src/server.rs", "use socket2::Socket;", "socket2 is only named in src/net"),
        ("src/group/a.rs", "fn f(x: redb::Error) {}", "redb is only named in src/store"),
        ("src/engine/a.rs", "let t = SystemTime::now();", "SystemTime::now on a floor"),
        ("src/base/a.rs", "let t = std::time::Instant::now();", "Instant::now on a floor"),
        ("protocol-tests/a.rs", "std::thread::sleep(x);", "it never sleeps"),
        ("protocol-tests/a.rs", "use std::thread::sleep;", "it never sleeps"),
        ("src/base/a.rs", &long_file, "601 lines: 600 are the limit"),
        ("src/base/a.rs", &long_function, "a function of 72 lines"),
        ("src/base/a.rs", &long_with_array, "a function of 72 lines"),
        ("src/base/util.rs", "", "the name util.rs says nothing"),
        ("src/base/helpers/a.rs", "", "the name helpers says nothing"),
        ("src/net/manager.rs", "", "the name manager.rs says nothing"),
        ("protocol-tests/common.rs", "", "the name common.rs says nothing"),
        ("src/misc.rs", "", "the name misc.rs says nothing"),
        ("src/base/mod.rs", "// x\n", "a mod.rs begins with what the room is"),
        ("src/base/a.rs", "// TODO: later", "TODO is left over"),
        ("src/base/a.rs", "/* FIXME */", "FIXME is left over"),
        ("bench/main.rs", "// XXX", "XXX is left over"),
        ("src/base/a.rs", "#[test]\n#[ignore]\nfn f() {}", "a test that is not run"),
        ("src/base/a.rs", "#[ignore = \"slow\"]\nfn f() {}", "a test that is not run"),
    ];
    for (path, text, expected) in cases {
        let found = complaints(&File { path, text });
        assert!(
            found.iter().any(|what| what.contains(expected)),
            "{path} {text:?}: {expected:?} not in {found:?}"
        );
    }
}

#[test]
fn what_only_looks_wrong_passes() {
    let function = format!("fn f() {{\n{}}}\n", "    x();\n".repeat(68));
    let cases: &[(&str, &str)] = &[
        ("src/conn/a.rs", "use crate::base::X;\nuse crate::conn::Y;\nuse super::Z;\npub(crate) fn f() {}"),
        ("src/conn/a.rs", "// crate::net::X and redb and mio\nlet s = \"crate::net, redb, Instant::now()\";"),
        ("src/conn/a.rs", "let s = r#\"crate::net \" redb\"#; let c = '\"'; let d: &'a str = x;"),
        ("src/net/a.rs", "use mio::Poll;\nuse socket2::Socket;"),
        ("src/store/checkpoint.rs", "use redb::Database;"),
        ("src/group/a.rs", "let redb_file = 1;"),
        ("src/lib.rs", "pub mod base;\nuse crate::server::X;"),
        ("src/main.rs", "use larder::server;"),
        ("src/server.rs", "use crate::net::X;\nlet t = Instant::now();"),
        ("src/group/a.rs", "let t = Instant::now();"),
        ("src/base/a.rs", &function),
        ("src/base/a.rs", "trait T {\n fn f(&self);\n fn g(&self) {}\n}"),
        ("protocol-tests/a.rs", "// no sleep here\nlet s = \"thread::sleep\"; let t = \"TODO\";"),
        ("src/base/commonly.rs", ""),
    ];
    for (path, text) in cases {
        let found = complaints(&File { path, text });
        assert!(found.is_empty(), "{path} {text:?}: {found:?}");
    }
}

#[test]
fn complaints_name_their_line() {
    let text = "use crate::base::X;\n\n/* a\n b */\nuse crate::net::Y;\n";
    let found = complaints(&File { path: "src/conn/a.rs", text });
    assert_eq!(found, ["src/conn/a.rs:5: conn (floor 2) imports net (floor 4)"]);
}

#[test]
fn blanking_keeps_code_and_lines() {
    let text = "a /* b /* c */ d */ e // f\ng \"h\\\"i\" 'j' 'k br#\"l\"m\"# n";
    assert_eq!(blanked(text, Keep::Code).split_whitespace().collect::<String>(), "aeg'kn");
    assert_eq!(blanked(text, Keep::Code).lines().count(), 2);
    assert!(blanked(text, Keep::CodeAndComments).contains("// f"));
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
