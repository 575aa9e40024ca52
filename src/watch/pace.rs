//! When the next look may be: failures in a row make it wait, each twice as long as the one before, until it gives up.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// The wait after the first failure.
const FIRST: Duration = Duration::from_secs(60);
/// The longest wait that a failure makes.
const LONGEST: Duration = Duration::from_secs(3600);
/// The longest wait that a service can ask for.
const MOST: Duration = Duration::from_secs(86_400);

/// How it went, and so when the next look may be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Pace {
    /// In a row, the last one included.
    pub failures: u32,
    /// No look before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
    /// What went wrong, or is odd, at the last look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// There were too many failures: no look until somebody says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gave_up: bool,
}

impl Pace {
    /// Whether a look may be now.
    #[must_use]
    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        // A time further away than any wait is of a clock that has been set back since.
        let waits = |at: DateTime<Utc>| at > now && (at - now).to_std().is_ok_and(|left| left <= MOST);
        !self.gave_up && !self.not_before.is_some_and(waits)
    }

    /// A look that found out what it wanted to. `odd` is what is worth telling all the same.
    pub(crate) fn went_well(&mut self, odd: Option<String>) {
        *self = Self { problem: odd, ..Self::default() };
    }

    /// Somebody asked for a pause, and nothing is wrong.
    pub(crate) fn pause(&mut self, wait: Duration, now: DateTime<Utc>) {
        self.not_before = self.not_before.max(Some(after(now, wait.min(MOST))));
    }

    /// A look that failed. `asked` is how long the service wants to be left alone; `most` failures in a row are the last.
    pub(crate) fn failed(&mut self, problem: String, asked: Option<Duration>, most: u32, now: DateTime<Utc>) {
        self.failures = self.failures.saturating_add(1);
        let doublings = self.failures.saturating_sub(1).min(16);
        let wait = FIRST.saturating_mul(1 << doublings).min(LONGEST);
        self.not_before = Some(after(now, asked.map_or(wait, |asked| asked.max(wait)).min(MOST)));
        self.problem = Some(problem);
        self.gave_up = self.failures >= most;
    }
}

fn after(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(wait).ok().and_then(|wait| now.checked_add_signed(wait)).unwrap_or(now).trunc_subsecs(3)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    #[test]
    fn waits_double_up_to_an_hour_and_the_default_bound_is_a_day() {
        let (mut pace, mut now, begun) = (Pace::default(), now(), now());
        let mut waits = Vec::new();
        while !pace.gave_up {
            assert!(pace.is_due(now));
            pace.failed("down".to_owned(), None, 30, now);
            let next = pace.not_before.unwrap();
            waits.push((next - now).num_seconds());
            assert!(!pace.is_due(now) && !pace.is_due(next - TimeDelta::seconds(1)));
            now = next;
        }
        assert_eq!(waits[..7], [60, 120, 240, 480, 960, 1920, 3600]);
        assert_eq!((waits.len(), *waits.last().unwrap()), (30, 3600));
        // It survives a day without the service.
        assert!((now - begun) > TimeDelta::hours(24));
        assert!(!pace.is_due(now + TimeDelta::days(1000)));
    }

    #[test]
    fn what_a_service_asks_for_counts_up_to_a_day() {
        let mut pace = Pace::default();
        pace.failed("wait".to_owned(), Some(Duration::from_secs(7200)), 30, now());
        assert_eq!(pace.not_before, Some(now() + TimeDelta::hours(2)));
        pace.failed("wait".to_owned(), Some(Duration::from_secs(u64::MAX)), 30, now());
        assert_eq!(pace.not_before, Some(now() + TimeDelta::days(1)));
        // Shorter than our own wait it does not make it.
        pace.failed("wait".to_owned(), Some(Duration::ZERO), 30, now());
        assert_eq!(pace.not_before, Some(now() + TimeDelta::seconds(240)));
        pace.went_well(None);
        assert_eq!(pace, Pace::default());
    }

    #[test]
    fn a_clock_that_was_set_back_stops_nothing() {
        let mut pace = Pace::default();
        pace.failed("x".to_owned(), None, 30, now());
        assert!(pace.is_due(now() - TimeDelta::days(400)));
    }
}
