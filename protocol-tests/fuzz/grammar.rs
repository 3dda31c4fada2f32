//! Writes requests as clients do, with everything that a command can carry.
use super::mutate::{NUMBERS, choose};
use crate::random::Random;

/// Words of the classic commands, and of none.
pub(crate) const CLASSIC_WORDS: &[&[u8]] = &[
    b"get ",
    b"gets ",
    b"gat ",
    b"gats ",
    b"set ",
    b"add ",
    b"replace ",
    b"append ",
    b"prepend ",
    b"cas ",
    b"delete ",
    b"incr ",
    b"decr ",
    b"touch ",
    b"flush_all",
    b"stats",
    b"version",
    b"verbosity ",
    b"quit",
    b"shutdown",
    b"graceful",
    b"cache_memlimit ",
    b"lru_crawler ",
    b"metadump all",
    b"mgdump hash",
    b"watch ",
    b"evictions",
    b"slabs reassign ",
    b"slabs automove ",
    b"lru tune ",
    b"lru mode flat",
    b"extstore ",
    b"refresh_certs",
    b" noreply",
    b"noreply",
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"  ",
    b"\0",
    b"\t",
    b"GET / HTTP/1.1\r\n",
    b"cachedump ",
    b"detail dump",
    b"mn\r\n",
    b"\x80",
    b"settings",
    b"items",
    b"reset",
    b"user password",
];
/// Words of the meta commands.
pub(crate) const META_WORDS: &[&[u8]] = &[
    b"mg ",
    b"ms ",
    b"md ",
    b"ma ",
    b"me ",
    b"mn\r\n",
    b" b",
    b" c",
    b" f",
    b" h",
    b" k",
    b" l",
    b" q",
    b" s",
    b" t",
    b" u",
    b" v",
    b" x",
    b" I",
    b" C1",
    b" D2",
    b" E3",
    b" F4",
    b" J5",
    b" MA",
    b" ME",
    b" MS",
    b" MR",
    b" MP",
    b" MI",
    b" MD",
    b" M",
    b" N60",
    b" Oabc",
    b" P",
    b" L",
    b" R30",
    b" S1",
    b" T0",
    b" T-1",
    b" W",
    b"Zm9v",
    b"Zm9v====",
    b"=",
    b"\r\n",
    b"\n",
    b" ",
    b"get a\r\n",
    b"\0",
    b"\xff",
];
const KEYS: [&str; 8] = ["a", "b", "foo", "{ns:obj}k", "k\u{7f}\u{1}", "ключ", "noreply", "0"];
const VALUES: [&str; 6] = ["", "x", "5", "18446744073709551615", "get a\r\n", "\r\n\r\n"];
const ENDS: [&str; 4] = ["\r\n", "\r\n", "\r\n", "\n"];

/// A number: mostly a small one.
fn number(random: &mut Random) -> String {
    if random.below(4) == 0 { choose(&NUMBERS, random).into() } else { random.below(100).to_string() }
}

/// A key: mostly a short one.
fn key(random: &mut Random) -> String {
    match random.below(12) {
        0 => "k".repeat(248 + random.below(5) as usize),
        1 => "Zm9v".repeat(1 + random.below(64) as usize),
        _ => choose(&KEYS, random).into(),
    }
}

fn end(random: &mut Random) -> &'static str {
    choose(&ENDS, random)
}

fn noreply(random: &mut Random) -> &'static str {
    if random.below(4) == 0 { " noreply" } else { "" }
}

fn value(random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        // Around the item size of these runs.
        0 => vec![b'v'; 955 + random.below(20) as usize],
        1 => (0..random.below(40)).map(|_| random.next() as u8).collect(),
        _ => choose(&VALUES, random).into(),
    }
}

