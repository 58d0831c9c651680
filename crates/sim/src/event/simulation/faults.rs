//! What faults do.

use std::convert::Infallible;

use super::Simulation;
use crate::event::connections::EndState;
use crate::event::faults::FaultEnd;
use crate::event::queue::{EventClass, QueuedEvent};
use crate::event::tcp_connection::direction_index;
use crate::trial::{Action, CrashPoint, PacketAction};
use qoslab_core::base::event::{CloseReason, Event, Impairment, Observer, Phase, SilentDeathCause};
use qoslab_core::base::name::{ClientIndex, Direction, Node, PacketName};
use qoslab_core::base::time::Span;
use qoslab_core::mqtt::endpoint::Endpoint;
use qoslab_core::mqtt::settings::ClientRequest;

impl<C, B, O> Simulation<'_, C, B, O>
where
    C: Endpoint<Request = ClientRequest> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
{
    /// A fault comes, at its time or because of a packet.
    pub(super) fn fault_due(&mut self, fault: u32) {
        // Those that wait for a packet may come early or late; there are only so many.
        let is_at_packet = self.faults.is_packet_triggered(fault) && self.phase <= Phase::Drain;
        if self.phase != Phase::Traffic && !is_at_packet {
            return;
        }
        self.count_dispatch(EventClass::Fault);
        if !is_at_packet {
            self.record_fault(fault, None);
        }
        self.apply_fault(fault);
        self.faults.mark_fired(fault);
        if let Some(at) = self.faults.next_time(fault, self.now) {
            self.queue.push(at, QueuedEvent::Fault(fault));
        }
    }

    fn apply_fault(&mut self, fault: u32) {
        match *self.faults.action(fault) {
            // Done where the packet is sent.
            Action::Packet(_) => {}
            Action::Cut { client, .. } => self.cut_connections(client),
            Action::HalfOpen { client, dead_node: dead } => self.kill_one_end(client, dead),
            Action::Impair { client, impairment: how, lasts, read_interval: pace } => {
                let lasts = self.faults.draw_duration(fault, lasts);
                self.impair(client, how, lasts, pace);
            }
            Action::Outage { client, lasts } => {
                let lasts = self.faults.draw_duration(fault, lasts);
                for direction in [Direction::Up, Direction::Down] {
                    self.set_partition(client, direction, true);
                }
                self.notify_observers(&Event::OutageBegan { client });
                self.schedule_fault_end(lasts, FaultEnd::LinkUp(client));
            }
            Action::Crash { node, down, peers, .. } => {
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
        self.record_choice(name);
        if !self.faults.has_packet_triggers() || self.phase > Phase::Drain {
            return None;
        }
        let mut packet_action = None;
        for fault in self.faults.take_triggered(name) {
            self.record_fault(fault, Some(*name));
            match *self.faults.action(fault) {
                Action::Packet(action) => packet_action = Some(action),
                Action::Crash { node: victim, .. } if victim == node => {
                    self.pending_crash = Some(fault);
                    self.sends_left = Some(0);
                }
                Action::Cut { after: true, .. } => self.trigger_on_arrival(name, fault),
                Action::Crash { point, .. } if point != CrashPoint::BetweenEvents => {
                    self.trigger_on_arrival(name, fault);
                }
                _ => self.queue.push(self.now, QueuedEvent::Fault(fault)),
            }
        }
        packet_action
    }

    fn trigger_on_arrival(&mut self, name: &PacketName, fault: u32) {
        self.faults.by_arrival.entry(*name).or_default().push(fault);
    }

    /// A packet is about to be read: the fault that waits for that.
    pub(super) fn trigger_faults_on_arrival(&mut self, name: &PacketName) -> Option<u32> {
        if self.faults.by_arrival.is_empty() || self.phase > Phase::Drain {
            return None;
        }
        let mut crash = None;
        for fault in self.faults.by_arrival.remove(name)? {
            crash = crash.or(self.trigger_on_this_arrival(fault));
        }
        crash
    }

    /// A fault that waited for an arrival: itself, if it is a crash that falls into the work on it.
    fn trigger_on_this_arrival(&mut self, fault: u32) -> Option<u32> {
        if let Action::Crash { point, .. } = *self.faults.action(fault) {
            self.sends_left = match point {
                CrashPoint::AfterCommit => Some(0),
                CrashPoint::BetweenSends => Some(1),
                CrashPoint::BetweenEvents | CrashPoint::BeforeCommit => None,
            };
            return Some(fault);
        }
        self.queue.push(self.now, QueuedEvent::Fault(fault));
        None
    }

    // ---- connections ----

    /// Both ends of a client's connection learn at once that it is gone.
    pub(super) fn cut_connections(&mut self, client: ClientIndex) {
        for connection in self.links[client.index()].tcp_connections.clone() {
            self.discard_in_flight(connection, Direction::Up);
            self.discard_in_flight(connection, Direction::Down);
            self.close_end(Node::Broker, connection, CloseReason::Cut);
            self.close_end(Node::Client(client), connection, CloseReason::Cut);
        }
    }

    /// One end of a client's connection forgets it, and the other is not told.
    fn kill_one_end(&mut self, client: ClientIndex, dead_node: Node) {
        for connection in self.links[client.index()].tcp_connections.clone() {
            if *self.connections.end_mut(dead_node, connection) == EndState::Open {
                self.kill_silently(connection, SilentDeathCause::HalfOpen(dead_node));
                self.close_end(dead_node, connection, CloseReason::Cut);
            }
        }
    }

    // ---- hindrances ----

    fn impair(
        &mut self,
        client: ClientIndex,
        impairment: Impairment,
        duration: Span,
        slow_read_interval: Span,
    ) {
        match impairment {
            Impairment::Partition(way) => self.set_partition(client, way, true),
            Impairment::Stall => self.links[client.index()].stall_count += 1,
            Impairment::Slow => {
                let link = &mut self.links[client.index()];
                link.slow_count += 1;
                link.slow_read_interval = slow_read_interval;
            }
        }
        self.notify_observers(&Event::Impaired { client, impairment });
        self.schedule_fault_end(duration, FaultEnd::ClearImpairment(client, impairment));
    }

    fn set_partition(&mut self, client: ClientIndex, direction: Direction, is_partitioned: bool) {
        let link = &mut self.links[client.index()];
        let count = &mut link.partition_counts[direction_index(direction)];
        *count = if is_partitioned { *count + 1 } else { *count - 1 };
        link.link_state.set_partitioned(direction, *count > 0);
    }

    pub(super) fn schedule_fault_end(&mut self, after: Span, fault_end: FaultEnd) {
        let index = u32::try_from(self.faults.fault_ends.len()).expect("one an event at most");
        self.faults.fault_ends.push(fault_end);
        self.queue.push(self.now + after, QueuedEvent::FaultEnd(index));
    }

    /// What a fault did is over.
    pub(super) fn end_fault(&mut self, index: u32) {
        let fault_end =
            std::mem::replace(&mut self.faults.fault_ends[index as usize], FaultEnd::Done);
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
        for place in 0..self.faults.fault_ends.len() {
            let fault_end = self.faults.fault_ends[place];
            if matches!(fault_end, FaultEnd::LinkUp(_) | FaultEnd::ClearImpairment(..)) {
                self.faults.fault_ends[place] = FaultEnd::Done;
                self.apply_fault_end(fault_end);
            }
        }
    }

    fn apply_fault_end(&mut self, remedy: FaultEnd) {
        match remedy {
            FaultEnd::Done => {}
            FaultEnd::Restart(node) => self.restart(node),
            FaultEnd::LinkUp(client) => {
                for direction in [Direction::Up, Direction::Down] {
                    self.set_partition(client, direction, false);
                }
                self.notify_observers(&Event::OutageEnded { client });
            }
            FaultEnd::ClearImpairment(client, how) => {
                match how {
                    Impairment::Partition(way) => self.set_partition(client, way, false),
                    Impairment::Stall => self.links[client.index()].stall_count -= 1,
                    Impairment::Slow => self.links[client.index()].slow_count -= 1,
                }
                self.notify_observers(&Event::ImpairmentEnded { client, impairment: how });
                self.repoll_connections(client.index());
            }
        }
    }
}
