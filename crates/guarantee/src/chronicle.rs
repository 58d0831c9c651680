//! What befell nodes and connections: for the stories of the messages that travelled there, and for
//! the blame.

use std::collections::{BTreeMap, BTreeSet};

use super::roster::Roster;
use qoslab_core::base::event::{Close, Dark, Event, Hindrance, Phase};
use qoslab_core::base::name::{ClientIndex, Connection, Node};
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::settings::Store;

/// At most so many moments of one link, or of the broker, are kept.
const MAX_MOMENTS: usize = 10_000;

/// The moments of the links that matter, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Chronicle {
    watched: BTreeSet<ClientIndex>,
    links: BTreeMap<ClientIndex, Vec<(Time, Moment)>>,
    broker: Vec<(Time, Moment)>,
    /// When the broker sent each client a CONNACK.
    accepted: BTreeMap<ClientIndex, Vec<Time>>,
    calm_two: Option<Time>,
    /// Which connection is open at which end of a link.
    open: BTreeMap<(ClientIndex, Node), Connection>,
    /// Connections that died silently.
    dead: BTreeMap<ClientIndex, Vec<Dead>>,
}

/// A connection that died silently.
#[derive(Clone, Copy, Debug)]
struct Dead {
    connection: Connection,
    /// When no end believed in it any more.
    until: Option<Time>,
}

/// Something that befell a node or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// An end of a connection closed.
    Closed(Node, Close),
    /// The client was welcomed, and its session resumed or not.
    Welcomed { resumed: bool },
    /// The connection died, and nobody was told.
    WentDark(Dark),
    /// The link stopped or slowed down.
    Hampered(Hindrance),
    /// It is as before.
    Unhampered(Hindrance),
    /// A node crashed.
    Crashed(Node),
    /// It is back.
    Restarted(Node),
    /// The broker ended a session that had expired.
    Expired,
    /// Everybody reconnects.
    CalmTwo,
}

impl Chronicle {
    /// Watches the links of these clients.
    pub(super) fn new(watched: BTreeSet<ClientIndex>) -> Self {
        Self { watched, ..Self::default() }
    }

    /// Keeps what an event tells of a link or a node.
    pub(super) fn note(&mut self, now: Time, event: &Event<'_>) {
        match *event {
            Event::Opened { node, connection, client } if self.watched.contains(&client) => {
                self.open.insert((client, node), connection);
                self.doubt(now, client);
            }
            Event::Closed { node, connection, client, why } => {
                self.add(now, client, Moment::Closed(node, why));
                self.closed(now, client, node, connection);
            }
            Event::WentDark { connection, client, why } => {
                self.add(now, client, Moment::WentDark(why));
                self.died(now, client, connection);
            }
            Event::Hampered { client, how } => self.add(now, client, Moment::Hampered(how)),
            Event::Unhampered { client, how } => self.add(now, client, Moment::Unhampered(how)),
            Event::SessionExpired { client } => self.add(now, client, Moment::Expired),
            Event::Crashed { node } => self.add_at(now, node, Moment::Crashed(node)),
            Event::Restarted { node } => self.add_at(now, node, Moment::Restarted(node)),
            Event::Phase(Phase::CalmTwo) => {
                self.calm_two = Some(now);
                self.add_at(now, Node::Broker, Moment::CalmTwo);
            }
            _ => {}
        }
    }

    /// A CONNACK reached a client.
    pub(super) fn welcomed(&mut self, now: Time, client: ClientIndex, resumed: bool) {
        self.add(now, client, Moment::Welcomed { resumed });
    }

    /// The broker sent a client a CONNACK, and what it resumes follows at once.
    pub(super) fn accepted(&mut self, now: Time, client: ClientIndex) {
        if self.watched.contains(&client) {
            push(self.accepted.entry(client).or_default(), now);
        }
    }

    /// What befell the broker and these links, not before a time, in order.
    pub(super) fn since(
        &self,
        time: Time,
        links: &[ClientIndex],
    ) -> Vec<(Time, Option<ClientIndex>, Moment)> {
        let broker = self.broker.iter().map(|(at, moment)| (*at, None, *moment));
        let links = links.iter().flat_map(|link| {
            let moments = self.links.get(link).into_iter().flatten();
            moments.map(|(at, moment)| (*at, Some(*link), *moment))
        });
        let mut all: Vec<_> = broker.chain(links).filter(|(at, ..)| *at >= time).collect();
        all.sort_by_key(|(at, ..)| *at);
        all
    }

