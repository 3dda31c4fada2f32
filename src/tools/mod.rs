//! The commands of `larder` beside `serve`: one file each.
//!
//! Owns: reading their command lines, what they print, their exit codes; the client side of backup and dump; completions
//! and manual pages, which are made of the command lines.
//!
//! May import: everything below. Not `server`: a tool starts none.
//!
//! Invariants: results go to standard output, progress and complaints to standard error, a complaint is one line that
//! says what to do; nothing that exists is overwritten; a command that changes a data directory holds its lock.
//!
//! A command is added by a file with its `Args` (clap) and `run`, a line in [`Command`] and in `perform`, and a line in
//! the help of `serve` (`config/flags.rs`).
//!
//! Start reading at [`run`].

mod asking;
mod backup;
mod bench;
mod cat;
mod check;
mod cluster;
mod console;
mod delete;
mod dump;
mod frames;
mod get;
mod group;
mod incr;
mod load;
mod locate;
mod ls;
mod moment;
mod pages;
mod place;
mod restore;
mod rule;
mod screen;
mod server_link;
mod set;
mod shelves;
mod stats;
mod text;
mod tls;
mod top;
mod touch;
mod verify;
mod watch;

use std::ffi::{OsStr, OsString};

use clap::{CommandFactory, Parser, Subcommand};

use crate::base::fault::Fault;

/// Why a command did not do what was asked.
#[derive(Debug)]
enum Stop {
    /// The command line is wrong: what to write.
    Usage(String),
    /// A fault.
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

/// How a command ended, other than by a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It did what was asked.
    Done,
    /// What was asked for is not there, or is not so.
    Miss,
    /// It has found something wrong, and said so.
    Refused,
}

/// Exit codes of all commands: done.
const DONE: u8 = 0;
/// A miss or a negative answer.
const MISS: u8 = 1;
/// The command line cannot be understood.
const USAGE: u8 = 2;
/// Refused, or a fault.
const FAULT: u8 = 3;

/// What every command says at the end of its help.
const EXIT_CODES: &str = "Exit codes: 0 done, 1 miss or negative answer, 2 usage, 3 refused or fault.";

#[derive(Debug, Parser)]
#[command(name = "larder", disable_version_flag = true, about = "A memcached that remembers: its tools.")]
#[command(after_help = EXIT_CODES, subcommand_required = true)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Get(get::Options),
    Set(set::Options),
    Touch(touch::Options),
    Delete(delete::Options),
    Incr(incr::Options),
    Cat(cat::Options),
    Ls(ls::Options),
    Stats(stats::Options),
    Top(top::Options),
    Watch(watch::Options),
    Where(locate::Options),
    Cluster(cluster::Options),
    Group(group::Options),
    Check(check::Options),
    Backup(backup::Options),
    Restore(restore::Options),
    Dump(dump::Options),
    Load(load::Options),
    Bench(bench::Options),
    Completions(pages::Completions),
    Man(pages::Manual),
}

/// Whether this first word is a command of the tools.
pub fn has(word: &OsStr) -> bool {
    let line = Line::command();
    word == "help" || line.get_subcommands().any(|command| word == command.get_name())
}

/// Runs the command that `words`, those behind the program's name, ask for; its exit code.
pub fn run(words: impl Iterator<Item = OsString>) -> u8 {
    run_steps(words, None)
}

/// As [`run`]; but `larder group` ends behind so many of its steps, as if it had crashed there: for tests.
pub fn run_steps(words: impl Iterator<Item = OsString>, steps: Option<usize>) -> u8 {
    let line = match Line::try_parse_from(std::iter::once(OsString::from("larder")).chain(words)) {
        Ok(line) => line,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { USAGE } else { DONE };
        }
    };
    let performed = perform(line.command, group::Steps(steps));
    match performed.and_then(|verdict| Ok(console::end().map(|()| verdict)?)) {
        Ok(Verdict::Done) => DONE,
        Ok(Verdict::Miss) => MISS,
        Ok(Verdict::Refused) => FAULT,
        Err(Stop::Fault(fault)) => {
            console::note(&format!("larder: {fault}"));
            FAULT
        }
        Err(Stop::Usage(text)) => {
            console::note(&format!("larder: {text}; `larder COMMAND --help` shows what can be written"));
            USAGE
        }
    }
}

fn perform(command: Command, steps: group::Steps) -> Result<Verdict, Stop> {
    match command {
        Command::Get(options) => get::run(&options),
        Command::Set(options) => set::run(&options),
        Command::Touch(options) => touch::run(&options),
        Command::Delete(options) => delete::run(&options),
        Command::Incr(options) => incr::run(&options),
        Command::Cat(options) => cat::run(&options),
        Command::Ls(options) => ls::run(&options),
        Command::Stats(options) => stats::run(&options),
        Command::Top(options) => top::run(&options),
        Command::Watch(options) => watch::run(&options),
        Command::Where(options) => locate::run(&options),
        Command::Cluster(options) => cluster::run(&options),
        Command::Group(options) => group::run(&options, steps),
        Command::Check(options) => check::run(&options),
        Command::Backup(options) => backup::run(&options),
        Command::Restore(options) => restore::run(&options),
        Command::Dump(options) => dump::run(&options),
        Command::Load(options) => load::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Completions(options) => pages::complete(&options),
        Command::Man(options) => pages::describe(&options),
    }
}
