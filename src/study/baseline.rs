//! What is different from an earlier study of the same scenario.

/// A study beside an earlier one, trial by trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Where the earlier study was read from, as the user wrote it.
    pub against: String,
    /// The earlier study's model version, where it is another one: then all may differ.
    pub other_model: Option<u32>,
    /// Trials in both with the same trace hash.
    pub identical: u64,
    /// Trials only in this study.
    pub added: u64,
    /// Trials only in the earlier one.
    pub missing: u64,
    /// The points of which a trial differs.
    pub differences: Vec<Difference>,
}

/// A point of which at least one trial has another trace hash than before.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The cell's values and the point's name: `loss 5%, qos 1`.
    pub point: String,
    /// How many of its trials differ.
    pub trials: u64,
    /// Metrics that differ: name, before, after, each over the trials of both.
    pub metrics: Vec<(String, f64, f64)>,
}

impl Comparison {
    /// Whether every trial of both is in the other with the same trace hash.
    #[must_use]
    pub fn is_identical(&self) -> bool {
        self.other_model.is_none()
            && self.added == 0
            && self.missing == 0
            && self.differences.is_empty()
    }
}
