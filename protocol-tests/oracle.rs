//! A real memcached, started for one transcript and gone with it: the judge of what the transcripts claim.
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::wait;

/// Longest time from starting the process to its port file.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// One memcached process on a free loopback port.
pub(crate) struct Oracle {
    child: Child,
    address: SocketAddr,
    udp_port: Option<u16>,
    _folder: tempfile::TempDir,
}

impl Oracle {
    /// Starts `program` on a port of the kernel's choosing, which memcached tells in its port file.
    pub(crate) fn start(program: &Path, options: &[String]) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let port_file = folder.path().join("port");
        let mut child = Command::new(program)
            .args(["-u", "root", "-l", "127.0.0.1", "-p", "-1", "-U", "0"])
            .args(options)
            .env("MEMCACHED_PORT_FILENAME", &port_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let port = wait::until(START_PATIENCE, || read_ports(&port_file).or(stopped(&mut child)));
        match port.flatten() {
            Some((port, udp_port)) => {
                let address = SocketAddr::from(([127, 0, 0, 1], port));
                Ok(Self { child, address, udp_port, _folder: folder })
            }
            None => {
                let _ = child.kill();
                let _ = child.wait();
                Err(format!("{} {options:?} did not open a port", program.display()))
            }
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where datagrams reach it, if it was told to take them.
    pub(crate) fn udp_address(&self) -> Option<SocketAddr> {
        self.udp_port.map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The TCP port, and the UDP port if there is one.
type Ports = (u16, Option<u16>);

/// `Some(None)` ends the wait: a process that is gone writes no port file any more.
fn stopped(child: &mut Child) -> Option<Option<Ports>> {
    matches!(child.try_wait(), Ok(Some(_))).then_some(None)
}

fn read_ports(file: &Path) -> Option<Option<Ports>> {
    let text = std::fs::read_to_string(file).ok()?;
    let port = |family: &str| text.lines().find_map(|line| line.strip_prefix(family)?.trim().parse().ok());
    port("TCP INET: ").map(|tcp| Some((tcp, port("UDP INET: "))))
}
