//! A client: one session, one connection at a time, and the application behind it.

use std::sync::Arc;

use super::endpoint::{Backlog, Endpoint, Input, Output};
use super::inbound::{Inbound, InboundActions};
use super::outbound::{Outbound, QueuedMessage};
use super::packet::{Packet, PacketId};
use super::requests::SubscriptionRequests;
use super::session_context::{EndpointOutbox, SessionContext, SessionOwner};
use super::settings::{ClientRequest, ClientSettings, SignOfLife, Version};
use crate::base::{CloseReason, Span, Time, Transmission};
use crate::impl_fingerprint;
use connection::{ConnectionState, PendingPing};

mod connection;

/// A sans-IO MQTT client; see [`Endpoint`] for how to drive it.
#[derive(Clone, Debug)]
pub struct Client {
    settings: Arc<ClientSettings>,
    connection_state: ConnectionState,
    outbound: Outbound,
    inbound: Inbound,
    requests: SubscriptionRequests,
    outbox: EndpointOutbox,
    /// When it last sent anything, for keep alive.
    last_sent: Time,
    /// When it last received anything, for keep alive.
    last_received: Time,
    /// The PINGREQ that is not answered yet.
    pending_ping: Option<PendingPing>,
    /// Connections that ended before their CONNACK, since the last that did not.
    failed_connects: u32,
    /// Whether it has state of a session: it was connected, if never again.
    has_connected: bool,
    /// Whether the next CONNECT asks for a new session, because the broker has one that this
    /// client knows nothing of.
    clean_start_next: bool,
    /// Whether the application wants a connection; one that is `on_demand` need not be open.
    should_connect: bool,
    /// Whether a client that is `on_demand` is to connect though it has nothing to send.
    connect_once: bool,
    /// Whether the last PINGREQ was answered and nothing came since it was sent.
    is_idle: bool,
}

impl_fingerprint! {
    struct Client {
        plain connection_state, outbound, inbound, requests, outbox, pending_ping,
            failed_connects, has_connected, clean_start_next, should_connect, connect_once,
            is_idle;
        skip settings: "the same in all states of a trial";
        skip last_sent, last_received:
            "only matters to keep alive, which is off where states are compared";
    }
}

impl Client {
    /// A client that is away until [`ClientRequest::Connect`].
    #[must_use]
    pub fn new(mut settings: Arc<ClientSettings>) -> Self {
        if settings.on_demand {
            Arc::make_mut(&mut settings).hop.queue_qos0 = true;
        }
        Self {
            connection_state: ConnectionState::Disconnected,
            outbound: Outbound::new(&settings.hop),
            inbound: Inbound::new(),
            requests: SubscriptionRequests::new(settings.request_retry, settings.version),
            outbox: EndpointOutbox::new(&settings.hop),
            last_sent: Time::ZERO,
            last_received: Time::ZERO,
            pending_ping: None,
            failed_connects: 0,
            has_connected: false,
            clean_start_next: false,
            should_connect: false,
            connect_once: false,
            is_idle: false,
            settings,
        }
    }

    fn handle_request(&mut self, now: Time, request: ClientRequest) {
        match request {
            ClientRequest::Connect => self.connect(now),
            ClientRequest::Disconnect => {
                self.should_connect = false;
                self.disconnect(now);
            }
            ClientRequest::Reconnect => self.reconnect(now),
            ClientRequest::Publish { message, qos, retain, expiry } => {
                let expires = self.expiry_time(now, expiry);
                let (outbound, _, mut context) = self.split(now);
                let outgoing =
                    QueuedMessage { expires, ..QueuedMessage::new(message, qos, retain) };
                outbound.publish(&mut context, outgoing);
            }
            ClientRequest::Subscribe(requests) => {
                self.requests.subscribe(requests);
                self.send_due_request(now);
            }
            ClientRequest::Unsubscribe(filters) => {
                self.requests.unsubscribe(&filters);
                self.send_due_request(now);
            }
        }
    }

    fn handle_packet(&mut self, now: Time, packet: Packet, arrival: Transmission) {
        self.last_received = now;
        if let (ConnectionState::Connecting(..), Packet::ConnAck(answer)) =
            (self.connection_state, &packet)
        {
            self.connack(now, *answer);
            return;
        }
        // Over datagrams others may overtake CONNACK; their senders will send them again.
        if !matches!(self.connection_state, ConnectionState::Connected(_)) {
            return;
        }
        if let Packet::PingResp = packet {
            self.on_pingresp();
            return;
        }
        self.mark_activity();
        let (outbound, inbound, mut context) = self.split(now);
        let response = match packet {
            Packet::Publish(publish) => inbound.on_publish(&context, publish, arrival),
            Packet::PubRel(ack) => inbound.on_pubrel(&context, ack),
            Packet::PubAck(ack) => return outbound.on_puback(&mut context, ack),
            Packet::PubRec(ack) => return outbound.on_pubrec(&mut context, ack),
            Packet::PubComp(ack) => return outbound.on_pubcomp(&mut context, ack),
            Packet::SubAck(ack) => return self.on_subscription_ack(now, ack.id, &ack.codes),
            Packet::UnsubAck(ack) => return self.on_subscription_ack(now, ack.id, &[]),
            Packet::Disconnect(_) => return self.on_disconnect(now),
            _ => return,
        };
        self.respond(now, response, arrival);
    }

