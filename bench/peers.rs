//! The servers that are compared: where their programs are, how they are started on a free loopback port with a
//! fresh directory, what they use of the machine, and how they are stopped, by their process id.

use crate::dialect::{Check, Dialect};
use crate::load::Target;
use crate::wire::Identity;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::time::ClockId;
use nix::unistd::{Pid, Uid};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take until it listens, and until it has gone after TERM.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at something that a server is about to do.
const GLANCE: Duration = Duration::from_millis(5);
/// A window in which a server at rest uses less CPU time than [`REST_CPU`].
const REST_WINDOW: Duration = Duration::from_millis(100);
const REST_CPU: Duration = Duration::from_millis(2);
/// So many of them in a row are rest: in one it may only have waited for the disk.
const REST_WINDOWS: u32 = 3;
/// Where a server that chooses its port tells it.
const PORT_FILE: &str = "port";
/// The end of a server's words that is shown when it fails.
const LAST_WORDS_BYTES: usize = 400;

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// The one of this package.
    Larder,
    /// Debian's.
    Memcached,
    /// Debian's redis-server.
    Redis,
    /// Pogocache, where it is installed.
    Pogocache,
    /// The example program `floor`.
    Floor,
}

impl Server {
    /// The name of its program.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Larder => "larder",
            Self::Memcached => "memcached",
            Self::Redis => "redis-server",
            Self::Pogocache => "pogocache",
            Self::Floor => "floor",
        }
    }

    /// The protocol to speak to it.
    pub(crate) fn dialect(self) -> Dialect {
        if self == Self::Redis { Dialect::Redis } else { Dialect::Memcached }
    }

    /// What can be asked of its replies.
    pub(crate) fn check(self) -> Check {
        if self.stores() { Check::Content } else { Check::Form }
    }

    /// Whether it takes part only where it happens to be installed.
    pub(crate) fn is_optional(self) -> bool {
        self == Self::Pogocache
    }

    /// Whether it must be told its port.
    fn wants_port(self) -> bool {
        matches!(self, Self::Redis | Self::Pogocache)
    }

    /// Whether it keeps anything at all.
    pub(crate) fn stores(self) -> bool {
        self != Self::Floor
    }
}

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Programs {
    /// The larder to measure.
    pub(crate) larder: PathBuf,
    /// The floor server; missing when it is not built.
    pub(crate) floor: PathBuf,
}

impl Programs {
    /// The program of a server, or why it cannot take part.
    pub(crate) fn find(&self, server: Server) -> Result<PathBuf, String> {
        let (path, remedy) = match server {
            Server::Larder => (Some(self.larder.clone()), "cargo build --release"),
            Server::Floor => (Some(self.floor.clone()), "cargo build --release --example floor"),
            Server::Memcached => (on_path("memcached"), "apt-get install memcached"),
            Server::Redis => (on_path("redis-server"), "apt-get install redis-server"),
            Server::Pogocache => (on_path("pogocache"), "it is not packaged"),
        };
        path.filter(|path| path.is_file()).ok_or_else(|| format!("{} not found ({remedy})", server.name()))
    }

    /// What a server says of its version, in one line.
    pub(crate) fn version(&self, server: Server) -> Result<String, String> {
        if server == Server::Floor {
            return Ok("of the same commit".to_owned());
        }
        let option = if server.wants_port() { "--version" } else { "-V" };
        let output = Command::new(self.find(server)?).arg(option).output();
        let output = output.map_err(|error| format!("{} {option}: {error}", server.name()))?;
        let first = String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned);
        first.ok_or_else(|| format!("{} {option} says nothing", server.name()))
    }
}

