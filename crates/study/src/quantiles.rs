//! Summary of a distribution of times: its mean, a few quantiles and its maximum.

use qoslab_core::base::Span;
use qoslab_guarantee::LatencyHistogram;

/// A few numbers of a distribution of times. `None` means never: what did not come counts as
/// infinite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// The mean of those that came.
    pub mean: Option<Span>,
    /// The median.
    pub p50: Option<Span>,
    /// 90 of 100 are not above.
    pub p90: Option<Span>,
    /// 95 of 100 are not above.
    pub p95: Option<Span>,
    /// 99 of 100 are not above.
    pub p99: Option<Span>,
    /// 999 of 1,000 are not above. Of fewer than 1,000 values it is the largest.
    pub p999: Option<Span>,
    /// The largest.
    pub max: Option<Span>,
}

impl Quantiles {
    /// Over `population` values, those missing counted as infinite.
    #[must_use]
    pub fn new(times: &LatencyHistogram, population: u64) -> Self {
        Self {
            mean: times.mean(),
            p50: times.quantile(0.5, population),
            p90: times.quantile(0.9, population),
            p95: times.quantile(0.95, population),
            p99: times.quantile(0.99, population),
            p999: times.quantile(0.999, population),
            max: times.quantile(1.0, population).map(|_| times.max()),
        }
    }
}
