//! What the applications do, and when: publish, subscribe late, go away and come back.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::queue::Happening;
use crate::base::draw::Key;
use crate::base::event::SubscriptionRequest;
use crate::base::name::{ClientIndex, StreamIndex, Tag};
use crate::base::time::{Span, Time};
use crate::mqtt::packet::{Message, Payload};
use crate::mqtt::settings::Request;
use crate::network::link::origin;
use crate::network::settings::Interval;
use crate::scenario::schedule::{Schedule, Timing};
use crate::scenario::trial::{ClientSetup, PayloadSize, Setup, StreamSetup};

/// All that the applications have yet to do once the traffic began.
pub(super) struct Workload<'t> {
    streams: Vec<Stream<'t>>,
    plan: Vec<Planned<'t>>,
    unfinished: usize,
}

/// One stream at its next message. A message's time and size are drawn by its stream's name and
/// its sequence number, so leaving messages out moves no other.
struct Stream<'t> {
    setup: &'t StreamSetup,
    index: StreamIndex,
    /// The stream's luck, which its packets share on every link.
    origin: Key,
    source: Source<'t>,
    /// When the traffic began.
    began: Time,
    /// The message that is next, or the last one of all, at which the stream ends.
    sequence: u32,
    /// The time of that message.
    at: Time,
    /// How many of [`StreamSetup::only`] are below that message.
    passed: usize,
}

/// What decides when messages come and how long they are.
#[derive(Clone, Copy)]
enum Source<'t> {
    /// The stream's luck.
    Drawn,
    /// A schedule.
    Listed(&'t Schedule),
}

/// Something that a client's application does once.
#[derive(Clone, Copy)]
struct Planned<'t> {
    after: Span,
    client: ClientIndex,
    act: Act<'t>,
}

#[derive(Clone, Copy)]
enum Act<'t> {
    Subscribe(&'t SubscriptionRequest),
    Unsubscribe(&'t Arc<str>),
    Leave,
    Return,
}

/// What a stream does when its time comes.
pub(super) struct Step<'t> {
    /// The message to publish, unless it is left out.
    pub(super) publish: Option<(&'t StreamSetup, Message)>,
    /// When the stream's time comes again.
    pub(super) next: Option<Time>,
}

impl<'t> Workload<'t> {
    pub(super) fn new(setup: &'t Setup, seed: u64) -> Self {
        let root = Key::new(seed);
        let source = setup.schedule.as_deref().map_or(Source::Drawn, Source::Listed);
        let streams = (0..).map(StreamIndex).zip(&setup.streams).map(|(index, setup)| Stream {
            setup,
            index,
            origin: origin(root, &setup.name),
            source,
            began: Time::ZERO,
            sequence: 0,
            at: Time::ZERO,
            passed: 0,
        });
        let publishing = setup.streams.iter().filter(|stream| stream.count > 0).count();
        let plan: Vec<_> = (0..)
            .zip(&setup.clients)
            .flat_map(|(n, client)| plan(ClientIndex(n), client))
            .collect();
        Self { streams: streams.collect(), unfinished: publishing + plan.len(), plan }
    }

    /// When each message comes after the start of the traffic, and how long it is; the last one of
    /// a stream is told even where it is left out, for the stream ends then.
    pub(super) fn timings(setup: &Setup, seed: u64) -> BTreeMap<(StreamIndex, u32), Timing> {
        let mut timings = BTreeMap::new();
        for mut stream in Workload::new(setup, seed).streams {
            let mut next = (stream.setup.count > 0).then(|| stream.begin(Time::ZERO));
            while next.is_some() {
                let (at, payload) = (stream.at.since(Time::ZERO), stream.payload_len());
                timings.insert((stream.index, stream.sequence), Timing { at, payload });
                next = stream.step().next;
            }
        }
        timings
    }

    /// The luck of a stream's messages.
    pub(super) fn origin(&self, stream: StreamIndex) -> Key {
        self.streams[stream.index()].origin
    }

    /// The traffic begins: when each stream's time first comes, and when each planned act is due.
    pub(super) fn begin(&mut self, now: Time) -> impl Iterator<Item = (Time, Happening)> {
        let streams = (0..).zip(&mut self.streams).filter(|(_, stream)| stream.setup.count > 0);
        let publishes = streams.map(move |(n, stream)| (stream.begin(now), Happening::Publish(n)));
        let acts = (0..).zip(&self.plan);
        publishes.chain(acts.map(move |(n, act)| (now + act.after, Happening::Act(n))))
    }

    /// A stream's time has come.
    pub(super) fn step(&mut self, stream: u32) -> Step<'t> {
        let step = self.streams[stream as usize].step();
        self.unfinished -= usize::from(step.next.is_none());
        step
    }

    /// A planned act is due.
    pub(super) fn act(&mut self, planned: u32) -> (ClientIndex, Request) {
        self.unfinished -= 1;
        let planned = self.plan[planned as usize];
        (planned.client, planned.act.request())
    }

    /// What of it is still to come: the next message of each stream that has not ended, and how
    /// many of the chosen ones were before it. What is planned is in the queue.
    pub(super) fn rest(&self) -> impl Serialize {
        let streams = self.streams.iter();
        let next: Vec<_> = streams.map(|it| (it.sequence, it.passed)).collect();
        (next, self.unfinished)
    }

    /// Whether everything is published and every planned act done.
    pub(super) const fn is_done(&self) -> bool {
        self.unfinished == 0
    }
}

