//! The monitor: judges every endpoint by what crossed its own interface, and by nothing else.

use std::sync::Arc;

use self::connection::{ConnectionMonitor, SessionMonitor};
use self::flags::{check_flags, check_qos0};
use self::forwarding::{CommonSubscribeOptions, ExpiryTracker};
use self::receiver::ReceiverMonitor;
use self::sender::{ForbiddenReason, SenderMonitor};
use self::violation_log::{EventContext, ViolationLog};
use self::wills::WillMonitor;
use super::rules::Rule;
use super::trial_facts::TrialFacts;
use qoslab_core::base::{
    ClientIndex, CloseReason, ConnectionNumber, Event, MessageTag, Node, Observer, PacketBody,
    PacketKind, PacketMeta, QoS, Time,
};
use qoslab_core::impl_fingerprint;
use qoslab_core::mqtt::Version;

mod conformance;
mod connection;
mod flags;
mod forwarding;
mod receiver;
mod sender;
mod violation_log;
mod wills;

pub use self::conformance::ConformanceObserver;
pub use self::violation_log::RuleViolation;
pub(super) use self::violation_log::message_key;

/// Watches every connection of a trial. It remembers only what is in flight.
///
/// Over datagrams a correct endpoint may see packets that are late, repeated or out of order. So a
/// sender is judged by the ids that it has in use *according to what it received*, and a receiver
/// by the ids that it holds, regardless of what its peer meant. [`super::rules`] lists the rules.
#[derive(Clone, Debug)]
pub struct Monitor {
    /// By client: what the broker's end and the client's end of its link have seen.
    links: Vec<LinkMonitor>,
    /// The last packet that reached an endpoint: what it delivers now is because of it.
    delivery_cause: Option<(Node, ClientIndex, u16)>,
    message_to_pass_on: Option<MessageTag>,
    acknowledged_message: Option<MessageTag>,
    first_connack: bool,
    expiries: ExpiryTracker,
    now: Time,
    log: ViolationLog,
}

impl_fingerprint! {
    struct Monitor {
        plain links, expiries;
        skip delivery_cause, message_to_pass_on, acknowledged_message, first_connack, now:
            "set before each use";
        skip log: "empty between two events";
    }
}

/// The link of one client.
#[derive(Clone, Debug)]
struct LinkMonitor {
    ends: [EndMonitor; 2],
    session: SessionMonitor,
    wills: WillMonitor,
    common_options: CommonSubscribeOptions,
}

impl_fingerprint! {
    struct LinkMonitor {
        plain ends, session, wills, common_options;
    }
}

/// One end of a link.
#[derive(Clone, Debug)]
struct EndMonitor {
    connection: ConnectionMonitor,
    sender: SenderMonitor,
    receiver: ReceiverMonitor,
}

impl_fingerprint! {
    struct EndMonitor {
        plain connection, sender, receiver;
    }
}

impl Monitor {
    /// A monitor before any event.
    #[must_use]
    pub fn new(trial: &Arc<TrialFacts>) -> Self {
        let end = || EndMonitor {
            connection: ConnectionMonitor::default(),
            sender: SenderMonitor::new(),
            receiver: ReceiverMonitor::new(),
        };
        let link = |_| LinkMonitor {
            ends: [end(), end()],
            session: SessionMonitor::default(),
            wills: WillMonitor::default(),
            common_options: CommonSubscribeOptions::NONE,
        };
        Self {
            links: trial.clients.iter().map(link).collect(),
            delivery_cause: None,
            message_to_pass_on: None,
            acknowledged_message: None,
            first_connack: false,
            expiries: ExpiryTracker::default(),
            now: Time::ZERO,
            log: ViolationLog { trial: Arc::clone(trial), violations: Vec::new() },
        }
    }

    /// The rules broken since the last call, in order.
    pub fn take_violations(&mut self) -> Vec<RuleViolation> {
        std::mem::take(&mut self.log.violations)
    }

    /// The trial is over: what was not done by now never will be.
    pub fn finish(&mut self) {
        let Self { links, log: book, now, .. } = self;
        for (n, link) in (0..).zip(links) {
            let client = ClientIndex(n);
            for (node, end) in [Node::Broker, Node::Client(client)].into_iter().zip(&mut link.ends)
            {
                let context = EventContext { at: *now, node, link: client };
                if end.connection.open.is_some() {
                    end.connection.check_silence(context, book);
                    end.sender.on_closed(context, None, book);
                }
                end.receiver.report_all_unanswered(context, book);
            }
            let context = EventContext { at: *now, node: Node::Broker, link: client };
            link.session.report_left_open(context, book);
            link.wills.finish(context, book);
        }
    }

