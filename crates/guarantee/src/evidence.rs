//! What is kept of one offending message in the second pass.

use std::collections::{BTreeMap, BTreeSet};

use super::monitor::Break;
use super::roster::StreamFacts;
use super::subscriptions::Subscriptions;
use qoslab_core::base::event::{Dropped, Fate, Record};
use qoslab_core::base::name::{ClientIndex, Hop, Kind, Node, StreamIndex, Way};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Time;

/// At most so many acts of one message are kept for its story.
const MAX_ACTS: usize = 200;

/// How many delivery times are kept of one subscriber.
const MAX_TIMES: usize = 8;

/// One offending message.
#[derive(Clone, Debug, Default)]
pub(super) struct Case {
    /// The published QoS and time, once it was submitted.
    pub(super) published: Option<(QoS, Time)>,
    /// When its publisher's handshake was complete.
    pub(super) completed: Option<Time>,
    /// The subscribers whose units are offenders.
    pub(super) subscribers: Vec<ClientIndex>,
    /// What happened, in order.
    pub(super) acts: Vec<(Time, Act)>,
    /// The rules broken that concern it, in the order in which they were seen.
    pub(super) breaks: Vec<Break>,
    /// What the network did to its packets, by link and hop.
    pub(super) harm: BTreeMap<(ClientIndex, Hop), Harm>,
    /// What endpoints let go of: the subscriber, or `None` for the publisher, and why.
    pub(super) dropped: Vec<(Option<ClientIndex>, Dropped)>,
    /// The subscribers for whom a full queue dropped what the broker could have refused: a copy of
    /// what its publisher sends, and neither a will nor a retained message that a SUBSCRIBE asks
    /// for.
    pub(super) not_refused: Vec<ClientIndex>,
    /// What subscribers got.
    pub(super) deliveries: BTreeMap<ClientIndex, Deliveries>,
    /// A receiver took it for another message, whose packet id it still held.
    pub(super) mistaken: Option<Mistaken>,
    /// Its sender took an acknowledgement of another message for its own.
    pub(super) misled: Option<Misled>,
    /// How often the broker had reason to forward it.
    pub(super) reasons: u32,
    /// When the broker acknowledged it as new.
    pub(super) accepted: Option<Time>,
    /// What the broker did for each subscriber.
    pub(super) onward: BTreeMap<ClientIndex, Onward>,
    /// The copies that the broker sent to each subscriber.
    pub(super) copies: BTreeSet<(ClientIndex, u32)>,
    /// When its PUBLISH or PUBREL was sent, in order: all of them, where the story has the first.
    sends: BTreeMap<(ClientIndex, Hop), Vec<Time>>,
}

/// Something that happened to a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// Its application published it.
    Published,
    /// The broker published it as a will.
    Willed,
    /// Its publisher's handshake is complete.
    Completed,
    /// A packet was sent.
    Sent { link: ClientIndex, way: Way, hop: Hop, first: u8, id: u16, kind: Kind, fate: Fate },
    /// A packet arrived where its connection was gone.
    Stale { link: ClientIndex, way: Way, hop: Hop, kind: Kind },
    /// A receiver took it for another message.
    Mistaken(Mistaken),
    /// Its sender took an acknowledgement of another message for its own.
    Misled(Misled),
    /// A subscriber's application got it.
    Delivered { client: ClientIndex },
    /// An endpoint let go of it.
    LetGo { client: Option<ClientIndex>, why: Dropped },
}

/// A QoS 2 message whose packet id the receiver still held for another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mistaken {
    pub(super) link: ClientIndex,
    pub(super) hop: Hop,
    pub(super) id: u16,
    /// The message that it was taken for.
    pub(super) other: (StreamIndex, u32),
    /// Why the sender no longer held the id for it.
    pub(super) freed: Freed,
}

/// Why a packet id is free at its sender while its receiver still holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freed {
    /// An acknowledgement came, perhaps of an older message of the same id.
    Acknowledged,
    /// The sender had given its message up, after the set number of transmissions.
    GivenUp,
    /// The sender's store had forgotten it in a crash.
    Forgotten,
}

/// An acknowledgement of an older message of the same packet id that came for a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Misled {
    pub(super) link: ClientIndex,
    pub(super) hop: Hop,
    pub(super) id: u16,
    pub(super) kind: Kind,
    /// The message that was acknowledged.
    pub(super) other: (StreamIndex, u32),
}

/// What the network did to a message's packets on one hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Harm {
    pub(super) lost: u32,
    /// Nobody read them: their connection was gone when they came, or ended before.
    pub(super) cut: u32,
    pub(super) duplicated: u32,
    pub(super) reordered: u32,
}

/// What one subscriber got.
#[derive(Clone, Debug, Default)]
pub(super) struct Deliveries {
    pub(super) times: Vec<Time>,
    pub(super) copies: u32,
    /// When the last copy came.
    pub(super) last: Time,
}