/// Why this program cannot speak TLS, if it cannot.
pub(crate) fn lacks_tls(program: &Path) -> Option<String> {
    // It ends at once either way: the file named is not there.
    let mut command = Command::new(program);
    command.args(["-Z", "-o", "ssl_chain_cert=none,ssl_key=none"]);
    let output = command.current_dir(std::env::temp_dir()).output().ok()?;
    let words = [output.stderr, output.stdout].concat();
    let words = String::from_utf8_lossy(&words).into_owned();
    let says_so = ["no TLS", "without TLS", "not built with TLS"].iter().any(|text| words.contains(text));
    says_so.then(|| format!("{} has no TLS", program.display()))
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Which core the generator has for itself and which are the servers'. With one core, or where the system does not
/// allow it, nothing is bound.
#[derive(Clone, Debug)]
pub(crate) struct Cores {
    all: Vec<usize>,
    servers: Vec<usize>,
    /// None when nothing is bound.
    generator: Option<usize>,
}

impl Cores {
    /// Binds this thread, the generator, to the last core that this process may use.
    pub(crate) fn divide(bind: bool) -> Self {
        let all = allowed_cores();
        let mut servers = all.clone();
        let generator = if bind && all.len() > 1 { servers.pop() } else { None };
        let generator = generator.filter(|core| bind_to(&[*core]).is_ok());
        Self { servers: if generator.is_some() { servers } else { all.clone() }, all, generator }
    }

    /// The same cores, but generator and servers share all of them.
    pub(crate) fn shared(&self) -> Self {
        Self { servers: self.all.clone(), all: self.all.clone(), generator: None }
    }

    /// Binds this thread, the generator, as this division says.
    pub(crate) fn take_place(&self) {
        let place = self.generator.map_or(self.all.clone(), |core| vec![core]);
        if let Err(error) = bind_to(&place) {
            eprintln!("the generator could not be bound to {place:?}: {error}");
        }
    }

    /// Runs `start` on the servers' cores, so that what it starts, with all threads that follow, stays there.
    fn among_servers<T>(&self, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let Some(generator) = self.generator else { return start() };
        bind_to(&self.servers)?;
        let started = start();
        bind_to(&[generator])?;
        started
    }

    /// One line for the report.
    pub(crate) fn describe(&self) -> String {
        match self.generator {
            Some(core) => format!("server on {:?}, generator on {core}", self.servers),
            None => format!("server and generator share {:?}", self.all),
        }
    }
}

fn allowed_cores() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect()
}

fn bind_to(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core)?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// What to start, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) server: Server,
    pub(crate) program: &'a Path,
    /// Its flags, but for port and directory.
    pub(crate) flags: &'a [&'a str],
    /// Whether it speaks TLS: certificate and key are `cert.pem` and `key.pem` of the directory that it runs in.
    pub(crate) is_tls: bool,
    /// Where the directory is made.
    pub(crate) data_root: &'a Path,
    pub(crate) cores: &'a Cores,
}

/// A server that was started; stopped when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    identity: Option<Identity>,
    /// Another server that works for this one: what it uses counts too.
    pub(crate) company: Option<Box<Running>>,
    // Removed after the process has gone: `stop` runs before the fields are dropped.
    directory: TempDir,
}

/// Starts a server in a fresh directory, and waits until it listens.
pub(crate) fn start(launch: &Launch<'_>) -> io::Result<Running> {
    let directory = tempfile::Builder::new().prefix("larder-bench-").tempdir_in(launch.data_root)?;
    let identity = if launch.is_tls { Some(Identity::make()?) } else { None };
    if let Some(identity) = &identity {
        fs::write(directory.path().join("cert.pem"), &identity.certificate_pem)?;
        fs::write(directory.path().join("key.pem"), &identity.key_pem)?;
    }
    let port = if launch.server.wants_port() { Some(free_port()?) } else { None };
    let child = spawn(launch, directory.path(), port)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(0)));
    let port_file = directory.path().join(PORT_FILE);
    let mut running = Running { child, address, identity, company: None, directory };
    running.wait_until_it_listens(port.is_none().then_some(&port_file))?;
    Ok(running)
}

/// Starts the process over what lies in `directory`.
fn spawn(launch: &Launch<'_>, directory: &Path, port: Option<u16>) -> io::Result<Child> {
    let mut command = Command::new(launch.program);
    command
        .args(launch.flags)
        .args(place(launch, directory, port))
        .env("MEMCACHED_PORT_FILENAME", directory.join(PORT_FILE));
    let words = File::create(directory.join("words"))?;
    command.current_dir(directory).stdin(Stdio::null()).stdout(words.try_clone()?).stderr(words);
    launch.cores.among_servers(|| command.spawn())
}

