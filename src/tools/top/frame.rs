//! How the figures look: pure, so that what is shown can be tested.

use std::collections::VecDeque;

use serde_json::{Value as Json, json};

use super::super::asking::shown;
use super::super::console::{bold, size};
use super::figures::{Rates, Sample};

/// Steps of a column of the plot, from nothing to full.
const STEPS: [char; 9] =
    [' ', '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}'];
/// Lines of the plot.
const PLOT_LINES: usize = 6;
/// The memory's bar, characters.
const BAR_CHARS: u64 = 24;

/// The figures in lines, none of which is longer than `columns` where that can be helped.
pub(super) fn lines(server: &str, sample: &Sample, rates: &Rates, columns: usize) -> Vec<String> {
    let mut lines = vec![head(server, sample)];
    let mut row = |name: &str, parts: &[Option<String>]| {
        let parts: Vec<&str> = parts.iter().flatten().map(String::as_str).collect();
        if !parts.is_empty() {
            lines.push(cut(&format!("{name:<9} {}", parts.join("   ")), columns));
        }
    };
    let hits = rates.hit_percent.map(|percent| format!("hits {percent:.1} %"));
    let per_s = |name: &str, rate: u64| Some(format!("{name} {rate}/s"));
    row(
        "requests",
        &[per_s("all", rates.requests), per_s("get", rates.gets), per_s("set", rates.sets), hits],
    );
    row(
        "clients",
        &[
            Some(format!("{} of {}", sample.number("curr_connections"), sample.number("max_connections"))),
            Some(format!("in {}/s", size(rates.read_bytes))),
            Some(format!("out {}/s", size(rates.written_bytes))),
        ],
    );
    let dirty = sample.known("memory_dirty_bytes").map(|bytes| format!("dirty {}", size(bytes)));
    row("memory", &[Some(memory(sample)), dirty]);
    let count = |label: &str, name: &str| sample.known(name).map(|number| format!("{label} {number}"));
    row(
        "items",
        &[
            count("all", "curr_items"),
            count("in memory", "items_in_memory"),
            per_s("evicted", rates.evictions),
            sample.known("cold_reads").and_then(|_| per_s("read from disk", rates.cold_reads)),
        ],
    );
    let log = sample
        .known("log_used_bytes")
        .map(|used| format!("log {} of {}", size(used), size(sample.number("log_bytes_max"))));
    let state = sample.text("log_state").map(|state| format!("log is {}", shown(state.as_bytes())));
    let store = sample.known("store_file_bytes").map(|bytes| format!("store {}", size(bytes)));
    row("disk", &[store, log, state]);
    lines
}

fn head(server: &str, sample: &Sample) -> String {
    let version = match (sample.text("larder_version"), sample.text("version")) {
        (Some(version), _) => format!("larder {}", shown(version.as_bytes())),
        (None, version) => format!("memcached {}", shown(version.unwrap_or("?").as_bytes())),
    };
    let mut head =
        format!("{} on {}, up {}", bold(&version), shown(server.as_bytes()), uptime(sample.number("uptime")));
    if let Some(durability) = sample.text("durability") {
        head.push_str(&format!(", {}", shown(durability.as_bytes())));
    }
    if let Some(groups) = sample.known("groups") {
        head.push_str(&format!(", {groups} groups"));
    }
    head
}

fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3599 => format!("{minutes} min"),
        3600..=86_399 => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

fn memory(sample: &Sample) -> String {
    let used = sample.known("memory_used_bytes").unwrap_or_else(|| sample.number("bytes"));
    let limit = sample.number("limit_maxbytes").max(1);
    let filled = (used.saturating_mul(BAR_CHARS) / limit).min(BAR_CHARS) as usize;
    let empty = BAR_CHARS as usize - filled;
    let percent = used.saturating_mul(100) / limit;
    format!("[{}{}] {percent} %   {} of {}", "=".repeat(filled), " ".repeat(empty), size(used), size(limit))
}

/// Requests for each second as columns, the last one at the right.
pub(super) fn plot(history: &VecDeque<u64>, columns: usize) -> Vec<String> {
    let shown: Vec<u64> = history.iter().rev().take(columns).rev().copied().collect();
    let most = shown.iter().copied().max().unwrap_or(0);
    if most == 0 {
        return Vec::new();
    }
    let mut lines = vec![String::new(), format!("requests/s, up to {most}")];
    let eighths = |rate: u64| rate.saturating_mul(PLOT_LINES as u64 * 8).div_ceil(most) as usize;
    for line in (0..PLOT_LINES).rev() {
        let step =
            |rate: &u64| STEPS.get(eighths(*rate).saturating_sub(line * 8).min(8)).copied().unwrap_or(' ');
        lines.push(shown.iter().map(step).collect());
    }
    lines
}

