//! The end of the first pass: the ledger is added up and judged.

use std::collections::BTreeMap;

use super::delivery_unit::{DeliveryState, DeliveryUnit, HandshakeEnd, MessageProgress};
use super::first_pass::SuspectedViolation;
use super::ledger::{Ledger, SubscriberLedger};
use super::metrics::{Metrics, QosMetrics};
use super::not_subscribed;
use super::promise::DeliveryTerms;
use super::trial_facts::{PublisherFacts, TrialFacts};
use super::verdict::{Breach, Excuse, Promise};
use qoslab_core::base::{ClientIndex, Ending, PublisherIndex, QoS};
use qoslab_core::mqtt::Version;

type Excuses = BTreeMap<Excuse, u64>;

/// The outcome of one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UnitVerdict {
    /// As promised.
    Kept,
    /// Not as it would have been promised, but for a reason that is accepted.
    Excused(Excuse),
    /// Broken.
    Broken(Breach),
}

impl UnitVerdict {
    /// Before 5.0 a broker has no other way to refuse a message than to acknowledge it and drop it
    /// (MQTT 3.1.1, section 3.3.5); and in no version to refuse a will.
    fn excuse_if_denied(self, trial: &TrialFacts, stream: &PublisherFacts) -> Self {
        let can_refuse = trial.clients[stream.client.index()].version == Version::V5;
        match self {
            Self::Broken(Breach::Lost) if stream.publish_denied && (stream.will || !can_refuse) => {
                Self::Excused(Excuse::Rejected)
            }
            _ => self,
        }
    }
}

/// Adds up every unit into the metrics, and names what was broken, by stream, message and
/// subscriber, and what was excused.
pub(super) fn evaluate(
    ledger: &Ledger,
    ending: Ending,
    metrics: &mut Metrics,
) -> (Vec<SuspectedViolation>, Excuses) {
    let mut evaluation =
        Evaluation { quiescent: ending == Ending::Quiescent, ..Evaluation::default() };
    for (index, stream) in (0..).map(PublisherIndex).zip(&ledger.publishers) {
        let facts = &ledger.trial.publishers[index.index()];
        let qos = facts.qos;
        for (sequence, progress) in (0..).zip(&stream.messages) {
            if is_stuck(qos, *progress) {
                for metrics in metrics.of_message(&ledger.trial, index) {
                    metrics.counts.stuck += 1;
                }
                evaluation.add_suspect(index, sequence, None, Promise::Acknowledged, Breach::Stuck);
            }
        }
        for subscriber in &stream.subscribers {
            for ((sequence, unit), progress) in (0..).zip(&subscriber.units).zip(&stream.messages) {
                if unit.state() == DeliveryState::NotSubscribed {
                    continue;
                }
                let repeats = ledger.is_repeated((index, sequence, subscriber.client), *unit);
                for metrics in metrics.of_unit(&ledger.trial, index, subscriber.client) {
                    count_unit(metrics, qos, *unit, *progress, repeats);
                }
                let epoch_over = subscriber.is_past_epoch(sequence);
                let terms = unit.terms(qos);
                let verdict = unit_verdict(*unit, *progress, terms, epoch_over, repeats)
                    .excuse_if_denied(&ledger.trial, facts);
                evaluation.add_unit(index, sequence, subscriber.client, terms, verdict);
            }
        }
    }
    for (stream, sequence, client, unit) in &ledger.past_epoch_units {
        let facts = &ledger.trial.publishers[stream.index()];
        let qos = facts.qos;
        let progress = ledger.publishers[stream.index()].messages[*sequence as usize];
        let repeats = ledger.is_repeated((*stream, *sequence, *client), *unit);
        for metrics in metrics.of_unit(&ledger.trial, *stream, *client) {
            count_unit(metrics, qos, *unit, progress, repeats);
        }
        let terms = unit.terms(qos);
        let verdict = unit_verdict(*unit, progress, terms, true, repeats)
            .excuse_if_denied(&ledger.trial, facts);
        evaluation.add_unit(*stream, *sequence, *client, terms, verdict);
    }
    for (stream, sequence, client, unit) in ledger.shared.units() {
        let facts = &ledger.trial.publishers[stream.index()];
        let qos = facts.qos;
        let progress = ledger.publishers[stream.index()].messages[sequence as usize];
        let repeats = unit.copies() > 1;
        for metrics in metrics.of_unit(&ledger.trial, stream, client) {
            count_unit(metrics, qos, unit, progress, repeats);
        }
        let terms = unit.terms(qos);
        let verdict = unit_verdict(unit, progress, terms, false, repeats)
            .excuse_if_denied(&ledger.trial, facts);
        evaluation.add_unit(stream, sequence, client, terms, verdict);
    }
    not_subscribed::count(ledger, metrics);
    ledger.retained.count_copies(&ledger.trial, metrics);
    evaluation.add_retained(ledger);
    for ((stream, sequence, client, breach), promise) in &ledger.observed_breaches {
        evaluation.add_suspect(*stream, *sequence, *client, *promise, *breach);
    }
    evaluation.suspects.sort_unstable();
    (evaluation.suspects, evaluation.excuses)
}

#[derive(Debug, Default)]
struct Evaluation {
    quiescent: bool,
    suspects: Vec<SuspectedViolation>,
    excuses: Excuses,
}

