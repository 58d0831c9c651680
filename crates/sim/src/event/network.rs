//! The network of a trial: links, connections, and the packets in transit.

use std::sync::Arc;

use super::connections::{Connections, EndState};
use super::links::{ClientLink, PacketInFlight, PacketsInFlight};
use super::queue::QueuedEvent;
use super::tcp_connection::TcpConnection;
use super::timeline::Timeline;
use crate::trial::Setup;
use qoslab_core::base::draw::DrawKey;
use qoslab_core::base::radio_use::RadioUse;
use qoslab_core::base::{
    Arrival, ClientIndex, ConnectionNumber, Direction, MessageTag, Node, PacketKind, PacketName,
    Span, Time, Transmission,
};
use qoslab_core::impl_fingerprint;
use qoslab_core::network::RecordedFates;

mod sockets;
mod tcp;

/// All links, connections and packets of a trial.
pub(super) struct Network {
    pub(super) links: Vec<ClientLink>,
    pub(super) connections: Connections,
    pub(super) in_flight: PacketsInFlight,
    /// By connection number: those over TCP that are not over.
    tcp_connections: Vec<Option<Box<TcpConnection>>>,
    /// How many packets are in streams that quiescence waits for.
    tcp_awaited: usize,
    /// The ends whose sockets were filled since their endpoints were last told.
    newly_full: Vec<(Node, ConnectionNumber)>,
    /// The last dead connection found that one end still considers open.
    unnoticed_death: Option<ConnectionNumber>,
}

impl_fingerprint! {
    struct Network {
        plain links;
        skip connections, tcp_connections: "count as far as they are alive";
        skip in_flight: "counts with the queue, in which each packet is";
        skip tcp_awaited, unnoticed_death: "follow from the connections";
        skip newly_full: "empty between two events";
    }
}

impl Network {
    /// Links that are up. They read their part of the setup's schedule, if there is one, and write
    /// fates down if `is_recording`.
    pub(super) fn new(setup: &Setup, root: DrawKey, is_recording: bool) -> Self {
        let mut links: Vec<_> = setup.clients.iter().map(|it| ClientLink::new(root, it)).collect();
        if setup.schedule.is_some() || is_recording {
            for (client, link) in (0..).map(ClientIndex).zip(&mut links) {
                install_recorded_fates(setup, client, is_recording, link);
            }
        }
        Self {
            links,
            connections: Connections::default(),
            in_flight: PacketsInFlight::default(),
            tcp_connections: Vec::new(),
            tcp_awaited: 0,
            newly_full: Vec::new(),
            unnoticed_death: None,
        }
    }

    #[inline]
    pub(super) fn link(&self, client: ClientIndex) -> &ClientLink {
        &self.links[client.index()]
    }

    #[inline]
    pub(super) fn link_mut(&mut self, client: ClientIndex) -> &mut ClientLink {
        &mut self.links[client.index()]
    }

    /// The name of a packet of no message that is sent now.
    pub(super) fn next_control_name(
        &mut self,
        client: ClientIndex,
        direction: Direction,
        kind: PacketKind,
    ) -> PacketName {
        let transmission = Transmission::default();
        let link = self.link_mut(client);
        link.next_packet_name(client, direction, kind, MessageTag::NONE, transmission)
    }

    /// Returns the state of a connection at a node.
    #[inline]
    pub(super) fn end_mut(&mut self, node: Node, connection: ConnectionNumber) -> &mut EndState {
        self.connections.end_mut(node, connection)
    }

    /// A packet over datagrams is on its way.
    #[inline]
    pub(super) fn schedule_arrivals(
        &mut self,
        timeline: &mut Timeline,
        arrival: Arrival,
        in_flight: PacketInFlight,
    ) {
        let slot = self.in_flight.insert(in_flight, arrival.duplicate_at.is_some());
        timeline.schedule(arrival.at, QueuedEvent::Arrival(slot));
        if let Some(again) = arrival.duplicate_at {
            timeline.schedule(again, QueuedEvent::Arrival(slot));
        }
    }

    /// Whether nothing is under way but pings, which go on for ever.
    #[inline]
    pub(super) const fn is_idle(&self) -> bool {
        self.in_flight.is_drained() && self.tcp_awaited == 0
    }

    // ---- impairments of links ----

    /// What the clients' radios use counts from now on.
    pub(super) fn reset_radio_use(&mut self, now: Time) {
        for link in &mut self.links {
            link.link_state.reset_radio_use(now);
        }
    }

    /// What the clients' radios used; `None` if no client has one.
    pub(super) fn radio_use(&self, now: Time) -> Option<RadioUse> {
        RadioUse::total(self.links.iter().filter_map(|link| link.link_state.radio_use(now)))
    }

    /// The traffic begins: so do bursts and outages.
    pub(super) fn start_traffic(&mut self, timeline: &mut Timeline, client: ClientIndex) {
        self.link_mut(client).link_state.start_bursts_and_outages(timeline.now);
        self.schedule_outage(timeline, client);
    }

    /// Plans the next outage of a client's link.
    pub(super) fn schedule_outage(&mut self, timeline: &mut Timeline, client: ClientIndex) {
        let link = self.link_mut(client);
        if let Some((begins, ends)) = link.link_state.next_outage() {
            link.outage_ends = ends;
            timeline.schedule(begins, QueuedEvent::Outage(client.0));
        }
    }

    /// One more fault parts a direction of a client's link, or one less.
    pub(super) fn set_partition(
        &mut self,
        client: ClientIndex,
        direction: Direction,
        is_partitioned: bool,
    ) {
        let link = self.link_mut(client);
        let count = &mut link.partition_counts[direction as usize];
        *count = if is_partitioned { *count + 1 } else { *count - 1 };
        link.link_state.set_partitioned(direction, *count > 0);
    }

    /// One more fault parts both directions of a client's link, or one less.
    pub(super) fn set_partition_both_ways(&mut self, client: ClientIndex, is_partitioned: bool) {
        for direction in [Direction::Up, Direction::Down] {
            self.set_partition(client, direction, is_partitioned);
        }
    }

    /// One more fault slows down how a client reads.
    pub(super) fn slow_down(&mut self, client: ClientIndex, read_interval: Span) {
        let link = self.link_mut(client);
        link.slow_count += 1;
        link.slow_read_interval = read_interval;
    }
}

/// Gives a link its part of the schedule, and a place to record fates.
fn install_recorded_fates(
    setup: &Setup,
    client: ClientIndex,
    is_recording: bool,
    link: &mut ClientLink,
) {
    let schedule = setup.schedule.as_ref();
    let recorded = RecordedFates {
        replay: schedule.map(|schedule| Arc::clone(&schedule.fates)),
        recording: is_recording.then(Vec::new),
    };
    let outages = schedule.map(|schedule| {
        let own = schedule.outages.get(&client);
        own.into_iter().flatten().map(|outage| (outage.at, outage.lasts)).collect()
    });
    link.link_state.set_recorded_fates(recorded, outages);
}
