//! One trial, or one message of it, as a ladder: a line for each node, time downwards, an arrow
//! for each packet.
//!
//! [`Ladder::new`] makes rows of a [`Tape`] and says in words what befell each packet; [`text()`]
//! and [`svg`] draw them.

use std::collections::BTreeMap;

use super::chart::{self, Words};
use super::escape;
use qoslab_core::base::name::{ClientIndex, Node, StreamIndex};
use qoslab_core::base::time::Time;
use qoslab_guarantee::verdict::{Finding, RuleFinding};
use qoslab_sim::trial::Setup;
use qoslab_study::tape::{Scope, Tape, What};

pub use text::text;

mod rows;
#[cfg(test)]
mod tests;
mod text;
pub(super) mod words;

/// At most so many nodes have a line, the broker among them.
const MOST_NODES: usize = 5;

/// At most so many rows are drawn, unless another limit is given.
pub const MOST_ROWS: usize = 200;

/// What is drawn.
#[derive(Clone, Debug)]
pub struct Ladder {
    /// Letters, digits and hyphens; another one for each ladder on a page.
    pub id: String,
    /// What it shows, in one line.
    pub title: String,
    /// The nodes from left to right: publishers, the broker, subscribers.
    pub columns: Vec<Column>,
    /// What happened, in order.
    pub rows: Vec<Row>,
    /// What is not shown, in sentences.
    pub left_out: Vec<String>,
}

/// A node's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Which node.
    pub node: Node,
    /// Its name, without control characters.
    pub name: String,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// When.
    pub at: Time,
    /// What is drawn.
    pub mark: Mark,
    /// What is to be said about it; may be empty.
    pub note: String,
    /// How it went.
    pub tone: Tone,
}

/// What is drawn in a row. Columns are given by their places in [`Ladder::columns`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A packet.
    Arrow {
        /// Who sent it.
        from: usize,
        /// Whom it is for.
        to: usize,
        /// What it is: `PUBLISH #7 p12 DUP`.
        label: String,
        /// When it arrived; `None` where it never did.
        arrives: Option<Time>,
        /// Whether it is the network's own second copy.
        is_echo: bool,
    },
    /// Something at one node.
    At(usize, Sign),
    /// Something on the way between two nodes.
    Between(usize, usize, Sign),
    /// Something that concerns everybody.
    Across,
}

/// Signs at a node, or between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// An application publishes.
    Publish,
    /// An application gets a message.
    Deliver,
    /// A handshake is over.
    Complete,
    /// A message is let go of, or never came.
    Gone,
    /// A connection ends at a node, or between two.
    Cut,
    /// A node stops.
    Crash,
    /// A node starts again.
    Restart,
    /// A link stops or slows down.
    Down,
    /// It is as before.
    Up,
    /// A rule of the standard was broken.
    Rule,
}

/// How something went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should.
    Plain,
    /// A delivery.
    Good,
    /// Sent again.
    Again,
    /// Lost, or a fault.
    Bad,
    /// It broke a promise.
    Broken,
}

/// What the judge said of the trial.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// Promises that were broken.
    pub findings: &'a [Finding],
    /// Rules that were broken.
    pub rules: &'a [RuleFinding],
}

impl Ladder {
    /// Makes a ladder of what was recorded in a scope, of at most `most` rows.
    #[must_use]
    pub fn new(tape: &Tape, scope: &Scope, setup: &Setup, judged: Judged<'_>, most: usize) -> Self {
        let (nodes, others) = nodes(tape, scope, setup);
        let name = |node: &Node| match node {
            Node::Broker => "broker".to_owned(),
            Node::Client(client) => {
                escape::terminal(&setup.clients[client.index()].name).into_owned()
            }
        };
        let columns =
            nodes.into_iter().map(|node| Column { name: name(&node), node }).collect::<Vec<_>>();
        let mut rows = rows::rows(tape, scope, setup, judged, &columns);
        let mut left_out = Vec::new();
        if !others.is_empty() {
            let names: Vec<String> = others.iter().take(3).map(name).collect();
            left_out.push(words::others(&names, others.len()));
        }
        let more = rows.len().saturating_sub(most) as u64;
        rows.truncate(most);
        if more > 0 || tape.left_out > 0 {
            left_out.push(words::more_rows(more, tape.left_out));
        }
        let (id, title) = ("ladder".to_owned(), words::title(scope, setup));
        Self { id, title, columns, rows, left_out }
    }

    /// Whether this is the broker's line.
    #[must_use]
    pub fn is_broker(&self, column: usize) -> bool {
        self.columns[column].node == Node::Broker
    }
}

/// The ladder as a picture: one `<svg>` element.
#[must_use]
pub fn svg(ladder: &Ladder) -> String {
    let below = "Time runs downwards, not to scale; broken lines stand for time without events.";
    let words = Words {
        id: ladder.id.clone().into(),
        title: words::capital(&ladder.title),
        subtitle: [&[below.to_owned()], ladder.left_out.as_slice()].concat().join(" "),
        alt: words::alt(ladder),
        caption: String::new(),
    };
    chart::ladder::draw(words, ladder).svg
}

/// The nodes that take part, from left to right, and those for which there is no room.
fn nodes(tape: &Tape, scope: &Scope, setup: &Setup) -> (Vec<Node>, Vec<Node>) {
    let mut parts: BTreeMap<ClientIndex, usize> = BTreeMap::new();
    if let Some(route) = &scope.route {
        parts.extend(route.links.iter().map(|link| (*link, 0)));
    }
    for moment in &tape.moments {
        let client = match moment.what {
            What::Sent(place) => tape.flights[place].name.client,
            What::Submitted(it) => setup.streams[it.stream.index()].client,
            What::Delivered { client, .. }
            | What::Dropped { client, .. }
            | What::Crashed(Node::Client(client)) => client,
            _ => continue,
        };
        *parts.entry(client).or_default() += 1;
    }
    let publishes = |client: &ClientIndex| {
        let is_his = |stream: StreamIndex| setup.streams[stream.index()].client == *client;
        match &scope.route {
            Some(route) => is_his(route.stream),
            None => setup.streams.iter().any(|stream| stream.client == *client),
        }
    };
    // Whoever takes part most stays; of two alike, the first in the file. A publisher comes first.
    let mut order: Vec<ClientIndex> = parts.keys().copied().collect();
    let rank = |client: &ClientIndex| std::cmp::Reverse(parts[client]);
    let (mut publishers, mut subscribers): (Vec<_>, Vec<_>) = {
        order.sort_by_key(rank);
        order.into_iter().partition(publishes)
    };
    let room = MOST_NODES - 1;
    let for_publishers = room.saturating_sub(subscribers.len().min(room / 2));
    let mut others = publishers.split_off(publishers.len().min(for_publishers));
    others.extend(subscribers.split_off(subscribers.len().min(room - publishers.len())));
    publishers.sort_unstable();
    subscribers.sort_unstable();
    others.sort_unstable();
    let clients = |list: Vec<ClientIndex>| list.into_iter().map(Node::Client);
    let nodes = clients(publishers).chain([Node::Broker]).chain(clients(subscribers)).collect();
    (nodes, clients(others).collect())
}
