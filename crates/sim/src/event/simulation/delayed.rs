//! Packets that are held back until something has happened.
//!
//! An explorer asks what a packet does that comes too late, and there are only so many ways to be
//! late: after the next packet, after the end of its handshake, after its sender's patience. How
//! long that takes is seen when it has happened, and told as the packet's delay.

use std::collections::BTreeMap;
use std::convert::Infallible;

use super::Simulation;
use crate::event::explore::{DelayRule, ReleaseWhen};
use crate::event::links::PacketInFlight;
use crate::event::queue::QueuedEvent;
use qoslab_core::base::event::{Arrival, Fate, Observer, Phase};
use qoslab_core::base::name::{
    ClientIndex, Direction, Node, PacketKind, PacketName, PacketSubject,
};
use qoslab_core::base::time::{Span, Time};
use qoslab_core::mqtt::endpoint::Endpoint;
use qoslab_core::mqtt::settings::ClientRequest;

/// So much later than what it waited for comes a packet that was held back.
const RELEASE_DELAY: Span = Span::from_nanos(1);

/// What an explorer has a simulation do, and sees of it.
#[derive(Debug, Default)]
pub(super) struct SearchHook {
    /// Which packets are to be held back.
    pub(super) delay_rules: BTreeMap<PacketName, DelayRule>,
    /// Those that are.
    pub(super) delayed: Vec<DelayedPacket>,
    /// By how much each was late.
    pub(super) delays: Vec<(PacketName, Span)>,
    /// The packets that were sent after every packet that a fault waits for.
    pub(super) choices: Vec<PacketName>,
}

/// A packet that is held back.
#[derive(Debug)]
pub(super) struct DelayedPacket {
    pub(super) in_flight: PacketInFlight,
    pub(super) release_when: ReleaseWhen,
    /// When it would have arrived.
    pub(super) due: Time,
}

impl<C, B, O> Simulation<'_, C, B, O>
where
    C: Endpoint<Request = ClientRequest> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
{
    /// A packet is about to be sent: something may befall it.
    #[inline]
    pub(super) fn record_choice(&mut self, name: &PacketName) {
        let Some(search_hook) = &mut self.search_hook else { return };
        let is_free = search_hook.delay_rules.is_empty() && self.faults.have_all_named_fired();
        if is_free && self.phase <= Phase::Drain {
            search_hook.choices.push(*name);
        }
    }

    /// Holds a packet back, or its copy, if that is asked for; what is left to carry.
    #[inline]
    pub(super) fn delay_if_ruled(
        &mut self,
        fate: Fate,
        in_flight: PacketInFlight,
    ) -> Option<(Fate, PacketInFlight)> {
        let Some(search_hook) = &mut self.search_hook else { return Some((fate, in_flight)) };
        let rule = search_hook.delay_rules.remove(&in_flight.name);
        let (Some(hold), Fate::Arrives(Arrival { at: plain, .. })) = (rule, fate) else {
            return Some((fate, in_flight));
        };
        let DelayRule { release_when: until, delays_copy: copy } = hold;
        if copy {
            let mut second = in_flight.clone();
            second.transmission.duplicate_index |= 1;
            self.schedule_arrivals(fate, in_flight);
            self.add_delayed(DelayedPacket { in_flight: second, release_when: until, due: plain });
        } else {
            self.add_delayed(DelayedPacket { in_flight, release_when: until, due: plain });
        }
        None
    }

    fn add_delayed(&mut self, delayed: DelayedPacket) {
        if let Some(search_hook) = &mut self.search_hook {
            search_hook.delayed.push(delayed);
        }
    }

    /// A packet was sent that arrives at `at`.
    #[inline]
    pub(super) fn release_after_next_packet(&mut self, name: &PacketName, at: Time) {
        let is_released = |held: &DelayedPacket| {
            held.release_when == ReleaseWhen::NextPacket
                && held.in_flight.name.client == name.client
                && held.in_flight.name.direction == name.direction
        };
        self.release_delayed(at, is_released);
    }

    /// A packet was read: it may end the handshake of a message.
    #[inline]
    pub(super) fn release_after_handshake(&mut self, name: &PacketName) {
        if matches!(name.kind, PacketKind::PubAck | PacketKind::PubComp) {
            let ended = handshake_key(name);
            let is_released = |held: &DelayedPacket| {
                held.release_when == ReleaseWhen::HandshakeEnd
                    && handshake_key(&held.in_flight.name) == ended
            };
            self.release_delayed(self.now, is_released);
        }
    }

    /// A node was told that a time it set has come.
    #[inline]
    pub(super) fn release_after_timeout(&mut self, node: Node) {
        let is_released = |held: &DelayedPacket| {
            held.release_when == ReleaseWhen::Timeout && sender_of(held.in_flight.name) == node
        };
        self.release_delayed(self.now, is_released);
    }

    /// Nothing else is left to do: whether anything was held back, which comes now.
    pub(super) fn release_all_delayed(&mut self) -> bool {
        let any =
            self.search_hook.as_ref().is_some_and(|search_hook| !search_hook.delayed.is_empty());
        if any {
            self.release_delayed(self.now, |_| true);
        }
        any
    }

    /// What waited for something that is at `at` comes right after it, though not too early.
    #[inline]
    fn release_delayed(&mut self, at: Time, is_released: impl Fn(&DelayedPacket) -> bool) {
        let Some(search_hook) = &mut self.search_hook else { return };
        if search_hook.delayed.is_empty() {
            return;
        }
        for DelayedPacket { in_flight: envelope, due: plain, .. } in
            search_hook.delayed.extract_if(.., |held| is_released(held))
        {
            let at = (at + RELEASE_DELAY).max(plain);
            search_hook.delays.push((envelope.name, at.since(plain)));
            let slot = self.in_flight.insert(envelope, false);
            self.queue.push(at, QueuedEvent::Arrival(slot));
        }
    }
}

/// The copy of a message whose handshake a packet belongs to, on its hop.
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