/// One classic request.
pub(crate) fn classic(random: &mut Random, out: &mut Vec<u8>) {
    let (k, n, quiet, end) = (key(random), number(random), noreply(random), end(random));
    let line = match random.below(16) {
        0 => format!("get {k}"),
        1 => format!("gets {k} {} {}", key(random), key(random)),
        2 => format!("gat {n} {k}"),
        3 => format!("gats {n} {k} {}", key(random)),
        4 => format!("delete {k}{quiet}"),
        5 => format!("incr {k} {n}{quiet}"),
        6 => format!("decr {k} {n}{quiet}"),
        7 => format!("touch {k} {n}{quiet}"),
        8 => administration(random) + quiet,
        _ => return storage(random, out),
    };
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(end.as_bytes());
}

fn storage(random: &mut Random, out: &mut Vec<u8>) {
    const VERBS: [&str; 6] = ["set", "add", "replace", "append", "prepend", "cas"];
    let (verb, value) = (choose(&VERBS, random), value(random));
    let line = [verb.into(), key(random), number(random), number(random), value.len().to_string()].join(" ");
    out.extend_from_slice(line.as_bytes());
    if verb == "cas" {
        out.extend_from_slice(format!(" {}", number(random)).as_bytes());
    }
    for part in [noreply(random), end(random)] {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(&value);
    out.extend_from_slice(b"\r\n");
}

fn administration(random: &mut Random) -> String {
    const PLAIN: [&str; 20] = [
        "stats",
        "stats items",
        "stats reset",
        "stats detail on",
        "version",
        "quit",
        "flush_all",
        "verbosity",
        "mn",
        "lru_crawler metadump all",
        "lru_crawler mgdump 1,2",
        "lru_crawler disable",
        "watch fetchers mutations",
        "shutdown graceful",
        "lru tune 10 20 0.1 2.0",
        "slabs automove ratio 0.5",
        "slabs reassign -1 2",
        "extstore max_frag 0.5",
        "refresh_certs",
        "stats groups",
    ];
    const NUMBERED: [&str; 7] = [
        "flush_all",
        "verbosity",
        "cache_memlimit",
        "stats cachedump 1",
        "lru_crawler sleep",
        "lru temp_ttl",
        "slabs automove",
    ];
    if random.below(2) == 0 {
        choose(&PLAIN, random).into()
    } else {
        format!("{} {}", choose(&NUMBERED, random), number(random))
    }
}

/// One meta request.
pub(crate) fn meta(random: &mut Random, out: &mut Vec<u8>) {
    const VERBS: [&str; 6] = ["mg", "ms", "md", "ma", "me", "ms"];
    let (verb, value) = (choose(&VERBS, random), value(random));
    let mut line = format!("{verb} {}", key(random));
    if verb == "ms" {
        line += &format!(" {}", value.len());
    }
    let mut letters: Vec<u8> = b"bcfhklqstuvxICDEFJMNOPLRT".to_vec();
    let flags_max = if random.below(8) == 0 { 24 } else { 6 };
    for _ in 0..random.below(flags_max) {
        let letter = letters.swap_remove(random.below(letters.len() as u64) as usize);
        line += &format!(" {}", char::from(letter));
        match letter {
            b'C' | b'D' | b'E' | b'F' | b'J' | b'N' | b'R' | b'T' => line += &number(random),
            b'M' => line.push(char::from(b"SEAPRID+-s"[random.below(10) as usize])),
            b'O' | b'L' | b'P' => line += &"o".repeat(random.below(34) as usize),
            _ => {}
        }
    }
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(end(random).as_bytes());
    if verb == "ms" {
        out.extend_from_slice(&value);
        out.extend_from_slice(b"\r\n");
    }
}

/// What a client says first under `-Y`.
pub(crate) fn authentication(random: &mut Random, out: &mut Vec<u8>) {
    const TOKENS: [&str; 6] = ["user password", "user", " a b ", "", "a b c", "u\r\n p"];
    if random.below(4) == 0 {
        return classic(random, out);
    }
    let token = choose(&TOKENS, random);
    let length = if random.below(6) == 0 { number(random) } else { token.len().to_string() };
    out.extend_from_slice(format!("set {} 0 0 {length}\r\n{token}\r\n", key(random)).as_bytes());
}
