//! Numbers, times and texts as people read them.

use chrono::{DateTime, TimeDelta, Utc};

/// `1234567` as `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 node`, `2 nodes`.
pub(super) fn counted(number: usize, one: &str, many: &str) -> String {
    let what = if number == 1 { one } else { many };
    format!("{} {what}", count(number as u64))
}

/// A size in bytes: exact below 1 KiB, else with one decimal.
#[allow(clippy::cast_precision_loss)] // one decimal is shown
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    // What would be rounded up to 1024.0 is one of the next unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// How long something took: its two largest units, `0.3 s` to `12 d 4 h`.
pub(super) fn duration(delta: TimeDelta) -> String {
    let millis = delta.num_milliseconds().max(0);
    let seconds = millis / 1000;
    let pair = |big: i64, big_unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{big} {big_unit}"),
        _ => format!("{big} {big_unit} {small} {small_unit}"),
    };
    match seconds {
        0 if millis == 0 => "0 s".to_owned(),
        0 if millis < 100 => format!("{millis} ms"),
        0..10 if millis % 1000 >= 100 => format!("{}.{} s", seconds, millis % 1000 / 100),
        0..10 => format!("{seconds} s"),
        10..60 => format!("{seconds} s"),
        60..3600 => pair(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => pair(seconds / 3600, "h", seconds / 60 % 60, "min"),
        _ => pair(seconds / 86_400, "d", seconds / 3600 % 24, "h"),
    }
}

/// A moment, to the second.
pub(super) fn moment(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// At most `limit` characters of `text`; what is left out is said.
pub(super) fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((at, _)) => {
            let rest = text[at..].chars().count();
            format!("{}… ({} cut)", &text[..at], counted(rest, "character", "characters"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((counted(1, "a", "b"), counted(2000, "a", "b")), ("1 a".to_owned(), "2,000 b".to_owned()));
        let sizes = [0, 1023, 1024, 1536, 1_048_575, 1 << 20, u64::MAX].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "1.0 MiB", "16777216.0 TiB"]);
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let said = [-5, 0, 42, 340, 9_999, 59_999, 60_000, 61_000, 3_600_000, 90_000_000]
            .map(|ms| duration(TimeDelta::milliseconds(ms)));
        let expected = ["0 s", "0 s", "42 ms", "0.3 s", "9.9 s", "59 s", "1 min", "1 min 1 s", "1 h", "1 d 1 h"];
        assert_eq!(said, expected);
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(cut("größe", 5), "größe");
        assert_eq!(cut("größe", 3), "grö… (2 characters cut)");
        assert_eq!(cut("ab", 1), "a… (1 character cut)");
    }
}
