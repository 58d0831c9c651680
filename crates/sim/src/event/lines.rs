//! The links and what is under way on them.

use std::sync::Arc;

use serde::Serialize;

use crate::trial::ClientSetup;
use qoslab_core::base::draw::Key;
use qoslab_core::base::event::{Body, Record, Size};
use qoslab_core::base::name::{
    ClientIndex, Connection, Hop, Kind, PacketName, Subject, Tag, Transmission, Way,
};
use qoslab_core::base::time::{Span, Time};
use qoslab_core::mqtt::packet::Packet;
use qoslab_core::mqtt::settings::Version;
use qoslab_core::network::link::{LinkKeys, LinkState};
use qoslab_core::network::settings::{TcpSettings, Transport};
use qoslab_core::network::tcp::{header_bytes, tls_bytes};

/// One client's line to the broker.
#[derive(Serialize)]
pub(super) struct Line {
    pub(super) link: LinkState,
    // The same in all states of a trial.
    #[serde(skip)]
    pub(super) version: Version,
    /// The headers of a datagram; over TCP, those of a segment.
    // The same in all states of a trial.
    #[serde(skip)]
    pub(super) headers: u32,
    /// What TCP is set to do; `None` over datagrams.
    // The same in all states of a trial.
    #[serde(skip)]
    pub(super) tcp: Option<TcpSettings>,
    /// Whether the client has a TLS session to resume.
    pub(super) has_tls_session: bool,
    /// How many faults hold up the link, and how many slow down its client; the latter's pace.
    pub(super) stalls: u32,
    pub(super) slowed: u32,
    pub(super) pace: Span,
    /// How many faults part each direction.
    pub(super) partitions: [u32; 2],
    /// The connections over TCP that are not over.
    pub(super) streams: Vec<Connection>,
    /// When the outage that is to come, or is on, ends.
    // Nothing is left to luck where states are compared.
    #[serde(skip)]
    pub(super) outage_ends: Time,
    /// How many control packets of each kind were sent, upwards and downwards.
    // Gives names, and only grows.
    #[serde(skip)]
    sent: [[u32; Kind::ALL.len()]; 2],
}

impl Line {
    pub(super) fn new(root: Key, client: &ClientSetup) -> Self {
        let (headers, tcp) = match client.link.transport {
            Transport::Datagram { headers } => (headers, None),
            Transport::Tcp(tcp) => (tcp.headers, Some(tcp)),
        };
        Self {
            link: LinkState::new(Arc::clone(&client.link), LinkKeys::new(root, &client.name)),
            version: client.settings.version,
            headers,
            tcp,
            has_tls_session: false,
            stalls: 0,
            slowed: 0,
            pace: Span::ZERO,
            partitions: [0; 2],
            streams: Vec::new(),
            outage_ends: Time::NEVER,
            sent: Default::default(),
        }
    }

    /// A packet as an observer sees it; `length` is how long it is, where that is not how long we
    /// would write it.
    #[inline]
    pub(super) fn record<'p>(
        &self,
        packet: &'p Packet,
        name: PacketName,
        length: Option<u32>,
    ) -> Record<'p> {
        let mut record = packet.describe(self.version, name, 0);
        record.size.mqtt = length.unwrap_or(record.size.mqtt);
        record.size.headers = self.headers_of(record.size.mqtt);
        record
    }

    /// How many bytes the transport adds to a packet of so many.
    #[inline]
    fn headers_of(&self, mqtt: u32) -> u32 {
        self.tcp.as_ref().map_or(self.headers, |tcp| {
            let tls = tls_bytes(tcp.tls, mqtt);
            tls + header_bytes(tcp, mqtt + tls)
        })
    }

    /// What a packet that is sent now is.
    pub(super) fn name(
        &mut self,
        client: ClientIndex,
        way: Way,
        kind: Kind,
        tag: Tag,
        transmission: Transmission,
    ) -> PacketName {
        let subject = match tag.parts() {
            Some(parts) => Subject::Message {
                stream: parts.stream,
                sequence: parts.sequence,
                hop: hop(way, kind),
                copy: parts.copy,
                transmission,
            },
            None => Subject::Control { nth: self.count(way, kind) },
        };
        PacketName { client, way, kind, subject }
    }

    /// How many packets of this kind that belong to no message went this way before.
    fn count(&mut self, way: Way, kind: Kind) -> u32 {
        let sent = &mut self.sent[usize::from(way == Way::Down)][kind as usize];
        *sent += 1;
        *sent - 1
    }
}

