//! Many trials: which ones, run in parallel, accumulated in a fixed order, judged together.
//!
//! `Runner` is where to start (feature `studies`): it does what the commands do, and its page shows
//! how in a dozen lines.

pub use self::backlog::record_backlogs;
pub use self::bill::MonthlyBill;
pub use self::judge_trial::{JudgeError, judge_trial};
#[cfg(feature = "studies")]
pub use self::manifest::{CellKeys, Manifest, ManifestError};
pub use self::needs::{MetricValue, NeedMeasurement, NeedResult, measure_metric};
pub use self::plan::{Plan, PlannedTrial, Seeds, Selection, SelectionError, plan};
pub use self::precision::Precision;
pub use self::recording::{
    MessageRoute, PacketEnd, PacketLossCause, RecordedEvent, RecordedEventKind, RecordedPacket,
    RecordingFilter, TrialRecording, find_route, record_trial,
};
pub use self::result::{
    Failure, FailureCause, GroupResult, MAX_FAILURES, MergedTimes, PointResult, QosRow, Quantiles,
    ScenarioResult, TrialResult, TrialRow, TrialSummary, Verdict,
};
pub use self::run_output::{OutputError, RunOutput, RunSize, ShrinkSize, StudyResult};
#[cfg(feature = "studies")]
pub use self::runner::{
    ChoiceResult, RunError, RunOptions, Runner, Storage, StudyRun, TrialOverrides,
};
pub use self::shard::{Shard, ShardError};
pub use self::shrink::{BrokenGuarantee, MAX_SHRINK_EVENTS, ShrunkTrial, TrialSize, shrink};
pub use self::sweep::{Study, StudyCell, StudyPlan, TrialBacklog, cell_scenarios};
#[cfg(feature = "studies")]
pub use self::theory::{Theory, theory};
pub use self::thread_pool::{ThreadPool, ThreadPoolError};
pub use self::trial_facts::trial_facts;
pub use self::trial_key::TrialKey;
pub use self::trial_runner::{OutcomeCache, TrialRunner};
pub use self::unused_entries::unused_schedule_entries;

mod backlog;
#[cfg(feature = "studies")]
pub mod baseline;
mod bill;
mod cell_accumulator;
#[cfg(feature = "studies")]
pub mod choose;
#[cfg(feature = "studies")]
pub mod closed_form;
#[cfg(feature = "studies")]
pub mod explore;
mod group_result;
mod judge_trial;
#[cfg(feature = "studies")]
mod manifest;
pub mod minimal_failures;
mod needs;
mod plan;
mod precision;
mod quantiles;
mod recording;
mod result;
mod run_output;
#[cfg(feature = "studies")]
mod runner;
pub mod scenario;
mod shard;
mod shrink;
pub mod statistics;
#[cfg(feature = "studies")]
pub mod store;
mod sweep;
#[cfg(feature = "studies")]
mod theory;
mod thread_pool;
mod trial_facts;
mod trial_key;
mod trial_runner;
mod untested;
mod unused_entries;
mod verdicts;

#[cfg(any(test, feature = "fixtures"))]
pub mod fixtures;
#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod radio_tests;
#[cfg(test)]
mod tests;
