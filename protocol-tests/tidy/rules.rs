//! The rules, each a pure function. What they know of the house is data at the top.
use super::File;
use super::code::{Keep, blanked, words};

/// Every room of `src/` and the floor it stands on. A room imports lower floors only.
const FLOORS: &[(&str, u8)] = &[
    ("base", 0),
    ("proto", 1),
    ("route", 1),
    ("engine", 1),
    ("hot", 1),
    ("binlog", 1),
    ("store", 1),
    ("tls", 1),
    ("group", 2),
    ("conn", 2),
    ("client", 2),
    ("config", 2),
    ("peer", 2),
    ("backup", 2),
    ("dispatch", 3),
    ("replica", 3),
    ("net", 4),
    ("admin", 4),
    ("server", 5),
    ("tools", 5),
];
/// The files that put the rooms together: free to import all of them.
const FREE: &[&str] = &["src/lib.rs", "src/main.rs"];
/// Crates that one room alone may name.
const FENCED_CRATES: &[(&str, &str)] =
    &[("mio", "src/net"), ("socket2", "src/net"), ("redb", "src/store"), ("rustls", "src/tls")];
/// Highest floor that is given the time as an argument.
const CLOCKLESS_FLOORS: u8 = 1;
/// Files of those floors that read a clock all the same, and why.
const CLOCK_READERS: &[(&str, &str)] =
    &[("src/binlog/run.rs", "waits: a second between two syncs is no time of any item")];
/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "manager", "common", "misc"];
/// Marks of unfinished work.
const LEFTOVERS: &[&str] = &["TODO", "FIXME", "XXX"];

const MAX_FILE_LINES: usize = 600;
const MAX_FUNCTION_LINES: usize = 70;

/// Everything that is wrong with one file, as `path:line: what` (line 0: the file as a whole).
pub(crate) fn complaints(file: &File<'_>) -> Vec<String> {
    let code = blanked(file.text, Keep::Code);
    let mut all = Vec::new();
    all.extend(imports(file.path, &code));
    all.extend(fenced_crates(file.path, &code));
    all.extend(clock_reads(file.path, &code));
    all.extend(sleeps(file.path, &code));
    all.extend(long_functions(&code));
    all.extend(long_file(file.text));
    all.extend(empty_name(file.path));
    all.extend(room_without_docs(file));
    all.extend(leftovers(file.text));
    all.iter().map(|(line, what)| format!("{}:{line}: {what}", file.path)).collect()
}

type Complaint = (usize, String);

fn imports(path: &str, code: &str) -> Vec<Complaint> {
    let Some(room) = room(path) else {
        return Vec::new();
    };
    let Some(floor) = floor_of(room) else {
        return vec![(0, format!("the room {room} stands on no floor: add it to the table"))];
    };
    let mut found = Vec::new();
    for (word, after) in words(code) {
        let named = match word {
            "crate" => heads(after),
            "super" => heads(after).into_iter().filter(|name| floor_of(name).is_some()).collect(),
            _ => continue,
        };
        for name in named.into_iter().filter(|name| *name != room) {
            let line = line_of(code, after);
            match floor_of(name) {
                None => found.push((line, format!("crate::{name} is no room"))),
                Some(other) if other >= floor => {
                    found.push((line, format!("{room} (floor {floor}) imports {name} (floor {other})")));
                }
                Some(_) => {}
            }
        }
    }
    found
}

/// The first names of a path or of a group of paths: `::a::b` gives a, `::{a::b, c}` gives a and c.
fn heads(after: &str) -> Vec<&str> {
    let Some(path) = after.strip_prefix("::") else {
        return Vec::new();
    };
    let Some(group) = path.strip_prefix('{') else {
        return words(path).next().map(|(word, _)| word).into_iter().collect();
    };
    let mut depth = 0_i32;
    let mut heads = Vec::new();
    let mut start = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if (c == ',' && depth == 0) || depth < 0 {
            heads.extend(group.get(start..at).and_then(|piece| words(piece).next()).map(|(word, _)| word));
            start = at + 1;
        }
        if depth < 0 {
            break;
        }
    }
    heads
}

fn fenced_crates(path: &str, code: &str) -> Vec<Complaint> {
    if !path.starts_with("src/") {
        return Vec::new();
    }
    let misplaced =
        |word: &str| FENCED_CRATES.iter().find(|(name, home)| *name == word && !inside(path, home));
    let found = words(code).filter_map(|(word, after)| misplaced(word).map(|fence| (fence, after)));
    found
        .map(|((name, home), after)| (line_of(code, after), format!("{name} is only named in {home}")))
        .collect()
}

