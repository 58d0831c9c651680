//! A simulation under a search: paused between two events, with its state visible.

use std::ops::ControlFlow;

use super::{RunResult, Simulation};
use crate::event::explore::{DelayRule, Explored, PausedTrial};
use crate::event::faults::FaultEnd;
use crate::event::links::PacketInFlight;
use crate::event::node_driver::DirectDriver;
use crate::event::nodes::Connector;
use crate::event::queue::QueuedEvent;
use crate::event::search_hook::SearchHook;
use crate::event::tcp_connection::TcpItem;
use crate::trial::{FaultAction, PeerVisibility, Setup};
use qoslab_core::base::fingerprint::{Fingerprint, FingerprintOptions, Fingerprinter};
use qoslab_core::base::{ConnectionNumber, Direction, Observer, PacketName, Phase, Time};
use qoslab_core::mqtt::{HopSettings, RetryRule};
use qoslab_core::network::tcp::{INITIAL_WINDOW, segment_count};
use qoslab_core::network::{LinkSettings, Transport};

impl<O: Observer + Fingerprint> Simulation<'_, DirectDriver, O> {
    /// Runs until the end, or until `at_pause` has seen enough; it is asked before each event,
    /// once every packet was sent that a fault waits for.
    pub(in crate::event) fn explore(
        mut self,
        delay_rules: &[(PacketName, DelayRule)],
        at_pause: &mut dyn FnMut(PausedTrial<'_>) -> ControlFlow<()>,
    ) -> Explored<O> {
        self.search_hook = SearchHook::new(delay_rules);
        let mut fingerprinter = Fingerprinter::new(relevant_state(&self.setup));
        self.nodes.require_exact_wakeups();
        self.start();
        // What no longer means anything changes nothing when its time comes.
        let mut last_events = None;
        let ending = loop {
            if self.has_reached_search_start() && last_events != Some(self.reporter.events) {
                last_events = Some(self.reporter.events);
                let choices = self.search_hook.choice_count();
                let mut take = || fingerprinter.fingerprint_of(self.timeline.now, &self);
                if at_pause(PausedTrial { choices, take_fingerprint: &mut take }).is_break() {
                    break None;
                }
            }
            if let Some(ending) = self.dispatch_next() {
                break Some(ending);
            }
        };
        let search = self.search_hook.take();
        let (at, delays, choices) = (self.timeline.now, search.delays, search.choices);
        match ending {
            None => {
                let observer = self.reporter.observer;
                Explored { summary: None, observer, at, choices, delays }
            }
            Some(ending) => {
                let RunResult { summary, observer, .. } = self.finish(ending);
                Explored { summary: Some(summary), observer, at, choices, delays }
            }
        }
    }

    /// Whether every packet was sent that a fault waits for.
    fn has_reached_search_start(&self) -> bool {
        self.search_hook.have_all_rules_met() && self.faults.have_all_named_fired()
    }
}

/// Returns the part of a state that matters in a trial of this setup.
fn relevant_state(setup: &Setup) -> FingerprintOptions {
    let hops = setup.clients.iter().map(|client| &client.settings.hop);
    FingerprintOptions {
        transmissions: hops.chain([&setup.broker.hop]).any(counts_transmissions),
        loss_recovery: setup.clients.iter().any(|client| may_lose_segments(&client.link))
            || may_fill_a_window(setup)
            || setup.faults.iter().any(|fault| loses_segments(&fault.action)),
        published: setup.clients.iter().any(|client| client.settings.will.is_some()),
    }
}

fn counts_transmissions(hop: &HopSettings) -> bool {
    match hop.retry {
        RetryRule::Timer(timer) => timer.backoff > 1.0 || timer.max_transmissions.is_some(),
        RetryRule::Reconnect => false,
    }
}

/// Whether a deterministic link may lose a segment: at a full queue, or when a NAT forgets.
const fn may_lose_segments(link: &LinkSettings) -> bool {
    let forgets = match link.transport {
        Transport::Datagram { .. } => false,
        Transport::Tcp(tcp) => tcp.nat_idle.is_some(),
    };
    forgets || link.up.rate.is_some() || link.down.rate.is_some()
}

