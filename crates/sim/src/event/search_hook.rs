//! The hook of `explore`: packets that are held back until something has happened, and the
//! packets among which a search chooses.
//!
//! A search asks what a late packet causes, and the number of ways to be late is limited: after the
//! next packet, after the end of its handshake, after its sender's timer. How long that takes is
//! known once it has happened, and is reported as the packet's delay.

use std::collections::BTreeMap;

use super::explore::{DelayRule, ReleaseWhen};
use super::links::{PacketInFlight, PacketsInFlight};
use super::queue::QueuedEvent;
use super::timeline::Timeline;
use qoslab_core::base::{
    ClientIndex, Direction, Node, PacketKind, PacketName, PacketSubject, Span, Time,
};
use qoslab_core::impl_fingerprint;

/// Time between the event that a held-back packet waited for and its arrival.
const RELEASE_DELAY: Span = Span::from_nanos(1);

/// The hook of a search into a simulation; does nothing without a search.
#[derive(Debug, Default)]
pub(super) struct SearchHook(Option<Box<SearchState>>);

impl_fingerprint! { struct SearchHook(state) { plain state; } }

/// What a search makes a simulation do, and what it observes.
#[derive(Debug, Default)]
pub(super) struct SearchState {
    /// Packets to be held back, and how.
    delay_rules: BTreeMap<PacketName, DelayRule>,
    /// Those that are.
    delayed: Vec<DelayedPacket>,
    /// By how much each was late.
    pub(super) delays: Vec<(PacketName, Span)>,
    /// The packets that were sent after every packet that a fault waits for.
    pub(super) choices: Vec<PacketName>,
}

impl_fingerprint! {
    struct SearchState {
        plain delayed;
        skip delay_rules: "empty where states are compared";
        skip delays, choices: "what the search has seen, not what follows";
    }
}

/// A packet that is held back.
#[derive(Debug)]
pub(super) struct DelayedPacket {
    pub(super) in_flight: PacketInFlight,
    pub(super) release_when: ReleaseWhen,
    /// The time at which it would have arrived.
    pub(super) due: Time,
}

impl_fingerprint! {
    struct DelayedPacket {
        plain in_flight, release_when;
        future_only due;
    }
}

impl SearchHook {
    pub(super) fn new(delay_rules: &[(PacketName, DelayRule)]) -> Self {
        let delay_rules = delay_rules.iter().copied().collect();
        Self(Some(Box::new(SearchState { delay_rules, ..SearchState::default() })))
    }

    /// Returns what the search has observed.
    pub(super) fn take(&mut self) -> SearchState {
        self.0.take().map(|state| *state).unwrap_or_default()
    }

    #[inline]
    pub(super) const fn is_active(&self) -> bool {
        self.0.is_some()
    }

    /// Whether every packet that is to be held back was sent.
    pub(super) fn have_all_rules_met(&self) -> bool {
        self.0.as_ref().is_none_or(|state| state.delay_rules.is_empty())
    }

    /// How many packets there are to choose among.
    pub(super) fn choice_count(&self) -> usize {
        self.0.as_ref().map_or(0, |state| state.choices.len())
    }

    /// The packets that are held back now.
    pub(super) fn delayed(&self) -> impl Iterator<Item = &DelayedPacket> {
        self.0.iter().flat_map(|state| &state.delayed)
    }

    // ---- packets that are sent ----

    /// A packet is sent whose fate is not decided yet.
    pub(super) fn add_choice(&mut self, name: &PacketName) {
        if let Some(state) = self.0.as_mut().filter(|state| state.delay_rules.is_empty()) {
            state.choices.push(*name);
        }
    }

    /// The rule for a packet that is sent, which is used up.
    #[inline]
    pub(super) fn take_rule(&mut self, name: &PacketName) -> Option<DelayRule> {
        self.0.as_mut()?.delay_rules.remove(name)
    }

    pub(super) fn hold(&mut self, packet: DelayedPacket) {
        if let Some(state) = &mut self.0 {
            state.delayed.push(packet);
        }
    }

    // ---- what releases packets ----

    /// A packet was sent that arrives at `at`.
    #[inline]
    pub(super) fn release_after_next_packet(
        &mut self,
        timeline: &mut Timeline,
        in_flight: &mut PacketsInFlight,
        name: &PacketName,
        at: Time,
    ) {
        self.release(timeline, in_flight, at, |held| {
            held.release_when == ReleaseWhen::NextPacket
                && held.in_flight.name.client == name.client
                && held.in_flight.name.direction == name.direction
        });
    }

    /// A packet was read: it may end the handshake of a message.
    #[inline]
    pub(super) fn release_after_handshake(
        &mut self,
        timeline: &mut Timeline,
        in_flight: &mut PacketsInFlight,
        name: &PacketName,
    ) {
        if matches!(name.kind, PacketKind::PubAck | PacketKind::PubComp) {
            let (now, ended) = (timeline.now, handshake_key(name));
            self.release(timeline, in_flight, now, |held| {
                held.release_when == ReleaseWhen::HandshakeEnd
                    && handshake_key(&held.in_flight.name) == ended
            });
        }
    }

    /// A time that a node set has come, and it was notified.
    #[inline]
    pub(super) fn release_after_timeout(
        &mut self,
        timeline: &mut Timeline,
        in_flight: &mut PacketsInFlight,
        node: Node,
    ) {
        let now = timeline.now;
        self.release(timeline, in_flight, now, |held| {
            held.release_when == ReleaseWhen::Timeout && sender_of(held.in_flight.name) == node
        });
    }

    /// Nothing else is left to do: whether anything was held back, which comes now.
    pub(super) fn release_all(
        &mut self,
        timeline: &mut Timeline,
        in_flight: &mut PacketsInFlight,
    ) -> bool {
        let any = self.delayed().next().is_some();
        let now = timeline.now;
        self.release(timeline, in_flight, now, |_| true);
        any
    }

    /// What waited for something that is at `at` comes right after it, though not too early.
    #[inline]
    fn release(
        &mut self,
        timeline: &mut Timeline,
        in_flight: &mut PacketsInFlight,
        at: Time,
        is_released: impl Fn(&DelayedPacket) -> bool,
    ) {
        let Some(state) = &mut self.0 else { return };
        for held in state.delayed.extract_if(.., |held| is_released(held)) {
            let at = (at + RELEASE_DELAY).max(held.due);
            state.delays.push((held.in_flight.name, at.since(held.due)));
            let slot = in_flight.insert(held.in_flight, false);
            timeline.schedule(at, QueuedEvent::Arrival(slot));
        }
    }
}

/// Returns the copy of a message whose handshake a packet belongs to, on its hop.
const fn handshake_key(name: &PacketName) -> Option<(ClientIndex, [u32; 4])> {
    match name.subject {
        PacketSubject::Message { publisher: stream, sequence, hop, copy, .. } => {
            Some((name.client, [stream.0, sequence, hop as u32, copy]))
        }
        PacketSubject::Control { .. } => None,
    }
}

const fn sender_of(name: PacketName) -> Node {
    match name.direction {
        Direction::Up => Node::Client(name.client),
        Direction::Down => Node::Broker,
    }
}
