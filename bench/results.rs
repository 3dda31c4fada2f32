//! The findings as Markdown tables, for the terminal and for `bench/RESULTS.md`.

use crate::compare::{Absence, Course, Entry, Finding, Sample, Spread};
use crate::load::Limit;
use crate::peers::Server;
use crate::rows::{Bound, Figure, Goal, Row};
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

/// All tables: what every row has, what only some have, and the ratios with what was to be reached.
pub(crate) fn tables(findings: &[Finding]) -> String {
    format!("{}\n{}\n{}", figures_table(findings), own_figures_table(findings), ratios_table(findings))
}

/// Whether every run that took place was clean: no entrant failed, no reply was wrong, no stored key was missing.
pub(crate) fn all_clean(findings: &[Finding]) -> bool {
    findings
        .iter()
        .flat_map(|finding| &finding.entries)
        .all(|entry| !matches!(entry.outcome, Err(Absence::Failed(_))) && entry.unclean() == (0, 0))
}

fn figures_table(findings: &[Finding]) -> String {
    let mut table = Table::new(&[
        "row",
        "server",
        "CPU us/request",
        "min..max",
        "user",
        "requests/s",
        "min..max",
        "p50 us",
        "p99 us",
        "p99.9 us",
        "late us",
        "cores busy",
        "generator",
        "wrong",
        "misses",
    ]);
    for finding in findings {
        for entry in &finding.entries {
            table.add(figures_line(finding.row.name, entry));
        }
    }
    table.render()
}

fn figures_line(row: &str, entry: &Entry) -> Vec<String> {
    let mut line = vec![row.to_owned(), entry.entrant.label.to_owned()];
    let samples = match &entry.outcome {
        Ok(samples) => samples,
        Err(Absence::Skipped(_)) => return [line, vec!["SKIPPED".to_owned()]].concat(),
        Err(Absence::Failed(_)) => return [line, vec!["FAILED".to_owned()]].concat(),
    };
    let spread = |of: &dyn Fn(&Sample) -> f64| Spread::of(samples.iter().map(of));
    let [cpu, rate] = [Figure::CpuPerRequest, Figure::RequestsPerSecond]
        .map(|figure| spread(&|sample| sample.figure(figure)));
    line.push(format!("{:.2}", cpu.median));
    line.push(format!("{:.2}..{:.2}", cpu.least, cpu.greatest));
    line.push(format!("{:.0} %", 100.0 * spread(&|sample| sample.user_share()).median));
    line.push(format!("{:.0}", rate.median));
    line.push(format!("{:.0}..{:.0}", rate.least, rate.greatest));
    for figure in [Figure::P50, Figure::P99, Figure::P999] {
        line.push(format!("{:.0}", spread(&|sample| sample.figure(figure)).median));
    }
    line.push(format!("{:.0}", spread(&Sample::lateness_us).median));
    for who in [0, 1] {
        line.push(format!("{:.2}", spread(&|sample| sample.busy()[who]).median));
    }
    let (errors, misses) = entry.unclean();
    line.extend([errors.to_string(), misses.to_string()]);
    line
}

/// The figures that only some rows are about; nothing when no row is.
fn own_figures_table(findings: &[Finding]) -> String {
    let mut table = Table::new(&["row", "server", "figure", "median", "min..max"]);
    for Finding { row, entries } in findings {
        for (figure, entry) in
            own_figures(row).flat_map(|figure| entries.iter().map(move |entry| (figure, entry)))
        {
            let Some(spread) = entry.spread(|sample| sample.figure(figure)) else { continue };
            let [median, least, greatest] = [spread.median, spread.least, spread.greatest].map(short);
            let names = [row.name, entry.entrant.label, name_of(figure)].map(str::to_owned);
            table.add([names.to_vec(), vec![median, format!("{least}..{greatest}")]].concat());
        }
    }
    if table.lines.len() == 1 { String::new() } else { table.render() }
}

/// What a row is about beside what every row has.
fn own_figures(row: &Row) -> impl Iterator<Item = Figure> {
    let goals = row.goals.iter().map(|goal| goal.figure).filter(|figure| !row.figures.contains(figure));
    row.figures
        .iter()
        .copied()
        .chain(goals)
        .filter(|figure| !matches!(figure, Figure::CpuPerRequest | Figure::RequestsPerSecond))
}

