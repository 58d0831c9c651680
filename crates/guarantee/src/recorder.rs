//! The second pass: the same trial again, with the evidence for what the first pass found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::blame::{Facts, blame};
use super::chronicle::Chronicle;
use super::endings::Endings;
use super::evidence::{Act, Case, Freed, Misled, Mistaken};
use super::findings::{explain, note_low_copies, note_missing_deed};
use super::monitor::{Break, Monitor, message};
use super::roster::Roster;
use super::rules::Rule;
use super::subscriptions::Subscriptions;
use super::verdict::{Blame, MAX_FINDINGS, Outcome, Violation};
use super::watch::{FirstPass, Offender};
use qoslab_core::base::event::{Body, Dropped, Event, Fate, Observer, Record};
use qoslab_core::base::name::{
    ClientIndex, Connection, Hop, Kind, Node, StreamIndex, Subject, Tag, Way,
};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::settings::Store;

/// Keeps the evidence for the offending messages of one trial, and nothing of the others but what
/// is in flight.
#[derive(Clone, Debug)]
pub struct Recorder {
    roster: Arc<Roster>,
    monitor: Monitor,
    subscriptions: Subscriptions,
    cases: BTreeMap<(StreamIndex, u32), Case>,
    /// Packets of offending messages under way: when they arrive and whose they are.
    flying: BTreeMap<(ClientIndex, Way), Vec<Flying>>,
    /// What senders gave up: the link on which, and the message.
    given_up: BTreeSet<(ClientIndex, StreamIndex, u32)>,
    endings: Endings,
    chronicle: Chronicle,
}

/// A packet of an offending message that is under way.
#[derive(Clone, Copy, Debug)]
struct Flying {
    arrives: Time,
    case: (StreamIndex, u32),
    hop: Hop,
}

impl Recorder {
    /// Ready to watch the trial again.
    #[must_use]
    pub fn new(roster: &Arc<Roster>, offenders: &[Offender]) -> Self {
        let mut cases = BTreeMap::<_, Case>::new();
        for offender in offenders {
            let case = cases.entry((offender.stream, offender.sequence)).or_default();
            case.subscribers.extend(offender.subscriber);
        }
        let publishers = cases.keys().map(|(stream, _)| roster.streams[stream.index()].client);
        let subscribers = cases.values().flat_map(|case| case.subscribers.iter().copied());
        let watched: BTreeSet<_> = publishers.chain(subscribers).collect();
        Self {
            roster: Arc::clone(roster),
            chronicle: Chronicle::new(watched),
            monitor: Monitor::new(roster),
            subscriptions: Subscriptions::new(roster),
            cases,
            flying: BTreeMap::new(),
            given_up: BTreeSet::new(),
            endings: Endings::default(),
        }
    }

    /// Blames, counts and explains.
    #[must_use]
    pub fn conclude(mut self, first_pass: FirstPass) -> Outcome {
        self.monitor.finish();
        self.file_breaks();
        let FirstPass { mut outcome, offenders } = first_pass;
        for offender in &offenders {
            let Some(case) = self.cases.get_mut(&(offender.stream, offender.sequence)) else {
                continue;
            };
            let (roster, endings, chronicle) = (&self.roster, &self.endings, &self.chronicle);
            note_missing_deed(roster, case, offender, chronicle);
            note_low_copies(roster, case, offender, chronicle);
            let judgement = blame(&Facts { roster, case, offender, endings, chronicle });
            let by_endpoint =
                matches!(judgement.blame, Blame::Publisher | Blame::Broker | Blame::Subscriber);
            if offender.provisional && !by_endpoint {
                continue;
            }
            let Offender { promise, breach, .. } = *offender;
            let violation = Violation { promise, breach, blame: judgement.blame };
            let count = outcome.violations.entry(violation).or_default();
            *count += 1;
            if *count <= MAX_FINDINGS as u64 {
                let finding = explain(roster, case, offender, judgement, chronicle);
                outcome.findings.push(finding);
            }
        }
        outcome
    }

    fn file_breaks(&mut self) {
        for broken in self.monitor.take_breaks() {
            for whose in [broken.message, broken.other].into_iter().flatten() {
                if let Some(case) = self.cases.get_mut(&whose) {
                    case.breaks.push(broken);
                }
            }
        }
    }