fn clock_reads(path: &str, code: &str) -> Vec<Complaint> {
    let low = room(path).and_then(floor_of).is_some_and(|floor| floor <= CLOCKLESS_FLOORS);
    if !low || CLOCK_READERS.iter().any(|(file, _)| *file == path) {
        return Vec::new();
    }
    let reads = |(word, after): &(&str, &str)| {
        matches!(*word, "SystemTime" | "Instant") && heads(after).first() == Some(&"now")
    };
    let complain =
        |(word, after)| (line_of(code, after), format!("{word}::now on a floor that is told the time"));
    words(code).filter(reads).map(complain).collect()
}

fn sleeps(path: &str, code: &str) -> Vec<Complaint> {
    if !path.starts_with("protocol-tests/") {
        return Vec::new();
    }
    let found = words(code).filter(|(word, after)| *word == "sleep" && !after.starts_with(':'));
    found
        .map(|(_, after)| (line_of(code, after), "a test waits for a condition, it never sleeps".into()))
        .collect()
}

fn long_functions(code: &str) -> Vec<Complaint> {
    let mut found = Vec::new();
    for (word, after) in words(code) {
        let Some(body) = function_body(word, after) else {
            continue;
        };
        let lines = body.matches('\n').count() + 1;
        if lines > MAX_FUNCTION_LINES {
            let what = format!("a function of {lines} lines: {MAX_FUNCTION_LINES} are the limit");
            found.push((line_of(code, after), what));
        }
    }
    found
}

/// From after `fn` to the closing brace; none for a declaration or a function pointer.
fn function_body<'a>(word: &str, after: &'a str) -> Option<&'a str> {
    let named =
        after.starts_with(' ') && after.trim_start().starts_with(|c: char| c.is_alphabetic() || c == '_');
    if word != "fn" || !named {
        return None;
    }
    let open = after.find('{').filter(|open| !declaration(after.get(..*open).unwrap_or_default()))?;
    let mut depth = 0_i32;
    for (at, c) in after.char_indices().skip_while(|(at, _)| *at < open) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return after.get(..at);
        }
    }
    Some(after)
}

/// A semicolon outside brackets (`[u8; 4]` has one inside) ends a signature without a body.
fn declaration(signature: &str) -> bool {
    let mut depth = 0_i32;
    for c in signature.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ';' if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

fn long_file(text: &str) -> Option<Complaint> {
    let lines = text.lines().count();
    (lines > MAX_FILE_LINES).then(|| (0, format!("{lines} lines: {MAX_FILE_LINES} are the limit")))
}

fn empty_name(path: &str) -> Option<Complaint> {
    let named = |piece: &str| EMPTY_NAMES.contains(&piece.trim_end_matches(".rs"));
    path.split('/').find(|piece| named(piece)).map(|piece| (0, format!("the name {piece} says nothing")))
}

fn room_without_docs(file: &File<'_>) -> Option<Complaint> {
    let silent = file.path.ends_with("/mod.rs") && !file.text.starts_with("//!");
    silent.then(|| (1, "a mod.rs begins with what the room is (//!)".into()))
}

fn leftovers(text: &str) -> Vec<Complaint> {
    let seen = blanked(text, Keep::CodeAndComments);
    let marks = words(&seen).filter(|(word, _)| LEFTOVERS.contains(word));
    let mut found: Vec<Complaint> =
        marks.map(|(word, after)| (line_of(&seen, after), format!("{word} is left over"))).collect();
    let code = blanked(text, Keep::Code);
    found.extend(code.match_indices("#[ignore").map(|(at, _)| {
        (line_of(&code, code.get(at..).unwrap_or_default()), "a test that is not run is no test".into())
    }));
    found
}

/// The room that a file of `src/` belongs to; none for the free files and everything outside.
fn room(path: &str) -> Option<&str> {
    let inner = path.strip_prefix("src/").filter(|_| !FREE.contains(&path))?;
    inner.split('/').next().map(|piece| piece.trim_end_matches(".rs"))
}

fn floor_of(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(room, _)| *room == name).map(|(_, floor)| *floor)
}

fn inside(path: &str, home: &str) -> bool {
    path.strip_prefix(home).is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

/// The line on which `rest`, a tail of `text`, begins.
fn line_of(text: &str, rest: &str) -> usize {
    let at = text.len() - rest.len();
    text.get(..at).unwrap_or(text).matches('\n').count() + 1
}
