//! One exchange that is not yet acknowledged.

use serde::{Serialize, Serializer};

use super::Outgoing;
use super::peer::Peer;
use crate::base::fingerprint;
use crate::base::name::{Tag, Transmission};
use crate::base::qos::QoS;
use crate::base::time::Time;
use crate::mqtt::host::Host;
use crate::mqtt::ids::IdRing;
use crate::mqtt::packet::{Ack, Level, Packet, PacketId, Publish};
use crate::mqtt::quirks::{Quirk, Quirks};
use crate::mqtt::retry::Stamp;

#[derive(Clone, Debug, Serialize)]
pub(super) struct InFlight {
    pub(super) state: State,
    /// How often the state's packet was sent before the last time.
    #[serde(serialize_with = "fingerprint::attempt")]
    pub(super) attempt: u32,
    /// How often it was sent by the retry rule's count: since the last connect, and without
    /// repeats that a repeated PUBREC asked for.
    #[serde(serialize_with = "fingerprint::transmissions")]
    pub(super) transmissions: u32,
    /// How many PUBRELs were sent before the PUBLISH was replayed, as only a quirk does.
    #[serde(serialize_with = "fingerprint::attempt")]
    released: u32,
    /// Whether its PUBLISH was sent on this connection.
    pub(super) placed: bool,
    /// Its place in the original order.
    // Written as an order: see `in_order`.
    #[serde(skip)]
    pub(super) order: u64,
    pub(super) timer: Stamp,
}

#[derive(Clone, Debug, Serialize)]
pub(super) enum State {
    Publish(Outgoing),
    Release {
        tag: Tag,
        expires: Time,
        /// The message, which a correct sender may forget once it has PUBREC.
        kept: Option<Box<Kept>>,
    },
}

/// What a sender that replays after PUBREL has kept.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Kept {
    outgoing: Outgoing,
    /// How often its PUBLISH was sent before the last time.
    #[serde(serialize_with = "fingerprint::attempt")]
    attempt: u32,
}

/// What is in flight, and besides in which order it was sent first: the numbers themselves grow for
/// ever and say nothing more.
pub(super) fn in_order<S: Serializer>(ring: &IdRing<InFlight>, to: S) -> Result<S::Ok, S::Error> {
    let mut order: Vec<_> = ring.iter().map(|(id, entry)| (entry.order, id)).collect();
    order.sort_unstable();
    let order: Vec<PacketId> = order.into_iter().map(|(_, id)| id).collect();
    (ring, order).serialize(to)
}

impl InFlight {
    pub(super) const fn new(outgoing: Outgoing, order: u64) -> Self {
        Self {
            state: State::Publish(outgoing),
            attempt: 0,
            transmissions: 0,
            released: 0,
            placed: false,
            order,
            timer: Stamp::DISARMED,
        }
    }

    /// Sends by the retry rule: counted, and with the timer armed.
    pub(super) fn send(&mut self, host: &mut Host<'_>, peer: &mut Peer, id: PacketId) {
        self.transmissions += 1;
        self.timer = host.outbox.timers.arm(host.now, host.session, id, self.transmissions);
        self.transmit(host, peer, id);
    }

    pub(super) fn transmit(&self, host: &mut Host<'_>, peer: &mut Peer, id: PacketId) {
        let Some(connection) = host.connection else { return };
        let packet = match &self.state {
            State::Publish(outgoing) => Packet::Publish(Publish {
                level: match outgoing.qos {
                    QoS::ExactlyOnce => Level::ExactlyOnce(id),
                    _ => Level::AtLeastOnce(id),
                },
                // [MQTT-3.3.1-1]: DUP is 1 on every re-delivery. The quirk: the packet is kept as
                // it was first encoded.
                dup: self.attempt > 0 && !host.settings.quirks.has(Quirk::DupNeverSet),
                retain: outgoing.retain,
                message: outgoing.message.clone(),
                properties: peer.properties(host, outgoing),
            }),
            State::Release { tag, .. } => Packet::PubRel(Ack { id, reason: 0, tag: *tag }),
        };
        host.outbox.send(connection, packet, Transmission { attempt: self.attempt, echo: 0 });
    }

    /// PUBREC came: from now on it is PUBREL that awaits an answer.
    pub(super) fn release(&mut self, quirks: Quirks) {
        let State::Publish(outgoing) = &self.state else { return };
        let (tag, expires) = (outgoing.message.tag, outgoing.expires);
        // The quirk: that PUBREL was sent is not written down, so a client that resumes knows of
        // the PUBLISH alone.
        let kept = quirks.has(Quirk::ReplayPublishAfterPubrel).then(|| {
            let outgoing = outgoing.clone();
            Box::new(Kept { outgoing, attempt: self.attempt })
        });
        self.state = State::Release { tag, expires, kept };
        self.attempt = self.released;
        self.transmissions = 0;
    }

    /// Goes back to PUBLISH, if the message was kept.
    pub(super) fn replay(&mut self) {
        if let State::Release { kept, .. } = &mut self.state
            && let Some(kept) = kept.take()
        {
            self.released = self.attempt + 1;
            self.attempt = kept.attempt;
            self.state = State::Publish(kept.outgoing);
        }
    }

    /// Whether sending it takes a place in the window: PUBLISH does, once on each connection, and
    /// PUBREL does not.
    pub(super) const fn needs_place(&self) -> bool {
        !self.placed && !self.is_released()
    }

    pub(super) const fn is_released(&self) -> bool {
        matches!(self.state, State::Release { .. })
    }

    /// The quirk: expiry ends an exchange whose PUBREL is owed, though nothing that was sent may
    /// expire [MQTT-4.3.3-7]. Products that sweep their queues for expired messages do it.
    pub(super) fn expires_in_flight(&self, host: &Host<'_>) -> bool {
        matches!(self.state, State::Release { expires, .. } if expires <= host.now)
            && host.settings.quirks.has(Quirk::ExpireInflightQos2)
    }

    pub(super) const fn tag(&self) -> Tag {
        match &self.state {
            State::Publish(outgoing) => outgoing.message.tag,
            State::Release { tag, .. } => *tag,
        }
    }
}
