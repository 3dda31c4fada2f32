//! `larder completions` and `larder man`: the command lines of all commands, for shells and for readers.

use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::cluster::write_new;
use super::{Line, Stop, Verdict, console, place};
use crate::base::fault::{Fault, FaultKind};
use crate::config::Flags;

/// Print the completions of a shell
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder completions bash > ~/.local/share/bash-completion/completions/larder\n",
    "  larder completions fish > ~/.config/fish/completions/larder.fish\n",
    "  larder completions zsh > ~/.zfunc/_larder      # a directory of $fpath\n\n",
    "Exit codes: 0 done, 2 usage, 3 fault."
))]
pub(super) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Print the manual page, or write those of all commands
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder man | man -l -\n",
    "  larder man ~/.local/share/man/man1\n\n",
    "With DIR there is a page for each command: larder.1, larder-get.1 and so on; nothing is written over.\n",
    "Exit codes: 0 done, 2 usage, 3 fault."
))]
pub(super) struct Manual {
    /// Where pages go; it is made if it is not there
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn complete(options: &Completions) -> Result<Verdict, Stop> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut whole(), "larder", &mut script);
    print(&script)
}

pub(super) fn describe(options: &Manual) -> Result<Verdict, Stop> {
    match &options.dir {
        None => print(&page(&whole())?),
        Some(dir) => {
            place::make(dir)?;
            let mut command = whole();
            // Gives commands below commands their whole names.
            command.build();
            write_pages(dir, "larder", &command)?;
            Ok(Verdict::Done)
        }
    }
}

/// All commands, `serve` among them, as one.
fn whole() -> Command {
    let serve = Flags::command()
        .name("serve")
        .display_name("larder-serve")
        .about("Serve: what larder does when no command is named")
        .disable_version_flag(true)
        .after_help(crate::config::SERVE_EXAMPLES);
    Line::command().subcommand(serve).disable_help_subcommand(true)
}

/// The page of a command, and those of the commands below it.
fn write_pages(dir: &Path, name: &str, command: &Command) -> Result<(), Fault> {
    let named = command.clone().display_name(name.to_owned());
    let text = page(&named)?;
    write_new(&dir.join(format!("{name}.1")), &String::from_utf8_lossy(&text))?;
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        write_pages(dir, &format!("{name}-{}", below.get_name()), below)?;
    }
    Ok(())
}

fn page(command: &Command) -> Result<Vec<u8>, Fault> {
    let mut text = Vec::new();
    let man =
        Man::new(command.clone()).manual("Larder").source(concat!("larder ", env!("CARGO_PKG_VERSION")));
    man.render(&mut text)
        .map_err(|error| Fault::new(FaultKind::Io, format!("cannot write a page: {error}")))?;
    Ok(text)
}

fn print(text: &[u8]) -> Result<Verdict, Stop> {
    console::put(text);
    Ok(Verdict::Done)
}
