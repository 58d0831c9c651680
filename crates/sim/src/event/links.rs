//! The links and the packets in transit on them.

use std::sync::Arc;

use super::tcp_connection::TcpConnection;
use crate::trial::ClientSetup;
use qoslab_core::base::draw::DrawKey;
use qoslab_core::base::{
    ClientIndex, ConnectionNumber, Direction, Hop, MessageTag, PacketBody, PacketKind, PacketMeta,
    PacketName, PacketSize, PacketSubject, Span, Time, Transmission,
};
use qoslab_core::impl_fingerprint;
use qoslab_core::mqtt::{Packet, Version};
use qoslab_core::network::{LinkKeys, LinkState, TcpSettings, Transport};

/// One client's line to the broker.
pub(super) struct ClientLink {
    pub(super) link_state: LinkState,
    pub(super) version: Version,
    /// The headers of a datagram; over TCP, those of a segment.
    pub(super) headers: u32,
    /// Settings of TCP; `None` over datagrams.
    pub(super) tcp: Option<TcpSettings>,
    /// Whether the client has a TLS session to resume.
    pub(super) has_tls_session: bool,
    /// How many faults hold up the link, and how many slow down its client; the latter's pace.
    pub(super) stall_count: u32,
    pub(super) slow_count: u32,
    pub(super) slow_read_interval: Span,
    /// How many faults part each direction.
    pub(super) partition_counts: [u32; 2],
    /// The connections over TCP that are not over.
    pub(super) tcp_connections: Vec<ConnectionNumber>,
    /// When the outage that is to come, or is on, ends.
    pub(super) outage_ends: Time,
    /// How many control packets of each kind were sent, upwards and downwards.
    control_sent: [[u32; PacketKind::ALL.len()]; 2],
}

impl_fingerprint! {
    struct ClientLink {
        plain link_state, has_tls_session, stall_count, slow_count, slow_read_interval,
            partition_counts, tcp_connections;
        skip version, headers, tcp: "the same in all states of a trial";
        skip outage_ends: "nothing is drawn at random where states are compared";
        skip control_sent: "only gives names, and grows for ever";
    }
}

impl ClientLink {
    pub(super) fn new(root: DrawKey, client: &ClientSetup) -> Self {
        let (headers, tcp) = match client.link.transport {
            Transport::Datagram { headers } => (headers, None),
            Transport::Tcp(tcp) => (tcp.headers, Some(tcp)),
        };
        Self {
            link_state: LinkState::new(Arc::clone(&client.link), LinkKeys::new(root, &client.name))
                .with_radio(client.radio.clone()),
            version: client.settings.version,
            headers,
            tcp,
            has_tls_session: false,
            stall_count: 0,
            slow_count: 0,
            slow_read_interval: Span::ZERO,
            partition_counts: [0; 2],
            tcp_connections: Vec::new(),
            outage_ends: Time::NEVER,
            control_sent: Default::default(),
        }
    }

    /// The least time from reading one packet to reading the next at the client.
    #[inline]
    pub(super) fn read_interval(&self) -> Span {
        let by_setting = self.tcp.as_ref().map_or(Span::ZERO, |tcp| tcp.client.read_interval);
        if self.slow_count > 0 { by_setting.max(self.slow_read_interval) } else { by_setting }
    }

    /// Whether the end that is sent to in a direction reads now: it does not while the link stalls,
    /// nor between two packets of a client that reads slowly.
    #[inline]
    pub(super) fn reads(
        &self,
        now: Time,
        tcp_connection: &TcpConnection,
        direction: Direction,
    ) -> bool {
        let is_slow = direction == Direction::Down && self.read_interval() > Span::ZERO;
        self.stall_count == 0 && !(is_slow && tcp_connection.next_read_at > now)
    }

    /// A packet as an observer sees it; `length` is how long it is, where that is not how long we
    /// would write it, and `overhead` what the transport adds to it.
    #[inline]
    pub(super) fn describe<'p>(
        &self,
        packet: &'p Packet,
        name: PacketName,
        length: Option<u32>,
        overhead: u32,
    ) -> PacketMeta<'p> {
        let mut record = packet.meta(self.version, name, overhead);
        record.size.mqtt = length.unwrap_or(record.size.mqtt);
        record
    }

    /// Returns the name of a packet that is sent now.
    pub(super) fn next_packet_name(
        &mut self,
        client: ClientIndex,
        direction: Direction,
        kind: PacketKind,
        tag: MessageTag,
        transmission: Transmission,
    ) -> PacketName {
        let subject = match tag.message_id() {
            Some(parts) => PacketSubject::Message {
                publisher: parts.publisher,
                sequence: parts.sequence,
                hop: hop_of(direction, kind),
                copy: parts.copy,
                transmission,
            },
            None => PacketSubject::Control { nth: self.next_control_number(direction, kind) },
        };
        PacketName { client, direction, kind, subject }
    }

    /// How many packets of this kind that belong to no message went this way before.
    fn next_control_number(&mut self, direction: Direction, kind: PacketKind) -> u32 {
        let sent = &mut self.control_sent[usize::from(direction == Direction::Down)][kind as usize];
        *sent += 1;
        *sent - 1
    }
}

