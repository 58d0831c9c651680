//! The figures of a table's row: means per run with their 95 % intervals, shares, times.

use crate::labels;
use crate::number::{format_interval, format_time};
use qoslab_core::base::QoS;
use qoslab_core::base::units::format_share;
use qoslab_guarantee::DeliveryCounts;
use qoslab_study::statistics::{self, ConfidenceInterval, to_f64};
use qoslab_study::{PointResult, QosRow, Quantiles, Verdict};

/// One row: one published QoS of one point, over all its seeds.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "files"), expect(dead_code, reason = "tables show less than files"))]
pub(crate) struct PointSummary {
    /// The position in [`Scenario::points`](qoslab_study::scenario::Scenario::points).
    pub point: usize,
    /// The published QoS.
    pub published: QoS,
    /// The granted QoS where it is an axis.
    pub granted: Option<QoS>,
    /// The number of runs.
    pub runs: u64,
    /// Messages and units over all runs.
    pub totals: DeliveryCounts,
    /// The share of units delivered, with the interval of [`statistics::share_over_runs`].
    pub delivered: ConfidenceInterval,
    /// The share of units duplicated, with the interval of [`statistics::share_over_runs`].
    pub duplicated_share: ConfidenceInterval,
    /// Units lost, the mean per run.
    pub lost: ConfidenceInterval,
    /// Units duplicated, the mean per run.
    pub duplicated: ConfidenceInterval,
    /// Copies of each unit delivered, over all runs; `None` if nothing was delivered.
    pub copies: Option<f64>,
    /// Packets for each message, the mean per run.
    pub packets: ConfidenceInterval,
    /// Wire bytes for each message, the mean per run.
    pub bytes: ConfidenceInterval,
    /// Wire bytes for each payload byte delivered once, the mean per run; `None` if a run delivered
    /// none.
    pub overhead: Option<ConfidenceInterval>,
    /// The time from `publish()` to the first delivery, over all runs together.
    pub latency: Quantiles,
    /// The time from `publish()` to the end of the publisher's handshake, over all runs together.
    pub completion: Quantiles,
    /// The verdict on the point.
    pub verdict: Verdict,
}

impl PointSummary {
    /// The rows of a point, by published QoS.
    pub(crate) fn for_point(point: &PointResult) -> impl Iterator<Item = Self> {
        point.qos_levels().map(|qos| Self::for_level(point, qos))
    }

    /// The row's name in the table: `2`, or published and granted as `2/1`.
    #[must_use]
    pub(crate) fn name(&self) -> String {
        labels::qos_pair_text(self.published, self.granted)
    }

    /// The share of units delivered; `-` where nobody was owed anything.
    #[must_use]
    pub(crate) fn delivered_text(&self) -> String {
        self.of_units(format_share(self.delivered.value, 1))
    }

    /// A text about units, `-` without any.
    fn of_units(&self, text: String) -> String {
        if self.totals.units > 0 { text } else { "-".to_owned() }
    }

    /// The texts of a table's row from what is lost on: units lost and duplicated a run, packets
    /// and bytes a message, the overhead, and the latency; means with their intervals if asked.
    #[must_use]
    pub(crate) fn table_cells(&self, intervals: bool) -> [String; 11] {
        let mean = |interval: ConfidenceInterval, decimals: usize| {
            if intervals {
                format_interval(interval, decimals)
            } else {
                format!("{:.decimals$}", interval.value)
            }
        };
        [
            self.of_units(mean(self.lost, 1)),
            self.of_units(mean(self.duplicated, 1)),
            mean(self.packets, 2),
            mean(self.bytes, 0),
            self.overhead.map_or_else(|| "-".to_owned(), |overhead| mean(overhead, 2)),
            self.of_units(format_time(self.latency.p50)),
            self.of_units(format_time(self.latency.p90)),
            self.of_units(format_time(self.latency.p95)),
            self.of_units(format_time(self.latency.p99)),
            self.of_units(format_time(self.latency.p999)),
            self.of_units(format_time(self.latency.max)),
        ]
    }

    fn for_level(point: &PointResult, qos: QoS) -> Self {
        let means = |metric: &dyn Fn(&QosRow) -> f64| {
            let values: Vec<f64> = point.rows(qos).map(metric).collect();
            statistics::mean(&values)
        };
        let totals: DeliveryCounts = point.rows(qos).map(|row| row.counts).sum();
        let times = &point.times[qos.index()];
        let any_without = point.rows(qos).any(|row| row.delivered_payload <= 0.0);
        Self {
            point: point.index,
            published: qos,
            granted: point.granted,
            runs: point.rows(qos).count() as u64,
            totals,
            delivered: statistics::delivered_share(point, qos),
            duplicated_share: statistics::duplicated_share(point, qos),
            lost: means(&|row| to_f64(row.counts.lost)),
            duplicated: means(&|row| to_f64(row.counts.duplicated)),
            copies: (totals.delivered > 0)
                .then(|| to_f64(totals.delivered + totals.extra_copies) / to_f64(totals.delivered)),
            packets: statistics::packets_per_message(point, qos),
            bytes: statistics::bytes_per_message(point, qos),
            overhead: (!any_without)
                .then(|| means(&|row| to_f64(row.total_sent().bytes) / row.delivered_payload)),
            latency: Quantiles::new(&times.latency, totals.units),
            completion: Quantiles::new(&times.completion, totals.messages),
            verdict: point.verdict(),
        }
    }
}
