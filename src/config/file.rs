//! The configuration file: the flags of `serve` by their long names, as TOML.
//!
//! It becomes words of a command line, so that there is one meaning of a flag. A flag that the command line gives takes
//! the place of the file's, lists too.

use std::ffi::OsString;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};
use toml::de::{DeTable, DeValue};

use crate::base::limits::CONFIG_BYTES_MAX;

/// Long flags that make no sense in the file.
const NOT_IN_FILE: &[&str] = &["config", "help", "license", "version"];
/// The largest number of a flag that counts how often it is given (`verbose`).
pub(super) const COUNT_MAX: u64 = 3;
/// Names that differ in more letters are no slip of the hand.
const SLIP_MAX: usize = 3;

/// The words that the file stands for, but for the flags that the command line gives.
///
/// # Errors
/// The file, the line, what is wrong and what to write instead.
pub(super) fn words(
    path: &Path,
    text: &str,
    command: &clap::Command,
    given: &ArgMatches,
) -> Result<Vec<OsString>, String> {
    let at = |byte: usize, what: String| {
        let before = text.as_bytes().get(..byte).unwrap_or_default();
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        format!("{} line {line}: {what}", path.display())
    };
    if text.len() > CONFIG_BYTES_MAX {
        return Err(format!("{}: longer than {CONFIG_BYTES_MAX} bytes; write only flags", path.display()));
    }
    let table = DeTable::parse(text).map_err(|error| {
        let byte = error.span().map_or(0, |span| span.start);
        at(byte, format!("{}; write TOML, such as memory-limit = 1024", error.message().replace('\n', " ")))
    })?;
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let mut words = Vec::new();
    for (key, value) in entries {
        let name = key.get_ref().as_ref();
        let arg = known(command, name).ok_or_else(|| at(key.span().start, unknown(command, name)))?;
        let written = word(arg, name, value.get_ref()).map_err(|what| at(value.span().start, what))?;
        if given.value_source(arg.get_id().as_str()) != Some(ValueSource::CommandLine) {
            words.extend(written.into_iter().map(OsString::from));
        }
    }
    Ok(words)
}

/// The flag of this long name.
fn known<'c>(command: &'c clap::Command, name: &str) -> Option<&'c Arg> {
    command.get_arguments().find(|arg| arg.get_long() == Some(name) && !NOT_IN_FILE.contains(&name))
}

fn unknown(command: &clap::Command, name: &str) -> String {
    let shown = name.escape_debug();
    let is_short = |arg: &&Arg| arg.get_short().is_some_and(|short| name.chars().eq([short]));
    if let Some(long) = command.get_arguments().find(is_short).and_then(Arg::get_long) {
        return format!("there is no flag `{shown}`; write its long name, {long}");
    }
    match nearest(command, name) {
        Some(near) => format!("there is no flag `{shown}`; do you mean {near}?"),
        None => format!("there is no flag `{shown}`; `larder -h` lists them all"),
    }
}

/// The flag whose name takes the fewest changes, if they are few.
fn nearest<'c>(command: &'c clap::Command, name: &str) -> Option<&'c str> {
    let name = name.to_lowercase().replace('_', "-");
    let flags = command.get_arguments().filter_map(Arg::get_long).filter(|long| !NOT_IN_FILE.contains(long));
    let near = flags.map(|long| (distance(&name, long), long)).min()?;
    (near.0 <= SLIP_MAX.min(name.len() / 2)).then_some(near.1)
}