/// The publisher sends PUBLISH and PUBREL up, and is answered down; the broker sends them down to
/// a subscriber, and is answered up.
const fn hop_of(direction: Direction, kind: PacketKind) -> Hop {
    match (direction, kind) {
        (Direction::Up, PacketKind::Publish | PacketKind::PubRel)
        | (Direction::Down, PacketKind::PubAck | PacketKind::PubRec | PacketKind::PubComp) => {
            Hop::First
        }
        _ => Hop::Second,
    }
}

/// Returns a reset as an observer sees it: nothing but the transport's headers.
pub(super) const fn reset_meta(name: PacketName, headers: u32) -> PacketMeta<'static> {
    PacketMeta {
        name,
        tag: MessageTag::NONE,
        first_byte: 0,
        id: 0,
        reason: 0,
        size: PacketSize { mqtt: 0, payload: 0, headers },
        body: PacketBody::None,
    }
}

/// Packets in transit are many, so they are kept small.
const _: () = assert!(size_of::<PacketInFlight>() <= 136);

/// A packet on its way.
#[derive(Clone, Debug)]
pub(crate) struct PacketInFlight {
    pub(super) name: PacketName,
    pub(super) connection: ConnectionNumber,
    pub(super) transmission: Transmission,
    /// How many packets were written before it, where nodes are driven elsewhere.
    pub(super) serial: u32,
    /// Bytes that the transport adds to it.
    pub(super) overhead: u32,
    /// `None` for a reset.
    pub(super) packet: Option<Packet>,
}

impl_fingerprint! {
    struct PacketInFlight {
        plain name, connection, transmission, packet;
        skip overhead: "bytes change nothing that follows";
        skip serial: "only counts where nodes are driven elsewhere";
    }
}

/// The packets on their way, each in a place that is used again when it has arrived.
#[derive(Default)]
pub(super) struct PacketsInFlight {
    slots: Vec<InFlightSlot>,
    free_slots: Vec<u32>,
    /// How many arrivals are to come that quiescence waits for.
    awaited_arrivals: usize,
}

enum InFlightSlot {
    Free,
    Once(PacketInFlight),
    Twice(PacketInFlight),
}

impl PacketsInFlight {
    /// Takes a packet that arrives once or twice. The number of its place.
    #[inline]
    pub(super) fn insert(&mut self, in_flight: PacketInFlight, arrives_twice: bool) -> u32 {
        self.awaited_arrivals += awaited_weight(&in_flight) * (1 + usize::from(arrives_twice));
        let slot = if arrives_twice {
            InFlightSlot::Twice(in_flight)
        } else {
            InFlightSlot::Once(in_flight)
        };
        if let Some(number) = self.free_slots.pop() {
            self.slots[number as usize] = slot;
            return number;
        }
        let number = u32::try_from(self.slots.len()).expect("2^32 packets are above any memory");
        self.slots.push(slot);
        number
    }

    /// Gives out a packet that arrives. The second of two is marked as an echo, so that what is
    /// sent in answer to it has a name of its own.
    #[inline]
    pub(super) fn take(&mut self, number: u32) -> PacketInFlight {
        let slot = &mut self.slots[number as usize];
        let in_flight = match std::mem::replace(slot, InFlightSlot::Free) {
            InFlightSlot::Once(envelope) => {
                self.free_slots.push(number);
                envelope
            }
            InFlightSlot::Twice(envelope) => {
                let mut second = envelope.clone();
                second.transmission.duplicate_index |= 1;
                *slot = InFlightSlot::Once(second);
                envelope
            }
            InFlightSlot::Free => unreachable!("each arrival in the queue has its packet"),
        };
        self.awaited_arrivals -= awaited_weight(&in_flight);
        in_flight
    }

    /// A packet that arrives once or twice, by the number of its place; whether once more after
    /// the next arrival.
    pub(super) fn get(&self, number: u32) -> Option<(&PacketInFlight, bool)> {
        match self.slots.get(number as usize)? {
            InFlightSlot::Free => None,
            InFlightSlot::Once(envelope) => Some((envelope, false)),
            InFlightSlot::Twice(envelope) => Some((envelope, true)),
        }
    }

    /// Whether nothing is under way but pings, which go on for ever.
    pub(super) const fn is_drained(&self) -> bool {
        self.awaited_arrivals == 0
    }
}

fn awaited_weight(in_flight: &PacketInFlight) -> usize {
    usize::from(!matches!(in_flight.name.kind, PacketKind::PingReq | PacketKind::PingResp))
}
