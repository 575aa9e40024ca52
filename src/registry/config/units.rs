//! Sizes and durations as people write them: `512MiB`, `30m`. Strict: no unit means no value.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};

use super::ExtraCa;

/// Bytes of `512MiB`: digits and `B`, `KiB`, `MiB`, `GiB` or `TiB`.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 5] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1)];
    scaled(text, &UNITS)
}

/// The duration of `90s`: digits and `ms`, `s`, `m`, `h` or `d`.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    scaled(text, &UNITS).map(Duration::from_millis)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_size(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is not a size such as \"512MiB\"")))
}

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is not a duration such as \"30m\"")))
}

pub(super) fn extra_ca<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ExtraCa, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "auto" => Ok(ExtraCa::Auto),
        "none" => Ok(ExtraCa::None),
        path if path.starts_with('/') => Ok(ExtraCa::File(PathBuf::from(path))),
        other => Err(D::Error::custom(format!("{other:?} is neither \"auto\", \"none\" nor an absolute path"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations() {
        assert_eq!(parse_size("512MiB"), Some(512 << 20));
        assert_eq!(parse_size("0B"), Some(0));
        assert_eq!(parse_duration("30m"), Some(Duration::from_secs(1800)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        for bad in ["", "5", "MiB", "5MB", "5 MiB", "-1B", "1.5GiB", "99999999999999999999B", "18446744073709551615KiB"]
        {
            assert_eq!(parse_size(bad), None, "{bad}");
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}
