//! Where a moment lies on a timeline. Time in which nothing ran is cut short, or a night's wait for a person would leave
//! a minute's work too thin to be seen.

use chrono::{DateTime, TimeDelta, Utc};

/// A stretch of time and its place, in thousandths of the width.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stretch {
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
    pub(super) left: f64,
    pub(super) right: f64,
    /// Drawn shorter than it was.
    pub(super) is_cut: bool,
}

impl Stretch {
    pub(super) fn length(&self) -> TimeDelta {
        self.to - self.from
    }
}

/// A timeline's axis, 0 to 1000.
#[derive(Debug)]
pub(super) struct Axis {
    pub(super) stretches: Vec<Stretch>,
}

/// A mark on the axis.
#[derive(Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    /// Since the start.
    pub(super) after: TimeDelta,
}

#[allow(clippy::cast_precision_loss)] // a pixel is far larger
fn millis(delta: TimeDelta) -> f64 {
    delta.num_milliseconds().max(0) as f64
}

impl Axis {
    /// An axis from `start` to `end`, on which the `busy` spans have the most room.
    pub(super) fn new(start: DateTime<Utc>, end: DateTime<Utc>, busy: &[(DateTime<Utc>, DateTime<Utc>)]) -> Self {
        let end = end.max(start + TimeDelta::milliseconds(1));
        let mut pieces: Vec<(DateTime<Utc>, DateTime<Utc>, bool)> = Vec::new();
        let mut at = start;
        for (from, to) in union(busy, start, end) {
            if from > at {
                pieces.push((at, from, false));
            }
            pieces.push((from, to, true));
            at = to;
        }
        if at < end {
            pieces.push((at, end, false));
        }
        let work: f64 = pieces.iter().filter(|piece| piece.2).map(|(from, to, _)| millis(*to - *from)).sum();
        let longest = if work > 0.0 { (work * 0.25).max(200.0) } else { f64::INFINITY };
        let weights: Vec<f64> = pieces
            .iter()
            .map(|(from, to, is_busy)| if *is_busy { millis(*to - *from) } else { millis(*to - *from).min(longest) })
            .collect();
        let total: f64 = weights.iter().sum::<f64>().max(1.0);
        let mut left = 0.0;
        let stretches = pieces
            .iter()
            .zip(&weights)
            .map(|((from, to, _), weight)| {
                // Sums of fractions can be a hair too large.
                let right = (left + weight / total * 1000.0).min(1000.0);
                let is_cut = millis(*to - *from) > weight * 1.5;
                let stretch = Stretch { from: *from, to: *to, left, right, is_cut };
                left = right;
                stretch
            })
            .collect();
        Self { stretches }
    }

    /// The place of `time`; what lies outside is at the edge.
    pub(super) fn place(&self, time: DateTime<Utc>) -> f64 {
        let Some(stretch) = self.stretches.iter().find(|stretch| time <= stretch.to) else { return 1000.0 };
        let length = millis(stretch.length());
        if length == 0.0 {
            return stretch.left;
        }
        let share = (millis(time - stretch.from) / length).min(1.0);
        (stretch.left + (stretch.right - stretch.left) * share).min(stretch.right)
    }

    pub(super) fn cuts(&self) -> impl Iterator<Item = &Stretch> {
        self.stretches.iter().filter(|stretch| stretch.is_cut)
    }

