//! From a transcript file to steps. A file that is not exactly of the format is refused with its line.
use std::collections::BTreeSet;

use super::text::{self, Part};

/// One file.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    /// As told in mismatches.
    pub(crate) file: String,
    /// Server options that the file needs, in memcached's own spelling.
    pub(crate) options: Vec<String>,
    /// Why it cannot hold against memcached 1.6.18; `None` when it does.
    pub(crate) not_for_target: Option<String>,
    /// Why the bytes must arrive in the pieces as written; `None` when any split gives the same answers.
    pub(crate) no_split: Option<String>,
    /// Why the server must have been started for this file alone; `None` when a flushed one serves.
    pub(crate) fresh: Option<String>,
    /// What happens, in order.
    pub(crate) steps: Vec<Step>,
}

/// One line of a file.
#[derive(Debug)]
pub(crate) struct Step {
    /// Counted from 1.
    pub(crate) line: usize,
    /// Name of the connection; empty for the default one.
    pub(crate) conn: String,
    /// What is done or expected.
    pub(crate) action: Action,
}

/// What a step does or expects.
#[derive(Debug)]
pub(crate) enum Action {
    /// The client sends.
    Send(Vec<Part>),
    /// The client closes.
    HangUp,
    /// Exactly this comes next.
    Expect(Vec<Part>),
    /// Exactly these bytes come next, of which some may be any.
    ExpectFrame(Vec<Part>),
    /// Lines are passed over until this one.
    SkipTo(Vec<Part>),
    /// The server closes, having sent nothing more.
    Close,
    /// The server has nothing more to say.
    Silence,
    /// The clock moves, seconds.
    Advance(i64),
    /// Two captured or written words stand in a relation.
    Compare { left: Vec<Part>, relation: Relation, right: Vec<Part> },
}

/// How two words are compared: as text for equality, as numbers for order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    Different,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Transcript {
    /// Seconds by which the file moves the clock altogether.
    pub(crate) fn clock_seconds(&self) -> i64 {
        let seconds = |step: &Step| if let Action::Advance(s) = step.action { s } else { 0 };
        self.steps.iter().map(seconds).sum()
    }
}

/// Reads a file's text. `file` is only used in messages.
///
/// # Errors
/// The first line that is not of the format, as `file:line: what is wrong`.
pub(crate) fn parse(file: &str, content: &str) -> Result<Transcript, String> {
    let mut parser = Parser::default();
    parser.transcript.file = file.into();
    for (index, line) in content.lines().enumerate() {
        parser.line(index + 1, line).map_err(|what| format!("{file}:{}: {what}", index + 1))?;
    }
    let moves = parser.transcript.steps.iter().any(|step| matches!(step.action, Action::Advance(_)));
    if moves != parser.clock {
        return Err(format!("{file}: `! clock` and `@` steps go together"));
    }
    if parser.transcript.steps.is_empty() {
        return Err(format!("{file}: no steps"));
    }
    Ok(parser.transcript)
}

#[derive(Default)]
struct Parser {
    transcript: Transcript,
    clock: bool,
    bound: BTreeSet<String>,
}

