//! The meta commands: mg, ms, md, ma, me, and the flags they share.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::line::{Block, Line, Words, exptime, number_i32, number_u32, number_u64, value_bytes};
use super::{Form, Limits, Parsed, Request, Step, storage, texts};
use crate::base::command::{Arith, Command, CountedAs, Delete, Direction, Get, Key, Op, Store, StoreMode};
use crate::base::limits::{KEY_BYTES_MAX, META_WORDS_MAX, OPAQUE_BYTES_MAX};
use crate::base::search::split_word;
use crate::base::time::Exptime;

/// How the answer to a meta command is shown: the flags themselves are walked again when it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetaForm<'a> {
    /// Which command.
    pub verb: MetaVerb,
    /// The words behind the key (and behind the length of `ms`).
    pub flags: &'a [u8],
    /// The nominal answer is not sent (`q`).
    pub quiet: bool,
    /// The value is sent (`v`).
    pub with_value: bool,
    /// The length of the value that was sent (`ms`), bytes.
    pub value_bytes: u32,
}

/// Which meta command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaVerb {
    /// `mg`.
    Get,
    /// `ms`.
    Store,
    /// `md`.
    Delete,
    /// `ma`.
    Arith,
    /// `me`.
    Inspect,
}

/// What the flags say. All commands understand the flags of all others, and pass over what means nothing to them.
#[derive(Default)]
struct Flags {
    compare: Option<u64>,
    delta: Option<u64>,
    new_cas: Option<u64>,
    client_flags: u32,
    invalidate: bool,
    initial: Option<u64>,
    mode: Option<u8>,
    vivify: Option<Exptime>,
    /// The last of `N` and `T`: what an item that is created gets.
    created: Option<Exptime>,
    /// There was a `T` before the `R`.
    touches_first: bool,
    opaque_bytes: usize,
    quiet: bool,
    recache_below_s: Option<i32>,
    touch: Option<Exptime>,
    unnoticed: bool,
    value: bool,
    clear_value: bool,
}

/// The mode of an `M` without one.
const NO_MODE: u8 = b' ';
/// Words of a line that memcached looks at while it takes it apart, the command's included.
const SPLIT_WORDS_MAX: usize = 23;
/// Base64 as memcached reads it: the bits that padding leaves over are not looked at.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// mg.
pub(super) fn get<'a>(args: &'a [u8]) -> Parsed<'a> {
    let (name, text) = split_word(args).ok_or(texts::BAD_LINE)?;
    let (key, flags) = Flags::read(name, text, 2).map_err(|reply| wrong(reply, text))?;
    flags.check_opaque()?;
    let get = Get {
        touch: flags.touch,
        vivify: flags.vivify.and(flags.created),
        touches_first: flags.touches_first,
        recache_below_s: flags.recache_below_s,
        held_cas: flags.compare,
        new_cas: flags.new_cas,
        unnoticed: flags.unnoticed,
        counted_as: CountedAs::Meta,
    };
    Ok(flags.request(key, Op::Get(get), MetaVerb::Get, text))
}

/// md.
pub(super) fn delete<'a>(args: &'a [u8]) -> Parsed<'a> {
    let (name, text) = split_word(args).ok_or(texts::BAD_LINE)?;
    let (key, flags) = Flags::read(name, text, 2).map_err(|reply| wrong(reply, text))?;
    flags.check_opaque()?;
    let delete = Delete {
        compare: flags.compare,
        new_cas: flags.new_cas,
        invalidate: flags.invalidate,
        exptime: flags.touch,
        clear_value: flags.clear_value,
        client_flags: flags.client_flags,
    };
    Ok(flags.request(key, Op::Delete(delete), MetaVerb::Delete, text))
}

/// ma. Whatever is wrong with its key or flags has one answer.
pub(super) fn arith<'a>(args: &'a [u8]) -> Parsed<'a> {
    let (name, text) = split_word(args).ok_or(texts::BAD_LINE)?;
    let (key, flags) = Flags::read(name, text, 2).map_err(|_| wrong(texts::META_ARITH_FLAG, text))?;
    let direction = match flags.mode {
        None | Some(b'I' | b'+') => Direction::Incr,
        Some(b'D' | b'-') => Direction::Decr,
        Some(_) => return Err(texts::META_ARITH_MODE),
    };
    flags.check_opaque()?;
    let arith = Arith {
        direction,
        delta: flags.delta.unwrap_or(1),
        // Only here does a zero match every item.
        compare: flags.compare.filter(|cas| *cas != 0),
        new_cas: flags.new_cas,
        initial: flags.vivify.and(flags.created).map(|exptime| (flags.initial.unwrap_or(0), exptime)),
        touch: flags.touch,
    };
    Ok(flags.request(key, Op::Arith(arith), MetaVerb::Arith, text))
}

