//! The rules: what holds for every input.
//!
//! Any split gives the same steps; a step takes at least a byte and no more than were given; a hint says exactly how
//! much is missing; keys, values and opaques are within their limits; a request survives being written and read; its
//! answers are whole lines, or a frame, or nothing; nothing panics.
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::mem::discriminant;
use std::panic::{AssertUnwindSafe, catch_unwind};

use larder::base::command::{Command, Key, Keys, Op, Store};
use larder::base::item::{Item, Marks, Value};
use larder::base::limits::{KEY_BYTES_MAX, LINE_BYTES_MAX, OPAQUE_BYTES_MAX};
use larder::base::reply::{Changed, Created, Denial, Hit, Number, Reply};
use larder::base::time::{Deadline, UnixMs};
use larder::base::version::Version;
use larder::proto::{self, ClassicForm, Form, Request, Step};

use super::{Codec, LIMITS};
use crate::random::Random;

/// Where a step led, or what broke.
type Judged<T> = Result<T, String>;

/// Holds every rule against the input; the places that it led the codec to.
///
/// # Errors
/// The first rule that it breaks, in words.
pub(crate) fn check(codec: &Codec, input: &[u8]) -> Judged<Vec<u64>> {
    let judged = catch_unwind(AssertUnwindSafe(|| judge(codec, input)));
    judged.unwrap_or_else(|_| Err("it panics".into()))
}

fn judge(codec: &Codec, input: &[u8]) -> Judged<Vec<u64>> {
    let whole = Stream::play(codec, input, &[], true)?;
    let every: Vec<usize> = (0..input.len()).collect();
    let mut random = Random::new(hash_of(&input));
    let mut some: Vec<usize> = (0..3).map(|_| random.below(input.len() as u64 + 1) as usize).collect();
    some.sort_unstable();
    for cuts in [every, some] {
        let split = Stream::play(codec, input, &cuts, false)?;
        if !split.agrees_with(&whole) {
            return Err(format!("cut at {cuts:?}: {:?}, whole: {:?}", split.steps, whole.steps));
        }
    }
    Ok(whole.places)
}

/// A connection without a socket: what it has received and not used, and what it was told about that.
struct Stream<'a> {
    codec: &'a Codec,
    bytes: Vec<u8>,
    /// Bytes to throw away before the next request.
    swallow: u64,
    /// Bytes without which another try is useless.
    total: usize,
    searched: usize,
    closed: bool,
    /// Closed by a line that was too long while it had not ended: the one case where the split matters.
    too_long: bool,
    /// Whether the rules about single steps are held too.
    is_thorough: bool,
    steps: Vec<String>,
    places: Vec<u64>,
}

impl Stream<'_> {
    /// Plays the input in pieces that end at `cuts`.
    fn play<'a>(codec: &'a Codec, input: &[u8], cuts: &[usize], is_thorough: bool) -> Judged<Stream<'a>> {
        let mut stream = Stream {
            codec,
            bytes: Vec::new(),
            swallow: 0,
            total: 0,
            searched: 0,
            closed: false,
            too_long: false,
            is_thorough,
            steps: Vec::new(),
            places: Vec::new(),
        };
        let mut start = 0;
        for end in cuts.iter().copied().chain([input.len()]) {
            stream.receive(&input[start..end])?;
            start = end;
        }
        Ok(stream)
    }

    /// The same steps and the same rest, but for the line that was too long to wait for its end.
    fn agrees_with(&self, whole: &Stream<'_>) -> bool {
        match self.steps.split_last() {
            Some((_, before)) if self.too_long => whole.steps.starts_with(before),
            _ => self.steps == whole.steps && self.bytes == whole.bytes,
        }
    }

    fn receive(&mut self, bytes: &[u8]) -> Judged<()> {
        if !self.closed {
            self.bytes.extend_from_slice(bytes);
        }
        while !self.closed {
            let swallowed = self.bytes.len().min(usize::try_from(self.swallow).unwrap());
            self.bytes.drain(..swallowed);
            self.swallow -= swallowed as u64;
            if self.swallow > 0 || self.bytes.is_empty() || self.bytes.len() < self.total || !self.step()? {
                break;
            }
        }
        Ok(())
    }

    /// Takes one step; answers whether another may follow.
    fn step(&mut self) -> Judged<bool> {
        let bytes = std::mem::take(&mut self.bytes);
        let given = bytes.len();
        let step = (self.codec.decode)(&bytes, self.searched);
        let ended = !matches!(step, Step::NeedMore { .. });
        if ended && self.searched > 0 && shown(&step) != shown(&(self.codec.decode)(&bytes, 0)) {
            return Err(format!(
                "searched {} bytes in vain, and it matters: {}",
                self.searched,
                shown(&step)
            ));
        }
        if self.is_thorough {
            self.single_step(&bytes, &step)?;
        }
        let (length, swallow) = match step {
            Step::NeedMore { total, searched } => {
                if total <= given || searched > given {
                    return Err(format!("asks for {total}, searched {searched}, of {given}"));
                }
                (self.total, self.searched, self.bytes) = (total, searched, bytes);
                return Ok(false);
            }
            Step::Request { length, swallow, .. }
            | Step::Reject { length, swallow, .. }
            | Step::Refuse { length, swallow, .. } => (length, swallow),
            Step::Close => (given, 0),
        };
        if !(1..=given).contains(&length) {
            return Err(format!("takes {length} of {given}: {}", shown(&step)));
        }
        self.steps.push(shown(&step));
        self.closed = matches!(step, Step::Close | Step::Refuse { closes: true, .. });
        self.too_long =
            self.closed && self.codec.has_lines && given > LINE_BYTES_MAX && !bytes.contains(&b'\n');
        self.bytes = if self.closed { Vec::new() } else { bytes[length..].to_vec() };
        (self.swallow, self.total, self.searched) = (swallow, 0, 0);
        Ok(true)
    }

    /// The rules about one step.
    fn single_step(&mut self, bytes: &[u8], step: &Step<'_>) -> Judged<()> {
        let place = place(step);
        let last = self.places.last().copied().unwrap_or_default();
        self.places.extend([place, hash_of(&(last, place)), place]);
        match step {
            Step::NeedMore { total, .. } => hint_is_exact(self.codec, bytes, *total),
            Step::Request { request, .. } => {
                limits_hold(request)?;
                survives_writing(self.codec, request)?;
                answers_are_whole(request)
            }
            _ => Ok(()),
        }
    }
}

