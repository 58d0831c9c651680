//! The ground that is searched: one setup with nothing left to luck, on which schedules are tried.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::alternative::{Chosen, Menu};
use super::states::States;
use crate::judge::{JudgeError, judge_trial};
use crate::roster::roster;
use qoslab_core::base::ending::Ending;
use qoslab_core::base::name::PacketName;
use qoslab_core::base::time::Span;
use qoslab_guarantee::monitor::Conformance;
use qoslab_guarantee::roster::Roster;
use qoslab_guarantee::verdict::{Outcome, RuleBreak};
use qoslab_guarantee::watch::Watch;
use qoslab_sim::EventEngine;
use qoslab_sim::event::explore::{Explored, Hold, Moment, explore};
use qoslab_sim::trial::{FaultSetup, Setup, Trial, Trigger};

/// A trial that goes on for more events than this is left: a small scenario has a few hundred.
const MAX_EVENTS: u64 = 200_000;

/// What schedules are tried on.
#[derive(Clone, Debug)]
pub struct Ground {
    pub(super) setup: Setup,
    roster: Arc<Roster>,
    pub(super) menu: Menu,
    /// Whether equal states are recognised.
    pub(super) recognises: bool,
}

/// What became of a schedule.
#[derive(Clone, Debug)]
pub(super) struct Tried {
    /// The packets that were sent after the last fault's, before the state was a known one.
    pub(super) choices: Vec<PacketName>,
    /// The states after the last fault that were not known, and how many of the packets were sent
    /// before each.
    pub(super) states: Vec<(u128, usize)>,
    pub(super) end: End,
}

/// How a schedule ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// In a state that is known: what follows was seen.
    Known,
    /// As promised.
    Fine,
    /// A promise or a rule is broken.
    Broken,
    /// In a state that it had been in before, so that it goes on for ever.
    Livelock,
    /// Not quiescent at its deadline or limit of events: nothing is known.
    Inconclusive,
}

/// What a worker needs to try schedules.
#[derive(Debug)]
pub(super) struct Desk {
    trial: Trial,
    own: States,
}

type Books = (Watch, Conformance);

impl Ground {
    /// The ground of a setup: still, without keep alive, without the faults that luck or a packet
    /// brings, and with the first `messages` of each workload.
    #[must_use]
    pub fn new(setup: &Setup, menu: Menu, messages: Option<u32>, recognises: bool) -> Self {
        let mut setup = setup.still();
        setup.wire = false;
        setup.max_events = setup.max_events.min(MAX_EVENTS);
        setup.faults.retain(|fault| matches!(fault.trigger, Trigger::At(_)));
        for client in &mut setup.clients {
            client.settings.keep_alive = Span::ZERO;
            client.radio = None;
        }
        for stream in &mut setup.streams {
            let Some(most) = messages else { continue };
            match &stream.only {
                // Those that are left out do not count.
                Some(only) => {
                    let first: Vec<u32> = only.iter().take(most as usize).copied().collect();
                    stream.count = first.last().map_or(stream.count, |last| last + 1);
                    stream.only = Some(first.into());
                }
                None => stream.count = stream.count.min(most),
            }
        }
        Self { roster: roster(&setup), setup, menu, recognises }
    }

    /// The setup, with nothing left to luck and no fault but those of the scenario.
    #[must_use]
    pub const fn setup(&self) -> &Setup {
        &self.setup
    }

    /// What is tried on it.
    #[must_use]
    pub const fn menu(&self) -> &Menu {
        &self.menu
    }

    pub(super) fn desk(&self) -> Desk {
        Desk { trial: self.trial(Vec::new()), own: States::default() }
    }

    fn trial(&self, faults: Vec<FaultSetup>) -> Trial {
        let mut setup = self.setup.clone();
        setup.faults.extend(faults);
        Trial { setup: Arc::new(setup), seed: 0, name: "explored".to_owned() }
    }

