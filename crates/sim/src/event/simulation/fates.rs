//! The fate of a datagram: decided by [the chain](qoslab_core::network::fate), reported, and
//! carried out.

use super::Simulation;
use crate::event::explore::DelayRule;
use crate::event::links::PacketInFlight;
use crate::event::node_driver::NodeDriver;
use crate::event::search_hook::DelayedPacket;
use qoslab_core::base::draw::DrawKey;
use qoslab_core::base::{
    Arrival, ConnectionNumber, Event, Fate, MessageTag, Node, Observer, PacketMeta,
};
use qoslab_core::network::fate::{Interventions, PacketAction};

impl<D: NodeDriver, O: Observer> Simulation<'_, D, O> {
    /// The network takes a packet over and decides what becomes of it.
    #[inline]
    pub(super) fn decide_fate(
        &mut self,
        node: Node,
        connection: ConnectionNumber,
        tag: MessageTag,
        record: &PacketMeta<'_>,
        fault: Option<PacketAction>,
    ) -> Fate {
        let publisher_key = self.publisher_key(tag);
        let link = &mut self.network.link_mut(record.name.client).link_state;
        let fate_override = self.run_context.fate_override.as_deref_mut();
        let fate = link.fate_with(
            Interventions { fault, fate_override },
            self.timeline.now,
            publisher_key,
            &record.name,
            record.wire_bytes(),
        );
        self.reporter.packets += 1;
        self.notify_observers(&Event::Sent { node, connection, packet: record, fate: &fate });
        fate
    }

    /// Returns the draw key that a message's packets share.
    #[inline]
    pub(super) fn publisher_key(&self, tag: MessageTag) -> Option<DrawKey> {
        tag.message_id().map(|id| self.workload.draw_key_of(id.publisher))
    }

    /// A packet goes its way, unless a search has it held back, or a copy of it: the first rank of
    /// the chain.
    #[inline]
    pub(super) fn carry_datagram(&mut self, fate: Fate, in_flight: PacketInFlight) {
        let Some(rule) = self.search_hook.take_rule(&in_flight.name) else {
            self.schedule_arrivals(fate, in_flight);
            return;
        };
        let Fate::Arrives(Arrival { at: due, .. }) = fate else { return };
        let DelayRule { release_when, delays_copy } = rule;
        let mut held = in_flight;
        if delays_copy {
            self.schedule_arrivals(fate, held.clone());
            held.transmission.duplicate_index |= 1;
        }
        self.search_hook.hold(DelayedPacket { in_flight: held, release_when, due });
    }

    #[inline]
    pub(super) fn schedule_arrivals(&mut self, fate: Fate, in_flight: PacketInFlight) {
        let Fate::Arrives(arrival) = fate else { return };
        let (timeline, others) = (&mut self.timeline, &mut self.network.in_flight);
        self.search_hook.release_after_next_packet(timeline, others, &in_flight.name, arrival.at);
        self.network.schedule_arrivals(&mut self.timeline, arrival, in_flight);
    }

    /// Nothing else is left to do: whether a search had anything held back, which comes now.
    pub(super) fn release_all_delayed(&mut self) -> bool {
        self.search_hook.release_all(&mut self.timeline, &mut self.network.in_flight)
    }
}
