//! What the ledger learns from crashes, from sessions that expire, and from wills.
//!
//! A store that forgets is no excuse: all that was owed before the crash stays owed, in the same
//! epoch, until the session ends for a better reason. Copies that come again count as copies.

use super::delivery_unit::{HandshakeEnd, MessageProgress};
use super::ledger::Ledger;
use super::retained::IncomingRetained;
use super::shared_subscriptions::parse_shared_filter;
use qoslab_core::base::{ClientIndex, CloseReason, MessageId, Node, PublisherIndex, QoS, Time};
use qoslab_core::mqtt::StorePolicy;

impl Ledger {
    /// A node crashed. Its connections are gone, and what its store does not keep.
    pub(super) fn on_crashed(&mut self, now: Time, node: Node) {
        match node {
            Node::Broker => {
                let loses_state = self.trial.loses_state_in_crash(node);
                for n in 0..self.sessions.len() {
                    let client = client_index(n);
                    self.drop_connection(now, node, client);
                    self.sessions[n].clock.on_broker_crashed(loses_state);
                }
                // Nothing ends by itself while the broker is down.
                self.session_deadlines.clear();
                self.next_session_deadline = Time::NEVER;
                self.on_broker_crashed();
            }
            Node::Client(client) => {
                self.drop_connection(now, node, client);
                let session = &mut self.sessions[client.index()];
                match self.trial.store_policy(node) {
                    StorePolicy::Durable => {}
                    StorePolicy::Snapshot(_) => session.own_queue.mark_unknown(),
                    StorePolicy::Volatile => session.own_queue.clear(),
                }
                if self.trial.clients[client.index()].clean_session {
                    self.lose_open_messages(client);
                }
                self.sessions[client.index()].forgotten_by_client =
                    self.trial.loses_state_in_crash(node);
            }
        }
    }

    /// The broker runs again.
    pub(super) fn on_broker_restarted(&mut self, now: Time) {
        for n in 0..self.sessions.len() {
            self.sessions[n].clock.on_broker_restarted(now);
            self.await_session_end(client_index(n));
        }
    }

    /// The broker sent a CONNACK that carries a session on, or does not. A session that is gone
    /// without a reason is not over: what it was owed stays owed.
    pub(super) fn on_connack_sent(&mut self, now: Time, client: ClientIndex, resumed: bool) {
        let session = &mut self.sessions[client.index()];
        let may_be_gone = session.clock.may_be_gone(now);
        let by_broker = std::mem::take(&mut session.forgotten_by_broker);
        if resumed {
            if by_broker {
                self.set_confirmed(client, true);
                self.shared.mark_certain(client);
            }
        } else if by_broker || session.forgotten_by_client || !may_be_gone {
            self.forget_subscriptions(client);
        } else {
            self.epoch_ended(client);
        }
        if !resumed {
            self.sessions[client.index()].broker_queue.clear();
        }
        self.sessions[client.index()].clock.on_accepted();
        self.await_session_end(client);
        self.on_window_opened(now, client, resumed);
    }

    /// Notes when a session ends by itself.
    pub(super) fn await_session_end(&mut self, client: ClientIndex) {
        let ends_at = self.sessions[client.index()].clock.expires_at();
        if ends_at < Time::NEVER {
            self.session_deadlines.insert((ends_at, client));
        }
        self.next_session_deadline =
            self.session_deadlines.first().map_or(Time::NEVER, |(at, _)| *at);
    }

    /// The time of some sessions is over, whether or not the broker says so.
    #[cold]
    pub(super) fn end_expired_sessions(&mut self, now: Time) {
        while let Some(&(at, client)) = self.session_deadlines.first()
            && at < now
        {
            self.session_deadlines.pop_first();
            if self.sessions[client.index()].clock.expires_at() == at {
                self.end_expired_session(client);
            }
        }
        self.next_session_deadline =
            self.session_deadlines.first().map_or(Time::NEVER, |(at, _)| *at);
    }

    /// The broker says that it ended a session whose expiry interval had passed. If it had not,
    /// the session goes on.
    pub(super) fn on_session_expired(&mut self, now: Time, client: ClientIndex) {
        if self.sessions[client.index()].clock.may_expire(now) {
            self.end_expired_session(client);
        }
    }

    fn end_expired_session(&mut self, client: ClientIndex) {
        self.epoch_ended(client);
        // The client may never learn of it: the CONNACK that says so can be lost.
        self.lose_publisher_session(client);
        self.sessions[client.index()].forgotten_by_client = false;
    }

