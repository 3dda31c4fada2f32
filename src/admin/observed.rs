//! The backend with somebody who looks on: some requests are timed and their keys counted, slow ones noted.
//!
//! What it costs a request that is not looked at: two loads and a store of memory that this worker alone writes, and a
//! load of the pulse, which changes a hundred times a second. No clock is read and nothing is locked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::class::{CLASSES, Class};
use super::notes::{BIG_BYTES_MIN, Notes, Slow, first_key, item_of};
use crate::base::command::{Command, Op};
use crate::base::limits::{ADMIN_PULSE_MS, LOG_SLOW_MS};
use crate::base::lsn::Lsn;
use crate::base::metrics::Histogram;
use crate::base::time::{Clock, UnixMs};
use crate::conn::{Ask, Backend, Outbox, Verdict};
use crate::dispatch::Dispatch;
use crate::peer::{Answered, NotNow, Owner, Question};
use crate::proto::{self, Request, Step};

/// One request in so many is sampled, on average.
pub(super) const SAMPLED_EVERY: u32 = 256;
/// When the pulse has changed so often since the request before, and the turn is as old as [`SLOW`], this request is
/// what took long.
const SLOW_PULSES: u32 = 2;
/// What counts as slow.
pub(super) const SLOW: Duration = Duration::from_millis(ADMIN_PULSE_MS);
/// What the log tells of.
const SLOW_LOGGED: Duration = Duration::from_millis(LOG_SLOW_MS);

/// A number that rises every [`ADMIN_PULSE_MS`], never sooner, while somebody can look; else it stands still.
#[derive(Debug, Default)]
pub struct Pulse(AtomicU32);

impl Pulse {
    /// One more.
    pub(super) fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one worker records. That worker alone writes it; whoever looks reads.
#[derive(Debug)]
#[repr(align(128))]
pub struct Recorder {
    /// Requests until the next sample.
    left: AtomicU32,
    /// The pulse after the last request. Each pulse has a sample, so that a quiet server is seen too.
    pulse: AtomicU32,
    /// A stored value of so many bytes is noted.
    big_floor: AtomicUsize,
    /// State of the generator of gaps between samples.
    seed: AtomicU64,
    /// A sampled reply that may not leave yet: since when, as nanoseconds from `epoch`; 0 for none.
    waits_since_ns: AtomicU64,
    waits_for: AtomicU64,
    waits_class: AtomicUsize,
    epoch: Instant,
    latencies: [Histogram; CLASSES],
    /// The worker never waits for it: what it cannot note at once is not noted.
    notes: Mutex<Notes>,
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder {
            left: AtomicU32::new(0),
            pulse: AtomicU32::new(0),
            big_floor: AtomicUsize::new(BIG_BYTES_MIN),
            seed: AtomicU64::new(0x9e37_79b9_7f4a_7c15),
            waits_since_ns: AtomicU64::new(0),
            waits_for: AtomicU64::new(0),
            waits_class: AtomicUsize::new(0),
            epoch: Instant::now(),
            latencies: Default::default(),
            notes: Mutex::default(),
        }
    }
}

impl Recorder {
    /// How long requests of each class took, those that were sampled.
    pub(super) fn latencies(&self) -> impl Iterator<Item = (Class, &Histogram)> {
        Class::ALL.into_iter().zip(&self.latencies)
    }

    /// Looks at the notes. The worker notes nothing meanwhile: be quick.
    pub(super) fn with_notes<T>(&self, look: impl FnOnce(&mut Notes) -> T) -> T {
        look(&mut self.notes.lock())
    }

    /// Lets big items be noted from so many bytes on.
    pub(super) fn set_big_floor(&self, bytes: usize) {
        self.big_floor.store(bytes, Ordering::Relaxed);
    }

