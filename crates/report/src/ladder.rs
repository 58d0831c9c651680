//! One trial, or one message of it, as a ladder: a line for each node, time downwards, an arrow
//! for each packet.
//!
//! [`Ladder::new`] makes rows of a [`TrialRecording`] and describes in words what happened to each
//! packet; [`text()`] draws them, and `svg` too with feature `html`.

use std::collections::BTreeMap;

#[cfg(feature = "html")]
use super::chart::{self, ChartText};
use super::escape;
use qoslab_core::base::{ClientIndex, Node, PublisherIndex, Time};
use qoslab_guarantee::{Finding, RuleFinding};
use qoslab_sim::Setup;
use qoslab_study::{RecordedEventKind, RecordingFilter, TrialRecording};

pub use text::text;

mod rows;
#[cfg(test)]
mod tests;
mod text;
pub(super) mod wording;

/// The maximum number of nodes that have a line, the broker among them.
const MAX_NODES: usize = 5;

/// The maximum number of rows that are drawn, unless another limit is given.
pub const MAX_ROWS: usize = 200;

/// A ladder, ready to be drawn.
#[derive(Clone, Debug)]
pub struct Ladder {
    /// The id: letters, digits and hyphens; unique for each ladder on a page.
    pub id: String,
    /// The title, in one line.
    pub title: String,
    /// The nodes from left to right: publishers, the broker, subscribers.
    pub columns: Vec<LadderColumn>,
    /// The rows, in order.
    pub rows: Vec<LadderRow>,
    /// What was left out, in sentences.
    pub omitted: Vec<String>,
}

/// A node's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LadderColumn {
    /// The node.
    pub node: Node,
    /// Its name, without control characters.
    pub name: String,
}

/// One row of a ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LadderRow {
    /// When.
    pub at: Time,
    /// What is drawn.
    pub shape: RowShape,
    /// A note about the row; may be empty.
    pub note: String,
    /// The outcome, which decides the colour.
    pub row_style: RowStyle,
}

/// The content of a row. Columns are given by their indices in [`Ladder::columns`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowShape {
    /// A packet.
    Arrow {
        /// The sender.
        from: usize,
        /// The receiver.
        to: usize,
        /// The label: `PUBLISH #7 p12 DUP`.
        label: String,
        /// When it arrived; `None` where it never did.
        arrives: Option<Time>,
        /// Whether it is the network's own second copy.
        is_duplicate: bool,
    },
    /// An event at one node.
    AtNode(usize, Symbol),
    /// An event between two nodes.
    BetweenNodes(usize, usize, Symbol),
    /// An event that concerns all nodes.
    AllNodes,
}

/// Signs at a node, or between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbol {
    /// An application publishes.
    Publish,
    /// An application gets a message.
    Deliver,
    /// A handshake is over.
    Complete,
    /// A message is discarded, or never came.
    MessageGone,
    /// A connection ends at a node, or between two.
    ConnectionEnd,
    /// A node stops.
    Crash,
    /// A node starts again.
    Restart,
    /// A link stops or slows down.
    LinkDown,
    /// The link is as before.
    LinkUp,
    /// A rule of the standard was broken.
    BrokenRule,
}

/// The outcome of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowStyle {
    /// Normal.
    Normal,
    /// A delivery.
    Delivery,
    /// Sent again.
    Repeat,
    /// Lost, or affected by a fault.
    LossOrFault,
    /// It broke a promise.
    Violation,
}

/// The findings of the judge on the trial.
#[derive(Clone, Copy, Debug)]
pub struct TrialFindings<'a> {
    /// Promises that were broken.
    pub findings: &'a [Finding],
    /// Rules that were broken.
    pub rules: &'a [RuleFinding],
}

impl Ladder {
    /// Builds the ladder of a recording within a scope, with at most `max_rows` rows.
    #[must_use]
    pub fn new(
        recording: &TrialRecording,
        scope: &RecordingFilter,
        setup: &Setup,
        trial_findings: TrialFindings<'_>,
        max_rows: usize,
    ) -> Self {
        let (nodes, others) = choose_nodes(recording, scope, setup);
        let name = |node: &Node| match node {
            Node::Broker => "broker".to_owned(),
            Node::Client(client) => {
                escape::terminal(&setup.clients[client.index()].name).into_owned()
            }
        };
        let columns = nodes
            .into_iter()
            .map(|node| LadderColumn { name: name(&node), node })
            .collect::<Vec<_>>();
        let mut rows = rows::rows(recording, scope, setup, trial_findings, &columns);
        let mut left_out = Vec::new();
        if !others.is_empty() {
            let names: Vec<String> = others.iter().take(3).map(name).collect();
            left_out.push(wording::omitted_nodes_text(&names, others.len()));
        }
        let more = rows.len().saturating_sub(max_rows) as u64;
        rows.truncate(max_rows);
        if more > 0 || recording.omitted_events > 0 {
            left_out.push(wording::omitted_rows_text(more, recording.omitted_events));
        }
        let (id, title) = ("ladder".to_owned(), wording::title(scope, setup));
        Self { id, title, columns, rows, omitted: left_out }
    }

    /// Whether this is the broker's line.
    #[must_use]
    pub fn is_broker(&self, column: usize) -> bool {
        self.columns[column].node == Node::Broker
    }
}

/// The ladder as a picture: one `<svg>` element.
#[cfg(feature = "html")]
#[must_use]
pub fn svg(ladder: &Ladder) -> String {
    let below = "Time runs downwards, not to scale; broken lines stand for time without events.";
    let words = ChartText {
        id: ladder.id.clone().into(),
        title: wording::capitalise(&ladder.title),
        subtitle: [&[below.to_owned()], ladder.omitted.as_slice()].concat().join(" "),
        alt: wording::alt_text(ladder),
        caption: String::new(),
    };
    chart::ladder::draw(words, ladder).svg
}

/// The participating nodes from left to right, and those for which there is no room.
fn choose_nodes(
    recording: &TrialRecording,
    scope: &RecordingFilter,
    setup: &Setup,
) -> (Vec<Node>, Vec<Node>) {
    let mut parts: BTreeMap<ClientIndex, usize> = BTreeMap::new();
    if let Some(route) = &scope.route {
        parts.extend(route.links.iter().map(|link| (*link, 0)));
    }
    for moment in &recording.events {
        let client = match moment.kind {
            RecordedEventKind::Sent(place) => recording.packets[place].name.client,
            RecordedEventKind::Submitted(it) => setup.publishers[it.publisher.index()].client,
            RecordedEventKind::Delivered { client, .. }
            | RecordedEventKind::Dropped { client, .. }
            | RecordedEventKind::Crashed(Node::Client(client)) => client,
            _ => continue,
        };
        *parts.entry(client).or_default() += 1;
    }
    let publishes = |client: &ClientIndex| {
        let is_his = |stream: PublisherIndex| setup.publishers[stream.index()].client == *client;
        match &scope.route {
            Some(route) => is_his(route.stream),
            None => setup.publishers.iter().any(|stream| stream.client == *client),
        }
    };
    // The most active nodes stay; ties go to the first in the file. A publisher comes first.
    let mut order: Vec<ClientIndex> = parts.keys().copied().collect();
    let rank = |client: &ClientIndex| std::cmp::Reverse(parts[client]);
    let (mut publishers, mut subscribers): (Vec<_>, Vec<_>) = {
        order.sort_by_key(rank);
        order.into_iter().partition(publishes)
    };
    let room = MAX_NODES - 1;
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
