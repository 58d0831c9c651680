//! Shrinking of a failing trial to a minimal failure that still breaks the same promise.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::judge_trial::judge_trial;
use qoslab_core::base::{
    ClientIndex, Ending, Event, Observer, PacketName, PacketSubject, PublisherIndex, Span, Time,
    Transmission,
};
use qoslab_core::network::Transport;
use qoslab_guarantee::{Finding, Outcome, RuleViolationKind, Violation};
use qoslab_sim::Options;
use qoslab_sim::{
    Engine, FaultAction, FaultSetup, RecordedRun, ScheduleEntry, Setup, Trial, Trigger,
    make_deterministic,
};

mod minimise;

use minimise::minimise;

/// The violation that must stay while a trial shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BrokenGuarantee {
    /// A promise, with the kind and the blame.
    Promise(Violation),
    /// A rule of the standard, with who broke it.
    Rule(RuleViolationKind),
}

/// The smallest trial that was found.
#[derive(Clone, Debug)]
pub struct ShrunkTrial {
    /// The trial, deterministic.
    pub trial: Trial,
    /// Its outcome.
    pub outcome: Outcome,
    /// What is still broken.
    pub broken: BrokenGuarantee,
    /// The size before.
    pub before: TrialSize,
    /// The size after.
    pub after: TrialSize,
    /// Whether the bound on the effort came before the end.
    pub stopped_early: bool,
}

/// The size of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrialSize {
    /// Messages published.
    pub messages: usize,
    /// Faults, fates and outages that came.
    pub faults: usize,
}

/// Simulated events that shrinking one trial may take, both passes of a judgement counted.
pub const MAX_SHRINK_EVENTS: u64 = 20_000_000;

/// Packets at which a single cut or crash is tried.
const MAX_FAULTS_TRIED: usize = 100;

/// Rounds in which everything is tried again; hardly ever more than three change anything.
const MAX_ROUNDS: usize = 8;

/// Shrinks a trial in which `broken` was found on this engine. `None` if it was interrupted, or if
/// the bug does not come again, which would be a bug in qoslab.
///
/// A failing trial is made deterministic ([`make_deterministic`]) and then loses everything it can:
/// messages, clients, faults, fates and time, while the same promise breaks in the same way by the
/// same fault (delta debugging: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing
/// input", 2002). What is left is one-minimal but for time: nothing of it can be taken out alone.
/// The effort is bounded by simulated events and not by a clock, so that the result is the same on
/// any machine.
#[must_use]
pub fn shrink<E: Engine>(
    engine: &E,
    trial: &Trial,
    broken: BrokenGuarantee,
    max_events: u64,
    interrupt: &AtomicBool,
) -> Option<ShrunkTrial> {
    let deterministic = make_deterministic(engine, trial, Some(interrupt))?;
    let outcome = judge_trial(engine, &deterministic, interrupt).ok();
    let outcome = outcome.filter(|outcome| broken.is_in(outcome))?;
    let mut shrinker = TrialShrinker {
        engine,
        broken,
        best: deterministic,
        outcome,
        events_left: max_events,
        stopped_early: false,
        interrupt,
    };
    let before = TrialSize::of(&shrinker.best.setup);
    shrinker.shrink();
    let TrialShrinker { best, outcome, stopped_early, .. } = shrinker;
    let after = TrialSize::of(&best.setup);
    let is_interrupted = interrupt.load(Ordering::Relaxed);
    let shrunk = ShrunkTrial { trial: best, outcome, broken, before, after, stopped_early };
    (!is_interrupted).then_some(shrunk)
}

impl TrialSize {
    /// The size of a deterministic setup.
    #[must_use]
    pub fn of(setup: &Setup) -> Self {
        Self { messages: setup.messages().len(), faults: setup.entry_count() }
    }
}

impl BrokenGuarantee {
    /// The kinds of broken promises of an outcome, and where there are none those of broken rules.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Vec<Self> {
        if outcome.violations.is_empty() {
            let rules = outcome.rule_violations.keys().filter(|broken| broken.fails_trial());
            return rules.copied().map(Self::Rule).collect();
        }
        outcome.violations.keys().copied().map(Self::Promise).collect()
    }

    /// Whether an outcome has this violation.
    #[must_use]
    pub fn is_in(&self, outcome: &Outcome) -> bool {
        match self {
            Self::Promise(violation) => outcome.violations.contains_key(violation),
            Self::Rule(broken) => outcome.rule_violations.contains_key(broken),
        }
    }
}

