//! From what was recorded to the rows of a ladder.

use std::collections::{BTreeMap, BTreeSet};

use super::{Column, Judged, Mark, Row, Sign, Tone, words};
use crate::escape;
use crate::words::promise;
use qoslab_core::base::event::{Close, Dark, Phase};
use qoslab_core::base::name::{ClientIndex, Node, Parts, StreamIndex};
use qoslab_core::base::time::Time;
use qoslab_core::network::settings::Transport;
use qoslab_guarantee::story;
use qoslab_guarantee::verdict::{Breach, Finding};
use qoslab_sim::trial::Setup;
use qoslab_study::tape::{End, Flight, Moment, Scope, Tape, What};

/// Whose copy: the subscriber, the stream and the message.
type Copy = (ClientIndex, StreamIndex, u32);

struct Making<'a> {
    tape: &'a Tape,
    setup: &'a Setup,
    findings: Vec<&'a Finding>,
    columns: &'a [Column],
    /// Whether it is about more than one message.
    is_whole: bool,
    is_only_stream: bool,
    copies: BTreeMap<Copy, u32>,
    rows: Vec<Row>,
}

/// The rows, in order.
pub(super) fn rows(
    tape: &Tape,
    scope: &Scope,
    setup: &Setup,
    judged: Judged<'_>,
    columns: &[Column],
) -> Vec<Row> {
    let streams: BTreeSet<StreamIndex> =
        tape.flights.iter().filter_map(|it| it.message).map(|message| message.stream).collect();
    let is_shown = |it: &&Finding| {
        let route = scope.route.as_ref();
        route.is_none_or(|route| (route.stream, route.sequence) == (it.stream, it.sequence))
    };
    let mut rows = Making {
        tape,
        setup,
        findings: judged.findings.iter().filter(is_shown).collect(),
        columns,
        is_whole: scope.route.is_none(),
        is_only_stream: streams.len() < 2,
        copies: BTreeMap::new(),
        rows: Vec::new(),
    };
    for (place, moment) in tape.moments.iter().enumerate() {
        rows.moment(place, moment.at, moment.what);
    }
    rows.broken_rules(scope, judged);
    rows.never_came(scope);
    rows.tell_late_arrivals();
    rows.mark_what_broke_it();
    rows.rows
}

