//! Numbers and sizes as they are written.

use std::ops::RangeInclusive;

/// The whole number `text` of the flag `flag`, within `range`.
pub(super) fn within(flag: &str, text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    digits(text).filter(|number| range.contains(number)).ok_or_else(|| {
        format!("{flag} {text}: write a whole number from {} to {}", range.start(), range.end())
    })
}

/// The same, or `default` when nothing is written.
pub(super) fn within_or(
    flag: &str,
    text: Option<&str>,
    range: RangeInclusive<u64>,
    default: u64,
) -> Result<u64, String> {
    text.map_or(Ok(default), |text| within(flag, text, range))
}

/// The number `text` of the flag `flag`, a fraction too: above `above` and not above `most`.
pub(super) fn decimal(flag: &str, text: &str, above: f64, most: f64) -> Result<(), String> {
    if text.parse::<f64>().is_ok_and(|number| number > above && number <= most) {
        return Ok(());
    }
    let bounds = match (above.is_finite(), most.is_finite()) {
        (true, true) => format!(" above {above} and not above {most}"),
        (true, false) => format!(" above {above}"),
        _ => String::new(),
    };
    Err(format!("{flag} {text}: write a number{bounds}"))
}

/// A size: bytes, or with k, m or g in units of 1024, 1024^2 or 1024^3 bytes. `None` when it is not one, or too large
/// for 64 bits.
pub(super) fn size(text: &str) -> Option<u64> {
    let shift = match text.as_bytes().last()?.to_ascii_lowercase() {
        b'k' => 10,
        b'm' => 20,
        b'g' => 30,
        _ => return digits(text),
    };
    digits(text.get(..text.len() - 1)?)?.checked_mul(1 << shift)
}

/// Digits only: no sign, no space.
pub(super) fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
