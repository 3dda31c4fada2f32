//! What a tool says: its result to standard output, everything else to standard error.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::base::fault::{Fault, FaultKind};

/// How often progress is told on a terminal, and elsewhere.
const TERMINAL_PAUSE: Duration = Duration::from_millis(200);
/// See [`TERMINAL_PAUSE`].
const PLAIN_PAUSE: Duration = Duration::from_secs(5);
/// The bar's length, characters.
const BAR_CHARS: u64 = 24;

/// Why standard output took no more.
static REFUSED: OnceLock<std::io::Error> = OnceLock::new();

/// Writes a line of the result.
pub(super) fn say(line: &str) {
    note_refusal(writeln!(std::io::stdout(), "{line}"));
}

/// Writes bytes of the result.
pub(super) fn put(bytes: &[u8]) {
    let mut out = std::io::stdout();
    note_refusal(out.write_all(bytes).and_then(|()| out.flush()));
}

fn note_refusal(written: std::io::Result<()>) {
    if let Err(error) = written {
        let _ = REFUSED.set(error);
    }
}

/// Whether standard output takes what is written: a command without an end of its own ends when it does not.
pub(super) fn is_heard() -> bool {
    REFUSED.get().is_none()
}

/// The end of a result. Who closes the pipe has read enough; anything else that is in its way is a fault.
pub(super) fn end() -> Result<(), Fault> {
    match REFUSED.get() {
        Some(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Fault::new(FaultKind::Io, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a line for whoever looks on.
pub(super) fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Text that stands out where standard output is a terminal and nobody asked for none of it (`NO_COLOR`).
pub(super) fn bold(text: &str) -> String {
    let is_wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if is_wanted && std::io::stdout().is_terminal() {
        format!("\x1b[1m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// Tells how far something long is: a bar that is drawn again and again on a terminal, a line every few seconds
/// elsewhere, nothing when it is over before that.
#[derive(Debug)]
pub(super) struct Progress {
    what: &'static str,
    began: Instant,
    told: Instant,
    is_terminal: bool,
    is_drawn: bool,
}

/// How far something is. `total` is 0 when it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) bytes: u64,
    pub(super) total_bytes: u64,
    pub(super) items: u64,
}

impl Progress {
    pub(super) fn new(what: &'static str) -> Progress {
        let now = Instant::now();
        let is_terminal = std::io::stderr().is_terminal();
        Progress { what, began: now, told: now, is_terminal, is_drawn: false }
    }

    /// Tells it if it is time to.
    pub(super) fn tell(&mut self, done: Done) {
        let pause = if self.is_terminal { TERMINAL_PAUSE } else { PLAIN_PAUSE };
        if self.told.elapsed() < pause {
            return;
        }
        self.told = Instant::now();
        let line = line(self.what, done, self.began.elapsed());
        if self.is_terminal {
            // Back to the line's beginning, and clear what a longer line left.
            let _ = write!(std::io::stderr(), "\r{line}\x1b[K");
            self.is_drawn = true;
        } else {
            note(&line);
        }
    }

    /// How long it has taken.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_drawn {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// One line about how far it is.
fn line(what: &str, done: Done, elapsed: Duration) -> String {
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = done.bytes.saturating_mul(1000) / elapsed_ms;
    let amount = format!("{} items, {}, {}/s", done.items, size(done.bytes), size(rate));
    if done.total_bytes == 0 || rate == 0 {
        return format!("{what}: {amount}");
    }
    let total = done.total_bytes.max(done.bytes);
    let filled = usize::try_from(BAR_CHARS * done.bytes / total).unwrap_or(0);
    let empty = usize::try_from(BAR_CHARS).unwrap_or(0).saturating_sub(filled);
    let percent = 100 * done.bytes / total;
    let left = duration((total - done.bytes) / rate);
    format!("{what}: [{}{}] {percent} %, {amount}, {left} left", "=".repeat(filled), " ".repeat(empty))
}

/// A number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    let [kb, mb, gb] = [1 << 10, 1 << 20, 1 << 30];
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        _ if bytes >= gb => format!("{} GB", tenths(gb)),
        _ if bytes >= mb => format!("{} MB", tenths(mb)),
        _ if bytes >= kb => format!("{} KB", tenths(kb)),
        _ => format!("{bytes} bytes"),
    }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..=99 => format!("{seconds} s"),
        100..=5999 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

/// Text as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_names_amount_rate_and_what_is_left() {
        let at = |bytes, total_bytes| Done { bytes, total_bytes, items: 7 };
        for (done, seconds, expected) in [
            (at(0, 0), 1, "x: 7 items, 0 bytes, 0 bytes/s"),
            (at(3 << 20, 0), 2, "x: 7 items, 3.0 MB, 1.5 MB/s"),
            (
                at(1 << 20, 4 << 20),
                1,
                "x: [======                  ] 25 %, 7 items, 1.0 MB, 1.0 MB/s, 3 s left",
            ),
            (
                at(5 << 20, 4 << 20),
                1,
                "x: [========================] 100 %, 7 items, 5.0 MB, 5.0 MB/s, 0 s left",
            ),
            (
                at(1 << 10, 4 << 20),
                1,
                "x: [                        ] 0 %, 7 items, 1.0 KB, 1.0 KB/s, 68 min left",
            ),
        ] {
            assert_eq!(line("x", done, Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn json_text_is_escaped() {
        assert_eq!(quoted("a\"b\\c\nd\u{e9}"), "\"a\\\"b\\\\c\\u000ad\u{e9}\"");
    }
}
