//! A part of a setup: fewer clients, fewer messages, fewer entries of its schedule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{MessageTiming, Schedule};
use crate::trial::{FaultAction, FaultSetup, Setup, Trigger};
use qoslab_core::base::{ClientIndex, Node, PacketName, PacketSubject, PublisherIndex};
use qoslab_core::network::{AckName, FateKey, SendAttempt};

impl Setup {
    /// The same setup with only these clients, and what concerns no other.
    #[must_use]
    pub fn with_clients(&self, kept: &BTreeSet<ClientIndex>) -> Self {
        let mapping = IndexMapping::new(self, kept);
        let mut setup = self.clone();
        setup.clients =
            filter_by_index(&self.clients, |n| mapping.clients.contains_key(&ClientIndex(n)));
        setup.publishers =
            filter_by_index(&self.publishers, |n| mapping.streams.contains_key(&PublisherIndex(n)));
        for stream in &mut setup.publishers {
            stream.client = mapping.clients[&stream.client];
        }
        for client in &mut setup.clients {
            if let Some(will) = &mut client.settings.will {
                will.message.tag =
                    will.message.tag.map_publisher(|stream| mapping.streams[&stream]);
            }
        }
        setup.faults = self.faults.iter().filter_map(|fault| mapping.remap_fault(fault)).collect();
        setup.schedule = self.schedule.as_ref().map(|it| Arc::new(mapping.remap_schedule(it)));
        setup
    }

    /// The same setup with only these messages of its workloads, each at its time; the workloads
    /// end when they ended.
    #[must_use]
    pub fn with_messages(&self, kept: &BTreeSet<(PublisherIndex, u32)>) -> Self {
        let mut setup = self.clone();
        let whole = self.schedule.as_deref().cloned().unwrap_or_default();
        let mut schedule = Schedule { messages: BTreeMap::new(), ..whole.clone() };
        for (index, stream) in (0..).map(PublisherIndex).zip(&mut setup.publishers) {
            if stream.count == 0 {
                continue;
            }
            let own = kept.range((index, 0)..=(index, u32::MAX)).map(|(_, sequence)| *sequence);
            let only: Vec<_> = own.collect();
            let last = stream.count - 1;
            for &sequence in only.iter().chain((only.last() != Some(&last)).then_some(&last)) {
                let timing = whole.timing(index, stream, sequence);
                if schedule.timing(index, stream, sequence) != timing {
                    schedule.messages.insert((index, sequence), timing);
                }
            }
            stream.only_sequences = Some(only.into());
        }
        setup.schedule = self.schedule.as_ref().map(|_| Arc::new(schedule));
        setup
    }

    /// The same setup whose workloads end with the last message that is not left out.
    #[must_use]
    pub fn without_trailing_messages(&self) -> Self {
        let mut setup = self.clone();
        let mut schedule = self.schedule.as_deref().cloned().unwrap_or_default();
        for (index, stream) in (0..).map(PublisherIndex).zip(&mut setup.publishers) {
            let Some(only) = &stream.only_sequences else { continue };
            let end = only.last().map_or(1, |last| last + 1).min(stream.count);
            schedule.messages.retain(|(own, sequence), _| *own != index || *sequence < end);
            stream.count = end;
        }
        setup.schedule = self.schedule.as_ref().map(|_| Arc::new(schedule));
        setup
    }

    /// The messages that are published, in order.
    #[must_use]
    pub fn messages(&self) -> BTreeSet<(PublisherIndex, u32)> {
        let numbered = (0..).map(PublisherIndex).zip(&self.publishers);
        let each = numbered.flat_map(|(index, stream)| {
            let only = stream.only_sequences.as_deref();
            let all = (0..stream.count).filter(move |it| only.is_none_or(|only| only.contains(it)));
            all.map(move |sequence| (index, sequence))
        });
        each.collect()
    }

    /// How much of a schedule there is: the faults, fates and outages.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        let listed = self
            .schedule
            .as_ref()
            .map_or(0, |it| it.fates.len() + it.outages.values().map(Vec::len).sum::<usize>());
        self.faults.len() + listed
    }
}

