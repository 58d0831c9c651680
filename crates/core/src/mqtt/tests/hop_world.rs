//! One hop alone: a sender and a receiver, a connection that a test ends and opens, and everything
//! sent recorded.

use std::collections::VecDeque;

use crate::base::{ConnectionNumber, MessageTag, PublisherIndex, QoS, Span, Time, Transmission};
use crate::mqtt::endpoint::Output;
use crate::mqtt::inbound::{Inbound, InboundActions};
use crate::mqtt::outbound::{Outbound, QueuedMessage};
use crate::mqtt::packet::{Message, Packet, Payload, PublishAck, TopicAlias};
use crate::mqtt::quirks::Quirk;
use crate::mqtt::session_context::{EndpointOutbox, SessionContext, SessionOwner};
use crate::mqtt::settings::{HopSettings, ReceiverLimits, Version};

pub(super) const SECOND: Span = Span::from_secs(1);

pub(super) struct HopWorld {
    pub(super) version: Version,
    pub(super) sender_settings: HopSettings,
    pub(super) receiver_settings: HopSettings,
    /// What the receiver says that it takes, from the next connection on.
    pub(super) limits: ReceiverLimits,
    /// With which reason the receiver refuses every PUBLISH.
    pub(super) refuse_reason: Option<u8>,
    /// How many packets more get through before the connection breaks and loses all that follow.
    pub(super) breaks_after: Option<u32>,
    now: Time,
    connection: Option<ConnectionNumber>,
    outbound: Outbound,
    outbox: EndpointOutbox,
    inbound: Inbound,
    lose_starts: Vec<&'static str>,
    log: Vec<String>,
    published: u32,
}

impl HopWorld {
    /// Connected, with the reconnect rule and nothing in flight.
    pub(super) fn new(version: Version, sending: HopSettings, receiving: HopSettings) -> Self {
        let mut hop = Self {
            version,
            sender_settings: sending,
            receiver_settings: receiving,
            limits: ReceiverLimits::NONE,
            refuse_reason: None,
            breaks_after: None,
            now: Time::ZERO,
            connection: None,
            outbound: Outbound::new(&sending),
            outbox: EndpointOutbox::new(&sending),
            inbound: Inbound::new(),
            lose_starts: Vec::new(),
            log: Vec::new(),
            published: 0,
        };
        hop.connect();
        hop
    }

    pub(super) fn plain(version: Version) -> Self {
        Self::new(version, HopSettings::default(), HopSettings::default())
    }

    /// A sender with a quirk.
    pub(super) fn with_sender_quirk(quirk: Quirk) -> Self {
        let sending = HopSettings { quirks: quirk.into(), ..HopSettings::default() };
        Self::new(Version::V5, sending, HopSettings::default())
    }

    /// A receiver with a quirk.
    pub(super) fn with_receiver_quirk(quirk: Quirk) -> Self {
        let receiving = HopSettings { quirks: quirk.into(), ..HopSettings::default() };
        Self::new(Version::V5, HopSettings::default(), receiving)
    }