    fn sent(&mut self, now: Time, node: Node, record: &Record<'_>, fate: &Fate) {
        self.fly(now, record, fate);
        let Subject::Message { hop, .. } = record.name.subject else {
            if node == Node::Broker {
                self.answered(now, record);
            }
            return;
        };
        let Some(whose) = message(record.tag) else { return };
        let Some(case) = self.cases.get_mut(&whose) else { return };
        case.sent(now, record, hop, fate);
        let link = record.name.client;
        match (hop, node) {
            (Hop::First, Node::Broker) => {
                let releases = self.roster.broker_delivers_on_release;
                let takes = match record.kind() {
                    Kind::PubAck => true,
                    Kind::PubRec => !releases,
                    Kind::PubComp => releases,
                    _ => false,
                };
                if takes && record.reason < 0x80 && case.reasons > 0 {
                    case.accepted.get_or_insert(now);
                }
            }
            (Hop::Second, Node::Broker) if record.kind() == Kind::Publish => {
                self.forwarded(now, record);
            }
            (Hop::Second, Node::Client(_))
                if matches!(record.kind(), Kind::PubAck | Kind::PubComp) =>
            {
                // What answers for another message of the same id is not about this one.
                let onward = case.onward.entry(link).or_default();
                if onward.taken {
                    onward.acknowledged.get_or_insert(now);
                }
            }
            _ => {}
        }
    }

    /// The broker sent a copy on. Where a crash fell between storing and sending, the first that is
    /// seen of a copy is a repeat.
    fn forwarded(&mut self, now: Time, record: &Record<'_>) {
        let Some(parts) = record.tag.parts() else { return };
        let link = record.name.client;
        let Some(case) = self.cases.get_mut(&(parts.stream, parts.sequence)) else { return };
        if parts.is_retained_copy() {
            case.onward.entry(link).or_default().retained = true;
            return;
        }
        let reasons = case.reasons;
        if !case.subscribers.contains(&link) {
            return;
        }
        if !case.copies.insert((link, parts.copy)) && record.is_resend() {
            return;
        }
        let onward = case.onward.entry(link).or_default();
        onward.sent += 1;
        onward.best = onward.best.max(record.qos().map(|qos| (qos, now)));
        // With an older state, older subscriptions come back.
        let doubtful = self.chronicle.forgot(&self.roster, Node::Broker, now).is_some();
        let rule = match (onward.granted, record.qos()) {
            (None, _) if doubtful => return,
            (None, _) => Rule::NotSubscribed,
            (Some(granted), Some(qos)) if qos > granted.min(parts.qos) => Rule::AboveGranted,
            _ if onward.sent > reasons => Rule::SecondDelivery,
            _ => return,
        };
        let (node, hop) = (Node::Broker, Hop::Second);
        let message = Some((parts.stream, parts.sequence));
        case.breaks.push(Break { at: now, node, link, hop, rule, message, other: None });
    }

    fn arrived(&mut self, now: Time, node: Node, connection: Connection, record: &Record<'_>) {
        let link = record.name.client;
        let reads = self.monitor.reads(node, connection, record);
        match record.body {
            Body::Subscribe(requests) if reads => {
                self.subscriptions.asked(link, record.id, requests);
            }
            Body::Unsubscribe(filters) if reads => {
                self.subscriptions.asked_to_end(link, record.id, filters);
            }
            Body::ConnAck { session_present, .. }
                if reads && record.reason == 0 && self.monitor.was_welcome() =>
            {
                let resumed = self.roster.carries_on(link, session_present);
                self.chronicle.welcomed(now, link, resumed);
                if !resumed {
                    self.endings.began_anew(now, node, link);
                }
            }
            _ => {}
        }
        let Subject::Message { hop, .. } = record.name.subject else { return };
        if !reads {
            self.unread(now, record);
            return;
        }
        if !matches!(record.kind(), Kind::Publish | Kind::PubRel) {
            self.misled(now, hop, record);
            return;
        }
        let Some(whose) = self.monitor.fresh().and_then(message) else {
            self.mistaken(now, node, hop, record);
            return;
        };
        let Some(case) = self.cases.get_mut(&whose) else { return };
        match (hop, node, record.kind()) {
            (Hop::First, Node::Broker, Kind::Publish | Kind::PubRel) => {
                let qos2 = self.roster.streams[whose.0.index()].qos == QoS::ExactlyOnce;
                let waits = qos2 && self.roster.broker_delivers_on_release;
                if waits != (record.kind() == Kind::PubRel) {
                    return;
                }
                let stream = &self.roster.streams[whose.0.index()];
                case.reach(stream, &self.subscriptions);
            }
            (Hop::Second, Node::Client(_), Kind::Publish) => {
                case.onward.entry(link).or_default().taken = true;
            }
            _ => {}
        }
    }

