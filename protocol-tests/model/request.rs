//! The requests of the model test, and how they look on the wire.
use super::Random;

/// The flags of a meta request, in order: a letter and what follows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags(pub(crate) Vec<(char, String)>);

impl Flags {
    pub(crate) fn has(&self, flag: char) -> bool {
        self.0.iter().any(|(found, _)| *found == flag)
    }

    pub(crate) fn text(&self, flag: char) -> Option<&str> {
        self.0.iter().find(|(found, _)| *found == flag).map(|(_, text)| text.as_str())
    }

    pub(crate) fn number(&self, flag: char) -> Option<i64> {
        self.text(flag)?.parse().ok()
    }

    /// A cas, which may be beyond the signed numbers.
    pub(crate) fn cas(&self, flag: char) -> Option<u64> {
        self.text(flag)?.parse().ok()
    }

    /// What a reply shows of the flags in `shown`, in the order of the request.
    pub(crate) fn echo(&self, key: &str, shown: &str, fact: impl Fn(char) -> Option<String>) -> String {
        let mut text = String::new();
        for (flag, token) in self.0.iter().filter(|(flag, _)| shown.contains(*flag)) {
            let word = match flag {
                'k' => Some(format!("k{key}")),
                'O' => Some(format!("O{token}")),
                flag => fact(*flag),
            };
            text.extend(word.map(|word| format!(" {word}")));
        }
        text
    }

    fn push(&mut self, flag: char, token: impl ToString) {
        self.0.push((flag, token.to_string()));
    }

    fn wire(&self) -> String {
        self.0.iter().map(|(flag, token)| format!(" {flag}{token}")).collect()
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Get { keys: Vec<String>, cas: bool, touch: Option<i64> },
    Store { verb: &'static str, key: String, flags: u32, exptime: i64, value: Vec<u8>, cas: u64 },
    Delete(String),
    Count { key: String, up: bool, delta: u64 },
    Touch { key: String, exptime: i64 },
    FlushAll(Option<i64>),
    Mg { key: String, flags: Flags },
    Ms { key: String, value: Vec<u8>, flags: Flags },
    Md { key: String, flags: Flags },
    Ma { key: String, flags: Flags },
}

impl Request {
    /// The bytes to send.
    pub(crate) fn wire(&self, noreply: bool) -> Vec<u8> {
        let end = if noreply { " noreply\r\n" } else { "\r\n" };
        let with_value = |line: String, value: &[u8]| [line.as_bytes(), value, b"\r\n"].concat();
        match self {
            Request::Get { keys, cas, touch } => {
                let s = if *cas { "s" } else { "" };
                let keys = keys.join(" ");
                match touch {
                    None => format!("get{s} {keys}\r\n").into(),
                    Some(exptime) => format!("gat{s} {exptime} {keys}\r\n").into(),
                }
            }
            Request::Store { verb, key, flags, exptime, value, cas } => {
                let cas = if *verb == "cas" { format!(" {cas}") } else { String::new() };
                with_value(format!("{verb} {key} {flags} {exptime} {}{cas}{end}", value.len()), value)
            }
            Request::Delete(key) => format!("delete {key}{end}").into(),
            Request::Count { key, up, delta } => {
                format!("{} {key} {delta}{end}", if *up { "incr" } else { "decr" }).into()
            }
            Request::Touch { key, exptime } => format!("touch {key} {exptime}{end}").into(),
            Request::FlushAll(None) => format!("flush_all{end}").into(),
            Request::FlushAll(Some(delay_s)) => format!("flush_all {delay_s}{end}").into(),
            Request::Mg { key, flags } => format!("mg {key}{}\r\n", flags.wire()).into(),
            Request::Ms { key, value, flags } => {
                with_value(format!("ms {key} {}{}\r\n", value.len(), flags.wire()), value)
            }
            Request::Md { key, flags } => format!("md {key}{}\r\n", flags.wire()).into(),
            Request::Ma { key, flags } => format!("ma {key}{}\r\n", flags.wire()).into(),
        }
    }

    /// Whether the classic line takes `noreply`.
    pub(crate) fn takes_noreply(&self) -> bool {
        !matches!(
            self,
            Request::Get { .. }
                | Request::Mg { .. }
                | Request::Ms { .. }
                | Request::Md { .. }
                | Request::Ma { .. }
        )
    }

    /// The key whose cas a reply may show.
    pub(crate) fn key(&self) -> &str {
        match self {
            Request::Get { keys, .. } => keys.first().map_or("", String::as_str),
            Request::Store { key, .. } | Request::Delete(key) | Request::Count { key, .. } => key,
            Request::Touch { key, .. } | Request::Mg { key, .. } | Request::Ms { key, .. } => key,
            Request::Md { key, .. } | Request::Ma { key, .. } => key,
            Request::FlushAll(_) => "",
        }
    }
}

/// Makes requests up.
pub(crate) struct Maker<'a> {
    pub(crate) random: &'a mut Random,
    pub(crate) keys: u64,
    pub(crate) now_s: i64,
}

impl Maker<'_> {
    fn one_in(&mut self, count: u64) -> bool {
        self.random.below(count) == 0
    }

