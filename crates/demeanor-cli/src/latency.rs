//! How long things took: median and 95th percentile, at constant memory.

use std::time::Duration;

/// Width of a bucket.
const BUCKET: Duration = Duration::from_micros(50);
/// The last bucket takes all that is longer: 0.2 s.
const BUCKETS: usize = 4_000;

/// Lengths of time, counted in buckets of 50 microseconds.
#[derive(Debug, Clone)]
pub struct Latency {
    buckets: Vec<u32>,
    count: u64,
    longest: Duration,
}

impl Default for Latency {
    fn default() -> Self {
        Latency { buckets: vec![0; BUCKETS], count: 0, longest: Duration::ZERO }
    }
}

impl Latency {
    /// Adds a length of time.
    pub fn add(&mut self, length: Duration) {
        let bucket = (length.as_micros() / BUCKET.as_micros()).min(BUCKETS as u128 - 1) as usize;
        self.buckets[bucket] += 1;
        self.count += 1;
        self.longest = self.longest.max(length);
    }

    /// The length that a share of all (0 to 1) stays under, to 50 microseconds, rounded up; 0 when there are none.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (share * self.count as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        for (i, &count) in self.buckets.iter().enumerate() {
            below += u64::from(count);
            if below >= wanted {
                return if i + 1 == BUCKETS { self.longest } else { (BUCKET * (i as u32 + 1)).min(self.longest) };
            }
        }
        Duration::ZERO
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest.
    pub fn longest(&self) -> Duration {
        self.longest
    }
}

/// Milliseconds with one or two digits.
pub fn ms(length: Duration) -> String {
    let ms = length.as_secs_f64() * 1e3;
    if ms < 10.0 { format!("{ms:.2}") } else { format!("{ms:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_lengths() {
        let mut l = Latency::default();
        assert_eq!(l.quantile(0.95), Duration::ZERO);
        for i in 1..=1000u64 {
            l.add(Duration::from_micros(i * 20));
        }
        for (share, ms) in [(0.5, 10.0), (0.95, 19.0), (1.0, 20.0)] {
            let found = l.quantile(share).as_secs_f64() * 1e3;
            assert!((found - ms).abs() <= 0.06, "{share}: {found}");
        }
        l.add(Duration::from_secs(9));
        assert_eq!(l.quantile(1.0), Duration::from_secs(9));
    }
}
