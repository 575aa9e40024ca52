//! How often an action may happen: `5/hour`.

use std::fmt;
use std::str::FromStr;

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
    /// How many may happen within any stretch of its unit.
    #[must_use]
    pub const fn most(self) -> u32 {
        self.most
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
        for text in ["", "5", "/hour", "5/week", "-1/hour", "5 / hour", "+5/hour", "5/hour/day", "1e3/day"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError::Form), "{text}");
        }
        for text in ["0/hour", "10001/hour", "99999999999999999999/day"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError::Range), "{text}");
        }
    }
}
