//! A log that does not drown: warnings and complaints that come again and again from one place of the code are left
//! out, and counted.

use std::collections::HashMap;
use std::time::Instant;

use log::{Level, Log, Metadata, Record};
use parking_lot::Mutex;

use crate::base::limits::{LOG_LINES_MAX, LOG_WINDOW_MS};

/// A place in the code that writes lines: file and line. There are as many as there are such places.
type Place = (&'static str, u32);

/// What one place has written lately.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    since_ms: u64,
    lines: u32,
    left_out: u64,
}

impl Window {
    /// Whether a line at this moment is written; if so, how many before it were not.
    fn let_through(&mut self, now_ms: u64) -> Option<u64> {
        if now_ms.saturating_sub(self.since_ms) >= LOG_WINDOW_MS {
            let left_out = self.left_out;
            *self = Window { since_ms: now_ms, lines: 1, left_out: 0 };
            return Some(left_out);
        }
        if self.lines < LOG_LINES_MAX {
            self.lines += 1;
            return Some(0);
        }
        self.left_out += 1;
        None
    }
}

/// Any log, with that limit in front. What informs passes: it is rare by nature, or was asked for.
pub struct Limited<L> {
    log: L,
    began: Instant,
    windows: Mutex<HashMap<Place, Window>>,
}

impl<L: Log> Limited<L> {
    /// In front of this log.
    pub fn new(log: L) -> Limited<L> {
        Limited { log, began: Instant::now(), windows: Mutex::default() }
    }

    fn let_through(&self, record: &Record<'_>) -> Option<u64> {
        let (Some(file), Some(line)) = (record.file_static(), record.line()) else { return Some(0) };
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.windows.lock().entry((file, line)).or_default().let_through(now_ms)
    }
}

impl<L: Log> Log for Limited<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.log.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if record.level() > Level::Warn {
            return self.log.log(record);
        }
        match self.let_through(record) {
            None => {}
            Some(0) => self.log.log(record),
            Some(left_out) => {
                let args = *record.args();
                let mut copy = Record::builder();
                copy.metadata(record.metadata().clone()).module_path(record.module_path());
                copy.file(record.file()).line(record.line());
                self.log
                    .log(&copy.args(format_args!("{args} (and {left_out} like it were left out)")).build());
            }
        }
    }

    fn flush(&self) {
        self.log.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_window_has_so_many_lines_and_the_next_counts_what_was_left_out() {
        let mut window = Window::default();
        let most = u64::from(LOG_LINES_MAX);
        for line in 0..most {
            assert_eq!(window.let_through(line), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(window.let_through(LOG_WINDOW_MS - 1), None);
        }
        assert_eq!(window.let_through(LOG_WINDOW_MS), Some(7));
        assert_eq!(window.let_through(LOG_WINDOW_MS + 1), Some(0));
        assert_eq!(window.let_through(2 * LOG_WINDOW_MS), Some(0));
    }

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<String>>>);

    impl Log for Kept {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &Record<'_>) {
            self.0.lock().push(record.args().to_string());
        }

        fn flush(&self) {}
    }

    #[test]
    fn places_are_limited_one_by_one_and_only_complaints() {
        let kept = Kept::default();
        let limited = Limited::new(kept.clone());
        for (line, level, expected) in
            [(1, Level::Warn, LOG_LINES_MAX), (2, Level::Error, LOG_LINES_MAX), (3, Level::Info, 50)]
        {
            for _ in 0..50 {
                let mut record = Record::builder();
                record.level(level).file_static(Some("here.rs")).line(Some(line));
                limited.log(&record.args(format_args!("x")).build());
            }
            assert_eq!(std::mem::take(&mut *kept.0.lock()).len(), expected as usize, "{level}");
        }
    }
}
