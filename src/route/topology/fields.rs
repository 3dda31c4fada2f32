//! The tables of a topology file, field by field, each with its line.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::refusal::Refusal;

/// The text of a file, and what is wrong with it so far.
pub(super) struct Reading<'a> {
    pub(super) text: &'a str,
    pub(super) refusals: Vec<Refusal>,
}

impl Reading<'_> {
    /// The line that a byte lies in, from 1.
    pub(super) fn line(&self, byte: usize) -> usize {
        let before = self.text.as_bytes().get(..byte).unwrap_or_default();
        1 + memchr::memchr_iter(b'\n', before).count()
    }

    /// Notes what is wrong.
    pub(super) fn refuse(&mut self, line: usize, reason: impl Into<String>, remedy: impl Into<String>) {
        self.refusals.push(Refusal::at(line, reason, remedy));
    }
}

/// One table of the file.
pub(super) struct Fields<'t, 'a> {
    table: &'t DeTable<'a>,
    /// What it is called in messages.
    name: &'static str,
    /// Where it begins.
    pub(super) line: usize,
}

impl<'t, 'a> Fields<'t, 'a> {
    /// A table whose fields all have one of these names.
    pub(super) fn new(
        reading: &mut Reading<'_>,
        table: &'t DeTable<'a>,
        name: &'static str,
        line: usize,
        known: &[&str],
    ) -> Fields<'t, 'a> {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let line = reading.line(key.span().start);
            let reason = format!("{name} has no `{}`", key.get_ref().escape_debug());
            reading.refuse(line, reason, format!("write one of: {}", known.join(", ")));
        }
        Fields { table, name, line }
    }

    /// A field that may be missing, and its line.
    pub(super) fn optional(&self, reading: &Reading<'_>, key: &str) -> Option<(&'t DeValue<'a>, usize)> {
        let value = self.table.get(key)?;
        Some((value.get_ref(), reading.line(value.span().start)))
    }

    /// A field that may not be missing; `example` shows what to write.
    pub(super) fn required(
        &self,
        reading: &mut Reading<'_>,
        key: &str,
        example: &str,
    ) -> Option<(&'t DeValue<'a>, usize)> {
        let found = self.optional(reading, key);
        if found.is_none() {
            reading.refuse(
                self.line,
                format!("{} needs `{key}`", self.name),
                format!("write {key} = {example}"),
            );
        }
        found
    }

    /// A field that `take` understands, and its line; `expected` says what it must be.
    pub(super) fn take<T>(
        &self,
        reading: &mut Reading<'_>,
        key: &str,
        (example, expected): (&str, &str),
        take: impl Fn(&DeValue<'a>) -> Option<T>,
    ) -> Option<(T, usize)> {
        let (value, line) = self.required(reading, key, example)?;
        let taken = take(value);
        if taken.is_none() {
            reading.refuse(line, format!("`{key}` must be {expected}"), format!("write {key} = {example}"));
        }
        taken.map(|taken| (taken, line))
    }

    /// As [`Fields::take`], for a field that has a default.
    pub(super) fn take_or<T>(
        &self,
        reading: &mut Reading<'_>,
        key: &str,
        shown: (&str, &str),
        default: T,
        take: impl Fn(&DeValue<'a>) -> Option<T>,
    ) -> Option<T> {
        match self.optional(reading, key) {
            None => Some(default),
            Some(_) => self.take(reading, key, shown, take).map(|(taken, _)| taken),
        }
    }

    /// The tables of this name: `[[name]]`, each with its line.
    pub(super) fn tables(
        &self,
        reading: &mut Reading<'_>,
        key: &'static str,
    ) -> Vec<(&'t DeTable<'a>, usize)> {
        let Some((value, line)) = self.optional(reading, key) else { return Vec::new() };
        let tables = value.as_array().and_then(|array| {
            array.iter().map(|item| Some((table(item)?, reading.line(item.span().start)))).collect()
        });
        tables.unwrap_or_else(|| {
            reading.refuse(line, format!("`{key}` must be tables"), format!("write [[{key}]] above each"));
            Vec::new()
        })
    }
}

fn table<'t, 'a>(value: &'t Spanned<DeValue<'a>>) -> Option<&'t DeTable<'a>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

/// A number that is not negative.
pub(super) fn number(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// Text.
pub(super) fn text<'v>(value: &'v DeValue<'_>) -> Option<&'v str> {
    value.as_str()
}
