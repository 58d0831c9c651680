//! Livelocks: a trial that goes on for ever, as one packet is begun again and again in vain.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::trial_facts::TrialFacts;
use qoslab_core::base::{
    ClientIndex, CloseReason, Event, Hop, Observer, PacketKind, PacketMeta, PacketSubject,
    PublisherIndex, Time,
};

/// As many vain attempts in a row are no bad luck.
const MIN_ATTEMPTS: u32 = 3;

/// A packet that was begun again and again and never arrived, though the trial went on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Livelock {
    /// How often it was begun since it last arrived, if it ever did.
    pub attempts: u32,
    /// What was seen, as one plain sentence without its full stop.
    pub sentence: String,
}

/// One packet of one message on its way, whichever attempt.
type AttemptedPacket = (ClientIndex, Hop, PublisherIndex, u32, PacketKind);

/// Counts the attempts of each packet that has not arrived, and how connections ended.
#[derive(Clone, Debug)]
pub struct LivelockObserver {
    trial: Arc<TrialFacts>,
    attempts: BTreeMap<AttemptedPacket, u32>,
    closings: BTreeMap<(ClientIndex, CloseReason), u32>,
}

impl LivelockObserver {
    /// An observer before any event.
    #[must_use]
    pub fn new(trial: &Arc<TrialFacts>) -> Self {
        let (attempts, closings) = (BTreeMap::new(), BTreeMap::new());
        Self { trial: Arc::clone(trial), attempts, closings }
    }

    /// The packet with the most vain attempts; `None` if none has so many that it is no bad luck.
    #[must_use]
    pub fn finish(self) -> Option<Livelock> {
        // Of equals the first.
        let most = self.attempts.iter().rev().max_by_key(|(_, attempts)| **attempts);
        let (packet, attempts) = most.filter(|(_, attempts)| **attempts >= MIN_ATTEMPTS)?;
        Some(Livelock { attempts: *attempts, sentence: self.sentence(*packet, *attempts) })
    }

    fn sentence(&self, packet: AttemptedPacket, attempts: u32) -> String {
        let (client, hop, publisher, sequence, kind) = packet;
        let stream = &self.trial.publishers[publisher.index()].name;
        let name = self.trial.client_name(client);
        let is_upwards =
            (hop == Hop::First) == matches!(kind, PacketKind::Publish | PacketKind::PubRel);
        let way = if is_upwards {
            format!("from `{name}` to the broker")
        } else {
            format!("from the broker to `{name}`")
        };
        let sentence = format!(
            "the same {} (message #{sequence} of `{stream}`, {way}) was begun {attempts} times \
             and never finished",
            kind.label()
        );
        let of_client = self.closings.iter().filter(|((closed, _), _)| *closed == client);
        match of_client.rev().max_by_key(|(_, count)| **count) {
            Some(((_, why), count)) => {
                format!("{sentence}; {count} connections of `{name}` {}", closing_words(*why))
            }
            None => sentence,
        }
    }
}

const fn closing_words(why: CloseReason) -> &'static str {
    match why {
        CloseReason::Requested => "were closed by one end",
        CloseReason::KeepAlive => "were closed because nothing was heard for too long (keep alive)",
        CloseReason::TakenOver => "were taken over by the next one",
        CloseReason::Protocol => "were closed for a protocol error",
        CloseReason::Peer => "were closed by the other end",
        CloseReason::Reset => "were reset",
        CloseReason::Cut => "were cut",
        CloseReason::UserTimeout => "were given up by TCP",
        CloseReason::Crash => "ended in a crash",
    }
}

/// The packet without its attempt; `None` of one that belongs to no message.
fn attempted_packet(packet: &PacketMeta<'_>) -> Option<AttemptedPacket> {
    let PacketSubject::Message { hop, .. } = packet.name.subject else { return None };
    let message_id = packet.tag.message_id()?;
    let kind = packet.kind();
    Some((packet.name.client, hop, message_id.publisher, message_id.sequence, kind))
}

impl Observer for LivelockObserver {
    fn observe(&mut self, _: Time, event: &Event<'_>) {
        match event {
            Event::Sent { packet, .. } => {
                if let Some(packet) = attempted_packet(packet) {
                    *self.attempts.entry(packet).or_default() += 1;
                }
            }
            Event::Arrived { packet, .. } => {
                if let Some(packet) = attempted_packet(packet) {
                    self.attempts.remove(&packet);
                }
            }
            // The end that is told by the other one knows no reason of its own.
            Event::Closed { client, why, .. } if *why != CloseReason::Peer => {
                *self.closings.entry((*client, *why)).or_default() += 1;
            }
            _ => {}
        }
    }
}