/// me. Of its flags only a `b` right behind the key is looked at.
pub(super) fn inspect<'a>(args: &'a [u8]) -> Parsed<'a> {
    let (name, text) = split_word(args).ok_or(texts::BAD_LINE)?;
    if name.len() > KEY_BYTES_MAX || !are_flags(text, 2) {
        return Err(texts::BAD_LINE);
    }
    let key = match Words(text).next() {
        Some(b"b") => decode_key(name).ok_or(texts::BAD_LINE)?,
        _ => Key::plain(name),
    };
    Ok(Flags::default().request(key, Op::Inspect, MetaVerb::Inspect, text))
}

/// ms. As with the classic storage commands the value is thrown away with whatever is refused, once its length is known.
pub(super) fn store<'a>(line: &Line<'a>, args: &'a [u8], limits: &Limits) -> Step<'a> {
    let mut words = Words(args);
    let (Some(name), Some(length)) = (words.next(), words.next()) else {
        return line.reject(texts::BAD_LINE);
    };
    let Some(value_bytes) = value_bytes(length) else { return line.reject(texts::BAD_LINE) };
    let text = words.0;
    let parsed = Flags::read(name, text, 3).and_then(|(key, flags)| Ok((key, flags.store()?, flags)));
    let (key, store, flags) = match parsed {
        Ok(parsed) => parsed,
        Err(_) if !are_flags(text, 3) => return line.reject(texts::BAD_LINE),
        Err(reply) => return line.reject_with_value(reply, value_bytes),
    };
    if !limits.fits(key.bytes.len(), value_bytes) {
        let form = flags.form(MetaVerb::Store, text, value_bytes);
        return storage::oversized(line, key, true, value_bytes, form);
    }
    if let Err(reply) = flags.check_opaque() {
        return line.reject_with_value(reply, value_bytes);
    }
    match line.block(value_bytes) {
        Block::Partial { total } => Step::NeedMore { total, searched: 0 },
        Block::Broken { length } => storage::broken(flags.form(MetaVerb::Store, text, value_bytes), length),
        Block::Whole { value, length } => {
            let command = Command::Keyed(key, Op::Store(Store { value, ..store }));
            let request = Request { command, form: flags.form(MetaVerb::Store, text, value_bytes) };
            Step::Request { request, length, swallow: 0 }
        }
    }
}

