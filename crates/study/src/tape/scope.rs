//! What of a trial is recorded.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use qoslab_core::base::event::{Event, Observer};
use qoslab_core::base::name::{ClientIndex, StreamIndex, Tag};
use qoslab_core::base::time::Time;
use qoslab_guarantee::verdict::{Breach, Finding};
use qoslab_sim::Engine;
use qoslab_sim::event::Options;
use qoslab_sim::trial::Trial;

/// What of a trial is recorded.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Only this message, and what befell nodes and connections on its way.
    pub route: Option<Route>,
    /// Nothing before.
    pub from: Time,
    /// Nothing after.
    pub until: Time,
    /// At most so many moments; the first ones.
    pub most: usize,
}

/// A message and its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Who publishes it.
    pub stream: StreamIndex,
    /// Which message of that stream, from 0.
    pub sequence: u32,
    /// The clients on whose links it travelled, or should have.
    pub links: BTreeSet<ClientIndex>,
    /// Whether what befell those links after the message's last moment is kept too, for one that
    /// never came.
    pub to_the_end: bool,
}

impl Scope {
    /// The most moments that anybody looks through.
    pub const MOST: usize = 100_000;

    /// The whole trial.
    pub const WHOLE: Self =
        Self { route: None, from: Time::ZERO, until: Time::NEVER, most: Self::MOST };

    /// The message of a broken promise; `None` if nobody publishes it.
    #[must_use]
    pub fn of_finding<E: Engine>(
        engine: &E,
        trial: &Trial,
        finding: &Finding,
        interrupt: &AtomicBool,
    ) -> Option<Self> {
        let mut route = route(engine, trial, finding.stream, finding.sequence, interrupt)?;
        route.take_in(finding);
        Some(Self { route: Some(route), ..Self::WHOLE })
    }
}

impl Route {
    /// Takes in where a promise about the message broke: at a subscriber that it may never have
    /// been sent to, and perhaps by what never came.
    pub fn take_in(&mut self, finding: &Finding) {
        self.links.extend(finding.subscriber);
        self.to_the_end |=
            matches!(finding.violation.breach, Breach::Lost | Breach::Stuck | Breach::Stalled);
    }

    /// Whether a packet or an event with this tag is the message's.
    pub(super) fn is_of(&self, tag: Tag) -> bool {
        tag.parts().is_some_and(|parts| (parts.stream, parts.sequence) == self.message())
    }

    /// The stream and the sequence number.
    pub(super) const fn message(&self) -> (StreamIndex, u32) {
        (self.stream, self.sequence)
    }
}

/// The way of a message, found by running the trial on an engine; `None` if nobody publishes it.
#[must_use]
pub fn route<E: Engine>(
    engine: &E,
    trial: &Trial,
    stream: StreamIndex,
    sequence: u32,
    interrupt: &AtomicBool,
) -> Option<Route> {
    let route = Route { stream, sequence, links: BTreeSet::new(), to_the_end: false };
    let scout = Scout { route, is_published: false };
    let options = Options::until(interrupt);
    let (_, Scout { mut route, is_published }) = engine.run(trial, scout, options);
    route.links.insert(trial.setup.streams.get(stream.index())?.client);
    is_published.then_some(route)
}

/// Looks where a message goes.
struct Scout {
    route: Route,
    is_published: bool,
}

impl Observer for Scout {
    fn observe(&mut self, _: Time, event: &Event<'_>) {
        match *event {
            Event::Submitted { tag } | Event::WillPublished { tag } => {
                self.is_published |= self.route.is_of(tag);
            }
            Event::Sent { record, .. } if self.route.is_of(record.tag) => {
                self.route.links.insert(record.name.client);
            }
            Event::Dropped { client, tag, .. } if self.route.is_of(tag) => {
                self.route.links.insert(client);
            }
            _ => {}
        }
    }
}
