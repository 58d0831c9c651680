//! Effects of faults.

use super::Simulation;
use crate::event::faults::FaultEnd;
use crate::event::node_driver::NodeDriver;
use crate::event::queue::{EventClass, QueuedEvent};
use crate::trial::{CrashPoint, FaultAction, PacketAction};
use qoslab_core::base::{
    ClientIndex, CloseReason, Direction, Event, Impairment, Node, Observer, PacketName, Phase,
    SilentDeathCause, Span,
};

impl<D: NodeDriver, O: Observer> Simulation<'_, D, O> {
    /// A fault comes, at its time or because of a packet.
    pub(in crate::event) fn fault_due(&mut self, fault: u32) {
        // Those that wait for a packet may come early or late; their number is limited.
        let is_at_packet =
            self.faults.is_packet_triggered(fault) && self.timeline.phase <= Phase::Drain;
        if self.timeline.phase != Phase::Traffic && !is_at_packet {
            return;
        }
        self.count_dispatch(EventClass::Fault);
        if !is_at_packet {
            self.record_fault(fault, None);
        }
        self.apply_fault(fault);
        self.faults.mark_fired(fault);
        if let Some(at) = self.faults.next_time(fault, self.timeline.now) {
            self.timeline.schedule(at, QueuedEvent::Fault(fault));
        }
    }

    fn apply_fault(&mut self, fault: u32) {
        match *self.faults.action(fault) {
            // Done where the packet is sent.
            FaultAction::Packet(_) => {}
            FaultAction::Cut { client, .. } => self.cut_connections(client),
            FaultAction::HalfOpen { client, dead_node: dead } => self.kill_one_end(client, dead),
            FaultAction::Impair { client, impairment: how, lasts, read_interval: pace } => {
                let lasts = self.faults.draw_duration(fault, lasts);
                self.impair(client, how, lasts, pace);
            }
            FaultAction::Outage { client, lasts } => {
                let lasts = self.faults.draw_duration(fault, lasts);
                self.network.set_partition_both_ways(client, true);
                self.notify_observers(&Event::OutageBegan { client });
                self.faults.schedule_end(&mut self.timeline, lasts, FaultEnd::LinkUp(client));
            }
            FaultAction::Crash { node, down, peers, .. } => {
                let down = self.faults.draw_duration(fault, down);
                self.crash(node, down, peers);
            }
        }
    }

    // ---- at packets ----

    /// A packet is about to be sent: what a fault makes of it.
    pub(super) fn trigger_faults_on_send(
        &mut self,
        node: Node,
        name: &PacketName,
    ) -> Option<PacketAction> {
        if self.search_hook.is_active() {
            self.add_search_choice(name);
        }
        if !self.faults.has_packet_triggers() || self.timeline.phase > Phase::Drain {
            return None;
        }
        let mut packet_action = None;
        for fault in self.faults.take_triggered(name) {
            self.record_fault(fault, Some(*name));
            match *self.faults.action(fault) {
                FaultAction::Packet(action) => packet_action = Some(action),
                FaultAction::Crash { node: victim, .. } if victim == node => {
                    self.faults.crash_sender(fault);
                }
                FaultAction::Cut { after: true, .. } => self.faults.trigger_on_arrival(name, fault),
                FaultAction::Crash { point, .. } if point != CrashPoint::BetweenEvents => {
                    self.faults.trigger_on_arrival(name, fault);
                }
                _ => self.timeline.schedule_now(QueuedEvent::Fault(fault)),
            }
        }
        packet_action
    }

    /// A packet may be chosen by a search once every packet was sent that a fault waits for.
    fn add_search_choice(&mut self, name: &PacketName) {
        if self.timeline.phase <= Phase::Drain && self.faults.have_all_named_fired() {
            self.search_hook.add_choice(name);
        }
    }

    /// A packet is about to be read: the crash that falls into that.
    #[inline]
    pub(in crate::event) fn trigger_faults_on_arrival(&mut self, name: &PacketName) -> Option<u32> {
        if !self.faults.await_arrivals() || self.timeline.phase > Phase::Drain {
            return None;
        }
        self.faults.take_arrival_triggers(&mut self.timeline, name)
    }

    // ---- connections ----

    /// Both ends of a client's connection learn at once that it is gone.
    pub(super) fn cut_connections(&mut self, client: ClientIndex) {
        for connection in self.network.link(client).tcp_connections.clone() {
            self.discard_in_flight(connection, Direction::Up);
            self.discard_in_flight(connection, Direction::Down);
            self.close_end(Node::Broker, connection, CloseReason::Cut);
            self.close_end(Node::Client(client), connection, CloseReason::Cut);
        }
    }

    /// One end of a client's connection forgets it, and the other is not notified.
    fn kill_one_end(&mut self, client: ClientIndex, dead_node: Node) {
        for connection in self.network.link(client).tcp_connections.clone() {
            if self.network.connections.is_open(dead_node, connection) {
                self.kill_silently(connection, SilentDeathCause::HalfOpen(dead_node));
                self.close_end(dead_node, connection, CloseReason::Cut);
            }
        }
    }

    // ---- impairments ----

    fn impair(
        &mut self,
        client: ClientIndex,
        impairment: Impairment,
        duration: Span,
        slow_read_interval: Span,
    ) {
        match impairment {
            Impairment::Partition(way) => self.network.set_partition(client, way, true),
            Impairment::Stall => self.network.link_mut(client).stall_count += 1,
            Impairment::Slow => self.network.slow_down(client, slow_read_interval),
        }
        self.notify_observers(&Event::Impaired { client, impairment });
        let fault_end = FaultEnd::ClearImpairment(client, impairment);
        self.faults.schedule_end(&mut self.timeline, duration, fault_end);
    }

    /// Ends the effect of a fault.
    pub(super) fn end_fault(&mut self, index: u32) {
        let fault_end = self.faults.take_end(index);
        match fault_end {
            FaultEnd::Done => return,
            FaultEnd::Restart(_) | FaultEnd::LinkUp(_) | FaultEnd::ClearImpairment(..) => {
                self.count_dispatch(EventClass::Fault);
            }
        }
        self.apply_fault_end(fault_end);
    }

    /// The first calm begins: links are as they should be. Crashed nodes start when they would.
    pub(super) fn end_impairments(&mut self) {
        for fault_end in self.faults.take_link_ends() {
            self.apply_fault_end(fault_end);
        }
    }

    fn apply_fault_end(&mut self, fault_end: FaultEnd) {
        match fault_end {
            FaultEnd::Done => {}
            FaultEnd::Restart(node) => self.restart(node),
            FaultEnd::LinkUp(client) => {
                self.network.set_partition_both_ways(client, false);
                self.notify_observers(&Event::OutageEnded { client });
            }
            FaultEnd::ClearImpairment(client, how) => {
                match how {
                    Impairment::Partition(way) => self.network.set_partition(client, way, false),
                    Impairment::Stall => self.network.link_mut(client).stall_count -= 1,
                    Impairment::Slow => self.network.link_mut(client).slow_count -= 1,
                }
                self.notify_observers(&Event::ImpairmentEnded { client, impairment: how });
                self.network.repoll_connections(&mut self.timeline, client);
            }
        }
    }
}
