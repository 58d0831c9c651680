//! A simulation under an explorer: it is stopped between two happenings, and its state is seen.

use std::convert::Infallible;
use std::ops::ControlFlow;

use super::delayed::{DelayedPacket, SearchHook};
use super::{Connector, RunResult, Simulation};
use crate::event::explore::{DelayRule, Explored, PausedTrial};
use crate::event::faults::FaultEnd;
use crate::event::host::Host;
use crate::event::links::PacketInFlight;
use crate::event::queue::QueuedEvent;
use crate::event::tcp_connection::{TcpItem, direction_index, from_direction_number};
use crate::trial::{Action, PeerVisibility, Setup};
use qoslab_core::base::event::{Observer, Phase};
use qoslab_core::base::fingerprint::{Fingerprint, FingerprintOptions, Fingerprinter};
use qoslab_core::base::name::{Connection, Direction, PacketName};
use qoslab_core::base::time::Time;
use qoslab_core::impl_fingerprint;
use qoslab_core::mqtt::endpoint::Endpoint;
use qoslab_core::mqtt::settings::{ClientRequest, HopSettings, RetryRule};
use qoslab_core::network::fate_override::FateOverride;
use qoslab_core::network::settings::{LinkSettings, Transport};

impl<C, B, O, R> Simulation<'_, C, B, O, R>
where
    C: Endpoint<Request = ClientRequest> + Clone + Fingerprint,
    B: Endpoint<Request = Infallible> + Clone + Fingerprint,
    O: Observer + Fingerprint,
    R: FateOverride,
{
    /// Runs until the end, or until `at_pause` has seen enough; it is asked before each happening
    /// once every packet was sent that a fault waits for.
    pub(in crate::event) fn explore(
        mut self,
        delay_rules: &[(PacketName, DelayRule)],
        at_pause: &mut dyn FnMut(PausedTrial<'_>) -> ControlFlow<()>,
    ) -> Explored<O> {
        let holds = delay_rules.iter().copied().collect();
        self.search_hook =
            Some(Box::new(SearchHook { delay_rules: holds, ..SearchHook::default() }));
        let mut fingerprinter = Fingerprinter::new(relevant_state(&self.setup));
        self.broker.require_exact_wakeups();
        self.clients.iter_mut().for_each(Host::require_exact_wakeups);
        self.start();
        // What no longer means anything changes nothing when its time comes.
        let mut last_events = None;
        let ending = loop {
            if self.has_reached_search_start() && last_events != Some(self.events) {
                last_events = Some(self.events);
                let choices =
                    self.search_hook.as_ref().map_or(0, |search_hook| search_hook.choices.len());
                let mut take = || fingerprinter.fingerprint_of(self.now, &self);
                if at_pause(PausedTrial { choices, take_fingerprint: &mut take }).is_break() {
                    break None;
                }
            }
            if let Some(ending) = self.dispatch_next() {
                break Some(ending);
            }
        };
        let search_hook =
            self.search_hook.take().map(|search_hook| *search_hook).unwrap_or_default();
        let SearchHook { delays, choices, .. } = search_hook;
        let at = self.now;
        match ending {
            None => Explored { summary: None, observer: self.observer, at, choices, delays },
            Some(ending) => {
                let RunResult { summary: ended, observer, .. } = self.finish(ending);
                Explored { summary: Some(ended), observer, at, choices, delays }
            }
        }
    }

    /// Whether every packet was sent that a fault waits for.
    fn has_reached_search_start(&self) -> bool {
        let is_free =
            self.search_hook.as_ref().is_none_or(|search_hook| search_hook.delay_rules.is_empty());
        is_free && self.faults.have_all_named_fired()
    }
}

/// What of a state matters in a trial of this setup.
fn relevant_state(setup: &Setup) -> FingerprintOptions {
    let hops = setup.clients.iter().map(|client| &client.settings.hop);
    FingerprintOptions {
        transmissions: hops.chain([&setup.broker.hop]).any(counts_transmissions),
        loss_recovery: setup.clients.iter().any(|client| may_lose_segments(&client.link))
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

/// Whether a still link may lose a segment by itself: at a full queue, or when a NAT forgets.
const fn may_lose_segments(link: &LinkSettings) -> bool {
    let forgets = match link.transport {
        Transport::Datagram { .. } => false,
        Transport::Tcp(tcp) => tcp.nat_idle.is_some(),
    };
    forgets || link.up.rate.is_some() || link.down.rate.is_some()
}

/// Whether a fault may lose segments of a connection that goes on.
const fn loses_segments(action: &Action) -> bool {
    match action {
        Action::Packet(_) | Action::Cut { .. } => false,
        Action::Crash { peers, .. } => matches!(peers, PeerVisibility::Silence),
        Action::HalfOpen { .. } | Action::Impair { .. } | Action::Outage { .. } => true,
    }
}

impl<C, B, O, R> Fingerprint for Simulation<'_, C, B, O, R>
where
    C: Endpoint<Request = ClientRequest> + Clone + Fingerprint,
    B: Endpoint<Request = Infallible> + Clone + Fingerprint,
    O: Observer + Fingerprint,
    R: FateOverride,
{
    /// All on which depends what follows, and how it is judged.
    fn fingerprint(&self, into: &mut Fingerprinter) {
        let Self {
            // What counts as it is.
            phase,
            broker,
            clients,
            links,
            workload,
            faults,
            observer,
            // What counts as far as it matters.
            readiness,
            connectors: _,
            tcp_connections: _,
            queue: _,
            in_flight: _,
            search_hook: _,
            connections,
            traffic_began: _,
            // What follows from the rest.
            tcp_awaited: _,
            nodes_with_backlog: _,
            nodes_with_timer: _,
            clients_connecting: _,
            restarts_pending: _,
            unnoticed_death: _,
            // What waits for the traffic is in the queue.
            traffic_not_before: _,
            is_traffic_start_queued: _,
            // Set within an event alone.
            sends_left: _,
            pending_crash: _,
            // The same in all states of a trial; nodes that are driven elsewhere are not explored.
            setup: _,
            run_context: _,
            by_client_id: _,
            inboxes: _,
            // Limits that are reached leave a trial without a verdict, and the search says so.
            now: _,
            deadline: _,
            events: _,
            // Only for reports.
            packets: _,
            trace: _,
        } = self;
        let readiness = (*phase == Phase::Connecting).then_some(readiness);
        into.plain(&(phase, broker, clients, readiness, self.connector_state()));
        into.plain(&(links, self.live_tcp_connections(), self.pending_events()));
        into.plain(&(self.delayed_packets(), connections.live(&self.connections_in_transit())));
        into.plain(&(workload, faults, self.tcp_packets_with_faults()));
        into.plain(&(self.relevant_traffic_start(), observer));
    }
}

impl<C, B, O, R> Simulation<'_, C, B, O, R>
where
    C: Endpoint<Request = ClientRequest> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
    R: FateOverride,
{
    /// How many connections a client has opened only names its wills.
    fn connector_state(&self) -> impl Fingerprint {
        let connectors = self.connectors.iter().zip(&self.setup.clients);
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

    fn live_tcp_connections(&self) -> impl Fingerprint {
        let numbered = (0..).map(Connection).zip(&self.tcp_connections);
        let alive = numbered.filter_map(|(number, stream)| Some((number, stream.as_deref()?)));
        alive.collect::<Vec<_>>()
    }

    /// What is in the queue, but for what no longer means anything.
    fn pending_events(&self) -> impl Fingerprint {
        let clients = self.clients.iter().map(|host| host.stale_wakeups().to_vec());
        let mut stale: Vec<_> =
            std::iter::once(self.broker.stale_wakeups().to_vec()).chain(clients).collect();
        let mut is_stale = |at: Time, it: QueuedEvent| {
            let QueuedEvent::NodeTimer(node) = it else { return false };
            // Of several at one instant those that are stale were there first.
            let stale = &mut stale[node as usize];
            let index = stale.iter().position(|other| *other == at);
            index.is_some_and(|place| stale.swap_remove(place) == at)
        };
        let entries = self.queue.sorted_events().filter(|(at, it)| !is_stale(*at, *it));
        entries.filter_map(|(at, it)| Some((at, self.pending_event(it)?))).collect::<Vec<_>>()
    }

    fn pending_event(&self, event: QueuedEvent) -> Option<PendingEvent<'_>> {
        Some(match event {
            QueuedEvent::Arrival(place) => {
                let (envelope, twice) = self.in_flight.get(place)?;
                PendingEvent::Arrival(envelope, twice, self.faults_on_arrival(&envelope.name))
            }
            QueuedEvent::TcpDue(number) => {
                let (connection, way) = from_direction_number(number);
                self.tcp_connections.get(connection.0 as usize)?.as_ref()?;
                PendingEvent::TcpDue(connection, way)
            }
            QueuedEvent::Fault(fault) => PendingEvent::Fault(self.faults.action(fault)),
            QueuedEvent::FaultEnd(place) => match self.faults.fault_ends[place as usize] {
                FaultEnd::Done => return None,
                remedy => PendingEvent::FaultEnd(remedy),
            },
            other => PendingEvent::Other(other),
        })
    }

    fn delayed_packets(&self) -> impl Fingerprint {
        let delayed = self.search_hook.iter().flat_map(|search_hook| &search_hook.delayed);
        let held = delayed.map(
            |DelayedPacket { in_flight: envelope, release_when: until, due: plain }| {
                (envelope, until, DueTime(*plain))
            },
        );
        held.collect::<Vec<_>>()
    }

    /// What faults wait for this packet's arrival.
    fn faults_on_arrival(&self, name: &PacketName) -> Vec<&Action> {
        let waiting = self.faults.by_arrival.get(name).into_iter().flatten();
        waiting.map(|fault| self.faults.action(*fault)).collect()
    }

    /// The packets in streams whose arrival faults wait for, by their places.
    fn tcp_packets_with_faults(&self) -> impl Fingerprint {
        let mut packets = Vec::new();
        if self.faults.by_arrival.is_empty() {
            return packets;
        }
        for (number, stream) in (0..).map(Connection).zip(&self.tcp_connections) {
            let Some(stream) = stream else { continue };
            for direction in [Direction::Up, Direction::Down] {
                for (place, item) in
                    stream.directions[direction_index(direction)].items().enumerate()
                {
                    let TcpItem::Packet(envelope) = item else { continue };
                    let waiting = self.faults_on_arrival(&envelope.name);
                    if !waiting.is_empty() {
                        packets.push((number, direction, place, waiting));
                    }
                }
            }
        }
        packets
    }

    /// The connections of all that is on its way.
    fn connections_in_transit(&self) -> Vec<Connection> {
        let in_streams = self.links.iter().flat_map(|line| line.tcp_connections.iter().copied());
        let delayed = self.search_hook.iter().flat_map(|search_hook| &search_hook.delayed);
        let flying = self.queue.sorted_events().filter_map(|(_, it)| match it {
            QueuedEvent::Arrival(place) => self.in_flight.get(place).map(|(it, _)| it.connection),
            _ => None,
        });
        in_streams.chain(delayed.map(|held| held.in_flight.connection)).chain(flying).collect()
    }

    /// When the traffic began, where anything is planned by that.
    fn relevant_traffic_start(&self) -> Option<Time> {
        let subscriptions = self.setup.clients.iter().flat_map(|client| &client.subscriptions);
        let planned = subscriptions.filter(|it| it.from.is_some() || it.until.is_some()).count();
        (planned > 0).then_some(self.traffic_began)
    }
}

/// A happening by what it is about.
enum PendingEvent<'a> {
    /// Of a packet, perhaps once more, and the faults that wait for it.
    Arrival(&'a PacketInFlight, bool, Vec<&'a Action>),
    TcpDue(Connection, Direction),
    Fault(&'a Action),
    FaultEnd(FaultEnd),
    Other(QueuedEvent),
}

impl Fingerprint for PendingEvent<'_> {
    fn fingerprint(&self, into: &mut Fingerprinter) {
        match self {
            Self::Arrival(packet, arrives_again, faults) => {
                into.plain(&("arrival", packet, arrives_again, faults));
            }
            Self::TcpDue(connection, direction) => into.plain(&("tcp due", connection, direction)),
            Self::Fault(action) => into.plain(&("fault", action)),
            Self::FaultEnd(end) => into.plain(&("fault end", end)),
            Self::Other(event) => into.plain(&("other", event)),
        }
    }
}

/// An instant that only matters while it is to come.
struct DueTime(Time);

impl_fingerprint! { struct DueTime(time) { future_only time; } }
