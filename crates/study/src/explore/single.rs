//! What single faults do: the exhaustive tables.

use super::alternative::{Alternative, Chosen};
use super::ground::Ground;
use super::states::States;
use super::{Counterexample, Result};
use qoslab_core::base::name::{PacketName, Subject, Transmission};
use qoslab_core::base::time::Span;
use qoslab_guarantee::metrics::Counts;
use qoslab_guarantee::verdict::{Outcome, RuleBreak};

/// What one fault at one packet does to the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The fault.
    pub chosen: Chosen,
    /// A message was never delivered.
    pub lost: bool,
    /// A message was delivered twice or more.
    pub duplicated: bool,
    /// A message was delivered later than without the fault.
    pub delayed: bool,
    /// A promise or a rule is broken.
    pub broken: bool,
}

impl Ground {
    /// Every single fault at a packet of a message, sent for the first time, in order.
    ///
    /// # Errors
    /// As [`super::Search::run`].
    pub fn effects(&self) -> Result<Vec<Effect>> {
        let plain = Counterexample::of(self, Vec::new(), false)?.outcome;
        let tried = self.attempt(&mut self.desk(), &[], &States::default());
        let mut effects = Vec::new();
        for packet in tried.choices.into_iter().filter(is_first) {
            for alternative in self.menu.of(&self.setup, &packet, 1) {
                effects.push(self.effect(&plain, Chosen { packet, alternative })?);
            }
        }
        Ok(effects)
    }

    fn effect(&self, plain: &Outcome, chosen: Chosen) -> Result<Effect> {
        let outcome = Counterexample::of(self, vec![chosen], false)?.outcome;
        let Counts { lost, duplicated, .. } = counts(&outcome);
        Ok(Effect {
            chosen,
            lost: lost > 0,
            duplicated: duplicated > 0,
            delayed: latest(&outcome) > latest(plain),
            broken: !outcome.violations.is_empty()
                || outcome.rules.keys().any(RuleBreak::is_violation),
        })
    }

    /// The faults that are tried at single packets, in order.
    #[must_use]
    pub fn rows(effects: &[Effect]) -> Vec<Alternative> {
        let mut rows: Vec<Alternative> = Vec::new();
        for effect in effects {
            if !rows.contains(&effect.chosen.alternative) {
                rows.push(effect.chosen.alternative);
            }
        }
        rows
    }
}

fn is_first(name: &PacketName) -> bool {
    matches!(
        name.subject,
        Subject::Message { transmission: Transmission { attempt: 0, echo: 0 }, .. }
    )
}

fn counts(outcome: &Outcome) -> Counts {
    outcome.metrics.qos.iter().map(|qos| qos.counts).sum()
}

/// The longest time to a first delivery, of those that came.
fn latest(outcome: &Outcome) -> Option<Span> {
    let all = outcome.metrics.qos.iter().map(|qos| &qos.latency);
    all.filter_map(|latency| latency.quantile(1.0, latency.count())).max()
}