/// Whether more segments may be in flight than a connection's first congestion window takes, so
/// that some wait; with Nagle's algorithm, or where a socket's room has a fixed limit, any may. A
/// message has one packet under way in one direction at a time.
fn may_fill_a_window(setup: &Setup) -> bool {
    // CONNECT or CONNACK, SUBSCRIBE or SUBACK, PINGREQ or PINGRESP, and the end of the stream.
    const CONTROL_SEGMENTS: u64 = 4;
    /// Fixed header, packet id, properties and TLS, generously.
    const FRAMING: u32 = 200;
    setup.clients.iter().any(|client| {
        let Transport::Tcp(tcp) = client.link.transport else { return false };
        if [tcp.client, tcp.broker].iter().any(|socket| !socket.nodelay || socket.is_limited()) {
            return true;
        }
        let segments = setup.publishers.iter().map(|publisher| {
            let topic = u32::try_from(publisher.topic.len()).unwrap_or(u32::MAX);
            let bytes = publisher.payload.max().saturating_add(topic).saturating_add(FRAMING);
            let messages = publisher
                .only_sequences
                .as_ref()
                .map_or(u64::from(publisher.count.max(1)), |only| only.len() as u64);
            messages * u64::from(segment_count(&tcp, bytes))
        });
        segments.sum::<u64>() + CONTROL_SEGMENTS > u64::from(INITIAL_WINDOW)
    })
}

/// Whether a fault may lose segments of a connection that goes on.
const fn loses_segments(action: &FaultAction) -> bool {
    match action {
        FaultAction::Packet(_) | FaultAction::Cut { .. } => false,
        FaultAction::Crash { peers, .. } => matches!(peers, PeerVisibility::Silence),
        FaultAction::HalfOpen { .. } | FaultAction::Impair { .. } | FaultAction::Outage { .. } => {
            true
        }
    }
}

impl<O: Observer + Fingerprint> Fingerprint for Simulation<'_, DirectDriver, O> {
    /// All on which depends what follows, and how it is judged.
    fn fingerprint(&self, into: &mut Fingerprinter) {
        let Self {
            timeline,
            nodes,
            network,
            faults,
            workload,
            search_hook,
            reporter,
            // The same in all states of a trial.
            setup: _,
            run_context: _,
        } = self;
        let readiness = (timeline.phase == Phase::Connecting).then_some(&nodes.readiness);
        into.plain(&(timeline, nodes, readiness, self.connector_state()));
        let tcp_connections = network.live_tcp_connections().collect::<Vec<_>>();
        into.plain(&(network, tcp_connections, self.pending_events()));
        into.plain(&(search_hook, network.connections.live(&self.connections_in_transit())));
        into.plain(&(workload, faults, self.tcp_packets_with_faults()));
        into.plain(&(self.relevant_traffic_start(), reporter));
    }
}