    /// Whether a packet that arrives is read by this end. A client reads nothing but a CONNACK on
    /// a connection that is not accepted yet: what overtook the CONNACK, it lets pass.
    pub(super) fn is_read(
        &self,
        node: Node,
        connection: ConnectionNumber,
        packet: &PacketMeta<'_>,
    ) -> bool {
        let line = &self.end(node, packet.name.client).connection;
        let accepted = node == Node::Broker
            || packet.kind() == PacketKind::ConnAck
            || line.accepted_connection == Some(connection);
        accepted && line.open == Some(connection)
    }

    /// The message that the receiver had reason to pass on because of what arrived last, by its own
    /// knowledge: a PUBLISH of QoS 0 or 1, one of QoS 2 whose id was not held, or what it held
    /// under the id of a PUBREL.
    pub(super) const fn message_to_pass_on(&self) -> Option<MessageTag> {
        self.message_to_pass_on
    }

    /// The message that its sender took on, or took as done, because of the acknowledgement that
    /// arrived last. It goes by the packet id alone, whatever message the receiver meant.
    pub(super) const fn acknowledged_message(&self) -> Option<MessageTag> {
        self.acknowledged_message
    }

    /// The message for which a receiver holds a packet id.
    pub(super) fn held_message(
        &self,
        node: Node,
        client: ClientIndex,
        id: u16,
    ) -> Option<MessageTag> {
        self.end(node, client).receiver.held_message(id)
    }

    /// Whether any connection is open at this end.
    pub(super) fn is_connected(&self, node: Node, client: ClientIndex) -> bool {
        self.end(node, client).connection.open.is_some()
    }

    /// Whether the CONNACK that the broker has just sent to a client was the first on its
    /// connection, and not the answer to a repeated CONNECT.
    pub(super) const fn was_first_connack(&self) -> bool {
        self.first_connack
    }

    fn end(&self, node: Node, client: ClientIndex) -> &EndMonitor {
        &self.links[client.index()].ends[end_index(node)]
    }

    // ---- packets ----

    #[inline]
    fn on_sent(&mut self, node: Node, connection: ConnectionNumber, packet: &PacketMeta<'_>) {
        let context = EventContext { at: self.now, node, link: packet.name.client };
        let Self { links, log: book, expiries: expiring, .. } = self;
        let link = &mut links[context.link.index()];
        let end = &mut link.ends[end_index(node)];
        if end.connection.open != Some(connection) {
            return;
        }
        check_flags(context, packet, book);
        end.connection.on_sent(context, packet, book);
        match packet.kind() {
            PacketKind::Publish => {
                if node == Node::Broker && !packet.is_resend() {
                    link.common_options.on_forwarded(context, packet, book);
                    expiring.on_forwarded(context, packet, book);
                }
                match packet.qos() {
                    Some(QoS::AtMostOnce) => check_qos0(context, packet, book),
                    Some(qos) => end.sender.on_publish(context, packet, qos, book),
                    None => book.report_sender(context, Rule::ReservedQos, packet.tag),
                }
            }
            PacketKind::PubRel => end.sender.on_pubrel(context, packet, book),
            PacketKind::Subscribe | PacketKind::Unsubscribe if packet.id == 0 => {
                book.report_endpoint(context, Rule::IdZero);
            }
            PacketKind::ConnAck => {
                end.receiver.on_answer(context, packet, book);
                self.on_connack(context, packet);
            }
            PacketKind::PubAck
            | PacketKind::PubRec
            | PacketKind::PubComp
            | PacketKind::SubAck
            | PacketKind::UnsubAck
            | PacketKind::PingResp => end.receiver.on_answer(context, packet, book),
            _ => {}
        }
    }

