//! The systematic search: tries every schedule of up to a given number of faults.
//!
//! A schedule is a list of faults, each at one packet, on top of a deterministic setup. Running one
//! is an ordinary trial. A trial's packets are its choice points: each fault that may happen to a
//! packet sent after the last fault makes another schedule with one fault more.
//!
//! Schedules are tried level by level, by their number of faults, and within a level in one fixed
//! order: by their parent's place, by the packet, by the packet's fault. Two schedules that reach
//! the same state go on alike, so the later one is abandoned there and has no children from there
//! on: what it would find is found by the other, which has at least as many faults left. So the
//! first counterexample is the least one, with or without that.
//!
//! A state that a schedule comes back to after its last fault is a livelock: it would repeat for
//! ever.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::judge_trial::JudgeError;
use crate::scenario::Expectations;
use crate::verdicts::{is_expected, is_expected_rule};
use qoslab_core::base::Ending;
use qoslab_guarantee::{Outcome, RuleViolationKind, Violation};
use qoslab_sim::Trial;

pub use self::packet_fault::{FaultKind, FaultOptions, InjectedFault, PacketFault};
pub use self::search::Search;
pub use self::search_space::SearchSpace;

mod packet_fault;
mod search;
mod search_space;
mod state_set;

/// The result of a search.
#[derive(Debug, Default)]
pub struct ExploreReport {
    /// What was tried, by the number of faults.
    pub levels: Vec<FaultCountResult>,
    /// The number of packets of a trial without faults to which a fault may be applied.
    pub packets: usize,
    /// The least schedule that breaks anything.
    pub counterexample: Option<Box<Counterexample>>,
    /// How many schedules broke only what the scenario declares.
    pub declared: u64,
    /// How many were not quiescent in time: their result is unknown.
    pub inconclusive: u64,
    /// It was interrupted.
    pub interrupted: bool,
    /// About how many schedules there are, where these are too many.
    pub estimate: Option<u64>,
}

/// All schedules with one number of faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCountResult {
    /// How many there are.
    pub planned: u64,
    /// How many were tried.
    pub schedules: u64,
    /// How many states were new.
    pub new_states: u64,
}

/// A schedule that breaks a promise or a rule, or never ends.
#[derive(Debug)]
pub struct Counterexample {
    /// Its faults.
    pub schedule: Vec<InjectedFault>,
    /// The same as a trial: a packet that was held back is delayed by the time that it was held.
    pub trial: Trial,
    /// The outcome.
    pub outcome: Outcome,
    /// Whether it goes on for ever.
    pub livelock: bool,
}

/// The reason why a search has no result: each is a bug in qoslab.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExploreError {
    /// A counterexample breaks nothing when it is run as an ordinary trial.
    #[error("the explored schedule {schedule:?} does not do the same as a trial: {difference}")]
    ReplayMismatch {
        /// The schedule.
        schedule: Vec<InjectedFault>,
        /// What differs.
        difference: String,
    },
    /// It was not the same in two passes.
    #[error(transparent)]
    Judge(#[from] JudgeError),
}

/// The result of a search, or the reason why it has none.
pub type ExploreResult<T> = Result<T, ExploreError>;

/// Progress observer of a search.
pub trait SearchListener: Sync {
    /// Called repeatedly.
    fn on_progress(&self, report: &ExploreReport);
}

impl SearchListener for () {
    fn on_progress(&self, _: &ExploreReport) {}
}

impl ExploreReport {
    /// How many schedules were tried.
    #[must_use]
    pub fn schedules(&self) -> u64 {
        self.levels.iter().map(|level| level.schedules).sum()
    }

    /// How many states were seen.
    #[must_use]
    pub fn states(&self) -> u64 {
        self.levels.iter().map(|level| level.new_states).sum()
    }

    /// Whether all schedules were tried, and all end as promised or as declared.
    #[must_use]
    pub const fn is_proof(&self) -> bool {
        self.counterexample.is_none()
            && self.inconclusive == 0
            && !self.interrupted
            && self.estimate.is_none()
    }
}

impl Counterexample {
    /// Makes a trial of a schedule that was tried, and judges it.
    ///
    /// # Errors
    /// If the trial does not do the same as the schedule, or not the same twice.
    pub fn replay_and_judge(
        ground: &SearchSpace,
        schedule: Vec<InjectedFault>,
        livelock: bool,
    ) -> ExploreResult<Self> {
        let (trial, tried) = ground.to_trial(&schedule);
        let (tried, run) =
            (tried.map(comparable_result), ground.first_pass(&trial).map(comparable_result));
        if tried != run {
            let told = format!("{tried:?}, {run:?}");
            return Err(ExploreError::ReplayMismatch { schedule, difference: told });
        }
        let outcome = SearchSpace::judge(&trial)?;
        Ok(Self { schedule, trial, outcome, livelock })
    }

    /// How many faults it has.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.schedule.iter().map(|chosen| chosen.fault.fault_count()).sum()
    }

    /// Whether it breaks nothing but what a scenario declares.
    fn is_declared(&self, expect: &Expectations) -> bool {
        let violations = self.outcome.violations.keys();
        let rules = self.outcome.rule_violations.keys().filter(|broken| broken.fails_trial());
        !self.livelock
            && violations.clone().all(|violation| is_expected(expect, *violation))
            && rules.clone().all(|broken| is_expected_rule(expect, *broken))
    }
}

/// The facts that must be the same of a schedule as it was explored and of its trial.
fn comparable_result(
    outcome: Outcome,
) -> (Ending, u64, BTreeMap<Violation, u64>, BTreeMap<RuleViolationKind, u64>) {
    (outcome.ending, outcome.packets, outcome.violations, outcome.rule_violations)
}
