//! Explicit choices in a trial that replace random draws.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::trial::{FaultAction, FaultSetup, PayloadSize, PublisherSetup, Setup, Trial, Trigger};
use qoslab_core::base::draw::Chance;
use qoslab_core::base::{ClientIndex, PacketName, PublisherIndex, Span, Time};
use qoslab_core::network::{
    DirectionSettings, FateMap, IntervalDistribution, LinkSettings, LossModel,
};

mod entries;
mod subset;

pub use entries::ScheduleEntry;

/// Deviations from the plain course, by subject.
///
/// A [`Setup`] with a [`Schedule`] is *deterministic*: nothing is drawn. Links deliver every packet
/// once, after the mean delay; intervals have their means; a client that was turned away waits as
/// long as it may. The schedule lists each deviation by its subject: a packet by
/// its name, a message by its number, a time by its distance from the start of the traffic. So
/// entries can be taken out one by one, and the meaning of the others does not change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// When the traffic begins at the earliest. It waits for all clients to be connected anyway,
    /// and without random delays they may be so too early.
    pub traffic_start: Time,
    /// Fates of packets and segments.
    pub fates: Arc<FateMap>,
    /// When each client's link is down, after the start of the traffic, in order.
    pub outages: BTreeMap<ClientIndex, Vec<ScheduledOutage>>,
    /// How long a client waited before it opened its `nth` connection, from 0, when that many
    /// attempts had failed.
    pub pauses: BTreeMap<(ClientIndex, u32, u32), Span>,
    /// When messages are published, and how long they are. One that is not listed comes as much
    /// later than the last one listed before it as the interval has it.
    pub messages: BTreeMap<(PublisherIndex, u32), MessageTiming>,
}

/// A period in which a link is down, after the start of the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScheduledOutage {
    /// When it begins.
    pub at: Span,
    /// How long it lasts.
    pub lasts: Span,
}

/// The time of a message and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageTiming {
    /// When it is published, after the start of the traffic.
    pub at: Span,
    /// The length of its payload in bytes.
    pub payload: u32,
}

/// Recording of a run of a trial, as an engine makes it.
#[derive(Clone, Debug, Default)]
pub struct RecordedRun {
    /// All deviations from the plain course, but for the workload.
    pub schedule: Schedule,
    /// The faults that came, in order.
    pub occurrences: Vec<FaultOccurrence>,
}

/// An occurrence of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultOccurrence {
    /// Its index in [`Setup::faults`].
    pub fault: u32,
    /// When, after the start of the traffic.
    pub at: Span,
    /// How long it lasts; zero for one that does not.
    pub lasts: Span,
    /// The packet that it waited for.
    pub packet: Option<PacketName>,
}

impl Setup {
    /// The same setup with nothing drawn at random, and nothing yet in its schedule: no loss,
    /// jitter, duplication, reordering or outage; mean intervals and payloads.
    #[must_use]
    pub fn deterministic(&self) -> Self {
        let mut setup = self.clone();
        setup.schedule = Some(Arc::default());
        for client in &mut setup.clients {
            client.link = Arc::new(deterministic_link(&client.link));
        }
        for stream in &mut setup.publishers {
            stream.every = IntervalDistribution::Fixed(stream.every.mean());
            stream.spread = Span::ZERO;
            stream.payload = PayloadSize::Fixed(stream.payload.mean());
        }
        for fault in &mut setup.faults {
            if let Trigger::Every(every) = &mut fault.trigger {
                *every = IntervalDistribution::Fixed(every.mean());
            }
            if let Some(lasts) = fault.action.lasts_mut() {
                *lasts = IntervalDistribution::Fixed(lasts.mean());
            }
        }
        setup
    }
}

