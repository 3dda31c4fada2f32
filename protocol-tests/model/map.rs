//! What a memcached is, in a plain map: written from the contract on the wire and from nothing of the server.
use std::collections::BTreeMap;

use super::request::{Flags, Request};

/// What stands in an expected reply for a cas that the server is free to choose.
pub(crate) const CAS: &str = "{cas}";
/// Up to here an exptime counts from now.
const RELATIVE_MAX_S: i64 = 60 * 60 * 24 * 30;
/// A unix second that has always passed.
const PAST_S: i64 = 1;

/// One item.
#[derive(Clone, Debug)]
struct Item {
    value: Vec<u8>,
    flags: u32,
    /// Unix second of its end, 0 for none.
    deadline_s: i64,
    /// Known when a client chose or saw it.
    cas: Option<u64>,
    stale: bool,
    won: bool,
}

/// A memcached.
#[derive(Clone, Default)]
pub(crate) struct Map {
    items: BTreeMap<String, Item>,
    pub(crate) now_s: i64,
    flush_at_s: Option<i64>,
}

/// Below every cas that the server chooses, above every one that clients choose or guess here.
const CAS_FLOOR: u64 = 1 << 60;

impl Map {
    /// A key's cas, if somebody has seen it.
    pub(crate) fn seen_cas(&self, key: &str) -> Option<u64> {
        self.items.get(key).and_then(|item| item.cas)
    }

    /// Remembers a cas that a reply has shown.
    pub(crate) fn learn_cas(&mut self, key: &str, cas: u64) {
        if let Some(item) = self.items.get_mut(key) {
            item.cas = Some(cas);
        }
    }

    /// Takes out what has died.
    fn age(&mut self) {
        let now_s = self.now_s;
        if self.flush_at_s.is_some_and(|at_s| at_s <= now_s) {
            self.items.clear();
            self.flush_at_s = None;
        }
        self.items.retain(|_, item| item.deadline_s == 0 || item.deadline_s > now_s);
    }

    fn deadline(&self, exptime: i64) -> i64 {
        match exptime {
            0 => 0,
            i64::MIN..0 => PAST_S,
            1..=RELATIVE_MAX_S => self.now_s + exptime,
            unix_s => unix_s,
        }
    }

    /// Executes one request; the reply that it must get, with [`CAS`] where the server chooses.
    pub(crate) fn execute(&mut self, request: &Request) -> Vec<u8> {
        self.age();
        let reply = match request {
            Request::Get { keys, cas, touch } => self.get(keys, *cas, *touch),
            Request::Store { verb, key, flags, exptime, value, cas } => {
                self.store(verb, key, *flags, *exptime, value, *cas).into()
            }
            Request::Delete(key) => {
                if self.items.remove(key).is_some() { "DELETED" } else { "NOT_FOUND" }.into()
            }
            Request::Count { key, up, delta } => self.count(key, *up, *delta),
            Request::Touch { key, exptime } => {
                let deadline_s = self.deadline(*exptime);
                match self.items.get_mut(key) {
                    Some(item) => {
                        item.deadline_s = deadline_s;
                        "TOUCHED".into()
                    }
                    None => "NOT_FOUND".into(),
                }
            }
            Request::FlushAll(None) => {
                self.items.clear();
                self.flush_at_s = None;
                "OK".into()
            }
            Request::FlushAll(Some(delay_s)) => {
                self.flush_at_s = Some(self.now_s + delay_s);
                "OK".into()
            }
            Request::Mg { key, flags } => return self.mg(key, flags),
            Request::Ms { key, value, flags } => self.ms(key, value, flags),
            Request::Md { key, flags } => self.md(key, flags),
            Request::Ma { key, flags } => self.ma(key, flags),
        };
        self.age();
        if reply.is_empty() { Vec::new() } else { [reply.as_slice(), b"\r\n"].concat() }
    }

    fn get(&mut self, keys: &[String], cas: bool, touch: Option<i64>) -> Vec<u8> {
        let mut reply = Vec::new();
        let deadline_s = touch.map(|exptime| self.deadline(exptime));
        for key in keys {
            let Some(item) = self.items.get_mut(key) else { continue };
            let shown = if cas { format!(" {}", shown(item.cas)) } else { String::new() };
            reply.extend_from_slice(
                format!("VALUE {key} {} {}{shown}\r\n", item.flags, item.value.len()).as_bytes(),
            );
            reply.extend_from_slice(&item.value);
            reply.extend_from_slice(b"\r\n");
            item.deadline_s = deadline_s.unwrap_or(item.deadline_s);
            self.age();
        }
        reply.extend_from_slice(b"END");
        reply
    }

