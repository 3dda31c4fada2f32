//! Random pipelines: requests of every kind, most of them well-formed, the others wrong in one place.
use super::known::{self, Known};
use crate::random::Random;

/// Bytes of one request: a line, and the value that belongs to it. In a line `{c0}` stands for the first cas that the
/// preparation has shown, `{c0-}` for the number before it.
pub(crate) type Request = Vec<u8>;

/// What is sent: first the preparation, which is well-formed, then, once it is answered, the rest.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    pub(crate) preparation: Vec<Request>,
    pub(crate) requests: Vec<Request>,
    /// Bytes of one piece when it is not sent at once.
    pub(crate) piece: Option<usize>,
    /// Whether the counters of `stats` are compared behind it.
    pub(crate) counted: bool,
}

const COUNTING: [&[u8]; 3] = [b"incr ", b"decr ", b"ma "];
const GROWING: [&[u8]; 5] = [b"append ", b"prepend ", b"incr ", b"decr ", b"ma "];
const SHOWING: [&[u8]; 4] = [b"get", b"gat", b"mg ", b"me "];
const KEYS: [&str; 6] = ["a", "b", "p:c", "dd", "foo", "e\u{7f}\u{e9}\t"];
/// Keys for the flag `b`: `foo` twice (once with bits left over), bytes that are no text, not base64 at all, and one
/// whose letters are not of the alphabet.
const BASE64_KEYS: [&str; 6] = ["Zm9v", "Zm9=", "AAEC", "YQ==", "abc", "Zm-9v"];
const VALUES: [&str; 16] = [
    "",
    "1",
    "5",
    "10",
    "0",
    "007",
    "5 ",
    " 5",
    "-5",
    "12x",
    "18446744073709551615",
    "18446744073709551616",
    "99999",
    "value",
    "two\r\nlines",
    "get a",
];
const NUMBERS: [&str; 18] = [
    "0",
    "1",
    "2",
    "5",
    "100",
    "4294967295",
    "4294967296",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999",
    "-1",
    "+5",
    "007",
    "1x",
    "x",
];
const EXPTIMES: [&str; 12] =
    ["0", "0", "0", "100", "1000", "-1", "2592000", "2592001", "100000", "4294967296", "1x", "x"];
const FLAGS: [&str; 12] =
    ["0", "0", "5", "77", "4294967295", "4294967296", "-1", "x", "1x", "+5", "007", "18446744073709551616"];
/// More than any cas that a server gives.
const HIGH: &str = "9223372036854775807";
/// What of the words above 1.6.18 reads otherwise, and what it is sent instead. 1.6.45 refuses signs, and numbers of more
/// than 32 bits where it keeps no more; such a difference is listed once for each kind of word. A number from 2^63 up is
/// no number to 1.6.18 when a `-` stands anywhere behind it, be it in a later request or left from an earlier one.
const OLD_WORDS: [(&str, &str); 8] = [
    ("+5", "5"),
    ("2147483648", "2147483647"),
    ("4294967295", "1000"),
    ("4294967296", "100000"),
    ("9223372036854775808", "9223372036854775807"),
    ("18446744073709551615", "9223372036854775806"),
    ("18446744073709551616", "1x"),
    ("99999999999999999999999", "x"),
];
const CAS: [&str; 12] =
    ["{c0}", "{c0}", "{c0}", "{c1}", "{c2}", "{c0-}", "{c0-}", HIGH, "0", "18446744073709551615", "x", "-1"];
const DECIMALS: [&str; 6] = ["0", "1", "2", "5", "10", "18446744073709551615"];

/// A generator of pipelines.
pub(crate) struct Generator {
    random: Random,
    known: &'static [Known],
    /// Whether the other server knows everything that 1.6.45 does.
    is_newest: bool,
    /// Whether the meta request at hand is one that is answered after it took effect: mg and ma.
    shows: bool,
}

impl Generator {
    /// One for a server of whom these differences are known.
    pub(crate) fn new(seed: u64, known: &'static [Known]) -> Generator {
        let is_newest = std::ptr::eq(known, known::of("1.6.45"));
        Generator { random: Random::new(seed), known, is_newest, shows: false }
    }

    pub(crate) fn pipeline(&mut self) -> Pipeline {
        let count = 1 + self.random.below(12);
        let mut requests: Vec<Request> = (0..count).map(|_| self.request()).collect();
        // What makes a value longer makes memcached forget that its key was given in base64: it comes first.
        if requests.iter().any(|request| request.starts_with(b"ms ") && has_word(request, "b")) {
            requests.sort_by_key(|request| !grows(request));
        }
        // While an answer that shows an item has not left, memcached does not write a number over the old one, and then
        // the number is not padded. So what shows items comes last where there is counting.
        if requests.iter().any(|request| COUNTING.iter().any(|verb| request.starts_with(verb))) {
            requests.sort_by_key(|request| SHOWING.iter().any(|verb| request.starts_with(verb)));
        }
        Pipeline {
            preparation: self.preparation(),
            requests,
            piece: self.one_in(4).then(|| 1 + self.random.below(40) as usize),
            counted: self.one_in(10),
        }
    }

