//! The search space: one deterministic setup, on which schedules are tried.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::packet_fault::{FaultOptions, InjectedFault};
use super::state_set::StateSet;
use crate::judge_trial::{JudgeError, judge_trial};
use crate::trial_facts::trial_facts;
use qoslab_core::base::{Ending, PacketName, Span};
use qoslab_guarantee::{
    ConformanceObserver, FirstPassObserver, Outcome, RuleViolationKind, TrialFacts,
};
use qoslab_sim::event::explore::{DelayRule, Explored, PausedTrial, run_with_pauses};
use qoslab_sim::{EventEngine, FaultSetup, Setup, Trial, Trigger};

/// A trial that goes on for more events than this is abandoned: a small scenario has a few hundred.
const MAX_EVENTS: u64 = 200_000;

/// The setup on which schedules are tried.
#[derive(Clone, Debug)]
pub struct SearchSpace {
    pub(super) setup: Setup,
    facts: Arc<TrialFacts>,
    pub(super) fault_options: FaultOptions,
    /// Whether equal states are recognised.
    pub(super) skips_known_states: bool,
}

/// The result of trying a schedule.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// The packets that were sent after the last fault's, before the state was a known one.
    pub(super) choice_points: Vec<PacketName>,
    /// The states after the last fault that were not known, and how many of the packets were sent
    /// before each.
    pub(super) states: Vec<(u128, usize)>,
    pub(super) end: AttemptEnd,
}

/// The ending of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttemptEnd {
    /// In a state that is known: what follows was seen.
    KnownState,
    /// As promised.
    Holds,
    /// A promise or a rule is broken.
    Broken,
    /// In a state that it had been in before, so that it goes on for ever.
    Livelock,
    /// Not quiescent at its deadline or limit of events: nothing is known.
    Inconclusive,
}

/// The state that a worker needs to try schedules.
#[derive(Debug)]
pub(super) struct Worker {
    trial: Trial,
    visited: StateSet,
}

type Observers = (FirstPassObserver, ConformanceObserver);

impl SearchSpace {
    /// Makes the search space of a setup: deterministic, without keep alive, without faults drawn
    /// at random or tied to a packet, and with the first `messages` of each workload.
    #[must_use]
    pub fn new(setup: &Setup, menu: FaultOptions, messages: Option<u32>, recognises: bool) -> Self {
        let mut setup = setup.deterministic();
        setup.wire = false;
        setup.max_events = setup.max_events.min(MAX_EVENTS);
        setup.faults.retain(|fault| matches!(fault.trigger, Trigger::At(_)));
        for client in &mut setup.clients {
            client.settings.keep_alive = Span::ZERO;
            client.radio = None;
        }
        for stream in &mut setup.publishers {
            let Some(most) = messages else { continue };
            match &stream.only_sequences {
                // Those that are left out do not count.
                Some(only) => {
                    let first: Vec<u32> = only.iter().take(most as usize).copied().collect();
                    stream.count = first.last().map_or(stream.count, |last| last + 1);
                    stream.only_sequences = Some(first.into());
                }
                None => stream.count = stream.count.min(most),
            }
        }
        Self {
            facts: trial_facts(&setup),
            setup,
            fault_options: menu,
            skips_known_states: recognises,
        }
    }

    /// The deterministic setup, with no fault but those of the scenario.
    #[must_use]
    pub const fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The faults that are tried on it.
    #[must_use]
    pub const fn fault_options(&self) -> &FaultOptions {
        &self.fault_options
    }

    /// The packets that are sent without any fault, in order.
    #[must_use]
    pub fn fault_free_packets(&self) -> Vec<PacketName> {
        self.try_schedule(&mut self.new_worker(), &[], &StateSet::default()).choice_points
    }

    pub(super) fn new_worker(&self) -> Worker {
        Worker { trial: self.trial(Vec::new()), visited: StateSet::default() }
    }

    fn trial(&self, faults: Vec<FaultSetup>) -> Trial {
        let mut setup = self.setup.clone();
        setup.faults.extend(faults);
        Trial { setup: Arc::new(setup), seed: 0, name: "explored".to_owned() }
    }

    fn observers(&self) -> Observers {
        (FirstPassObserver::new(&self.facts), ConformanceObserver::new(&self.facts))
    }