fn ratios_table(findings: &[Finding]) -> String {
    let mut table = Table::new(&["row", "figure", "ratio", "medians", "goal", "reached"]);
    for finding in findings {
        let Some((subject, others)) = finding.entries.split_first() else { continue };
        let against = finding.row.against;
        let is_meant = |other: &&Entry| against.is_empty() || against.contains(&other.entrant.label);
        for figure in finding.row.figures {
            others
                .iter()
                .filter(is_meant)
                .for_each(|other| table.add(ratio_line(finding.row, subject, other, *figure)));
        }
        for goal in finding.row.goals.iter().filter(|goal| goal.against.is_none()) {
            table.add(absolute_line(finding.row, subject, goal));
        }
    }
    table.render()
}

/// A figure of the first entrant set against that of another.
fn ratio_line(row: &Row, subject: &Entry, other: &Entry, figure: Figure) -> Vec<String> {
    let names = format!("{} / {}", subject.entrant.label, other.entrant.label);
    let mut line = vec![row.name.to_owned(), name_of(figure).to_owned()];
    let spreads =
        (subject.spread(|sample| sample.figure(figure)), other.spread(|sample| sample.figure(figure)));
    let (Some(ours), Some(theirs)) = spreads else {
        line.push(format!("{names}: not measured"));
        return line;
    };
    let ratio = ours.median / theirs.median;
    line.push(format!("{names} = {ratio:.2}"));
    line.push(format!("{} / {}", short(ours.median), short(theirs.median)));
    let meant = |goal: &&Goal| goal.figure == figure && goal.against == Some(other.entrant.label);
    line.extend(row.goals.iter().find(meant).into_iter().flat_map(|goal| verdict(goal.bound, ratio)));
    line
}

/// A goal for a figure of the first entrant by itself.
fn absolute_line(row: &Row, subject: &Entry, goal: &Goal) -> Vec<String> {
    let mut line =
        vec![row.name.to_owned(), name_of(goal.figure).to_owned(), subject.entrant.label.to_owned()];
    match subject.spread(|sample| sample.figure(goal.figure)) {
        Some(ours) => {
            line.push(short(ours.median));
            line.extend(verdict(goal.bound, ours.median));
        }
        None => line.push("not measured".to_owned()),
    }
    line
}

/// The goal, and whether it is reached.
fn verdict(bound: Bound, reached: f64) -> [String; 2] {
    let goal = match bound {
        Bound::AtMost(bound) => format!("<= {}", short(bound)),
        Bound::AtLeast(bound) => format!(">= {}", short(bound)),
    };
    [goal, if bound.holds(reached) { "yes" } else { "NO" }.to_owned()]
}

fn name_of(figure: Figure) -> &'static str {
    match figure {
        Figure::CpuPerRequest => "CPU us/request",
        Figure::RequestsPerSecond => "requests/s",
        Figure::KeysPerSecond => "keys/s",
        Figure::P50 => "p50 us",
        Figure::P99 => "p99 us",
        Figure::P999 => "p99.9 us",
        Figure::BytesPerItem => "bytes/item",
        Figure::BytesPerConnection => "bytes/connection",
    }
}

fn short(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// A Markdown table with columns of even width.
struct Table {
    lines: Vec<Vec<String>>,
    columns: usize,
}

impl Table {
    fn new(heads: &[&str]) -> Self {
        Self { lines: vec![heads.iter().map(|head| (*head).to_owned()).collect()], columns: heads.len() }
    }

    fn add(&mut self, mut line: Vec<String>) {
        line.resize(self.columns, String::new());
        self.lines.push(line);
    }

    fn render(&self) -> String {
        let width =
            |column: usize| self.lines.iter().map(|line| line[column].len()).max().unwrap_or(0).max(3);
        let widths: Vec<usize> = (0..self.columns).map(width).collect();
        let mut text = String::new();
        for (number, line) in self.lines.iter().enumerate() {
            let cells = line.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} |"));
            text.extend(["|".to_owned()].into_iter().chain(cells).chain(["\n".to_owned()]));
            if number == 0 {
                text.extend(widths.iter().map(|width| format!("|{}", "-".repeat(width + 2))));
                text.push_str("|\n");
            }
        }
        text
    }
}

