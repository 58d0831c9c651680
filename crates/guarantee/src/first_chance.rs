//! Whether the broker had a chance to send what it let wait until it expired.
//!
//! A message that expired before its onward delivery began is not owed [MQTT-3.3.2-5]: but a broker
//! that had an open connection to the subscriber, with nothing unacknowledged on it, and did not
//! begin, has no such excuse.

use super::delivery_unit::DeliveryState;
use super::ledger::Ledger;
use super::trial_facts::TrialFacts;
use qoslab_core::base::{
    ClientIndex, MessageId, PacketBody, PacketKind, PacketMeta, PublisherIndex, QoS, Span, Time,
};
use qoslab_core::impl_fingerprint;

/// How long a broker may take to begin: a real one has other work to do.
const PATIENCE: Span = Span::from_secs(1);

/// When the copies expire that the arrivals of a message made: the first of them, and the last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Expiry {
    pub(super) first: Time,
    pub(super) last: Time,
}

impl_fingerprint! { struct Expiry { plain first, last; } }

/// What the broker has under way to one subscriber over a byte stream. Over datagrams, and where
/// the broker sends again by a timer, acknowledgements come twice and cannot be counted.
#[derive(Clone, Debug, Default)]
pub(super) struct SubscriberWindow {
    is_connected: bool,
    /// The socket was full: QoS 0 may wait in it before the rest.
    is_socket_full: bool,
    /// A store brought an older state back.
    is_unknown: bool,
    /// Messages of QoS 1 and 2 that were sent and are not acknowledged.
    unacknowledged: u32,
    /// Since when nothing hindered the broker from sending.
    idle_since: Option<Time>,
    /// What waits to be sent, or to expire.
    waiting: Vec<WaitingMessage>,
}

impl_fingerprint! {
    struct SubscriberWindow {
        plain is_connected, is_socket_full, is_unknown, unacknowledged, idle_since, waiting;
    }
}

/// A message that expires, and when it came to the broker.
#[derive(Clone, Copy, Debug)]
struct WaitingMessage {
    publisher: PublisherIndex,
    sequence: u32,
    since: Time,
}

impl_fingerprint! {
    struct WaitingMessage {
        plain publisher, sequence, since;
    }
}

impl SubscriberWindow {
    /// One for each client, where messages expire.
    pub(super) fn for_trial(trial: &TrialFacts) -> Vec<Self> {
        let has_expiry = trial.publishers.iter().any(|stream| stream.expiry.is_some());
        if has_expiry { vec![Self::default(); trial.clients.len()] } else { Vec::new() }
    }

    fn update(&mut self, now: Time) {
        let is_idle = self.is_connected
            && !self.is_socket_full
            && !self.is_unknown
            && self.unacknowledged == 0;
        self.idle_since = is_idle.then(|| self.idle_since.unwrap_or(now));
    }
}

impl Ledger {
    /// A message came to the broker: notes when it expires, and for whom it is too large.
    pub(super) fn note_limits(
        &mut self,
        now: Time,
        message_id: &MessageId,
        packet: &PacketMeta<'_>,
    ) {
        if let PacketBody::Publish { expiry: Some(seconds), .. } = packet.body {
            let index = message_id.sequence as usize;
            let expiries = &mut self.publishers[message_id.publisher.index()].expiries;
            if expiries.len() <= index {
                expiries.resize(index + 1, Expiry::default());
            }
            let expires = now + Span::from_secs(u64::from(seconds));
            let is_new = expiries[index].last == Time::ZERO;
            let first = if is_new { expires } else { expiries[index].first.min(expires) };
            expiries[index] = Expiry { first, last: expiries[index].last.max(expires) };
            let waits_for_pubrel =
                self.trial.broker_delivers_on_pubrel && message_id.qos == QoS::ExactlyOnce;
            if !waits_for_pubrel {
                self.await_expiry(now, message_id);
            }
        }
        self.excuse_too_large(message_id, packet.size.payload);
    }

    /// The broker begins to forward a message: it waits for its subscribers from now on.
    pub(super) fn await_expiry(&mut self, now: Time, message_id: &MessageId) {
        let Self { trial, publishers, windows, .. } = self;
        let stream = &publishers[message_id.publisher.index()];
        if windows.is_empty() || stream.expiry(message_id.sequence).is_none() {
            return;
        }
        for subscriber in &stream.subscribers {
            let unit = subscriber.units.get(message_id.sequence as usize);
            let client = subscriber.client;
            if unit.is_some_and(|unit| unit.state() == DeliveryState::MustDeliver)
                && trial.delivery_needs_no_reconnect(client)
            {
                let (publisher, sequence) = (message_id.publisher, message_id.sequence);
                let waiting = WaitingMessage { publisher, sequence, since: now };
                windows[client.index()].waiting.push(waiting);
            }
        }
    }