/// The answer to flags that are wrong: a line that cannot even be taken apart is a bad line, whatever else it is.
fn wrong(reply: &'static [u8], text: &[u8]) -> &'static [u8] {
    if are_flags(text, 2) { reply } else { texts::BAD_LINE }
}

/// Whether each word begins with a letter, a digit or one of the marks between `Z` and `a`.
fn are_flags(text: &[u8], words_before: usize) -> bool {
    let mut words = Words(text).take(SPLIT_WORDS_MAX - words_before);
    words.all(|word| word.first().is_some_and(|first| matches!(first, b'A'..=b'z' | b'0'..=b'9')))
}

impl Flags {
    /// The key and the flags behind it; `words_before` is what of the limit on words is used before the flags.
    ///
    /// A number that is none does not end the reading: of several errors the last one is told.
    fn read<'a>(
        name: &'a [u8],
        text: &'a [u8],
        words_before: usize,
    ) -> Result<(Key<'a>, Flags), &'static [u8]> {
        if name.len() > KEY_BYTES_MAX {
            return Err(texts::BAD_LINE);
        }
        let words_max = META_WORDS_MAX - words_before;
        // Every word takes a space too: a short text need not be counted.
        if text.len() > 2 * words_max && Words(text).nth(words_max).is_some() {
            return Err(texts::META_LONG);
        }
        let mut flags = Flags::default();
        let mut key = Key::plain(name);
        let (mut failed, mut reply) = (false, texts::BAD_LINE);
        let mut seen = 0u64;
        for word in Words(text) {
            let Some((flag, token)) = word.split_first() else { continue };
            if !flag.is_ascii_alphabetic() {
                return Err(texts::META_UNKNOWN);
            }
            // No two letters share their lower six bits.
            let bit = 1 << (flag & 63);
            if seen & bit != 0 {
                return Err(texts::META_DUPLICATE);
            }
            seen |= bit;
            match flags.set(*flag, token, name, &mut key) {
                Ok(()) => {}
                Err(Wrong::Flag) => return Err(texts::META_UNKNOWN),
                Err(Wrong::ClientFlags) => failed = true,
                Err(Wrong::Token(text)) => (failed, reply) = (true, text),
            }
        }
        if failed { Err(reply) } else { Ok((key, flags)) }
    }

    /// Takes one flag and its token.
    fn set<'a>(&mut self, flag: u8, token: &[u8], name: &'a [u8], key: &mut Key<'a>) -> Result<(), Wrong> {
        let bad_token = Wrong::Token(texts::META_TOKEN);
        match flag {
            b'b' => *key = decode_key(name).ok_or(Wrong::Token(texts::META_KEY))?,
            b'C' => self.compare = Some(number_u64(token).ok_or(bad_token)?),
            b'D' => self.delta = Some(number_u64(token).ok_or(Wrong::Token(texts::META_DELTA))?),
            b'E' => self.new_cas = Some(number_u64(token).ok_or(bad_token)?),
            b'F' => self.client_flags = number_u32(token).ok_or(Wrong::ClientFlags)?,
            b'I' => self.invalidate = true,
            b'J' => self.initial = Some(number_u64(token).ok_or(Wrong::Token(texts::META_INITIAL))?),
            b'M' => self.mode = Some(token.first().copied().unwrap_or(NO_MODE)),
            b'N' => {
                self.vivify = Some(exptime(token).ok_or(bad_token)?);
                self.created = self.vivify;
            }
            b'O' => self.opaque_bytes = token.len(),
            b'q' => self.quiet = true,
            b'R' => {
                self.recache_below_s = Some(number_i32(token).ok_or(bad_token)?);
                self.touches_first = self.touch.is_some();
            }
            b'T' => {
                self.touch = Some(exptime(token).ok_or(bad_token)?);
                self.created = self.touch;
            }
            b'u' => self.unnoticed = true,
            b'v' => self.value = true,
            b'x' => self.clear_value = true,
            // Asked for in the answer only, or reserved for those who stand between client and server.
            b'c' | b'f' | b'h' | b'k' | b'l' | b's' | b't' | b'L' | b'P' => {}
            _ => return Err(Wrong::Flag),
        }
        Ok(())
    }

    /// What to store, still without its value.
    fn store<'a>(&self) -> Result<Store<'a>, &'static [u8]> {
        let mode = match self.mode {
            None | Some(b'S') => StoreMode::Set,
            Some(b'E') => StoreMode::Add,
            Some(b'A') => StoreMode::Append,
            Some(b'P') => StoreMode::Prepend,
            // With a cas to compare there must be an item anyway, and its absence is then told in that way.
            Some(b'R') if self.compare.is_some() => StoreMode::Set,
            Some(b'R') => StoreMode::Replace,
            Some(_) => return Err(texts::META_STORE_MODE),
        };
        let joins = matches!(mode, StoreMode::Append | StoreMode::Prepend);
        Ok(Store {
            mode,
            value: b"",
            client_flags: self.client_flags,
            exptime: self.touch.unwrap_or_default(),
            compare: self.compare,
            new_cas: self.new_cas,
            invalidate: self.invalidate && self.compare.is_some() && mode == StoreMode::Set,
            vivify: self.vivify.filter(|_| joins),
        })
    }

    /// Whether the opaque can be echoed. Told only when nothing else is wrong.
    fn check_opaque(&self) -> Result<(), &'static [u8]> {
        if self.opaque_bytes > OPAQUE_BYTES_MAX { Err(texts::META_OPAQUE) } else { Ok(()) }
    }

    /// A request that carries no value.
    fn request<'a>(&self, key: Key<'a>, op: Op<'a>, verb: MetaVerb, text: &'a [u8]) -> Request<'a> {
        Request { command: Command::Keyed(key, op), form: self.form(verb, text, 0) }
    }

    /// How the answer is shown.
    fn form<'a>(&self, verb: MetaVerb, text: &'a [u8], value_bytes: usize) -> Form<'a> {
        Form::Meta(MetaForm {
            verb,
            flags: text,
            quiet: self.quiet,
            with_value: self.value,
            value_bytes: u32::try_from(value_bytes).unwrap_or(u32::MAX),
        })
    }
}

/// What is wrong with a flag.
enum Wrong {
    /// It is not known: nothing behind it is looked at.
    Flag,
    /// `F` without a number: told as a bad line unless something else is wrong too.
    ClientFlags,
    /// Its token, with the answer to it.
    Token(&'static [u8]),
}

/// A key given in base64. As in memcached, bytes outside of the alphabet are passed over, and what follows the padding
/// is not looked at.
fn decode_key(name: &[u8]) -> Option<Key<'static>> {
    let mut text: Vec<u8> = name.iter().copied().filter(|byte| is_base64(*byte)).collect();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    if let Some(padding) = memchr::memchr(b'=', &text) {
        text.truncate(padding / 4 * 4 + 4);
    }
    let bytes = BASE64.decode(text).ok().filter(|bytes| !bytes.is_empty())?;
    Some(Key { bytes: Cow::Owned(bytes), binary: true })
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}
