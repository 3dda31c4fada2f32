//! A terminal that one program has for itself: every key comes at once, and what was there before comes back.

use std::io::{IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use terminal_size::{Height, Width, terminal_size};

use crate::base::fault::{Fault, FaultKind};

/// The other screen, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// Back, with one.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// What Ctrl-C, q and Q send.
const ENDS: &[u8] = &[3, b'q', b'Q'];
/// A terminal that does not tell its size, columns and lines.
const SIZE_DEFAULT: (usize, usize) = (80, 24);

/// The terminal, until it is dropped.
pub(super) struct Screen {
    before: Termios,
    /// A signal that ends the process has come.
    ended: Arc<AtomicBool>,
}

impl Screen {
    /// Takes the terminal; `None` when standard input or output is none.
    ///
    /// # Errors
    /// The terminal cannot be set up.
    pub(super) fn take() -> Result<Option<Screen>, Fault> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() || !std::io::stdout().is_terminal() {
            return Ok(None);
        }
        let fault = |error: &dyn std::fmt::Display| {
            Fault::new(FaultKind::Io, format!("cannot set up the terminal: {error}"))
        };
        let ended: Arc<AtomicBool> = Arc::default();
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&ended)).map_err(|error| fault(&error))?;
        }
        let before = tcgetattr(&stdin).map_err(|error| fault(&error))?;
        let mut alone = before.clone();
        alone.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
        // A read gives what there is and does not wait.
        for (index, value) in [(SpecialCharacterIndices::VMIN, 0), (SpecialCharacterIndices::VTIME, 0)] {
            if let Some(slot) = alone.control_chars.get_mut(index as usize) {
                *slot = value;
            }
        }
        tcsetattr(&stdin, SetArg::TCSANOW, &alone).map_err(|error| fault(&error))?;
        let screen = Screen { before, ended };
        write(ENTER);
        Ok(Some(screen))
    }

    /// Columns and lines, as they are now.
    pub(super) fn size(&self) -> (usize, usize) {
        match terminal_size() {
            Some((Width(columns), Height(lines))) if columns > 0 && lines > 0 => {
                (columns.into(), lines.into())
            }
            _ => SIZE_DEFAULT,
        }
    }

    /// Shows these lines, which fit, instead of what was shown.
    pub(super) fn show(&self, lines: &[String]) {
        // Line by line over the old ones: a screen that is cleared first would flicker.
        let body = lines.join("\x1b[K\r\n");
        write(&format!("\x1b[H{body}\x1b[K\x1b[J"));
    }

    /// Waits until `deadline`, or a shorter while when the terminal's size changes; whether to go on.
    pub(super) fn wait(&self, deadline: Instant) -> bool {
        let size = self.size();
        while !self.ended.load(Ordering::Relaxed) {
            let left_ms = deadline.saturating_duration_since(Instant::now()).as_millis();
            if left_ms == 0 || self.size() != size {
                return true;
            }
            let stdin = std::io::stdin();
            let mut waits = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
            let timeout = PollTimeout::try_from(left_ms.min(100)).unwrap_or(PollTimeout::ZERO);
            match poll(&mut waits, timeout) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => {}
                Ok(_) if !self.wants_end() => {}
                _ => return false,
            }
        }
        false
    }

    /// Whether one of the keys that were pressed ends it, or the terminal is gone.
    fn wants_end(&self) -> bool {
        let mut keys = [0; 64];
        match std::io::stdin().read(&mut keys) {
            Ok(0) | Err(_) => true,
            Ok(count) => keys.iter().take(count).any(|key| ENDS.contains(key)),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        write(LEAVE);
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.before);
    }
}

fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}
