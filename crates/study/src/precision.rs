//! The precision at which enough seeds have run.

use serde::{Deserialize, Serialize};

use super::result::PointResult;
use super::statistics::{self, ConfidenceInterval};
use qoslab_core::base::QoS;

/// Seeds that each cell has before its intervals are looked at.
pub(super) const FIRST_SEEDS: u32 = 20;
/// Seeds that are added at a time.
pub(super) const MORE_SEEDS: u32 = 10;

/// The width to which the 95 % intervals must narrow: at most that much to each side, absolute for
/// shares of delivered and duplicated units, relative for packets and bytes a message.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Precision(f64);

impl Precision {
    /// A share above 0 and below 1; `None` otherwise.
    #[must_use]
    pub fn new(share: f64) -> Option<Self> {
        (share > 0.0 && share < 1.0).then_some(Self(share))
    }

    /// The share.
    #[must_use]
    pub const fn share(self) -> f64 {
        self.0
    }

    /// Whether every level of every point is known with this precision.
    pub(super) fn is_reached(self, points: &[PointResult]) -> bool {
        let levels =
            points.iter().flat_map(|point| point.qos_levels().map(move |qos| (point, qos)));
        levels.into_iter().all(|(point, qos)| self.is_reached_at(point, qos))
    }

    fn is_reached_at(self, point: &PointResult, qos: QoS) -> bool {
        let absolute = |interval: ConfidenceInterval| half_width(interval) <= self.0;
        let relative =
            |interval: ConfidenceInterval| half_width(interval) <= self.0 * interval.value;
        absolute(statistics::delivered_share(point, qos))
            && absolute(statistics::duplicated_share(point, qos))
            && relative(statistics::packets_per_message(point, qos))
            && relative(statistics::bytes_per_message(point, qos))
    }
}

fn half_width(interval: ConfidenceInterval) -> f64 {
    (interval.high - interval.low) / 2.0
}
