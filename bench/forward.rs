//! What a get costs that is asked of a server which does not have the key, beside one that is asked of the server that
//! has it. Two servers of one cluster; the second has all groups. One table, for `docs/cluster.md`.

use crate::compare::MEASURED_SEED;
use crate::load::{Limit, Load, Tally};
use crate::peers::{self, Cores, Programs, Running, Server};
use crate::rows::STANDARD;
use crate::workload::Workload;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

/// Requests in a batch, a row of each way for each.
const DEPTHS: [usize; 2] = [1, 16];

/// How the table is made.
#[derive(Debug)]
pub(crate) struct Forwards {
    pub(crate) programs: Programs,
    pub(crate) cores: Cores,
    /// Where the servers' directories are made.
    pub(crate) data_root: PathBuf,
    pub(crate) limit: Limit,
    /// Runs of each way, one after the other in turns; the table has the median by CPU time.
    pub(crate) runs: usize,
}

/// What one run showed.
struct Figures {
    /// Of the server that is asked, and of the one that has the keys.
    cpu: [Duration; 2],
    tally: Tally,
}

impl Forwards {
    /// Prints the table.
    pub(crate) fn run(&self) -> io::Result<()> {
        let folder = tempfile::tempdir_in(&self.data_root)?;
        let servers = [self.start(&folder, 1)?, self.start(&folder, 2)?];
        let stored = self.load(&servers[1], &STANDARD.preload(), Limit::Requests(STANDARD.keys))?;
        if stored.errors > 0 {
            return Err(io::Error::other(stored.first_error.unwrap_or_default()));
        }
        println!(
            "| asked | requests in a batch | CPU us/request | of it who is asked | requests/s | p50 us | p99 us |"
        );
        println!("|---|---|---|---|---|---|---|");
        for depth in DEPTHS {
            let workload = Workload { depth, ..STANDARD };
            let (mut direct, mut forwarded) = (Vec::new(), Vec::new());
            for _ in 0..self.runs {
                direct.push(self.measure(&servers, 1, &workload)?);
                forwarded.push(self.measure(&servers, 0, &workload)?);
            }
            println!("{}", row("who has it", depth, direct));
            println!("{}", row("another", depth, forwarded));
        }
        Ok(())
    }

    fn start(&self, folder: &tempfile::TempDir, id: u16) -> io::Result<Running> {
        let path = |name: &str| folder.path().join(name).display().to_string();
        if id == 1 {
            let mut map = String::from(
                "version = 1\ncluster = \"bench\"\ngroups = 64\nhash = \"larder\"\nhash-tag = \"braces\"\n",
            );
            for id in 1..=2 {
                let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
                map += &format!(
                    "[[server]]\nid = {id}\nclient = \"127.0.0.1:{id}\"\npeer = \"127.0.0.1:{port}\"\n"
                );
            }
            fs::write(path("map"), map + "[[range]]\ngroups = \"0-63\"\nservers = [2]\n")?;
            fs::write(path("secret"), "no secret, a bench")?;
        }
        let (map, secret, id) = (path("map"), path("secret"), id.to_string());
        let flags =
            ["-t", "1", "-m", "1024", "--cluster", &map, "--peer-secret-file", &secret, "--server-id", &id];
        let program = self.programs.find(Server::Larder).map_err(io::Error::other)?;
        peers::start(Server::Larder, &program, &flags, &self.data_root, &self.cores)
    }

    fn load(&self, server: &Running, workload: &Workload, limit: Limit) -> io::Result<Tally> {
        let (dialect, check) = (Server::Larder.dialect(), Server::Larder.check());
        Load::connect(server.address, workload.connections, dialect, check)?.run(
            workload,
            limit,
            MEASURED_SEED,
        )
    }

    /// One run of gets, asked of the first server or of the second, which has the keys.
    fn measure(&self, servers: &[Running; 2], asked: usize, workload: &Workload) -> io::Result<Figures> {
        let before = [servers[0].usage()?.cpu, servers[1].usage()?.cpu];
        let tally = self.load(&servers[asked], workload, self.limit)?;
        if tally.errors + tally.misses > 0 {
            return Err(io::Error::other(format!("{} misses, {:?}", tally.misses, tally.first_error)));
        }
        let [one, two] = [servers[0].usage()?.cpu - before[0], servers[1].usage()?.cpu - before[1]];
        let (asked, owner) = if asked == 0 { (one, two) } else { (two, Duration::ZERO) };
        Ok(Figures { cpu: [asked, owner], tally })
    }
}

impl Figures {
    /// CPU time of both servers for one request.
    fn cpu_us(&self) -> f64 {
        self.cpu.iter().sum::<Duration>().as_secs_f64() * 1e6 / self.tally.requests as f64
    }
}

fn row(asked: &str, depth: usize, mut runs: Vec<Figures>) -> String {
    runs.sort_by(|one, other| one.cpu_us().total_cmp(&other.cpu_us()));
    let median = &runs[runs.len() / 2];
    let us = |share: f64| median.tally.latency.quantile(share) as f64 / 1e3;
    let requests = median.tally.requests as f64;
    format!(
        "| {asked} | {depth} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} |",
        median.cpu_us(),
        median.cpu[0].as_secs_f64() * 1e6 / requests,
        requests / median.tally.elapsed.as_secs_f64(),
        us(0.5),
        us(0.99)
    )
}