/// The arguments that say where to listen and where to keep things.
fn place(launch: &Launch<'_>, directory: &Path, port: Option<u16>) -> Vec<OsString> {
    let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
    match launch.server {
        Server::Larder if launch.flags.contains(&"--memory-only") => words("-l 127.0.0.1 -p -1"),
        Server::Larder => {
            let mut arguments = words("-l 127.0.0.1 -p -1 --data-dir");
            arguments.push(directory.join("data").into());
            arguments
        }
        Server::Memcached if Uid::effective().is_root() => words("-l 127.0.0.1 -p -1 -U 0 -u root"),
        Server::Memcached => words("-l 127.0.0.1 -p -1 -U 0"),
        Server::Redis => words(&format!("--bind 127.0.0.1 --port {}", port.unwrap_or(0))),
        Server::Pogocache => words(&format!("-h 127.0.0.1 -p {}", port.unwrap_or(0))),
        Server::Floor => Vec::new(),
    }
}

/// For a server that cannot choose one itself. Another process may take it first; then the start fails and says so.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl Running {
    fn wait_until_it_listens(&mut self, port_file: Option<&PathBuf>) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!(
                    "ended before it listened ({status}): {}",
                    self.last_words()
                )));
            }
            if let Some(port) = port_file.and_then(|file| port_in(&fs::read_to_string(file).ok()?)) {
                self.address.set_port(port);
            }
            if self.address.port() != 0 && TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("does not listen: {}", self.last_words())));
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// The end of what the server wrote to its standard output and error.
    fn last_words(&self) -> String {
        let words = fs::read(self.directory.path().join("words")).unwrap_or_default();
        let tail = &words[words.len().saturating_sub(LAST_WORDS_BYTES)..];
        String::from_utf8_lossy(tail).trim().replace('\n', " | ")
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// How the generator reaches it.
    pub(crate) fn target(&self, dialect: Dialect, check: Check) -> Target {
        let trust = self.identity.as_ref().map(|identity| identity.trust.clone());
        Target { address: self.address, dialect, check, trust }
    }

    /// What the server has used since its start, with its company.
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let own = usage_of(self.pid())?;
        self.company.as_ref().map_or(Ok(own), |company| Ok(own.and(company.usage()?)))
    }

    /// Stops it; the CPU time that it has used in its whole life.
    pub(crate) fn stop_and_count(mut self) -> io::Result<Duration> {
        // Nobody else waits for children meanwhile.
        let before = cpu_of_ended_children()?;
        self.stop()?;
        Ok(cpu_of_ended_children()?.saturating_sub(before))
    }

    /// Waits until the server does nothing more of its own accord (a checkpoint, say), but no longer than `at_most`.
    pub(crate) fn wait_for_rest(&self, at_most: Duration) -> io::Result<()> {
        let deadline = Instant::now() + at_most;
        let mut before = self.usage()?.cpu;
        let mut quiet = 0;
        while quiet < REST_WINDOWS && Instant::now() < deadline {
            std::thread::sleep(REST_WINDOW);
            let after = self.usage()?.cpu;
            quiet = if after.saturating_sub(before) < REST_CPU { quiet + 1 } else { 0 };
            before = after;
        }
        Ok(())
    }

    /// Ends the process, by KILL or by TERM, and keeps its directory.
    pub(crate) fn end(&mut self, is_killed: bool) -> io::Result<()> {
        if is_killed {
            self.child.kill()?;
            self.child.wait()?;
            return Ok(());
        }
        self.stop()
    }

    /// Starts it again over its directory, once it has ended, and waits until it listens.
    pub(crate) fn start_again(&mut self, launch: &Launch<'_>) -> io::Result<()> {
        let port_file = self.directory.path().join(PORT_FILE);
        let port = launch.server.wants_port().then_some(self.address.port());
        if port.is_none() {
            // Memcached leaves it behind.
            let _ = fs::remove_file(&port_file);
            self.address.set_port(0);
        }
        self.child = spawn(launch, self.directory.path(), port)?;
        self.wait_until_it_listens(port.is_none().then_some(&port_file))
    }

    /// What its directory takes of the disk, bytes.
    pub(crate) fn disk_bytes(&self) -> io::Result<u64> {
        allocated(self.directory.path())
    }

    /// Asks the server to end, and makes it end when it does not.
    fn stop(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        if self.child.try_wait()?.is_none() {
            kill(self.pid(), Signal::SIGTERM)?;
        }
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.child.kill()?;
            }
            std::thread::sleep(GLANCE);
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("process {} could not be stopped: {error}", self.child.id());
        }
    }
}

