//! Plays a transcript over a wire and says where the two first part.
use std::collections::BTreeMap;
use std::fmt;

use super::parse::{Action, Relation, Step, Transcript};
use super::text::{Part, escaped};
use super::{ConnId, Received, Wire};

/// Bytes of one send that are handed over one by one when splitting; what follows goes in odd pieces.
const SPLIT_EVERY_BYTE: usize = 64 << 10;
const SPLIT_PIECE: usize = 1021;
/// Most lines that one `<*` step passes over.
const MAX_SKIPPED_LINES: usize = 100_000;
/// Most bytes of an answer that a mismatch shows.
const MAX_SHOWN: usize = 300;
/// By how many seconds a remaining time may be off when the server's clock runs by itself.
const RUNNING_CLOCK_S: u64 = 3;

/// What probes a binary connection, and its answer.
const BINARY_NOOP: [u8; 24] = noop(0x80);
const BINARY_NOOP_ANSWER: [u8; 24] = noop(0x81);

const fn noop(magic: u8) -> [u8; 24] {
    let mut frame = [0; 24];
    (frame[0], frame[1]) = (magic, 0x0a);
    frame
}

/// Where a server and a transcript part.
#[derive(Debug)]
pub(crate) struct Mismatch {
    file: String,
    line: usize,
    sent: String,
    expected: String,
    got: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}", self.file, self.line)?;
        writeln!(f, "      sent: {}", self.sent)?;
        writeln!(f, "  expected: {}", self.expected)?;
        write!(f, "       got: {}", self.got)
    }
}

/// Plays every step; `split` hands the sent bytes over one at a time. At the end every connection that is still
/// open must have nothing more to say.
///
/// # Errors
/// The first step that did not hold.
pub(crate) fn run(transcript: &Transcript, wire: &mut dyn Wire, split: bool) -> Result<(), Mismatch> {
    let mut play = Play { wire, split, conns: BTreeMap::new(), names: BTreeMap::new() };
    let mismatch = |step: &Step, sent: String, (expected, got): Difference| Mismatch {
        file: transcript.file.clone(),
        line: step.line,
        sent,
        expected,
        got,
    };
    for step in &transcript.steps {
        play.step(step).map_err(|difference| mismatch(step, play.last_sent(&step.conn), difference))?;
    }
    let Some(last) = transcript.steps.last() else {
        return Ok(());
    };
    let names: Vec<String> = play.conns.keys().cloned().collect();
    for name in names {
        play.quiet_at_end(&name).map_err(|difference| mismatch(last, play.last_sent(&name), difference))?;
    }
    Ok(())
}

/// What was expected and what came.
type Difference = (String, String);

struct Play<'a> {
    wire: &'a mut dyn Wire,
    split: bool,
    conns: BTreeMap<String, Conn>,
    names: BTreeMap<String, Vec<u8>>,
}

/// One connection as the transcript sees it.
struct Conn {
    id: ConnId,
    /// Collected from neighbouring `>` lines: they are one piece, as a pipelining client would send them.
    unsent: Vec<u8>,
    /// Received and not yet expected.
    pending: Vec<u8>,
    closed: bool,
    last_sent: Vec<u8>,
    /// The first byte ever sent: it decides the protocol.
    first: Option<u8>,
}