/// The second hop to one subscriber, as the broker and the subscriber see it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Onward {
    /// The highest QoS granted at an arrival of the message at the broker.
    pub(super) granted: Option<QoS>,
    /// The lowest of what was granted at its arrivals; `None` where that is not sure.
    pub(super) least: Option<QoS>,
    /// Copies that the broker sent.
    pub(super) sent: u32,
    /// The highest QoS among them, and when that was sent last.
    pub(super) best: Option<(QoS, Time)>,
    /// It was sent as a retained message.
    pub(super) retained: bool,
    /// It arrived and was new to the subscriber's endpoint.
    pub(super) taken: bool,
    /// When the subscriber's endpoint told the broker that it is done.
    pub(super) acknowledged: Option<Time>,
}

impl Case {
    /// Keeps an act for the story.
    pub(super) fn act(&mut self, now: Time, act: Act) {
        if self.acts.len() < MAX_ACTS {
            self.acts.push((now, act));
        }
    }

    /// Keeps what the network decided for a packet.
    pub(super) fn sent(&mut self, now: Time, record: &Record<'_>, hop: Hop, fate: &Fate) {
        let harm = self.harm.entry((record.name.client, hop)).or_default();
        match fate {
            Fate::Stream => {}
            Fate::Lost(_) => harm.lost += 1,
            Fate::Arrives(arrival) => {
                harm.duplicated += u32::from(arrival.again.is_some());
                harm.reordered += u32::from(arrival.overtakes);
            }
        }
        if matches!(record.kind(), Kind::Publish | Kind::PubRel) {
            self.sends.entry((record.name.client, hop)).or_default().push(now);
        }
        let act = Act::Sent {
            link: record.name.client,
            way: record.name.way,
            hop,
            first: record.first,
            id: record.id,
            kind: record.kind(),
            fate: *fate,
        };
        self.act(now, act);
    }

    /// The broker has a reason to forward it, to those who have a subscription now.
    pub(super) fn reach(&mut self, stream: &StreamFacts, subscriptions: &Subscriptions) {
        self.reasons += 1;
        for client in &self.subscribers {
            let onward = self.onward.entry(*client).or_default();
            let least = subscriptions.least_level(*client, stream);
            onward.least = if self.reasons == 1 { least } else { onward.least.min(least) };
            onward.granted = onward.granted.max(subscriptions.any_level(*client, stream));
        }
    }

    /// When its PUBLISH or PUBREL was last sent in one direction of a link before a time.
    pub(super) fn last_sent(&self, client: ClientIndex, on: Hop, before: Time) -> Option<Time> {
        self.sends.get(&(client, on))?.iter().rev().find(|at| **at < before).copied()
    }

    /// Keeps a delivery.
    pub(super) fn delivered(&mut self, now: Time, client: ClientIndex) {
        let deliveries = self.deliveries.entry(client).or_default();
        deliveries.copies += 1;
        deliveries.last = now;
        if deliveries.times.len() < MAX_TIMES {
            deliveries.times.push(now);
        }
        self.act(now, Act::Delivered { client });
    }

    /// The harm done on the way from the publisher to one subscriber, on those links that count.
    pub(super) fn harm_on_way(
        &self,
        publisher: ClientIndex,
        subscriber: Option<ClientIndex>,
        counts: impl Fn(ClientIndex) -> bool,
    ) -> Harm {
        let on = |link: ClientIndex, hop| self.harm.get(&(link, hop)).filter(|_| counts(link));
        let first = on(publisher, Hop::First);
        let second = subscriber.and_then(|client| on(client, Hop::Second));
        first.into_iter().chain(second).fold(Harm::default(), |sum, harm| Harm {
            lost: sum.lost + harm.lost,
            cut: sum.cut + harm.cut,
            duplicated: sum.duplicated + harm.duplicated,
            reordered: sum.reordered + harm.reordered,
        })
    }

    /// The first broken rule, in causal order, that concerns the message on its way to one
    /// subscriber.
    pub(super) fn first_break(
        &self,
        subscriber: Option<ClientIndex>,
        counts: impl Fn(&Break) -> bool,
    ) -> Option<&Break> {
        let concerns =
            |broken: &&Break| broken.hop == Hop::First || Some(broken.link) == subscriber;
        // Of equals, `min_by_key` gives the one that was seen first.
        self.breaks.iter().filter(concerns).filter(|it| counts(it)).min_by_key(|broken| broken.at)
    }

    /// Whether an endpoint let go of what a subscriber, or the publisher itself, waited for.
    pub(super) fn let_go(&self, client: Option<ClientIndex>, why: Dropped) -> bool {
        self.dropped
            .iter()
            .any(|(whom, reason)| *reason == why && (*whom == client || whom.is_none()))
    }
}

impl Harm {
    /// Whether the network did anything at all.
    pub(super) const fn any(self) -> bool {
        self.lost + self.cut + self.duplicated + self.reordered > 0
    }
}

/// Whose end of a link a way leads to.
pub(super) const fn receiver(link: ClientIndex, way: Way) -> Node {
    match way {
        Way::Up => Node::Broker,
        Way::Down => Node::Client(link),
    }
}
