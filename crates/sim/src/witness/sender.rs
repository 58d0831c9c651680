//! The sender's half of a hop as seen from outside: which message has which packet id, and how
//! often each packet was sent.

use std::collections::BTreeMap;

use super::Ended;
use super::messages::Id;
use qoslab_core::base::event::Dropped;
use qoslab_core::base::name::{Tag, Transmission};
use qoslab_core::base::qos::QoS;
use qoslab_core::mqtt::packet::{Ack, PacketId};
use qoslab_core::mqtt::settings::RepeatedPubrec;

/// Reason codes from here on refuse (MQTT 5.0, section 2.4).
pub(super) const FAILURE: u8 = 0x80;
/// The echo of what belongs to no exchange; see [`Transmission::echo`].
pub(super) const STRAY: u8 = 2;

/// One session's messages on their way out.
#[derive(Default)]
pub(super) struct Sender {
    exchanges: BTreeMap<PacketId, Exchange>,
    /// Whose PUBREC was read last, if no PUBREL was written since.
    answering: Option<PacketId>,
    /// PUBRECs of no known exchange that were not answered yet.
    unknown: BTreeMap<PacketId, Tag>,
    /// How many of them were answered, which names the answers.
    strays: u32,
}

/// A message between its first PUBLISH and its last acknowledgement.
struct Exchange {
    /// `None` for a message that is nobody's.
    message: Option<Id>,
    tag: Tag,
    qos: QoS,
    is_released: bool,
    publishes: u32,
    releases: u32,
}

impl Sender {
    /// A PUBLISH of QoS 1 or 2 was written. Its tag and number if it repeats one, by its id or,
    /// with DUP=1 and another id, by its message.
    pub(super) fn resend(
        &mut self,
        id: PacketId,
        message: Option<Id>,
        dup: bool,
    ) -> Option<(Tag, Transmission)> {
        let is_known = self.exchanges.get(&id).is_some_and(|it| it.message == message);
        if !is_known {
            let mut others = self.exchanges.iter();
            let (&other, _) =
                others.find(|(_, it)| dup && message.is_some() && it.message == message)?;
            let exchange = self.exchanges.remove(&other)?;
            self.exchanges.insert(id, exchange);
        }
        let exchange = self.exchanges.get_mut(&id)?;
        exchange.is_released = false;
        exchange.publishes += 1;
        Some((exchange.tag, numbered(exchange.publishes - 1)))
    }

    /// A PUBLISH of QoS 1 or 2 was written that repeats none. With DUP=1 its sender has counted a
    /// first sending that never left it.
    pub(super) fn launch(
        &mut self,
        id: PacketId,
        message: Option<Id>,
        tag: Tag,
        qos: QoS,
        dup: bool,
    ) -> Transmission {
        let attempt = u32::from(dup);
        let publishes = attempt + 1;
        let exchange = Exchange { message, tag, qos, is_released: false, publishes, releases: 0 };
        self.exchanges.insert(id, exchange);
        numbered(attempt)
    }

    /// A PUBREL was written.
    pub(super) fn release(&mut self, id: PacketId) -> (Tag, Transmission) {
        self.answering = None;
        if let Some(exchange) = self.exchanges.get_mut(&id) {
            exchange.is_released = true;
            exchange.releases += 1;
            return (exchange.tag, numbered(exchange.releases - 1));
        }
        let tag = self.unknown.remove(&id).unwrap_or(Tag::NONE);
        self.strays += 1;
        (tag, Transmission { attempt: self.strays - 1, echo: STRAY })
    }

    /// A PUBACK was read.
    pub(super) fn puback(&mut self, ack: &Ack) -> Option<Ended> {
        let is_awaited = self.awaits(ack.id, QoS::AtLeastOnce);
        if is_awaited { self.end(ack.id, ack.reason) } else { None }
    }

    /// A PUBREC was read; `repeated` is what becomes of one that comes again.
    pub(super) fn pubrec(&mut self, ack: &Ack, repeated: RepeatedPubrec) -> Option<Ended> {
        let is_first = self.awaits(ack.id, QoS::ExactlyOnce);
        let is_answered = is_first || repeated == RepeatedPubrec::Answer;
        self.answering = is_answered.then_some(ack.id);
        if is_first {
            if ack.reason >= FAILURE {
                return self.end(ack.id, ack.reason);
            }
            if let Some(exchange) = self.exchanges.get_mut(&ack.id) {
                exchange.is_released = true;
            }
        } else if !self.exchanges.contains_key(&ack.id) && ack.reason < FAILURE {
            self.unknown.insert(ack.id, ack.tag);
        }
        None
    }

    /// A PUBCOMP was read: it ends the exchange, whatever its reason.
    pub(super) fn pubcomp(&mut self, ack: &Ack) -> Option<Ended> {
        let is_awaited = self.exchanges.get(&ack.id).is_some_and(|it| it.is_released);
        if is_awaited { self.end(ack.id, 0) } else { None }
    }

    /// Its node crashed and has kept all. A PUBREC is read and answered in one step, so a PUBREL
    /// that did not come is taken to have been written down as sent.
    pub(super) fn crashed(&mut self) {
        if let Some(id) = self.answering.take()
            && let Some(exchange) = self.exchanges.get_mut(&id)
        {
            exchange.releases += 1;
        }
    }

    /// The session is gone.
    pub(super) fn end_session(&mut self) {
        self.exchanges.clear();
        self.answering = None;
        self.unknown.clear();
    }

    fn awaits(&self, id: PacketId, qos: QoS) -> bool {
        self.exchanges.get(&id).is_some_and(|it| it.qos == qos && !it.is_released)
    }

    fn end(&mut self, id: PacketId, reason: u8) -> Option<Ended> {
        let tag = self.exchanges.remove(&id)?.tag;
        tag.parts()?;
        Some(if reason >= FAILURE {
            Ended::Refused(tag, Dropped::Rejected)
        } else {
            Ended::Completed(tag)
        })
    }
}

const fn numbered(attempt: u32) -> Transmission {
    Transmission { attempt, echo: 0 }
}