    fn books(&self) -> Books {
        (Watch::new(&self.roster), Conformance::new(&self.roster))
    }

    /// Tries a schedule, until it ends or its state is among the known ones.
    pub(super) fn attempt(&self, desk: &mut Desk, schedule: &[Chosen], known: &States) -> Tried {
        let holds = self.lay_out(desk, schedule);
        let Desk { trial, own } = desk;
        own.clear();
        let mut states = Vec::new();
        let mut end = End::Fine;
        let explored = explore(trial, self.books(), &holds, &mut |mut moment| {
            if !self.recognises {
                return ControlFlow::Continue(());
            }
            let state = moment.fingerprint();
            if known.contains(state) {
                end = End::Known;
                return ControlFlow::Break(());
            }
            if !own.insert(state) {
                end = End::Livelock;
                return ControlFlow::Break(());
            }
            states.push((state, moment.choices));
            ControlFlow::Continue(())
        });
        let choices = explored.choices.clone();
        if let Some(outcome) = outcome_of(explored) {
            end = judged(&outcome);
        }
        Tried { choices, states, end }
    }

    /// Puts a schedule's faults on a desk; the packets that are to be held back.
    fn lay_out(&self, desk: &mut Desk, schedule: &[Chosen]) -> Vec<(PacketName, Hold)> {
        let setup = Arc::make_mut(&mut desk.trial.setup);
        setup.faults.truncate(self.setup.faults.len());
        let mut holds = Vec::new();
        for (n, chosen) in schedule.iter().enumerate() {
            match chosen.alternative.hold() {
                Some(hold) => holds.push((chosen.packet, hold)),
                None => setup.faults.push(chosen.fault(&self.menu, n, Span::ZERO)),
            }
        }
        holds
    }

    /// A schedule as a trial that any engine can run: what was held back is delayed by as much as
    /// it took. And the outcome of the schedule as it was tried, if it ends.
    pub(super) fn concrete(&self, schedule: &[Chosen]) -> (Trial, Option<Outcome>) {
        let mut desk = self.desk();
        let holds = self.lay_out(&mut desk, schedule);
        let mut go_on = |_: Moment<'_>| ControlFlow::Continue(());
        let explored = explore(&desk.trial, self.books(), &holds, &mut go_on);
        let late = |packet: &PacketName| {
            let found = explored.delays.iter().find(|(name, _)| name == packet);
            found.map_or(Span::ZERO, |(_, late)| *late)
        };
        let faults = schedule.iter().enumerate();
        let faults = faults.map(|(n, it)| it.fault(&self.menu, n, late(&it.packet)));
        (self.trial(faults.collect()), outcome_of(explored))
    }

    /// The outcome of a trial's first pass, as the search sees it.
    pub(super) fn first_pass(&self, trial: &Trial) -> Option<Outcome> {
        let mut go_on = |_: Moment<'_>| ControlFlow::Continue(());
        outcome_of(explore(trial, self.books(), &[], &mut go_on))
    }

    /// Judges a trial in both passes.
    pub(super) fn judge(trial: &Trial) -> Result<Outcome, JudgeError> {
        judge_trial(&EventEngine, trial, &AtomicBool::new(false))
    }
}

fn outcome_of(explored: Explored<Books>) -> Option<Outcome> {
    let ended = explored.ended?;
    let (watch, conformance) = explored.observer;
    let mut outcome = watch.finish(&ended).into_outcome();
    conformance.conclude(&mut outcome);
    Some(outcome)
}

/// How a trial stands, whoever is to blame.
fn judged(outcome: &Outcome) -> End {
    let broken =
        !outcome.violations.is_empty() || outcome.rules.keys().any(RuleBreak::is_violation);
    match outcome.ending {
        _ if broken => End::Broken,
        Ending::Quiescent => End::Fine,
        Ending::Deadline | Ending::EventLimit | Ending::Interrupted => End::Inconclusive,
    }
}
