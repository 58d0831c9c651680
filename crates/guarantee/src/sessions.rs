//! What the ledger learns from connections, sessions and subscriptions.

use std::sync::Arc;

use super::delivery_unit::{DeliveryState, HandshakeEnd, MessageProgress};
use super::ledger::{Ledger, PublisherLedger, SubscriberLedger};
use super::shared_subscriptions::parse_shared_filter;
use super::size_limits::publish_len;
use super::subscriptions::GrantedSubscription;
use qoslab_core::base::{
    ClientIndex, CloseReason, ConnectionNumber, Node, PacketBody, PacketKind, PacketMeta,
    PublisherIndex, Time,
};
use qoslab_core::mqtt::topics::matches;

/// The state of a client's session when the broker accepted its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnackOutcome {
    /// It has a new one, as it wished or for the first time.
    New,
    /// It goes on.
    Resumed,
    /// It had one, and the broker has not.
    Lost,
}

impl Ledger {
    /// A request about the session or its subscriptions reached the broker, on an open connection.
    pub(super) fn on_request(&mut self, packet: &PacketMeta<'_>) {
        let client = packet.name.client;
        match packet.body {
            PacketBody::Subscribe(requests) => {
                self.subscriptions.on_subscribe(client, packet.id, requests);
            }
            PacketBody::Unsubscribe(filters) => {
                self.subscriptions.on_unsubscribe(client, packet.id, filters);
            }
            PacketBody::Connect { clean, session_expiry, max_packet_size, .. } => {
                let version = self.trial.clients[client.index()].version;
                self.sessions[client.index()].clock.on_connect(version, clean, session_expiry);
                self.size_limits.on_connect(client, max_packet_size);
            }
            _ => {}
        }
    }

    /// The broker answered a client with a packet that is about no message.
    pub(super) fn on_broker_answer(
        &mut self,
        now: Time,
        connection: ConnectionNumber,
        packet: &PacketMeta<'_>,
    ) {
        let client = packet.name.client;
        match packet.body {
            PacketBody::ConnAck { session_present, .. } if packet.reason == 0 => {
                let session = &mut self.sessions[client.index()];
                let repeat = session.connack_sent_on.replace(connection) == Some(connection);
                if !repeat {
                    let resumed = self.trial.is_session_resumed(client, session_present);
                    self.on_connack_sent(now, client, resumed);
                }
            }
            PacketBody::SubAck(codes) => {
                for granted in self.subscriptions.on_suback(client, packet.id, codes) {
                    if parse_shared_filter(&granted.filter).is_some() {
                        let streams = self.subscriptions.matching_publishers(&granted.filter);
                        self.shared.on_joined(client, &granted.filter, granted.qos, streams);
                        continue;
                    }
                    self.on_retained_owed(now, client, &granted);
                    for stream in self.subscriptions.matching_publishers(&granted.filter) {
                        self.on_subscription_granted(client, stream);
                    }
                }
            }
            _ if packet.kind() == PacketKind::UnsubAck => {
                for filter in self.subscriptions.on_unsuback(client, packet.id) {
                    if parse_shared_filter(&filter).is_some() {
                        self.shared.on_left(client, &filter);
                        continue;
                    }
                    for stream in self.subscriptions.matching_publishers(&filter) {
                        self.on_subscription_ended(client, stream);
                    }
                    let streams = &self.trial.publishers;
                    self.retained.on_unsubscribed(client, |stream: PublisherIndex| {
                        matches(&filter, &streams[stream.index()].topic)
                    });
                }
            }
            _ => {}
        }
    }

    /// A CONNACK reached the client: says what became of its session, `None` for a repeat or a
    /// refusal.
    pub(super) fn on_connack_received(
        &mut self,
        now: Time,
        connection: ConnectionNumber,
        packet: &PacketMeta<'_>,
    ) -> Option<ConnackOutcome> {
        let PacketBody::ConnAck { session_present, max_packet_size, .. } = packet.body else {
            return None;
        };
        let client = packet.name.client;
        let session = &mut self.sessions[client.index()];
        let before = session.connack_received_on;
        if packet.reason != 0 || before == Some(connection) {
            return None;
        }
        session.connack_received_on = Some(connection);
        self.size_limits.on_connack(client, max_packet_size);
        session.ended_unknown_to_client = false;
        let forgotten = std::mem::take(&mut session.forgotten_by_client);
        if self.trial.is_session_resumed(client, session_present) {
            // It may still send the session away that it knows nothing of.
            self.sessions[client.index()].forgotten_by_client = forgotten;
            let known = session_present || before.is_some();
            return Some(if known { ConnackOutcome::Resumed } else { ConnackOutcome::New });
        }
        self.sessions[client.index()].publishing_lost_at = Some(now);
        // What a store forgot was not lost with a session: it stays accepted.
        if !forgotten {
            self.lose_publisher_session(client);
        }
        let clean = self.trial.clients[client.index()].clean_session;
        Some(if before.is_some() && !clean { ConnackOutcome::Lost } else { ConnackOutcome::New })
    }

    /// A node closed a connection, or learnt that it is gone. A clean session ends with it.
    pub(super) fn on_connection_closed(
        &mut self,
        now: Time,
        node: Node,
        client: ClientIndex,
        connection: ConnectionNumber,
        why: CloseReason,
    ) {
        let current = self.open_connections.on_closed(node, client, connection);
        let session = &mut self.sessions[client.index()];
        if node == Node::Broker && session.connack_sent_on == Some(connection) {
            match why {
                CloseReason::Crash => session.clock.on_closed_by_crash(),
                _ => session.clock.on_closed(now),
            }
            self.await_session_end(client);
            self.on_window_closed(now, client, false);
        }
        if !current || !self.trial.clients[client.index()].clean_session {
            return;
        }
        match node {
            Node::Broker => self.epoch_ended(client),
            Node::Client(_) => {
                self.sessions[client.index()].publishing_lost_at = Some(now);
                self.lose_publisher_session(client);
            }
        }
    }