impl<O: Observer> Simulation<'_, DirectDriver, O> {
    /// How many connections a client has opened only names its wills.
    fn connector_state(&self) -> impl Fingerprint {
        let connectors = self.nodes.connectors.iter().zip(&self.setup.clients);
        let connectors = connectors.map(|(connector, client)| {
            let Connector {
                current_connection,
                connects_at,
                connections_opened,
                is_wanted,
                missed_requests,
                // Nothing is drawn at random where states are compared.
                draw_key: _,
            } = connector;
            let names_will = client.settings.will.as_ref().map(|_| connections_opened);
            (current_connection, connects_at, names_will, is_wanted, missed_requests)
        });
        connectors.collect::<Vec<_>>()
    }

    /// Events in the queue, except those that are stale.
    fn pending_events(&self) -> impl Fingerprint {
        let Simulation { timeline, nodes, .. } = self;
        let clients = nodes.clients.iter().map(|host| host.stale_wakeups().to_vec());
        let mut stale: Vec<_> =
            std::iter::once(nodes.broker.stale_wakeups().to_vec()).chain(clients).collect();
        let mut is_stale = |at: Time, event: QueuedEvent| {
            let QueuedEvent::NodeTimer(node) = event else { return false };
            // Of several at one instant those that are stale were there first.
            let stale = &mut stale[node as usize];
            let index = stale.iter().position(|other| *other == at);
            index.is_some_and(|place| stale.swap_remove(place) == at)
        };
        let events = timeline.sorted_events().filter(|(at, event)| !is_stale(*at, *event));
        events.filter_map(|(at, it)| Some((at, self.pending_event(it)?))).collect::<Vec<_>>()
    }

    fn pending_event(&self, event: QueuedEvent) -> Option<PendingEvent<'_>> {
        let Simulation { network, faults, .. } = self;
        Some(match event {
            QueuedEvent::Arrival(slot) => {
                let (packet, twice) = network.in_flight.get(slot)?;
                PendingEvent::Arrival(packet, twice, faults.actions_on_arrival(&packet.name))
            }
            QueuedEvent::TcpDue(number) => {
                let connection = ConnectionNumber(number);
                network.tcp_connection(connection)?;
                PendingEvent::TcpDue(connection)
            }
            QueuedEvent::Fault(fault) => PendingEvent::Fault(faults.action(fault)),
            QueuedEvent::FaultEnd(index) => match faults.fault_end(index) {
                FaultEnd::Done => return None,
                fault_end => PendingEvent::FaultEnd(fault_end),
            },
            other => PendingEvent::Other(other),
        })
    }

    /// The packets in streams whose arrival faults wait for, by their places.
    fn tcp_packets_with_faults(&self) -> impl Fingerprint {
        let Simulation { network, faults, .. } = self;
        let mut packets = Vec::new();
        if !faults.await_arrivals() {
            return packets;
        }
        for (number, tcp_connection) in network.live_tcp_connections() {
            for direction in [Direction::Up, Direction::Down] {
                let items = tcp_connection.streams.items(direction);
                for (place, item) in items.enumerate() {
                    let TcpItem::Packet(in_flight) = item else { continue };
                    let waiting = faults.actions_on_arrival(&in_flight.name);
                    if !waiting.is_empty() {
                        packets.push((number, direction, place, waiting));
                    }
                }
            }
        }
        packets
    }

    /// The connections of all that is on its way.
    fn connections_in_transit(&self) -> Vec<ConnectionNumber> {
        let Simulation { timeline, network, search_hook, .. } = self;
        let in_streams = network.links.iter().flat_map(|it| it.tcp_connections.iter().copied());
        let delayed = search_hook.delayed().map(|held| held.in_flight.connection);
        let flying = timeline.sorted_events().filter_map(|(_, event)| match event {
            QueuedEvent::Arrival(slot) => network.in_flight.get(slot).map(|(it, _)| it.connection),
            _ => None,
        });
        in_streams.chain(delayed).chain(flying).collect()
    }

    /// When the traffic began, where anything is planned by that.
    fn relevant_traffic_start(&self) -> Option<Time> {
        let Simulation { setup, timeline, .. } = self;
        let subscriptions = setup.clients.iter().flat_map(|client| &client.subscriptions);
        let planned = subscriptions.filter(|it| it.from.is_some() || it.until.is_some()).count();
        (planned > 0).then_some(timeline.traffic_start)
    }
}

/// A queued event, by its subject.
enum PendingEvent<'a> {
    /// Of a packet, perhaps once more, and the faults that wait for it.
    Arrival(&'a PacketInFlight, bool, Vec<&'a FaultAction>),
    TcpDue(ConnectionNumber),
    Fault(&'a FaultAction),
    FaultEnd(FaultEnd),
    Other(QueuedEvent),
}

impl Fingerprint for PendingEvent<'_> {
    fn fingerprint(&self, into: &mut Fingerprinter) {
        match self {
            Self::Arrival(packet, arrives_again, faults) => {
                into.plain(&("arrival", packet, arrives_again, faults));
            }
            Self::TcpDue(connection) => into.plain(&("tcp due", connection)),
            Self::Fault(action) => into.plain(&("fault", action)),
            Self::FaultEnd(end) => into.plain(&("fault end", end)),
            Self::Other(event) => into.plain(&("other", event)),
        }
    }
}
