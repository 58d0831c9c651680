//! What single faults do: the exhaustive tables.

use super::packet_fault::{InjectedFault, PacketFault};
use super::search_space::SearchSpace;
use super::state_set::StateSet;
use super::{Counterexample, ExploreResult};
use qoslab_core::base::name::{PacketName, PacketSubject, Transmission};
use qoslab_core::base::time::Span;
use qoslab_guarantee::metrics::DeliveryCounts;
use qoslab_guarantee::verdict::{Outcome, RuleViolationKind};

/// What one fault at one packet does to the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultEffect {
    /// The fault.
    pub fault: InjectedFault,
    /// A message was never delivered.
    pub lost: bool,
    /// A message was delivered twice or more.
    pub duplicated: bool,
    /// A message was delivered later than without the fault.
    pub delayed: bool,
    /// A promise or a rule is broken.
    pub broken: bool,
}

impl SearchSpace {
    /// Every single fault at a packet of a message, sent for the first time, in order.
    ///
    /// # Errors
    /// As [`super::Search::run`].
    pub fn effects(&self) -> ExploreResult<Vec<FaultEffect>> {
        let plain = Counterexample::confirm(self, Vec::new(), false)?.outcome;
        let tried = self.try_schedule(&mut self.new_worker(), &[], &StateSet::default());
        let mut effects = Vec::new();
        for packet in tried.choice_points.into_iter().filter(is_first_transmission) {
            for alternative in self.fault_options.faults_for(&self.setup, &packet, 1) {
                effects.push(self.effect(&plain, InjectedFault { packet, fault: alternative })?);
            }
        }
        Ok(effects)
    }

    fn effect(&self, plain: &Outcome, chosen: InjectedFault) -> ExploreResult<FaultEffect> {
        let outcome = Counterexample::confirm(self, vec![chosen], false)?.outcome;
        let DeliveryCounts { lost, duplicated, .. } = counts(&outcome);
        Ok(FaultEffect {
            fault: chosen,
            lost: lost > 0,
            duplicated: duplicated > 0,
            delayed: max_latency(&outcome) > max_latency(plain),
            broken: !outcome.violations.is_empty()
                || outcome.rule_violations.keys().any(RuleViolationKind::is_violation),
        })
    }

    /// The faults that are tried at single packets, in order.
    #[must_use]
    pub fn distinct_faults(effects: &[FaultEffect]) -> Vec<PacketFault> {
        let mut rows: Vec<PacketFault> = Vec::new();
        for effect in effects {
            if !rows.contains(&effect.fault.fault) {
                rows.push(effect.fault.fault);
            }
        }
        rows
    }
}

fn is_first_transmission(name: &PacketName) -> bool {
    matches!(
        name.subject,
        PacketSubject::Message {
            transmission: Transmission { attempt: 0, duplicate_index: 0 },
            ..
        }
    )
}

fn counts(outcome: &Outcome) -> DeliveryCounts {
    outcome.metrics.qos.iter().map(|qos| qos.counts).sum()
}

/// The longest time to a first delivery, of those that came.
fn max_latency(outcome: &Outcome) -> Option<Span> {
    let all = outcome.metrics.qos.iter().map(|qos| &qos.latency);
    all.filter_map(|latency| latency.quantile(1.0, latency.count())).max()
}
