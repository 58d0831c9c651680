//! The observer that records.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::flight::{Cause, End, Flight};
use super::{Moment, Scope, Tape, What};
use qoslab_core::base::event::{Body, Event, Fate, Observer, Record};
use qoslab_core::base::name::{ClientIndex, Connection, Kind, Node, PacketName, Parts};
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::packet::Packet;
use qoslab_sim::event::{Ended, Tap};

/// Holds the packet that is about to be told as sent.
#[derive(Debug, Default)]
pub(super) struct Slot(RefCell<Option<Packet>>);

impl Tap for Slot {
    fn tap(&self, packet: &Packet) {
        self.0.replace(Some(packet.clone()));
    }
}

/// Records what a scope wants.
pub(super) struct Recorder {
    scope: Scope,
    slot: Rc<Slot>,
    moments: Vec<Moment>,
    flights: Vec<Flight>,
    context: Vec<Flight>,
    left_out: u64,
    /// How many moments there were when the message had its last one.
    last_of_message: usize,
    /// Whether the message was published.
    is_published: bool,
    /// The kept packets of which an end is to come.
    under_way: BTreeMap<(Connection, PacketName), usize>,
    /// What befell connections, in order.
    ends: BTreeMap<Connection, Vec<(Time, Cause)>>,
    down: BTreeSet<Node>,
    /// Packets that were not read, with the place of that among their ends; why is seen later.
    unread: Vec<(usize, usize)>,
}

/// Whom an event concerns.
#[derive(Clone, Copy)]
enum Whose {
    Message(Parts),
    Link(ClientIndex),
    Everybody,
}

impl Recorder {
    pub(super) fn new(scope: &Scope, slot: &Rc<Slot>) -> Self {
        Self {
            scope: scope.clone(),
            slot: Rc::clone(slot),
            moments: Vec::new(),
            flights: Vec::new(),
            context: Vec::new(),
            left_out: 0,
            last_of_message: 0,
            is_published: false,
            under_way: BTreeMap::new(),
            ends: BTreeMap::new(),
            down: BTreeSet::new(),
            unread: Vec::new(),
        }
    }

    pub(super) fn finish(mut self, ended: Ended) -> Tape {
        for (flight, place) in std::mem::take(&mut self.unread) {
            let (at, _) = self.flights[flight].ends[place];
            if self.flights[flight].ends[place].1 == End::Unread(Cause::Unknown) {
                let cause = self.cause(&self.flights[flight], at);
                self.flights[flight].ends[place].1 = End::Unread(cause);
            }
        }
        if self.scope.route.as_ref().is_some_and(|route| !route.to_the_end) {
            self.moments.truncate(self.last_of_message);
            let sent = self.moments.iter().filter(|moment| matches!(moment.what, What::Sent(_)));
            self.flights.truncate(sent.count());
        }
        let used: BTreeSet<_> = self.flights.iter().map(|flight| flight.connection).collect();
        self.context.retain(|flight| used.contains(&flight.connection));
        let Self { moments, flights, context, left_out, .. } = self;
        Tape { moments, flights, context, left_out, ended }
    }

    /// Whether something is in the scope, and whether it is the message's own.
    fn wants(&self, now: Time, whose: Whose) -> Option<bool> {
        if now < self.scope.from || now > self.scope.until {
            return None;
        }
        let Some(route) = &self.scope.route else { return Some(false) };
        match whose {
            Whose::Message(parts) => {
                ((parts.stream, parts.sequence) == route.message()).then_some(true)
            }
            Whose::Link(client) => {
                (self.is_published && route.links.contains(&client)).then_some(false)
            }
            Whose::Everybody => self.is_published.then_some(false),
        }
    }

    /// Keeps a moment that is wanted, if there is room.
    fn keep(&mut self, at: Time, what: What, is_own: bool) -> bool {
        let has_room = self.moments.len() < self.scope.most;
        if has_room {
            self.moments.push(Moment { at, what });
        } else {
            self.left_out += 1;
        }
        if is_own {
            self.last_of_message = self.moments.len();
        }
        has_room
    }

    // ---- packets ----

    fn sent(&mut self, now: Time, connection: Connection, record: &Record<'_>, fate: Fate) {
        let packet = self.slot.0.take();
        let kind = record.kind();
        let whose = record.tag.parts().map_or(Whose::Link(record.name.client), Whose::Message);
        let opens = matches!(kind, Kind::Connect | Kind::ConnAck);
        let is_noise = matches!(kind, Kind::PingReq | Kind::PingResp) && self.scope.route.is_some();
        let wanted = self.wants(now, whose).filter(|_| !is_noise);
        let is_earlier = now < self.scope.from || self.scope.route.is_some() && !self.is_published;
        if wanted.is_none() && !(opens && is_earlier && self.context.len() < self.scope.most) {
            return;
        }
        let session_present = match record.body {
            Body::ConnAck { session_present, .. } => Some(session_present),
            _ => None,
        };
        let flight = Flight {
            name: record.name,
            message: record.tag.parts(),
            connection,
            first: record.first,
            id: record.id,
            reason: record.reason,
            bytes: record.size.mqtt,
            session_present,
            packet,
            sent: now,
            fate,
            ends: Vec::new(),
        };
        let Some(is_own) = wanted else {
            self.context.push(flight);
            return;
        };
        let place = self.flights.len();
        if self.keep(now, What::Sent(place), is_own) {
            if flight.ends_due() > 0 {
                self.under_way.insert((connection, record.name), place);
            }
            self.flights.push(flight);
        }
    }

