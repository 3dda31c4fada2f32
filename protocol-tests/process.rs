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
const PORT_FILE: &str = "port";
const LOG_FILE: &str = "log";

/// One larder process. Killed when dropped.
pub(crate) struct Larder {
    child: Child,
    ports: Vec<u16>,
    udp_ports: Vec<u16>,
    folder: tempfile::TempDir,
}

impl Larder {
    /// Starts the binary under test over `data_dir`, on a free port of the loopback address.
    pub(crate) fn start(data_dir: &Path, options: &[&str]) -> Result<Larder, String> {
        let data_dir = data_dir.to_str().ok_or("the data directory's name is not UTF-8")?;
        let words = ["-p", "-1", "-U", "0", "--data-dir", data_dir];
        Larder::launch(&[&words, options].concat())
    }

    /// Starts the binary under test with exactly these words behind its name.
    pub(crate) fn launch(options: &[&str]) -> Result<Larder, String> {
        Larder::spawn(options)?.serving()
    }

    /// Starts it and goes on: it does not serve yet.
    pub(crate) fn spawn(options: &[&str]) -> Result<Larder, String> {
        let mut command = Command::new(binary());
        command.args(options);
        Larder::run(command)
    }

    /// Runs this command, which starts a larder, and goes on: it does not serve yet.
    pub(crate) fn run(mut command: Command) -> Result<Larder, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let log = std::fs::File::create(folder.path().join(LOG_FILE)).map_err(|error| error.to_string())?;
        let child = command
            .env("MEMCACHED_PORT_FILENAME", folder.path().join(PORT_FILE))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        Ok(Larder { child, ports: Vec::new(), udp_ports: Vec::new(), folder })
    }

    /// Waits until requests are answered.
    pub(crate) fn serving(mut self) -> Result<Larder, String> {
        let port_file = self.folder.path().join(PORT_FILE);
        let ports = wait::until(START_PATIENCE, || read_ports(&port_file).or(stopped(&mut self.child)));
        match ports.flatten() {
            Some(ports) => (self.ports, self.udp_ports) = ports,
            None => return Err(format!("larder does not serve; it said:\n{}", self.said())),
        }
        Ok(self)
    }

    /// Where it listens: on the loopback address, at the first of its ports.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.first().copied().unwrap_or(0)))
    }

    /// Its TCP ports in the order of its addresses.
    pub(crate) fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Where datagrams reach it: on the loopback address, at the first of its UDP ports.
    pub(crate) fn udp_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], *self.udp_ports.first().expect("it was started with -U")))
    }

    /// Its UDP ports in the order of its addresses.
    pub(crate) fn udp_ports(&self) -> &[u16] {
        &self.udp_ports
    }

    /// What its log says so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join(LOG_FILE)).unwrap_or_default()
    }

    /// Its memory, bytes: `VmRSS` for now, `VmHWM` for the most that it ever was.
    pub(crate) fn memory_bytes(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kilobytes = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kilobytes.unwrap_or_else(|| panic!("{field} of process {} in {status:?}", self.pid())) * 1024
    }

    /// Sends it this signal and goes on.
    pub(crate) fn tell(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Waits for its end, which something else has caused.
    pub(crate) fn end(mut self) -> Option<ExitStatus> {
        wait::until(STOP_PATIENCE, || self.child.try_wait().ok().flatten())
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
    pub(crate) fn signal(self, signal: nix::sys::signal::Signal) -> Option<ExitStatus> {
        self.tell(signal);
        self.end()
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

/// The binary under test: cargo's, or the one that `LARDER_BINARY` names, for figures of a release build.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("LARDER_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_larder").into()).into()
}

/// TCP ports and UDP ports.
type Ports = (Vec<u16>, Vec<u16>);

/// `Some(None)` ends the wait: a process that is gone writes no port file any more.
fn stopped(child: &mut Child) -> Option<Option<Ports>> {
    matches!(child.try_wait(), Ok(Some(_))).then_some(None)
}

/// The file appears whole, when requests are answered; without TCP and UDP it is empty.
fn read_ports(file: &Path) -> Option<Option<Ports>> {
    let text = std::fs::read_to_string(file).ok()?;
    let of = |protocol: &str| {
        let port = |line: &str| line.rsplit(' ').next()?.parse().ok();
        text.lines().filter(|line| line.starts_with(protocol)).map(port).collect::<Option<Vec<u16>>>()
    };
    Some(of("TCP").zip(of("UDP")))
}
