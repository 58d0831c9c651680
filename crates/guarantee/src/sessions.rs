//! What the ledger learns from connections, sessions and subscriptions.

use super::ledger::{Ledger, Slot, Stream};
use super::shared::group_of;
use super::unit::{End, Progress, Standing};
use qoslab_core::base::event::{Body, Record};
use qoslab_core::base::name::{ClientIndex, Connection, Kind, Node, StreamIndex};
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::topics::matches;

/// What became of a client's session when the broker welcomed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Welcome {
    /// It has a new one, as it wished or for the first time.
    New,
    /// It goes on.
    Resumed,
    /// It had one, and the broker has not.
    Lost,
}

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
    pub(super) fn answered(&mut self, now: Time, connection: Connection, record: &Record<'_>) {
        let client = record.name.client;
        match record.body {
            Body::ConnAck { session_present, .. } if record.reason == 0 => {
                let session = &mut self.sessions[client.index()];
                let repeat = session.answered.replace(connection) == Some(connection);
                if !repeat {
                    self.welcomed(client, self.roster.carries_on(client, session_present));
                }
            }
            Body::SubAck(codes) => {
                for granted in self.subscriptions.granted(client, record.id, codes) {
                    if group_of(&granted.filter).is_some() {
                        let streams = self.subscriptions.streams(&granted.filter);
                        self.shared.joined(client, &granted.filter, granted.qos, streams);
                        continue;
                    }
                    self.retained.subscribed(now, client, &granted);
                    for stream in self.subscriptions.streams(&granted.filter) {
                        self.subscribe(client, stream);
                    }
                }
            }
            _ if record.kind() == Kind::UnsubAck => {
                for filter in self.subscriptions.ended(client, record.id) {
                    if group_of(&filter).is_some() {
                        self.shared.left(client, &filter);
                        continue;
                    }
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

    /// A CONNACK reached the client: says what became of its session, `None` for a repeat or a
    /// refusal.
    pub(super) fn accepted(
        &mut self,
        connection: Connection,
        record: &Record<'_>,
    ) -> Option<Welcome> {
        let Body::ConnAck { session_present, .. } = record.body else { return None };
        let client = record.name.client;
        let session = &mut self.sessions[client.index()];
        let before = session.accepted;
        if record.reason != 0 || before == Some(connection) {
            return None;
        }
        session.accepted = Some(connection);
        session.ending = false;
        let forgotten = std::mem::take(&mut session.forgotten_by_client);
        if self.roster.carries_on(client, session_present) {
            // It may still send the session away that it knows nothing of.
            self.sessions[client.index()].forgotten_by_client = forgotten;
            let known = session_present || before.is_some();
            return Some(if known { Welcome::Resumed } else { Welcome::New });
        }
        // What a store forgot was not lost with a session: it stays accepted.
        if !forgotten {
            self.publisher_lost_session(client);
        }
        let clean = self.roster.clients[client.index()].clean;
        Some(if before.is_some() && !clean { Welcome::Lost } else { Welcome::New })
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
        let level = self.subscriptions.level(client, &self.roster.streams[stream.index()]);
        let slot = self.open_slot(client, stream);
        slot.granted = level;
        slot.sure = true;
    }

    /// The slot of a client in a stream, made if there is none.
    pub(super) fn open_slot(&mut self, client: ClientIndex, stream: StreamIndex) -> &mut Slot {
        let state = &mut self.streams[stream.index()];
        state.advance();
        if state.existing_slot(client).is_none() {
            self.sessions[client.index()].subscribed.push(stream);
        }
        state.slot(client)
    }

    fn unsubscribe(&mut self, client: ClientIndex, stream: StreamIndex) {
        let level = self.subscriptions.level(client, &self.roster.streams[stream.index()]);
        let Some(slot) = self.streams[stream.index()].existing_slot(client) else { return };
        slot.granted = level;
        slot.sure = true;
        if level.is_none() {
            slot.withdraw();
        }
    }

    /// A session ended at the broker: what it was owed and did not get is excused, and a later
    /// copy of a message that it was sent is nobody's.
    pub(super) fn epoch_ended(&mut self, client: ClientIndex) {
        self.subscriptions.forget(client);
        self.shared.forgot(client);
        self.retained.session_ended(client);
        self.retaining.retain(|(publisher, _), _| *publisher != client);
        let session = &mut self.sessions[client.index()];
        session.ending = true;
        session.forgotten_by_broker = false;
        for stream in &session.subscribed {
            let stream = &mut self.streams[stream.index()];
            let floor = u32::try_from(stream.messages.len()).unwrap_or(u32::MAX);
            if let Some(slot) = stream.existing_slot(client) {
                slot.granted = None;
                slot.sure = true;
                slot.floor = floor;
                slot.next = [0; 3];
                slot.reopened.clear();
            }
        }
    }

    /// The publisher's half of a session is gone: what it had sent and not completed may come
    /// any number of times, or never.
    pub(super) fn publisher_lost_session(&mut self, client: ClientIndex) {
        for stream in &self.sessions[client.index()].publishes {
            let stream = &mut self.streams[stream.index()];
            stream.advance();
            for progress in &mut stream.messages[stream.unfinished as usize..] {
                if progress.is(Progress::SENT) && progress.end() != End::Completed {
                    progress.set(Progress::SESSION_LOST);
                }
            }
        }
    }
}

impl Stream {
    /// Moves `unfinished` past what has reached its end, so that scans stay short.
    fn advance(&mut self) {
        while let Some(progress) = self.messages.get(self.unfinished as usize)
            && !progress.is_open()
            && progress.end() != End::Unknown
        {
            self.unfinished += 1;
        }
    }
}

impl Slot {
    /// The subscription ended. What the broker has not seen yet is not owed, unless it comes after
    /// a new subscription; what it has seen and not begun to send, it need not send.
    fn withdraw(&mut self) {
        // Of those before the floor, only the reopened ones are of this epoch.
        let Self { floor, reopened, units, .. } = self;
        let middle = units.len().min(*floor as usize);
        let (old, new) = units.split_at_mut(middle);
        let mut again = reopened.iter().copied().peekable();
        let old = (0..).zip(old).filter(|(sequence, _)| again.next_if_eq(sequence).is_some());
        for unit in old.map(|(_, unit)| unit).chain(new) {
            match unit.standing() {
                Standing::Submitted => unit.stand(Standing::TooLate, unit.granted()),
                Standing::Must => unit.stand(Standing::Withdrawn, unit.granted()),
                _ => {}
            }
        }
    }
}