    #[inline]
    fn on_arrived(&mut self, node: Node, packet: &PacketMeta<'_>) {
        let (now, client) = (self.now, packet.name.client);
        let context = EventContext { at: now, node, link: client };
        let link = &mut self.links[client.index()];
        let end = &mut link.ends[end_index(node)];
        end.connection.on_arrived(context, packet, &mut self.log);
        match packet.kind() {
            PacketKind::Publish => {
                self.delivery_cause = Some((node, client, packet.id));
                self.message_to_pass_on = end.receiver.on_publish(now, packet);
                if node == Node::Broker {
                    self.expiries.on_publish(now, packet);
                }
            }
            PacketKind::PubRel => {
                self.delivery_cause = Some((node, client, packet.id));
                self.message_to_pass_on = end.receiver.on_pubrel(now, packet);
            }
            PacketKind::PubAck | PacketKind::PubRec | PacketKind::PubComp => {
                self.acknowledged_message = end.sender.on_acknowledgement(now, packet);
            }
            PacketKind::ConnAck => self.on_connack(context, packet),
            PacketKind::Connect => {
                end.receiver.expect_answer(now, PacketKind::ConnAck, packet);
                let version = self.log.version(context);
                link.on_connect(version, packet);
            }
            PacketKind::Subscribe => {
                end.receiver.expect_answer(now, PacketKind::SubAck, packet);
                if let PacketBody::Subscribe(requests) = packet.body {
                    link.common_options.on_subscribe(requests);
                }
            }
            PacketKind::Unsubscribe => {
                end.receiver.expect_answer(now, PacketKind::UnsubAck, packet);
            }
            PacketKind::Disconnect if node == Node::Broker => {
                link.wills.on_disconnect(packet.reason);
            }
            PacketKind::PingReq => end.receiver.expect_answer(now, PacketKind::PingResp, packet),
            _ => {}
        }
    }

    fn on_delivered(&mut self, client: ClientIndex, tag: MessageTag, qos: QoS) {
        let node = Node::Client(client);
        if let Some((_, _, id)) = self.delivery_cause.filter(|cause| cause.0 == node)
            && qos == QoS::ExactlyOnce
        {
            let context = EventContext { at: self.now, node, link: client };
            let end = &mut self.links[client.index()].ends[end_index(node)];
            end.receiver.on_delivered(context, id, tag, &mut self.log);
        }
    }

    // ---- connections and sessions ----

    /// A CONNACK crossed the interface of either end. Without a session, all of the old one is
    /// forgotten.
    fn on_connack(&mut self, context: EventContext, packet: &PacketMeta<'_>) {
        let PacketBody::ConnAck { session_present, receive_maximum, max_packet_size } = packet.body
        else {
            return;
        };
        let Self { links, log: book, .. } = self;
        let link = &mut links[context.link.index()];
        let end = &mut link.ends[end_index(context.node)];
        let is_repeat = end.connection.accepted_connection == end.connection.open;
        self.first_connack = !is_repeat;
        if packet.reason != 0 {
            return;
        }
        if is_repeat {
            // A broker that gets CONNECT again answers it as the first time, and sends again too.
            if context.node == Node::Broker {
                end.sender.on_session_resumed(context.at, false);
            }
            return;
        }
        end.connection.on_accepted(context.at);
        let clean = book.client(context).clean_session;
        if context.node == Node::Broker {
            link.session.on_accepted(context, session_present, book);
            link.wills.on_accepted(context, book);
        } else {
            end.sender.receive_maximum = receive_maximum;
            end.connection.max_packet_size = max_packet_size;
        }
        if !book.trial.is_session_resumed(context.link, session_present) {
            end.forget_session(match context.node {
                _ if clean => Some(ForbiddenReason::CleanStart),
                Node::Client(_) => Some(ForbiddenReason::SessionLost),
                Node::Broker => None,
            });
        }
        end.sender.on_session_resumed(context.at, true);
    }

    fn on_opened(&mut self, node: Node, client: ClientIndex, connection: ConnectionNumber) {
        let old = self.end(node, client).connection.open;
        if let Some(old) = old {
            self.on_closed(node, client, old, CloseReason::TakenOver);
        }
        let link = &mut self.links[client.index()];
        if let (Some(old), Node::Broker) = (old, node) {
            link.session.on_connection_replaced(old);
        }
        link.ends[end_index(node)].connection.on_opened(self.now, connection);
    }

    fn on_closed(
        &mut self,
        node: Node,
        client: ClientIndex,
        connection: ConnectionNumber,
        why: CloseReason,
    ) {
        let context = EventContext { at: self.now, node, link: client };
        let Self { links, log: book, .. } = self;
        let link = &mut links[client.index()];
        let end = &mut link.ends[end_index(node)];
        let is_current = end.connection.open == Some(connection);
        if node == Node::Broker {
            link.session.on_closed(context, connection, is_current, book);
        }
        if !is_current {
            return;
        }
        if why != CloseReason::Crash {
            end.connection.check_silence(context, book);
        }
        end.connection.open = None;
        end.receiver.on_closed(context, why, book);
        end.sender.on_closed(context, Some(why), book);
        if book.client(context).clean_session {
            end.forget_session(Some(ForbiddenReason::CleanStart));
        }
    }

