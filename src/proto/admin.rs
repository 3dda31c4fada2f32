//! The commands that are not about keys: flush_all, stats, version, verbosity, quit and administration.

use super::line::{Words, ends_with_noreply, exptime, number_i64, number_u32};
use super::{ClassicForm, Limits, Parsed, Request, texts};
use crate::base::command::{Command, DumpForm, Refused, ShutdownMode, StatsTopic, Tuning};
use crate::base::limits::{MEMLIMIT_MB_MAX, MEMLIMIT_MB_MIN, SLAB_CLASSES, VERBOSITY_MAX};

/// What `extstore` sets.
const EXTSTORE_NUMBERS: [&[u8]; 8] = [
    b"item_size",
    b"item_age",
    b"low_ttl",
    b"recache_rate",
    b"compact_under",
    b"drop_under",
    b"max_sleep",
    b"free_memchunks",
];
/// The most `lru tune` shares together, percent.
const LRU_SHARES_MAX: u32 = 80;
/// The longest `lru_crawler sleep`, microseconds.
const CRAWLER_SLEEP_MAX_US: u32 = 1_000_000;
/// The least and the most of `slabs automove window`, in looks at the slabs.
const AUTOMOVE_WINDOW_MIN: u32 = 3;
const AUTOMOVE_WINDOW_MAX: u32 = 1800;

/// A command that memcached has for its own workings: answered, and nothing else.
type Answer = &'static [u8];

/// Understands `verb` with the words behind it; `None` when it is no command of these.
pub(super) fn decode<'a>(verb: &[u8], args: &'a [u8], limits: &Limits) -> Option<Parsed<'a>> {
    let quietly = ClassicForm { noreply: ends_with_noreply(args), with_cas: false };
    let (form, parsed) = match verb {
        b"version" => (ClassicForm::default(), Ok(Command::Version)),
        b"quit" => (ClassicForm::default(), Ok(Command::Quit)),
        b"stats" => (ClassicForm::default(), stats(args, limits).map(Command::Stats)),
        b"watch" => (ClassicForm::default(), watch(args, limits)),
        b"backup" => (ClassicForm::default(), backup(args, limits)),
        b"flush_all" => (quietly, Ok(flush_all(args, quietly, limits))),
        b"verbosity" => (quietly, verbosity(args)),
        b"cache_memlimit" => (quietly, cache_memlimit(args)),
        b"shutdown" => (quietly, shutdown(args, limits)),
        b"lru_crawler" => (quietly, lru_crawler(args, limits)),
        b"lru" => (quietly, lru(args).map(tuning)),
        b"slabs" => (quietly, slabs(args).map(tuning)),
        b"extstore" => (quietly, extstore(args).map(tuning)),
        b"refresh_certs" => (quietly, Ok(Command::Tuning(Tuning::RefreshCerts))),
        _ => return None,
    };
    Some(match parsed {
        Ok(command) => Ok(Request::classic(command, form)),
        Err(reply) => Err(form.unless_quiet(reply)),
    })
}

fn tuning<'a>(answer: Answer) -> Command<'a> {
    Command::Tuning(Tuning::Answer(answer))
}

/// A delay of zero or less is none.
fn flush_all<'a>(args: &[u8], form: ClassicForm, limits: &Limits) -> Command<'a> {
    if !limits.flush_enabled {
        return Command::Refused(Refused::Flush, texts::FLUSH_OFF);
    }
    let mut words = Words(args);
    match (words.next(), words.next()) {
        (None, _) => Command::FlushAll(None),
        (Some(_), None) if form.noreply => Command::FlushAll(None),
        (Some(delay), _) => match exptime(delay) {
            Some(delay) => Command::FlushAll(Some(delay).filter(|delay| delay.0 > 0)),
            None => Command::Refused(Refused::Flush, texts::BAD_EXPTIME),
        },
    }
}

fn verbosity<'a>(args: &[u8]) -> Result<Command<'a>, Answer> {
    let level = Words(args).next().and_then(number_u32).ok_or(texts::BAD_LINE)?;
    Ok(Command::Verbosity(level.min(VERBOSITY_MAX)))
}

fn cache_memlimit<'a>(args: &[u8]) -> Result<Command<'a>, Answer> {
    let megabytes = Words(args).next().and_then(number_u32).ok_or(texts::ERROR)?;
    match u64::from(megabytes) {
        ..MEMLIMIT_MB_MIN => Err(texts::MEMLIMIT_SMALL),
        megabytes @ MEMLIMIT_MB_MIN..=MEMLIMIT_MB_MAX => Ok(Command::CacheMemlimit(megabytes)),
        _ => Err(texts::MEMLIMIT_LARGE),
    }
}