impl ShrunkTrial {
    /// The broken promise in full; `None` where it is a rule that was broken.
    #[must_use]
    pub fn finding(&self) -> Option<&Finding> {
        let BrokenGuarantee::Promise(violation) = self.broken else { return None };
        self.outcome.findings.iter().find(|finding| finding.violation == violation)
    }
}

/// The first transmissions of messages' packets, in order.
#[derive(Default)]
struct FirstSent {
    names: Vec<PacketName>,
}

impl Observer for FirstSent {
    fn observe(&mut self, _: Time, event: &Event<'_>) {
        let Event::Sent { packet, .. } = event else { return };
        let PacketSubject::Message { transmission, .. } = packet.name.subject else { return };
        if transmission == Transmission::default() {
            self.names.push(packet.name);
        }
    }
}

struct TrialShrinker<'a, E> {
    engine: &'a E,
    broken: BrokenGuarantee,
    best: Trial,
    outcome: Outcome,
    events_left: u64,
    stopped_early: bool,
    interrupt: &'a AtomicBool,
}

impl<E: Engine> TrialShrinker<'_, E> {
    fn shrink(&mut self) {
        let transcript = self.transcript();
        self.try_setup(self.best.setup.with_fault_occurrences(&transcript.occurrences));
        for _ in 0..MAX_ROUNDS {
            let before = (self.best.setup.clients.len(), TrialSize::of(&self.best.setup));
            self.remove_messages();
            self.remove_clients();
            self.remove_unused_elements();
            self.remove_elements();
            self.replace_by_one_fault();
            self.shorten_time();
            if (self.best.setup.clients.len(), TrialSize::of(&self.best.setup)) == before {
                break;
            }
        }
    }

    /// Whether the bug is still there; then this is the best trial so far.
    fn try_setup(&mut self, setup: Setup) -> bool {
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
        let is_smaller = ends_as_it_did && self.broken.is_in(&outcome);
        if is_smaller {
            Arc::make_mut(&mut trial.setup).max_events = limit;
            self.best = trial;
            self.outcome = outcome;
        }
        is_smaller
    }

    fn transcript(&self) -> RecordedRun {
        let mut transcript = RecordedRun::default();
        let options = Options {
            transcript: Some(&mut transcript),
            ..Options::with_interrupt(self.interrupt)
        };
        self.engine.run(&self.best, (), options);
        transcript
    }

    // ---- messages ----

    fn remove_messages(&mut self) {
        let all = self.best.setup.messages();
        if all.len() <= 1 {
            return;
        }
        if let Some(offender) = self.first_affected_message() {
            // Most bugs need one message, or those just before it.
            let before: Vec<_> = all.range(..=offender).rev().copied().collect();
            for count in [1, 2, 4, 16, 64] {
                let few: BTreeSet<_> = before.iter().take(count).copied().collect();
                if few.len() < all.len() && self.try_setup(self.best.setup.with_messages(&few)) {
                    break;
                }
            }
        }
        let all: Vec<_> = self.best.setup.messages().into_iter().collect();
        let setup = Arc::clone(&self.best.setup);
        minimise(&all, &mut |kept: &[(PublisherIndex, u32)]| {
            !kept.is_empty() && self.try_setup(setup.with_messages(&kept.iter().copied().collect()))
        });
    }

    /// The first message that the bug applies to.
    fn first_affected_message(&self) -> Option<(PublisherIndex, u32)> {
        let BrokenGuarantee::Promise(violation) = self.broken else { return None };
        let mut findings = self.outcome.findings.iter();
        let finding = findings.find(|finding| finding.violation == violation)?;
        Some((finding.publisher, finding.sequence))
    }

    // ---- clients ----

    fn remove_clients(&mut self) {
        let setup = Arc::clone(&self.best.setup);
        let busy: BTreeSet<_> =
            setup.messages().iter().map(|(it, _)| setup.publishers[it.index()].client).collect();
        let all: Vec<_> = (0..).map(ClientIndex).take(setup.clients.len()).collect();
        let idle: Vec<_> = all.iter().copied().filter(|it| !busy.contains(it)).collect();
        let with =
            |kept: &[ClientIndex]| setup.with_clients(&busy.iter().chain(kept).copied().collect());
        if !busy.is_empty() {
            minimise(&idle, &mut |kept: &[ClientIndex]| self.try_setup(with(kept)));
        }
    }

    // ---- faults, fates, outages, pauses ----

    fn remove_unused_elements(&mut self) {
        let transcript = self.transcript();
        let setup = self.best.setup.with_fault_occurrences(&transcript.occurrences);
        let Some(schedule) = &setup.schedule else { return };
        let unmet: BTreeSet<_> =
            schedule.unused_entries(&transcript.schedule).into_iter().collect();
        let met =
            setup.schedule_entries().into_iter().filter(|piece| !unmet.contains(piece)).collect();
        self.try_setup(setup.with_entries(&met));
    }

    fn remove_elements(&mut self) {
        let setup = Arc::clone(&self.best.setup);
        // Pauses are hardly ever what matters: they go first, all at once.
        let (pauses, mut pieces): (Vec<_>, Vec<_>) = setup
            .schedule_entries()
            .into_iter()
            .partition(|it| matches!(it, ScheduleEntry::Pause(..)));
        if pauses.is_empty()
            || !self.try_setup(setup.with_entries(&pieces.iter().copied().collect()))
        {
            pieces.extend(pauses);
        }
        minimise(&pieces, &mut |kept: &[ScheduleEntry]| {
            self.try_setup(setup.with_entries(&kept.iter().copied().collect()))
        });
        self.remove_cuts();
    }

    /// Without a cut later connections have other numbers, by which pauses are named: a cut that is
    /// there for nothing else goes once they are renumbered.
    fn remove_cuts(&mut self) {
        let mut fault = 0;
        while let Some(setup) = self.best.setup.faults.get(fault) {
            let FaultAction::Cut { client, .. } = setup.action else {
                fault += 1;
                continue;
            };
            let setup = Arc::clone(&self.best.setup);
            let numbers = setup.paused_connections(client);
            let without = |nth: u32| setup.without_cut(fault, nth);
            if !numbers.into_iter().filter_map(without).any(|setup| self.try_setup(setup)) {
                fault += 1;
            }
        }
    }

    /// What several faults do by the chance of their times, one cut at the right packet may do, or
    /// one of the crashes.
    fn replace_by_one_fault(&mut self) {
        if self.best.setup.entry_count() <= 1 {
            return;
        }
        let options = Options::with_interrupt(self.interrupt);
        let (_, first_sent) = self.engine.run(&self.best, FirstSent::default(), options);
        let setup = Arc::clone(&self.best.setup);
        let without = setup.with_entries(&BTreeSet::new());
        let at = |name: PacketName, action: FaultAction| {
            let trigger = Trigger::NamedPacket(name);
            let fault = FaultSetup { name: "fault".into(), trigger, action };
            Setup { faults: vec![fault], ..without.clone() }
        };
        let over_tcp = |name: &PacketName| {
            let link = &setup.clients[name.client.index()].link;
            matches!(link.transport, Transport::Tcp(_))
        };
        let names = &first_sent.names;
        let cuts = names.iter().filter(|name| over_tcp(name)).flat_map(|name| {
            let cut = |after| FaultAction::Cut { client: name.client, after };
            [at(*name, cut(false)), at(*name, cut(true))]
        });
        let mut actions = setup.faults.iter().map(|fault| &fault.action);
        let crash = actions.find(|action| matches!(action, FaultAction::Crash { .. }));
        let crashes = crash.into_iter().flat_map(|action| {
            names.iter().map(|name| at(*name, action.clone())).take(MAX_FAULTS_TRIED)
        });
        let mut all = cuts.take(2 * MAX_FAULTS_TRIED).chain(crashes);
        all.find_map(|setup| self.try_setup(setup).then_some(()));
    }

    // ---- time ----

    /// The workload ends with its last message, and nothing waits for what was taken out.
    fn shorten_time(&mut self) {
        self.try_setup(self.best.setup.without_trailing_messages());
        for to in [Span::from_millis(100), Span::from_millis(1)] {
            if self.try_setup(self.best.setup.with_rounded_times(to)) {
                break;
            }
        }
        let first = self.best.setup.first_event_time();
        if first > Span::ZERO {
            self.try_setup(self.best.setup.shifted_earlier(first));
        }
        let mut setup = Setup::clone(&self.best.setup);
        if let Some(schedule) = &mut setup.schedule
            && schedule.traffic_start > Time::ZERO
        {
            Arc::make_mut(schedule).traffic_start = Time::ZERO;
            self.try_setup(setup);
        }
    }
}
