//! Filter that selects what of a trial is recorded.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use qoslab_core::base::{ClientIndex, Event, MessageTag, Observer, PublisherIndex, Time};
use qoslab_guarantee::{Breach, Finding};
use qoslab_sim::Options;
use qoslab_sim::{Engine, Trial};

/// The part of a trial that is recorded.
#[derive(Clone, Debug)]
pub struct RecordingFilter {
    /// Only this message, and what happened to nodes and connections on its way.
    pub route: Option<MessageRoute>,
    /// Nothing before this time.
    pub from: Time,
    /// Nothing after this time.
    pub until: Time,
    /// The greatest number of events that are kept, from the first on.
    pub max_events: usize,
}

/// A message and its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRoute {
    /// The publisher.
    pub stream: PublisherIndex,
    /// The number of the message in that stream, from 0.
    pub sequence: u32,
    /// The clients on whose links it travelled, or should have.
    pub links: BTreeSet<ClientIndex>,
    /// Whether what happened to those links after the message's last moment is kept too, for one
    /// that never came.
    pub keeps_later_events: bool,
}

impl RecordingFilter {
    /// The greatest number of events that is useful to a reader.
    pub const MAX_EVENTS: usize = 100_000;

    /// The whole trial.
    pub const WHOLE_TRIAL: Self =
        Self { route: None, from: Time::ZERO, until: Time::NEVER, max_events: Self::MAX_EVENTS };

    /// The message of a broken promise; `None` if it has no publisher.
    #[must_use]
    pub fn for_finding<E: Engine>(
        engine: &E,
        trial: &Trial,
        finding: &Finding,
        interrupt: &AtomicBool,
    ) -> Option<Self> {
        let mut route = find_route(engine, trial, finding.publisher, finding.sequence, interrupt)?;
        route.include_finding(finding);
        Some(Self { route: Some(route), ..Self::WHOLE_TRIAL })
    }
}

impl MessageRoute {
    /// Takes in where a promise about the message broke: at a subscriber that it may never have
    /// been sent to, and perhaps by what never came.
    pub fn include_finding(&mut self, finding: &Finding) {
        self.links.extend(finding.subscriber);
        self.keeps_later_events |=
            matches!(finding.violation.breach, Breach::Lost | Breach::Stuck | Breach::Stalled);
    }

    /// Whether a packet or an event with this tag is the message's.
    pub(super) fn is_about(&self, tag: MessageTag) -> bool {
        tag.message_id().is_some_and(|parts| (parts.publisher, parts.sequence) == self.message())
    }

    /// The stream and the sequence number.
    pub(super) const fn message(&self) -> (PublisherIndex, u32) {
        (self.stream, self.sequence)
    }
}

/// The way of a message, found by running the trial on an engine; `None` if it is not published.
#[must_use]
pub fn find_route<E: Engine>(
    engine: &E,
    trial: &Trial,
    stream: PublisherIndex,
    sequence: u32,
    interrupt: &AtomicBool,
) -> Option<MessageRoute> {
    let route =
        MessageRoute { stream, sequence, links: BTreeSet::new(), keeps_later_events: false };
    let scout = RouteFinder { route, is_published: false };
    let options = Options::with_interrupt(interrupt);
    let (_, RouteFinder { mut route, is_published }) = engine.run(trial, scout, options);
    route.links.insert(trial.setup.publishers.get(stream.index())?.client);
    is_published.then_some(route)
}

/// Looks where a message goes.
struct RouteFinder {
    route: MessageRoute,
    is_published: bool,
}

impl Observer for RouteFinder {
    fn observe(&mut self, _: Time, event: &Event<'_>) {
        match *event {
            Event::Submitted { tag } | Event::WillPublished { tag } => {
                self.is_published |= self.route.is_about(tag);
            }
            Event::Sent { packet: record, .. } if self.route.is_about(record.tag) => {
                self.route.links.insert(record.name.client);
            }
            Event::Dropped { client, tag, .. } if self.route.is_about(tag) => {
                self.route.links.insert(client);
            }
            _ => {}
        }
    }
}
