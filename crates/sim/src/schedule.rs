//! What happens in a trial in place of luck.
//!
//! A [`Setup`] with a [`Schedule`] is *still*: nothing in it is drawn. Links deliver every packet
//! once, after the mean delay; intervals have their means; a client that was turned away waits as
//! long as it may. The schedule lists what was different, each by what it is about: a packet by
//! its name, a message by its number, a time by its distance from the start of the traffic. So
//! entries can be taken out one by one, and the others still mean what they meant.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::trial::{Action, FaultSetup, PayloadSize, Setup, StreamSetup, Trial, Trigger};
use qoslab_core::base::draw::Chance;
use qoslab_core::base::name::{ClientIndex, PacketName, StreamIndex};
use qoslab_core::base::time::{Span, Time};
use qoslab_core::network::script::Fates;
use qoslab_core::network::settings::{DirectionSettings, Interval, LinkSettings, LossModel};

mod pieces;
mod restrict;

pub use pieces::Piece;

/// What was not plain, by what it is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// When the traffic begins at the earliest. It waits for all clients to be connected anyway,
    /// and without luck on their way they may be so too early.
    pub traffic: Time,
    /// What became of packets and segments.
    pub fates: Arc<Fates>,
    /// When each client's link is down, after the start of the traffic, in order.
    pub outages: BTreeMap<ClientIndex, Vec<Outage>>,
    /// How long a client waited before it opened its `nth` connection, from 0, when so many
    /// attempts had failed.
    pub pauses: BTreeMap<(ClientIndex, u32, u32), Span>,
    /// When messages are published, and how long they are. One that is not listed comes as much
    /// later than the last one listed before it as the interval has it.
    pub messages: BTreeMap<(StreamIndex, u32), Timing>,
}

/// A time in which a link is down, after the start of the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outage {
    /// When it begins.
    pub at: Span,
    /// How long it lasts.
    pub lasts: Span,
}

/// When a message comes, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// When it is published, after the start of the traffic.
    pub at: Span,
    /// The length of its payload in bytes.
    pub payload: u32,
}

/// What a run of a trial was like, as an engine writes it down.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// All that was not plain, but for the workload.
    pub schedule: Schedule,
    /// The faults that came, in order.
    pub came: Vec<Came>,
}

/// A fault that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Came {
    /// Which of [`Setup::faults`].
    pub fault: u32,
    /// When, after the start of the traffic.
    pub at: Span,
    /// How long it lasts; zero for one that does not.
    pub lasts: Span,
    /// The packet that it waited for.
    pub packet: Option<PacketName>,
}

impl Setup {
    /// The same setup with nothing left to luck, and nothing yet in its schedule: no loss,
    /// jitter, duplication, reordering or outage; mean intervals and payloads.
    #[must_use]
    pub fn still(&self) -> Self {
        let mut setup = self.clone();
        setup.schedule = Some(Arc::default());
        for client in &mut setup.clients {
            client.link = Arc::new(still_link(&client.link));
        }
        for stream in &mut setup.streams {
            stream.every = Interval::Fixed(stream.every.mean());
            stream.spread = Span::ZERO;
            stream.payload = PayloadSize::Fixed(stream.payload.mean());
        }
        for fault in &mut setup.faults {
            if let Trigger::Every(every) = &mut fault.trigger {
                *every = Interval::Fixed(every.mean());
            }
            if let Some(lasts) = fault.action.lasts_mut() {
                *lasts = Interval::Fixed(lasts.mean());
            }
        }
        setup
    }
}

impl Trial {
    /// The same trial with nothing left to luck, from what a run of it wrote down and the times
    /// and lengths of its messages.
    #[must_use]
    pub fn scheduled(
        &self,
        transcript: &Transcript,
        messages: BTreeMap<(StreamIndex, u32), Timing>,
    ) -> Self {
        let mut setup = self.setup.still();
        setup.faults = resolved(&self.setup.faults, &transcript.came);
        let mut schedule = transcript.schedule.clone();
        for ((stream, sequence), timing) in messages {
            let own = &setup.streams[stream.index()];
            if schedule.timing(stream, own, sequence) != timing {
                schedule.messages.insert((stream, sequence), timing);
            }
        }
        setup.schedule = Some(Arc::new(schedule));
        Self { setup: Arc::new(setup), seed: self.seed, name: self.name.clone() }
    }
}

impl Schedule {
    /// When a message of a still workload is published, and how long it is.
    #[must_use]
    pub fn timing(&self, stream: StreamIndex, setup: &StreamSetup, sequence: u32) -> Timing {
        let every = setup.every.mean();
        let listed = self.messages.range((stream, 0)..=(stream, sequence)).next_back();
        match listed {
            Some((&(_, known), timing)) if known == sequence => *timing,
            Some((&(_, known), timing)) => Timing {
                at: timing.at + every.times((sequence - known).into()),
                payload: setup.payload.mean(),
            },
            None => Timing { at: every.times(sequence.into()), payload: setup.payload.mean() },
        }
    }
}

/// The faults as they came: those that were drawn at their times, those that waited for the nth
/// packet at its name. What is fixed stays as it was written.
fn resolved(faults: &[FaultSetup], came: &[Came]) -> Vec<FaultSetup> {
    let mut all = Vec::new();
    for (n, fault) in (0..).zip(faults) {
        let lasts = fault.action.lasts();
        let is_fixed = lasts.is_none_or(Interval::is_fixed);
        match fault.trigger {
            Trigger::Every(every) if every.is_fixed() && is_fixed => all.push(fault.clone()),
            Trigger::At(_) if is_fixed => all.push(fault.clone()),
            Trigger::Named(_) => all.push(fault.clone()),
            _ => {
                let own = came.iter().filter(|came| came.fault == n);
                all.extend((1..).zip(own).map(|(nth, came)| one_coming(fault, nth, came)));
            }
        }
    }
    all
}

/// One coming of a fault, as a fault of its own.
fn one_coming(fault: &FaultSetup, nth: u32, came: &Came) -> FaultSetup {
    let name =
        if nth == 1 { Arc::clone(&fault.name) } else { format!("{}/{nth}", fault.name).into() };
    let mut action = fault.action.clone();
    if let Some(lasts) = action.lasts_mut() {
        *lasts = Interval::Fixed(came.lasts);
    }
    let trigger = came.packet.map_or(Trigger::At(came.at), Trigger::Named);
    FaultSetup { name, trigger, action }
}

fn still_link(link: &LinkSettings) -> LinkSettings {
    let still = |direction: &DirectionSettings| DirectionSettings {
        jitter: Span::ZERO,
        loss: LossModel::Random(Chance::NEVER),
        duplicate: Chance::NEVER,
        reorder: None,
        ..direction.clone()
    };
    LinkSettings { up: still(&link.up), down: still(&link.down), outage: None, ..link.clone() }
}

impl Action {
    /// How long it lasts, if it does.
    #[must_use]
    pub fn lasts(&self) -> Option<Interval> {
        self.clone().lasts_mut().copied()
    }

    const fn lasts_mut(&mut self) -> Option<&mut Interval> {
        match self {
            Self::Packet(_) | Self::Cut { .. } | Self::HalfOpen { .. } => None,
            Self::Hamper { lasts, .. } | Self::Outage { lasts, .. } => Some(lasts),
            Self::Crash { down, .. } => Some(down),
        }
    }
}