/// With `total` bytes, whatever the missing ones are, there is a step or a larger hint; with one less there is neither.
fn hint_is_exact(codec: &Codec, bytes: &[u8], total: usize) -> Judged<()> {
    for filler in [b'\n', b'a', 0] {
        let mut longer = bytes.to_vec();
        longer.resize(total - 1, filler);
        let before = shown(&(codec.decode)(&longer, 0));
        if before != format!("more {total}") {
            return Err(format!("asks for {total}, has {}, and is told {before}", longer.len()));
        }
        longer.push(filler);
        match (codec.decode)(&longer, 0) {
            Step::NeedMore { total: again, .. } if again <= total => {
                return Err(format!("asks for {total}, gets them and asks for {again}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Nothing longer than allowed gets past the codec.
fn limits_hold(request: &Request<'_>) -> Judged<()> {
    let is_key = |key: &[u8]| (1..=KEY_BYTES_MAX).contains(&key.len());
    let holds = match &request.command {
        Command::Keyed(key, Op::Store(store)) => {
            is_key(&key.bytes) && LIMITS.fits(key.bytes.len(), store.value.len())
        }
        Command::Keyed(key, _) => is_key(&key.bytes),
        Command::Read(keys, _) => {
            let keys = words(keys.0);
            !keys.is_empty() && keys.iter().all(|key| is_key(key))
        }
        _ => true,
    };
    // `me` looks at no flags, and what is answered to a value that is too large has none.
    let is_flagless = matches!(request.command, Command::Keyed(_, Op::Inspect | Op::Oversized { .. }));
    let is_opaque = |flag: &&[u8]| flag.starts_with(b"O");
    let opaque_holds = match &request.form {
        Form::Meta(form) if !is_flagless => {
            words(form.flags).into_iter().filter(is_opaque).all(|flag| flag.len() <= OPAQUE_BYTES_MAX + 1)
        }
        _ => true,
    };
    if holds && opaque_holds { Ok(()) } else { Err(format!("beyond a limit: {}", shown_request(request))) }
}

/// A request that has a text reads as the same again.
fn survives_writing(codec: &Codec, request: &Request<'_>) -> Judged<()> {
    let mut text = Vec::new();
    if !(codec.write)(request, &mut text) {
        return Ok(());
    }
    match (codec.decode)(&text, 0) {
        Step::Request { request: again, length, swallow: 0 }
            if length == text.len() && shown_request(&again) == shown_request(request) =>
        {
            Ok(())
        }
        step => Err(format!("{} was written and reads {}", shown_request(request), shown(&step))),
    }
}

/// Every answer that a request about one key can get is whole, and nothing where none is wanted.
fn answers_are_whole(request: &Request<'_>) -> Judged<()> {
    let Command::Keyed(key, _) = &request.command else { return Ok(()) };
    for reply in replies() {
        let mut out = Vec::new();
        proto::encode_reply(&request.form, key, &reply, &mut out);
        let is_whole = match request.form {
            Form::Classic(ClassicForm { noreply: true, .. }) => out.is_empty(),
            Form::Binary(_) => out.is_empty() || is_frame(&out),
            _ => out.is_empty() || out.ends_with(b"\r\n"),
        };
        if !is_whole {
            return Err(format!("{reply:?} is told as {:?}", String::from_utf8_lossy(&out)));
        }
    }
    Ok(())
}

/// Whether this is one answering frame, whose lengths are true.
fn is_frame(answer: &[u8]) -> bool {
    let Some((header, body)) = answer.split_first_chunk::<24>() else { return false };
    let body_bytes = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
    let head_bytes = usize::from(header[4]) + usize::from(u16::from_be_bytes([header[2], header[3]]));
    header[0] == 0x81 && body_bytes as usize == body.len() && head_bytes <= body.len()
}

/// One reply of every kind.
fn replies() -> [Reply<'static>; 15] {
    const NOW: UnixMs = UnixMs(1_700_000_000_000);
    const ITEM: Item<'static> = Item {
        value: Value::Plain(b"value"),
        client_flags: u32::MAX,
        deadline: Deadline::NEVER,
        version: Version(1 << 40),
        cas: u64::MAX,
        meta_version: Version(1 << 41),
        marks: Marks::BINARY_KEY,
        accessed_s: u32::MAX,
    };
    let hit = Hit {
        item: &ITEM,
        deadline: Deadline::PAST,
        now: NOW,
        held: false,
        won: true,
        stale: true,
        taken: true,
        created: false,
    };
    let number = Number {
        value: u64::MAX,
        cas: 0,
        deadlines: [Deadline::NEVER, Deadline::PAST],
        created: false,
        now: NOW,
    };
    [
        Reply::Hit(hit),
        Reply::Hit(Hit { held: true, won: false, ..hit }),
        Reply::Created(Created {
            cas: u64::MAX,
            deadline: Deadline::PAST,
            marks: Marks::BINARY_KEY,
            now: NOW,
            held: false,
        }),
        Reply::Miss,
        Reply::Stored(Changed { cas: u64::MAX, value_bytes: usize::MAX, deadline: Deadline::NEVER }),
        Reply::NotStored,
        Reply::Exists,
        Reply::NotFound,
        Reply::Deleted,
        Reply::Touched,
        Reply::Number(number),
        Reply::Inspected(hit),
        Reply::Denied(Denial::TooLarge),
        Reply::Denied(Denial::DiskFull),
        Reply::Quiet,
    ]
}

/// What a step is: two that mean the same are shown the same.
fn shown(step: &Step<'_>) -> String {
    match step {
        Step::NeedMore { total, .. } => format!("more {total}"),
        Step::Close => "close".into(),
        Step::Refuse { refusal, length, swallow, closes } => {
            format!("refuse {length}+{swallow} {refusal:?} closes {closes}")
        }
        Step::Reject { reply, length, swallow } => {
            format!("reject {length}+{swallow} {}", String::from_utf8_lossy(reply))
        }
        Step::Request { request, length, swallow } => {
            format!("{length}+{swallow} {}", shown_request(request))
        }
    }
}

/// A request without what the writer is free to choose: the spaces between words.
fn shown_request(request: &Request<'_>) -> String {
    let command = match &request.command {
        Command::Read(keys, get) => format!("read {:?} {get:?}", keys_of(*keys)),
        Command::Watch(kinds) => format!("watch {:?}", words(kinds)),
        Command::Keyed(key, Op::Store(store)) => {
            let facts = Store { value: b"", ..*store };
            format!("{} {facts:?} {}:{:x}", shown_key(key), store.value.len(), hash_of(&store.value))
        }
        Command::Keyed(key, op) => format!("{} {op:?}", shown_key(key)),
        command => format!("{command:?}"),
    };
    match &request.form {
        Form::Meta(form) => {
            let flags: Vec<String> =
                words(form.flags).iter().map(|flag| flag.escape_ascii().to_string()).collect();
            format!("{command} {:?}", proto::MetaForm { flags: b"", ..*form }) + &flags.join(" ")
        }
        form => format!("{command} {form:?}"),
    }
}

fn shown_key(key: &Key<'_>) -> String {
    format!("{}{}", key.bytes.escape_ascii(), if key.binary { " b64" } else { "" })
}

fn keys_of(keys: Keys<'_>) -> Vec<String> {
    words(keys.0).iter().map(|key| key.escape_ascii().to_string()).collect()
}

fn words(text: &[u8]) -> Vec<&[u8]> {
    text.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect()
}

/// What kind of step it is, whatever its keys and values.
fn place(step: &Step<'_>) -> u64 {
    match step {
        Step::NeedMore { total, .. } => hash_of(&("more", total.ilog2())),
        Step::Close => hash_of(&"close"),
        Step::Refuse { refusal, swallow, closes, .. } => {
            hash_of(&(refusal.status as u16, *swallow > 0, *closes))
        }
        Step::Reject { reply, swallow, .. } => hash_of(&(reply, *swallow > 0)),
        Step::Request { request, swallow, .. } => {
            let command = match &request.command {
                Command::Keyed(key, op) => hash_of(&(discriminant(op), key.binary)),
                command => hash_of(&discriminant(command)),
            };
            let form = match &request.form {
                Form::Meta(form) => hash_of(&(form.verb as u8, words(form.flags).iter().map(|f| f[0]).max())),
                form => hash_of(&format!("{form:?}")),
            };
            hash_of(&(command, form, *swallow > 0))
        }
    }
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
