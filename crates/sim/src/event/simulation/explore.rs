//! A simulation under an explorer: it is stopped between two happenings, and its state is seen.

use std::convert::Infallible;
use std::ops::ControlFlow;

use serde::{Serialize, Serializer};

use super::held::{Held, Probe};
use super::{Ran, Simulation, WayOut};
use crate::event::explore::{Explored, Hold, Moment};
use crate::event::faults::Remedy;
use crate::event::host::Host;
use crate::event::lines::Envelope;
use crate::event::queue::Happening;
use crate::event::streams::{Item, numbered, side};
use crate::trial::{Action, PeersSee, Setup};
use qoslab_core::base::event::{Observer, Phase};
use qoslab_core::base::fingerprint::{Fingerprinter, Matters, due};
use qoslab_core::base::name::{Connection, PacketName, Way};
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::endpoint::Endpoint;
use qoslab_core::mqtt::settings::{HopSettings, Request, Retry};
use qoslab_core::network::overrule::Overrule;
use qoslab_core::network::settings::{LinkSettings, Transport};

impl<C, B, O, R> Simulation<'_, C, B, O, R>
where
    C: Endpoint<Request = Request> + Clone + Serialize,
    B: Endpoint<Request = Infallible> + Clone + Serialize,
    O: Observer + Serialize,
    R: Overrule,
{
    /// Runs until the end, or until `between` has seen enough; it is asked before each happening
    /// once every packet was sent that a fault waits for.
    pub(in crate::event) fn explore(
        mut self,
        holds: &[(PacketName, Hold)],
        between: &mut dyn FnMut(Moment<'_>) -> ControlFlow<()>,
    ) -> Explored<O> {
        let holds = holds.iter().copied().collect();
        self.probe = Some(Box::new(Probe { holds, ..Probe::default() }));
        let mut fingerprinter = Fingerprinter::new(matters(&self.setup));
        self.broker.be_exact();
        self.clients.iter_mut().for_each(Host::be_exact);
        self.begin();
        // What no longer means anything changes nothing when its time comes.
        let mut seen = None;
        let ending = loop {
            if self.is_settled() && seen != Some(self.events) {
                seen = Some(self.events);
                let choices = self.probe.as_ref().map_or(0, |probe| probe.choices.len());
                let mut take = || fingerprinter.of(self.now, &State(&self));
                if between(Moment { choices, take: &mut take }).is_break() {
                    break None;
                }
            }
            if let Some(ending) = self.step() {
                break Some(ending);
            }
        };
        let probe = self.probe.take().map(|probe| *probe).unwrap_or_default();
        let Probe { delays, choices, .. } = probe;
        let at = self.now;
        match ending {
            None => Explored { ended: None, observer: self.observer, at, choices, delays },
            Some(ending) => {
                let Ran { ended, observer, .. } = self.finish(ending);
                Explored { ended: Some(ended), observer, at, choices, delays }
            }
        }
    }

    /// Whether every packet was sent that a fault waits for.
    fn is_settled(&self) -> bool {
        let is_free = self.probe.as_ref().is_none_or(|probe| probe.holds.is_empty());
        is_free && self.faults.have_met_their_packets()
    }
}

/// What of a state matters in a trial of this setup.
fn matters(setup: &Setup) -> Matters {
    let hops = setup.clients.iter().map(|client| &client.settings.hop);
    Matters {
        transmissions: hops.chain([&setup.broker.hop]).any(counts_transmissions),
        history: setup.clients.iter().any(|client| may_lose_segments(&client.link))
            || setup.faults.iter().any(|fault| loses_segments(&fault.action)),
        published: setup.clients.iter().any(|client| client.settings.will.is_some()),
    }
}

fn counts_transmissions(hop: &HopSettings) -> bool {
    match hop.retry {
        Retry::Timer(timer) => timer.backoff > 1.0 || timer.max_transmissions.is_some(),
        Retry::Reconnect => false,
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
        Action::Crash { peers, .. } => matches!(peers, PeersSee::Silence),
        Action::HalfOpen { .. } | Action::Hamper { .. } | Action::Outage { .. } => true,
    }
}

/// All of a simulation on which depends what follows, and how it is judged.
struct State<'s, 't, C, B, O, R>(&'s Simulation<'t, C, B, O, R>);

impl<C, B, O, R> Serialize for State<'_, '_, C, B, O, R>
where
    C: Endpoint<Request = Request> + Clone + Serialize,
    B: Endpoint<Request = Infallible> + Clone + Serialize,
    O: Observer + Serialize,
    R: Overrule,
{
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let it = self.0;
        let muster = (it.phase == Phase::Connecting).then_some(&it.muster);
        let nodes = (it.phase, &it.broker, &it.clients, muster, it.ways());
        let network = (&it.lines, it.streams_alive(), it.to_come(), it.held());
        let connections = it.connections.alive(&it.travelled());
        let rest = (it.workload.rest(), it.faults.awaited, it.fated(), it.began());
        (nodes, network, connections, rest, &it.observer).serialize(to)
    }
}