    /// A packet came to an end; of those that were kept, it is told.
    fn came(&mut self, now: Time, connection: Connection, record: &Record<'_>, is_read: bool) {
        let key = (connection, record.name);
        let Some(&place) = self.under_way.get(&key) else { return };
        let flight = &mut self.flights[place];
        let what = if is_read {
            flight.ends.push((now, End::Read));
            What::Arrived(place)
        } else {
            self.unread.push((place, flight.ends.len()));
            let is_down = self.down.contains(&flight.to());
            let cause = if is_down { Cause::Down } else { Cause::Unknown };
            flight.ends.push((now, End::Unread(cause)));
            What::Unread(place)
        };
        if flight.ends.len() >= flight.ends_due() {
            self.under_way.remove(&key);
        }
        let is_own = flight.message.is_some() && self.scope.route.is_some();
        self.keep(now, what, is_own);
    }

    /// Why nobody read a packet: what befell its connection in the same instant, or before. Its
    /// receiver's end decides, and else its sender's.
    fn cause(&self, flight: &Flight, at: Time) -> Cause {
        let ends = self.ends.get(&flight.connection).map_or(&[][..], Vec::as_slice);
        let before = ends.iter().filter(|(ended, _)| *ended <= at).map(|(_, cause)| *cause);
        let closed_at = |node| {
            let is_there = |cause: &Cause| matches!(cause, Cause::Closed(end, _) if *end == node);
            before.clone().find(is_there)
        };
        let dark = before.clone().find(|cause| matches!(cause, Cause::Dark(_)));
        let closed = || closed_at(flight.to()).or_else(|| closed_at(flight.from()));
        dark.or_else(closed).unwrap_or(Cause::Unknown)
    }

    // ---- all else ----

    fn told(&mut self, now: Time, event: &Event<'_>) {
        self.track(now, event);
        let Some((whose, what)) = moment(event) else { return };
        if let (Some(route), What::Submitted(message) | What::WillPublished(message)) =
            (&self.scope.route, what)
        {
            self.is_published |= (message.stream, message.sequence) == route.message();
        }
        if let Some(is_own) = self.wants(now, whose) {
            self.keep(now, what, is_own);
        }
    }

    /// Remembers what befell connections and nodes, by which lost packets are explained.
    fn track(&mut self, now: Time, event: &Event<'_>) {
        match *event {
            Event::Closed { node, connection, why, .. } => {
                self.ends.entry(connection).or_default().push((now, Cause::Closed(node, why)));
            }
            Event::WentDark { connection, why, .. } => {
                self.ends.entry(connection).or_default().push((now, Cause::Dark(why)));
            }
            Event::Crashed { node } => {
                self.down.insert(node);
            }
            Event::Restarted { node } => {
                self.down.remove(&node);
            }
            _ => {}
        }
    }
}

/// What is recorded of an event that is no packet's.
fn moment(event: &Event<'_>) -> Option<(Whose, What)> {
    let link = |node| match node {
        Node::Broker => Whose::Everybody,
        Node::Client(client) => Whose::Link(client),
    };
    Some(match *event {
        Event::Phase(phase) => (Whose::Everybody, What::Phase(phase)),
        Event::Submitted { tag } => of_message(tag.parts()?, What::Submitted),
        Event::Completed { tag } => of_message(tag.parts()?, What::Completed),
        Event::WillPublished { tag } => of_message(tag.parts()?, What::WillPublished),
        Event::Refused { tag, why } => of_message(tag.parts()?, |it| What::Refused(it, why)),
        Event::Delivered { client, tag, qos, retain } => {
            of_message(tag.parts()?, |message| What::Delivered { client, message, qos, retain })
        }
        Event::Dropped { client, tag, why } => {
            of_message(tag.parts()?, |message| What::Dropped { client, message, why })
        }
        Event::Opened { node, connection, client } => {
            (Whose::Link(client), What::Opened { node, connection, client })
        }
        Event::Closed { node, connection, client, why } => {
            (Whose::Link(client), What::Closed { node, connection, client, why })
        }
        Event::WentDark { connection, client, why } => {
            (Whose::Link(client), What::WentDark { connection, client, why })
        }
        Event::Hampered { client, how } => (Whose::Link(client), What::Hampered(client, how)),
        Event::Unhampered { client, how } => (Whose::Link(client), What::Unhampered(client, how)),
        Event::OutageBegan { client } => (Whose::Link(client), What::OutageBegan(client)),
        Event::OutageEnded { client } => (Whose::Link(client), What::OutageEnded(client)),
        Event::Crashed { node } => (link(node), What::Crashed(node)),
        Event::Restarted { node } => (link(node), What::Restarted(node)),
        Event::SessionExpired { client } => (Whose::Link(client), What::SessionExpired(client)),
        Event::Sent { .. }
        | Event::Arrived { .. }
        | Event::Unread { .. }
        | Event::Overhead { .. }
        | Event::Backlog { .. } => return None,
    })
}

fn of_message(message: Parts, what: impl FnOnce(Parts) -> What) -> (Whose, What) {
    (Whose::Message(message), what(message))
}

impl Observer for Recorder {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        match *event {
            Event::Sent { connection, record, fate, .. } => {
                self.sent(now, connection, record, *fate);
            }
            Event::Arrived { connection, record, .. } => self.came(now, connection, record, true),
            Event::Unread { connection, record, .. } => self.came(now, connection, record, false),
            _ => self.told(now, event),
        }
    }
}