impl Play<'_> {
    fn step(&mut self, step: &Step) -> Result<(), Difference> {
        self.send_others(matches!(step.action, Action::Send(_)).then_some(&step.conn));
        self.open(&step.conn, &step.action);
        let conn = &step.conn;
        match &step.action {
            Action::Send(parts) => self.collect(conn, parts),
            Action::HangUp => self.hang_up(conn),
            Action::Expect(parts) => self.expect(conn, parts),
            Action::ExpectFrame(parts) => self.expect_frame(conn, parts),
            Action::SkipTo(parts) => self.skip_to(conn, parts),
            Action::Close => self.expect_close(conn),
            Action::Silence => self.expect_silence(conn),
            Action::Advance(seconds) => self.advance(*seconds),
            Action::Compare { left, relation, right } => self.compare(left, *relation, right),
        }
    }

    /// Everything collected leaves, except on the connection that goes on collecting.
    fn send_others(&mut self, except: Option<&String>) {
        for (name, conn) in &mut self.conns {
            if Some(name) != except && !conn.unsent.is_empty() {
                let bytes = std::mem::take(&mut conn.unsent);
                send(self.wire, conn.id, &bytes, self.split);
                conn.first = conn.first.or_else(|| bytes.first().copied());
                conn.last_sent = bytes;
            }
        }
    }

    fn open(&mut self, name: &str, action: &Action) {
        let talks = !matches!(action, Action::Advance(_) | Action::Compare { .. });
        if talks && !self.conns.contains_key(name) {
            let id = self.wire.connect();
            let (unsent, pending, last_sent) = (Vec::new(), Vec::new(), Vec::new());
            self.conns
                .insert(name.into(), Conn { id, unsent, pending, closed: false, last_sent, first: None });
        }
    }

    fn collect(&mut self, conn: &str, parts: &[Part]) -> Result<(), Difference> {
        let bytes = self.known(parts)?;
        self.conn(conn).unsent.extend(bytes);
        Ok(())
    }

    fn hang_up(&mut self, name: &str) -> Result<(), Difference> {
        if let Some(conn) = self.conns.remove(name) {
            self.wire.hang_up(conn.id);
        }
        Ok(())
    }

    fn expect(&mut self, conn: &str, parts: &[Part]) -> Result<(), Difference> {
        let pieces = self.resolve(parts)?;
        if let [Piece::Literal(expected)] = &pieces[..] {
            return self.expect_bytes(conn, expected);
        }
        let newlines = pieces.iter().map(Piece::newlines).sum();
        let end = self.fill_lines(conn, newlines).map_err(|got| (show_pieces(&pieces), got))?;
        let candidate: Vec<u8> = self.conn(conn).pending.drain(..end).collect();
        let Some(captured) = matched(&pieces, &candidate) else {
            return Err((show_pieces(&pieces), shown(&candidate)));
        };
        self.names.extend(captured);
        Ok(())
    }

    /// Bytes of a known number, without regard to lines.
    fn expect_frame(&mut self, conn: &str, parts: &[Part]) -> Result<(), Difference> {
        for piece in self.resolve(parts)? {
            match piece {
                Piece::Literal(bytes) => self.expect_bytes(conn, &bytes)?,
                Piece::Count(name, count) => {
                    while self.conn(conn).pending.len() < count {
                        if !self.fill(conn) {
                            let got = shown(&self.conn(conn).pending);
                            return Err((format!("{count} bytes"), got));
                        }
                    }
                    let bytes: Vec<u8> = self.conn(conn).pending.drain(..count).collect();
                    self.names.extend(name.map(|name| (name, bytes)));
                }
                _ => return Err(("a part of a frame".into(), "another part".into())),
            }
        }
        Ok(())
    }

    fn expect_bytes(&mut self, conn: &str, expected: &[u8]) -> Result<(), Difference> {
        loop {
            let pending = &mut self.conn(conn).pending;
            if pending.len() >= expected.len() && pending.starts_with(expected) {
                pending.drain(..expected.len());
                return Ok(());
            }
            let common = pending.iter().zip(expected).take_while(|(a, b)| a == b).count();
            if common < pending.len() || !self.fill(conn) {
                return Err(self.difference(conn, expected, common));
            }
        }
    }

    /// Shows both sides from a little before the byte where they part.
    fn difference(&mut self, conn: &str, expected: &[u8], common: usize) -> Difference {
        let from = if common > MAX_SHOWN { common - 20 } else { 0 };
        let mark = if from > 0 { format!("(from byte {from}) ") } else { String::new() };
        let conn = self.conn(conn);
        let mut got = format!("{mark}{}", shown(conn.pending.get(from..).unwrap_or_default()));
        if conn.closed {
            got.push_str(" (and the server closed)");
        }
        (format!("{mark}{}", shown(expected.get(from..).unwrap_or_default())), got)
    }

    fn skip_to(&mut self, conn: &str, parts: &[Part]) -> Result<(), Difference> {
        let pieces = self.resolve(parts)?;
        let mut last = String::new();
        for _ in 0..MAX_SKIPPED_LINES {
            let end =
                self.fill_lines(conn, 1).map_err(|got| (show_pieces(&pieces), format!("{got}{last}")))?;
            let line: Vec<u8> = self.conn(conn).pending.drain(..end).collect();
            if let Some(captured) = matched(&pieces, &line) {
                self.names.extend(captured);
                return Ok(());
            }
            last = format!(" (after {})", shown(&line));
        }
        Err((show_pieces(&pieces), format!("{MAX_SKIPPED_LINES} other lines")))
    }

    fn expect_close(&mut self, conn: &str) -> Result<(), Difference> {
        while self.fill(conn) {}
        let conn = self.conn(conn);
        if conn.closed && conn.pending.is_empty() {
            return Ok(());
        }
        let still_open = if conn.closed { "" } else { " (and the connection stays open)" };
        Err(("the server closes".into(), format!("{}{still_open}", shown(&conn.pending))))
    }

    /// Silence is shown by asking something else: its answer must be the next to come.
    fn expect_silence(&mut self, name: &str) -> Result<(), Difference> {
        let id = self.conn(name).id;
        let (probe, answer): (&[u8], &[u8]) = if self.conn(name).first == Some(BINARY_NOOP[0]) {
            (&BINARY_NOOP, &BINARY_NOOP_ANSWER)
        } else {
            (b"mn\r\n", b"MN\r\n")
        };
        self.wire.send(id, probe);
        let answered = self.expect_bytes(name, answer);
        answered.map_err(|(_, got)| (format!("nothing (then {} to a probe)", escaped(answer)), got))
    }

    fn quiet_at_end(&mut self, name: &str) -> Result<(), Difference> {
        self.send_others(None);
        if !self.conn(name).closed {
            self.expect_silence(name)?;
        }
        let rest = &self.conn(name).pending;
        if rest.is_empty() { Ok(()) } else { Err(("nothing more".into(), shown(rest))) }
    }

    fn advance(&mut self, seconds: i64) -> Result<(), Difference> {
        let moved = self.wire.advance_clock(seconds);
        if moved {
            Ok(())
        } else {
            Err((format!("the clock moves {seconds} s"), "it cannot be moved".into()))
        }
    }

    fn compare(&mut self, left: &[Part], relation: Relation, right: &[Part]) -> Result<(), Difference> {
        let (left, right) = (self.known(left)?, self.known(right)?);
        let holds = match relation {
            Relation::Equal => left == right,
            Relation::Different => left != right,
            _ => ordered(number(&left)?, relation, number(&right)?),
        };
        let (left, right) = (escaped(&left), escaped(&right));
        if holds { Ok(()) } else { Err((format!("{relation:?}"), format!("{left} and {right}"))) }
    }

    /// Reads until so many newlines are pending; their end. The error is what came instead.
    fn fill_lines(&mut self, conn: &str, newlines: usize) -> Result<usize, String> {
        loop {
            let pending = &self.conn(conn).pending;
            let ends = pending.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1);
            if let Some(end) = ends.take(newlines).last().filter(|_| count_newlines(pending) >= newlines) {
                return Ok(end);
            }
            if !self.fill(conn) {
                let conn = self.conn(conn);
                let end = if conn.closed { " (and the server closed)" } else { "" };
                return Err(format!("{}{end}", shown(&conn.pending)));
            }
        }
    }

    /// Asks the wire for more. `false`: there is no more.
    fn fill(&mut self, name: &str) -> bool {
        let conn = self.conns.get_mut(name).filter(|conn| !conn.closed);
        let Some(conn) = conn else {
            return false;
        };
        match self.wire.receive(conn.id) {
            Received::Bytes(bytes) => {
                conn.pending.extend(bytes);
                true
            }
            Received::Nothing => false,
            Received::Closed => {
                conn.closed = true;
                false
            }
        }
    }

    fn conn(&mut self, name: &str) -> &mut Conn {
        self.conns.get_mut(name).unwrap_or_else(|| panic!("connection [{name}] was not opened"))
    }

    fn last_sent(&self, name: &str) -> String {
        self.conns.get(name).map_or_else(String::new, |conn| shown(&conn.last_sent))
    }

    fn known(&self, parts: &[Part]) -> Result<Vec<u8>, Difference> {
        let mut bytes = Vec::new();
        for piece in self.resolve(parts)? {
            if let Piece::Literal(literal) = piece {
                bytes.extend(literal);
            }
        }
        Ok(bytes)
    }

    /// Puts captured words in and joins what is now plain.
    fn resolve(&self, parts: &[Part]) -> Result<Vec<Piece>, Difference> {
        let slack = if self.wire.exact_clock() { 0 } else { RUNNING_CLOCK_S };
        let mut pieces: Vec<Piece> = Vec::new();
        for part in parts {
            let piece = match part {
                Part::Bytes(bytes) => Piece::Literal(bytes.clone()),
                Part::Name { name, plus } => match self.names.get(name) {
                    Some(word) if *plus == 0 => Piece::Literal(word.clone()),
                    Some(word) => Piece::Literal((number(word)? + i128::from(*plus)).to_string().into()),
                    None => Piece::Word(Some(name.clone())),
                },
                Part::AnyWord => Piece::Word(None),
                Part::Rest => Piece::Rest,
                Part::Down(n) => Piece::Number(n.saturating_sub(slack), *n),
                Part::Up(n) => Piece::Number(*n, n + slack),
                Part::Count { name, bytes } => Piece::Count(name.clone(), *bytes),
            };
            match (pieces.last_mut(), piece) {
                (Some(Piece::Literal(before)), Piece::Literal(bytes)) => before.extend(bytes),
                (_, piece) => pieces.push(piece),
            }
        }
        Ok(pieces)
    }
}