    /// Loses the next packets whose log lines begin like these, each once.
    pub(super) fn lose(&mut self, starts: &[&'static str]) {
        self.lose_starts.extend(starts);
    }

    pub(super) fn publish(&mut self, qos: QoS) {
        self.publish_with(qos, |_| {});
    }

    /// Publishes a message that expires after this number of seconds.
    pub(super) fn publish_expiring(&mut self, qos: QoS, secs: u64) {
        let expires = self.now + Span::from_secs(secs);
        self.publish_with(qos, |outgoing| outgoing.expires = expires);
    }

    /// Publishes to `t`; the payload's length is the message's number, from 1.
    pub(super) fn publish_with(&mut self, qos: QoS, change: impl FnOnce(&mut QueuedMessage)) {
        self.published += 1;
        let tag = MessageTag::new(PublisherIndex(0), self.published, qos, self.now);
        let payload = Payload::Filler(self.published);
        let message = Message { topic: "t".into(), payload, tag };
        let mut outgoing = QueuedMessage::new(message, qos, false);
        change(&mut outgoing);
        let (outbound, mut context) = self.split();
        outbound.publish(&mut context, outgoing);
        self.run_until_idle();
    }

    pub(super) fn connect(&mut self) {
        let next = self.connection.map_or(0, |connection| connection.0 + 1);
        self.connection = Some(ConnectionNumber(next));
        self.outbound.set_peer_limits(self.limits);
        let (outbound, mut context) = self.split();
        outbound.resume(&mut context);
        self.run_until_idle();
    }

    /// The receiver says again that it is there, on the same connection.
    pub(super) fn resume(&mut self) {
        let (outbound, mut context) = self.split();
        outbound.resume(&mut context);
        self.run_until_idle();
    }

    /// The connection's socket has no room.
    pub(super) fn socket_full(&mut self) {
        self.outbound.on_socket_full();
    }

    /// It has room again.
    pub(super) fn writable(&mut self) {
        let (outbound, mut context) = self.split();
        outbound.on_writable(&mut context);
        self.run_until_idle();
    }

    pub(super) fn disconnect(&mut self) {
        self.connection = None;
        let (outbound, mut context) = self.split();
        outbound.suspend(&mut context);
        let outbound = &self.outbound;
        self.outbox.timers.prune(|armed| outbound.is_live_timer(armed));
    }

    pub(super) fn reconnect(&mut self) {
        self.disconnect();
        self.connect();
    }

    /// The sender crashes; its store is durable.
    pub(super) fn crash_sender(&mut self) {
        self.connection = None;
        let (outbound, mut context) = self.split();
        outbound.restart(&mut context);
        self.outbox.restart();
    }

    /// The receiver crashes; its store is durable.
    pub(super) fn crash_receiver(&mut self) {
        self.disconnect();
        self.inbound.restart(&self.receiver_settings);
    }

    /// The sender's session ends.
    pub(super) fn end_session(&mut self) {
        let (outbound, mut context) = self.split();
        outbound.discard_in_flight_and_queued(&mut context);
        self.run_until_idle();
    }

    pub(super) fn wait(&mut self, secs: u64) {
        let until = self.now + Span::from_secs(secs);
        while self.outbox.timers.next_deadline() <= until {
            self.now = self.outbox.timers.next_deadline();
            while let Some(armed) = self.outbox.timers.pop_due(self.now) {
                let (outbound, mut context) = self.split();
                outbound.on_retry_timer(&mut context, &armed);
            }
            self.run_until_idle();
        }
        self.now = until;
    }

    /// What the receiver says to a PUBREL out of the blue.
    pub(super) fn receive_pubrel(&mut self, ack: PublishAck) -> String {
        let answer = self.receive(Packet::PubRel(ack), Transmission::default());
        answer.map_or(String::new(), |answer| describe("< ", &answer))
    }

    pub(super) fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// The lines of the log that begin so, without that beginning.
    pub(super) fn take_lines(&mut self, start: &str) -> Vec<String> {
        let log = self.take_log();
        log.iter().filter_map(|line| Some(line.strip_prefix(start)?.trim().into())).collect()
    }

    pub(super) fn deliveries(&mut self) -> Vec<String> {
        self.take_lines("deliver")
    }

    /// How many messages are in flight, and how many wait.
    pub(super) const fn backlog(&self) -> (u32, u32) {
        (self.outbox.in_flight, self.outbox.queued)
    }

    pub(super) fn is_armed(&self) -> bool {
        self.outbox.timers.next_deadline() != Time::NEVER
    }

    fn run_until_idle(&mut self) {
        let mut answers = VecDeque::new();
        loop {
            while let Some(output) = self.outbox.pop() {
                match output {
                    Output::Send { packet, transmission, .. } => {
                        let line = describe("> ", &packet);
                        if self.arrives(line) {
                            answers.extend(self.receive(packet, transmission));
                        }
                    }
                    Output::Complete(tag) => self.log.push(format!("complete #{}", number(tag))),
                    Output::Refuse { tag, why } => {
                        self.log.push(format!("refuse #{} {why:?}", number(tag)));
                    }
                    other => panic!("not an output of a hop: {other:?}"),
                }
            }
            let Some(answer) = answers.pop_front() else { return };
            if !self.arrives(describe("< ", &answer)) {
                continue;
            }
            let (outbound, mut context) = self.split();
            match answer {
                Packet::PubAck(ack) => outbound.on_puback(&mut context, ack),
                Packet::PubRec(ack) => outbound.on_pubrec(&mut context, ack),
                Packet::PubComp(ack) => outbound.on_pubcomp(&mut context, ack),
                other => panic!("not an answer: {other:?}"),
            }
            let outbound = &self.outbound;
            self.outbox.timers.prune(|armed| outbound.is_live_timer(armed));
        }
    }

    fn arrives(&mut self, line: String) -> bool {
        let lost = self.lose_starts.iter().position(|start| line.starts_with(start));
        let lost = lost.map(|place| self.lose_starts.remove(place)).is_some();
        let broken = self.breaks_after == Some(0);
        self.breaks_after = self.breaks_after.map(|left| left.saturating_sub(1));
        self.log.push(if lost || broken { format!("{line} LOST") } else { line });
        !(lost || broken)
    }

    /// The receiver's part; returns its answer.
    fn receive(&mut self, packet: Packet, arrival: Transmission) -> Option<Packet> {
        let context = SessionContext {
            now: self.now,
            settings: &self.receiver_settings,
            version: self.version,
            connection: self.connection,
            outbox: &mut EndpointOutbox::new(&self.receiver_settings),
            session: 0,
            owner: SessionOwner::Application,
        };
        let InboundActions { deliver, answer, close } = match (packet, self.refuse_reason) {
            (Packet::Publish(publish), Some(reason)) => {
                self.inbound.refuse(&context, &publish, reason)
            }
            (Packet::Publish(publish), None) => self.inbound.on_publish(&context, publish, arrival),
            (Packet::PubRel(ack), _) => self.inbound.on_pubrel(&context, ack),
            (other, _) => panic!("not a sender's packet: {other:?}"),
        };
        if let Some(delivery) = deliver {
            let (number, qos) = (delivery.message.payload.len(), delivery.qos);
            self.log.push(format!("deliver #{number} q{qos}"));
        }
        if close {
            self.log.push("close".into());
        }
        answer
    }

    fn split(&mut self) -> (&mut Outbound, SessionContext<'_>) {
        let context = SessionContext {
            now: self.now,
            settings: &self.sender_settings,
            version: self.version,
            connection: self.connection,
            outbox: &mut self.outbox,
            session: 0,
            owner: SessionOwner::Application,
        };
        (&mut self.outbound, context)
    }
}

fn number(tag: MessageTag) -> u32 {
    tag.message_id().map_or(0, |parts| parts.sequence)
}

fn describe(arrow: &str, packet: &Packet) -> String {
    let mut words = vec![format!("{arrow}{}", packet.kind().label())];
    if let Packet::Publish(publish) = packet {
        words.push(format!("#{} q{}", publish.message.payload.len(), publish.level.qos()));
    }
    words.extend(packet.id().map(|id| format!("id{}", id.get())));
    if packet.reason() != 0 {
        words.push(format!("{:#x}", packet.reason()));
    }
    if let Packet::Publish(publish) = packet {
        words.extend(publish.dup.then(|| "dup".into()));
        if let Some(properties) = &publish.properties {
            words.extend(properties.expiry.map(|left| format!("{left}s")));
            words.extend(properties.alias.map(|alias| match alias {
                TopicAlias::Set(number) => format!("set{number}"),
                TopicAlias::Use(number) => format!("use{number}"),
            }));
            words.extend(properties.subscription_ids.iter().map(|id| format!("sub{id}")));
        }
    }
    words.join(" ")
}
