//! The bench: Larder side by side with other servers, and its load generator on its own.
//!
//! ```text
//! cargo bench                                          all rows, tables on standard output
//! cargo bench -- --write-results                       the same tables into bench/RESULTS.md
//! cargo bench -- --rows get,set --runs 9               some rows
//! cargo bench -- rows                                  what the rows are
//! cargo bench -- load 127.0.0.1:11211 --preload        load on a server that runs already
//! cargo bench -- start --items 1000000,10000000        starts after a kill and a stop, space, beside others
//! cargo bench -- selftest                              the generator checks itself
//! ```
//!
//! Where to read on: [`rows`] says what is compared, [`compare`] how, [`load`] is the generator, [`peers`] starts the
//! servers and reads what they use. Progress goes to standard error, results to standard output.
#![allow(clippy::print_stdout, reason = "a command whose product is a table")]

mod binary;
mod cluster;
mod compare;
mod dialect;
mod histogram;
mod load;
mod peers;
mod results;
mod rows;
mod start;
mod wire;
mod workload;

use clap::{Args, Parser, Subcommand};
use compare::Course;
use dialect::{Check, Dialect};
use load::{Limit, Load, Tally, Target};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use peers::{Cores, Programs};
use rows::{ROWS, Row};
use start::Starts;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use workload::{Distribution, ItemShape, MIN_KEY_BYTES, Pace, Workload};

/// Larder side by side with other servers.
#[derive(Parser)]
#[command(name = "cargo bench --", args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    task: Option<Task>,
    #[command(flatten)]
    compare: CompareArguments,
}

#[derive(Subcommand)]
enum Task {
    /// Run the rows side by side (the default)
    Compare(CompareArguments),
    /// Put load on a server that runs already
    Load(LoadArguments),
    /// How long servers take to answer again after a kill and after a stop, and what their data costs
    Start(StartArguments),
    /// Say what the rows are
    Rows,
    /// Check the generator's own parts
    Selftest,
}

#[derive(Args)]
struct CompareArguments {
    /// The larder to measure [default: the one that cargo built with this bench]
    #[arg(long, value_name = "PATH")]
    larder: Option<PathBuf>,
    /// Runs of each server and row
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    #[command(flatten)]
    span: Span,
    /// Rows to run, separated by commas [default: all, see `rows`]
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    rows: Vec<String>,
    /// Where the servers' directories are made [default: the system's place for temporary files]
    #[arg(long, value_name = "DIR")]
    data_root: Option<PathBuf>,
    /// Do not bind server and generator to cores of their own
    #[arg(long)]
    no_pin: bool,
    /// Write bench/RESULTS.md
    #[arg(long)]
    write_results: bool,
}

#[derive(Args)]
struct Span {
    /// Length of the measured part
    #[arg(long, default_value_t = 2.0, value_parser = positive)]
    seconds: f64,
    /// Length of the measured part in requests instead
    #[arg(long, conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
}

impl Span {
    fn limit(&self) -> Limit {
        self.requests.map_or(Limit::Seconds(self.seconds), Limit::Requests)
    }
}

#[derive(Args)]
struct LoadArguments {
    /// Address and port of the server
    server: SocketAddr,
    #[command(flatten)]
    span: Span,
    #[arg(long, value_enum, default_value_t = Dialect::Memcached)]
    dialect: Dialect,
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Connections that send; the others stay idle [default: all]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    active: Option<u32>,
    /// Requests in one pipelined batch
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    depth: u32,
    /// Share of sets among the requests, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    sets: f64,
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    keys_per_get: u32,
    /// uniform, sequential, or zipf:THETA
    #[arg(long, default_value = "uniform", value_parser = distribution)]
    distribution: Distribution,
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(MIN_KEY_BYTES as i64..=250))]
    key_bytes: u16,
    #[arg(long, default_value_t = 100)]
    value_bytes: u32,
    /// Time to live of every item, in seconds; 0 is for ever
    #[arg(long, default_value_t = 0)]
    exptime: u32,
    /// Open loop: so many requests per second, latency from the time each was due
    #[arg(long, value_parser = positive)]
    rate: Option<f64>,
    /// Store every key first
    #[arg(long)]
    preload: bool,
    /// Look at the form of the replies only, not at keys and values
    #[arg(long)]
    form_only: bool,
    #[arg(long, default_value_t = compare::MEASURED_SEED)]
    seed: u64,
}