    /// Stores some keys and asks for the cas of each, so that there are three to speak of.
    fn preparation(&mut self) -> Vec<Request> {
        let mut all: Vec<Request> =
            vec![b"flush_all\r\n".to_vec(), b"stats detail off\r\n".to_vec(), b"stats reset\r\n".to_vec()];
        for _ in 0..3 {
            let (key, value, flags) = (self.key(), self.pick(&VALUES), self.pick(&["0", "7"]));
            let exptime = self.pick(&["0", "0", "500"]);
            let old = self.one_in(3);
            all.push(with_value(&format!("set {key} {flags} {exptime} {}", value.len()), value.as_bytes()));
            if old {
                all.push(format!("mg {key} c\r\n").into());
                all.push(format!("append {key} 0 0 1\r\n1\r\n").into());
            }
            all.push(format!("mg {key} c\r\n").into());
        }
        all
    }

    fn request(&mut self) -> Request {
        match self.random.below(100) {
            0..16 => self.read(),
            16..34 => self.classic_store(),
            34..40 => self.count(),
            40..47 => self.delete_or_touch(),
            47..61 => self.meta_get(),
            61..76 => self.meta_store(),
            76..83 => self.meta_delete(),
            83..91 => self.meta_count(),
            91..95 => self.administer(),
            95..97 => self.broken(),
            _ => self.known(),
        }
    }

    fn read(&mut self) -> Request {
        let verb = self.pick(&["get", "get", "gets", "gat", "gats"]);
        let mut line = verb.to_owned();
        if verb.starts_with("gat") {
            line += " ";
            line += self.exptime();
        }
        for _ in 0..self.random.below(4) + u64::from(!self.one_in(40)) {
            line += self.pick(&[" ", " ", " ", "  "]);
            line += &self.any_key();
        }
        self.line(line)
    }

    fn classic_store(&mut self) -> Request {
        let verb = self.pick(&["set", "set", "add", "replace", "append", "prepend", "cas", "cas"]);
        let (key, flags, exptime) = (self.any_key(), self.classic_flags(), self.exptime());
        // Where memcached 1.6.18 does not throw the value away it must not be a request.
        let is_number = |word: &str| word.parse::<i64>().is_ok() || word.parse::<u64>().is_ok();
        let is_bad = key.len() > 250 || !is_number(flags) || flags == "-1" || !is_number(exptime);
        let cas = if verb == "cas" { self.pick(&CAS) } else { "0" };
        let is_bad = is_bad || cas == "-1" || cas == "x";
        let value = if is_bad { b"value".to_vec() } else { self.value() };
        let (length, value) = if is_bad { ("5".into(), value) } else { self.length(value) };
        let mut line = format!("{verb} {key} {flags} {exptime} {length}");
        if verb == "cas" {
            line = line + " " + cas;
        }
        self.noreply(&mut line);
        self.block(line, value)
    }

    fn count(&mut self) -> Request {
        let mut line = format!("{} {}", self.pick(&["incr", "decr"]), self.any_key());
        if !self.one_in(30) {
            line += " ";
            line += self.pick(&NUMBERS);
        }
        self.noreply(&mut line);
        self.line(line)
    }

    fn delete_or_touch(&mut self) -> Request {
        let key = self.any_key();
        let mut line = match self.random.below(6) {
            0..3 => format!("delete {key}"),
            3 => format!("delete {key} {}", self.pick(&["0", "0", "1", "junk"])),
            _ => format!("touch {key} {}", self.exptime()),
        };
        self.noreply(&mut line);
        self.line(line)
    }

    /// In 1.6.18 without `C` and `E`, which are new: their transcripts are the mg-cas ones.
    fn meta_get(&mut self) -> Request {
        let letters = if self.is_newest { "bcfhklOqstuvNRTLPCE" } else { "bcfhklOqstuvNRTLP" };
        let line = "mg ".to_owned() + &self.meta(letters, "b");
        self.line(line)
    }

    fn meta_store(&mut self) -> Request {
        let letters = if self.is_newest { "bckOqCFIMTNfLPs" } else { "bckOqCFIMTNfLP" };
        let words = self.meta(letters, "M");
        let (key, flags) = words.split_once(' ').unwrap_or((&words, ""));
        let value = if key.len() > 250 { b"value".to_vec() } else { self.value() };
        let (length, value) = self.length(value);
        self.block(format!("ms {key} {length} {flags}"), value)
    }