impl<C, B, O, R> Simulation<'_, C, B, O, R>
where
    C: Endpoint<Request = Request> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
    R: Overrule,
{
    /// How many connections a client has opened only names its wills.
    fn ways(&self) -> impl Serialize {
        let ways = self.ways.iter().zip(&self.setup.clients).map(|(way, client)| {
            let WayOut { current, dials_at, dialled, wanted, .. } = *way;
            let named = client.settings.will.as_ref().map(|_| dialled);
            (current, dials_at, named, wanted, &way.missed)
        });
        ways.collect::<Vec<_>>()
    }

    fn streams_alive(&self) -> impl Serialize {
        let numbered = (0..).map(Connection).zip(&self.streams);
        let alive = numbered.filter_map(|(number, stream)| Some((number, stream.as_deref()?)));
        alive.collect::<Vec<_>>()
    }

    /// What is in the queue, but for what no longer means anything.
    fn to_come(&self) -> impl Serialize {
        let clients = self.clients.iter().map(|host| host.stale().to_vec());
        let mut stale: Vec<_> =
            std::iter::once(self.broker.stale().to_vec()).chain(clients).collect();
        let mut is_stale = |at: Time, it: Happening| {
            let Happening::Wake(node) = it else { return false };
            // Of several at one instant those that are stale were there first.
            let stale = &mut stale[node as usize];
            let place = stale.iter().position(|other| *other == at);
            place.is_some_and(|place| stale.swap_remove(place) == at)
        };
        let entries = self.queue.entries().filter(|(at, it)| !is_stale(*at, *it));
        entries.filter_map(|(at, it)| Some((at, self.coming(it)?))).collect::<Vec<_>>()
    }

    fn coming(&self, happening: Happening) -> Option<Coming<'_>> {
        Some(match happening {
            Happening::Arrival(place) => {
                let (envelope, twice) = self.under_way.at(place)?;
                Coming::Arrival(envelope, twice, self.awaiting(&envelope.name))
            }
            Happening::Stream(number) => {
                let (connection, way) = numbered(number);
                self.streams.get(connection.0 as usize)?.as_ref()?;
                Coming::Stream(connection, way)
            }
            Happening::Fault(fault) => Coming::Fault(self.faults.action(fault)),
            Happening::Mend(place) => match self.faults.remedies[place as usize] {
                Remedy::Done => return None,
                remedy => Coming::Mend(remedy),
            },
            other => Coming::Other(other),
        })
    }

    fn held(&self) -> impl Serialize {
        let held = self.probe.iter().flat_map(|probe| &probe.held);
        let held = held.map(|Held { envelope, until, plain }| (envelope, until, Due(*plain)));
        held.collect::<Vec<_>>()
    }

    /// What faults wait for this packet's arrival.
    fn awaiting(&self, name: &PacketName) -> Vec<&Action> {
        let waiting = self.faults.on_arrival.get(name).into_iter().flatten();
        waiting.map(|fault| self.faults.action(*fault)).collect()
    }

    /// The packets in streams whose arrival faults wait for, by their places.
    fn fated(&self) -> impl Serialize {
        let mut fated = Vec::new();
        if self.faults.on_arrival.is_empty() {
            return fated;
        }
        for (number, stream) in (0..).map(Connection).zip(&self.streams) {
            let Some(stream) = stream else { continue };
            for way in [Way::Up, Way::Down] {
                for (place, item) in stream.pipes[side(way)].items().enumerate() {
                    let Item::Packet(envelope) = item else { continue };
                    let waiting = self.awaiting(&envelope.name);
                    if !waiting.is_empty() {
                        fated.push((number, way, place, waiting));
                    }
                }
            }
        }
        fated
    }

    /// The connections of all that is on its way.
    fn travelled(&self) -> Vec<Connection> {
        let in_streams = self.lines.iter().flat_map(|line| line.streams.iter().copied());
        let held = self.probe.iter().flat_map(|probe| &probe.held);
        let flying = self.queue.entries().filter_map(|(_, it)| match it {
            Happening::Arrival(place) => self.under_way.at(place).map(|(it, _)| it.connection),
            _ => None,
        });
        in_streams.chain(held.map(|held| held.envelope.connection)).chain(flying).collect()
    }

    /// When the traffic began, where anything is planned by that.
    fn began(&self) -> Option<Time> {
        let subscriptions = self.setup.clients.iter().flat_map(|client| &client.subscriptions);
        let planned = subscriptions.filter(|it| it.from.is_some() || it.until.is_some()).count();
        (planned > 0).then_some(self.traffic_began)
    }
}

/// A happening by what it is about.
#[derive(Serialize)]
enum Coming<'a> {
    /// Of a packet, perhaps once more, and the faults that wait for it.
    Arrival(&'a Envelope, bool, Vec<&'a Action>),
    Stream(Connection, Way),
    Fault(&'a Action),
    Mend(Remedy),
    Other(Happening),
}

/// An instant that only matters while it is to come.
struct Due(Time);

impl Serialize for Due {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        due(&self.0, to)
    }
}