    fn store(
        &mut self,
        verb: &str,
        key: &str,
        flags: u32,
        exptime: i64,
        value: &[u8],
        cas: u64,
    ) -> &'static str {
        let deadline_s = self.deadline(exptime);
        let fresh = Item { value: value.to_vec(), flags, deadline_s, cas: None, stale: false, won: false };
        let old = self.items.get_mut(key);
        match (verb, old) {
            ("add", Some(_)) | ("replace" | "append" | "prepend", None) => return "NOT_STORED",
            ("cas", None) => return "NOT_FOUND",
            ("cas", Some(old)) if old.cas != Some(cas) => return "EXISTS",
            ("append" | "prepend", Some(old)) => old.extend(verb == "append", value),
            _ => drop(self.items.insert(key.into(), fresh)),
        }
        "STORED"
    }

    fn count(&mut self, key: &str, up: bool, delta: u64) -> Vec<u8> {
        match self.items.get_mut(key).map(|item| item.count(up, delta)) {
            None => b"NOT_FOUND".to_vec(),
            Some(None) => NOT_A_NUMBER.into(),
            Some(Some(number)) => number.to_string().into_bytes(),
        }
    }

    fn mg(&mut self, key: &str, flags: &Flags) -> Vec<u8> {
        let deadline_s = flags.number('T').map(|exptime| self.deadline(exptime));
        let created_s = flags.number('N').map(|exptime| self.deadline(exptime));
        let soon_s = flags.number('R').map(|exptime| self.deadline(exptime));
        let mut marks = String::new();
        let made = match (self.items.contains_key(key), created_s) {
            (true, _) => false,
            (false, None) if flags.has('q') => return Vec::new(),
            (false, None) => return format!("EN{}\r\n", flags.echo(key, "kO", |_| None)).into_bytes(),
            (false, Some(deadline_s)) => {
                let item =
                    Item { value: Vec::new(), flags: 0, deadline_s, cas: None, stale: false, won: true };
                self.items.insert(key.into(), item);
                true
            }
        };
        let now_s = self.now_s;
        let Some(item) = self.items.get_mut(key) else { return Vec::new() };
        if item.won && !made {
            marks.push_str(" Z");
        }
        if item.stale {
            marks.push_str(" X");
        }
        let is_due = soon_s.is_some_and(|soon_s| item.deadline_s != 0 && item.deadline_s < soon_s);
        if made || (item.stale || is_due) && !item.won {
            marks.push_str(" W");
            item.won = true;
        }
        item.deadline_s = deadline_s.unwrap_or(item.deadline_s);
        let shown = flags.echo(key, "fstckO", |flag| item.fact(flag, now_s));
        let mut reply = if flags.has('v') {
            let mut reply = format!("VA {}{shown}{marks}\r\n", item.value.len()).into_bytes();
            reply.extend_from_slice(&item.value);
            reply
        } else {
            format!("HD{shown}{marks}").into_bytes()
        };
        reply.extend_from_slice(b"\r\n");
        self.age();
        reply
    }

    fn ms(&mut self, key: &str, value: &[u8], flags: &Flags) -> Vec<u8> {
        let mode = flags.text('M').unwrap_or("S");
        let compare = flags.number('C').map(|cas| cas as u64).or(flags.cas('C'));
        let fresh = Item {
            value: value.to_vec(),
            flags: flags.number('F').unwrap_or(0) as u32,
            deadline_s: self.deadline(flags.number('T').unwrap_or(0)),
            cas: flags.number('E').map(|cas| cas as u64),
            stale: false,
            won: false,
        };
        let word = match (mode, self.items.get_mut(key)) {
            ("E", Some(_)) => "NS",
            ("R" | "S", None) if compare.is_some() => "NF",
            ("R", None) => "NS",
            ("A" | "P", None) => match flags.number('N') {
                Some(exptime) => {
                    let deadline_s = self.deadline(exptime);
                    self.items.insert(key.into(), Item { deadline_s, ..fresh });
                    "HD"
                }
                None => "NS",
            },
            ("A" | "P", Some(old)) if compare.is_some_and(|cas| old.cas != Some(cas)) => {
                let _ = old;
                "EX"
            }
            ("A" | "P", Some(old)) => {
                old.extend(mode == "A", value);
                old.cas = fresh.cas;
                "HD"
            }
            ("R" | "S", Some(old)) if compare.is_some_and(|cas| old.cas != Some(cas)) => {
                // An unknown cas is one that the server chose.
                let is_lower = compare.is_some_and(|cas| cas < old.cas.unwrap_or(CAS_FLOOR));
                if flags.has('I') && is_lower {
                    *old = Item { stale: true, won: old.won, deadline_s: old.deadline_s, ..fresh };
                    "HD"
                } else {
                    "EX"
                }
            }
            _ => {
                self.items.insert(key.into(), fresh);
                "HD"
            }
        };
        if flags.has('q') && word == "HD" {
            return Vec::new();
        }
        let cas = self.items.get(key).and_then(|item| item.cas);
        let shown = flags
            .echo(key, "kOc", |_| Some(if word == "HD" { format!("c{}", shown(cas)) } else { "c0".into() }));
        format!("{word}{shown}").into_bytes()
    }

    fn md(&mut self, key: &str, flags: &Flags) -> Vec<u8> {
        let compare = flags.number('C').map(|cas| cas as u64).or(flags.cas('C'));
        let deadline_s = flags.number('T').map(|exptime| self.deadline(exptime));
        let word = match self.items.get_mut(key) {
            None => "NF",
            Some(item) if compare.is_some_and(|cas| item.cas != Some(cas)) => "EX",
            Some(item) if flags.has('x') => {
                *item = Item {
                    value: Vec::new(),
                    flags: 0,
                    deadline_s: deadline_s.unwrap_or(0),
                    cas: item.cas.filter(|_| !flags.has('I')),
                    stale: flags.has('I'),
                    won: false,
                };
                "HD"
            }
            Some(item) if flags.has('I') => {
                (item.stale, item.won, item.cas) = (true, false, None);
                item.deadline_s = deadline_s.unwrap_or(item.deadline_s);
                "HD"
            }
            Some(_) => {
                self.items.remove(key);
                "HD"
            }
        };
        if flags.has('q') && word == "HD" {
            return Vec::new();
        }
        format!("{word}{}", flags.echo(key, "kO", |_| None)).into_bytes()
    }

    fn ma(&mut self, key: &str, flags: &Flags) -> Vec<u8> {
        let is_up = flags.text('M').unwrap_or("I") == "I";
        let delta = flags.number('D').unwrap_or(1) as u64;
        let deadline_s = flags.number('T').map(|exptime| self.deadline(exptime));
        let created = (flags.number('N'), flags.number('J').unwrap_or(0) as u64);
        let now_s = self.now_s;
        let number = match (self.items.get_mut(key), created) {
            (Some(item), _) => {
                let Some(number) = item.count(is_up, delta) else { return NOT_A_NUMBER.into() };
                number
            }
            (None, (None, _)) => return format!("NF{}", flags.echo(key, "kO", |_| None)).into_bytes(),
            (None, (Some(exptime), number)) => {
                let item = Item {
                    value: number.to_string().into_bytes(),
                    flags: 0,
                    deadline_s: self.deadline(exptime),
                    cas: None,
                    stale: false,
                    won: false,
                };
                self.items.insert(key.into(), item);
                number
            }
        };
        let Some(item) = self.items.get_mut(key) else { return Vec::new() };
        item.deadline_s = deadline_s.unwrap_or(item.deadline_s);
        if flags.has('q') {
            return Vec::new();
        }
        let shown = flags.echo(key, "tckO", |flag| item.fact(flag, now_s));
        let text = number.to_string();
        if flags.has('v') {
            return format!("VA {}{shown}\r\n{text}", text.len()).into_bytes();
        }
        format!("HD{shown}").into_bytes()
    }
}