    fn meta_delete(&mut self) -> Request {
        let letters = if self.is_newest { "bkOqCITcLPxF" } else { "bkOqCITcLP" };
        let line = "md ".to_owned() + &self.meta(letters, "");
        self.line(line)
    }

    fn meta_count(&mut self) -> Request {
        // Where a number grows, memcached forgets the new deadline. None grows by decr.
        let words = if self.one_in(3) {
            self.meta("bcktvOqCDJNTLP", "bq") + self.pick(&[" MD", " M-"])
        } else {
            self.meta("bcktvOqCDJMNLP", "bq")
        };
        self.line("ma ".to_owned() + &words)
    }

    /// A key and flags: mostly some of `letters`, now and then others or twice the same. `N` and one of
    /// `apart` never together.
    fn meta(&mut self, letters: &str, apart: &str) -> String {
        self.shows = letters.contains('v');
        let mut left: Vec<char> = letters.chars().collect();
        let (mut words, mut is_base64) = (String::new(), false);
        for _ in 0..self.random.below(6) {
            let letter = left.swap_remove(self.random.below(left.len() as u64) as usize);
            if letter == 'N' {
                left.retain(|other| !apart.contains(*other));
            } else if apart.contains(letter) {
                left.retain(|other| *other != 'N');
            }
            is_base64 |= letter == 'b';
            words += " ";
            words += &self.flag(letter);
        }
        if self.one_in(40) && !letters.contains("kOqCIT") {
            words += " ";
            words += self.pick(&["z", "I", "h", "t", "J5", "1", "vv", "k k"]);
        }
        let key = if is_base64 { self.pick(&BASE64_KEYS).to_owned() } else { self.any_key() };
        key + &words
    }

    fn flag(&mut self, letter: char) -> String {
        let token = match letter {
            'O' => match self.random.below(12) {
                0 => "x".repeat(31),
                // Refused by mg and ma it has no effect here, in memcached it has, and 1.6.45 counts a refused ms.
                1 if !self.shows && !self.is_newest => "x".repeat(32),
                2 => String::new(),
                _ => self.pick(&["abc", "1", "+", "O"]).to_owned(),
            },
            'C' => self.pick(&CAS).to_owned(),
            'F' => self.classic_flags().to_owned(),
            'T' | 'N' => self.exptime().to_owned(),
            'R' => self.pick(&["0", "30", "30", "600", "600", "-1", "x", "2147483648"]).to_owned(),
            'D' | 'J' => {
                let from = if self.one_in(8) { &NUMBERS[..] } else { &DECIMALS[..] };
                self.pick(from).to_owned()
            }
            'M' => self.pick(&["S", "E", "A", "P", "R", "I", "D", "+", "-", "s", "a", "i", "X"]).to_owned(),
            'L' | 'P' => self.pick(&["", "path"]).to_owned(),
            _ => String::new(),
        };
        format!("{letter}{token}")
    }

    fn administer(&mut self) -> Request {
        let line = match self.random.below(20) {
            0 => return b"mn\r\n".to_vec(),
            1 => "flush_all".into(),
            2 => format!("verbosity {}", self.pick(&["0", "1", "5", "x", "-1"])),
            3 => format!("flush_all {}", self.pick(&["", "0", "-1", "x", "noreply"])),
            4 => "flush_all 0 noreply".into(),
            5 => "stats reset".into(),
            6 => format!("stats detail {}", self.pick(&["off", "bogus", ""])),
            7 => {
                format!("stats {}", self.pick(&["bogus", "cachedump 1", "cachedump x 1", "cachedump 200 1"]))
            }
            8 => format!("cache_memlimit {}", self.pick(&["64", "1", "x", "", "1000000001"])),
            9 => format!(
                "slabs {}",
                self.pick(&["", "reassign 1 1", "reassign x 1", "automove 9", "automove x"])
            ),
            10 => format!(
                "lru {}",
                self.pick(&["", "mode flat", "mode segmented", "mode x", "tune 1", "bogus"])
            ),
            11 => {
                let what =
                    ["", "tocrawl 0", "tocrawl x", "sleep 0", "sleep 2000000", "sleep x", "crawl x", "bogus"];
                format!("lru_crawler {}", self.pick(&what))
            }
            12 => "misbehave".into(),
            13 => self.pick(&["refresh_certs", "misbehave", "debugtime p"]).into(),
            14..17 => format!("me {}", self.any_key()),
            17 => format!("me {}", self.pick(&BASE64_KEYS)),
            18 if self.one_in(4) => "quit".into(),
            _ => return b"mn\r\n".to_vec(),
        };
        self.line(line)
    }