    fn respond(&mut self, now: Time, response: InboundActions, arrival: Transmission) {
        if let Some(delivery) = response.deliver {
            self.outbox.push(Output::Deliver {
                message: delivery.message,
                qos: delivery.qos,
                retain: delivery.retain,
            });
        }
        if let (Some(packet), ConnectionState::Connected(connection)) =
            (response.answer, self.connection_state)
        {
            self.outbox.send(connection, packet, arrival);
        }
        if response.close {
            self.abort_connection(now, CloseReason::Protocol);
        }
    }

    /// When a message of the application expires: outside 5.0 never.
    fn expiry_time(&self, now: Time, expiry: Option<u32>) -> Time {
        let seconds = expiry.filter(|_| self.settings.version == Version::V5);
        seconds.map_or(Time::NEVER, |seconds| now + Span::from_secs(u64::from(seconds)))
    }

    /// A SUBACK or UNSUBACK came: the next request may follow.
    fn on_subscription_ack(&mut self, now: Time, id: PacketId, codes: &[u8]) {
        if self.requests.on_ack(id, codes) {
            let (outbound, _, mut context) = self.split(now);
            outbound.free_id(&mut context, id);
        }
    }

    /// Sends the SUBSCRIBE or UNSUBSCRIBE that is due.
    fn send_due_request(&mut self, now: Time) {
        if let ConnectionState::Connected(connection) = self.connection_state {
            self.requests.send_due(now, connection, &mut self.outbound, &mut self.outbox);
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        while let Some(armed) = self.outbox.timers.pop_due(now) {
            let (outbound, _, mut context) = self.split(now);
            outbound.on_retry_timer(&mut context, &armed);
        }
        if let ConnectionState::Connected(connection) = self.connection_state {
            self.requests.resend_due(now, connection, &mut self.outbox);
        }
        self.check_connection_timers(now);
    }

    /// Whether anything of the application's is not yet done.
    fn has_work(&self) -> bool {
        self.outbox.in_flight > 0
            || self.outbox.queued > 0
            || self.requests.can_send()
            || self.requests.has_pending()
    }

    /// The halves of the hop, and what they need of this endpoint.
    fn split(&mut self, now: Time) -> (&mut Outbound, &mut Inbound, SessionContext<'_>) {
        let connection = match self.connection_state {
            ConnectionState::Connected(connection) => Some(connection),
            _ => None,
        };
        let context = SessionContext {
            now,
            settings: &self.settings.hop,
            version: self.settings.version,
            connection,
            outbox: &mut self.outbox,
            session: 0,
            owner: SessionOwner::Application,
        };
        (&mut self.outbound, &mut self.inbound, context)
    }

    /// Forgets the timers of what was answered meanwhile.
    fn prune_timers(&mut self) {
        let outbound = &self.outbound;
        self.outbox.timers.prune(|armed| outbound.is_live_timer(armed));
    }
}

impl Endpoint for Client {
    type Request = ClientRequest;

    fn handle(&mut self, now: Time, input: Input<ClientRequest>) {
        match input {
            Input::Opened(connection) => self.opened(now, connection),
            Input::Closed(connection) => self.closed(now, connection),
            Input::SocketFull(connection) if self.connection() == Some(connection) => {
                self.outbound.on_socket_full();
            }
            Input::Writable(connection) if self.connection() == Some(connection) => {
                let (outbound, _, mut context) = self.split(now);
                outbound.on_writable(&mut context);
            }
            Input::PartOfPacket(connection)
                if self.settings.sign_of_life == SignOfLife::Bytes
                    && self.connection() == Some(connection) =>
            {
                self.last_received = now;
            }
            Input::SocketFull(_) | Input::Writable(_) | Input::PartOfPacket(_) => {}
            Input::Packet { connection, packet, transmission } => {
                if self.connection() == Some(connection) {
                    self.handle_packet(now, packet, transmission);
                }
            }
            Input::Application(request) => self.handle_request(now, request),
            Input::Timeout => self.handle_timeout(now),
        }
        if self.requests.can_send() {
            self.send_due_request(now);
        }
        if self.settings.on_demand {
            self.connect_or_leave_on_demand(now);
        }
        if self.settings.keep_alive > Span::ZERO && self.outbox.has_sends() {
            self.last_sent = now;
        }
        self.prune_timers();
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop()
    }

    fn next_timeout(&self) -> Time {
        let retry = self.outbox.timers.next_deadline();
        retry.min(self.requests.next_deadline()).min(self.next_connection_timeout())
    }

    /// It is away afterwards. What a clean session had in flight is refused when the next CONNACK
    /// shows that the session is gone, as after any loss of the connection.
    fn restart(&mut self, now: Time) {
        self.suspend(now, ConnectionState::Disconnected);
        self.should_connect = false;
        self.failed_connects = 0;
        let (outbound, _, mut context) = self.split(now);
        outbound.restart(&mut context);
        self.inbound.restart(&self.settings.hop);
        self.outbox.restart();
    }

    fn backlog(&self) -> Backlog {
        let connecting = matches!(
            self.connection_state,
            ConnectionState::Opening(_) | ConnectionState::Connecting(..)
        );
        self.outbox.backlog(connecting || self.requests.has_pending())
    }
}