/// One part of an expectation once the captured words are in it.
enum Piece {
    Literal(Vec<u8>),
    /// One word, captured under the name.
    Word(Option<String>),
    Rest,
    /// A number between the two, both included.
    Number(u64, u64),
    /// So many bytes, captured under the name.
    Count(Option<String>, usize),
}

impl Piece {
    fn newlines(&self) -> usize {
        if let Piece::Literal(bytes) = self { count_newlines(bytes) } else { 0 }
    }
}

/// Matches the whole of `text`; the words captured on the way.
fn matched(pieces: &[Piece], text: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut captured: Vec<(String, Vec<u8>)> = Vec::new();
    let mut rest = text;
    for (index, piece) in pieces.iter().enumerate() {
        let next = match pieces.get(index + 1) {
            Some(Piece::Literal(next)) => next.as_slice(),
            _ => b"",
        };
        match piece {
            Piece::Literal(bytes) => rest = rest.strip_prefix(bytes.as_slice())?,
            Piece::Word(name) => {
                let (word, after) = rest.split_at(variable_length(rest, next, b" \r\n"));
                rest = after;
                let other =
                    captured.iter().any(|(known, before)| Some(known) == name.as_ref() && before != word);
                if word.is_empty() || other {
                    return None;
                }
                captured.extend(name.iter().map(|name| (name.clone(), word.to_vec())));
            }
            Piece::Rest => rest = rest.get(variable_length(rest, next, b"\r\n")..)?,
            Piece::Count(..) => return None,
            Piece::Number(low, high) => {
                let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
                let value: u64 = std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()?;
                rest = rest.get(digits..).filter(|_| (*low..=*high).contains(&value))?;
            }
        }
    }
    rest.is_empty().then_some(captured)
}

