//! Median, minimum, maximum and quantiles of a few values.

/// The median of some values, the smallest, the largest, and the value that 99 of 100 do not
/// exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) p99: f64,
}

impl Summary {
    /// `None` if there are no values.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 0 {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        let rank = (sorted.len() * 99).div_ceil(100);
        Some(Self {
            median,
            min,
            max,
            p99: sorted[rank - 1],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let summary = Summary::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((summary.median, summary.min, summary.max), (2.5, 1.0, 4.0));
    }

    #[test]
    fn one_value_of_two_hundred_does_not_move_the_p99() {
        let mut values = vec![1.0; 199];
        values.push(1_000.0);
        let summary = Summary::of(&values).unwrap();
        assert_eq!((summary.p99, summary.max), (1.0, 1_000.0));
    }

    #[test]
    fn no_values_have_no_summary() {
        assert_eq!(Summary::of(&[]), None);
    }
}