/// The publisher sends PUBLISH and PUBREL up, and is answered down; the broker sends them down to
/// a subscriber, and is answered up.
const fn hop(way: Way, kind: Kind) -> Hop {
    match (way, kind) {
        (Way::Up, Kind::Publish | Kind::PubRel)
        | (Way::Down, Kind::PubAck | Kind::PubRec | Kind::PubComp) => Hop::First,
        _ => Hop::Second,
    }
}

/// A reset as an observer sees it: nothing but the transport's headers.
pub(super) const fn reset(name: PacketName, headers: u32) -> Record<'static> {
    Record {
        name,
        tag: Tag::NONE,
        first: 0,
        id: 0,
        reason: 0,
        size: Size { mqtt: 0, payload: 0, headers },
        body: Body::None,
    }
}

/// Packets on their way are many.
const _: () = assert!(size_of::<Envelope>() <= 136);

/// A packet on its way.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Envelope {
    pub(super) name: PacketName,
    pub(super) connection: Connection,
    pub(super) transmission: Transmission,
    /// How many packets were written before it, where nodes are driven elsewhere.
    #[serde(skip)]
    pub(super) serial: u32,
    /// `None` for a reset.
    pub(super) packet: Option<Packet>,
}

/// The packets on their way, each in a place that is used again when it has arrived.
#[derive(Default)]
pub(super) struct UnderWay {
    places: Vec<Place>,
    free: Vec<u32>,
    /// How many arrivals are to come that quiescence waits for.
    awaited: usize,
}

enum Place {
    Free,
    Once(Envelope),
    Twice(Envelope),
}

impl UnderWay {
    /// Takes a packet that arrives once or twice. The number of its place.
    #[inline]
    pub(super) fn put(&mut self, envelope: Envelope, twice: bool) -> u32 {
        self.awaited += is_awaited(&envelope) * (1 + usize::from(twice));
        let place = if twice { Place::Twice(envelope) } else { Place::Once(envelope) };
        if let Some(number) = self.free.pop() {
            self.places[number as usize] = place;
            return number;
        }
        let number = u32::try_from(self.places.len()).expect("2^32 packets are above any memory");
        self.places.push(place);
        number
    }

    /// Gives out a packet that arrives. The second of two is marked as an echo, so that what is
    /// sent in answer to it has a name of its own.
    #[inline]
    pub(super) fn take(&mut self, number: u32) -> Envelope {
        let place = &mut self.places[number as usize];
        let envelope = match std::mem::replace(place, Place::Free) {
            Place::Once(envelope) => {
                self.free.push(number);
                envelope
            }
            Place::Twice(envelope) => {
                let mut second = envelope.clone();
                second.transmission.echo |= 1;
                *place = Place::Once(second);
                envelope
            }
            Place::Free => unreachable!("each arrival in the queue has its packet"),
        };
        self.awaited -= is_awaited(&envelope);
        envelope
    }

    /// A packet that arrives once or twice, by the number of its place; whether once more after
    /// the next arrival.
    pub(super) fn at(&self, number: u32) -> Option<(&Envelope, bool)> {
        match self.places.get(number as usize)? {
            Place::Free => None,
            Place::Once(envelope) => Some((envelope, false)),
            Place::Twice(envelope) => Some((envelope, true)),
        }
    }

    /// Whether nothing is under way but pings, which go on for ever.
    pub(super) const fn is_calm(&self) -> bool {
        self.awaited == 0
    }
}

fn is_awaited(envelope: &Envelope) -> usize {
    usize::from(!matches!(envelope.name.kind, Kind::PingReq | Kind::PingResp))
}
