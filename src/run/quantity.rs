//! Durations and sizes as people write them: `1h30m`, `250ms`, `512MiB`.

use std::time::Duration;

use serde::Serializer;
use thiserror::Error;

/// The longest duration of anything: a hundred years would overflow somebody's arithmetic.
pub const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// The largest size of anything: 1 PiB.
pub const LARGEST: u64 = 1 << 50;

/// Why a text is not a duration or a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum QuantityError {
    #[error("is not a duration; write it like `90s`, `30m` or `1h30m` (units: d, h, m, s, ms)")]
    Duration,
    #[error("is not a size; write it like `512MiB` or `1GiB` (units: B, KiB, MiB, GiB, TiB, KB, MB, GB, TB)")]
    Size,
    #[error("must be more than nothing")]
    Zero,
    #[error("is more than 366 days")]
    TooLong,
    #[error("is more than 1 PiB")]
    TooLarge,
}

/// Parses a duration: whole numbers with the units `d`, `h`, `m`, `s` and `ms`, the larger unit first, each at most
/// once, without spaces. More than nothing and at most [`LONGEST`].
///
/// # Errors
/// [`QuantityError`] names the rule that `text` breaks.
pub fn duration(text: &str) -> Result<Duration, QuantityError> {
    const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let mut rest = text;
    let mut total: u64 = 0;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let (number, after) = leading_number(rest).ok_or(QuantityError::Duration)?;
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        // The iterator is not rewound, so that a unit cannot come twice nor after a smaller one.
        let (_, millis) = units.find(|(name, _)| *name == unit).ok_or(QuantityError::Duration)?;
        total = number.checked_mul(*millis).and_then(|n| total.checked_add(n)).ok_or(QuantityError::TooLong)?;
        rest = after;
    }
    let duration = Duration::from_millis(total);
    match () {
        () if text.is_empty() => Err(QuantityError::Duration),
        () if duration.is_zero() => Err(QuantityError::Zero),
        () if duration > LONGEST => Err(QuantityError::TooLong),
        () => Ok(duration),
    }
}

/// Parses a size in bytes: a whole number and a unit, binary (`KiB`, `MiB`, `GiB`, `TiB`) or decimal (`KB`, `MB`, `GB`,
/// `TB`), or `B`. `M` and `G` alone are refused, since programs disagree about what they mean. More than nothing and at
/// most [`LARGEST`].
///
/// # Errors
/// [`QuantityError`] names the rule that `text` breaks.
pub fn size(text: &str) -> Result<u64, QuantityError> {
    const UNITS: [(&str, u64); 9] = [
        ("B", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
    ];
    let (number, unit) = leading_number(text).ok_or(QuantityError::Size)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(QuantityError::Size)?;
    let size = number.checked_mul(*bytes).ok_or(QuantityError::TooLarge)?;
    match size {
        0 => Err(QuantityError::Zero),
        size if size > LARGEST => Err(QuantityError::TooLarge),
        size => Ok(size),
    }
}

/// A span as [`duration`] reads it: `1h30m`. What is shorter than a millisecond is nothing.
#[must_use]
pub fn words(span: chrono::Duration) -> String {
    let mut rest = u64::try_from(span.num_milliseconds()).unwrap_or(0);
    let mut text = String::new();
    for (unit, millis) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if rest >= millis {
            text.push_str(&format!("{}{unit}", rest / millis));
            rest %= millis;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    // Twelve digits fit, whatever the unit; more are no duration and no size of this world.
    if digits > 12 { None } else { Some((number.parse().ok()?, rest)) }
}

/// Serialises a duration as whole milliseconds.
pub(crate) fn as_millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// Serialises an optional duration as whole milliseconds.
pub(crate) fn as_optional_millis<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => as_millis(duration, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [("30m", 1_800_000), ("1h30m", 5_400_000), ("250ms", 250), ("1d1h1m1s1ms", 90_061_001)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(words(chrono::Duration::milliseconds(millis.cast_signed())), text);
        }
        for text in ["", "30", "m", "1.5h", "-1m", "1m1h", "1m1m", "1 m", "1m ", "1M", "٣m", "9999999999999s"] {
            assert_eq!(duration(text), Err(QuantityError::Duration), "{text}");
        }
        assert_eq!(duration("0s"), Err(QuantityError::Zero));
        assert_eq!(duration("367d"), Err(QuantityError::TooLong));
        assert_eq!(duration("999999999999d"), Err(QuantityError::TooLong));
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("512MiB", 512 << 20), ("1 GiB", 1 << 30), ("1GB", 1_000_000_000), ("7B", 7)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "512", "512M", "512m", "MiB", "1.5GiB", "-1B", "1  B", "1mib"] {
            assert_eq!(size(text), Err(QuantityError::Size), "{text}");
        }
        assert_eq!(size("0GiB"), Err(QuantityError::Zero));
        assert_eq!(size("2000TiB"), Err(QuantityError::TooLarge));
        assert_eq!(size("999999999999TiB"), Err(QuantityError::TooLarge));
    }
}
