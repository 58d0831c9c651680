//! The end of the first pass: the ledger is added up and judged.

use std::collections::BTreeMap;

use super::ledger::{Ledger, Slot};
use super::metrics::{Metrics, QosMetrics};
use super::promise::Terms;
use super::roster::StreamFacts;
use super::unit::{End, Progress, Standing, Unit};
use super::verdict::{Breach, Excuse, Promise};
use super::watch::Offender;
use qoslab_core::base::ending::Ending;
use qoslab_core::base::name::{ClientIndex, StreamIndex};
use qoslab_core::base::qos::QoS;

type Excuses = BTreeMap<Excuse, u64>;

/// What one unit comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// As promised.
    Kept,
    /// Not as it would have been promised, but for a reason that is accepted.
    Excused(Excuse),
    /// Broken.
    Broken(Breach),
}

impl Verdict {
    /// Before 5.0 a broker has no other way to refuse a message than to acknowledge it and drop it
    /// (MQTT 3.1.1, section 3.3.5).
    fn unless(self, denied: bool) -> Self {
        match self {
            Self::Broken(Breach::Lost) if denied => Self::Excused(Excuse::Rejected),
            _ => self,
        }
    }
}

/// Adds up every unit into the metrics, and names what was broken, by stream, message and
/// subscriber, and what was excused.
pub(super) fn judge(
    ledger: &Ledger,
    ending: Ending,
    metrics: &mut Metrics,
) -> (Vec<Offender>, Excuses) {
    let mut sheet = Sheet { quiescent: ending == Ending::Quiescent, ..Sheet::default() };
    for (index, stream) in (0..).map(StreamIndex).zip(&ledger.streams) {
        let StreamFacts { qos, denied, .. } = ledger.roster.streams[index.index()];
        let metrics = &mut metrics.qos[qos.index()];
        for (sequence, progress) in (0..).zip(&stream.messages) {
            if is_stuck(qos, *progress) {
                metrics.counts.stuck += 1;
                sheet.broken(index, sequence, None, Promise::Acknowledged, Breach::Stuck);
            }
        }
        for slot in &stream.slots {
            for ((sequence, unit), progress) in (0..).zip(&slot.units).zip(&stream.messages) {
                if unit.standing() == Standing::None {
                    continue;
                }
                add(metrics, qos, *unit, *progress);
                let ended = slot.is_over(sequence);
                let terms = unit.terms(qos);
                let verdict = verdict(*unit, *progress, terms, ended).unless(denied);
                sheet.enter(index, sequence, slot.client, terms, verdict);
            }
        }
    }
    for (stream, sequence, client, unit) in &ledger.closed {
        let StreamFacts { qos, denied, .. } = ledger.roster.streams[stream.index()];
        let progress = ledger.streams[stream.index()].messages[*sequence as usize];
        add(&mut metrics.qos[qos.index()], qos, *unit, progress);
        let terms = unit.terms(qos);
        let verdict = verdict(*unit, progress, terms, true).unless(denied);
        sheet.enter(*stream, *sequence, *client, terms, verdict);
    }
    for (stream, sequence, client, unit) in ledger.shared.units() {
        let StreamFacts { qos, denied, .. } = ledger.roster.streams[stream.index()];
        let progress = ledger.streams[stream.index()].messages[sequence as usize];
        add(&mut metrics.qos[qos.index()], qos, unit, progress);
        let terms = unit.terms(qos);
        let verdict = verdict(unit, progress, terms, false).unless(denied);
        sheet.enter(stream, sequence, client, terms, verdict);
    }
    sheet.enter_retained(ledger);
    for ((stream, sequence, client, breach), promise) in &ledger.seen {
        sheet.broken(*stream, *sequence, *client, *promise, *breach);
    }
    sheet.offenders.sort_unstable();
    (sheet.offenders, sheet.excuses)
}

#[derive(Debug, Default)]
struct Sheet {
    quiescent: bool,
    offenders: Vec<Offender>,
    excuses: Excuses,
}

