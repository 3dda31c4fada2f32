//! The process: its user, its files, its place behind the terminal.

use std::process::{Command, Stdio};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, User};

use crate::base::fault::{Fault, FaultKind};
use crate::config::Config;

/// Set in the environment of the process behind the terminal.
const DETACHED: &str = "LARDER_DETACHED";
/// File descriptors beside those of clients: log, stores, pollers.
const OWN_FILES: u64 = 512;

/// Whether this is the process behind the terminal already.
pub fn is_detached() -> bool {
    std::env::var_os(DETACHED).is_some()
}

/// Starts this program anew behind the terminal (`-d`), with the same arguments.
pub fn detach() -> Result<(), Fault> {
    let start = || {
        Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .env(DETACHED, "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    };
    start()
        .map(|_| ())
        .map_err(|error| Fault::new(FaultKind::Io, format!("cannot go behind the terminal: {error}")))
}

/// Raises the limit of open files to what `-c` needs, and becomes the user of `-u`.
pub fn prepare(config: &Config) -> Result<(), Fault> {
    if is_detached() {
        leave_terminal()?;
    }
    raise_file_limit(config.network.connections_max as u64 + OWN_FILES);
    match &config.process.user {
        Some(name) if Uid::effective().is_root() => become_user(name),
        None if Uid::effective().is_root() => {
            log::warn!("running as root; -u NAME runs as another user");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A session without a terminal, in a directory that nobody wants to unmount. All paths are absolute by now.
fn leave_terminal() -> Result<(), Fault> {
    nix::unistd::setsid()
        .and_then(|_| nix::unistd::chdir("/"))
        .map_err(|error| Fault::new(FaultKind::Io, format!("cannot go behind the terminal: {error}")))
}

fn raise_file_limit(wanted: u64) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft >= wanted {
        return;
    }
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).is_err() {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        log::warn!("only {hard} files may be open, -c wants {wanted}; raise the limit or lower -c");
    }
}

fn become_user(name: &str) -> Result<(), Fault> {
    let refusal = |why: String| Fault::new(FaultKind::Unusable, format!("-u {name}: {why}"));
    let user = User::from_name(name).map_err(|error| refusal(error.to_string()))?;
    let user = user.ok_or_else(|| refusal("there is no such user; name one that exists".into()))?;
    let switch = |uid: Uid, gid: Gid| -> nix::Result<()> {
        nix::unistd::setgroups(&[gid])?;
        nix::unistd::setgid(gid)?;
        nix::unistd::setuid(uid)
    };
    if user.uid.is_root() {
        return Ok(());
    }
    switch(user.uid, user.gid).map_err(|error| refusal(format!("cannot become this user: {error}")))
}

/// Writes the process id to the file of `-P`.
pub fn write_pid(config: &Config) -> Result<(), Fault> {
    let Some(path) = &config.process.pid_file else { return Ok(()) };
    std::fs::write(path, format!("{}\n", std::process::id()))
        .map_err(|error| Fault::io("cannot write the process id", path, &error))
}

/// Removes that file.
pub fn remove_pid(config: &Config) {
    if let Some(path) = &config.process.pid_file {
        let _ = std::fs::remove_file(path);
    }
}