    fn key(&mut self) -> String {
        // Half of all requests go to few keys, so that histories grow long.
        let bound = if self.one_in(2) { self.keys / 8 } else { self.keys };
        format!("key:{}", self.random.below(bound.max(1)))
    }

    fn value(&mut self) -> Vec<u8> {
        let letter = b'a' + self.random.below(26) as u8;
        match self.random.below(24) {
            0..6 => self.random.below(200).to_string().into_bytes(),
            6 => vec![letter; 4000 + self.random.below(3000) as usize],
            7 => Vec::new(),
            _ => vec![letter; self.random.below(600) as usize],
        }
    }

    fn exptime(&mut self) -> i64 {
        match self.random.below(12) {
            0 => -1,
            1 => self.now_s + 1 + self.random.below(20) as i64,
            2..5 => 1 + self.random.below(10) as i64,
            5 => 100,
            _ => 0,
        }
    }

    /// The next request. `seen_cas` tells a key's cas, when somebody has seen it.
    pub(crate) fn request(&mut self, seen_cas: impl Fn(&str) -> Option<u64>) -> Request {
        let key = self.key();
        let cas = match seen_cas(&key) {
            Some(cas) if !self.one_in(3) => cas,
            _ => 1 + self.random.below(1000),
        };
        match self.random.below(100) {
            0..18 => {
                let keys = if self.one_in(4) { (0..4).map(|_| self.key()).collect() } else { vec![key] };
                let cas = keys.len() == 1 && self.one_in(2);
                let touch = self.one_in(4).then(|| self.exptime());
                Request::Get { keys, cas, touch }
            }
            18..50 => {
                let verb = match self.random.below(12) {
                    0..6 => "set",
                    6 => "add",
                    7 => "replace",
                    8 => "append",
                    9 => "prepend",
                    _ => "cas",
                };
                let flags = self.random.below(3) as u32 * 7;
                let mut value = self.value();
                if verb == "append" || verb == "prepend" {
                    value.truncate(20);
                }
                Request::Store { verb, key, flags, exptime: self.exptime(), value, cas }
            }
            50..58 => Request::Delete(key),
            58..66 => Request::Count { key, up: self.one_in(2), delta: self.random.below(50) },
            66..71 => Request::Touch { key, exptime: self.exptime() },
            71 if self.one_in(3) => {
                let delay_s = self.one_in(2).then(|| 1 + self.random.below(8) as i64);
                Request::FlushAll(delay_s)
            }
            71..83 => Request::Mg { key, flags: self.mg_flags() },
            83..91 => {
                let flags = self.ms_flags(cas);
                let mut value = self.value();
                if matches!(flags.text('M'), Some("A" | "P")) {
                    value.truncate(20);
                }
                Request::Ms { key, value, flags }
            }
            91..96 => Request::Md { key, flags: self.md_flags(cas) },
            _ => Request::Ma { key, flags: self.ma_flags() },
        }
    }

    /// Each of these with some chance.
    fn some(&mut self, flags: &mut Flags, letters: &str) {
        for letter in letters.chars() {
            if self.one_in(3) {
                flags.push(letter, if letter == 'O' { "x1" } else { "" });
            }
        }
    }

    fn mg_flags(&mut self) -> Flags {
        let mut flags = Flags::default();
        self.some(&mut flags, "vfskcOq");
        // Where `t` stands among flags that change the deadline decides what it shows: transcripts have that.
        match self.random.below(6) {
            0 => flags.push('T', self.exptime()),
            1 => flags.push('N', 20),
            2 => flags.push('R', 30),
            _ => self.some(&mut flags, "t"),
        }
        flags
    }

    fn ms_flags(&mut self, cas: u64) -> Flags {
        let mut flags = Flags::default();
        self.some(&mut flags, "kOcq");
        let mode = ["S", "S", "S", "E", "A", "P", "R"][self.random.below(7) as usize];
        flags.push('M', mode);
        if self.one_in(2) {
            flags.push('T', self.exptime());
        }
        if self.one_in(3) {
            flags.push('F', self.random.below(100));
        }
        if self.one_in(4) {
            flags.push('E', 1001 + self.random.below(1000));
        }
        if self.one_in(3) && mode != "E" {
            flags.push('C', cas);
            if mode == "S" && self.one_in(2) {
                flags.push('I', "");
            }
        } else if self.one_in(2) && (mode == "A" || mode == "P") {
            flags.push('N', 15);
        }
        flags
    }

    fn md_flags(&mut self, cas: u64) -> Flags {
        let mut flags = Flags::default();
        self.some(&mut flags, "kOqIx");
        if flags.has('I') && self.one_in(2) {
            flags.push('T', 12);
        }
        if self.one_in(4) {
            flags.push('C', cas);
        }
        flags
    }

    fn ma_flags(&mut self) -> Flags {
        let mut flags = Flags::default();
        self.some(&mut flags, "vkOcq");
        flags.push('D', self.random.below(9));
        flags.push('M', if self.one_in(2) { "I" } else { "D" });
        match self.random.below(4) {
            0 => {
                flags.push('N', 15);
                flags.push('J', self.random.below(99));
            }
            1 => flags.push('T', 25),
            _ => self.some(&mut flags, "t"),
        }
        flags
    }
}
