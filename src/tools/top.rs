//! `larder top`: a server's figures, live.

mod figures;
mod frame;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use clap::Args;

use super::asking::Server;
use super::screen::Screen;
use super::{Stop, Verdict, console};
use crate::client::{Client, Error, Facts, StatsTopic};
use figures::{Rates, Sample};

/// How often it is drawn.
const PAUSE: Duration = Duration::from_secs(1);
/// Rates that are remembered for the plot.
const HISTORY_MAX: usize = 1024;
/// Columns of a plain print.
const PLAIN_COLUMNS: usize = 100;

/// Watch a server's figures, each second anew
///
/// q or Ctrl-C ends it. Where standard input or output is no terminal the figures are printed once, with rates as they
/// were on average since the server's start. The server may be a memcached: what that does not tell is left out.
#[derive(Args, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  larder top\n",
    "  larder top -s 10.0.0.1:11211\n",
    "  larder top --once --json | jq .hit_percent\n\n",
    "--json: one object of numbers and texts, printed once.\n",
    "Exit codes: 0 done, 2 usage, 3 refused or fault."
))]
pub(super) struct Options {
    /// Print once
    #[arg(long)]
    once: bool,
    /// Print JSON, once
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(options: &Options) -> Result<Verdict, Stop> {
    let client = options.server.client()?;
    // Before the terminal is taken: what cannot be asked at all is told on the plain one.
    let first = sample(&client)?;
    let screen = if options.once || options.json { None } else { Screen::take()? };
    match screen {
        Some(screen) => live(&screen, &client, &options.server.server, first),
        None => once(options, &first),
    }
    Ok(Verdict::Done)
}

fn once(options: &Options, sample: &Sample) {
    let rates = Rates::since_start(sample);
    if options.json {
        return console::say(&frame::json(sample, &rates).to_string());
    }
    for line in frame::lines(&options.server.server, sample, &rates, PLAIN_COLUMNS) {
        console::say(&line);
    }
}

fn live(screen: &Screen, client: &Client, server: &str, first: Sample) {
    let mut history = VecDeque::new();
    let mut rates = Rates::since_start(&first);
    let (mut last, mut taken) = (first, Instant::now());
    let mut trouble: Option<Error> = None;
    let mut deadline = Instant::now() + PAUSE;
    loop {
        let (columns, lines) = screen.size();
        let told = trouble.as_ref().map(Error::to_string);
        let mut shown = frame::lines(server, &last, &rates, columns);
        shown.extend(frame::plot(&history, columns));
        shown.push(told.unwrap_or_else(|| "q ends it".to_owned()));
        screen.show(&frame::fitted(shown, columns, lines));
        if !screen.wait(deadline) {
            return;
        }
        if Instant::now() < deadline {
            // Only the size has changed.
            continue;
        }
        deadline = Instant::now() + PAUSE;
        match sample(client) {
            Ok(next) => {
                rates = Rates::between(&last, &next, taken.elapsed());
                (last, taken, trouble) = (next, Instant::now(), None);
                history.push_back(rates.requests);
                if history.len() > HISTORY_MAX {
                    history.pop_front();
                }
            }
            Err(error) => trouble = Some(error),
        }
    }
}

/// The general figures, and Larder's own if it is one.
fn sample(client: &Client) -> Result<Sample, Error> {
    let general = facts(client, StatsTopic::General)?;
    let own = match facts(client, StatsTopic::Larder) {
        // A memcached has none.
        Err(Error::Refused { .. }) => Facts::new(),
        answer => answer?,
    };
    Ok(Sample::new(general.into_iter().chain(own)))
}

fn facts(client: &Client, topic: StatsTopic<'_>) -> Result<Facts, Error> {
    client.stats(topic).pop().map_or_else(|| Ok(Facts::new()), |(_, answer)| answer)
}
