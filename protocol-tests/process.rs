//! A real larder process on a free loopback port, to be killed, stopped and started again.
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::wait;

/// Longest time from starting the process to its port file.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// Longest time from asking it to stop to its end.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// One larder process. Killed when dropped.
pub(crate) struct Larder {
    child: Child,
    address: SocketAddr,
}

impl Larder {
    /// Starts the binary under test over `data_dir`.
    pub(crate) fn start(data_dir: &Path, options: &[&str]) -> Result<Larder, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let port_file = folder.path().join("port");
        let log_file = folder.path().join("log");
        let log = std::fs::File::create(&log_file).map_err(|error| error.to_string())?;
        let mut child = Command::new(binary())
            .args(["-p", "-1", "-U", "0", "--data-dir"])
            .arg(data_dir)
            .args(options)
            .env("MEMCACHED_PORT_FILENAME", &port_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{}: {error}", binary().display()))?;
        let port = wait::until(START_PATIENCE, || read_port(&port_file).or(stopped(&mut child)));
        match port.flatten() {
            Some(port) => Ok(Larder { child, address: SocketAddr::from(([127, 0, 0, 1], port)) }),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                let said = std::fs::read_to_string(&log_file).unwrap_or_default();
                Err(format!("larder {options:?} did not open a port; it said:\n{said}"))
            }
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a power cut of the process would: signal 9.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end with this signal, and waits.
    pub(crate) fn signal(mut self, signal: nix::sys::signal::Signal) -> Option<ExitStatus> {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, signal).ok()?;
        wait::until(STOP_PATIENCE, || self.child.try_wait().ok().flatten())
    }
}

impl Drop for Larder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the binary under test to its end: its exit code and what it said.
pub(crate) fn run_to_end(options: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(binary())
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let status = wait::until(STOP_PATIENCE, || child.try_wait().ok().flatten());
    if status.is_none() {
        let _ = child.kill();
    }
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (status.and_then(|status| status.code()), said)
}

fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_larder"))
}

/// `Some(None)` ends the wait: a process that is gone writes no port file any more.
fn stopped(child: &mut Child) -> Option<Option<u16>> {
    matches!(child.try_wait(), Ok(Some(_))).then_some(None)
}

fn read_port(file: &Path) -> Option<Option<u16>> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("TCP INET: "))?;
    Some(line.trim().parse().ok())
}
