//! Rust text with comments, strings or both blanked out, so that rules see code and only code. Lines stay in place.

/// What of a file is kept; the rest becomes spaces.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Code alone.
    Code,
    /// Code and comments: only the inside of strings goes.
    CodeAndComments,
}

/// Blanks what is not kept. Every line keeps its number.
pub(crate) fn blanked(text: &str, keep: Keep) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, is_code) = token(rest, out.chars().next_back());
        let (piece, after) = rest.split_at(length.max(first.len_utf8()).min(rest.len()));
        let comment = piece.starts_with("//") || piece.starts_with("/*");
        if is_code || (comment && keep == Keep::CodeAndComments) {
            out.push_str(piece);
        } else {
            piece.chars().for_each(|c| out.push(if c == '\n' { '\n' } else { ' ' }));
        }
        rest = after;
    }
    out
}

/// The words of `line` that are identifiers, with the text that follows each.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.get(rest.find(is_word)?..)?;
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        Some((word, after))
    })
}

/// The length of what `text` begins with, and whether it is code.
fn token(text: &str, before: Option<char>) -> (usize, bool) {
    if text.starts_with("//") {
        return (text.find('\n').unwrap_or(text.len()), false);
    }
    if text.starts_with("/*") {
        return (block_comment(text), false);
    }
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_word && let Some(length) = raw_string(text) {
        return (length, false);
    }
    if text.starts_with('"') {
        return (quoted(text, '"'), false);
    }
    if text.starts_with('\'') && is_char_literal(text) {
        return (quoted(text, '\''), false);
    }
    (1, true)
}

/// A block comment may hold others.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// `r"..."`, `br#"..."#`.
fn raw_string(text: &str) -> Option<usize> {
    let body = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let inside = body.trim_start_matches('#').strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end)? + end.len();
    Some(text.len() - inside.len() + length)
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A quote begins a literal when another follows one character or one escape later; otherwise it is a lifetime.
fn is_char_literal(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}
