//! Times as a histogram, and ratios as a middle and a range.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest time that is told from longer ones.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Times of many requests, to three digits, in microseconds.
#[derive(Clone, Debug)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        let longest = u64::try_from(LONGEST.as_micros()).unwrap_or(u64::MAX);
        Self(Histogram::new_with_bounds(1, longest, 3).expect("the bounds are fixed and right"))
    }
}

impl Times {
    /// Notes that so many requests took this time.
    pub fn note(&mut self, time: Duration, times: u64) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record_n(micros.max(1), times);
    }

    /// Takes another's times in.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("the bounds are the same");
    }

    /// How many times were noted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time, in milliseconds, that this part of the requests did not exceed; 0 where there was none.
    #[must_use]
    pub fn quantile(&self, part: f64) -> f64 {
        self.0.value_at_quantile(part) as f64 / 1_000.0
    }
}

/// A middle and the range around it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    /// The smallest.
    pub least: f64,
    /// The median; of an even number, the mean of the two in the middle.
    pub middle: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// Of these numbers; `None` if there are none.
    #[must_use]
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        let (least, most) = (*numbers.first()?, *numbers.last()?);
        let half = numbers.len() / 2;
        let middle = if numbers.len() % 2 == 1 {
            numbers[half]
        } else {
            f64::midpoint(numbers[half - 1], numbers[half])
        };
        Some(Self { least, middle, most })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Spread, Times};

    #[test]
    fn a_quantile_is_the_time_that_this_part_does_not_exceed() {
        let mut times = Times::default();
        for millis in 1..=100 {
            times.note(Duration::from_millis(millis), 1);
        }
        assert_eq!(times.count(), 100);
        for (part, expected) in [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            let found = times.quantile(part);
            assert!((found - expected).abs() < expected / 500.0, "{part}: {found}");
        }
    }

    #[test]
    fn times_of_two_connections_add_up() {
        let (mut one, mut other) = (Times::default(), Times::default());
        one.note(Duration::from_millis(1), 99);
        other.note(Duration::from_secs(1), 1);
        one.add(&other);
        assert_eq!(one.count(), 100);
        assert!(one.quantile(0.98) < 2.0 && one.quantile(1.0) > 990.0);
    }

    #[test]
    fn a_time_beyond_the_longest_counts_as_the_longest() {
        let mut times = Times::default();
        times.note(Duration::from_secs(1_000_000), 1);
        assert!(times.quantile(1.0) >= 3_600_000.0);
    }

    #[test]
    fn the_middle_of_an_even_number_is_between_the_two_in_the_middle() {
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0]), Some(Spread { least: 1.0, middle: 2.5, most: 4.0 }));
        assert_eq!(Spread::of([7.0]), Some(Spread { least: 7.0, middle: 7.0, most: 7.0 }));
        assert_eq!(Spread::of([]), None);
    }
}