    /// A PUBLISH came whose packet id the receiver holds, perhaps for another message.
    fn mistaken(&mut self, now: Time, node: Node, hop: Hop, record: &Record<'_>) {
        let (link, id) = (record.name.client, record.id);
        let holder = self.monitor.holder(node, link, id).and_then(message);
        let Some(other) = holder.filter(|_| record.kind() == Kind::Publish) else { return };
        let sender = if hop == Hop::First { Node::Client(link) } else { Node::Broker };
        let freed = if self.given_up.contains(&(link, other.0, other.1)) {
            Freed::GivenUp
        } else if self.chronicle.forgot(&self.roster, sender, Time::ZERO).is_some() {
            Freed::Forgotten
        } else {
            Freed::Acknowledged
        };
        let Some(case) = self.case(record.tag) else { return };
        if message(record.tag) != Some(other) && case.mistaken.is_none() {
            let mistaken = Mistaken { link, hop, id, other, freed };
            case.mistaken = Some(mistaken);
            case.act(now, Act::Mistaken(mistaken));
        }
    }

    /// An acknowledgement came, perhaps of another message than its receiver takes it for.
    fn misled(&mut self, now: Time, hop: Hop, record: &Record<'_>) {
        let (link, id, kind) = (record.name.client, record.id, record.kind());
        let Some(other) = message(record.tag) else { return };
        let Some(whose) = self.monitor.answered().and_then(message) else { return };
        if whose != other
            && let Some(case) = self.cases.get_mut(&whose)
            && case.misled.is_none()
        {
            let misled = Misled { link, hop, id, kind, other };
            case.misled = Some(misled);
            case.act(now, Act::Misled(misled));
        }
    }

    /// An endpoint let go of a message: the broker of a client's copy, or the publisher itself.
    fn let_go(&mut self, now: Time, client: Option<ClientIndex>, tag: Tag, why: Dropped) {
        if let (Dropped::GaveUp, Some((stream, sequence))) = (why, message(tag)) {
            let link = client.unwrap_or(self.roster.streams[stream.index()].client);
            self.given_up.insert((link, stream, sequence));
        }
        let refusable = tag.parts().is_some_and(|parts| {
            !parts.is_retained_copy() && !self.roster.streams[parts.stream.index()].will
        });
        if let Some(case) = self.case(tag) {
            if refusable && why == Dropped::QueueFull {
                case.not_refused.extend(client);
            }
            case.dropped.push((client, why));
            case.act(now, Act::LetGo { client, why });
        }
    }

    /// Nobody read a packet: it died with its connection, and so the network lost it.
    fn unread(&mut self, now: Time, record: &Record<'_>) {
        let Subject::Message { hop, .. } = record.name.subject else { return };
        let (link, way) = (record.name.client, record.name.way);
        if let Some(case) = self.case(record.tag) {
            case.harm.entry((link, hop)).or_default().cut += 1;
            case.act(now, Act::Stale { link, way, hop, kind: record.kind() });
        }
    }

    /// The broker answered a request about subscriptions, or a CONNECT.
    fn answered(&mut self, now: Time, record: &Record<'_>) {
        let client = record.name.client;
        match record.body {
            Body::SubAck(codes) => {
                self.subscriptions.granted(client, record.id, codes);
            }
            Body::ConnAck { session_present, .. }
                if record.reason == 0 && self.monitor.was_welcome() =>
            {
                self.chronicle.accepted(now, client);
                if !self.roster.carries_on(client, session_present) {
                    self.subscriptions.forget(client);
                    self.endings.began_anew(now, Node::Broker, client);
                }
            }
            _ if record.kind() == Kind::UnsubAck => {
                self.subscriptions.ended(client, record.id);
            }
            _ => {}
        }
    }

