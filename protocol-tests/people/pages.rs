//! Help, completions and manual pages: made of one definition, complete, and understood by shells and man.
use std::path::Path;
use std::process::Command;

use super::{run, split};
use crate::skips::require;

fn print(words: &str) -> String {
    let output = run(Path::new("/"), &split(words), "");
    assert_eq!(output.status.code(), Some(0), "larder {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The names of the commands, as `larder -h` lists them; and those of commands below commands.
fn commands() -> Vec<String> {
    let help = print("-h");
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    list.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn every_help_has_examples_and_every_command_is_listed() {
    let listed = commands();
    let usage = print("help");
    let known: Vec<&str> = usage
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()))
        .collect();
    for name in known.iter().filter(|name| **name != "help") {
        assert!(listed.iter().any(|listed| listed == name), "{name} in `larder -h`");
    }
    let below = [
        "cluster init",
        "cluster plan",
        "cluster check",
        "group export",
        "group import",
        "group confirm",
        "group refuse",
        "group cancel",
        "group list",
    ]
    .map(ToOwned::to_owned);
    for name in listed.iter().chain(&below).filter(|name| *name != "serve") {
        let help = print(&format!("{name} --help"));
        assert!(help.contains("Examples:\n  larder "), "{name}: {help}");
        assert!(help.contains("Exit codes: 0 ") || below.contains(name), "{name}: {help}");
        assert!(!help.contains('\x1b'), "{name}: no colours when it is no terminal");
    }
}

#[test]
fn completions_know_every_command_and_shells_can_read_them() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = print(&format!("completions {shell}"));
        for name in commands() {
            assert!(script.contains(&name), "{name} in the completions of {shell}");
        }
        assert!(script.contains("memory-limit"), "the flags of serve for {shell}");
        if !["bash", "zsh", "fish"].contains(&shell) {
            continue;
        }
        let Some(program) = require(shell) else { continue };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("script");
        std::fs::write(&file, &script).unwrap();
        let output = Command::new(program).arg("-n").arg(&file).output().unwrap();
        assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let Some(bash) = require("bash") else { return };
    let script = print("completions bash");
    let ask = "COMP_WORDS=(larder cl); COMP_CWORD=1; _larder larder cl larder; echo \"${COMPREPLY[@]}\"";
    let output = Command::new(bash).arg("-c").arg(format!("{script}\n{ask}")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "cluster");
}

#[test]
fn manual_pages_are_written_for_all_commands_and_over_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("man1");
    print(&format!("man {}", dir.display()));
    for name in commands().iter().map(String::as_str).chain(["cluster-init", "cluster-plan", "cluster-check"])
    {
        let page = std::fs::read_to_string(dir.join(format!("larder-{name}.1"))).unwrap();
        assert!(page.contains(".SH NAME") && page.contains("Examples:"), "{name}: {page}");
    }
    assert!(print("man").contains(".TH larder 1"));
    let again = run(folder.path(), &split("man man1"), "");
    assert_eq!(again.status.code(), Some(3), "nothing is written over");
}
