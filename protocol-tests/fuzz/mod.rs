//! Fuzzing of the codecs: bytes that were requests once, and what must hold for all of them.
//!
//! The ordinary run gives every codec a few thousand inputs. A long one is a command of its own:
//!
//! ```text
//! LARDER_FUZZ_SECONDS=3600 cargo test --release --test protocol-tests -- --nocapture fuzz::classic
//! ```
//!
//! `LARDER_FUZZ_SEED` repeats a run. An input that breaks a rule is made as short as it can be and printed in the form
//! of `kept/*.txt`; put it there together with the repair: those are played first, every time.
//!
//! `check` holds the rules, `grammar` and `frames` write requests, `mutate` spoils them, `pool` remembers the inputs that led the
//! codec where none had before. Start reading at [`fuzz`].
mod check;
mod frames;
mod grammar;
mod mutate;
mod pool;
mod shrink;

use std::env;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use larder::proto::{self, Limits, Protocols, Request, Step};

use crate::random::Random;
use crate::skips;
use crate::transcript::text::{Part, escaped, parts};
use pool::Pool;

/// What the codecs are told of the configuration: items so small that values over the limit stay short.
const LIMITS: Limits = Limits {
    item_bytes_max: 1024,
    flush_enabled: true,
    dump_enabled: true,
    watch_enabled: true,
    shutdown_enabled: true,
    protocols: Protocols::Any,
    sasl: false,
};
/// Inputs of the ordinary run.
const SHORT_RUN: u64 = 4000;
/// How often a long run tells how far it is.
const REPORT_INTERVAL: Duration = Duration::from_secs(30);

/// A codec, and what its requests are made of.
pub(crate) struct Codec {
    /// Also the name of its file of kept inputs.
    name: &'static str,
    /// Whether a line that has not ended may be too long.
    has_lines: bool,
    /// Reads the first step.
    decode: for<'a> fn(&'a [u8], usize) -> Step<'a>,
    /// Writes a request again, if it has a text.
    write: fn(&Request<'_>, &mut Vec<u8>) -> bool,
    /// Writes a request of the codec's grammar.
    grammar: fn(&mut Random, &mut Vec<u8>),
    /// Words that mean something to it.
    words: &'static [&'static [u8]],
    /// Folders of transcripts whose requests are its corpus.
    transcripts: &'static [&'static str],
}

#[test]
fn classic() {
    fuzz(&Codec {
        name: "classic",
        has_lines: true,
        decode: |bytes, searched| proto::decode(bytes, searched, &LIMITS),
        write: |request, out| proto::write_request(request, out),
        grammar: grammar::classic,
        words: grammar::CLASSIC_WORDS,
        transcripts: &["classic/", "expiry/", "framing/", "stats/"],
    });
}

#[test]
fn meta() {
    fuzz(&Codec {
        name: "meta",
        has_lines: true,
        decode: |bytes, searched| proto::decode(bytes, searched, &LIMITS),
        write: |request, out| proto::write_request(request, out),
        grammar: grammar::meta,
        words: grammar::META_WORDS,
        transcripts: &["meta/", "framing/"],
    });
}

#[test]
fn binary() {
    fuzz(&Codec {
        name: "binary",
        has_lines: false,
        decode: |bytes, _| proto::binary::decode(bytes, false, &LIMITS),
        write: |request, out| proto::write_request(request, out),
        grammar: frames::frame,
        words: frames::WORDS,
        transcripts: &["binary/"],
    });
}

#[test]
fn sasl() {
    fuzz(&Codec {
        name: "sasl",
        has_lines: false,
        decode: |bytes, _| proto::binary::decode(bytes, false, &Limits { sasl: true, ..LIMITS }),
        write: |request, out| proto::write_request(request, out),
        grammar: frames::frame,
        words: frames::WORDS,
        transcripts: &[],
    });
}

#[test]
fn unauthenticated() {
    fuzz(&Codec {
        name: "unauthenticated",
        has_lines: true,
        decode: proto::decode_unauthenticated,
        write: |request, out| proto::write_request(request, out),
        grammar: grammar::authentication,
        words: grammar::CLASSIC_WORDS,
        transcripts: &[],
    });
}