impl Making<'_> {
    fn push(&mut self, at: Time, mark: Mark, note: impl Into<String>, tone: Tone) {
        self.rows.push(Row { at, mark, note: note.into(), tone });
    }

    fn column(&self, node: Node) -> Option<usize> {
        self.columns.iter().position(|column| column.node == node)
    }

    fn name(&self, node: Node) -> String {
        match node {
            Node::Broker => "broker".to_owned(),
            Node::Client(client) => {
                escape::terminal(&self.setup.clients[client.index()].name).into_owned()
            }
        }
    }

    fn message(&self, message: &Parts) -> String {
        words::message(message, self.setup, self.is_only_stream)
    }

    fn publisher(&self, message: &Parts) -> Node {
        Node::Client(self.setup.streams[message.stream.index()].client)
    }

    /// A sign at a node that has a line.
    fn at(&mut self, at: Time, node: Node, sign: Sign, note: String, tone: Tone) {
        if let Some(column) = self.column(node) {
            self.push(at, Mark::At(column, sign), note, tone);
        }
    }

    /// A sign on the way between a client and the broker.
    fn between(&mut self, at: Time, client: ClientIndex, sign: Sign, note: String, tone: Tone) {
        let ends = [Node::Client(client), Node::Broker].map(|node| self.column(node));
        if let [Some(one), Some(other)] = ends {
            self.push(at, Mark::Between(one.min(other), one.max(other), sign), note, tone);
        }
    }

    fn moment(&mut self, place: usize, at: Time, what: What) {
        match what {
            What::Phase(phase) => self.phase(at, phase),
            What::Submitted(it) => {
                let note = format!("publishes {}, QoS {}", self.message(&it), it.qos);
                self.at(at, self.publisher(&it), Sign::Publish, note, Tone::Plain);
            }
            What::WillPublished(it) => {
                let whose = self.name(self.publisher(&it));
                let note = format!("publishes the will of {whose}, {}", self.message(&it));
                self.at(at, Node::Broker, Sign::Publish, note, Tone::Plain);
            }
            What::Completed(it) => {
                let note = format!("{} is complete", self.message(&it));
                self.at(at, self.publisher(&it), Sign::Complete, note, Tone::Good);
            }
            What::Refused(it, why) => {
                let note = format!("lets go of {}: {}", self.message(&it), story::reason(why));
                self.at(at, self.publisher(&it), Sign::Gone, note, Tone::Bad);
            }
            What::Dropped { client, message, why } => {
                let (whose, what) = (self.name(Node::Client(client)), self.message(&message));
                let note = format!("drops {what} for {whose}: {}", story::reason(why));
                self.at(at, Node::Broker, Sign::Gone, note, Tone::Bad);
            }
            What::Sent(flight) => self.sent(flight),
            What::Arrived(flight) | What::Unread(flight) => self.echo(at, flight),
            What::Delivered { client, message, .. } => self.delivered(at, client, &message),
            What::Closed { node, client, why, .. } => self.closed(place, at, (node, client), why),
            What::WentDark { client, why, .. } => self.went_dark(at, client, why),
            What::Hampered(client, how) => {
                let note = words::hindrance(&self.name(Node::Client(client)), how, false);
                self.between(at, client, Sign::Down, note, Tone::Bad);
            }
            What::Unhampered(client, how) => {
                let note = words::hindrance(&self.name(Node::Client(client)), how, true);
                self.between(at, client, Sign::Up, note, Tone::Plain);
            }
            What::OutageBegan(client) => {
                let note = format!("{}'s link goes down", self.name(Node::Client(client)));
                self.between(at, client, Sign::Down, note, Tone::Bad);
            }
            What::OutageEnded(client) => {
                let note = format!("{}'s link is up again", self.name(Node::Client(client)));
                self.between(at, client, Sign::Up, note, Tone::Plain);
            }
            What::Crashed(node) => {
                let note = format!("{} crashes", self.name(node));
                self.at(at, node, Sign::Crash, note, Tone::Bad);
            }
            What::Restarted(node) => {
                let note = format!("{} starts again", self.name(node));
                self.at(at, node, Sign::Restart, note, Tone::Plain);
            }
            What::SessionExpired(client) => {
                let note = format!("{}'s session expires", self.name(Node::Client(client)));
                self.at(at, Node::Broker, Sign::Gone, note, Tone::Bad);
            }
            // The CONNECT that follows shows it.
            What::Opened { .. } => {}
        }
    }

    fn phase(&mut self, at: Time, phase: Phase) {
        let note = match phase {
            Phase::CalmTwo => "every persistent session reconnects",
            Phase::Traffic if self.is_whole => "traffic begins",
            Phase::CalmOne if self.is_whole => "nothing more is published",
            _ => return,
        };
        self.push(at, Mark::Across, note, Tone::Plain);
    }

    // ---- packets ----

    fn arrow(&self, flight: &Flight, arrives: Option<Time>, is_echo: bool) -> Option<Mark> {
        let (from, to) = (self.column(flight.from())?, self.column(flight.to())?);
        let message = flight.message.map_or_else(String::new, |it| self.message(&it));
        Some(Mark::Arrow { from, to, label: words::label(flight, &message), arrives, is_echo })
    }

    fn sent(&mut self, place: usize) {
        let flight = &self.tape.flights[place];
        let lost = flight.lost().is_some();
        let read = flight.reads().first().copied();
        let Some(mark) = self.arrow(flight, read, false) else { return };
        let version = self.setup.clients[flight.name.client.index()].settings.version;
        let (from, to) = (self.name(flight.from()), self.name(flight.to()));
        let note = words::packet(flight, version, &from, &to).join("; ");
        let tone = if lost {
            Tone::Bad
        } else if flight.is_dup() || flight.is_resend() {
            Tone::Again
        } else {
            Tone::Plain
        };
        self.push(flight.sent, mark, note, tone);
    }

    /// The second arrival of a packet that the network doubled.
    fn echo(&mut self, at: Time, place: usize) {
        let flight = &self.tape.flights[place];
        let [first, (second, end)] = flight.ends.as_slice() else { return };
        let is_second = *second == at && (first.0 < at || *end == End::Read);
        if !is_second {
            return;
        }
        let is_read = *end == End::Read;
        let Some(mark) = self.arrow(flight, is_read.then_some(at), true) else { return };
        let note = "the network's second copy arrives";
        let note = if is_read { note.to_owned() } else { format!("{note}, and nobody reads it") };
        self.push(at, mark, note, Tone::Again);
    }

    /// Where other rows come between a packet's sending and its arrival, the latter is told.
    fn tell_late_arrivals(&mut self) {
        let times: Vec<Time> = self.rows.iter().map(|row| row.at).collect();
        for row in &mut self.rows {
            let Mark::Arrow { arrives: Some(arrives), is_echo: false, .. } = row.mark else {
                continue;
            };
            let later = times.partition_point(|at| *at <= row.at);
            if times.get(later).is_some_and(|next| *next < arrives) {
                let arrives = format!("arrives {arrives}");
                let parts = [row.note.as_str(), &arrives];
                let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
                row.note = parts.join("; ");
            }
        }
    }

    /// The packet that brought a delivery which broke a promise is marked as that.
    fn mark_what_broke_it(&mut self) {
        let broke = self.rows.iter().filter(|row| row.tone == Tone::Broken);
        let broke: BTreeSet<(Time, usize)> = broke
            .filter_map(|row| match row.mark {
                Mark::At(column, Sign::Deliver) => Some((row.at, column)),
                _ => None,
            })
            .collect();
        for row in &mut self.rows {
            if let Mark::Arrow { to, arrives: Some(at), .. } = row.mark
                && broke.contains(&(at, to))
            {
                row.tone = Tone::Broken;
            }
        }
    }

    // ---- deliveries ----

    fn delivered(&mut self, at: Time, client: ClientIndex, message: &Parts) {
        let copies = self.copies.entry((client, message.stream, message.sequence)).or_default();
        *copies += 1;
        let is_first = *copies == 1;
        let finding = self.findings.iter().find(|it| {
            let is_his = (it.stream, it.sequence) == (message.stream, message.sequence);
            let breaks = match it.violation.breach {
                Breach::Duplicated => it.deliveries.first().is_some_and(|first| *first < at),
                Breach::Unexpected => it.deliveries.contains(&at),
                Breach::Reordered => it.deliveries.first() == Some(&at),
                Breach::Lost | Breach::Stuck | Breach::Stalled => false,
            };
            is_his && it.subscriber == Some(client) && breaks
        });
        let again = if is_first { "" } else { " again" };
        let mut note = format!("delivers {}{again}", self.message(message));
        let mut tone = if is_first { Tone::Good } else { Tone::Again };
        if let Some(finding) = finding {
            note += &format!(": {} broken", promise(finding.violation.promise));
            tone = Tone::Broken;
        }
        self.at(at, Node::Client(client), Sign::Deliver, note, tone);
    }

    /// What was owed and did not come, at the end.
    fn never_came(&mut self, scope: &Scope) {
        let at = self.tape.ended.at;
        if at > scope.until {
            return;
        }
        for finding in self.findings.clone() {
            let stream = &self.setup.streams[finding.stream.index()];
            let subscriber = finding.subscriber.map(Node::Client);
            let (node, what) = match finding.violation.breach {
                Breach::Lost => (subscriber, "never came"),
                Breach::Stuck => (None, "was never acknowledged"),
                Breach::Stalled => (subscriber, "came or ended only when everybody reconnected"),
                Breach::Duplicated | Breach::Unexpected | Breach::Reordered => continue,
            };
            let name = escape::terminal(&stream.name);
            let message = if self.is_only_stream {
                format!("#{}", finding.sequence)
            } else {
                format!("{name}#{}", finding.sequence)
            };
            let note = format!("{message} {what}: {} broken", promise(finding.violation.promise));
            let node = node.unwrap_or(Node::Client(stream.client));
            self.at(at, node, Sign::Gone, note, Tone::Broken);
        }
    }

    // ---- connections ----

    /// Connections over datagrams carry nothing that a packet's own fate does not tell.
    fn is_stream(&self, client: ClientIndex) -> bool {
        let transport = self.setup.clients[client.index()].link.transport;
        matches!(transport, Transport::Tcp(_))
    }

    fn closed(&mut self, place: usize, at: Time, end: (Node, ClientIndex), why: Close) {
        let (node, client) = end;
        if !self.is_stream(client) || matches!(why, Close::Asked | Close::Peer | Close::Crash) {
            return;
        }
        // A cut strikes both ends at once, and is told once.
        let is_end = |what: &What| {
            matches!(what, What::Closed { client: whose, why: Close::Cut, .. } if *whose == client)
                || matches!(what, What::WentDark { client: whose, .. } if *whose == client)
        };
        let now = |moment: &&Moment| moment.at == at;
        let (before, after) = (&self.tape.moments[..place], &self.tape.moments[place + 1..]);
        let is_cut = why == Close::Cut;
        if is_cut && before.iter().rev().take_while(now).any(|it| is_end(&it.what)) {
            return;
        }
        let whose = self.name(Node::Client(client));
        if is_cut && after.iter().take_while(now).any(|it| is_end(&it.what)) {
            let note = format!("{whose}'s connection is cut");
            self.between(at, client, Sign::Cut, note, Tone::Bad);
        } else {
            let note = words::closed(&self.name(node), &whose, why);
            self.at(at, node, Sign::Cut, note, Tone::Bad);
        }
    }

    fn went_dark(&mut self, at: Time, client: ClientIndex, why: Dark) {
        let whose = self.name(Node::Client(client));
        let dead = match why {
            Dark::HalfOpen(node) => self.name(node),
            Dark::NatForgot => String::new(),
        };
        self.between(at, client, Sign::Cut, words::dark(why, &whose, &dead), Tone::Bad);
    }

    // ---- rules ----

    /// What endpoints did against the standard: of one message, what its story tells.
    fn broken_rules(&mut self, scope: &Scope, judged: Judged<'_>) {
        let mut told: Vec<(Time, String)> = Vec::new();
        if scope.route.is_none() {
            told.extend(judged.rules.iter().map(|it| (it.at, it.sentence.clone())));
        } else {
            let lines = self.findings.iter().flat_map(|finding| &finding.story);
            let rules = lines.filter(|line| line.text.contains("[MQTT"));
            told.extend(rules.map(|line| (line.at, line.text.clone())));
        }
        told.retain(|(at, _)| (scope.from..=scope.until).contains(at));
        told.dedup();
        for (at, text) in told {
            let says = |column: &Column| text.starts_with(&column.name);
            let Some(column) = self.columns.iter().position(says) else { continue };
            let mark = Mark::At(column, Sign::Rule);
            let row =
                Row { at, mark, note: escape::terminal(&text).into_owned(), tone: Tone::Broken };
            let place = self.rows.partition_point(|other| other.at <= at);
            self.rows.insert(place, row);
        }
    }
}
