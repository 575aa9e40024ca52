//! Times as OpenTask's files hold them. No clock here: the time is an argument everywhere.

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};

/// Python's `datetime.isoformat()` in UTC: `2026-11-20T11:46:18.964660+00:00`, without the fraction when it is zero.
#[must_use]
pub fn isoformat(time: DateTime<Utc>) -> String {
    let time = time.trunc_subsecs(6);
    let precision = if time.timestamp_subsec_micros() == 0 { SecondsFormat::Secs } else { SecondsFormat::Micros };
    time.to_rfc3339_opts(precision, false)
}

/// Reads what [`isoformat`] wrote, and any other RFC 3339 time.
#[must_use]
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn python_s_form() {
        for text in ["2026-11-20T11:46:18.964660+00:00", "2026-11-20T11:46:18+00:00"] {
            assert_eq!(isoformat(parse_time(text).unwrap()), text);
        }
        assert_eq!(isoformat(parse_time("2026-11-20T11:46:18.0000009Z").unwrap()), "2026-11-20T11:46:18+00:00");
    }
}
