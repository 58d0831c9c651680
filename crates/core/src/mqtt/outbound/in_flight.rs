//! One exchange that is not yet acknowledged.

use super::QueuedMessage;
use super::peer::Peer;
use crate::base::fingerprint::Fingerprinter;
use crate::base::{MessageTag, QoS, Time, Transmission};
use crate::impl_fingerprint;
use crate::mqtt::ids::IdRing;
use crate::mqtt::packet::{Packet, PacketId, Publish, PublishAck, PublishLevel};
use crate::mqtt::quirks::Quirk;
use crate::mqtt::retry::TimerGeneration;
use crate::mqtt::session_context::SessionContext;
use crate::mqtt::settings::HopSettings;

#[derive(Clone, Debug)]
pub(super) struct InFlight {
    pub(super) state: InFlightState,
    /// How often the state's packet was sent before the last time.
    pub(super) attempt: u32,
    /// Whether its next PUBLISH is the first in a new session.
    begins_anew: bool,
    /// How often it was sent by the retry rule's count: since the last connect, and without
    /// repeats that a repeated PUBREC asked for.
    pub(super) transmissions: u32,
    /// How many PUBRELs were sent before the PUBLISH was replayed, as only a quirk does.
    pubrels_sent: u32,
    /// Whether its PUBLISH was sent on this connection.
    pub(super) is_in_peer_window: bool,
    /// Its place in the original order.
    pub(super) order: u64,
    pub(super) timer: TimerGeneration,
}

impl_fingerprint! {
    struct InFlight {
        plain state, is_in_peer_window, timer, begins_anew;
        attempt attempt, pubrels_sent;
        transmissions transmissions;
        skip order: "counts as an order: see `write_in_order`";
    }
}

#[derive(Clone, Debug)]
pub(super) enum InFlightState {
    Publish(QueuedMessage),
    Release {
        tag: MessageTag,
        expires: Time,
        /// The message, which a correct sender may forget once it has PUBREC.
        kept: Option<Box<KeptPublish>>,
    },
}

impl_fingerprint! {
    enum InFlightState {
        Publish(message),
        Release { tag, expires, kept },
    }
}

/// Data kept by a sender that replays after PUBREL.
#[derive(Clone, Debug)]
pub(super) struct KeptPublish {
    outgoing: QueuedMessage,
    /// How often its PUBLISH was sent before the last time.
    attempt: u32,
}

impl_fingerprint! {
    struct KeptPublish {
        plain outgoing;
        attempt attempt;
    }
}

/// Writes what is in flight, and besides in which order it was sent first: the numbers themselves
/// grow for ever and say nothing more.
pub(super) fn write_in_order(ring: &IdRing<InFlight>, into: &mut Fingerprinter) {
    let mut order: Vec<_> = ring.iter().map(|(id, entry)| (entry.order, id)).collect();
    order.sort_unstable();
    let order: Vec<PacketId> = order.into_iter().map(|(_, id)| id).collect();
    into.plain(&(ring, order));
}

impl InFlight {
    pub(super) const fn new(outgoing: QueuedMessage, order: u64) -> Self {
        Self {
            state: InFlightState::Publish(outgoing),
            attempt: 0,
            begins_anew: false,
            transmissions: 0,
            pubrels_sent: 0,
            is_in_peer_window: false,
            order,
            timer: TimerGeneration::DISARMED,
        }
    }

    /// Sends by the retry rule: counted, and with the timer armed.
    pub(super) fn send(&mut self, context: &mut SessionContext<'_>, peer: &mut Peer, id: PacketId) {
        self.transmissions += 1;
        self.timer =
            context.outbox.timers.arm(context.now, context.session, id, self.transmissions);
        self.transmit(context, peer, id);
        self.begins_anew = false;
    }

    /// Arms the timer anew, without sending.
    pub(super) fn wait_again(&mut self, context: &mut SessionContext<'_>, id: PacketId) {
        self.timer =
            context.outbox.timers.arm(context.now, context.session, id, self.transmissions.max(1));
    }

    pub(super) fn transmit(&self, context: &mut SessionContext<'_>, peer: &mut Peer, id: PacketId) {
        let Some(connection) = context.connection else { return };
        let packet = match &self.state {
            InFlightState::Publish(outgoing) => Packet::Publish(Publish {
                level: match outgoing.qos {
                    QoS::ExactlyOnce => PublishLevel::ExactlyOnce(id),
                    _ => PublishLevel::AtLeastOnce(id),
                },
                // [MQTT-3.3.1-1]: DUP is 1 on every re-delivery. The quirk: the packet is kept as
                // it was first encoded.
                dup: self.attempt > 0
                    && !self.begins_anew
                    && !context.settings.quirks.has(Quirk::DupNeverSet),
                retain: outgoing.retain,
                message: outgoing.message.clone(),
                properties: peer.properties(context, outgoing),
            }),
            InFlightState::Release { tag, .. } => {
                Packet::PubRel(PublishAck { id, reason: 0, tag: *tag })
            }
        };
        context.outbox.send(
            connection,
            packet,
            Transmission { attempt: self.attempt, duplicate_index: 0 },
        );
    }

    /// PUBREC came: from now on it is PUBREL that awaits an answer.
    pub(super) fn start_release(&mut self, settings: &HopSettings) {
        let InFlightState::Publish(outgoing) = &self.state else { return };
        let (tag, expires) = (outgoing.message.tag, outgoing.expires);
        // The quirk: that PUBREL was sent is not recorded, so a client that resumes knows of
        // the PUBLISH alone.
        let is_kept = settings.keep_outbox || settings.quirks.has(Quirk::ReplayPublishAfterPubrel);
        let kept = is_kept.then(|| {
            let outgoing = outgoing.clone();
            Box::new(KeptPublish { outgoing, attempt: self.attempt })
        });
        self.state = InFlightState::Release { tag, expires, kept };
        self.attempt = self.pubrels_sent;
        self.transmissions = 0;
    }

    /// Goes back to PUBLISH, if the message was kept.
    pub(super) fn return_to_publish(&mut self) {
        if let InFlightState::Release { kept, .. } = &mut self.state
            && let Some(kept) = kept.take()
        {
            self.pubrels_sent = self.attempt + 1;
            self.attempt = kept.attempt;
            self.state = InFlightState::Publish(kept.outgoing);
        }
    }

    /// It begins anew, in a new session, with the next PUBLISH.
    pub(super) fn start_again(&mut self) {
        self.return_to_publish();
        self.begins_anew = true;
    }

    /// Whether sending it takes a place in the window: PUBLISH does, once on each connection, and
    /// PUBREL does not.
    pub(super) const fn needs_window_place(&self) -> bool {
        !self.is_in_peer_window && !self.is_released()
    }

    pub(super) const fn is_released(&self) -> bool {
        matches!(self.state, InFlightState::Release { .. })
    }

    /// The quirk: expiry ends an exchange whose PUBREL is owed, though nothing that was sent may
    /// expire [MQTT-4.3.3-7]. Implementations that sweep their queues for expired messages do it.
    pub(super) fn is_expired_by_quirk(&self, context: &SessionContext<'_>) -> bool {
        matches!(self.state, InFlightState::Release { expires, .. } if expires <= context.now)
            && context.settings.quirks.has(Quirk::ExpireInflightQos2)
    }

    pub(super) const fn tag(&self) -> MessageTag {
        match &self.state {
            InFlightState::Publish(outgoing) => outgoing.message.tag,
            InFlightState::Release { tag, .. } => *tag,
        }
    }
}
