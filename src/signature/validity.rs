//! From when and until when a key counts: `valid-after="…"` and `valid-before="…"`.

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, TimeZone, Utc};

/// Both ends belong to it, as in OpenSSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Validity {
    pub after: Option<DateTime<Utc>>,
    pub before: Option<DateTime<Utc>>,
}

impl Validity {
    pub(super) fn has_begun(self, at: DateTime<Utc>) -> bool {
        self.after.is_none_or(|after| at >= after)
    }

    pub(super) fn has_ended(self, at: DateTime<Utc>) -> bool {
        self.before.is_some_and(|before| at > before)
    }
}

/// `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, with `Z` in UTC, and otherwise in this machine's time zone.
pub(super) fn parse(text: &str) -> Option<DateTime<Utc>> {
    let (digits, utc) = match text.strip_suffix(['Z', 'z']) {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let time: NaiveDateTime = match digits.len() {
        8 => NaiveDate::parse_from_str(digits, "%Y%m%d").ok()?.and_hms_opt(0, 0, 0)?,
        12 => NaiveDateTime::parse_from_str(&format!("{digits}00"), "%Y%m%d%H%M%S").ok()?,
        14 => NaiveDateTime::parse_from_str(digits, "%Y%m%d%H%M%S").ok()?,
        _ => return None,
    };
    if utc {
        return Some(time.and_utc());
    }
    Local.from_local_datetime(&time).earliest().map(|time| time.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_as_openssh_writes_them() {
        let at = |text: &str| parse(text).map(|time| time.to_rfc3339());
        assert_eq!(at("20261127Z").unwrap(), "2026-11-27T00:00:00+00:00");
        assert_eq!(at("202611271530Z").unwrap(), "2026-11-27T15:30:00+00:00");
        assert_eq!(at("20261127153045Z").unwrap(), "2026-11-27T15:30:45+00:00");
        assert!(at("20261127").is_some());
        for wrong in
            ["", "Z", "2026", "20261301Z", "2026-11-27", "20261127T00", "20261127ZZ", "+20261127", "202611272500"]
        {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}