    /// The broker published a will: it has reason to forward it, and has taken it over.
    fn willed(&mut self, now: Time, tag: Tag) {
        let Some(parts) = tag.parts() else { return };
        let Some(case) = self.cases.get_mut(&(parts.stream, parts.sequence)) else { return };
        case.published = Some((parts.qos, now));
        case.accepted = Some(now);
        let stream = &self.roster.streams[parts.stream.index()];
        case.reach(stream, &self.subscriptions);
        case.act(now, Act::Willed);
    }

    /// A node crashed: what its store does not keep is no deed of its, nor an omission.
    fn crashed(&mut self, now: Time, node: Node) {
        if let Node::Client(client) = node {
            self.connection_ended(now, node, client);
        } else {
            for n in (0..).map(ClientIndex).take(self.roster.clients.len()) {
                self.connection_ended(now, node, n);
            }
        }
        if !self.roster.forgets(node) {
            return;
        }
        if self.roster.store(node) == Store::Volatile && node == Node::Broker {
            for n in (0..).map(ClientIndex).take(self.roster.clients.len()) {
                self.subscriptions.forget(n);
            }
        }
        for onward in self.cases.values_mut().flat_map(|case| case.onward.iter_mut()) {
            match node {
                Node::Broker => onward.1.sent = 0,
                Node::Client(client) => onward.1.taken &= *onward.0 != client,
            }
        }
    }

    /// A clean session ends with its connection.
    fn connection_ended(&mut self, now: Time, node: Node, client: ClientIndex) {
        if self.roster.clients[client.index()].clean && !self.monitor.is_connected(node, client) {
            self.endings.ended(now, node, client);
            if node == Node::Broker {
                self.subscriptions.forget(client);
            }
        }
    }

    /// Watches for packets that overtake those of offending messages.
    fn fly(&mut self, now: Time, record: &Record<'_>, fate: &Fate) {
        let Fate::Arrives(arrival) = fate else { return };
        let mine = message(record.tag).filter(|whose| self.cases.contains_key(whose));
        let place = (record.name.client, record.name.way);
        if mine.is_none() && !self.flying.contains_key(&place) {
            return;
        }
        let flying = self.flying.entry(place).or_default();
        flying.retain(|it| it.arrives > now);
        for late in flying.iter().filter(|it| it.arrives > arrival.at) {
            if let Some(case) = self.cases.get_mut(&late.case) {
                case.harm.entry((place.0, late.hop)).or_default().reordered += 1;
            }
        }
        let Subject::Message { hop, .. } = record.name.subject else { return };
        if let Some(case) = mine {
            let arrivals = std::iter::once(arrival.at).chain(arrival.again);
            flying.extend(arrivals.map(|arrives| Flying { arrives, case, hop }));
        }
    }

    fn case(&mut self, tag: Tag) -> Option<&mut Case> {
        self.cases.get_mut(&message(tag)?)
    }
}

impl Observer for Recorder {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        self.monitor.observe(now, event);
        self.chronicle.note(now, event);
        match *event {
            Event::Sent { node, record, fate, .. } => self.sent(now, node, record, fate),
            Event::Arrived { node, connection, record } => {
                self.arrived(now, node, connection, record);
            }
            Event::Unread { record, .. } => self.unread(now, record),
            Event::Submitted { tag } => {
                if let (Some(parts), Some(case)) = (tag.parts(), self.case(tag)) {
                    case.published = Some((parts.qos, now));
                    case.act(now, Act::Published);
                }
            }
            Event::Completed { tag } => {
                if let Some(case) = self.case(tag) {
                    case.completed.get_or_insert(now);
                    case.act(now, Act::Completed);
                }
            }
            Event::Delivered { client, tag, .. } => {
                if let Some(case) = self.case(tag) {
                    case.delivered(now, client);
                }
            }
            Event::Refused { tag, why } => self.let_go(now, None, tag, why),
            Event::Dropped { client, tag, why } => self.let_go(now, Some(client), tag, why),
            Event::WillPublished { tag } => self.willed(now, tag),
            Event::Closed { node, client, .. } => self.connection_ended(now, node, client),
            Event::Crashed { node } => self.crashed(now, node),
            Event::SessionExpired { client } => {
                self.endings.ended(now, Node::Broker, client);
                self.subscriptions.forget(client);
            }
            _ => {}
        }
        self.file_breaks();
    }
}