impl Trial {
    /// The same trial made deterministic, from the recording of a run of it and the times
    /// and lengths of its messages.
    #[must_use]
    pub fn to_deterministic(
        &self,
        recorded: &RecordedRun,
        messages: BTreeMap<(PublisherIndex, u32), MessageTiming>,
    ) -> Self {
        let mut setup = self.setup.deterministic();
        setup.faults = resolve_faults(&self.setup.faults, &recorded.occurrences);
        let mut schedule = recorded.schedule.clone();
        for ((stream, sequence), timing) in messages {
            let own = &setup.publishers[stream.index()];
            if schedule.timing(stream, own, sequence) != timing {
                schedule.messages.insert((stream, sequence), timing);
            }
        }
        setup.schedule = Some(Arc::new(schedule));
        Self { setup: Arc::new(setup), seed: self.seed, name: self.name.clone() }
    }
}

impl Schedule {
    /// Returns when a message of a deterministic workload is published, and how long it is.
    #[must_use]
    pub fn timing(
        &self,
        stream: PublisherIndex,
        setup: &PublisherSetup,
        sequence: u32,
    ) -> MessageTiming {
        let every = setup.every.mean();
        let listed = self.messages.range((stream, 0)..=(stream, sequence)).next_back();
        match listed {
            Some((&(_, known), timing)) if known == sequence => *timing,
            Some((&(_, known), timing)) => MessageTiming {
                at: timing.at + every.times((sequence - known).into()),
                payload: setup.payload.mean(),
            },
            None => {
                MessageTiming { at: every.times(sequence.into()), payload: setup.payload.mean() }
            }
        }
    }
}

/// Returns the faults as they occurred: those drawn at random at their times, those that waited for
/// the nth packet at its name. What is fixed stays as it was written. They stand in the order in
/// which they first came: of those at one instant, the first of the file comes first.
fn resolve_faults(faults: &[FaultSetup], occurrences: &[FaultOccurrence]) -> Vec<FaultSetup> {
    let mut all = Vec::new();
    for (n, fault) in (0..).zip(faults) {
        let mut own = (0..).zip(occurrences).filter(|(_, came)| came.fault == n).peekable();
        let first: usize = own.peek().map_or(usize::MAX, |(place, _)| *place);
        let lasts = fault.action.lasts();
        let is_fixed = lasts.is_none_or(IntervalDistribution::is_fixed);
        match fault.trigger {
            Trigger::Every(every) if every.is_fixed() && is_fixed => {
                all.push((first, fault.clone()));
            }
            Trigger::At(_) if is_fixed => all.push((first, fault.clone())),
            Trigger::NamedPacket(_) => all.push((first, fault.clone())),
            _ => all.extend(
                (1..)
                    .zip(own)
                    .map(|(nth, (place, came))| (place, single_occurrence(fault, nth, came))),
            ),
        }
    }
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, fault)| fault).collect()
}

/// Returns one occurrence of a fault, as a fault of its own.
fn single_occurrence(fault: &FaultSetup, nth: u32, occurrence: &FaultOccurrence) -> FaultSetup {
    let name =
        if nth == 1 { Arc::clone(&fault.name) } else { format!("{}/{nth}", fault.name).into() };
    let mut action = fault.action.clone();
    if let Some(lasts) = action.lasts_mut() {
        *lasts = IntervalDistribution::Fixed(occurrence.lasts);
    }
    let trigger = occurrence.packet.map_or(Trigger::At(occurrence.at), Trigger::NamedPacket);
    FaultSetup { name, trigger, action }
}

fn deterministic_link(link: &LinkSettings) -> LinkSettings {
    let still = |direction: &DirectionSettings| DirectionSettings {
        jitter: Span::ZERO,
        loss: LossModel::Random(Chance::NEVER),
        duplicate: Chance::NEVER,
        reorder: None,
        ..direction.clone()
    };
    LinkSettings { up: still(&link.up), down: still(&link.down), outage: None, ..link.clone() }
}

impl FaultAction {
    /// How long it lasts, if it does.
    #[must_use]
    pub fn lasts(&self) -> Option<IntervalDistribution> {
        self.clone().lasts_mut().copied()
    }

    const fn lasts_mut(&mut self) -> Option<&mut IntervalDistribution> {
        match self {
            Self::Packet(_) | Self::Cut { .. } | Self::HalfOpen { .. } => None,
            Self::Impair { lasts, .. } | Self::Outage { lasts, .. } => Some(lasts),
            Self::Crash { down, .. } => Some(down),
        }
    }
}
