//! Identity of a trial.

use serde::{Deserialize, Serialize};

use crate::scenario::Point;
use qoslab_sim::{EngineKind, JudgeSettings};

/// The identity of a trial: all that decides its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TrialKey {
    /// The hash of the point's setup and the model version.
    pub content: u64,
    /// The seed.
    pub seed: u64,
    /// How it is judged, which the content says nothing of.
    pub judge: JudgeSettings,
    /// The engine that runs it.
    pub engine: EngineKind,
}

impl TrialKey {
    /// The key of a point's trial with this seed on an engine.
    #[must_use]
    pub fn new(engine: EngineKind, point: &Point, seed: u64) -> Self {
        Self { content: point.content_hash, seed, judge: point.setup.judge, engine }
    }
}