fn shutdown<'a>(args: &[u8], limits: &Limits) -> Result<Command<'a>, Answer> {
    if !limits.shutdown_enabled {
        return Err(texts::SHUTDOWN_OFF);
    }
    let mut words = Words(args);
    match (words.next(), words.next()) {
        (None, _) => Ok(Command::Shutdown(ShutdownMode::Now)),
        (Some(b"graceful"), None) => Ok(Command::Shutdown(ShutdownMode::Graceful)),
        _ => Err(texts::BAD_SHUTDOWN),
    }
}

fn watch<'a>(args: &'a [u8], limits: &Limits) -> Result<Command<'a>, Answer> {
    if !limits.watch_enabled {
        return Err(texts::WATCH_OFF);
    }
    Ok(Command::Watch(args))
}

/// Larder's own: `backup` alone.
fn backup<'a>(args: &[u8], limits: &Limits) -> Result<Command<'a>, Answer> {
    match Words(args).next() {
        None if limits.dump_enabled => Ok(Command::Backup),
        None => Err(texts::BACKUP_OFF),
        Some(_) => Err(texts::ERROR),
    }
}

/// What figures the words behind `stats` ask for.
pub(super) fn stats<'a>(args: &'a [u8], limits: &Limits) -> Result<StatsTopic<'a>, Answer> {
    let mut words = Words(args);
    let Some(topic) = words.next() else { return Ok(StatsTopic::General) };
    Ok(match topic {
        b"settings" => StatsTopic::Settings,
        b"items" => StatsTopic::Items,
        b"slabs" => StatsTopic::Slabs,
        b"sizes" => StatsTopic::Sizes,
        b"conns" => StatsTopic::Conns,
        b"reset" => StatsTopic::Reset,
        b"extstore" => StatsTopic::Extstore,
        b"larder" => StatsTopic::Larder,
        b"groups" => StatsTopic::Groups,
        b"detail" if !limits.dump_enabled => return Err(texts::DETAIL_OFF),
        b"detail" => stats_detail(words)?,
        b"cachedump" if !limits.dump_enabled => return Err(texts::CACHEDUMP_OFF),
        b"cachedump" => stats_cachedump(words)?,
        _ => return Err(texts::ERROR),
    })
}

fn stats_detail<'a>(mut words: Words<'_>) -> Result<StatsTopic<'a>, Answer> {
    match words.next() {
        Some(b"on") => Ok(StatsTopic::DetailOn),
        Some(b"off") => Ok(StatsTopic::DetailOff),
        Some(b"dump") => Ok(StatsTopic::DetailDump),
        _ => Err(texts::BAD_DETAIL),
    }
}

fn stats_cachedump<'a>(mut words: Words<'_>) -> Result<StatsTopic<'a>, Answer> {
    let (Some(class), Some(limit)) = (words.next(), words.next()) else {
        return Err(texts::BAD_STATS_LINE);
    };
    match (number_u32(class), number_u32(limit)) {
        (Some(class), Some(limit)) if class < SLAB_CLASSES => Ok(StatsTopic::CacheDump(class, limit)),
        (Some(_), Some(_)) => Err(texts::BAD_SLAB),
        _ => Err(texts::BAD_LINE),
    }
}

fn lru_crawler<'a>(args: &[u8], limits: &Limits) -> Result<Command<'a>, Answer> {
    let mut words = Words(args);
    match [words.next(), words.next(), words.next()] {
        [Some(b"enable"), None, _] => Ok(Command::Tuning(Tuning::Crawler(true))),
        [Some(b"disable"), None, _] => Ok(Command::Tuning(Tuning::Crawler(false))),
        [Some(b"metadump"), Some(_), None] if !limits.dump_enabled => Err(texts::METADUMP_OFF),
        [Some(b"mgdump"), Some(_), None] if !limits.dump_enabled => Err(texts::MGDUMP_OFF),
        [Some(b"metadump"), Some(classes), None] => dump(classes, DumpForm::Meta),
        [Some(b"mgdump"), Some(classes), None] => dump(classes, DumpForm::Mget),
        [Some(b"crawl"), Some(classes), None] if are_classes(classes) => Ok(Command::Tuning(Tuning::Crawl)),
        [Some(b"crawl"), Some(_), None] => Err(texts::BAD_CLASS),
        [Some(b"tocrawl"), Some(count), None] => {
            number_u32(count).map(|_| tuning(texts::OK)).ok_or(texts::BAD_LINE)
        }
        [Some(b"sleep"), Some(sleep_us), None] => match number_u32(sleep_us) {
            Some(0..=CRAWLER_SLEEP_MAX_US) => Ok(tuning(texts::OK)),
            Some(_) => Err(texts::SLEEP_LONG),
            None => Err(texts::BAD_LINE),
        },
        _ => Err(texts::ERROR),
    }
}