impl Parser {
    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(header) = line.strip_prefix("! ") {
            return self.header(header);
        }
        let (conn, rest) = connection(line)?;
        let action = self.action(rest)?;
        self.transcript.steps.push(Step { line: number, conn: conn.into(), action });
        Ok(())
    }

    fn header(&mut self, header: &str) -> Result<(), String> {
        if !self.transcript.steps.is_empty() {
            return Err("headers come before the first step".into());
        }
        let (name, value) = header.split_once(": ").unwrap_or((header, ""));
        match name {
            "options" => self.transcript.options = value.split_whitespace().map(Into::into).collect(),
            "target" => self.transcript.not_for_target = Some(refusal(value)?),
            "split" => self.transcript.no_split = Some(refusal(value)?),
            "fresh" => self.transcript.fresh = Some(refusal(value)?),
            "clock" if value.is_empty() => self.clock = true,
            _ => return Err("unknown header: options, target, split, fresh, clock exist".into()),
        }
        Ok(())
    }

    fn action(&mut self, rest: &str) -> Result<Action, String> {
        let (word, text) = rest.split_once(' ').unwrap_or((rest, ""));
        match word {
            ">" => Ok(Action::Send(self.known(text, b"\r\n")?)),
            ">>" => Ok(Action::Send(self.known(text, b"")?)),
            ">x" => Ok(Action::Send(self.all_known(text::hex_parts(text)?)?)),
            "<x" => Ok(Action::ExpectFrame(self.frame(text)?)),
            "<" => Ok(Action::Expect(self.known(text, b"\r\n")?)),
            "<<" => Ok(Action::Expect(self.known(text, b"")?)),
            "<~" => Ok(Action::Expect(self.pattern(text, b"\r\n")?)),
            "<<~" => Ok(Action::Expect(self.pattern(text, b"")?)),
            "<*" => Ok(Action::SkipTo(self.pattern(text, b"\r\n")?)),
            "?" => self.comparison(text),
            "@" => advance(text),
            _ => match rest {
                ">!close" => Ok(Action::HangUp),
                "<!close" => Ok(Action::Close),
                "<!silence" => Ok(Action::Silence),
                _ => {
                    Err("unknown step: > >> >x < << <x <~ <<~ <* ? @ >!close <!close <!silence exist".into())
                }
            },
        }
    }

    /// Text that must be fully known: only names that an earlier pattern captured.
    fn known(&self, text: &str, end: &[u8]) -> Result<Vec<Part>, String> {
        self.all_known(with_end(text, end)?)
    }

    fn all_known(&self, parts: Vec<Part>) -> Result<Vec<Part>, String> {
        for part in &parts {
            match part {
                Part::Bytes(_) => {}
                Part::Name { name, .. } if self.bound.contains(name) => {}
                Part::Name { name, .. } => return Err(format!("{{{name}}} is not captured yet")),
                _ => return Err("a variable part belongs into a pattern (<~)".into()),
            }
        }
        Ok(parts)
    }

    fn pattern(&mut self, text: &str, end: &[u8]) -> Result<Vec<Part>, String> {
        let parts = with_end(text, end)?;
        for part in &parts {
            if let Part::Name { name, plus } = part {
                if *plus != 0 && !self.bound.contains(name) {
                    return Err(format!("{{{name}}} is not captured yet"));
                }
                self.bound.insert(name.clone());
            }
        }
        if !parts.iter().any(|part| matches!(part, Part::Bytes(bytes) if bytes.contains(&b'\n'))) {
            return Err("a pattern ends with its line: add \\n".into());
        }
        Ok(parts)
    }

    fn frame(&mut self, text: &str) -> Result<Vec<Part>, String> {
        let parts = text::hex_parts(text)?;
        for part in &parts {
            match part {
                Part::Count { name: Some(name), .. } => drop(self.bound.insert(name.clone())),
                Part::Name { name, .. } if !self.bound.contains(name) => {
                    return Err(format!("{{{name}}} is not captured yet"));
                }
                _ => {}
            }
        }
        Ok(parts)
    }

    fn comparison(&self, text: &str) -> Result<Action, String> {
        let words: Vec<&str> = text.split(' ').collect();
        let [left, relation, right] = words[..] else {
            return Err("a comparison is: word relation word".into());
        };
        let relation = match relation {
            "==" => Relation::Equal,
            "!=" => Relation::Different,
            "<" => Relation::Less,
            "<=" => Relation::LessOrEqual,
            ">" => Relation::Greater,
            ">=" => Relation::GreaterOrEqual,
            _ => return Err("unknown relation: == != < <= > >= exist".into()),
        };
        Ok(Action::Compare { left: self.known(left, b"")?, relation, right: self.known(right, b"")? })
    }
}

/// The connection's name before the step, and the step.
fn connection(line: &str) -> Result<(&str, &str), String> {
    let Some(inside) = line.strip_prefix('[') else {
        return Ok(("", line));
    };
    inside.split_once("] ").ok_or_else(|| "a connection is named like this: [a] > get k".into())
}

fn refusal(value: &str) -> Result<String, String> {
    let reason =
        value.strip_prefix("no (").and_then(|rest| rest.strip_suffix(')')).filter(|why| !why.is_empty());
    reason.map(Into::into).ok_or_else(|| "say why: no (reason)".into())
}

fn advance(text: &str) -> Result<Action, String> {
    let seconds = text.strip_prefix('+').and_then(|rest| rest.strip_suffix('s')).and_then(|n| n.parse().ok());
    seconds.filter(|s| *s > 0).map(Action::Advance).ok_or_else(|| "the clock moves like this: @ +61s".into())
}

fn with_end(text: &str, end: &[u8]) -> Result<Vec<Part>, String> {
    let mut parts = text::parts(text)?;
    match parts.last_mut() {
        Some(Part::Bytes(bytes)) => bytes.extend(end),
        _ if end.is_empty() => {}
        _ => parts.push(Part::Bytes(end.into())),
    }
    Ok(parts)
}