    /// The broker granted a subscription, which owes it what is retained and matches.
    fn on_retained_owed(&mut self, now: Time, client: ClientIndex, granted: &GrantedSubscription) {
        let Self { retained, size_limits, trial, sessions, .. } = self;
        let limit = size_limits.of_client(client);
        let version = trial.clients[client.index()].version;
        let ids = Vec::from_iter(Some(granted.identifier).filter(|id| *id != 0));
        let fits = |topic: &Arc<str>, payload: u32, expires: bool| {
            limit == u32::MAX || publish_len(version, topic, payload, expires, ids.clone()) <= limit
        };
        for _ in 0..retained.on_subscribed(now, client, granted, fits) {
            sessions[client.index()].broker_queue.add(1);
        }
    }

    fn on_subscription_granted(&mut self, client: ClientIndex, publisher: PublisherIndex) {
        let facts = &self.trial.publishers[publisher.index()];
        let level = self.subscriptions.own_granted_qos(client, facts);
        let each = self.trial.sends_copy_for_each_filter;
        let copies = self.subscriptions.own_copies(client, facts, each);
        let subscriber = self.ensure_subscriber(client, publisher);
        subscriber.granted = level;
        subscriber.copies = copies;
        subscriber.confirmed = true;
    }

    /// The slot of a client in a stream, made if there is none.
    pub(super) fn ensure_subscriber(
        &mut self,
        client: ClientIndex,
        publisher: PublisherIndex,
    ) -> &mut SubscriberLedger {
        let state = &mut self.publishers[publisher.index()];
        state.advance_unfinished();
        if state.subscriber_mut(client).is_none() {
            self.sessions[client.index()].matched_publishers.push(publisher);
        }
        state.subscriber_or_insert(client)
    }

    fn on_subscription_ended(&mut self, client: ClientIndex, publisher: PublisherIndex) {
        let facts = &self.trial.publishers[publisher.index()];
        let level = self.subscriptions.own_granted_qos(client, facts);
        let each = self.trial.sends_copy_for_each_filter;
        let copies = self.subscriptions.own_copies(client, facts, each);
        let Some(subscriber) = self.publishers[publisher.index()].subscriber_mut(client) else {
            return;
        };
        subscriber.copies = copies;
        subscriber.granted = level;
        subscriber.confirmed = true;
        if level.is_none() {
            subscriber.mark_unsubscribed();
        }
    }

    /// A session ended at the broker: copies owed and not delivered are excused, and a later copy
    /// of a message already sent to it counts for no unit.
    pub(super) fn epoch_ended(&mut self, client: ClientIndex) {
        self.subscriptions.forget_client(client);
        self.shared.remove_client(client);
        self.retained.on_session_ended(client);
        self.retained_awaiting_pubrel.retain(|(publisher, _), _| *publisher != client);
        let session = &mut self.sessions[client.index()];
        session.clock.end();
        session.broker_queue.clear();
        session.ended_unknown_to_client = true;
        session.forgotten_by_broker = false;
        for stream in &session.matched_publishers {
            let stream = &mut self.publishers[stream.index()];
            let epoch_start = u32::try_from(stream.messages.len()).unwrap_or(u32::MAX);
            if let Some(subscriber) = stream.subscriber_mut(client) {
                subscriber.granted = None;
                subscriber.confirmed = true;
                subscriber.epoch_start = epoch_start;
                subscriber.next_sequence = [0; 3];
                subscriber.readmitted.clear();
            }
        }
    }

    /// The publisher's half of a session is gone: what it had sent and not completed may come
    /// any number of times, or never.
    pub(super) fn lose_publisher_session(&mut self, client: ClientIndex) {
        for stream in &self.sessions[client.index()].own_publishers {
            let stream = &mut self.publishers[stream.index()];
            stream.advance_unfinished();
            for progress in &mut stream.messages[stream.first_unfinished as usize..] {
                if progress.has_all(MessageProgress::SENT)
                    && progress.handshake_end() != HandshakeEnd::Completed
                {
                    progress.set(MessageProgress::SESSION_LOST);
                }
            }
        }
    }
}

impl PublisherLedger {
    /// Moves `unfinished` past what has reached its end, so that scans stay short.
    fn advance_unfinished(&mut self) {
        while let Some(progress) = self.messages.get(self.first_unfinished as usize)
            && !progress.is_open()
            && progress.handshake_end() != HandshakeEnd::NotSubmitted
        {
            self.first_unfinished += 1;
        }
    }
}

impl SubscriberLedger {
    /// The subscription ended. What the broker has not seen yet is not owed, unless it comes after
    /// a new subscription; what it has seen and not begun to send, it need not send.
    fn mark_unsubscribed(&mut self) {
        // Of the messages before `floor`, only the reopened ones belong to this epoch.
        let Self { epoch_start: floor, readmitted: reopened, units, .. } = self;
        let middle = units.len().min(*floor as usize);
        let (old, new) = units.split_at_mut(middle);
        let mut again = reopened.iter().copied().peekable();
        let old = (0..).zip(old).filter(|(sequence, _)| again.next_if_eq(sequence).is_some());
        for unit in old.map(|(_, unit)| unit).chain(new) {
            match unit.state() {
                DeliveryState::Submitted => {
                    unit.set_state(DeliveryState::UnsubscribedInTransit, unit.granted());
                }
                DeliveryState::MustDeliver | DeliveryState::NoExcuse => {
                    unit.set_state(DeliveryState::Withdrawn, unit.granted());
                }
                _ => {}
            }
        }
    }
}