    /// Tries a schedule, until it ends or its state is among the known ones.
    pub(super) fn try_schedule(
        &self,
        worker: &mut Worker,
        schedule: &[InjectedFault],
        known: &StateSet,
    ) -> Attempt {
        let holds = self.apply_schedule(worker, schedule);
        let Worker { trial, visited: own } = worker;
        own.clear();
        let mut states = Vec::new();
        let mut end = AttemptEnd::Holds;
        let explored = run_with_pauses(trial, self.observers(), &holds, &mut |mut moment| {
            if !self.skips_known_states {
                return ControlFlow::Continue(());
            }
            let state = moment.fingerprint();
            if known.contains(state) {
                end = AttemptEnd::KnownState;
                return ControlFlow::Break(());
            }
            if !own.insert(state) {
                end = AttemptEnd::Livelock;
                return ControlFlow::Break(());
            }
            states.push((state, moment.choices));
            ControlFlow::Continue(())
        });
        let choices = explored.choices.clone();
        if let Some(outcome) = outcome_of(explored) {
            end = attempt_end(&outcome);
        }
        Attempt { choice_points: choices, states, end }
    }

    /// Puts a schedule's faults on a desk; the packets that are to be held back.
    fn apply_schedule(
        &self,
        worker: &mut Worker,
        schedule: &[InjectedFault],
    ) -> Vec<(PacketName, DelayRule)> {
        let setup = Arc::make_mut(&mut worker.trial.setup);
        setup.faults.truncate(self.setup.faults.len());
        let mut holds = Vec::new();
        for (n, chosen) in schedule.iter().enumerate() {
            match chosen.fault.delay_rule() {
                Some(hold) => holds.push((chosen.packet, hold)),
                None => {
                    setup.faults.push(chosen.to_fault_setup(&self.fault_options, n, Span::ZERO));
                }
            }
        }
        holds
    }

    /// A schedule as a trial that any engine can run: what was held back is delayed by as much as
    /// it took. And the outcome of the schedule as it was tried, if it ends.
    pub(super) fn to_trial(&self, schedule: &[InjectedFault]) -> (Trial, Option<Outcome>) {
        let mut desk = self.new_worker();
        let holds = self.apply_schedule(&mut desk, schedule);
        let mut go_on = |_: PausedTrial<'_>| ControlFlow::Continue(());
        let explored = run_with_pauses(&desk.trial, self.observers(), &holds, &mut go_on);
        let late = |packet: &PacketName| {
            let found = explored.delays.iter().find(|(name, _)| name == packet);
            found.map_or(Span::ZERO, |(_, late)| *late)
        };
        let faults = schedule.iter().enumerate();
        let faults =
            faults.map(|(n, it)| it.to_fault_setup(&self.fault_options, n, late(&it.packet)));
        (self.trial(faults.collect()), outcome_of(explored))
    }

    /// The outcome of a trial's first pass, as the search sees it.
    pub(super) fn first_pass(&self, trial: &Trial) -> Option<Outcome> {
        let mut go_on = |_: PausedTrial<'_>| ControlFlow::Continue(());
        outcome_of(run_with_pauses(trial, self.observers(), &[], &mut go_on))
    }

    /// Judges a trial in both passes.
    pub(super) fn judge(trial: &Trial) -> Result<Outcome, JudgeError> {
        judge_trial(&EventEngine, trial, &AtomicBool::new(false))
    }
}

fn outcome_of(explored: Explored<Observers>) -> Option<Outcome> {
    let ended = explored.summary?;
    let (watch, conformance) = explored.observer;
    let mut outcome = watch.finish(&ended).into_unexplained_outcome();
    conformance.add_to_outcome(&mut outcome);
    Some(outcome)
}

/// The verdict of a trial, regardless of which part is to blame.
fn attempt_end(outcome: &Outcome) -> AttemptEnd {
    let broken = !outcome.violations.is_empty()
        || outcome.rule_violations.keys().any(RuleViolationKind::fails_trial);
    match outcome.ending {
        _ if broken => AttemptEnd::Broken,
        Ending::Quiescent => AttemptEnd::Holds,
        Ending::Deadline | Ending::EventLimit | Ending::Interrupted => AttemptEnd::Inconclusive,
    }
}
