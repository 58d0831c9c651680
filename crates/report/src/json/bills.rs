//! What a device pays, for programs.

use serde::Serialize;

use super::IntervalJson;
use qoslab_study::PointResult;
use qoslab_study::scenario::Scenario;

/// What a billed device sends, receives and pays in a month of 30 days.
#[derive(Serialize)]
pub(super) struct BillJson {
    devices: u64,
    device_mb_per_month: IntervalJson,
    device_cost_per_month: Option<f64>,
    currency: Option<String>,
}

impl BillJson {
    /// The bill of a point's devices; `None` if nothing is billed.
    pub(super) fn new(scenario: &Scenario, point: &PointResult) -> Option<Self> {
        let bill = point.monthly_bill()?;
        Some(Self {
            devices: bill.devices,
            device_mb_per_month: bill.megabytes.into(),
            device_cost_per_month: bill.cost,
            currency: scenario.currency.clone(),
        })
    }
}
