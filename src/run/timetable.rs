//! What an agent wants to be told again and again, and when: hostile until it has been checked. Pure: the time is an
//! argument.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::id::AgentName;
use super::quantity;
use super::visible::visible;
use crate::workflow::cron;

/// The longest task, in bytes: a person reads all of it before deciding.
const LONGEST_TASK: usize = 8 << 10;
/// The longest pattern, in bytes.
const LONGEST_WHEN: usize = 100;
/// No tick comes more often.
const SHORTEST: Duration = Duration::from_secs(60);
/// How many times are looked at to find the two that are closest.
const LOOKED_AT: usize = 400;
/// And no further than so: what comes less often than that is close to nothing.
const LOOKED_OVER: chrono::Duration = chrono::Duration::days(8 * 366);
/// How many times a person is shown.
pub const SHOWN: usize = 3;

/// What an agent asks for, beside the name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Timetable {
    /// Five fields of cron, minutes first, in UTC; or `every` and a duration.
    pub when: String,
    /// What it is told each time, word for word: no template.
    pub task: String,
}

/// What a timetable came down to, before anyone is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Scheduled {
    /// The hired agent that asked, and that gets the task.
    pub agent: AgentName,
    pub when: String,
    pub task: String,
    /// The next times, as they were when it was shown.
    pub next: Vec<DateTime<Utc>>,
}

/// The rule that a timetable breaks. What is quoted has its control and direction characters escaped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TimetableError {
    #[error("`schedule:` asks for a task at times: it needs `when` and `task`")]
    Missing,
    #[error("only `schedule:` is asked for with a time and a task")]
    Misplaced,
    #[error("{when:?} is neither a cron pattern of five fields, such as `0 7 * * 1`, nor such as `every 6h`: {why}")]
    When { when: String, why: String },
    #[error("the task is empty")]
    NoTask,
    #[error("the task has more than {LONGEST_TASK} bytes: put it into a skill, or into the memory, and name that")]
    LongTask,
    #[error("the task holds a character that is not shown as itself")]
    Unseen,
}

impl Timetable {
    /// Checks what is asked for: `timetable` for a `schedule`, if that is what was asked for.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check(timetable: Option<&Self>, is_schedule: bool) -> Result<(), TimetableError> {
        match (timetable, is_schedule) {
            (None, false) => Ok(()),
            (None, true) => Err(TimetableError::Missing),
            (Some(_), false) => Err(TimetableError::Misplaced),
            (Some(timetable), true) => timetable.check_parts(),
        }
    }

    fn check_parts(&self) -> Result<(), TimetableError> {
        When::parse(&self.when)?;
        if self.task.trim().is_empty() {
            return Err(TimetableError::NoTask);
        }
        if self.task.len() > LONGEST_TASK {
            return Err(TimetableError::LongTask);
        }
        // What a person reads has to be what the agent is told: nothing that acts, hides or turns a line around.
        if visible(&self.task) != self.task {
            return Err(TimetableError::Unseen);
        }
        Ok(())
    }
}

/// When something is done.
#[derive(Debug, Clone)]
pub enum When {
    Cron(Box<croner::Cron>),
    /// At the whole multiples of it since 1970, in seconds: whoever counts comes to the same times.
    Every(i64),
}

impl When {
    /// Parses five fields of cron, or `every` and a duration of whole minutes.
    ///
    /// # Errors
    /// [`TimetableError::When`].
    pub fn parse(text: &str) -> Result<Self, TimetableError> {
        let wrong = |why: String| {
            let when = visible(text).chars().take(LONGEST_WHEN).collect();
            TimetableError::When { when, why }
        };
        if text.len() > LONGEST_WHEN || text.contains(['\n', '\t']) || visible(text) != text {
            return Err(wrong("it is too long, or holds a character that is not shown as itself".to_owned()));
        }
        let Some(span) = text.strip_prefix("every ") else {
            return cron::parse(text).map(|cron| Self::Cron(Box::new(cron))).map_err(wrong);
        };
        let span = quantity::duration(span).map_err(|error| wrong(format!("{span:?} {error}")))?;
        if span < SHORTEST || span.subsec_nanos() != 0 || span.as_secs() % SHORTEST.as_secs() != 0 {
            return Err(wrong("it is no whole number of minutes".to_owned()));
        }
        i64::try_from(span.as_secs()).map(Self::Every).map_err(|error| wrong(error.to_string()))
    }

