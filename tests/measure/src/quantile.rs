//! Quantiles of measured values.

use serde::{Deserialize, Serialize};

/// The value below which the share `q` (from 0 to 1) of the values lies, by nearest rank; none of
/// none. Sorts the values.
pub fn quantile(values: &mut [f64], q: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (q * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).copied()
}

/// The middle value; 0 of none. Sorts the values.
pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5).unwrap_or_default()
}

/// The item whose value is the median of all values, by nearest rank; none of none.
pub fn median_by_key<T>(items: &[T], value: impl Fn(&T) -> f64) -> Option<&T> {
    let mut items: Vec<&T> = items.iter().collect();
    items.sort_by(|one, other| value(one).total_cmp(&value(other)));
    items.get(items.len().div_ceil(2).max(1) - 1).copied()
}

/// Quantiles of latencies, in microseconds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// The median.
    pub p50_us: f64,
    /// 99 of 100 are not above it.
    pub p99_us: f64,
    /// 999 of 1,000 are not above it.
    pub p999_us: f64,
}

impl Latency {
    /// The quantiles of some latencies in microseconds. Sorts them.
    #[must_use]
    pub fn of(values_us: &mut [f64]) -> Self {
        let mut at = |q| quantile(values_us, q).unwrap_or_default();
        let [p50_us, p99_us, p999_us] = [at(0.5), at(0.99), at(0.999)];
        Self {
            count: values_us.len() as u64,
            p50_us,
            p99_us,
            p999_us,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values_by_nearest_rank() {
        let mut values: Vec<f64> = (1..=1000).rev().map(f64::from).collect();
        assert_eq!(quantile(&mut values, 0.5), Some(500.0));
        assert_eq!(quantile(&mut values, 0.99), Some(990.0));
        assert_eq!(quantile(&mut values, 0.999), Some(999.0));
        assert_eq!(quantile(&mut values, 1.0), Some(1000.0));
        assert_eq!(quantile(&mut [7.0], 0.0), Some(7.0));
        assert_eq!(quantile(&mut [], 0.5), None);
    }

    #[test]
    fn the_median_of_three_is_the_middle_one() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median_by_key(&[3.0, 1.0, 2.0], |value| *value), Some(&2.0));
    }

    #[test]
    fn the_median_item_is_the_one_with_the_median_value() {
        for count in 0..6 {
            let values: Vec<f64> = (0..count).rev().map(f64::from).collect();
            let item = median_by_key(&values, |value| *value).copied();
            assert_eq!(item, quantile(&mut values.clone(), 0.5), "{count}");
        }
    }
}
