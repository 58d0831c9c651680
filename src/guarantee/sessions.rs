//! What the ledger learns from connections, sessions and subscriptions.

use super::ledger::{Ledger, Slot, Stream};
use super::unit::{Progress, Standing};
use crate::base::event::{Body, Record};
use crate::base::name::{ClientIndex, Connection, Kind, Node, StreamIndex};
use crate::base::qos::QoS;
use crate::mqtt::topics::matches;

impl Ledger {
    /// A request about subscriptions reached the broker, on an open connection.
    pub(super) fn asked(&mut self, record: &Record<'_>) {
        let client = record.name.client;
        match record.body {
            Body::Subscribe(requests) => self.subscriptions.asked(client, record.id, requests),
            Body::Unsubscribe(filters) => {
                self.subscriptions.asked_to_end(client, record.id, filters);
            }
            _ => {}
        }
    }

    /// The broker answered a client with a packet that is about no message.
    pub(super) fn answered(&mut self, connection: Connection, record: &Record<'_>) {
        let client = record.name.client;
        match record.body {
            Body::ConnAck { session_present, .. } if record.reason == 0 => {
                let session = &mut self.sessions[client.index()];
                let repeat = session.answered.replace(connection) == Some(connection);
                if !repeat && !self.roster.carries_on(client, session_present) {
                    self.epoch_ended(client);
                }
            }
            Body::SubAck(codes) => {
                for (filter, qos) in self.subscriptions.granted(client, record.id, codes) {
                    self.retained.subscribed(client, &filter, qos);
                    for stream in self.subscriptions.streams(&filter) {
                        self.subscribe(client, stream);
                    }
                }
            }
            _ if record.kind() == Kind::UnsubAck => {
                for filter in self.subscriptions.ended(client, record.id) {
                    for stream in self.subscriptions.streams(&filter) {
                        self.unsubscribe(client, stream);
                    }
                    let streams = &self.roster.streams;
                    self.retained.unsubscribed(client, |stream: StreamIndex| {
                        matches(&filter, &streams[stream.index()].topic)
                    });
                }
            }
            _ => {}
        }
    }

    /// A CONNACK reached the client: says whether its session was resumed, `None` for a repeat
    /// or a refusal.
    pub(super) fn accepted(&mut self, connection: Connection, record: &Record<'_>) -> Option<bool> {
        let Body::ConnAck { session_present, .. } = record.body else { return None };
        let client = record.name.client;
        let session = &mut self.sessions[client.index()];
        let before = session.accepted;
        if record.reason != 0 || before == Some(connection) {
            return None;
        }
        session.accepted = Some(connection);
        session.ending = false;
        let resumed = self.roster.carries_on(client, session_present);
        if !resumed {
            self.publisher_lost_session(client);
        }
        Some(resumed && (session_present || before.is_some()))
    }

    /// A node closed a connection, or learnt that it is gone. A clean session ends with it.
    pub(super) fn closed(&mut self, node: Node, client: ClientIndex, connection: Connection) {
        let current = self.links.closed(node, client, connection);
        if !current || !self.roster.clients[client.index()].clean {
            return;
        }
        match node {
            Node::Broker => self.epoch_ended(client),
            Node::Client(_) => self.publisher_lost_session(client),
        }
    }

    fn subscribe(&mut self, client: ClientIndex, stream: StreamIndex) {
        let topic = &self.roster.streams[stream.index()].topic;
        let level = self.subscriptions.level(client, topic);
        let stream_state = &mut self.streams[stream.index()];
        stream_state.advance();
        let known = stream_state.slots.len();
        let slot = stream_state.slot(client);
        slot.granted = level;
        if stream_state.slots.len() > known {
            self.sessions[client.index()].subscribed.push(stream);
        }
    }

    fn unsubscribe(&mut self, client: ClientIndex, stream: StreamIndex) {
        let topic = &self.roster.streams[stream.index()].topic;
        let level: Option<QoS> = self.subscriptions.level(client, topic);
        let stream = &mut self.streams[stream.index()];
        let Ok(place) = stream.slots.binary_search_by_key(&client, |slot| slot.client) else {
            return;
        };
        let slot = &mut stream.slots[place];
        slot.granted = level;
        if level.is_none() {
            slot.withdraw();
        }
    }

    /// A session ended at the broker: what it was owed and did not get is excused, and a later
    /// copy of a message that it was sent is nobody's.
    fn epoch_ended(&mut self, client: ClientIndex) {
        self.subscriptions.forget(client);
        self.retained.session_ended(client);
        self.retaining.retain(|(publisher, _), _| *publisher != client);
        self.sessions[client.index()].ending = true;
        for stream in &self.sessions[client.index()].subscribed {
            let stream = &mut self.streams[stream.index()];
            let floor = u32::try_from(stream.messages.len()).unwrap_or(u32::MAX);
            if let Ok(place) = stream.slots.binary_search_by_key(&client, |slot| slot.client) {
                let slot = &mut stream.slots[place];
                slot.granted = None;
                slot.floor = floor;
                slot.next = [0; 3];
                slot.reopened.clear();
            }
        }
    }

    /// The publisher's half of a session is gone: what it had sent and not completed may come
    /// any number of times, or never.
    fn publisher_lost_session(&mut self, client: ClientIndex) {
        for stream in &self.sessions[client.index()].publishes {
            let stream = &mut self.streams[stream.index()];
            stream.advance();
            for progress in &mut stream.messages[stream.unfinished as usize..] {
                if progress.is(Progress::SENT) && !progress.is(Progress::COMPLETED) {
                    progress.set(Progress::SESSION_LOST);
                }
            }
        }
    }
}

impl Stream {
    /// Moves `unfinished` past what has reached its end, so that scans stay short.
    fn advance(&mut self) {
        let end = Progress::COMPLETED | Progress::REFUSED | Progress::SESSION_LOST;
        while let Some(progress) = self.messages.get(self.unfinished as usize)
            && progress.any(end)
        {
            self.unfinished += 1;
        }
    }
}

impl Slot {
    /// The subscription ended. What the broker has not seen yet is not owed, unless it comes after
    /// a new subscription; what it has seen and not begun to send, it need not send.
    fn withdraw(&mut self) {
        let Self { floor, reopened, units, .. } = self;
        for (sequence, unit) in (0..).zip(units) {
            if sequence < *floor && !reopened.contains(&sequence) {
                continue;
            }
            match unit.standing() {
                Standing::Submitted => unit.stand(Standing::TooLate, unit.granted()),
                Standing::Must => unit.stand(Standing::Withdrawn, unit.granted()),
                _ => {}
            }
        }
    }
}
