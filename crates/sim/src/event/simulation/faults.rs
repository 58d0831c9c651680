//! What faults do.

use std::convert::Infallible;

use super::Simulation;
use crate::event::connections::End;
use crate::event::faults::Remedy;
use crate::event::queue::{Class, Happening};
use crate::event::streams::side;
use crate::trial::{Action, CrashPoint, PacketAction};
use qoslab_core::base::event::{Close, Dark, Event, Hindrance, Observer, Phase};
use qoslab_core::base::name::{ClientIndex, Node, PacketName, Way};
use qoslab_core::base::time::Span;
use qoslab_core::mqtt::endpoint::Endpoint;
use qoslab_core::mqtt::settings::Request;
use qoslab_core::network::overrule::Overrule;

impl<C, B, O, R> Simulation<'_, C, B, O, R>
where
    C: Endpoint<Request = Request> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
    R: Overrule,
{
    /// A fault comes, at its time or because of a packet.
    pub(super) fn fault_due(&mut self, fault: u32) {
        // Those that wait for a packet may come early or late; there are only so many.
        let at_a_packet = self.faults.waits_for_a_packet(fault) && self.phase <= Phase::CalmOne;
        if self.phase != Phase::Traffic && !at_a_packet {
            return;
        }
        self.turn(Class::Fault);
        if !at_a_packet {
            self.write_fault_down(fault, None);
        }
        self.befall(fault);
        self.faults.came(fault);
        if let Some(at) = self.faults.next(fault, self.now) {
            self.queue.push(at, Happening::Fault(fault));
        }
    }

    fn befall(&mut self, fault: u32) {
        match *self.faults.action(fault) {
            // Done where the packet is sent.
            Action::Packet(_) => {}
            Action::Cut { client, .. } => self.cut(client),
            Action::HalfOpen { client, dead } => self.half_open(client, dead),
            Action::Hamper { client, how, lasts, pace } => {
                let lasts = self.faults.lasts(fault, lasts);
                self.hamper(client, how, lasts, pace);
            }
            Action::Outage { client, lasts } => {
                let lasts = self.faults.lasts(fault, lasts);
                for way in [Way::Up, Way::Down] {
                    self.part(client, way, true);
                }
                self.tell(&Event::OutageBegan { client });
                self.plan_mending(lasts, Remedy::Up(client));
            }
            Action::Crash { node, down, peers, .. } => {
                let down = self.faults.lasts(fault, down);
                self.crash(node, down, peers);
            }
        }
    }

    // ---- at packets ----

    /// A packet is about to be sent: what a fault makes of it.
    pub(super) fn fault_on_sending(
        &mut self,
        node: Node,
        name: &PacketName,
    ) -> Option<PacketAction> {
        self.note_choice(name);
        if !self.faults.watches_packets() || self.phase > Phase::CalmOne {
            return None;
        }
        let mut another = None;
        for fault in self.faults.sent(name) {
            self.write_fault_down(fault, Some(*name));
            match *self.faults.action(fault) {
                Action::Packet(action) => another = Some(action),
                Action::Crash { node: victim, .. } if victim == node => {
                    self.doom = Some(fault);
                    self.may_send = Some(0);
                }
                Action::Cut { after: true, .. } => self.watch_arrival(name, fault),
                Action::Crash { point, .. } if point != CrashPoint::Idle => {
                    self.watch_arrival(name, fault);
                }
                _ => self.queue.push(self.now, Happening::Fault(fault)),
            }
        }
        another
    }

    fn watch_arrival(&mut self, name: &PacketName, fault: u32) {
        self.faults.on_arrival.entry(*name).or_default().push(fault);
    }

    /// A packet is about to be read: the fault that waits for that.
    pub(super) fn fault_on_arrival(&mut self, name: &PacketName) -> Option<u32> {
        if self.faults.on_arrival.is_empty() || self.phase > Phase::CalmOne {
            return None;
        }
        let mut crash = None;
        for fault in self.faults.on_arrival.remove(name)? {
            crash = crash.or(self.comes_with_arrival(fault));
        }
        crash
    }

    /// A fault that waited for an arrival: itself, if it is a crash that falls into the work on it.
    fn comes_with_arrival(&mut self, fault: u32) -> Option<u32> {
        if let Action::Crash { point, .. } = *self.faults.action(fault) {
            self.may_send = match point {
                CrashPoint::AfterCommit => Some(0),
                CrashPoint::BetweenSends => Some(1),
                CrashPoint::Idle | CrashPoint::BeforeCommit => None,
            };
            return Some(fault);
        }
        self.queue.push(self.now, Happening::Fault(fault));
        None
    }

    // ---- connections ----

    /// Both ends of a client's connection learn at once that it is gone.
    pub(super) fn cut(&mut self, client: ClientIndex) {
        for connection in self.lines[client.index()].streams.clone() {
            self.lose(connection, Way::Up);
            self.lose(connection, Way::Down);
            self.hang(Node::Broker, connection, Close::Cut);
            self.hang(Node::Client(client), connection, Close::Cut);
        }
    }

    /// One end of a client's connection forgets it, and the other is not told.
    fn half_open(&mut self, client: ClientIndex, dead: Node) {
        for connection in self.lines[client.index()].streams.clone() {
            if *self.connections.at(dead, connection) == End::Open {
                self.darken(connection, Dark::HalfOpen(dead));
                self.hang(dead, connection, Close::Cut);
            }
        }
    }

    // ---- hindrances ----

    fn hamper(&mut self, client: ClientIndex, how: Hindrance, lasts: Span, pace: Span) {
        match how {
            Hindrance::Partition(way) => self.part(client, way, true),
            Hindrance::Stall => self.lines[client.index()].stalls += 1,
            Hindrance::Slow => {
                let line = &mut self.lines[client.index()];
                line.slowed += 1;
                line.pace = pace;
            }
        }
        self.tell(&Event::Hampered { client, how });
        self.plan_mending(lasts, Remedy::Unhamper(client, how));
    }

    fn part(&mut self, client: ClientIndex, way: Way, begins: bool) {
        let line = &mut self.lines[client.index()];
        let count = &mut line.partitions[side(way)];
        *count = if begins { *count + 1 } else { *count - 1 };
        line.link.set_partitioned(way, *count > 0);
    }

    pub(super) fn plan_mending(&mut self, after: Span, remedy: Remedy) {
        let place = u32::try_from(self.faults.remedies.len()).expect("one an event at most");
        self.faults.remedies.push(remedy);
        self.queue.push(self.now + after, Happening::Mend(place));
    }

    /// What a fault did is over.
    pub(super) fn mend(&mut self, place: u32) {
        let remedy = std::mem::replace(&mut self.faults.remedies[place as usize], Remedy::Done);
        match remedy {
            Remedy::Done => return,
            Remedy::Restart(_) | Remedy::Up(_) | Remedy::Unhamper(..) => self.turn(Class::Fault),
        }
        self.remedy(remedy);
    }

    /// The first calm begins: links are as they should be. Crashed nodes start when they would.
    pub(super) fn end_hindrances(&mut self) {
        for place in 0..self.faults.remedies.len() {
            let remedy = self.faults.remedies[place];
            if matches!(remedy, Remedy::Up(_) | Remedy::Unhamper(..)) {
                self.faults.remedies[place] = Remedy::Done;
                self.remedy(remedy);
            }
        }
    }

    fn remedy(&mut self, remedy: Remedy) {
        match remedy {
            Remedy::Done => {}
            Remedy::Restart(node) => self.restart(node),
            Remedy::Up(client) => {
                for way in [Way::Up, Way::Down] {
                    self.part(client, way, false);
                }
                self.tell(&Event::OutageEnded { client });
            }
            Remedy::Unhamper(client, how) => {
                match how {
                    Hindrance::Partition(way) => self.part(client, way, false),
                    Hindrance::Stall => self.lines[client.index()].stalls -= 1,
                    Hindrance::Slow => self.lines[client.index()].slowed -= 1,
                }
                self.tell(&Event::Unhampered { client, how });
                self.look_again(client.index());
            }
        }
    }
}
