//! How fast an agent may ask: at most so many requests within any second and any minute, counted for each node over all
//! its attempts. What is refused does not count. A gate that starts has seen nobody ask.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// The most that a limit may say: so many times are remembered for each node.
pub(crate) const MOST: u32 = 100_000;

/// When each node has asked, as far back as it matters.
#[derive(Default)]
pub(crate) struct Pace(Mutex<HashMap<String, VecDeque<Instant>>>);

/// Who was too fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooFast {
    pub(crate) limit: u32,
    pub(crate) within: &'static str,
    /// After this the same request is let through, if nothing else comes before it.
    pub(crate) wait: Duration,
}

impl Pace {
    /// One request of `node` at `now`.
    ///
    /// # Errors
    /// Which limit it would pass, and for how long.
    pub(crate) fn step(
        &self,
        node: &str,
        now: Instant,
        second: Option<u32>,
        minute: Option<u32>,
    ) -> Result<(), TooFast> {
        if second.is_none() && minute.is_none() {
            return Ok(());
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = all.entry(node.to_owned()).or_default();
        while times.front().is_some_and(|then| now.saturating_duration_since(*then) >= MINUTE) {
            times.pop_front();
        }
        for (limit, span, within) in [(second, SECOND, "second"), (minute, MINUTE, "minute")] {
            let Some(limit) = limit else { continue };
            // The request that has to be out of the window before another may come in.
            let first = (times.len()).checked_sub(limit as usize).and_then(|at| times.get(at));
            let wait = first.map(|then| span.saturating_sub(now.saturating_duration_since(*then)));
            if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
                return Err(TooFast { limit, within, wait });
            }
        }
        if times.len() >= MOST as usize {
            times.pop_front();
        }
        times.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_window_ever_holds_more_than_its_limit() {
        let (pace, start) = (Pace::default(), Instant::now());
        let at = |millis: u64| start + Duration::from_millis(millis);
        let step = |millis, second, minute| pace.step("a", at(millis), second, minute);
        for millis in [0, 900] {
            assert_eq!(step(millis, Some(2), Some(4)), Ok(()));
        }
        let fast = step(950, Some(2), Some(4)).unwrap_err();
        assert_eq!((fast.limit, fast.within, fast.wait), (2, "second", Duration::from_millis(50)));
        assert_eq!(step(1000, Some(2), Some(4)), Ok(()), "what was refused has not counted");
        assert_eq!(step(1900, Some(2), Some(4)), Ok(()));
        let fast = step(3000, Some(2), Some(4)).unwrap_err();
        assert_eq!((fast.limit, fast.within, fast.wait), (4, "minute", Duration::from_millis(57_000)));
        assert_eq!(step(3000, Some(2), None), Ok(()), "a limit that is lifted no longer holds");
        assert_eq!(pace.step("b", at(3000), Some(2), Some(4)), Ok(()), "each node by itself");
        assert_eq!(step(60_000, Some(2), Some(5)), Ok(()));
    }

    proptest! {
        #[test]
        fn in_any_minute_and_in_any_second(gaps in proptest::collection::vec(0u64..5000, 1..200), second in 1u32..4, minute in 1u32..30) {
            let (pace, start, mut now) = (Pace::default(), Instant::now(), 0);
            let mut through = Vec::new();
            for gap in gaps {
                now += gap;
                match pace.step("a", start + Duration::from_millis(now), Some(second), Some(minute)) {
                    Ok(()) => through.push(now),
                    Err(fast) => {
                        // Exactly then, and not a millisecond before.
                        let wait = u64::try_from(fast.wait.as_millis()).unwrap();
                        let within = if fast.within == "second" { 1000 } else { 60_000 };
                        let there = |at: u64| through.iter().filter(|then| **then + within > at).count();
                        prop_assert!(there(now + wait - 1) >= fast.limit as usize);
                        prop_assert!(there(now + wait) < fast.limit as usize);
                    }
                }
            }
            for (span, limit) in [(1000, second), (60_000, minute)] {
                for from in &through {
                    let within = through.iter().filter(|at| (*from..from + span).contains(*at)).count();
                    prop_assert!(within <= limit as usize);
                }
            }
        }
    }
}
