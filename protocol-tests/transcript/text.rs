//! The text of one step: bytes, escapes, repetitions and the parts in braces.

/// Longest text that one repetition may grow to, bytes.
const MAX_REPETITION: usize = 4 << 20;

/// One piece of a step's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A captured word; with `plus`, the number in it plus so much.
    Name { name: String, plus: i64 },
    /// Any one word.
    AnyWord,
    /// Anything up to the end of the line.
    Rest,
    /// A number that counts down with the clock: seconds left.
    Down(u64),
    /// A number that counts up with the clock: seconds passed.
    Up(u64),
    /// So many bytes, whatever they are; with a name, captured.
    Count { name: Option<String>, bytes: usize },
}

/// Splits one step's text into its parts. Errors say what is wrong in words for the author of the transcript.
pub(crate) fn parts(text: &str) -> Result<Vec<Part>, String> {
    if text.ends_with(' ') {
        return Err("a trailing space cannot be seen: write \\x20".into());
    }
    let mut parts = Vec::new();
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match c {
            '\\' => rest = escape(rest, &mut bytes)?,
            '{' => {
                let (inside, after) = braces(rest)?;
                rest = after;
                match brace(inside)? {
                    Part::Bytes(repeated) => bytes.extend(repeated),
                    part => {
                        push_bytes(&mut parts, &mut bytes);
                        parts.push(part);
                    }
                }
            }
            _ => {
                bytes.extend(c.to_string().bytes());
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    push_bytes(&mut parts, &mut bytes);
    Ok(parts)
}

/// `bytes` as one would write them in a transcript.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\r' => out.push_str("\\r"),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\0' => out.push_str("\\0"),
                '\\' => out.push_str("\\\\"),
                '{' => out.push_str("\\{"),
                c if c.is_control() => {
                    c.to_string().bytes().for_each(|b| out.push_str(&format!("\\x{b:02x}")))
                }
                c => out.push(c),
            }
        }
        chunk.invalid().iter().for_each(|b| out.push_str(&format!("\\x{b:02x}")));
    }
    out
}

/// Splits the text of a binary step: words that are bytes in hexadecimal, `'text'`, `{name}` for captured bytes, and
/// `{name*8}` or `{_*8}` for so many bytes of any kind.
pub(crate) fn hex_parts(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut bytes = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = match rest.strip_prefix('\'') {
            Some(quoted) => 2 + quoted.find('\'').ok_or("a ' without another")?,
            None => rest.find(' ').unwrap_or(rest.len()),
        };
        let (word, after) = rest.split_at(end);
        if let Some(inside) = word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
            push_bytes(&mut parts, &mut bytes);
            parts.push(captured(inside)?);
        } else if let Some(literal) = word.strip_prefix('\'') {
            bytes.extend(literal.trim_end_matches('\'').bytes());
        } else {
            bytes.extend(hex(word)?);
        }
        rest = after.trim_start();
    }
    push_bytes(&mut parts, &mut bytes);
    Ok(parts)
}

fn captured(inside: &str) -> Result<Part, String> {
    let Some((title, count)) = inside.split_once('*') else { return name(inside) };
    let bytes = count.parse().map_err(|_| format!("{count} is not a count"))?;
    if title == "_" {
        return Ok(Part::Count { name: None, bytes });
    }
    name(title).map(|_| Part::Count { name: Some(title.into()), bytes })
}

fn hex(word: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("{word} is neither bytes in hexadecimal nor 'text'");
    let digits: Vec<u8> = word
        .chars()
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    if !digits.len().is_multiple_of(2) {
        return Err(wrong());
    }
    Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn push_bytes(parts: &mut Vec<Part>, bytes: &mut Vec<u8>) {
    if !bytes.is_empty() {
        parts.push(Part::Bytes(std::mem::take(bytes)));
    }
}

/// Takes one escape off the front of `text`, which begins with the backslash.
fn escape<'a>(text: &'a str, bytes: &mut Vec<u8>) -> Result<&'a str, String> {
    let byte = match text.as_bytes().get(1) {
        Some(b'r') => b'\r',
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'0') => 0,
        Some(b'\\') => b'\\',
        Some(b'{') => b'{',
        Some(b'x') => {
            let digits = text.get(2..4).ok_or("\\x needs two digits")?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| format!("\\x{digits} is not a byte"))?);
            return Ok(&text[4..]);
        }
        _ => return Err("unknown escape: \\r \\n \\t \\0 \\xNN \\\\ \\{ exist".into()),
    };
    bytes.push(byte);
    Ok(&text[2..])
}

/// The inside of the braces that `text` begins with, and what follows them.
fn braces(text: &str) -> Result<(&str, &str), String> {
    let end = text.find('}').ok_or("a { without } (write \\{ for the byte)")?;
    Ok((&text[1..end], &text[end + 1..]))
}

fn brace(inside: &str) -> Result<Part, String> {
    if let Some((text, count)) = inside.rsplit_once('*') {
        return repetition(text, count);
    }
    let number = |text: &str| text.parse::<u64>().ok();
    match inside {
        "_" => return Ok(Part::AnyWord),
        ".." => return Ok(Part::Rest),
        _ => {}
    }
    if let Some(n) = inside.strip_suffix('-').and_then(number) {
        return Ok(Part::Down(n));
    }
    if let Some(n) = inside.strip_suffix('+').and_then(number) {
        return Ok(Part::Up(n));
    }
    name(inside)
}

fn repetition(text: &str, count: &str) -> Result<Part, String> {
    let count: usize = count.parse().map_err(|_| format!("{count} is not a count"))?;
    let [Part::Bytes(unit)] = &parts(&text.replace(' ', "\\x20"))?[..] else {
        return Err("only plain bytes can be repeated".into());
    };
    if unit.len().saturating_mul(count) > MAX_REPETITION {
        return Err(format!("a repetition is at most {MAX_REPETITION} bytes long"));
    }
    Ok(Part::Bytes(unit.repeat(count)))
}

fn name(inside: &str) -> Result<Part, String> {
    let cut = inside.find(['+', '-']).unwrap_or(inside.len());
    let (name, plus) = inside.split_at(cut);
    let plus = if plus.is_empty() { Ok(0) } else { plus.parse() };
    let good = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    match plus {
        Ok(plus) if good => Ok(Part::Name { name: name.into(), plus }),
        _ => Err(format!("{{{inside}}} is no name, repetition, number or wildcard")),
    }
}