/// What counting of anything else is answered.
const NOT_A_NUMBER: &str = "CLIENT_ERROR cannot increment or decrement non-numeric value";

impl Item {
    fn extend(&mut self, behind: bool, more: &[u8]) {
        self.value = if behind { [&self.value, more].concat() } else { [more, &self.value].concat() };
        (self.cas, self.stale, self.won) = (None, false, false);
    }

    /// Counts; `None` when this is no number.
    fn count(&mut self, up: bool, delta: u64) -> Option<u64> {
        let digits: String =
            self.value.iter().take_while(|byte| byte.is_ascii_digit()).map(|byte| *byte as char).collect();
        let ends = self.value.get(digits.len()).is_none_or(|byte| *byte == b' ');
        if !ends || digits.len() > 20 {
            return None;
        }
        let number: u64 = digits.parse().ok()?;
        let number = if up { number.wrapping_add(delta) } else { number.saturating_sub(delta) };
        let width = self.value.len().min(20);
        self.value = format!("{number:<width$}").into_bytes();
        self.cas = None;
        Some(number)
    }

    fn fact(&self, flag: char, now_s: i64) -> Option<String> {
        match flag {
            'f' => Some(format!("f{}", self.flags)),
            's' => Some(format!("s{}", self.value.len())),
            't' if self.deadline_s == 0 => Some("t-1".into()),
            't' => Some(format!("t{}", self.deadline_s - now_s)),
            'c' => Some(format!("c{}", shown(self.cas))),
            _ => None,
        }
    }
}

fn shown(cas: Option<u64>) -> String {
    cas.map_or(CAS.into(), |cas| cas.to_string())
}
