//! Packets that are held back until something has happened.
//!
//! An explorer asks what a packet does that comes too late, and there are only so many ways to be
//! late: after the next packet, after the end of its handshake, after its sender's patience. How
//! long that takes is seen when it has happened, and told as the packet's delay.

use std::collections::BTreeMap;
use std::convert::Infallible;

use super::Simulation;
use crate::event::explore::{Hold, Until};
use crate::event::lines::Envelope;
use crate::event::queue::Happening;
use qoslab_core::base::event::{Arrival, Fate, Observer, Phase};
use qoslab_core::base::name::{ClientIndex, Kind, Node, PacketName, Subject, Way};
use qoslab_core::base::time::{Span, Time};
use qoslab_core::mqtt::endpoint::Endpoint;
use qoslab_core::mqtt::settings::Request;
use qoslab_core::network::overrule::Overrule;

/// So much later than what it waited for comes a packet that was held back.
const AFTERWARDS: Span = Span::from_nanos(1);

/// What an explorer has a simulation do, and sees of it.
#[derive(Debug, Default)]
pub(super) struct Probe {
    /// Which packets are to be held back.
    pub(super) holds: BTreeMap<PacketName, Hold>,
    /// Those that are.
    pub(super) held: Vec<Held>,
    /// By how much each was late.
    pub(super) delays: Vec<(PacketName, Span)>,
    /// The packets that were sent after every packet that a fault waits for.
    pub(super) choices: Vec<PacketName>,
}

/// A packet that is held back.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) envelope: Envelope,
    pub(super) until: Until,
    /// When it would have arrived.
    pub(super) plain: Time,
}

impl<C, B, O, R> Simulation<'_, C, B, O, R>
where
    C: Endpoint<Request = Request> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
    R: Overrule,
{
    /// A packet is about to be sent: something may befall it.
    #[inline]
    pub(super) fn note_choice(&mut self, name: &PacketName) {
        let Some(probe) = &mut self.probe else { return };
        let is_free = probe.holds.is_empty() && self.faults.have_met_their_packets();
        if is_free && self.phase <= Phase::CalmOne {
            probe.choices.push(*name);
        }
    }

    /// Holds a packet back, or its copy, if that is asked for; what is left to carry.
    #[inline]
    pub(super) fn hold_back(&mut self, fate: Fate, envelope: Envelope) -> Option<(Fate, Envelope)> {
        let Some(probe) = &mut self.probe else { return Some((fate, envelope)) };
        let hold = probe.holds.remove(&envelope.name);
        let (Some(hold), Fate::Arrives(Arrival { at: plain, .. })) = (hold, fate) else {
            return Some((fate, envelope));
        };
        let Hold { until, copy } = hold;
        if copy {
            let mut second = envelope.clone();
            second.transmission.echo |= 1;
            self.carry(fate, envelope);
            self.keep(Held { envelope: second, until, plain });
        } else {
            self.keep(Held { envelope, until, plain });
        }
        None
    }

    fn keep(&mut self, held: Held) {
        if let Some(probe) = &mut self.probe {
            probe.held.push(held);
        }
    }

    /// A packet was sent that arrives at `at`.
    #[inline]
    pub(super) fn follows(&mut self, name: &PacketName, at: Time) {
        let such = |held: &Held| {
            held.until == Until::NextPacket
                && held.envelope.name.client == name.client
                && held.envelope.name.way == name.way
        };
        self.let_go(at, such);
    }

    /// A packet was read: it may end the handshake of a message.
    #[inline]
    pub(super) fn was_read(&mut self, name: &PacketName) {
        if matches!(name.kind, Kind::PubAck | Kind::PubComp) {
            let ended = handshake(name);
            let such = |held: &Held| {
                held.until == Until::HandshakeEnd && handshake(&held.envelope.name) == ended
            };
            self.let_go(self.now, such);
        }
    }

    /// A node was told that a time it set has come.
    #[inline]
    pub(super) fn timed_out(&mut self, node: Node) {
        let such = |held: &Held| held.until == Until::Timeout && sender(held.envelope.name) == node;
        self.let_go(self.now, such);
    }

    /// Nothing else is left to do: whether anything was held back, which comes now.
    pub(super) fn release_all(&mut self) -> bool {
        let any = self.probe.as_ref().is_some_and(|probe| !probe.held.is_empty());
        if any {
            self.let_go(self.now, |_| true);
        }
        any
    }

    /// What waited for something that is at `at` comes right after it, though not too early.
    #[inline]
    fn let_go(&mut self, at: Time, such: impl Fn(&Held) -> bool) {
        let Some(probe) = &mut self.probe else { return };
        if probe.held.is_empty() {
            return;
        }
        for Held { envelope, plain, .. } in probe.held.extract_if(.., |held| such(held)) {
            let at = (at + AFTERWARDS).max(plain);
            probe.delays.push((envelope.name, at.since(plain)));
            let place = self.under_way.put(envelope, false);
            self.queue.push(at, Happening::Arrival(place));
        }
    }
}

/// The copy of a message whose handshake a packet belongs to, on its hop.
const fn handshake(name: &PacketName) -> Option<(ClientIndex, [u32; 4])> {
    match name.subject {
        Subject::Message { stream, sequence, hop, copy, .. } => {
            Some((name.client, [stream.0, sequence, hop as u32, copy]))
        }
        Subject::Control { .. } => None,
    }
}

const fn sender(name: PacketName) -> Node {
    match name.way {
        Way::Up => Node::Client(name.client),
        Way::Down => Node::Broker,
    }
}