/// How many letters have to be put in, taken out or changed to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (above, x) in a.chars().enumerate() {
        let mut next = vec![above + 1];
        for ((y, changed), removed) in b.iter().zip(&row).zip(row.iter().skip(1)) {
            let added = next.last().copied().unwrap_or(0) + 1;
            next.push(added.min(removed + 1).min(changed + usize::from(x != *y)));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// What a value of the file is on a command line.
fn word(arg: &Arg, name: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let with = |text: &str| format!("--{name}={text}");
    match (arg.get_action(), value) {
        (ArgAction::SetTrue, DeValue::Boolean(wanted)) => {
            Ok(if *wanted { vec![format!("--{name}")] } else { Vec::new() })
        }
        (ArgAction::SetTrue, _) => Err(format!("`{name}` is on or off; write {name} = true or false")),
        (ArgAction::Count, DeValue::Integer(_)) => match number(value).and_then(|text| text.parse().ok()) {
            Some(count) if count <= COUNT_MAX => Ok((0..count).map(|_| format!("--{name}")).collect()),
            _ => Err(format!("`{name}` is a number from 0 to {COUNT_MAX}")),
        },
        (ArgAction::Count, _) => Err(format!("`{name}` is a number from 0 to {COUNT_MAX}; write {name} = 1")),
        (ArgAction::Append, DeValue::Array(items)) => {
            let texts = items.iter().map(|item| scalar(item.get_ref()).map(|text| with(&text)));
            texts.collect::<Option<_>>().ok_or_else(|| format!("`{name}` is a list of texts"))
        }
        _ => match scalar(value) {
            Some(text) => Ok(vec![with(&text)]),
            None => Err(format!("`{name}` is a text or a number; write {name} = \"...\"")),
        },
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(ToOwned::to_owned).or_else(|| number(value))
}

/// A whole number in decimal digits.
fn number(value: &DeValue<'_>) -> Option<String> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted_in_letters() {
        for (a, b, expected) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("", "abc", 3),
            ("memory-limt", "memory-limit", 1),
            ("ab", "ba", 2),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    use std::ffi::OsString;

    use clap::CommandFactory;

    use super::super::{Config, Flags, Keep, Machine, Stop, read_with};

    const EXAMPLE: &str = include_str!("../../contrib/larder.toml");

    fn config(text: &str, line: &str) -> Result<Config, String> {
        let machine = Machine { cores: 8, working_dir: "/w".into(), port_file: None, sasl_file: None };
        let words = format!("--config f.toml {line}");
        let words = words.split_whitespace().map(OsString::from);
        let read = |path: &Path| {
            assert_eq!(path, Path::new("f.toml"));
            Ok(text.to_owned())
        };
        read_with(words, &machine, read).map_err(|stop| match stop {
            Stop::Refusal(text) | Stop::Answer(text) => text,
        })
    }

    #[test]
    fn the_file_means_what_the_flags_mean_and_flags_win() {
        for (text, line, same) in [
            ("", "", ""),
            ("memory-limit = 128", "", "-m 128"),
            ("memory-limit = \"128\"", "", "-m 128"),
            ("memory-limit = 128", "-m 7", "-m 7"),
            ("port = -1\nverbose = 2", "", "-p -1 -vv"),
            ("verbose = 2", "-v", "-v"),
            ("listen = [\"127.0.0.1\", \"10.0.0.1:5\"]", "", "-l 127.0.0.1 -l 10.0.0.1:5"),
            ("listen = [\"127.0.0.1\", \"10.0.0.1:5\"]", "-l ::1", "-l ::1"),
            ("listen = \"::1\"", "", "-l ::1"),
            ("memory-only = true", "", "--memory-only"),
            ("memory-only = false", "--data-dir d", "--data-dir d"),
            ("max-item-size = '2m'\nfsync = 'always' # why", "-p 5", "-I 2m --fsync always -p 5"),
            ("delimiter = '-'", "", "-D -"),
        ] {
            let expected = config("", same).unwrap();
            assert_eq!(config(text, line), Ok(expected), "{text:?} and {line:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_a_hint() {
        for (text, hints) in [
            ("memory-limt = 5", &["f.toml line 1", "memory-limt", "do you mean memory-limit?"][..]),
            ("\n\nMemory_Limit = 5", &["line 3", "do you mean memory-limit?"]),
            ("port = 1\nm = 5", &["line 2", "`m`", "memory-limit"]),
            ("completely-else = 5", &["line 1", "larder -h"]),
            ("config = 'x'", &["line 1", "no flag `config`"]),
            ("[server]\nport = 1", &["line 1", "no flag `server`"]),
            ("memory-only = 1", &["line 1", "true or false"]),
            ("verbose = 4", &["0 to 3"]),
            ("verbose = true", &["verbose = 1"]),
            ("port = true", &["line 1", "a text or a number"]),
            ("port = [1]", &["line 1", "a text or a number"]),
            ("listen = [[]]", &["a list of texts"]),
            ("port = 1\nport = 2", &["line 2"]),
            ("port = 1\nport", &["line 2", "write TOML"]),
            ("port = 99999", &["-p 99999", "65535"]),
        ] {
            let refusal = config(text, "").unwrap_err();
            assert!(hints.iter().all(|hint| refusal.contains(hint)), "{text:?}: {refusal}");
            assert_eq!(refusal.lines().count(), 1, "{text:?}: {refusal}");
        }
        let long = format!("#{}", "x".repeat(CONFIG_BYTES_MAX));
        assert!(config(&long, "").unwrap_err().contains("longer"));
    }

    #[test]
    fn every_flag_can_be_written_and_the_example_has_all_that_do_something() {
        let command = Flags::command();
        let written =
            |line: &str| line.trim_start_matches('#').split_once(" = ").map(|(name, _)| name.to_owned());
        let names: Vec<String> =
            EXAMPLE.lines().filter(|line| !line.starts_with("# ")).filter_map(written).collect();
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let long = arg.get_long().expect("a long name");
            if NOT_IN_FILE.contains(&long) {
                continue;
            }
            assert!(known(&command, long).is_some(), "{long}");
            let has_effect = !arg.get_help().unwrap().to_string().contains("no effect");
            assert_eq!(names.iter().any(|name| name == long), has_effect, "{long} in the example");
        }
        assert!(matches!(config(EXAMPLE, "").unwrap().keep, Keep::Data(_)));
        for line in EXAMPLE.lines().filter(|line| written(line).is_some() && !line.starts_with("# ")) {
            match config(line.trim_start_matches('#'), "") {
                Ok(_) => {}
                // Some ask for another flag beside them.
                Err(refusal) => {
                    let asks_for_more = ["--admin-", "--cluster", "--server-id", "--peer-secret"]
                        .map(|flag| refusal.starts_with(flag));
                    assert!(asks_for_more.contains(&true), "{line}: {refusal}");
                }
            }
        }
    }

    #[test]
    fn the_page_shows_what_is_understood() {
        let page = include_str!("../../docs/configuration.md");
        let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        assert!(config(example, "").is_ok());
    }
}
