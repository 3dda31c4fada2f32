//! Moments as people write them: `2026-11-21T04:10:00Z`, or unix seconds.

use crate::base::time::UnixMs;

/// The last millisecond of the second that the text names; `None` when it names none. Always UTC.
pub(super) fn parse(text: &str) -> Option<UnixMs> {
    let seconds = text.parse::<u64>().ok().or_else(|| calendar(text))?;
    Some(UnixMs(seconds.checked_mul(1000)?.checked_add(999)?))
}

/// A moment for people.
pub(super) fn show(moment: UnixMs) -> String {
    let seconds = moment.0 / 1000;
    let (year, month, day) = date(seconds / 86_400);
    let of_day = seconds % 86_400;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

fn calendar(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' '])?;
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let is_valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    is_valid.then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

fn numbers(text: &str, between: char) -> Option<[u64; 3]> {
    let mut words = text.split(between).map(|word| word.parse().ok());
    let found = [words.next()??, words.next()??, words.next()??];
    words.next().is_none().then_some(found)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let years: u64 = (1970..year).map(|year| 365 + u64::from(is_leap(year))).sum();
    let months: u64 = (1..month).map(|month| days_in(year, month)).sum();
    years + months + day - 1
}

/// The date of a day since 1970.
fn date(mut days: u64) -> (u64, u64, u64) {
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    while days >= days_in(year, month) {
        days -= days_in(year, month);
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_shown() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-11-21 04:10:00", 1_795_234_200),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("1700000000", 1_700_000_000),
        ] {
            assert_eq!(parse(text), Some(UnixMs(seconds * 1000 + 999)), "{text}");
            assert_eq!(parse(&show(UnixMs(seconds * 1000))), parse(text), "{text}");
        }
        for text in [
            "",
            "x",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00",
            "2026-01-01",
            "2026-01-01T24:00:00",
            "-1",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