impl Sheet {
    fn enter(
        &mut self,
        stream: StreamIndex,
        sequence: u32,
        client: ClientIndex,
        terms: Terms,
        verdict: Verdict,
    ) {
        match verdict {
            Verdict::Kept => {}
            Verdict::Excused(excuse) => *self.excuses.entry(excuse).or_default() += 1,
            Verdict::Broken(breach) => {
                self.broken(stream, sequence, Some(client), terms.promise, breach);
            }
        }
    }

    fn enter_retained(&mut self, ledger: &Ledger) {
        for ((client, stream, sequence), promise, breach) in ledger.retained.breaches() {
            self.broken(stream, sequence, Some(client), promise, breach);
        }
        for excuse in ledger.retained.excuses() {
            *self.excuses.entry(excuse).or_default() += 1;
        }
        if ledger.retained.excused > 0 {
            *self.excuses.entry(Excuse::SessionEnded).or_default() += ledger.retained.excused;
        }
    }

    fn broken(
        &mut self,
        stream: StreamIndex,
        sequence: u32,
        subscriber: Option<ClientIndex>,
        promise: Promise,
        breach: Breach,
    ) {
        // What has happened has happened; what has not might still have, had the trial gone on.
        let provisional = !self.quiescent && matches!(breach, Breach::Lost | Breach::Stuck);
        let offender = Offender { stream, sequence, subscriber, promise, breach, provisional };
        self.offenders.push(offender);
    }
}

/// Whether a message was accepted and never acknowledged, though its session lived.
fn is_stuck(qos: QoS, progress: Progress) -> bool {
    qos != QoS::AtMostOnce && progress.is_open()
}

const fn add(metrics: &mut QosMetrics, qos: QoS, unit: Unit, progress: Progress) {
    metrics.counts.units += 1;
    match unit.copies() {
        0 => metrics.counts.lost += 1,
        copies => {
            metrics.counts.delivered += 1;
            if copies > 1 {
                metrics.counts.duplicated += 1;
            }
            if !matches!(qos, QoS::AtMostOnce) && !progress.is(Progress::ACKNOWLEDGED) {
                metrics.counts.recovered += 1;
            }
        }
    }
}

/// Judges one unit; `ended`: its epoch is over.
const fn verdict(unit: Unit, progress: Progress, terms: Terms, ended: bool) -> Verdict {
    if unit.copies() > 0 {
        let repeated = unit.copies() > 1 && !terms.may_repeat;
        return if repeated && !progress.is(Progress::SESSION_LOST) {
            Verdict::Broken(Breach::Duplicated)
        } else {
            Verdict::Kept
        };
    }
    if terms.may_lose {
        return Verdict::Kept;
    }
    if !progress.is(Progress::ACKNOWLEDGED) {
        return match progress.end() {
            End::GaveUp => Verdict::Excused(Excuse::GaveUp),
            End::Rejected => Verdict::Excused(Excuse::Rejected),
            End::Expired => Verdict::Excused(Excuse::Expired),
            End::TooLarge => Verdict::Excused(Excuse::TooLarge),
            End::Unknown | End::Open | End::Completed | End::Refused => Verdict::Kept,
        };
    }
    match unit.standing() {
        Standing::Rejected => Verdict::Excused(Excuse::Rejected),
        Standing::GaveUp => Verdict::Excused(Excuse::GaveUp),
        Standing::Overflowed => Verdict::Excused(Excuse::QueueOverflow),
        Standing::Expired => Verdict::Excused(Excuse::Expired),
        Standing::TooLarge => Verdict::Excused(Excuse::TooLarge),
        Standing::Ended => Verdict::Excused(Excuse::SessionEnded),
        Standing::None | Standing::TooLate | Standing::May | Standing::Withdrawn => Verdict::Kept,
        Standing::Must | Standing::Begun | Standing::Submitted if ended => {
            Verdict::Excused(Excuse::SessionEnded)
        }
        // Acknowledged though the broker never saw it: owed all the same. So a stale
        // acknowledgement of a reused packet id shows as a loss.
        Standing::Must | Standing::Begun | Standing::Submitted => Verdict::Broken(Breach::Lost),
    }
}

/// The room that one subscriber of one stream takes besides a byte for each unit.
const _: () = assert!(size_of::<Slot>() <= 96, "100,000 streams must stay below 10 MB of slots");