    /// Whether this request is one that is looked at.
    #[inline]
    fn is_due(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.wrapping_sub(1), Ordering::Relaxed);
        left == 0
    }

    /// The pulse has gone on: the next request is looked at. How often it has since it was asked last.
    fn follow(&self, pulse: u32) -> u32 {
        let pulses = pulse.wrapping_sub(self.pulse.load(Ordering::Relaxed));
        self.pulse.store(pulse, Ordering::Relaxed);
        self.left.store(0, Ordering::Relaxed);
        pulses
    }

    /// Chooses the next one. The gaps differ: a client that alternates between two commands must not show one alone.
    fn rearm(&self) {
        let mut seed = self.seed.load(Ordering::Relaxed);
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        self.seed.store(seed, Ordering::Relaxed);
        self.left.store((seed >> 32) as u32 % (2 * SAMPLED_EVERY), Ordering::Relaxed);
    }

    fn record(&self, class: Class, took: Duration) {
        if let Some(latencies) = self.latencies.get(class as usize) {
            latencies.record(took);
        }
    }

    /// A sampled reply that waits for the log: it counts until it may leave. One at a time.
    fn wait(&self, class: Class, began: Instant, lsn: Lsn) {
        if self.waits_since_ns.load(Ordering::Relaxed) == 0 {
            let since_ns = began.saturating_duration_since(self.epoch).as_nanos() as u64;
            self.waits_for.store(lsn.0, Ordering::Relaxed);
            self.waits_class.store(class as usize, Ordering::Relaxed);
            self.waits_since_ns.store(since_ns.max(1), Ordering::Relaxed);
        }
    }

    /// The log is safe up to here: whoever waited for that may leave.
    fn settle(&self, safe: Lsn) {
        if self.waits_for.load(Ordering::Relaxed) > safe.0 {
            return;
        }
        let since = Duration::from_nanos(self.waits_since_ns.swap(0, Ordering::Relaxed));
        if since.is_zero() {
            return;
        }
        if let Some(class) = Class::ALL.get(self.waits_class.load(Ordering::Relaxed)) {
            self.record(*class, self.epoch.elapsed().saturating_sub(since));
        }
    }

    fn note_slow(&self, request: &Request<'_>, at: UnixMs, took: Duration, is_exact: bool) {
        if let Some(line) = slow_line(Class::of(request), first_key(&request.command), took) {
            log::warn!("{line}");
        }
        let Some(mut notes) = self.notes.try_lock() else { return };
        let key = first_key(&request.command).into();
        notes.note_slow(Slow { at, class: Class::of(request), key, took, is_exact });
    }

    fn note_big(&self, key: &[u8], bytes: usize) {
        if let Some(mut notes) = self.notes.try_lock() {
            self.set_big_floor(notes.note_big(key, bytes));
        }
    }

    fn is_big(&self, bytes: usize) -> bool {
        bytes >= self.big_floor.load(Ordering::Relaxed)
    }
}

/// The backend of one worker.
pub struct Observed {
    dispatch: Arc<Dispatch>,
    recorder: Arc<Recorder>,
    pulse: Arc<Pulse>,
    clock: Arc<dyn Clock>,
}

impl Observed {
    /// The server's backend as this worker uses it.
    pub fn new(
        dispatch: Arc<Dispatch>,
        recorder: Arc<Recorder>,
        pulse: Arc<Pulse>,
        clock: Arc<dyn Clock>,
    ) -> Observed {
        Observed { dispatch, recorder, pulse, clock }
    }

    #[cold]
    #[inline(never)]
    fn execute_sampled(&self, request: &Request<'_>, ask: &mut Ask<'_>, out: &mut Outbox) -> Verdict {
        self.recorder.rearm();
        let unsent_bytes = out.unsent_bytes();
        let began = Instant::now();
        let verdict = self.dispatch.execute(request, ask, out);
        let took = began.elapsed();
        // What lasted was this request: the next one is not to be blamed.
        self.recorder.pulse.store(self.pulse.read(), Ordering::Relaxed);
        if verdict != Verdict::Done {
            return verdict;
        }
        match out.waits_last().filter(|lsn| *lsn > self.dispatch.safe_lsn()) {
            Some(lsn) => self.recorder.wait(Class::of(request), began, lsn),
            None => self.recorder.record(Class::of(request), took),
        }
        if took >= SLOW {
            self.recorder.note_slow(request, ask.now, took, true);
        }
        if let Some(mut notes) = self.recorder.notes.try_lock() {
            notes.count(&request.command, ask.now);
        }
        let answered_bytes = out.unsent_bytes().saturating_sub(unsent_bytes);
        if let Some((key, bytes)) = item_of(&request.command, answered_bytes)
            && self.recorder.is_big(bytes)
        {
            self.recorder.note_big(key, bytes);
        }
        verdict
    }

    /// The pulse has gone on, some hundred times a second at most: during this request, or while nothing was asked.
    #[cold]
    #[inline(never)]
    fn follow(&self, request: &Request<'_>, at: UnixMs) {
        let pulses = self.recorder.follow(self.pulse.read());
        let turn = Duration::from_millis(self.clock.now().0.saturating_sub(at.0));
        if pulses >= SLOW_PULSES && turn >= SLOW {
            let took = turn.min(SLOW.saturating_mul(pulses - 1));
            self.recorder.note_slow(request, at, took, false);
        }
    }
}

/// What the log says of a request that took so long, if it is worth a line. Nothing of the key can steer a terminal.
fn slow_line(class: Class, key: &[u8], took: Duration) -> Option<String> {
    let line =
        || format!("slow: {} {} took {} ms or more", class.name(), key.escape_ascii(), took.as_millis());
    (took >= SLOW_LOGGED).then(line)
}

