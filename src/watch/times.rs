//! `schedule`: the time that has come since the last look.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};

use super::item::Item;
use crate::run::timetable::When;

/// The latest time of `pattern` after `since` and not after `now`. Several that passed while nobody looked are one.
///
/// # Errors
/// When it is no pattern, or none of its times can be found.
pub(crate) fn due(pattern: &str, since: DateTime<Utc>, now: DateTime<Utc>) -> Result<Option<Item>, String> {
    let when = When::parse(pattern).map_err(|error| error.to_string())?;
    let latest = when.latest(now).ok_or_else(|| "none of its times can be found".to_owned())?;
    if latest <= since {
        return Ok(None);
    }
    let time = latest.to_rfc3339_opts(SecondsFormat::Secs, true);
    let fields = [("time", time.clone()), ("date", day(latest))];
    Ok(Some(Item {
        key: format!("schedule:{time}"),
        what: time,
        fields: fields.map(|(name, text)| (name.to_owned(), text.into())).into_iter().collect::<BTreeMap<_, _>>(),
        input: None,
    }))
}

/// As in `2026-01-02`.
fn day(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_time_comes_once_and_what_was_missed_is_one() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let key = |since: &str, now: &str| due("0 3 * * *", at(since), at(now)).unwrap().map(|item| item.key);
        assert_eq!(key("2026-01-02T02:59:20Z", "2026-01-02T02:59:59Z"), None);
        let third = Some("schedule:2026-01-02T03:00:00Z".to_owned());
        assert_eq!(key("2026-01-02T02:59:20Z", "2026-01-02T03:00:00Z"), third);
        assert_eq!(key("2025-12-24T00:00:00Z", "2026-01-02T03:00:20Z"), third);
        assert_eq!(key("2026-01-02T03:00:20Z", "2026-01-02T03:01:20Z"), None);
        // A clock that was set back.
        assert_eq!(key("2026-05-01T00:00:00Z", "2026-01-02T03:01:20Z"), None);
        assert!(due("0 3 31 2 *", at("2026-01-02T03:00:20Z"), at("2026-01-02T03:01:20Z")).is_err());
    }
}
