//! When a request is sent again, and how long is waited before. Only what has brought no answer yet is sent again: a
//! connection that was not made, or an upstream that says that it is too busy or broken.

use std::time::Duration;

use hyper::header::{HeaderMap, RETRY_AFTER};
use hyper::{StatusCode, header::HeaderName};

use crate::provider::{Failed, ProviderError};

/// Doubled with each try.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// An upstream that wants a longer wait than this is not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// What may be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// The request itself is to blame.
    None,
    /// The request may have been worked on, or the upstream is to be left alone: somebody else may be asked.
    Elsewhere,
    /// It may be sent again; the wait that the upstream asks for, if it does.
    Again(Option<Duration>),
}

/// What may be done about an answer with this status.
pub(crate) fn of_answer(status: StatusCode, headers: &HeaderMap) -> Remedy {
    let busy = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    if !busy && !status.is_server_error() {
        return Remedy::None;
    }
    match wait(headers, chrono::Utc::now()) {
        Some(wait) if wait > LONGEST_WAIT => Remedy::Elsewhere,
        wait => Remedy::Again(wait),
    }
}

/// What may be done about what an upstream calls an answer and is none. An answer that has begun is never asked for twice.
pub(crate) const fn of_no_answer(failed: &Failed) -> Remedy {
    if failed.begun { Remedy::None } else { Remedy::Elsewhere }
}

/// What may be done when there is no answer.
pub(crate) fn of_failure(error: &ProviderError) -> Remedy {
    match error {
        ProviderError::Unreachable { reached: false, .. } => Remedy::Again(None),
        ProviderError::Said { begun: true, .. } => Remedy::None,
        ProviderError::Unreachable { .. }
        | ProviderError::Silent { .. }
        | ProviderError::Cut { .. }
        | ProviderError::Said { .. } => Remedy::Elsewhere,
        _ => Remedy::None,
    }
}

/// How long is waited before the next try, `tries` having failed. Twenty agents whose upstream is busy should not all
/// come back at one time: up to a quarter is left to `chance`.
pub(crate) fn pause(tries: u32, chance: u8) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(8)).min(LONGEST_PAUSE);
    whole - whole / 4 * u32::from(chance) / 255
}

/// `Retry-After` in seconds or as a date, or OpenAI's in milliseconds.
fn wait(headers: &HeaderMap, now: chrono::DateTime<chrono::Utc>) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(millis) = text(RETRY_AFTER_MS).and_then(|text| text.parse().ok()) {
        return Some(Duration::from_millis(millis));
    }
    let text = text(RETRY_AFTER)?;
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let then = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    Some(then.signed_duration_since(now).to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_form_of_retry_after_is_understood() {
        let now = chrono::DateTime::parse_from_rfc3339("2026-01-01T00:00:00Z").unwrap().to_utc();
        for (name, value, expected) in [
            ("retry-after", "7", Some(7000)),
            ("retry-after", "0.5", Some(500)),
            ("retry-after", "Thu, 01 Jan 2026 00:00:09 GMT", Some(9000)),
            ("retry-after", "Wed, 31 Dec 2025 00:00:00 GMT", Some(0)),
            ("retry-after-ms", "20", Some(20)),
            ("retry-after", "soon", None),
            ("retry-after", "-1", None),
            ("retry-after", "inf", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(wait(&headers, now), expected.map(Duration::from_millis), "{name}: {value}");
        }
    }

    #[test]
    fn what_is_the_requests_fault_is_not_tried_again() {
        let none = HeaderMap::new();
        let mut long = HeaderMap::new();
        long.insert(RETRY_AFTER, "3600".parse().unwrap());
        for (status, headers, expected) in [
            (200, &none, Remedy::None),
            (400, &none, Remedy::None),
            (401, &none, Remedy::None),
            (408, &none, Remedy::Again(None)),
            (429, &none, Remedy::Again(None)),
            (429, &long, Remedy::Elsewhere),
            (500, &none, Remedy::Again(None)),
            (529, &none, Remedy::Again(None)),
        ] {
            assert_eq!(of_answer(StatusCode::from_u16(status).unwrap(), headers), expected, "{status}");
        }
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let whole: Vec<u128> = (1..=7).map(|tries| pause(tries, 0).as_millis()).collect();
        assert_eq!(whole, [500, 1000, 2000, 4000, 8000, 8000, 8000]);
        assert!((0..=255).all(|chance| (375..=500).contains(&pause(1, chance).as_millis())));
        assert_eq!(pause(u32::MAX, 0), LONGEST_PAUSE);
    }
}