impl LoadArguments {
    fn workload(&self) -> Workload {
        Workload {
            connections: self.connections as usize,
            active: self.active.unwrap_or(self.connections).min(self.connections) as usize,
            depth: self.depth as usize,
            set_share: self.sets,
            keys: self.keys,
            keys_per_get: self.keys_per_get as usize,
            distribution: self.distribution,
            item: ItemShape {
                key_bytes: usize::from(self.key_bytes),
                value_bytes: self.value_bytes as usize,
                exptime_s: self.exptime,
            },
            pace: self.rate.map_or(Pace::Closed, Pace::Rate),
            first_key: 0,
        }
    }
}

#[derive(Args)]
struct StartArguments {
    /// Items, a row of each server for each number
    #[arg(long, value_delimiter = ',', default_value = "1000000,10000000")]
    items: Vec<u64>,
    /// Length of every value
    #[arg(long, default_value_t = 100)]
    value_bytes: usize,
    /// The larder to measure [default: the one that cargo built with this bench]
    #[arg(long, value_name = "PATH")]
    larder: Option<PathBuf>,
    /// Where the servers' directories are made [default: the system's place for temporary files]
    #[arg(long, value_name = "DIR")]
    data_root: Option<PathBuf>,
}

fn time_starts(arguments: &StartArguments) -> io::Result<ExitCode> {
    let larder = arguments.larder.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_larder")));
    let starts = Starts {
        programs: Programs { larder, floor: PathBuf::new() },
        cores: Cores::divide(false),
        data_root: arguments.data_root.clone().unwrap_or_else(std::env::temp_dir),
        items: arguments.items.clone(),
        value_bytes: arguments.value_bytes,
    };
    starts.run().map(|()| ExitCode::SUCCESS)
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().map_err(|error| error.to_string())?;
    if number > 0.0 && number.is_finite() { Ok(number) } else { Err("must be above 0".to_owned()) }
}

fn distribution(text: &str) -> Result<Distribution, String> {
    match text {
        "uniform" => Ok(Distribution::Uniform),
        "sequential" => Ok(Distribution::Sequential),
        _ => {
            let theta = text.strip_prefix("zipf:").ok_or("uniform, sequential or zipf:THETA")?;
            let theta = positive(theta)?;
            if theta < 1.0 { Ok(Distribution::Zipf(theta)) } else { Err("THETA must be below 1".to_owned()) }
        }
    }
}

fn main() -> ExitCode {
    // Cargo passes --bench to every bench program.
    let command_line = CommandLine::parse_from(std::env::args_os().filter(|argument| argument != "--bench"));
    let task = command_line.task.unwrap_or(Task::Compare(command_line.compare));
    let done = allow_many_descriptors().and_then(|()| match task {
        Task::Compare(arguments) => compare_rows(&arguments),
        Task::Load(arguments) => load_one(&arguments),
        Task::Start(arguments) => time_starts(&arguments),
        Task::Rows => Ok(list_rows()),
        Task::Selftest => Ok(check_ourselves()),
    });
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Thousands of connections need as many descriptors, here and in the servers, which inherit the limit.
fn allow_many_descriptors() -> io::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?)
}