    /// What is wrong from its first word, or its framing.
    fn broken(&mut self) -> Request {
        match self.random.below(6) {
            0 => self.pick(&["nothing of this\r\n", "GET a\r\n", "get\ta\r\n", "Set a 0 0 1\r\n"]).into(),
            1 => self.pick(&["abc\r\n", "get a extra\r\n", "incr a 1 foo\r\n", "touch a 0 foo\r\n"]).into(),
            2 => self.pick(&["mn x\r\n", "mn  \r\n", "delete a 0 0\r\n", "gets a\r\r\n"]).into(),
            3 => self
                .pick(&["set a 0 0 3\r\nlonger than that\r\n", "ms a 3 k Oo\r\nlonger than that\r\n"])
                .into(),
            4 => self.pick(&["ms a S2\r\n", "ms a T0 2\r\n", "ms a -1\r\n", "ms a 2 MZ\r\nhi\r\n"]).into(),
            _ => {
                let length = self.random.below(2000) as usize;
                format!("{} {}\r\n", self.pick(&["get", "mg", "touch", "delete"]), "k".repeat(length)).into()
            }
        }
    }

    /// A request that is known to be answered otherwise.
    fn known(&mut self) -> Request {
        let known = &self.known[self.random.below(self.known.len() as u64) as usize];
        known.request.replace("{long}", &"k".repeat(251)).replace("{O33}", &"O".repeat(33)).into()
    }

    /// The end of a line: mostly `\r\n`.
    fn line(&mut self, mut line: String) -> Request {
        line += self.pick(&["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", " \r\n"]);
        line.into()
    }

    fn block(&mut self, line: String, value: Vec<u8>) -> Request {
        let mut bytes = self.line(line);
        bytes.extend_from_slice(&value);
        bytes.extend_from_slice(b"\r\n");
        if self.one_in(100) {
            // The value does not end where it was announced to end.
            bytes.truncate(bytes.len() - 2);
            bytes.extend_from_slice(b"too much\r\n");
        }
        bytes
    }

    fn noreply(&mut self, line: &mut String) {
        if self.one_in(8) {
            *line += self.pick(&[" noreply", " noreply", " noreply", " NOREPLY"]);
        }
    }

    fn key(&mut self) -> &'static str {
        self.pick(&KEYS)
    }

    /// A key, now and then of a length at the limit.
    fn any_key(&mut self) -> String {
        match self.random.below(120) {
            0 => "k".repeat(250),
            1 => "k".repeat(251),
            2 => "n".repeat(300),
            3 => "none".into(),
            _ => self.key().into(),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.random.below(40) {
            0 => vec![b'v'; self.random.below(3000) as usize],
            1 => (0..self.random.below(20)).map(|_| self.random.below(256) as u8).collect(),
            _ => self.pick(&VALUES).into(),
        }
    }

    /// The length of a value as the line announces it, and the value. One without a length is a line of its own.
    fn length(&mut self, value: Vec<u8>) -> (String, Vec<u8>) {
        match self.random.below(150) {
            0 => (self.pick(&["-1", "x", "1x", "2147483647", "3000000000"]).into(), b"value".into()),
            1 => (format!("0{}", value.len()), value),
            _ => (value.len().to_string(), value),
        }
    }

    fn exptime(&mut self) -> &'static str {
        if self.one_in(3) { self.pick(&EXPTIMES) } else { self.pick(&["0", "0", "100", "1000"]) }
    }

    fn classic_flags(&mut self) -> &'static str {
        if self.one_in(6) { self.pick(&FLAGS) } else { self.pick(&["0", "0", "5"]) }
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.random.below(count) == 0
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        let word = from[self.random.below(from.len() as u64) as usize];
        let old = OLD_WORDS.iter().find(|(new, _)| !self.is_newest && *new == word);
        old.map_or(word, |(_, old)| old)
    }
}

/// Whether it may make a value longer that is there.
fn grows(request: &Request) -> bool {
    GROWING.iter().any(|verb| request.starts_with(verb))
        || request.starts_with(b"ms ") && ["MA", "Ma", "MP", "Mp"].iter().any(|mode| has_word(request, mode))
}

/// Whether a word of its line is this one.
fn has_word(request: &Request, word: &str) -> bool {
    let line = request.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.split(|byte| matches!(byte, b' ' | b'\r')).any(|other| other == word.as_bytes())
}

fn with_value(line: &str, value: &[u8]) -> Request {
    [line.as_bytes(), b"\r\n", value, b"\r\n"].concat()
}