/// How far a variable part reaches: to the literal that follows it, but never over a byte of `ends`.
fn variable_length(text: &[u8], next: &[u8], ends: &[u8]) -> usize {
    let limit = text.iter().position(|b| ends.contains(b)).unwrap_or(text.len());
    let stop = (0..limit).find(|at| !next.is_empty() && text.get(*at..).is_some_and(|t| t.starts_with(next)));
    stop.unwrap_or(limit)
}

fn send(wire: &mut dyn Wire, conn: ConnId, bytes: &[u8], split: bool) {
    if !split {
        wire.send(conn, bytes);
        return;
    }
    let (singly, rest) = bytes.split_at(bytes.len().min(SPLIT_EVERY_BYTE));
    singly.chunks(1).chain(rest.chunks(SPLIT_PIECE)).for_each(|piece| wire.send(conn, piece));
}

fn number(word: &[u8]) -> Result<i128, Difference> {
    let parsed = std::str::from_utf8(word).ok().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| ("a number".into(), escaped(word)))
}

fn ordered(left: i128, relation: Relation, right: i128) -> bool {
    match relation {
        Relation::Less => left < right,
        Relation::LessOrEqual => left <= right,
        Relation::Greater => left > right,
        Relation::GreaterOrEqual => left >= right,
        Relation::Equal => left == right,
        Relation::Different => left != right,
    }
}

fn count_newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|b| **b == b'\n').count()
}

fn show_pieces(pieces: &[Piece]) -> String {
    let show = |piece: &Piece| match piece {
        Piece::Literal(bytes) => shown(bytes),
        Piece::Word(Some(name)) => format!("{{{name}}}"),
        Piece::Word(None) => "{_}".into(),
        Piece::Rest => "{..}".into(),
        Piece::Number(low, high) => format!("{{{low}..={high}}}"),
        Piece::Count(_, count) => format!("{{{count} bytes}}"),
    };
    pieces.iter().map(show).collect()
}

fn shown(bytes: &[u8]) -> String {
    match bytes.get(..MAX_SHOWN) {
        None if bytes.is_empty() => "(nothing)".into(),
        None => escaped(bytes),
        Some(head) => format!("{}... ({} bytes)", escaped(head), bytes.len()),
    }
}
