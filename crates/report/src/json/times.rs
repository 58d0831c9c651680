//! The numbers of a distribution of times, in seconds; `null` is never.

use serde::Serialize;

use qoslab_core::base::Span;
use qoslab_study::Quantiles;

#[derive(Serialize)]
pub(super) struct TimesJson {
    mean_s: Option<f64>,
    p50_s: Option<f64>,
    p90_s: Option<f64>,
    p95_s: Option<f64>,
    p99_s: Option<f64>,
    #[serde(rename = "p99.9_s")]
    p999_s: Option<f64>,
    max_s: Option<f64>,
}

impl From<Quantiles> for TimesJson {
    fn from(times: Quantiles) -> Self {
        let Quantiles { mean, p50, p90, p95, p99, p999, max } = times;
        let [mean_s, p50_s, p90_s, p95_s, p99_s, p999_s, max_s] =
            [mean, p50, p90, p95, p99, p999, max].map(|span| span.map(Span::as_secs_f64));
        Self { mean_s, p50_s, p90_s, p95_s, p99_s, p999_s, max_s }
    }
}
