//! From a failing trial to the smallest story that still breaks the same promise.
//!
//! A failing trial is written down ([`write_down`]) and then loses whatever it can: messages,
//! clients, faults, fates and time, while the same promise breaks in the same way by the same
//! fault (delta debugging: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing
//! input", 2002). What is left is one-minimal but for time: nothing of it can be taken out alone.
//! The effort is bounded by simulated events and not by a clock, so that the result is the same on
//! any machine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::judge::judge_trial;
use qoslab_core::base::ending::Ending;
use qoslab_core::base::name::{ClientIndex, StreamIndex};
use qoslab_core::base::time::{Span, Time};
use qoslab_guarantee::verdict::{Finding, Outcome, RuleBreak, Violation};
use qoslab_sim::event::Options;
use qoslab_sim::schedule::{Piece, Transcript};
use qoslab_sim::trial::{Setup, Trial};
use qoslab_sim::{Engine, write_down};

mod minimise;

use minimise::minimise;

/// What must stay broken while a trial shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// A promise, with the kind and the blame.
    Promise(Violation),
    /// A rule of the standard, with who broke it.
    Rule(RuleBreak),
}

/// The smallest trial that was found.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// It, with nothing left to luck.
    pub trial: Trial,
    /// What it comes to.
    pub outcome: Outcome,
    /// What is still broken.
    pub bug: Bug,
    /// How much there was.
    pub before: Size,
    /// How much is left.
    pub after: Size,
    /// Whether the bound on the effort came before the end.
    pub stopped_early: bool,
}

/// How large a trial is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Messages published.
    pub messages: usize,
    /// Faults, fates and outages that came.
    pub faults: usize,
}

/// Simulated events that shrinking one trial may take, both passes of a judgement counted.
pub const MOST_EVENTS: u64 = 20_000_000;

/// Rounds in which everything is tried again; hardly ever more than three change anything.
const MOST_ROUNDS: usize = 8;

/// Shrinks a trial in which `bug` was found on this engine. `None` if it was interrupted, or if
/// the bug does not come again, which would be a bug in qoslab.
#[must_use]
pub fn shrink<E: Engine>(
    engine: &E,
    trial: &Trial,
    bug: Bug,
    most_events: u64,
    interrupt: &AtomicBool,
) -> Option<Shrunk> {
    let still = write_down(engine, trial, Some(interrupt))?;
    let outcome = judge_trial(engine, &still, interrupt).ok();
    let outcome = outcome.filter(|outcome| bug.is_in(outcome))?;
    let mut shrinker = Shrinker {
        engine,
        bug,
        best: still,
        outcome,
        events_left: most_events,
        stopped_early: false,
        interrupt,
    };
    let before = Size::of(&shrinker.best.setup);
    shrinker.shrink();
    let Shrinker { best, outcome, stopped_early, .. } = shrinker;
    let after = Size::of(&best.setup);
    let is_interrupted = interrupt.load(Ordering::Relaxed);
    let shrunk = Shrunk { trial: best, outcome, bug, before, after, stopped_early };
    (!is_interrupted).then_some(shrunk)
}

impl Size {
    /// Of a setup with nothing left to luck.
    #[must_use]
    pub fn of(setup: &Setup) -> Self {
        Self { messages: setup.messages().len(), faults: setup.fault_count() }
    }
}

impl Bug {
    /// The kinds of broken promises of an outcome, and where there are none those of broken rules.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Vec<Self> {
        if outcome.violations.is_empty() {
            let rules = outcome.rules.keys().filter(|broken| broken.is_violation());
            return rules.copied().map(Self::Rule).collect();
        }
        outcome.violations.keys().copied().map(Self::Promise).collect()
    }

    /// Whether an outcome has it.
    #[must_use]
    pub fn is_in(&self, outcome: &Outcome) -> bool {
        match self {
            Self::Promise(violation) => outcome.violations.contains_key(violation),
            Self::Rule(broken) => outcome.rules.contains_key(broken),
        }
    }
}

impl Shrunk {
    /// The broken promise in full; `None` where it is a rule that was broken.
    #[must_use]
    pub fn finding(&self) -> Option<&Finding> {
        let Bug::Promise(violation) = self.bug else { return None };
        self.outcome.findings.iter().find(|finding| finding.violation == violation)
    }
}

struct Shrinker<'a, E> {
    engine: &'a E,
    bug: Bug,
    best: Trial,
    outcome: Outcome,
    events_left: u64,
    stopped_early: bool,
    interrupt: &'a AtomicBool,
}