fn allocated(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let facts = entry.metadata()?;
        bytes += if facts.is_dir() { allocated(&entry.path())? } else { facts.blocks() * 512 };
    }
    Ok(bytes)
}

/// The port in a file of lines like `TCP INET: 11211`.
fn port_in(text: &str) -> Option<u16> {
    text.lines().find_map(|line| line.strip_prefix("TCP INET: ")?.trim().parse().ok())
}

/// What a process has used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// CPU time of all its threads, also of those that have ended, user and system.
    pub(crate) cpu: Duration,
    /// The part of it in user mode, in clock ticks: coarse, good for shares only.
    user_ticks: u64,
    /// The part of it in the kernel, in clock ticks.
    system_ticks: u64,
    /// Memory it has in RAM.
    pub(crate) resident_bytes: u64,
}

impl Usage {
    /// The part in user mode of what was used since, 0 to 1.
    pub(crate) fn user_share_since(&self, before: &Self) -> f64 {
        let user = self.user_ticks.saturating_sub(before.user_ticks) as f64;
        let system = self.system_ticks.saturating_sub(before.system_ticks) as f64;
        user / (user + system).max(1.0)
    }

    /// Both together.
    fn and(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            user_ticks: self.user_ticks + other.user_ticks,
            system_ticks: self.system_ticks + other.system_ticks,
            resident_bytes: self.resident_bytes + other.resident_bytes,
        }
    }
}

fn cpu_of_ended_children() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let whole = |time: TimeVal| Duration::from_micros(time.num_microseconds().unsigned_abs());
    Ok(whole(usage.user_time()) + whole(usage.system_time()))
}

fn usage_of(pid: Pid) -> io::Result<Usage> {
    // The process's own CPU clock counts in nanoseconds, where /proc/PID/stat counts in ticks of 10 ms.
    let cpu = Duration::from(ClockId::pid_cpu_clock_id(pid)?.now()?);
    let (user_ticks, system_ticks) =
        ticks_in(&fs::read_to_string(format!("/proc/{pid}/stat"))?).unwrap_or_default();
    let resident_kb = field_in(&fs::read_to_string(format!("/proc/{pid}/status"))?, "VmRSS:").unwrap_or(0);
    Ok(Usage { cpu, user_ticks, system_ticks, resident_bytes: resident_kb * 1024 })
}

/// Fields 14 and 15 of /proc/PID/stat; field 2, in parentheses, may hold anything.
fn ticks_in(stat: &str) -> Option<(u64, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn field_in(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().next()?.parse().ok())
}

/// Checks what is read out of the system's files; answers what is wrong.
pub(crate) fn check() -> Vec<String> {
    let stat = "7 (a) b) S 1 7 7 0 -1 4194560 10 0 0 0 31 42 0 0 20 0 1 0 5 6 7";
    let status = "Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t9\n";
    let cases = [
        (ticks_in(stat) == Some((31, 42)), "the ticks of /proc/PID/stat"),
        (ticks_in("7 (x) S 1").is_none(), "a short /proc/PID/stat"),
        (field_in(status, "VmRSS:") == Some(1_234), "VmRSS"),
        (port_in("TCP INET: 4711\nUDP INET: 4711\n") == Some(4_711), "the port file"),
        (port_in("TCP INET: ").is_none(), "a port file half written"),
    ];
    cases.iter().filter(|(right, _)| !right).map(|(_, what)| format!("peers: misread: {what}")).collect()
}