fn compare_rows(arguments: &CompareArguments) -> io::Result<ExitCode> {
    let rows = chosen_rows(&arguments.rows)?;
    let larder = arguments.larder.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_larder")));
    let limit = arguments.span.limit();
    let warm_up = match limit {
        Limit::Seconds(seconds) => Limit::Seconds(seconds / 5.0),
        Limit::Requests(count) => Limit::Requests((count / 5).max(1)),
    };
    let course = Course {
        programs: Programs { larder, floor: floor_program()? },
        cores: Cores::divide(!arguments.no_pin),
        data_root: arguments.data_root.clone().unwrap_or_else(std::env::temp_dir),
        runs: usize::from(arguments.runs),
        limit,
        warm_up,
    };
    let findings: Vec<_> = rows.into_iter().map(|row| course.run(row)).collect();
    println!("{}", results::tables(&findings));
    if arguments.write_results {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/RESULTS.md");
        results::write(&path, &course, &findings, &command_typed())?;
        eprintln!("written: {}", path.display());
    }
    Ok(if results::all_clean(&findings) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen_rows(names: &[String]) -> io::Result<Vec<&'static Row>> {
    if names.is_empty() {
        return Ok(ROWS.iter().collect());
    }
    let find = |name: &String| {
        let row = ROWS.iter().find(|row| row.name == name);
        row.ok_or_else(|| {
            io::Error::other(format!("no row is called {name}; `cargo bench -- rows` lists them"))
        })
    };
    names.iter().map(find).collect()
}

/// The floor server beside this program. Cargo does not build examples for a bench, so it is asked to.
fn floor_program() -> io::Result<PathBuf> {
    let ours = std::env::current_exe()?;
    let profile = ours.parent().and_then(Path::parent).unwrap_or(Path::new("target/release"));
    if let Some(cargo) = std::env::var_os("CARGO") {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let built = Command::new(cargo)
            .args(["build", "--release", "--quiet", "--example", "floor", "--manifest-path"])
            .arg(manifest)
            .status()?;
        if !built.success() {
            eprintln!("the floor server could not be built");
        }
    }
    Ok(profile.join("examples/floor"))
}

fn command_typed() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    format!("cargo bench -- {}", arguments.join(" "))
}

fn load_one(arguments: &LoadArguments) -> io::Result<ExitCode> {
    let workload = arguments.workload();
    let check = if arguments.form_only { Check::Form } else { Check::Content };
    let target = Target { address: arguments.server, dialect: arguments.dialect, check, trust: None };
    let mut load = Load::connect(&target, workload.connections)?;
    if arguments.preload {
        let stored = load.run(&workload.preload(), Limit::Requests(workload.keys), arguments.seed)?;
        show("stored", &stored);
    }
    let tally = load.run(&workload, arguments.span.limit(), arguments.seed)?;
    show("loaded", &tally);
    Ok(if tally.errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(what: &str, tally: &Tally) {
    let us = |share: f64| tally.latency.quantile(share) as f64 / 1e3;
    println!(
        "{what}: {} requests in {:.2} s, {:.0}/s; p50 {:.0} us, p99 {:.0} us, p99.9 {:.0} us, most {:.0} us; \
         {} misses, {} wrong replies",
        tally.requests,
        tally.elapsed.as_secs_f64(),
        tally.requests as f64 / tally.elapsed.as_secs_f64(),
        us(0.5),
        us(0.99),
        us(0.999),
        us(1.0),
        tally.misses,
        tally.errors,
    );
    if let Some(error) = &tally.first_error {
        println!("the first wrong reply: {error}");
    }
}

fn list_rows() -> ExitCode {
    for row in ROWS {
        let entrants: Vec<&str> = row.entrants.iter().map(|entrant| entrant.label).collect();
        println!("{:<16} {} ({})", row.name, row.about, entrants.join(", "));
    }
    ExitCode::SUCCESS
}

fn check_ourselves() -> ExitCode {
    let checks = [histogram::check, workload::check, dialect::check, peers::check, compare::check];
    let wrong: Vec<String> = checks.iter().flat_map(|check| check()).collect();
    wrong.iter().for_each(|what| println!("{what}"));
    println!("selftest: {} of {} parts checked, {} faults", checks.len(), checks.len(), wrong.len());
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