impl<E: Engine> Shrinker<'_, E> {
    fn shrink(&mut self) {
        let transcript = self.transcript();
        self.accepts(self.best.setup.with_faults_as_they_came(&transcript.came));
        for _ in 0..MOST_ROUNDS {
            let before = (self.best.setup.clients.len(), Size::of(&self.best.setup));
            self.fewer_messages();
            self.fewer_clients();
            self.without_what_never_came();
            self.fewer_pieces();
            self.less_time();
            if (self.best.setup.clients.len(), Size::of(&self.best.setup)) == before {
                break;
            }
        }
    }

    /// Whether the bug is still there; then this is the best trial so far.
    fn accepts(&mut self, setup: Setup) -> bool {
        if self.events_left == 0 || self.interrupt.load(Ordering::Relaxed) {
            self.stopped_early = true;
            return false;
        }
        let mut setup = setup;
        let limit = setup.max_events;
        // Smaller trials are shorter, unless they never end.
        setup.max_events = limit.min(self.outcome.events.saturating_mul(4).saturating_add(10_000));
        let mut trial = Trial { setup: Arc::new(setup), ..self.best.clone() };
        let Ok(outcome) = judge_trial(self.engine, &trial, self.interrupt) else { return false };
        self.events_left = self.events_left.saturating_sub(2 * outcome.events.max(1));
        let ends_as_it_did = outcome.ending != Ending::Interrupted
            && (outcome.ending != Ending::EventLimit || self.outcome.ending == Ending::EventLimit);
        let is_smaller = ends_as_it_did && self.bug.is_in(&outcome);
        if is_smaller {
            Arc::make_mut(&mut trial.setup).max_events = limit;
            self.best = trial;
            self.outcome = outcome;
        }
        is_smaller
    }

    fn transcript(&self) -> Transcript {
        let mut transcript = Transcript::default();
        let options =
            Options { transcript: Some(&mut transcript), ..Options::until(self.interrupt) };
        self.engine.run(&self.best, (), options);
        transcript
    }

    // ---- messages ----

    fn fewer_messages(&mut self) {
        let all = self.best.setup.messages();
        if all.len() <= 1 {
            return;
        }
        if let Some(offender) = self.offender() {
            // Most bugs need one message, or those just before it.
            let before: Vec<_> = all.range(..=offender).rev().copied().collect();
            for count in [1, 2, 4, 16, 64] {
                let few: BTreeSet<_> = before.iter().take(count).copied().collect();
                if few.len() < all.len() && self.accepts(self.best.setup.with_messages(&few)) {
                    break;
                }
            }
        }
        let all: Vec<_> = self.best.setup.messages().into_iter().collect();
        let setup = Arc::clone(&self.best.setup);
        minimise(&all, &mut |kept: &[(StreamIndex, u32)]| {
            !kept.is_empty() && self.accepts(setup.with_messages(&kept.iter().copied().collect()))
        });
    }

    /// The first message that the bug befell.
    fn offender(&self) -> Option<(StreamIndex, u32)> {
        let Bug::Promise(violation) = self.bug else { return None };
        let mut findings = self.outcome.findings.iter();
        let finding = findings.find(|finding| finding.violation == violation)?;
        Some((finding.stream, finding.sequence))
    }

    // ---- clients ----

    fn fewer_clients(&mut self) {
        let setup = Arc::clone(&self.best.setup);
        let busy: BTreeSet<_> =
            setup.messages().iter().map(|(it, _)| setup.streams[it.index()].client).collect();
        let all: Vec<_> = (0..).map(ClientIndex).take(setup.clients.len()).collect();
        let idle: Vec<_> = all.iter().copied().filter(|it| !busy.contains(it)).collect();
        let with =
            |kept: &[ClientIndex]| setup.with_clients(&busy.iter().chain(kept).copied().collect());
        if !busy.is_empty() {
            minimise(&idle, &mut |kept: &[ClientIndex]| self.accepts(with(kept)));
        }
    }

    // ---- faults, fates, outages, pauses ----

    fn without_what_never_came(&mut self) {
        let transcript = self.transcript();
        let setup = self.best.setup.with_faults_as_they_came(&transcript.came);
        let Some(schedule) = &setup.schedule else { return };
        let unmet: BTreeSet<_> = schedule.unmet(&transcript.schedule).into_iter().collect();
        let met = setup.pieces().into_iter().filter(|piece| !unmet.contains(piece)).collect();
        self.accepts(setup.with_pieces(&met));
    }

    fn fewer_pieces(&mut self) {
        let setup = Arc::clone(&self.best.setup);
        // Pauses are hardly ever what matters: they go first, all at once.
        let (pauses, mut pieces): (Vec<_>, Vec<_>) =
            setup.pieces().into_iter().partition(|it| matches!(it, Piece::Pause(..)));
        if pauses.is_empty() || !self.accepts(setup.with_pieces(&pieces.iter().copied().collect()))
        {
            pieces.extend(pauses);
        }
        minimise(&pieces, &mut |kept: &[Piece]| {
            self.accepts(setup.with_pieces(&kept.iter().copied().collect()))
        });
    }

    // ---- time ----

    /// The workload ends with its last message, and nothing waits for what was taken out.
    fn less_time(&mut self) {
        self.accepts(self.best.setup.without_tails());
        for to in [Span::from_millis(100), Span::from_millis(1)] {
            if self.accepts(self.best.setup.rounded(to)) {
                break;
            }
        }
        let first = self.best.setup.first_time();
        if first > Span::ZERO {
            self.accepts(self.best.setup.earlier(first));
        }
        let mut setup = Setup::clone(&self.best.setup);
        if let Some(schedule) = &mut setup.schedule
            && schedule.traffic > Time::ZERO
        {
            Arc::make_mut(schedule).traffic = Time::ZERO;
            self.accepts(setup);
        }
    }
}