/// A request of any protocol, now and then one that lies: for tests that look at more than a codec.
pub(crate) fn request(random: &mut Random, out: &mut Vec<u8>) {
    match random.below(3) {
        0 => grammar::classic(random, out),
        1 => grammar::meta(random, out),
        _ => frames::frame(random, out),
    }
}

/// Gives the codec input after input until the run is over.
///
/// # Panics
/// When an input breaks a rule.
fn fuzz(codec: &Codec) {
    for input in kept(codec.name) {
        assess(codec, &input, "kept");
    }
    let seconds = env::var("LARDER_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let seed = env::var("LARDER_FUZZ_SEED").ok().and_then(|text| text.parse().ok());
    // Without a seed a long run goes where none has been; the ordinary one repeats itself.
    let seed = seed.unwrap_or_else(|| seconds.map_or(1, |_| u64::from(std::process::id())));
    let mut course = Course::begin(codec.name, seed, seconds);
    let mut random = Random::new(seed);
    let mut pool = Pool::of(codec);
    while course.goes_on(pool.len()) {
        let input = pool.next(codec, &mut random);
        let places = assess(codec, &input, &format!("seed {seed}"));
        pool.learn(input, &places);
    }
}

/// What an input led the codec to. One that breaks a rule is shortened first, and then told.
fn assess(codec: &Codec, input: &[u8], origin: &str) -> Vec<u64> {
    match check::check(codec, input) {
        Ok(places) => places,
        Err(first) => {
            let (short, what) = shrink::shortest(codec, input, first);
            panic!("{}, {origin}: {what}\n  input: {}", codec.name, written(&short));
        }
    }
}

/// A run: how long it lasts and what it tells.
struct Course {
    name: &'static str,
    seed: u64,
    limit: Option<Duration>,
    begun: Instant,
    reported: Instant,
    executions: u64,
}

impl Course {
    fn begin(name: &'static str, seed: u64, seconds: Option<u64>) -> Course {
        let begun = Instant::now();
        Course { name, seed, limit: seconds.map(Duration::from_secs), begun, reported: begun, executions: 0 }
    }

    /// Counts one more input, unless the run is over.
    fn goes_on(&mut self, kept: usize) -> bool {
        let over = match self.limit {
            // The clock is looked at now and then only.
            Some(limit) => self.executions.is_multiple_of(256) && self.begun.elapsed() >= limit,
            None => self.executions >= SHORT_RUN,
        };
        let is_long = self.limit.is_some() && self.executions.is_multiple_of(256);
        if over || is_long && self.reported.elapsed() >= REPORT_INTERVAL {
            self.report(kept);
        }
        self.executions += u64::from(!over);
        !over
    }

    fn report(&mut self, kept: usize) {
        self.reported = Instant::now();
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        skips::say(&format!(
            "fuzz {}: {} executions, seed {}, {:.0} executions/s, {kept} inputs in the pool, {seconds:.0} s",
            self.name,
            self.executions,
            self.seed,
            self.executions as f64 / seconds,
        ));
    }
}

/// The inputs that broke a rule once.
fn kept(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("protocol-tests/fuzz/kept/{name}.txt"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| read(line).unwrap_or_else(|what| panic!("{}: {what}: {line}", path.display()))).collect()
}

/// An input as a line of a file of kept inputs.
fn written(input: &[u8]) -> String {
    let line = escaped(input);
    let (start, line) = line.strip_prefix('#').map_or(("", line.as_str()), |rest| ("\\x23", rest));
    let body = line.trim_end_matches(' ');
    format!("{start}{body}{}", "\\x20".repeat(line.len() - body.len()))
}

/// The input that such a line says.
fn read(line: &str) -> Result<Vec<u8>, String> {
    match &parts(line)?[..] {
        [] => Ok(Vec::new()),
        [Part::Bytes(bytes)] => Ok(bytes.clone()),
        _ => Err("only plain bytes are kept".into()),
    }
}

#[test]
fn what_is_written_is_read_again() {
    for input in [&b"get a  \r\n"[..], b"#", b"  ", b"\x80\0\xff{a*3}\\", b"mg \xc3\xa4 v\r\n\t "] {
        assert_eq!(read(&written(input)).unwrap(), input, "{}", written(input));
    }
}
