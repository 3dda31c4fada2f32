//! How long a server takes until it answers again, and what its data costs: after a kill and after a clean stop, beside
//! others. One table, for `docs/durability.md`.

use crate::compare::MEASURED_SEED;
use crate::dialect::{Reader, Step};
use crate::load::{Limit, Load, Target};
use crate::peers::{self, Cores, Launch, Programs, Running, Server};
use crate::rows::STANDARD;
use crate::workload::{Distribution, ItemShape, Workload};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a server may still work on what it was given before it is killed.
const REST_AT_MOST: Duration = Duration::from_secs(60);
/// How long a start may take.
const START_AT_MOST: Duration = Duration::from_secs(300);
/// Keys asked for after a start, each of which must be there.
const ASKED: u64 = 100;

/// What takes part.
struct Entrant {
    label: &'static str,
    server: Server,
    flags: &'static [&'static str],
    /// Whether its items outlive it.
    keeps: bool,
}

const ENTRANTS: &[Entrant] = &[
    Entrant {
        label: "larder, everysec",
        server: Server::Larder,
        flags: &["-m", "4096", "--fsync", "everysec"],
        keeps: true,
    },
    Entrant {
        label: "redis, AOF everysec",
        server: Server::Redis,
        flags: &["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"],
        keeps: true,
    },
    Entrant { label: "memcached", server: Server::Memcached, flags: &["-m", "4096"], keeps: false },
];

/// How the table is made.
#[derive(Debug)]
pub(crate) struct Starts {
    pub(crate) programs: Programs,
    pub(crate) cores: Cores,
    /// Where the servers' directories are made.
    pub(crate) data_root: PathBuf,
    pub(crate) items: Vec<u64>,
    pub(crate) value_bytes: usize,
}

impl Starts {
    /// Prints the table, row after row.
    pub(crate) fn run(&self) -> io::Result<()> {
        println!("| server | items | payload | start after kill -9 | after a clean stop | RSS | disk |");
        println!("|---|---|---|---|---|---|---|");
        for items in &self.items {
            for entrant in ENTRANTS {
                match self.row(entrant, *items) {
                    Ok(row) => println!("{row}"),
                    Err(error) => eprintln!("{} is left out: {error}", entrant.label),
                }
            }
        }
        Ok(())
    }

    fn row(&self, entrant: &Entrant, items: u64) -> io::Result<String> {
        let program = self.programs.find(entrant.server).map_err(io::Error::other)?;
        let workload = self.workload(items);
        eprintln!("{}: {items} items", entrant.label);
        let launch = Launch {
            server: entrant.server,
            program: &program,
            flags: entrant.flags,
            is_tls: false,
            data_root: &self.data_root,
            cores: &self.cores,
        };
        let mut running = peers::start(&launch)?;
        let mut load = Load::connect(&target(&running, entrant.server), workload.connections)?;
        let stored = load.run(&workload, Limit::Requests(items), MEASURED_SEED)?;
        if stored.errors > 0 {
            return Err(io::Error::other(stored.first_error.unwrap_or_default()));
        }
        drop(load);
        running.wait_for_rest(REST_AT_MOST)?;
        let (resident, disk) = (running.usage()?.resident_bytes, running.disk_bytes()?);
        let cell = |took: Option<Duration>| {
            took.map_or("nothing is there".to_owned(), |took| format!("{:.3} s", took.as_secs_f64()))
        };
        let mut cells = Vec::new();
        for is_killed in [true, false] {
            let took = restart(&mut running, entrant, &launch, is_killed, &workload)?;
            cells.push(cell(took));
            running.wait_for_rest(REST_AT_MOST)?;
        }
        let payload = items * (workload.item.key_bytes + workload.item.value_bytes) as u64;
        Ok(format!(
            "| {} | {items} | {} MB | {} | {} | {} MB | {} MB |",
            entrant.label,
            payload >> 20,
            cells[0],
            cells[1],
            resident >> 20,
            disk >> 20,
        ))
    }

    /// Every key once, in order.
    fn workload(&self, items: u64) -> Workload {
        let item = ItemShape { value_bytes: self.value_bytes, ..STANDARD.item };
        Workload {
            set_share: 1.0,
            depth: 16,
            keys: items,
            distribution: Distribution::Sequential,
            item,
            ..STANDARD
        }
    }
}

fn target(running: &Running, server: Server) -> Target {
    running.target(server.dialect(), server.check())
}

/// Ends the server and starts it again: how long from its start to its first right answer; `None` when it has kept
/// nothing. Afterwards items from all over are asked for, and must be there.
fn restart(
    running: &mut Running,
    entrant: &Entrant,
    launch: &Launch<'_>,
    is_killed: bool,
    workload: &Workload,
) -> io::Result<Option<Duration>> {
    running.end(is_killed)?;
    let began = Instant::now();
    running.start_again(launch)?;
    if !entrant.keeps {
        return Ok(None);
    }
    // A server that still reads its data says so to whoever asks: it is asked until it answers.
    ask_until_right(running.address, entrant.server, &workload.item, workload.keys - 1)?;
    let first = began.elapsed();
    let reads = Workload { set_share: 0.0, distribution: Distribution::Uniform, ..*workload };
    let mut load = Load::connect(&target(running, entrant.server), 1)?;
    let tally = load.run(&one(&reads), Limit::Requests(ASKED), 1)?;
    match tally.errors + tally.misses {
        0 => Ok(Some(first)),
        wrong => Err(io::Error::other(format!("{wrong} of {ASKED} answers wrong after the start"))),
    }
}

/// Asks for one key until its value comes: a server that still reads its data says so, or has nothing yet.
fn ask_until_right(address: SocketAddr, server: Server, item: &ItemShape, key: u64) -> io::Result<()> {
    let deadline = Instant::now() + START_AT_MOST;
    let reader = Reader { dialect: server.dialect(), check: server.check(), item: *item };
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(START_AT_MOST))?;
    let mut request = Vec::new();
    server.dialect().put_get(item, std::iter::once(key), &mut request);
    loop {
        stream.write_all(&request)?;
        let mut reply = Vec::new();
        let is_right = loop {
            let mut piece = [0; 4096];
            let length = stream.read(&mut piece)?;
            reply.extend_from_slice(&piece[..length]);
            match reader.values(std::iter::once(key), &reply) {
                Step::More if length > 0 => {}
                Step::Done { hits, .. } => break hits == 1,
                _ => break false,
            }
        };
        if is_right {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(io::Error::other("no right answer after the start"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The same over one connection.
fn one(workload: &Workload) -> Workload {
    Workload { connections: 1, active: 1, depth: 1, ..*workload }
}