impl<'t> Stream<'t> {
    fn begin(&mut self, now: Time) -> Time {
        let spread = Interval::Uniform(Span::ZERO, self.setup.spread);
        self.began = now;
        self.at = now + spread.nth(self.origin.child(b"spread"), 0);
        let first = self.next_stop(0).unwrap_or(0);
        self.go_to(first);
        self.at
    }

    fn step(&mut self) -> Step<'t> {
        let publish = self.is_chosen().then(|| (self.setup, self.message()));
        let stop = self.next_stop(self.sequence + 1);
        let next = stop.map(|sequence| {
            self.go_to(sequence);
            self.at
        });
        Step { publish, next }
    }

    /// The first message from `sequence` on that is not left out. The last of all is a stop in
    /// any case: the workload ends when it always ended.
    fn next_stop(&mut self, sequence: u32) -> Option<u32> {
        let last = self.setup.count - 1;
        if sequence > last {
            return None;
        }
        let Some(only) = &self.setup.only else { return Some(sequence) };
        while only.get(self.passed).is_some_and(|&chosen| chosen < sequence) {
            self.passed += 1;
        }
        Some(only.get(self.passed).map_or(last, |&chosen| chosen.min(last)))
    }

    fn is_chosen(&self) -> bool {
        let only = self.setup.only.as_ref();
        only.is_none_or(|only| only.get(self.passed) == Some(&self.sequence))
    }

    fn go_to(&mut self, sequence: u32) {
        let messages = self.sequence..sequence;
        match self.setup.every {
            _ if let Source::Listed(schedule) = self.source => {
                let timing = schedule.timing(self.index, self.setup, sequence);
                // Messages come in their order, whatever is listed.
                self.at = self.at.max(self.began + timing.at);
            }
            Interval::Fixed(every) => self.at += every.times(messages.len() as u64),
            every => {
                let luck = self.origin.child(b"interval");
                for before in messages {
                    self.at += every.nth(luck, u64::from(before));
                }
            }
        }
        self.sequence = sequence;
    }

    fn message(&self) -> Message {
        Message {
            topic: Arc::clone(&self.setup.topic),
            payload: Payload::Filler(self.payload_len()),
            tag: Tag::new(self.index, self.sequence, self.setup.qos, self.at),
        }
    }

    fn payload_len(&self) -> u32 {
        if let Source::Listed(schedule) = self.source {
            return schedule.timing(self.index, self.setup, self.sequence).payload;
        }
        match self.setup.payload {
            PayloadSize::Fixed(len) => len,
            PayloadSize::Uniform(low, high) => {
                let [word, ..] = self.origin.child(b"payload").draw([self.sequence, 0, 0, 0]);
                let lengths = u64::from(high.saturating_sub(low)) + 1;
                low + ((u64::from(word) * lengths) >> 32) as u32
            }
        }
    }
}

fn plan(client: ClientIndex, setup: &ClientSetup) -> impl Iterator<Item = Planned<'_>> {
    let subscriptions = setup.subscriptions.iter().flat_map(|subscription| {
        let request = &subscription.request;
        let from = subscription.from.map(|after| (after, Act::Subscribe(request)));
        let until = subscription.until.map(|after| (after, Act::Unsubscribe(&request.filter)));
        from.into_iter().chain(until)
    });
    let absences = setup
        .absences
        .iter()
        .flat_map(|absence| [(absence.at, Act::Leave), (absence.at + absence.lasts, Act::Return)]);
    subscriptions.chain(absences).map(move |(after, act)| Planned { after, client, act })
}

impl Act<'_> {
    fn request(self) -> Request {
        match self {
            Self::Subscribe(request) => Request::Subscribe(vec![request.clone()]),
            Self::Unsubscribe(filter) => Request::Unsubscribe(vec![Arc::clone(filter)]),
            Self::Leave => Request::Disconnect,
            Self::Return => Request::Connect,
        }
    }
}