fn filter_by_index<T: Clone>(all: &[T], is_kept: impl Fn(u32) -> bool) -> Vec<T> {
    let numbered = (0..).zip(all).filter(|(n, _)| is_kept(*n));
    numbered.map(|(_, one)| one.clone()).collect()
}

/// New indices of what is kept.
struct IndexMapping {
    clients: BTreeMap<ClientIndex, ClientIndex>,
    streams: BTreeMap<PublisherIndex, PublisherIndex>,
}

impl IndexMapping {
    fn new(setup: &Setup, kept: &BTreeSet<ClientIndex>) -> Self {
        let clients = kept.iter().copied().zip((0..).map(ClientIndex)).collect();
        let numbered = (0..).map(PublisherIndex).zip(&setup.publishers);
        let own = numbered.filter(|(_, stream)| kept.contains(&stream.client));
        let streams = own.map(|(old, _)| old).zip((0..).map(PublisherIndex)).collect();
        Self { clients, streams }
    }

    fn remap_packet(&self, name: &PacketName) -> Option<PacketName> {
        let mut name = *name;
        name.client = *self.clients.get(&name.client)?;
        if let PacketSubject::Message { publisher: stream, .. } = &mut name.subject {
            *stream = *self.streams.get(stream)?;
        }
        Some(name)
    }

    fn remap_fate_key(&self, key: &FateKey) -> Option<FateKey> {
        Some(match key {
            FateKey::Sending(sending) => {
                let packet = self.remap_packet(&sending.packet)?;
                FateKey::Sending(SendAttempt { packet, ..*sending })
            }
            FateKey::Ack(ack) => {
                FateKey::Ack(AckName { client: *self.clients.get(&ack.client)?, ..*ack })
            }
        })
    }

    fn remap_node(&self, node: Node) -> Option<Node> {
        match node {
            Node::Broker => Some(Node::Broker),
            Node::Client(client) => self.clients.get(&client).copied().map(Node::Client),
        }
    }

    fn remap_fault(&self, fault: &FaultSetup) -> Option<FaultSetup> {
        let mut fault = fault.clone();
        match &mut fault.trigger {
            Trigger::At(_) | Trigger::Every(_) => {}
            Trigger::NthPacket(packet) => packet.client = *self.clients.get(&packet.client)?,
            Trigger::NamedPacket(name) => *name = self.remap_packet(name)?,
        }
        match &mut fault.action {
            FaultAction::Packet(_) => {}
            FaultAction::Cut { client, .. }
            | FaultAction::Impair { client, .. }
            | FaultAction::Outage { client, .. } => *client = *self.clients.get(client)?,
            FaultAction::HalfOpen { client, dead_node: dead } => {
                *client = *self.clients.get(client)?;
                *dead = self.remap_node(*dead)?;
            }
            FaultAction::Crash { node, .. } => *node = self.remap_node(*node)?,
        }
        Some(fault)
    }

    fn remap_schedule(&self, schedule: &Schedule) -> Schedule {
        let client = |client: &ClientIndex| self.clients.get(client).copied();
        let fates = schedule.fates.iter();
        let fates = fates.filter_map(|(key, fate)| Some((self.remap_fate_key(key)?, *fate)));
        let outages =
            schedule.outages.iter().filter_map(|(of, list)| Some((client(of)?, list.clone())));
        let pauses = schedule.pauses.iter().filter_map(|((of, nth, attempt), pause)| {
            Some(((client(of)?, *nth, *attempt), *pause))
        });
        let messages = schedule.messages.iter().filter_map(|((of, sequence), timing)| {
            Some(((*self.streams.get(of)?, *sequence), *timing))
        });
        Schedule {
            traffic_start: schedule.traffic_start,
            fates: Arc::new(fates.collect()),
            outages: outages.collect(),
            pauses: pauses.collect(),
            messages: messages.collect::<BTreeMap<_, MessageTiming>>(),
        }
    }
}