    /// The broker accepted a client: what waits for it may go.
    pub(super) fn on_window_opened(&mut self, now: Time, client: ClientIndex, resumed: bool) {
        let Some(window) = self.windows.get_mut(client.index()) else { return };
        window.is_connected = true;
        window.is_socket_full = false;
        if !resumed {
            window.unacknowledged = 0;
            window.is_unknown = false;
        }
        window.update(now);
    }

    /// The connection is gone at the broker, or its socket is full.
    pub(super) fn on_window_closed(&mut self, now: Time, client: ClientIndex, is_full: bool) {
        if self.windows.is_empty() {
            return;
        }
        self.check_chances(now, client);
        let window = &mut self.windows[client.index()];
        if is_full {
            window.is_socket_full = true;
        } else {
            window.is_connected = false;
        }
        window.update(now);
    }

    /// The broker crashed, and its store goes back.
    pub(super) fn mark_windows_unknown(&mut self) {
        for window in &mut self.windows {
            window.is_unknown = true;
        }
    }

    /// The broker sent a PUBLISH; `is_new`: one that is to be acknowledged, for the first time.
    #[inline]
    pub(super) fn on_window_used(&mut self, now: Time, client: ClientIndex, is_new: bool) {
        if self.windows.is_empty() {
            return;
        }
        self.check_chances(now, client);
        let window = &mut self.windows[client.index()];
        window.unacknowledged += u32::from(is_new);
        // What is sent begins the wait of the rest anew.
        window.idle_since = None;
        window.update(now);
    }

    /// An acknowledgement of the second hop reached the broker.
    #[inline]
    pub(super) fn on_second_hop_ack(&mut self, now: Time, packet: &PacketMeta<'_>) {
        if self.windows.is_empty() {
            return;
        }
        let ends = match packet.kind() {
            PacketKind::PubAck | PacketKind::PubComp => true,
            PacketKind::PubRec => packet.reason >= 0x80,
            _ => false,
        };
        let window = &mut self.windows[packet.name.client.index()];
        window.unacknowledged = window.unacknowledged.saturating_sub(u32::from(ends));
        window.update(now);
    }

    /// Whoever waited while nothing hindered the broker has been held back.
    pub(super) fn check_chances(&mut self, now: Time, client: ClientIndex) {
        let Self { publishers, windows, .. } = self;
        let Some(window) = windows.get_mut(client.index()) else { return };
        let Some(idle_since) = window.idle_since else { return };
        if window.waiting.is_empty() || now <= idle_since + PATIENCE {
            return;
        }
        window.waiting.retain(|message| {
            let stream = &mut publishers[message.publisher.index()];
            let Some(Expiry { first, .. }) = stream.expiry(message.sequence) else { return false };
            let Some(unit) = stream.unit_mut(client, message.sequence) else { return false };
            if unit.state() != DeliveryState::MustDeliver {
                return false;
            }
            let had_chance = first.min(now) > message.since.max(idle_since) + PATIENCE;
            if had_chance {
                unit.set_state(DeliveryState::NoExcuse, unit.granted());
            }
            !had_chance && first > now
        });
    }

    /// The trial is over: what expired before the broker could begin is not owed, whether or not
    /// the broker says so.
    pub(super) fn excuse_expired(&mut self, now: Time) {
        for client in (0..).map(ClientIndex).take(self.windows.len()) {
            self.check_chances(now, client);
        }
        for stream in &mut self.publishers {
            for subscriber in &mut stream.subscribers {
                for (sequence, expiry) in (0..).zip(&stream.expiries) {
                    let is_over = expiry.last > Time::ZERO && expiry.last <= now;
                    if !is_over || subscriber.is_past_epoch(sequence) {
                        continue;
                    }
                    let Some(unit) = subscriber.units.get_mut(sequence as usize) else { break };
                    if unit.copies() == 0 && unit.state() == DeliveryState::MustDeliver {
                        unit.set_state(DeliveryState::Expired, unit.granted());
                    }
                }
            }
        }
        self.shared.excuse_expired(&self.publishers, now);
        self.retained.excuse_expired(now);
    }
}