/// What fits on the screen: its last line stays, whatever has to go.
pub(super) fn fitted(mut lines: Vec<String>, columns: usize, rows: usize) -> Vec<String> {
    let last = lines.pop();
    lines.truncate(rows.saturating_sub(1));
    lines.extend(last);
    lines.iter().map(|line| cut(line, columns)).collect()
}

/// The first characters that are seen; sequences that steer the terminal take no room.
fn cut(line: &str, columns: usize) -> String {
    let (mut seen, mut is_sequence) = (0, false);
    let keep = |c: &char| {
        is_sequence |= *c == '\x1b';
        if is_sequence {
            is_sequence = *c != 'm';
            return true;
        }
        seen += 1;
        seen <= columns
    };
    line.chars().filter(keep).collect()
}

/// The same for programs.
pub(super) fn json(sample: &Sample, rates: &Rates) -> Json {
    json!({
        "version": sample.text("larder_version").or(sample.text("version")),
        "uptime_s": sample.number("uptime"),
        "requests_per_s": rates.requests,
        "gets_per_s": rates.gets,
        "sets_per_s": rates.sets,
        "hit_percent": rates.hit_percent,
        "evictions_per_s": rates.evictions,
        "read_bytes_per_s": rates.read_bytes,
        "written_bytes_per_s": rates.written_bytes,
        "connections": sample.number("curr_connections"),
        "items": sample.number("curr_items"),
        "memory_used_bytes": sample.known("memory_used_bytes").unwrap_or_else(|| sample.number("bytes")),
        "memory_limit_bytes": sample.number("limit_maxbytes"),
        "memory_dirty_bytes": sample.known("memory_dirty_bytes"),
        "store_bytes": sample.known("store_file_bytes"),
        "log_bytes": sample.known("log_used_bytes"),
        "log_state": sample.text("log_state"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(facts: &[(&str, &str)]) -> Sample {
        Sample::new(facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn a_memcached_shows_what_it_tells_and_nothing_more() {
        let sample = sample(&[
            ("version", "1.6.45"),
            ("uptime", "90061"),
            ("limit_maxbytes", "1048576"),
            ("bytes", "524288"),
            ("curr_items", "7"),
        ]);
        let rates = Rates { hit_percent: Some(98.25), gets: 5, ..Rates::default() };
        assert_eq!(
            lines("h:1", &sample, &rates, 100),
            [
                "memcached 1.6.45 on h:1, up 1 d 1 h",
                "requests  all 0/s   get 5/s   set 0/s   hits 98.2 %",
                "clients   0 of 0   in 0 bytes/s   out 0 bytes/s",
                "memory    [============            ] 50 %   512.0 KB of 1.0 MB",
                "items     all 7   evicted 0/s",
            ]
        );
    }

    #[test]
    fn every_size_of_a_terminal_gets_what_fits() {
        let sample = sample(&[("larder_version", "0.1.0"), ("groups", "64")]);
        let history: VecDeque<u64> = (0..500).collect();
        for (columns, rows) in [(0, 0), (1, 1), (7, 3), (80, 24), (500, 100)] {
            let mut all = lines("h:1", &sample, &Rates::default(), columns);
            all.extend(plot(&history, columns));
            all.push("\x1b[1mlast\x1b[0m".to_owned());
            let fit = fitted(all, columns, rows);
            assert!(fit.len() <= rows.max(1), "{columns}x{rows}: {fit:?}");
            let seen = |line: &String| line.replace("\x1b[1m", "").replace("\x1b[0m", "").chars().count();
            assert!(fit.iter().all(|line| seen(line) <= columns), "{columns}x{rows}: {fit:?}");
        }
    }

    #[test]
    fn the_plot_is_as_high_as_the_most_and_as_wide_as_the_screen() {
        let history = VecDeque::from([0, 1, 50, 100]);
        let plot = plot(&history, 3);
        assert_eq!(plot.len(), 2 + PLOT_LINES);
        assert_eq!(plot[1], "requests/s, up to 100");
        assert_eq!(plot[2], "  \u{2588}");
        assert_eq!(plot[7], "\u{2581}\u{2588}\u{2588}");
    }
}
