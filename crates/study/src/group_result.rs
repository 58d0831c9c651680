//! Metrics of a point that are kept apart, by client and by topic.

use super::result::MergedTimes;
use qoslab_guarantee::{DeliveryCounts, GroupMetrics};

/// What the trials of a point measured of one group.
#[derive(Clone, Debug, Default)]
pub struct GroupResult {
    /// By the published QoS, a row for each trial.
    pub counts: [Vec<DeliveryCounts>; 3],
    /// Times over all seeds, by published QoS.
    pub times: [MergedTimes; 3],
}

impl GroupResult {
    /// Adds a trial.
    pub(super) fn add(&mut self, metrics: &GroupMetrics) {
        for ((rows, times), metrics) in
            self.counts.iter_mut().zip(&mut self.times).zip(&metrics.qos)
        {
            rows.push(metrics.counts);
            times.latency.merge(&metrics.latency);
            times.completion.merge(&metrics.completion);
        }
    }
}
