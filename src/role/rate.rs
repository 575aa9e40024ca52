//! How often an action may happen: `5/hour`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// At most `most` times within any stretch of `window`. Printed and serialised as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    most: u32,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Minute,
    Hour,
    Day,
}

/// Why a text is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RateError {
    #[error("is not a rate; write it like `5/hour` (units: minute, hour, day)")]
    Form,
    #[error("must be from 1 to 10000 a unit; an action that may never happen is left out of `allowedActions`")]
    Range,
}

impl Rate {
    /// How many may happen within [`window`](Self::window).
    #[must_use]
    pub const fn most(self) -> u32 {
        self.most
    }

    #[must_use]
    pub const fn window(self) -> Duration {
        Duration::from_secs(match self.unit {
            Unit::Minute => 60,
            Unit::Hour => 3600,
            Unit::Day => 86_400,
        })
    }

    /// Whether whoever keeps to this rate keeps to `other`, too, whatever the moment.
    #[must_use]
    pub fn is_within(self, other: Self) -> bool {
        // Any window of `other` is covered by so many of ours.
        let windows = other.window().as_secs().div_ceil(self.window().as_secs());
        u64::from(self.most).saturating_mul(windows) <= u64::from(other.most)
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (number, unit) = text.split_once('/').ok_or(RateError::Form)?;
        let unit = match unit {
            "minute" => Unit::Minute,
            "hour" => Unit::Hour,
            "day" => Unit::Day,
            _ => return Err(RateError::Form),
        };
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) || number.starts_with("00") {
            return Err(RateError::Form);
        }
        let most = number.parse().ok().filter(|most| (1..=10_000).contains(most)).ok_or(RateError::Range)?;
        Ok(Self { most, unit })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Minute => "minute",
            Unit::Hour => "hour",
            Unit::Day => "day",
        };
        write!(f, "{}/{unit}", self.most)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_as_it_prints_or_says_why_not() {
        for text in ["5/hour", "1/minute", "10000/day"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!("5/hour".parse::<Rate>().unwrap().window(), Duration::from_secs(3600));
        for text in ["", "5", "/hour", "5/week", "-1/hour", "5 / hour", "+5/hour", "5/hour/day", "1e3/day"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError::Form), "{text}");
        }
        for text in ["0/hour", "10001/hour", "99999999999999999999/day"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError::Range), "{text}");
        }
    }

    #[test]
    fn within_counts_whole_windows() {
        let within = |a: &str, b: &str| a.parse::<Rate>().unwrap().is_within(b.parse().unwrap());
        assert!(within("5/hour", "5/hour") && within("4/hour", "5/hour") && within("1/hour", "24/day"));
        assert!(!within("6/hour", "5/hour") && !within("1/minute", "59/hour") && within("1/minute", "60/hour"));
        // All of a day's may fall into one minute.
        assert!(!within("60/day", "5/minute") && within("5/day", "5/minute"));
    }
}