impl Backend for Observed {
    fn limits(&self) -> &proto::Limits {
        self.dispatch.limits()
    }

    fn foresee<'s>(&self, steps: impl Iterator<Item = &'s Step<'s>>) {
        self.dispatch.foresee(steps);
    }

    #[inline]
    fn execute(&self, request: &Request<'_>, ask: &mut Ask<'_>, out: &mut Outbox) -> Verdict {
        let recorder = &*self.recorder;
        if recorder.is_due() {
            return self.execute_sampled(request, ask, out);
        }
        let verdict = self.dispatch.execute(request, ask, out);
        if self.pulse.read() != recorder.pulse.load(Ordering::Relaxed) {
            self.follow(request, ask.now);
        }
        if let Command::Keyed(key, Op::Store(store)) = &request.command
            && recorder.is_big(store.value.len())
        {
            recorder.note_big(&key.bytes, store.value.len());
        }
        verdict
    }

    fn repin(&self, before: usize, now: usize) {
        self.dispatch.repin(before, now);
    }

    fn end_turn(&self) {
        self.dispatch.end_turn();
    }

    fn safe_lsn(&self) -> Lsn {
        let safe = self.dispatch.safe_lsn();
        if self.recorder.waits_since_ns.load(Ordering::Relaxed) != 0 {
            self.recorder.settle(safe);
        }
        safe
    }

    fn is_stopped(&self) -> bool {
        self.dispatch.is_stopped()
    }

    fn want_wake(&self, worker: usize) {
        self.dispatch.want_wake(worker);
    }

    fn note_delay(&self, now: UnixMs, waited_s: u32) {
        self.dispatch.note_delay(now, waited_s);
    }

    fn wants_authentication(&self) -> bool {
        self.dispatch.wants_authentication()
    }
}

impl Owner for Observed {
    /// What other servers ask is theirs to measure: a client waits there.
    fn answer(&self, question: &Question<'_>, now: UnixMs) -> Answered {
        self.dispatch.answer(question, now)
    }

    fn answer_part(
        &self,
        asked: (&Question<'_>, &[u8]),
        is_first: bool,
        now: UnixMs,
        parts: &mut Vec<u8>,
    ) -> Result<Lsn, NotNow> {
        self.dispatch.answer_part(asked, is_first, now, parts)
    }

    fn peer_limits(&self) -> &proto::Limits {
        self.dispatch.peer_limits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_gap_between_samples_is_what_it_says_and_no_two_are_alike_for_long() {
        let recorder = Recorder::default();
        let (mut samples, mut odd) = (0, 0);
        for number in 0..1_000_000_u32 {
            if recorder.is_due() {
                recorder.rearm();
                samples += 1;
                odd += number % 2;
            }
        }
        let expected = 1_000_000 / SAMPLED_EVERY;
        assert!(samples > expected * 9 / 10 && samples < expected * 11 / 10, "{samples} of {expected}");
        assert!(odd > samples * 4 / 10 && odd < samples * 6 / 10, "{odd} of {samples} are odd");
    }

    #[test]
    fn every_pulse_has_a_sample() {
        let recorder = Recorder::default();
        recorder.left.store(1000, Ordering::Relaxed);
        assert!(!recorder.is_due());
        assert_eq!((recorder.follow(7), recorder.follow(9)), (7, 2));
        assert!(recorder.is_due());
    }

    #[test]
    fn a_reply_that_waits_counts_until_it_may_leave() {
        let recorder = Recorder::default();
        let count = || recorder.latencies().map(|(_, histogram)| histogram.read().count()).sum::<u64>();
        recorder.wait(Class::Set, Instant::now(), Lsn(5));
        recorder.wait(Class::Get, Instant::now(), Lsn(9));
        for (safe, counted) in [(4, 0), (5, 1)] {
            recorder.settle(Lsn(safe));
            assert_eq!(count(), counted, "safe {safe}");
        }
        assert_eq!(recorder.latencies[Class::Set as usize].read().count(), 1);
    }

    #[test]
    fn the_log_tells_of_slow_requests_in_one_line() {
        for (key, ms, expected) in [
            (&b"k"[..], LOG_SLOW_MS - 1, None),
            (b"k", LOG_SLOW_MS, Some("slow: get k took 100 ms or more")),
            (b"a\x1b[2J\n", 130, Some("slow: get a\\x1b[2J\\n took 130 ms or more")),
        ] {
            let line = slow_line(Class::Get, key, Duration::from_millis(ms));
            assert_eq!(line.as_deref(), expected);
        }
    }
}