    /// All clients reconnect: notes which ends still believe in a connection that is dead.
    pub(super) fn on_reconnect_drain(&mut self) {
        for n in 0..self.sessions.len() {
            let client = client_index(n);
            let believed =
                self.sessions[n].silently_dead.filter(|_| self.trial.clients[n].keep_alive);
            let mut ends = [Node::Broker, Node::Client(client)].into_iter();
            self.sessions[n].death_unnoticed = believed.is_some_and(|dark| {
                ends.any(|end| self.open_connections.is_open(end, client, dark))
            });
        }
    }

    /// The broker published a will: it has taken it at this instant, and no client awaits an
    /// acknowledgement. Returns how often the message or a copy has to wait because a client is not
    /// connected.
    pub(super) fn on_will_published(&mut self, message_id: &MessageId) -> u64 {
        let waits = self.on_submitted(message_id);
        let copies_waiting = self.on_accepted_by_broker(message_id, true);
        let payload = self.trial.publishers[message_id.publisher.index()].max_payload;
        self.excuse_too_large(message_id, payload);
        let stream = &mut self.publishers[message_id.publisher.index()];
        if let Some(progress) = stream.messages.get_mut(message_id.sequence as usize) {
            progress.set(MessageProgress::ACKNOWLEDGED);
            progress.finish_handshake(HandshakeEnd::Completed);
        }
        self.retain_will(message_id);
        u64::from(waits) + copies_waiting
    }

    fn retain_will(&mut self, message_id: &MessageId) {
        let facts = &self.trial.publishers[message_id.publisher.index()];
        if facts.retain && !facts.publish_denied {
            let (payload, expires) = (facts.max_payload, Time::NEVER);
            let incoming = IncomingRetained { message_id: *message_id, payload, expires };
            self.retained.store(&facts.topic, &incoming);
        }
    }

    fn drop_connection(&mut self, now: Time, node: Node, client: ClientIndex) {
        if let Some(connection) = self.open_connections.current(node, client) {
            self.on_connection_closed(now, node, client, connection, CloseReason::Crash);
        }
    }

    fn on_broker_crashed(&mut self) {
        // Whether these were stored before it crashed was not reported.
        for (client, filter, asked) in self.subscriptions.take_unanswered() {
            if parse_shared_filter(&filter).is_some() {
                self.shared.mark_uncertain();
                continue;
            }
            for stream in self.subscriptions.matching_publishers(&filter) {
                self.mark_subscription_uncertain(client, stream, asked);
            }
        }
        let store = self.trial.broker_store;
        if store == StorePolicy::Durable {
            return;
        }
        self.retained_awaiting_pubrel.clear();
        self.mark_windows_unknown();
        self.shared.mark_uncertain();
        self.retained.on_state_lost(store == StorePolicy::Volatile);
        for n in 0..self.sessions.len() {
            let client = client_index(n);
            if self.sessions[n].connack_sent_on.is_some() {
                self.sessions[n].forgotten_by_broker = true;
            }
            if store == StorePolicy::Volatile {
                self.sessions[n].broker_queue.clear();
                self.forget_subscriptions(client);
            } else {
                self.sessions[n].broker_queue.mark_unknown();
                self.set_confirmed(client, false);
            }
        }
    }

    /// A session is gone at the broker though it ought to be there: nothing new is owed to it until
    /// the client has subscribed again.
    fn forget_subscriptions(&mut self, client: ClientIndex) {
        self.subscriptions.forget_client(client);
        self.shared.remove_client(client);
        for stream in &self.sessions[client.index()].matched_publishers {
            if let Some(subscriber) = self.publishers[stream.index()].subscriber_mut(client) {
                subscriber.granted = None;
                subscriber.confirmed = true;
            }
        }
    }

    /// A subscription was asked for, or its end, and the broker crashed before it answered.
    fn mark_subscription_uncertain(
        &mut self,
        client: ClientIndex,
        publisher: PublisherIndex,
        asked: Option<QoS>,
    ) {
        let subscriber = self.ensure_subscriber(client, publisher);
        subscriber.granted = subscriber.granted.max(asked);
        subscriber.confirmed = false;
    }

    fn set_confirmed(&mut self, client: ClientIndex, confirmed: bool) {
        for stream in &self.sessions[client.index()].matched_publishers {
            if let Some(subscriber) = self.publishers[stream.index()].subscriber_mut(client) {
                subscriber.confirmed = confirmed;
            }
        }
    }

    /// A clean session ended by a crash, and what waited for a place in the window with it.
    fn lose_open_messages(&mut self, client: ClientIndex) {
        for stream in &self.sessions[client.index()].own_publishers {
            let stream = &mut self.publishers[stream.index()];
            for progress in &mut stream.messages[stream.first_unfinished as usize..] {
                if progress.is_open() {
                    progress.set(MessageProgress::SESSION_LOST);
                }
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "clients are numbered by u32")]
const fn client_index(n: usize) -> ClientIndex {
    ClientIndex(n as u32)
}