impl Evaluation {
    fn add_unit(
        &mut self,
        publisher: PublisherIndex,
        sequence: u32,
        client: ClientIndex,
        terms: DeliveryTerms,
        verdict: UnitVerdict,
    ) {
        match verdict {
            UnitVerdict::Kept => {}
            UnitVerdict::Excused(excuse) => *self.excuses.entry(excuse).or_default() += 1,
            UnitVerdict::Broken(breach) => {
                self.add_suspect(publisher, sequence, Some(client), terms.promise, breach);
            }
        }
    }

    fn add_retained(&mut self, ledger: &Ledger) {
        for ((client, stream, sequence), promise, breach) in ledger.retained.breaches() {
            self.add_suspect(stream, sequence, Some(client), promise, breach);
        }
        for excuse in ledger.retained.excuses() {
            *self.excuses.entry(excuse).or_default() += 1;
        }
        if ledger.retained.excused > 0 {
            *self.excuses.entry(Excuse::SessionEnded).or_default() += ledger.retained.excused;
        }
    }

    fn add_suspect(
        &mut self,
        publisher: PublisherIndex,
        sequence: u32,
        subscriber: Option<ClientIndex>,
        promise: Promise,
        breach: Breach,
    ) {
        // What has happened is final; what has not might still have happened, had the trial gone
        // on.
        let provisional = !self.quiescent && matches!(breach, Breach::Lost | Breach::Stuck);
        let suspect =
            SuspectedViolation { publisher, sequence, subscriber, promise, breach, provisional };
        self.suspects.push(suspect);
    }
}

impl Ledger {
    /// Whether a unit has more copies than its filters bring.
    fn is_repeated(&self, key: (PublisherIndex, u32, ClientIndex), unit: DeliveryUnit) -> bool {
        match self.overlaps.get(&key) {
            Some(overlap) => overlap.copies > overlap.allowed,
            None => unit.copies() > 1,
        }
    }
}

/// Whether a message was accepted and never acknowledged, though its session lived.
fn is_stuck(qos: QoS, progress: MessageProgress) -> bool {
    qos != QoS::AtMostOnce && progress.is_open()
}

const fn count_unit(
    metrics: &mut QosMetrics,
    qos: QoS,
    unit: DeliveryUnit,
    progress: MessageProgress,
    repeats: bool,
) {
    metrics.counts.units += 1;
    if unit.copies() == 0 {
        metrics.counts.lost += 1;
        return;
    }
    metrics.counts.delivered += 1;
    if repeats {
        metrics.counts.duplicated += 1;
    }
    if !matches!(qos, QoS::AtMostOnce) && !progress.has_all(MessageProgress::ACKNOWLEDGED) {
        metrics.counts.recovered += 1;
    }
}

/// Judges one unit; `epoch_over`: its epoch is over; `repeats`: it has more copies than one, or
/// than one for each filter where the broker sends so many.
const fn unit_verdict(
    unit: DeliveryUnit,
    progress: MessageProgress,
    terms: DeliveryTerms,
    epoch_over: bool,
    repeats: bool,
) -> UnitVerdict {
    if unit.copies() > 0 {
        let repeated = repeats && !terms.may_repeat;
        return if repeated && !progress.has_all(MessageProgress::SESSION_LOST) {
            UnitVerdict::Broken(Breach::Duplicated)
        } else {
            UnitVerdict::Kept
        };
    }
    if terms.may_lose {
        return UnitVerdict::Kept;
    }
    if !progress.has_all(MessageProgress::ACKNOWLEDGED) {
        return match progress.handshake_end() {
            HandshakeEnd::GaveUp => UnitVerdict::Excused(Excuse::GaveUp),
            HandshakeEnd::Rejected => UnitVerdict::Excused(Excuse::Rejected),
            HandshakeEnd::Expired => UnitVerdict::Excused(Excuse::Expired),
            HandshakeEnd::TooLarge => UnitVerdict::Excused(Excuse::TooLarge),
            HandshakeEnd::NotSubmitted
            | HandshakeEnd::Open
            | HandshakeEnd::Completed
            | HandshakeEnd::Refused => UnitVerdict::Kept,
        };
    }
    match unit.state() {
        DeliveryState::Rejected => UnitVerdict::Excused(Excuse::Rejected),
        DeliveryState::GaveUp => UnitVerdict::Excused(Excuse::GaveUp),
        DeliveryState::Overflowed => UnitVerdict::Excused(Excuse::QueueOverflow),
        DeliveryState::Expired => UnitVerdict::Excused(Excuse::Expired),
        DeliveryState::TooLarge => UnitVerdict::Excused(Excuse::TooLarge),
        DeliveryState::MemberSessionEnded => UnitVerdict::Excused(Excuse::SessionEnded),
        DeliveryState::NotSubscribed
        | DeliveryState::UnsubscribedInTransit
        | DeliveryState::MayDeliver
        | DeliveryState::Withdrawn => UnitVerdict::Kept,
        DeliveryState::MustDeliver
        | DeliveryState::NoExcuse
        | DeliveryState::ForwardingStarted
        | DeliveryState::Submitted
            if epoch_over =>
        {
            UnitVerdict::Excused(Excuse::SessionEnded)
        }
        // Acknowledged though the broker never saw it: owed all the same. So a stale
        // acknowledgement of a reused packet id shows as a loss.
        DeliveryState::MustDeliver
        | DeliveryState::NoExcuse
        | DeliveryState::ForwardingStarted
        | DeliveryState::Submitted => UnitVerdict::Broken(Breach::Lost),
    }
}

/// The room that one subscriber of one stream takes besides a byte for each unit.
const _: () =
    assert!(size_of::<SubscriberLedger>() <= 96, "100,000 streams must stay below 10 MB of slots");