    /// Round times since the start, never closer than `apart` and never inside a cut.
    pub(super) fn ticks(&self, apart: f64) -> Vec<Tick> {
        const STEPS: [i64; 19] = [
            100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000,
            3_600_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000,
        ];
        let Some(start) = self.stretches.first().map(|stretch| stretch.from) else { return Vec::new() };
        let mut ticks = vec![Tick { at: 0.0, after: TimeDelta::zero() }];
        for stretch in self.stretches.iter().filter(|stretch| !stretch.is_cut && stretch.right > stretch.left) {
            let per_milli = (stretch.right - stretch.left) / millis(stretch.length()).max(1.0);
            #[allow(clippy::cast_precision_loss)]
            let step = STEPS.iter().copied().find(|step| *step as f64 * per_milli >= apart);
            let Some(step) = step else { continue };
            let first = (stretch.from - start).num_milliseconds().div_euclid(step) * step;
            // A stretch has a thousand places, and a step takes `apart` of them.
            for n in 0..=1000 {
                let after = TimeDelta::milliseconds(first + n * step);
                if start + after > stretch.to {
                    break;
                }
                let at = self.place(start + after);
                if start + after >= stretch.from && ticks.last().is_none_or(|last| at >= last.at + apart) {
                    ticks.push(Tick { at, after });
                }
            }
        }
        ticks
    }
}

/// `spans` within the bounds, joined where they touch, in order.
fn union(
    spans: &[(DateTime<Utc>, DateTime<Utc>)],
    start: DateTime<Utc>,
    end: DateTime<Utc>,
) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let mut spans: Vec<_> = spans
        .iter()
        .map(|(from, to)| ((*from).clamp(start, end), (*to).clamp(start, end)))
        .filter(|(from, to)| from < to)
        .collect();
    spans.sort_unstable();
    let mut joined: Vec<(DateTime<Utc>, DateTime<Utc>)> = Vec::new();
    for (from, to) in spans {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_night_of_waiting_does_not_hide_a_minute_of_work() {
        let axis = Axis::new(at(0), at(40_060), &[(at(0), at(30)), (at(40_030), at(40_060))]);
        assert!(axis.place(at(30)) > 399.0 && axis.place(at(40_030)) < 601.0, "{axis:?}");
        assert_eq!(axis.cuts().count(), 1);
        assert!(
            axis.ticks(100.0)
                .iter()
                .all(|tick| tick.after <= TimeDelta::seconds(30) || tick.after >= TimeDelta::seconds(40_030))
        );
    }

    #[test]
    fn without_work_time_is_even() {
        let axis = Axis::new(at(0), at(100), &[]);
        assert!((axis.place(at(25)) - 250.0).abs() < 0.01);
        assert_eq!((axis.cuts().count(), axis.place(at(-5)), axis.place(at(500))), (0, 0.0, 1000.0));
        let nothing = Axis::new(at(0), at(0), &[]);
        assert!((0.0..=1000.0).contains(&nothing.place(at(0))));
    }

    #[test]
    fn what_is_behind_the_end_is_no_further_left_than_the_end() {
        // Their shares of the width sum up to a hair more than all there is.
        let spans = [(41_929, 96_682), (181_298, 61_679)];
        for last in 1_148_600..1_149_000 {
            let spans: Vec<_> = spans.iter().map(|(from, length)| (at(*from), at(from + length))).collect();
            let axis = Axis::new(at(0), at(last), &spans);
            let places: Vec<f64> = [last - 1, last, last + 1].iter().map(|time| axis.place(at(*time))).collect();
            assert!(places.is_sorted(), "{last}: {places:?}");
        }
    }

    proptest! {
        #[test]
        fn later_is_never_further_left(
            end in 1..2_000_000i64, spans in prop::collection::vec((-10..2_000_100i64, 0..100_000i64), 0..20),
            mut times in prop::collection::vec(-10..2_000_100i64, 1..30),
        ) {
            let spans: Vec<_> = spans.into_iter().map(|(from, length)| (at(from), at(from + length))).collect();
            let axis = Axis::new(at(0), at(end), &spans);
            times.sort_unstable();
            let places: Vec<f64> = times.iter().map(|time| axis.place(at(*time))).collect();
            prop_assert!(places.is_sorted() && places.iter().all(|place| (-0.001..=1000.001).contains(place)), "{places:?}");
            let ticks = axis.ticks(80.0);
            prop_assert!(ticks.windows(2).all(|pair| pair[1].at - pair[0].at >= 79.9) && ticks.len() <= 14);
        }
    }
}