/// Writes the report: the machine, the versions, the flags, the commit and all tables.
pub(crate) fn write(path: &Path, course: &Course, findings: &[Finding], command: &str) -> io::Result<()> {
    let text = format!(
        "# Larder beside others\n\n\
         Medians of {} alternating runs, each with a freshly started server. Ratios travel, absolute figures do not.\n\n\
         {}\n## Ratios\n\n{}\n## Figures\n\n{ABOUT_FIGURES}\n{}\n{}\n## Rows\n\n{}",
        course.runs,
        facts(course, findings, command),
        ratios_table(findings),
        figures_table(findings),
        own_figures_table(findings),
        rows(findings),
    );
    fs::write(path, text)
}

const ABOUT_FIGURES: &str = "\
* CPU is the server's, user and system, from the operating system, with what it went on doing until it rested.
* Warm-up is not counted. Every reply is compared with what was stored; wrong ones and misses are counted over all runs.
* Latency is from sending to the reply; in an open loop from when the request was due, so that a server that stalls pays
  for all that should have been sent meanwhile. `late us`: 99 of 100 requests were sent no later than this after they
  were due; that is the generator's doing, and is in the latency too.
* `cores busy` and `generator`: CPU time per second of the load. Where the generator reaches 1.00 in a closed loop it
  holds the server up: then requests/s are its limit, not the server's. In an open loop it spins.
";

fn facts(course: &Course, findings: &[Finding], command: &str) -> String {
    let sharing: Vec<&str> = findings
        .iter()
        .map(|finding| finding.row)
        .filter(|row| row.shares_cores)
        .map(|row| row.name)
        .collect();
    let mut cores = course.cores.describe();
    if !sharing.is_empty() {
        cores.push_str(&format!("; in {}: {}", sharing.join(", "), course.cores.shared().describe()));
    }
    let mut facts = vec![
        ("command", format!("`{command}`")),
        ("commit", commit()),
        ("date", output_of("date", &["-u", "+%Y-%m-%d"])),
        ("machine", machine()),
        ("cores", cores),
        (
            "file system of the data",
            output_of("stat", &["-f", "-c", "%T", &course.data_root.to_string_lossy()]),
        ),
        ("measured part", format!("{}; of fill and memory every key once", span(course.limit))),
        ("warm-up", span(course.warm_up)),
    ];
    let mut servers: Vec<Server> = Vec::new();
    for entry in findings.iter().flat_map(|finding| &finding.entries) {
        if !servers.contains(&entry.entrant.server) {
            servers.push(entry.entrant.server);
        }
    }
    for server in servers {
        facts.push((server.name(), course.programs.version(server).unwrap_or_else(|why| why)));
    }
    facts.iter().map(|(name, fact)| format!("* {name}: {fact}\n")).collect()
}

fn span(limit: Limit) -> String {
    match limit {
        Limit::Requests(count) => format!("{count} requests"),
        Limit::Seconds(seconds) => format!("{seconds} s"),
    }
}

/// What each row is, and the flags of everyone in it.
fn rows(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { row, entries } in findings {
        text.push_str(&format!("* **{}**: {}\n", row.name, row.about));
        for entry in entries {
            let note = match &entry.outcome {
                Ok(_) => String::new(),
                Err(Absence::Skipped(why)) => format!(" (skipped: {why})"),
                Err(Absence::Failed(why)) => format!(" (failed: {why})"),
            };
            text.push_str(&format!(
                "  * {}: `{}`{note}\n",
                entry.entrant.label,
                shell_words(entry.entrant.flags)
            ));
        }
    }
    text
}

fn shell_words(flags: &[&str]) -> String {
    let words: Vec<&str> = flags.iter().map(|flag| if flag.is_empty() { "''" } else { flag }).collect();
    words.join(" ")
}

/// The commit of the tree; changes that are not committed are said, but for those of the report itself.
fn commit() -> String {
    let hash = output_of("git", &["rev-parse", "HEAD"]);
    let changes = output_of("git", &["status", "--porcelain", "--", ":/", ":!/bench/RESULTS.md"]);
    if changes.is_empty() { hash } else { format!("{hash}, with changes that are not committed") }
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // Not what this thread may use: it is bound to one of them.
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    format!("{} cores of {}, Linux {}", cores, model.unwrap_or("unknown model"), kernel.trim())
}

fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
