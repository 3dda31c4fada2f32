//! The command line: reads it, serves and turns signals into an orderly end, or runs a tool.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use larder::base::fault::{Fault, FaultKind};
use larder::base::limits::CONFIG_BYTES_MAX;
use larder::config::{self, Config, Machine, Stop};
use larder::server::log_limit::Limited;
use larder::server::{Server, SystemClock, process, readiness};
use larder::tools;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of a command line that cannot be understood.
const USAGE: u8 = 2;
/// Exit code of a server that cannot start, or did not end well.
const FAULT: u8 = 3;

fn main() -> ExitCode {
    let words = || std::env::args_os().skip(1);
    if words().next().is_some_and(|word| tools::has(&word)) {
        return ExitCode::from(tools::run(words()));
    }
    match config::read_with(words(), &machine(), read_file) {
        Ok(config) => match serve(config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => complain(&format!("larder: {fault}"), FAULT),
        },
        Err(Stop::Answer(text)) => {
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(Stop::Refusal(text)) => complain(&format!("larder: {text}"), USAGE),
    }
}

fn complain(text: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(code)
}

fn machine() -> Machine {
    Machine {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        working_dir: std::env::current_dir().unwrap_or_default(),
        port_file: std::env::var_os("MEMCACHED_PORT_FILENAME").map(Into::into),
        sasl_file: std::env::var_os("MEMCACHED_SASL_PWDB").map(Into::into),
    }
}

/// A configuration file. One byte beyond the longest shows that it is too long.
fn read_file(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(CONFIG_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// Serves until a signal or a command ends it.
fn serve(config: Config) -> Result<(), Fault> {
    if config.process.daemon && !process::is_detached() {
        return process::detach();
    }
    start_log(config.process.verbosity);
    for note in &config.notes {
        log::warn!("{note}");
    }
    // Taken before anything is opened: a signal during a long recovery must end the start, not be lost.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGUSR1, SIGHUP])
        .map_err(|error| Fault::new(FaultKind::Io, format!("cannot take signals: {error}")))?;
    process::prepare(&config)?;
    // The shutdown command ends the server the way a signal does.
    let shut_down = || {
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM);
    };
    let server = Server::start(&config, Arc::new(SystemClock), Arc::new(shut_down))?;
    process::write_pid(&config)?;
    readiness::tell("READY=1\nSTATUS=serving");
    for signal in &mut signals {
        if signal != SIGHUP {
            break;
        }
        server.reload();
    }
    log::info!("stopping: writing a checkpoint");
    readiness::tell("STOPPING=1\nSTATUS=writing a checkpoint");
    let result = server.stop();
    process::remove_pid(&config);
    result
}

/// The log goes to standard error. `RUST_LOG` chooses what is let through; without it `-v` does, and later the
/// `verbosity` command.
fn start_log(verbosity: u8) {
    let logger = env_logger::Builder::new().filter_level(log::LevelFilter::Trace).parse_default_env().build();
    let filter = logger.filter();
    if log::set_boxed_logger(Box::new(Limited::new(logger))).is_ok() {
        let chosen = std::env::var_os("RUST_LOG").is_some();
        log::set_max_level(if chosen { filter } else { config::log_level(verbosity.into()) });
    }
}