    /// When a node first crashed, not before a time, and its store forgot. With an older state of
    /// the broker its older subscriptions come back, and that concerns later messages too.
    pub(super) fn forgot(&self, roster: &Roster, node: Node, since: Time) -> Option<Time> {
        let lasting = node == Node::Broker && matches!(roster.broker_store, Store::Snapshot(_));
        self.forgot_since(roster, node, if lasting { Time::ZERO } else { since })
    }

    /// When a node first crashed, not before a time, and its store forgot.
    pub(super) fn forgot_since(&self, roster: &Roster, node: Node, since: Time) -> Option<Time> {
        let crashed =
            |(at, moment): &&(Time, Moment)| *at >= since && *moment == Moment::Crashed(node);
        let found = self.of(node).iter().find(crashed);
        found.filter(|_| roster.forgets(node)).map(|(at, _)| *at)
    }

    /// When the broker last accepted a client before a time.
    pub(super) fn accepted_before(&self, client: ClientIndex, time: Time) -> Option<Time> {
        self.accepted.get(&client)?.iter().rev().find(|at| **at < time).copied()
    }

    /// When a client was last welcomed before a time.
    pub(super) fn welcome_before(&self, client: ClientIndex, time: Time) -> Option<Time> {
        let mut moments = self.of(Node::Client(client)).iter().rev();
        let welcome = |(at, moment): &&(Time, Moment)| {
            *at < time && matches!(moment, Moment::Welcomed { .. })
        };
        moments.find(welcome).map(|(at, _)| *at)
    }

    /// Whether an end of this client's link believed in a connection that had died silently, after
    /// a time and up to another one at least; `Time::NEVER` is the end of the trial.
    pub(super) fn believed(&self, client: ClientIndex, after: Time, up_to: Time) -> bool {
        let lasted = |until: Time| until > after && until >= up_to;
        self.dead.get(&client).into_iter().flatten().any(|it| it.until.is_none_or(lasted))
    }

    /// When everybody reconnected.
    pub(super) const fn calm_two(&self) -> Option<Time> {
        self.calm_two
    }

    fn of(&self, node: Node) -> &[(Time, Moment)] {
        match node {
            Node::Broker => &self.broker,
            Node::Client(client) => self.links.get(&client).map_or(&[], Vec::as_slice),
        }
    }

    fn died(&mut self, now: Time, client: ClientIndex, connection: Connection) {
        if self.watched.contains(&client) {
            push(self.dead.entry(client).or_default(), Dead { connection, until: None });
            self.doubt(now, client);
        }
    }

    fn closed(&mut self, now: Time, client: ClientIndex, node: Node, connection: Connection) {
        if self.open.get(&(client, node)) == Some(&connection) {
            self.open.remove(&(client, node));
            self.doubt(now, client);
        }
    }

    /// Looks whether anybody still believes in the dead connections of a client.
    fn doubt(&mut self, now: Time, client: ClientIndex) {
        let Self { open, dead, .. } = self;
        let ends = [Node::Broker, Node::Client(client)].map(|end| open.get(&(client, end)));
        for it in dead.get_mut(&client).into_iter().flatten() {
            if !ends.contains(&Some(&it.connection)) {
                it.until.get_or_insert(now);
            }
        }
    }

    fn add_at(&mut self, now: Time, node: Node, moment: Moment) {
        match node {
            Node::Client(client) => self.add(now, client, moment),
            Node::Broker => push(&mut self.broker, (now, moment)),
        }
    }

    fn add(&mut self, now: Time, client: ClientIndex, moment: Moment) {
        if self.watched.contains(&client) {
            push(self.links.entry(client).or_default(), (now, moment));
        }
    }
}

fn push<T>(moments: &mut Vec<T>, moment: T) {
    if moments.len() < MAX_MOMENTS {
        moments.push(moment);
    }
}