    /// The last time that is not after `now`; none if there is none.
    #[must_use]
    pub fn latest(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Cron(cron) => cron.find_previous_occurrence(&now, true).ok().filter(|time| *time <= now),
            Self::Every(span) => DateTime::from_timestamp(now.timestamp().div_euclid(*span) * span, 0),
        }
    }

    /// The first time after `now`; none if there is none that can be found.
    #[must_use]
    pub fn after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Cron(cron) => cron.find_next_occurrence(&now, false).ok().filter(|time| *time > now),
            Self::Every(span) => {
                let next = now.timestamp().div_euclid(*span).checked_add(1)?.checked_mul(*span)?;
                DateTime::from_timestamp(next, 0)
            }
        }
    }

    /// The next times after `now`, at most `count`.
    #[must_use]
    pub fn next(&self, now: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
        std::iter::successors(self.after(now.trunc_subsecs(0)), |time| self.after(*time)).take(count).collect()
    }

    /// The least time between two of its times; none if there are not two. Where several are on one day, the last of a
    /// day and the first of the next count as neighbours, whether they are or not.
    #[must_use]
    pub fn least_gap(&self, now: DateTime<Utc>) -> Option<Duration> {
        let Self::Cron(_) = self else {
            let Self::Every(span) = self else { return None };
            return u64::try_from(*span).ok().map(Duration::from_secs);
        };
        let first = self.after(now)?;
        // A day from its beginning: cron has the same minutes and hours on each of its days.
        let begin = first.date_naive().and_hms_opt(0, 0, 0)?.and_utc() - chrono::Duration::seconds(1);
        let day: Vec<DateTime<Utc>> = std::iter::successors(self.after(begin), |time| self.after(*time))
            .take_while(|time| time.date_naive() == first.date_naive())
            .collect();
        let gap = match day.as_slice() {
            [begin, .., end] => {
                let within = day.windows(2).map(|pair| pair[1] - pair[0]).min()?;
                within.min(chrono::Duration::days(1) - (*end - *begin))
            }
            _ => {
                let end = begin + LOOKED_OVER;
                let times = std::iter::successors(Some(first), |time| self.after(*time)).take_while(|time| *time < end);
                let times: Vec<DateTime<Utc>> = times.take(LOOKED_AT).collect();
                times.windows(2).map(|pair| pair[1] - pair[0]).min()?
            }
        };
        gap.to_std().ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn gap(when: &str) -> Option<u64> {
        When::parse(when).unwrap().least_gap(at("2026-03-04T05:06:07Z")).map(|gap| gap.as_secs())
    }

    #[test]
    fn what_is_no_time_or_no_task_is_refused() {
        let table = |when: &str, task: &str| Timetable { when: when.to_owned(), task: task.to_owned() };
        for good in ["0 7 * * 1", "*/15 * * * *", "@daily", "every 6h", "every 1d", "every 90m"] {
            assert_eq!(Timetable::check(Some(&table(good, "x\ny")), true), Ok(()), "{good}");
        }
        for bad in
            ["", "every", "every 30s", "every 90s", "every 6", "every 0m", "* * * * * *", "61 * * * *", "0 7 * * 1\n"]
        {
            assert!(Timetable::check(Some(&table(bad, "x")), true).is_err(), "{bad}");
        }
        for bad in ["", " \n", "a\u{202e}b", "a\u{1b}[2J", "a\u{200b}b", "a\tb", &"x".repeat(9 << 10)] {
            assert!(Timetable::check(Some(&table("@daily", bad)), true).is_err(), "{bad:?}");
        }
        assert_eq!(Timetable::check(None, true), Err(TimetableError::Missing));
        assert_eq!(Timetable::check(Some(&table("@daily", "x")), false), Err(TimetableError::Misplaced));
        assert_eq!(Timetable::check(None, false), Ok(()));
    }

    #[test]
    fn the_next_times_are_those_of_the_pattern() {
        let next = |when: &str| {
            let next = When::parse(when).unwrap().next(at("2026-03-04T05:06:07.5Z"), SHOWN);
            next.iter().map(|time| time.format("%d %H:%M:%S").to_string()).collect::<Vec<_>>()
        };
        assert_eq!(next("0 3 * * *"), ["05 03:00:00", "06 03:00:00", "07 03:00:00"]);
        assert_eq!(next("every 6h"), ["04 06:00:00", "04 12:00:00", "04 18:00:00"]);
        assert_eq!(next("0 3 31 2 *"), Vec::<String>::new());
        assert_eq!(
            When::parse("every 6h").unwrap().latest(at("2026-03-04T06:00:00Z")),
            Some(at("2026-03-04T06:00:00Z"))
        );
    }

    #[test]
    fn the_least_gap_is_found_also_between_two_days_and_where_it_is_rare() {
        assert_eq!(gap("every 90m"), Some(5400));
        assert_eq!(gap("0 3 * * *"), Some(86_400));
        assert_eq!(gap("0 3 1 * *"), Some(28 * 86_400));
        assert_eq!(gap("*/15 * * * *"), Some(900));
        assert_eq!(gap("0,1 3 1 1 *"), Some(60));
        assert_eq!(gap("59 23,1 * * *"), Some(2 * 3600));
        assert_eq!(gap("0 0,23 * * *"), Some(3600));
        assert_eq!(gap("0 3 31 2 *"), None);
        assert_eq!(gap("0 3 29 2 *"), Some(1461 * 86_400));
    }
}