/// All keys, or those of some slab classes: there is only one class here, so that is all of them too.
fn dump<'a>(classes: &[u8], form: DumpForm) -> Result<Command<'a>, Answer> {
    if classes == b"hash" || are_classes(classes) { Ok(Command::Dump(form)) } else { Err(texts::BAD_CLASS) }
}

/// `all`, or numbers of slab classes between commas.
fn are_classes(text: &[u8]) -> bool {
    text == b"all"
        || text
            .split(|byte| *byte == b',')
            .all(|class| number_u32(class).is_some_and(|class| (1..SLAB_CLASSES).contains(&class)))
}

fn slabs(args: &[u8]) -> Result<Answer, Answer> {
    let mut words = Words(args);
    match [words.next(), words.next(), words.next(), words.next()] {
        [Some(b"reassign"), Some(from), Some(to), None] => slabs_reassign(from, to),
        [Some(b"automove"), Some(b"ratio" | b"freeratio"), factor, _] => is_decimal(factor),
        [Some(b"automove"), Some(b"window"), window, _] => match window.and_then(number_u32) {
            Some(AUTOMOVE_WINDOW_MIN..=AUTOMOVE_WINDOW_MAX) => Ok(texts::OK),
            Some(_) => Err(texts::BAD_WINDOW),
            None => Err(texts::BAD_LINE),
        },
        [Some(b"automove"), Some(level), ..] => match number_u32(level) {
            Some(0..=2) => Ok(texts::OK),
            Some(_) => Err(texts::ERROR),
            None => Err(texts::BAD_LINE),
        },
        _ => Err(texts::ERROR),
    }
}

fn slabs_reassign(from: &[u8], to: &[u8]) -> Result<Answer, Answer> {
    let (Some(from), Some(to)) = (number_i64(from), number_i64(to)) else { return Err(texts::BAD_LINE) };
    let classes = 0..i64::from(SLAB_CLASSES);
    match (from, to) {
        _ if from == to => Err(texts::SAME_CLASS),
        // From wherever there is a page.
        (-1, _) if classes.contains(&to) => Err(texts::NO_SPARE),
        _ if classes.contains(&from) && classes.contains(&to) => Err(texts::NO_SPARE),
        _ => Err(texts::BAD_CLASSES),
    }
}

fn lru(args: &[u8]) -> Result<Answer, Answer> {
    let mut words = Words(args);
    match (words.next(), words.next()) {
        (Some(b"mode"), Some(b"flat" | b"segmented")) => Ok(texts::OK),
        (Some(b"temp_ttl"), Some(ttl)) => number_i64(ttl).map(|_| texts::OK).ok_or(texts::ERROR),
        (Some(b"tune"), Some(hot)) => lru_tune(hot, words),
        _ => Err(texts::ERROR),
    }
}

fn lru_tune(hot: &[u8], mut words: Words<'_>) -> Result<Answer, Answer> {
    let hot = number_u32(hot).ok_or(texts::ERROR)?;
    let warm = words.next().and_then(number_u32).ok_or(texts::ERROR)?;
    let factors = [words.next(), words.next()].map(|word| word.and_then(decimal));
    match factors {
        [Some(_), Some(_)] if hot.saturating_add(warm) > LRU_SHARES_MAX => Err(texts::LRU_SHARES),
        [Some(hot), Some(warm)] if hot > 0.0 && warm > 0.0 => Ok(texts::OK),
        [Some(_), Some(_)] => Err(texts::LRU_FACTORS),
        _ => Err(texts::ERROR),
    }
}

fn extstore(args: &[u8]) -> Result<Answer, Answer> {
    let mut words = Words(args);
    match (words.next(), words.next()) {
        (Some(b"max_frag"), factor) => is_decimal(factor),
        (Some(b"drop_unread"), Some(flag)) => number_u32(flag).map(|_| texts::OK).ok_or(texts::ERROR),
        (Some(name), Some(number)) if EXTSTORE_NUMBERS.contains(&name) => {
            number_u32(number).map(|_| texts::OK).ok_or(texts::ERROR)
        }
        _ => Err(texts::ERROR),
    }
}

fn is_decimal(word: Option<&[u8]>) -> Result<Answer, Answer> {
    word.and_then(decimal).map(|_| texts::OK).ok_or(texts::ERROR)
}

/// A number with a fraction.
fn decimal(word: &[u8]) -> Option<f64> {
    std::str::from_utf8(word).ok()?.parse().ok().filter(|number: &f64| number.is_finite())
}