    /// A node crashed: it cannot be held to what it forgets.
    fn on_crashed(&mut self, node: Node) {
        let clients = match node {
            Node::Broker => 0..self.links.len(),
            Node::Client(client) => client.index()..client.index() + 1,
        };
        for (n, client) in clients.clone().zip((0..).map(ClientIndex).skip(clients.start)) {
            if let Some(connection) = self.end(node, client).connection.open {
                self.on_closed(node, client, connection, CloseReason::Crash);
            }
            let facts = &self.log.trial;
            let link = &mut self.links[n];
            if node == Node::Broker {
                link.session.on_broker_crashed();
                link.wills.on_broker_crashed();
            }
            if !facts.loses_state_in_crash(node) {
                continue;
            }
            if node == Node::Broker {
                link.session.on_state_lost();
            }
            link.ends[end_index(node)].forget_session(None);
        }
    }
}

impl LinkMonitor {
    /// A CONNECT came to the broker.
    fn on_connect(&mut self, version: Version, packet: &PacketMeta<'_>) {
        let PacketBody::Connect {
            clean,
            session_expiry,
            receive_maximum,
            max_packet_size,
            will_delay,
            ..
        } = packet.body
        else {
            return;
        };
        let [broker, _] = &mut self.ends;
        let wishes = (clean, session_expiry, will_delay);
        self.wills.on_connect(version, broker.connection.open, wishes);
        broker.sender.receive_maximum = receive_maximum;
        broker.connection.max_packet_size = max_packet_size;
        self.session.on_connect(clean, session_expiry);
    }
}

impl EndMonitor {
    /// Its session is over; `None` where it may know nothing of what was in it.
    fn forget_session(&mut self, reason: Option<ForbiddenReason>) {
        self.sender.forget_session(reason);
        self.receiver.forget_session();
    }
}

impl Observer for Monitor {
    #[inline]
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        self.now = now;
        match *event {
            Event::Sent { node, connection, packet: record, .. } => {
                self.on_sent(node, connection, record);
            }
            Event::Arrived { node, connection, packet: record }
                if self.is_read(node, connection, record) =>
            {
                self.on_arrived(node, record);
            }
            Event::Delivered { client, tag, qos, .. } => self.on_delivered(client, tag, qos),
            Event::Refused { tag, why } => {
                if let Some(message_id) = tag.message_id() {
                    let link = self.log.trial.publishers[message_id.publisher.index()].client;
                    let context = EventContext { at: now, node: Node::Client(link), link };
                    let end = &mut self.links[link.index()].ends[end_index(context.node)];
                    end.sender.on_dropped(context, tag, why, &mut self.log);
                }
            }
            Event::Dropped { client, tag, why } => {
                let context = EventContext { at: now, node: Node::Broker, link: client };
                let end = &mut self.links[client.index()].ends[end_index(context.node)];
                end.sender.on_dropped(context, tag, why, &mut self.log);
            }
            Event::Opened { node, connection, client } => self.on_opened(node, client, connection),
            Event::Closed { node, connection, client, why } => {
                if node == Node::Broker {
                    let crashed = why == CloseReason::Crash;
                    self.links[client.index()].wills.on_closed(now, connection, crashed);
                }
                self.on_closed(node, client, connection, why);
            }
            Event::Crashed { node } => self.on_crashed(node),
            Event::WillPublished { tag } => {
                if let Some(message_id) = tag.message_id() {
                    let link = self.log.trial.publishers[message_id.publisher.index()].client;
                    let context = EventContext { at: now, node: Node::Broker, link };
                    self.links[link.index()].wills.on_published(context, &mut self.log);
                }
            }
            Event::SessionExpired { client } => {
                let link = &mut self.links[client.index()];
                link.session.on_expired(now);
                link.ends[end_index(Node::Broker)].forget_session(None);
            }
            _ => {}
        }
    }
}

const fn end_index(node: Node) -> usize {
    match node {
        Node::Broker => 0,
        Node::Client(_) => 1,
    }
}
